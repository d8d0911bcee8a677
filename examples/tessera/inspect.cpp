// tessera inspect: what a model folder, a safetensors file or this machine is.
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <tessera/models/sentence_folder.hpp>

#include "tool.hpp"

namespace tool {

namespace {

using namespace tessera;

int machine() {
  Context ctx = or_exit(kOther, [] { return Context(); });
  std::printf("instruction sets:");
  for (const Isa isa : available_isas()) std::printf(" %s", isa_name(isa));
  std::printf("\nused by default: %s%s\n", isa_name(ctx.isa()), std::getenv("TESSERA_ISA") ? " (TESSERA_ISA)" : "");
  std::printf("threads: %d\nmemory: %.1f GiB\ndevices: cpu\n", ctx.threads(),
              static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGESIZE)) / (1 << 30));
  return kDone;
}

int file(const std::string& path) {
  const auto f = or_refuse([&] { return io::SafeTensors::open(path); });
  index_t total = 0;
  for (const auto& name : f.names()) {
    const AnyView& v = f.at(name);
    std::string shape;
    for (int i = 0; i < v.rank && i < AnyView::kMaxRank; ++i) shape += (i ? ", " : "") + std::to_string(v.extent[i]);
    std::printf("%-10s [%s]  %s\n", dtype_name(v.dtype), shape.c_str(), printable(name).c_str());
    total += v.bytes;
  }
  for (const auto& [key, value] : f.metadata())
    std::printf("metadata   %s = %s\n", printable(key).c_str(), printable(value).c_str());
  std::printf("%zu tensors, %.1f MB\n", f.names().size(), static_cast<double>(total) / 1e6);
  return kDone;
}

/// What the matrices of the layers are packed as, and what that costs.
void describe_packing(Context& ctx, const models::Transformer& stack) {
  std::map<std::string, int> types;
  std::string left;
  double most = 0, sum = 0;
  std::string where;
  stack.for_matrices([&](index_t layer, const char* name, const PackedWeight& w) {
    ++types[dtype_name(w.dtype())];
    const std::string at = "layers." + std::to_string(layer) + "." + name;
    if (w.dtype() == DType::bf16) left += (left.empty() ? "" : ", ") + at;
    const double moved = ops::int8_rounding(ctx, w);
    sum += moved;
    if (moved > most) most = moved, where = at;
  });
  std::string names;
  for (const auto& [type, count] : types)
    names += (names.empty() ? "" : " and ") + type + (types.size() > 1 ? " (" + std::to_string(count) + " matrices)" : "");
  std::printf("packed weights: %s, %.1f MB; embedding tables are read from the file\n", names.c_str(),
              static_cast<double>(stack.bytes()) / 1e6);
  if (types.count(dtype_name(DType::i8)) == 0) return;
  std::printf("int8 moves weights by %.2f %% of their size in the mean, at most %.2f %% (%s)\n",
              100 * sum / types[dtype_name(DType::i8)], 100 * most, where.c_str());
  if (!left.empty())
    std::printf("BF16, since int8 would move them by more than %.0f %%: %s\n", 100 * double{WeightView().most_rounding},
                left.c_str());
}

/// What a stack's attention has beside BERT's.
void describe_attention(const models::TransformerConfig& c) {
  std::string what = c.block.attention.causal ? "causal" : "";
  const auto say_also = [&](const std::string& more) { what += (what.empty() ? "" : ", ") + more; };
  if (c.block.kv_heads != c.block.heads) say_also(std::to_string(c.block.kv_heads) + " heads of keys");
  for (std::size_t k = 0; k < c.kinds.size(); ++k) {
    const models::LayerKind& kind = c.kinds[k];
    if (kind.window_left < 0 && kind.window_right < 0) continue;
    const auto of = std::count(c.kind_of.begin(), c.kind_of.end(), static_cast<unsigned char>(k));
    const index_t last = kind.window_right < 0 ? 0 : kind.window_right;
    say_also("in " + std::to_string(of) + " layers a token sees those from " + std::to_string(kind.window_left) +
             " before it to " + std::to_string(last) + " behind it");
  }
  if (!c.kinds.empty()) say_also("rotary positions");
  if (c.relative_buckets > 0) say_also("biases by distance");
  if (c.alibi) say_also("biases that fall off with distance (ALiBi)");
  if (c.block.position_rows > 0) say_also("products with " + std::to_string(c.block.position_rows) + " relative places");
  if (!what.empty()) std::printf("attention: %s\n", what.c_str());
}

void describe(Context& ctx, const std::string& family, const models::Transformer& stack) {
  const auto& c = stack.config();
  std::printf("architecture: %s, %lld layers, %lld channels, %lld heads of %lld, mlp %lld\n", family.c_str(),
              static_cast<long long>(c.layers), static_cast<long long>(c.block.channels),
              static_cast<long long>(c.block.heads), static_cast<long long>(c.block.head_dim),
              static_cast<long long>(c.block.mlp_width));
  describe_attention(c);
  std::printf("parameters: %.2f million\n", static_cast<double>(stack.parameters()) / 1e6);
  describe_packing(ctx, stack);
}

/// What stands behind the stack, and why: what was decided on loading, and by which file.
void describe_texts(const models::TextBackbone& base) {
  std::printf("vocabulary: %zu tokens\n", base.tokenizer->vocab_size());
  for (const auto& reason : base.reasons) std::printf("uses: %s\n", printable(reason).c_str());
  for (const auto& [name, prompt] : base.prompts)
    std::printf("prompt %s: \"%s\"\n", printable(name).c_str(), printable(prompt).c_str());
  for (const auto& note : base.tokenizer->notes()) std::printf("note: %s\n", printable(note).c_str());
}

void describe_length(const char* of, index_t tokens, const models::TextModel& model) {
  const index_t table = model.transformer->config().max_positions;
  std::printf("%s are cut to %lld tokens (the model has %lld positions)\n", of, static_cast<long long>(tokens),
              static_cast<long long>(table > 0 ? table : model.max_length));
}

void describe(Context& ctx, const models::TextEncoder& model) {
  describe(ctx, model.model().family, *model.model().transformer);
  std::printf("embedding: %lld numbers; ", static_cast<long long>(model.dim()));
  describe_length("texts", model.max_length(), model.model());
  describe_texts(model.base());
}

void describe(Context& ctx, const models::SparseEncoder& model) {
  describe(ctx, model.base().model.family, *model.base().model.transformer);
  std::printf("embedding: weights of %lld words (embed --sparse); ", static_cast<long long>(model.vocabulary()));
  describe_length("texts", model.base().max_length, model.base().model);
  describe_texts(model.base());
}

void describe(Context& ctx, const models::MultiVectorEncoder& model) {
  describe(ctx, model.base().model.family, *model.base().model.transformer);
  std::printf("embedding: %lld numbers a token (embed --multi-vector)\n", static_cast<long long>(model.dim()));
  for (const auto& [role, name] :
       {std::pair(models::TextRole::query, "queries"), {models::TextRole::document, "documents"}}) {
    const models::RoleTokens& tokens = model.tokens_of(role);
    describe_length(name, tokens.length, model.base().model);
    const auto token = [&](std::int32_t id) { return printable(std::string(model.base().tokenizer->id_to_token(id))); };
    if (tokens.marker >= 0) std::printf("%s begin with %s\n", name, token(tokens.marker).c_str());
    if (tokens.prefix.find_first_not_of(' ') != tokens.prefix.npos)
      std::printf("%s begin with \"%s\"\n", name, printable(tokens.prefix).c_str());
    if (tokens.expanded > 0)
      std::printf("%s are filled up to %lld tokens with %s, %s\n", name, static_cast<long long>(tokens.expanded),
                  token(tokens.expansion).c_str(),
                  (tokens.attended ? "which others attend to" : "which no token attends to"));
    if (!tokens.skipped.empty()) std::printf("%s: %zu tokens have no embedding\n", name, tokens.skipped.size());
  }
  describe_texts(model.base());
}

void describe(Context& ctx, const models::CrossEncoder& model) {
  describe(ctx, model.model().family, *model.model().transformer);
  std::printf("scores of pairs: %lld label%s (rerank); ", static_cast<long long>(model.labels()),
              model.labels() == 1 ? "" : "s");
  describe_length("pairs", model.max_length(), model.model());
  if (!model.prompt().empty()) std::printf("prompt: \"%s\"\n", printable(model.prompt()).c_str());
}

/// Whether config.json names a classifier of sequences, as rerankers are.
bool is_cross_encoder(const models::SentenceFolder& f) {
  if (!f.inner.has("config.json")) return false;
  const io::Json config = f.inner.json("config.json");
  const io::Json& all = io::member(config, "architectures");
  return all.is_array() && !all.empty() && all[0].is_string() &&
         all[0].get_ref<const std::string&>().ends_with("ForSequenceClassification");
}

/// The kind of model that a folder with a tokenizer holds, and what it will do.
void describe_folder(Context& ctx, const std::string& path, const models::LoadOptions& load) {
  const auto f = models::SentenceFolder::open(path);
  if (models::MultiVectorEncoder::is_one(f)) return describe(ctx, models::MultiVectorEncoder::load(ctx, path, load));
  if (f.find("SpladePooling")) return describe(ctx, models::SparseEncoder::load(ctx, path, load));
  if (f.modules.empty() && is_cross_encoder(f)) return describe(ctx, models::CrossEncoder::load(ctx, path, load));
  describe(ctx, models::TextEncoder::load(ctx, path, load));
  for (const auto& [stem, option] : {std::pair("sparse_linear", "--sparse"), {"colbert_linear", "--multi-vector"}})
    if (f.folder.has(std::string(stem) + ".safetensors"))
      std::printf("also: %s.safetensors, for embed %s\n", stem, option);
    else if (f.folder.has(std::string(stem) + ".pt"))
      std::printf("note: %s.pt is a pickle, which is not read; for embed %s convert it: %s\n", stem, option,
                  printable(models::pickle_conversion(f.folder, stem)).c_str());
}

/// Element types of the weights that lie in the folder itself, as old sentence-transformers folders have none.
void describe_files(const io::ModelFolder& where) {
  if (!where.has("config.json")) return;
  const auto checkpoint = where.checkpoint();
  std::map<std::string, index_t> types;
  for (const auto& name : checkpoint->names()) types[dtype_name(checkpoint->at(name).dtype)] += checkpoint->at(name).bytes;
  for (const auto& [type, bytes] : types)
    std::printf("in the files: %s, %.1f MB\n", type.c_str(), static_cast<double>(bytes) / 1e6);
  if (where.config().contains("auto_map")) std::printf("note: the folder names code of its own (auto_map); it is not run\n");
}

struct InspectOptions {
  std::string path, dtype = "f32";
  bool machine = false, allow_nonfinite = false;
};

int folder(const InspectOptions& o) {
  Context ctx;
  const models::LoadOptions load{.allow_nonfinite = o.allow_nonfinite, .weights = weights_of(o.dtype)};
  const auto where = or_refuse([&] { return io::ModelFolder::open(o.path); });
  if (where.has("modules.json") || text::Tokenizer::is_in(where.root())) {
    or_refuse([&] { describe_folder(ctx, o.path, load); });
  } else {
    const auto model = or_refuse([&] { return models::load_text_model(ctx, where, load); });
    describe(ctx, model.family, *model.transformer);
    std::printf("note: no tokenizer in the folder, so it serves forward and bench, not embed\n");
  }
  or_refuse([&] { describe_files(where); });
  return kDone;
}

int run_inspect(const InspectOptions& o) {
  if (o.machine == !o.path.empty()) throw Failure{kUsage, "inspect takes a model folder, a .safetensors file or --machine"};
  if (o.machine) return machine();
  std::error_code error;
  const bool weights = o.path.ends_with(".safetensors") || std::filesystem::is_regular_file(o.path, error);
  return weights ? file(o.path) : folder(o);
}

}  // namespace

void add_inspect(Command& app, int& exit) {
  auto o = std::make_shared<InspectOptions>();
  app.option("path", o->path, "model folder (or org/name) or .safetensors file");
  add_dtype(app, o->dtype);
  app.flag("--machine", o->machine, "instruction sets, threads and memory of this machine");
  app.flag("--allow-nonfinite", o->allow_nonfinite, "load weights that hold NaN or infinity");
  app.runs([o] { return run_inspect(*o); }, exit);
}

}  // namespace tool
