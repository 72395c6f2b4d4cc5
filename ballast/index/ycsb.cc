#include "ballast/index/ycsb.h"

#include <algorithm>
#include <map>

#include "ballast/base/errors.h"
#include "ballast/base/random.h"
#include "ballast/data/permutation.h"
#include "ballast/data/ycsb_properties.h"
#include "ballast/data/zipf.h"
#include "ballast/index/workload.h"

namespace ballast::index {

YcsbMix ycsb_mix(const std::string& name) {
  static const std::map<std::string, YcsbMix> mixes = {{"A", {.read = 0.5, .update = 0.5}},
                                                       {"B", {.read = 0.95, .update = 0.05}},
                                                       {"C", {.read = 1}},
                                                       {"D", {.read = 0.95, .insert = 0.05, .latest = true}},
                                                       {"E", {.insert = 0.05, .scan = 0.95}},
                                                       {"F", {.read = 0.5, .read_modify_write = 0.5}},
                                                       {"A'", {.insert = 0.5, .predecessor = 0.5}},
                                                       {"B'", {.insert = 0.05, .predecessor = 0.95}},
                                                       {"C'", {.predecessor = 1}},
                                                       {"D'", {.insert = 1}},
                                                       {"E'", {.insert = 0.05, .scan = 0.95}}};
  const auto found = mixes.find(name);
  if (found != mixes.end()) return found->second;
  if (name.size() <= 2) throw InvalidInput("workload", name, "A to F, A' to E', or a .properties file");
  const data::YcsbProperties p = data::read_ycsb_properties(name);
  return {.read = p.read,
          .update = p.update,
          .insert = p.insert,
          .scan = p.scan,
          .read_modify_write = p.read_modify_write,
          .latest = p.law == data::KeyLaw::latest,
          .max_scan = std::max(1u, p.max_scan),
          .law = p.law,
          .alpha = p.exponent};
}

std::vector<Operation> ycsb_operations(const YcsbMix& mix, std::span<const Entry> entries,
                                       std::uint64_t count, std::uint64_t pieces, std::uint64_t seed) {
  if (entries.size() < 200)
    throw InvalidInput("keys of a workload", std::to_string(entries.size()), "at least 200");
  const std::uint64_t records = entries.size();
  const data::Zipf zipf(records, mix.alpha);
  const data::Permutation scatter(records, mix64(seed));
  // Zipf and latest are drawn here, since keys come to be on the way; the others as YCSB has them.
  std::optional<data::KeyChooser> chooser;
  if (mix.law && *mix.law != data::KeyLaw::zipf && !mix.latest)
    chooser.emplace(data::KeyOptions{.law = *mix.law, .records = records, .exponent = mix.alpha}, seed);
  // Ordered mixes skew by place, the others by item.
  const bool by_place = mix.predecessor > 0 || mix.insert == 1;
  const std::vector<Key> places =
      by_place ? piece_zipf(count, pieces, mix.alpha, seed, 1) : std::vector<Key>();
  Random random(seed, 31);
  std::vector<Operation> operations;
  using Type = Operation::Type;
  std::vector<Key> latest;  // inserted by this run
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::uint64_t rank = zipf.at(seed, 32, i);
    const auto value = static_cast<std::int64_t>(random());
    const auto existing = [&] {
      if (mix.latest) {
        if (rank < latest.size()) return latest[latest.size() - 1 - rank];
        return entries[records - 1 - std::min(records - 1, rank - latest.size())].key;
      }
      return entries[chooser ? chooser->at(0, i) : scatter(rank)].key;
    };
    double draw = random.uniform();
    const auto is = [&](double share) {
      draw -= share;
      return draw < 0;
    };
    if (is(mix.read)) {
      operations.push_back({Type::get, from_ordered(existing()), 0});
    } else if (is(mix.update)) {
      operations.push_back({Type::update, from_ordered(existing()), value});
    } else if (is(mix.predecessor)) {
      operations.push_back({Type::predecessor, from_ordered(places[i]), 0});
    } else if (is(mix.scan)) {
      const std::uint64_t length =
          std::min(records, mix.max_scan == 0 ? std::uint64_t{100} : 1 + random.below(mix.max_scan));
      const std::uint64_t first = std::min(chooser ? chooser->at(0, i) : scatter(rank), records - length);
      operations.push_back(
          {Type::scan, from_ordered(entries[first].key), from_ordered(entries[first + length - 1].key)});
    } else if (is(mix.read_modify_write)) {
      const Key key = existing();
      operations.push_back({Type::get, from_ordered(key), 0});
      operations.push_back({Type::update, from_ordered(key), value});
    } else {
      const Key key = by_place ? places[i] : random();
      operations.push_back({Type::insert, from_ordered(key), value});
      latest.push_back(key);
    }
  }
  return operations;
}

}  // namespace ballast::index
