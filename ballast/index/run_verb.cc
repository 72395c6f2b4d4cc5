// `ballast index run OPS --init INIT [--check]`: an operation file on any engine.
#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "ballast/base/errors.h"
#include "ballast/base/random.h"
#include "ballast/base/units.h"
#include "ballast/index/host_map.h"
#include "ballast/index/key_files.h"
#include "ballast/index/methods.h"
#include "ballast/index/mixed.h"
#include "ballast/index/operations_file.h"
#include "ballast/index/oracle.h"
#include "ballast/index/verbs.h"

namespace ballast::index {

void add_run(cli::Program& program) {
  struct Options {
    std::string file, init, method = "pim-tree", batch = "64K", order = "runs";
    std::uint64_t limit = 0;
    std::uint32_t modules = 64;
    bool check = false;
  };
  auto options = std::make_shared<Options>();
  auto verb = program.verb(
      "run", "run an operation file (24-byte records) and print what it cost and a digest of the answers",
      {"ballast index run ops.bin --init init.bin --check",
       "ballast index run ops.bin --method range --modules 256"});
  verb->add_option("OPS", options->file, "operation file")->required();
  verb->add_option("--init", options->init,
                   "what fills the index first: an operation file, .bidx, .csv, SOSD or string keys");
  verb->add_option("--method", options->method,
                   "host, pim-tree, push, pull, push-pull, range, range-rebalance, hash-broadcast")
      ->capture_default_str();
  verb->add_option("--modules", options->modules, "PIM modules")->capture_default_str();
  verb->add_option("--batch", options->batch, "most operations of a batch")->capture_default_str();
  verb->add_option(
          "--order", options->order,
          "runs: neighbours of one type are a batch; phase: a batch reads, deletes, updates, inserts; "
          "program: every operation sees those before it")
      ->capture_default_str();
  verb->add_option("--scan-limit", options->limit, "most rows of a scan (0: all; phase and program)")
      ->capture_default_str();
  verb->add_flag("--check", options->check, "run std::map beside it and compare all answers");
  verb.run([options](const cli::Common& common) {
    const std::uint64_t batch = parse_count("--batch", options->batch);
    if (batch == 0) throw InvalidInput("--batch", "0", "at least 1");
    cli::require_one_of("--order", options->order, {"runs", "phase", "program"});
    if (options->limit != 0 && options->order == "runs")
      throw InvalidInput("--scan-limit goes with --order phase or program");
    Method method;
    std::unique_ptr<HostMap> host;
    if (options->method == "host") {
      host = std::make_unique<HostMap>();
    } else {
      method = make_method(options->method, {.modules = options->modules}, {.seed = common.seed});
    }
    OrderedIndex& index = host ? static_cast<OrderedIndex&>(*host) : *method.index;
    Oracle oracle;
    const auto answers_of = [&](OrderedIndex& on, const std::vector<Operation>& operations) {
      if (options->order == "runs") return run_operations(on, operations, batch);
      std::uint64_t digest = 0;
      for (std::size_t begin = 0; begin < operations.size(); begin += batch) {
        const auto part =
            std::span(operations).subspan(begin, std::min<std::size_t>(batch, operations.size() - begin));
        digest = mix64(
            digest ^
            digest_of(run_mixed(on, part, order_from("--order", options->order), options->limit).answers));
      }
      return digest;
    };
    if (!options->init.empty()) {
      const auto entries = read_entries(options->init);
      index.bulk_load(entries);
      if (options->check) oracle.bulk_load(entries);
    }
    const auto operations = read_operations(data::InputStream::open(options->file));
    const std::size_t count = operations.size();
    const std::uint64_t digest = answers_of(index, operations);
    if (options->check && answers_of(oracle, operations) != digest) {
      std::fprintf(stderr, "ballast index: the answers to %s differ from std::map's\n",
                   options->file.c_str());
      throw cli::Exit{static_cast<int>(ExitCode::failed)};
    }
    Table table("Operations", {"operations", "keys now", "digest", "checked"});
    table.row({std::to_string(count), std::to_string(index.size()), fmt::format("{:016x}", digest),
               options->check ? "equal to std::map" : "no"});
    if (common.for_people()) table.print(stdout);
    common.write_json({{"schema", "ballast.index.run/1"},
                       {"operations", count},
                       {"size", index.size()},
                       {"digest", fmt::format("{:016x}", digest)},
                       {"checked", options->check}});
  });
}

}  // namespace ballast::index
