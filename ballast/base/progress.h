// A progress bar on a terminal, and nothing anywhere else.
//
//   Progress progress("ingesting", edges);
//   for (...) { progress.add(batch); cli::stop_if_interrupted(); }
//
// It shows itself once the work has lasted two seconds, at most ten times a second, on standard error; the
// line is wiped when the object goes, so that an error or the results begin on a clean line. It changes
// nothing of the terminal, so nothing needs to be put back if the program is killed. add() may be called by
// many threads.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <mutex>
#include <string>

namespace ballast {

class Progress {
 public:
  struct Options {
    std::FILE* out = stderr;
    double delay_s = 2;  ///< nothing is shown before
  };

  /// `total` 0: unknown; the count and the time are shown in place of the bar.
  explicit Progress(std::string what, std::uint64_t total = 0)
      : Progress(std::move(what), total, Options{}) {}
  Progress(std::string what, std::uint64_t total, const Options& options);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void add(std::uint64_t n = 1) {
    done_.fetch_add(n, std::memory_order_relaxed);
    if (shown_) show_if_due();
  }
  void set(std::uint64_t done) {
    done_.store(done, std::memory_order_relaxed);
    if (shown_) show_if_due();
  }
  /// A word behind the bar, such as the present loss.
  void note(std::string text);

  /// The line for a terminal of this width, after this many seconds.
  std::string line(int width, double seconds) const;

 private:
  void show_if_due();

  std::string what_, note_;
  std::uint64_t total_;
  std::FILE* out_;
  bool shown_;  // out_ is a terminal
  bool drawn_ = false;
  std::atomic<std::uint64_t> done_{0};
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  std::atomic<std::int64_t> next_ms_;
  mutable std::mutex mutex_;  // guards note_, drawn_ and the drawing
};

}  // namespace ballast
