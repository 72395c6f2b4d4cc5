#include "ballast/orch/options.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "ballast/base/cli.h"
#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/orch/task.h"

namespace ballast::orch {
namespace {

std::uint64_t whole_number(const std::string& flag, const std::string& text, std::uint64_t least,
                           const std::string& accepted) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < least)
    throw InvalidInput(flag, text, accepted);
  return value;
}

}  // namespace

std::uint64_t hash_key(const std::string& key, std::uint64_t seed) {
  return mix64(checksum64(key) ^ seed);
}

const std::vector<std::string>& method_names() {
  static const std::vector<std::string> names{"td-orch",    "push",         "pull",
                                              "pull-dedup", "sort",         "hot-replicate",
                                              "hot-aware",  "tree-combine", "reference"};
  return names;
}

std::string to_string(Method method) {
  return method_names()[static_cast<std::size_t>(method)];
}

Method method_from_string(const std::string& word) {
  cli::require_one_of("--method", word, method_names());
  const auto& names = method_names();
  return static_cast<Method>(std::find(names.begin(), names.end(), word) - names.begin());
}

Forest make_forest(const Options& options, int machines) {
  if (options.fanout == "flat" || options.fanout == "auto") return Forest::flat(machines);
  if (options.fanout == "theory")
    return Forest::with_fanout(machines, Forest::theory_fanout(machines), options.placement);
  const auto fanout =
      whole_number("--fanout", options.fanout, 2, "auto, flat, theory, or an integer of at least 2");
  return Forest::with_fanout(machines, static_cast<int>(std::min<std::uint64_t>(fanout, 4096)),
                             options.placement);
}

Limits make_limits(const Options& options, const RecordSizes& sizes, const Forest& forest) {
  Limits limits{.direct = options.direct_pull, .fuse = options.fuse};
  if (options.method == Method::tree_combine || !options.park) {
    limits.leaf = limits.inner = limits.metas = std::numeric_limits<std::uint64_t>::max();
    return limits;
  }
  if (options.always_pull) {
    limits.leaf = 0;
    limits.inner = 1;
  } else if (options.push_limit.empty()) {
    limits.leaf =
        static_cast<std::uint64_t>((sizes.item + sizes.meta) / (sizes.task + sizes.reply / forest.height()));
    limits.inner =
        std::max<std::uint64_t>(1, static_cast<std::uint64_t>((sizes.item + sizes.meta) / sizes.task));
  } else if (options.push_limit == "theory") {
    limits.leaf = limits.inner =
        std::max<std::uint64_t>(1, static_cast<std::uint64_t>(std::ceil(sizes.item / sizes.task)));
  } else {
    limits.leaf = whole_number("--push-limit", options.push_limit, 0, "'theory' or an integer of at least 0");
    limits.inner = std::max<std::uint64_t>(1, limits.leaf);
  }
  if (options.meta_limit.empty()) {
    limits.metas = static_cast<std::uint64_t>(forest.fanout());
  } else if (options.meta_limit == "theory") {
    limits.metas = std::max<std::uint64_t>(1, limits.inner);
  } else {
    limits.metas =
        whole_number("--meta-limit", options.meta_limit, 1, "'theory' or an integer of at least 1");
  }
  return limits;
}

}  // namespace ballast::orch
