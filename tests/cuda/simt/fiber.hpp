// One thread of a kernel: a stack of its own that runs until it has to wait.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>

#if !defined(__x86_64__)
#include <ucontext.h>
#endif
#if defined(__SANITIZE_ADDRESS__)
#define TESSERA_SIMT_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TESSERA_SIMT_ASAN 1
#endif
#endif
#if defined(TESSERA_SIMT_ASAN)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace tessera::simt {

#if defined(__x86_64__)
// Keeps this stack's registers and goes on with another one: swapcontext() without its two system calls.
[[gnu::naked, gnu::noinline]] inline void switch_stack(void** /*keep*/, void* /*to*/) {
  asm("pushq %rbp\n pushq %rbx\n pushq %r12\n pushq %r13\n pushq %r14\n pushq %r15\n"
      "movq %rsp, (%rdi)\n movq %rsi, %rsp\n"
      "popq %r15\n popq %r14\n popq %r13\n popq %r12\n popq %rbx\n popq %rbp\n ret");
}
#endif

/// Runs `body(argument)` on its own stack; body must end by yield(), never by returning.
class Fiber {
 public:
  /// Not a power of two, so that the tops of all stacks do not contend for the same lines of the caches.
  static constexpr std::size_t kStack = 64 * 1024 + 9 * 64;

  void start(void (*body)(void*), void* argument) {
    body_ = body, argument_ = argument;
    if (!stack_) stack_ = std::make_unique_for_overwrite<std::byte[]>(kStack);
#if defined(TESSERA_SIMT_ASAN)
    __asan_unpoison_memory_region(stack_.get(), kStack);  // frames of a body that was abandoned
#endif
#if defined(__x86_64__)
    const auto top = (reinterpret_cast<std::uintptr_t>(stack_.get()) + kStack) & ~std::uintptr_t{15};
    auto* const words = reinterpret_cast<void**>(top) - 8;  // six registers, where to go on, and a return address of nobody
    for (int i = 0; i < 8; ++i) words[i] = nullptr;
    words[6] = reinterpret_cast<void*>(&enter);
    at_ = words;
#else
    getcontext(&at_);
    at_.uc_stack.ss_sp = stack_.get();
    at_.uc_stack.ss_size = kStack;
    at_.uc_link = nullptr;
    makecontext(&at_, &enter, 0);
#endif
  }

  /// Runs it until it yields.
  void resume() {
    current() = this;
#if defined(TESSERA_SIMT_ASAN)
    void* fake = nullptr;
    __sanitizer_start_switch_fiber(&fake, stack_.get(), kStack);
#endif
    go(home_, at_);
#if defined(TESSERA_SIMT_ASAN)
    __sanitizer_finish_switch_fiber(fake, nullptr, nullptr);
#endif
  }

  /// Back to who resumed it; on its own stack.
  void yield() {
#if defined(TESSERA_SIMT_ASAN)
    void* fake = nullptr;
    __sanitizer_start_switch_fiber(&fake, home_stack_, home_size_);
#endif
    go(at_, home_);
#if defined(TESSERA_SIMT_ASAN)
    __sanitizer_finish_switch_fiber(fake, &home_stack_, &home_size_);
#endif
  }

 private:
#if defined(__x86_64__)
  using Context = void*;
  static void go(Context& keep, const Context& to) { switch_stack(&keep, to); }
#else
  using Context = ucontext_t;
  static void go(Context& keep, const Context& to) { swapcontext(&keep, &to); }
#endif
  static Fiber*& current() {
    static thread_local Fiber* fiber = nullptr;
    return fiber;
  }
  static void enter() {
    Fiber* const self = current();
#if defined(TESSERA_SIMT_ASAN)
    __sanitizer_finish_switch_fiber(nullptr, &self->home_stack_, &self->home_size_);
#endif
    self->body_(self->argument_);
  }

  std::unique_ptr<std::byte[]> stack_;
  Context home_{}, at_{};
  void (*body_)(void*) = nullptr;
  void* argument_ = nullptr;
#if defined(TESSERA_SIMT_ASAN)
  const void* home_stack_ = nullptr;
  std::size_t home_size_ = 0;
#endif
};

}  // namespace tessera::simt
