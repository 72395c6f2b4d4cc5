#include "ballast/data/datasets.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"

namespace ballast::data {
namespace {

using testing::HasSubstr;

TEST(Datasets, UnknownNameNamesTheNearest) {
  try {
    find_dataset("fashion-mnst");
    FAIL();
  } catch (const InvalidInput& error) {
    EXPECT_THAT(error.what(),
                HasSubstr("data set is 'fashion-mnst'; accepted: fashion-mnist, graph-collection"));
    EXPECT_THAT(error.what(), HasSubstr("did you mean 'fashion-mnist'?"));
  }
}

TEST(Datasets, AbsentOneNamesThePackageAndTheCommand) {
  const std::string before = cache_folder();
  ::setenv("BALLAST_CACHE", "/nonexistent", 1);
  std::string found, sentence;
  try {
    found = find_dataset("geoip");
  } catch (const Unavailable& error) {
    sentence = error.what();
  }
  ::setenv("BALLAST_CACHE", before.c_str(), 1);
  if (!found.empty()) GTEST_SKIP() << "geoip-database is installed system-wide";
  EXPECT_EQ(
      sentence,
      "data set 'geoip' (Debian package geoip-database) is not on this machine; run: setup/setup.sh --only "
      "index");
}

TEST(Datasets, FoundFoldersHoldTheirProbe) {
  int found = 0;
  for (const auto& dataset : known_datasets()) {
    const std::string folder = try_dataset(dataset.name);
    if (folder.empty()) continue;
    ++found;
    EXPECT_TRUE(std::filesystem::exists(folder + "/" + dataset.probe));
    EXPECT_EQ(find_dataset(dataset.name), folder);
  }
  if (found == 0) GTEST_SKIP() << "no data set of a Debian package is on this machine";
}

}  // namespace
}  // namespace ballast::data
