#include <map>

#include "ballast/base/statistics.h"
#include "ballast/federate/engine.h"

namespace ballast::federate {

double RunLog::accuracy(bool inclusive) const {
  std::vector<double> values;
  for (std::size_t step = 0; step < prequential.size(); ++step) {
    for (std::size_t c = 0; c < prequential[step].size(); ++c) {
      const auto& stat = prequential[step][c];
      if (stat.n == 0 || (!inclusive && pattern.drifts(static_cast<int>(step) + 1, static_cast<int>(c))))
        continue;
      values.push_back(1 - stat.error());
    }
  }
  return mean(values);
}

double RunLog::accuracy_at(int step) const {
  std::vector<double> values;
  const auto& row = prequential[static_cast<std::size_t>(step)];
  for (std::size_t c = 0; c < row.size(); ++c) {
    if (row[c].n > 0 && !pattern.drifts(step + 1, static_cast<int>(c))) values.push_back(1 - row[c].error());
  }
  return mean(values);
}

double RunLog::mean_models() const {
  std::vector<double> values(models.begin(), models.end());
  return mean(values);
}

double RunLog::rand_index() const {
  std::vector<double> values;
  for (std::size_t step = 0; step < serving.size(); ++step) {
    std::vector<int> truth;
    for (int c = 0; c < pattern.clients(); ++c) truth.push_back(pattern.at(static_cast<int>(step), c));
    values.push_back(adjusted_rand_index(serving[step], truth));
  }
  return mean(values);
}

double adjusted_rand_index(const std::vector<int>& a, const std::vector<int>& b) {
  std::map<std::pair<int, int>, double> both;
  std::map<int, double> in_a, in_b;
  for (std::size_t i = 0; i < a.size(); ++i) {
    ++both[{a[i], b[i]}];
    ++in_a[a[i]];
    ++in_b[b[i]];
  }
  const auto pairs = [](double n) { return n * (n - 1) / 2; };
  double index = 0, sum_a = 0, sum_b = 0;
  for (const auto& [label, n] : both) index += pairs(n);
  for (const auto& [label, n] : in_a) sum_a += pairs(n);
  for (const auto& [label, n] : in_b) sum_b += pairs(n);
  const double expected = sum_a * sum_b / pairs(static_cast<double>(a.size()));
  const double most = (sum_a + sum_b) / 2;
  return most == expected ? 1.0 : (index - expected) / (most - expected);
}

Json RunLog::to_json() const {
  Json steps = Json::array();
  for (std::size_t step = 0; step < prequential.size(); ++step) {
    steps.push_back({{"step", step},
                     {"accuracy", accuracy_at(static_cast<int>(step))},
                     {"models", models[step]},
                     {"serving", serving[step]}});
  }
  Json happened = Json::array();
  for (const auto& event : events) {
    happened.push_back(
        {{"step", event.step}, {"kind", event.kind}, {"client", event.client}, {"slot", event.slot}});
  }
  return {{"strategy", strategy},
          {"data", data},
          {"accuracy", accuracy()},
          {"accuracy_inclusive", accuracy(true)},
          {"rand_index", rand_index()},
          {"mean_models", mean_models()},
          {"optimizer_steps", optimizer_steps},
          {"secure_sums_given_up", given_up},
          {"epsilon", epsilon},
          {"bytes",
           {{"models_down", ledger.models_down},
            {"models_up", ledger.models_up},
            {"stats_up", ledger.stats_up},
            {"secure_up", ledger.secure_up}}},
          {"steps", steps},
          {"events", happened}};
}

}  // namespace ballast::federate
