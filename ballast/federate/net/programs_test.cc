// The programs as a user starts them, and the status page in a browser.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <optional>

#include "ballast/base/testing.h"
#include "ballast/data/safetensors.h"
#include "ballast/federate/net/checkpoint.h"
#include "ballast/federate/net/deployment.h"

namespace ballast::federate {
namespace {

using testing::HasSubstr;

// The programs as a user starts them: token, serve and two clients on folders of CSV files.
TEST(Programs, TwoSitesOnTheirOwnFolders) {
  const TemporaryFolder folder;
  const std::string program = std::string(BALLAST_BINARY_DIR) + "/bin/ballast-federate", d = folder.path();
  for (const char* name : {"north", "south"}) {
    ASSERT_EQ(run_command(program + " token " + name + " --tokens " + d + "/list --out " + d + "/" + name +
                          ".token")
                  .code,
              0);
  }
  EXPECT_EQ(run_command(program + " token north --tokens " + d + "/list --out " + d + "/x").code, 2);
  Random random(3);
  for (const char* name : {"north", "south"}) {
    std::filesystem::create_directories(d + "/" + name);
    for (int step = 0; step <= 2; ++step) {
      std::string rows = "a,b,y\n";
      for (int i = 0; i < 60; ++i) {
        const double a = random.uniform(), b = random.uniform();
        rows += std::to_string(a) + "," + std::to_string(b) + "," + (a > b ? "1\n" : "0\n");
      }
      write_file(d + "/" + name + "/step_" + std::to_string(step) + ".csv", rows);
    }
  }
  const std::string client =
      program + " client --server 127.0.0.1:$port --insecure --patience 60 --state " + d;
  const auto result =
      run_command(program + " serve --insecure --tokens " + d + "/list --state " + d +
                  "/state --steps 2 --min-clients 2 --preset smoke > " + d +
                  "/out & server=$!; for i in $(seq 600); do [ -s " + d +
                  "/state/port ] && break; sleep 0.1; done; port=$(cat " + d + "/state/port); " + client +
                  "/s1 --name north --token-file " + d + "/north.token --data " + d + "/north & one=$!; " +
                  client + "/s2 --name south --token-file " + d + "/south.token --data " + d +
                  "/south; two=$?; wait $one && [ $two = 0 ] && wait $server");
  EXPECT_EQ(result.code, 0) << result.output << read_file(d + "/out");
  EXPECT_THAT(read_file(d + "/out"), HasSubstr("accuracy %"));
  EXPECT_THAT(result.output, HasSubstr("bytes of results sent (counted)"));
  EXPECT_EQ(run_command(program + " serve --insecure --tokens " + d + "/list --state " + d +
                        "/state --steps 2 --delta 0.3")
                .code,
            2);
}

// The status page of a finished federation in a real browser: every client with its model, since when, a
// curve of its accuracy with a point a step, its models by step; the console stays silent.
TEST(StatusPage, ShowsWhoIsOnWhichModelInABrowser) {
  if (run_command("command -v chromium").code != 0) GTEST_SKIP() << "needs the package chromium";
  const auto federation = small(4, 3);
  const TemporaryFolder folder;
  const ServerOptions options = server_options(folder, 4, federation.steps());
  std::optional<RunLog> log;
  {
    FederationServer server(options);
    Sites sites(federation, server.port());
    log = server.run();
  }
  const auto shown = run_command("HOME=" + folder.path() +
                                 " timeout 120 chromium --headless --no-sandbox --disable-gpu "
                                 "--disable-dev-shm-usage --enable-logging=stderr "
                                 "--user-data-dir=" +
                                 folder.file("profile") + " --virtual-time-budget=3000 --dump-dom file://" +
                                 options.state + "/status.html 2>" + folder.file("log"));
  ASSERT_EQ(shown.code, 0) << read_file(folder.file("log"));
  EXPECT_EQ(read_file(folder.file("log")).find("CONSOLE"), std::string::npos);
  const auto count = [](const std::string& text, const std::string& word) {
    std::size_t found = 0;
    for (std::size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) ++found;
    return found;
  };
  for (int c = 0; c < 4; ++c) {
    const std::string name = "<td>c" + std::to_string(c) + "</td>";
    const std::size_t at = shown.output.find(name);
    ASSERT_NE(at, std::string::npos) << shown.output;
    const std::string row = shown.output.substr(at, shown.output.find("</tr>", at) - at);
    const int model = log->serving.back()[static_cast<std::size_t>(c)];
    std::size_t since = log->serving.size();
    while (since > 0 && log->serving[since - 1][static_cast<std::size_t>(c)] == model) --since;
    EXPECT_THAT(row,
                HasSubstr("<td>" + std::to_string(model) + "</td><td>" + std::to_string(since) + "</td>"));
    const std::size_t points = row.find("points=\"");
    ASSERT_NE(points, std::string::npos);
    EXPECT_EQ(count(row.substr(points, row.find('"', points + 8) - points), ","), 3u);  // a point a step
    EXPECT_EQ(count(row, "class=\"cell\""), 3u);
  }
  EXPECT_THAT(shown.output, HasSubstr("drift"));
}

}  // namespace
}  // namespace ballast::federate
