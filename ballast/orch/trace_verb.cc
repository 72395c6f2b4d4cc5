// `ballast orch trace FILE`: who sent what in which superstep, as a heat table.
#include <fmt/format.h>

#include "ballast/base/file.h"
#include "ballast/cluster/cluster.h"
#include "ballast/orch/verbs.h"

namespace ballast::orch {

void add_trace(cli::Program& program) {
  struct TraceOptions {
    std::string file, net;
  };
  auto options = std::make_shared<TraceOptions>();
  auto verb = program.verb("trace", "who sent what in which superstep: a heat table of a recorded run",
                           {"ballast orch trace account.csv", "ballast orch trace account.csv --net 10gbe"});
  verb->add_option("file", options->file, "what `orch bench --account FILE.csv` wrote")->required();
  verb->add_option("--net", options->net, "also the modelled time on this network");
  verb.run([options](const cli::Common& common) {
    const auto accounts = cluster::accounts_from_csv(read_file(options->file), options->file);
    if (accounts.empty()) throw InvalidInput(options->file + ": holds no machine");
    const Table table = cluster::superstep_table(accounts, "Supersteps (counted)");
    Json document{{"machines", accounts.size()},
                  {"busiest_bytes", cluster::busiest_machine_bytes(accounts)},
                  {"supersteps", table.to_json()}};
    if (common.for_people()) {
      fmt::print("{}\n", cluster::heat_map(accounts));
      table.print(stdout);
    }
    if (!options->net.empty()) {
      const auto profile = cluster::find_profile(options->net);
      const auto time = cluster::model_time(accounts, profile);
      if (common.for_people()) {
        fmt::print(
            "\nmodelled on {}: {:.6f} s = compute {:.6f} + bytes {:.6f} + messages {:.6f} + latency {:.6f}\n",
            profile.name, time.total(), time.compute_s, time.transfer_s, time.messages_s, time.latency_s);
      }
      document["modelled_seconds"] = time.total();
    }
    common.write_json(document);
  });
}

}  // namespace ballast::orch
