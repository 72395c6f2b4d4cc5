// Table D: what each pass is worth on a model that it is meant for, and the passes added one after another.
#include <fmt/format.h>

#include "ballast/dynamic/bench_contest.h"
#include "ballast/dynamic/bench_models.h"

namespace ballast::dynamic {
namespace {

using Flag = bool CompileOptions::*;

/// `with` against `without`, both systems given whole.
void pair(Bench& bench, const std::string& id, const std::string& what, const Module& module,
          std::vector<Instance> batch, const System& with, const System& without, double target,
          std::uint64_t seed, bool quick) {
  Contest contest(module, std::move(batch), seed);
  contest.add(with);
  contest.add(without);
  const auto timing = contest.time(quick ? 21 : 41, seed, quick ? 3 : 12);
  add_ratio(bench, id, what, timing, with.name, without.name, target,
            fmt::format("{} batches against {}; {}", contest.batches(0), contest.batches(1),
                        contest.answers_note()));
}

struct PassCase {
  const char* pass;
  Flag on;
  const char* model;
  int hidden, instances;
  bool operators;  ///< on top of single operators (nothing coarsened), where the paper adds it; else taken
                   ///< from all
};

CompileOptions single_operators() {
  CompileOptions o;
  o.coarsen = o.fuse = o.hfuse = false;
  return o;
}

void single(Bench& bench, std::uint64_t seed, bool quick) {
  const PassCase cases[] = {{"fuse", &CompileOptions::fuse, "treelstm", 64, 32, true},
                            {"coarsen", &CompileOptions::coarsen, "treelstm", 32, 8, false},
                            {"hfuse", &CompileOptions::hfuse, "treelstm", 32, 32, true},
                            {"hoist", &CompileOptions::hoist, "birnn", 256, 4, false},
                            {"split-dense", &CompileOptions::split_dense, "birnn", 256, 4, false},
                            {"phases", &CompileOptions::phases, "birnn", 32, 64, false},
                            {"ghost", &CompileOptions::ghost, "twoarms", 64, 32, false},
                            {"reuse", &CompileOptions::reuse, "birnn", 256, 4, false}};
  for (const PassCase& c : cases) {
    const Module module = load_model(c.model, {{"H", c.hidden}, {"V", 2000}});
    CompileOptions with = c.operators ? single_operators() : CompileOptions(), without = with;
    with.*c.on = true;
    without.*c.on = false;
    if (c.on == &CompileOptions::hfuse) with.coarsen = without.coarsen = with.fuse = without.fuse = true;
    if (c.on == &CompileOptions::coarsen) without.hfuse = false;
    pair(bench, fmt::format("D.{}.{}", c.pass, c.model),
         fmt::format("{} h {} b {} {}, with {} and without", c.model, c.hidden, c.instances,
                     c.operators ? "step by step" : "all passes", c.pass),
         module, draw_instances(module, c.instances, seed), {"with", with, {}}, {"without", without, {}}, 1.1,
         seed, quick);
  }
  const Module tree = load_model("treelstm", {{"H", 64}, {"V", 2000}});
  for (const bool operators : {true, false}) {
    const CompileOptions passes = operators ? single_operators() : CompileOptions();
    pair(bench, fmt::format("D.gather-fusion.treelstm.{}", operators ? "operators" : "blocks"),
         fmt::format("treelstm as {}: operands read through pointers, or copied together first",
                     operators ? "single operators" : "blocks"),
         tree, draw_instances(tree, 32, seed), {"pointers", passes, {}},
         {"copied first", passes, {.gather = Gather::copied}}, 1.1, seed, quick);
  }
  for (const char* name : {"drnn", "stackrnn", "nestedrnn", "berxit"}) {
    const std::string model = name;
    const Module module = load_model(
        model, model == "stackrnn" ? std::map<std::string, std::int64_t>{{"H", 64}, {"V", 2000}}
               : model == "berxit" ? std::map<std::string, std::int64_t>{{"T", 16}, {"G", 2}, {"D", 32}}
                                   : std::map<std::string, std::int64_t>{{"H", model == "drnn" ? 256 : 64}});
    const std::vector<Instance> batch = draw_instances(module, quick && model != "drnn" ? 16 : 64, seed);
    pair(bench, fmt::format("D.fibers.{}", name),
         fmt::format("{}: fibers against one instance at a time", name), module, batch, {"fibers", {}, {}},
         {"one at a time", {}, {.fibers = false}}, 2.0, seed, quick);
    if (model != "drnn") continue;
    CompileOptions whole;
    whole.forks = false;
    pair(bench, "D.forks.drnn", "drnn: arms of concurrent as child fibers, or one after another", module,
         batch, {"children", {}, {}}, {"in line", whole, {}}, 1.1, seed, quick);
  }
}

/// From all off to all on, in the order of the paper's ablation; each step over the one before.
void cumulative(Bench& bench, std::uint64_t seed, bool quick) {
  struct Step {
    const char* name;
    std::vector<Flag> on;
  };
  const std::vector<Step> steps{{"fuse", {&CompileOptions::fuse, &CompileOptions::reuse}},
                                {"coarsen", {&CompileOptions::coarsen}},
                                {"inline-depth", {}},
                                {"phases-ghost-hoist",
                                 {&CompileOptions::phases, &CompileOptions::ghost, &CompileOptions::hoist,
                                  &CompileOptions::split_dense}},
                                {"gather-fusion", {}},
                                {"hfuse", {&CompileOptions::hfuse}}};
  for (const char* name : quick ? std::vector<const char*>{"treelstm"}
                                : std::vector<const char*>{"treelstm", "birnn", "latticelstm"}) {
    const Module module = load_model(name, {{"H", 64}, {"V", 2000}});
    Contest contest(module, draw_instances(module, 32, seed), seed);
    System system{"all off", unfused(), {.policy = "agenda", .gather = Gather::copied}};
    contest.add(system);
    for (const Step& step : steps) {
      system.name = step.name;
      for (const Flag flag : step.on) system.passes.*flag = true;
      if (system.name == "inline-depth") system.session.policy = "inline-depth";
      if (system.name == "gather-fusion") system.session.gather = Gather::automatic;
      contest.add(system);
    }
    const auto timing = contest.time(quick ? 15 : 31, seed, quick ? 6 : 15);
    std::string before = "all off";
    for (const Step& step : steps) {
      add_ratio(bench, fmt::format("D.step.{}.{}", name, step.name),
                fmt::format("{}: + {} over the step before", name, step.name), timing, step.name, before,
                std::nullopt, contest.answers_note());
      before = step.name;
    }
    add_ratio(bench, fmt::format("D.step.{}.all", name), fmt::format("{}: all steps over all off", name),
              timing, before, "all off", 2.0, contest.answers_note());
  }
}

}  // namespace

void bench_passes(Bench& bench, std::uint64_t seed, bool quick) {
  single(bench, seed, quick);
  cumulative(bench, seed, quick);
}

}  // namespace ballast::dynamic
