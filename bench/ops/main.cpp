// tessera_bench: every kernel over the shapes of named encoders. See bench/README.md.
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <tessera/version.hpp>

#include "measure.hpp"
#include "table.hpp"

int main(int argc, char** argv) {
  auto& settings = tessera::bench::settings();
  bool own_table = true;
  int kept = 1;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--all") == 0) {
      settings.all = true;
      continue;
    }
    if (std::strncmp(argv[i], "--seconds=", 10) == 0) {
      char* end = nullptr;
      settings.seconds = std::strtod(argv[i] + 10, &end);
      if (*end || !(settings.seconds > 0)) {
        std::fprintf(stderr, "tessera_bench: %s: a number of seconds above 0 is expected\n", argv[i]);
        return 2;
      }
      continue;
    }
    if (std::strncmp(argv[i], "--benchmark_filter", 18) == 0) settings.all = true;  // the filter chooses
    if (std::strncmp(argv[i], "--benchmark_format", 18) == 0) own_table = false;
    argv[kept++] = argv[i];
  }
  argc = kept;
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  std::string isas;
  for (const tessera::Isa isa : tessera::available_isas()) isas += (isas.empty() ? "" : " ") + std::string(isa_name(isa));
  benchmark::AddCustomContext("instruction sets", isas);
  for (const auto add_rows : tessera::bench::Family::list()) add_rows(tessera::bench::Rows());
  tessera::bench::Table table;
  benchmark::RunSpecifiedBenchmarks(own_table ? &table : nullptr);
  benchmark::Shutdown();
  return settings.wrong ? 1 : 0;
}
