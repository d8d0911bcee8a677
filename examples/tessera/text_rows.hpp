// Texts to embeddings, a batch at a time: what embed, index and search share.
#pragma once
#include <algorithm>
#include <cmath>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <tessera/models/text_encoder.hpp>

#include "lines.hpp"
#include "progress.hpp"
#include "signals.hpp"
#include "tool.hpp"

namespace tool {

/// One line of the input.
struct TextInput {
  long long number;  ///< from 0
  std::string name;  ///< for messages
  std::string line;  ///< as it stands
  std::string text;
};

/// Hears of each input once: of those that have a row in their order.
class TextSink {
 public:
  TextSink() = default;
  TextSink(const TextSink&) = delete;
  TextSink& operator=(const TextSink&) = delete;
  virtual ~TextSink() = default;
  /// \param values finite, as many as the embedding has.
  virtual void row(const TextInput& input, const float* values) = 0;
  virtual void skip(const TextInput& input, const std::string& why) = 0;
  /// A skip() for an embedding that is not finite.
  virtual void nonfinite(const TextInput& input) { skip(input, "its embedding holds NaN or infinity"); }
};

/// Refuses, before any work, options that this model cannot serve.
inline void check_options(tessera::Context& ctx, const tessera::models::TextEncoder& model,
                          const tessera::models::EmbedOptions& options) {
  const auto layers = model.model().transformer->config().layers;
  if (options.layers > layers)
    throw Failure{kUsage, "--layers " + std::to_string(options.layers) + ": this model has " + std::to_string(layers)};
  or_exit(kUsage, [&] {
    (void)model.dim(options);
    (void)model.tokenize(ctx, {}, options);  // the prompt's name, the length
    std::vector<tessera::text::TokenId> ids;
    model.tokenizer().encode_ids("", ids, options.max_length);  // room for the special tokens
  });
}

/// Hands inputs [first, last) of all (last < 0: to the end), or as many as there are before a signal, to run(batch), some
/// `tokens` at a time; skip(input, why) hears of those that are no texts. \param max_length tokens that a text is cut to.
template <class Skip, class Run>
void for_batches(Lines& lines, long long first, long long last, tessera::index_t tokens, tessera::index_t max_length,
                 Progress& progress, const Skip& skip, const Run& run) {
  const auto full = static_cast<std::size_t>(tokens) * 4;  // some four bytes a token
  std::vector<TextInput> batch;
  std::size_t bytes = 0;
  long long seen = 0;
  const auto flush = [&] {
    run(batch);
    batch.clear(), bytes = 0;
    progress.update(seen, last < 0 ? lines.fraction() : static_cast<double>(seen) / static_cast<double>(last - first));
  };
  TextInput input;
  std::string why;
  for (long long i = 0; (last < 0 || i < last) && !interrupted() && lines.next_raw(input.line); ++i) {
    if (i < first) continue;
    ++seen;
    input.number = i, input.name = lines.where() + " (input " + std::to_string(i) + ")";
    if (!lines.text(input.line, input.text, why)) {
      skip(input, why);
      continue;
    }
    bytes += std::min(input.text.size(), static_cast<std::size_t>(max_length) * 8) + 8;
    batch.push_back(input);
    if (bytes >= full) flush();
  }
  if (!interrupted() && !batch.empty()) flush();
  progress.clear();
}

inline std::vector<std::string_view> texts_of(const std::vector<TextInput>& batch) {
  std::vector<std::string_view> texts;
  for (const TextInput& input : batch) texts.push_back(input.text);
  return texts;
}
inline bool all_finite(const float* row, tessera::index_t n) {
  return std::all_of(row, row + n, [](float v) { return std::isfinite(v); });
}

/// Embeds these inputs.
inline void embed_lines(tessera::Context& ctx, const tessera::models::TextEncoder& model,
                        const tessera::models::EmbedOptions& options, Lines& lines, long long first, long long last,
                        Progress& progress, TextSink& sink) {
  using namespace tessera;
  const index_t dim = model.dim(options);
  const auto skip = [&](const TextInput& input, const std::string& why) { sink.skip(input, why); };
  for_batches(lines, first, last, options.batch_tokens, model.max_length(), progress, skip, [&](const auto& batch) {
    const auto n = static_cast<index_t>(batch.size());
    std::vector<float> rows(static_cast<std::size_t>(n * dim));
    model.embed_tokens(ctx, model.tokenize(ctx, texts_of(batch), options), options, View<float, 2>(rows.data(), n, dim));
    const float* row = rows.data();
    for (const TextInput& input : batch) {
      if (all_finite(row, dim))
        sink.row(input, row);
      else
        sink.nonfinite(input);
      row += dim;
    }
  });
}

}  // namespace tool
