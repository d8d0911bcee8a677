// Prints one line a result: what it is of, its size, and a digest of its bytes. Every build of this program, by any compiler
// at any optimisation level, on any instruction set with any number of threads, must print the same lines: compare.sh builds
// it in many ways and compares. Headers only, and nothing but the standard library.
//
//   dump [THREADS [other-mode]]      TESSERA_ISA chooses the instruction set
//
// other-mode: each call is made by a thread in flush-to-zero and round-up mode, which must come back untouched.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "support/fp_state.hpp"
#include "support/jobs.hpp"
#include "support/stack.hpp"

namespace {

using namespace tessera;
using namespace tessera::test;

std::vector<Job> jobs() {
  std::vector<Job> all;
  for (const std::uint64_t seed : {1U, 2U})
    for (Job& job : drawn_jobs(seed)) all.push_back(std::move(job));
  for (const SmallStack& s : small_stacks()) {
    const auto few = std::make_shared<Texts>(std::vector<index_t>{1, 17, 0, 33, 8}, s.config.vocab_size, 5);
    for (const DType type : {DType::bf16, DType::i8}) {
      const auto rounded = std::make_shared<StackData>(s.config, s.parts, 3, type);
      all.push_back({std::string(dtype_name(type)) + " encoder " + s.name,
                     [=](Context& ctx) { return forward(rounded->model(ctx), ctx, few->inputs()); }});
    }
    for (const bool many : {false, true}) {  // a few sequences, and enough for groups that run side by side
      const auto data = std::make_shared<StackData>(s.config, s.parts, 3);
      Random random(4);
      std::vector<index_t> lengths{1, 17, 0, 33, 8};
      for (int i = 0; many && i < 20; ++i) lengths.push_back(random.in(1, 60));
      const auto texts = std::make_shared<Texts>(lengths, s.config.vocab_size, 5);
      all.push_back(
          {std::string("encoder ") + s.name, [=](Context& ctx) { return forward(data->model(ctx), ctx, texts->inputs()); }});
      if (s.config.block.attention.causal) continue;
      all.push_back({std::string("merging encoder ") + s.name, [=](Context& ctx) {
                       Matrix out(texts->tokens(), s.config.block.channels, 0);
                       const auto left = data->model(ctx).forward_merged(ctx, texts->inputs(), out.out(),
                                                                         {.policy = models::tome({3, -0.5}), .prefix = 1});
                       const index_t rows = left.cu_seqlens.back();  // what is behind them is anything
                       Matrix kept(rows, s.config.block.channels, 0);
                       std::copy_n(out.data(), rows * kept.columns, kept.data());
                       return kept;
                     }});
    }
  }
  return all;
}

void print(const std::string& name, const Matrix& out) {
  std::uint64_t digest = 0xcbf29ce484222325U;
  for (const std::uint32_t bits : promised_bits(out)) {
    digest = (digest ^ bits) * 0x100000001b3U;
    digest ^= digest >> 29;
  }
  std::printf("%s %lldx%lld %016llx\n", name.c_str(), static_cast<long long>(out.rows), static_cast<long long>(out.columns),
              static_cast<unsigned long long>(digest));
}

}  // namespace

int main(int argc, char** argv) {
  Context ctx(argc > 1 ? std::atoi(argv[1]) : 1);
  const bool other_mode = argc > 2 && std::strcmp(argv[2], "other-mode") == 0;
  for (const Job& job : jobs()) {  // the inputs were drawn in the usual mode
    Matrix out;
    {
      std::optional<OtherFpMode> mode;
      if (other_mode) mode.emplace(kFlushToZero | kRoundUp);
      const FpState before = fp_state();
      out = job.run(ctx);
      if (other_mode && !(fp_state() == before)) std::printf("%s: the caller's mode did not come back\n", job.name.c_str());
    }
    print(job.name, out);
  }
}
