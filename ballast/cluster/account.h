// Exact accounting: what every machine sent, received, computed and waited for, superstep by superstep. Bytes
// and messages are counted (the same on every transport, to the byte); times are measured.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "ballast/base/json.h"
#include "ballast/base/table.h"
#include "ballast/cluster/message.h"

namespace ballast::cluster {

/// One machine in one superstep. Bytes are payload; on the wire every message has kFrameHeaderBytes more.
/// What a machine sends to itself is counted apart and is in no other field.
struct SuperstepCount {
  std::uint32_t stage = 0;      ///< number of the stage, from 1
  std::uint32_t superstep = 0;  ///< number within the stage, from 0
  std::uint64_t bytes_out = 0, bytes_in = 0;
  std::uint64_t messages_out = 0, messages_in = 0;
  std::uint64_t self_bytes = 0, self_messages = 0;
  std::uint64_t inbox_bytes = 0;  ///< all payload received, self included: held at once after an exchange
  std::uint64_t cpu_ns = 0;       ///< thread CPU time of the machine since the end of the last one
  std::uint64_t wall_ns = 0;      ///< from the end of the last exchange to the end of this one
  std::uint64_t wait_ns = 0;      ///< of it, inside the exchange

  std::uint64_t wire_out() const { return bytes_out + messages_out * kFrameHeaderBytes; }
  std::uint64_t wire_in() const { return bytes_in + messages_in * kFrameHeaderBytes; }
  /// h of the BSP model: the larger of both directions, on the wire.
  std::uint64_t h() const { return wire_out() > wire_in() ? wire_out() : wire_in(); }
  /// h without frame headers.
  std::uint64_t payload_h() const { return bytes_out > bytes_in ? bytes_out : bytes_in; }
};

/// Everything one machine did.
struct Account {
  std::vector<SuperstepCount> supersteps;
  std::vector<std::string> stages;     ///< names; stage number i is stages[i - 1]
  std::uint64_t collectives = 0;       ///< allreduce, allgather, broadcast, exscan, barrier
  std::uint64_t collective_bytes = 0;  ///< payload this machine contributed to them, counted once

  /// The sum over supersteps (times too).
  SuperstepCount total() const;
  /// Sum over supersteps of h(): the bytes by which this machine is busy.
  std::uint64_t busy_bytes() const;
  void encode(Buffer& out) const;
  static Account decode(Reader& in);
};

/// The accounts of all machines in one table: max and mean by superstep.
Table superstep_table(std::span<const Account> accounts, const std::string& title);
/// `machine,stage,superstep,bytes_out,...`: one line a machine and superstep.
std::string to_csv(std::span<const Account> accounts);
/// Reads what to_csv wrote; throws InvalidInput with file and line.
std::vector<Account> accounts_from_csv(const std::string& text, const std::string& file);
/// P x superstep: a line a machine, a cell a superstep, shaded by h; with the numbers of the busiest.
std::string heat_map(std::span<const Account> accounts);
/// Largest of busy_bytes() over machines.
std::uint64_t busiest_machine_bytes(std::span<const Account> accounts);

}  // namespace ballast::cluster
