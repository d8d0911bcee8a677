// Somebody else's program over the shared library: of all of tessera it sees one header of C.
#include <cstring>

#include <tessera/capi.h>

int main() {
  tessera_context* context = nullptr;
  if (tessera_context_create(-1, &context) != TESSERA_BAD_ARGUMENT || !std::strstr(tessera_last_error(), "threads"))
    return 1;
  return tessera_abi_version() == TESSERA_ABI_VERSION ? 0 : 1;
}
