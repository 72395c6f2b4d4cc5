// `ballast cost` as a user runs it, and the drawings and files of timelines.
#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/base/json.h"
#include "ballast/base/temporary_folder.h"
#include "ballast/cost/file.h"
#include "ballast/cost/gantt.h"
#include "ballast/cost/timeline_file.h"

namespace ballast::cost {
namespace {

const char* kWorkload = R"(schema: ballast.timeline/1
resources:
  - {name: npu}
  - {name: "link <&>", shared: 10e9}
  - {name: cores, capacity: 4}
tasks:
  - {name: load, work: {"link <&>": 1e6}, group: link}
  - {name: run, duration: 1e-4, needs: {npu: 1}, after: [load], priority: 1, group: compute}
  - {name: tidy, duration: 5e-5, needs: {cores: 2}, after: [load], group: "a<b>"}
)";

TEST(TimelineFile, IsReadAndRefusedWithItsLine) {
  const Workload w = parse_workload(kWorkload, "f");
  const Schedule s = simulate(w);
  EXPECT_DOUBLE_EQ(s.makespan_s, 2e-4);
  EXPECT_EQ(to_json(w, s)["critical_chain"].dump(), "[\"load\",\"run\"]");
  const std::string head =
      "schema: ballast.timeline/1\nresources: [{name: r}, {name: s, shared: 2}]\ntasks:\n";
  const std::pair<const char*, const char*> bad[] = {
      {"  - {name: a, after: [b]}\n", "f:4: 'b' is no task"},
      {"  - {name: a}\n  - {name: a}\n", "f:5: the name 'a' stands here a second time"},
      {"  - {name: a, needs: {q: 1}}\n", "'q' is no resource"},
      {"  - {name: a, duraton: 1}\n", "did you mean 'duration'?"},
      {"  - {name: a, duration: -1}\n", "f:4: -1 is below 0"},
      {"  - {name: a, work: {r: 1}}\n", "exclusive"},
      {"  - {name: a, needs: {r: 2}}\n", "which has 1"},
      {"  - {name: a, after: [a]}\n", "circle"},
      {"  x: 1\n", "f:3: this is no list"},
  };
  for (const auto& [text, complaint] : bad) {
    try {
      parse_workload(head + text, "f");
      FAIL() << text;
    } catch (const InvalidInput& error) {
      EXPECT_NE(std::string(error.what()).find(complaint), std::string::npos) << error.what();
    }
  }
}

TEST(Gantt, DrawsEveryTaskAndEscapes) {
  const Workload w = parse_workload(kWorkload, "f");
  const Figure figure = gantt(w, simulate(w));
  Section section("s");
  section.figure(figure);  // the page accepts it as a plain picture
  for (const char* part : {"load, link: 100 us from 0 s", "run, compute", "a&lt;b&gt;", "link &lt;&amp;&gt;"})
    EXPECT_NE(figure.svg.find(part), std::string::npos) << part << "\n" << figure.svg;
  EXPECT_EQ(gantt({}, simulate({})).svg.substr(0, 4), "<svg");
}

TEST(Gantt, JoinsWhatIsTooNarrowToSee) {
  Workload w;
  const auto cpu = w.add_resource({.name = "cpu"});
  for (int i = 0; i < 20'000; ++i) w.add_task({.name = "t", .duration_s = 1, .needs = {{cpu, 1}}});
  EXPECT_LT(gantt(w, simulate(w)).svg.size(), 400'000u);
}

class CostProgram : public testing::Test {
 protected:
  int run(const std::string& words) {
    const int status = std::system(
        ("cd " + folder_ + " && " BALLAST_BINARY_DIR "/bin/ballast-cost " + words + " >out 2>&1").c_str());
    return WEXITSTATUS(status);
  }
  std::string out() const { return read_file(folder_ + "/out"); }
  const TemporaryFolder temporary_;
  const std::string folder_ = temporary_.path();
};

TEST_F(CostProgram, FitsPredictsAndInverts) {
  std::string csv = "tokens,context,seconds\n";
  for (int tokens = 1; tokens <= 512; tokens *= 2)
    for (int context = 0; context <= 4000; context += 1000)
      csv += std::to_string(tokens) + "," + std::to_string(context) + "," +
             std::to_string(std::max(5e-3, 1e-3 + 1e-3 * tokens) + 3e-6 * context) + "\n";
  write_file(folder_ + "/steps.csv", csv);
  ASSERT_EQ(run("fit steps.csv --value seconds --inputs tokens,context --out step.yaml --report fit.html"), 0)
      << out();
  EXPECT_LT(read_model(folder_ + "/step.yaml").held_out->worst, 1e-3);
  ASSERT_EQ(run("predict step.yaml --at context=1000 --limit 0.104 --of tokens --json p.json"), 0) << out();
  // 1e-3 + 1e-3 n + 3e-3 <= 0.104
  EXPECT_NEAR(read_json(folder_ + "/p.json")["largest"]["value"].get<double>(), 100, 0.1);
  ASSERT_EQ(run("fit steps.csv --value seconds --inputs tokens,context --base curve --scale log2 --json"), 0)
      << out();
  EXPECT_EQ(run("predict step.yaml --at tokns=1"), 2);
  EXPECT_NE(out().find("did you mean 'tokens'?"), std::string::npos) << out();
  EXPECT_EQ(run("predict step.yaml --at tokens=x"), 2);
  EXPECT_EQ(run("predict nothing.yaml"), 3);
  EXPECT_EQ(run("fit steps.csv --value second --inputs tokens"), 2);
  write_file(folder_ + "/bad.csv", "a,b\n1,2\n1,-2\n");
  EXPECT_EQ(run("fit bad.csv --value b --inputs a"), 2);
  EXPECT_NE(out().find("bad.csv:3"), std::string::npos) << out();
}

TEST_F(CostProgram, TimelineShowsTracesAndReports) {
  write_file(folder_ + "/w.yaml", kWorkload);
  ASSERT_EQ(run("timeline w.yaml --json w.json --report w.html --trace t.json"), 0) << out();
  EXPECT_NE(out().find("3 tasks end at 200 us"), std::string::npos) << out();
  EXPECT_NEAR(read_json(folder_ + "/w.json")["makespan_s"].get<double>(), 2e-4, 1e-12);
  EXPECT_NE(read_file(folder_ + "/w.html").find("<svg xmlns"), std::string::npos);
  const Json trace = read_json(folder_ + "/t.json");
  int bars = 0, arrows = 0;
  for (const auto& event : trace["traceEvents"]) bars += event["ph"] == "X", arrows += event["ph"] == "f";
  EXPECT_EQ(bars, 3);
  EXPECT_EQ(arrows, 2);
  EXPECT_EQ(trace["otherData"]["basis"], "modelled");
  write_file(folder_ + "/w.yaml", "schema: x\n");
  EXPECT_EQ(run("timeline w.yaml"), 2);
}

}  // namespace
}  // namespace ballast::cost
