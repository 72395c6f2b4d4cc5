// `ballast index bench`: the PIM engine's counted costs, and the host engine against real libraries.
#include <memory>

#include "ballast/base/errors.h"
#include "ballast/base/units.h"
#include "ballast/index/bench_pim.h"
#include "ballast/index/methods.h"
#include "ballast/index/verbs.h"

namespace ballast::index {

void add_bench(cli::Program& program) {
  struct Options {
    std::string suite = "all", keys = "0", batch = "0";
    std::vector<std::string> peers;
    PimBenchOptions pim;
  };
  auto options = std::make_shared<Options>();
  auto verb = program.verb(
      "bench",
      "all methods side by side: words, rounds, imbalance (counted); cluster and host engines (measured)",
      {"ballast index bench --quick",
       "ballast index bench --suite pim --modules 256 --methods pim-tree,range"});
  verb->add_flag("--quick", options->pim.quick, "smaller sizes, under three minutes");
  verb->add_option("--suite", options->suite, "all, pim, ladder, switches, cluster or host")
      ->capture_default_str();
  verb->add_option("--keys", options->keys, "keys in the index (0: the suite's own)")->capture_default_str();
  verb->add_option("--batch", options->batch, "operations of a batch (0: the suite's own)")
      ->capture_default_str();
  verb->add_option("--peers", options->peers, "of the host suite (none: all): absl, JudyL, std, tbb, ...")
      ->delimiter(',');
  verb->add_option("--modules", options->pim.modules, "PIM modules (0: 64 and 256)")->capture_default_str();
  verb->add_option("--alphas", options->pim.alphas, "skews; -1 asks all in one piece")->delimiter(',');
  verb->add_option(
          "--methods", options->pim.methods,
          "pim-tree, push, pull, push-pull, range, range-rebalance, jump-push, push-pull-1, hash-broadcast")
      ->delimiter(',');
  verb.run([options](const cli::Common& common) {
    cli::require_one_of("--suite", options->suite, {"all", "pim", "ladder", "switches", "cluster", "host"});
    for (const auto& name : options->pim.methods) cli::require_one_of("--methods", name, method_names());
    options->pim.keys = parse_count("--keys", options->keys);
    options->pim.batch = parse_count("--batch", options->batch);
    Bench bench("index", options->suite, common);
    const auto wants = [&](const char* suite) { return options->suite == "all" || options->suite == suite; };
    if (wants("pim")) bench_pim(bench, options->pim, common.seed);
    if (wants("ladder")) bench_ladder(bench, options->pim.quick, options->pim.modules, common.seed);
    if (wants("switches")) bench_switches(bench, options->pim.quick, options->pim.modules, common.seed);
    if (wants("cluster")) bench_cluster(bench, options->pim.quick, common.seed);
    if (wants("host"))
      bench_host(bench,
                 {.quick = options->pim.quick,
                  .keys = options->pim.keys,
                  .batch = options->pim.batch,
                  .peers = options->peers},
                 common.seed);
    if (common.for_people()) bench.section().print(stdout);
    bench.finish();
  });
}

}  // namespace ballast::index
