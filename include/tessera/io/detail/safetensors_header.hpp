// The header of a safetensors file: read in one pass that keeps only what tensors need, then judged in the reference's
// order. Memory stays below 8 bytes per byte of header (and a few dozen MB), whatever the header claims.
#pragma once
#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <tessera/core/view.hpp>
#include <tessera/io/detail/json_events.hpp>

namespace tessera::io::detail {

/// One tensor as the header states it.
struct HeaderTensor {
  std::uint64_t begin = 0, end = 0;
  std::uint64_t size = 1;        ///< product of the extents
  std::size_t first_extent = 0;  ///< of min(rank, kMaxRank) in HeaderReader::extents
  std::uint32_t rank = 0;
  DType dtype = DType::f32;
  bool overflows = false;  ///< the product, taken from the left; [0, 2^63, 2^63] does not

  /// Size in bits, or false.
  bool bits(std::uint64_t& n) const noexcept {
    return !overflows && !__builtin_mul_overflow(size, static_cast<std::uint64_t>(bit_width(dtype)), &n);
  }
  bool misaligned() const noexcept {
    std::uint64_t n = 0;
    return bits(n) && n % 8 != 0;
  }
};

/// Events of the JSON reader in, tensors out.
class HeaderReader final : public JsonEvents {
 public:
  /// \param metadata filled with __metadata__ when given; else that is only checked.
  explicit HeaderReader(std::map<std::string, std::string>* metadata = nullptr) : metadata_(metadata) {}

  std::deque<std::string> names;     // deques: they grow without copying
  std::deque<HeaderTensor> tensors;  // beside names
  std::deque<std::uint64_t> extents;

  bool null() override { return scalar(Kind::null, 0, nullptr); }
  bool boolean(bool) override { return scalar(Kind::other, 0, nullptr); }
  bool number_integer(std::int64_t) override {
    return scalar(Kind::other, 0, nullptr);
  }  // has a minus sign: no size, not even -0
  bool number_float(double, const std::string&) override { return scalar(Kind::other, 0, nullptr); }
  bool number_unsigned(std::uint64_t v) override { return scalar(Kind::natural, v, nullptr); }
  bool string(std::string& s) override { return scalar(Kind::string, 0, &s); }

  bool start_object(std::size_t) override {
    if (!deeper()) return false;
    switch (place_) {
      case Place::outside: place_ = Place::top; return true;
      case Place::top:
        if (!in_metadata_) begin_tensor(Place::fields);
        place_ = in_metadata_ ? Place::metadata : Place::fields;
        return true;
      case Place::in_order:
        if (!next_field()) return false;
        [[fallthrough]];
      case Place::fields:
        if (field_ == kDtype) return place_before_ = place_, place_ = Place::dtype, variants_ = 0, true;
        return ignore();
      case Place::ignored: return true;
      default: return bad_value();
    }
  }
  bool start_array(std::size_t) override {
    if (!deeper()) return false;
    switch (place_) {
      case Place::top:
        if (in_metadata_) return bad("__metadata__ is not an object");
        begin_tensor(Place::in_order);
        place_ = Place::in_order;
        return true;
      case Place::in_order:
        if (!next_field()) return false;
        [[fallthrough]];
      case Place::fields:
        if (field_ == kShape || field_ == kOffsets) {
          place_before_ = place_;
          place_ = field_ == kShape ? Place::shape : Place::offsets;
          return true;
        }
        return ignore();
      case Place::ignored: return true;
      case Place::outside: return bad("the header is not an object");
      default: return bad_value();
    }
  }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }

  bool key(std::string& k) override {
    switch (place_) {
      case Place::top:
        in_metadata_ = k == "__metadata__";
        if (in_metadata_ && had_metadata_) return bad("__metadata__ stands twice");
        if (in_metadata_)
          had_metadata_ = true;
        else
          names.emplace_back(k);  // a copy, since the lexer's buffer is larger than the name
        return true;
      case Place::fields:
        field_ = k == "dtype" ? kDtype : k == "shape" ? kShape : k == "data_offsets" ? kOffsets : kOther;
        if (field_ != kOther && (seen_ & 1u << field_)) return bad("a field of tensor '" + name() + "' stands twice");
        seen_ |= 1u << field_;
        return true;
      case Place::dtype: return ++variants_ == 1 ? set_dtype(k) : bad_value();
      case Place::metadata:
        if (metadata_) key_ = k;
        return true;
      default: return true;
    }
  }

 private:
  enum class Kind : unsigned char { null, other, natural, string };
  // fields: a tensor as an object. in_order: as the array [dtype, shape, data_offsets], which the reference takes as well.
  // dtype: the type as {"F32": null}, which it takes too.
  enum class Place : unsigned char { outside, top, metadata, fields, in_order, dtype, shape, offsets, ignored };
  enum Field : unsigned char { kDtype, kShape, kOffsets, kOther };

  bool bad_value() {
    if (in_metadata_) return bad("__metadata__ holds something that is not a string");
    switch (field_) {
      case kDtype: return bad("tensor '" + name() + "' has a dtype that is not a name");
      case kShape: return bad("the shape of tensor '" + name() + "' is not a list of natural numbers");
      default: return bad("data_offsets of tensor '" + name() + "' are not two natural numbers");
    }
  }
  std::string name() const { return printable(names.back()); }

  bool deeper() {
    constexpr int kDeepest = 127;  // the reference parser's recursion limit
    return ++depth_ <= kDeepest || bad("the header is nested too deep");
  }
  bool ignore() {
    if (field_ != kOther) return bad_value();
    place_before_ = place_, place_ = Place::ignored, ignored_from_ = depth_;
    return true;
  }
  bool close() {
    --depth_;
    switch (place_) {
      case Place::ignored:
        if (depth_ < ignored_from_) place_ = place_before_;
        return true;
      case Place::dtype: place_ = place_before_; return variants_ == 1 || bad_value();
      case Place::shape: return place_ = place_before_, true;
      case Place::offsets: return place_ = place_before_, count_ == 2 || bad_value();
      case Place::fields:
      case Place::in_order:
        place_ = Place::top;
        return (seen_ & 7u) == 7u || bad("tensor '" + name() + "' lacks dtype, shape or data_offsets");
      case Place::metadata: return place_ = Place::top, true;
      default: return place_ = Place::outside, true;
    }
  }

  void begin_tensor(Place place) {
    tensors.emplace_back().first_extent = extents.size();
    seen_ = 0, count_ = 0, position_ = 0;
    field_ = place == Place::in_order ? kDtype : kOther;
  }
  /// The field that the next value of an array stands for.
  bool next_field() {
    if (position_ == kOther) return bad("tensor '" + name() + "' has more than dtype, shape and data_offsets");
    field_ = static_cast<Field>(position_++);
    seen_ |= 1u << field_;
    return true;
  }
  bool scalar(Kind kind, std::uint64_t value, const std::string* text) {
    switch (place_) {
      case Place::outside: return bad("the header is not an object");
      case Place::top:
        if (in_metadata_) return kind == Kind::null || bad("__metadata__ is not an object");
        return bad("tensor '" + name() + "' is not an object");
      case Place::metadata:
        if (kind != Kind::string) return bad_value();
        if (metadata_) (*metadata_)[key_] = *text;
        return true;
      case Place::in_order:
        if (!next_field()) return false;
        [[fallthrough]];
      case Place::fields:
        if (field_ == kDtype && kind == Kind::string) return set_dtype(*text);
        return field_ == kOther || bad_value();
      case Place::dtype: return kind == Kind::null || bad_value();
      case Place::shape: return kind == Kind::natural ? add_extent(value) : bad_value();
      case Place::offsets:
        if (kind != Kind::natural || count_ == 2) return bad_value();
        (count_++ == 0 ? tensors.back().begin : tensors.back().end) = value;
        return true;
      case Place::ignored: return true;
    }
    return false;
  }
  bool set_dtype(std::string_view text) {
    for (int i = 0; i < kDTypeCount; ++i)
      if (text == dtype_name(static_cast<DType>(i))) return tensors.back().dtype = static_cast<DType>(i), true;
    return bad("tensor '" + name() + "' has the unknown dtype '" + printable(text) + "'");
  }
  bool add_extent(std::uint64_t n) {
    HeaderTensor& t = tensors.back();
    if (t.rank++ < static_cast<std::uint32_t>(AnyView::kMaxRank)) extents.push_back(n);
    t.overflows = t.overflows || __builtin_mul_overflow(t.size, n, &t.size);
    return true;
  }

  std::map<std::string, std::string>* metadata_;
  std::string key_;
  int depth_ = 0, ignored_from_ = 0, count_ = 0, position_ = 0, variants_ = 0;
  unsigned seen_ = 0;
  Place place_ = Place::outside, place_before_ = Place::outside;
  Field field_ = kOther;
  bool in_metadata_ = false, had_metadata_ = false;
};

inline bool valid_utf8(std::string_view s) noexcept {
  for (std::size_t i = 0; i < s.size();) {
    const auto at = [&](std::size_t k) { return i + k < s.size() ? static_cast<unsigned char>(s[i + k]) : 0u; };
    const unsigned c = at(0), d = at(1);
    if (c < 0x80) {
      ++i;
      continue;
    }
    const std::size_t n = c >= 0xc2 && c <= 0xdf ? 2 : c >= 0xe0 && c <= 0xef ? 3 : c >= 0xf0 && c <= 0xf4 ? 4 : 0;
    if (n == 0) return false;
    for (std::size_t k = 1; k < n; ++k)
      if ((at(k) & 0xc0u) != 0x80) return false;
    if ((c == 0xe0 && d < 0xa0) || (c == 0xed && d > 0x9f) || (c == 0xf0 && d < 0x90) || (c == 0xf4 && d > 0x8f))
      return false;
    i += n;
  }
  return true;
}

}  // namespace tessera::io::detail
