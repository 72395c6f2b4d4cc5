// `ballast ragged tune`: tile sizes tried on this machine and these lengths, kept beside the compiled
// kernels.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "ballast/base/errors.h"
#include "ballast/base/statistics.h"
#include "ballast/base/table.h"
#include "ballast/base/units.h"
#include "ballast/ragged/encoder.h"
#include "ballast/ragged/lengths.h"
#include "ballast/ragged/operators.h"
#include "ballast/ragged/tuned.h"
#include "ballast/ragged/verbs.h"

namespace ballast::ragged {
namespace {

struct Candidate {
  std::string name;
  std::function<double()> seconds;
  Tuned tuned;
  std::vector<double> times = {};
};

/// Rounds over all candidates until the budget is spent; after each third of it the slower half drops out.
void race(std::vector<Candidate>& all, double budget) {
  const auto start = std::chrono::steady_clock::now();
  const auto spent = [&] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  std::vector<Candidate*> left;
  for (Candidate& c : all) left.push_back(&c);
  for (int stage = 1; stage <= 3; ++stage) {
    do {
      cli::stop_if_interrupted();
      for (Candidate* c : left) c->times.push_back(c->seconds());
    } while (spent() < budget * stage / 3 && left.front()->times.size() < 200);
    std::sort(left.begin(), left.end(),
              [](const Candidate* a, const Candidate* b) { return median(a->times) < median(b->times); });
    if (stage < 3) left.resize(std::max<std::size_t>(2, (left.size() + 1) / 2));
  }
}

}  // namespace

void add_tune(cli::Program& program) {
  struct Options {
    std::string op = "encoder", data = "mnli";
    double budget = 60;
    int threads = 0;
    std::int64_t batch = 32;
  };
  const auto o = std::make_shared<Options>();
  auto verb = program.verb(
      "tune", "tile sizes tried on this machine and these lengths; what is found is used from then on",
      {"ballast ragged tune --op encoder --data race --budget 60",
       "ballast ragged tune --op vgemm --data small --budget 30"});
  verb->add_option("--op", o->op, "encoder or vgemm");
  verb->add_option("--data", o->data,
                   "encoder: a length set or file; vgemm: large, small, tiny, skewed or a file of M N K");
  verb->add_option("--budget", o->budget, "seconds");
  verb->add_option("--batch", o->batch, "sequences, or products, of a batch");
  verb->add_option("--threads", o->threads, "workers (0: all cores)");
  verb.run([o](const cli::Common& common) {
    cli::require_one_of("--op", o->op, {"encoder", "vgemm"});
    if (!(o->budget > 0))
      throw InvalidInput("--budget", fmt::format("{}", o->budget), "a positive number of seconds");
    if (o->batch < 1) throw InvalidInput("--batch", std::to_string(o->batch), "at least 1");
    loop::KernelRegistry registry;
    loop::Launcher launcher(o->threads);
    const std::string cpu = registry.host();
    const Tuned present = read_tuned(cpu);
    std::vector<Candidate> all;
    std::vector<std::unique_ptr<Encoder>> encoders;
    std::vector<std::unique_ptr<Bound>> products;
    std::vector<float> hidden;
    Workspace workspace;
    Plan plan;
    if (o->op == "encoder") {
      EncoderConfig config;
      const auto weights = random_weights(config, common.seed);
      plan = Plan::ragged(batches(lengths_from(o->data, o->batch, common.seed), o->batch).front());
      hidden.assign(static_cast<std::size_t>(plan.rows * config.model), 0.5f);
      for (const std::int64_t rows : {28, 56, 96, 140, 192, 280}) {
        config.row_tile = rows;
        encoders.push_back(std::make_unique<Encoder>(registry, config, weights));
        Tuned t = present;
        t.encoder_rows = rows;
        all.push_back({fmt::format("{} rows a task", rows),
                       [&, e = encoders.back().get()] {
                         return time_of([&] { e->forward(launcher, plan, hidden.data(), workspace); });
                       },
                       t});
      }
    } else {
      const std::vector<GemmSize> sizes = gemm_sizes(o->data, o->batch, common.seed);
      Pattern pattern{.lengths = {}, .scalars = {{"B", static_cast<std::int64_t>(sizes.size())}}};
      for (const GemmSize& p : sizes) {
        pattern.lengths["M"].push_back(p.m);
        pattern.lengths["N"].push_back(p.n);
        pattern.lengths["K"].push_back(p.k);
      }
      for (const std::int64_t rows : {112, 252, 768})
        for (const std::int64_t columns : {128, 256, 512}) {
          products.push_back(std::make_unique<Bound>(vgemm_program(registry, {rows, columns}), pattern));
          Tuned t = present;
          t.vgemm_rows = rows;
          t.vgemm_columns = columns;
          all.push_back({fmt::format("tiles of {} x {}", rows, columns),
                         [&, p = products.back().get()] { return time_of([&] { p->run(launcher); }); }, t});
        }
    }
    for (Candidate& c : all) c.seconds();  // compiled, warm
    race(all, o->budget);
    std::sort(all.begin(), all.end(),
              [](const Candidate& a, const Candidate& b) { return median(a.times) < median(b.times); });
    // Only those that ran to the end are comparable: the ones with the most rounds.
    std::size_t most = 0;
    for (const Candidate& c : all) most = std::max(most, c.times.size());
    const auto best =
        std::find_if(all.begin(), all.end(), [&](const Candidate& c) { return c.times.size() == most; });
    write_tuned(cpu, best->tuned);
    Json rows = Json::array();
    Table table(fmt::format("{} on {} (measured)", o->op, o->data),
                {"schedule", "rounds", "time", "relative"});
    for (const Candidate& c : all) {
      rows.push_back({{"schedule", c.name},
                      {"rounds", c.times.size()},
                      {"seconds", median(c.times)},
                      {"basis", "measured"}});
      table.row({c.name + (&c == &*best ? " (chosen)" : ""), std::to_string(c.times.size()),
                 format_seconds(median(c.times)),
                 fmt::format("{:.3f}", median(c.times) / median(best->times))});
    }
    common.write_json(
        {{"op", o->op}, {"cpu", cpu}, {"file", tuned_file()}, {"chosen", best->name}, {"rows", rows}});
    if (!common.for_people()) return;
    table.print(stdout);
    fmt::print("kept in {}\n", tuned_file());
  });
}

}  // namespace ballast::ragged
