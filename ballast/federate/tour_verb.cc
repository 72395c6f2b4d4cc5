#include <fmt/format.h>

#include "ballast/data/datasets.h"
#include "ballast/federate/verbs.h"

namespace ballast::federate {

void add_tour(cli::Program& program) {
  program.tour("ten clients whose concepts drift at different times", [](const cli::Common& common,
                                                                         Section& section) {
    section.title =
        "federate: learning together while the world changes at different times in different places";
    section.uneven =
        "Ten clients see the meaning of their data change, each at its own time; some change back.";
    section.today =
        "One global model averages contradicting clients, or a window forgets everything at once.";
    section.ballast =
        "FedDrift: each client notices its own drift, learns alone for a step, and the server merges the "
        "models "
        "that turn out to be one concept.";
    const bool images = !data::try_dataset("fashion-mnist").empty();
    const std::string data = images ? "fmnist" : "circle";
    const auto federation = make_federation(
        {.name = data, .samples = images ? 200 : 500, .seed = common.seed}, ConceptPattern::named("A"));
    RunConfig config = preset("fast", data);
    if (images) config.rounds = 10, config.local_steps = 10;
    Table table(fmt::format("{}, pattern A, 10 clients (measured)",
                            images ? "Fashion-MNIST with exchanged labels" : "CIRCLE"),
                {"strategy", "accuracy %", "models", "Rand index", "MB sent (counted)"});
    Chart chart{.title = "Accuracy on the next step's data", .x_label = "step", .y_label = "accuracy"};
    std::vector<RunLog> logs;
    logs.reserve(5);
    for (const char* name : {"oracle", "feddrift", "win:1", "ifca", "oblivious"}) {
      StrategySpec spec{.name = name, .drift = {}};
      spec.drift.delta = default_delta(data);
      const auto strategy = make_strategy(spec, federation.pattern());
      const RunLog& log = logs.emplace_back(run(federation, *strategy, config));
      table.row({name, fmt::format("{:.1f}", 100 * log.accuracy()), fmt::format("{:.1f}", log.mean_models()),
                 fmt::format("{:.2f}", log.rand_index()),
                 fmt::format("{:.1f}", static_cast<double>(log.ledger.total()) / 1e6)});
      Series series{.name = name, .xs = {}, .ys = {}};
      for (int step = 0; step < federation.steps(); ++step) {
        series.xs.push_back(step);
        series.ys.push_back(log.accuracy_at(step));
      }
      chart.series.push_back(std::move(series));
    }
    section.table(table).chart(chart);
    section.figure({.title = "Which model serves which client (rows) at which step (columns)",
                    .svg = assignment_map({&logs[1], &logs[3], &logs[4]}),
                    .basis = Basis::measured});
    section.command(fmt::format(
        "ballast federate sim --data {} --pattern A --strategy oracle,feddrift,win:1,ifca,oblivious", data));
  });
}

}  // namespace ballast::federate
