// `ballast index soak`: random mixed batches on any engine, every answer compared with std::map's and the
// structure verified, for as long as you like.
#include <fmt/format.h>

#include <memory>

#include "ballast/base/errors.h"
#include "ballast/base/progress.h"
#include "ballast/base/units.h"
#include "ballast/index/host_map.h"
#include "ballast/index/oracle.h"
#include "ballast/index/program_generator.h"
#include "ballast/index/tree_flags.h"
#include "ballast/index/verbs.h"

namespace ballast::index {

void add_soak(cli::Program& program) {
  struct Options {
    std::string batches = "10K", method = "pim-tree";
    std::uint32_t modules = 16;
    TreeFlags tree{.chunk = 8, .levels = 3};
    std::uint64_t every = 1;
  };
  auto options = std::make_shared<Options>();
  auto verb =
      program.verb("soak", "random mixed batches under verification: answers and structure after each",
                   {"ballast index soak --batches 10K", "ballast index soak --method host --batches 1K"});
  verb->add_option("--batches", options->batches, "how many")->capture_default_str();
  verb->add_option("--method", options->method, "host, or a method of `run`")->capture_default_str();
  verb->add_option("--modules", options->modules, "PIM modules")->capture_default_str();
  options->tree.add_to(verb);
  verb->add_option("--verify-every", options->every, "follow all links after every so many batches")
      ->capture_default_str();
  verb.run([options](const cli::Common& common) {
    const std::uint64_t batches = parse_count("--batches", options->batches);
    if (options->every == 0) throw InvalidInput("--verify-every", "0", "at least 1");
    Method method;
    std::unique_ptr<HostMap> host;
    OrderedIndex* index = nullptr;
    if (options->method == "host") {
      host = std::make_unique<HostMap>();
      index = host.get();
    } else {
      method =
          make_method(options->method, {.modules = options->modules}, options->tree.options(common.seed));
      index = method.index.get();
    }
    Oracle oracle;
    // Wide and dense keys in turn, on one index.
    ProgramGenerator wide(common.seed, KeySpace::wide), dense(common.seed + 1, KeySpace::dense);
    Progress progress("batches", batches);
    std::uint64_t verified = 0;
    for (std::uint64_t batch = 0; batch < batches; ++batch) {
      cli::stop_if_interrupted();
      ProgramGenerator& generator = batch / 16 % 2 == 0 ? wide : dense;
      std::string problem = generator.step(*index, oracle);
      if (problem.empty() && index->size() != oracle.size()) problem = "the sizes differ";
      if (problem.empty() && batch % options->every == 0) {
        ++verified;
        if (auto* tree = dynamic_cast<PimTree*>(index)) problem = tree->verify();
        if (host) problem = host->verify();
      }
      if (!problem.empty()) {
        fmt::print(stderr, "ballast index: batch {} ({}), seed {}: {}\n", batch, generator.last(),
                   common.seed, problem);
        throw cli::Exit{static_cast<int>(ExitCode::failed)};
      }
      progress.add();
    }
    if (common.for_people())
      fmt::print(
          "{} batches on {}: all answers equal std::map's, structure sound {} times; {} keys at the end\n",
          batches, index->name(), verified, index->size());
    common.write_json({{"schema", "ballast.index.soak/1"},
                       {"batches", batches},
                       {"verified", verified},
                       {"size", index->size()}});
  });
}

}  // namespace ballast::index
