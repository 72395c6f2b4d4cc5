// `ballast index explain`: one batch, round by round: who is asked how much, and which module is the busiest.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>

#include "ballast/base/errors.h"
#include "ballast/base/report.h"
#include "ballast/index/heat_map.h"
#include "ballast/index/tree_flags.h"
#include "ballast/index/verbs.h"

namespace ballast::index {
void add_explain(cli::Program& program) {
  auto options = std::make_shared<OneBatch>();
  auto verb = program.verb("explain", "one batch on the simulated PIM machine, round by round",
                           {"ballast index explain --alpha 1.2 --modules 256",
                            "ballast index explain --method range --alpha 1.2 --report explain.html"});
  options->add_to(verb);
  verb.run([options](const cli::Common& common) {
    const OneBatch::Outcome ran = options->run(common.seed, true);
    const Method& method = ran.method;
    const std::uint64_t count = ran.operations;
    const pim::Cost& cost = method.index->cost();

    Table table(
        fmt::format("{} of {} operations over {} keys on {} modules, skew {} ({}; counted)", options->op,
                    count, ran.keys, options->modules, options->alpha, method.index->name()),
        {"round", "phase", "tasks", "words sent", "received", "busiest module", "its words", "imbalance",
         "work"});
    Json rounds = Json::array();
    for (std::size_t i = 0; i < cost.rounds.size(); ++i) {
      const auto& round = cost.rounds[i];
      const double imbalance = static_cast<double>(round.io_time()) * cost.modules /
                               static_cast<double>(std::max<std::uint64_t>(round.words(), 1));
      if (i < 40)
        table.row({std::to_string(i + 1), round.phase, std::to_string(round.tasks),
                   std::to_string(round.sent_words), std::to_string(round.received_words),
                   std::to_string(round.busiest), std::to_string(round.io_time()),
                   fmt::format("{:.2f}", imbalance), std::to_string(round.most_work)});
      rounds.push_back({{"phase", round.phase},
                        {"tasks", round.tasks},
                        {"sent_words", round.sent_words},
                        {"received_words", round.received_words},
                        {"header_words", round.header_words},
                        {"io_time", round.io_time()},
                        {"busiest", round.busiest},
                        {"most_work", round.most_work}});
    }
    const double operations = static_cast<double>(count);
    const Json total = {{"rounds", cost.rounds.size()},
                        {"words_per_op", static_cast<double>(cost.words()) / operations},
                        {"padded_words_per_op", static_cast<double>(cost.padded_words()) / operations},
                        {"header_words_per_op", static_cast<double>(cost.header_words()) / operations},
                        {"io_time", cost.io_time()},
                        {"io_imbalance", cost.io_imbalance()},
                        {"pim_time", cost.pim_time()},
                        {"work_imbalance", cost.work_imbalance()}};
    if (common.for_people()) {
      table.print(stdout);
      if (cost.rounds.size() > 40) std::printf("(and %zu rounds more)\n", cost.rounds.size() - 40);
      std::printf(
          "in all: %zu rounds, %.2f words and %.2f padded words an operation (counted), imbalance %.2f\n",
          cost.rounds.size(), static_cast<double>(cost.words()) / operations,
          static_cast<double>(cost.padded_words()) / operations, cost.io_imbalance());
    }
    common.write_json({{"schema", "ballast.index.explain/1"}, {"total", total}, {"rounds", rounds}});
    Report report("ballast index explain");
    Section& section = report.section(method.index->name());
    section.table(table);
    section.figure({fmt::format("Words by module and round ({})", method.index->name()), heat_map(cost),
                    Basis::counted});
    section.command(common.command_line);
    common.write_report(report);
  });
}

}  // namespace ballast::index
