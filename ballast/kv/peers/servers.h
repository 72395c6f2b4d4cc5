// Servers beside which `kv serve` is measured, as processes of their own, and the client that loads all of
// them alike: some connections on one thread, each with a pipeline of requests of one kind in flight.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace ballast::kv {

enum class Protocol { resp, memcached };

/// A server process on a port of loopback; it ends with this object.
class ServerProcess {
 public:
  ~ServerProcess();
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;

  /// `ballast-kv serve`, redis-server, memcached. nullptr where the program is not installed. Throw
  /// Unavailable when it does not answer within 10 seconds.
  static std::unique_ptr<ServerProcess> ballast(int machines);
  static std::unique_ptr<ServerProcess> redis();
  static std::unique_ptr<ServerProcess> memcached();

  const std::string& name() const { return name_; }
  const std::string& version() const { return version_; }
  Protocol protocol() const { return protocol_; }
  std::uint16_t port() const { return port_; }

 private:
  ServerProcess(std::string name, std::string version, Protocol protocol, std::uint16_t port,
                const std::vector<std::string>& words);

  std::string name_, version_;
  Protocol protocol_;
  std::uint16_t port_;
  int process_ = -1;
};

struct Load {
  bool writes = false;  ///< SET, else GET
  int connections = 20;
  int pipeline = 64;
  std::uint64_t requests = 100'000;
  std::uint64_t keys = 10'000;
  std::uint32_t value_bytes = 100;
  std::uint64_t seed = 1;
};
struct LoadResult {
  double requests_per_s = 0;
  double p50_us = 0, p99_us = 0;  ///< from sending a pipeline to its last answer
};
/// Every key is there before (fill once with writes over all keys). Throws Unavailable when a server answers
/// with something else than the value, or not at all.
LoadResult run_load(const ServerProcess& server, const Load& load);
/// Sets all keys of the load.
void fill(const ServerProcess& server, const Load& load);

}  // namespace ballast::kv
