/* tessera from C, and from whatever calls C: encoders and corpora behind opaque handles. Link with -ltessera.
 *
 * Every call that can fail returns TESSERA_OK or another tessera_status; tessera_last_error() then says what was wrong, and
 * nothing was written to what the call would have filled (but where memory ran out, which may leave part of a search's
 * answer). No exception leaves a call, and a null pointer is a bad argument.
 *
 * Memory: arrays are the caller's, packed, and read or written during the call only. Texts are UTF-8, with a length in bytes
 * and no NUL at the end; only paths and prompts end with one. Whatever *_load, *_open or *_create made is given back once to
 * its *_destroy, in any order; null is accepted there.
 *
 * Threads: a context belongs to one thread at a time. Encoders and corpora are const once loaded: any number of threads may
 * use one at once, each with its own context. Results have the same bits whatever the batch and the threads.
 */
#ifndef TESSERA_CAPI_H
#define TESSERA_CAPI_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Changes whenever a function, a struct or a meaning here does: a program that was built for another one must not call on.
 */
#define TESSERA_ABI_VERSION 1
int32_t tessera_abi_version(void);

typedef int32_t tessera_status;
enum {
  TESSERA_OK = 0,
  TESSERA_BAD_ARGUMENT = 1,   /* a value outside what the function accepts */
  TESSERA_SHAPE_MISMATCH = 2, /* sizes that do not fit each other */
  TESSERA_BAD_STRIDE = 3,
  TESSERA_UNSUPPORTED = 4, /* well-formed, but not something this build or machine can do */
  TESSERA_NOT_FOUND = 5,   /* a file, tensor or field that is not there */
  TESSERA_IO = 6,          /* the operating system refused to read */
  TESSERA_FORMAT = 7,      /* bytes that are not what their format demands */
  TESSERA_NON_FINITE = 8,  /* NaN or infinity where a finite number is required */
  TESSERA_LIMIT = 9,       /* larger than a stated limit */
  TESSERA_CANCELLED = 10,
  TESSERA_OUT_OF_MEMORY = 11,
  TESSERA_INTERNAL = 12 /* a mistake of the library */
};

/* The sentence of the last call that failed in this thread, "" if none did; valid until the next one fails. */
const char* tessera_last_error(void);

/* The version of the library, as "1.2.3". */
const char* tessera_version(void);
/* What the manifests of `tessera embed --shard` call a digest, of byte strings one after the other: 16 hexadecimal digits and a
 * NUL. It tells whether something changed; it is not for adversaries. */
tessera_status tessera_digest(const void* const* parts, const int64_t* bytes, int64_t count, char hex[17]);

/* Context: threads, instruction set, scratch. */
typedef struct tessera_context tessera_context;
/* threads: 0 for as many as the processors that this process may use; at most 1024. */
tessera_status tessera_context_create(int32_t threads, tessera_context** context);
void tessera_context_destroy(tessera_context* context);
int32_t tessera_context_threads(const tessera_context* context); /* 0 of null */

/* What the matrices of linear layers are held as. */
enum { TESSERA_F32 = 0, TESSERA_BF16 = 1, TESSERA_INT8 = 2 };

/* Text to embedding. */
typedef struct tessera_text_encoder tessera_text_encoder;

/* All zeros, or a null pointer to it: what the model's folder says. */
typedef struct tessera_text_options {
  const char* prompt;      /* put before every text; "" for none, whatever the folder's default */
  const char* prompt_name; /* one of the folder's prompts; not together with prompt */
  int64_t max_length;      /* tokens that a text is cut to, specials included */
  int64_t dims;            /* keep the first so many numbers and normalise again (Matryoshka) */
  int32_t raw;             /* not 0: leave out the folder's final normalisation */
  int32_t force_dims;      /* not 0: dims also where the folder does not say that its embeddings may be cut */
} tessera_text_options;

/* path: a model folder, or org/name in an existing Hugging Face cache; nothing is downloaded. */
tessera_status tessera_text_encoder_load(tessera_context* context, const char* path, int32_t dtype,
                                         tessera_text_encoder** encoder);
void tessera_text_encoder_destroy(tessera_text_encoder* encoder);
tessera_status tessera_text_encoder_dim(const tessera_text_encoder* encoder, const tessera_text_options* options,
                                        int64_t* dim);
/* out: [count, dim] of out_size numbers, which must be just that many. */
tessera_status tessera_text_encoder_embed(tessera_context* context, const tessera_text_encoder* encoder,
                                          const char* const* texts, const int64_t* bytes, int64_t count,
                                          const tessera_text_options* options, float* out, int64_t out_size);

/* Image to embedding: TESSERA_UNSUPPORTED in a build without the image libraries. */
typedef struct tessera_image_encoder tessera_image_encoder;

typedef struct tessera_image_options {
  int64_t dims; /* as those of texts */
  int32_t raw;  /* not 0: as the model gives it, not of length 1 */
} tessera_image_options;

tessera_status tessera_image_encoder_load(tessera_context* context, const char* path, int32_t dtype,
                                          tessera_image_encoder** encoder);
void tessera_image_encoder_destroy(tessera_image_encoder* encoder);
tessera_status tessera_image_encoder_dim(const tessera_image_encoder* encoder, const tessera_image_options* options,
                                         int64_t* dim);
/* files: the bytes of JPEG, PNG, WebP, BMP or PNM files. The first that cannot be decoded is named by its number. */
tessera_status tessera_image_encoder_embed(tessera_context* context, const tessera_image_encoder* encoder,
                                           const void* const* files, const int64_t* bytes, int64_t count,
                                           const tessera_image_options* options, float* out, int64_t out_size);

/* A corpus made by `tessera index`. */
typedef struct tessera_corpus tessera_corpus;

/* As it is now: what is added or removed later is seen by the next tessera_corpus_open(). */
tessera_status tessera_corpus_open(const char* path, tessera_corpus** corpus);
void tessera_corpus_destroy(tessera_corpus* corpus);
/* rows: that were ever added; ids are 0 .. rows - 1. removed: how many of them are gone. dim: numbers of a row. */
tessera_status tessera_corpus_size(const tessera_corpus* corpus, int64_t* rows, int64_t* removed, int64_t* dim);
/* The JSON object that came with a row, of no bytes where none did; not ended by NUL, and valid as long as the corpus. */
tessera_status tessera_corpus_document(const tessera_corpus* corpus, int64_t id, const char** text, int64_t* bytes);
/* The k best rows for each query, the larger inner product first, of equal ones the lower id; exact.
 * queries: [batch, dim]. allowed: null, or ceil(rows / 64) words: bit r % 64 of word r / 64 says whether row r may be found.
 * least: lower scores are not found; -INFINITY for all. ids, scores: [batch, k]; counts: [batch], how many were found,
 * behind which ids are -1 and scores -INFINITY. */
tessera_status tessera_corpus_search(tessera_context* context, const tessera_corpus* corpus, const float* queries,
                                     int64_t batch, int64_t dim, int64_t k, const uint64_t* allowed, int64_t allowed_words,
                                     float least, int64_t* ids, float* scores, int64_t* counts);

#ifdef __cplusplus
}
#endif

#endif
