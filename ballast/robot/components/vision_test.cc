// Image computations against the camera model in double precision, and slots against each other.
#include "ballast/robot/components/vision.h"

#include <gtest/gtest.h>

#include <cmath>

#include "ballast/base/errors.h"
#include "ballast/robot/benchmarks/images.h"

namespace ballast::robot {
namespace {

double rms(const cv::Mat& a, const cv::Mat& b) {
  cv::Mat difference;
  cv::absdiff(a, b, difference);
  difference.convertTo(difference, CV_64F);
  return std::sqrt(cv::mean(difference.mul(difference))[0]);
}

TEST(Rectify, GivesBackTheGeneratedPlane) {
  const auto camera = generated_camera(320, 240);
  const std::uint64_t seed = 3;
  const cv::Mat raw = generated_view(camera, seed, 0);
  cv::Mat rectified;
  const Rectifier rectifier(camera);
  rectifier.apply(raw, rectified, Slot::reference);
  double squares = 0;
  int used = 0;
  for (int v = 0; v < 240; ++v) {
    for (int u = 0; u < 320; ++u) {
      const auto at = distorted_point(camera, u, v);
      if (at.x < 1 || at.y < 1 || at.x > 317 || at.y > 237) continue;
      const double difference = rectified.at<std::uint8_t>(v, u) - plane_brightness(seed, 0, u, v);
      squares += difference * difference;
      ++used;
    }
  }
  EXPECT_GT(used, 320 * 240 / 2);
  EXPECT_LE(std::sqrt(squares / used), 0.5) << "seed " << seed;
}

TEST(Rectify, SlotsAreEqualAndTheFusedMapIsClose) {
  const auto sequence = generated_sequence(320, 240, 1, 5);
  const cv::Mat& raw = sequence.frames[0];
  const Rectifier rectifier(sequence.info);
  cv::Mat one, threads, strips;
  rectifier.apply(raw, one, Slot::reference);
  rectifier.apply(raw, threads, Slot::opencv_threads);
  rectifier.apply(raw, strips, Slot::tbb);
  EXPECT_EQ(cv::countNonZero(one != threads), 0);
  EXPECT_EQ(cv::countNonZero(one != strips), 0);
  cv::Mat twice, fused, twice_strips;
  resize(one, twice, 2, 2, Slot::reference);
  resize(one, twice_strips, 2, 2, Slot::tbb);
  EXPECT_EQ(cv::countNonZero(twice != twice_strips), 0);
  Rectifier(sequence.info, 2, 2).apply(raw, fused, Slot::reference);
  ASSERT_EQ(fused.size(), twice.size());
  const cv::Rect inner(20, 20, 600, 440);
  EXPECT_LE(rms(twice(inner), fused(inner)), 2.0);
}

TEST(Rectify, FusedStaysWithinTwoGreyLevelsOnRealImages) {
  const auto sequence = chessboard_sequence();
  if (sequence.frames.empty()) GTEST_SKIP() << "the data set opencv-samples is not on this machine";
  cv::Mat rectified, twice, fused;
  Rectifier(sequence.info).apply(sequence.frames[0], rectified, Slot::reference);
  resize(rectified, twice, 2, 2, Slot::reference);
  Rectifier(sequence.info, 2, 2).apply(sequence.frames[0], fused, Slot::reference);
  const cv::Rect inner(40, 40, 1200, 880);
  EXPECT_LE(rms(twice(inner), fused(inner)), 2.5);
}

TEST(Rectify, WithoutDistortionItIsACopyAndWithoutCalibrationAnError) {
  auto camera = generated_camera(64, 48);
  camera.d.assign(5, 0);
  const Rectifier rectifier(camera);
  EXPECT_TRUE(rectifier.identity());
  auto bad = camera;
  bad.k[0] = 0;
  EXPECT_THROW(Rectifier{bad}, InvalidInput);
  bad = camera;
  bad.distortion_model = "fisheye";
  EXPECT_THROW(Rectifier{bad}, InvalidInput);
  bad = camera;
  bad.d = {0.1};
  EXPECT_THROW(Rectifier{bad}, InvalidInput);
}

TEST(Image, ViewsRefuseWhatIsTooShort) {
  auto image = blank_image({}, 8, 4, "bgr8");
  EXPECT_EQ(view(image).channels(), 3);
  image.data.pop_back();
  EXPECT_THROW(view(image), InvalidInput);
  image.encoding = "yuv";
  EXPECT_THROW(view(image), InvalidInput);
  const auto info = scaled(generated_camera(640, 480), 2, 0.5);
  EXPECT_EQ(info.width, 1280u);
  EXPECT_EQ(info.height, 240u);
  EXPECT_DOUBLE_EQ(info.k[0], 2 * 0.8 * 640);
  EXPECT_DOUBLE_EQ(info.p[6], 0.5 * (240 + 2.5));
}

}  // namespace
}  // namespace ballast::robot
