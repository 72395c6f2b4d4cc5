// The verbs around a run: sim --out, report, predict, export.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <sstream>

#include "ballast/base/file.h"
#include "ballast/base/json.h"
#include "ballast/base/temporary_folder.h"
#include "ballast/base/testing.h"
#include "ballast/data/safetensors.h"
#include "ballast/federate/model_file.h"
#include "ballast/federate/samples.h"

namespace ballast::federate {
namespace {

using testing::HasSubstr;

const std::string& program() {
  static const std::string path = std::string(BALLAST_BINARY_DIR) + "/bin/ballast-federate";
  return path;
}

class Runs : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = new TemporaryFolder;
    const auto made =
        run_command(program() +
                    " sim --data circle --pattern A --steps 4 --samples 100 --strategy feddrift,oblivious "
                    "--rounds 10 --local-steps 20 --seed 3 --json " +
                    folder_->file("sim.json") + " --out " + folder_->file("runs"));
    ASSERT_EQ(made.code, 0) << made.output;
  }
  static void TearDownTestSuite() { delete folder_; }
  static std::string file(const std::string& name) { return folder_->file(name); }
  static inline TemporaryFolder* folder_ = nullptr;
};

// comm.csv holds every byte of the ledger, by step, client and phase.
TEST_F(Runs, BytesByClientAddUpToTheLedger) {
  std::istringstream lines(read_file(file("runs/feddrift/comm.csv")));
  std::string line;
  std::getline(lines, line);
  EXPECT_EQ(line, "step,client,score_down,cross_down,train_down,evaluate_down,models_up,stats_up,secure_up");
  std::uint64_t down = 0, up = 0, rows = 0;
  for (; std::getline(lines, line); ++rows) {
    std::replace(line.begin(), line.end(), ',', ' ');
    std::istringstream row(line);
    std::uint64_t step, client, part[7];
    row >> step >> client;
    for (auto& value : part) row >> value;
    down += part[0] + part[1] + part[2] + part[3];
    up += part[4];
  }
  const Json run = read_json(file("runs/feddrift/run.json"));
  EXPECT_EQ(down, run["bytes"]["models_down"].get<std::uint64_t>());
  EXPECT_EQ(up, run["bytes"]["models_up"].get<std::uint64_t>());
  EXPECT_EQ(rows, 50u);  // 10 clients, steps 0 to 4 (the last one is only evaluated on)
}

TEST_F(Runs, ReportSaysWhatTheSimulationSaid) {
  const auto report = run_command(program() + " report " + file("runs") + " --json " + file("report.json") +
                                  " --report " + file("report.html"));
  ASSERT_EQ(report.code, 0) << report.output;
  const Json sim = read_json(file("sim.json")), read = read_json(file("report.json"));
  ASSERT_EQ(read["runs"].size(), 2u);
  for (std::size_t k = 0; k < 2; ++k) {
    EXPECT_EQ(read["runs"][k]["strategy"], sim["runs"][k]["strategy"]);
    EXPECT_DOUBLE_EQ(read["runs"][k]["accuracy_inclusive"].get<double>(),
                     sim["runs"][k]["accuracy_inclusive"].get<double>());
    EXPECT_DOUBLE_EQ(read["runs"][k]["rand_index"].get<double>(), sim["runs"][k]["rand_index"].get<double>());
  }
  EXPECT_THAT(read_file(file("report.html")), HasSubstr("true concepts"));
  EXPECT_EQ(run_command(program() + " report " + file("nothing")).code, 3);
  std::filesystem::create_directories(file("bad/x"));
  write_file(file("bad/x/assignment.csv"), "step,client,concept,slot,samples,correct\n0,0,0,0,5,9\n");
  const auto bad = run_command(program() + " report " + file("bad"));
  EXPECT_EQ(bad.code, 2);
  EXPECT_THAT(bad.output, HasSubstr("assignment.csv:2"));
}

TEST_F(Runs, PredictAnswersAsTheTrainerDoes) {
  const auto federation =
      make_federation({.name = "circle", .samples = 50, .seed = 9}, ConceptPattern::stationary(1, 1));
  const Samples& samples = federation.batch(0, 0);
  std::string rows = "a,b,y\n", plain = "a,b\n";
  for (std::size_t i = 0; i < samples.size(); ++i) {
    rows += std::to_string(samples.row(i)[0]) + "," + std::to_string(samples.row(i)[1]) + "," +
            std::to_string(samples.y[i]) + "\n";
    plain += std::to_string(samples.row(i)[0]) + "," + std::to_string(samples.row(i)[1]) + "\n";
  }
  write_file(file("rows.csv"), rows);
  write_file(file("plain.csv"), plain);
  const std::string run = " --run " + file("runs/feddrift") + " --client 0";
  const auto labelled =
      run_command(program() + " predict" + run + " --data " + file("rows.csv") + " --label y --json");
  ASSERT_EQ(labelled.code, 0) << labelled.output;
  const Json a = Json::parse(labelled.output);
  EXPECT_EQ(a["rows"], 50);
  std::size_t right = 0;
  for (std::size_t i = 0; i < samples.size(); ++i) right += a["answers"][i] == samples.y[i] ? 1 : 0;
  EXPECT_DOUBLE_EQ(a["accuracy"].get<double>(), static_cast<double>(right) / 50);
  const auto bare = run_command(program() + " predict" + run + " --data " + file("plain.csv") + " --out " +
                                file("answers.csv"));
  ASSERT_EQ(bare.code, 0) << bare.output;
  std::istringstream answers(read_file(file("answers.csv")));
  std::string line;
  std::getline(answers, line);
  EXPECT_EQ(line, "answer");
  for (const Json& answer : a["answers"]) {
    std::getline(answers, line);
    EXPECT_EQ(line, answer.dump());
  }
  EXPECT_EQ(run_command(program() + " predict" + run + " --data " + file("rows.csv")).code,
            2);  // three features
  EXPECT_EQ(run_command(program() + " predict --data " + file("plain.csv")).code, 2);
  EXPECT_EQ(run_command(program() + " predict --run " + file("runs/feddrift") + " --client 77 --data " +
                        file("plain.csv"))
                .code,
            2);
  write_file(file("broken.safetensors"), "12345678{}");
  EXPECT_EQ(run_command(program() + " predict --model " + file("broken.safetensors") + " --data " +
                        file("plain.csv"))
                .code,
            2);
}

TEST_F(Runs, ExportNamesEveryLayer) {
  const std::string model = file("runs/oblivious/models/0.safetensors");
  const std::string verb = program() + " export --model " + model;
  const auto made = run_command(verb + " --out " + file("layers.safetensors"));
  ASSERT_EQ(made.code, 0) << made.output;
  const data::SafetensorsFile layers(file("layers.safetensors"));
  const Params params = read_model(model).params;
  std::size_t at = 0;
  for (const char* name : {"layer0.weight", "layer0.bias", "layer1.weight", "layer1.bias"}) {
    for (float value : layers.tensor(name).as<float>()) EXPECT_EQ(value, params.at(at++)) << name;
  }
  EXPECT_EQ(at, params.size());
  EXPECT_EQ(run_command(verb + " --format npz --out " + file("layers.npz")).code, 0);
  EXPECT_EQ(run_command(verb + " --format onnx --out " + file("x")).code, 2);
  if (!std::filesystem::exists(std::string(BALLAST_BINARY_DIR) + "/bin/ballast-federate-torch"))
    GTEST_SKIP() << "built without libtorch";
  ASSERT_EQ(run_command(verb + " --format torchscript --out " + file("model.pt")).code, 0);
  if (run_command("/usr/bin/python3 -c 'import torch'").code != 0)
    GTEST_SKIP() << "no python3-torch to read it with";
  // Another program reads both and computes the same.
  write_file(file("check.py"),
             "import sys, numpy, torch\n"
             "z = numpy.load(sys.argv[1]); m = torch.jit.load(sys.argv[2]); x = torch.rand(20, 2)\n"
             "t = {k: torch.from_numpy(z[k]) for k in z.files}\n"
             "h = torch.relu(x @ t['layer0.weight'].T + t['layer0.bias'])\n"
             "y = h @ t['layer1.weight'].T + t['layer1.bias']\n"
             "assert torch.allclose(m(x), y, atol=1e-5), (m(x) - y).abs().max()\n");
  const auto checked =
      run_command("/usr/bin/python3 " + file("check.py") + " " + file("layers.npz") + " " + file("model.pt"));
  EXPECT_EQ(checked.code, 0) << checked.output;
}

TEST(Verbs, ContradictionsAreRefusedWithTheFlag) {
  for (const char* words :
       {"sim --model cnn --data sine --steps 1", "sim --secure --aggregate median", "sim --local-noise 1",
        "sim --model transformer", "drain --state /nowhere", "release north --state /nowhere"}) {
    const auto result = run_command(program() + " " + words);
    EXPECT_THAT(result.code, testing::AnyOf(2, 3)) << words << ": " << result.output;
  }
}

// Section 9: what cannot be is refused with exit code 2 and the flag's name.
TEST(Verbs, ImpossibleNumbersAreRefused) {
  for (const char* words :
       {"--delta -0.1", "--isolation 0", "--local-steps 0", "--batch 0", "--models 0", "--rounds -3",
        "--clients 0", "--strategy feddrif", "--linkage ward", "--strateg feddrift", "--baseline later",
        "--detector oracle", "--fraction 0", "--churn 1.5"}) {
    const auto result =
        run_command(program() + " sim --data sine --steps 1 --preset smoke --strategy feddrift " + words);
    EXPECT_EQ(result.code, 2) << words << ": " << result.output;
    const std::string flag = std::string(words).substr(2, std::string(words).find(' ') - 2);
    EXPECT_THAT(result.output, testing::AnyOf(HasSubstr(flag), HasSubstr("strategy"))) << words;
  }
}

// Local noise: every update is noised on the client, so the result differs and the epsilon is told.
TEST(Verbs, LocalNoiseIsAccountedFor) {
  const std::string sim =
      program() + " sim --data sine --steps 2 --samples 100 --preset smoke --strategy oblivious --json";
  const auto plain = run_command(sim + " --clip 1"),
             noised = run_command(sim + " --clip 1 --local-noise 0.5"),
             again = run_command(sim + " --clip 1 --local-noise 0.5");
  ASSERT_EQ(noised.code, 0) << noised.output;
  const Json a = Json::parse(plain.output)["runs"][0], b = Json::parse(noised.output)["runs"][0];
  EXPECT_EQ(noised.output, again.output);
  EXPECT_GT(b["epsilon"].get<double>(), 0);
  EXPECT_EQ(a["epsilon"].get<double>(), 0);
  EXPECT_NE(a["accuracy"], b["accuracy"]);
}

}  // namespace
}  // namespace ballast::federate
