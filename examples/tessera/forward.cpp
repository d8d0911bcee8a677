// tessera forward: the tool for checking a model against another program. Tensors in and out bear transformers' names.
#include <algorithm>
#include <cstring>
#include <iterator>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "forward.hpp"

namespace tool {

using namespace tessera;

std::optional<std::vector<std::int32_t>> integers(const io::SafeTensors& file, const char* name, index_t& rows,
                                                  index_t& columns) {
  const AnyView* v = file.find(name);
  if (!v) return std::nullopt;
  const std::string what = file.name() + ": tensor " + name;
  if (v->rank != 2 || (v->dtype != DType::i64 && v->dtype != DType::i32))
    throw Failure{kOther, what + " must be [batch, tokens] of I64 or I32"};
  if (rows < 0) rows = v->extent[0], columns = v->extent[1];
  if (v->extent[0] != rows || v->extent[1] != columns)
    throw Failure{kOther, what + " has another shape than [" + std::to_string(rows) + ", " + std::to_string(columns) +
                              "], which the tensors beside it ask for"};
  std::vector<std::int32_t> out(static_cast<std::size_t>(rows * columns));
  for (std::size_t i = 0; i < out.size(); ++i) {
    std::int64_t x = 0;
    if (v->dtype == DType::i64) {
      std::memcpy(&x, v->data + 8 * i, 8);
    } else {
      std::int32_t y = 0;
      std::memcpy(&y, v->data + 4 * i, 4);
      x = y;
    }
    if (x < INT32_MIN || x > INT32_MAX) throw Failure{kOther, what + " holds " + std::to_string(x)};
    out[i] = static_cast<std::int32_t>(x);
  }
  return out;
}

std::string hidden_state_of(const std::string& tap) {
  if (tap == "embeddings") return "hidden_states.0";
  if (tap.starts_with("layers.") && tap.ends_with(".output") && tap.find('.', 7) == tap.size() - 7)
    return "hidden_states." + std::to_string(std::stol(tap.substr(7)) + 1);
  return {};
}

void write_outputs(Context& ctx, const ForwardOptions& o, const std::vector<io::NamedTensor>& tensors) {
  for (const auto& t : tensors)
    if (!ops::all_finite(ctx, View<const float, 1>(reinterpret_cast<const float*>(t.view.data), t.view.size())))
      throw Failure{kNonFinite, o.in + ": " + t.name + " holds NaN or infinity; nothing is written"};
  or_exit(kOutput, [&] { io::write_safetensors(o.out, tensors); });
}

namespace {

/// Refuses a tensor that would be left unread, such as a name with a typing mistake.
void check_names(const io::SafeTensors& file) {
  static constexpr const char* kKnown[] = {"input_ids",    "attention_mask",       "token_type_ids", "position_ids",
                                           "pixel_values", "pixel_attention_mask", "spatial_shapes"};
  for (const std::string& name : file.names()) {
    const bool of_images = name == "pixel_attention_mask" || name == "spatial_shapes";
    if (std::find(std::begin(kKnown), std::end(kKnown), name) == std::end(kKnown) ||
        (of_images && !file.find("pixel_values")))
      throw Failure{kOther, file.name() + ": tensor " + name +
                                " is not read; known: input_ids, attention_mask, token_type_ids, position_ids, "
                                "pixel_values, and beside it pixel_attention_mask, spatial_shapes"};
  }
  if (!file.find("input_ids") && !file.find("pixel_values"))
    throw Failure{kOther, file.name() + ": no tensor input_ids, and none pixel_values"};
}

/// Outputs as they are made, each padded [B, T, C].
struct Outputs {
  const models::PaddedBatch& batch;
  index_t rows, columns;
  std::list<std::vector<float>> memory;
  std::vector<io::NamedTensor> tensors;

  void add(const std::string& name, View<const float, 2> packed) {
    const index_t c = packed.extent[1];
    auto& padded = memory.emplace_back(static_cast<std::size_t>(rows * columns * c));
    batch.scatter(packed, View<float, 2>(padded.data(), rows * columns, c));
    tensors.push_back({name, io::any_view(View<const float, 3>(padded.data(), rows, columns, c))});
  }
  static void sink(void* self, const char* name, View<const float, 2> value) {
    if (const std::string state = hidden_state_of(name); !state.empty()) static_cast<Outputs*>(self)->add(state, value);
  }
};

int run_forward(const ForwardOptions& o) {
  Context ctx = o.run.context();
  const auto in = or_exit(kOther, [&] { return io::SafeTensors::open(o.in); });
  check_names(in);
  if (in.find("pixel_values")) return forward_images(ctx, o, in);
  index_t rows = -1, columns = -1;
  const auto ids = integers(in, "input_ids", rows, columns);
  const auto mask = integers(in, "attention_mask", rows, columns), types = integers(in, "token_type_ids", rows, columns),
             positions = integers(in, "position_ids", rows, columns);
  const auto view = [&](const auto& v) {
    return v ? View<const std::int32_t, 2>(v->data(), rows, columns) : View<const std::int32_t, 2>();
  };
  const auto model = o.run.load(ctx, [&](const models::LoadOptions& load) {
    return models::load_text_model(ctx, io::ModelFolder::open(o.run.model), load);
  });
  const models::PaddedBatch batch(model.transformer->config(), view(ids), view(mask), view(types), view(positions));
  const index_t c = model.transformer->width();
  Outputs outputs{batch, rows, columns, {}, {}};
  const Taps taps{"*", Outputs::sink, &outputs};
  models::ForwardOptions forward;
  if (o.hidden_states) forward.taps = &taps;
  std::vector<float> packed(static_cast<std::size_t>(batch.tokens() * c));
  const View<float, 2> hidden(packed.data(), batch.tokens(), c);
  or_exit(kOther, [&] { model.transformer->forward(ctx, batch.inputs(), hidden, forward); });
  outputs.add("last_hidden_state", hidden);
  std::vector<float> pooled(static_cast<std::size_t>(rows * c));
  if (model.pooler) {
    const View<float, 2> p(pooled.data(), rows, c);
    model.pool_first(ctx, hidden, batch.cu_seqlens(), p);
    for (index_t b = 0; b < rows; ++b)
      if (!batch.has_first(b)) std::fill_n(p[b].data, c, 0.f);
    outputs.tensors.push_back({"pooler_output", io::any_view(View<const float, 2>(p))});
  }
  std::vector<float> embeds;
  if (model.head) {
    const index_t e = model.head->projection.linear.weight.n();
    embeds.resize(static_cast<std::size_t>(rows * e));
    const View<float, 2> out(embeds.data(), rows, e);
    model.embed(ctx, hidden, batch.inputs().ids, batch.cu_seqlens(), out);
    outputs.tensors.push_back({"text_embeds", io::any_view(View<const float, 2>(out))});
  }
  write_outputs(ctx, o, outputs.tensors);
  return kDone;
}

}  // namespace

void add_forward(Command& app, int& exit) {
  auto o = std::make_shared<ForwardOptions>();
  o->run.add_to(app);
  app.option("in", o->in,
             "safetensors file with pixel_values, or input_ids and, if wanted, attention_mask, token_type_ids, "
             "position_ids; both for a\n"
             "model of images and texts")
      .required();
  app.option("out", o->out, "safetensors file to write").required();
  app.flag("--hidden-states", o->hidden_states, "also hidden_states.0 (the embeddings) to hidden_states.L");
  app.runs([o] { return run_forward(*o); }, exit);
}

}  // namespace tool
