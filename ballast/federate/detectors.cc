#include "ballast/federate/detectors.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <limits>

#include "ballast/base/cli.h"

namespace ballast::federate {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// Gama et al. 2004: the error rate rises above its best value by three standard deviations.
class Ddm : public DriftDetector {
 public:
  explicit Ddm(const DetectorOptions& options)
      : warning_level_(options.warning_level > 0 ? options.warning_level : 2),
        drift_level_(options.drift_level > 0 ? options.drift_level : 3) {}

 private:
  void reset() override {
    n_ = 0;
    p_ = 0;
    p_min_ = s_min_ = kInfinity;
  }
  void take(double x) override {
    ++n_;
    p_ += (x - p_) / n_;
    if (n_ <= 30) return;
    const double s = std::sqrt(p_ * (1 - p_) / n_);
    if (p_ + s <= p_min_ + s_min_) {
      p_min_ = p_;
      s_min_ = s;
    }
    warning_ = p_ + s > p_min_ + warning_level_ * s_min_;
    drift_ = p_ + s > p_min_ + drift_level_ * s_min_;
    if (drift_) warning_ = false;
  }
  double warning_level_, drift_level_;
  double n_ = 0, p_ = 0, p_min_ = kInfinity, s_min_ = kInfinity;
};

/// Baena-Garcia et al. 2006: the distance between two errors shrinks.
class Eddm : public DriftDetector {
 public:
  explicit Eddm(const DetectorOptions& options)
      : alpha_(options.warning_level > 0 ? options.warning_level : 0.95),
        beta_(options.drift_level > 0 ? options.drift_level : 0.9) {}

 private:
  void reset() override {
    n_ = last_error_ = errors_ = 0;
    mean_ = squares_ = most_ = 0;
  }
  void take(double x) override {
    ++n_;
    if (x == 0) return;
    ++errors_;
    const double distance = n_ - last_error_;
    last_error_ = n_;
    const double before = mean_;
    mean_ += (distance - mean_) / errors_;
    squares_ += (distance - before) * (distance - mean_);
    const double sigma = errors_ > 1 ? std::sqrt(squares_ / (errors_ - 1)) : 0;
    const double reach = mean_ + 2 * sigma;
    if (n_ <= 30) return;
    if (reach > most_) most_ = reach;
    if (errors_ <= 30) return;
    warning_ = reach / most_ < alpha_;
    drift_ = reach / most_ < beta_;
    if (drift_) warning_ = false;
  }
  double alpha_, beta_;
  double n_ = 0, last_error_ = 0, errors_ = 0, mean_ = 0, squares_ = 0, most_ = 0;
};

/// Frias-Blanco et al. 2015, averages: Hoeffding's bound between the best prefix and the whole.
class HddmA : public DriftDetector {
 public:
  explicit HddmA(const DetectorOptions& options)
      : warning_level_(options.warning_level > 0 ? options.warning_level : 0.005),
        drift_level_(options.drift_level > 0 ? options.drift_level : 0.001) {}

 private:
  void reset() override { n_ = total_ = n_min_ = total_min_ = 0; }
  void take(double x) override {
    ++n_;
    total_ += x;
    if (n_min_ == 0) {
      n_min_ = n_;
      total_min_ = total_;
    }
    const auto bound = [&](double n) { return std::sqrt(std::log(1 / drift_level_) / (2 * n)); };
    if (total_min_ / n_min_ + bound(n_min_) >= total_ / n_ + bound(n_)) {
      n_min_ = n_;
      total_min_ = total_;
    }
    const auto risen = [&](double level) {
      if (n_ <= n_min_) return false;
      const double m = (n_ - n_min_) / n_min_ / n_;
      return total_ / n_ - total_min_ / n_min_ >= std::sqrt(m / 2 * std::log(2 / level));
    };
    drift_ = risen(drift_level_);
    warning_ = !drift_ && risen(warning_level_);
  }
  double warning_level_, drift_level_;
  double n_ = 0, total_ = 0, n_min_ = 0, total_min_ = 0;
};

/// Frias-Blanco et al. 2015, weighted: McDiarmid's bound between exponentially weighted averages.
class HddmW : public DriftDetector {
 public:
  explicit HddmW(const DetectorOptions& options)
      : warning_level_(options.warning_level > 0 ? options.warning_level : 0.005),
        drift_level_(options.drift_level > 0 ? options.drift_level : 0.001) {}

 private:
  struct Average {
    double value = -1, bound = 0;
    void take(double x) {
      if (value < 0) {
        value = x;
        bound = 1;
      } else {
        value = kLambda * x + (1 - kLambda) * value;
        bound = kLambda * kLambda + (1 - kLambda) * (1 - kLambda) * bound;
      }
    }
  };
  static constexpr double kLambda = 0.05;

  void reset() override {
    total_ = first_ = second_ = {};
    best_ = kInfinity;
  }
  void take(double x) override {
    total_.take(x);
    const double reach = total_.value + std::sqrt(total_.bound * std::log(1 / drift_level_) / 2);
    if (reach < best_) {
      best_ = reach;
      first_ = total_;
      second_ = {};
    } else {
      second_.take(x);
    }
    const auto risen = [&](double level) {
      if (first_.value < 0 || second_.value < 0) return false;
      return second_.value - first_.value >
             std::sqrt((first_.bound + second_.bound) * std::log(1 / level) / 2);
    };
    drift_ = risen(drift_level_);
    warning_ = !drift_ && risen(warning_level_);
  }
  double warning_level_, drift_level_;
  Average total_, first_, second_;
  double best_ = kInfinity;
};

/// Page 1954: the cumulated rise above the running mean passes a threshold. Upward changes only.
class PageHinkley : public DriftDetector {
  void reset() override { n_ = mean_ = sum_ = 0; }
  void take(double x) override {
    ++n_;
    mean_ += (x - mean_) / n_;
    sum_ = std::max(0.0, 0.9999 * sum_ + x - mean_ - 0.005);
    drift_ = n_ >= 30 && sum_ > 50;
  }
  double n_ = 0, mean_ = 0, sum_ = 0;
};

/// Bifet and Gavalda 2007: a window that drops its old part when it differs from the new one; kept as an
/// exponential histogram, so memory grows with the logarithm of the window.
class Adwin : public DriftDetector {
  struct Bucket {
    double total, variance;  ///< variance: sum of squared deviations
  };
  static constexpr std::size_t kMaxBuckets = 5;
  static constexpr double kDelta = 0.002;

  void reset() override {
    rows_.clear();
    width_ = total_ = variance_ = 0;
    ticks_ = 0;
  }
  void take(double x) override {
    ++ticks_;
    ++width_;
    if (rows_.empty()) rows_.emplace_back();
    rows_[0].push_front({x, 0});
    if (width_ > 1) {
      const double before = total_ / (width_ - 1);
      variance_ += (width_ - 1) * (x - before) * (x - before) / width_;
    }
    total_ += x;
    compress();
    if (ticks_ % 32 == 0 && width_ > 10) drift_ = shrink();
  }

  // At most kMaxBuckets of each size 2^i: the two oldest become one of the next size.
  void compress() {
    for (std::size_t i = 0; i < rows_.size() && rows_[i].size() > kMaxBuckets; ++i) {
      if (i + 1 == rows_.size()) rows_.emplace_back();
      const double n = std::ldexp(1.0, static_cast<int>(i));
      const Bucket older = rows_[i].back();
      rows_[i].pop_back();
      const Bucket newer = rows_[i].back();
      rows_[i].pop_back();
      const double difference = older.total / n - newer.total / n;
      rows_[i + 1].push_front({older.total + newer.total,
                               older.variance + newer.variance + n * n * difference * difference / (2 * n)});
    }
  }

  bool shrink() {
    bool found = false;
    for (bool again = true; again;) {
      again = false;
      double n0 = 0, u0 = 0;
      for (std::size_t row = rows_.size(); row-- > 0 && !again;) {
        const double n = std::ldexp(1.0, static_cast<int>(row));
        for (auto bucket = rows_[row].rbegin(); bucket != rows_[row].rend(); ++bucket) {
          n0 += n;
          u0 += bucket->total;
          const double n1 = width_ - n0;
          if (n1 < 5) break;
          if (n0 < 5) continue;
          const double d = std::log(2 * std::log(width_) / kDelta);
          const double r = 1 / (n0 - 4) + 1 / (n1 - 4);
          const double v = variance_ / width_;
          const double epsilon = std::sqrt(2 * r * v * d) + 2.0 / 3 * r * d;
          if (std::abs(u0 / n0 - (total_ - u0) / n1) > epsilon) {
            found = again = true;
            drop_oldest();
            break;
          }
        }
      }
    }
    return found;
  }

  void drop_oldest() {
    const double n = std::ldexp(1.0, static_cast<int>(rows_.size()) - 1);
    const Bucket oldest = rows_.back().back();
    rows_.back().pop_back();
    width_ -= n;
    total_ -= oldest.total;
    const double difference = oldest.total / n - total_ / width_;
    variance_ -= oldest.variance + n * width_ * difference * difference / (n + width_);
    while (!rows_.empty() && rows_.back().empty()) rows_.pop_back();
  }

  std::vector<std::deque<Bucket>> rows_;  // [i]: buckets of 2^i values, newest in front
  double width_ = 0, total_ = 0, variance_ = 0;
  std::uint64_t ticks_ = 0;

 public:
  Adwin() = default;
};

}  // namespace

std::vector<std::string> detector_names() {
  return {"ddm", "eddm", "hddm_a", "hddm_w", "page_hinkley", "adwin", "kswin"};
}

std::unique_ptr<DriftDetector> make_detector(const std::string& name, const DetectorOptions& options) {
  cli::require_one_of("--detector", name, detector_names());
  if (name == "ddm") return std::make_unique<Ddm>(options);
  if (name == "eddm") return std::make_unique<Eddm>(options);
  if (name == "hddm_a") return std::make_unique<HddmA>(options);
  if (name == "hddm_w") return std::make_unique<HddmW>(options);
  if (name == "page_hinkley") return std::make_unique<PageHinkley>();
  if (name == "kswin") return make_kswin(1);
  return std::make_unique<Adwin>();
}

}  // namespace ballast::federate
