#include <coin/Cbc_C_Interface.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <set>

#include "ballast/base/errors.h"
#include "ballast/codesign/mapping_list.h"
#include "ballast/codesign/mapping_parts.h"

namespace ballast::codesign {
namespace {

/// A linear program with whole-numbered columns, kept row by row until it is solved.
class Program {
 public:
  int column(double cycles, double energy_uj, bool whole) {
    cycles_.push_back(cycles);
    energy_.push_back(energy_uj);
    whole_.push_back(whole);
    return static_cast<int>(cycles_.size()) - 1;
  }
  void row(std::vector<std::pair<int, double>> terms, double low, double high) {
    rows_.push_back({std::move(terms), low, high});
  }
  /// A limit on the sum of all columns' cycles or energies.
  void limit_cycles(double most) { row(all(cycles_), -1e30, most); }
  void limit_energy(double most) { row(all(energy_), -1e30, most); }

  struct Answer {
    bool feasible = false, optimal = false;
    double value = 0, bound = 0;
    std::vector<double> columns;
  };
  Answer solve(Objective objective, double seconds) const {
    const std::size_t columns = cycles_.size();
    std::vector<std::vector<std::pair<int, double>>> by_column(columns);
    for (std::size_t r = 0; r < rows_.size(); ++r) {
      for (const auto& [column, value] : rows_[r].terms)
        by_column[static_cast<std::size_t>(column)].emplace_back(static_cast<int>(r), value);
    }
    std::vector<CoinBigIndex> start{0};
    std::vector<int> index;
    std::vector<double> value, low(columns, 0), high(columns, 1), row_low, row_high;
    for (const auto& column : by_column) {
      std::map<int, double> sums;
      for (const auto& [row, v] : column) sums[row] += v;
      for (const auto& [row, v] : sums) {
        index.push_back(row);
        value.push_back(v);
      }
      start.push_back(static_cast<CoinBigIndex>(index.size()));
    }
    for (const auto& row : rows_) {
      row_low.push_back(row.low);
      row_high.push_back(row.high);
    }
    const auto& cost = objective == Objective::latency ? cycles_ : energy_;
    const std::unique_ptr<Cbc_Model, void (*)(Cbc_Model*)> model(Cbc_newModel(), Cbc_deleteModel);
    Cbc_setLogLevel(model.get(), 0);
    Cbc_loadProblem(model.get(), static_cast<int>(columns), static_cast<int>(rows_.size()), start.data(),
                    index.data(), value.data(), low.data(), high.data(), cost.data(), row_low.data(),
                    row_high.data());
    for (std::size_t c = 0; c < columns; ++c) {
      if (whole_[c]) Cbc_setInteger(model.get(), static_cast<int>(c));
    }
    const std::string limit = std::to_string(seconds);
    Cbc_setParameter(model.get(), "seconds", limit.c_str());
    Cbc_setParameter(model.get(), "ratioGap", "1e-9");
    Cbc_setParameter(model.get(), "log", "0");
    Cbc_solve(model.get());
    Answer answer;
    const double* solution = Cbc_bestSolution(model.get());
    answer.feasible = solution != nullptr && !Cbc_isProvenInfeasible(model.get());
    if (!answer.feasible) return answer;
    answer.optimal = Cbc_isProvenOptimal(model.get()) != 0;
    answer.columns.assign(solution, solution + columns);
    for (std::size_t c = 0; c < columns; ++c) answer.value += cost[c] * answer.columns[c];
    answer.bound = answer.optimal ? answer.value : Cbc_getBestPossibleObjValue(model.get());
    return answer;
  }

 private:
  struct Row {
    std::vector<std::pair<int, double>> terms;
    double low, high;
  };
  static std::vector<std::pair<int, double>> all(const std::vector<double>& values) {
    std::vector<std::pair<int, double>> terms;
    for (std::size_t c = 0; c < values.size(); ++c) {
      if (values[c] != 0) terms.emplace_back(static_cast<int>(c), values[c]);
    }
    return terms;
  }
  std::vector<double> cycles_, energy_;
  std::vector<bool> whole_;
  std::vector<Row> rows_;
};

/// One way to run an operator.
struct Option {
  Placement placement;
  int column;
  double cycles;

  bool on_npu() const { return placement.device == Device::npu; }  // splits too: their result lies there
  bool needs_macros() const { return !on_npu() || is_split(placement); }
};

}  // namespace

IlpResult ilp_mapping(const Graph& graph, const System& system, const IlpOptions& options) {
  const std::size_t n = graph.nodes.size();
  const Mapping basis = map_network(graph, system, {.method = Method::cut, .objective = options.objective});
  const double in_store = share_in_store(graph, system, basis);
  Program program;
  const auto add = [&](const Cost& cost, bool whole) {
    return program.column(cost.cycles, objective_of(cost, Objective::energy, system), whole);
  };
  std::vector<std::vector<Option>> ways(n);
  for (std::size_t i = 0; i < n; ++i) {
    std::vector<Placement> placements{{}};
    if (eligible(graph.nodes[i], Device::cim, system)) {
      placements.push_back({.device = Device::cim, .resident = basis[i].resident});
      for (double share : {0.25, 0.5, 0.75}) {
        if (options.split && graph.nodes[i].static_dense() && graph.nodes[i].k >= 4)
          placements.push_back({.npu_share = share});
      }
    }
    std::vector<std::pair<int, double>> one;
    for (const auto& placement : placements) {
      const Cost cost = node_cost(graph.nodes[i], system, placement, in_store);
      ways[i].push_back({placement, add(cost, true), cost.cycles});
      one.emplace_back(ways[i].back().column, 1);
    }
    program.row(std::move(one), 1, 1);
  }
  // A tensor crosses once for each side that some reader needs it on and its producer does not leave it.
  for (std::size_t t = 0; t < graph.tensors.size(); ++t) {
    if (graph.tensors[t].constant) continue;
    const auto readers = graph.consumers(static_cast<TensorId>(t));
    if (readers.empty()) continue;
    const int producer = graph.producer(static_cast<TensorId>(t));
    const std::int64_t bytes = graph.tensors[t].elements();
    const auto crossing = [&](const Option* from, bool to_macros) {
      const int moved = add(transfer_cost(bytes, system, from != nullptr ? from->cycles : 0), false);
      for (int reader : readers) {
        std::vector<std::pair<int, double>> terms{{moved, 1}};
        if (from != nullptr) terms.emplace_back(from->column, -1);
        for (const auto& way : ways[static_cast<std::size_t>(reader)]) {
          if (to_macros ? way.needs_macros() : way.on_npu()) terms.emplace_back(way.column, -1);
        }
        program.row(std::move(terms), from != nullptr ? -1 : 0, 1e30);
      }
    };
    if (producer < 0) {
      crossing(nullptr, true);
      continue;
    }
    for (const auto& way : ways[static_cast<std::size_t>(producer)]) crossing(&way, way.on_npu());
  }
  if (options.most_ms) program.limit_cycles(*options.most_ms * system.clock_mhz * 1e3);
  if (options.most_energy_uj) program.limit_energy(*options.most_energy_uj);
  const auto answer = program.solve(options.objective, options.time_limit_s);
  IlpResult result{.mapping = basis};
  result.feasible = answer.feasible;
  result.optimal = answer.optimal;
  if (!answer.feasible) return result;
  result.value = answer.value;
  result.gap = answer.value > 0 ? std::max(0.0, (answer.value - answer.bound) / answer.value) : 0;
  for (std::size_t i = 0; i < n; ++i) {
    for (const auto& way : ways[i]) {
      if (answer.columns[static_cast<std::size_t>(way.column)] > 0.5) result.mapping[i] = way.placement;
    }
  }
  return result;
}

}  // namespace ballast::codesign
