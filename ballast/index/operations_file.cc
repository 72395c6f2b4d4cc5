#include "ballast/index/operations_file.h"

#include <fmt/format.h>

#include <cstring>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/base/random.h"

namespace ballast::index {
namespace {

constexpr std::size_t kRecord = 24;

class Digest {
 public:
  void add(std::uint64_t word) { state_ = mix64(state_ ^ word) + 0x9E3779B97F4A7C15u; }
  std::uint64_t value() const { return state_; }

 private:
  std::uint64_t state_ = 0;
};

}  // namespace

std::vector<Operation> read_operations(data::InputStream in) {
  std::vector<Operation> operations;
  char record[kRecord];
  for (;;) {
    const std::uint64_t at = in.offset();
    const std::size_t got = in.read(record, kRecord);
    if (got == 0) return operations;
    if (got < kRecord)
      throw InvalidInput::at_byte(in.name(), at, fmt::format("the last record has {} bytes", got),
                                  "records of 24 bytes");
    Operation operation;
    std::int32_t type;
    std::memcpy(&operation.key, record, 8);
    std::memcpy(&operation.value, record + 8, 8);
    std::memcpy(&type, record + 16, 4);
    if (type < 0 || type > 6)
      throw InvalidInput::at_byte(in.name(), at + 16, fmt::format("operation type {}", type), "0 to 6");
    operation.type = static_cast<Operation::Type>(type);
    operations.push_back(operation);
  }
}

void write_operations(const std::string& path, const std::vector<Operation>& operations) {
  AtomicFile file(path);
  for (const auto& operation : operations) {
    char record[kRecord] = {};
    const auto type = static_cast<std::int32_t>(operation.type);
    std::memcpy(record, &operation.key, 8);
    std::memcpy(record + 8, &operation.value, 8);
    std::memcpy(record + 16, &type, 4);
    file.write(std::string_view(record, kRecord));
  }
  file.commit();
}

std::uint64_t run_operations(OrderedIndex& index, const std::vector<Operation>& operations,
                             std::size_t batch) {
  using Type = Operation::Type;
  Digest digest;
  for (std::size_t begin = 0, end; begin < operations.size(); begin = end) {
    const Type type = operations[begin].type;
    for (end = begin; end < operations.size() && operations[end].type == type && end - begin < batch;) ++end;
    std::vector<Key> keys;
    std::vector<Entry> entries;
    std::vector<KeyRange> ranges;
    for (std::size_t i = begin; i < end; ++i) {
      keys.push_back(ordered(operations[i].key));
      entries.push_back({keys.back(), static_cast<Value>(operations[i].value)});
      ranges.push_back({keys.back(), ordered(operations[i].value)});
    }
    digest.add(static_cast<std::uint64_t>(type));
    if (type == Type::get) {
      for (const auto& found : index.get(keys)) digest.add(found ? *found + 1 : 0);
    } else if (type == Type::predecessor) {
      for (const auto& found : index.predecessor(keys)) {
        digest.add(found ? found->key + 1 : 0);
        digest.add(found ? found->value : 0);
      }
    } else if (type == Type::update) {
      for (const bool found : index.update(entries)) digest.add(found);
    } else if (type == Type::remove) {
      for (const bool found : index.erase(keys)) digest.add(found);
    } else if (type == Type::insert) {
      const InsertReport report = index.insert(entries);
      digest.add(report.inserted);
      digest.add(report.overwritten);
    } else if (type == Type::scan) {
      const Rows rows = index.scan(ranges);
      for (std::size_t i = 0; i < rows.ranges(); ++i) {
        digest.add(rows[i].size());
        for (const auto& [key, value] : rows[i]) digest.add(key), digest.add(value);
      }
    }
  }
  return digest.value();
}

}  // namespace ballast::index
