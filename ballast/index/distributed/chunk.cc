#include "ballast/index/distributed/chunk.h"

#include <iterator>

namespace ballast::index {

using cluster::Buffer;
using cluster::Reader;
using Text = orch::Wire<std::string>;

template <typename K>
bool Chunk<K>::put(const K& key, std::string value) {
  const std::size_t at = lower_bound(key);
  if (holds(at, key)) {
    values[at] = std::move(value);
    return false;
  }
  keys.insert(keys.begin() + static_cast<std::ptrdiff_t>(at), key);
  values.insert(values.begin() + static_cast<std::ptrdiff_t>(at), std::move(value));
  return true;
}

template <typename K>
bool Chunk<K>::erase(const K& key) {
  const std::size_t at = lower_bound(key);
  if (!holds(at, key)) return false;
  keys.erase(keys.begin() + static_cast<std::ptrdiff_t>(at));
  values.erase(values.begin() + static_cast<std::ptrdiff_t>(at));
  return true;
}

template <typename K>
Chunk<K> Chunk<K>::split(std::size_t at) {
  Chunk behind;
  const auto from = static_cast<std::ptrdiff_t>(at);
  behind.keys.assign(std::make_move_iterator(keys.begin() + from), std::make_move_iterator(keys.end()));
  behind.values.assign(std::make_move_iterator(values.begin() + from), std::make_move_iterator(values.end()));
  keys.resize(at);
  values.resize(at);
  return behind;
}

template <typename K>
void Chunk<K>::append(Chunk other) {
  std::move(other.keys.begin(), other.keys.end(), std::back_inserter(keys));
  std::move(other.values.begin(), other.values.end(), std::back_inserter(values));
}

template <typename K>
std::size_t Chunk<K>::encoded_size() const {
  std::size_t bytes = orch::varint_size(keys.size());
  for (const auto& key : keys) bytes += orch::Wire<K>::size(key);
  for (const auto& value : values) bytes += Text::size(value);
  return bytes;
}

template <typename K>
void Chunk<K>::encode(Buffer& out) const {
  out.put_varint(keys.size());
  for (const auto& key : keys) orch::Wire<K>::put(out, key);
  for (const auto& value : values) Text::put(out, value);
}

template <typename K>
Chunk<K> Chunk<K>::decode(Reader& in) {
  const std::uint64_t count = in.get_varint();
  if (count > in.left()) throw InvalidInput("a chunk ends before its entries");
  Chunk chunk;
  chunk.keys.reserve(count);
  chunk.values.reserve(count);
  for (std::uint64_t i = 0; i < count; ++i) {
    chunk.keys.push_back(orch::Wire<K>::get(in));
    if (i > 0 && !(chunk.keys[i - 1] < chunk.keys[i]))
      throw InvalidInput("the keys of a chunk do not ascend");
  }
  for (std::uint64_t i = 0; i < count; ++i) chunk.values.push_back(Text::get(in));
  return chunk;
}

template <typename K>
std::size_t Found<K>::encoded_size() const {
  if (state != found) return 1;
  return 1 + (ask >= Ask::before ? orch::Wire<K>::size(key) : 0) +
         (ask == Ask::contains ? 0 : Text::size(value));
}

// The first byte is state | ask << 2.
template <typename K>
void Found<K>::encode(Buffer& out) const {
  out.put(static_cast<std::uint8_t>(state | static_cast<std::uint8_t>(ask) << 2));
  if (state != found) return;
  if (ask >= Ask::before) orch::Wire<K>::put(out, key);
  if (ask != Ask::contains) Text::put(out, value);
}

template <typename K>
Found<K> Found<K>::decode(Reader& in) {
  const auto first = in.get<std::uint8_t>();
  Found answer;
  answer.state = first & 3;
  if (answer.state > beyond || first >> 2 > static_cast<int>(Ask::after))
    throw InvalidInput("an unknown answer arrived");
  answer.ask = static_cast<Ask>(first >> 2);
  if (answer.state != found) return answer;
  if (answer.ask >= Ask::before) answer.key = orch::Wire<K>::get(in);
  if (answer.ask != Ask::contains) answer.value = Text::get(in);
  return answer;
}

template <typename K>
Found<K> answer(const Chunk<K>& chunk, Ask ask, const K& key) {
  Found<K> out;
  out.ask = ask;
  std::size_t at = chunk.lower_bound(key);
  const bool equal = chunk.holds(at, key);
  if (ask == Ask::after && at == chunk.size()) {
    out.state = Found<K>::beyond;
    return out;
  }
  if (ask == Ask::before && !equal) {
    if (at == 0) return out;
    --at;
  } else if (ask <= Ask::get && !equal) {
    return out;
  }
  out.state = Found<K>::found;
  if (ask >= Ask::before) out.key = chunk.keys[at];
  if (ask != Ask::contains) out.value = chunk.values[at];
  return out;
}

template struct Chunk<std::uint64_t>;
template struct Chunk<std::string>;
template struct Found<std::uint64_t>;
template struct Found<std::string>;
template Found<std::uint64_t> answer(const Chunk<std::uint64_t>&, Ask, const std::uint64_t&);
template Found<std::string> answer(const Chunk<std::string>&, Ask, const std::string&);

}  // namespace ballast::index
