// Runs kernels on the host: a block is one fiber a thread, which goes on until it has to wait for others. Who goes on next,
// and when a copy really happens, is drawn from a seed, as unkindly as the machine would be allowed to do. What no order of
// events may depend on is checked besides: every access, races, and that all come to an end.
//
// Kernels come here through the headers of shadow/, which stand in for those with PTX.
#pragma once
#include <array>
#include <functional>
#include <map>
#include <set>

#include "cuda/simt/fiber.hpp"
#include "cuda/simt/memory.hpp"
#include "cuda/simt/shared_memory.hpp"
#include "support/random.hpp"

namespace tessera::simt {

struct Launch {
  int blocks = 1, threads = 32;
  std::size_t shared_bytes = 0;
  std::uint64_t seed = 0;
  int blocks_y = 1;
};

/// Threads that meet: a barrier, or the lanes of a warp that do something together.
struct Meeting {
  int arrived = 0;
  std::uint64_t turn = 0;  ///< how often all have met: who waits, waits for it to change
  const char* what = nullptr;
  Clock gathered, released;
};

class Block {
 public:
  struct Thread {
    Fiber fiber;
    bool done = false;
    const std::uint64_t* word = nullptr;  ///< waits while it is `value`; null: can go on
    std::uint64_t value = 0;
    const char* what = "";
    Clock clock;
    struct Copy {
      std::uint32_t to;
      const void* from;
      int bytes;
      bool made;
    };
    std::vector<Copy> started;
    std::vector<std::vector<Copy>> groups;  ///< committed, the oldest first
  };
  struct Warp {
    Meeting meeting;
    std::array<void*, 32> lanes{};  ///< what each lane brings to the meeting
  };

  /// What other headers of the rig keep with a block; simt/engines.hpp.
  struct Beside {
    virtual ~Beside() = default;
    virtual std::string wrong_at_end(int thread) = 0;  ///< asked when a thread ends
  };

  Block(const Launch& launch, int index, int index_y, const std::function<void()>& kernel)
      : shared(launch.shared_bytes, launch.threads),
        random(launch.seed * 1000003 + static_cast<std::uint64_t>(index) * 31 + static_cast<std::uint64_t>(index_y)),
        x(index),
        y(index_y),
        grid(launch.blocks),
        haste_(static_cast<Haste>(launch.seed % 3)),
        kernel_(kernel),
        threads_(pool(launch.threads)),
        warps_(static_cast<std::size_t>((launch.threads + 31) / 32)) {
    const int n = launch.threads;
    for (int t = 0; t < n; ++t) {
      Thread& thread = threads_[static_cast<std::size_t>(t)];
      thread.done = false, thread.word = nullptr;
      thread.started.clear(), thread.groups.clear();
      thread.clock = Clock(n);
      thread.clock.tick(t);
      order_.push_back(t);
    }
    for (Meeting& m : barriers_) m.gathered = m.released = Clock(n);
    for (Warp& w : warps_) w.meeting.gathered = w.meeting.released = Clock(n);
  }

  static Block*& now() {
    static Block* block = nullptr;
    return block;
  }

  /// Runs all threads to their end; empty, or what went wrong.
  std::string run() {
    now() = this;
    for (std::size_t t = 0; t < count(); ++t) threads_[t].fiber.start(&Block::thread_body, this);
    shuffle();
    std::size_t left = count();
    while (left > 0 && failure_.empty()) {
      if (random.in(0, 31) == 0) shuffle();
      if (!engines_.empty() && haste_ == Haste::any && random.in(0, 7) == 0) finish_one();
      Thread* next = nullptr;
      for (const int t : order_) {
        Thread& thread = threads_[static_cast<std::size_t>(t)];
        if (thread.done || (thread.word && *thread.word == thread.value)) continue;
        next = &thread, running_ = t;
        break;
      }
      if (!next) {
        if (engines_.empty()) {
          failure_ = "no thread can go on: " + waits();
        } else {
          finish_one();
        }
        continue;
      }
      next->word = nullptr;
      next->fiber.resume();
      left -= next->done ? 1 : 0;
    }
    while (failure_.empty() && !engines_.empty()) finish_one();
    now() = nullptr;
    return failure_;
  }

  // ---- what the shadowed primitives are made of; called on a fiber ----
  int thread() const { return running_; }
  int lane() const { return running_ % 32; }
  Warp& warp() { return warps_[static_cast<std::size_t>(running_ / 32)]; }
  Thread& self() { return threads_[static_cast<std::size_t>(running_)]; }
  int threads() const { return static_cast<int>(count()); }

  /// Ends this thread, and the block with it.
  [[noreturn]] void fail(const std::string& why) {
    failure_ = "block " + std::to_string(x) + (y != 0 ? ", " + std::to_string(y) : "") + ", thread " +
               std::to_string(running_) + " " + why;
    throw Failed{};
  }
  void require(const std::string& wrong) {
    if (!wrong.empty()) fail(wrong);
  }
  /// The same for what engines do, which may not be on a fiber: comes back.
  void report(const std::string& wrong) {
    if (!wrong.empty() && failure_.empty()) failure_ = "block " + std::to_string(x) + ": " + wrong;
  }
  /// Comes back when the word is no longer `value`. `what` is for the report of a hang.
  void wait_while(const std::uint64_t& word, std::uint64_t value, const char* what) {
    Thread& me = self();
    me.word = &word, me.value = value, me.what = what;
    me.fiber.yield();
  }
  /// Waits for `expected` threads to meet; the last one runs `together` for all. `orders`: whether what they did before is
  /// then visible to all of them.
  template <class F>
  void meet(Meeting& m, int expected, const char* what, bool orders, const F& together) {
    if (m.arrived == 0) m.what = what;
    if (std::strcmp(m.what, what) != 0) fail(std::string("comes to ") + what + " while others are in " + m.what);
    if (orders) m.gathered.join(self().clock);
    if (++m.arrived == expected) {
      together();
      m.arrived = 0;
      if (orders) m.released = m.gathered, m.gathered.clear();
      ++m.turn;
    } else {
      wait_while(m.turn, m.turn, what);
    }
    if (orders) {
      self().clock.join(m.released);
      self().clock.tick(running_);
    }
  }
  Meeting& barrier(int i) { return barriers_.at(static_cast<std::size_t>(i)); }

  /// All lanes of a warp bring something and one of them, when all are there, does what they do together.
  template <class T, class F>
  void together(const char* what, T& mine, const F& work) {
    Warp& w = warp();
    w.lanes[static_cast<std::size_t>(lane())] = &mine;
    meet(w.meeting, 32, what, false, [&] {
      std::array<T*, 32> all;
      for (std::size_t i = 0; i < 32; ++i) all[i] = static_cast<T*>(w.lanes[i]);
      work(all);
    });
  }

  // ---- copies that threads start and wait for themselves (cp.async) ----
  void start_copy(std::uint32_t to, const void* from, int bytes) {
    require(shared.wrong_with(to, 16, 16));
    if (bytes < 0 || bytes > 16) fail("copies " + std::to_string(bytes) + " of 16 bytes");
    if (reinterpret_cast<std::uintptr_t>(from) % 16 != 0) fail("copies from an address that is not a multiple of 16 bytes");
    for (int i = 0; i < bytes; i += 2) {
      const std::string wrong = simt::wrong_with(static_cast<const char*>(from) + i, 2, false);
      if (!wrong.empty()) fail("copies from " + wrong);
    }
    require(shared.write(to, 16, running_, self().clock, true));
    Thread::Copy copy{to, from, bytes, false};
    if (haste_ == Haste::at_once || (haste_ == Haste::any && random.in(0, 1) == 0)) make(copy);
    self().started.push_back(copy);
  }
  void commit_copies() {
    self().groups.push_back(std::move(self().started));
    self().started.clear();
  }
  void wait_for_copies(int pending) {
    auto& groups = self().groups;
    while (groups.size() > static_cast<std::size_t>(pending)) {
      for (Thread::Copy& c : groups.front()) {
        make(c);
        shared.land(c.to, 16, running_, self().clock);
      }
      groups.erase(groups.begin());
    }
  }

  // ---- engines beside the threads ----
  /// Something that will be done at some moment from now on: at once, when nothing else can go on, or in between.
  void begin(std::function<void()> work) {
    if (haste_ == Haste::at_once) return work();
    engines_.push_back(std::move(work));
  }

  SharedMemory shared;
  test::Random random;
  const int x, y, grid;
  std::unique_ptr<Beside> beside;

 private:
  enum class Haste { at_once, late, any };
  struct Failed {};

  static std::vector<Thread>& pool(int threads) {  // stacks are kept from block to block
    static std::map<int, std::vector<Thread>> pools;
    std::vector<Thread>& pool = pools[threads];
    if (pool.empty()) pool = std::vector<Thread>(static_cast<std::size_t>(threads));
    return pool;
  }
  static void thread_body(void* block) {
    auto* const self = static_cast<Block*>(block);
    Thread& me = self->self();
    try {
      self->kernel_();
      const auto open = [](const std::vector<Thread::Copy>& group) { return !group.empty(); };
      if (open(me.started) || std::any_of(me.groups.begin(), me.groups.end(), open))
        self->fail("ends with copies that nobody waited for");
      if (self->beside) self->require(self->beside->wrong_at_end(self->thread()));
    } catch (const Failed&) {  // run() finds why
    }
    me.done = true;
    me.fiber.yield();
  }
  void make(Thread::Copy& c) {
    if (c.made) return;
    unsigned char* const to = shared.at(c.to);
    std::memset(to, 0, 16);
    if (c.bytes > 0) std::memcpy(to, c.from, static_cast<std::size_t>(c.bytes));
    c.made = true;
  }
  void finish_one() {
    const auto i = static_cast<std::size_t>(random.in(0, static_cast<index_t>(engines_.size()) - 1));
    const std::function<void()> work = std::move(engines_[i]);
    engines_.erase(engines_.begin() + static_cast<std::ptrdiff_t>(i));
    work();
  }
  /// A new order of who goes first: warps, and lanes in them.
  void shuffle() {
    std::vector<std::uint64_t> of_warp(warps_.size()), of_thread(count());
    for (auto& k : of_warp) k = random.next() >> 20;
    for (auto& k : of_thread) k = random.next() >> 20;
    std::sort(order_.begin(), order_.end(), [&](int a, int b) {
      const auto key = [&](int t) {
        return std::pair(of_warp[static_cast<std::size_t>(t / 32)], of_thread[static_cast<std::size_t>(t)]);
      };
      return key(a) < key(b);
    });
  }
  std::string waits() const {
    std::map<std::string, std::vector<int>> who;
    for (std::size_t t = 0; t < count(); ++t)
      who[threads_[t].done ? "have ended" : std::string("wait in ") + threads_[t].what].push_back(static_cast<int>(t));
    std::string text;
    for (const auto& [what, list] : who)
      text += (text.empty() ? "" : "; ") + std::to_string(list.size()) + " threads from " + std::to_string(list.front()) +
              " to " + std::to_string(list.back()) + " " + what;
    return text;
  }
  std::size_t count() const { return threads_.size(); }

  Haste haste_;
  const std::function<void()>& kernel_;
  std::vector<Thread>& threads_;
  std::vector<Warp> warps_;
  std::array<Meeting, 16> barriers_;
  std::vector<int> order_;
  int running_ = 0;
  std::vector<std::function<void()>> engines_;
  std::string failure_;
};

/// Runs all blocks of a grid, in an order drawn from the seed. Empty, or what went wrong.
inline std::string run(const Launch& launch, const std::function<void()>& kernel) {
  std::vector<int> order;
  for (int i = 0; i < launch.blocks * launch.blocks_y; ++i) order.push_back(i);
  test::Random random(launch.seed + 17);
  for (std::size_t i = order.size(); i > 1; --i)
    std::swap(order[i - 1], order[static_cast<std::size_t>(random.in(0, static_cast<index_t>(i) - 1))]);
  for (const int i : order) {
    Block block(launch, i % launch.blocks, i / launch.blocks, kernel);
    const std::string wrong = block.run();
    if (!wrong.empty()) return wrong;
  }
  return {};
}

}  // namespace tessera::simt
