// `ballast index run OPS --init INIT [--check]`: an operation file on any engine.
#include <fmt/format.h>

#include <memory>

#include "ballast/base/errors.h"
#include "ballast/base/units.h"
#include "ballast/index/methods.h"
#include "ballast/index/operations_file.h"
#include "ballast/index/oracle.h"
#include "ballast/index/verbs.h"

namespace ballast::index {

void add_run(cli::Program& program) {
  struct Options {
    std::string file, init, method = "pim-tree", batch = "64K";
    std::uint32_t modules = 64;
    bool check = false;
  };
  auto options = std::make_shared<Options>();
  auto verb = program.verb(
      "run", "run an operation file (24-byte records) and print what it cost and a digest of the answers",
      {"ballast index run ops.bin --init init.bin --check",
       "ballast index run ops.bin --method range --modules 256"});
  verb->add_option("OPS", options->file, "operation file")->required();
  verb->add_option("--init", options->init, "operation file whose inserts fill the index first");
  verb->add_option("--method", options->method, "pim-tree, push, pull, push-pull, range, range-rebalance")
      ->capture_default_str();
  verb->add_option("--modules", options->modules, "PIM modules")->capture_default_str();
  verb->add_option("--batch", options->batch, "most operations of a batch")->capture_default_str();
  verb->add_flag("--check", options->check, "run std::map beside it and compare all answers");
  verb.run([options](const cli::Common& common) {
    const std::uint64_t batch = parse_count("--batch", options->batch);
    if (batch == 0) throw InvalidInput("--batch", "0", "at least 1");
    Method method = make_method(options->method, {.modules = options->modules}, {.seed = common.seed});
    Oracle oracle;
    const auto run = [&](const std::string& file) {
      const auto operations = read_operations(data::InputStream::open(file));
      const std::uint64_t digest = run_operations(*method.index, operations, batch);
      if (options->check && run_operations(oracle, operations, batch) != digest) {
        std::fprintf(stderr, "ballast index: the answers to %s differ from std::map's\n", file.c_str());
        throw cli::Exit{static_cast<int>(ExitCode::failed)};
      }
      return std::pair(operations.size(), digest);
    };
    if (!options->init.empty()) run(options->init);
    const auto [count, digest] = run(options->file);
    Table table("Operations", {"operations", "keys now", "digest", "checked"});
    table.row({std::to_string(count), std::to_string(method.index->size()), fmt::format("{:016x}", digest),
               options->check ? "equal to std::map" : "no"});
    if (common.for_people()) table.print(stdout);
    common.write_json({{"schema", "ballast.index.run/1"},
                       {"operations", count},
                       {"size", method.index->size()},
                       {"digest", fmt::format("{:016x}", digest)},
                       {"checked", options->check}});
  });
}

}  // namespace ballast::index
