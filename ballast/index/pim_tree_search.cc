// Push-pull search (paper, section 4; specification 3.5): which questions travel to a chunk, and which chunks
// travel to the questions.
#include <algorithm>

#include "ballast/base/errors.h"
#include "ballast/index/pim_tree.h"

namespace ballast::index {

using pim::Address;
using pim::module_of;
using pim::offset_of;

void PimTree::push(pim::Round& round, task type, std::span<const Key> keys, const Group& group) const {
  each_piece(group, [&](std::uint32_t begin, std::uint32_t end) {
    std::uint64_t* words = round.add(module_of(group.at), type, 1 + end - begin);
    words[0] = offset_of(group.at) | static_cast<std::uint64_t>(end - begin) << 32;
    std::copy(keys.begin() + begin, keys.begin() + end, words + 1);
  });
}

std::vector<PimTree::Group> PimTree::group(std::span<const Key> keys, const std::vector<Address>& at) const {
  std::vector<Group> groups;
  for (std::uint32_t i = 0; i < keys.size(); ++i) {
    if (groups.empty() || groups.back().at != at[i]) groups.push_back({at[i], i, i});
    groups.back().end = i + 1;
  }
  return groups;
}

// Marks the groups whose chunk is to be pulled. `roots`: a push ends at level 0 at once, through the shadow
// subtree, whereas pulled keys need another round.
void PimTree::plan_level(std::vector<Group>& groups, bool roots, std::uint32_t reply_words) {
  if (options_.search == Search::push) return;
  if (options_.search == Search::pull) {
    for (auto& group : groups) group.pull = true;
    return;
  }
  const std::uint32_t modules = machine_.modules(), piece = std::min<std::uint32_t>(2 * limit_, 512);
  std::vector<std::uint64_t> push_sent(modules), push_received(modules), mixed_sent(modules),
      mixed_received(modules);
  std::uint64_t total = 0;
  double below = 0;  // words of the next level's round for the keys of pulled roots
  // A chunk's length is not known here. Where questions are dense, one that gets more than its neighbours is
  // longer than they are; where only it is asked, it is as long as any. So: B, in proportion to the
  // neighbours, at most 2.5 B.
  const auto expected_length = [&](std::size_t g) {
    constexpr std::size_t kAround = 8;
    const std::size_t from = g < kAround ? 0 : g - kAround, to = std::min(groups.size(), g + kAround + 1);
    const double around =
        static_cast<double>(groups[to - 1].end - groups[from].begin) / static_cast<double>(to - from);
    return static_cast<std::uint64_t>(options_.chunk * std::clamp(groups[g].size() / around, 1.0, 2.5));
  };
  for (std::size_t g = 0; g < groups.size(); ++g) {
    const auto& group = groups[g];
    const std::uint32_t module = module_of(group.at), size = group.size();
    const std::uint64_t sent = size + (size + piece - 1) / piece;
    total += size;
    push_sent[module] += sent;
    push_received[module] += size * std::uint64_t{reply_words};
    if (size > limit_) {
      mixed_sent[module] += 1;
      mixed_received[module] += 2 * expected_length(g) + 2;
      const double chunk = options_.chunk, each = size / chunk;
      below += each > limit_ ? chunk * (2 * chunk + 3) : 2.0 * size + chunk;
    } else {
      mixed_sent[module] += sent;
      mixed_received[module] += size * std::uint64_t{reply_words};
    }
  }
  const auto most = [](const std::vector<std::uint64_t>& words) {
    return *std::max_element(words.begin(), words.end());
  };
  bool pull = false;
  if (options_.plan == Plan::paper) {
    pull =
        static_cast<double>(most(push_received)) * modules >= 3.0 * reply_words * static_cast<double>(total);
  } else {
    const double push_time = static_cast<double>(most(push_sent) + most(push_received));
    double mixed_time = static_cast<double>(most(mixed_sent) + most(mixed_received));
    if (roots) mixed_time += 1.25 * below / modules;
    pull = mixed_time < push_time;
  }
  if (pull)
    for (auto& group : groups) group.pull = group.size() > limit_;
}

PimTree::Fetched PimTree::read_fetched(pim::Round& round, std::uint32_t module) {
  const std::uint64_t* head = round.next(module, 2);
  const std::uint64_t count = head[0];
  Fetched fetched{{}, head[1]};
  const std::uint64_t* words = round.next(module, 2 * count);
  fetched.entries.resize(count);
  for (std::uint64_t i = 0; i < count; ++i) fetched.entries[i] = {words[i], words[count + i]};
  std::sort(fetched.entries.begin(), fetched.entries.end(),
            [](const Entry& a, const Entry& b) { return a.key < b.key; });
  return fetched;
}

Address PimTree::host_root(Key key) const {
  const auto above = l3_.upper_bound(key);
  return above == l3_.begin() ? leftmost_.back() : std::prev(above)->second;
}

// Any replica will do, so question i goes to module floor(i * P / m): balanced whatever the keys.
void PimTree::search_roots(std::span<const Key> keys, std::vector<Address>& roots) {
  const std::uint64_t modules = machine_.modules(), count = keys.size();
  if (options_.l3_host) {
    roots.resize(count);
    for (std::uint64_t i = 0; i < count; ++i) roots[i] = host_root(keys[i]);
    return;
  }
  pim::Round& round = machine_.begin("L3");
  roots.resize(count);
  const auto part = [&](std::uint64_t m) {
    return (m * count + modules - 1) / modules;
  };  // its first question
  for (std::uint64_t m = 0; m < modules; ++m) {
    const std::uint64_t begin = part(m), many = part(m + 1) - begin;
    if (many == 0) continue;
    std::uint64_t* words = round.add_many(static_cast<std::uint32_t>(m), TASK_L3_FIND, 1, many);
    std::copy_n(keys.begin() + static_cast<std::ptrdiff_t>(begin), many, words);
  }
  machine_.run(round);
  for (std::uint64_t m = 0; m < modules; ++m) {
    const std::uint64_t begin = part(m), many = part(m + 1) - begin;
    if (many == 0) continue;
    std::copy_n(round.next(static_cast<std::uint32_t>(m), many), many,
                roots.begin() + static_cast<std::ptrdiff_t>(begin));
  }
}

// From L3 down to the level-0 chunk of every key. Tall keys (if given) get their chunk of every level
// recorded.
void PimTree::search_to_leaves(std::span<const Key> keys, const std::vector<bool>* tall, Paths& paths) {
  paths.at.assign(levels_, {});
  search_roots(keys, paths.at[levels_ - 1]);
  std::vector<std::uint32_t> waiting(keys.size());  // positions of keys that are still on their way
  for (std::uint32_t i = 0; i < waiting.size(); ++i) waiting[i] = i;
  for (std::uint32_t level = levels_ - 1; level >= 1; --level) {
    for (std::uint32_t l = 0; l < level; ++l) paths.at[l].resize(keys.size());
    const bool walk = options_.shadow && level == 2;
    std::vector<Key> asked(waiting.size());
    std::vector<Address> at(waiting.size());
    for (std::size_t i = 0; i < waiting.size(); ++i) {
      asked[i] = keys[waiting[i]];
      at[i] = paths.at[level][waiting[i]];
    }
    std::vector<Group> groups = group(asked, at);
    plan_level(groups, walk);

    // Pushed groups first; those that walk and record in a block of their own.
    std::vector<Key> recorded;
    std::vector<std::uint32_t> recorded_from;
    std::vector<Group> record_groups;
    pim::Round& round = machine_.begin(level == 2 ? "L2 top" : "L2");
    std::vector<Key> short_keys;
    std::vector<std::uint32_t> short_from;
    std::vector<Group> short_groups;
    for (const auto& one : groups) {
      if (one.pull) continue;
      const auto add = [&](std::vector<Group>& to, std::vector<Key>& to_keys,
                           std::vector<std::uint32_t>& from, bool want) {
        const auto begin = static_cast<std::uint32_t>(to_keys.size());
        for (std::uint32_t i = one.begin; i < one.end; ++i) {
          const bool is_tall = walk && tall != nullptr && (*tall)[waiting[i]];
          if (is_tall != want) continue;
          to_keys.push_back(asked[i]);
          from.push_back(waiting[i]);
        }
        if (to_keys.size() > begin) to.push_back({one.at, begin, static_cast<std::uint32_t>(to_keys.size())});
      };
      add(short_groups, short_keys, short_from, false);
      add(record_groups, recorded, recorded_from, true);
    }
    for (const auto& one : short_groups) push(round, walk ? TASK_WALK : TASK_FIND, short_keys, one);
    for (const auto& one : record_groups) push(round, TASK_WALK_RECORD, recorded, one);
    for (const auto& one : groups)
      if (one.pull) round.add(module_of(one.at), TASK_PULL, {offset_of(one.at)});
    machine_.run(round);

    std::vector<std::uint32_t> next;
    std::vector<Address>& below = paths.at[walk ? 0 : level - 1];
    for (const auto& one : short_groups) {
      each_piece(one, [&](std::uint32_t begin, std::uint32_t end) {
        const std::uint64_t* reply = round.next(module_of(one.at), end - begin);
        for (std::uint32_t i = begin; i < end; ++i) below[short_from[i]] = reply[i - begin];
      });
    }
    for (const auto& one : record_groups) {
      each_piece(one, [&](std::uint32_t begin, std::uint32_t end) {
        const std::uint64_t* reply = round.next(module_of(one.at), 2 * (end - begin));
        for (std::uint32_t i = begin; i < end; ++i) {
          paths.at[1][recorded_from[i]] = reply[2 * (i - begin)];
          paths.at[0][recorded_from[i]] = reply[2 * (i - begin) + 1];
        }
      });
    }
    for (const auto& one : groups) {
      if (!one.pull) continue;
      const Fetched chunk = read_fetched(round, module_of(one.at));
      std::size_t entry = 0;
      for (std::uint32_t i = one.begin; i < one.end; ++i) {
        while (entry < chunk.entries.size() && chunk.entries[entry].key <= asked[i]) ++entry;
        paths.at[level - 1][waiting[i]] = entry == 0 ? chunk.link : chunk.entries[entry - 1].value;
        next.push_back(waiting[i]);
      }
    }
    if (walk) waiting = std::move(next);
    if (level == 1 || waiting.empty()) break;
  }
}

// The data node of the largest entry <= key in each key's level-0 chunk; 0 where there is none.
std::vector<Address> PimTree::search_leaves(std::span<const Key> keys, const std::vector<Address>& leaves) {
  std::vector<Group> groups = group(keys, leaves);
  plan_level(groups, false);
  pim::Round& round = machine_.begin("L1");
  for (const auto& one : groups)
    if (!one.pull) push(round, TASK_FIND, keys, one);
  for (const auto& one : groups)
    if (one.pull) round.add(module_of(one.at), TASK_PULL, {offset_of(one.at)});
  machine_.run(round);
  std::vector<Address> nodes(keys.size());
  for (const auto& one : groups) {
    if (one.pull) continue;
    each_piece(one, [&](std::uint32_t begin, std::uint32_t end) {
      const std::uint64_t* reply = round.next(module_of(one.at), end - begin);
      std::copy(reply, reply + (end - begin), nodes.begin() + begin);
    });
  }
  for (const auto& one : groups) {
    if (!one.pull) continue;
    const Fetched chunk = read_fetched(round, module_of(one.at));
    std::size_t entry = 0;
    for (std::uint32_t i = one.begin; i < one.end; ++i) {
      while (entry < chunk.entries.size() && chunk.entries[entry].key <= keys[i]) ++entry;
      nodes[i] = entry == 0 ? 0 : chunk.entries[entry - 1].value;
    }
  }
  return nodes;
}

// The data node of the smallest entry >= key: in the key's own chunk, or the head of the right neighbour.
std::vector<Address> PimTree::search_after(std::span<const Key> keys, const std::vector<Address>& leaves) {
  std::vector<Group> groups = group(keys, leaves);
  plan_level(groups, false);
  pim::Round& round = machine_.begin("L1");
  for (const auto& one : groups)
    if (!one.pull) push(round, TASK_AFTER, keys, one);
  for (const auto& one : groups)
    if (one.pull) round.add(module_of(one.at), TASK_PULL, {offset_of(one.at)});
  machine_.run(round);
  std::vector<Address> nodes(keys.size());
  struct Beyond {
    Address right;
    std::uint32_t
        first;  // the smallest key that has nothing in its own chunk: all such keys get the same answer
    std::uint32_t end;
  };
  std::vector<Beyond> beyond;
  const auto take = [&](const Group& one, std::uint32_t i, Address node, Address right) {
    nodes[i] = node;
    if (node != 0 || right == 0) return;
    if (beyond.empty() || beyond.back().right != right) beyond.push_back({right, i, i});
    beyond.back().end = one.end;
  };
  for (const auto& one : groups) {
    if (one.pull) continue;
    each_piece(one, [&](std::uint32_t begin, std::uint32_t end) {
      const std::uint64_t* reply = round.next(module_of(one.at), 1 + end - begin);
      for (std::uint32_t i = begin; i < end; ++i) take(one, i, reply[1 + i - begin], reply[0]);
    });
  }
  for (const auto& one : groups) {
    if (!one.pull) continue;
    const Fetched chunk = read_fetched(round, module_of(one.at));
    std::size_t entry = 0;
    for (std::uint32_t i = one.begin; i < one.end; ++i) {
      while (entry < chunk.entries.size() && chunk.entries[entry].key < keys[i]) ++entry;
      take(one, i, entry == chunk.entries.size() ? 0 : chunk.entries[entry].value, chunk.link);
    }
  }
  if (beyond.empty()) return nodes;
  pim::Round& right = machine_.begin("L1 right");
  for (const auto& one : beyond)
    right.add(module_of(one.right), TASK_AFTER,
              {offset_of(one.right) | std::uint64_t{1} << 32, keys[one.first]});
  machine_.run(right);
  for (const auto& one : beyond) {
    const Address node = right.next(module_of(one.right), 2)[1];
    for (std::uint32_t i = one.first; i < one.end; ++i)
      if (nodes[i] == 0) nodes[i] = node;
  }
  return nodes;
}

// One task a distinct node: questions are sorted, so equal nodes stand together.
std::vector<Entry> PimTree::read_data(const std::vector<Address>& nodes) {
  pim::Round& round = machine_.begin("data");
  const auto asks = [&](std::size_t i) {
    return nodes[i] != 0 && (i == 0 || nodes[i] != nodes[i - 1] || !options_.dedup);
  };
  for (std::size_t i = 0; i < nodes.size(); ++i)
    if (asks(i)) *round.add(module_of(nodes[i]), TASK_DATA, 1) = offset_of(nodes[i]);
  machine_.run(round);
  std::vector<Entry> found(nodes.size());
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    if (asks(i)) {
      const std::uint64_t* reply = round.next(module_of(nodes[i]), 2);
      found[i] = {reply[0], reply[1]};
    } else if (i > 0) {
      found[i] = found[i - 1];
    }
  }
  return found;
}

}  // namespace ballast::index
