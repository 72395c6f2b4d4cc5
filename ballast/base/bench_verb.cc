// `ballast base bench`: what the measuring tools themselves cost, and how exact they are.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>

#include "ballast/base/bench.h"
#include "ballast/base/histogram.h"
#include "ballast/base/random.h"
#include "ballast/base/statistics.h"
#include "ballast/base/trace.h"
#include "ballast/base/units.h"
#include "ballast/base/verbs.h"

namespace ballast {
namespace {

// Latency-like values over six decades.
std::vector<std::int64_t> latencies(std::size_t n, std::uint64_t seed) {
  Random random(seed, 0xBA5E);
  std::vector<std::int64_t> values(n);
  for (auto& v : values) v = static_cast<std::int64_t>(std::pow(10.0, 5 + 0.6 * random.normal()));
  return values;
}

void bench_histogram(Bench& bench, std::uint64_t seed, bool quick) {
  const auto values = latencies(quick ? 1 << 17 : 1 << 20, seed);
  const double n = static_cast<double>(values.size());
  Histogram histogram;
  std::vector<std::int64_t> list;
  list.reserve(values.size());
  std::map<std::int64_t, std::int64_t> tree;
  const auto comparison = interleave({{"histogram",
                                       [&] {
                                         return 1e9 / n * time_of([&] {
                                                  for (auto v : values) histogram.record(v);
                                                });
                                       }},
                                      {"std::vector",
                                       [&] {
                                         list.clear();
                                         return 1e9 / n * time_of([&] {
                                                  for (auto v : values) list.push_back(v);
                                                });
                                       }},
                                      {"std::map",
                                       [&] {
                                         tree.clear();
                                         return 1e9 / n * time_of([&] {
                                                  for (auto v : values) ++tree[v];
                                                });
                                       }}},
                                     {.rounds = quick ? 7 : 15, .seed = seed});
  bench.add(
      {.id = "B1.record",
       .what = "record one value",
       .unit = "ns",
       .ours = comparison.median("histogram"),
       .target = 10,
       .note = fmt::format("{} resident whatever is recorded", to_string(Bytes{histogram.memory_bytes()}))});
  bench.add({.id = "B1.exact",
             .what = "record one value, against counting each exactly",
             .unit = "ns",
             .note = "8 bytes a different value and more",
             .comparison = comparison,
             .ours_name = "histogram",
             .peer_name = "std::map"});
  bench.add({.id = "B1.list",
             .what = "record one value, against a list to sort later",
             .unit = "ns",
             .note = fmt::format("the list takes {} here", to_string(Bytes{8 * values.size()})),
             .comparison = comparison,
             .ours_name = "histogram",
             .peer_name = "std::vector"});

  // Against the exact order statistics, at 2,000 percentiles.
  Histogram once;
  for (auto v : values) once.record(v);
  auto sorted = values;
  std::sort(sorted.begin(), sorted.end());
  double worst = 0;
  for (int i = 1; i <= 2000; ++i) {
    const double p = i / 20.0;
    const auto rank = static_cast<std::size_t>(std::ceil(std::nextafter(p, 0.0) / 100 * n));
    const double exact = static_cast<double>(sorted[std::max<std::size_t>(rank, 1) - 1]);
    worst = std::max(worst, std::abs(static_cast<double>(once.percentile(p)) - exact) / exact);
  }
  bench.add({.id = "B2.accuracy",
             .what = "largest relative error of 2,000 percentiles",
             .unit = "share",
             .ours = worst,
             .target = 1e-3,
             .basis = Basis::counted});
  const std::string text = once.encode();
  bench.add({.id = "B2.encoded",
             .what = "bytes of the histogram in HdrHistogram V2",
             .unit = "B",
             .ours = static_cast<double>(text.size()),
             .peer = Peer{.name = "the values themselves", .value = 8 * n},
             .basis = Basis::counted});
}

void bench_trace(Bench& bench, std::uint64_t seed, bool quick) {
  const std::string path =
      (std::filesystem::temp_directory_path() / fmt::format("ballast-bench-{}.json", ::getpid())).string();
  const int events = quick ? 50'000 : 500'000;
  const auto per_event = [&](auto&& record) {
    Trace trace(path);
    auto& track = trace.track("process", "thread");
    return 1e9 / events * time_of([&] {
             for (int i = 0; i < events; ++i) record(track, i);
           });
  };
  const auto comparison = interleave(
      {{"bar", [&] { return per_event([](Trace::Track& t, int i) { t.complete("phase 2", 100 * i, 90); }); }},
       {"bar with an argument",
        [&] {
          return per_event([](Trace::Track& t, int i) {
            t.complete("phase 2", 100 * i, 90, {{"bytes", i}});
          });
        }},
       {"span with two clock readings",
        [&] { return per_event([](Trace::Track& t, int) { Trace::Span span(t, "phase 2"); }); }},
       {"off",
        [&] {
          Trace off("");
          auto& track = off.track("process", "thread");
          return 1e9 / events * time_of([&] {
                   for (int i = 0; i < events; ++i) Trace::Span span(track, "phase 2");
                 });
        }}},
      {.rounds = quick ? 5 : 11, .seed = seed});
  for (const char* name : {"bar", "bar with an argument", "span with two clock readings", "off"}) {
    bench.add({.id = std::string("B3.trace.") + (name[0] == 'o'   ? "off"
                                                 : name[0] == 's' ? "span"
                                                 : name[3] == 0   ? "bar"
                                                                  : "argument"),
               .what = fmt::format("one trace event: {}", name),
               .unit = "ns",
               .ours = comparison.median(name),
               .target = name[0] == 'o' ? std::nullopt : std::optional<double>(200)});
  }
}

// Two contestants that do the same: the harness must call them equal, and its spread shows what it can tell
// apart here.
void bench_harness(Bench& bench, std::uint64_t seed, bool quick) {
  std::vector<double> data(1 << 16, 1.0);
  volatile double sink = 0;
  const auto work = [&] {
    return time_of([&] {
      double sum = 0;
      for (int i = 0; i < 8; ++i)
        for (double x : data) sum += x;
      sink = sum;
    });
  };
  const auto comparison = interleave({{"one", work}, {"the same", work}},
                                     {.rounds = quick ? 101 : 501, .warmup = 5, .seed = seed});
  const auto ratio = comparison.ratio("the same", "one");
  bench.add({.id = "B4.harness",
             .what = "equal work side by side: the ratio should be 1, the spread is what noise does here",
             .unit = "s",
             .comparison = comparison,
             .ours_name = "one",
             .peer_name = "the same"});
  bench.add({.id = "B4.bias",
             .what = "distance of that ratio from 1",
             .unit = "share",
             .ours = std::abs(ratio.median - 1),
             .target = 0.02});
}

}  // namespace

void add_bench_verb(cli::Program& program) {
  auto quick = std::make_shared<bool>(false);
  auto verb =
      program.verb("bench", "what recording, tracing and comparing cost, and how exact they are",
                   {"ballast base bench --quick", "ballast base bench --json base.json --report base.html"});
  verb->add_flag("--quick", *quick, "fewer values and rounds");
  verb.run([quick](const cli::Common& common) {
    Bench bench("base", "tools", common);
    bench_histogram(bench, common.seed, *quick);
    bench_trace(bench, common.seed, *quick);
    bench_harness(bench, common.seed, *quick);
    bench.finish();
  });
}

}  // namespace ballast
