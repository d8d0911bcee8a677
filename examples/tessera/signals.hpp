// SIGINT, SIGTERM and SIGHUP ask for an end after the work at hand; a second one ends at once.
#pragma once
#include <signal.h>
#include <unistd.h>

namespace tool {

inline volatile sig_atomic_t g_signal = 0;

/// \pre called once, before the first read.
inline void catch_signals() {
  struct sigaction act {};
  sigemptyset(&act.sa_mask);
  // Without SA_RESTART a read that waits for input ends with EINTR. One that begins just after interrupted() was asked
  // would wait on, so an alarm a second ends reads until the program does.
  act.sa_handler = [](int) { alarm(1); };
  sigaction(SIGALRM, &act, nullptr);
  act.sa_handler = [](int s) {
    g_signal = s;
    alarm(1);
  };
  act.sa_flags = static_cast<int>(SA_RESETHAND);
  sigaction(SIGINT, &act, nullptr);
  sigaction(SIGTERM, &act, nullptr);
  struct sigaction hangup {};
  if (sigaction(SIGHUP, nullptr, &hangup) == 0 && hangup.sa_handler != SIG_IGN)  // nohup goes on
    sigaction(SIGHUP, &act, nullptr);
}
inline bool interrupted() { return g_signal != 0; }
/// 130, 143 or 129.
inline int signal_exit() { return 128 + static_cast<int>(g_signal); }

}  // namespace tool
