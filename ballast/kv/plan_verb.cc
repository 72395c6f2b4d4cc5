// `ballast kv plan`: how many machines a load of operations needs, from the planner of orch.
#include <fmt/format.h>

#include <thread>

#include "ballast/base/errors.h"
#include "ballast/base/table.h"
#include "ballast/base/units.h"
#include "ballast/kv/verbs.h"
#include "ballast/kv/ycsb.h"
#include "ballast/orch/plan.h"

namespace ballast::kv {
namespace {

struct PlanOptions {
  std::string records = "1e9", batch = "1e5", rate = "1e8", net = "10gbe";
  double record = 1000, field = 100, reads = 0.95, zipf = 0.99, memory_gib = 64;
  std::vector<int> machines{4, 8, 16, 32, 64, 128, 256, 512, 1024};
};

// A batch as the YCSB classes put it on the wire (ycsb.cc): reads take the record, writes carry one field.
orch::PlanInput input_of(const PlanOptions& options, int machines, std::uint64_t seed) {
  orch::PlanInput input{.machines = machines,
                        .tasks = static_cast<double>(parse_count("--batch", options.batch)),
                        .keys = parse_count("--records", options.records),
                        .theta = options.zipf,
                        .seed = seed};
  input.sizes.task = 16 + 18 + (1 - options.reads) * options.field;
  input.sizes.item = 9 + options.record;
  input.sizes.reply = 8 + 4 + options.reads * options.record;
  return input;
}

}  // namespace

void add_plan(cli::Program& program) {
  auto options = std::make_shared<PlanOptions>();
  auto verb = program.verb("plan", "how many machines your load needs (modelled)",
                           {"ballast kv plan --records 1e9 --rate 1e8 --zipf 1.2",
                            "ballast kv plan --records 1e8 --record 4000 --reads 0.5 --net 100gbe"});
  verb->add_option("--records", options->records, "records in the store")->capture_default_str();
  verb->add_option("--record", options->record, "bytes of a record")->capture_default_str();
  verb->add_option("--field", options->field, "bytes that a write carries")->capture_default_str();
  verb->add_option("--reads", options->reads, "share of reads")->capture_default_str();
  verb->add_option("--zipf", options->zipf, "exponent of the key distribution")->capture_default_str();
  verb->add_option("--batch", options->batch, "operations of a machine in a batch")->capture_default_str();
  verb->add_option("--rate", options->rate, "operations a second that are wanted")->capture_default_str();
  verb->add_option("--net", options->net, "the network (`ballast cluster info`)")->capture_default_str();
  verb->add_option("--memory-gib", options->memory_gib, "memory of a machine")->capture_default_str();
  verb->add_option("--machines", options->machines, "numbers of machines to look at")->delimiter(',');
  verb.run([options](const cli::Common& common) {
    const auto require = [](bool right, const char* flag, double given, const char* accepted) {
      if (!right) throw InvalidInput(flag, fmt::format("{}", given), accepted);
    };
    require(options->record >= 8, "--record", options->record, "at least 8 bytes");
    require(options->field >= 8, "--field", options->field, "at least 8 bytes");
    require(options->reads >= 0 && options->reads <= 1, "--reads", options->reads, "a share of 0 to 1");
    require(options->memory_gib > 0, "--memory-gib", options->memory_gib, "more than 0");
    const auto net = cluster::find_profile(options->net);
    const double wanted = static_cast<double>(parse_count("--rate", options->rate));
    const auto slow = cluster::find_profile("slow");

    // Fitted on YCSB C by 2, 4 and 8 machines; 16 machines are held out.
    Workload reads = Workload::named("C");
    reads.records = 20'000;
    reads.exponent = options->zipf;
    std::vector<orch::CostPoint> points;
    const std::vector<std::string> methods{"push", "pull-dedup", "td-orch"};
    for (int machines : {2, 4, 8}) {
      auto cluster = cluster::Cluster::open({.machines = machines, .seed = common.seed});
      for (const auto& run : run_workload(cluster, reads, methods, 2000, 1, common.seed)) {
        const auto sum = run.report.total();
        points.push_back({static_cast<double>(sum.executed), static_cast<double>(sum.payload_sent()),
                          static_cast<double>(sum.cpu_ns) * 1e-9});
      }
    }
    const auto cost = orch::fit_cost(points);
    PlanOptions small = *options;
    small.records = "20000";
    small.batch = "2000";
    small.reads = 1;
    small.record = reads.record_bytes();
    const double cores = std::max(1u, std::thread::hardware_concurrency());
    const auto expected = orch::plan_stage(input_of(small, 16, common.seed), cost, slow);
    auto cluster = cluster::Cluster::open({.machines = 16, .net = "slow", .seed = common.seed});
    const auto measured = run_workload(cluster, reads, methods, 2000, 1, common.seed);
    Table errors("Held out of the fit: YCSB C, 16 machines, 20 000 records, 2000 operations a machine",
                 {"method", "busiest bytes, modelled against counted",
                  fmt::format("time, modelled against measured (emulated network, {} cores shared)", cores)});
    Json held = Json::array();
    for (std::size_t m = 0; m < methods.size(); ++m) {
      const double bytes = expected[m].busiest_bytes /
                               static_cast<double>(measured[m].report.busiest_payload_bytes()) -
                           1,
                   time = expected[m].seconds_sharing(cores) / measured[m].seconds - 1;
      errors.row({methods[m], fmt::format("{:+.0f} %", 100 * bytes), fmt::format("{:+.0f} %", 100 * time)});
      held.push_back({{"method", methods[m]}, {"bytes_error", bytes}, {"time_error", time}});
    }

    Table table(
        fmt::format("{} records of {} bytes, exponent {}, {:.0f} % reads, batches of {} on {} (modelled)",
                    options->records, options->record, options->zipf, 100 * options->reads, options->batch,
                    net.name),
        {"P", "method", "operations/s", "a batch, ms", "busiest MiB", "work max/mean",
         "memory of a machine"});
    Json rows = Json::array();
    std::optional<int> enough;
    for (int machines : options->machines) {
      cli::stop_if_interrupted();
      const auto input = input_of(*options, machines, common.seed);
      for (const auto& plan : orch::plan_stage(input, cost, net)) {
        const double rate = input.tasks * machines / plan.seconds();
        const bool fits = plan.memory_bytes <= options->memory_gib * 1073741824.0;
        if (plan.method == "td-orch" && fits && rate >= wanted && !enough) enough = machines;
        table.row({std::to_string(machines), plan.method, format_count(rate),
                   fmt::format("{:.1f}", 1e3 * plan.seconds()),
                   fmt::format("{:.1f}", plan.busiest_bytes / 1048576), fmt::format("{:.2f}", plan.imbalance),
                   to_string(Bytes{static_cast<std::uint64_t>(plan.memory_bytes)}) +
                       (fits ? "" : " (does not fit)")});
        rows.push_back({{"machines", machines},
                        {"method", plan.method},
                        {"operations_per_s", rate},
                        {"batch_seconds", plan.seconds()},
                        {"busiest_bytes", plan.busiest_bytes},
                        {"imbalance", plan.imbalance},
                        {"memory_bytes", plan.memory_bytes},
                        {"fits", fits},
                        {"basis", "modelled"}});
      }
    }
    const std::string verdict =
        enough ? fmt::format(
                     "td-orch reaches {} operations/s, in {} GiB a machine, with {} of these numbers of "
                     "machines.",
                     options->rate, options->memory_gib, *enough)
               : fmt::format("None of these numbers of machines gives {} operations/s in {} GiB a machine.",
                             options->rate, options->memory_gib);
    if (common.for_people()) {
      table.print(stdout);
      fmt::print("\n{}\n\n", verdict);
      errors.print(stdout);
    }
    common.write_json({{"plan", rows},
                       {"verdict", verdict},
                       {"held_out", held},
                       {"machines", enough ? Json(*enough) : Json(nullptr)}});
  });
}

}  // namespace ballast::kv
