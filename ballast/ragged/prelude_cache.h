// Preludes that were run already: a stack of layers, or several programs over one batch, run each once.
//
//   PreludeCache cache;
//   std::shared_ptr<const Plan> plan = cache.plan(lengths, config.max_length);   // the encoder's tables
//   std::shared_ptr<const Prepared> p = cache.prepared(program, pattern);        // a compiled program's
//
// A prelude is found by the structure that needs it and by the lengths: first their hash, then all of them.
// The least recently used one is dropped. May be called from several threads.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "ballast/ragged/plan.h"
#include "ballast/ragged/program.h"

namespace ballast::ragged {

class PreludeCache {
 public:
  explicit PreludeCache(std::size_t capacity = 16) : capacity_(capacity) {}

  /// Throws as Plan::ragged does.
  std::shared_ptr<const Plan> plan(std::span<const std::int32_t> lengths, std::int64_t max_length = 512);
  /// Throws as Program::prepare does. Programs whose loops and tables have the same text share.
  std::shared_ptr<const Prepared> prepared(const Program& program, const Pattern& pattern);

  struct Stats {
    std::int64_t hits = 0, misses = 0;
  };
  Stats stats() const;

 private:
  struct Entry {
    std::string structure;
    Pattern pattern;
    std::uint64_t hash;
    std::shared_ptr<const void> value;
  };
  template <typename Make>
  std::shared_ptr<const void> get(const std::string& structure, const Pattern& pattern, const Make& make);

  std::size_t capacity_;
  mutable std::mutex mutex_;
  std::list<Entry> entries_;  ///< the most recently used first
  Stats stats_;
};

}  // namespace ballast::ragged
