// tessera generate: what a decoder says next, greedily, one JSON object a text.
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <tessera/models/causal_lm.hpp>

#include "embed_output.hpp"
#include "json_line.hpp"
#include "lines.hpp"
#include "progress.hpp"
#include "signals.hpp"
#include "tool.hpp"

namespace tool {

namespace {

using namespace tessera;

struct GenerateCommand {
  RunOptions run;
  std::string text;
  models::GenerateOptions generate;
  bool jsonl = false, no_special = false, ignore_eos = false;
};

int run_generate(const GenerateCommand& o) {
  catch_signals();
  Context ctx = o.run.context();
  const auto lm =
      o.run.load(ctx, [&](const models::LoadOptions& load) { return models::CausalLm::load(ctx, o.run.model, load); });
  const text::Tokenizer* const tokenizer = lm.tokenizer();
  if (!tokenizer) throw Failure{kRefused, o.run.model + ": no tokenizer.json, which texts need"};
  models::GenerateOptions options = o.generate;
  options.stop_at_eos = !o.ignore_eos;
  Lines lines(o.text, o.jsonl);
  Progress progress("texts");
  bool skipped = false, nonfinite = false;
  long long done = 0;
  const text::EncodeOptions encode{.add_special_tokens = !o.no_special, .truncation = false, .padding = false};
  const auto skip = [&](const std::string& reason) {
    progress.clear();
    say(lines.where() + " skipped: " + reason);
    skipped = true;
  };
  std::string line, text, why;
  while (lines.next_raw(line)) {
    progress.update(done, lines.fraction());
    if (!lines.text(line, text, why)) {
      skip(why);
      continue;
    }
    std::vector<std::int32_t> made;
    try {
      const auto e = tokenizer->encode(text, encode);
      const std::vector<std::int32_t> ids(e.ids.begin(), e.ids.end());
      made = lm.generate(ctx, View<const std::int32_t, 1>(ids.data(), static_cast<index_t>(ids.size())), options);
    } catch (const Error& e) {
      skip(e.what());
      nonfinite = nonfinite || e.code() == Code::kNonFinite;
      continue;
    }
    progress.clear();
    print_line("{\"text\": " + json_of(tokenizer->decode(std::vector<text::TokenId>(made.begin(), made.end()))) +
               ", \"ids\": " + json_of(made) + "}");
    ++done;
  }
  finish_stdout();
  if (interrupted()) {
    say("stopped by a signal; the lines that were printed are whole");
    return signal_exit();
  }
  return outcome(skipped, nonfinite);
}

}  // namespace

void add_generate(Command& app, int& exit) {
  auto o = std::make_shared<GenerateCommand>();
  o->run.add_to(app);
  app.option("--text", o->text, "text file, one text a line; - for standard input").required();
  app.flag("--jsonl", o->jsonl, kJsonlHelp);
  app.option("--max-new-tokens", o->generate.max_new_tokens, "tokens that follow a text at most")
      .range(1, 1 << 24)
      .shows_default();
  app.flag("--ignore-eos", o->ignore_eos, "go on behind the model's end tokens");
  app.flag("--no-special-tokens", o->no_special, "put nothing before the text: it says itself what begins it");
  app.runs([o] { return run_generate(*o); }, exit);
}

}  // namespace tool
