#include "ballast/orch/report.h"

#include <fmt/format.h>

#include <algorithm>

#include "ballast/base/table.h"
#include "ballast/base/units.h"

namespace ballast::orch {

StageCounters StageReport::total() const {
  StageCounters sum;
  for (const auto& m : machine) {
    sum.tasks += m.tasks;
    sum.executed += m.executed;
    sum.task_bytes += m.task_bytes;
    sum.meta_bytes += m.meta_bytes;
    sum.request_bytes += m.request_bytes;
    sum.item_bytes += m.item_bytes;
    sum.reply_bytes += m.reply_bytes;
    sum.update_bytes += m.update_bytes;
    sum.header_bytes += m.header_bytes;
    sum.groups += m.groups;
    sum.leaf_slots += m.leaf_slots;
    sum.inner_slots += m.inner_slots;
    sum.meta_slots += m.meta_slots;
    sum.root_tasks += m.root_tasks;
    sum.root_meta_count += m.root_meta_count;
    sum.most_tasks_of_key = std::max(sum.most_tasks_of_key, m.most_tasks_of_key);
    sum.most_metas_of_key = std::max(sum.most_metas_of_key, m.most_metas_of_key);
    sum.most_item_sends = std::max(sum.most_item_sends, m.most_item_sends);
    sum.absent += m.absent;
    sum.busy_bytes += m.busy_bytes;
    sum.busy_payload_bytes += m.busy_payload_bytes;
    sum.messages += m.messages;
    sum.spilled += m.spilled;
    sum.cpu_ns += m.cpu_ns;
    sum.wall_ns = std::max(sum.wall_ns, m.wall_ns);
  }
  return sum;
}

std::uint64_t StageReport::busiest_bytes() const {
  std::uint64_t most = 0;
  for (const auto& m : machine) most = std::max(most, m.busy_bytes);
  return most;
}

std::uint64_t StageReport::busiest_payload_bytes() const {
  std::uint64_t most = 0;
  for (const auto& m : machine) most = std::max(most, m.busy_payload_bytes);
  return most;
}

double StageReport::imbalance() const {
  std::uint64_t most = 0, sum = 0;
  for (const auto& m : machine) {
    most = std::max(most, m.executed);
    sum += m.executed;
  }
  if (sum == 0) return 1;
  return static_cast<double>(most) * static_cast<double>(machine.size()) / static_cast<double>(sum);
}

double StageReport::seconds() const {
  return static_cast<double>(total().wall_ns) * 1e-9;
}

void StageReport::print(std::FILE* out) const {
  const StageCounters sum = total();
  fmt::print(out, "{} ({}) on {} machines: {} tasks in {} supersteps\n", method, forest, machines,
             sum.executed, supersteps);
  Table table("bytes between machines (counted)", {"carrying", "sum", "busiest machine"});
  const auto row = [&](const char* what, std::uint64_t StageCounters::*field) {
    std::uint64_t most = 0;
    for (const auto& m : machine) most = std::max(most, m.*field);
    if (sum.*field > 0)
      table.row({what, ballast::to_string(Bytes{sum.*field}), ballast::to_string(Bytes{most})});
  };
  row("tasks", &StageCounters::task_bytes);
  row("meta-tasks", &StageCounters::meta_bytes);
  row("requests", &StageCounters::request_bytes);
  row("items", &StageCounters::item_bytes);
  row("replies", &StageCounters::reply_bytes);
  row("updates", &StageCounters::update_bytes);
  row("h, all supersteps", &StageCounters::busy_bytes);
  table.print(out);
  fmt::print(out, "work on the busiest machine: {:.2f} times the mean\n", imbalance());
  if (!hot_keys.empty()) {
    Table hot("most wanted keys (counted)", {"key", "tasks", "owner"});
    for (const auto& key : hot_keys) hot.row({key.key, std::to_string(key.tasks), std::to_string(key.owner)});
    hot.print(out);
  }
}

Json StageReport::to_json() const {
  const StageCounters sum = total();
  Json hot = Json::array();
  for (const auto& key : hot_keys)
    hot.push_back({{"key", key.key}, {"tasks", key.tasks}, {"owner", key.owner}});
  return {{"method", method},
          {"forest", forest},
          {"machines", machines},
          {"supersteps", supersteps},
          {"pull_levels", pull_levels},
          {"executed", sum.executed},
          {"busiest_bytes", busiest_bytes()},
          {"busiest_payload_bytes", busiest_payload_bytes()},
          {"imbalance", imbalance()},
          {"task_bytes", sum.task_bytes},
          {"meta_bytes", sum.meta_bytes},
          {"request_bytes", sum.request_bytes},
          {"item_bytes", sum.item_bytes},
          {"reply_bytes", sum.reply_bytes},
          {"update_bytes", sum.update_bytes},
          {"header_bytes", sum.header_bytes},
          {"leaf_slots", sum.leaf_slots},
          {"inner_slots", sum.inner_slots},
          {"meta_slots", sum.meta_slots},
          {"spilled", sum.spilled},
          {"absent", sum.absent},
          {"hot_keys", hot}};
}

}  // namespace ballast::orch
