// Shared memory of an emulated block: who wrote and read each part, and whether a barrier is between them.
#pragma once
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

namespace tessera::simt {

/// How much of each thread's work another one has seen: a vector clock, ticks from 1. Meeting at a barrier joins those of
/// all.
class Clock {
 public:
  explicit Clock(int threads = 0) : ticks_(static_cast<std::size_t>(threads)) {}
  std::uint32_t operator[](int thread) const { return ticks_[static_cast<std::size_t>(thread)]; }
  void tick(int thread) { ++ticks_[static_cast<std::size_t>(thread)]; }
  void join(const Clock& other) {
    for (std::size_t i = 0; i < ticks_.size(); ++i) ticks_[i] = std::max(ticks_[i], other.ticks_[i]);
  }
  void clear() { std::fill(ticks_.begin(), ticks_.end(), 0); }

 private:
  std::vector<std::uint32_t> ticks_;
};

/// Poisoned bytes from address kBase on. Checks return a sentence where something is wrong.
class SharedMemory {
 public:
  static constexpr std::uint32_t kBase = 1024;

  SharedMemory(std::size_t bytes, int threads) : bytes_(bytes, 0xff), cells_((bytes + 1) / 2), threads_(threads) {}

  /// Whether the bytes exist, and lie on a multiple of `alignment`.
  std::string wrong_with(std::uint32_t address, std::size_t bytes, std::size_t alignment) const {
    if (address < kBase || address + bytes > kBase + bytes_.size())
      return "bytes [" + where(address) + ", +" + std::to_string(bytes) + ") of " + std::to_string(bytes_.size()) +
             " bytes of shared memory";
    if (address % alignment != 0)
      return "the shared address " + where(address) + ", not a multiple of " + std::to_string(alignment);
    return {};
  }
  unsigned char* at(std::uint32_t address) { return bytes_.data() + (address - kBase); }

  /// Notes a read by a thread that has seen `seen`, after a check for races.
  std::string read(std::uint32_t address, std::size_t bytes, int thread, const Clock& seen) {
    for (std::size_t i = first(address); i <= last(address, bytes); ++i) {
      Cell& c = cells_[i];
      if (c.in_flight) return "reads " + cell(i) + ", where a copy by thread " + std::to_string(c.writer) + " is under way";
      if (!c.written) return "reads " + cell(i) + ", which nobody wrote";
      if (!ordered(c.writer, c.write_tick, thread, seen)) return "reads " + cell(i) + conflict("writes", c.writer);
      c.reader = static_cast<std::int16_t>(thread), c.read_tick = seen[thread];
    }
    return {};
  }
  /// The same of a write; `in_flight` until land(), as no one may read what is on its way.
  std::string write(std::uint32_t address, std::size_t bytes, int thread, const Clock& seen, bool in_flight = false) {
    for (std::size_t i = first(address); i <= last(address, bytes); ++i) {
      Cell& c = cells_[i];
      if (c.in_flight) return "writes " + cell(i) + ", where a copy by thread " + std::to_string(c.writer) + " is under way";
      if (c.written && !ordered(c.writer, c.write_tick, thread, seen))
        return "writes " + cell(i) + conflict("writes", c.writer);
      if (!ordered(c.reader, c.read_tick, thread, seen)) return "writes " + cell(i) + conflict("reads", c.reader);
      c = {seen[thread], 0, static_cast<std::int16_t>(thread), -1, true, in_flight};
    }
    return {};
  }
  void land(std::uint32_t address, std::size_t bytes, int thread, const Clock& seen) {
    for (std::size_t i = first(address); i <= last(address, bytes); ++i)
      cells_[i].in_flight = false, cells_[i].writer = static_cast<std::int16_t>(thread), cells_[i].write_tick = seen[thread];
  }
  /// What an engine beside the threads wrote: there for all who waited for it, which its barriers say.
  void arrived(std::uint32_t address, std::size_t bytes) {
    for (std::size_t i = first(address); i <= last(address, bytes); ++i) cells_[i] = {0, 0, -1, -1, true, false};
  }

 private:
  struct Cell {  // two bytes
    std::uint32_t write_tick = 0, read_tick = 0;
    std::int16_t writer = -1, reader = -1;  // the last ones
    bool written = false, in_flight = false;
  };
  bool ordered(int other, std::uint32_t tick, int thread, const Clock& seen) const {
    return other < 0 || other >= threads_ || other == thread || seen[other] >= tick;
  }
  static std::size_t first(std::uint32_t address) { return (address - kBase) / 2; }
  static std::size_t last(std::uint32_t address, std::size_t bytes) { return (address - kBase + bytes - 1) / 2; }
  static std::string where(std::uint32_t address) { return std::to_string(static_cast<std::int64_t>(address) - kBase); }
  static std::string cell(std::size_t i) { return "shared byte " + std::to_string(2 * i); }
  static std::string conflict(const char* what, int thread) {
    return std::string(", which thread ") + std::to_string(thread) + " " + what + " with no barrier between";
  }

  std::vector<unsigned char> bytes_;
  std::vector<Cell> cells_;
  int threads_;
};

}  // namespace tessera::simt
