// The reader of tokenizer.json files. Only tokenizer_load-inl.hpp needs it.
#pragma once
#include <algorithm>
#include <string>
#include <vector>

#include <tessera/io/json-inl.hpp>  // strict reading, which compiled builds do not declare elsewhere
#include <tessera/text/make_model.hpp>

namespace tessera::text::detail {

/// Reads a tokenizer.json like io::parse_json, but takes model.vocab, an object or a list of
/// scored pieces, and model.merges straight into
/// their tables: the document of a large one would cost more than everything else.
class TokenizerJson {
 public:
  TokenizerJson(io::Json& root, Vocabulary& vocabulary, ModelTables& tables, int depth)
      : inner_(root, depth), vocabulary_(vocabulary), merges_(tables.merges), pieces_(tables.pieces) {}
  bool null() { return scalar() && inner_.null(); }
  bool boolean(bool v) { return scalar() && inner_.boolean(v); }
  bool number_integer(std::int64_t v) {
    return place_ == kVocab   ? entry(v)
           : place_ == kPiece ? score(static_cast<double>(v))
                              : scalar() && inner_.number_integer(v);
  }
  bool number_unsigned(std::uint64_t v) {
    return place_ == kVocab   ? entry(static_cast<std::int64_t>(std::min<std::uint64_t>(v, INT64_MAX)))
           : place_ == kPiece ? score(static_cast<double>(v))
                              : scalar() && inner_.number_unsigned(v);
  }
  bool number_float(double v, const std::string& s) {
    return place_ == kPiece ? score(v) : scalar() && inner_.number_float(v, s);
  }
  bool string(std::string& v) {
    if (place_ == kMerges) return merges_.add_line(v), true;
    if (place_ == kPiece) {
      if (parts_++ != 0) return bad("an entry of model.vocab that is not a text and its score");
      pieces_.push_back({std::move(v), 0});
      return true;
    }
    if (place_ != kPair) return scalar() && inner_.string(v);
    if (parts_ == 2) return bad("a merge of more than two tokens");
    pair_[parts_++] = v;
    return true;
  }
  bool binary(nlohmann::json::binary_t& v) { return inner_.binary(v); }
  bool start_object(std::size_t n) {
    if (place_ != kOutside) return bad("an object in model.vocab or model.merges");
    if (at("vocab")) {
      place_ = kVocab;
      return inner_.null();  // its place in the document
    }
    deeper();
    return inner_.start_object(n);
  }
  bool end_object() {
    if (place_ == kVocab) return place_ = kOutside, true;
    path_.resize(static_cast<std::size_t>(--depth_));
    return inner_.end_object();
  }
  bool start_array(std::size_t n) {
    if (place_ == kMerges) return place_ = kPair, parts_ = 0, true;
    if (place_ == kPieces) return place_ = kPiece, parts_ = 0, true;
    if (place_ != kOutside) return bad("a list in model.vocab or in a merge");
    if (at("merges")) {
      place_ = kMerges;
      return inner_.boolean(true);  // its place in the document
    }
    if (at("vocab")) {
      place_ = kPieces;
      return inner_.null();
    }
    deeper();
    return inner_.start_array(n);
  }
  bool end_array() {
    if (place_ == kMerges || place_ == kPieces) return place_ = kOutside, true;
    if (place_ == kPiece)
      return parts_ == 2 ? (place_ = kPieces, true) : bad("an entry of model.vocab that is not a text and its score");
    if (place_ == kPair) {
      if (parts_ != 2) return bad("a merge of less than two tokens");
      merges_.add(pair_[0], pair_[1]);
      return place_ = kMerges, true;
    }
    path_.resize(static_cast<std::size_t>(--depth_));
    return inner_.end_array();
  }
  bool key(std::string& k) {
    if (place_ == kVocab) {
      token_ = std::move(k);
      return true;
    }
    path_[static_cast<std::size_t>(depth_) - 1] = k;
    return inner_.key(k);
  }
  bool parse_error(std::size_t where, const std::string& token, const nlohmann::detail::exception& e) {
    return inner_.parse_error(where, token, e);
  }
  std::string problem() const { return problem_.empty() ? inner_.problem() : problem_; }

 private:
  bool at(const char* key) const { return depth_ == 2 && path_[0] == "model" && path_[1] == key; }
  void deeper() {
    ++depth_;
    path_.resize(static_cast<std::size_t>(depth_));
  }
  bool bad(const char* what) { return problem_ = what, false; }
  bool scalar() {
    return place_ == kOutside || bad(place_ == kVocab   ? "an id in model.vocab that is not an integer"
                                     : place_ < kPieces ? "a merge that is neither a string nor a list"
                                                        : "an entry of model.vocab that is not a text and its score");
  }
  bool score(double v) {
    if (parts_++ != 1) return bad("an entry of model.vocab that is not a text and its score");
    pieces_.back().score = v;
    return true;
  }
  bool entry(std::int64_t id) {
    if (vocabulary_.find(token_) >= 0) return bad("a token that stands twice in model.vocab");
    vocabulary_.add(token_, id);
    return true;
  }
  io::detail::StrictJson inner_;
  Vocabulary& vocabulary_;
  MergeList& merges_;
  std::vector<ScoredPiece>& pieces_;
  std::vector<std::string> path_;
  int depth_ = 0;
  enum Place { kOutside, kVocab, kMerges, kPair, kPieces, kPiece } place_ = kOutside;
  std::size_t parts_ = 0;
  std::string token_, problem_, pair_[2];
};

}  // namespace tessera::text::detail
