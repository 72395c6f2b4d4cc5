// Search over networks, hardware, or both at once. The algorithms know only how to draw, vary, cross and
// score candidates, so a test can give them a space that is small enough to enumerate.
//
//   Problem problem = network_problem(space, system, genes, accuracy, goals);    // search_problem.h
//   SearchResult found = search(problem, {.algorithm = Algorithm::nsga2, .evaluations = 2000});
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "ballast/codesign/pareto.h"
#include "ballast/codesign/space.h"

namespace ballast::codesign {

struct Candidate {
  Genotype genotype;
  std::vector<int> hardware;             ///< index of the value of each hardware gene
  std::map<std::string, double> scores;  ///< accuracy, latency, energy, ...
  Point objectives;                      ///< to be small
  double violation = 0;                  ///< of the limits, 0: feasible
};

struct Problem {
  std::function<Candidate(Random&)> draw;
  std::function<Candidate(const Candidate&, Random&, double rate)> vary;
  std::function<Candidate(const Candidate&, const Candidate&, Random&)> cross;
  std::function<void(Candidate&)> score;
  std::function<std::uint64_t(const Candidate&)> key;
  /// A step of a candidate towards the cheapest one, for draws that stay infeasible; may be empty.
  std::function<Candidate(const Candidate&, Random&)> cheaper;
};

enum class Algorithm {
  random,
  evo,         ///< one objective (the first), the best quarter of the population breeds
  pareto_evo,  ///< an archive with the best of each bucket of the second objective breeds
  nsga2,       ///< non-dominated sorting, crowding, tournaments
};
Algorithm algorithm_from_string(const std::string& word);

struct SearchOptions {
  Algorithm algorithm = Algorithm::nsga2;
  int population = 64;
  int evaluations = 2000;  ///< different candidates that are scored
  double mutation = 0.1;
  int buckets = 40;      ///< of pareto_evo
  int max_tries = 1000;  ///< draws for a feasible candidate, before it is made cheaper step by step
  std::uint64_t seed = 1;
};

struct SearchResult {
  std::vector<Candidate> front;  ///< feasible and not dominated, by the second objective (else the first)
  std::vector<Candidate> all;    ///< every candidate that was scored, in order
  int evaluated = 0, feasible = 0;
};

/// Same problem, options and seed: the same result.
SearchResult search(const Problem& problem, const SearchOptions& options);

}  // namespace ballast::codesign
