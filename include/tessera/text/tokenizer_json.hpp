// The reader of tokenizer.json files. Only tokenizer_load-inl.hpp needs it.
#pragma once
#include <algorithm>
#include <string>
#include <vector>

#include <tessera/io/json_reader-inl.hpp>  // strict reading, which compiled builds do not declare elsewhere
#include <tessera/text/make_model.hpp>

namespace tessera::text::detail {

/// Reads a tokenizer.json like io::parse_json, but takes model.vocab, an object or a list of
/// scored pieces, and model.merges straight into
/// their tables: the document of a large one would cost more than everything else.
class TokenizerJson final : public io::detail::StrictJson {
 public:
  TokenizerJson(io::Json& root, Vocabulary& vocabulary, ModelTables& tables, int depth)
      : StrictJson(root, depth), vocabulary_(vocabulary), merges_(tables.merges), pieces_(tables.pieces) {}
  bool null() override { return scalar() && StrictJson::null(); }
  bool boolean(bool v) override { return scalar() && StrictJson::boolean(v); }
  bool number_integer(std::int64_t v) override {
    return place_ == kVocab   ? entry(v)
           : place_ == kPiece ? score(static_cast<double>(v))
                              : scalar() && StrictJson::number_integer(v);
  }
  bool number_unsigned(std::uint64_t v) override {
    return place_ == kVocab   ? entry(static_cast<std::int64_t>(std::min<std::uint64_t>(v, INT64_MAX)))
           : place_ == kPiece ? score(static_cast<double>(v))
                              : scalar() && StrictJson::number_unsigned(v);
  }
  bool number_float(double v, const std::string& s) override {
    return place_ == kPiece ? score(v) : scalar() && StrictJson::number_float(v, s);
  }
  bool string(std::string& v) override {
    if (place_ == kMerges) return merges_.add_line(v), true;
    if (place_ == kPiece) {
      if (parts_++ != 0) return bad("an entry of model.vocab that is not a text and its score");
      pieces_.push_back({std::move(v), 0});
      return true;
    }
    if (place_ != kPair) return scalar() && StrictJson::string(v);
    if (parts_ == 2) return bad("a merge of more than two tokens");
    pair_[parts_++] = v;
    return true;
  }
  bool start_object(std::size_t n) override {
    if (place_ != kOutside) return bad("an object in model.vocab or model.merges");
    if (at("vocab")) {
      place_ = kVocab;
      return StrictJson::null();  // its place in the document
    }
    deeper();
    return StrictJson::start_object(n);
  }
  bool end_object() override {
    if (place_ == kVocab) return place_ = kOutside, true;
    path_.resize(static_cast<std::size_t>(--depth_));
    return StrictJson::end_object();
  }
  bool start_array(std::size_t n) override {
    if (place_ == kMerges) return place_ = kPair, parts_ = 0, true;
    if (place_ == kPieces) return place_ = kPiece, parts_ = 0, true;
    if (place_ != kOutside) return bad("a list in model.vocab or in a merge");
    if (at("merges")) {
      place_ = kMerges;
      return StrictJson::boolean(true);  // its place in the document
    }
    if (at("vocab")) {
      place_ = kPieces;
      return StrictJson::null();
    }
    deeper();
    return StrictJson::start_array(n);
  }
  bool end_array() override {
    if (place_ == kMerges || place_ == kPieces) return place_ = kOutside, true;
    if (place_ == kPiece)
      return parts_ == 2 ? (place_ = kPieces, true) : bad("an entry of model.vocab that is not a text and its score");
    if (place_ == kPair) {
      if (parts_ != 2) return bad("a merge of less than two tokens");
      merges_.add(pair_[0], pair_[1]);
      return place_ = kMerges, true;
    }
    path_.resize(static_cast<std::size_t>(--depth_));
    return StrictJson::end_array();
  }
  bool key(std::string& k) override {
    if (place_ == kVocab) {
      token_ = std::move(k);
      return true;
    }
    path_[static_cast<std::size_t>(depth_) - 1] = k;
    return StrictJson::key(k);
  }

 private:
  bool at(const char* key) const { return depth_ == 2 && path_[0] == "model" && path_[1] == key; }
  void deeper() {
    ++depth_;
    path_.resize(static_cast<std::size_t>(depth_));
  }
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
  Vocabulary& vocabulary_;
  MergeList& merges_;
  HostVector<ScoredPiece>& pieces_;
  std::vector<std::string> path_;
  int depth_ = 0;
  enum Place { kOutside, kVocab, kMerges, kPair, kPieces, kPiece } place_ = kOutside;
  std::size_t parts_ = 0;
  std::string token_, pair_[2];
};

}  // namespace tessera::text::detail
