// `ballast cluster ping`: what the transport under us takes for messages of growing size, and the profile
// that fits.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "ballast/base/file.h"
#include "ballast/base/statistics.h"
#include "ballast/base/table.h"
#include "ballast/base/units.h"
#include "ballast/cluster/cluster.h"
#include "ballast/cluster/verbs.h"

namespace ballast::cluster {
namespace {

struct PingOptions {
  Options cluster{.machines = 4};
  bool mpi_machines_given = false;
  std::string save;
};

}  // namespace

void add_ping(cli::Program& program) {
  auto options = std::make_shared<PingOptions>();
  auto verb =
      program.verb("ping", "time of a superstep by size and number of messages, and the fitted profile",
                   {"ballast cluster ping --machines 4", "ballast cluster ping --save here.json",
                    "mpirun -n 2 ballast-cluster ping --transport mpi"});
  verb->add_option("--machines", options->cluster.machines, "P")->capture_default_str();
  verb->add_option("--transport", options->cluster.transport, "threads, mpi, shaped")->capture_default_str();
  verb->add_option("--machines-per-rank", options->cluster.machines_per_rank, "machines in each MPI rank");
  verb->add_option("--net", options->cluster.net, "a profile to be slowed to");
  verb->add_option("--save", options->save, "write the fitted profile, for --net")->type_name("FILE.json");
  verb.run([options](const cli::Common& common) {
    Options wanted = options->cluster;
    wanted.seed = common.seed;
    if (wanted.transport == "mpi") wanted.machines = 0;
    auto cluster = Cluster::open(wanted);
    const int machines = cluster.machines();
    std::vector<PingPoint> points;
    cluster.run([&](Machine& me) {
      for (std::size_t bytes : {std::size_t{8}, std::size_t{64}, std::size_t{1} << 10, std::size_t{8} << 10,
                                std::size_t{64} << 10, std::size_t{256} << 10, std::size_t{1} << 20}) {
        for (int partners : {1, machines - 1}) {
          if (partners < 1 || (partners == 1 && machines == 2 && bytes == 0)) continue;
          const int rounds = bytes > (64u << 10) ? 9 : 31;
          std::vector<double> seconds;
          for (int round = -2; round < rounds; ++round) {
            Outbox out = me.outbox();
            for (int p = 1; p <= partners; ++p)
              std::memset(out.to((me.id() + p) % machines).extend(bytes), round, bytes);
            me.barrier();
            const auto start = std::chrono::steady_clock::now();
            const Inbox in = me.exchange(std::move(out));
            if (round >= 0)
              seconds.push_back(
                  std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
          }
          const double slowest =
              me.allreduce(median(seconds), [](double a, double b) { return std::max(a, b); });
          if (me.is_first() &&
              (points.empty() || partners > 1 || points.back().bytes != static_cast<double>(bytes)))
            points.push_back({static_cast<double>(bytes) * partners, static_cast<double>(partners), slowest});
        }
      }
    });
    if (!cluster.is_first()) return;
    Table table(
        fmt::format("A superstep over {} on {} machines (measured, median)", cluster.transport(), machines),
        {"messages of each machine", "bytes of each", "time", "bytes/s out of one machine"});
    Json rows = Json::array();
    for (const auto& point : points) {
      table.row({fmt::format("{:.0f}", point.messages), fmt::format("{:.0f}", point.bytes / point.messages),
                 format_seconds(point.seconds), format_count(point.bytes / point.seconds)});
      rows.push_back({{"messages", point.messages}, {"bytes", point.bytes}, {"seconds", point.seconds}});
    }
    Json document{{"transport", cluster.transport()}, {"machines", machines}, {"points", rows}};
    if (common.for_people()) table.print(stdout);
    if (points.size() >= 4) {
      const auto fitted = fit_profile(points, fmt::format("fit-{}-{}", cluster.transport(), machines));
      if (common.for_people()) {
        fmt::print(
            "\nfitted: {}/s of a machine, {} a message, {} a superstep; error on held-out points {:.0f} %\n",
            format_count(fitted.profile.bytes_per_s) + "B", format_seconds(fitted.profile.per_message_s),
            format_seconds(fitted.profile.latency_s), 100 * fitted.held_out_error);
      }
      document["profile"] = fitted.profile.to_json();
      document["held_out_error"] = fitted.held_out_error;
      if (!options->save.empty()) write_file(options->save, fitted.profile.to_json().dump(2) + "\n");
    }
    common.write_json(document);
  });
}

}  // namespace ballast::cluster
