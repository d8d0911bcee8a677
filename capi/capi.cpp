// <tessera/capi.h> over the C++ interface: null pointers and sizes are checked here, everything else where it always is.
#include <tessera/capi.h>

#include <algorithm>
#include <cstring>
#include <new>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <tessera/core/error.hpp>
#include <tessera/io/digest.hpp>
#include <tessera/models/image_encoder.hpp>
#include <tessera/models/text_encoder.hpp>
#include <tessera/retrieval/corpus.hpp>
#include <tessera/version.hpp>
#ifdef TESSERA_CAPI_IMAGE
#include <tessera/image/codec/decode.hpp>
#endif

using namespace tessera;

struct tessera_context {
  Context context;
};
struct tessera_text_encoder {
  models::TextEncoder encoder;
};
struct tessera_image_encoder {
  models::ImageEncoder encoder;
};
struct tessera_corpus {
  retrieval::Corpus corpus;
};

namespace {

static_assert(sizeof(index_t) == sizeof(std::int64_t));
constexpr tessera_status status_of(Code code) { return 1 + static_cast<tessera_status>(code); }
static_assert(status_of(Code::kBadArgument) == TESSERA_BAD_ARGUMENT && status_of(Code::kBadStride) == TESSERA_BAD_STRIDE &&
              status_of(Code::kNotFound) == TESSERA_NOT_FOUND && status_of(Code::kFormat) == TESSERA_FORMAT &&
              status_of(Code::kLimit) == TESSERA_LIMIT && status_of(Code::kCancelled) == TESSERA_CANCELLED);

thread_local std::optional<Error> last_error;

/// Runs the body of a call; what it throws becomes a status and the thread's last error.
template <class F>
tessera_status guarded(F&& body) noexcept {
  try {
    body();
    return TESSERA_OK;
  } catch (const Error& e) {
    last_error.emplace(e);
    return status_of(e.code());
  } catch (const std::bad_alloc&) {
    last_error.emplace(Code::kLimit, "out of memory");
    return TESSERA_OUT_OF_MEMORY;
  } catch (const std::exception& e) {
    last_error.emplace(Code::kUnsupported, e.what());
  } catch (...) {
    last_error.emplace(Code::kUnsupported, "an exception of an unknown kind");
  }
  return TESSERA_INTERNAL;
}

template <class T>
T& need(T* pointer, std::string_view name) {
  if (!pointer) throw Error(Code::kBadArgument, {name, " is null"});
  return *pointer;
}

std::int64_t not_negative(std::int64_t value, std::string_view name) {
  if (value < 0) throw Error(Code::kBadArgument, {name, ": ", std::to_string(value)});
  return value;
}

/// An array of `size` elements, which is null only if there are none.
template <class T>
std::span<T> array(T* data, std::int64_t size, std::string_view name) {
  if (not_negative(size, name) > 0) need(data, name);
  return {data, static_cast<std::size_t>(size)};
}

std::int64_t product(std::int64_t a, std::int64_t b, std::string_view what) {
  std::int64_t n = 0;
  if (__builtin_mul_overflow(a, b, &n)) throw Error(Code::kLimit, {what, ": more numbers than memory has"});
  return n;
}

/// Texts or files as the caller has them: pointers, and lengths beside them.
template <class Char>
std::vector<std::string_view> inputs(const Char* const* data, const std::int64_t* bytes, std::int64_t count,
                                     std::string_view name) {
  const auto pointers = array(data, count, name);
  const auto lengths = array(bytes, count, "bytes");
  std::vector<std::string_view> all;
  for (std::size_t i = 0; i < pointers.size(); ++i) {
    const auto one = array(static_cast<const char*>(pointers[i]), lengths[i], std::string(name) + ", " + std::to_string(i));
    all.emplace_back(one.data(), one.size());
  }
  return all;
}

std::span<float> output(float* out, std::int64_t out_size, std::int64_t count, std::int64_t dim) {
  if (out_size != product(count, dim, "out"))
    throw Error(Code::kShapeMismatch, {"out: room for ", std::to_string(out_size), " numbers, expected ",
                                       std::to_string(count), " rows of ", std::to_string(dim)});
  return array(out, out_size, "out");
}

models::LoadOptions load_options(std::int32_t dtype) {
  if (dtype < TESSERA_F32 || dtype > TESSERA_INT8)
    throw Error(Code::kBadArgument,
                {"dtype: ", std::to_string(dtype), " is none of TESSERA_F32, TESSERA_BF16, TESSERA_INT8"});
  return {.weights = dtype == TESSERA_F32 ? DType::f32 : dtype == TESSERA_BF16 ? DType::bf16 : DType::i8};
}

models::EmbedOptions options_of(const tessera_text_options* from) {
  models::EmbedOptions o;
  if (!from) return o;
  if (from->prompt && from->prompt_name) throw Error(Code::kBadArgument, "prompt and prompt_name: one of them, not both");
  if (from->prompt) o.prompt = from->prompt;
  if (from->prompt_name) o.prompt_name = from->prompt_name;
  o.max_length = not_negative(from->max_length, "max_length"), o.dims = not_negative(from->dims, "dims");
  o.normalize = from->raw == 0;
  o.force_dims = from->force_dims != 0;
  return o;
}

#ifdef TESSERA_CAPI_IMAGE
models::ImageEmbedOptions options_of(const tessera_image_options* from) {
  models::ImageEmbedOptions o;
  if (from) o.dims = not_negative(from->dims, "dims"), o.normalize = from->raw == 0;
  return o;
}

/// Decoded and brought to the model's size by all threads, one picture each at a time: whole ones are large.
std::vector<image::PreparedImage> prepare(Context& ctx, const models::ImageEncoder& encoder,
                                          std::span<const std::string_view> files, std::size_t first) {
  std::vector<image::PreparedImage> prepared(files.size());
  std::vector<std::optional<Error>> errors(files.size());
  for (int lane = 0; lane < ctx.threads(); ++lane) (void)ctx.lane(lane);  // made here: tasks must not
  ctx.parallel_for(static_cast<index_t>(files.size()), [&](index_t i, int lane) {
    const auto at = static_cast<std::size_t>(i);
    try {
      const std::string name = "file " + std::to_string(first + at);
      prepared[at] = encoder.prepare(ctx.lane(lane), image::decode(std::as_bytes(std::span(files[at])), {}, name));
    } catch (const Error& e) {
      errors[at].emplace(e);
    }
  });
  for (const auto& e : errors)
    if (e) throw Error(*e);
  return prepared;
}

models::Embeddings embed(Context& ctx, const models::ImageEncoder& encoder, std::span<const std::string_view> files,
                         const models::ImageEmbedOptions& o) {
  models::Embeddings e;
  e.rows = static_cast<index_t>(files.size()), e.dim = encoder.dim(o);
  e.values.resize(static_cast<std::size_t>(e.rows * e.dim));
  const models::ImageModel& m = encoder.model();
  const index_t usual = m.prefix_tokens + m.image_height / m.patch.height * (m.image_width / m.patch.width);
  const auto full = static_cast<std::size_t>(std::max<index_t>(1, o.batch_tokens / usual));
  for (std::size_t b = 0; b < files.size(); b += full) {
    const auto prepared = prepare(ctx, encoder, files.subspan(b, std::min(full, files.size() - b)), b);
    const auto n = static_cast<index_t>(prepared.size());
    encoder.embed_prepared(ctx, prepared, o, View<float, 2>(e.values.data() + static_cast<index_t>(b) * e.dim, n, e.dim));
  }
  models::detail::expect_finite(ctx, e, "image");
  return e;
}
#else
[[noreturn]] void no_images() {
  throw Error(Code::kUnsupported, "this libtessera was built without image libraries: configure with TESSERA_IMAGE=ON");
}
#endif

}  // namespace

extern "C" {

std::int32_t tessera_abi_version(void) { return TESSERA_ABI_VERSION; }

const char* tessera_last_error(void) { return last_error ? last_error->what() : ""; }

#define TESSERA_QUOTED(x) #x
#define TESSERA_TEXT_OF(x) TESSERA_QUOTED(x)
const char* tessera_version(void) {
  return TESSERA_TEXT_OF(TESSERA_VERSION_MAJOR) "." TESSERA_TEXT_OF(TESSERA_VERSION_MINOR) "." TESSERA_TEXT_OF(
      TESSERA_VERSION_PATCH);
}

tessera_status tessera_digest(const void* const* parts, const std::int64_t* bytes, std::int64_t count, char hex[17]) {
  return guarded([&] {
    const auto all = inputs(parts, bytes, count, "parts");
    need(hex, "hex");
    io::Digest digest;
    for (const std::string_view part : all) digest.add(part);
    std::memcpy(hex, digest.hex().c_str(), 17);
  });
}

tessera_status tessera_context_create(std::int32_t threads, tessera_context** context) {
  return guarded([&] {
    auto& to = need(context, "context");
    to = new tessera_context{Context(threads)};
  });
}

void tessera_context_destroy(tessera_context* context) { delete context; }

std::int32_t tessera_context_threads(const tessera_context* context) { return context ? context->context.threads() : 0; }

tessera_status tessera_text_encoder_load(tessera_context* context, const char* path, std::int32_t dtype,
                                         tessera_text_encoder** encoder) {
  return guarded([&] {
    auto& to = need(encoder, "encoder");
    to = new tessera_text_encoder{
        models::TextEncoder::load(need(context, "context").context, &need(path, "path"), load_options(dtype))};
  });
}

void tessera_text_encoder_destroy(tessera_text_encoder* encoder) { delete encoder; }

tessera_status tessera_text_encoder_dim(const tessera_text_encoder* encoder, const tessera_text_options* options,
                                        std::int64_t* dim) {
  return guarded([&] { need(dim, "dim") = need(encoder, "encoder").encoder.dim(options_of(options)); });
}

tessera_status tessera_text_encoder_embed(tessera_context* context, const tessera_text_encoder* encoder,
                                          const char* const* texts, const std::int64_t* bytes, std::int64_t count,
                                          const tessera_text_options* options, float* out, std::int64_t out_size) {
  return guarded([&] {
    const auto& from = need(encoder, "encoder").encoder;
    const auto o = options_of(options);
    const auto all = inputs(texts, bytes, count, "texts");
    const auto to = output(out, out_size, count, from.dim(o));
    const auto found = from.embed(need(context, "context").context, all, o);
    std::copy(found.values.begin(), found.values.end(), to.begin());
  });
}

#ifdef TESSERA_CAPI_IMAGE
tessera_status tessera_image_encoder_load(tessera_context* context, const char* path, std::int32_t dtype,
                                          tessera_image_encoder** encoder) {
  return guarded([&] {
    auto& to = need(encoder, "encoder");
    to = new tessera_image_encoder{
        models::ImageEncoder::load(need(context, "context").context, &need(path, "path"), load_options(dtype))};
  });
}

tessera_status tessera_image_encoder_dim(const tessera_image_encoder* encoder, const tessera_image_options* options,
                                         std::int64_t* dim) {
  return guarded([&] { need(dim, "dim") = need(encoder, "encoder").encoder.dim(options_of(options)); });
}

tessera_status tessera_image_encoder_embed(tessera_context* context, const tessera_image_encoder* encoder,
                                           const void* const* files, const std::int64_t* bytes, std::int64_t count,
                                           const tessera_image_options* options, float* out, std::int64_t out_size) {
  return guarded([&] {
    const auto& from = need(encoder, "encoder").encoder;
    const auto o = options_of(options);
    const auto all = inputs(files, bytes, count, "files");
    const auto to = output(out, out_size, count, from.dim(o));
    const auto found = embed(need(context, "context").context, from, all, o);
    std::copy(found.values.begin(), found.values.end(), to.begin());
  });
}
#else
tessera_status tessera_image_encoder_load(tessera_context*, const char*, std::int32_t, tessera_image_encoder**) {
  return guarded(no_images);
}

tessera_status tessera_image_encoder_dim(const tessera_image_encoder*, const tessera_image_options*, std::int64_t*) {
  return guarded(no_images);
}

tessera_status tessera_image_encoder_embed(tessera_context*, const tessera_image_encoder*, const void* const*,
                                           const std::int64_t*, std::int64_t, const tessera_image_options*, float*,
                                           std::int64_t) {
  return guarded(no_images);
}
#endif

void tessera_image_encoder_destroy(tessera_image_encoder* encoder) { delete encoder; }

tessera_status tessera_corpus_open(const char* path, tessera_corpus** corpus) {
  return guarded([&] {
    auto& to = need(corpus, "corpus");
    to = new tessera_corpus{retrieval::Corpus::open(&need(path, "path"))};
  });
}

void tessera_corpus_destroy(tessera_corpus* corpus) { delete corpus; }

tessera_status tessera_corpus_size(const tessera_corpus* corpus, std::int64_t* rows, std::int64_t* removed,
                                   std::int64_t* dim) {
  return guarded([&] {
    const auto& from = need(corpus, "corpus").corpus;
    need(rows, "rows"), need(removed, "removed"), need(dim, "dim");
    *rows = from.rows(), *removed = from.removed(), *dim = from.format().dim;
  });
}

tessera_status tessera_corpus_document(const tessera_corpus* corpus, std::int64_t id, const char** text,
                                       std::int64_t* bytes) {
  return guarded([&] {
    need(text, "text"), need(bytes, "bytes");
    const std::string_view found = need(corpus, "corpus").corpus.document(id);
    *text = found.data(), *bytes = static_cast<std::int64_t>(found.size());
  });
}

tessera_status tessera_corpus_search(tessera_context* context, const tessera_corpus* corpus, const float* queries,
                                     std::int64_t batch, std::int64_t dim, std::int64_t k, const std::uint64_t* allowed,
                                     std::int64_t allowed_words, float least, std::int64_t* ids, float* scores,
                                     std::int64_t* counts) {
  return guarded([&] {
    const auto& from = need(corpus, "corpus").corpus;
    Context& ctx = need(context, "context").context;
    if (dim < 1 || k < 1)
      throw Error(Code::kBadArgument, {"dim and k must be positive, not ", std::to_string(dim), " and ", std::to_string(k)});
    const auto counted = array(counts, batch, "counts");
    array(queries, product(batch, dim, "queries"), "queries");
    const std::int64_t size = product(batch, k, "ids");
    product(size, sizeof(index_t), "ids");
    array(ids, size, "ids"), array(scores, size, "scores");
    // An array of no words would mean that all are allowed.
    const auto words = array(allowed, allowed_words, "allowed");
    if (allowed && words.size() != static_cast<std::size_t>((from.rows() + 63) / 64))
      throw Error(Code::kShapeMismatch,
                  {"allowed: ", std::to_string(allowed_words), " words, the ", std::to_string(from.rows()), " rows ask for ",
                   std::to_string((from.rows() + 63) / 64)});
    from.search(
        ctx, View<const float, 2>(queries, batch, dim), {.allowed = words, .least = least},
        {View<float, 2>(scores, batch, k), View<index_t, 2>(ids, batch, k), View<index_t, 1>(counted.data(), batch)});
  });
}

}  // extern "C"
