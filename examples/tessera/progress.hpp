// A progress bar with rate and time left: on a terminal, and nowhere else.
#pragma once
#include <sys/ioctl.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <string>

namespace tool {

class Progress {
 public:
  /// \param what the items are called.
  explicit Progress(const char* what) : what_(what), shown_(isatty(STDERR_FILENO) == 1), start_(Clock::now()) {}
  ~Progress() { clear(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// \param items done so far.  \param fraction of the input read, or negative when its size is not known.
  void update(long long items, double fraction) {
    const auto now = Clock::now();
    if (!shown_ || now - last_ < std::chrono::milliseconds(100)) return;
    last_ = now;
    const double seconds = std::chrono::duration<double>(now - start_).count();
    char text[160];
    int n = std::snprintf(text, sizeof text, " %lld %s  %.0f/s", items, what_, static_cast<double>(items) / seconds);
    if (fraction > 0 && n > 0) {
      const long left = static_cast<long>(seconds / fraction - seconds + 0.5);
      n += std::snprintf(text + n, sizeof text - static_cast<std::size_t>(n), "  %3.0f %%  %ld:%02ld left", fraction * 100,
                         left / 60, left % 60);
    }
    winsize size{};
    const int columns = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
    std::string line(text);
    const int room = columns - static_cast<int>(line.size()) - 4;
    if (fraction >= 0 && room >= 10) {
      const int width = room < 40 ? room : 40, full = static_cast<int>(fraction * width);
      line = "[" + std::string(static_cast<std::size_t>(full), '#') +
             std::string(static_cast<std::size_t>(width - full), '.') + "]" + line;
    }
    if (static_cast<int>(line.size()) >= columns) line.resize(static_cast<std::size_t>(columns > 1 ? columns - 1 : 1));
    std::fprintf(stderr, "\r\x1b[K%s", line.c_str());
    std::fflush(stderr);
    drawn_ = true;
  }
  void clear() {
    if (!drawn_) return;
    std::fputs("\r\x1b[K", stderr);
    std::fflush(stderr);
    drawn_ = false;
  }
  bool shown() const { return shown_; }
  double seconds() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }

 private:
  using Clock = std::chrono::steady_clock;
  const char* what_;
  bool shown_, drawn_ = false;
  Clock::time_point start_, last_{};
};

}  // namespace tool
