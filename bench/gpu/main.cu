// gpu_check's program: `list` names its cases, `NAME` runs one for three seeds and prints lines of JSON, the last one with
// "wrong", empty where all is right; `NAME quick` is one seed without times. Ends with 0, or 1 where something is wrong.
#include "bench/gpu/check.hpp"

int main(int count, char** words) {
  using namespace tessera::gpu_check;
  const std::string name = count > 1 ? words[1] : "";
  const bool quick = count == 3 && std::string(words[2]) == "quick";
  if (name == "list") {
    for (const Case& c : cases()) std::printf("%s\n", c.name);
    return 0;
  }
  for (const Case& c : cases()) {
    if (name != c.name) continue;
    for (std::uint64_t seed = 1; seed <= (quick ? 1U : 3U); ++seed) {
      Check check(seed, seed == 1 && !quick);
      c.run(check);
      if (check.wrong().empty()) continue;
      std::printf("{\"wrong\": \"seed %d: %s\"}\n", static_cast<int>(seed), check.wrong().c_str());
      return 1;
    }
    std::printf("{\"wrong\": \"\"}\n");
    return 0;
  }
  std::fprintf(stderr, "usage: gpu_check_cases list | NAME [quick]\n");
  return 2;
}
