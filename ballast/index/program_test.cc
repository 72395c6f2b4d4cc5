// `ballast index` as a user runs it, and its operation files.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ballast/base/file.h"
#include "ballast/base/random.h"
#include "ballast/base/temporary_folder.h"
#include "ballast/base/testing.h"
#include "ballast/index/fuzz_feed.h"
#include "ballast/index/host_map.h"
#include "ballast/index/operations_file.h"
#include "ballast/index/oracle.h"

namespace ballast::index {
namespace {

using testing::HasSubstr;

class IndexProgram : public testing::Test {
 protected:
  std::string path(const std::string& name) const { return folder_.file(name); }
  static CommandResult run(const std::string& words) {
    return run_command(BALLAST_BINARY_DIR "/bin/ballast-index " + words);
  }

 private:
  const TemporaryFolder folder_;
};

std::vector<Operation> random_operations(std::uint64_t seed, std::size_t count) {
  Random random(seed);
  std::vector<Operation> operations;
  auto type = Operation::Type::insert;
  for (std::size_t i = 0; i < count; ++i) {
    if (random.below(20) == 0) type = static_cast<Operation::Type>(random.below(7));
    const auto key = static_cast<std::int64_t>(random.below(2000)) - 1000;
    const bool scan = type == Operation::Type::scan;
    operations.push_back(
        {type, key,
         scan ? key + static_cast<std::int64_t>(random.below(50)) : static_cast<std::int64_t>(random())});
  }
  return operations;
}

TEST_F(IndexProgram, RunsOperationFilesAndChecksThem) {
  const auto operations = random_operations(5, 4000);
  write_operations(path("ops"), operations);
  EXPECT_EQ(read_operations(data::InputStream::open(path("ops"))), operations);
  Oracle oracle;
  HostMap host;
  const std::uint64_t digest = run_operations(oracle, operations, 1000);
  EXPECT_EQ(run_operations(host, operations, 1000), digest);
  for (const char* method : {"pim-tree", "range", "range-rebalance"}) {
    const auto [code, text] =
        run("run " + path("ops") + " --batch 1000 --modules 8 --check --method " + method);
    EXPECT_EQ(code, 0) << text;
    EXPECT_THAT(text, HasSubstr(fmt::format("{:016x}", digest))) << method;
  }
}

TEST_F(IndexProgram, BadOperationFilesNameTheByte) {
  write_file(path("short"), std::string(30, '\0'));
  const auto odd = run("run " + path("short"));
  EXPECT_EQ(odd.code, 2);
  EXPECT_THAT(odd.output, HasSubstr("byte 24: the last record has 6 bytes; accepted: records of 24 bytes"));
  std::string record(24, '\0');
  record[16] = 9;
  write_file(path("type"), record);
  const auto type = run("run " + path("type"));
  EXPECT_EQ(type.code, 2);
  EXPECT_THAT(type.output, HasSubstr("byte 16: operation type 9; accepted: 0 to 6"));
  EXPECT_EQ(run("run " + path("absent")).code, 3);
}

TEST_F(IndexProgram, ExplainCountsAndRefuses) {
  const auto [code, text] = run("explain --keys 20000 --batch 2000 --modules 16 --alpha 1.2");
  EXPECT_EQ(code, 0);
  EXPECT_THAT(text, HasSubstr("counted"));
  for (const char* op : {"get", "insert", "delete", "scan", "count", "successor"})
    EXPECT_EQ(run(std::string("explain --keys 5000 --batch 500 --modules 8 --op ") + op).code, 0) << op;
  const auto method = run("explain --method rnage");
  EXPECT_EQ(method.code, 2);
  EXPECT_THAT(method.output, HasSubstr("did you mean 'range'?"));
  EXPECT_EQ(run("explain --chunk 3").code, 2);
  EXPECT_EQ(run("explain --op insert --method jump-push --keys 100 --batch 10").code, 2);
  EXPECT_EQ(run("explain --modules 0").code, 2);
}

TEST(OperationsFile, AnyBytesAreReadOrRefused) {
  Random random(3);
  int read = 0;
  for (int i = 0; i < 5000; ++i) {
    std::string bytes(random.below(100), '\0');
    for (char& byte : bytes) byte = random.below(3) == 0 ? static_cast<char>(random()) : '\0';
    read += feed_operations(bytes);
  }
  EXPECT_GT(read, 10);
  EXPECT_LT(read, 4990);
}

TEST(OperationsFile, SignedKeysKeepTheirOrder) {
  const std::int64_t keys[] = {INT64_MIN, -5, -1, 0, 1, 7, INT64_MAX};
  for (std::size_t i = 1; i < std::size(keys); ++i) EXPECT_LT(ordered(keys[i - 1]), ordered(keys[i]));
  for (const std::int64_t key : keys) EXPECT_EQ(from_ordered(ordered(key)), key);
}

}  // namespace
}  // namespace ballast::index
