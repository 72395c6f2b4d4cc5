// `ballast data` as a user runs it: exit codes, sentences, files.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ballast/base/testing.h"
#include "ballast/data/npy.h"
#include "ballast/data/test_files.h"
#include "ballast/data/trace.h"

namespace ballast::data {
namespace {

using testing::HasSubstr;

class DataProgram : public FolderTest {
 protected:
  static CommandResult run(const std::string& words) {
    return run_command(BALLAST_BINARY_DIR "/bin/ballast-data " + words);
  }
};

TEST_F(DataProgram, ListNamesEveryDataSetAsJson) {
  const auto [code, text] = run("list --json");
  EXPECT_EQ(code, 0);
  EXPECT_THAT(text, HasSubstr("\"graph-collection\""));
  EXPECT_THAT(text, HasSubstr("\"schema\": \"ballast.data.list/1\""));
}

TEST_F(DataProgram, GeneratesKeysThatInfoDescribes) {
  ASSERT_EQ(run("gen keys --law zipf --records 1000 --count 5000 --exponent 1.5 --out " + path("k.npy")).code,
            0);
  const Array keys = read_npy(InputStream::open(path("k.npy")));
  EXPECT_EQ(keys.shape, Shape{5000});
  EXPECT_LT(*std::max_element(keys.as<std::uint64_t>().begin(), keys.as<std::uint64_t>().end()), 1000u);
  const auto [code, text] = run("info " + path("k.npy"));
  EXPECT_EQ(code, 0);
  EXPECT_THAT(text, HasSubstr("(5000,)"));
  EXPECT_EQ(run("gen keys --records 10 --count 3 --law sequential").output, "0\n1\n2\n");
}

TEST_F(DataProgram, GeneratesATraceThatItReads) {
  ASSERT_EQ(run("gen trace --like azure-code --duration 600 --out " + path("t.csv")).code, 0);
  EXPECT_GT(read_trace(path("t.csv")).requests.size(), 300u);
  const auto [code, text] = run("info " + path("t.csv") + " --json");
  EXPECT_EQ(code, 0);
  EXPECT_THAT(text, HasSubstr("\"gap_cv\""));
}

TEST_F(DataProgram, CheckSaysWhatIsWrongAndEndsWith1) {
  put("good.csv", "a,b\n1,2\n");
  put("bad.csv", "a,b\n1\n");
  EXPECT_EQ(run("check " + path("good.csv")).code, 0);
  const auto [code, text] = run("check " + path("good.csv") + " " + path("bad.csv"));
  EXPECT_EQ(code, 1);
  EXPECT_THAT(text, HasSubstr("bad.csv:2: the row has 1 field; accepted: 2 as in the first row"));
}

TEST_F(DataProgram, MistakesEndWith2AndMissingFilesWith3) {
  EXPECT_EQ(run("info " + path("nothing.npy")).code, 3);
  put("odd", "no known format");
  const auto odd = run("info " + path("odd"));
  EXPECT_EQ(odd.code, 2);
  EXPECT_THAT(odd.output, HasSubstr("is of no format that is read here"));
  const auto law = run("gen keys --law zpif");
  EXPECT_EQ(law.code, 2);
  EXPECT_THAT(law.output, HasSubstr("did you mean 'zipf'?"));
  EXPECT_EQ(run("gen keys --law zipfian --exponent 1.5 --count 1").code, 2);
  EXPECT_EQ(run("gen trace").code, 2);
  EXPECT_EQ(run("gen trace --out /nonexistent/t.csv").code, 3);
  EXPECT_EQ(run("gen wind").code, 2);
}

}  // namespace
}  // namespace ballast::data
