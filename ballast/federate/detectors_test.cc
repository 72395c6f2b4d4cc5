#include "ballast/federate/detectors.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/federate/accountant.h"

namespace ballast::federate {
namespace {

// The streams of river's documentation, as its generator (Python's random.choices) drew them.
std::string stream(const std::string& name) {
  return read_file(std::string(BALLAST_SOURCE_DIR) + "/ballast/federate/testdata/" + name);
}

struct Detections {
  std::vector<int> drifts, warnings;  // warnings: the first of each run
};

Detections detect(DriftDetector& detector, const std::string& digits) {
  Detections found;
  bool warned = false;
  for (std::size_t i = 0; i < digits.size() && digits[i] != '\n'; ++i) {
    detector.update(digits[i] - '0');
    if (detector.drift()) found.drifts.push_back(static_cast<int>(i));
    if (detector.warning() && !warned) found.warnings.push_back(static_cast<int>(i));
    warned = detector.warning();
  }
  return found;
}

// river 0.26 on the same streams gives exactly these.
TEST(Detectors, PublishedDetections) {
  const std::string bernoulli = stream("bernoulli.txt"), levels = stream("levels.txt");
  const auto run = [](const std::string& name, const std::string& digits,
                      const DetectorOptions& options = {}) {
    return detect(*make_detector(name, options), digits);
  };
  EXPECT_EQ(run("ddm", bernoulli).drifts, std::vector<int>{1334});
  const auto warnings = run("ddm", bernoulli).warnings;
  EXPECT_EQ(warnings.front(), 1084);
  EXPECT_EQ(*std::upper_bound(warnings.begin(), warnings.end(), 1334), 1492);
  EXPECT_EQ(run("hddm_a", bernoulli).drifts, std::vector<int>{1206});
  EXPECT_EQ(run("hddm_a", bernoulli).warnings.front(), 451);
  EXPECT_EQ(run("hddm_w", bernoulli).drifts, std::vector<int>{1077});
  EXPECT_EQ(run("hddm_w", bernoulli).warnings.front(), 451);
  const auto eddm = run("eddm", bernoulli, {.drift_level = 0.75, .warning_level = 0.8});
  EXPECT_EQ(eddm.drifts, std::vector<int>{1278});
  EXPECT_EQ(eddm.warnings.front(), 1059);
  EXPECT_EQ(run("adwin", levels).drifts, std::vector<int>{1023});
  EXPECT_EQ(run("page_hinkley", levels).drifts.front(), 1006);
  EXPECT_THROW(make_detector("admin"), InvalidInput);
}

// scipy.stats.ks_2samp(method="exact") of samples of 30 with these differences; and by hand for n = 1 and 2.
TEST(Kswin, ExactPValues) {
  EXPECT_NEAR(smirnov_p_value(1, 1), 1.0, 1e-12);
  EXPECT_NEAR(smirnov_p_value(2, 2), 2.0 / 6, 1e-12);  // of 6 walks, RRUU and UURR
  EXPECT_NEAR(smirnov_p_value(3, 3), 2.0 / 20, 1e-12);
  EXPECT_NEAR(smirnov_p_value(3, 1), 1.0, 1e-12);
}

// It draws at random: no index, but a drift right after the change, for every seed.
TEST(Kswin, SeesTheChangeOfLevel) {
  const std::string levels = stream("levels.txt");
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const auto found = detect(*make_kswin(seed), levels);
    EXPECT_TRUE(
        std::any_of(found.drifts.begin(), found.drifts.end(), [](int at) { return at > 1000 && at <= 1030; }))
        << "seed " << seed;
    EXPECT_LE(found.drifts.size(), 8u) << "seed " << seed;
  }
}

// The figures of the accountant that the method's literature prints for MNIST-sized training.
TEST(Accountant, PublishedEpsilons) {
  const auto mnist = gaussian_privacy_loss(256.0 / 60000, 1.1, 14062, 1e-5);
  EXPECT_NEAR(mnist.epsilon, 2.597, 5e-4);
  EXPECT_EQ(mnist.order, 8);
  const auto classic = gaussian_privacy_loss(256.0 / 60000, 1.1, 14062, 1e-5, Conversion::classic);
  EXPECT_NEAR(classic.epsilon, 3.009, 5e-4);
  EXPECT_EQ(classic.order, 9);
  EXPECT_NEAR(gaussian_privacy_loss(1, 4, 100, 1e-5, Conversion::classic).epsilon, 15.131, 5e-4);
  EXPECT_NEAR(gaussian_privacy_loss(1, 4, 100, 1e-5).epsilon, 14.177, 5e-4);
  EXPECT_THROW(gaussian_privacy_loss(0, 1, 1, 1e-5), InvalidInput);
}

}  // namespace
}  // namespace ballast::federate
