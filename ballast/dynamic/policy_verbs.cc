// gen, schedule and train-policy: graph traces and batching policies, without kernels.
#include <fmt/format.h>

#include <algorithm>
#include <deque>

#include "ballast/base/bench.h"
#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/dynamic/corpora.h"
#include "ballast/dynamic/fsm.h"
#include "ballast/dynamic/instances.h"
#include "ballast/dynamic/models.h"
#include "ballast/dynamic/runtime/session.h"
#include "ballast/dynamic/verbs.h"
#include "ballast/dynamic/workloads.h"

namespace ballast::dynamic {
namespace {

struct Options {
  std::string input, output, policy_file, encoding = "all";
  std::vector<std::string> policies{"unbatched", "depth", "agenda", "suff"};
  int instances = 32, train_graphs = 4, validation_graphs = 4;
  LearnOptions learn;
};

/// A trace file, or a generated mini-batch of a workload.
Graph graph_from(const Options& options, std::uint64_t seed, std::uint64_t first) {
  if (options.input.ends_with(".json")) return Graph::from_json(read_json(options.input), options.input);
  const std::vector<std::string> known = workload_names();
  if (std::find(known.begin(), known.end(), options.input) != known.end())
    return make_workload(options.input, options.instances, seed, first);
  // A model: the graph that its control programs make of generated instances.
  const Executable exe = compile(load_model(options.input));
  Session session(exe, initial_parameters(*exe.module, seed));
  return session.graph_of(draw_instances(*exe.module, options.instances, seed, first));
}

void run_schedule(const Options& options, const cli::Common& common) {
  const Graph graph = graph_from(options, common.seed, 0);
  const Structure structure(graph);
  Table table(fmt::format("{}: {} nodes, {} types; no policy needs fewer than {} batches (counted)",
                          options.input, graph.size(), graph.types().size(), structure.lower_bound),
              {"policy", "batches", "of the bound", "nodes a batch", "us to decide"});
  Json rows = Json::array();
  const auto add = [&](const std::string& name, const std::function<Schedule()>& make) {
    Schedule batches;
    const double seconds = time_of([&] { batches = make(); });
    const std::string wrong = check_schedule(graph, batches);
    BALLAST_CHECK(wrong.empty(), wrong);
    const double ratio = static_cast<double>(batches.size()) / std::max(1u, structure.lower_bound);
    table.row({name, std::to_string(batches.size()), fmt::format("{:.3f}", ratio),
               fmt::format("{:.1f}", static_cast<double>(graph.size()) / static_cast<double>(batches.size())),
               fmt::format("{:.2f}", 1e6 * seconds / static_cast<double>(batches.size()))});
    rows.push_back({{"policy", name}, {"batches", batches.size()}, {"ratio", ratio}});
  };
  for (const auto& name : options.policies) add(name, [&] { return schedule_by_name(structure, name); });
  if (!options.policy_file.empty()) {
    const FsmTable fsm =
        FsmTable::from_json(read_json(options.policy_file), graph.types(), options.policy_file);
    add("fsm", [&] {
      FsmPolicy policy(fsm);
      return schedule(structure, policy);
    });
  }
  if (common.for_people()) table.print(stdout);
  common.write_json({{"schema", "ballast.dynamic.schedule/1"},
                     {"input", options.input},
                     {"nodes", graph.size()},
                     {"lower_bound", structure.lower_bound},
                     {"policies", rows}});
  Report report("Batching policies on " + options.input);
  report.section("dynamic schedule").table(table).command(common.command_line);
  common.write_report(report);
}

void train(const Options& options, const cli::Common& common) {
  if (options.input.ends_with(".json"))
    throw InvalidInput(
        "train-policy takes a workload: one trace is one graph, and a policy is judged on unseen ones");
  std::deque<Graph> graphs;
  std::deque<Structure> structures;
  std::vector<const Structure*> training, validation;
  for (int g = 0; g < options.train_graphs + options.validation_graphs; ++g) {
    graphs.push_back(graph_from(options, common.seed, static_cast<std::uint64_t>(g * options.instances)));
    structures.emplace_back(graphs.back());
    (g < options.train_graphs ? training : validation).push_back(&structures.back());
  }
  LearnOptions learn_options = options.learn;
  learn_options.seed = common.seed;
  Learned learned;
  const double seconds = time_of([&] {
    learned = options.encoding == "all"
                  ? learn_best(training, validation, learn_options)
                  : learn(training, validation, encoding_from_string(options.encoding), learn_options);
  });
  double agenda = 0;
  for (const Structure* s : validation) {
    agenda += static_cast<double>(schedule_by_name(*s, "agenda").size()) / s->lower_bound /
              static_cast<double>(validation.size());
  }
  write_file(options.output, learned.table.to_json().dump(1) + "\n");
  Table table(
      fmt::format("Policy for {} (unseen mini-batches of {}; counted)", options.input, options.instances),
      {"encoding", "states", "batches over bound", "agenda over bound", "unseen states %", "iterations",
       "seconds (measured)"});
  table.row({to_string(learned.table.encoding), std::to_string(learned.table.actions.size()),
             fmt::format("{:.3f}", learned.ratio), fmt::format("{:.3f}", agenda),
             fmt::format("{:.2f}", 100 * learned.miss_rate), std::to_string(learned.iterations),
             fmt::format("{:.2f}", seconds)});
  if (common.for_people()) table.print(stdout);
  common.write_json({{"schema", "ballast.dynamic.train-policy/1"},
                     {"workload", options.input},
                     {"encoding", to_string(learned.table.encoding)},
                     {"states", learned.table.actions.size()},
                     {"ratio", learned.ratio},
                     {"agenda_ratio", agenda},
                     {"miss_rate", learned.miss_rate},
                     {"iterations", learned.iterations}});
}

const char* kInputHelp =
    "tree, tree-2type, lattice, bilstm, bilstm-char, grid2d, grid3d, perfect-tree, random-dag (graphs "
    "alone), a trace "
    ".json, or a model (treelstm, "
    "model.bdm, ...)";

}  // namespace

void add_schedule(cli::Program& program) {
  auto options = std::make_shared<Options>();
  auto verb =
      program.verb("schedule", "batching policies side by side on one dataflow graph; needs no kernels",
                   {"ballast dynamic schedule lattice --instances 32",
                    "ballast dynamic schedule trace.json --policy agenda,suff --json"});
  verb->add_option("input", options->input, kInputHelp)->required();
  verb->add_option("--policy", options->policies, "unbatched, depth, agenda, suff, exact")->delimiter(',');
  verb->add_option("--policy-file", options->policy_file, "also a learned policy");
  verb->add_option("--instances", options->instances, "instances of a generated mini-batch")
      ->capture_default_str()
      ->check(CLI::Range(1, 100000));
  verb.run([options](const cli::Common& common) { run_schedule(*options, common); });
}

void add_gen(cli::Program& program) {
  auto options = std::make_shared<Options>();
  auto corpus = std::make_shared<std::string>();
  auto verb = program.verb(
      "gen", "write instances for a model (.jsonl), or the dataflow graph of a mini-batch (.json)",
      {"ballast dynamic gen treelstm --instances 100 -o trees.jsonl",
       "ballast dynamic gen latticelstm --corpus chinese -o lattices.jsonl",
       "ballast dynamic gen lattice --seed 3 -o lattice.json"});
  verb->add_option("input", options->input,
                   "a model (treelstm, model.bdm, ...), or for graphs also tree, tree-2type, lattice, "
                   "bilstm, bilstm-char, "
                   "grid2d, grid3d, perfect-tree, random-dag")
      ->required();
  verb->add_option("--corpus", *corpus, "instances from installed packages: wordnet or chinese");
  verb->add_option("--instances", options->instances, "instances of the mini-batch")
      ->capture_default_str()
      ->check(CLI::Range(1, 100000));
  verb->add_option("-o,--output", options->output,
                   "instances as JSON lines for `run --data`, or a trace for `schedule`")
      ->required();
  verb.run([options, corpus](const cli::Common& common) {
    if (options->output.ends_with(".jsonl")) {
      const Module module = load_model(options->input);
      const auto instances = corpus->empty() ? draw_instances(module, options->instances, common.seed)
                                             : read_corpus(module, *corpus, options->instances, common.seed);
      std::string lines;
      for (const Instance& instance : instances) {
        Json arguments = Json::array();
        for (std::size_t p = 0; p < instance.size(); ++p)
          arguments.push_back(value_to_json(module, module.entry().parameters[p].second, instance[p]));
        lines += arguments.dump() + "\n";
      }
      write_file(options->output, lines);
      if (common.for_people())
        fmt::print("{} instances for {} in {}\n", instances.size(), options->input, options->output);
      common.write_json({{"schema", "ballast.dynamic.gen/1"}, {"instances", instances.size()}});
      return;
    }
    if (!corpus->empty()) throw InvalidInput("--corpus gives instances: the output is a .jsonl file");
    const Graph graph = graph_from(*options, common.seed, 0);
    write_file(options->output, graph.to_json().dump() + "\n");
    if (common.for_people())
      fmt::print("{} nodes of {} types in {}\n", graph.size(), graph.types().size(), options->output);
    common.write_json(
        {{"schema", "ballast.dynamic.gen/1"}, {"nodes", graph.size()}, {"types", graph.types()}});
  });
}

void add_train_policy(cli::Program& program) {
  auto options = std::make_shared<Options>();
  auto verb =
      program.verb("train-policy", "learn a batching policy for a model",
                   {"ballast dynamic train-policy lattice -o lattice.policy.json",
                    "ballast dynamic train-policy tree-2type --encoding sort --iterations 300 -o p.json"});
  verb->add_option("workload", options->input, kInputHelp)->required();
  verb->add_option("-o,--output", options->output, "policy file")->required();
  verb->add_option("--encoding", options->encoding, "base, max, sort or all")->capture_default_str();
  verb->add_option("--instances", options->instances, "instances of a mini-batch")
      ->capture_default_str()
      ->check(CLI::Range(1, 10000));
  verb->add_option("--iterations", options->learn.iterations, "runs to learn from")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000000));
  verb->add_option("--train-graphs", options->train_graphs, "mini-batches in rotation")
      ->capture_default_str()
      ->check(CLI::Range(1, 64));
  verb->add_option("--reward-coef", options->learn.reward_coefficient,
                   "weight of the sufficient condition in the reward")
      ->capture_default_str();
  verb.run([options](const cli::Common& common) { train(*options, common); });
}

}  // namespace ballast::dynamic
