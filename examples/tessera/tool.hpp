// What the commands of the tool share: exit codes, common options, how errors end a command.
#pragma once
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>

#include "command.hpp"

#include <tessera/tessera.hpp>

namespace tool {

enum Exit : int {
  kDone = 0,
  kOther = 1,
  kUsage = 2,
  kSkipped = 3,
  kRefused = 4,
  kOutput = 5,
  kNonFinite = 6,
  kPipe = 141,  // the reader of standard output went away: quietly, as a program that SIGPIPE ends
};

/// Ends a command with a sentence on stderr (none when empty) and this exit code.
struct Failure {
  int code;
  std::string sentence;
};

inline bool is_utf8(const std::string& s) {
  std::size_t bad = 0;
  return tessera::text::unicode::valid_prefix(s, 0, bad) == s.size();
}

/// Text of others (names in files, paths) that cannot play with the terminal: one line of valid UTF-8.
inline std::string printable(std::string s) {
  std::size_t bad = 0;
  for (std::size_t at = 0; (at = tessera::text::unicode::valid_prefix(s, at, bad)) < s.size(); ++at) s[at] = '?';
  for (char& c : s)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  return s;
}

/// One line on stderr.
inline void say(const std::string& sentence) { std::fprintf(stderr, "tessera: %s\n", printable(sentence).c_str()); }

/// Runs f and turns an Error into a Failure with `code`.
template <class F>
auto or_exit(int code, const F& f) -> decltype(f()) {
  try {
    return f();
  } catch (const tessera::Error& e) {
    throw Failure{code, e.what()};
  }
}

/// The same for what loads a model.
template <class F>
auto or_refuse(const F& f) -> decltype(f()) {
  try {
    return f();
  } catch (const tessera::Error& e) {
    const bool nonfinite = e.code() == tessera::Code::kNonFinite;
    throw Failure{kRefused, e.what() + std::string(nonfinite ? " (the option is --allow-nonfinite)" : "")};
  }
}

/// Ends the command when standard output did not take all that was printed.
inline void finish_stdout() {
  if (std::fflush(stdout) == 0 && !std::ferror(stdout)) return;
  if (errno == EPIPE) throw Failure{kPipe, ""};
  throw Failure{kOutput, std::string("standard output: cannot write: ") + std::strerror(errno)};
}
inline void print_line(const std::string& line) {
  if (std::fwrite(line.data(), 1, line.size(), stdout) != line.size() || std::fputc('\n', stdout) == EOF) finish_stdout();
}

/// The packed cache in `folder`, or in the user's own for kUserCache.
std::unique_ptr<tessera::models::WeightCache> open_cache(const std::string& folder);
inline constexpr const char* kUserCache = "~";

inline constexpr const char* kForceDimsHelp = "--dims also where the model's folder does not say that it may be cut";
inline constexpr const char* kDimsHelp = "keep so many numbers; a model's are normalised again (Matryoshka)";

inline void add_dtype(Command& app, std::string& dtype) {
  app.option("--dtype", dtype, "of the linear layers: f32, bf16 or int8").one_of({"f32", "bf16", "int8"});
}
inline tessera::DType weights_of(std::string_view dtype) {
  using tessera::DType;
  return dtype == "bf16" ? DType::bf16 : dtype == "int8" ? DType::i8 : DType::f32;
}

/// --model, --threads, --device, --dtype, --cache, --attention: how a model is loaded and run.
struct RunOptions {
  std::string model, device = "cpu", dtype = "f32", cache, attention;
  int threads = 0;
  bool allow_nonfinite = false, fast = false;

  void add_to(Command& app, bool required = true) {
    add_without_dtype(app).required(required);
    add_dtype(app, dtype);
  }
  /// Returns --model.
  Option add_without_dtype(Command& app) {
    app.option("--threads", threads, "threads; 0: all processors").range(0, 1024);
    app.option("--device", device, "cpu or cuda").one_of({"cpu", "cuda"});
    app.flag("--fast", fast, "bf16 by the machine's matrix unit, if it has one: the bits are then those of that unit");
    app.option("--attention", attention, "of decoders, whatever the folder says: causal, or all (a token sees all others)")
        .one_of({"causal", "all"});
    app.flag("--allow-nonfinite", allow_nonfinite, "load weights that hold NaN or infinity");
    app.flag("--cache{" + std::string(kUserCache) + "}", cache,
             "keep packed weights in ~/.cache/tessera/packed, or in --cache=FOLDER: the next start finds them there");
    return app.option("--model", model, "model folder, or org/name in the Hugging Face cache of this machine");
  }
  tessera::Context context() const {
    if (device != "cpu")
      throw Failure{kOther, "--device " + device + ": this build has no cuda; leave the option out to use the cpu"};
    auto made = or_exit(kOther, [&] { return tessera::Context(tessera::ContextOptions{.threads = threads, .fast = fast}); });
    if (fast && !tessera::has_matrix_unit(made.isa()))
      say(std::string("note: --fast: no matrix unit here (instruction set ") + isa_name(made.isa()) +
          "): results are the usual ones");
    return made;
  }
  /// f(options of the load), with its errors as a refused model.
  template <class F>
  auto load(tessera::Context& ctx, const F& f) const {
    using namespace tessera;
    const auto kept = cache.empty() ? nullptr : or_exit(kOther, [&] { return open_cache(cache); });
    models::LoadOptions options{.allow_nonfinite = allow_nonfinite, .cache = kept.get(), .weights = weights_of(dtype)};
    if (!attention.empty()) options.causal = attention == "causal";
    auto loaded = or_refuse([&] { return f(options); });
    if (kept) {
      try {
        kept->save(ctx);
      } catch (const Error& e) {  // it costs the next start some time, and this one nothing
        say(std::string("note: --cache: ") + e.what());
      }
    }
    return loaded;
  }
};

/// One command of the tool: adds its options to `app`; run() gives the exit code.
void add_embed(Command& app, int& exit);
void add_forward(Command& app, int& exit);
void add_generate(Command& app, int& exit);
void add_tokenize(Command& app, int& exit);
void add_inspect(Command& app, int& exit);
void add_preprocess(Command& app, int& exit);
void add_classify(Command& app, int& exit);
void add_index(Command& app, int& exit);
void add_search(Command& app, int& exit);
void add_eval(Command& app, int& exit);
void add_rerank(Command& app, int& exit);
void add_merge(Command& app, int& exit);
void add_attention(Command& app, int& exit);
void add_maxsim(Command& app, int& exit);
void add_bench(Command& app, int& exit);

}  // namespace tool
