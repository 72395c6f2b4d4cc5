// A folder of its own for each test, and the sentence of an exception.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"

namespace ballast::data {

class FolderTest : public testing::Test {
 protected:
  FolderTest() {
    const auto* info = testing::UnitTest::GetInstance()->current_test_info();
    folder_ = std::filesystem::temp_directory_path() / ("ballast-data-" + std::to_string(::getpid()) + "-" +
                                                        info->test_suite_name() + "-" + info->name());
    std::filesystem::create_directories(folder_);
  }
  ~FolderTest() override { std::filesystem::remove_all(folder_); }

  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  std::string put(const std::string& name, std::string_view content) const {
    write_file(path(name), content);
    return path(name);
  }

 private:
  std::filesystem::path folder_;
};

/// The sentence with which `work` refuses its input; "accepted" if it does not.
template <typename Work>
std::string refusal(Work work) {
  try {
    work();
    return "accepted";
  } catch (const InvalidInput& error) {
    return error.what();
  }
}

}  // namespace ballast::data
