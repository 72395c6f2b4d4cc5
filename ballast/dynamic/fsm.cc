#include "ballast/dynamic/fsm.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <numeric>

#include "ballast/base/cli.h"
#include "ballast/base/errors.h"
#include "ballast/base/random.h"

namespace ballast::dynamic {
namespace {

using Row = std::map<TypeId, double>;
using QTable = std::map<State, Row>;

double best_value(const Row& row) {
  double best = row.begin()->second;
  for (const auto& [type, value] : row) best = std::max(best, value);
  return best;
}

TypeId best_action(const Row& row) {
  return std::max_element(row.begin(), row.end(),
                          [](const auto& a, const auto& b) { return a.second < b.second; })
      ->first;
}

Row fresh_row(const Frontier& frontier) {
  Row row;
  for (TypeId type = 0; type < frontier.types(); ++type) {
    if (frontier.count(type) > 0) row[type] = 0;
  }
  return row;
}

FsmTable greedy_table(const QTable& q, Encoding encoding, const std::vector<std::string>& types) {
  FsmTable table{encoding, types, {}};
  for (const auto& [state, row] : q) table.actions[state] = best_action(row);
  return table;
}

double mean_ratio(const FsmTable& table, const std::vector<const Structure*>& graphs,
                  double* miss_rate = nullptr) {
  double sum = 0, decisions = 0, misses = 0;
  for (const Structure* structure : graphs) {
    FsmPolicy policy(table);
    sum += static_cast<double>(schedule(*structure, policy).size()) / structure->lower_bound;
    decisions += static_cast<double>(policy.decisions());
    misses += static_cast<double>(policy.misses());
  }
  if (miss_rate != nullptr) *miss_rate = misses / std::max(1.0, decisions);
  return sum / static_cast<double>(graphs.size());
}

}  // namespace

std::string to_string(Encoding encoding) {
  return encoding == Encoding::base ? "base" : encoding == Encoding::max ? "max" : "sort";
}

Encoding encoding_from_string(const std::string& word) {
  cli::require_one_of("--encoding", word, {"base", "max", "sort"});
  return word == "base" ? Encoding::base : word == "max" ? Encoding::max : Encoding::sort;
}

State encode(const Frontier& frontier, Encoding encoding) {
  State state;
  for (TypeId type = 0; type < frontier.types(); ++type) {
    if (frontier.count(type) > 0) state.push_back(type);
  }
  const auto more = [&](TypeId a, TypeId b) { return frontier.count(a) > frontier.count(b); };
  if (encoding == Encoding::max && !state.empty()) {
    TypeId most = state[0];
    for (TypeId type : state) most = more(type, most) ? type : most;
    state.push_back(most);
  }
  if (encoding == Encoding::sort) std::stable_sort(state.begin(), state.end(), more);
  return state;
}

Json FsmTable::to_json() const {
  Json rows = Json::array();
  for (const auto& [state, action] : actions) rows.push_back({{"state", state}, {"action", action}});
  return {{"format", 1}, {"encoding", to_string(encoding)}, {"types", types}, {"table", rows}};
}

FsmTable FsmTable::from_json(const Json& json, const std::vector<std::string>& types,
                             const std::string& where) {
  FsmTable table;
  try {
    if (json.at("format").get<int>() != 1)
      throw InvalidInput(fmt::format("{}: policy format {}; accepted: 1", where, json.at("format").dump()));
    table.encoding = encoding_from_string(json.at("encoding").get<std::string>());
    table.types = json.at("types").get<std::vector<std::string>>();
    for (const auto& row : json.at("table"))
      table.actions[row.at("state").get<State>()] = row.at("action").get<TypeId>();
  } catch (const Json::exception&) {
    throw InvalidInput(fmt::format(
        "{}: no policy file, or cut short; accepted: what `ballast dynamic train-policy -o` writes", where));
  }
  if (table.types != types) {
    throw InvalidInput(fmt::format("{}: the policy was learned for the types ({}), this graph has ({})",
                                   where, fmt::join(table.types, ", "), fmt::join(types, ", ")));
  }
  for (const auto& [state, action] : table.actions) {
    if (action >= types.size() ||
        std::any_of(state.begin(), state.end(), [&](TypeId t) { return t >= types.size(); })) {
      throw InvalidInput(fmt::format("{}: a state names type {}, which does not exist", where, action));
    }
  }
  return table;
}

TypeId FsmPolicy::next(const Frontier& frontier) {
  ++decisions_;
  const auto found = table_.actions.find(encode(frontier, table_.encoding));
  // A file may name a type that is not ready in this state; that counts as unseen too.
  if (found != table_.actions.end() && frontier.count(found->second) > 0) return found->second;
  ++misses_;
  return fallback_->next(frontier);
}

Learned learn(const std::vector<const Structure*>& training, const std::vector<const Structure*>& validation,
              Encoding encoding, const LearnOptions& options) {
  if (training.empty() || validation.empty())
    throw InvalidInput("learning a policy needs at least one training and one validation graph");
  Random random(options.seed, static_cast<std::uint64_t>(encoding));
  QTable q;
  Learned best;
  double best_ratio = 1e300;
  double epsilon = options.epsilon;
  const auto& types = training[0]->graph.types();
  struct Step {
    Row* row;
    TypeId action;
    double reward;
  };
  std::vector<Step> log;
  for (int iteration = 1; iteration <= options.iterations; ++iteration) {
    const Structure& structure = *training[static_cast<std::size_t>(iteration - 1) % training.size()];
    Frontier frontier(structure);
    log.clear();
    while (!frontier.done()) {
      Row& row = q.try_emplace(encode(frontier, encoding), fresh_row(frontier)).first->second;
      TypeId action = best_action(row);
      if (random.uniform() < epsilon)
        action = std::next(row.begin(), static_cast<std::ptrdiff_t>(random.below(row.size())))->first;
      const double share =
          static_cast<double>(frontier.count(action)) / static_cast<double>(frontier.own_count(action));
      log.push_back({&row, action, -1 + options.reward_coefficient * share});
      frontier.run(action);
    }
    for (std::size_t i = 0; i < log.size(); ++i) {
      const std::size_t end = std::min(i + static_cast<std::size_t>(options.bootstrap_steps), log.size());
      double gain = end == log.size() ? 0 : best_value(*log[end].row);
      for (std::size_t j = end; j-- > i;) gain = options.gamma * gain + log[j].reward;
      double& value = (*log[i].row)[log[i].action];
      value += options.alpha * (gain - value);
    }
    epsilon = std::max(options.epsilon_least, options.epsilon_decay * epsilon);
    if (iteration % options.check_every == 0 || iteration == options.iterations) {
      cli::stop_if_interrupted();
      const FsmTable table = greedy_table(q, encoding, types);
      const double ratio = mean_ratio(table, training);
      best.curve.emplace_back(iteration, ratio);
      if (ratio < best_ratio) {
        best_ratio = ratio;
        best.table = table;
      }
      best.iterations = iteration;
      if (ratio < options.stop_ratio) break;
    }
  }
  best.ratio = mean_ratio(best.table, validation, &best.miss_rate);
  return best;
}

Learned learn_best(const std::vector<const Structure*>& training,
                   const std::vector<const Structure*>& validation, const LearnOptions& options) {
  std::optional<Learned> best;
  for (int trial = 0; trial < 3 * options.restarts; ++trial) {
    const Encoding encoding =
        std::array{Encoding::base, Encoding::max, Encoding::sort}[static_cast<std::size_t>(trial % 3)];
    LearnOptions seeded = options;
    seeded.seed = options.seed + static_cast<std::uint64_t>(trial / 3) * 1000;
    Learned learned = learn(training, validation, encoding, seeded);
    const bool better =
        !best || learned.ratio < best->ratio - 1e-12 ||
        (learned.ratio < best->ratio + 1e-12 && learned.table.actions.size() < best->table.actions.size());
    if (better) best = std::move(learned);
  }
  return *best;
}

}  // namespace ballast::dynamic
