// Metrics against ranx (tests/goldens/make_retrieval.py), by hand, and files that are not what they should be.
#include <tessera/retrieval/metrics.hpp>

#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include <tessera/io/json.hpp>

#include "support/errors.hpp"

namespace {

using namespace tessera;
using namespace tessera::retrieval;

constexpr double kClose = 1e-12;

double one(const Qrels& qrels, const Run& run, const char* metric) { return evaluate(qrels, run, {metric}).means.at(0); }

TEST(Metrics, AreThoseOfRanx) {
  const io::Json golden = io::read_json(TESSERA_GOLDENS "/retrieval.json");
  ASSERT_EQ(golden["metrics"].size(), 5U);
  for (const io::Json& c : golden["metrics"]) {
    std::vector<std::string> names;
    for (const auto& [name, mean] : c["means"].items()) names.push_back(name);
    ASSERT_EQ(names.size(), 35U);
    const Qrels qrels = parse_qrels(c["qrels"].get_ref<const std::string&>(), "qrels");
    const Evaluation e = evaluate(qrels, parse_run(c["run"].get_ref<const std::string&>(), "run"), names);
    EXPECT_EQ(e.ignored, 1U);
    EXPECT_EQ(e.missing, (qrels.size() + 3) / 7);  // q3, q10
    ASSERT_EQ(e.values.size(), e.queries.size() * names.size());
    for (std::size_t m = 0; m < names.size(); ++m) {
      EXPECT_NEAR(e.means[m], c["means"][names[m]].get<double>(), kClose) << names[m];
      const io::Json& values = c["values"][names[m]];
      ASSERT_EQ(values.size(), e.queries.size());
      for (std::size_t q = 0; q < e.queries.size(); ++q)
        EXPECT_NEAR(e.values[q * names.size() + m], values[e.queries[q]].get<double>(), kClose) << names[m] << e.queries[q];
    }
  }
}

TEST(Metrics, OfOneRanking) {
  const Qrels qrels = {{"q", {{"a", 3}, {"b", 1}, {"c", 0}, {"d", -2}, {"e", 2}}}};
  const retrieval::Run run = {{"q", {{"d", 9}, {"a", 8}, {"x", 7}, {"b", 6}}}};  // grades 0 3 0 1, ideally 3 2 1
  EXPECT_EQ(one(qrels, run, "recall@2"), 1.0 / 3);
  EXPECT_EQ(one(qrels, run, "recall"), 2.0 / 3);
  EXPECT_EQ(one(qrels, run, "precision@4"), 0.5);
  EXPECT_EQ(one(qrels, run, "precision"), 0.5);
  EXPECT_EQ(one(qrels, run, "precision@8"), 0.25);  // of 8, though 4 were found
  EXPECT_EQ(one(qrels, run, "hit_rate@1"), 0);
  EXPECT_EQ(one(qrels, run, "hit_rate@2"), 1);
  EXPECT_EQ(one(qrels, run, "mrr"), 0.5);
  EXPECT_EQ(one(qrels, run, "mrr@1"), 0);
  EXPECT_EQ(one(qrels, run, "map"), (0.5 + 0.5) / 3);
  const double second = std::log2(3.0);
  EXPECT_NEAR(one(qrels, run, "ndcg@2"), 3 / second / (3 + 2 / second), kClose);
  EXPECT_NEAR(one(qrels, run, "ndcg_burges"), (7 / second + 1 / std::log2(5.0)) / (7 + 3 / second + 0.5), kClose);
}

TEST(Metrics, QueriesThatCountAsNothing) {
  const Qrels qrels = {{"found", {{"a", 1}}}, {"lacking", {{"a", 1}}}, {"irrelevant", {{"a", 0}}}, {"empty", {{"a", 1}}}};
  const retrieval::Run run = {{"found", {{"a", 1}}}, {"irrelevant", {{"a", 1}}}, {"empty", {}}, {"unjudged", {{"a", 1}}}};
  for (const char* name : {"recall", "precision", "hit_rate@5", "mrr", "map", "ndcg", "ndcg_burges"}) {
    const Evaluation e = evaluate(qrels, run, {name});
    EXPECT_EQ(e.queries, (std::vector<std::string>{"empty", "found", "irrelevant", "lacking"}));
    EXPECT_EQ(e.values, (std::vector<double>{0, 1, 0, 0})) << name;
    EXPECT_EQ(e.means, std::vector<double>{0.25}) << name;
    EXPECT_EQ(e.missing, 1U);
    EXPECT_EQ(e.ignored, 1U);
  }
}

TEST(Metrics, TiesKeepTheOrderGiven) {
  const Qrels qrels = {{"q", {{"b", 1}}}};
  EXPECT_EQ(one(qrels, {{"q", {{"a", 1}, {"b", 1}, {"c", 2}}}}, "mrr"), 1.0 / 3);
  EXPECT_EQ(one(qrels, {{"q", {{"b", 1}, {"a", 1}, {"c", 2}}}}, "mrr"), 1.0 / 2);
  // TREC: by score, then by rank, then by line.
  EXPECT_EQ(one(qrels, parse_run("q Q0 a 2 1 t\nq Q0 b 1 1 t\nq Q0 c 3 2 t\n", "run"), "mrr"), 1.0 / 2);
  EXPECT_EQ(one(qrels, parse_run("q Q0 a 1 1 t\nq Q0 b 1 1 t\nq Q0 c 1 1 t\n", "run"), "mrr"), 1.0 / 2);
  EXPECT_EQ(one(qrels, parse_run(R"({"query": "q", "ids": ["a", "c", "b"], "scores": [1, 0.5, 1]})", "run"), "mrr"),
            1.0 / 2);
}

TEST(Metrics, NamesAreKnownOrAnError) {
  for (const char* name :
       {"ndgc@10", "ndcg@0", "ndcg@", "ndcg@-1", "ndcg@1x", "ndcg@99999999999999999999", "@10", "", "NDCG"})
    TESSERA_EXPECT_ERROR(Code::kBadArgument, "expected one of recall, precision, hit_rate, mrr, map, ndcg, ndcg_burges",
                         find_metrics({name}));
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "'ndgc\?'", find_metrics({"ndgc\n"}));
  const auto known = find_metrics({"recall@10", "map"});
  EXPECT_EQ(known[0].k, 10U);
  EXPECT_EQ(known[1].k, Metric::kAll);
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "'map' is asked for twice",
                       evaluate({{"q", {{"a", 1}}}}, {}, {"map", "mrr", "map"}));
}

TEST(Metrics, WhatCannotBeEvaluated) {
  const Qrels qrels = {{"q", {{"a", 900}}}};
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "no query", evaluate({}, {}, {"map"}));
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "query 'q': document 'a' is found twice",
                       one(qrels, {{"q", {{"a", 1}, {"a", 2}}}}, "map"));
  for (const double bad : {HUGE_VAL, std::nan("")})
    TESSERA_EXPECT_ERROR(Code::kNonFinite, "document 'b'", one(qrels, {{"q", {{"a", 1}, {"b", bad}}}}, "map"));
  TESSERA_EXPECT_ERROR(Code::kLimit, "grade 901 of document 'a'", one({{"q", {{"a", 901}}}}, {}, "map"));
  EXPECT_EQ(one(qrels, {{"q", {{"a", 1}}}}, "ndcg_burges"), 1);
}

TEST(QrelsFiles, OfTrecAndOfBeir) {
  const Qrels expected = {{"1", {{"d1", 2}, {"d 2", -1}}}, {"q two", {{"d1", 0}}}};
  EXPECT_EQ(parse_qrels("query-id\tcorpus-id\tscore\r\n1\td1\t2\r\n\r\n1\td 2\t-1\r\nq two\td1\t0", "beir"), expected);
  const Qrels trec = {{"1", {{"d1", 2}, {"d2", -1}}}, {"2", {{"d1", 0}}}};
  EXPECT_EQ(parse_qrels("\n1 0 d1 2\n 1\t0  d2\t-1 \n2 Q0 d1 0\r\n \n", "trec"), trec);
  EXPECT_TRUE(parse_qrels("", "nothing").empty());
}

TEST(RunFiles, OfTrecAndOfJsonLines) {
  const retrieval::Run expected = {{"0", {{"7", 0.5}, {"x", 0.25}, {"-3", -1}}}, {"q", {}}};
  EXPECT_EQ(parse_run("{\"query\": 0, \"ids\": [7, \"x\", -3], \"scores\": [0.5, 0.25, -1], \"images\": [null]}\r\n\n"
                      " {\"query\": \"q\", \"ids\": [], \"scores\": []}",
                      "json"),
            expected);
  const retrieval::Run trec = {{"0", {{"7", 0.5}, {"x", 2.5e-1}}}, {"q", {{"7", -1}}}};
  EXPECT_EQ(parse_run("0 Q0 x 2 2.5e-1 tag\nq Q0 7 1 -1 tag\n0\tQ0\t7\t1\t.5\ttag\n", "trec"), trec);
  EXPECT_TRUE(parse_run(" \n", "nothing").empty());
}

TEST(QrelsFiles, MistakesAreNamed) {
  const auto wrong = [](const char* text, const char* says) {
    TESSERA_EXPECT_ERROR(Code::kFormat, says, parse_qrels(text, "q.txt"));
  };
  wrong("1 0 d 1\n\n1 0 d\n", "q.txt, line 3: 3 columns, expected 4: query, iteration, document, grade");
  wrong("1 0 d 1 5\n", "q.txt, line 1: 5 columns");
  wrong("x", "1 column, expected 4");
  wrong("1 0 d 1.5\n", "grade '1.5', expected an integer");
  wrong("1 0 d 99999999999\n", "grade '99999999999'");
  wrong("1 0 d nan\n", "grade 'nan'");
  wrong("1 0 d 1\n2 0 d 1\n1 0 d 0\n", "line 3: document 'd' a second time for query '1'");
  wrong("query-id\tcorpus-id\tscore\n1\td\n", "q.txt, line 2: 2 columns, expected 3 between tabs");
  wrong("query-id\tcorpus-id\tscore\n1\t\t1\n", "line 2: an empty column");
  wrong("query-id\tcorpus-id\tscore\n1\td\t1\n1\td\t1\n", "line 3: document 'd' a second time");
  wrong("query-id corpus-id score\n1 d 1\n", "line 1: 3 columns");
  TESSERA_EXPECT_ERROR(Code::kNotFound, "no_such", read_qrels("no_such"));
}

TEST(RunFiles, MistakesAreNamed) {
  const auto wrong = [](const std::string& text, const char* says) {
    TESSERA_EXPECT_ERROR(Code::kFormat, says, parse_run(text, "run.txt"));
  };
  wrong("1 Q0 d 1 0.5\n", "run.txt, line 1: 5 columns, expected 6: query, Q0, document, rank, score, tag");
  wrong("1 Q0 d 1 nan t\n", "score 'nan', expected a finite number");
  wrong("1 Q0 d 1 1e999 t\n", "score '1e999'");
  wrong("1 Q0 d 1 inf t\n", "score 'inf'");
  wrong("1 Q0 d 1 0x1 t\n", "score '0x1'");
  wrong("1 Q0 d first 1 t\n", "rank 'first', expected an integer");
  wrong("1 Q0 d 1 9 t\n2 Q0 d 1 9 t\n1 Q0 d 2 8 t\n",
        "line 3: document 'd' a second time for query '1' (the first is line 1)");
  const std::string good = R"({"query": 1, "ids": [1], "scores": [1]})";
  wrong(good + "\n{\"query\": 2, ", "run.txt, line 2: not valid JSON");
  wrong(good + "\n[1]", "run.txt, line 2: a list, expected {\"query\"");
  wrong(good + "\n\n" + good, "run.txt, line 3: query '1' a second time");
  wrong(R"({"query": 1, "ids": [1, "1"], "scores": [1, 2]})", "line 1: document '1' twice for query '1'");
  wrong(R"({"query": 1, "ids": [1, 2], "scores": [1]})", "no two lists of one length");
  wrong(R"({"query": 1, "scores": [1]})", "no two lists of one length");
  wrong(R"({"query": 1, "ids": "a", "scores": "b"})", "no two lists of one length");
  wrong(R"({"ids": [1], "scores": [1]})", "a name is null, expected a string or an integer");
  wrong(R"({"query": 1.5, "ids": [1], "scores": [1]})", "a name is 1.5");
  wrong(R"({"query": 1, "ids": [true], "scores": [1]})", "a name is true");
  wrong(R"({"query": 1, "ids": [1], "scores": ["1"]})", "a score is \"1\", expected a number");
  wrong(R"({"query": 1, "ids": [1], "scores": [1e999]})", "line 1: not valid JSON");
  TESSERA_EXPECT_ERROR(Code::kNotFound, "no_such", read_run("no_such"));
}

TEST(RunFiles, EveryPrefixIsReadOrRefused) {
  for (const std::string whole :
       {"q Q0 d 1 0.5 t\nq Q0 e 2 0.25 t\n", R"({"query": "q", "ids": [1, 2], "scores": [0.5, 1]})",
        "query-id\tcorpus-id\tscore\n1\td\t1\n"})
    for (std::size_t n = 0; n <= whole.size(); ++n) {
      const std::string part(whole, 0, n);  // of its own, so that sanitizers see a read behind it
      try {
        EXPECT_LE(parse_run(part, "part").size(), 1U);
      } catch (const Error& e) {
        EXPECT_EQ(e.code(), Code::kFormat) << e.what();
      }
      try {
        EXPECT_LE(parse_qrels(part, "part").size(), 1U);
      } catch (const Error& e) {
        EXPECT_EQ(e.code(), Code::kFormat) << e.what();
      }
    }
}

}  // namespace
