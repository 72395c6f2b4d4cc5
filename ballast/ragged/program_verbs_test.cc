// The verbs of `ballast ragged` as a user runs them: tune, bench's flags, files in and out.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ballast/base/file.h"
#include "ballast/base/json.h"
#include "ballast/base/temporary_folder.h"
#include "ballast/base/testing.h"
#include "ballast/data/npy.h"

namespace ballast::ragged {
namespace {

using testing::HasSubstr;

auto ragged(const std::string& words, const std::string& cache) {
  return run_command("BALLAST_JIT_CACHE='" + cache +
                     "' OPENBLAS_CORETYPE=Haswell '" BALLAST_BINARY_DIR "/bin/ballast-ragged' " + words +
                     " 2>&1");
}

TEST(TuneVerb, KeepsTheFastestWhereBenchFindsIt) {
  const TemporaryFolder folder;
  write_file(folder.file("sizes.txt"), "# M N K\n20 30 40\n64 64 64\n");
  const std::string cache = folder.file("cache");
  const auto run = ragged(
      "tune --op vgemm --data " + folder.file("sizes.txt") + " --budget 0.05 --threads 1 --json", cache);
  ASSERT_EQ(run.code, 0) << run.output;
  const Json result = Json::parse(run.output.substr(run.output.find('{')));
  ASSERT_EQ(result["rows"].size(), 9u);
  // The chosen schedule ran to the end: none has more rounds.
  std::size_t chosen = 0, most = 0;
  for (const Json& row : result["rows"]) {
    most = std::max(most, row["rounds"].get<std::size_t>());
    if (row["schedule"] == result["chosen"]) chosen = row["rounds"].get<std::size_t>();
  }
  EXPECT_EQ(chosen, most);
  const Json kept = Json::parse(read_file(cache + "/ragged-tuned.json"));
  const Json& entry = kept[result["cpu"].get<std::string>()];
  EXPECT_EQ(result["chosen"], "tiles of " + std::to_string(entry["vgemm_rows"].get<int>()) + " x " +
                                  std::to_string(entry["vgemm_columns"].get<int>()));
  // The encoder's sizes join them, products' stay.
  write_file(folder.file("L.txt"), "3\n5\n");
  const auto encoder = ragged(
      "tune --op encoder --data " + folder.file("L.txt") + " --batch 2 --budget 0.05 --threads 1 --json",
      cache);
  ASSERT_EQ(encoder.code, 0) << encoder.output;
  const Json both = Json::parse(read_file(cache + "/ragged-tuned.json"))[result["cpu"].get<std::string>()];
  EXPECT_EQ(both["vgemm_rows"], entry["vgemm_rows"]);
  EXPECT_GT(both["encoder_rows"].get<int>(), 0);

  write_file(cache + "/ragged-tuned.json", "no json");
  const auto damaged = ragged("bench --suite work --quick", cache);
  EXPECT_EQ(damaged.code, 2);
  EXPECT_THAT(damaged.output, HasSubstr("ragged-tuned.json"));
  EXPECT_EQ(ragged("tune --op vgemm --data small --budget 0", cache).code, 2);
  EXPECT_THAT(ragged("tune --op vgem", cache).output, HasSubstr("vgemm"));
}

TEST(BenchVerb, FlagsThatWouldChangeNothingAreRefused) {
  const TemporaryFolder folder;
  const auto refused = [&](const std::string& words, const std::string& why, int code = 2) {
    const auto run = ragged("bench " + words, folder.path());
    EXPECT_EQ(run.code, code) << words << run.output;
    EXPECT_THAT(run.output, HasSubstr(why)) << words;
  };
  refused("--suite tri --no-hoist", "it acts in vgemm, opsplit, padfuse");
  refused("--suite work --baseline packed", "it acts in encoder");
  refused("--suite encoder --baseline pakced", "packed");
  refused("--suite encodr", "encoder");
  refused("--suite encoder --inner mkl", "--inner");
  refused("--suite mha --batches 0", "--batches");
  refused("--suite mha --pad-to longest", "--pad-to");
  refused("--suite ablation --fusemap tables", "table");
  refused("--target cuda", "no CUDA device", 3);
  const auto counted = ragged("bench --suite work,memory --data cola --batch 32 --json", folder.path());
  ASSERT_EQ(counted.code, 0) << counted.output;
  EXPECT_THAT(counted.output, HasSubstr("R1.cola.b32"));
  EXPECT_THAT(counted.output, HasSubstr("R10.cola.peak"));
}

TEST(BenchVerb, BaselinesAndTechniquesAreChosen) {
  const TemporaryFolder folder;
  write_file(folder.file("L.txt"), "3\n1\n4\n2\n");
  const auto run = ragged("bench --suite encoder --data " + folder.file("L.txt") +
                              " --batch 2 --batches 2 --rounds 3 --quick --threads 1 --no-fused-attn "
                              "--no-balance --baseline packed,bucketed-32 --json",
                          folder.path());
  ASSERT_EQ(run.code, 0) << run.output;
  EXPECT_THAT(run.output, HasSubstr("R2.geomean.packed"));
  EXPECT_THAT(run.output, HasSubstr("R2.geomean.bucketed-32"));
  EXPECT_THAT(run.output, Not(HasSubstr("padded-jit")));
}

TEST(RunVerb, OffsetsInPlaceOfLengths) {
  const TemporaryFolder folder;
  const auto offsets = [&](std::vector<std::int64_t> at) {
    data::write_npy(folder.file("O.npy"), data::Array::of<std::int64_t>({at.size()}, at).view());
    return ragged("run --op encoder --offsets " + folder.file("O.npy") + " --input " + folder.file("X.npy") +
                      " --weights " + folder.file("W.safetensors") + " --heads 1",
                  folder.path());
  };
  write_file(folder.file("X.npy"), "");
  write_file(folder.file("W.safetensors"), "");
  EXPECT_THAT(offsets({1, 3}).output, HasSubstr("entry 0"));
  EXPECT_THAT(offsets({0, 3, 2}).output, HasSubstr("entry 2"));
  EXPECT_EQ(offsets({0, 3, 2}).code, 2);
}

}  // namespace
}  // namespace ballast::ragged
