// The programs as a user meets them: killed at any moment, and a tuned model served by `ballast serve`.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <thread>

#include "ballast/base/file.h"
#include "ballast/base/random.h"
#include "ballast/base/temporary_folder.h"
#include "ballast/base/testing.h"
#include "ballast/llama/test_model.h"

namespace ballast::tune {
namespace {

const std::string kPrograms = BALLAST_BINARY_DIR "/bin/";

pid_t start(const std::vector<std::string>& words) {
  const pid_t child = ::fork();
  if (child != 0) return child;
  const int nowhere = ::open("/dev/null", O_RDWR);
  for (const int descriptor : {0, 1, 2}) ::dup2(nowhere, descriptor);
  std::vector<char*> arguments;
  for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  ::execv(arguments[0], arguments.data());
  ::_exit(127);
}

std::string latest(const std::string& folder) {
  const std::string file = folder + "/latest";
  return std::filesystem::exists(file) ? read_file(file) : std::string();
}

// Killed ten times at random moments, each time after at least one more step, and resumed: the same bits as a
// run that nobody disturbed.
TEST(Killed, TenTimesAndGoesOnBitForBit) {
  const TemporaryFolder folder;
  const std::string text = folder.file("text.txt");
  std::string line;
  for (int i = 0; i < 400; ++i) line += "the " + std::to_string(i * 37 % 101) + "th step of a run\n";
  write_file(text, line);
  const auto words = [&](const std::string& out, int steps) {
    return std::vector<std::string>{kPrograms + "ballast-tune",
                                    "run",
                                    "--model",
                                    "tiny",
                                    "--keep-layers",
                                    "1",
                                    "--text",
                                    text,
                                    "--batch",
                                    "1",
                                    "--seq",
                                    "16",
                                    "--calibration",
                                    "2",
                                    "--strategy",
                                    "lsp",
                                    "--r",
                                    "4",
                                    "--fit-iterations",
                                    "2",
                                    "--check-freq",
                                    "7",
                                    "--clock",
                                    "modelled",
                                    "--save-every",
                                    "1",
                                    "--out",
                                    out,
                                    "--steps",
                                    std::to_string(steps)};
  };
  const auto wait_for = [](pid_t child) {
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  };
  const std::string killed = folder.file("killed"), whole = folder.file("whole");
  Random random(11);
  for (int round = 0; round < 10; ++round) {
    auto command = words(killed, 1000000);
    if (!latest(killed).empty()) command.push_back("--resume");
    const std::string before = latest(killed);
    const pid_t child = start(command);
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(120);
    while (latest(killed) == before && std::chrono::steady_clock::now() < limit)
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    ASSERT_NE(latest(killed), before) << "round " << round << " made no step";
    std::this_thread::sleep_for(std::chrono::microseconds(random.below(30000)));
    ::kill(child, SIGKILL);
    EXPECT_EQ(wait_for(child), -1);
  }
  const int done = std::stoi(latest(killed).substr(5));
  const int steps = done + 2;
  auto command = words(killed, steps);
  command.push_back("--resume");
  ASSERT_EQ(wait_for(start(command)), 0);
  ASSERT_EQ(wait_for(start(words(whole, steps))), 0);
  ASSERT_EQ(latest(killed), latest(whole));
  for (const char* file : {"model", "optimizer", "projectors"}) {
    const std::string name = "/" + latest(whole) + "/" + file + ".safetensors";
    EXPECT_EQ(read_file(killed + name), read_file(whole + name)) << file << " after " << steps << " steps";
  }
}

// One product: what is tuned here is served by `ballast serve` with no further step.
TEST(Served, ATunedModelAnswers) {
  BALLAST_NEEDS_SHIPPED_MODEL();
  if (!std::filesystem::exists(kPrograms + "ballast-serve"))
    GTEST_SKIP() << "ballast serve is not built here";
  const TemporaryFolder folder;
  const std::string model = folder.file("tuned.gguf"), port_file = folder.file("port");
  const CommandResult tuned = run_command(
      kPrograms +
      "ballast-tune run --keep-layers 2 --batch 1 --seq 24 --calibration 2 --steps 2 --clock modelled "
      "--fit-iterations 2 --text /usr/share/common-licenses --gguf " +
      model);
  ASSERT_EQ(tuned.code, 0) << tuned.output;
  // Made-up speeds: measuring them would take longer than the test.
  const std::string perf = folder.file("perf.json");
  write_file(perf, R"({"schema": "ballast.perf/1", "name": "test", "origin": "measured", "kv_tokens": 4096,
                      "lines": [{"fixed_ms": 2, "ms_per_token": 0.5}, {"fixed_ms": 2, "ms_per_token": 0.5}]})");
  const pid_t server =
      start({kPrograms + "ballast-serve", "start", "--model", model, "--perf", perf, "--threads", "1",
             "--slots", "2", "--slot-tokens", "256", "--port", "0", "--port-file", port_file});
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(180);
  while (!std::filesystem::exists(port_file) && std::chrono::steady_clock::now() < limit &&
         ::waitpid(server, nullptr, WNOHANG) == 0)
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  ASSERT_TRUE(std::filesystem::exists(port_file)) << "the server did not start with the tuned model";
  const CommandResult answer =
      run_command("python3 -c \"import json,urllib.request as u; p=open('" + port_file +
                  "').read().strip(); r=u.Request('http://127.0.0.1:'+p+'/v1/completions', "
                  "json.dumps({'model':'tuned','prompt':'The licence','max_tokens':4}).encode(), "
                  "{'Content-Type':'application/json'}); print(u.urlopen(r, timeout=120).read().decode())\"");
  ::kill(server, SIGTERM);
  ::waitpid(server, nullptr, 0);
  EXPECT_EQ(answer.code, 0) << answer.output;
  EXPECT_NE(answer.output.find("\"choices\""), std::string::npos) << answer.output;
}

}  // namespace
}  // namespace ballast::tune
