// tessera tokenize: one JSON object a line of standard input.
#include <cerrno>
#include <cstdio>
#include <memory>
#include <string>

#include "lines.hpp"
#include "tool.hpp"

namespace tool {

namespace {

struct TokenizeOptions {
  std::string model;
  bool no_special = false, no_truncation = false, jsonl = false;
};

int run_tokenize(const TokenizeOptions& o) {
  using namespace tessera;
  auto tokenizer = or_exit(kRefused, [&] { return text::Tokenizer::load(io::ModelFolder::open(o.model).root()); });
  text::EncodeOptions encode;
  encode.add_special_tokens = !o.no_special;
  encode.truncation = !o.no_truncation;
  encode.padding = false;
  Lines lines("-", o.jsonl);
  bool skipped = false;
  std::string line;
  for (long number = 1; lines.next_raw(line); ++number) {
    text::Encoding e;
    try {
      if (!o.jsonl) {
        e = tokenizer.encode(line, encode);
      } else {
        const io::Json json = io::parse_json(line, "the line");
        if (json.is_string())
          e = tokenizer.encode(json.get<std::string>(), encode);
        else if (json.is_object() && json.contains("pair") && !json["pair"].is_null())
          e = tokenizer.encode_pair(io::get_string(json, "text"), io::get_string(json, "pair"), encode);
        else
          e = tokenizer.encode(io::get_string(json, "text"), encode);
      }
    } catch (const Error& error) {
      std::fprintf(stderr, "tessera: line %ld skipped: %s\n", number, error.what());
      skipped = true;
      continue;
    }
    io::Json tokens = io::Json::array();
    for (const auto id : e.ids) tokens.push_back(std::string(tokenizer.id_to_token(id)));
    const io::Json out = {{"ids", e.ids}, {"tokens", tokens}, {"offsets", e.offsets}};
    const std::string text = out.dump(-1, ' ', false, io::Json::error_handler_t::replace) + "\n";
    if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size())
      throw Failure{kOutput, "standard output cannot be written"};
  }
  if (std::fflush(stdout) != 0) throw Failure{kOutput, "standard output cannot be written"};
  return skipped ? kSkipped : kDone;
}

}  // namespace

void add_tokenize(CLI::App& app, int& exit) {
  auto o = std::make_shared<TokenizeOptions>();
  app.add_option("--model", o->model, "model folder, or org/name in the Hugging Face cache of this machine")->required();
  app.add_flag("--no-special-tokens", o->no_special, "only the tokens of the text");
  app.add_flag("--no-truncation", o->no_truncation, "the whole text, whatever its length");
  app.add_flag("--jsonl", o->jsonl, R"(each line is a JSON string or {"text": ..., "pair": ...})");
  app.callback([o, &exit] { exit = run_tokenize(*o); });
}

}  // namespace tool
