#include <gtest/gtest.h>

#include <cstdio>
#include <filesystem>
#include <set>
#include <string>

#include "ballast/base/cli.h"
#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/base/json.h"
#include "ballast/base/temporary_folder.h"
#include "ballast/base/testing.h"
#include "ballast/cli/machine.h"

namespace ballast::cli {
namespace {

const std::string kBallast = BALLAST_BINARY_DIR "/bin/ballast ";

TEST(Front, NamesTheNearestComponent) {
  const auto [code, output] = run_command(kBallast + "grap run");
  EXPECT_EQ(code, 2);
  EXPECT_NE(output.find("did you mean 'graph'"), std::string::npos) << output;
}

TEST(Front, HelpAndVersion) {
  EXPECT_EQ(run_command(kBallast + "--help").code, 0);
  EXPECT_EQ(run_command(kBallast + "--version").output.substr(0, 8), "ballast ");
  EXPECT_EQ(run_command(kBallast + "doctor --json").code, 0);
  EXPECT_EQ(run_command(kBallast + "tour --report").code, 2);
}

TEST(Completion, BashOffersComponentsVerbsAndFlags) {
  const TemporaryFolder folder;
  const std::string script = folder.file("ballast.bash");
  ASSERT_EQ(run_command(kBallast + "completion bash >" + script).code, 0);
  const auto offered = [&](const std::string& words, int place) {
    return run_command("bash -c 'source " + script + "; COMP_WORDS=(ballast " + words +
                       "); COMP_CWORD=" + std::to_string(place) + "; _ballast; echo ${COMPREPLY[@]}'")
        .output;
  };
  EXPECT_NE(offered("\"\"", 1).find("base"), std::string::npos);
  EXPECT_EQ(offered("doc", 1), "doctor\n");
  EXPECT_EQ(offered("base his", 2), "histogram\n");
  EXPECT_EQ(offered("base histogram --rep", 3), "--report\n");
  EXPECT_EQ(offered("completion fi", 2), "fish\n");
}

TEST(Completion, EveryShellsScriptParses) {
  for (const char* shell : {"bash", "zsh", "fish"}) {
    if (run_command(std::string("command -v ") + shell).code != 0) continue;  // bash is always there
    const auto [code, output] = run_command(kBallast + "completion " + shell + " | " + shell + " -n");
    EXPECT_EQ(code, 0) << shell << ": " << output;
  }
  const auto [code, output] = run_command(kBallast + "completion fiss");
  EXPECT_EQ(code, 2);
  EXPECT_NE(output.find("did you mean 'fish'"), std::string::npos) << output;
}

TEST(Manual, HoldsEveryVerbFlagAndExample) {
  const TemporaryFolder folder;
  ASSERT_EQ(run_command(kBallast + "man '" + folder.file("man 1") + "'").code, 0);
  const std::string page = read_file(folder.file("man 1/ballast-base.1"));
  for (const char* part : {".TH BALLAST\\-BASE 1", ".SH histogram", "\\fB\\-\\-report\\fR \\fIFILE.html\\fR",
                           "ballast base histogram", ".SH EXIT STATUS"})
    EXPECT_NE(page.find(part), std::string::npos) << part;
  if (run_command("command -v groff").code == 0) {
    const auto [code, output] =
        run_command("groff -man -Tascii -ww '" + folder.file("man 1/ballast-base.1") + "' >/dev/null");
    EXPECT_EQ(output, "");  // no warning
  }
  EXPECT_EQ(run_command(kBallast + "man").code, 2);
  EXPECT_EQ(run_command(kBallast + "man /proc/x").code, 3);
}

// A copy of the front command among made-up component programs: each is a shell script.
class Tour : public testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::copy_file(BALLAST_BINARY_DIR "/bin/ballast", folder_ + "/ballast");
  }

  // `stop` is what the script does for `tour --section FILE`, with FILE as $3.
  void add(const std::string& component, const std::string& stop) {
    const std::string path = folder_ + "/ballast-" + component;
    write_file(path, "#!/bin/sh\n[ \"$1 $2\" = \"tour --help\" ] && exit 0\n" + stop + "\n");
    std::filesystem::permissions(path, std::filesystem::perms::owner_all);
  }
  CommandResult tour(const std::string& words = "") {
    return run_command("cd " + folder_ + " && TMPDIR=" + folder_ + " ./ballast tour " + words);
  }
  std::size_t files() const {
    return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(folder_), {}));
  }

  const TemporaryFolder temporary_;
  const std::string folder_ = temporary_.path();
  const std::string good_ =
      R"(echo '{"title":"good stop","uneven":"","today":"","ballast":"","blocks":[{"text":"seen"}]}' >"$3")";
};

TEST_F(Tour, JoinsStopsAndNamesTheFailedOnes) {
  add("orch", good_);
  add("kv", "echo 'the <reason>' >&2; exit 3");
  add("index", "echo '{' >\"$3\"");
  const auto [code, output] = tour();
  EXPECT_EQ(code, 1) << output;
  EXPECT_NE(output.find("[1/3] orch       done in"), std::string::npos) << output;
  EXPECT_NE(output.find("FAILED: it ended with exit code 3\nthe <reason>"), std::string::npos) << output;
  const std::string page = read_file(folder_ + "/ballast-tour.html");
  for (const char* part : {"<h2>good stop</h2>", "<p>seen</p>", "kv: this stop failed", "the &lt;reason&gt;",
                           "index: this stop failed", "malformed JSON"})
    EXPECT_NE(page.find(part), std::string::npos) << part;
  EXPECT_EQ(files(), 1u + 3u + 1u);  // the scratch folder is gone
}

TEST_F(Tour, RunsOnlyWhatIsNamed) {
  add("orch", "exit 9");
  add("kv", good_);
  EXPECT_EQ(tour("kv --report page.html").code, 0);
  EXPECT_TRUE(std::filesystem::exists(folder_ + "/page.html"));
  EXPECT_EQ(tour("serve").code, 3);  // not built
  EXPECT_EQ(tour("srve").code, 2);
  EXPECT_EQ(tour("--repor x").code, 2);
}

TEST_F(Tour, AFolderThatIsMissingIsToldBeforeAnyStopRuns) {
  add("orch", "touch ran");
  const auto [code, output] = tour("--report /no/such/folder/page.html");
  EXPECT_EQ(code, 3);
  EXPECT_NE(output.find("/no/such/folder/page.html"), std::string::npos) << output;
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/ran"));
}

TEST_F(Tour, CtrlCLeavesNothing) {
  add("orch", "touch ran; exec sleep 30");
  // In a process group of its own, as a terminal would have it, which is then interrupted as a whole.
  const auto [code, output] =
      run_command("cd " + folder_ + " && TMPDIR=" + folder_ +
                  " setsid -w sh -c './ballast tour & P=$!; trap \"\" INT; while [ ! -e "
                  "ran ]; do sleep 0.05; done; kill -INT 0; wait $P'");
  EXPECT_EQ(code, 130) << output;
  EXPECT_EQ(files(), 3u) << output;  // ballast, ballast-orch, ran
}

TEST_F(Tour, ResultsOfSeveralRunsJoinToOnePage) {
  const auto ballast = [&](const std::string& words) {
    return run_command("cd " + folder_ + " && " + kBallast + words);
  };
  const std::string row =
      R"({"id":"E1","what":"w","unit":"s","ours":1,"peer":{"name":"p","value":2,"version":"","settings":""},
    "ratio":2,"ratio_low":1.9,"ratio_high":2.1,"better":"lower","target":3,"met":false,"basis":"counted","note":""})";
  const std::string head =
      R"({"schema":"ballast.bench/1","component":"kv","suite":"s","machine":{"cpu":"C","cores":2,"isa":"i","load":0},"seed":1,"command":"ballast kv bench","rows":[)";
  write_file(folder_ + "/a.json", head + row + "," + row + "]}");
  write_file(folder_ + "/b.json", R"({"title":"a stop","uneven":"u","today":"","ballast":"","blocks":[]})");
  const auto [code, output] = ballast("report a.json b.json --out page.html");
  ASSERT_EQ(code, 0) << output;
  const std::string page = read_file(folder_ + "/page.html");
  for (const char* part :
       {"kv bench s", "missed", "1.9-2.1", "<h2>a stop</h2>", "How many times better", "ballast kv bench"})
    EXPECT_NE(page.find(part), std::string::npos) << part;
  write_file(folder_ + "/c.json", R"({"schema":"ballast.bench/1","rows":[{}]})");
  EXPECT_EQ(ballast("report c.json").code, 2);
  write_file(folder_ + "/c.json", "[1]");
  EXPECT_NE(ballast("report c.json").output.find("c.json"), std::string::npos);
  EXPECT_EQ(ballast("report none.json").code, 3);
  EXPECT_EQ(ballast("report").code, 2);
  EXPECT_EQ(ballast("report --ot x").code, 2);
}

TEST(Doctor, ComparesListsWithWhatIsInstalled) {
  const auto sections = parse_packages(
      "# comment\n[house]\ng++ 4:12\nmake\n\n[llama]\nsource "
      "llama-cpp-python==0.3.36\nray[simulation]==2\n[empty]\n",
      "f");
  ASSERT_EQ(sections.size(), 3u);
  EXPECT_EQ(sections[1].packages, (std::vector<std::string>{"llama-cpp-python", "ray"}));
  const auto missing = missing_packages(sections, {"make", "ray"});
  EXPECT_EQ(missing[0].missing, (std::vector<std::string>{"g++"}));
  EXPECT_EQ(missing[1].missing, (std::vector<std::string>{"llama-cpp-python"}));
  EXPECT_TRUE(missing[2].missing.empty());
  EXPECT_THROW(parse_packages("g++\n", "f"), InvalidInput);
  EXPECT_THROW(parse_packages("[house\n", "f"), InvalidInput);
}

TEST(Doctor, TellsToolsPackagesAndData) {
  const auto [code, output] = run_command(kBallast + "doctor --json");
  ASSERT_EQ(code, 0) << output;
  const Json json = Json::parse(output);
  std::set<std::string> sections, tools;
  for (const auto& entry : json["packages"]) sections.insert(entry["section"].get<std::string>());
  for (const auto& entry : json["tools"])
    if (entry["version"].is_string()) tools.insert(entry["tool"].get<std::string>());
  for (const char* section : {"house", "tests", "robot", "peers"})
    EXPECT_TRUE(sections.count(section)) << section;
  EXPECT_TRUE(tools.count("cmake")) << output;  // it configured this build
  EXPECT_TRUE(json["gpus"].is_array());
  EXPECT_EQ(run_command(kBallast + "doctor").code, 0);
}

TEST(Nearest, FindsTyposOnly) {
  EXPECT_EQ(nearest("--sede", {"--seed", "--json"}), "--seed");
  EXPECT_EQ(nearest("--elephant", {"--seed", "--json"}), std::nullopt);
}

}  // namespace
}  // namespace ballast::cli
