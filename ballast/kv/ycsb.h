// YCSB (Cooper et al., SoCC 2010): its workloads as batches. Records are 10 fields of 100 bytes by default; a
// read takes the whole record, an update writes one field, a read-modify-write does both, an insert makes a
// new record. Workloads with scans (E) run on the ordered store, whose records are real strings.
//
//   Workload workload = Workload::named("A");            // or from_properties("workloads/workloada")
//   auto result = run_workload(cluster, workload, {"push", "td-orch"}, ...);
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "ballast/cluster/cluster.h"
#include "ballast/data/ycsb.h"
#include "ballast/orch/options.h"
#include "ballast/orch/report.h"

namespace ballast::kv {

struct Workload {
  std::string name;
  double read = 0.5, update = 0.5, insert = 0, read_modify_write = 0,
         scan = 0;  ///< shares; their sum is 1
  data::KeyLaw law = data::KeyLaw::zipf;
  double exponent = 0.99;
  std::uint64_t records = 100'000;
  std::uint32_t fields = 10, field_bytes = 100;
  bool read_all_fields = true;   ///< else one field
  std::uint32_t max_scan = 100;  ///< entries of a scan: 1 to this, uniform

  /// A to F. Throws InvalidInput for what is none.
  static Workload named(const std::string& letter);
  /// An original .properties file. Throws InvalidInput with file and line for what is unknown or wrong.
  static Workload from_properties(const std::string& path);
  std::uint32_t record_bytes() const { return fields * field_bytes; }
};

/// The method that runs a workload with scans on the index (indexed.h) and not on ranges with orch's methods.
inline constexpr char kIndexMethod[] = "index";

struct WorkloadResult {
  std::string method;
  orch::StageReport report = {};  ///< of the last batch
  std::uint64_t operations = 0;
  double seconds = 0;                          ///< measured, of all batches
  std::uint64_t busiest_bytes = 0;             ///< counted, of all batches
  double hottest_share = 0, top100_share = 0;  ///< of the keys drawn
  std::uint64_t digest = 0;  ///< of all replies and of the store at the end: equal for all methods
};

/// `rounds` batches of `batch` operations a machine, with each method on a fresh store. Throws StageFailed
/// when the methods' results differ.
std::vector<WorkloadResult> run_workload(cluster::Cluster& cluster, const Workload& workload,
                                         const std::vector<std::string>& methods, std::uint64_t batch,
                                         int rounds, std::uint64_t seed);

/// The same for a workload with scans, on the ordered store (called by run_workload).
std::vector<WorkloadResult> run_scan_workload(cluster::Cluster& cluster, const Workload& workload,
                                              const std::vector<std::string>& methods, std::uint64_t batch,
                                              int rounds, std::uint64_t seed);

// Shared by both:

/// Sets the shares of the hottest keys from how often each was drawn. The counts are of machine 0's draws:
/// all machines draw from one law.
void set_shares(WorkloadResult& result, const std::map<std::uint64_t, std::uint64_t>& drawn);
/// Throws StageFailed when two methods left different stores or replies.
void require_equal_digests(const std::vector<WorkloadResult>& results);

}  // namespace ballast::kv
