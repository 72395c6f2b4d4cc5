// YCSB workloads with scans (E) on the ordered store.
#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <map>
#include <optional>

#include "ballast/base/bench.h"
#include "ballast/base/file.h"
#include "ballast/kv/indexed.h"
#include "ballast/kv/ycsb.h"
#include "ballast/orch/workload.h"

namespace ballast::kv {
namespace {

constexpr std::uint64_t kEntriesOfACell = 128;

// As YCSB's insertorder=hashed: neighbours in key order are not neighbours in number.
std::string key_of(std::uint64_t number) {
  return fmt::format("user{:019}", mix64(number) >> 1);
}

std::string value_of(std::uint64_t number, std::uint64_t version, std::uint32_t bytes) {
  std::string value(bytes, 'x');
  const std::string mark = fmt::format("{:016x}", mix64(number * 31 + version));
  std::copy_n(mark.begin(), std::min<std::size_t>(mark.size(), value.size()), value.begin());
  return value;
}

}  // namespace

std::vector<WorkloadResult> run_scan_workload(cluster::Cluster& cluster, const Workload& workload,
                                              const std::vector<std::string>& methods,
                                              std::uint64_t batch_size, int rounds, std::uint64_t seed) {
  std::vector<orch::Options> options;
  const orch::Options plain{.hot_keys = 0};  // no other method counts demand
  for (const auto& name : methods)
    options.push_back(name == kIndexMethod ? plain : orch::options_from_name(name, plain));
  const data::KeyChooser keys(
      {.law = workload.law, .records = workload.records, .exponent = workload.exponent}, seed);
  std::vector<WorkloadResult> results;
  cluster.run([&](cluster::Machine& me) {
    const auto machines = static_cast<std::uint64_t>(me.machines()), id = static_cast<std::uint64_t>(me.id());
    std::vector<std::string> part;
    for (std::uint64_t n = id; n < workload.records; n += machines) part.push_back(key_of(n));
    const Ranges ranges = Ranges::from_sample(me, std::move(part), kEntriesOfACell);
    for (std::size_t m = 0; m < methods.size(); ++m) {
      std::optional<OrderedStore> cells;
      std::optional<IndexedStore> indexed;
      if (methods[m] == kIndexMethod) {
        std::vector<Row> rows;
        for (std::uint64_t n = id; n < workload.records; n += machines)
          rows.emplace_back(key_of(n), value_of(n, 0, workload.record_bytes()));
        indexed.emplace(me, index::DistributedOptions{.seed = seed});
        indexed->load(rows);
      } else {
        cells.emplace(me, ranges);
        for (std::uint64_t n = 0; n < workload.records; ++n) {
          const std::string key = key_of(n);
          if (cells->owns(ranges.cell_of(key))) cells->load(key, value_of(n, 0, workload.record_bytes()));
        }
      }
      WorkloadResult result{.method = methods[m]};
      std::map<std::uint64_t, std::uint64_t> drawn;
      std::uint64_t digest = 0;
      for (int round = 0; round < rounds; ++round) {
        OrderedBatch batch;
        Random random(seed, mix64(static_cast<std::uint64_t>(round) << 32 | id));
        for (std::uint64_t i = 0; i < batch_size; ++i) {
          const std::uint64_t at = static_cast<std::uint64_t>(round) * batch_size + i;
          const std::uint64_t number = keys.at(id, at), version = random();
          const double u = random.uniform();
          if (m == 0) ++drawn[number];
          if (u < workload.scan) {
            batch.scan(key_of(number), 1 + static_cast<std::uint32_t>(random.below(workload.max_scan)));
          } else if (u < workload.scan + workload.read) {
            batch.add(key_of(number), get());
          } else if (u < workload.scan + workload.read + workload.update) {
            batch.add(key_of(number), put(value_of(number, version, workload.record_bytes())));
          } else {
            const std::uint64_t fresh = workload.records + at * machines + id;
            batch.add(key_of(fresh), put(value_of(fresh, version, workload.record_bytes())));
          }
        }
        me.barrier();
        if (indexed) {
          me.account() = {};
          const double seconds = time_of([&] { run_ordered(me, *indexed, batch); });
          const auto most = [](auto a, auto b) { return std::max(a, b); };
          const std::uint64_t bytes = me.account().busy_bytes();
          result.seconds += me.allreduce(seconds, most);
          result.busiest_bytes += me.allreduce(bytes, most);
        } else {
          for (auto& report : run_ordered(me, *cells, batch, options[m])) {
            result.seconds += report.seconds();
            result.busiest_bytes += report.busiest_bytes();
            result.report = std::move(report);
          }
        }
        result.operations += batch_size * machines;
        for (std::size_t i = 0; i < batch.size(); ++i) {
          std::uint64_t content = checksum64(batch.answer(i).value);
          for (const auto& [key, value] : batch.rows(i))
            content = mix64(content ^ checksum64(key) ^ checksum64(value));
          digest += mix64(content + i);
        }
      }
      const auto take = [&](const Row& row) {
        digest += mix64(checksum64(row.first) ^ mix64(checksum64(row.second)));
      };
      if (indexed) {
        using Range = std::pair<std::string, std::string>;
        std::vector<Range> all;  // machine 0 reads everything
        if (me.is_first()) all.emplace_back("", std::string(orch::kMostKeyBytes, '\xff'));
        for (const auto& rows : indexed->map().scan(all)) std::for_each(rows.begin(), rows.end(), take);
      } else {
        for (const auto& [at, cell] : cells->all()) std::for_each(cell.rows.begin(), cell.rows.end(), take);
      }
      result.digest = me.allreduce(digest, std::plus<>());
      if (m == 0) set_shares(result, drawn);
      if (me.is_first()) results.push_back(std::move(result));
    }
  });
  require_equal_digests(results);
  return results;
}

}  // namespace ballast::kv
