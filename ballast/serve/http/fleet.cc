#include "ballast/serve/http/fleet.h"

#include <algorithm>

#include "ballast/base/cli.h"
#include "ballast/base/errors.h"
#include "ballast/serve/load/load_client.h"

namespace ballast::serve {

RouteSettings::Balancer RouteSettings::balancer_from_string(const std::string& word) {
  cli::require_one_of("--first", word, {"round_robin", "least_requests", "power_of_two"});
  return word == "round_robin"      ? Balancer::round_robin
         : word == "least_requests" ? Balancer::least_requests
                                    : Balancer::power_of_two;
}

RouteSettings::Backup RouteSettings::backup_from_string(const std::string& word) {
  cli::require_one_of("--backup", word, {"best_effort", "decline", "downgrade"});
  return word == "best_effort" ? Backup::best_effort
         : word == "decline"   ? Backup::decline
                               : Backup::downgrade;
}

Fleet::Fleet(const std::vector<std::string>& urls, RouteSettings settings, std::uint64_t seed)
    : settings_(std::move(settings)), random_(seed, 0x666c656574) {
  if (urls.empty()) throw InvalidInput("--replica is needed at least once: http://HOST:PORT");
  for (const std::string& url : urls) {
    const LoadTarget target = parse_url(url);
    replicas_.push_back({.host = target.host, .port = target.port});
  }
}

int Fleet::up() const {
  return static_cast<int>(
      std::count_if(replicas_.begin(), replicas_.end(), [](const ReplicaEntry& r) { return r.up; }));
}

std::vector<std::size_t> Fleet::route() {
  std::vector<std::size_t> alive;
  for (std::size_t i = 0; i < replicas_.size(); ++i) {
    if (replicas_[i].up) alive.push_back(i);
  }
  if (alive.empty()) return {};
  std::size_t first = turn_++ % alive.size();
  auto here = [&](std::size_t place) { return replicas_[alive[place]].here; };
  if (settings_.first == RouteSettings::Balancer::least_requests) {
    for (std::size_t i = 0; i < alive.size(); ++i) first = here(i) < here(first) ? i : first;
  } else if (settings_.first == RouteSettings::Balancer::power_of_two) {
    const std::size_t a = random_.below(alive.size()), b = random_.below(alive.size());
    first = here(a) <= here(b) ? a : b;
  }
  std::rotate(alive.begin(), alive.begin() + static_cast<std::ptrdiff_t>(first), alive.end());
  if (settings_.limit > 0 && std::ssize(alive) > settings_.limit)
    alive.resize(static_cast<std::size_t>(settings_.limit));
  return alive;
}

std::optional<std::size_t> Fleet::least_loaded() const {
  std::optional<std::size_t> best;
  for (std::size_t i = 0; i < replicas_.size(); ++i) {
    if (replicas_[i].up && (!best || replicas_[i].here < replicas_[*best].here)) best = i;
  }
  return best;
}

Json Fleet::to_json() const {
  Json list = Json::array();
  for (const ReplicaEntry& r : replicas_)
    list.push_back({{"url", r.url()},
                    {"up", r.up},
                    {"here", r.here},
                    {"asked", r.asked},
                    {"taken", r.taken},
                    {"refused", r.refused},
                    {"lost", r.lost}});
  return {{"replicas", list}};
}

}  // namespace ballast::serve
