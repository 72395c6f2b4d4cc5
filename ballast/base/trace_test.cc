#include "ballast/base/trace.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <unistd.h>

#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "ballast/base/errors.h"
#include "ballast/base/json.h"
#include "ballast/base/progress.h"

namespace ballast {
namespace {

std::string fresh(const std::string& name) {
  char folder[] = "/tmp/ballast-trace-XXXXXX";
  return std::string(::mkdtemp(folder)) + "/" + name;
}

void discard(const std::string& path) {
  std::filesystem::remove_all(std::filesystem::path(path).parent_path());
}

TEST(Trace, EveryKindOfEventReadsBack) {
  const std::string path = fresh("t.json");
  Trace trace(path, Basis::modelled);
  auto& a = trace.track("machine 0", "cpu");
  auto& b = trace.track("machine \"1\"\n", "link");
  EXPECT_EQ(&trace.track("machine 0", "cpu"), &a);
  const auto flow = trace.next_flow();
  a.complete("work", 1'500, 2'000'001, {{"bytes", 4096}, {"share", 0.5}, {"kind", "push"}});
  a.flow_out("send", flow, 2'000'000);
  b.complete("recv", 2'100'000, 5, {{"text", "a\"b\\c\x01\xff"}});
  b.flow_in("send", flow, 2'100'001);
  a.instant("done", -1);
  a.counter("queue", 7, 3.25);
  EXPECT_FALSE(std::filesystem::exists(path));
  trace.commit();

  const Json document = read_json(path);
  EXPECT_EQ(document["otherData"]["basis"], "modelled");
  std::map<std::string, Json> by_phase;
  std::set<std::string> names;
  for (const auto& event : document["traceEvents"]) {
    by_phase[event["ph"]] = event;
    if (event["ph"] == "M") names.insert(event["args"]["name"].get<std::string>());
    if (event["ph"] == "X" && event["name"] == "work") {
      EXPECT_DOUBLE_EQ(event["ts"], 1.5);
      EXPECT_DOUBLE_EQ(event["dur"], 2000.001);
      EXPECT_EQ(event["args"]["bytes"], 4096);
      EXPECT_EQ(event["args"]["kind"], "push");
      EXPECT_EQ(event["pid"], 1);
    }
    if (event["ph"] == "X" && event["name"] == "recv") {
      EXPECT_EQ(event["pid"], 2);
    }
  }
  EXPECT_EQ(document["traceEvents"].size(), 4u + 6u);
  EXPECT_EQ(names, (std::set<std::string>{"machine 0", "cpu", "machine \"1\"\n", "link"}));
  EXPECT_EQ(by_phase["s"]["id"], by_phase["f"]["id"]);
  EXPECT_EQ(by_phase["f"]["bp"], "e");
  EXPECT_DOUBLE_EQ(by_phase["i"]["ts"], -0.001);
  EXPECT_DOUBLE_EQ(by_phase["C"]["args"]["value"], 3.25);
  discard(path);
}

TEST(Trace, ThreadsLoseNothing) {
  const std::string path = fresh("t.json");
  constexpr int kThreads = 4, kEvents = 5000;  // several buffers a thread
  Trace trace(path);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&trace, t] {
      auto& track = trace.track("p" + std::to_string(t % 2), "t" + std::to_string(t));
      for (int i = 0; i < kEvents; ++i) Trace::Span span(track, "step");
    });
  }
  for (auto& thread : threads) thread.join();
  trace.commit();
  std::map<std::string, int> bars;
  const Json document = read_json(path);
  for (const auto& event : document["traceEvents"])
    if (event["ph"] == "X") ++bars[event["pid"].dump() + "/" + event["tid"].dump()];
  EXPECT_EQ(bars.size(), static_cast<std::size_t>(kThreads));
  for (const auto& [track, count] : bars) EXPECT_EQ(count, kEvents) << track;
  discard(path);
}

TEST(Trace, OffAndUncommittedLeaveNothing) {
  Trace off("");
  EXPECT_FALSE(off.on());
  { Trace::Span span(off.track("p", "t"), "x"); }
  off.commit();
  const std::string path = fresh("t.json");
  { Trace(path).track("p", "t").instant("x", 0); }
  EXPECT_TRUE(std::filesystem::is_empty(std::filesystem::path(path).parent_path()));
  discard(path);
  EXPECT_THROW(Trace("/no/such/directory/t.json"), Unavailable);
}

bool has_terminals() {
  int master = 0, slave = 0;
  if (::openpty(&master, &slave, nullptr, nullptr, nullptr) != 0) return false;
  ::close(master);
  ::close(slave);
  return true;
}

// What a program shows on the terminal of this width.
std::string shown(int columns, const std::function<void(std::FILE*)>& work) {
  int master = 0, slave = 0;
  winsize size{};
  size.ws_col = static_cast<unsigned short>(columns);
  BALLAST_CHECK(::openpty(&master, &slave, nullptr, nullptr, &size) == 0);
  std::FILE* out = ::fdopen(slave, "w");
  work(out);
  std::fflush(out);
  // The terminal may hand over what was written in parts.
  std::string text;
  pollfd waiting{master, POLLIN, 0};
  while (::poll(&waiting, 1, 500) > 0 && (waiting.revents & POLLIN) != 0) {
    char part[4096];
    const ssize_t got = ::read(master, part, sizeof part);
    if (got <= 0) break;
    text.append(part, static_cast<std::size_t>(got));
  }
  std::fclose(out);
  ::close(master);
  return text;
}

TEST(Progress, DrawsOnATerminalAndWipesItself) {
  if (!has_terminals()) GTEST_SKIP() << "this system gives out no terminals (/dev/pts is not mounted)";
  const std::string text = shown(60, [](std::FILE* out) {
    Progress progress("ingest", 100, {.out = out, .delay_s = 0});
    progress.add(50);
  });
  EXPECT_NE(text.find("ingest ["), std::string::npos) << text;
  EXPECT_NE(text.find(" 50 %"), std::string::npos) << text;
  EXPECT_TRUE(text.ends_with("\r\033[K")) << text;
}

TEST(Progress, IsSilentWhenPipedAndBeforeItsDelay) {
  if (!has_terminals()) GTEST_SKIP() << "this system gives out no terminals (/dev/pts is not mounted)";
  std::FILE* file = std::tmpfile();
  {
    Progress progress("x", 10, {.out = file, .delay_s = 0});
    progress.add(5);
  }
  EXPECT_EQ(std::ftell(file), 0);
  std::fclose(file);
  const std::string early = shown(60, [](std::FILE* out) {
    {
      Progress progress("x", 10, {.out = out, .delay_s = 3600});
      progress.add(5);
    }
    std::fputs("clean", out);
  });
  EXPECT_EQ(early, "clean");
}

TEST(Progress, LineFitsAndTellsTheTimeLeft) {
  Progress progress("fit", 1000);
  progress.set(250);
  EXPECT_NE(progress.line(100, 30).find("1:30 left"), std::string::npos) << progress.line(100, 30);
  progress.note("loss 0.25");
  EXPECT_NE(progress.line(100, 30).find("loss 0.25"), std::string::npos);
  for (int width : {2, 10, 20, 40, 80, 200})
    EXPECT_LT(progress.line(width, 30).size(), static_cast<std::size_t>(width));
  progress.set(5000);  // more than was said: never above 100 %
  EXPECT_NE(progress.line(100, 30).find("100 %"), std::string::npos);
  Progress unknown("read");
  unknown.add(1'500'000);
  EXPECT_NE(unknown.line(100, 61).find("1.5 M"), std::string::npos) << unknown.line(100, 61);
  EXPECT_NE(unknown.line(100, 61).find("1:01"), std::string::npos);
}

}  // namespace
}  // namespace ballast
