// The sort-based baseline: tasks are sample-sorted by (key, id) into ranges of equal weight, one range a
// machine, where a task weighs sigma + rho and the first task of a key the item's B besides. A hot key spans
// several machines. Every range asks once for each item it needs; replies and merged updates go back.
#pragma once

#include <numeric>

#include "ballast/orch/runners.h"

namespace ballast::orch::internal {

template <typename C, typename S>
class SortMethod {
 public:
  using Key = typename C::Key;

  SortMethod(Stage<C, S>& stage, const RecordSizes& sizes) : stage_(stage), me_(stage.me), sizes_(sizes) {}

  void run() {
    order_.resize(stage_.batch.size());
    std::iota(order_.begin(), order_.end(), 0u);
    std::sort(order_.begin(), order_.end(), [&](std::uint32_t a, std::uint32_t b) {
      const Key &x = stage_.batch.key(a), &y = stage_.batch.key(b);
      return x != y ? x < y : a < b;
    });
    choose_splitters();
    send_tasks();
    run_range();
    stage_.close_directly();
  }

 private:
  static constexpr std::size_t kSamples = 4096;  ///< of all machines together
  using Place = std::pair<Key, TaskId>;

  struct Sample {
    Place place;
    double weight;
  };

  // Each machine tells machine 0 where its tasks lie (regular samples) and which keys of a thinned key space
  // it has: thinning by hash is the same on all machines, so that a key counts once however many ask for it.
  // Machine 0 cuts and tells all.
  void choose_splitters() {
    const std::size_t n = order_.size();
    const std::size_t each = std::max<std::size_t>(16, kSamples / static_cast<std::size_t>(me_.machines()));
    const std::size_t samples = std::min(n, each);
    std::uint64_t distinct = 0;
    for (std::size_t i = 0; i < n; ++i) distinct += starts_group(i);
    const std::uint64_t most = me_.allreduce(distinct, [](auto a, auto b) { return std::max(a, b); });
    const std::uint64_t thinning = std::max<std::uint64_t>(1, most / each);

    BundleOutbox<2> out(me_);
    const auto put = [&](std::size_t section, std::size_t i, float weight) {
      Buffer& buffer = out.record(0, section);
      const std::size_t before = buffer.size();
      Wire<Key>::put(buffer, stage_.batch.key(order_[i]));
      if (section == 0) {
        buffer.put(stage_.id_of(order_[i]));
        buffer.put(weight);
      }
      if (!stage_.is_me(0)) stage_.counters.request_bytes += buffer.size() - before;
    };
    for (std::size_t s = 0; s < samples; ++s) {
      const std::size_t from = n * s / samples, to = n * (s + 1) / samples;
      put(0, to - 1, static_cast<float>(static_cast<double>(to - from) * (sizes_.task + sizes_.reply)));
    }
    for (std::size_t i = 0; i < n; ++i) {
      if (starts_group(i) && hash_key(stage_.batch.key(order_[i]), 0x7468696eull) % thinning == 0)
        put(1, i, 0);
    }
    stage_.counters.header_bytes += out.header_bytes();
    std::vector<Sample> all;
    {
      const cluster::Inbox in = out.exchange();
      std::vector<Key> keys;
      read_bundles<2>(in, [&](int, std::size_t section, Reader& reader) {
        Key key = Wire<Key>::get(reader);
        if (section == 1) return keys.push_back(std::move(key));
        const auto id = reader.get<TaskId>();
        all.push_back({{std::move(key), id}, reader.get<float>()});
      });
      std::sort(keys.begin(), keys.end());
      keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
      for (auto& key : keys)
        all.push_back({{std::move(key), 0}, static_cast<double>(thinning) * sizes_.item});
    }
    BundleOutbox<1> cuts(me_);
    if (stage_.is_me(0)) {
      std::sort(all.begin(), all.end(), [](const Sample& a, const Sample& b) { return a.place < b.place; });
      double total = 0, so_far = 0;
      for (const auto& sample : all) total += sample.weight;
      int cut = 1;
      std::vector<Place> places;
      for (const auto& sample : all) {
        so_far += sample.weight;
        for (; cut < me_.machines() && so_far >= total * cut / me_.machines(); ++cut)
          places.push_back(sample.place);
      }
      for (int d = 0; d < me_.machines(); ++d) {
        for (const auto& [key, id] : places) {
          Buffer& buffer = cuts.record(d, 0);
          const std::size_t before = buffer.size();
          Wire<Key>::put(buffer, key);
          buffer.put(id);
          if (!stage_.is_me(d)) stage_.counters.request_bytes += buffer.size() - before;
        }
      }
    }
    stage_.counters.header_bytes += cuts.header_bytes();
    const cluster::Inbox in = cuts.exchange();
    read_bundles<1>(in, [&](int, std::size_t, Reader& reader) {
      Key key = Wire<Key>::get(reader);
      splitters_.emplace_back(std::move(key), reader.get<TaskId>());
    });
  }

  bool starts_group(std::size_t i) const {
    return i == 0 || stage_.batch.key(order_[i]) != stage_.batch.key(order_[i - 1]);
  }

  void send_tasks() {
    BundleOutbox<1> out(me_);
    std::size_t range = 0;
    for (std::uint32_t i : order_) {
      const Place place{stage_.batch.key(i), stage_.id_of(i)};
      while (range < splitters_.size() && splitters_[range] < place) ++range;
      const int to = static_cast<int>(range);
      Buffer& buffer = out.record(to, 0);
      const std::size_t before = buffer.size();
      Task<C>::put(buffer, place.first, place.second, stage_.batch.context(i));
      if (!stage_.is_me(to)) stage_.counters.task_bytes += buffer.size() - before;
    }
    stage_.counters.header_bytes += out.header_bytes();
    const cluster::Inbox in = out.exchange();
    read_bundles<1>(in, [&](int, std::size_t, Reader& reader) { tasks_.push_back(Task<C>::get(reader)); });
    std::sort(tasks_.begin(), tasks_.end(),
              [](const auto& a, const auto& b) { return a.key != b.key ? a.key < b.key : a.id < b.id; });
  }

  void run_range() {
    BundleOutbox<1> requests(me_);
    std::vector<std::vector<std::size_t>> asked(static_cast<std::size_t>(me_.machines()));
    for (std::size_t i = 0; i < tasks_.size(); ++i) {
      if (i > 0 && tasks_[i].key == tasks_[i - 1].key) continue;
      const int owner = stage_.store.owner(tasks_[i].key);
      asked[static_cast<std::size_t>(owner)].push_back(i);
      Buffer& buffer = requests.record(owner, 0);
      const std::size_t before = buffer.size();
      Wire<Key>::put(buffer, tasks_[i].key);
      if (!stage_.is_me(owner)) stage_.counters.request_bytes += buffer.size() - before;
    }
    stage_.counters.header_bytes += requests.header_bytes();
    BundleOutbox<1> items(me_);
    {
      const cluster::Inbox in = requests.exchange();
      read_bundles<1>(in, [&](int source, std::size_t, Reader& reader) {
        Buffer& buffer = items.record(source, 0);
        const std::size_t before = buffer.size();
        ItemWire<C>::put(buffer, stage_.store.find(Wire<Key>::get(reader)));
        if (!stage_.is_me(source)) stage_.counters.item_bytes += buffer.size() - before;
      });
    }
    stage_.counters.header_bytes += items.header_bytes();
    const cluster::Inbox in = items.exchange();
    std::vector<std::size_t> answered(asked.size(), 0);
    ItemTasks runs(stage_, [&](const Key& key, auto update, std::uint32_t source) {
      (stage_.is_me(static_cast<int>(source)) ? stage_.at_root : stage_.elsewhere)
          .add(key, std::move(update));
    });
    read_bundles<1>(in, [&](int source, std::size_t, Reader& reader) {
      const auto s = static_cast<std::size_t>(source);
      std::size_t i = asked[s].at(answered[s]++);
      const Key& key = tasks_[i].key;
      runs.begin(key, ItemWire<C>::get(reader), static_cast<std::uint32_t>(source));
      for (; i < tasks_.size() && tasks_[i].key == key; ++i) runs.add(tasks_[i].id, tasks_[i].context);
    });
    runs.finish();
  }

  Stage<C, S>& stage_;
  cluster::Machine& me_;
  RecordSizes sizes_;
  std::vector<std::uint32_t> order_;
  std::vector<Place> splitters_;
  std::vector<Task<C>> tasks_;
};

}  // namespace ballast::orch::internal
