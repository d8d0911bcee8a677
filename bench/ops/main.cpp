// tessera_bench: every kernel over the shapes of named encoders. See bench/README.md.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <regex>

#include "measure.hpp"
#include "table.hpp"

namespace {

bool starts_with(const char* text, const char* prefix, const char*& rest) {
  const std::size_t n = std::strlen(prefix);
  rest = text + n;
  return std::strncmp(text, prefix, n) == 0;
}

}  // namespace

int main(int argc, char** argv) {
  auto& settings = tessera::bench::settings();
  settings.wanted = [](const std::string&, bool main_row) { return main_row; };
  bool own_table = true;
  int kept = 1;
  for (int i = 1; i < argc; ++i) {
    const char* rest = nullptr;
    if (std::strcmp(argv[i], "--all") == 0) {
      settings.wanted = [](const std::string&, bool) { return true; };
    } else if (starts_with(argv[i], "--benchmark_filter=", rest)) {
      // Applied here, to the plain names: the library would match them with its own endings.
      const bool refuse = *rest == '-';
      try {
        const std::regex filter(rest + (refuse ? 1 : 0), std::regex::extended);
        settings.wanted = [=](const std::string& name, bool) { return std::regex_search(name, filter) != refuse; };
      } catch (const std::regex_error& e) {
        std::fprintf(stderr, "tessera_bench: %s: %s\n", argv[i], e.what());
        return 2;
      }
    } else if (starts_with(argv[i], "--seconds=", rest)) {
      char* end = nullptr;
      settings.seconds = std::strtod(rest, &end);
      if (*end || !(settings.seconds > 0)) {
        std::fprintf(stderr, "tessera_bench: %s: a number of seconds above 0 is expected\n", argv[i]);
        return 2;
      }
    } else {
      if (starts_with(argv[i], "--benchmark_format", rest)) own_table = false;
      argv[kept++] = argv[i];
    }
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
