#pragma once
#include <algorithm>
#include <charconv>
#include <cmath>
#include <functional>

#include <tessera/retrieval/metrics.hpp>
#include <tessera/retrieval/qrels-inl.hpp>

namespace tessera::retrieval {

namespace detail {

inline double share(std::size_t part, std::size_t of) {
  return of == 0 ? 0 : static_cast<double>(part) / static_cast<double>(of);
}

inline std::size_t hits(const Judged& q, std::size_t k) {
  const auto end = q.ranked.begin() + static_cast<std::ptrdiff_t>(std::min(k, q.ranked.size()));
  return static_cast<std::size_t>(std::count_if(q.ranked.begin(), end, [](int grade) { return grade > 0; }));
}
inline double recall(const Judged& q, std::size_t k) { return share(hits(q, k), q.ideal.size()); }
inline double precision(const Judged& q, std::size_t k) {
  return share(hits(q, k), k == Metric::kAll ? q.ranked.size() : k);
}
inline double hit_rate(const Judged& q, std::size_t k) { return hits(q, k) > 0; }

inline double reciprocal_rank(const Judged& q, std::size_t k) {
  for (std::size_t i = 0; i < std::min(k, q.ranked.size()); ++i)
    if (q.ranked[i] > 0) return share(1, i + 1);
  return 0;
}

inline double average_precision(const Judged& q, std::size_t k) {
  double sum = 0;
  std::size_t seen = 0;
  for (std::size_t i = 0; i < std::min(k, q.ranked.size()); ++i)
    if (q.ranked[i] > 0) sum += share(++seen, i + 1);
  return q.ideal.empty() ? 0 : sum / static_cast<double>(q.ideal.size());
}

template <class Gain>
double ndcg(const Judged& q, std::size_t k, const Gain& gain) {
  const auto dcg = [&](const std::vector<int>& grades) {
    double sum = 0;
    for (std::size_t i = 0; i < std::min(k, grades.size()); ++i)
      sum += gain(grades[i]) / std::log2(static_cast<double>(i + 2));
    return sum;
  };
  return q.ideal.empty() ? 0 : dcg(q.ranked) / dcg(q.ideal);
}
inline double ndcg_linear(const Judged& q, std::size_t k) {
  return ndcg(q, k, [](int grade) { return static_cast<double>(grade); });
}
inline double ndcg_burges(const Judged& q, std::size_t k) {
  return ndcg(q, k, [](int grade) { return std::exp2(grade) - 1; });
}

struct NamedMetric {
  std::string_view name;
  double (*of)(const Judged&, std::size_t);
};
inline constexpr NamedMetric kMetrics[] = {
    {"recall", recall},         {"precision", precision}, {"hit_rate", hit_rate},       {"mrr", reciprocal_rank},
    {"map", average_precision}, {"ndcg", ndcg_linear},    {"ndcg_burges", ndcg_burges},
};

/// 2^900 times all documents that a memory holds is a number yet.
inline constexpr int kMostGrade = 900;

inline std::vector<int> ideal_of(const std::string& query, const std::unordered_map<std::string, int>& judged) {
  std::vector<int> ideal;
  for (const auto& [document, grade] : judged) {
    if (grade > kMostGrade)
      throw Error(Code::kLimit, {"query ", in_quotes(query), ": grade ", std::to_string(grade), " of document ",
                                 in_quotes(document), ", the limit is ", std::to_string(kMostGrade)});
    if (grade > 0) ideal.push_back(grade);
  }
  std::sort(ideal.begin(), ideal.end(), std::greater<>());
  return ideal;
}

inline std::vector<int> ranked_of(const std::string& query, const std::unordered_map<std::string, int>& judged,
                                  const std::vector<Found>& found) {
  if (const std::string* twice = repeated(found))
    throw Error(Code::kBadArgument, {"query ", in_quotes(query), ": document ", in_quotes(*twice), " is found twice"});
  std::vector<const Found*> order;
  for (const Found& f : found) {
    if (!std::isfinite(f.score))
      throw Error(Code::kNonFinite,
                  {"query ", in_quotes(query), ": the score of document ", in_quotes(f.document), " is not finite"});
    order.push_back(&f);
  }
  std::stable_sort(order.begin(), order.end(), [](const Found* a, const Found* b) { return a->score > b->score; });
  std::vector<int> ranked;
  for (const Found* f : order) {
    const auto at = judged.find(f->document);
    ranked.push_back(at == judged.end() ? 0 : std::max(at->second, 0));
  }
  return ranked;
}

inline Metric find_metric(std::string_view name) {
  const std::size_t at = name.find('@');
  Metric metric{nullptr};
  for (const NamedMetric& m : kMetrics)
    if (m.name == name.substr(0, at)) metric.of = m.of;
  bool known = metric.of != nullptr;
  if (at != name.npos) {
    const char* end = name.data() + name.size();
    const auto [next, error] = std::from_chars(name.data() + at + 1, end, metric.k);
    known = known && error == std::errc() && next == end && metric.k > 0;
  }
  if (known) return metric;
  std::string all;
  for (const NamedMetric& m : kMetrics) all += (all.empty() ? "" : ", ") + std::string(m.name);
  throw Error(Code::kBadArgument,
              {"metric ", in_quotes(name), ", expected one of ", all, "; alone or with @k, k from 1, as in ndcg@10"});
}

}  // namespace detail

inline std::vector<Metric> find_metrics(const std::vector<std::string>& names) {
  std::vector<Metric> found;
  for (const std::string& name : names) {
    found.push_back(detail::find_metric(name));
    if (std::count(names.begin(), names.end(), name) > 1)
      throw Error(Code::kBadArgument, {"metric ", detail::in_quotes(name), " is asked for twice"});
  }
  return found;
}

inline Evaluation evaluate(const Qrels& qrels, const Run& run, const std::vector<std::string>& metrics) {
  const std::vector<Metric> of = find_metrics(metrics);
  if (qrels.empty()) throw Error(Code::kBadArgument, "evaluate: the qrels have no query, so there is no mean");
  Evaluation e;
  e.means.resize(of.size());
  e.ignored = run.size();
  for (const auto& [query, judged] : qrels) {
    Judged q{{}, detail::ideal_of(query, judged)};
    const auto found = run.find(query);
    if (found == run.end()) {
      ++e.missing;
    } else {
      --e.ignored;
      q.ranked = detail::ranked_of(query, judged, found->second);
    }
    e.queries.push_back(query);
    for (std::size_t m = 0; m < of.size(); ++m) e.means[m] += e.values.emplace_back(of[m](q));
  }
  for (double& mean : e.means) mean /= static_cast<double>(qrels.size());
  return e;
}

}  // namespace tessera::retrieval
