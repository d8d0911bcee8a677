#pragma once
#include <bit>
#include <cmath>
#include <cstdint>
#include <optional>

#include <tessera/core/error.hpp>
#include <tessera/text/sentencepiece_model.hpp>
#include <tessera/text/unicode.hpp>

namespace tessera::text {

namespace detail {

/// The fields of one message of Protocol Buffers, in the order of the file.
/// Source: protobuf.dev, "Encoding"; groups, which nobody writes any more, are refused.
class ProtoFields {
 public:
  /// \param at the message's place in the file, for errors.
  ProtoFields(std::string_view message, std::size_t at) : rest_(message), at_(at) {}
  /// Goes to the next field; false at the end.
  bool next() {
    if (rest_.empty()) return false;
    const std::uint64_t tag = varint();
    number_ = tag >> 3, kind_ = static_cast<unsigned>(tag & 7);
    if (number_ == 0) throw bad("a field without a number");
    switch (kind_) {
      case kVarint: value_ = varint(); break;
      case kFixed64: value_ = fixed(8); break;
      case kFixed32: value_ = fixed(4); break;
      case kBytes: {
        const std::uint64_t size = varint();
        bytes_at_ = at_, bytes_ = take(size);
        break;
      }
      default: throw bad("a field of unknown kind");
    }
    return true;
  }
  bool is(std::uint64_t number, unsigned kind) const noexcept { return number_ == number && kind_ == kind; }
  std::string_view bytes() const noexcept { return bytes_; }
  ProtoFields message() const noexcept { return {bytes_, bytes_at_}; }
  std::uint64_t value() const noexcept { return value_; }
  float number() const noexcept { return std::bit_cast<float>(static_cast<std::uint32_t>(value_)); }
  /// The text of a field that has to be UTF-8.
  std::string text() const {
    std::size_t wrong = 0;
    if (unicode::valid_prefix(bytes_, 0, wrong) != bytes_.size()) throw bad("a text that is not UTF-8");
    return std::string(bytes_);
  }
  Error bad(const char* what) const {
    return Error(Code::kFormat, {"not a sentencepiece model: ", what, " before byte ", std::to_string(at_)});
  }

  static constexpr unsigned kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5;

 private:
  std::string_view take(std::uint64_t size) {
    if (size > rest_.size()) throw bad("a field that ends beyond its message");
    const std::string_view out = rest_.substr(0, static_cast<std::size_t>(size));
    rest_.remove_prefix(out.size()), at_ += out.size();
    return out;
  }
  std::uint64_t fixed(std::size_t size) {
    std::uint64_t v = 0;
    const std::string_view bytes = take(size);
    for (std::size_t i = 0; i < size; ++i) v |= std::uint64_t{static_cast<unsigned char>(bytes[i])} << (8 * i);
    return v;
  }
  std::uint64_t varint() {
    std::uint64_t v = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      const auto byte = static_cast<unsigned char>(take(1)[0]);
      v |= std::uint64_t{byte & 0x7fu} << shift;
      if (byte < 0x80) return v;
    }
    throw bad("a number of more than 64 bits");
  }

  std::string_view rest_, bytes_;
  std::size_t at_, bytes_at_ = 0;
  std::uint64_t number_ = 0, value_ = 0;
  unsigned kind_ = 0;
};

}  // namespace detail

inline SentencePieceModel SentencePieceModel::parse(std::string_view bytes) {
  using Fields = detail::ProtoFields;
  enum : std::uint64_t { kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4 };
  SentencePieceModel model;
  std::optional<std::size_t> unknown;
  const auto read_piece = [&](Fields f) {
    ScoredPiece piece{"", 0};
    std::uint64_t type = kNormal;
    while (f.next()) {
      if (f.is(1, Fields::kBytes)) piece.text = f.text();
      if (f.is(2, Fields::kFixed32)) piece.score = static_cast<double>(f.number());
      if (f.is(3, Fields::kVarint)) type = f.value();
    }
    if (piece.text.empty()) throw f.bad("a piece without a text");
    if (!std::isfinite(piece.score)) throw f.bad("a score that is not a number");
    const std::size_t place = model.pieces.size();
    if (type == kUnknown && std::exchange(unknown, place)) throw f.bad("a second piece for what is unknown");
    if (type == kControl) model.control.push_back(place);
    if (type == kUserDefined) model.user_defined.push_back(place);
    model.pieces.push_back(std::move(piece));
  };
  Fields file(bytes, 0);
  while (file.next()) {
    if (file.is(1, Fields::kBytes)) read_piece(file.message());
    if (file.is(2, Fields::kBytes))  // how it was trained
      for (Fields f = file.message(); f.next();) {
        if (f.is(3, Fields::kVarint)) model.unigram = f.value() == 1;
        if (f.is(35, Fields::kVarint)) model.byte_fallback = f.value() != 0;
      }
    if (file.is(3, Fields::kBytes))
      for (Fields f = file.message(); f.next();)
        if (f.is(2, Fields::kBytes)) model.charsmap = f.bytes();
  }
  if (!unknown) throw file.bad("no piece for what is unknown");
  model.unk = *unknown;
  return model;
}

}  // namespace tessera::text
