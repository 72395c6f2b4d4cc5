// KSWIN (Raab et al. 2020): the newest values against a random draw of older ones, by the test of Kolmogorov
// and Smirnov.
#include <algorithm>
#include <deque>

#include "ballast/base/random.h"
#include "ballast/federate/detectors.h"

namespace ballast::federate {

double smirnov_p_value(int n, int h) {
  // Walks from (0,0) to (n,n) that never have |i - j| >= h, over all walks; weights are scaled by rows so
  // that nothing overflows: the chance of a uniformly drawn walk to be at (i, j) and inside so far.
  std::vector<double> inside(static_cast<std::size_t>(n) + 1, 0);
  inside[0] = 1;
  // By steps: at step s the walk has i steps right and s - i up; from there it goes right with the share of
  // walks that do, (n - i) / (2n - s).
  for (int s = 0; s < 2 * n; ++s) {
    std::vector<double> next(inside.size(), 0);
    for (int i = std::max(0, s - n); i <= std::min(s, n); ++i) {
      const double here = inside[static_cast<std::size_t>(i)];
      if (here == 0) continue;
      const int j = s - i;
      const double right = static_cast<double>(n - i) / (2 * n - s);
      if (i < n && std::abs(i + 1 - j) < h) next[static_cast<std::size_t>(i) + 1] += here * right;
      if (j < n && std::abs(i - j - 1) < h) next[static_cast<std::size_t>(i)] += here * (1 - right);
    }
    inside = std::move(next);
  }
  return 1 - inside[static_cast<std::size_t>(n)];
}

namespace {

class Kswin : public DriftDetector {
 public:
  explicit Kswin(std::uint64_t seed) : random_(seed, 0x45) {
    for (int h = kNew; h > 0; --h) {  // the smallest difference that is significant
      if (smirnov_p_value(kNew, h) <= kAlpha) least_ = h;
    }
  }

 private:
  static constexpr int kWindow = 100, kNew = 30;
  static constexpr double kAlpha = 0.005;

  void reset() override {}  // the newest values stay
  void take(double x) override {
    window_.push_back(x);
    if (window_.size() > kWindow) window_.pop_front();
    if (window_.size() < kWindow) return;
    std::vector<double> old(window_.begin(), window_.end() - kNew),
        recent(window_.end() - kNew, window_.end());
    for (std::size_t i = 0; i < kNew; ++i) std::swap(old[i], old[i + random_.below(old.size() - i)]);
    old.resize(kNew);
    std::sort(old.begin(), old.end());
    std::sort(recent.begin(), recent.end());
    // Largest difference of the two counts of values up to v, over all v.
    int most = 0;
    for (const auto* values : {&old, &recent}) {
      for (double v : *values) {
        const auto a = std::upper_bound(old.begin(), old.end(), v) - old.begin(),
                   b = std::upper_bound(recent.begin(), recent.end(), v) - recent.begin();
        most = std::max(most, static_cast<int>(std::abs(a - b)));
      }
    }
    drift_ = most >= least_ && most > kNew / 10;
    if (drift_) window_.erase(window_.begin(), window_.end() - kNew);
  }
  Random random_;
  int least_ = kNew;
  std::deque<double> window_;
};

}  // namespace

std::unique_ptr<DriftDetector> make_kswin(std::uint64_t seed) {
  return std::make_unique<Kswin>(seed);
}

}  // namespace ballast::federate
