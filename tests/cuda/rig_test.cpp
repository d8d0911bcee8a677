// The rig itself: kernels that are wrong in one way each must be found wrong, whatever the seed.
#include <tessera/cuda/ptx.cuh>

#include "cuda/simt/block.hpp"

namespace tessera::test {
namespace {

namespace gpu = kernels::cuda;
using simt::Tensor;

std::string seen(int threads, std::size_t bytes, std::uint64_t seed, const std::function<void()>& kernel) {
  return simt::run({.threads = threads, .shared_bytes = bytes, .seed = seed}, kernel);
}
gpu::shared_t at(int i) { return gpu::dynamic_shared() + static_cast<gpu::shared_t>(4 * i); }

void expect_found(const char* what, int threads, std::size_t bytes, const std::function<void()>& kernel) {
  for (std::uint64_t seed = 0; seed < 6; ++seed) {
    const std::string found = seen(threads, bytes, seed, kernel);
    EXPECT_NE(found.find(what), std::string::npos) << "seed " << seed << ": '" << found << "' instead of " << what;
  }
}

TEST(CudaRig, ExchangeThroughSharedMemory) {
  for (std::uint64_t seed = 0; seed < 6; ++seed) {
    Tensor<float> out(simt::Use<float>::output, 1, 96);
    EXPECT_EQ(seen(96, 96 * 4, seed,
                   [&] {
                     const int t = gpu::thread_index();
                     gpu::store_shared(at(t), static_cast<float>(t));
                     gpu::sync_threads();
                     gpu::store_global(out.data() + t, gpu::load_shared<float>(at(95 - t)));
                   }),
              "");
    EXPECT_TRUE(out.written_exactly());
    for (index_t i = 0; i < 96; ++i) EXPECT_EQ(out.at(0, i), static_cast<float>(95 - i));
  }
}
TEST(CudaRig, FindsAMissingBarrier) {
  const auto kernel = [] {
    const int t = gpu::thread_index();
    gpu::store_shared(at(t), 1.0f);
    static_cast<void>(gpu::load_shared<float>(at(63 - t)));
  };
  for (std::uint64_t seed = 0; seed < 6; ++seed) EXPECT_NE(seen(64, 64 * 4, seed, kernel), "");
}
TEST(CudaRig, FindsReadsBeforeAndAfterAWrite) {
  expect_found("with no barrier between", 64, 64 * 4, [] {
    const int t = gpu::thread_index();
    gpu::store_shared(at(t), 1.0f);
    gpu::sync_threads();
    static_cast<void>(gpu::load_shared<float>(at(63 - t)));
    gpu::store_shared(at(t), 2.0f);
  });
  // A barrier of one warp orders nothing for another one.
  expect_found("with no barrier between", 64, 64 * 4, [] {
    const int t = gpu::thread_index();
    gpu::store_shared(at(t), 1.0f);
    gpu::sync_threads();
    gpu::store_shared(at(t), 2.0f);
    gpu::sync_warp();
    static_cast<void>(gpu::load_shared<float>(at(63 - t)));
  });
}
TEST(CudaRig, FindsWhatNobodyWrote) {
  expect_found("which nobody wrote", 32, 128, [] { static_cast<void>(gpu::load_shared<float>(at(3))); });
}
TEST(CudaRig, FindsAddressesOutside) {
  expect_found("of shared memory", 32, 128, [] { gpu::store_shared(at(gpu::thread_index() + 1), 1.0f); });
  expect_found("not a multiple of 8", 32, 128, [] { static_cast<void>(gpu::load_shared<double>(at(1))); });
  Tensor<float> in(simt::Use<float>::input, 2, 5, 3);
  expect_found("outside of a tensor", 32, 0, [&] { static_cast<void>(gpu::load_global(in.data() + 5)); });
  expect_found("outside of a tensor", 32, 0, [&] { static_cast<void>(gpu::load_global(in.data() + 16)); });
  expect_found("a write to an input", 32, 0, [&] { gpu::store_global(in.data(), 1.0f); });
  expect_found("not a multiple of the access'", 32, 0,
               [&] { static_cast<void>(gpu::load_global(reinterpret_cast<const std::uint64_t*>(in.data() + 1))); });
  static const float other[4] = {};
  expect_found("of no tensor", 32, 0, [&] { static_cast<void>(gpu::load_global(other)); });
}
TEST(CudaRig, FindsHangs) {
  expect_found("no thread can go on: 32 threads from 0 to 31 have ended; 32 threads from 32 to 63 wait in sync_threads", 64,
               0, [] {
                 if (gpu::thread_index() >= 32) gpu::sync_threads();
               });
  expect_found("31 threads from 1 to 31 wait in shuffle", 32, 0, [] {
    if (gpu::thread_index() != 0) static_cast<void>(gpu::shuffle_xor(0, 1));
  });
  expect_found("wait in sync_named", 64, 0, [] { gpu::sync_named(1, 96); });
  expect_found("while others are in", 32, 0, [] {
    if (gpu::thread_index() == 7) {
      static_cast<void>(gpu::ballot(true));
    } else {
      static_cast<void>(gpu::shuffle_xor(0, 1));
    }
  });
}

// A copy by cp.async: into its place before it is waited for, beside another one, or never waited for.
TEST(CudaRig, CopiesAreThereWhenWaitedFor) {
  Tensor<float> in(simt::Use<float>::input, 32, 4);
  in.fill([](index_t r, index_t c) { return static_cast<float>(4 * r + c); });
  const auto copies = [&](int threads_that_wait, bool meet, int bytes = 16) {
    const int t = gpu::thread_index();
    gpu::copy_async_16(at(4 * t), in.data() + 4 * t, bytes);
    gpu::copy_async_commit();
    if (t < threads_that_wait) gpu::copy_async_wait<0>();
    if (meet) gpu::sync_threads();
    const auto x = gpu::load_shared<float>(at(4 * (31 - t) + 1));
    if (x != (bytes >= 8 ? static_cast<float>(4 * (31 - t) + 1) : 0.0f)) gpu::rig().fail("sees a wrong number");
    if (t >= threads_that_wait) gpu::copy_async_wait<0>();
  };
  for (std::uint64_t seed = 0; seed < 6; ++seed) {
    EXPECT_EQ(seen(32, 512, seed, [&] { copies(32, true); }), "");
    EXPECT_EQ(seen(32, 512, seed, [&] { copies(32, true, 6); }), "");
    EXPECT_NE(seen(32, 512, seed, [&] { copies(32, false); }), "");
  }
  for (std::uint64_t seed = 0; seed < 6; ++seed) EXPECT_NE(seen(32, 512, seed, [&] { copies(31, true); }), "");
  expect_found("nobody waited for", 32, 512, [&] {
    if (gpu::thread_index() == 9) gpu::copy_async_16(at(0), in.data(), 16);
  });
  expect_found("outside of a tensor", 32, 512, [&] { gpu::copy_async_16(at(0), in.data() + 128, 16); });
  expect_found("not a multiple of 16", 32, 512, [&] { gpu::copy_async_16(at(1), in.data(), 16); });
  expect_found("not a multiple of 16", 32, 512, [&] { gpu::copy_async_16(at(0), in.data() + 1, 8); });
  EXPECT_EQ(seen(32, 512, 1,
                 [&] {  // nothing is read of no bytes
                   gpu::copy_async_16(at(4 * gpu::thread_index()), in.data() + 4000, 0);
                   gpu::copy_async_commit();
                   gpu::copy_async_wait<0>();
                 }),
            "");
}
// With two groups under way, waiting for all but one leaves the later one out.
TEST(CudaRig, GroupsOfCopiesAreWaitedForInOrder) {
  Tensor<float> in(simt::Use<float>::input, 32, 4);
  in.fill([](index_t, index_t) { return 1.0f; });
  const auto read_group = [&](int which) {
    const int t = gpu::thread_index();
    for (int group = 0; group < 2; ++group) {
      gpu::copy_async_16(at(4 * (32 * group + t)), in.data() + 4 * t, 16);
      gpu::copy_async_commit();
    }
    gpu::copy_async_wait<1>();
    gpu::sync_threads();
    static_cast<void>(gpu::load_shared<float>(at(4 * (32 * which + t))));
    gpu::copy_async_wait<0>();
  };
  for (std::uint64_t seed = 0; seed < 6; ++seed) EXPECT_EQ(seen(32, 1024, seed, [&] { read_group(0); }), "");
  expect_found("is under way", 32, 1024, [&] { read_group(1); });
}
// What an engine does comes at once, late or in between, and always before the block ends.
TEST(CudaRig, EnginesComeToAnEnd) {
  std::set<int> done_at_once;
  for (std::uint64_t seed = 0; seed < 6; ++seed) {
    int done = 0;
    std::uint64_t word = 0;
    EXPECT_EQ(seen(32, 0, seed,
                   [&] {
                     if (gpu::thread_index() == 0) gpu::rig().begin([&] { ++done, ++word; });
                     if (gpu::thread_index() == 0) done_at_once.insert(done);
                     gpu::rig().wait_while(word, 0, "engine");
                     if (done != 1) gpu::rig().fail("went on too early");
                   }),
              "");
    EXPECT_EQ(done, 1);
  }
  EXPECT_EQ(done_at_once, (std::set<int>{0, 1}));
}
// Warps run in different orders, and one gets ahead of another as far as barriers let it.
TEST(CudaRig, OrdersDiffer) {
  std::set<int> first;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    int who = -1;
    EXPECT_EQ(seen(128, 0, seed,
                   [&] {
                     if (who < 0) who = gpu::thread_index() / 32;
                   }),
              "");
    first.insert(who);
  }
  EXPECT_EQ(first.size(), 4U);
}

}  // namespace
}  // namespace tessera::test
