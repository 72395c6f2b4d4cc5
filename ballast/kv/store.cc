#include "ballast/kv/store.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace ballast::kv {
namespace {

using Text = orch::Wire<std::string>;

void check_value(const std::string& value) {
  if (value.size() > kMostValueBytes)
    throw InvalidInput("value", fmt::format("{} bytes long", value.size()), "at most 16 MiB");
}

bool carries_number(Kind kind) {
  return kind == Kind::add || kind == Kind::min || kind == Kind::max;
}

bool carries_value(Kind kind) {
  return kind == Kind::put || kind == Kind::append || kind == Kind::compare_and_set;
}

std::int64_t wrapping_sum(std::int64_t a, std::int64_t b) {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) + static_cast<std::uint64_t>(b));
}

}  // namespace

Operation get() {
  return {};
}
Operation put(std::string value) {
  check_value(value);
  return {.kind = Kind::put, .value = std::move(value)};
}
Operation append(std::string value) {
  check_value(value);
  return {.kind = Kind::append, .value = std::move(value)};
}
Operation erase() {
  return {.kind = Kind::erase};
}
Operation add(std::int64_t number) {
  return {.kind = Kind::add, .number = number};
}
Operation at_most(std::int64_t number) {
  return {.kind = Kind::min, .number = number};
}
Operation at_least(std::int64_t number) {
  return {.kind = Kind::max, .number = number};
}
Operation exists() {
  return {.kind = Kind::exists};
}
Operation compare_and_set(std::string expected, std::string value) {
  check_value(value);
  return {.kind = Kind::compare_and_set, .value = std::move(value), .expected = std::move(expected)};
}

std::size_t Operation::encoded_size() const {
  std::size_t size = 1;
  if (carries_number(kind)) size += 8;
  if (carries_value(kind)) size += Text::size(value);
  if (kind == Kind::compare_and_set) size += Text::size(expected);
  return size;
}

void Operation::encode(Buffer& out) const {
  out.put(static_cast<std::uint8_t>(kind));
  if (carries_number(kind)) out.put(number);
  if (carries_value(kind)) Text::put(out, value);
  if (kind == Kind::compare_and_set) Text::put(out, expected);
}

Operation Operation::decode(Reader& in) {
  Operation operation;
  const auto kind = in.get<std::uint8_t>();
  if (kind > static_cast<std::uint8_t>(Kind::exists))
    throw InvalidInput("an operation of an unknown kind arrived");
  operation.kind = static_cast<Kind>(kind);
  if (carries_number(operation.kind)) operation.number = in.get<std::int64_t>();
  if (carries_value(operation.kind)) operation.value = Text::get(in);
  if (operation.kind == Kind::compare_and_set) operation.expected = Text::get(in);
  return operation;
}

void Answer::encode(Buffer& out) const {
  out.put(static_cast<std::uint8_t>(status));
  Text::put(out, value);
}

Answer Answer::decode(Reader& in) {
  const auto status = in.get<std::uint8_t>();
  if (status > static_cast<std::uint8_t>(Status::too_large))
    throw InvalidInput("an answer of an unknown kind arrived");
  return {static_cast<Status>(status), Text::get(in)};
}

std::size_t Write::encoded_size() const {
  std::size_t size = 1;
  if (last) size += 9 + Text::size(last->value);
  size += 8u * (sum.has_value() + least.has_value() + greatest.has_value());
  if (!appends.empty()) {
    size += orch::varint_size(appends.size());
    for (const auto& [id, text] : appends) size += 8 + Text::size(text);
  }
  return size;
}

void Write::encode(Buffer& out) const {
  out.put(static_cast<std::uint8_t>(last.has_value() | sum.has_value() << 1 | least.has_value() << 2 |
                                    greatest.has_value() << 3 | !appends.empty() << 4));
  if (last) {
    out.put(last->id);
    out.put(static_cast<std::uint8_t>(last->erased));
    Text::put(out, last->value);
  }
  if (sum) out.put(*sum);
  if (least) out.put(*least);
  if (greatest) out.put(*greatest);
  if (appends.empty()) return;
  out.put_varint(appends.size());
  for (const auto& [id, text] : appends) {
    out.put(id);
    Text::put(out, text);
  }
}

Write Write::decode(Reader& in) {
  Write write;
  const auto parts = in.get<std::uint8_t>();
  if (parts & 1) {
    const auto id = in.get<orch::TaskId>();
    const bool erased = in.get<std::uint8_t>() != 0;
    write.last = Last{id, erased, Text::get(in)};
  }
  if (parts & 2) write.sum = in.get<std::int64_t>();
  if (parts & 4) write.least = in.get<std::int64_t>();
  if (parts & 8) write.greatest = in.get<std::int64_t>();
  if (parts & 16) {
    for (auto n = in.get_varint(); n > 0; --n) {
      const auto id = in.get<orch::TaskId>();
      write.appends.emplace_back(id, Text::get(in));
    }
  }
  return write;
}

std::optional<std::int64_t> number_of(const std::string& text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

Answer Access::run(const Operation& operation, const Value* value, orch::Emit<Access>& out) {
  std::optional<Write> write;
  Answer answer = operate(operation, value, out.id(), write);
  if (write) out.self(std::move(*write));
  return answer;
}

Answer operate(const Operation& operation, const Value* value, orch::TaskId id,
               std::optional<Write>& written) {
  Answer answer{.status = value == nullptr ? Status::absent : Status::found};
  Write write;
  switch (operation.kind) {
    case Kind::get:
      if (value != nullptr) answer.value = value->bytes;
      return answer;
    case Kind::exists:
      return answer;
    case Kind::put:
      write.last = Write::Last{id, false, operation.value};
      break;
    case Kind::erase:
      write.last = Write::Last{id, true, {}};
      break;
    case Kind::add:
    case Kind::min:
    case Kind::max:
      if (value != nullptr && !number_of(value->bytes)) return {Status::not_a_number};
      (operation.kind == Kind::add   ? write.sum
       : operation.kind == Kind::min ? write.least
                                     : write.greatest) = operation.number;
      break;
    case Kind::append:
      write.appends.emplace_back(id, operation.value);
      break;
    case Kind::compare_and_set:
      throw InvalidInput("compare-and-set is an operation of the serial class");
  }
  written = std::move(write);
  return answer;
}

Write Access::merge(Write a, Write b) {
  if (b.last && (!a.last || a.last->id < b.last->id)) a.last = std::move(b.last);
  const auto combine = [](std::optional<std::int64_t>& x, const std::optional<std::int64_t>& y, auto op) {
    if (y) x = x ? op(*x, *y) : *y;
  };
  combine(a.sum, b.sum, wrapping_sum);
  combine(a.least, b.least, [](auto x, auto y) { return std::min(x, y); });
  combine(a.greatest, b.greatest, [](auto x, auto y) { return std::max(x, y); });
  if (!b.appends.empty()) {
    const auto middle = static_cast<std::ptrdiff_t>(a.appends.size());
    std::move(b.appends.begin(), b.appends.end(), std::back_inserter(a.appends));
    std::inplace_merge(a.appends.begin(), a.appends.begin() + middle, a.appends.end());
  }
  return a;
}

void Access::apply(Value& value, Write write) {
  if (write.last) {
    value.bytes = std::move(write.last->value);
    value.gone = write.last->erased;
  }
  if (write.sum || write.least || write.greatest) {
    // An absent or erased key counts as nothing yet; a put of no number in the same batch stays as it is.
    const bool fresh = value.bytes.empty();
    if (auto number = fresh ? std::optional<std::int64_t>(0) : number_of(value.bytes)) {
      if (write.sum) number = wrapping_sum(*number, *write.sum);
      if (write.least) number = fresh && !write.sum ? *write.least : std::min(*number, *write.least);
      if (write.greatest)
        number = fresh && !write.sum && !write.least ? *write.greatest : std::max(*number, *write.greatest);
      value.bytes = std::to_string(*number);
      value.gone = false;
    }
  }
  for (const auto& [id, text] : write.appends) {
    if (value.bytes.size() + text.size() > kMostValueBytes) break;  // what would pass the cap is not appended
    value.bytes += text;
    value.gone = false;
  }
}

Answer Serial::run(const Operation& operation, orch::SerialCell<Value>& cell) {
  Value* value = cell.get();
  Answer answer{.status = value == nullptr ? Status::absent : Status::found};
  switch (operation.kind) {
    case Kind::get:
      if (value != nullptr) answer.value = value->bytes;
      break;
    case Kind::exists:
      break;
    case Kind::put:
      cell.make() = {operation.value};
      break;
    case Kind::erase:
      if (value != nullptr) cell.erase();
      break;
    case Kind::add:
    case Kind::min:
    case Kind::max: {
      const auto number = value == nullptr ? std::optional<std::int64_t>(0) : number_of(value->bytes);
      if (!number) return {Status::not_a_number};
      std::int64_t result = operation.number;
      if (operation.kind == Kind::add && __builtin_add_overflow(*number, operation.number, &result))
        return {Status::too_large};
      if (value != nullptr && operation.kind == Kind::min) result = std::min(*number, operation.number);
      if (value != nullptr && operation.kind == Kind::max) result = std::max(*number, operation.number);
      answer.value = std::to_string(result);
      cell.make() = {answer.value};
      break;
    }
    case Kind::append:
      if (value != nullptr && value->bytes.size() + operation.value.size() > kMostValueBytes)
        return {Status::too_large};
      cell.make().bytes += operation.value;
      answer.value = std::to_string(cell.make().bytes.size());
      break;
    case Kind::compare_and_set:
      if (value == nullptr) break;
      if (value->bytes != operation.expected) {
        answer.status = Status::changed;
        answer.value = value->bytes;
      } else {
        value->bytes = operation.value;
      }
      break;
  }
  return answer;
}

std::string Store::to_bytes() const {
  std::vector<const std::string*> keys;
  for (const auto& [key, value] : all()) keys.push_back(&key);
  std::sort(keys.begin(), keys.end(), [](const auto* a, const auto* b) { return *a < *b; });
  Buffer out;
  for (const auto* key : keys) {
    Text::put(out, *key);
    find(*key)->encode(out);
  }
  const auto bytes = out.bytes();
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

void Store::from_bytes(const std::string& bytes) {
  std::vector<std::string> old;
  for (const auto& [key, value] : all()) old.push_back(key);
  for (const auto& key : old) erase(key);
  for (Reader in(std::as_bytes(std::span(bytes.data(), bytes.size()))); !in.empty();) {
    const std::string key = Text::get(in);
    put(key, Value::decode(in));
  }
}

}  // namespace ballast::kv
