// tessera embed: one embedding a text or image.
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "embed_heads.hpp"
#include "embed_images.hpp"
#include "embed_output.hpp"
#include "images.hpp"
#include "lines.hpp"
#include "merging.hpp"
#include "progress.hpp"
#include "shard.hpp"
#include "signals.hpp"
#include "text_rows.hpp"
#include "tool.hpp"

namespace tool {

namespace {

using namespace tessera;

struct Options {
  RunOptions run;
  std::string text, out, pooling, shard, merge, backend = "pil";
  std::vector<std::string> images;
  models::EmbedOptions embed;
  std::vector<index_t> layers;  // several: one output each
  std::string multi_vector;
  index_t top = 0;
  bool no_normalize = false, jsonl = false, resume = false, sparse = false;
};

/// What a part is made of; equal manifests mean equal bytes. \param inputs their digest.
io::Json manifest_of(const Options& o, const Shard& s, const std::string& inputs) {
  const auto& e = o.embed;
  Digest options;
  options.add(e.prompt.value_or(""));
  for (const std::string& word : {e.prompt_name, o.pooling, o.run.dtype}) options.add(word);
  if (o.run.fast) options.add(isa_name(default_isa()));  // of bf16 it may have bits of its own
  if (!o.images.empty()) options.add("image " + o.backend + " " + o.merge);
  for (const index_t n :
       {index_t{e.prompt.has_value()}, e.max_length, e.dims, e.layers, index_t{e.normalize}, index_t{o.jsonl},
        index_t{TESSERA_VERSION_MAJOR}, index_t{TESSERA_VERSION_MINOR}, index_t{TESSERA_VERSION_PATCH}})
    options.add(std::to_string(n));
  return {{"inputs", inputs},
          {"model", digest_model(o.run.model)},
          {"options", options.hex()},
          {"shard", s.index},
          {"of", s.of},
          {"first", s.first},
          {"last", s.last}};
}

struct ToOutput final : TextSink {
  EmbedOutput& out;
  std::vector<long long> not_finite;
  explicit ToOutput(EmbedOutput& o) : out(o) {}
  void row(const TextInput&, const float* values) override { out.row(values); }
  void skip(const TextInput& input, const std::string& why) override { out.skip(input.number, input.name, why); }
  void nonfinite(const TextInput& input) override {
    TextSink::nonfinite(input);
    not_finite.push_back(input.number);
  }
};

/// What this run makes: the part that --shard names, or all.
struct Part {
  Shard shard;
  io::Json manifest;
  Finished state;
};

/// \param count how many inputs there are.  \param digest of those of a shard.
template <class Count, class DigestInputs>
Part open_part(const Options& o, const Count& count, const DigestInputs& digest) {
  Part p;
  if (o.shard.empty()) {
    p.shard.part = o.out;
    return p;
  }
  p.shard = parse_shard(o.shard);
  place_shard(p.shard, count(), o.out);
  p.manifest = or_refuse([&] { return manifest_of(o, p.shard, digest(p.shard)); });
  if (o.resume && !interrupted()) p.state = finished(p.shard, p.manifest);
  if (p.state.kept) say(p.shard.part + " is finished and kept");
  return p;
}

int run_images(Context& ctx, const Options& o) {
  for (const auto& [given, name] : {std::pair(o.jsonl, "--jsonl"),
                                    {o.embed.prompt.has_value(), "--prompt"},
                                    {!o.embed.prompt_name.empty(), "--prompt-name"},
                                    {o.embed.max_length > 0, "--max-length"}})
    if (given) throw Failure{kUsage, std::string(name) + " is for --text"};
  ImageInputs inputs(o.images);
  const auto count = [&] {
    if (inputs.streams()) throw Failure{kUsage, "--shard needs files as --image: standard input cannot be counted first"};
    return inputs.total();
  };
  const Part part = open_part(o, count, [&](const Shard& s) { return digest_images(s, inputs.list()); });
  if (part.state.kept) return outcome(part.state.skipped, part.state.nonfinite);
  ImageJob job{o.run, {}, backend_of(o.backend)};
  job.embed.pooling = o.embed.pooling, job.embed.dims = o.embed.dims, job.embed.layers = o.embed.layers;
  job.embed.normalize = o.embed.normalize, job.embed.batch_tokens = o.embed.batch_tokens;
  models::TokenMerging merging;
  if (!o.merge.empty()) merging = merging_of(o.merge), job.embed.merging = &merging;
  return embed_images(ctx, job, inputs, part.shard, part.manifest);
}

/// Other outputs than one row of numbers a text, in one .npy.
int run_heads(Context& ctx, const Options& o) {
  const char* const way = o.sparse ? "--sparse" : !o.multi_vector.empty() ? "--multi-vector" : "--layers with several";
  const bool rows = !o.sparse && o.multi_vector.empty();
  const bool prompted = o.embed.prompt || !o.embed.prompt_name.empty();
  for (const auto& [given, name] : {std::pair(!o.shard.empty(), "--shard"),
                                    {!rows && o.embed.dims > 0, "--dims"},
                                    {!rows && !o.layers.empty(), "--layers"},
                                    {!rows && !o.pooling.empty(), "--pooling"},
                                    {!rows && o.no_normalize, "--no-normalize"},
                                    {!o.multi_vector.empty() && prompted, "--prompt"},
                                    {o.sparse && !o.multi_vector.empty(), "--multi-vector"}})
    if (given) throw Failure{kUsage, std::string(name) + " is not for " + way};
  const HeadJob job{o.run, o.text, o.out, o.jsonl, o.embed};
  if (o.sparse) return embed_sparse(ctx, job, o.top);
  return rows ? embed_layers(ctx, job, o.layers) : embed_multi_vector(ctx, job, o.multi_vector);
}

int run_embed(Options o) {
  static const std::map<std::string, ops::Pooling> kPooling = {
      {"cls", ops::Pooling::cls}, {"mean", ops::Pooling::mean}, {"last", ops::Pooling::last}, {"max", ops::Pooling::max}};
  if (!o.pooling.empty()) o.embed.pooling = kPooling.at(o.pooling);
  o.embed.normalize = !o.no_normalize;
  const bool heads = o.sparse || !o.multi_vector.empty() || o.layers.size() > 1;
  if (o.layers.size() == 1) o.embed.layers = o.layers[0];
  if (heads && !o.images.empty()) throw Failure{kUsage, "--sparse, --multi-vector and several --layers are for --text"};
  if (o.top > 0 && !o.sparse) throw Failure{kUsage, "--top is for --sparse"};
  if (o.resume && o.shard.empty()) throw Failure{kUsage, "--resume keeps parts, so it needs --shard i/n"};
  if (o.text.empty() == o.images.empty()) throw Failure{kUsage, "one of --text and --image is required"};
  if (!o.merge.empty() && o.images.empty()) throw Failure{kUsage, "--merge is for --image"};
  catch_signals();
  Context ctx = o.run.context();
  if (!o.images.empty()) return run_images(ctx, o);
  if (heads) return run_heads(ctx, o);
  const Part part = open_part(
      o, [&] { return count_lines(o.text, o.jsonl); },
      [&](const Shard& s) { return digest_lines(s, Lines(o.text, o.jsonl)); });
  if (part.state.kept) return outcome(part.state.skipped, part.state.nonfinite);
  const Shard& shard = part.shard;
  Lines lines(o.text, o.jsonl);
  const auto model =
      o.run.load(ctx, [&](const models::LoadOptions& load) { return models::TextEncoder::load(ctx, o.run.model, load); });
  check_options(ctx, model, o.embed);
  EmbedOutput out(shard.part, model.dim(o.embed), shard.first);
  ToOutput sink(out);
  Progress progress("texts");
  embed_lines(ctx, model, o.embed, lines, shard.first, shard.last, progress, sink);
  if (interrupted()) {
    const bool kept = out.keeps_what_is_done();
    if (kept) commit_part(out, shard);
    return stopped(out, kept);
  }
  commit_part(out, shard);
  if (!shard.manifest.empty()) write_manifest(shard, part.manifest, out, sink.not_finite);
  summary(out, progress, "texts");
  return outcome(!out.skipped().empty(), !sink.not_finite.empty());
}

}  // namespace

void add_embed(Command& app, int& exit) {
  auto o = std::make_shared<Options>();
  o->embed.batch_tokens = 4096;
  o->run.add_to(app);
  app.option("--text", o->text, "text file, one text a line; - for standard input");
  app.option("--image", o->images, kImageHelp);
  app.option("--backend", o->backend, "whose image processor: pil or torchvision").one_of({"pil", "torchvision"});
  app.flag("--jsonl", o->jsonl, kJsonlHelp);
  app.option(
         "-o,--out", o->out,
         "the .npy file to write; with --shard a folder, with --sparse a .jsonl, with --multi-vector a .safetensors file")
      .required();
  app.option("--merge", o->merge, kMergeHelp);
  app.option("--dims", o->embed.dims, kDimsHelp).range(1, 1 << 20);
  app.flag("--force-dims", o->embed.force_dims, kForceDimsHelp);
  app.option("--layers", o->layers,
             "run only the first layers; 2,4,6: an output each, out.layer-2.npy, ..., of one pass (2-D Matryoshka)")
      .separated_by(',')
      .range(0, 4096);
  app.flag("--sparse", o->sparse,
           "weights of words (SPLADE, BGE-M3): a line of JSON a text, {\"ids\": [...], \"weights\": [...]}");
  app.option("--top", o->top, "--sparse: the heaviest so many of a text").range(1, 1 << 24);
  app.option("--multi-vector", o->multi_vector,
             "an embedding a token (ColBERT, BGE-M3), of texts that are a query or a document: a safetensors file with\n"
             "embeddings [tokens, E], offsets [texts + 1] and the tokens' ids")
      .one_of({"query", "document"});
  app.option("--pooling", o->pooling, "instead of the model's own").one_of({"cls", "mean", "last", "max"});
  app.flag("--no-normalize", o->no_normalize, "leave out the final normalisation");
  const auto prompt = app.option(
      "--prompt", [o](const std::string& s) { o->embed.prompt = s; }, "put before every text; \"\" for none");
  app.option("--prompt-name", o->embed.prompt_name, "one of the model's prompts").excludes(prompt);
  app.option("--max-length", o->embed.max_length, "tokens that a text is cut to").range(1, 1 << 24);
  app.option("--batch-tokens", o->embed.batch_tokens, "tokens that go through the model at once").range(1, 1 << 24);
  app.option("--shard", o->shard,
             "i/n: only that part of the inputs, to -o DIR/part-i-of-n.npy with a manifest; slurm: that of this task of a\n"
             "Slurm job array");
  app.flag("--resume", o->resume, "keep a part whose manifest matches");
  app.runs([o] { return run_embed(*o); }, exit);
}

}  // namespace tool
