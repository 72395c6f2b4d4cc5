// A chunk of the distributed index: neighbouring keys with their values, in key order, on one machine. The
// same bytes travel when a chunk is pulled, moved, or carried to its questions by TD-Orch.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ballast/orch/orch.h"

namespace ballast::index {

/// What is asked about a key.
enum class Ask : std::uint8_t {
  contains,  ///< whether it is there
  get,       ///< its value
  before,    ///< the largest key <= it, with its value
  after      ///< the smallest key >= it, with its value
};

template <typename K>
struct Chunk {
  std::vector<K> keys = {};
  std::vector<std::string> values = {};

  std::size_t size() const { return keys.size(); }
  std::size_t lower_bound(const K& key) const {
    return static_cast<std::size_t>(std::lower_bound(keys.begin(), keys.end(), key) - keys.begin());
  }
  bool holds(std::size_t at, const K& key) const { return at < keys.size() && keys[at] == key; }
  /// Returns true when the key is new.
  bool put(const K& key, std::string value);
  bool erase(const K& key);
  /// Moves the entries from `at` on to a chunk of their own.
  Chunk split(std::size_t at);
  /// All keys of `other` are greater.
  void append(Chunk other);

  std::size_t encoded_size() const;
  void encode(cluster::Buffer& out) const;
  static Chunk decode(cluster::Reader& in);
};

/// The answer to one question, as it travels: state, key (of before and after), value (but of contains).
template <typename K>
struct Found {
  enum State : std::uint8_t {
    none = 0,
    found = 1,
    beyond = 2  ///< of `after`: no key of this chunk, so the head of the next one
  };
  std::uint8_t state = none;
  Ask ask = Ask::get;
  K key = {};
  std::string value = {};

  std::size_t encoded_size() const;
  void encode(cluster::Buffer& out) const;
  static Found decode(cluster::Reader& in);
  bool operator==(const Found&) const = default;
};

template <typename K>
Found<K> answer(const Chunk<K>& chunk, Ask ask, const K& key);

/// A question as the context of an orch task; the item is the chunk that covers the key.
template <typename K>
struct Question {
  Ask ask = Ask::get;
  K key = {};
  std::size_t encoded_size() const { return 1 + orch::Wire<K>::size(key); }
  void encode(cluster::Buffer& out) const {
    out.put(static_cast<std::uint8_t>(ask));
    orch::Wire<K>::put(out, key);
  }
  static Question decode(cluster::Reader& in) {
    const auto ask = in.get<std::uint8_t>();
    if (ask > static_cast<std::uint8_t>(Ask::after)) throw InvalidInput("an unknown question arrived");
    return {static_cast<Ask>(ask), orch::Wire<K>::get(in)};
  }
};

template <typename K>
struct ChunkTask {
  using Key = std::uint64_t;
  using Context = Question<K>;
  using Item = Chunk<K>;
  using Update = orch::None;
  using Reply = Found<K>;
  static Reply run(const Context& question, const Item& chunk, orch::Emit<ChunkTask>&) {
    return answer(chunk, question.ask, question.key);
  }
};

extern template struct Chunk<std::uint64_t>;
extern template struct Chunk<std::string>;
extern template struct Found<std::uint64_t>;
extern template struct Found<std::string>;

}  // namespace ballast::index
