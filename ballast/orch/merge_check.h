// `check_merge`: are the merges of a task class associative and commutative on the updates of this very
// stage? A few updates of some keys are kept as bytes and merged again in other orders. A class whose equal
// updates may have different bytes says when two are equal: static bool same(const Update&, const Update&).
// Floating point is compared to 1e-9.
#pragma once

#include <absl/container/flat_hash_map.h>
#include <cxxabi.h>
#include <fmt/format.h>

#include <cmath>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <typeinfo>
#include <vector>

#include "ballast/orch/task.h"

namespace ballast::orch::internal {

template <typename C>
class MergeCheck {
 public:
  using Key = typename C::Key;
  using Update = typename C::Update;

  void note(const Key& key, const Update& update) {
    const auto found = kept_.find(key);
    if (found == kept_.end() && kept_.size() >= kMostKeys) return;
    auto& list = found == kept_.end() ? kept_[key] : found->second;
    if (list.size() >= kMostUpdates) return;
    Buffer bytes;
    Wire<Update>::put(bytes, update);
    list.push_back(std::move(bytes));
  }

  /// A sentence that names the class and the key, if some order of merging gives another update.
  std::optional<std::string> fault() const {
    for (const auto& [key, list] : kept_) {
      for (std::size_t i = 0; i + 1 < list.size(); ++i) {
        const auto a = [&] { return copy(list[i]); };
        const auto b = [&] { return copy(list[i + 1]); };
        if (!same(C::merge(a(), b()), C::merge(b(), a()))) return sentence("commutative", key);
        if (i + 2 == list.size()) break;
        const auto c = [&] { return copy(list[i + 2]); };
        if (!same(C::merge(C::merge(a(), b()), c()), C::merge(a(), C::merge(b(), c()))))
          return sentence("associative", key);
      }
    }
    return std::nullopt;
  }

 private:
  static constexpr std::size_t kMostKeys = 256, kMostUpdates = 4;

  static Update copy(const Buffer& bytes) {
    Reader reader(bytes.bytes());
    return Wire<Update>::get(reader);
  }
  static bool same(const Update& x, const Update& y) {
    if constexpr (requires { C::same(x, y); }) {
      return C::same(x, y);
    } else if constexpr (std::is_floating_point_v<Update>) {
      return x == y || std::abs(x - y) <= 1e-9 * std::max(std::abs(x), std::abs(y));
    } else {
      Buffer a, b;
      Wire<Update>::put(a, x);
      Wire<Update>::put(b, y);
      return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size()) == 0);
    }
  }
  static std::string sentence(const char* law, const Key& key) {
    int status = 0;
    const std::unique_ptr<char, void (*)(void*)> name(
        abi::__cxa_demangle(typeid(C).name(), nullptr, nullptr, &status), std::free);
    return fmt::format("merge of task class {} is not {}: seen on updates of key {}",
                       status == 0 ? name.get() : typeid(C).name(), law, key);
  }

  absl::flat_hash_map<Key, std::vector<Buffer>, KeyHash<Key>> kept_;
};

}  // namespace ballast::orch::internal
