// One mini-batch from end to end; the parts are named in state.h.
#include "ballast/dynamic/runtime/session.h"

#include <fmt/ranges.h>

#include <algorithm>

#include "ballast/base/cli.h"
#include "ballast/base/errors.h"
#include "ballast/dynamic/runtime/state.h"

namespace ballast::dynamic {
namespace {

SessionState::SiteFacts facts_of(const Site& site, const OpType& type, std::int64_t bytes) {
  SessionState::SiteFacts facts;
  facts.bytes = bytes;
  const Cell& cell = type.cell;
  std::vector<std::int64_t> of_input(cell.inputs.size(), 0);
  for (const Cell::Node& node : cell.nodes)
    if ((node.op.kind == OpKind::embedding || node.op.kind == OpKind::pick_neg_log_softmax) &&
        node.args[1] < 0)
      of_input[static_cast<std::size_t>(~node.args[1])] = cell.shape_of_arg(node.args[0])[0];
  for (std::size_t k = 0; k < cell.inputs.size() && site.operands > 0; ++k) {
    if (cell.inputs[k].mode == Cell::Input::Mode::shared) continue;
    facts.bounds.push_back(of_input[k]);
    facts.bounded |= of_input[k] > 0;
  }
  return facts;
}

}  // namespace

SessionState::SessionState(const Executable& e, Parameters parameters, SessionOptions o)
    : exe(e),
      options(std::move(o)),
      globals(e.program, std::move(parameters)),
      runner(e.unit.types, globals, options.threads, e.cache_directory(), e.choices) {
  cli::require_one_of("--policy", options.policy,
                      {"inline-depth", "unbatched", "depth", "agenda", "suff", "fsm", "auto"});
  if (options.policy == "fsm" && !options.fsm)
    throw InvalidInput("policy fsm needs a policy file (--policy-file)");
  for (const OpType& type : e.unit.types) type_names.push_back(type.name);
  if (options.fsm && options.fsm->types != type_names)
    throw InvalidInput(
        fmt::format("the policy was learned for another model: its types are ({}), this model has ({})",
                    fmt::join(options.fsm->types, ", "), fmt::join(type_names, ", ")));
  for (const Site& site : e.unit.sites)
    sites.push_back(
        facts_of(site, e.unit.types[static_cast<std::size_t>(site.type)], runner.result_bytes(site.type)));
}

SessionState::~SessionState() {
  cancel_all();
}

Session::Session(const Executable& exe, Parameters parameters, SessionOptions options)
    : state_(std::make_unique<SessionState>(exe, std::move(parameters), std::move(options))) {}
Session::~Session() = default;

std::vector<Value> Session::run(std::span<const Arguments> batch) {
  SessionState& s = *state_;
  if (s.options.policy == "auto" && !batch.empty()) {
    // Each candidate once for its kernels, then three times for its time.
    std::vector<std::string> candidates{"inline-depth", "agenda"};
    if (s.options.fsm) candidates.emplace_back("fsm");
    const RunStats before = s.stats;
    std::string best;
    double least = 0;
    s.chosen = "";
    for (const std::string& policy : candidates) {
      s.options.policy = policy;
      double seconds = 0;
      for (int round = 0; round < 4; ++round) {
        s.stats.total_seconds = 0;
        run(batch);
        if (round == 1 || (round > 1 && s.stats.total_seconds < seconds)) seconds = s.stats.total_seconds;
      }
      s.chosen += fmt::format("{}{} {:.2f} ms", s.chosen.empty() ? "" : ", ", policy, 1e3 * seconds);
      if (best.empty() || seconds < least) {
        best = policy;
        least = seconds;
      }
    }
    s.options.policy = best;
    s.chosen = fmt::format("{} (fastest on the first mini-batch: {})", best, s.chosen);
    s.stats = before;
  }
  const auto begin = SessionState::Clock::now();
  s.begin(batch.size());
  const std::vector<std::int64_t> words = s.control(batch);
  if (s.pending_bytes > s.options.memory_limit && !s.exe.unit.synchronises) s.hold_results(words);
  s.timed_flush();
  std::vector<Value> results;
  for (std::size_t i = 0; i < batch.size(); ++i)
    results.push_back(s.errors[i].empty() ? s.decode(s.exe.module->entry().result, words[i])
                                          : Value::of_tuple({}));
  if (s.recording)
    for (std::size_t i = 0; i < batch.size(); ++i)
      if (s.errors[i].empty()) s.collect_losses(words[i]);
  s.stats.instances += static_cast<std::int64_t>(batch.size());
  s.stats.total_seconds += seconds_since(begin);
  return results;
}

Graph Session::graph_of(std::span<const Arguments> batch) {
  SessionState& s = *state_;
  if (s.exe.unit.synchronises)
    throw InvalidInput("this model decides from tensors, so its graph is not known before it runs");
  s.begin(batch.size());
  s.control(batch);
  for (PendingNode& n : s.nodes) n.phase = 0;
  std::vector<std::uint32_t> ids;
  return s.graph_of_phase(0, ids);
}

const RunStats& Session::stats() const {
  return state_->stats;
}
void Session::reset_stats() {
  state_->stats = RunStats();
}
const std::vector<std::string>& Session::errors() const {
  return state_->errors;
}
void Session::record(bool on) {
  state_->recording = on;
}
const std::vector<TapeEntry>& Session::tape() const {
  return state_->tape;
}
const std::vector<const Slot*>& Session::losses() const {
  return state_->losses;
}
Parameters& Session::change_parameters() {
  return state_->globals.change();
}
SessionOptions& Session::options() {
  return state_->options;
}
void Session::compile_kernels() {
  state_->runner.compile_all();
}
const std::vector<BatchProfile>& Session::profile() const {
  return state_->runner.profile();
}
std::int64_t Session::kernels_compiled() const {
  return state_->runner.registry().stats().compiled;
}
const std::string& Session::chosen() const {
  return state_->chosen;
}

}  // namespace ballast::dynamic
