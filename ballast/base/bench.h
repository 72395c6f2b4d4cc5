// The benchmark harness of the house: competitors interleaved in one run, medians of per-round ratios with
// their spread, and one JSON form for all, schema `ballast.bench/1`.
//
//   Bench bench("orch", "bytes", common);
//   auto timing = interleave({{"ours", [&] { return time_of(ours); }}, {"std::map", [&] { return
//   time_of(map); }}},
//                            {.rounds = 15});
//   bench.add({.id = "E1.get", .what = "get of 10^6 keys", .unit = "s", .better = Better::lower,
//              .comparison = timing, .ours_name = "ours", .peer_name = "std::map", .target = 2.0});
//   bench.finish();      // prints the table; writes --json and --report
//
// `ratio` is always "how many times better ours is": peer/ours where lower is better, ours/peer where higher
// is.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "ballast/base/cli.h"
#include "ballast/base/json.h"
#include "ballast/base/report.h"

namespace ballast {

enum class Better { lower, higher };

/// One competitor. `run` does one round of the work and returns the round's figure (most often seconds).
struct Contestant {
  std::string name;
  std::function<double()> run;
};

struct InterleaveOptions {
  int rounds = 11;
  int warmup = 1;           ///< rounds that are run and thrown away
  double max_seconds = 60;  ///< stops after the round in which this is passed (at least 3 rounds)
  std::uint64_t seed = 1;   ///< the order within a round is shuffled anew each round
};

/// All rounds of all competitors: figures[name][round].
struct Comparison {
  std::map<std::string, std::vector<double>> figures;

  double median(const std::string& name) const;
  /// Median over rounds of numerator/denominator of the same round, with its 10th and 90th percentile.
  struct Ratio {
    double median, low, high;
  };
  Ratio ratio(const std::string& numerator, const std::string& denominator) const;
};

/// Runs the competitors in turn, `rounds` times, in an order shuffled each round.
Comparison interleave(const std::vector<Contestant>& contestants, const InterleaveOptions& options = {});

/// Wall seconds of one call.
double time_of(const std::function<void()>& work);

struct Peer {
  std::string name;
  std::optional<double> value;  ///< nullopt: not installed
  std::string version = {};
  std::string settings = {};
};

/// One figure. Give either `comparison` with the two names, or `ours` (and `peer`) directly for exact counts.
struct BenchRow {
  std::string id;    ///< the figure's name in the chapter, such as "E1.coder"
  std::string what;  ///< one line for people
  std::string unit;
  std::optional<double> ours = {};
  std::optional<Peer> peer = {};
  std::optional<double> ratio = {};  ///< filled from ours and peer when empty
  std::optional<double> ratio_low = {}, ratio_high = {};
  Better better = Better::lower;
  std::optional<double> target = {};  ///< for `ratio` where there is a peer, else for `ours`
  Basis basis = Basis::measured;
  std::string note = {};
  std::optional<Comparison> comparison = {};
  std::string ours_name = {}, peer_name = {};

  /// Whether the target is met; nullopt without a target or without the figure.
  std::optional<bool> met() const;
};

class Bench {
 public:
  Bench(std::string component, std::string suite, const cli::Common& common);

  void add(BenchRow row);
  const std::vector<BenchRow>& rows() const { return rows_; }
  /// More to show on the report page: charts and tables beside the rows.
  Section& section() { return section_; }

  Json to_json() const;
  /// Prints the table of all rows (unless --json asks for standard output), writes --json and --report.
  void finish();

 private:
  std::string component_, suite_;
  cli::Common common_;
  std::vector<BenchRow> rows_;
  Section section_;
};

/// The table of all rows of a `ballast.bench/1` document, for people. Throws InvalidInput for another
/// document.
Table bench_table(const Json& document);
/// Its figures that have a competitor, as one chart of ratios; nullopt for fewer than two.
std::optional<Chart> ratio_chart(const Json& document);

/// {cpu, cores, isa, load}: what is needed to judge a figure.
Json machine_facts();

}  // namespace ballast
