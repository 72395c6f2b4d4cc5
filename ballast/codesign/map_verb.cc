// map: placements side by side, and the timeline of the quickest.
#include <fmt/format.h>

#include "ballast/base/errors.h"
#include "ballast/codesign/mapping_list.h"
#include "ballast/codesign/model_source.h"
#include "ballast/codesign/network_figure.h"
#include "ballast/codesign/schedule.h"
#include "ballast/codesign/search_problem.h"
#include "ballast/codesign/verbs.h"
#include "ballast/cost/gantt.h"

namespace ballast::codesign {
namespace {

struct Options : NetworkOptions {
  std::string objective = "latency", schema = "branch+prefetch+tile", cap;
  std::vector<std::string> methods{"npu", "cim", "rule", "cut", "cut+split", "heft"};
  double fps = 0, deadline_ms = 0, power_mw = 0;
};

Objective objective_from(const std::string& word) {
  cli::require_one_of("--objective", word, {"latency", "energy"});
  return word == "latency" ? Objective::latency : Objective::energy;
}

std::vector<std::string> all_methods() {
  auto names = method_names();
  for (const char* more : {"cut+split", "dp", "heft", "ilp", "ilp+split", "random"}) names.emplace_back(more);
  return names;
}

IlpOptions ilp_options(const Options& options, bool split) {
  IlpOptions ilp{
      .objective = objective_from(options.objective), .split = split, .most_energy_uj = {}, .most_ms = {}};
  if (options.cap.empty()) return ilp;
  const auto [name, value] = parse_limit(options.cap);
  if (name == "energy")
    ilp.most_energy_uj = value;
  else if (name == "latency")
    ilp.most_ms = value;
  else
    throw InvalidInput("--cap", options.cap, "energy=... or latency=...");
  return ilp;
}

/// A mapping by the name of its method; `note` says where an answer is not the optimum.
Mapping mapping_by(const std::string& word, const Graph& graph, const System& system, const Options& options,
                   std::uint64_t seed, std::string& note) {
  cli::require_one_of("--method", word, all_methods());
  const Objective objective = objective_from(options.objective);
  if (word == "dp") return dp_mapping(graph, system, objective);
  if (word == "heft") return heft_mapping(graph, system);
  if (word == "random") return random_mapping(graph, system, seed);
  if (word.starts_with("ilp")) {
    const IlpResult found = ilp_mapping(graph, system, ilp_options(options, word == "ilp+split"));
    if (!found.feasible)
      throw Unavailable(fmt::format("no placement of this network on {} keeps {}", system.name, options.cap));
    if (!found.optimal) note = fmt::format("not optimal: {:.1f} % gap", 100 * found.gap);
    return found.mapping;
  }
  if (word == "cut+split")
    return map_network(graph, system, {.method = Method::cut, .objective = objective, .split = true});
  return map_network(graph, system, {.method = method_from_string(word), .objective = objective});
}

std::string saving(double value, double base) {
  return fmt::format("{:+.1f}", 100 * (value / base - 1));
}

// What a camera asks: does a frame end in time, and what does the device draw on average.
void frame_rate(const Options& options, const NetworkSchedule& best, const System& system,
                const cli::Common& common, Json& json) {
  if (options.fps <= 0) return;
  const double dynamic_uj = best.energy.total_uj() - best.energy.static_uj;
  const double power = dynamic_uj * options.fps * 1e-3 + system.static_mw();
  json = {{"fps", options.fps}, {"average_mw", power}, {"frame_ms", best.frame_ms}, {"basis", "modelled"}};
  if (!common.for_people()) return;
  fmt::print(
      "at {} frames/s: {:.2f} mW on average (modelled){}\n", options.fps, power,
      options.power_mw > 0 ? power <= options.power_mw ? ", within the budget" : ", above the budget" : "");
  if (best.frame_ms > 1e3 / options.fps)
    fmt::print("the frame rate is not reached: a frame takes {:.3f} ms of {:.3f}\n", best.frame_ms,
               1e3 / options.fps);
  if (options.deadline_ms > 0)
    fmt::print("deadline {} ms: slack {:.3f} ms (modelled)\n", options.deadline_ms,
               options.deadline_ms - best.ms());
}

void map_model(const Options& options, const cli::Common& common) {
  const LoadedNet net = load_net(options.model, options.input_shapes);
  const System system = load_system(options.hardware);
  const Schema schema = schema_from_string(options.schema);
  Table table(fmt::format("{} on {}: placements (modelled)", options.model, system.name),
              {"method", "seq ms", "against npu %", "uJ", "against npu %", "on macros", "split", "moved kB",
               to_string(schema) + " ms", "against npu %", "note"});
  System alone = system;
  alone.cim.count = 0;
  const Run base = evaluate(net.graph, alone, Mapping(net.graph.nodes.size()));
  // The baseline may overlap as well, as far as one device can.
  const NetworkSchedule base_schedule =
      schedule_network(net.graph, alone, Mapping(net.graph.nodes.size()), schema);
  Json results = Json::array();
  std::optional<NetworkSchedule> best;
  Mapping best_mapping;
  for (const auto& word : options.methods) {
    std::string note;
    const Mapping mapping = mapping_by(word, net.graph, system, options, common.seed, note);
    const Run run = evaluate(net.graph, system, mapping);
    NetworkSchedule schedule = schedule_network(net.graph, system, mapping, schema);
    int on_macros = 0, split = 0;
    Json placed = Json::array();
    for (std::size_t n = 0; n < mapping.size(); ++n) {
      const bool is_split = mapping[n].npu_share > 0 && mapping[n].npu_share < 1;
      on_macros += mapping[n].device == Device::cim ? 1 : 0;
      split += is_split ? 1 : 0;
      placed.push_back({{"name", net.graph.nodes[n].name},
                        {"device", is_split ? "split" : to_string(mapping[n].device)},
                        {"npu_share", mapping[n].npu_share},
                        {"resident", mapping[n].resident}});
    }
    table.row({word, fmt::format("{:.3f}", run.ms), saving(run.ms, base.ms),
               fmt::format("{:.1f}", run.energy.total_uj()),
               saving(run.energy.total_uj(), base.energy.total_uj()), std::to_string(on_macros),
               std::to_string(split), fmt::format("{:.0f}", static_cast<double>(run.transferred_bytes) / 1e3),
               fmt::format("{:.3f}", schedule.frame_ms), saving(schedule.frame_ms, base_schedule.frame_ms),
               note.empty() ? to_string(schedule.used) : note});
    results.push_back({{"method", word},
                       {"ms", run.ms},
                       {"energy_uj", run.energy.total_uj()},
                       {"schema", to_string(schedule.used)},
                       {"schema_ms", schedule.ms()},
                       {"frame_ms", schedule.frame_ms},
                       {"note", note},
                       {"placement", placed}});
    if (!best || schedule.frame_ms < best->frame_ms) {
      best = std::move(schedule);
      best_mapping = mapping;
    }
  }
  if (!best) throw InvalidInput("--method is empty; accepted: at least one method");
  if (common.for_people()) table.print(stdout);
  Json rate;
  frame_rate(options, *best, system, common, rate);
  common.write_json({{"schema", "ballast.codesign.map/1"},
                     {"model", options.model},
                     {"hardware", system.name},
                     {"basis", "modelled"},
                     {"objective", options.objective},
                     {"npu_ms", base.ms},
                     {"frame_rate", rate},
                     {"results", results}});
  Trace trace(common.trace_file, Basis::modelled);
  cost::write_trace(best->workload, best->schedule, trace);
  trace.commit();
  Report report("Placements of " + options.model);
  report.section("codesign map")
      .table(table)
      .figure(network_figure(net.graph, best_mapping, evaluate(net.graph, system, best_mapping),
                             "The quickest placement, operator by operator"))
      .figure(cost::gantt(best->workload, best->schedule,
                          {.title = "Its timeline, schema " + to_string(best->used)}))
      .table(cost::resource_table(best->workload, best->schedule))
      .command(common.command_line);
  common.write_report(report);
}

}  // namespace

void add_map(cli::Program& program) {
  auto options = std::make_shared<Options>();
  auto verb = program.verb(
      "map", "place a network's operators on NPU and macros: methods side by side",
      {"ballast codesign map mobilenet_v2 --hw xr22-x8 --report map.html",
       "ballast codesign map ppocr-rec --method ilp+split --objective latency --cap energy=900uJ"});
  add_network_options(verb, *options);
  verb->add_option("--objective", options->objective, "latency or energy")->capture_default_str();
  verb->add_option("--method", options->methods,
                   "npu, cim, rule, cut, cut+split, dp, heft, ilp, ilp+split, brute, random")
      ->delimiter(',');
  verb->add_option("--schema", options->schema, "overlaps: seq, or branch, prefetch, tile, frame joined by +")
      ->capture_default_str();
  verb->add_option("--cap", options->cap, "a limit for ilp: energy=900uJ or latency=3ms");
  verb->add_option("--fps", options->fps, "frames a second, for the average power");
  verb->add_option("--deadline-ms", options->deadline_ms, "of one frame");
  verb->add_option("--power-mw", options->power_mw, "the power budget");
  verb.run([options](const cli::Common& common) { map_model(*options, common); });
}

}  // namespace ballast::codesign
