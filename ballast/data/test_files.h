// A folder of its own for each test, and the sentence of an exception.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/base/temporary_folder.h"

namespace ballast::data {

class FolderTest : public testing::Test {
 protected:
  std::string path(const std::string& name) const { return folder_.file(name); }
  std::string put(const std::string& name, std::string_view content) const {
    write_file(path(name), content);
    return path(name);
  }

 private:
  TemporaryFolder folder_;
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
