#include "ballast/index/mixed.h"

#include <algorithm>
#include <map>

#include "ballast/base/cli.h"
#include "ballast/base/random.h"

namespace ballast::index {
namespace {

using Type = Operation::Type;

// The order in which a phase batch carries its kinds out.
int phase_of(Type type) {
  switch (type) {
    case Type::remove:
      return 1;
    case Type::update:
      return 2;
    case Type::insert:
      return 3;
    default:
      return 0;  // reads
  }
}

// The largest phase of an earlier operation on each key that was written in this piece. An operation
// conflicts when an earlier one that it must see would come after it.
class Writes {
 public:
  bool conflicts(const Operation& operation) const {
    const Key key = ordered(operation.key);
    const auto later = [&](const auto& write) { return write.second > phase_of(operation.type); };
    switch (operation.type) {
      case Type::nothing:
        return false;
      case Type::predecessor:  // any key up to the question may be the answer
        return !phases_.empty() && phases_.begin()->first <= key;
      case Type::scan: {
        const auto from = phases_.lower_bound(key);
        return from != phases_.end() && from->first <= ordered(operation.value);
      }
      default: {
        const auto found = phases_.find(key);
        // The second of two removes must not find the key.
        return found != phases_.end() && (operation.type == Type::remove || later(*found));
      }
    }
  }
  void add(const Operation& operation) {
    const int phase = phase_of(operation.type);
    if (phase == 0) return;
    int& most = phases_[ordered(operation.key)];
    most = std::max(most, phase);
  }

 private:
  std::map<Key, int> phases_;
};

void run_phases(OrderedIndex& index, std::span<const Operation> operations,
                std::span<OperationAnswer> answers, std::uint64_t limit, std::uint64_t& batches) {
  for (const Type type :
       {Type::get, Type::predecessor, Type::scan, Type::remove, Type::update, Type::insert}) {
    std::vector<std::size_t> places;
    std::vector<Key> keys;
    std::vector<Entry> entries;
    std::vector<KeyRange> ranges;
    for (std::size_t i = 0; i < operations.size(); ++i) {
      if (operations[i].type != type) continue;
      places.push_back(i);
      const Key key = ordered(operations[i].key);
      keys.push_back(key);
      entries.push_back({key, static_cast<Value>(operations[i].value)});
      ranges.push_back({key, ordered(operations[i].value)});
    }
    if (places.empty()) continue;
    ++batches;
    if (type == Type::get) {
      const auto found = index.get(keys);
      for (std::size_t i = 0; i < places.size(); ++i)
        if (found[i]) answers[places[i]] = {true, {keys[i], *found[i]}, {}};
    } else if (type == Type::predecessor) {
      const auto found = index.predecessor(keys);
      for (std::size_t i = 0; i < places.size(); ++i)
        if (found[i]) answers[places[i]] = {true, *found[i], {}};
    } else if (type == Type::scan) {
      const Rows rows = index.scan_first(ranges, limit);
      for (std::size_t i = 0; i < places.size(); ++i)
        answers[places[i]] = {!rows[i].empty(), {}, {rows[i].begin(), rows[i].end()}};
    } else if (type == Type::insert) {
      index.insert(entries);
    } else {
      const auto found = type == Type::remove ? index.erase(keys) : index.update(entries);
      for (std::size_t i = 0; i < places.size(); ++i) answers[places[i]].found = found[i];
    }
  }
}

}  // namespace

Order order_from(const std::string& flag, const std::string& word) {
  cli::require_one_of(flag, word, {"phase", "program"});
  return word == "phase" ? Order::phase : Order::program;
}

MixedReport run_mixed(OrderedIndex& index, std::span<const Operation> operations, Order order,
                      std::uint64_t limit) {
  MixedReport report;
  report.answers.resize(operations.size());
  const std::span<OperationAnswer> answers(report.answers);
  for (std::size_t begin = 0, end; begin < operations.size(); begin = end) {
    end = operations.size();
    if (order == Order::program) {
      Writes writes;
      for (end = begin; end < operations.size(); ++end) {
        if (writes.conflicts(operations[end])) break;
        writes.add(operations[end]);
      }
    }
    ++report.pieces;
    run_phases(index, operations.subspan(begin, end - begin), answers.subspan(begin, end - begin), limit,
               report.batches);
  }
  return report;
}

std::uint64_t digest_of(std::span<const OperationAnswer> answers) {
  std::uint64_t state = 0;
  const auto add = [&](std::uint64_t word) { state = mix64(state ^ word) + 0x9E3779B97F4A7C15u; };
  for (const auto& answer : answers) {
    add(answer.found);
    add(answer.entry.key);
    add(answer.entry.value);
    add(answer.rows.size());
    for (const auto& [key, value] : answer.rows) add(key), add(value);
  }
  return state;
}

}  // namespace ballast::index
