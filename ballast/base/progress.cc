#include "ballast/base/progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>

#include "ballast/base/units.h"

namespace ballast {
namespace {

constexpr std::int64_t kPeriod_ms = 100;

int width_of_terminal(std::FILE* out) {
  winsize size{};
  if (::ioctl(::fileno(out), TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
  return size.ws_col;
}

std::string clock_text(double seconds) {
  const auto whole = static_cast<long long>(std::min(seconds, 359999.0) + 0.5);
  if (whole >= 3600) return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
  return fmt::format("{}:{:02}", whole / 60, whole % 60);
}

}  // namespace

Progress::Progress(std::string what, std::uint64_t total, const Options& options)
    : what_(std::move(what)),
      total_(total),
      out_(options.out),
      shown_(::isatty(::fileno(options.out)) == 1),
      next_ms_(static_cast<std::int64_t>(options.delay_s * 1000)) {}

Progress::~Progress() {
  if (!drawn_) return;
  std::fputs("\r\033[K", out_);
  std::fflush(out_);
}

void Progress::note(std::string text) {
  const std::lock_guard lock(mutex_);
  note_ = std::move(text);
}

std::string Progress::line(int width, double seconds) const {
  const double done = static_cast<double>(done_.load(std::memory_order_relaxed));
  const std::string rate = seconds > 0 ? format_count(done / seconds) + "/s" : "";
  std::string tail;
  if (total_ == 0) {
    tail = fmt::format(" {}  {}  {}", format_count(done), rate, clock_text(seconds));
  } else {
    const double share = std::min(1.0, done / static_cast<double>(total_));
    tail = fmt::format(" {:3.0f} %  {}", 100 * share, rate);
    if (share > 0) tail += fmt::format("  {} left", clock_text(seconds * (1 - share) / share));
  }
  if (!note_.empty()) tail += "  " + note_;
  const int room = width - 1 - static_cast<int>(what_.size()) - static_cast<int>(tail.size()) - 3;
  std::string text = what_;
  if (total_ != 0 && room >= 5) {
    const int cells = std::min(room, 40);
    const double share = std::min(1.0, done / static_cast<double>(total_));
    const int full = static_cast<int>(share * cells);
    text += " [" + std::string(static_cast<std::size_t>(full), '=') +
            std::string(static_cast<std::size_t>(cells - full), ' ') + "]";
  }
  text += tail;
  if (width > 1) text.resize(std::min(text.size(), static_cast<std::size_t>(width - 1)));
  return text;
}

void Progress::show_if_due() {
  const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start_;
  const auto now_ms = static_cast<std::int64_t>(spent.count() * 1000);
  std::int64_t due = next_ms_.load(std::memory_order_relaxed);
  // One thread wins the right to draw; the others go on with their work.
  if (now_ms < due || !next_ms_.compare_exchange_strong(due, now_ms + kPeriod_ms)) return;
  const std::lock_guard lock(mutex_);
  std::fprintf(out_, "\r%s\033[K", line(width_of_terminal(out_), spent.count()).c_str());
  std::fflush(out_);
  drawn_ = true;
}

}  // namespace ballast
