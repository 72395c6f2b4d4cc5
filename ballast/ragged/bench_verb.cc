// `ballast ragged bench`.
#include <fmt/format.h>

#include "ballast/base/errors.h"
#include "ballast/loop/kernel.h"
#include "ballast/ragged/verbs.h"

namespace ballast::ragged {

void add_bench(cli::Program& program) {
  const auto o = std::make_shared<BenchOptions>();
  auto verb = program.verb(
      "bench", "ragged against padded, packed, micro-batched, libraries and libtorch on the same lengths",
      {"ballast ragged bench --quick",
       "ballast ragged bench --suite encoder --data mnli,lengths.txt --batch 32,64 --json out.json"});
  verb->add_option("--suite", o->suites,
                   "work, encoder, attention, operators, compiler, ablation, launch, products or all")
      ->delimiter(',');
  verb->add_option("--data", o->data, "length sets or files (default: all eight sets)")->delimiter(',');
  verb->add_option("--batch", o->batch, "batch sizes")->delimiter(',');
  verb->add_option("--threads", o->threads, "workers (0: all cores)");
  verb->add_option("--rounds", o->rounds, "timed rounds");
  verb->add_flag("--quick", o->quick, "fewer sets and rounds: within three minutes on two cores");
  verb->add_flag("--full", o->full, "the largest sizes too");
  verb.run([o](const cli::Common& common) {
    using Suite = void (*)(Bench&, const BenchOptions&, std::uint64_t);
    const std::vector<std::pair<std::string, Suite>> suites{
        {"work", &bench_work},           {"encoder", &bench_encoder},   {"attention", &bench_attention},
        {"operators", &bench_operators}, {"compiler", &bench_compiler}, {"ablation", &bench_ablation},
        {"launch", &bench_launch},       {"products", &bench_products}};
    std::vector<std::string> names{"all"};
    for (const auto& [name, run] : suites) names.push_back(name);
    std::string chosen;
    for (const std::string& wish : o->suites) {
      cli::require_one_of("--suite", wish, names);
      chosen += (chosen.empty() ? "" : ",") + wish;
    }
    o->tuned = read_tuned(loop::KernelRegistry("").host());
    Bench bench("ragged", chosen, common);
    for (const auto& [name, run] : suites)
      for (const std::string& wish : o->suites)
        if (wish == name || wish == "all") run(bench, *o, common.seed);
    bench.finish();
  });
}

}  // namespace ballast::ragged
