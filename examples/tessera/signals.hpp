// SIGINT and SIGTERM ask for an end after the work at hand; a second one ends at once.
#pragma once
#include <csignal>

namespace tool {

inline volatile std::sig_atomic_t g_signal = 0;

inline void catch_signals() {
  const auto handler = [](int s) {
    g_signal = s;
    std::signal(s, SIG_DFL);
  };
  std::signal(SIGINT, handler);
  std::signal(SIGTERM, handler);
}
inline bool interrupted() { return g_signal != 0; }
/// 130 or 143.
inline int signal_exit() { return 128 + static_cast<int>(g_signal); }

}  // namespace tool
