#include "ballast/orch/plan.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "ballast/base/errors.h"
#include "ballast/base/random.h"
#include "ballast/data/zipf.h"
#include "ballast/orch/bytes_model.h"
#include "ballast/orch/store.h"

namespace ballast::orch {
namespace {

std::uint64_t poisson(Random& random, double mean) {
  if (mean > 60) {
    const double normal =
        std::sqrt(-2 * std::log(1 - random.uniform())) * std::cos(6.283185307179586 * random.uniform());
    return static_cast<std::uint64_t>(std::max(0.0, std::round(mean + std::sqrt(mean) * normal)));
  }
  double left = std::exp(-mean), u = random.uniform();
  std::uint64_t k = 0;
  while (u > left && k < 1000) {
    u -= left;
    left *= mean / static_cast<double>(++k);
  }
  return k;
}

/// The keys beyond the head, by one machine: what it would push and pull if up to `limit` tasks of a key
/// move.
struct Tail {
  double groups = 0, pushed_tasks = 0, pulled_groups = 0;
};

Tail tail_of(const data::Zipf& law, std::uint64_t from, double tasks, std::uint64_t limit) {
  Tail tail;
  for (std::uint64_t begin = from; begin < law.n();) {
    const std::uint64_t end = std::min(law.n(), begin + std::max<std::uint64_t>(1, begin / 20));
    const double keys = static_cast<double>(end - begin);
    const double mass = law.cumulative(end - 1) - (begin == 0 ? 0 : law.cumulative(begin - 1));
    const double mean = tasks * std::max(mass, 0.0) / keys;
    double probability = std::exp(-mean), at_most = probability, few = 0;
    for (std::uint64_t x = 1; x <= std::min<std::uint64_t>(limit, 10'000); ++x) {
      probability *= mean / static_cast<double>(x);
      at_most += probability;
      few += static_cast<double>(x) * probability;
      if (static_cast<double>(x) > mean && probability < 1e-15) break;
    }
    tail.groups += keys * -std::expm1(-mean);
    tail.pushed_tasks += keys * few;
    tail.pulled_groups += keys * std::max(0.0, 1 - at_most);
    begin = end;
  }
  return tail;
}

double network_seconds(const Flows& flows, const PlanInput& input, const cluster::Profile& net,
                       int collectives) {
  double seconds = 0;
  for (double bytes : flows.busiest_by_superstep()) {
    const double frames = std::min<double>(input.machines - 1, bytes / 40 + 1);
    seconds += net.latency_s + frames * net.per_message_s + (bytes + 40 * frames) * net.g();
  }
  return seconds + collectives * std::ceil(std::log2(std::max(2, input.machines))) * net.latency_s;
}

}  // namespace

std::vector<Planned> plan_stage(const PlanInput& input, const ComputeCost& cost,
                                const cluster::Profile& net) {
  if (input.machines < 1 || input.machines > 4096)
    throw InvalidInput("--machines", std::to_string(input.machines), "1 to 4096");
  if (!(input.tasks >= 1) || input.tasks > 1e12) throw InvalidInput("--tasks must be 1 to 1e12");
  const auto p = static_cast<double>(input.machines);
  const data::Zipf law(input.keys, input.theta);
  const Owners<std::uint64_t> owner(input.machines, input.seed, Ownership::hashed);

  // The head: keys whose owner may feel them, one by one.
  const auto most = static_cast<std::uint64_t>(1.5e6 / p);
  std::vector<KeyDemand> head;
  std::vector<double> load(static_cast<std::size_t>(input.machines), 0);
  Random random(input.seed, 0x706c616eull);
  std::uint64_t key = 0;
  for (; key < std::min(input.keys, most); ++key) {
    const double mean = input.tasks * law.probability(key);
    if (mean < 0.05) break;
    KeyDemand demand{.owner = owner(key), .by_machine = {}};
    double sum = 0;
    for (int m = 0; m < input.machines; ++m) {
      const std::uint64_t count = poisson(random, mean);
      if (count > 0) demand.by_machine.emplace_back(m, count);
      sum += static_cast<double>(count);
    }
    load[static_cast<std::size_t>(demand.owner)] += sum;
    head.push_back(std::move(demand));
  }
  const double away = 1 - 1 / p;  // of a machine's keys lie elsewhere
  const double rest = input.tasks * (key == 0 ? 1 : std::max(0.0, 1 - law.cumulative(key - 1)));

  const double items = static_cast<double>(input.keys) / p * (input.sizes.item + 24);
  const double batch = input.tasks * (input.sizes.task + input.sizes.reply + 8);
  const auto finish = [&](Planned plan, const Flows& flows, double busiest_tasks, int collectives) {
    const auto steps = flows.busiest_by_superstep();
    plan.busiest_bytes = flows.busiest();
    plan.total_bytes = flows.total_bytes();
    plan.supersteps = static_cast<int>(steps.size());
    plan.imbalance = busiest_tasks / input.tasks;
    plan.compute_s = busiest_tasks * cost.per_task_s + plan.busiest_bytes * cost.per_byte_s;
    plan.all_compute_s = input.tasks * p * cost.per_task_s + plan.total_bytes * cost.per_byte_s;
    plan.network_s = network_seconds(flows, input, net, collectives);
    plan.memory_bytes =
        items + batch + 2 * (steps.empty() ? 0 : *std::max_element(steps.begin(), steps.end()));
    return plan;
  };
  std::vector<Planned> plans;
  {
    Flows flows = model_push(input.machines, head, input.sizes);
    flows.spread(0, rest * away * input.sizes.task);
    flows.spread(1, rest * away * input.sizes.reply);
    plans.push_back(finish({.method = "push", .forest = "-"}, flows,
                           *std::max_element(load.begin(), load.end()) + rest, 1));
  }
  {
    Flows flows = model_pull_dedup(input.machines, head, input.sizes);
    const Tail tail = tail_of(law, key, input.tasks, 0);
    flows.spread(0, tail.groups * away * (input.sizes.meta - 8));
    flows.spread(1, tail.groups * away * input.sizes.item);
    plans.push_back(finish({.method = "pull-dedup", .forest = "-"}, flows, input.tasks, 1));
  }
  std::optional<Planned> best;
  std::vector<std::string> candidates{"flat"};
  for (int fanout : {static_cast<int>(std::ceil(std::sqrt(p))), 4, 2}) {
    if (fanout >= 2 && fanout < input.machines) candidates.push_back(std::to_string(fanout));
  }
  for (const auto& candidate : candidates) {
    Options options;
    options.fanout = candidate;
    const Forest forest = make_forest(options, input.machines);
    const Limits limits = make_limits(options, input.sizes, forest);
    Flows flows = model_td_orch(input.machines, head, input.sizes, forest, limits);
    const Tail tail = tail_of(law, key, input.tasks, limits.leaf);
    double width = 1;
    for (int level = 1; level <= forest.height(); ++level) {
      const double children = std::min(p, static_cast<double>(forest.width(level))) / width;
      flows.spread(static_cast<std::size_t>(level - 1),
                   (tail.pushed_tasks * input.sizes.task + tail.pulled_groups * input.sizes.meta) *
                       (1 - 1 / children));
      width *= children;
    }
    flows.spread(static_cast<std::size_t>(forest.height()),
                 (tail.pulled_groups * input.sizes.item + tail.pushed_tasks * input.sizes.reply) * away);
    Planned plan = finish({.method = "td-orch", .forest = forest.describe()}, flows, input.tasks * 1.05, 2);
    if (!best || plan.network_s < best->network_s) best = std::move(plan);
  }
  plans.push_back(*best);
  return plans;
}

ComputeCost fit_cost(const std::vector<CostPoint>& points) {
  double aa = 0, ab = 0, bb = 0, a1 = 0, b1 = 0;
  for (const auto& point : points) {
    if (!(point.cpu_s > 0)) continue;
    const double a = point.tasks / point.cpu_s, b = point.bytes / point.cpu_s;
    aa += a * a;
    ab += a * b;
    bb += b * b;
    a1 += a;
    b1 += b;
  }
  ComputeCost cost{0, 0};
  const double determinant = aa * bb - ab * ab;
  if (determinant > 1e-9 * aa * bb) {
    cost.per_task_s = (a1 * bb - b1 * ab) / determinant;
    cost.per_byte_s = (b1 * aa - a1 * ab) / determinant;
  }
  if (cost.per_task_s < 0 || determinant <= 1e-9 * aa * bb) cost = {0, bb > 0 ? b1 / bb : 0};
  if (cost.per_byte_s < 0 || (cost.per_task_s == 0 && cost.per_byte_s == 0)) cost = {aa > 0 ? a1 / aa : 0, 0};
  return cost;
}

}  // namespace ballast::orch
