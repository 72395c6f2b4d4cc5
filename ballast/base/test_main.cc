// main() of every test program: GoogleTest, and a list of the checks that were left out (skipped) with their
// reasons in the file that BALLAST_LEFT_OUT names, which `make test` shows before its last line.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>

namespace {

class LeftOut : public testing::EmptyTestEventListener {
  void OnTestEnd(const testing::TestInfo& info) override {
    if (!info.result()->Skipped()) return;
    std::string reason;
    for (int i = 0; i < info.result()->total_part_count(); ++i) {
      if (info.result()->GetTestPartResult(i).skipped())
        reason = info.result()->GetTestPartResult(i).message();
    }
    lines_ += std::string(info.test_suite_name()) + "." + info.name() + ": " + reason + "\n";
  }
  void OnTestProgramEnd(const testing::UnitTest&) override {
    const char* path = std::getenv("BALLAST_LEFT_OUT");
    if (path == nullptr) return;
    std::error_code ignored;
    std::filesystem::create_directories(std::filesystem::path(path).parent_path(), ignored);
    if (std::FILE* file = std::fopen(path, "w")) {
      std::fputs(lines_.c_str(), file);
      std::fclose(file);
    }
  }
  std::string lines_;
};

}  // namespace

int main(int argc, char** argv) {
  testing::InitGoogleMock(&argc, argv);
  testing::UnitTest::GetInstance()->listeners().Append(new LeftOut);
  return RUN_ALL_TESTS();
}
