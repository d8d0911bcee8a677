// What of sm_90a works beside the threads: barriers that count arrivals and bytes, copies of boxes (TMA), products of
// warpgroups. Each begins when a thread says so and happens at any moment until something waits for it: so an overwritten
// stage, a wait or a fence that is missing shows as a failure or as wrong numbers. Written from the PTX ISA, not from the
// library's maps.
#pragma once
#include <deque>
#include <limits>

#include <tessera/cuda/tensor_map.hpp>

#include "cuda/simt/block.hpp"
#include "cuda/simt/products.hpp"

namespace tessera::simt {

/// The eight bytes of an mbarrier as they lie in shared memory.
struct BarrierWord {
  std::uint16_t count, pending;
  std::int32_t phase_and_bytes;  // the phase's parity in bit 0, what is expected yet above

  bool odd() const { return (phase_and_bytes & 1) != 0; }
  std::int32_t bytes() const { return phase_and_bytes >> 1; }
  void set(bool odd_phase, std::int32_t bytes) {
    phase_and_bytes = static_cast<std::int32_t>(bytes * 2 + (odd_phase ? 1 : 0));
  }
};
static_assert(sizeof(BarrierWord) == 8);

class Engines : public Block::Beside {
 public:
  explicit Engines(Block& block)
      : block_(block),
        warps_(static_cast<std::size_t>(block.threads() + 31) / 32),
        stores_(static_cast<std::size_t>(block.threads())) {
    const int share = 65536 / block.threads() / 8 * 8;
    for (Warp& w : warps_) w.registers = share < 255 ? share : 255;
    unfenced_.resize(static_cast<std::size_t>(block.threads()));
  }
  /// Those of the block that runs.
  static Engines& now() {
    Block& block = *Block::now();
    if (!block.beside) block.beside = std::make_unique<Engines>(block);
    return static_cast<Engines&>(*block.beside);
  }
  std::string wrong_at_end(int thread) override {
    if (!stores_[static_cast<std::size_t>(thread)].empty()) return "ends before its stores have read shared memory";
    const Warp& w = warps_[static_cast<std::size_t>(thread / 32)];
    return w.ops.empty() && w.sums.empty() ? "" : "ends while its products are under way";
  }

  // ---- barriers ----
  void init(std::uint32_t at, std::uint32_t count) {
    block_.require(block_.shared.wrong_with(at, 8, 8));
    block_.require(block_.shared.write(at, 8, me(), clock()));
    if (count < 1 || count > 0x7fff) block_.fail("sets up a barrier of " + std::to_string(count) + " arrivals");
    BarrierWord word{static_cast<std::uint16_t>(count), static_cast<std::uint16_t>(count), 0};
    std::memcpy(block_.shared.at(at), &word, 8);
    barriers_[at] = {Clock(block_.threads()), Clock(block_.threads()), me()};
  }
  void fence_init() {
    for (auto& [at, barrier] : barriers_) barrier.unfenced_by = barrier.unfenced_by == me() ? -1 : barrier.unfenced_by;
  }
  void arrive(std::uint32_t at, std::uint32_t bytes) {
    Barrier& barrier = known(at);
    barrier.gathered.join(clock());
    block_.self().clock.tick(me());
    const std::string wrong = change(at, 1, static_cast<std::int32_t>(bytes));
    block_.require(wrong);
  }
  bool passed(std::uint32_t at, std::uint32_t parity) {
    Barrier& barrier = known(at);
    if (word(at).odd() == (parity != 0)) return false;
    block_.self().clock.join(barrier.released);
    block_.self().clock.tick(me());
    return true;
  }
  void wait(std::uint32_t at, std::uint32_t parity) {
    known(at);
    while (!passed(at, parity)) {
      std::uint64_t value;
      std::memcpy(&value, block_.shared.at(at), 8);
      block_.wait_while(*reinterpret_cast<const std::uint64_t*>(block_.shared.at(at)), value,
                        parity != 0 ? "a barrier, odd phase" : "a barrier, even phase");
    }
  }

  // ---- copies of boxes ----
  struct Box {
    kernels::cuda::TensorMapSpec map;
    std::array<index_t, kernels::cuda::kMostMapRank> corner;
    std::uint32_t shared;
    std::uint32_t bytes() const { return static_cast<std::uint32_t>(kernels::cuda::box_bytes(map)); }
  };
  void load(const Box& box, std::uint32_t barrier) {
    require_box(box);
    if (known(barrier).unfenced_by >= 0) block_.fail("gives a barrier to a copy that no fence made known");
    block_.require(block_.shared.write(box.shared, box.bytes(), me(), clock(), true));
    block_.begin([this, box, barrier] {
      each_chunk(box, [this](unsigned char* shared, const char* global, index_t inside) {
        std::memset(shared, 0, 16);
        if (inside > 0) std::memcpy(shared, global, static_cast<std::size_t>(inside));
        for (index_t i = 0; i < inside; i += 2) block_.report(simt::wrong_with(global + i, 2, false));
      });
      block_.shared.arrived(box.shared, box.bytes());
      block_.report(change(barrier, 0, -static_cast<std::int32_t>(box.bytes())));
    });
  }
  void store(const Box& box) {
    require_box(box);
    for (const auto& [at, thread] : unfenced_all())
      if (at < box.shared + box.bytes() && at + 16 > box.shared)
        block_.fail("stores what thread " + std::to_string(thread) + " wrote with no fence for the copy engine");
    block_.require(block_.shared.read(box.shared, box.bytes(), me(), clock()));
    auto store = std::make_shared<Store>(Store{box, false});
    stores_[static_cast<std::size_t>(me())].push_back({store, -1});
    block_.begin([this, store] { make(*store); });
  }
  void commit_stores() {
    for (auto& [store, group] : stores_[static_cast<std::size_t>(me())]) group = group < 0 ? store_groups_ : group;
    ++store_groups_;
    my_groups_[me()].push_back(store_groups_ - 1);
  }
  void wait_for_stores(int pending) {
    auto& groups = my_groups_[me()];
    auto& stores = stores_[static_cast<std::size_t>(me())];
    while (groups.size() > static_cast<std::size_t>(pending)) {
      std::erase_if(stores, [&](auto& item) {
        if (item.second != groups.front()) return false;
        make(*item.first);
        block_.require(block_.shared.read(item.first->box.shared, item.first->box.bytes(), me(), clock()));
        return true;
      });
      groups.pop_front();
    }
  }

  // ---- generic writes and the copy engine ----
  void written(std::uint32_t at) { unfenced_[static_cast<std::size_t>(me())].push_back(at); }
  void fence_proxy() { unfenced_[static_cast<std::size_t>(me())].clear(); }

  // ---- products ----
  struct Lane {
    float* sums;
    const std::uint32_t* a;  ///< of rs()
    std::uint64_t of_a, of_b;
    bool add;
    const Clock* clock;
    int thread;
  };
  /// Lanes of one warp, which has 16 of the 64 rows.
  void multiply(const std::array<Lane*, 32>& lanes, int columns) {
    Warp& warp = warps_[static_cast<std::size_t>(lanes[0]->thread / 32)];
    for (const Lane* lane : lanes)
      if (lane->of_a != lanes[0]->of_a || lane->of_b != lanes[0]->of_b || lane->add != lanes[0]->add)
        block_.fail("multiplies with other operands than lanes of its warp");
    auto sums =
        std::find_if(warp.sums.begin(), warp.sums.end(), [&](const auto& s) { return s->places[0] == lanes[0]->sums; });
    if (sums == warp.sums.end()) {
      if (!warp.fenced) block_.fail("multiplies into sums that no wgmma_fence gave away");
      auto taken = std::make_shared<Sums>();
      for (std::size_t i = 0; i < 32; ++i) {
        taken->places[i] = lanes[i]->sums;
        taken->of[i].assign(lanes[i]->sums, lanes[i]->sums + columns / 2);
        std::fill_n(lanes[i]->sums, columns / 2, std::numeric_limits<float>::quiet_NaN());
      }
      sums = warp.sums.insert(warp.sums.end(), taken);
    }
    auto op = std::make_shared<Product>();
    op->sums = *sums, op->columns = columns, op->of_a = lanes[0]->of_a, op->of_b = lanes[0]->of_b, op->add = lanes[0]->add;
    op->warp = lanes[0]->thread / 32 % 4, op->clock = lanes[0]->clock, op->thread = lanes[0]->thread;
    if (lanes[0]->a)
      for (std::size_t i = 0; i < 32; ++i) op->a[i] = lanes[i]->a;
    op->a_in_registers = lanes[0]->a != nullptr;
    warp.ops.push_back(op);
    block_.begin([this, op, &warp] {  // in the order of their issue
      if (op->made) return;
      for (const auto& one : warp.ops) {
        make(*one);
        if (one == op) break;
      }
    });
  }
  void fence_sums() { my_warp().fenced = true; }
  void commit_products() {
    Warp& warp = my_warp();
    for (const auto& op : warp.ops) op->group = op->group < 0 ? warp.groups : op->group;
    ++warp.groups;
  }
  /// By one lane for its warp.
  void wait_for_products(int pending) {
    Warp& warp = my_warp();
    while (!warp.ops.empty() && warp.ops.front()->group >= 0 && warp.ops.front()->group < warp.groups - pending) {
      Product& op = *warp.ops.front();
      make(op);
      note_reads(op);  // it may have read until now
      warp.ops.pop_front();
    }
    std::erase_if(warp.sums, [&](const std::shared_ptr<Sums>& sums) {
      for (const auto& op : warp.ops)
        if (op->sums == sums) return false;
      for (std::size_t i = 0; i < 32; ++i) std::copy(sums->of[i].begin(), sums->of[i].end(), sums->places[i]);
      return true;
    });
    if (warp.sums.empty()) warp.fenced = false;
  }

  // ---- registers ----
  void set_registers(int registers, bool give) {
    Warp& warp = my_warp();
    if (give ? registers > warp.registers : registers < warp.registers)
      block_.fail("gives registers that it has not, or takes what it has");
    while (!give && taken() - 32 * warp.registers + 32 * registers > 65536) {
      const std::uint64_t now = given_;
      block_.wait_while(given_, now, "a warp's wait for registers");
    }
    warp.registers = registers;
    ++given_;
  }

 private:
  struct Barrier {
    Clock gathered, released;
    int unfenced_by = -1;
  };
  struct Store {
    Box box;
    bool made;
  };
  struct Warp {
    std::deque<std::shared_ptr<Product>> ops;  // not yet waited for
    std::vector<std::shared_ptr<Sums>> sums;   // given away
    int groups = 0, registers = 0;
    bool fenced = false;
  };

  int me() const { return block_.thread(); }
  const Clock& clock() const { return block_.self().clock; }
  Warp& my_warp() { return warps_[static_cast<std::size_t>(me() / 32)]; }
  int taken() const {
    int all = 0;
    for (const Warp& w : warps_) all += 32 * w.registers;
    return all;
  }

  Barrier& known(std::uint32_t at) {
    block_.require(block_.shared.wrong_with(at, 8, 8));
    block_.require(block_.shared.read(at, 8, me(), clock()));
    const auto found = barriers_.find(at);
    if (found == barriers_.end()) block_.fail("uses a barrier that nobody set up");
    return found->second;
  }
  BarrierWord word(std::uint32_t at) {
    BarrierWord w;
    std::memcpy(&w, block_.shared.at(at), 8);
    return w;
  }
  std::string change(std::uint32_t at, int arrivals, std::int32_t bytes) {
    BarrierWord w = word(at);
    if (arrivals > w.pending) return "arrives at a barrier more often than it counts";
    w.pending = static_cast<std::uint16_t>(w.pending - arrivals);
    w.set(w.odd(), w.bytes() + bytes);
    if (w.pending == 0 && w.bytes() == 0) {
      w.pending = w.count;
      w.set(!w.odd(), 0);
      Barrier& barrier = barriers_.at(at);
      barrier.released = barrier.gathered;
      barrier.gathered.clear();
    }
    std::memcpy(block_.shared.at(at), &w, 8);
    return {};
  }

  void require_box(const Box& box) {
    const auto verdict = check_tensor_map(box.map);
    if (verdict.fault != kernels::cuda::TensorMapFault::none)
      block_.fail(std::string("copies by a map where ") + fault_text(verdict.fault));
    block_.require(block_.shared.wrong_with(box.shared, box.bytes(),
                                            box.map.swizzle != 0 ? 8U * static_cast<unsigned>(box.map.swizzle) : 128));
    const index_t inner = box.map.box[0] * bit_width(box.map.dtype) / 8;
    if (box.map.swizzle != 0 && inner != box.map.swizzle) block_.fail("copies rows that are not as wide as their swizzle");
  }
  /// f(in shared memory, in global memory, bytes of 16 that lie in the region) for all of a box, in the order of its
  /// elements.
  template <class F>
  void each_chunk(const Box& box, const F& f) {
    const kernels::cuda::TensorMapSpec& map = box.map;
    const index_t size = bit_width(map.dtype) / 8, chunks = map.box[0] * size / 16, numbers = 16 / size;
    const auto chunk_count = static_cast<index_t>(box.bytes()) / 16;
    for (index_t i = 0; i < chunk_count; ++i) {
      index_t rest = i / chunks, offset = 0;
      const index_t x = box.corner[0] + i % chunks * numbers;
      bool inside = x >= 0;
      for (int d = 1; d < map.rank; ++d) {
        const index_t at = box.corner[static_cast<std::size_t>(d)] + rest % map.box[d];
        rest /= map.box[d];
        inside = inside && at >= 0 && at < map.extent[d];
        offset += at * map.pitch[d - 1];
      }
      const index_t left = std::min(numbers, map.extent[0] - x);
      std::uint32_t shared = box.shared + static_cast<std::uint32_t>(i) * 16;
      if (map.swizzle != 0) shared ^= (shared / 128 % static_cast<std::uint32_t>(map.swizzle / 16)) * 16;
      f(block_.shared.at(shared), static_cast<const char*>(map.base) + offset + x * size,
        inside && left > 0 ? left * size : 0);
    }
  }
  void make(Store& store) {
    if (store.made) return;
    store.made = true;
    each_chunk(store.box, [this](const unsigned char* shared, const char* global, index_t inside) {
      for (index_t i = 0; i < inside; i += 2) {
        const std::string wrong = simt::wrong_with(global + i, 2, true);
        block_.report(wrong);
        if (!wrong.empty()) return;
      }
      if (inside > 0) std::memcpy(const_cast<char*>(global), shared, static_cast<std::size_t>(inside));
    });
  }
  std::vector<std::pair<std::uint32_t, int>> unfenced_all() const {
    std::vector<std::pair<std::uint32_t, int>> all;
    for (std::size_t t = 0; t < unfenced_.size(); ++t)
      for (const std::uint32_t at : unfenced_[t]) all.emplace_back(at, static_cast<int>(t));
    return all;
  }

  void note_reads(const Product& op) {
    op.each_read([&](bool, std::uint32_t, std::uint32_t, std::uint32_t at) {
      block_.report(block_.shared.read(at, 16, op.thread, *op.clock));
    });
  }
  void make(Product& op) {
    if (op.made) return;
    op.made = true;
    if (Operand(op.of_a).base != 0 || Operand(op.of_b).base != 0)
      block_.report("a product has an operand with a base offset, which is not emulated");
    Product::Rows a(16), b(static_cast<std::size_t>(op.columns));
    op.each_read([&](bool of_a, std::uint32_t row, std::uint32_t half, std::uint32_t at) {
      std::string wrong = block_.shared.wrong_with(at, 16, 16);
      if (wrong.empty()) wrong = block_.shared.read(at, 16, op.thread, *op.clock);
      block_.report(wrong.empty() ? wrong : "a product " + wrong);
      if (!wrong.empty()) return;
      std::uint32_t pairs[4];
      std::memcpy(pairs, block_.shared.at(at), 16);
      for (std::size_t k = 0; k < 8; ++k) (of_a ? a : b)[row][8 * half + k] = Product::half_of(pairs[k / 2], k % 2);
    });
    op.add_up(a, b);
  }

  Block& block_;
  std::map<std::uint32_t, Barrier> barriers_;
  std::vector<Warp> warps_;
  std::vector<std::vector<std::pair<std::shared_ptr<Store>, int>>> stores_;
  std::map<int, std::deque<int>> my_groups_;
  int store_groups_ = 0;
  std::vector<std::vector<std::uint32_t>> unfenced_;
  std::uint64_t given_ = 0;
};

}  // namespace tessera::simt
