// `kv`: a partitioned in-memory key-value store whose batches go through orch. Keys are byte strings of at
// most 255 bytes, values of at most 16 MiB; whole numbers are held as decimal text, as Redis does.
//
//   kv::Store store(me);
//   orch::Batch<kv::Access> batch;
//   batch.add("user7", kv::get());
//   batch.add("user9", kv::put("hello"));
//   batch.add("visits", kv::add(1));
//   orch::run(me, store, batch, {});
//   batch.reply(0).value;
//
// Snapshot rule: every operation of a batch sees the values from before it; then each key takes one merged
// write: of several puts and erases the last (by task id), then the sum of the adds, then the least min, the
// greatest max, then the appends in the order of ids. Operations that must see each other (compare-and-set, a
// counter whose replies all differ) are of class Serial.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ballast/orch/orch.h"
#include "ballast/orch/serial.h"

namespace ballast::kv {

using cluster::Buffer;
using cluster::Reader;

inline constexpr std::size_t kMostValueBytes = std::size_t{16} << 20;

enum class Kind : std::uint8_t { get, put, erase, add, min, max, append, compare_and_set, exists };

/// One operation on one key.
struct Operation {
  Kind kind = Kind::get;
  std::string value = {};     ///< put, append, compare_and_set
  std::string expected = {};  ///< compare_and_set
  std::int64_t number = 0;    ///< add, min, max

  std::size_t encoded_size() const;
  void encode(Buffer& out) const;
  static Operation decode(Reader& in);
};
Operation get();
/// Throw InvalidInput for a value of more than 16 MiB.
Operation put(std::string value);
Operation append(std::string value);
Operation erase();
Operation add(std::int64_t number);
Operation at_most(std::int64_t number);   ///< min
Operation at_least(std::int64_t number);  ///< max
Operation exists();
Operation compare_and_set(std::string expected, std::string value);

enum class Status : std::uint8_t { absent, found, not_a_number, changed, too_large };

struct Answer {
  Status status =
      Status::absent;      ///< found: the key was there (before the batch, or before the serial operation)
  std::string value = {};  ///< of get; after a serial add

  std::size_t encoded_size() const { return 1 + orch::Wire<std::string>::size(value); }
  void encode(Buffer& out) const;
  static Answer decode(Reader& in);
  bool operator==(const Answer&) const = default;
};

/// A stored value. Erased ones leave the store at the end of the stage.
struct Value {
  std::string bytes = {};
  bool gone = false;

  std::size_t encoded_size() const { return orch::Wire<std::string>::size(bytes); }
  void encode(Buffer& out) const { orch::Wire<std::string>::put(out, bytes); }
  static Value decode(Reader& in) { return {orch::Wire<std::string>::get(in)}; }
};

/// The merged writes of one key.
struct Write {
  struct Last {
    orch::TaskId id;
    bool erased;
    std::string value;
  };
  std::optional<Last> last = {};
  std::optional<std::int64_t> sum = {}, least = {}, greatest = {};
  std::vector<std::pair<orch::TaskId, std::string>> appends = {};  ///< by id

  std::size_t encoded_size() const;
  void encode(Buffer& out) const;
  static Write decode(Reader& in);
};

/// What an operation answers, given the value from before its batch, and what it writes (if anything).
Answer operate(const Operation& operation, const Value* value, orch::TaskId id,
               std::optional<Write>& written);

/// The task class of batches: reads and merging writes.
struct Access {
  using Key = std::string;
  using Context = Operation;
  using Item = Value;
  using Update = Write;
  using Reply = Answer;
  static constexpr orch::Absent kAbsent = orch::Absent::create;
  static Answer run(const Operation& operation, const Value* value, orch::Emit<Access>& out);
  static Write merge(Write a, Write b);
  static void apply(Value& value, Write write);
  static bool erased(const Value& value) { return value.gone; }
  static double reply_bytes(const Operation& operation, double item) {
    return operation.kind == Kind::get ? 1 + item : 2;
  }
};

/// The task class of operations that run one after another at the owner.
struct Serial {
  using Key = std::string;
  using Context = Operation;
  using Item = Value;
  using Reply = Answer;
  static Answer run(const Operation& operation, orch::SerialCell<Value>& cell);
};

/// A whole decimal number of 64 bits, or nullopt.
std::optional<std::int64_t> number_of(const std::string& text);

class Store : public orch::Store<Access> {
 public:
  using orch::Store<Access>::Store;
  /// This machine's part as bytes, keys in order: the same content gives the same bytes.
  std::string to_bytes() const;
  /// Replaces this machine's part. Throws InvalidInput when the bytes are no such part.
  void from_bytes(const std::string& bytes);
};

}  // namespace ballast::kv
