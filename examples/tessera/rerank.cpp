// tessera rerank: texts in the order of a model's scores for a query, all of them or those that a search found.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include <tessera/retrieval/corpus_words.hpp>
#include <tessera/retrieval/ranking.hpp>

#include "embed_output.hpp"
#include "json_line.hpp"
#include "lines.hpp"
#include "pair_scores.hpp"
#include "progress.hpp"
#include "queries.hpp"
#include "signals.hpp"
#include "tool.hpp"

namespace tool {

namespace {

using namespace tessera;

struct RerankOptions {
  RunOptions run;
  std::string query, text, found, corpus, field = "text";
  std::size_t k = 0;
  bool jsonl = false;
  models::ScoreOptions score;

  std::string documents_have(long long count) const {
    return (corpus.empty() ? "--text has " + std::to_string(count) + " lines"
                           : corpus + " has " + std::to_string(count) + " rows");
  }
};

struct Documents {
  std::vector<std::string> texts;
  std::vector<long long> numbers;  ///< lines of the file, from 0
  std::size_t bytes = 0;
};

struct Reranker {
  Context& ctx;
  PairScores& model;
  const RerankOptions& o;
  long long pairs = 0;
  bool any_nonfinite = false;

  /// Adds the documents to what is known of a query.
  void score(long long number, const std::string& query, const Documents& documents, retrieval::Ranking& hits) {
    const auto scores = model.of(ctx, query, documents.texts);
    for (std::size_t i = 0; i < scores.size(); ++i) {
      if (std::isfinite(scores[i])) {
        hits.push_back({documents.numbers[i], static_cast<double>(scores[i])});
      } else {
        say("query " + std::to_string(number) + ", text " + std::to_string(documents.numbers[i]) +
            " skipped: their score is NaN or infinity");
        any_nonfinite = true;
      }
    }
    pairs += static_cast<long long>(scores.size());
    if (o.k > 0) hits = retrieval::best(std::move(hits), o.k);
  }
  void print(long long number, retrieval::Ranking hits) const {
    std::vector<long long> ids;
    std::vector<float> scores;
    for (const retrieval::Hit& hit : retrieval::best(std::move(hits), o.k > 0 ? o.k : SIZE_MAX))
      ids.push_back(hit.id), scores.push_back(static_cast<float>(hit.score));
    print_line("{\"query\": " + json_of(number) + ", \"ids\": " + json_of(ids) + ", \"scores\": " + json_of(scores) + "}");
  }
};

/// Ranks all texts for every query. The texts stream; what is kept are scores. \returns whether all texts could be read.
bool rank_all(Reranker& r, const Queries& queries, Lines& lines) {
  Progress progress("pairs");
  std::vector<retrieval::Ranking> hits(queries.texts.size());
  Documents batch;
  const auto flush = [&] {
    for (std::size_t q = 0; q < hits.size() && !interrupted(); ++q)
      r.score(queries.numbers[q], queries.texts[q], batch, hits[q]);
    batch = {};
    progress.update(r.pairs, lines.fraction());
  };
  bool all = true;
  std::string line, text, why;
  const auto full = static_cast<std::size_t>(r.o.score.batch_tokens) * 4;  // some four bytes a token
  for (long long i = 0; !interrupted() && lines.next_raw(line); ++i) {
    if (!lines.text(line, text, why)) {
      say(lines.where() + " (text " + std::to_string(i) + ") skipped: " + why);
      all = false;
      continue;
    }
    batch.bytes += std::min(text.size(), static_cast<std::size_t>(r.model.max_length()) * 8) + 8;
    batch.texts.push_back(text), batch.numbers.push_back(i);
    if (batch.bytes >= full) flush();
  }
  flush();
  progress.clear();
  for (std::size_t q = 0; q < hits.size() && !interrupted(); ++q) r.print(queries.numbers[q], std::move(hits[q]));
  return all;
}

/// A line of what a search printed.
struct Found {
  std::string where;
  long long query = 0;
  std::vector<long long> ids;
};

/// \throws Failure saying why the line cannot be used.
Found found_of(const std::string& line, std::string where) {
  constexpr std::uint64_t kMost = std::uint64_t{1} << 53;
  const io::Json json = io::parse_json(line, "the line");
  Found f{std::move(where), io::get_int(json, "query", 0, static_cast<std::int64_t>(kMost)), {}};
  const io::Json& ids = io::member(json, "ids");
  if (!ids.is_array()) throw Failure{kSkipped, R"(expected {"query": 0, "ids": [0, 1, ...]})"};
  for (const io::Json& id : ids) {
    if (!id.is_number_unsigned() || id.get<std::uint64_t>() > kMost)
      throw Failure{kSkipped, "an id is " + io::shown(&id) + ", not a line's number"};
    f.ids.push_back(id.get<long long>());
  }
  auto sorted = f.ids;
  std::sort(sorted.begin(), sorted.end());
  if (const auto twice = std::adjacent_find(sorted.begin(), sorted.end()); twice != sorted.end())
    throw Failure{kSkipped, "the id " + std::to_string(*twice) + " twice"};
  return f;
}

/// Names on stderr a line of the search that is left out.
void skip(const std::string& where, const std::string& why) { say(where + " skipped: " + why); }

std::vector<Found> read_found(const std::string& path, bool& all) {
  std::vector<Found> found;
  Lines lines(path, false);
  for (std::string line; lines.next_raw(line);) {
    try {
      found.push_back(or_exit(kSkipped, [&] { return found_of(line, lines.where()); }));
    } catch (const Failure& f) {
      skip(lines.where(), f.sentence);
      all = false;
    }
  }
  return found;
}

/// The texts that were found, by their numbers.
struct Texts {
  std::unordered_map<long long, std::string> of;
  long long count = 0;  ///< that there are: all, or up to the last one that is needed

  /// Of lines of a file.
  Texts(const std::vector<Found>& found, Lines& file, bool& all) {
    const long long last = need(found);
    for (std::string line, why; count <= last && file.next_raw(line); ++count) {
      const auto needed = of.find(count);
      if (needed == of.end() || file.text(line, needed->second, why)) continue;
      say(file.where() + " (text " + std::to_string(count) + ") skipped: " + why);
      of.erase(needed);
      all = false;
    }
  }
  /// Of the documents of a corpus.
  Texts(const std::vector<Found>& found, const retrieval::Corpus& corpus, const std::string& field, bool& all)
      : count(corpus.rows()) {
    need(found);
    for (auto at = of.begin(); at != of.end();) {
      const bool there = at->first < count;  // another one is told with its line
      if (there) at->second = or_exit(kOther, [&] { return retrieval::text_of(corpus, at->first, field); });
      if (!there || !at->second.empty()) {
        ++at;
        continue;
      }
      say("row " + std::to_string(at->first) + " skipped: its document has no string '" + field + "'");
      at = of.erase(at);
      all = false;
    }
  }

 private:
  /// Returns the last one.
  long long need(const std::vector<Found>& found) {
    long long last = -1;
    for (const Found& f : found)
      for (const long long id : f.ids) of.try_emplace(id), last = std::max(last, id);
    return last;
  }
};

/// Ranks for each query the texts that were found for it. \returns whether all could be.
bool rank_found(Reranker& r, const Queries& queries, const std::vector<Found>& found, const Texts& texts, bool all) {
  Progress progress("pairs");
  for (std::size_t i = 0; i < found.size() && !interrupted(); ++i) {
    const Found& f = found[i];
    const auto query = std::lower_bound(queries.numbers.begin(), queries.numbers.end(), f.query);
    const auto beyond = std::find_if(f.ids.begin(), f.ids.end(), [&](long long id) { return id >= texts.count; });
    if (query == queries.numbers.end() || *query != f.query || beyond != f.ids.end()) {
      progress.clear();
      skip(f.where, beyond != f.ids.end() ? "text " + std::to_string(*beyond) + ", and " + r.o.documents_have(texts.count)
                                          : "--query has no query " + std::to_string(f.query));
      all = false;
      continue;
    }
    Documents documents;
    for (const long long id : f.ids)
      if (const auto text = texts.of.find(id); text != texts.of.end())
        documents.texts.push_back(text->second), documents.numbers.push_back(id);
    retrieval::Ranking hits;
    r.score(f.query, queries.texts[static_cast<std::size_t>(query - queries.numbers.begin())], documents, hits);
    progress.clear();  // on a terminal both would share a line
    r.print(f.query, std::move(hits));
    progress.update(r.pairs, static_cast<double>(i + 1) / static_cast<double>(found.size()));
  }
  return all;
}

int run_rerank(const RerankOptions& o) {
  if ((o.query == "-") + (o.text == "-") + (o.found == "-") > 1)
    throw Failure{kUsage, "of --query, --text and --run one may be -: standard input can be read once"};
  if (o.text.empty() == o.corpus.empty()) throw Failure{kUsage, "one of --text and --corpus says what is to be ranked"};
  if (!o.corpus.empty() && o.found.empty())
    throw Failure{kUsage, "--corpus needs --run, what a search in it found; to rank all texts, give them by --text"};
  catch_signals();
  Context ctx = o.run.context();
  const Queries queries = read_queries("--query", o.query, o.jsonl);
  std::optional<Lines> lines;
  std::optional<retrieval::Corpus> corpus;
  if (o.corpus.empty())
    lines.emplace(o.text, o.jsonl);
  else
    corpus = or_exit(kOther, [&] { return retrieval::Corpus::open(o.corpus); });
  const auto model = load_pair_scores(ctx, o.run, o.score);
  Reranker r{ctx, *model, o};
  bool all = true;
  if (o.found.empty()) {
    all = rank_all(r, queries, *lines);
  } else {
    const std::vector<Found> found = read_found(o.found, all);
    const Texts texts = corpus ? Texts(found, *corpus, o.field, all) : Texts(found, *lines, all);
    all = rank_found(r, queries, found, texts, all);
  }
  finish_stdout();
  if (interrupted()) {
    say("stopped by a signal; the lines that were printed are whole");
    return signal_exit();
  }
  return outcome(!all || queries.any_skipped, r.any_nonfinite);
}

}  // namespace

void add_rerank(Command& app, int& exit) {
  auto o = std::make_shared<RerankOptions>();
  o->score.batch_tokens = 4096;
  o->run.add_to(app);
  app.option("--query", o->query, "what to look for; or a file (.txt) of such texts, one a line; - for standard input")
      .required();
  app.option("--text", o->text, "the texts to be ranked, one a line; - for standard input");
  app.option("--corpus", o->corpus, "in place of --text: documents of what 'tessera index' made; ids of --run are its rows");
  app.option("--field", o->field, "--corpus: the field of the documents that holds their text");
  app.option("--run", o->found,
             "what a search printed, {\"query\": 0, \"ids\": [...]} a line, numbers of lines of --query and --text: only "
             "these are ranked");
  app.option("-k", o->k, "so many texts a query, the best first; all otherwise").range(1, 1 << 24);
  app.flag("--jsonl", o->jsonl, "each line of --text and --query is a JSON string, so that a text may hold newlines");
  app.option("--max-length", o->score.max_length, "tokens that a pair is cut to").range(1, 1 << 24);
  app.option("--batch-tokens", o->score.batch_tokens, "tokens that go through the model at once").range(1, 1 << 24);
  app.runs([o] { return run_rerank(*o); }, exit);
}

}  // namespace tool
