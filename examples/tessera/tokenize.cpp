// tessera tokenize: one JSON object a line of standard input.
#include <cstdio>
#include <memory>
#include <string>

#include "lines.hpp"
#include "tool.hpp"

namespace tool {

namespace {

using namespace tessera;

struct TokenizeOptions {
  std::string model;
  bool no_special = false, no_truncation = false, jsonl = false;
};

/// What a line asks for, encoded. \throws Failure saying why it cannot be.
text::Encoding encode_line(const text::Tokenizer& tokenizer, const std::string& line, bool jsonl,
                           const text::EncodeOptions& options) {
  if (!jsonl) return tokenizer.encode(line, options);
  io::Json json;
  std::string why;
  if (!Lines::json(line, json, why)) throw Failure{kSkipped, why};
  if (json.is_string()) return tokenizer.encode(json.get<std::string>(), options);
  const bool object = json.is_object(), pair = object && json.contains("pair") && !json["pair"].is_null();
  if (!object || !json.contains("text") || !json["text"].is_string() || (pair && !json["pair"].is_string()))
    throw Failure{kSkipped, R"(expected a JSON string or {"text": "...", "pair": "..."})"};
  const auto first = json["text"].get<std::string>();
  return pair ? tokenizer.encode_pair(first, json["pair"].get<std::string>(), options) : tokenizer.encode(first, options);
}

int run_tokenize(const TokenizeOptions& o) {
  const auto tokenizer = or_refuse([&] { return text::Tokenizer::load(io::ModelFolder::open(o.model).root()); });
  text::EncodeOptions encode;
  encode.add_special_tokens = !o.no_special;
  encode.truncation = !o.no_truncation;
  encode.padding = false;
  Lines lines("-", o.jsonl);
  bool skipped = false;
  std::string line;
  while (lines.next_raw(line)) {
    text::Encoding e;
    try {
      e = or_exit(kSkipped, [&] { return encode_line(tokenizer, line, o.jsonl, encode); });
    } catch (const Failure& f) {
      say(lines.where() + " skipped: " + f.sentence);
      skipped = true;
      continue;
    }
    io::Json tokens = io::Json::array();
    for (const auto id : e.ids) tokens.push_back(std::string(tokenizer.id_to_token(id)));
    const io::Json out = {{"ids", e.ids}, {"tokens", tokens}, {"offsets", e.offsets}};
    print_line(out.dump(-1, ' ', false, io::Json::error_handler_t::replace));
  }
  return skipped ? kSkipped : kDone;
}

}  // namespace

void add_tokenize(Command& app, int& exit) {
  auto o = std::make_shared<TokenizeOptions>();
  app.option("--model", o->model, "model folder, or org/name in the Hugging Face cache of this machine").required();
  app.flag("--no-special-tokens", o->no_special, "only the tokens of the text");
  app.flag("--no-truncation", o->no_truncation, "the whole text, whatever its length");
  app.flag("--jsonl", o->jsonl, R"(each line is a JSON string or {"text": ..., "pair": ...})");
  app.runs([o] { return run_tokenize(*o); }, exit);
}

}  // namespace tool
