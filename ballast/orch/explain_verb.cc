// `ballast orch explain --key K`: the route of one key of a skewed batch, in sentences.
#include <fmt/format.h>

#include <map>

#include "ballast/base/table.h"
#include "ballast/base/units.h"
#include "ballast/data/zipf.h"
#include "ballast/orch/bytes_model.h"
#include "ballast/orch/store.h"
#include "ballast/orch/verbs.h"

namespace ballast::orch {
namespace {

struct ExplainOptions {
  std::uint64_t key = 0;
  double zipf = 1.2;
  double item = 1024, context = 16, reply = 8;
  int machines = 16;
  std::string keys = "1e6", tasks = "50000", fanout = "flat", push_limit, meta_limit;
};

}  // namespace

void add_explain(cli::Program& program) {
  auto options = std::make_shared<ExplainOptions>();
  auto verb = program.verb(
      "explain", "the route of one key: who parks, who pushes, who pulls, and what it costs",
      {"ballast orch explain --key 0", "ballast orch explain --key 40 --fanout 4 --machines 64"});
  verb->add_option("--key", options->key, "the key; 0 is the most wanted")->capture_default_str();
  verb->add_option("--zipf", options->zipf, "exponent of the key distribution")->capture_default_str();
  verb->add_option("--item", options->item, "bytes of an item")->capture_default_str();
  verb->add_option("--context", options->context, "bytes that a task carries")->capture_default_str();
  verb->add_option("--reply", options->reply, "bytes of a reply")->capture_default_str();
  verb->add_option("--machines", options->machines, "P")->capture_default_str();
  verb->add_option("--keys", options->keys, "number of keys")->capture_default_str();
  verb->add_option("--tasks", options->tasks, "tasks of each machine")->capture_default_str();
  verb->add_option("--fanout", options->fanout, "flat, theory, or at least 2")->capture_default_str();
  verb->add_option("--push-limit", options->push_limit, "most tasks of one key that move");
  verb->add_option("--meta-limit", options->meta_limit, "most meta-tasks of one key and level that move");
  verb.run([options](const cli::Common& common) {
    if (options->machines < 1 || options->machines > 4096)
      throw InvalidInput("--machines", std::to_string(options->machines), "1 to 4096");
    if (options->item < 0 || options->context < 0 || options->reply < 0)
      throw InvalidInput("--item, --context and --reply are sizes in bytes: not negative");
    const std::uint64_t keys = parse_count("--keys", options->keys),
                        tasks = parse_count("--tasks", options->tasks);
    if (options->key >= keys)
      throw InvalidInput("--key", std::to_string(options->key), fmt::format("0 to {}", keys - 1));
    const data::Zipf zipf(keys, options->zipf);
    Options shape;
    shape.fanout = options->fanout;
    shape.push_limit = options->push_limit;
    shape.meta_limit = options->meta_limit;
    const Forest forest = make_forest(shape, options->machines);
    const RecordSizes sizes{
        .task = 16 + options->context, .item = 1 + options->item, .reply = 8 + options->reply, .meta = 16};
    const Limits limits = make_limits(shape, sizes, forest);
    KeyDemand demand;
    demand.owner = Owners<std::uint64_t>(options->machines, common.seed, Ownership::hashed)(options->key);
    std::vector<std::uint64_t> ranks(tasks);
    for (int m = 0; m < options->machines; ++m) {
      cli::stop_if_interrupted();
      zipf.fill(common.seed, static_cast<std::uint64_t>(m), 0, ranks);
      const auto count = static_cast<std::uint64_t>(std::count(ranks.begin(), ranks.end(), options->key));
      if (count > 0) demand.by_machine.emplace_back(m, count);
    }
    const auto lines = explain_route(demand, forest, limits);
    const std::vector<KeyDemand> one{demand};
    const double push = model_push(options->machines, one, sizes).busiest();
    const double pull = model_pull_dedup(options->machines, one, sizes).busiest();
    const double td = model_td_orch(options->machines, one, sizes, forest, limits).busiest();
    if (common.for_people()) {
      fmt::print(
          "A task is {} bytes on the wire, a reply {}, the item {}, a meta-task {}: moving more than {} "
          "tasks costs\n"
          "more than moving the item.\n\n",
          sizes.task, sizes.reply, sizes.item, sizes.meta, limits.leaf);
      for (const auto& line : lines) fmt::print("  {}\n", line);
      Table table(
          "This key's bytes through its busiest machine (counted by the model that the tests hold the engine "
          "to)",
          {"push", "pull-dedup", fmt::format("td-orch, {}", forest.describe())});
      table.row({to_string(Bytes{static_cast<std::uint64_t>(push)}),
                 to_string(Bytes{static_cast<std::uint64_t>(pull)}),
                 to_string(Bytes{static_cast<std::uint64_t>(td)})});
      std::puts("");
      table.print(stdout);
    }
    Json machines = Json::array();
    for (const auto& [machine, count] : demand.by_machine)
      machines.push_back({{"machine", machine}, {"tasks", count}});
    common.write_json({{"key", options->key},
                       {"owner", demand.owner},
                       {"demand", machines},
                       {"push_limit", limits.leaf},
                       {"forest", forest.describe()},
                       {"route", lines},
                       {"busiest_bytes", {{"push", push}, {"pull-dedup", pull}, {"td-orch", td}}}});
  });
}

}  // namespace ballast::orch
