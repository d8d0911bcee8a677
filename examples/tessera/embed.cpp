// tessera embed: one embedding a text.
#include <sys/stat.h>

#include <cmath>
#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "digest.hpp"
#include "embed_output.hpp"
#include "lines.hpp"
#include "progress.hpp"
#include "signals.hpp"
#include "tool.hpp"

namespace tool {

namespace {

using namespace tessera;

struct Options {
  RunOptions run;
  std::string text, out, pooling, shard;
  models::EmbedOptions embed;
  bool no_normalize = false, jsonl = false, resume = false;
};

/// Inputs [first, last) of the whole, and the names of the part's files.
struct Shard {
  long long first = 0, last = -1, index = 0, of = 1;
  std::string manifest;
};

long long count_lines(const std::string& path, bool jsonl) {
  Lines lines(path, jsonl);
  std::string line;
  long long n = 0;
  while (lines.next_raw(line)) ++n;
  return n;
}

Shard read_shard(Options& o) {
  Shard s;
  int used = 0;
  if (std::sscanf(o.shard.c_str(), "%lld/%lld%n", &s.index, &s.of, &used) != 2 || used != static_cast<int>(o.shard.size()) ||
      s.of < 1 || s.of > 99999 || s.index < 0 || s.index >= s.of)
    throw Failure{kUsage, "--shard " + o.shard + ": expected i/n with 0 <= i < n"};
  if (o.text == "-") throw Failure{kUsage, "--shard needs an input file: standard input cannot be counted first"};
  const long long n = count_lines(o.text, o.jsonl);
  s.first = s.index * n / s.of;
  s.last = (s.index + 1) * n / s.of;
  std::error_code error;
  std::filesystem::create_directories(o.out, error);
  if (!std::filesystem::is_directory(o.out, error))
    throw Failure{kOutput, o.out + ": cannot make this folder for the parts"};
  char name[64];
  std::snprintf(name, sizeof name, "/part-%05lld-of-%05lld", s.index, s.of);
  s.manifest = o.out + name + ".manifest.json";
  o.out += std::string(name) + ".npy";
  return s;
}

/// What a finished part was made of; equal manifests mean equal bytes.
io::Json manifest_of(const Options& o, const Shard& s) {
  Digest inputs, model, options;
  Lines lines(o.text, o.jsonl);
  std::string line;
  for (long long i = 0; i < s.last && lines.next_raw(line); ++i)
    if (i >= s.first) inputs.add(line);
  const auto folder = io::ModelFolder::open(o.run.model);
  std::map<std::string, std::filesystem::path> files;  // in the order of their names
  for (const auto& entry : std::filesystem::recursive_directory_iterator(
           folder.root(), std::filesystem::directory_options::skip_permission_denied))
    if (entry.is_regular_file() && (entry.path().extension() == ".json" || entry.path().extension() == ".safetensors" ||
                                    entry.path().extension() == ".txt"))
      files[std::filesystem::relative(entry.path(), folder.root()).string()] = entry.path();
  for (const auto& [name, path] : files) {
    const auto file = MappedFile::open(path.c_str());
    model.add(name);
    model.add({reinterpret_cast<const char*>(file.data()), file.bytes()});
  }
  const auto& e = o.embed;
  options.add(e.prompt + "\n" + e.prompt_name + "\n" + o.pooling);
  options.add(std::to_string(e.max_length) + " " + std::to_string(e.dims) + " " + std::to_string(e.layers) + " " +
              std::to_string(e.normalize) + " " + std::to_string(o.jsonl) + " " + o.run.dtype);
  return {{"inputs", inputs.hex()}, {"model", model.hex()}, {"options", options.hex()}, {"shard", s.index}, {"of", s.of},
          {"first", s.first},       {"last", s.last}};
}

/// Whether the part and its manifest are there and of the same making.
bool finished(const Options& o, const Shard& s, const io::Json& manifest, bool& skipped) {
  std::error_code error;
  if (!std::filesystem::exists(s.manifest, error) || !std::filesystem::exists(o.out, error)) return false;
  try {
    io::Json old = io::read_json(s.manifest);
    const auto rows = old.at("rows").get<index_t>();
    skipped = !old.at("skipped").empty();
    old.erase("rows"), old.erase("skipped");
    return old == manifest && io::NpyFile::open(o.out).array().extent[0] == rows;
  } catch (const std::exception&) {
    return false;  // not one of ours, or damaged: made again
  }
}

/// Texts that wait to go through the model together.
struct Batch {
  std::vector<std::string> texts;
  std::vector<long long> inputs;
};

struct Embedder {
  Context& ctx;
  const models::TextEncoder& model;
  const Options& o;
  EmbedOutput& out;
  bool nonfinite = false;

  void run(Batch& batch) {
    const std::vector<std::string_view> views(batch.texts.begin(), batch.texts.end());
    const auto tokens = model.tokenize(ctx, views, o.embed);
    const auto n = static_cast<index_t>(views.size()), dim = model.dim(o.embed);
    std::vector<float> rows(static_cast<std::size_t>(n * dim));
    model.embed_tokens(ctx, tokens, o.embed, View<float, 2>(rows.data(), n, dim));
    for (index_t i = 0; i < n; ++i) {
      const float* row = rows.data() + i * dim;
      const long long input = batch.inputs[static_cast<std::size_t>(i)];
      bool finite = true;
      for (index_t c = 0; c < dim; ++c) finite = finite && std::isfinite(row[c]);
      if (finite) {
        out.row(input, row);
      } else {
        out.skip(input, "its embedding holds NaN or infinity");
        nonfinite = true;
      }
    }
    batch = {};
  }
};

int run_embed(Options o) {
  static const std::map<std::string, ops::Pooling> kPooling = {
      {"cls", ops::Pooling::cls}, {"mean", ops::Pooling::mean}, {"last", ops::Pooling::last}, {"max", ops::Pooling::max}};
  if (!o.pooling.empty()) o.embed.pooling = kPooling.at(o.pooling);
  o.embed.normalize = !o.no_normalize;
  if (o.resume && o.shard.empty()) throw Failure{kUsage, "--resume works with --shard"};
  catch_signals();
  Context ctx = o.run.context();
  Shard shard;
  io::Json manifest;
  if (!o.shard.empty()) {
    shard = read_shard(o);
    manifest = or_exit(kRefused, [&] { return manifest_of(o, shard); });
    bool skipped = false;
    if (o.resume && finished(o, shard, manifest, skipped)) {
      std::fprintf(stderr, "tessera: %s is finished and kept\n", o.out.c_str());
      return skipped ? kSkipped : kDone;
    }
    std::remove(shard.manifest.c_str());
  }
  const auto model = or_exit(kRefused, [&] { return models::TextEncoder::load(ctx, o.run.model, o.run.load()); });
  or_exit(kUsage,
          [&] { (void)model.tokenize(ctx, std::vector<std::string_view>{""}, o.embed); });  // options that it cannot serve
  EmbedOutput out(o.out, or_exit(kUsage, [&] { return model.dim(o.embed); }));
  Lines lines(o.text, o.jsonl);
  Embedder embedder{ctx, model, o, out};
  Progress progress;
  Batch batch;
  std::string line, text, why;
  std::size_t bytes = 0;
  const auto full = static_cast<std::size_t>(o.embed.batch_tokens) * 4;  // some four bytes a token
  for (long long i = 0; (shard.last < 0 || i < shard.last) && !interrupted() && lines.next_raw(line); ++i) {
    if (i < shard.first) continue;
    if (!lines.text(line, text, why)) {
      out.skip(i, why);
      continue;
    }
    bytes += std::min(text.size(), static_cast<std::size_t>(model.max_length()) * 8) + 8;
    batch.texts.push_back(text);
    batch.inputs.push_back(i);
    if (bytes < full) continue;
    embedder.run(batch);
    bytes = 0;
    progress.update(out.seen(), lines.fraction());
  }
  if (!interrupted() && !batch.texts.empty()) embedder.run(batch);
  progress.clear();
  out.commit();
  if (interrupted()) {
    std::fprintf(stderr, "tessera: stopped by a signal; %s holds the %lld rows that were done\n", o.out.c_str(), out.rows());
    return signal_exit();
  }
  if (!o.shard.empty()) {
    manifest["rows"] = out.rows();
    manifest["skipped"] = out.skipped();
    or_exit(kOutput, [&] {
      const std::string text_of = manifest.dump(1) + "\n";
      io::AtomicFile file(shard.manifest);
      file.write(text_of.data(), text_of.size());
      file.commit();
    });
  }
  std::fprintf(stderr, "tessera: %lld texts in %.1f s (%.0f/s), %zu skipped\n", out.rows(), progress.seconds(),
               static_cast<double>(out.rows()) / progress.seconds(), out.skipped().size());
  return embedder.nonfinite ? kNonFinite : out.skipped().empty() ? kDone : kSkipped;
}

}  // namespace

void add_embed(CLI::App& app, int& exit) {
  auto o = std::make_shared<Options>();
  o->embed.batch_tokens = 4096;
  o->run.add_to(app);
  app.add_option("--text", o->text, "text file, one text a line; - for standard input")->required();
  app.add_flag("--jsonl", o->jsonl, "each line is a JSON string, so that a text may hold newlines");
  app.add_option("-o,--out", o->out, "the .npy file to write; with --shard a folder")->required();
  app.add_option("--dims", o->embed.dims, "keep so many numbers and normalise again (Matryoshka)")
      ->check(CLI::Range(1, 1 << 20));
  app.add_option("--layers", o->embed.layers, "run only the first layers")->check(CLI::Range(0, 4096));
  app.add_option("--pooling", o->pooling, "instead of the model's own")
      ->check(CLI::IsMember({"cls", "mean", "last", "max"}));
  app.add_flag("--no-normalize", o->no_normalize, "leave out the final normalisation");
  app.add_option("--prompt", o->embed.prompt, "put before every text");
  app.add_option("--prompt-name", o->embed.prompt_name, "one of the model's prompts")->excludes("--prompt");
  app.add_option("--max-length", o->embed.max_length, "tokens that a text is cut to")->check(CLI::Range(1, 1 << 24));
  app.add_option("--batch-tokens", o->embed.batch_tokens, "tokens that go through the model at once")
      ->check(CLI::Range(1, 1 << 24));
  app.add_option("--shard", o->shard, "i/n: only that part of the inputs, to -o DIR/part-i-of-n.npy with a manifest");
  app.add_flag("--resume", o->resume, "keep a part whose manifest matches");
  app.callback([o, &exit] { exit = run_embed(*o); });
}

}  // namespace tool
