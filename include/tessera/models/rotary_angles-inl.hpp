#pragma once
#include <algorithm>
#include <string>

#include <tessera/core/error.hpp>
#include <tessera/core/fp_mode.hpp>
#include <tessera/models/rotary_angles.hpp>

namespace tessera::models {

inline RotaryTables::RotaryTables(const std::vector<const RotaryAngles*>& kinds, const RaggedBatch& batch,
                                  View<const std::int32_t, 1> places) {
  if (std::all_of(kinds.begin(), kinds.end(), [](const RotaryAngles* a) { return a->frequencies.empty(); })) return;
  const FpModeScope mode;
  // A row for each place, and for each way in which a sequence is long: bit k where it is so for kind k.
  constexpr std::int64_t kPlaces = std::int64_t{1} << 32;
  std::vector<std::int64_t> keys(static_cast<std::size_t>(places.extent[0]));
  for (index_t b = 0; b < batch.sequences(); ++b) {
    const index_t t0 = batch.begin(b), t1 = batch.begin(b + 1);
    index_t count = 0;
    for (index_t t = t0; t < t1; ++t) count = std::max(count, index_t{places(t)} + 1);
    std::int64_t beyond = 0;
    for (std::size_t k = 0; k < kinds.size(); ++k) {
      if (kinds[k]->most_places == 0 || count <= kinds[k]->most_places) continue;
      if (kinds[k]->long_frequencies.empty())
        throw Error(Code::kUnsupported, {"transformer: a sequence of ", std::to_string(count),
                                         " places; rotary angles that grow "
                                         "with it are not supported, which this model has beyond ",
                                         std::to_string(kinds[k]->most_places)});
      beyond |= std::int64_t{1} << k;
    }
    for (index_t t = t0; t < t1; ++t)
      keys[static_cast<std::size_t>(t)] = beyond * kPlaces + (std::int64_t{places(t)} - INT32_MIN);
  }
  std::vector<std::int64_t> occurring = keys;
  std::sort(occurring.begin(), occurring.end());
  occurring.erase(std::unique(occurring.begin(), occurring.end()), occurring.end());
  for (const std::int64_t key : keys)
    rows_.push_back(
        static_cast<std::int32_t>(std::lower_bound(occurring.begin(), occurring.end(), key) - occurring.begin()));

  const auto rows = static_cast<index_t>(occurring.size());
  std::vector<float> coordinates;
  coordinates.reserve(occurring.size());
  for (const std::int64_t key : occurring) coordinates.push_back(static_cast<float>(key % kPlaces + INT32_MIN));
  const View<const float, 2> all(coordinates.data(), rows, 1);
  for (std::size_t k = 0; k < kinds.size(); ++k) {
    Table& table = tables_.emplace_back();
    table.rows = rows, table.half = static_cast<index_t>(kinds[k]->frequencies.size());
    table.cos.resize(static_cast<std::size_t>(rows * table.half)), table.sin.resize(table.cos.size());
    const View<float, 2> cos(table.cos.data(), rows, table.half), sin(table.sin.data(), rows, table.half);
    const auto beyond = [&](index_t r) { return (occurring[static_cast<std::size_t>(r)] / kPlaces >> k & 1) != 0; };
    for (index_t r = 0, end = 0; r < rows && table.half > 0; r = end) {  // rows of one kind of sequences together
      while (end < rows && beyond(end) == beyond(r)) ++end;
      const std::vector<float>& f = beyond(r) ? kinds[k]->long_frequencies : kinds[k]->frequencies;
      ops::rotary_tables(all.slice(r, end), {}, View<const float, 1>(f.data(), static_cast<index_t>(f.size())),
                         cos.slice(r, end), sin.slice(r, end));
    }
    for (float& x : table.cos) x *= kinds[k]->scale;
    for (float& x : table.sin) x *= kinds[k]->scale;
  }
}

}  // namespace tessera::models
