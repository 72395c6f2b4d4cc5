#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>

#include "ballast/base/errors.h"
#include "ballast/serve/planner.h"
#include "ballast/serve/verbs.h"

namespace ballast::serve {
namespace {

// A state file: {"perf": PRESET, "tiers": [{"tpot_ms": 50, "decodes": 12}, ...], "decode_context": 9000,
// "blocks_taken": 600, "blocks_total": 4134, "requests": [{"id": 1, "due_in_ms": 400, "prompt": 900,
// "tpot_ms": 50, "blocks": 60, "weight": 1, "forced": false}, ...]}
struct State {
  PerfModel perf;
  std::unique_ptr<SpecSolver> solver;
  PlanInput input;
};

State read_state(const std::string& path) {
  const Json json = read_json(path);
  State state;
  try {
    state.perf = PerfModel::load(json.value("perf", "a100-opt13b-tp1"));
    SpecSettings speculation = SpecSettings::parse(json.value("speculation", "off"));
    speculation.alpha = json.value("alpha", 0.3);
    PlanInput& input = state.input;
    double tightest = 1e300;
    for (const Json& tier : json.at("tiers")) {
      const TierLoad load{tier.at("tpot_ms").get<double>(), tier.value("decodes", 0)};
      if (!(load.tpot_ms > 0) || load.count < 0)
        throw InvalidInput(fmt::format("{}: a tier needs a positive tpot_ms", path));
      tightest = std::min(tightest, load.tpot_ms);
      input.decode_tiers.push_back(load);
    }
    if (input.decode_tiers.empty() || input.decode_tiers.size() > kPlanTiers)
      throw InvalidInput(
          fmt::format("{}: {} tiers; accepted: 1 to {}", path, input.decode_tiers.size(), kPlanTiers));
    state.solver = std::make_unique<SpecSolver>(state.perf, speculation, tightest);
    input.decode_context = json.value("decode_context", 0.0);
    input.blocks_taken = json.value("blocks_taken", 0);
    input.blocks_total = json.value("blocks_total", state.perf.kv_tokens / 16);
    input.objective =
        json.value("objective", "count") == "weighted" ? PlanObjective::weighted : PlanObjective::count;
    for (const Json& request : json.at("requests")) {
      PlanItem item;
      item.id = request.value("id", std::uint64_t{0});
      const int prompt = request.at("prompt").get<int>();
      if (prompt < 1)
        throw InvalidInput(fmt::format("{}: request {} has a prompt of {} tokens", path, item.id, prompt));
      item.deadline_ms = request.at("due_in_ms").get<double>();
      item.work = std::ceil(state.perf.effective_tokens(0, prompt));
      item.idle_ms = state.perf.idle_prefill_ms(prompt);
      item.context = request.value("context", static_cast<double>(prompt));
      item.blocks = request.value("blocks", (prompt + 127) / 16);
      item.weight = request.value("weight", 1.0);
      item.forced = request.value("forced", false);
      if (item.forced) item.blocks = 0;
      const double tpot = request.at("tpot_ms").get<double>();
      item.tier = -1;
      for (std::size_t l = 0; l < input.decode_tiers.size(); ++l) {
        if (input.decode_tiers[l].tpot_ms == tpot) item.tier = static_cast<int>(l);
      }
      if (item.tier < 0)
        throw InvalidInput(
            fmt::format("{}: request {} has a tpot_ms of {:g}, which is no tier", path, item.id, tpot));
      input.items.push_back(item);
    }
  } catch (const Json::exception& error) {
    throw InvalidInput(fmt::format("{}: {}", path, error.what()));
  }
  state.input.solver = state.solver.get();
  return state;
}

void plan(const std::string& path, bool brute, bool jump, const cli::Common& common) {
  State state = read_state(path);
  state.input.form = jump ? PlanForm::jump : PlanForm::rolling;
  const PlanResult result = make_plan(state.input);
  common.write_json(to_json(state.input, result));
  if (common.for_people()) {
    Table table("The plan (modelled)",
                {"request", "due in ms", "prefill tokens", "tpot ms", "accepted", "reason"});
    for (std::size_t i = 0; i < state.input.items.size(); ++i) {
      const PlanItem& item = state.input.items[i];
      table.row({std::to_string(item.id), fmt::format("{:.0f}", item.deadline_ms),
                 fmt::format("{:.0f}", item.work),
                 fmt::format("{:g}", state.input.decode_tiers[static_cast<std::size_t>(item.tier)].tpot_ms),
                 result.accepted[i] ? "yes" : "no",
                 item.forced ? "admitted before" : to_string(result.refusals[i])});
    }
    table.print(stdout);
    fmt::print("prefill budget left: {:.0f} tokens; {} states looked at{}\n", result.budget, result.states,
               result.overcommitted ? "; overcommitted" : "");
  }
  if (!brute) return;
  const PlanResult all = plan_by_brute_force(state.input);
  if (common.for_people())
    fmt::print("all subsets tried one by one: weight {:g} against {:g}: {}\n", all.weight, result.weight,
               all.weight == result.weight ? "equal" : "DIFFERENT");
  if (all.weight != result.weight) throw cli::Exit{static_cast<int>(ExitCode::failed)};
}

}  // namespace

void add_plan(cli::Program& program) {
  struct Options {
    std::string path;
    bool brute = false, jump = false;
  };
  auto options = std::make_shared<Options>();
  auto verb =
      program.verb("plan", "one call of the planner on a state file, with the reason of every refusal",
                   {"ballast serve plan state.json", "ballast serve plan state.json --brute"});
  verb->add_option("state", options->path, "JSON file (docs/serve.md shows one)")->required();
  verb->add_flag("--brute", options->brute, "check it against all subsets");
  verb->add_flag("--jump", options->jump, "the paper's jump form");
  verb.run(
      [options](const cli::Common& common) { plan(options->path, options->brute, options->jump, common); });
}

}  // namespace ballast::serve
