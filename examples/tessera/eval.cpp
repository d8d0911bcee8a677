// tessera eval: metrics of a run by the judgements of its queries.
#include <memory>
#include <string>
#include <vector>

#include <tessera/retrieval/metrics.hpp>

#include "json_line.hpp"
#include "lines.hpp"

namespace tool {

namespace {

using namespace tessera;

struct EvalOptions {
  std::string qrels, run;
  std::vector<std::string> metrics = {"ndcg@10", "map", "mrr@10", "recall@100"};
  bool per_query = false;
};

/// All of a file, or of what a pipe gives.
std::string text_of(const std::string& path) {
  Lines lines(path, false);
  std::string text;
  for (std::string line; lines.next_raw(line);) text += line + '\n';
  return text;
}

std::string metrics_of(const std::vector<std::string>& names, const double* values) {
  std::string out;
  for (std::size_t m = 0; m < names.size(); ++m) out += (m > 0 ? ", " : "{") + json_of(names[m]) + ": " + json_of(values[m]);
  return "\"metrics\": " + out + "}";
}

int run_eval(const EvalOptions& o) {
  if (o.qrels == "-" && o.run == "-") throw Failure{kUsage, "--qrels - and --run -: standard input can be read once"};
  or_exit(kUsage, [&] { return retrieval::find_metrics(o.metrics); });
  const auto name_of = [](const std::string& path) { return path == "-" ? "standard input" : path; };
  const auto qrels = retrieval::parse_qrels(text_of(o.qrels), name_of(o.qrels));
  const auto run = retrieval::parse_run(text_of(o.run), name_of(o.run));
  const auto e = retrieval::evaluate(qrels, run, o.metrics);
  if (e.missing > 0)
    say("note: " + std::to_string(e.missing) + " of the " + std::to_string(e.queries.size()) +
        " queries of the qrels are not in the run; they count as 0");
  if (e.ignored > 0)
    say("note: " + std::to_string(e.ignored) + " queries of the run are not in the qrels; they do not count");
  for (std::size_t q = 0; o.per_query && q < e.queries.size(); ++q)
    print_line("{\"query\": " + json_of(e.queries[q]) + ", " +
               metrics_of(o.metrics, e.values.data() + q * o.metrics.size()) + "}");
  print_line("{\"queries\": " + json_of(static_cast<long long>(e.queries.size())) + ", " +
             metrics_of(o.metrics, e.means.data()) + "}");
  return kDone;
}

}  // namespace

void add_eval(Command& app, int& exit) {
  auto o = std::make_shared<EvalOptions>();
  app.option("--qrels", o->qrels, "judgements: qrels of TREC, or of BEIR (.tsv)").required();
  app.option("--run", o->run, "a run of TREC, or the lines that search prints; - for standard input").required();
  app.option("--metrics", o->metrics,
             "recall, precision, hit_rate, mrr, map, ndcg, ndcg_burges, alone or with @k, between commas")
      .separated_by(',')
      .shows_default();
  app.flag("--per-query", o->per_query, "also a line for each query of the qrels");
  app.runs([o] { return run_eval(*o); }, exit);
}

}  // namespace tool
