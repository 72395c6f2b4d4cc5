// `kv bench --suite server`: the server beside Redis and memcached, each a process of its own, loaded in
// turns by the same client with the same requests and pipelines.
#include <fmt/format.h>

#include <map>

#include "ballast/base/bench.h"
#include "ballast/base/units.h"
#include "ballast/kv/peers/servers.h"
#include "ballast/kv/verbs.h"

namespace ballast::kv {

void server_rows(const cli::Common& common, Bench& bench, int rounds) {
  constexpr int kMachines = 2;
  std::vector<std::unique_ptr<ServerProcess>> servers;
  servers.push_back(ServerProcess::ballast(kMachines));
  auto redis = ServerProcess::redis(), memcached = ServerProcess::memcached();
  const bool redis_there = redis != nullptr, memcached_there = memcached != nullptr;
  if (redis) servers.push_back(std::move(redis));
  if (memcached) servers.push_back(std::move(memcached));
  std::map<std::string, std::string> versions;
  for (const auto& server : servers) {
    fill(*server, {});
    versions[server->name()] = server->version();
  }
  Table table("20 connections, values of 100 bytes, 10 000 keys (measured; all on this host)",
              {"requests", "in flight a connection", "server", "requests/s", "p50 us", "p99 us"});
  for (bool writes : {false, true}) {
    for (int pipeline : {1, 64}) {
      cli::stop_if_interrupted();
      Comparison rate, tail, middle;
      for (int round = -1; round < rounds; ++round) {
        for (const auto& server : servers) {
          const auto result =
              run_load(*server, {.writes = writes,
                                 .pipeline = pipeline,
                                 .requests = pipeline == 1 ? 20'000u : 100'000u,
                                 .seed = common.seed + static_cast<std::uint64_t>(round + 1)});
          if (round < 0) continue;
          rate.figures[server->name()].push_back(result.requests_per_s);
          tail.figures[server->name()].push_back(result.p99_us);
          middle.figures[server->name()].push_back(result.p50_us);
        }
      }
      const std::string what = writes ? "SET" : "GET";
      for (const auto& server : servers)
        table.row({what, std::to_string(pipeline), server->name(), format_count(rate.median(server->name())),
                   fmt::format("{:.0f}", middle.median(server->name())),
                   fmt::format("{:.0f}", tail.median(server->name()))});
      for (const auto& [peer, there] :
           {std::pair{std::string("Redis"), redis_there}, {"memcached", memcached_there}}) {
        const std::string id = fmt::format("server.{}.p{}.{}", writes ? "set" : "get", pipeline, peer);
        const auto add = [&](const std::string& end, const std::string& figure, const std::string& unit,
                             Better better, const Comparison& comparison) {
          BenchRow row{
              .id = id + end,
              .what = fmt::format("{} of {}, pipelines of {}, against {}", figure, what, pipeline, peer),
              .unit = unit,
              .better = better,
              .note = fmt::format("{} machines, 20 connections; no target: said as it is", kMachines)};
          if (there) {
            row.comparison = comparison;
            row.ours_name = servers[0]->name();
            row.peer_name = peer;
          } else {
            row.ours = comparison.median(servers[0]->name());
            row.peer = Peer{peer, std::nullopt};
            row.note = "not installed";
          }
          bench.add(row);
        };
        add("", "requests/s", "1/s", Better::higher, rate);
        add(".p99", "p99 of a pipeline's time", "us", Better::lower, tail);
      }
    }
  }
  if (common.for_people()) table.print(stdout);
  bench.section().table(table);
}

}  // namespace ballast::kv
