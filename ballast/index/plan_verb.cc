// `ballast index plan`: what your size takes, from a model fitted to small runs made now.
#include <fmt/format.h>

#include <memory>

#include "ballast/base/errors.h"
#include "ballast/base/units.h"
#include "ballast/index/pim/profiles.h"
#include "ballast/index/plan.h"
#include "ballast/index/verbs.h"

namespace ballast::index {

void add_plan(cli::Program& program) {
  struct Options {
    std::string keys = "500M", batch = "1M", each = "4096", rate = "10M", net = "10gbe",
                profile = "upmem-p21";
    std::uint32_t modules = 2048;
    double alpha = 0.99, value = 100, memory_gib = 64;
  };
  auto options = std::make_shared<Options>();
  auto verb = program.verb(
      "plan", "what your size would take on PIM modules, machines of a cluster, one host (modelled)",
      {"ballast index plan --keys 500M --modules 2048 --batch 1M",
       "ballast index plan --keys 10G --value 100 --rate 50M --net 100gbe"});
  verb->add_option("--keys", options->keys, "keys in the index")->capture_default_str();
  verb->add_option("--batch", options->batch, "operations of a batch (PIM)")->capture_default_str();
  verb->add_option("--modules", options->modules, "PIM modules")->capture_default_str();
  verb->add_option("--alpha", options->alpha, "skew over pieces of the key space (PIM)")
      ->capture_default_str();
  verb->add_option("--profile", options->profile, "PIM machine: a name or a YAML file")
      ->capture_default_str();
  verb->add_option("--value", options->value, "bytes of a value (cluster)")->capture_default_str();
  verb->add_option("--each", options->each, "operations of each machine in a batch (cluster)")
      ->capture_default_str();
  verb->add_option("--rate", options->rate, "operations a second that are wanted (cluster)")
      ->capture_default_str();
  verb->add_option("--net", options->net, "the network (`ballast cluster info`)")->capture_default_str();
  verb->add_option("--memory-gib", options->memory_gib, "memory of a machine")->capture_default_str();
  verb.run([options](const cli::Common& common) {
    const auto number = [](const char* flag, const std::string& text) {
      return static_cast<double>(parse_count(flag, text));
    };
    const double keys = number("--keys", options->keys);
    const pim::Profile profile = pim::find_profile(options->profile);
    const PimPlan pim = plan_pim({.keys = keys,
                                  .modules = options->modules,
                                  .batch = number("--batch", options->batch),
                                  .alpha = options->alpha},
                                 profile, common.seed);
    const ClusterPlan cluster = plan_cluster({.keys = keys,
                                              .value_bytes = options->value,
                                              .rate = number("--rate", options->rate),
                                              .batch = number("--each", options->each),
                                              .net = options->net,
                                              .memory_gib = options->memory_gib},
                                             common.seed);
    constexpr double kMib = 1048576, kGib = 1073741824;
    constexpr double kHostBytes = 24.5;  // an entry of 8+8 bytes (chapter, counted)
    Table table(fmt::format("{} keys: what they take (modelled)", options->keys),
                {"engine", "what", "value"});
    const std::string on = fmt::format("pim, {} modules, {}", options->modules, profile.name);
    table.row({on, "predecessors a second",
               fmt::format("{:.3g} ({:.3g} to {:.3g})", pim.operations_per_s, pim.low, pim.high)});
    table.row(
        {on, "one batch", fmt::format("{:.3g} ms, {:.0f} rounds", 1e3 * pim.batch_seconds, pim.rounds)});
    table.row({on, "padded words an operation", fmt::format("{:.1f}", pim.padded_words)});
    table.row({on, "memory of a module", fmt::format("{:.1f} MiB", pim.module_bytes / kMib)});
    table.row({on, "modules of 64 MiB that hold the keys",
               pim.least_modules == 0 ? "more than 65536" : fmt::format("at least {}", pim.least_modules)});
    table.row({on, "error on the largest run, held out", fmt::format("{:.1f} %", 100 * pim.held_out_error)});
    const std::string machines = cluster.machines == 0 ? "more than 4096" : std::to_string(cluster.machines);
    table.row({"cluster, " + options->net, "machines for the rate and the memory", machines});
    table.row(
        {"cluster, " + options->net, "operations a second", fmt::format("{:.3g}", cluster.operations_per_s)});
    table.row({"cluster, " + options->net, "bytes of the busiest machine, an operation",
               fmt::format("{:.0f}", cluster.bytes_per_op)});
    table.row({"cluster, " + options->net, "memory of a machine",
               fmt::format("{:.1f} GiB", cluster.memory_bytes / kGib)});
    table.row({"cluster, " + options->net, "error on the largest run, held out",
               fmt::format("{:.1f} %", 100 * cluster.held_out_error)});
    table.row({"host", "memory (8-byte values)", fmt::format("{:.1f} GiB", keys * kHostBytes / kGib)});
    if (common.for_people()) table.print(stdout);
    common.write_json({{"schema", "ballast.index.plan/1"},
                       {"basis", "modelled"},
                       {"pim",
                        {{"levels", pim.levels},
                         {"rounds", pim.rounds},
                         {"padded_words_per_op", pim.padded_words},
                         {"operations_per_s", pim.operations_per_s},
                         {"low", pim.low},
                         {"high", pim.high},
                         {"module_bytes", pim.module_bytes},
                         {"least_modules", pim.least_modules},
                         {"held_out_error", pim.held_out_error}}},
                       {"cluster",
                        {{"machines", cluster.machines},
                         {"operations_per_s", cluster.operations_per_s},
                         {"bytes_per_op", cluster.bytes_per_op},
                         {"memory_bytes", cluster.memory_bytes},
                         {"held_out_error", cluster.held_out_error}}}});
    Report report("ballast index plan");
    report.section("plan").table(table);
    common.write_report(report);
  });
}

}  // namespace ballast::index
