// Naming images: the classical method on real images, and files that are no networks.
#include "ballast/robot/components/classify.h"

#include <gtest/gtest.h>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/base/temporary_folder.h"
#include "ballast/data/datasets.h"

namespace ballast::robot {
namespace {

TEST(Classify, GradientsAndMeansNameThreeOfFourImages) {
  if (data::try_dataset("fashion-mnist").empty()) GTEST_SKIP() << "dataset-fashion-mnist is not installed";
  const LabelledImages known = fashion_images(false, 2000), unknown = fashion_images(true, 500);
  const auto classifier = hog_classifier(known.images, known.labels);
  std::size_t right = 0;
  for (std::size_t i = 0; i < unknown.images.size(); ++i)
    right += classifier->classify(unknown.images[i]).label == unknown.labels[i];
  EXPECT_GE(right, 350u);  // one in ten by chance
}

TEST(Classify, AFileThatIsNoNetworkIsNamed) {
  const TemporaryFolder folder;
  const std::string file = folder.file("network.onnx");
  write_file(file, "this is no network");
  try {
    network_classifier(file);
    FAIL() << "a text file was taken for a network";
  } catch (const InvalidInput& error) {
    EXPECT_NE(std::string(error.what()).find("network.onnx"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace ballast::robot
