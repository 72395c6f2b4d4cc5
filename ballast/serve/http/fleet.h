// The replicas behind a router, and which of them is asked in which order (specification 4.7): plain state,
// no transport.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ballast/base/json.h"
#include "ballast/base/random.h"

namespace ballast::serve {

struct ReplicaEntry {
  std::string host, port;
  bool up = true;
  int here = 0;  ///< requests of this router that are there now
  std::int64_t asked = 0, taken = 0, refused = 0, lost = 0;
  std::string url() const { return "http://" + host + ":" + port; }
};

struct RouteSettings {
  enum class Balancer { round_robin, least_requests, power_of_two };
  enum class Backup { best_effort, decline, downgrade };
  Balancer first = Balancer::round_robin;
  int limit = 0;  ///< replicas that are asked for a promise; 0: all
  Backup backup = Backup::best_effort;
  std::string downgrade_tier = "chatbot";
  static Balancer balancer_from_string(const std::string& word);
  static Backup backup_from_string(const std::string& word);
};

class Fleet {
 public:
  /// Throws InvalidInput for a URL that is none, or for none.
  Fleet(const std::vector<std::string>& urls, RouteSettings settings, std::uint64_t seed);

  const RouteSettings& settings() const { return settings_; }
  std::vector<ReplicaEntry>& replicas() { return replicas_; }
  const std::vector<ReplicaEntry>& replicas() const { return replicas_; }
  int up() const;

  /// The replicas to ask for a promise, in order: the balancer's choice, then the next ones round, those that
  /// are down left out, at most the route limit. Each call is one request.
  std::vector<std::size_t> route();
  /// Who serves a request that nobody promised anything: the one with the fewest requests here. nullopt: all
  /// are down.
  std::optional<std::size_t> least_loaded() const;
  Json to_json() const;

 private:
  RouteSettings settings_;
  std::vector<ReplicaEntry> replicas_;
  Random random_;
  std::size_t turn_ = 0;
};

}  // namespace ballast::serve
