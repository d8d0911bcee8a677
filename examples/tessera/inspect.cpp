// tessera inspect: what a model folder, a safetensors file or this machine is.
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include "tool.hpp"

namespace tool {

namespace {

using namespace tessera;

int machine() {
  std::printf("instruction sets:");
  for (const Isa isa : available_isas()) std::printf(" %s", isa_name(isa));
  std::printf("\nused by default: %s%s\n", isa_name(or_exit(kOther, [] { return default_isa(); })),
              std::getenv("TESSERA_ISA") ? " (TESSERA_ISA)" : "");
  Context ctx;
  std::printf("threads: %d\nmemory: %.1f GiB\ndevices: cpu\n", ctx.threads(),
              static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGESIZE)) / (1 << 30));
  return kDone;
}

/// A name that cannot play with the terminal.
std::string printable(const std::string& name) {
  std::string s = name;
  for (char& c : s)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  return s;
}

int file(const std::string& path) {
  const auto f = or_exit(kRefused, [&] { return io::SafeTensors::open(path); });
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

int folder(const std::string& path, bool allow_nonfinite) {
  Context ctx;
  const auto where = or_exit(kRefused, [&] { return io::ModelFolder::open(path); });
  const auto model =
      or_exit(kRefused, [&] { return models::TextEncoder::load(ctx, path, {.allow_nonfinite = allow_nonfinite}); });
  const auto& stack = *model.model().transformer;
  const auto& c = stack.config();
  std::map<std::string, index_t> types;
  const auto checkpoint = where.has("modules.json") && !where.has("config.json") ? nullptr : where.checkpoint();
  if (checkpoint)
    for (const auto& name : checkpoint->names()) types[dtype_name(checkpoint->at(name).dtype)] += checkpoint->at(name).bytes;
  std::printf("architecture: %s, %lld layers, %lld channels, %lld heads of %lld, mlp %lld\n", model.model().family.c_str(),
              static_cast<long long>(c.layers), static_cast<long long>(c.block.channels),
              static_cast<long long>(c.block.heads), static_cast<long long>(c.block.head_dim),
              static_cast<long long>(c.block.mlp_width));
  std::printf("parameters: %.2f million\n", static_cast<double>(stack.parameters()) / 1e6);
  for (const auto& [type, bytes] : types)
    std::printf("in the files: %s, %.1f MB\n", type.c_str(), static_cast<double>(bytes) / 1e6);
  std::printf("packed weights: f32, %.1f MB; embedding tables are read from the file\n",
              static_cast<double>(stack.bytes()) / 1e6);
  std::printf("embedding: %lld numbers; texts are cut to %lld tokens (the model has %lld positions)\n",
              static_cast<long long>(model.dim()), static_cast<long long>(model.max_length()),
              static_cast<long long>(c.max_positions));
  std::printf("vocabulary: %zu tokens\n", model.tokenizer().vocab_size());
  for (const auto& [name, prompt] : model.prompts())
    std::printf("prompt %s: \"%s\"\n", printable(name).c_str(), printable(prompt).c_str());
  for (const auto& note : model.tokenizer().notes()) std::printf("note: %s\n", note.c_str());
  const io::Json config = where.config();
  if (config.contains("auto_map")) std::printf("note: the folder names code of its own (auto_map); it is not run\n");
  return kDone;
}

struct InspectOptions {
  std::string path;
  bool machine = false, allow_nonfinite = false;
};

int run_inspect(const InspectOptions& o) {
  if (o.machine == !o.path.empty()) throw Failure{kUsage, "inspect takes a model folder, a .safetensors file or --machine"};
  if (o.machine) return machine();
  return o.path.ends_with(".safetensors") ? file(o.path) : folder(o.path, o.allow_nonfinite);
}

}  // namespace

void add_inspect(CLI::App& app, int& exit) {
  auto o = std::make_shared<InspectOptions>();
  app.add_option("path", o->path, "model folder (or org/name) or .safetensors file");
  app.add_flag("--machine", o->machine, "instruction sets, threads and memory of this machine");
  app.add_flag("--allow-nonfinite", o->allow_nonfinite, "load weights that hold NaN or infinity");
  app.callback([o, &exit] { exit = run_inspect(*o); });
}

}  // namespace tool
