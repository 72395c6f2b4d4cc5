// `ballast data bench`: draws a second against the field's usual ways, and readers against plain reading.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <random>

#include "ballast/base/bench.h"
#include "ballast/base/file.h"
#include "ballast/data/csv.h"
#include "ballast/data/verbs.h"
#include "ballast/data/ycsb.h"

namespace ballast::data {
namespace {

// The usual way to draw exactly from a Zipf law: a table of the distribution function and a binary search.
class TableZipf {
 public:
  TableZipf(std::uint64_t n, double s) : upto_(n) {
    double sum = 0;
    for (std::uint64_t i = 0; i < n; ++i) upto_[i] = sum += std::pow(static_cast<double>(i + 1), -s);
  }
  std::uint64_t operator()(Random& random) const {
    const double u = random.uniform() * upto_.back();
    return static_cast<std::uint64_t>(std::upper_bound(upto_.begin(), upto_.end(), u) - upto_.begin());
  }

 private:
  std::vector<double> upto_;
};

void bench_zipf(Bench& bench, bool quick) {
  constexpr std::uint64_t kKeys = 100'000'000;
  const std::size_t draws = quick ? 1 << 20 : 1 << 22;
  std::vector<std::uint64_t> ranks(draws);
  for (const double s : {0.0, 0.5, 0.99, 1.0, 1.2, 2.0}) {
    const Zipf zipf(kKeys, s);
    const auto ours = [&] {
      return static_cast<double>(draws) / time_of([&] { zipf.fill(1, 0, 0, ranks); }) / 1e6;
    };
    const auto alone = interleave({{"ours", ours}}, {.rounds = quick ? 5 : 11});
    bench.add({.id = fmt::format("zipf.s{}", s),
               .what = fmt::format("exact Zipf draws, 1e8 keys, exponent {}, one core", s),
               .unit = "M draws/s",
               .ours = alone.median("ours"),
               .better = Better::higher,
               .target = 20});
  }
  const std::uint64_t keys = quick ? 10'000'000 : kKeys;
  const Zipf zipf(keys, 0.99);
  const TableZipf table(keys, 0.99);
  const YcsbZipfian ycsb(keys, 0.99);
  const auto rate = [&](auto draw) {
    return [&ranks, draws, draw] {
      Random random(1);
      return static_cast<double>(draws) /
             time_of([&] { std::generate(ranks.begin(), ranks.end(), [&] { return draw(random); }); }) / 1e6;
    };
  };
  const auto timing = interleave({{"ours", rate([&](Random& random) { return zipf(random); })},
                                  {"table", rate([&](Random& random) { return table(random); })},
                                  {"ycsb", rate([&](Random& random) { return ycsb.at(random.uniform()); })}},
                                 {.rounds = quick ? 5 : 11});
  bench.add({.id = "zipf.table",
             .what = fmt::format("exact Zipf draws, {:.0e} keys, exponent 0.99", static_cast<double>(keys)),
             .unit = "M draws/s",
             .peer = Peer{.name = "binary search in a table of the law", .value = {}},
             .better = Better::higher,
             .comparison = timing,
             .ours_name = "ours",
             .peer_name = "table"});
  bench.add({.id = "zipf.ycsb",
             .what = "the same against YCSB's approximation",
             .unit = "M draws/s",
             .peer = Peer{.name = "YCSB zipfian (not exact)", .value = {}},
             .better = Better::higher,
             .comparison = timing,
             .ours_name = "ours",
             .peer_name = "ycsb"});
}

void bench_csv(Bench& bench, bool quick) {
  const auto folder =
      std::filesystem::temp_directory_path() / fmt::format("ballast-data-bench-{}", ::getpid());
  std::filesystem::create_directories(folder);
  const std::string path = (folder / "rows.csv").string();
  const std::uint64_t rows = quick ? 300'000 : 2'000'000;
  {
    std::string text = "a,b,c\n";
    for (std::uint64_t i = 0; i < rows; ++i)
      text += fmt::format("{},{},{:.3f}\n", i, mix64(i) % 100'000, 0.001 * static_cast<double>(i));
    write_file(path, text);
  }
  const double megabytes = static_cast<double>(std::filesystem::file_size(path)) / 1e6;
  double sum_ours = 0, sum_scanf = 0;
  const auto timing =
      interleave({{"ours",
                   [&] {
                     return megabytes / time_of([&] {
                              CsvReader reader(InputStream::open(path));
                              sum_ours = 0;
                              while (reader.next())
                                sum_ours += static_cast<double>(reader.integer(0) + reader.integer(1)) +
                                            reader.number(2);
                            });
                   }},
                  {"fscanf",
                   [&] {
                     return megabytes / time_of([&] {
                              std::FILE* file = std::fopen(path.c_str(), "r");
                              long a = 0, b = 0;
                              double c = 0;
                              sum_scanf = 0;
                              if (std::fscanf(file, "%*[^\n]\n") == 0)
                                while (std::fscanf(file, "%ld,%ld,%lf\n", &a, &b, &c) == 3)
                                  sum_scanf += static_cast<double>(a + b) + c;
                              std::fclose(file);
                            });
                   }}},
                 {.rounds = quick ? 5 : 11});
  std::filesystem::remove_all(folder);
  bench.add({.id = "csv.typed",
             .what = "typed CSV, three numbers a row, checked",
             .unit = "MB/s",
             .peer = Peer{.name = "fscanf of the C library", .value = {}},
             .better = Better::higher,
             .note = sum_ours == sum_scanf ? "same sum" : "SUMS DIFFER",
             .comparison = timing,
             .ours_name = "ours",
             .peer_name = "fscanf"});
}

}  // namespace

void add_bench(cli::Program& program) {
  auto quick = std::make_shared<bool>(false);
  auto suite = std::make_shared<std::string>("all");
  auto verb =
      program.verb("bench", "draws and readers against the usual ways",
                   {"ballast data bench --quick", "ballast data bench --suite zipf --json zipf.json"});
  verb->add_flag("--quick", *quick, "a shorter run, under a minute");
  verb->add_option("--suite", *suite, "all, zipf or csv")->capture_default_str();
  verb.run([quick, suite](const cli::Common& common) {
    cli::require_one_of("--suite", *suite, {"all", "zipf", "csv"});
    Bench bench("data", *suite, common);
    if (*suite != "csv") bench_zipf(bench, *quick);
    if (*suite != "zipf") bench_csv(bench, *quick);
    bench.finish();
  });
}

}  // namespace ballast::data
