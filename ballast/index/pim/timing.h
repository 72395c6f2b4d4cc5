// From counts to the time that a PIM machine would take: a model, never a measurement. The default profile is
// that of the published characterisation of UPMEM hardware (PrIM, arXiv:2105.03814); what it does not give is
// marked assumed.
//
//   const Modelled m = modelled(tree.cost(), operations, Profile::upmem_p21());
//   m.operations_per_s, and m.low / m.high when every parameter is halved and doubled in turn
//
// Per round: T = launch + send + slowest module + receive, where
//   send, receive   transfer set-up + padded bytes of a rank / its bandwidth, ranks in parallel up to the
//   machine's cap;
//                   broadcasts at the broadcast bandwidth
//   module          the largest of: all instructions at one a cycle; a tasklet's instructions, one every 11
//   cycles, and
//                   the latencies of its memory transfers; the bytes of all memory transfers
// The work of the slowest module is taken to be spread evenly over its tasklets (assumed).
#pragma once

#include <span>
#include <string>
#include <utility>
#include <vector>

#include "ballast/index/pim/machine.h"

namespace ballast::pim {

struct Profile {
  std::string name = {};
  std::string source = {};                ///< where the figures come from
  std::vector<std::string> assumed = {};  ///< fields that the source does not give
  double frequency_hz;
  double issue_interval;  ///< cycles between two instructions of one tasklet
  double tasklets;
  double transfer_latency;  ///< cycles of a memory transfer before its bytes
  double memory_bytes_per_cycle;
  double row_miss_cycles;  ///< of a transfer that leaves the open row of 1 KiB
  double rank_modules;
  double up_bytes_per_s;  ///< CPU to the modules of a rank
  double down_bytes_per_s;
  double broadcast_bytes_per_s;
  double machine_bytes_per_s;    ///< cap over all ranks (assumed)
  double launch_s;               ///< of a round (assumed)
  double transfer_s;             ///< set-up of one transfer (assumed)
  double instructions_per_step;  ///< machine instructions for one counted step (assumed)
  double cpu_cores;              ///< that share the CPU side's work (assumed)
  double cpu_efficiency;         ///< of them (assumed)

  static Profile upmem_p21();  ///< the default (profiles.yaml has more, profiles.h finds them)
};

/// Cycles of the busiest module in this round.
double module_cycles(const RoundRecord& round, const Profile& profile);

/// Modelled seconds of these rounds, CPU work left out.
double modelled_seconds(const Cost& cost, const Profile& profile);
double modelled_seconds(const RoundRecord& round, std::uint32_t modules, const Profile& profile);

/// Modelled seconds of these batches, taken in turn by `drivers` drivers: a schedule over two resources, the
/// CPU side (measured thread time over cpu_cores * cpu_efficiency) and the modules with their links. With one
/// driver it is their sum. For batches that may overlap (reads).
double pipelined_seconds(std::span<const Cost> batches, const Profile& profile, std::uint32_t drivers);

struct Modelled {
  double seconds = 0;
  double operations_per_s = 0;
  double low = 0, high = 0;  ///< operations a second over all halved and doubled parameters
};
Modelled modelled(const Cost& cost, double operations, const Profile& profile);

/// How many times faster `a` is than `b` for the same operations, and the range over the sensitivity.
struct ModelledRatio {
  double ratio, low, high;
};
ModelledRatio modelled_ratio(const Cost& a, const Cost& b, const Profile& profile);

/// What sensitivity() changes, by name.
const std::vector<std::pair<std::string, double Profile::*>>& sensitive_parameters();
/// The profile with one parameter changed, for each parameter halved and doubled.
std::vector<Profile> sensitivity(const Profile& profile);

}  // namespace ballast::pim
