#include "ballast/ragged/prelude_cache.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

namespace ballast::ragged {
namespace {

std::uint64_t hash_of(const std::string& structure, const Pattern& pattern) {
  std::uint64_t h = std::hash<std::string_view>()(structure);
  const auto mix = [&](std::uint64_t x) { h = (h ^ x) * 0x9e3779b97f4a7c15u; };
  for (const auto& [name, lengths] : pattern.lengths)
    mix(std::hash<std::string_view>()(
        {reinterpret_cast<const char*>(lengths.data()), lengths.size() * sizeof(std::int32_t)}));
  for (const auto& [name, value] : pattern.scalars) mix(static_cast<std::uint64_t>(value));
  return h;
}

}  // namespace

template <typename Make>
std::shared_ptr<const void> PreludeCache::get(const std::string& structure, const Pattern& pattern,
                                              const Make& make) {
  const std::uint64_t hash = hash_of(structure, pattern);
  const std::lock_guard lock(mutex_);
  const auto found = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& e) {
    return e.hash == hash && e.structure == structure && e.pattern.lengths == pattern.lengths &&
           e.pattern.scalars == pattern.scalars;
  });
  if (found != entries_.end()) {
    ++stats_.hits;
    entries_.splice(entries_.begin(), entries_, found);
    return entries_.front().value;
  }
  std::shared_ptr<const void> value = make();  // throws for bad lengths: nothing is kept then
  ++stats_.misses;
  entries_.push_front({structure, pattern, hash, value});
  if (entries_.size() > capacity_) entries_.pop_back();
  return value;
}

std::shared_ptr<const Plan> PreludeCache::plan(std::span<const std::int32_t> lengths,
                                               std::int64_t max_length) {
  const Pattern pattern{.lengths = {{"len", {lengths.begin(), lengths.end()}}},
                        .scalars = {{"max_length", max_length}}};
  return std::static_pointer_cast<const Plan>(get("encoder plan", pattern, [&] {
    return std::static_pointer_cast<const void>(
        std::make_shared<const Plan>(Plan::ragged(lengths, max_length)));
  }));
}

std::shared_ptr<const Prepared> PreludeCache::prepared(const Program& program, const Pattern& pattern) {
  return std::static_pointer_cast<const Prepared>(get(program.structure(), pattern, [&] {
    return std::static_pointer_cast<const void>(std::make_shared<const Prepared>(program.prepare(pattern)));
  }));
}

PreludeCache::Stats PreludeCache::stats() const {
  const std::lock_guard lock(mutex_);
  return stats_;
}

}  // namespace ballast::ragged
