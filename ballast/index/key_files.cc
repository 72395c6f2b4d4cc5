#include "ballast/index/key_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/data/csv.h"
#include "ballast/index/batch.h"
#include "ballast/index/operations_file.h"
#include "ballast/index/snapshot.h"
#include "ballast/index/workload.h"

namespace ballast::index {
namespace {

constexpr std::uint32_t kMostStringBytes = 1u << 20;

std::uint64_t number_in(const data::CsvReader& rows, std::size_t column) {
  const std::string_view text = rows.text(column);
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size())
    rows.refuse(column, "whole numbers from 0 to 18446744073709551615");
  return value;
}

std::vector<Entry> joined(const std::vector<Entry>& entries) {
  const SortedEntries sorted = sort_entries(entries);
  std::vector<Entry> out(sorted.keys.size());
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = {sorted.keys[i], sorted.values[i]};
  return out;
}

}  // namespace

KeyFile key_file_of(const std::string& path) {
  std::string name = path.substr(path.find_last_of('/') + 1);
  for (const char* packed : {".gz", ".zst"})
    if (name.ends_with(packed)) name.resize(name.size() - std::strlen(packed));
  if (name.ends_with(".bidx")) return KeyFile::snapshot;
  if (name.ends_with(".csv")) return KeyFile::csv;
  if (name.ends_with(".strings")) return KeyFile::strings;
  if (name.find("uint32") != std::string::npos) return KeyFile::sosd32;
  if (name.ends_with(".sosd") || name.find("uint64") != std::string::npos) return KeyFile::sosd64;
  return KeyFile::operations;
}

std::string to_string(KeyFile kind) {
  switch (kind) {
    case KeyFile::snapshot:
      return "snapshot";
    case KeyFile::csv:
      return "CSV";
    case KeyFile::sosd64:
      return "SOSD keys (64 bits)";
    case KeyFile::sosd32:
      return "SOSD keys (32 bits)";
    case KeyFile::strings:
      return "string keys";
    case KeyFile::operations:
      break;
  }
  return "operation file";
}

std::vector<Key> read_sosd(data::InputStream in, int width) {
  std::uint64_t count;
  in.read_exactly(&count, sizeof count, "the number of keys");
  std::vector<Key> keys;
  std::vector<char> block(std::size_t{1} << 16);
  const auto bytes = static_cast<std::uint64_t>(width);
  for (std::uint64_t left = count; left > 0;) {
    const std::uint64_t now = std::min<std::uint64_t>(left, block.size() / bytes);
    in.read_exactly(block.data(), now * bytes, fmt::format("its {} keys", count));
    for (std::uint64_t i = 0; i < now; ++i) {
      Key key = 0;
      std::memcpy(&key, block.data() + i * bytes, bytes);
      keys.push_back(key);
    }
    left -= now;
  }
  in.expect_end();
  return keys;
}

void write_sosd(const std::string& path, std::span<const Key> keys) {
  AtomicFile file(path);
  const std::uint64_t count = keys.size();
  file.write(std::as_bytes(std::span(&count, 1)));
  file.write(std::as_bytes(keys));
  file.commit();
}

std::vector<std::string> read_strings(data::InputStream in) {
  std::uint64_t head[2];
  in.read_exactly(head, sizeof head, "the header");
  std::vector<std::string> keys;
  std::uint64_t total = 0;
  for (std::uint64_t i = 0; i < head[0]; ++i) {
    const std::uint64_t at = in.offset();
    std::uint32_t length;
    in.read_exactly(&length, sizeof length, fmt::format("its {} keys", head[0]));
    total += length;
    if (length > kMostStringBytes || total > head[1])
      throw InvalidInput::at_byte(in.name(), at, fmt::format("a key of {} bytes", length),
                                  fmt::format("at most 1 MiB, and {} in all", head[1]));
    const auto bytes = in.read_bytes(length, "a key");
    keys.emplace_back(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  if (total != head[1])
    throw InvalidInput::at_byte(in.name(), 8,
                                fmt::format("{} bytes of keys are named, there are {}", head[1], total));
  in.expect_end();
  return keys;
}

void write_strings(const std::string& path, std::span<const std::string> keys) {
  AtomicFile file(path);
  std::uint64_t head[2] = {keys.size(), 0};
  for (const auto& key : keys) head[1] += key.size();
  file.write(std::as_bytes(std::span(head)));
  for (const auto& key : keys) {
    const auto length = static_cast<std::uint32_t>(key.size());
    file.write(std::as_bytes(std::span(&length, 1)));
    file.write(key);
  }
  file.commit();
}

std::vector<Entry> read_csv_entries(data::InputStream in) {
  data::CsvReader rows(std::move(in));
  const std::size_t key = rows.column("key");
  const bool valued = rows.has_column("value");
  const std::size_t value = valued ? rows.column("value") : 0;
  std::vector<Entry> entries;
  while (rows.next())
    entries.push_back({number_in(rows, key), valued ? number_in(rows, value) : entries.size()});
  return entries;
}

std::vector<Entry> read_entries(const std::string& path) {
  auto in = data::InputStream::open(path);
  switch (key_file_of(path)) {
    case KeyFile::snapshot:
      return read_snapshot(std::move(in));
    case KeyFile::csv:
      return joined(read_csv_entries(std::move(in)));
    case KeyFile::sosd64:
      return entries_of(read_sosd(std::move(in), 8));
    case KeyFile::sosd32:
      return entries_of(read_sosd(std::move(in), 4));
    case KeyFile::strings: {
      std::vector<Key> keys;
      for (const auto& text : read_strings(std::move(in))) keys.push_back(string_prefix(text));
      return entries_of(std::move(keys));
    }
    case KeyFile::operations:
      break;
  }
  std::vector<Entry> entries;
  for (const auto& operation : read_operations(std::move(in)))
    if (operation.type == Operation::Type::insert)
      entries.push_back({ordered(operation.key), static_cast<Value>(operation.value)});
  return joined(entries);
}

void write_entries(const std::string& path, std::span<const Entry> sorted) {
  switch (key_file_of(path)) {
    case KeyFile::snapshot:
      return write_snapshot(path, sorted);
    case KeyFile::csv: {
      data::CsvWriter rows(path, {"key", "value"});
      for (const auto& [key, value] : sorted) rows.row({std::to_string(key), std::to_string(value)});
      return rows.commit();
    }
    case KeyFile::sosd64: {
      std::vector<Key> keys;
      for (const auto& entry : sorted) keys.push_back(entry.key);
      return write_sosd(path, keys);
    }
    case KeyFile::operations: {
      std::vector<Operation> operations;
      for (const auto& [key, value] : sorted)
        operations.push_back({Operation::Type::insert, from_ordered(key), static_cast<std::int64_t>(value)});
      return write_operations(path, operations);
    }
    case KeyFile::sosd32:
    case KeyFile::strings:
      break;
  }
  throw InvalidInput("file to write", path, ".bidx, .csv, .sosd, or an operation file");
}

}  // namespace ballast::index
