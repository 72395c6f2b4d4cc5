// Internal tracepoints, target chains, and the text form of traces.
#include <gtest/gtest.h>

#include <unistd.h>

#include <optional>
#include <thread>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/base/random.h"
#include "ballast/robot/harness/synthetic_graph.h"
#include "ballast/robot/trace/ctf_reader.h"
#include "ballast/robot/trace/points.h"
#include "ballast/robot/trace/session.h"
#include "ballast/robot/trace/target_chain.h"
#include "ballast/robot/wire/messages.h"

namespace ballast::trace {
namespace {

Event at(const std::string& name, std::int64_t time, std::int64_t key) {
  Event event;
  event.name = name;
  event.time_ns = time;
  event.values = {{"header_sec", static_cast<std::uint64_t>(key / 1'000'000'000)},
                  {"header_nsec", static_cast<std::uint64_t>(key % 1'000'000'000)}};
  return event;
}

TEST(TargetChain, SegmentsAddUpAndInputsAreConserved) {
  const std::uint64_t seed = 3;
  Random random(seed);
  const std::vector<std::string> points{"p:a", "p:b", "p:c"};
  for (int trial = 0; trial < 100; ++trial) {
    Trace trace;
    std::size_t inputs = 0, whole = 0;
    for (std::int64_t key = 1; key <= 40; ++key) {
      std::int64_t time = key * 1000;
      bool all = true;
      for (const auto& point : points) {
        time += static_cast<std::int64_t>(random.below(500));
        if (random.below(6) == 0) {
          all = false;
          continue;
        }
        trace.events.push_back(at(point, time, key * 1'000'000'007));
        inputs += point == points[0];
      }
      whole += all;
    }
    random.shuffle(trace.events);
    const auto chain = analyse_chain(trace, points);
    EXPECT_EQ(chain.inputs, inputs) << "seed " << seed;
    EXPECT_EQ(chain.complete.size(), whole);
    EXPECT_EQ(chain.inputs, chain.complete.size() + chain.incomplete);
    for (const auto& message : chain.complete) {
      std::int64_t sum = 0;
      for (std::size_t i = 1; i < message.times_ns.size(); ++i)
        sum += message.times_ns[i] - message.times_ns[i - 1];
      EXPECT_EQ(sum, message.total_ns());
    }
  }
  EXPECT_THROW(analyse_chain({}, {"a"}), InvalidInput);
  EXPECT_THROW(analyse_chain({}, {"a", "a"}), InvalidInput);
}

TEST(TargetChain, NamesMissingStagesDuplicatesAndOrder) {
  Trace trace;
  trace.events = {at("p:a", 1, 5), at("p:b", 3, 5), at("p:a", 2, 6),
                  at("p:b", 1, 6), at("p:a", 9, 7), at("p:a", 10, 7)};
  const auto chain = analyse_chain(trace, {"p:a", "p:b"});
  EXPECT_EQ(chain.duplicates, 1u);
  EXPECT_EQ(chain.reordered, 1u);
  EXPECT_EQ(chain.incomplete, 1u);
  EXPECT_EQ(chain.missing, (std::vector<std::size_t>{0, 1}));
  const std::vector<robot::Sent> sent{{5, 0, 0}, {6, 0, 0}};
  const auto both = compare_grey_black(chain, sent, {1, 10});
  EXPECT_EQ(both.both, 2u);
  EXPECT_EQ(both.negative, 1u);  // black 1 ns below grey 2 ns
}

TEST(Points, AreRecordedByThreadAndSurviveTheTextForm) {
  select_backend(Backend::internal);
  collect_internal();
  const auto work = [](std::int64_t key) {
    Operation operation("image_proc_test", to_time(key));
    operation.begin();
    operation.end();
  };
  std::thread one([&] { work(1'000'000'001); }), two([&] { work(2'000'000'002); });
  one.join();
  two.join();
  callback_start(&one, true);
  callback_end(&one);
  select_backend(Backend::off);
  work(3);
  const auto trace = collect_internal();
  EXPECT_EQ(trace.events.size(), 10u);
  EXPECT_EQ(trace.discarded, 0u);
  EXPECT_EQ(operations_in(trace), std::vector<std::string>{"image_proc_test"});
  const auto chain = analyse_chain(trace, chain_of_operations({"image_proc_test"}));
  ASSERT_EQ(chain.complete.size(), 2u);
  EXPECT_EQ(chain.reordered, 0u);
  EXPECT_TRUE((chain.complete[0].key == 1'000'000'001) != (chain.complete[1].key == 1'000'000'001));
  const TemporaryFolder folder;
  write_file(folder.path() + "/trace.txt", to_text(trace));
  const auto again = read_text_trace(folder.path() + "/trace.txt");
  ASSERT_EQ(again.events.size(), trace.events.size());
  EXPECT_EQ(again.events[0].name, trace.events[0].name);
  EXPECT_EQ(again.events[0].values, trace.events[0].values);
  EXPECT_EQ(to_chrome(trace)["traceEvents"].size(), 3u);
  write_file(folder.path() + "/bad.txt", "1 2\n");
  EXPECT_THROW(read_text_trace(folder.path() + "/bad.txt"), InvalidInput);
  EXPECT_THROW(backend_from_string("ltng"), InvalidInput);
}

TEST(Lttng, RecordsWhatWasEmittedAndIsReadBack) {
  if (!has_lttng()) GTEST_SKIP() << "built without LTTng-UST";
  if (const auto problem = lttng_problem(); !problem.empty()) GTEST_SKIP() << problem;
  const TemporaryFolder folder;
  std::optional<LttngSession> session;
  try {
    session.emplace(folder.path() + "/ctf");
  } catch (const Unavailable& error) {
    GTEST_SKIP() << error.what();
  }
  select_backend(Backend::lttng);
  // The process registers with a daemon that started after it within a few seconds: markers tell when.
  for (int i = 0; i < 60; ++i) {
    session_marker(static_cast<std::uint64_t>(i));
    ::usleep(50'000);
  }
  for (std::int64_t key = 1; key <= 100; ++key) {
    Operation operation("synthetic", to_time(key * 1'000'000'001));
    operation.begin();
    operation.end();
  }
  select_backend(Backend::off);
  session->stop();
  const auto trace = read_ctf(folder.path() + "/ctf");
  EXPECT_EQ(trace.discarded, 0u);
  EXPECT_EQ(operations_in(trace), std::vector<std::string>{"synthetic"});
  const auto chain = analyse_chain(trace, chain_of_operations({"synthetic"}));
  EXPECT_EQ(chain.complete.size(), 100u);
  EXPECT_EQ(chain.incomplete, 0u);
  EXPECT_EQ(chain.reordered, 0u);
  EXPECT_EQ(chain.complete.front().key, 1'000'000'001);
  EXPECT_EQ(trace.events.back().pid, static_cast<std::uint64_t>(::getpid()));
}

TEST(Babeltrace, RefusesWhatIsNoTrace) {
  if (!has_babeltrace()) GTEST_SKIP() << "built without libbabeltrace2";
  EXPECT_THROW(read_ctf("/nonexistent"), Unavailable);
  const TemporaryFolder folder;
  EXPECT_THROW(read_ctf(folder.path()), InvalidInput);
  write_file(folder.path() + "/metadata", "");
  EXPECT_THROW(read_ctf(folder.path()), InvalidInput);
  write_file(folder.path() + "/metadata", "/* CTF 1.8 */\ntrace { major = 1; oops");
  write_file(folder.path() + "/stream", "xxxx");
  EXPECT_THROW(read_ctf(folder.path()), InvalidInput);
}

// A trace written here byte for byte after the CTF 1.8 specification: what the library reads is what was put
// in.
TEST(Babeltrace, ReadsAllKindsOfFieldsOfAHandMadeTrace) {
  if (!has_babeltrace()) GTEST_SKIP() << "built without libbabeltrace2";
  const TemporaryFolder folder;
  write_file(folder.path() + "/metadata",
             "/* CTF 1.8 */\n"
             "typealias integer { size = 8; align = 8; signed = false; } := u8;\n"
             "typealias integer { size = 32; align = 8; signed = false; } := u32;\n"
             "typealias integer { size = 64; align = 8; signed = true; } := i64;\n"
             "trace { major = 1; minor = 8; byte_order = le; packet.header := struct { u32 magic; }; };\n"
             "clock { name = c; freq = 1000000000; offset = 0; };\n"
             "typealias integer { size = 64; align = 8; signed = false; map = clock.c.value; } := time;\n"
             "stream { event.header := struct { time timestamp; }; event.context := struct { u32 vpid; u32 "
             "vtid; }; };\n"
             "event { name = \"ros2:rcl_node_init\"; fields := struct { i64 number; string text; u8 gid[3]; "
             "}; };\n");
  std::string stream("\xc1\x1f\xfc\xc1", 4);  // magic
  const auto number = [&](std::uint64_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) stream += static_cast<char>(value >> (8 * i));
  };
  for (std::uint64_t i = 0; i < 3; ++i) {
    number(1'000'000'042 + i, 8);
    number(7, 4);
    number(8 + i, 4);
    number(static_cast<std::uint64_t>(-5), 8);
    stream += std::string("a = b\0", 6) + "\x01\xab\xff";
  }
  write_file(folder.path() + "/stream", stream);
  const auto trace = read_ctf(folder.path());
  ASSERT_EQ(trace.events.size(), 3u);
  const auto& event = trace.events[1];
  EXPECT_EQ(event.name, "ros2:rcl_node_init");
  EXPECT_EQ(event.time_ns, 1'000'000'043);
  EXPECT_EQ(event.pid, 7u);
  EXPECT_EQ(event.tid, 9u);
  EXPECT_EQ(static_cast<std::int64_t>(event.value("number")), -5);
  EXPECT_EQ(event.texts.at("text"), "a = b");
  EXPECT_EQ(event.texts.at("gid"), "01abff");
}

}  // namespace
}  // namespace ballast::trace
