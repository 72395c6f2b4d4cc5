// `ballast index run OPS --init INIT [--check]`: an operation file on any engine.
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <mutex>
#include <tuple>

#include "ballast/base/errors.h"
#include "ballast/base/random.h"
#include "ballast/base/units.h"
#include "ballast/index/distributed/spmd_index.h"
#include "ballast/index/host_map.h"
#include "ballast/index/key_files.h"
#include "ballast/index/mixed.h"
#include "ballast/index/operations_file.h"
#include "ballast/index/oracle.h"
#include "ballast/index/recovering.h"
#include "ballast/index/tree_flags.h"
#include "ballast/index/verbs.h"

namespace ballast::index {

void add_run(cli::Program& program) {
  struct Options {
    std::string file, init, method = "pim-tree", batch = "64K", order = "runs";
    std::string engine = "auto", transport = "threads";
    int machines = 4;
    std::uint64_t limit = 0;
    std::uint32_t modules = 64;
    std::string kill, snapshot;
    TreeFlags tree;
    bool check = false;
  };
  auto options = std::make_shared<Options>();
  auto verb = program.verb(
      "run", "run an operation file (24-byte records) and print what it cost and a digest of the answers",
      {"ballast index run ops.bin --init init.bin --check",
       "ballast index run ops.bin --method range --modules 256",
       "mpirun -n 4 ballast index run ops.bin --method cluster --transport mpi"});
  verb->add_option("OPS", options->file, "operation file")->required();
  verb->add_option("--init", options->init,
                   "what fills the index first: an operation file, .bidx, .csv, SOSD or string keys");
  verb->add_option("--method", options->method,
                   "host, cluster, pim-tree, push, pull, push-pull, range, range-rebalance, hash-broadcast")
      ->capture_default_str();
  verb->add_option("--modules", options->modules, "PIM modules")->capture_default_str();
  verb->add_option("--engine", options->engine, "of the cluster: sorted, orch, central, auto")
      ->capture_default_str();
  verb->add_option("--machines", options->machines, "of the cluster (with mpi: the ranks)")
      ->capture_default_str();
  verb->add_option("--transport", options->transport, "of the cluster: threads, shaped, mpi")
      ->capture_default_str();
  verb->add_option("--batch", options->batch, "most operations of a batch")->capture_default_str();
  verb->add_option(
          "--order", options->order,
          "runs: neighbours of one type are a batch; phase: a batch reads, deletes, updates, inserts; "
          "program: every operation sees those before it")
      ->capture_default_str();
  verb->add_option("--scan-limit", options->limit, "most rows of a scan (0: all; phase and program)")
      ->capture_default_str();
  verb->add_option("--kill-module", options->kill,
                   "MODULE@ROUND: lose this module in that round (pim-tree); the tree is restored from its "
                   "snapshot and the changes since");
  verb->add_option("--snapshot", options->snapshot, "where --kill-module keeps the snapshot (a .bidx file)");
  options->tree.add_to(verb);
  verb->add_flag("--check", options->check, "run std::map beside it and compare all answers");
  verb.run([options](const cli::Common& common) {
    const std::uint64_t batch = parse_count("--batch", options->batch);
    if (batch == 0) throw InvalidInput("--batch", "0", "at least 1");
    cli::require_one_of("--order", options->order, {"runs", "phase", "program"});
    if (options->limit != 0 && options->order == "runs")
      throw InvalidInput("--scan-limit goes with --order phase or program");
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
    std::vector<Entry> entries;
    if (!options->init.empty()) entries = read_entries(options->init);
    const auto operations = read_operations(data::InputStream::open(options->file));
    const std::size_t count = operations.size();
    std::uint64_t digest = 0, size = 0;
    const auto work = [&](OrderedIndex& index) {
      index.bulk_load(entries);
      const std::uint64_t of_answers = answers_of(index, operations);
      return std::pair(of_answers, index.size());
    };
    std::uint64_t recoveries = 0;
    if (!options->kill.empty()) {
      if (options->method != "pim-tree") throw InvalidInput("--kill-module goes with --method pim-tree");
      if (options->snapshot.empty()) throw InvalidInput("--kill-module needs --snapshot FILE.bidx");
      const auto at = options->kill.find('@');
      if (at == std::string::npos) throw InvalidInput("--kill-module", options->kill, "MODULE@ROUND");
      pim::Machine machine({.modules = options->modules,
                            .kill_module = static_cast<std::uint32_t>(
                                parse_count("--kill-module", options->kill.substr(0, at))),
                            .kill_round = parse_count("--kill-module", options->kill.substr(at + 1))});
      RecoveringTree tree(machine, options->tree.options(common.seed), {.snapshot = options->snapshot});
      std::tie(digest, size) = work(tree);
      recoveries = tree.recoveries();
      if (common.for_people()) fmt::print("the tree was restored {} times\n", recoveries);
    } else if (options->method == "host") {
      HostMap host;
      std::tie(digest, size) = work(host);
    } else if (options->method == "cluster") {
      const ClusterEngine engine = cluster_engine("--engine", options->engine);
      auto cluster = cluster::Cluster::open({.machines = options->transport == "mpi" ? 0 : options->machines,
                                             .transport = options->transport,
                                             .seed = common.seed});
      // Every machine gets all answers; one in each process keeps them.
      std::once_flag once;
      cluster.run([&](cluster::Machine& me) {
        SpmdIndex index(me, {.engine = engine, .seed = common.seed});
        const auto result = work(index);
        std::call_once(once, [&] { std::tie(digest, size) = result; });
      });
      if (!cluster.is_first()) return;
    } else {
      const Method method =
          make_method(options->method, {.modules = options->modules}, options->tree.options(common.seed));
      std::tie(digest, size) = work(*method.index);
    }
    if (options->check) oracle.bulk_load(entries);
    if (options->check && answers_of(oracle, operations) != digest) {
      std::fprintf(stderr, "ballast index: the answers to %s differ from std::map's\n",
                   options->file.c_str());
      throw cli::Exit{static_cast<int>(ExitCode::failed)};
    }
    Table table("Operations", {"operations", "keys now", "digest", "checked"});
    table.row({std::to_string(count), std::to_string(size), fmt::format("{:016x}", digest),
               options->check ? "equal to std::map" : "no"});
    if (common.for_people()) table.print(stdout);
    common.write_json({{"schema", "ballast.index.run/1"},
                       {"operations", count},
                       {"size", size},
                       {"digest", fmt::format("{:016x}", digest)},
                       {"recoveries", recoveries},
                       {"checked", options->check}});
  });
}

}  // namespace ballast::index
