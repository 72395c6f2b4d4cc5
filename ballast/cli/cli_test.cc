#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <string>
#include <utility>

#include "ballast/base/cli.h"

namespace ballast::cli {
namespace {

std::pair<int, std::string> shell(const std::string& command) {
  std::FILE* pipe = ::popen((command + " 2>&1").c_str(), "r");
  std::string output;
  std::array<char, 4096> chunk;
  while (const std::size_t got = std::fread(chunk.data(), 1, chunk.size(), pipe))
    output.append(chunk.data(), got);
  const int status = ::pclose(pipe);
  return {WEXITSTATUS(status), output};
}

const std::string kBallast = BALLAST_BINARY_DIR "/bin/ballast ";

TEST(Front, NamesTheNearestComponent) {
  const auto [code, output] = shell(kBallast + "grap run");
  EXPECT_EQ(code, 2);
  EXPECT_NE(output.find("did you mean 'graph'"), std::string::npos) << output;
}

TEST(Front, HelpAndVersion) {
  EXPECT_EQ(shell(kBallast + "--help").first, 0);
  EXPECT_EQ(shell(kBallast + "--version").second.substr(0, 8), "ballast ");
  EXPECT_EQ(shell(kBallast + "doctor --json").first, 0);
  EXPECT_EQ(shell(kBallast + "tour --report").first, 2);
}

TEST(Nearest, FindsTyposOnly) {
  EXPECT_EQ(nearest("--sede", {"--seed", "--json"}), "--seed");
  EXPECT_EQ(nearest("--elephant", {"--seed", "--json"}), std::nullopt);
}

}  // namespace
}  // namespace ballast::cli
