// What a stage did: counted bytes by kind, supersteps, work and its balance, the hot keys. All figures are
// counted but `cpu_ns` and `wall_ns`, which are measured.
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include "ballast/base/json.h"
#include "ballast/cluster/machine.h"

namespace ballast::orch {

/// One machine's part. Bytes are those sent to other machines, by what they carry; their sum is the payload
/// that the cluster's account has for the stage.
struct StageCounters {
  std::uint64_t tasks = 0;     ///< tasks in this machine's batch
  std::uint64_t executed = 0;  ///< tasks run on this machine
  std::uint64_t task_bytes = 0, meta_bytes = 0, request_bytes = 0, item_bytes = 0, reply_bytes = 0,
                update_bytes = 0;
  std::uint64_t header_bytes = 0;     ///< of bundles: how many records of which kind follow
  std::uint64_t groups = 0;           ///< distinct keys in this machine's batch that another machine owns
  std::uint64_t leaf_slots = 0;       ///< groups that stayed where they were (pulled)
  std::uint64_t inner_slots = 0;      ///< piles of tasks that stayed at a transit node
  std::uint64_t meta_slots = 0;       ///< piles of meta-tasks
  std::uint64_t root_tasks = 0;       ///< tasks that met their item at its owner
  std::uint64_t root_meta_count = 0;  ///< tasks behind the meta-tasks that reached this owner
  std::uint64_t most_tasks_of_key = 0, most_metas_of_key = 0;  ///< in one message, for one key (and level)
  std::uint64_t most_item_sends = 0;  ///< how often one root or slot sent its item, for one meta level
  std::uint64_t absent = 0;
  std::uint64_t busy_bytes = 0;          ///< sum over supersteps of h (on the wire)
  std::uint64_t busy_payload_bytes = 0;  ///< the same without frame headers
  std::uint64_t messages = 0;
  std::uint64_t spilled = 0;  ///< tasks that an owner gave back to where they came from
  std::uint64_t cpu_ns = 0;
  std::uint64_t wall_ns = 0;  ///< of the stage itself, without this report

  std::uint64_t payload_sent() const {
    return task_bytes + meta_bytes + request_bytes + item_bytes + reply_bytes + update_bytes + header_bytes;
  }
};

/// A key and how many tasks of the stage asked for it.
struct HotKey {
  std::string key;
  std::uint64_t tasks = 0;
  int owner = 0;
};

struct StageReport {
  std::string method;
  std::string forest;
  int machines = 0;
  int supersteps = 0;
  int pull_levels = 0;  ///< L: depth of co-location
  std::uint64_t push_limit_leaf = 0, push_limit_inner = 0, meta_limit = 0;
  std::vector<StageCounters> machine;  ///< by id
  std::vector<HotKey> hot_keys;        ///< the most wanted first (td-orch and push know them)

  StageCounters total() const;
  std::uint64_t busiest_bytes() const;
  std::uint64_t busiest_payload_bytes() const;
  /// Largest number of tasks run on one machine over the mean; 1 is perfect balance.
  double imbalance() const;
  /// Measured seconds of the stage on its slowest machine, the gathering of this report left out.
  double seconds() const;
  void print(std::FILE* out) const;
  Json to_json() const;
};

}  // namespace ballast::orch
