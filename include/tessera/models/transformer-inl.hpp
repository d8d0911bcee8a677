#pragma once
#include <algorithm>
#include <optional>

#include <tessera/models/token_groups.hpp>
#include <tessera/models/transformer.hpp>
#include <tessera/ops/distance_bias.hpp>
#include <tessera/ops/embed-inl.hpp>  // its check, which compiled builds do not declare elsewhere
#include <tessera/ops/neighbor_rows.hpp>
#include <tessera/ops/position_rows.hpp>

namespace tessera::models {

inline void default_positions(const TransformerConfig& config, View<const std::int32_t, 1> ids, std::int32_t* positions) {
  auto next = static_cast<std::int32_t>(config.first_position);
  for (index_t t = 0; t < ids.extent[0]; ++t) {
    const bool counted = config.uncounted_token < 0 || !ids.data || ids(t) != config.uncounted_token;
    positions[t] = counted ? next++ : static_cast<std::int32_t>(config.first_position - 1);
  }
}

inline std::size_t Transformer::bytes() const noexcept {
  std::size_t n = 0;
  for (const auto& v : vectors_) n += v.size() * sizeof(float);
  for_matrices([&](index_t, const char*, const PackedWeight& w) { n += w.bytes(); });
  if (config_.embedding_width > 0) n += embedding_projection_.weight.bytes();
  if (config_.convolution > 0) n += convolution_.weight.bytes();
  return n;
}

// What a group needs beside its output rows: offsets and positions of its own, and the larger half.
inline std::size_t Transformer::scratch(Context& ctx, index_t tokens, index_t max_length, bool merging) const {
  Arena a = Arena::counting();
  a.carve<index_t>(tokens + 2);
  a.carve<std::int32_t>(tokens);
  if (config_.embedding_width > 0) {
    a.carve2<float>(tokens, config_.embedding_width);
    const ArenaScope product(a);
    (void)a.carve<char>(static_cast<index_t>(
        ops::linear_scratch(ctx, tokens, config_.embedding_width, embedding_projection_.weight.dtype())));
  }
  if (config_.convolution > 0) {
    const index_t c = config_.block.channels, k = c * config_.convolution;
    a.carve2<float>(tokens, c);
    const ArenaScope product(a);
    a.carve2<float>(tokens, k);
    (void)a.carve<char>(static_cast<index_t>(ops::linear_scratch(ctx, tokens, k, convolution_.weight.dtype())));
  }
  if (merging) (void)detail::MergingGroup(a, config_.block, tokens);
  std::size_t largest = 0;
  for (const DType type : {DType::f32, DType::bf16, DType::i8}) {
    bool held = false;
    for_matrices([&](index_t, const char*, const PackedWeight& w) { held = held || w.dtype() == type; });
    if (held) largest = std::max(largest, ops::block_scratch(ctx, config_.block, tokens, max_length, type));
  }
  return a.peak() + largest;
}

inline void Transformer::forward(Context& ctx, const TokenInputs& in, View<float, 2> out, const ForwardOptions& o) const {
  run(ctx, {in, out, o, nullptr, {}, {}, {}, {}});
}

inline MergedTokens Transformer::forward_merged(Context& ctx, const TokenInputs& in, View<float, 2> out,
                                                const TokenMerging& merging, const ForwardOptions& o) const {
  const auto& a = config_.block.attention;
  const bool windows = std::any_of(config_.kinds.begin(), config_.kinds.end(),
                                   [](const LayerKind& k) { return k.window_left >= 0 || k.window_right >= 0; });
  if (a.causal || a.window_left >= 0 || a.window_right >= 0 || windows || config_.relative_buckets > 0 || config_.alibi ||
      config_.block.position_rows > 0 || config_.convolution > 0)
    throw Error(
        Code::kUnsupported,
        "token merging: causal and windowed attention, biases by distance and convolutions need the places of all tokens");
  if (config_.output_width > 0) throw Error(Code::kUnsupported, "token merging: not before a projection of the last layer");
  in.batch.check();
  const index_t sequences = in.batch.sequences(), c = config_.block.channels;
  const auto tokens = static_cast<std::size_t>(in.batch.tokens());
  MergedTokens result;
  result.groups.resize(tokens), result.sizes.resize(tokens);
  if (merging.keep_layers)
    result.layers.assign(static_cast<std::size_t>(o.layers < 0 ? config_.layers : std::min(o.layers, config_.layers)),
                         std::vector<std::int32_t>(tokens));
  const std::vector<index_t> none(static_cast<std::size_t>(sequences));
  Merge merge{merging, result, none, none, &detail::MergingGroup::step};
  run(ctx, {in, out, o, &merge, {}, {}, {}, {}});
  // Every group of sequences has left its rows where its tokens began.
  result.cu_seqlens.assign(1, 0);
  for (index_t b = 0; b < sequences; ++b) {
    const index_t length = merge.lengths[static_cast<std::size_t>(b)], to = result.cu_seqlens.back();
    const index_t from = merge.begins[static_cast<std::size_t>(b)];
    std::copy_n(out.data + from * c, length * c, out.data + to * c);
    std::copy_n(result.sizes.begin() + from, length, result.sizes.begin() + to);
    result.cu_seqlens.push_back(to + length);
  }
  result.sizes.resize(static_cast<std::size_t>(result.cu_seqlens.back()));
  return result;
}

namespace detail {

// How far apart tokens of a sequence stand at most.
inline index_t farthest_places(const RaggedBatch& batch) {
  index_t farthest = 0;
  for (index_t b = 0; b < batch.sequences(); ++b) {
    index_t most = batch.length(b) - 1;
    if (batch.columns.data && most > 0)
      most = index_t{batch.columns(batch.begin(b + 1) - 1)} - batch.columns(batch.begin(b));
    farthest = std::max(farthest, most);
  }
  if (farthest > index_t{1} << 24)
    throw Error(Code::kLimit, {"transformer: tokens ", std::to_string(farthest), " places apart; at most 2^24"});
  return farthest;
}

}  // namespace detail

// For all distances in a batch, none where the stack has no such bias.
inline std::vector<float> Transformer::distance_bias(const RaggedBatch& batch) const {
  if (config_.relative_buckets == 0 && !config_.alibi) return {};
  const index_t farthest = detail::farthest_places(batch);
  std::vector<float> bias(static_cast<std::size_t>(config_.block.heads * (2 * farthest + 1)));
  const View<float, 2> out(bias.data(), config_.block.heads, 2 * farthest + 1);
  if (config_.alibi)
    ops::alibi_distance_bias(out);
  else
    ops::relative_distance_bias(relative_bias_, config_.relative_max_distance, out);
  return bias;
}

// The same of rows in tables of places.
inline std::vector<std::int32_t> Transformer::position_row_of(const RaggedBatch& batch) const {
  if (config_.block.position_rows == 0) return {};
  const index_t farthest = detail::farthest_places(batch);
  std::vector<std::int32_t> rows(static_cast<std::size_t>(2 * farthest + 1));
  ops::position_rows(config_.block.position_rows, config_.position_log_distance,
                     View<std::int32_t, 1>(rows.data(), 2 * farthest + 1));
  return rows;
}

// Of all tokens, as given or by default.
inline std::vector<std::int32_t> Transformer::positions(const TokenInputs& in) const {
  const index_t tokens = in.batch.tokens();
  std::vector<std::int32_t> positions(static_cast<std::size_t>(tokens));
  const auto given = in.batch.positions.data ? in.batch.positions[0] : View<const std::int32_t, 1>();
  for (index_t t = 0; given.data && t < tokens; ++t) positions[static_cast<std::size_t>(t)] = given(t);
  for (index_t b = 0; !given.data && b < in.batch.sequences(); ++b)
    default_positions(config_,
                      in.embed ? View<const std::int32_t, 1>(nullptr, in.batch.length(b))
                               : in.ids.slice(in.batch.begin(b), in.batch.begin(b + 1)),
                      positions.data() + in.batch.begin(b));
  return positions;
}

inline void Transformer::run(Context& ctx, Pass pass) const {
  const TokenInputs& in = pass.in;
  const View<float, 2> out = pass.out;
  in.batch.check();
  const index_t tokens = in.batch.tokens(), sequences = in.batch.sequences();
  const int lanes = ctx.threads();
  if ((!in.embed && in.ids.extent[0] != tokens) || out.extent[0] != tokens || out.extent[1] != width() || !out.packed())
    throw Error(Code::kShapeMismatch, "transformer: ids must be [tokens] and out a packed [tokens, width]");
  if (tokens == 0) return;
  if (!in.embed && tables_.word.data)  // here, since a group's own check counts tokens from its own first
    ops::detail::check_indices("ids", in.ids, tokens, tables_.word.extent[0]);
  pass.distance_bias = distance_bias(in.batch), pass.position_row_of = position_row_of(in.batch);
  pass.positions = positions(in);
  std::vector<const RotaryAngles*> angles;
  for (const LayerKind& kind : config_.kinds) angles.push_back(&kind.rotary);
  pass.rotary = RotaryTables(angles, in.batch, View<const std::int32_t, 1>(pass.positions.data(), tokens));
  // Groups of whole sequences go through the whole stack on one thread each, without a barrier, their activations in that
  // core's cache. Where the groups would leave a thread waiting, all threads share each operation instead. Same bits.
  const bool watched = pass.options.taps || pass.options.attention.run || pass.options.between;
  if (watched || tokens < 96 * lanes) return run_group(ctx, pass, 0, sequences);
  index_t busiest = 0;
  const std::vector<detail::SequenceGroup> groups = detail::balanced_groups(in.batch, lanes, busiest);
  if (busiest * lanes > tokens + tokens / 16) return run_group(ctx, pass, 0, sequences);
  const auto group = [&](index_t i, int lane) {
    const detail::SequenceGroup& g = groups[static_cast<std::size_t>(i)];
    run_group(lanes > 1 ? ctx.lane(lane) : ctx, pass, g.begin, g.end);
  };
  const auto made = static_cast<index_t>(groups.size());
  if (lanes == 1) {
    for (index_t i = 0; i < made; ++i) group(i, 0);
    return;
  }
  for (int lane = 0; lane < lanes; ++lane) (void)ctx.lane(lane);  // made here: tasks must not
  ctx.parallel_for(made, group);
}

inline void Transformer::run_group(Context& ctx, const Pass& pass, index_t b0, index_t b1) const {
  const auto& [in, out, o, merge, bias, all_positions, rotary, row_of] = pass;
  const index_t t0 = in.batch.begin(b0), tokens = in.batch.begin(b1) - t0, sequences = b1 - b0;
  RaggedBatch batch;
  index_t longest = 0;
  for (index_t b = b0; b < b1; ++b) longest = in.batch.length(b) > longest ? in.batch.length(b) : longest;
  const View<float, 2> last = out.slice(t0, t0 + tokens);
  std::vector<float> wider;
  if (config_.output_width > 0) wider.resize(static_cast<std::size_t>(tokens * config_.block.channels));
  View<float, 2> x = wider.empty() ? last : View<float, 2>(wider.data(), tokens, config_.block.channels);
  if (in.embed) in.embed(ctx, b0, b1, x);
  Arena& arena = ctx.arena();
  arena.reserve(scratch(ctx, tokens + sequences, longest + o.attention.more_keys, merge != nullptr));
  const ArenaScope scope(arena);
  index_t* cu = arena.carve<index_t>(sequences + 1);
  std::int32_t* positions = arena.carve<std::int32_t>(tokens);
  for (index_t b = b0; b <= b1; ++b) cu[b - b0] = in.batch.begin(b) - t0;
  batch.cu_seqlens = View<const index_t, 1>(cu, sequences + 1);
  std::copy_n(all_positions.begin() + t0, tokens, positions);
  batch.positions = View<const std::int32_t, 2>(positions, 1, tokens);
  if (in.batch.columns.data) batch.columns = in.batch.columns.slice(t0, t0 + tokens);
  if (in.batch.segment_ids.data) batch.segment_ids = in.batch.segment_ids.slice(t0, t0 + tokens);
  if (in.batch.key_weights.data) batch.key_weights = in.batch.key_weights.slice(t0, t0 + tokens);

  const bool projects = config_.embedding_width > 0 && !in.embed;
  const View<float, 2> embedded = projects ? arena.carve2<float>(tokens, config_.embedding_width) : x;
  ops::EmbeddingTables tables = tables_;
  View<const float, 2> behind;  // the projection: rows of places
  if (projects && !config_.positions_projected && tables_.position.data) {
    ops::embed(ctx, {.word = tables_.position}, batch.positions[0], {}, {}, x);
    tables.position = {}, behind = x;
  }
  if (!in.embed) ops::embed(ctx, tables, in.ids.slice(t0, t0 + tokens), batch.positions[0], batch.segment_ids, embedded);
  if (config_.embedding_norm) ops::block_norm(ctx, config_.block, embedding_norm_, embedded, embedded);
  if (projects)
    ops::linear(ctx, embedded, embedding_projection_.weight, {.bias = embedding_projection_.bias, .residual = behind}, x);
  ops::tap(o.taps, -1, "embeddings", x);
  View<float, 2> convolved;
  if (config_.convolution > 0) {
    convolved = arena.carve2<float>(tokens, config_.block.channels);
    std::copy_n(x.data, x.size(), convolved.data);
  }
  // From here on positions are for turning alone.
  if (!rotary.empty()) std::copy_n(rotary.rows().begin() + t0, tokens, positions);
  const index_t layers = o.layers < 0 || o.layers > config_.layers ? config_.layers : o.layers;
  std::optional<detail::MergingGroup> merger;
  if (merge) {
    merger.emplace(arena, config_.block, tokens);
    merger->begin(merge->merging, config_.block, layers, batch, merge->result, t0);
  }
  View<const float, 2> distances;
  if (!bias.empty())
    distances =
        View<const float, 2>(bias.data(), config_.block.heads, static_cast<index_t>(bias.size()) / config_.block.heads);
  for (index_t layer = 0; layer < layers; ++layer) {
    const ops::BlockWeights& w = blocks_[static_cast<std::size_t>(layer)];
    ops::BlockConfig block = config_.block;
    ops::BlockOptions options{o.taps, layer, o.attention, distances, {}, in.rotary, {}};
    if (w.position_keys.data || w.position_queries.data)
      options.position_row_of = View<const std::int32_t, 1>(row_of.data(), static_cast<index_t>(row_of.size()));
    if (const LayerKind* kind = kind_of(layer)) {
      block.attention.window_left = kind->window_left, block.attention.window_right = kind->window_right;
      if (!rotary.empty()) options.rotary = rotary.of(static_cast<std::size_t>(kind - config_.kinds.data()));
    }
    if (merger) options.qkv = merger->qkv(x.extent[0]);
    ops::attention_half(ctx, block, w, batch, x, options);
    if (o.between) o.between(o.between_state, ctx, layer, batch, x);
    if (merger) x = ((*merger).*merge->step)(ctx, layer, batch, cu, positions, x);
    ops::mlp_half(ctx, block, w, batch, x, options);
    if (layer == 0 && convolved.data) convolve(ctx, convolved, batch, x);
    ops::tap(o.taps, layer, "output", x);
  }
  if (config_.final_norm) ops::block_norm(ctx, config_.block, final_norm_, x, x);
  if (config_.output_width > 0) ops::linear(ctx, x, output_projection_.weight, {}, last);
  ops::tap(o.taps, -1, "last_hidden_state", config_.output_width > 0 ? last : x);
  if (!merger) return;
  merger->end(x.extent[0]);
  if (x.data != out.data + t0 * out.extent[1]) std::copy_n(x.data, x.size(), out.data + t0 * out.extent[1]);
  for (index_t b = 0; b < sequences; ++b) {
    merge->begins[static_cast<std::size_t>(b0 + b)] = t0 + cu[b];
    merge->lengths[static_cast<std::size_t>(b0 + b)] = cu[b + 1] - cu[b];
  }
}

inline void Transformer::convolve(Context& ctx, View<const float, 2> embedded, const RaggedBatch& batch,
                                  View<float, 2> x) const {
  Arena& arena = ctx.arena();
  const ArenaScope scope(arena);
  const View<float, 2> rows = arena.carve2<float>(x.extent[0], x.extent[1] * config_.convolution);
  ops::neighbor_rows(ctx, embedded, batch, config_.convolution, rows);
  ops::linear(ctx, rows, convolution_.weight, {.bias = convolution_.bias, .act = config_.convolution_act, .residual = x}, x);
  ops::block_norm(ctx, config_.block, convolution_norm_, x, x);
}

}  // namespace tessera::models
