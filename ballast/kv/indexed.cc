#include "ballast/kv/indexed.h"

#include <functional>
#include <map>

namespace ballast::kv {
namespace {

using Text = orch::Wire<std::string>;
using Map = index::DistributedMap<std::string>;

// No key is greater.
const std::string& last_key() {
  static const std::string key(orch::kMostKeyBytes, '\xff');
  return key;
}

// Whether the answer or the write depends on the value, and not only on its being there.
bool needs_value(Kind kind) {
  return kind != Kind::put && kind != Kind::erase && kind != Kind::exists;
}

/// Writes that are no plain puts meet at one machine a key, which merges them, reads the value that they
/// start from, and hands the outcome to the index.
void merge_and_apply(cluster::Machine& me, Map& map, std::map<std::string, Write> writes) {
  cluster::Outbox out = me.outbox();
  for (const auto& [key, write] : writes) {
    const auto machines = static_cast<std::uint64_t>(me.machines());
    Buffer& buffer = out.to(static_cast<int>(orch::hash_key(key, 0x6b76) % machines));
    Text::put(buffer, key);
    write.encode(buffer);
  }
  const cluster::Inbox in = me.exchange(std::move(out));
  std::map<std::string, Write> merged;
  for (int m = 0; m < me.machines(); ++m) {
    for (Reader reader = in.from(m); !reader.empty();) {
      std::string key = Text::get(reader);
      Write write = Write::decode(reader);
      const auto [at, fresh] = merged.try_emplace(std::move(key));
      at->second = fresh ? std::move(write) : Access::merge(std::move(at->second), std::move(write));
    }
  }
  std::vector<std::string> keys;
  for (const auto& [key, write] : merged) keys.push_back(key);
  const auto before = map.get(keys);
  std::vector<Row> puts;
  std::vector<std::string> erased;
  std::size_t i = 0;
  for (auto& [key, write] : merged) {
    const bool there = before[i].has_value();
    Value value{there ? *before[i] : std::string(), !there};
    ++i;
    Access::apply(value, std::move(write));
    if (!value.gone) {
      puts.emplace_back(key, std::move(value.bytes));
    } else if (there) {
      erased.push_back(key);
    }
  }
  map.erase(erased);
  map.insert(puts);
}

}  // namespace

void run_ordered(cluster::Machine& me, IndexedStore& store, OrderedBatch& batch) {
  Map& map = store.map();
  batch.answers_.assign(batch.size(), {});
  std::vector<std::pair<std::string, std::string>> ranges;
  std::vector<std::uint64_t> limits;
  std::vector<std::string> asked_value, asked_presence;
  std::vector<std::size_t> scans, value_of, presence_of;
  for (std::size_t i = 0; i < batch.size(); ++i) {
    const auto& asked = batch.asked_[i];
    if (asked.count > 0) {
      ranges.emplace_back(asked.key, last_key());
      limits.push_back(asked.count);
      scans.push_back(i);
    } else if (needs_value(asked.operation.kind)) {
      asked_value.push_back(asked.key);
      value_of.push_back(i);
    } else {
      asked_presence.push_back(asked.key);
      presence_of.push_back(i);
    }
  }
  const auto anywhere = [&](std::size_t count) {
    return me.allreduce(std::uint64_t{count}, std::plus<>()) > 0;
  };
  if (anywhere(scans.size())) {
    auto rows = map.scan(ranges, limits);
    for (std::size_t s = 0; s < scans.size(); ++s) {
      auto& answer = batch.answers_[scans[s]];
      answer.rows = std::move(rows[s]);
      answer.answer.status = answer.rows.empty() ? Status::absent : Status::found;
    }
  }
  // Ids rise with machines and with the order of the operations, as those of tasks do.
  std::map<std::string, Write> writes;
  bool only_puts = true;
  std::vector<Row> puts;  // in the order of the batch
  const auto work = [&](std::size_t i, const Value* value) {
    std::optional<Write> write;
    const auto& asked = batch.asked_[i];
    batch.answers_[i].answer = operate(asked.operation, value, orch::task_id(me.id(), i), write);
    if (!write) return;
    if (asked.operation.kind == Kind::put) {
      puts.emplace_back(asked.key, asked.operation.value);
    } else {
      only_puts = false;
    }
    const auto [at, fresh] = writes.try_emplace(asked.key);
    at->second = fresh ? std::move(*write) : Access::merge(std::move(at->second), std::move(*write));
  };
  if (anywhere(asked_value.size())) {
    const auto found = map.get(asked_value);
    for (std::size_t i = 0; i < found.size(); ++i) {
      const Value value{found[i].value_or("")};
      work(value_of[i], found[i] ? &value : nullptr);
    }
  }
  if (anywhere(asked_presence.size())) {
    const std::vector<bool> found = map.contains(asked_presence);
    const Value present;
    for (std::size_t i = 0; i < found.size(); ++i) work(presence_of[i], found[i] ? &present : nullptr);
  }
  if (!anywhere(writes.size())) return;
  if (anywhere(only_puts ? 0 : 1)) {
    merge_and_apply(me, map, std::move(writes));
  } else {
    map.insert(puts);  // of one key's the last of the highest machine wins: the rule of ids
  }
}

}  // namespace ballast::kv
