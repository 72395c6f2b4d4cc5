// The stop in the tour: a table of real IPv4 ranges on 64 modules, looked up by addresses that come more and
// more from a few networks.
#include <fmt/format.h>

#include <algorithm>

#include "ballast/base/errors.h"
#include "ballast/base/random.h"
#include "ballast/data/datasets.h"
#include "ballast/index/heat_map.h"
#include "ballast/index/methods.h"
#include "ballast/index/verbs.h"
#include "ballast/index/workload.h"

namespace ballast::index {

void add_tour(cli::Program& program) {
  program.tour("looking up IPv4 addresses when a few networks send most of them", [](const cli::Common&
                                                                                         common,
                                                                                     Section& section) {
    constexpr std::uint32_t kModules = 64;
    constexpr std::uint64_t kBatch = 1 << 16;
    const bool real = !data::try_dataset("geoip").empty();
    const auto entries = real ? entries_of(ipv4_range_keys()) : uniform_entries(1 << 17, common.seed);
    section.uneven =
        "Most look-ups of a day come from a few networks: neighbouring keys, so one part of an ordered index "
        "is hot.";
    section.today =
        "Cut the key space in ranges, one a machine or memory module, and rebalance after the fact: the "
        "owner of the hot "
        "range does the work of all.";
    section.ballast =
        "PIM-tree: nodes are placed at random, and a node that too many questions ask travels to them "
        "instead.";

    std::vector<Method> methods;
    for (const char* name : {"range", "range-rebalance", "jump-push", "pim-tree"})
      methods.push_back(make_method(name, {.modules = kModules}, {.levels = 3, .seed = common.seed}));
    Table table(
        fmt::format(
            "{} IPv4 ranges{} on {} simulated modules, {} look-ups a batch: words that the busiest module "
            "sends and receives (counted)",
            entries.size(), real ? "" : " (synthetic: run setup/setup.sh --only index for the real ones)",
            kModules, kBatch),
        {"skew", "range", "range-rebalance", "jump-push", "pim-tree", "range / pim-tree"});
    std::vector<double> skews{0, 0.4, 0.8, 0.99, 1.2};
    std::vector<Series> series;
    for (auto& method : methods) {
      method.index->bulk_load(entries);
      series.push_back({method.index->name(), skews, {}});
    }
    for (const double alpha : skews) {
      std::vector<std::string> row{fmt::format("{}", alpha)};
      std::vector<std::optional<Entry>> answers;
      for (std::uint64_t batch = 0; batch < 2; ++batch) {
        // Hot networks change from batch to batch; the second batch is the one that is shown.
        auto keys = piece_zipf_existing(entries, kBatch, kModules, alpha, common.seed, batch);
        Random random(common.seed, batch + 10);
        for (Key& key : keys) key += random.below(256);
        for (std::size_t m = 0; m < methods.size(); ++m) {
          if (batch == 0 && methods[m].index->name() != "range-rebalance") continue;
          const auto found = methods[m].index->predecessor(keys);
          if (batch == 0) continue;
          if (answers.empty()) answers = found;
          BALLAST_CHECK(found == answers, methods[m].index->name());
          const double words = static_cast<double>(methods[m].index->cost().io_time());
          series[m].ys.push_back(words);
          row.push_back(fmt::format("{:.0f}", words));
        }
        cli::stop_if_interrupted();
      }
      row.push_back(fmt::format("{:.1f}x", series[0].ys.back() / series[3].ys.back()));
      table.row(row);
    }
    section.table(table);
    section.chart({.kind = Chart::Kind::line,
                   .title = "Words of the busiest module as skew grows",
                   .x_label = "Zipf exponent over 64 parts of the address space",
                   .y_label = "words a batch",
                   .y_log = true,
                   .series = series,
                   .basis = Basis::counted});
    auto keys = piece_zipf_existing(entries, kBatch, kModules, 1.2, common.seed, 1);
    std::uint64_t darkest = 0;
    for (const std::size_t m : {std::size_t{0}, std::size_t{3}}) {
      methods[m].machine->trace_modules(true);
      methods[m].index->predecessor(keys);
      if (m == 0)
        for (const auto& round : methods[m].index->cost().rounds)
          darkest = std::max<std::uint64_t>(
              darkest, *std::max_element(round.module_words.begin(), round.module_words.end()));
      section.figure(
          {fmt::format("{}: words by module (across) and round (down), skew 1.2", methods[m].index->name()),
           heat_map(methods[m].index->cost(), darkest), Basis::counted});
    }
    section.text(
        "All four give the same answers, checked here. Without skew the range partition moves fewer words, "
        "and the "
        "table says so; with skew the PIM-tree stays where it is.");
    section.command("ballast index explain --alpha 1.2 --method pim-tree");
  });
}

}  // namespace ballast::index
