#include "ballast/kv/ordered.h"

#include <algorithm>
#include <functional>

namespace ballast::kv {
namespace {

using Text = orch::Wire<std::string>;
constexpr std::uint32_t kMostRows = 10'000;

std::size_t size_of(const std::vector<Row>& rows) {
  std::size_t size = orch::varint_size(rows.size());
  for (const auto& [key, value] : rows) size += Text::size(key) + Text::size(value);
  return size;
}

void put_rows(Buffer& out, const std::vector<Row>& rows) {
  out.put_varint(rows.size());
  for (const auto& [key, value] : rows) {
    Text::put(out, key);
    Text::put(out, value);
  }
}

std::vector<Row> get_rows(Reader& in) {
  std::vector<Row> rows;
  const std::uint64_t count = in.get_varint();
  if (count > in.left()) throw InvalidInput("a message ends in the middle of a cell");
  rows.reserve(count);
  for (std::uint64_t i = 0; i < count; ++i) {
    std::string key = Text::get(in);
    rows.emplace_back(std::move(key), Text::get(in));
  }
  return rows;
}

}  // namespace

Ranges::Ranges(std::vector<std::string> splitters, double entries_per_cell)
    : splitters_(std::move(splitters)), entries_per_cell_(std::max(1.0, entries_per_cell)) {
  if (!std::is_sorted(splitters_.begin(), splitters_.end()))
    throw InvalidInput("the splitters of ranges are not in order");
}

Ranges Ranges::from_sample(cluster::Machine& me, std::vector<std::string> keys, std::uint64_t entries,
                           double scale) {
  if (entries < 1) throw InvalidInput("entries of a cell", std::to_string(entries), "at least 1");
  // Regular samples of each machine's keys, enough for the cuts to lie within a tenth of a cell.
  std::sort(keys.begin(), keys.end());
  const std::uint64_t step = std::max<std::uint64_t>(
      1, static_cast<std::uint64_t>(static_cast<double>(entries) / (10 * scale * me.machines())));
  Buffer mine;
  for (std::size_t i = step / 2; i < keys.size(); i += step) Text::put(mine, keys[i]);
  std::vector<std::string> all;
  for (const auto& bytes : me.allgather_bytes(mine.bytes())) {
    for (Reader reader(bytes); !reader.empty();) all.push_back(Text::get(reader));
  }
  std::sort(all.begin(), all.end());
  const double each = static_cast<double>(entries) / (static_cast<double>(step) * scale);
  std::vector<std::string> splitters;
  for (double at = each; at < static_cast<double>(all.size()); at += each) {
    const auto& key = all[static_cast<std::size_t>(at)];
    if (splitters.empty() || splitters.back() < key) splitters.push_back(key);
  }
  return Ranges(std::move(splitters), static_cast<double>(entries));
}

std::uint32_t Ranges::cell_of(const std::string& key) const {
  return static_cast<std::uint32_t>(std::upper_bound(splitters_.begin(), splitters_.end(), key) -
                                    splitters_.begin());
}

std::size_t Cell::encoded_size() const {
  return size_of(rows);
}
void Cell::encode(Buffer& out) const {
  put_rows(out, rows);
}
Cell Cell::decode(Reader& in) {
  return {get_rows(in)};
}

std::vector<Row>::const_iterator Cell::at_or_after(const std::string& key) const {
  return std::lower_bound(rows.begin(), rows.end(), key,
                          [](const Row& row, const std::string& k) { return row.first < k; });
}

std::size_t RangeOperation::encoded_size() const {
  return Text::size(key) + orch::varint_size(count) + (count == 0 ? operation.encoded_size() : 0);
}
void RangeOperation::encode(Buffer& out) const {
  Text::put(out, key);
  out.put_varint(count);
  if (count == 0) operation.encode(out);
}
RangeOperation RangeOperation::decode(Reader& in) {
  RangeOperation asked{.key = Text::get(in)};
  asked.count = static_cast<std::uint32_t>(std::min<std::uint64_t>(in.get_varint(), kMostRows));
  if (asked.count == 0) asked.operation = Operation::decode(in);
  return asked;
}

std::size_t RangeAnswer::encoded_size() const {
  return answer.encoded_size() + size_of(rows);
}
void RangeAnswer::encode(Buffer& out) const {
  answer.encode(out);
  put_rows(out, rows);
}
RangeAnswer RangeAnswer::decode(Reader& in) {
  RangeAnswer answer{.answer = Answer::decode(in)};
  answer.rows = get_rows(in);
  return answer;
}

std::size_t RangeWrites::encoded_size() const {
  std::size_t size = orch::varint_size(list.size());
  for (const auto& [key, write] : list) size += Text::size(key) + write.encoded_size();
  return size;
}
void RangeWrites::encode(Buffer& out) const {
  out.put_varint(list.size());
  for (const auto& [key, write] : list) {
    Text::put(out, key);
    write.encode(out);
  }
}
RangeWrites RangeWrites::decode(Reader& in) {
  RangeWrites writes;
  for (auto n = in.get_varint(); n > 0; --n) {
    std::string key = Text::get(in);
    writes.list.emplace_back(std::move(key), Write::decode(in));
  }
  return writes;
}

RangeAnswer RangeAccess::run(const RangeOperation& asked, const Cell& cell, orch::Emit<RangeAccess>& out) {
  const auto from = cell.at_or_after(asked.key);
  RangeAnswer result;
  if (asked.count > 0) {
    const auto count = std::min<std::ptrdiff_t>(asked.count, cell.rows.end() - from);
    result.rows.assign(from, from + count);
    result.answer.status = result.rows.empty() ? Status::absent : Status::found;
    return result;
  }
  // A point operation is what Access makes of it.
  const bool there = from != cell.rows.end() && from->first == asked.key;
  const Value value{there ? from->second : std::string()};
  std::optional<Write> write;
  result.answer = operate(asked.operation, there ? &value : nullptr, out.id(), write);
  if (write) out.self({{{asked.key, std::move(*write)}}});
  return result;
}

RangeWrites RangeAccess::merge(RangeWrites a, RangeWrites b) {
  RangeWrites merged;
  merged.list.reserve(a.list.size() + b.list.size());
  auto x = a.list.begin(), y = b.list.begin();
  while (x != a.list.end() || y != b.list.end()) {
    if (y == b.list.end() || (x != a.list.end() && x->first < y->first)) {
      merged.list.push_back(std::move(*x++));
    } else if (x == a.list.end() || y->first < x->first) {
      merged.list.push_back(std::move(*y++));
    } else {
      merged.list.emplace_back(x->first, Access::merge(std::move(x->second), std::move(y->second)));
      ++x;
      ++y;
    }
  }
  return merged;
}

void RangeAccess::apply(Cell& cell, RangeWrites writes) {
  std::vector<Row> rows;
  rows.reserve(cell.rows.size() + writes.list.size());
  auto row = cell.rows.begin();
  for (auto& [key, write] : writes.list) {
    while (row != cell.rows.end() && row->first < key) rows.push_back(std::move(*row++));
    const bool there = row != cell.rows.end() && row->first == key;
    Value value{there ? std::move((row++)->second) : std::string(), !there};
    Access::apply(value, std::move(write));
    if (!value.gone) rows.emplace_back(key, std::move(value.bytes));
  }
  std::move(row, cell.rows.end(), std::back_inserter(rows));
  cell.rows = std::move(rows);
}

void OrderedStore::load(const std::string& key, std::string value) {
  const std::uint32_t at = ranges_.cell_of(key);
  if (!owns(at)) return;
  auto& rows = make(at).rows;
  const auto place = std::lower_bound(rows.begin(), rows.end(), key,
                                      [](const Row& row, const std::string& k) { return row.first < k; });
  if (place != rows.end() && place->first == key) {
    place->second = std::move(value);
  } else {
    rows.emplace(place, key, std::move(value));
  }
}

std::uint64_t OrderedStore::entries() const {
  std::uint64_t count = 0;
  for (const auto& [at, cell] : all()) count += cell.rows.size();
  return count;
}

void OrderedBatch::add(std::string key, Operation operation) {
  if (operation.kind == Kind::compare_and_set)
    throw InvalidInput("compare-and-set is an operation of the serial class");
  if (key.size() > orch::kMostKeyBytes)
    throw InvalidInput("key", std::to_string(key.size()) + " bytes long", "at most 255 bytes");
  asked_.push_back({.key = std::move(key), .operation = std::move(operation)});
}

void OrderedBatch::scan(std::string start, std::uint32_t count) {
  if (count < 1 || count > kMostRows)
    throw InvalidInput("a scan's count", std::to_string(count), "1 to 10000");
  if (start.size() > orch::kMostKeyBytes)
    throw InvalidInput("key", std::to_string(start.size()) + " bytes long", "at most 255 bytes");
  asked_.push_back({.key = std::move(start), .count = count});
}

std::vector<orch::StageReport> run_ordered(cluster::Machine& me, OrderedStore& store, OrderedBatch& batch,
                                           const orch::Options& options) {
  const Ranges& ranges = store.ranges();
  std::vector<orch::StageReport> reports;
  batch.answers_.assign(batch.size(), {});
  struct Waiting {
    std::size_t index;
    std::uint32_t cell, left;
  };
  std::vector<Waiting> scans;
  orch::Batch<RangeAccess> others;
  std::vector<std::size_t> other_index;
  for (std::size_t i = 0; i < batch.size(); ++i) {
    const auto& asked = batch.asked_[i];
    const std::uint32_t cell = ranges.cell_of(asked.key);
    if (asked.count > 0) {
      scans.push_back({i, cell, asked.count});
    } else {
      others.add(cell, asked);
      other_index.push_back(i);
    }
  }
  while (me.allreduce(std::uint64_t{scans.size()}, std::plus<>()) > 0) {
    orch::Batch<RangeAccess> stage;
    for (const auto& scan : scans) {
      const auto share = static_cast<float>(std::min(1.0, scan.left / ranges.entries_per_cell()));
      stage.add(scan.cell, {.key = batch.asked_[scan.index].key, .count = scan.left, .share = share});
    }
    reports.push_back(orch::run(me, store, stage, options));
    std::vector<Waiting> further;
    for (std::size_t i = 0; i < scans.size(); ++i) {
      auto& answer = batch.answers_[scans[i].index];
      const auto& rows = stage.reply(i).rows;
      answer.rows.insert(answer.rows.end(), rows.begin(), rows.end());
      const auto left = scans[i].left - static_cast<std::uint32_t>(rows.size());
      if (left > 0 && scans[i].cell + 1 < ranges.cells())
        further.push_back({scans[i].index, scans[i].cell + 1, left});
      answer.answer.status = answer.rows.empty() ? Status::absent : Status::found;
    }
    scans = std::move(further);
  }
  if (me.allreduce(std::uint64_t{others.size()}, std::plus<>()) > 0) {
    reports.push_back(orch::run(me, store, others, options));
    for (std::size_t i = 0; i < others.size(); ++i) batch.answers_[other_index[i]] = others.reply(i);
  }
  return reports;
}

}  // namespace ballast::kv
