#include "ballast/codesign/search.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <unordered_map>

#include "ballast/base/cli.h"
#include "ballast/base/errors.h"
#include "ballast/base/progress.h"

namespace ballast::codesign {
namespace {

/// Scores candidates once each and counts them.
class Scorer {
 public:
  Scorer(const Problem& problem, const SearchOptions& options)
      : problem_(problem),
        options_(options),
        bar_("search", static_cast<std::uint64_t>(options.evaluations)) {}

  bool spent() const { return result.evaluated >= options_.evaluations || idle_ > 20 * options_.max_tries; }

  Candidate score(Candidate candidate) {
    const std::uint64_t key = problem_.key(candidate);
    const auto known = seen_.find(key);
    if (known != seen_.end()) {
      ++idle_;  // a small space may have no new candidate left
      return result.all[known->second];
    }
    idle_ = 0;
    problem_.score(candidate);
    seen_[key] = result.all.size();
    result.all.push_back(candidate);
    ++result.evaluated;
    result.feasible += candidate.violation <= 0 ? 1 : 0;
    bar_.set(static_cast<std::uint64_t>(result.evaluated));
    cli::stop_if_interrupted();
    return candidate;
  }

  /// A feasible draw: fresh ones first, then one that is made cheaper step by step. Only the last one of the
  /// tries is kept when none is feasible.
  Candidate feasible_draw(Random& random) {
    Candidate candidate;
    const int tries = problem_.cheaper ? std::min(options_.max_tries, 20) : options_.max_tries;
    for (int t = 0; t < tries && !spent(); ++t) {
      candidate = score(problem_.draw(random));
      if (candidate.violation <= 0) return candidate;
    }
    for (int t = 0; problem_.cheaper && t < options_.max_tries && !spent() && candidate.violation > 0; ++t)
      candidate = score(problem_.cheaper(candidate, random));
    return candidate;
  }

  SearchResult result;

 private:
  const Problem& problem_;
  const SearchOptions& options_;
  Progress bar_;
  std::unordered_map<std::uint64_t, std::size_t> seen_;
  int idle_ = 0;
};

struct Sorted {
  std::vector<int> rank;
  std::vector<double> crowd;
};
Sorted sorted(const std::vector<Candidate>& pool) {
  std::vector<Point> points;
  std::vector<double> violations;
  for (const auto& c : pool) {
    points.push_back(c.objectives);
    violations.push_back(c.violation);
  }
  Sorted s{non_dominated_ranks(points, violations), std::vector<double>(pool.size(), 0)};
  const int most = s.rank.empty() ? -1 : *std::max_element(s.rank.begin(), s.rank.end());
  for (int level = 0; level <= most; ++level) {
    std::vector<int> members;
    for (std::size_t i = 0; i < pool.size(); ++i) {
      if (s.rank[i] == level) members.push_back(static_cast<int>(i));
    }
    const auto distance = crowding(points, members);
    for (std::size_t m = 0; m < members.size(); ++m)
      s.crowd[static_cast<std::size_t>(members[m])] = distance[m];
  }
  return s;
}

// The best `count` of the pool by rank, then by crowding.
void truncate(std::vector<Candidate>& pool, std::size_t count) {
  const Sorted s = sorted(pool);
  std::vector<std::size_t> order(pool.size());
  std::iota(order.begin(), order.end(), 0u);
  std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) {
    return s.rank[a] != s.rank[b] ? s.rank[a] < s.rank[b] : s.crowd[a] > s.crowd[b];
  });
  std::vector<Candidate> kept;
  for (std::size_t i = 0; i < std::min(count, order.size()); ++i) kept.push_back(std::move(pool[order[i]]));
  pool = std::move(kept);
}

void run_nsga2(Scorer& scorer, const Problem& problem, const SearchOptions& options, Random& random) {
  std::vector<Candidate> population;
  while (population.size() < static_cast<std::size_t>(options.population) && !scorer.spent())
    population.push_back(scorer.feasible_draw(random));
  while (!scorer.spent() && !population.empty()) {
    const Sorted s = sorted(population);
    const auto tournament = [&]() -> const Candidate& {
      const std::size_t a = random.below(population.size()), b = random.below(population.size());
      if (s.rank[a] != s.rank[b]) return population[s.rank[a] < s.rank[b] ? a : b];
      return population[s.crowd[a] >= s.crowd[b] ? a : b];
    };
    const std::size_t parents = population.size();
    std::vector<Candidate> children;
    for (std::size_t i = 0; i < parents && !scorer.spent(); ++i) {
      Candidate child = problem.cross(tournament(), tournament(), random);
      children.push_back(scorer.score(problem.vary(child, random, options.mutation)));
    }
    std::move(children.begin(), children.end(), std::back_inserter(population));
    // The same candidate twice would crowd out others.
    std::stable_sort(population.begin(), population.end(),
                     [&](const auto& a, const auto& b) { return problem.key(a) < problem.key(b); });
    population.erase(
        std::unique(population.begin(), population.end(),
                    [&](const auto& a, const auto& b) { return problem.key(a) == problem.key(b); }),
        population.end());
    truncate(population, static_cast<std::size_t>(options.population));
  }
}

bool better(const Candidate& a, const Candidate& b) {
  if (a.violation > 0 || b.violation > 0) return a.violation < b.violation;
  return a.objectives[0] < b.objectives[0];
}

void run_evo(Scorer& scorer, const Problem& problem, const SearchOptions& options, Random& random) {
  std::vector<Candidate> population;
  const auto size = static_cast<std::size_t>(options.population);
  while (population.size() < size && !scorer.spent()) population.push_back(scorer.feasible_draw(random));
  const std::size_t parents = std::max<std::size_t>(2, size / 4);
  while (!scorer.spent() && population.size() >= 2) {
    std::stable_sort(population.begin(), population.end(), better);
    population.resize(std::min(parents, population.size()));
    const std::size_t breeding = population.size();
    for (std::size_t i = 0; population.size() < size && !scorer.spent(); ++i) {
      const Candidate& a = population[random.below(breeding)];
      const Candidate& b = population[random.below(breeding)];
      population.push_back(
          scorer.score(i % 2 == 0 ? problem.vary(a, random, options.mutation) : problem.cross(a, b, random)));
    }
  }
}

void run_pareto_evo(Scorer& scorer, const Problem& problem, const SearchOptions& options, Random& random) {
  for (int i = 0; i < options.population && !scorer.spent(); ++i) scorer.feasible_draw(random);
  while (!scorer.spent()) {
    // The archive: the best first objective in each bucket of the second.
    double low = std::numeric_limits<double>::infinity(), high = -low;
    for (const auto& c : scorer.result.all) {
      if (c.violation > 0) continue;
      low = std::min(low, c.objectives.back());
      high = std::max(high, c.objectives.back());
    }
    std::map<int, std::size_t> archive;
    for (std::size_t i = 0; i < scorer.result.all.size(); ++i) {
      const Candidate& c = scorer.result.all[i];
      if (c.violation > 0) continue;
      const int bucket =
          high > low ? static_cast<int>((c.objectives.back() - low) / (high - low) * options.buckets) : 0;
      const auto [at, fresh] = archive.emplace(bucket, i);
      if (!fresh && better(c, scorer.result.all[at->second])) at->second = i;
    }
    if (archive.empty()) {
      scorer.feasible_draw(random);
      continue;
    }
    std::vector<Candidate> parents;
    for (const auto& [bucket, i] : archive) parents.push_back(scorer.result.all[i]);
    for (int i = 0; i < options.population && !scorer.spent(); ++i) {
      const Candidate& a = parents[random.below(parents.size())];
      const Candidate& b = parents[random.below(parents.size())];
      scorer.score(i % 2 == 0 ? problem.vary(a, random, options.mutation) : problem.cross(a, b, random));
    }
  }
}

}  // namespace

Algorithm algorithm_from_string(const std::string& word) {
  const std::vector<std::string> names = {"random", "evo", "pareto-evo", "nsga2"};
  cli::require_one_of("--algo", word, names);
  return static_cast<Algorithm>(std::find(names.begin(), names.end(), word) - names.begin());
}

SearchResult search(const Problem& problem, const SearchOptions& options) {
  if (options.population < 2)
    throw InvalidInput("--population", std::to_string(options.population), "at least 2");
  if (options.evaluations < 1)
    throw InvalidInput("--evaluations", std::to_string(options.evaluations), "at least 1");
  Random random(options.seed, 0x736561u);
  Scorer scorer(problem, options);
  switch (options.algorithm) {
    case Algorithm::random:
      while (!scorer.spent()) scorer.score(problem.draw(random));
      break;
    case Algorithm::evo:
      run_evo(scorer, problem, options, random);
      break;
    case Algorithm::pareto_evo:
      run_pareto_evo(scorer, problem, options, random);
      break;
    case Algorithm::nsga2:
      run_nsga2(scorer, problem, options, random);
      break;
  }
  SearchResult result = std::move(scorer.result);
  std::vector<Candidate> feasible;
  for (const auto& c : result.all) {
    if (c.violation <= 0) feasible.push_back(c);
  }
  const Sorted s = sorted(feasible);
  for (std::size_t i = 0; i < feasible.size(); ++i) {
    if (s.rank[i] == 0) result.front.push_back(feasible[i]);
  }
  std::stable_sort(result.front.begin(), result.front.end(),
                   [](const auto& a, const auto& b) { return a.objectives.back() < b.objectives.back(); });
  return result;
}

}  // namespace ballast::codesign
