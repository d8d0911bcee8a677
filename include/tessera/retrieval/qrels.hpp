// What a retrieval experiment is judged by and what it found, in the files of trec_eval, BEIR and `tessera search`.
#pragma once
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <tessera/core/error.hpp>

namespace tessera::retrieval {

/// query -> document -> grade. A document of grade 0 or less, or of none, is not relevant.
using Qrels = std::map<std::string, std::unordered_map<std::string, int>>;

struct Found {
  std::string document;
  double score = 0;

  friend bool operator==(const Found&, const Found&) = default;
};

/// query -> documents, each once. They rank by score, higher first; equal scores in the order in which they stand here.
using Run = std::map<std::string, std::vector<Found>>;

/// Qrels of TREC (query, iteration, document, grade between blanks) or of BEIR (a first line query-id, corpus-id, score, and
/// such lines, between tabs). Grades are integers; lines may end as on Windows, empty ones are passed over.
/// \param name what errors call the text. \throws Error kFormat naming the line, what was found and what was expected; a
/// document judged twice for a query is one.
Qrels parse_qrels(std::string_view text, const std::string& name);
/// The same from a file. \throws also kNotFound, kIo.
Qrels read_qrels(const std::string& path);

/// A run of TREC (query, Q0, document, rank, score, tag between blanks), or the lines of `tessera search`: JSON objects with
/// "query", "ids" and "scores", where an integer is known by its decimal form. Of equal scores in a run of TREC, the lower
/// rank is first, then the earlier line; trec_eval itself ignores ranks and takes the greater name first.
/// \throws Error as parse_qrels(); a document found twice for a query, a score that is not finite and a query that has two
/// lines of JSON are errors too.
Run parse_run(std::string_view text, const std::string& name);
/// The same from a file. \throws also kNotFound, kIo.
Run read_run(const std::string& path);

}  // namespace tessera::retrieval

#ifndef TESSERA_COMPILED
#include <tessera/retrieval/qrels-inl.hpp>
#endif
