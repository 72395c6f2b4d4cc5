#include "ballast/index/pim/timing.h"

#include <algorithm>
#include <cmath>

#include "ballast/index/pim/profiles.h"

namespace ballast::pim {

Profile Profile::upmem_p21() {
  return find_profile("upmem-p21");
}

double module_cycles(const RoundRecord& round, const Profile& p) {
  const double instructions = p.instructions_per_step * static_cast<double>(round.most_work);
  const double occupancy = 8 * static_cast<double>(round.most_memory_words) / p.memory_bytes_per_cycle +
                           static_cast<double>(round.most_row_misses) * p.row_miss_cycles;
  const double latency = static_cast<double>(round.most_transfers) * p.transfer_latency + occupancy;
  return std::max({instructions, (p.issue_interval * instructions + latency) / p.tasklets, occupancy});
}

double modelled_seconds(const RoundRecord& round, std::uint32_t modules, const Profile& p) {
  const double ranks = std::ceil(modules / p.rank_modules);
  const double in_rank = std::min<double>(modules, p.rank_modules);
  const auto transfer = [&](double words, double bytes_per_s) {
    if (words == 0) return 0.0;
    const double rank_bytes = 8 * words * in_rank;
    return p.transfer_s + std::max(rank_bytes / bytes_per_s, rank_bytes * ranks / p.machine_bytes_per_s);
  };
  const double own = static_cast<double>(round.most_sent - std::min(round.most_sent, round.broadcast_words));
  const double broadcast = static_cast<double>(round.broadcast_words);
  return p.launch_s + transfer(own, p.up_bytes_per_s) + transfer(broadcast, p.broadcast_bytes_per_s) +
         module_cycles(round, p) / p.frequency_hz +
         transfer(static_cast<double>(round.most_received), p.down_bytes_per_s);
}

double modelled_seconds(const Cost& cost, const Profile& profile) {
  double seconds = 0;
  for (const auto& round : cost.rounds) seconds += modelled_seconds(round, cost.modules, profile);
  return seconds;
}

double pipelined_seconds(std::span<const Cost> batches, const Profile& p, std::uint32_t drivers) {
  struct Place {
    std::size_t batch = 0, round = 0;
    double ready = 0;
  };
  std::vector<Place> at(drivers);
  std::size_t next = 0;
  for (auto& place : at) place.batch = next++;
  double cpu_free = 0, modules_free = 0, end = 0;
  for (;;) {
    // The driver that was ready first goes on: its CPU work, then its round.
    Place* first = nullptr;
    for (auto& place : at)
      if (place.batch < batches.size() && (first == nullptr || place.ready < first->ready)) first = &place;
    if (first == nullptr) return end;
    const Cost& cost = batches[first->batch];
    if (first->round == cost.rounds.size()) {
      *first = {next++, 0, first->ready};
      continue;
    }
    const RoundRecord& round = cost.rounds[first->round++];
    const double cpu_s = 1e-9 * static_cast<double>(round.cpu_ns) / (p.cpu_cores * p.cpu_efficiency);
    cpu_free = std::max(cpu_free, first->ready) + cpu_s;
    modules_free = std::max(modules_free, cpu_free) + modelled_seconds(round, cost.modules, p);
    first->ready = modules_free;
    end = std::max(end, modules_free);
  }
}

const std::vector<std::pair<std::string, double Profile::*>>& sensitive_parameters() {
  static const std::vector<std::pair<std::string, double Profile::*>> parameters = {
      {"frequency_hz", &Profile::frequency_hz},
      {"issue_interval", &Profile::issue_interval},
      {"tasklets", &Profile::tasklets},
      {"transfer_latency", &Profile::transfer_latency},
      {"memory_bytes_per_cycle", &Profile::memory_bytes_per_cycle},
      {"row_miss_cycles", &Profile::row_miss_cycles},
      {"up_bytes_per_s", &Profile::up_bytes_per_s},
      {"down_bytes_per_s", &Profile::down_bytes_per_s},
      {"broadcast_bytes_per_s", &Profile::broadcast_bytes_per_s},
      {"machine_bytes_per_s", &Profile::machine_bytes_per_s},
      {"launch_s", &Profile::launch_s},
      {"transfer_s", &Profile::transfer_s},
      {"instructions_per_step", &Profile::instructions_per_step}};
  return parameters;
}

std::vector<Profile> sensitivity(const Profile& profile) {
  std::vector<Profile> all;
  for (const auto& [name, parameter] : sensitive_parameters()) {
    for (const double factor : {0.5, 2.0}) {
      all.push_back(profile);
      all.back().*parameter *= factor;
    }
  }
  return all;
}

Modelled modelled(const Cost& cost, double operations, const Profile& profile) {
  Modelled out;
  out.seconds = modelled_seconds(cost, profile);
  out.operations_per_s = out.low = out.high = operations / out.seconds;
  for (const auto& other : sensitivity(profile)) {
    const double rate = operations / modelled_seconds(cost, other);
    out.low = std::min(out.low, rate);
    out.high = std::max(out.high, rate);
  }
  return out;
}

ModelledRatio modelled_ratio(const Cost& a, const Cost& b, const Profile& profile) {
  ModelledRatio out{};
  out.ratio = out.low = out.high = modelled_seconds(b, profile) / modelled_seconds(a, profile);
  for (const auto& other : sensitivity(profile)) {
    const double ratio = modelled_seconds(b, other) / modelled_seconds(a, other);
    out.low = std::min(out.low, ratio);
    out.high = std::max(out.high, ratio);
  }
  return out;
}

}  // namespace ballast::pim
