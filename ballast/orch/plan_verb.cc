// `ballast orch plan`: what a stage would take on more machines than are here.
#include <fmt/format.h>

#include <thread>

#include "ballast/base/table.h"
#include "ballast/base/units.h"
#include "ballast/orch/plan.h"
#include "ballast/orch/verbs.h"
#include "ballast/orch/workload.h"

namespace ballast::orch {
namespace {

struct PlanOptions {
  std::vector<int> machines{16, 64, 256, 1024};
  double zipf = 1.2, item = 1024, context = 16, reply = 8, memory_gib = 64;
  std::string keys = "1e8", tasks = "1e5", net = "10gbe";
};

std::string signed_percent(double modelled, double measured) {
  return fmt::format("{:+.0f} %", 100 * (modelled / measured - 1));
}

}  // namespace

void add_plan(cli::Program& program) {
  auto options = std::make_shared<PlanOptions>();
  auto verb =
      program.verb("plan", "what your size would take: time, bytes and memory of a machine (modelled)",
                   {"ballast orch plan --machines 64,256 --zipf 1.2 --item 8192",
                    "ballast orch plan --tasks 1e6 --keys 1e9 --net 100gbe --memory-gib 256"});
  verb->add_option("--machines", options->machines, "numbers of machines to plan for")->delimiter(',');
  verb->add_option("--tasks", options->tasks, "tasks of each machine in a batch")->capture_default_str();
  verb->add_option("--keys", options->keys, "number of keys")->capture_default_str();
  verb->add_option("--zipf", options->zipf, "exponent of the key distribution")->capture_default_str();
  verb->add_option("--item", options->item, "bytes of an item")->capture_default_str();
  verb->add_option("--context", options->context, "bytes that a task carries")->capture_default_str();
  verb->add_option("--reply", options->reply, "bytes of a reply")->capture_default_str();
  verb->add_option("--net", options->net, "the network (`ballast cluster info`)")->capture_default_str();
  verb->add_option("--memory-gib", options->memory_gib, "memory of a machine")->capture_default_str();
  verb.run([options](const cli::Common& common) {
    if (options->item < 0 || options->context < 0 || options->reply < 0 || !(options->memory_gib > 0))
      throw InvalidInput("--item, --context, --reply and --memory-gib are sizes: not negative");
    const auto net = cluster::find_profile(options->net);
    PlanInput input{.tasks = static_cast<double>(parse_count("--tasks", options->tasks)),
                    .keys = parse_count("--keys", options->keys),
                    .theta = options->zipf,
                    .sizes = {.task = 16 + options->context,
                              .item = 1 + options->item,
                              .reply = 8 + options->reply,
                              .meta = 16},
                    .seed = common.seed};

    // The cost of computing, from small runs here; the largest is held out of the fit and checked.
    const PlanInput held_out{
        .machines = 16, .tasks = 8'000, .keys = 100'000, .theta = 1.2, .seed = common.seed};
    std::vector<CostPoint> points;
    for (int machines : {2, 4, 8}) {
      auto cluster = cluster::Cluster::open({.machines = machines, .seed = common.seed});
      for (std::uint32_t bytes : {64u, 1024u, 4096u}) {
        for (const auto& run :
             run_cell(cluster, {.item_bytes = bytes, .machines = machines, .tasks = 4'000, .keys = 100'000},
                      {"push", "pull-dedup", "td-orch"}, {}, common.seed))
          points.push_back({static_cast<double>(run.report.total().executed),
                            static_cast<double>(run.report.total().payload_sent()), run.cpu_seconds});
      }
    }
    const ComputeCost cost = fit_cost(points);
    const auto slow = cluster::find_profile("slow");
    const auto expected = plan_stage(held_out, cost, slow);
    const double cores = std::max(1u, std::thread::hardware_concurrency());
    auto cluster = cluster::Cluster::open({.machines = 16, .net = "slow", .seed = common.seed});
    const auto measured = run_cell(
        cluster,
        {.theta = held_out.theta, .item_bytes = 1024, .machines = 16, .tasks = 8'000, .keys = 100'000},
        {"push", "pull-dedup", "td-orch"}, {}, common.seed);
    Table errors("Held out of the fit: 16 machines, 8000 tasks each, exponent 1.2, items of 1 KiB",
                 {"method", "busiest bytes, modelled against counted",
                  fmt::format("time, modelled against measured (emulated network, {} cores shared)", cores)});
    Json held = Json::array();
    for (std::size_t m = 0; m < expected.size(); ++m) {
      const auto counted = static_cast<double>(measured[m].report.busiest_payload_bytes());
      errors.row({expected[m].method, signed_percent(expected[m].busiest_bytes, counted),
                  signed_percent(expected[m].seconds_sharing(cores), measured[m].seconds)});
      held.push_back({{"method", expected[m].method},
                      {"bytes_error", expected[m].busiest_bytes / counted - 1},
                      {"time_error", expected[m].seconds_sharing(cores) / measured[m].seconds - 1}});
    }

    Table table(
        fmt::format("One stage on {} (modelled): {} tasks a machine, {} keys, exponent {}, items of {} bytes",
                    net.name, options->tasks, options->keys, options->zipf, options->item),
        {"P", "method", "forest", "time ms", "of it network", "busiest MiB", "all MiB", "work max/mean",
         "memory of a machine", "tasks/s"});
    Json rows = Json::array();
    for (int machines : options->machines) {
      cli::stop_if_interrupted();
      input.machines = machines;
      for (const auto& plan : plan_stage(input, cost, net)) {
        const bool fits = plan.memory_bytes <= options->memory_gib * 1073741824.0;
        const double rate = input.tasks * machines / plan.seconds();
        table.row({std::to_string(machines), plan.method, plan.forest,
                   fmt::format("{:.2f}", 1e3 * plan.seconds()), fmt::format("{:.2f}", 1e3 * plan.network_s),
                   fmt::format("{:.1f}", plan.busiest_bytes / 1048576),
                   fmt::format("{:.0f}", plan.total_bytes / 1048576), fmt::format("{:.2f}", plan.imbalance),
                   to_string(Bytes{static_cast<std::uint64_t>(plan.memory_bytes)}) +
                       (fits ? "" : " (does not fit)"),
                   format_count(rate)});
        rows.push_back({{"machines", machines},
                        {"method", plan.method},
                        {"forest", plan.forest},
                        {"seconds", plan.seconds()},
                        {"network_seconds", plan.network_s},
                        {"busiest_bytes", plan.busiest_bytes},
                        {"total_bytes", plan.total_bytes},
                        {"imbalance", plan.imbalance},
                        {"memory_bytes", plan.memory_bytes},
                        {"fits", fits},
                        {"supersteps", plan.supersteps},
                        {"basis", "modelled"}});
      }
    }
    if (common.for_people()) {
      table.print(stdout);
      std::puts("");
      errors.print(stdout);
    }
    common.write_json({{"plan", rows},
                       {"net", net.to_json()},
                       {"compute", {{"per_task_s", cost.per_task_s}, {"per_byte_s", cost.per_byte_s}}},
                       {"held_out", held}});
  });
}

}  // namespace ballast::orch
