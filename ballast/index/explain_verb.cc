// `ballast index explain`: one batch, round by round: who is asked how much, and which module is the busiest.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>

#include "ballast/base/errors.h"
#include "ballast/base/report.h"
#include "ballast/base/units.h"
#include "ballast/index/heat_map.h"
#include "ballast/index/methods.h"
#include "ballast/index/verbs.h"
#include "ballast/index/workload.h"

namespace ballast::index {
namespace {

struct ExplainOptions {
  std::string keys = "1M", batch = "64K", op = "predecessor", method = "pim-tree";
  std::uint32_t modules = 256, chunk = 16, levels = 0, limit = 0;
  double alpha = 0.99;
  bool no_shadow = false;
};

void run_operation(MeteredIndex& index, const std::string& op, std::span<const Key> keys) {
  if (op == "predecessor") {
    index.predecessor(keys);
  } else if (op == "successor") {
    index.successor(keys);
  } else if (op == "get") {
    index.get(keys);
  } else if (op == "insert") {
    std::vector<Entry> entries;
    for (const Key key : keys) entries.push_back({key, key});
    index.insert(entries);
  } else if (op == "delete") {
    index.erase(keys);
  } else {
    std::vector<KeyRange> ranges;
    for (const Key key : keys)
      ranges.push_back({key, key + (~Key{0} >> 16) < key ? ~Key{0} : key + (~Key{0} >> 16)});
    op == "scan" ? static_cast<void>(index.scan(ranges)) : static_cast<void>(index.count(ranges));
  }
}

}  // namespace

void add_explain(cli::Program& program) {
  auto options = std::make_shared<ExplainOptions>();
  auto verb = program.verb("explain", "one batch on the simulated PIM machine, round by round",
                           {"ballast index explain --alpha 1.2 --modules 256",
                            "ballast index explain --method range --alpha 1.2 --report explain.html"});
  verb->add_option("--keys", options->keys, "keys in the index")->capture_default_str();
  verb->add_option("--batch", options->batch, "operations in the batch")->capture_default_str();
  verb->add_option("--op", options->op, "predecessor, successor, get, insert, delete, scan, count")
      ->capture_default_str();
  verb->add_option("--method", options->method,
                   "pim-tree, push, pull, push-pull, range, range-rebalance, jump-push")
      ->capture_default_str();
  verb->add_option("--modules", options->modules, "PIM modules")->capture_default_str();
  verb->add_option("--chunk", options->chunk, "keys in a chunk, expected")->capture_default_str();
  verb->add_option("--levels", options->levels, "chunk levels below L3 (1 to 3; 0: automatic)")
      ->capture_default_str();
  verb->add_option("--push-pull-limit", options->limit,
                   "most questions that are pushed to one chunk (0: --chunk)")
      ->capture_default_str();
  verb->add_option("--alpha", options->alpha,
                   "skew of the questions over pieces of the key space (-1: one piece)")
      ->capture_default_str();
  verb->add_flag("--no-shadow", options->no_shadow, "without shadow subtrees");
  verb.run([options](const cli::Common& common) {
    cli::require_one_of("--op", options->op,
                        {"predecessor", "successor", "get", "insert", "delete", "scan", "count"});
    const std::uint64_t count = parse_count("--batch", options->batch);
    if (count == 0 || count > (1u << 24)) throw InvalidInput("--batch", options->batch, "1 to 16 million");
    Method method = make_method(options->method, {.modules = options->modules},
                                {.chunk = options->chunk,
                                 .levels = options->levels,
                                 .shadow = !options->no_shadow,
                                 .limit = options->limit,
                                 .seed = common.seed});
    const auto entries = uniform_entries(parse_count("--keys", options->keys), common.seed);
    method.index->bulk_load(entries);
    const bool existing = options->op == "get" || options->op == "delete";
    const auto keys =
        existing && !entries.empty()
            ? piece_zipf_existing(entries, count, options->modules, options->alpha, common.seed, 1)
            : piece_zipf(count, options->modules, options->alpha, common.seed, 1);
    method.machine->trace_modules(true);
    run_operation(*method.index, options->op, keys);
    const pim::Cost& cost = method.index->cost();

    Table table(
        fmt::format("{} of {} operations over {} keys on {} modules, skew {} ({}; counted)", options->op,
                    count, entries.size(), options->modules, options->alpha, method.index->name()),
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
