// tessera embed --sparse, --multi-vector, --layers A,B,...
#include "embed_heads.hpp"

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "embed_output.hpp"
#include "json_line.hpp"
#include "lines.hpp"
#include "progress.hpp"
#include "signals.hpp"
#include "text_rows.hpp"

namespace tool {

namespace {

using namespace tessera;

/// A file of lines that grows, and its map.
class LinesOutput {
 public:
  explicit LinesOutput(const std::string& path)
      : path_(path), map_(path, 0), file_(or_exit(kOutput, [&] { return std::make_unique<io::AtomicFile>(path); })) {}
  void row(std::string line) {
    line += '\n';
    or_exit(kOutput, [&] { file_->write(line.data(), line.size()); });
    ++rows_;
  }
  void skip(const TextInput& input, const std::string& why) { map_.skip(input.number, input.name, why); }
  bool any_skipped() const { return !map_.skipped().empty(); }
  /// \returns the exit code.
  int finish(bool nonfinite) {
    std::error_code error;
    if (interrupted() && rows_ == 0 && std::filesystem::exists(path_, error)) {
      say("stopped by a signal before the first row; " + path_ + " is as it was");
      return signal_exit();
    }
    or_exit(kOutput, [&] { map_.commit(rows_, [&] { file_->commit(); }); });
    if (!interrupted()) return outcome(any_skipped(), nonfinite);
    say("stopped by a signal; " + path_ + " holds the rows that were done: " + std::to_string(rows_));
    return signal_exit();
  }

 private:
  std::string path_;
  RowMap map_;
  std::unique_ptr<io::AtomicFile> file_;
  long long rows_ = 0;
};

/// Refuses, before any work, a prompt, a length or layers that the model has not.
template <class Tokenize>
void check_texts(const models::TextBackbone& base, index_t max_length, const Tokenize& tokenize) {
  or_exit(kUsage, [&] {
    tokenize();
    std::vector<text::TokenId> ids;
    base.tokenizer->encode_ids("", ids, max_length);  // room for the special tokens
  });
}

constexpr const char* kNotFinite = "its embedding holds NaN or infinity";

}  // namespace

int embed_sparse(Context& ctx, const HeadJob& job, index_t top) {
  Lines lines(job.text, job.jsonl);
  const auto model = job.run.load(
      ctx, [&](const models::LoadOptions& load) { return models::SparseEncoder::load(ctx, job.run.model, load); });
  models::SparseOptions options{job.embed.prompt, job.embed.prompt_name, job.embed.max_length, top, job.embed.batch_tokens};
  check_texts(model.base(), options.max_length, [&] { (void)model.tokenize(ctx, {}, options); });
  LinesOutput out(job.out);
  Progress progress("texts");
  bool nonfinite = false;
  const auto skip = [&](const TextInput& input, const std::string& why) { out.skip(input, why); };
  for_batches(lines, 0, -1, options.batch_tokens, model.base().max_length, progress, skip, [&](const auto& batch) {
    const models::SparseRows rows = model.encode_tokens(ctx, model.tokenize(ctx, texts_of(batch), options), options);
    for (std::size_t i = 0; i < batch.size(); ++i) {
      const auto ids = rows.ids_of(static_cast<index_t>(i));
      const auto weights = rows.weights_of(static_cast<index_t>(i));
      if (!all_finite(weights.data(), static_cast<index_t>(weights.size()))) {
        out.skip(batch[i], kNotFinite), nonfinite = true;
        continue;
      }
      out.row("{\"ids\": " + json_of(std::vector<long long>(ids.begin(), ids.end())) +
              ", \"weights\": " + json_of(std::vector<float>(weights.begin(), weights.end())) + "}");
    }
  });
  return out.finish(nonfinite);
}

int embed_multi_vector(Context& ctx, const HeadJob& job, const std::string& name) {
  Lines lines(job.text, job.jsonl);
  const auto model = job.run.load(
      ctx, [&](const models::LoadOptions& load) { return models::MultiVectorEncoder::load(ctx, job.run.model, load); });
  const models::TextRole role = name == "query" ? models::TextRole::query : models::TextRole::document;
  const models::MultiVectorOptions options{job.embed.max_length, job.embed.batch_tokens};
  check_texts(model.base(), options.max_length, [&] { (void)model.tokenize(ctx, {}, role, options); });
  RowMap map(job.out, 0);
  Progress progress("texts");
  models::TokenEmbeddings all;
  bool nonfinite = false;
  const auto skip = [&](const TextInput& input, const std::string& why) { map.skip(input.number, input.name, why); };
  for_batches(lines, 0, -1, options.batch_tokens, model.base().max_length, progress, skip, [&](const auto& batch) {
    const models::TokenEmbeddings e = model.encode_tokens(ctx, model.tokenize(ctx, texts_of(batch), role, options), role);
    for (std::size_t i = 0; i < batch.size(); ++i) {
      const index_t from = e.offsets[i], to = e.offsets[i + 1];
      if (!all_finite(e.values.data() + from * e.dim, (to - from) * e.dim)) {
        skip(batch[i], kNotFinite), nonfinite = true;
        continue;
      }
      all.values.insert(all.values.end(), e.values.begin() + from * e.dim, e.values.begin() + to * e.dim);
      all.ids.insert(all.ids.end(), e.ids.begin() + from, e.ids.begin() + to);
      all.offsets.push_back(all.offsets.back() + to - from);
    }
  });
  if (interrupted()) {
    say("stopped by a signal; " + job.out + " is as it was");
    return signal_exit();
  }
  const auto count = [](const auto& v) { return static_cast<index_t>(v.size()); };
  const View<const float, 2> values(all.values.data(), count(all.ids), model.dim());
  or_exit(kOutput, [&] {
    map.commit(all.texts(), [&] {
      io::write_safetensors(job.out,
                            {{"embeddings", io::any_view(values)},
                             {"offsets", io::any_view(View<const index_t, 1>(all.offsets.data(), count(all.offsets)))},
                             {"ids", io::any_view(View<const std::int32_t, 1>(all.ids.data(), count(all.ids)))}});
    });
  });
  return outcome(!map.skipped().empty(), nonfinite);
}

int embed_layers(Context& ctx, const HeadJob& job, const std::vector<index_t>& layers) {
  Lines lines(job.text, job.jsonl);
  const auto model = job.run.load(
      ctx, [&](const models::LoadOptions& load) { return models::TextEncoder::load(ctx, job.run.model, load); });
  if (model.model().transformer->config().output_width > 0)
    throw Failure{kUsage, "--layers with several: this model's earlier layers are of another width than its last one"};
  std::vector<std::unique_ptr<EmbedOutput>> outs;
  for (const index_t layer : layers) {
    models::EmbedOptions one = job.embed;
    one.layers = layer;
    check_options(ctx, model, one);
  }
  for (const index_t layer : layers) {
    const std::filesystem::path path = job.out;
    const std::string name = path.stem().string() + ".layer-" + std::to_string(layer) + path.extension().string();
    outs.push_back(std::make_unique<EmbedOutput>((path.parent_path() / name).string(), model.dim(job.embed), 0));
  }
  Progress progress("texts");
  bool nonfinite = false;
  const auto skip = [&](const TextInput& input, const std::string& why) {
    outs[0]->skip(input.number, input.name, why);
    for (std::size_t i = 1; i < outs.size(); ++i) outs[i]->skip_quietly(input.number);
  };
  const index_t dim = model.dim(job.embed);
  for_batches(lines, 0, -1, job.embed.batch_tokens, model.max_length(), progress, skip, [&](const auto& batch) {
    const auto n = static_cast<index_t>(batch.size());
    std::vector<std::vector<float>> rows(outs.size(), std::vector<float>(static_cast<std::size_t>(n * dim)));
    std::vector<View<float, 2>> views;
    for (auto& r : rows) views.emplace_back(r.data(), n, dim);
    model.embed_tokens(ctx, model.tokenize(ctx, texts_of(batch), job.embed), job.embed, layers, views);
    for (index_t b = 0; b < n; ++b) {
      const bool finite =
          std::all_of(rows.begin(), rows.end(), [&](const auto& r) { return all_finite(r.data() + b * dim, dim); });
      if (!finite) skip(batch[static_cast<std::size_t>(b)], kNotFinite), nonfinite = true;
      for (std::size_t i = 0; finite && i < outs.size(); ++i) outs[i]->row(rows[i].data() + b * dim);
    }
  });
  const bool kept = !interrupted() || outs[0]->keeps_what_is_done();
  for (const auto& out : outs)
    if (kept) out->commit();
  return interrupted() ? stopped(*outs[0], kept) : outcome(!outs[0]->skipped().empty(), nonfinite);
}

}  // namespace tool
