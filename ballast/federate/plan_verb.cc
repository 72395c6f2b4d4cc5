// plan: what a federation of a user's size would take, from rounds measured here and now.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "ballast/base/bench.h"
#include "ballast/base/errors.h"
#include "ballast/federate/verbs.h"

namespace ballast::federate {
namespace {

struct Size {
  double clients = 1000, samples = 500, steps = 10, features = 2, hidden = 4, classes = 2;
  double rounds = 100, local_steps = 50, fraction = 1, models = 2, cores = 2;
};

// Seconds of one round of a simulation: eleven rounds less one, over ten; the least of five.
double round_seconds(int clients, int local_steps) {
  const auto federation =
      make_federation({.name = "sine", .samples = 50, .seed = 1}, ConceptPattern::stationary(clients, 1));
  RunConfig config;
  config.local_steps = local_steps;
  double least = 1e9;
  for (int repeat = 0; repeat < 5; ++repeat) {
    double took[2];
    for (int i = 0; i < 2; ++i) {
      config.rounds = i == 0 ? 1 : 11;
      const auto strategy = make_strategy({.name = "oblivious"}, federation.pattern());
      took[i] = time_of([&] { run(federation, *strategy, config); });
    }
    least = std::min(least, std::max(0.0, took[1] - took[0]) / 10);
  }
  return least;
}

}  // namespace

void add_plan(cli::Program& program) {
  auto size = std::make_shared<Size>();
  auto verb =
      program.verb("plan", "what a federation of your size takes: time, memory, bytes (modelled)",
                   {"ballast federate plan --clients 100000 --samples 500 --steps 10 --fraction 0.01",
                    "ballast federate plan --clients 50 --features 784 --hidden 64 --classes 10 --json"});
  const std::vector<std::tuple<const char*, double*, const char*>> flags = {
      {"--clients", &size->clients, "clients"},
      {"--samples", &size->samples, "samples of each client and step"},
      {"--steps", &size->steps, "time steps"},
      {"--features", &size->features, "features of a sample"},
      {"--hidden", &size->hidden, "hidden units"},
      {"--classes", &size->classes, "labels"},
      {"--rounds", &size->rounds, "rounds a step"},
      {"--local-steps", &size->local_steps, "optimizer steps a round"},
      {"--fraction", &size->fraction, "chance of a client to be in a round"},
      {"--models", &size->models, "models at a time"},
      {"--cores", &size->cores, "cores of the simulating machine"}};
  for (const auto& [flag, value, what] : flags)
    verb->add_option(flag, *value, what)->capture_default_str()->check(CLI::PositiveNumber);
  verb.run([size](const cli::Common& common) {
    const Size& s = *size;
    // Seconds of a round = clients x (a + b x local steps); fitted at 400 clients with 5 and 105 steps, two
    // threads.
    const double few = round_seconds(400, 5), many = round_seconds(400, 105);
    const double per_step = std::max(1e-9, (many - few) / 400 / 100),
                 per_client = std::max(0.0, few / 400 - 5 * per_step);
    const auto predicted = [&](double clients, double local_steps) {
      return clients * (per_client + local_steps * per_step);
    };
    const double held_out = round_seconds(3000, 50), error = predicted(3000, 50) / held_out - 1;
    // Work of a step grows with the multiplications of the network (2-4-2: 16) and the batch stays 50.
    const double parameters = s.hidden * (s.features + 1) + s.classes * (s.hidden + 1);
    const double width = std::max(1.0, parameters / 22);
    const double cohort = s.clients * s.fraction;
    const double seconds =
        s.steps * s.rounds * cohort * (per_client + s.local_steps * per_step * width) * 2 / s.cores;
    const double memory = s.clients * (s.steps + 1) * s.samples * (s.features + 1) * 4 +
                          256 * parameters * 4 * s.models + s.clients * s.models * parameters * 3 * 4;
    const double bytes_client = s.steps * (s.rounds * s.fraction * 2 + s.models) * parameters * 4;
    Table table("A federation of this size (modelled)", {"what", "value"});
    table.row({"simulation", fmt::format("{:.3g} s on {:.0f} cores", seconds, s.cores)});
    table.row({"memory of the simulation", fmt::format("{:.3g} GB", memory / 1e9)});
    table.row({"machines of 64 GB", fmt::format("{:.0f}", std::max(1.0, std::ceil(memory / 64e9)))});
    table.row({"bytes of each client, both ways", fmt::format("{:.3g} MB", bytes_client / 1e6)});
    table.row({"bytes at the server", fmt::format("{:.3g} GB", bytes_client * s.clients / 1e9)});
    table.row({"model's error at 3000 clients, held out of the fit", fmt::format("{:+.0f} %", 100 * error)});
    if (common.for_people()) table.print(stdout);
    common.write_json({{"schema", "ballast.federate.plan/1"},
                       {"basis", "modelled"},
                       {"seconds", seconds},
                       {"memory_bytes", memory},
                       {"client_bytes", bytes_client},
                       {"server_bytes", bytes_client * s.clients},
                       {"held_out_error", error}});
  });
}

}  // namespace ballast::federate
