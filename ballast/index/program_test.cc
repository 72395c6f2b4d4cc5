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
#include "ballast/index/key_files.h"
#include "ballast/index/mixed.h"
#include "ballast/index/operations_file.h"
#include "ballast/index/oracle.h"
#include "ballast/index/workload.h"

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

TEST_F(IndexProgram, FilesOfAllKindsGoRound) {
  for (const char* kind : {"uniform", "wiki-like", "osm-like", "books-like"}) {
    ASSERT_EQ(run("gen " + path("k.bidx") + " --count 3000 --keys " + kind).code, 0) << kind;
    const auto entries = read_entries(path("k.bidx"));
    EXPECT_GT(entries.size(), 2000u) << kind;
    for (const char* name : {"k.csv", "k.ops"}) {
      ASSERT_EQ(run("convert " + path("k.bidx") + " " + path(name)).code, 0);
      EXPECT_EQ(read_entries(path(name)), entries) << name;
    }
    ASSERT_EQ(run("convert " + path("k.bidx") + " " + path("k.sosd")).code, 0);
    const auto keys = read_entries(path("k.sosd"));
    ASSERT_EQ(keys.size(), entries.size());
    for (std::size_t i = 0; i < keys.size(); ++i) ASSERT_EQ(keys[i], (Entry{entries[i].key, i}));
  }
  EXPECT_THAT(run("verify " + path("k.bidx") + " --tree --modules 8").output, HasSubstr("tree sound"));
  EXPECT_THAT(run("info " + path("k.csv")).output, HasSubstr("distinct keys"));
  write_strings(path("w.strings"), std::vector<std::string>{"pear", "apple", "fig"});
  const auto words = read_entries(path("w.strings"));
  ASSERT_EQ(words.size(), 3u);
  EXPECT_EQ(words[0].key, string_prefix("apple"));
  EXPECT_EQ(run("convert " + path("k.bidx") + " " + path("x.strings")).code, 2);
  EXPECT_EQ(run("gen " + path("x.bidx") + " --keys osm-lik").code, 2);
  EXPECT_EQ(run("gen " + path("x") + " --workload A").code, 2);
  EXPECT_EQ(run("gen " + path("x") + " --workload G --init " + path("k.bidx")).code, 2);
}

TEST_F(IndexProgram, DamagedFilesNameTheirPlace) {
  write_file(path("short.sosd"), std::string("\x05\0\0\0\0\0\0\0abc", 11));
  write_file(path("bad.csv"), "key,value\n5,x\n");
  write_file(path("bad.strings"), std::string("\x01\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0\x09\0\0\0abc", 23));
  write_file(path("bad.bidx"), "no snapshot at all");
  for (const auto& [name, words] :
       std::vector<std::pair<std::string, std::string>>{{"short.sosd", "the file ends within its 5 keys"},
                                                        {"bad.csv", ":2: column 'value' is 'x'"},
                                                        {"bad.strings", "byte 16: a key of 9 bytes"},
                                                        {"bad.bidx", "byte 0: this is no .bidx snapshot"}}) {
    const auto [code, text] = run("info " + path(name));
    EXPECT_EQ(code, 2) << name;
    EXPECT_THAT(text, HasSubstr(words)) << name;
  }
}

TEST_F(IndexProgram, WorkloadsRunOnEveryEngineWithTheSameAnswers) {
  ASSERT_EQ(run("gen " + path("k.bidx") + " --count 2000").code, 0);
  for (const char* workload : {"A", "D", "E", "F", "\"A'\"", "\"E'\""}) {
    ASSERT_EQ(run("gen " + path("ops") + " --count 400 --pieces 8 --init " + path("k.bidx") + " --workload " +
                  workload)
                  .code,
              0);
    for (const char* how :
         {"--method host --order program", "--method pim-tree --order program --scan-limit 10",
          "--method hash-broadcast --order phase", "--method range",
          "--method cluster --engine sorted --machines 3 --order phase", "--method cluster --engine orch"}) {
      const auto [code, text] =
          run("run " + path("ops") + " --init " + path("k.bidx") + " --modules 4 --check " + how);
      EXPECT_EQ(code, 0) << workload << " " << how << text;
    }
  }
  EXPECT_EQ(run("run " + path("ops") + " --order progam").code, 2);
  EXPECT_EQ(run("run " + path("ops") + " --scan-limit 3").code, 2);
}

TEST_F(IndexProgram, SoakIsVerified) {
  EXPECT_THAT(run("soak --batches 40 --modules 3").output, HasSubstr("structure sound 40 times"));
  EXPECT_THAT(run("soak --batches 60 --method host").output, HasSubstr("all answers equal"));
  EXPECT_EQ(run("soak --batches 5 --verify-every 0").code, 2);
}

// One after another on std::map: what `program` must give.
std::vector<OperationAnswer> one_by_one(const std::vector<Operation>& operations, Order order) {
  Oracle oracle;
  std::vector<OperationAnswer> answers;
  for (const auto& operation : operations) {
    const auto one = run_mixed(oracle, std::span(&operation, 1), order);
    answers.push_back(one.answers[0]);
  }
  return answers;
}

TEST(Mixed, ProgramOrderIsOneAfterAnother) {
  std::uint64_t pieces = 0, operations = 0;
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    Random random(seed, 6);
    std::vector<Operation> batch;
    const std::uint64_t keys = seed % 2 == 0 ? 20 : 5000;
    for (int i = 0; i < 300; ++i) {
      const auto type = static_cast<Operation::Type>(random.below(7));
      const auto key = static_cast<std::int64_t>(random.below(keys));
      batch.push_back({type, key,
                       type == Operation::Type::scan ? key + static_cast<std::int64_t>(random.below(6))
                                                     : static_cast<std::int64_t>(random())});
    }
    HostMap map({.threads = 1});
    const MixedReport report = run_mixed(map, batch, Order::program);
    ASSERT_EQ(report.answers, one_by_one(batch, Order::program)) << "seed " << seed;
    pieces += report.pieces;
    operations += batch.size();
  }
  EXPECT_LT(pieces, operations / 2);
}

// By hand: reads see the state before the batch, then remove, update, insert.
TEST(Mixed, PhaseOrderIsThatOfTheReference) {
  using Type = Operation::Type;
  HostMap map({.threads = 1});
  map.insert(std::vector<Entry>{{ordered(5), 50}});
  const std::vector<Operation> batch = {{Type::insert, 7, 70}, {Type::get, 7, 0},    {Type::remove, 5, 0},
                                        {Type::get, 5, 0},     {Type::update, 5, 1}, {Type::update, 7, 2}};
  const MixedReport report = run_mixed(map, batch, Order::phase);
  EXPECT_FALSE(report.answers[1].found);          // inserted later
  EXPECT_TRUE(report.answers[2].found);           // removed
  EXPECT_EQ(report.answers[3].entry.value, 50u);  // read before
  EXPECT_FALSE(report.answers[4].found);          // removed before updates
  EXPECT_FALSE(report.answers[5].found);          // inserted after updates
  EXPECT_EQ(map.find(ordered(7)), std::optional<Value>(70));
  EXPECT_EQ(report.batches, 4u);
}

TEST(Scan, LimitsGiveTheFirstRows) {
  HostMap map({.threads = 1});
  Oracle oracle;
  const auto entries = uniform_entries(5000, 3);
  map.bulk_load(entries);
  oracle.bulk_load(entries);
  Random random(4);
  std::vector<KeyRange> ranges;
  for (int i = 0; i < 200; ++i) ranges.push_back({random(), random()});
  for (const std::uint64_t limit : {1u, 2u, 31u, 32u, 33u, 500u}) {
    const Rows ours = map.scan_first(ranges, limit), theirs = oracle.scan_first(ranges, limit);
    for (std::size_t i = 0; i < ranges.size(); ++i)
      ASSERT_TRUE(std::equal(ours[i].begin(), ours[i].end(), theirs[i].begin(), theirs[i].end())) << limit;
  }
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

// Sound files with damage, and random bytes, through every reader of key files.
TEST(KeyFiles, AnyBytesAreReadOrRefused) {
  const TemporaryFolder folder;
  std::vector<Entry> entries;
  for (Key key = 0; key < 40; ++key) entries.push_back({key * key + 1, key});
  write_snapshot(folder.file("k.bidx"), entries);
  write_entries(folder.file("k.sosd"), entries);
  write_strings(folder.file("k.strings"), std::vector<std::string>{"one", "two", "three"});
  write_entries(folder.file("k.csv"), entries);
  const std::string sound[] = {std::string(1, 0) + read_file(folder.file("k.bidx")),
                               std::string(1, 5) + read_file(folder.file("k.sosd")),
                               std::string(1, 2) + read_file(folder.file("k.strings")),
                               std::string(1, 3) + read_file(folder.file("k.csv"))};
  for (const auto& bytes : sound) EXPECT_TRUE(feed_key_files(bytes));
  Random random(13);
  int read = 0;
  constexpr int kTries = 4000;
  for (int i = 0; i < kTries; ++i) {
    std::string bytes = sound[random.below(4)];
    for (std::uint64_t change = random.below(4); change > 0; --change)
      bytes[1 + random.below(bytes.size() - 1)] = static_cast<char>(random());
    if (random.below(4) == 0) bytes.resize(1 + random.below(bytes.size() - 1));
    read += feed_key_files(bytes);
  }
  EXPECT_GT(read, 100);
  EXPECT_LT(read, kTries - 100);
}

TEST(OperationsFile, SignedKeysKeepTheirOrder) {
  const std::int64_t keys[] = {INT64_MIN, -5, -1, 0, 1, 7, INT64_MAX};
  for (std::size_t i = 1; i < std::size(keys); ++i) EXPECT_LT(ordered(keys[i - 1]), ordered(keys[i]));
  for (const std::int64_t key : keys) EXPECT_EQ(from_ordered(ordered(key)), key);
}

}  // namespace
}  // namespace ballast::index
