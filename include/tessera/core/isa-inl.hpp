#pragma once
#include <cstdlib>
#include <cstring>
#include <string>

#include <tessera/core/isa.hpp>

namespace tessera {

inline Isa isa_from_name(const char* name) {
  std::string known;
  for (const Isa isa : available_isas()) {
    if (std::strcmp(isa_name(isa), name) == 0) return isa;
    known += known.empty() ? "" : ", ";
    known += isa_name(isa);
  }
  throw Error(Code::kUnsupported, {"instruction set '", name, "': this build on this machine has ", known});
}

inline Isa default_isa() {
  const char* forced = std::getenv("TESSERA_ISA");  // NOLINT(concurrency-mt-unsafe): read once per Context, before threads
  if (forced && *forced) try {
      return isa_from_name(forced);
    } catch (const Error& e) {
      throw Error(e.code(), {"TESSERA_ISA: ", e.what()});
    }
  const IsaList list = available_isas();
  return list.isa[list.count - 1];
}

}  // namespace tessera
