#include "ballast/index/tree_flags.h"

#include "ballast/base/errors.h"
#include "ballast/base/units.h"
#include "ballast/index/workload.h"

namespace ballast::index {
namespace {

void run_operation(MeteredIndex& index, const std::string& op, std::span<const Key> keys) {
  if (op == "predecessor") {
    index.predecessor(keys);
  } else if (op == "successor") {
    index.successor(keys);
  } else if (op == "get") {
    index.get(keys);
  } else if (op == "insert" || op == "update") {
    std::vector<Entry> entries;
    for (const Key key : keys) entries.push_back({key, key});
    op == "insert" ? static_cast<void>(index.insert(entries)) : static_cast<void>(index.update(entries));
  } else if (op == "delete") {
    index.erase(keys);
  } else {
    std::vector<KeyRange> ranges;
    for (const Key key : keys)
      ranges.push_back({key, key + (~Key{0} >> 16) < key ? ~Key{0} : key + (~Key{0} >> 16)});
    op == "scan" ? static_cast<void>(index.scan(ranges)) : static_cast<void>(index.count(ranges));
  }
}

}  // namespace

void TreeFlags::add_to(cli::Verb& verb) {
  verb->add_option("--chunk", chunk, "keys in a chunk, expected")->capture_default_str();
  verb->add_option("--levels", levels, "chunk levels below L3 (1 to 3; 0: automatic)")->capture_default_str();
  verb->add_option("--push-pull-limit", limit, "most questions that are pushed to one chunk (0: --chunk)")
      ->capture_default_str();
  verb->add_option("--search", search, "push, pull or push-pull")->capture_default_str();
  verb->add_option("--plan", plan, "paper or adaptive: how push-pull chooses")->capture_default_str();
  verb->add_option("--root-place", root_place, "choices (the emptiest of four modules) or hash")
      ->capture_default_str();
  verb->add_option("--l3", l3, "modules (a replica on each) or host (one, searched by the CPU)")
      ->capture_default_str();
  verb->add_option("--leaf", leaf, "hash (values in data nodes) or inline (in level-0 chunks too)")
      ->capture_default_str();
  verb->add_option("--chunking", chunking, "geometric, or ab (cut above 2B, joined below B/2)")
      ->capture_default_str();
  verb->add_option("--record", record, "tall or all: whose whole path a change records")
      ->capture_default_str();
  verb->add_flag("--no-shadow", no_shadow, "without shadow subtrees");
  verb->add_flag("--no-dedup", no_dedup, "send duplicate questions");
  verb->add_flag("--no-merge-ranges", no_merge_ranges, "scans send overlapping ranges apart");
  verb->add_flag("--no-cut-ranges", no_cut_ranges, "scans send long ranges whole");
}

PimTreeOptions TreeFlags::options(std::uint64_t seed) const {
  cli::require_one_of("--search", search, {"push", "pull", "push-pull"});
  cli::require_one_of("--plan", plan, {"paper", "adaptive"});
  cli::require_one_of("--root-place", root_place, {"choices", "hash"});
  cli::require_one_of("--l3", l3, {"modules", "host"});
  cli::require_one_of("--leaf", leaf, {"hash", "inline"});
  cli::require_one_of("--chunking", chunking, {"geometric", "ab"});
  cli::require_one_of("--record", record, {"tall", "all"});
  return {.chunk = chunk,
          .levels = levels,
          .shadow = !no_shadow,
          .four_choices = root_place == "choices",
          .search = search == "push"   ? Search::push
                    : search == "pull" ? Search::pull
                                       : Search::push_pull,
          .plan = plan == "paper" ? Plan::paper : Plan::adaptive,
          .limit = limit,
          .dedup = !no_dedup,
          .l3_host = l3 == "host",
          .leaf = leaf == "inline" ? Leaf::in_line : Leaf::hash,
          .chunking = chunking == "ab" ? Chunking::ab : Chunking::geometric,
          .record_all = record == "all",
          .merge_ranges = !no_merge_ranges,
          .cut_ranges = !no_cut_ranges,
          .seed = seed};
}

void OneBatch::add_to(cli::Verb& verb) {
  verb->add_option("--keys", keys, "keys in the index")->capture_default_str();
  verb->add_option("--batch", batch, "operations in the batch")->capture_default_str();
  verb->add_option("--op", op, "predecessor, successor, get, insert, update, delete, scan, count")
      ->capture_default_str();
  verb->add_option("--method", method, "pim-tree, push, pull, push-pull, range, range-rebalance, jump-push")
      ->capture_default_str();
  verb->add_option("--modules", modules, "PIM modules")->capture_default_str();
  verb->add_option("--alpha", alpha, "skew of the questions over pieces of the key space (-1: one piece)")
      ->capture_default_str();
  tree.add_to(verb);
}

OneBatch::Outcome OneBatch::run(std::uint64_t seed, bool trace_modules) const {
  cli::require_one_of("--op", op,
                      {"predecessor", "successor", "get", "insert", "update", "delete", "scan", "count"});
  const std::uint64_t count = parse_count("--batch", batch);
  if (count == 0 || count > (1u << 24)) throw InvalidInput("--batch", batch, "1 to 16 million");
  Method made = make_method(method, {.modules = modules}, tree.options(seed));
  const auto entries = uniform_entries(parse_count("--keys", keys), seed);
  made.index->bulk_load(entries);
  const bool existing = (op == "get" || op == "delete" || op == "update") && !entries.empty();
  const auto questions = existing ? piece_zipf_existing(entries, count, modules, alpha, seed, 1)
                                  : piece_zipf(count, modules, alpha, seed, 1);
  made.machine->trace_modules(trace_modules);
  run_operation(*made.index, op, questions);
  return {std::move(made), entries.size(), count};
}

}  // namespace ballast::index
