// `ballast cluster info`: which transports there are, and which networks are known.
#include <fmt/format.h>

#include "ballast/base/table.h"
#include "ballast/base/units.h"
#include "ballast/cluster/cluster.h"
#include "ballast/cluster/verbs.h"

namespace ballast::cluster {

void add_info(cli::Program& program) {
  auto verb = program.verb("info", "transports that are there, networks that are known by name",
                           {"ballast cluster info", "ballast cluster info --json"});
  verb.run([](const cli::Common& common) {
    const std::string mpi = describe_mpi();
    Table networks("Networks for --net and for modelled times",
                   {"name", "bytes/s of a machine", "per message", "latency", "from"});
    Json known = Json::array();
    for (const auto& profile : known_profiles()) {
      networks.row({profile.name, format_count(profile.bytes_per_s), format_seconds(profile.per_message_s),
                    format_seconds(profile.latency_s), profile.source});
      known.push_back(profile.to_json());
    }
    if (common.for_people()) {
      fmt::print(
          "threads  machines are threads of this process\nshaped   threads, or MPI with --net, on an "
          "emulated network\nmpi      {}\n\n",
          mpi);
      networks.print(stdout);
    }
    common.write_json({{"transports", {{"threads", true}, {"shaped", true}, {"mpi", built_with_mpi()}}},
                       {"mpi", mpi},
                       {"profiles", known}});
  });
}

}  // namespace ballast::cluster
