/* The header is C99, and a C program can use the library: program MODEL prints the length of an embedding and its square
 * sum. */
#include <tessera/capi.h>

#include <stdio.h>
#include <stdlib.h>

static int failed(const char* call) { return fprintf(stderr, "%s: %s\n", call, tessera_last_error()), 1; }

int main(int argc, char** argv) {
  const char* text = "the cat";
  const int64_t bytes = 7;
  tessera_context* context = NULL;
  tessera_text_encoder* encoder = NULL;
  int64_t dim = 0, i;
  float* out;
  double sum = 0;
  if (argc != 2 || tessera_abi_version() != TESSERA_ABI_VERSION) return 2;
  if (tessera_context_create(1, &context) != TESSERA_OK) return failed("context");
  if (tessera_text_encoder_load(context, argv[1], TESSERA_F32, &encoder) != TESSERA_OK) return failed("load");
  if (tessera_text_encoder_dim(encoder, NULL, &dim) != TESSERA_OK) return failed("dim");
  out = (float*)malloc((size_t)dim * sizeof *out);
  if (!out) return 1;
  if (tessera_text_encoder_embed(context, encoder, &text, &bytes, 1, NULL, out, dim) != TESSERA_OK) return failed("embed");
  for (i = 0; i < dim; ++i) sum += (double)out[i] * (double)out[i];
  printf("%d %.4f\n", (int)dim, sum);
  free(out);
  tessera_text_encoder_destroy(encoder);
  tessera_context_destroy(context);
  return 0;
}
