// run: mini-batches of a model over data, with checks against the unbatched run and the reference
// interpreter.
#include <fmt/format.h>

#include <cmath>
#include <deque>

#include "ballast/base/bench.h"
#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/dynamic/instances.h"
#include "ballast/dynamic/run_options.h"
#include "ballast/dynamic/verbs.h"

namespace ballast::dynamic {
namespace {

struct RunVerb {
  ExecutableOptions exe;
  DataOptions data;
  SessionOptions session;
  std::string policy_file, gather = "auto", nan = "ignore", out, device = "cpu";
  int batch = 32;
  bool check = false, no_fibers = false;
};

/// Largest difference between two results, relative to the larger of 1 and the number.
double difference(const std::vector<double>& a, const std::vector<double>& b) {
  if (a.size() != b.size()) return INFINITY;
  double most = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    most = std::max(most, std::abs(a[i] - b[i]) / std::max(1.0, std::abs(b[i])));
  return most;
}

/// Policy fsm without a file: learned on the first mini-batches, its time told apart.
FsmTable learn_on(const Executable& exe, const Parameters& parameters, const std::vector<Instance>& instances,
                  int batch, const cli::Common& common) {
  Session session(exe, parameters);
  std::deque<Graph> graphs;
  std::deque<Structure> structures;
  std::vector<const Structure*> training, validation;
  const std::size_t size = std::min<std::size_t>(static_cast<std::size_t>(batch), instances.size());
  for (std::size_t first = 0; first + size <= instances.size() && structures.size() < 8 && size > 0;
       first += size) {
    graphs.push_back(session.graph_of(std::span(instances).subspan(first, size)));
    structures.emplace_back(graphs.back());
    (structures.size() % 2 == 1 ? training : validation).push_back(&structures.back());
  }
  if (training.empty()) throw InvalidInput("policy fsm learns from data, and there is none");
  if (validation.empty()) validation = training;
  Learned learned;
  const double seconds =
      time_of([&] { learned = learn_best(training, validation, {.iterations = 300, .seed = common.seed}); });
  if (common.for_people())
    fmt::print(
        "policy learned on {} mini-batches in {:.2f} s (measured, not part of the run): {:.3f} of the "
        "bound\n",
        training.size(), seconds, learned.ratio);
  return learned.table;
}

void run(RunVerb options, const cli::Common& common) {
  if (options.device == "cuda")
    throw InvalidInput("--device", options.device, "cpu; this build has no batched kernels for a GPU");
  const Container container = options.exe.load();
  const Executable& exe = container.exe;
  const Module& module = *exe.module;
  const std::vector<Instance> instances = options.data.load(module, common.seed);
  options.session.seed = common.seed;
  options.session.gather = options.gather == "fused"      ? Gather::fused
                           : options.gather == "explicit" ? Gather::copied
                                                          : Gather::automatic;
  options.session.fibers = !options.no_fibers;
  options.session.stop_at_nan = options.nan == "error";
  std::vector<std::string> types;
  for (const OpType& type : exe.unit.types) types.push_back(type.name);
  if (!options.policy_file.empty()) {
    options.session.policy = "fsm";
    options.session.fsm = FsmTable::from_json(read_json(options.policy_file), types, options.policy_file);
  }
  const Parameters& parameters = container.parameters;
  if (options.session.policy == "fsm" && options.policy_file.empty())
    options.session.fsm = learn_on(exe, parameters, instances, options.batch, common);
  Session session(exe, parameters, options.session);
  SessionOptions single = options.session;
  single.policy = "unbatched";
  single.fsm.reset();
  Session unbatched(exe, parameters, single);
  const Reference reference(module, parameters, options.session.limits);
  if (!instances.empty()) {
    // Kernels are compiled when they are first needed: that is told apart from running.
    const double seconds = time_of([&] {
      session.run(std::span(instances).first(
          std::min<std::size_t>(static_cast<std::size_t>(options.batch), instances.size())));
    });
    const double again = session.stats().kernel_seconds + session.stats().control_seconds;
    if (common.for_people())
      fmt::print(
          "first mini-batch, with the kernels' compilation: {:.2f} s (measured), of which running: {:.3f} "
          "s\n",
          seconds, again);
    session.reset_stats();
  }
  std::string lines;
  std::size_t different = 0, failed = 0;
  double worst = 0;
  for (std::size_t first = 0; first < instances.size(); first += static_cast<std::size_t>(options.batch)) {
    cli::stop_if_interrupted();
    const auto batch = std::span(instances).subspan(
        first, std::min(static_cast<std::size_t>(options.batch), instances.size() - first));
    session.options().first_instance = unbatched.options().first_instance = first;
    const std::vector<Value> out = session.run(batch);
    const std::vector<Value> again = options.check ? unbatched.run(batch) : std::vector<Value>();
    for (std::size_t i = 0; i < out.size(); ++i) {
      const std::string error = session.errors()[i];
      failed += error.empty() ? 0 : 1;
      if (!options.out.empty())
        lines +=
            (error.empty() ? value_to_json(module, module.entry().result, out[i]) : Json{{"error", error}})
                .dump() +
            "\n";
      if (!options.check || !error.empty()) continue;
      different += out[i] == again[i] ? 0 : 1;
      if (first + i >= 4) continue;  // double precision, one operator at a time: a few instances
      std::vector<double> got;
      flatten(out[i], got);
      worst = std::max(worst, difference(got, reference.numbers(batch[i], common.seed, first + i)));
    }
  }
  if (!options.out.empty()) write_file(options.out, lines);
  const RunStats& s = session.stats();
  Table table(
      fmt::format(
          "{}: {} instances in mini-batches of {}, policy {} (batches and nodes counted, times measured)",
          options.exe.model.model, s.instances, options.batch, session.options().policy),
      {"nodes", "batches", "nodes a batch", "gathered", "control %", "scheduling %", "operands %",
       "kernels %", "instances/s"});
  const double total = std::max(1e-12, s.total_seconds);
  const auto share = [&](double seconds) { return fmt::format("{:.1f}", 100 * seconds / total); };
  table.row({std::to_string(s.nodes), std::to_string(s.batches),
             fmt::format("{:.1f}", static_cast<double>(s.nodes) /
                                       static_cast<double>(std::max<std::int64_t>(1, s.batches))),
             std::to_string(s.gathered_bytes), share(s.control_seconds), share(s.scheduling_seconds),
             share(s.operand_seconds), share(s.kernel_seconds),
             fmt::format("{:.0f}", static_cast<double>(s.instances) / total)});
  if (common.for_people()) {
    table.print(stdout);
    if (!session.chosen().empty()) fmt::print("policy auto chose {}\n", session.chosen());
    if (s.slices > 0) fmt::print("memory is short: {} batches gave results back as they died\n", s.slices);
    if (s.not_a_number > 0) fmt::print("{} numbers of the results are no finite numbers\n", s.not_a_number);
    if (failed > 0) fmt::print("{} instance(s) failed; --out has each one's reason\n", failed);
    if (options.check)
      fmt::print(
          "checked: {} of {} instances differ in any bit from the unbatched run; at most {:.1e} from the "
          "reference interpreter\n",
          different, instances.size(), worst);
  }
  common.write_json({{"schema", "ballast.dynamic.run/1"},
                     {"model", options.exe.model.model},
                     {"policy", session.options().policy},
                     {"instances", s.instances},
                     {"nodes", s.nodes},
                     {"batches", s.batches},
                     {"flushes", s.flushes},
                     {"fiber_switches", s.fiber_switches},
                     {"child_fibers", s.child_fibers},
                     {"slices", s.slices},
                     {"gathered_bytes", s.gathered_bytes},
                     {"contiguous", s.contiguous},
                     {"scattered", s.scattered},
                     {"not_a_number", s.not_a_number},
                     {"failed", failed},
                     {"seconds",
                      {{"encoding", s.encoding_seconds},
                       {"control", s.control_seconds},
                       {"scheduling", s.scheduling_seconds},
                       {"operands", s.operand_seconds},
                       {"kernels", s.kernel_seconds},
                       {"total", s.total_seconds}}},
                     {"different", options.check ? Json(different) : Json()}});
  Report report("dynamic run " + options.exe.model.model);
  report.section("dynamic run").table(table).command(common.command_line);
  common.write_report(report);
  if (different > 0 || worst > 1e-3) throw cli::Exit{1};
}

}  // namespace

void add_run(cli::Program& program) {
  auto options = std::make_shared<RunVerb>();
  auto verb = program.verb("run", "run mini-batches of a model and say where the time went",
                           {"ballast dynamic run treelstm --instances 64 --check",
                            "ballast dynamic run model.bdm --data trees.ptb --out results.jsonl"});
  options->exe.add_to(verb.app());
  options->data.add_to(verb.app());
  SessionOptions& s = options->session;
  verb->add_option("--batch", options->batch, "instances of a mini-batch")
      ->capture_default_str()
      ->check(CLI::Range(1, 100000));
  verb->add_option(
          "--policy", s.policy,
          "inline-depth, unbatched, depth, agenda, suff, fsm (learned from the data unless there is a "
          "--policy-file) or auto (the fastest of inline-depth, agenda and a learned one)")
      ->capture_default_str();
  verb->add_option("--policy-file", options->policy_file, "a learned policy (train-policy MODEL -o FILE)");
  verb->add_option("--device", options->device, "cpu; cuda is refused: kernels run on the processor only")
      ->capture_default_str()
      ->check(CLI::IsMember({"cpu", "cuda"}));
  verb->add_option("--threads", s.threads, "threads of large kernels")
      ->capture_default_str()
      ->check(CLI::Range(1, 256));
  verb->add_option("--gather", options->gather, "how scattered operands reach a kernel")
      ->capture_default_str()
      ->check(CLI::IsMember({"fused", "explicit", "auto"}));
  verb->add_flag("--no-fibers", options->no_fibers, "an instance that waits for a tensor flushes at once");
  verb->add_flag("--check", options->check,
                 "compare with the unbatched run (bits) and the reference interpreter");
  verb->add_flag("--isolate", s.isolate, "an instance that fails does not stop the others");
  verb->add_option("--nan", options->nan, "what to do with results that are no numbers")
      ->capture_default_str()
      ->check(CLI::IsMember({"ignore", "error"}));
  verb->add_option("--out", options->out, "results as JSON lines");
  verb->add_option("--max-nodes", s.limits.nodes, "nodes of a mini-batch")->capture_default_str();
  verb->add_option("--max-depth", s.limits.depth, "open calls of an instance")->capture_default_str();
  verb->add_option("--max-steps", s.limits.steps, "calls and loop iterations of an instance")
      ->capture_default_str();
  verb->add_option("--memory-limit", s.memory_limit,
                   "bytes of results held at once; dead ones are given back beyond it")
      ->capture_default_str();
  verb->add_option("--stack-kib", s.stack_kib, "reserved for control code; a fiber gets a 16th")
      ->capture_default_str()
      ->check(CLI::Range(256, 1 << 24));
  verb.run([options](const cli::Common& common) { run(*options, common); });
}

}  // namespace ballast::dynamic
