// Where and how work runs: device, instruction set, threads, scratch. Passed first to every operation, never global.
//
// What may be shared between threads:
//  - A Context belongs to one thread at a time. Make one per thread; they share nothing.
//  - Loaded models, tokenizers, checkpoints and packed weights are const after loading: any number of threads may use
//    one at once, each with its own Context.
//  - Buffers and views are plain memory: concurrent reads are fine, and so are writes to disjoint parts.
//  - A Taps sink is called by the thread that called the model.
#pragma once
#include <tessera/core/buffer.hpp>
#include <tessera/core/isa.hpp>

namespace tessera {

enum class Device : unsigned char { cpu, cuda };

/// A caller's own thread pool. parallel_for must call task(arg, i) once for each i in [0, n), in any order and on any
/// threads, and return when all are done.
struct Executor {
  void* state = nullptr;
  void (*parallel_for)(void* state, int n, void (*task)(void* arg, int i), void* arg) = nullptr;
  int concurrency = 1;  ///< how many tasks may truly run at once
};

struct ContextOptions {
  Device device = Device::cpu;
  int threads = 0;           ///< 0: as many as the processors that this process may use
  const Isa* isa = nullptr;  ///< null: default_isa(), which TESSERA_ISA overrides
  Executor executor = {};    ///< used instead of own threads when parallel_for is set
  bool fast = false;         ///< weights of bf16 may be multiplied in another order: by the ISA's matrix unit, if it has one
};

class Context {
 public:
  Context() : Context(ContextOptions{}) {}
  /// \throws Error kUnsupported for an ISA or device that is not there, kBadArgument for threads outside 0..1024.
  explicit Context(const ContextOptions& options);
  explicit Context(int threads) : Context(ContextOptions{.threads = threads}) {}
  Context(Isa isa, int threads) : Context(ContextOptions{.threads = threads, .isa = &isa}) {}
  Context(Context&& o) noexcept : state_(o.state_) { o.state_ = nullptr; }
  Context& operator=(Context&&) = delete;
  ~Context();

  Device device() const noexcept;
  Isa isa() const noexcept;
  bool fast() const noexcept;
  int threads() const noexcept;
  /// Whether it has several threads and they are its own, not an executor's: then a load may use another one for a while.
  bool has_own_threads() const noexcept;
  /// Scratch of this context; operations carve from it and give back before they return.
  Arena& arena() noexcept;

  /// task(arg, i, lane) for each i in [0, n), claimed in order by up to threads() lanes in the fixed floating-point mode.
  /// A lane runs one task at a time, so it may index scratch. The first exception of a task is rethrown here.
  void parallel_for(index_t n, void (*task)(void* arg, index_t i, int lane), void* arg);
  /// The same for a callable f(i, lane).
  template <class F>
  void parallel_for(index_t n, F&& f) {
    parallel_for(
        n, [](void* a, index_t i, int lane) { (*static_cast<std::remove_reference_t<F>*>(a))(i, lane); },
        const_cast<void*>(static_cast<const void*>(&f)));
  }
  /// A single-threaded context for use inside tasks of that lane: own arena, same ISA. Made on first call, kept.
  Context& lane(int i);

 private:
  struct State;
  struct Serial {};
  Context(Serial, const State& whole);
  State* state_ = nullptr;
};

}  // namespace tessera

#ifndef TESSERA_COMPILED
#include <tessera/core/context-inl.hpp>
#endif
