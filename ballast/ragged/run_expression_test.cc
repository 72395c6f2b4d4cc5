// `ballast ragged run --op expr` as a user runs it.
#include <gtest/gtest.h>

#include "ballast/base/file.h"
#include "ballast/base/temporary_folder.h"
#include "ballast/base/testing.h"
#include "ballast/data/npy.h"

namespace ballast::ragged {
namespace {

TEST(RunExpression, DoublesEveryElementAndNamesMistakes) {
  const TemporaryFolder folder;
  std::vector<float> x(60);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i);
  data::write_npy(folder.file("X.npy"), data::Array::of<float>({20, 3}, x).view());
  write_file(folder.file("L.txt"), "4\n0\n9\n7\n");
  const auto run = [&](const std::string& rest) {
    return run_command(std::string(BALLAST_BINARY_DIR) +
                       "/bin/ballast-ragged run --op expr --expr 'Y[b,i,k] = 2 * X[b,i,k]' --length len=" +
                       folder.file("L.txt") + " --tensor X=" + folder.file("X.npy") + " --out " +
                       folder.file("Y.npy") + " --check " + rest + " 2>&1");
  };
  const auto good = run("--dims 'b:B i(b):len k:3' --scalar B=4");
  ASSERT_EQ(good.code, 0) << good.output;
  const data::Array y = data::read_npy(data::InputStream::open(folder.file("Y.npy")));
  const auto values = y.as<float>();
  ASSERT_EQ(values.size(), x.size());
  for (std::size_t i = 0; i < x.size(); ++i) EXPECT_EQ(values[i], 2 * x[i]);
  const auto word = run("--dims 'b:B i(b):len k:3' --scalar B=four");
  EXPECT_EQ(word.code, 2);
  EXPECT_NE(word.output.find("an integer"), std::string::npos) << word.output;
  const auto size = run("--dims 'b:B i(b):len k:4' --scalar B=4");
  EXPECT_EQ(size.code, 2);
  EXPECT_NE(size.output.find("80 in C order"), std::string::npos) << size.output;
}

}  // namespace
}  // namespace ballast::ragged
