#include "ballast/federate/secure_round.h"

#include <algorithm>

#include "ballast/base/errors.h"

namespace ballast::federate {

SecureRound::SecureRound(std::vector<ClientTask>& tasks, Exchange exchange,
                         const std::function<double(SlotId, ClientId, const TrainJob&)>& weights)
    : exchange_(std::move(exchange)) {
  if (tasks.empty()) return;
  form_.step = tasks.front().step;
  form_.round = tasks.front().round;
  for (const ClientTask& task : tasks) {
    for (const TrainJob& job : task.trains) {
      if (job.alone) continue;
      Group& group = groups_[job.slot];
      group.cohort.push_back(task.client);
      group.max_weight = std::max(group.max_weight, weights(job.slot, task.client, job));
    }
  }
  drop_small(tasks, [&](SlotId slot) { return groups_.at(slot).cohort.size(); });
  for (auto& [slot, group] : groups_) group.threshold = static_cast<int>(group.cohort.size()) / 2 + 1;

  ask(
      Phase::secure_keys, [](const Group&, ClientId) { return true; },
      [](const Group&, ClientId, SecureTask&) {},
      [](Group& group, ClientId client, SecureAnswer& answer) { group.keys[client] = answer.keys; });
  drop_small(tasks, [&](SlotId slot) { return groups_.at(slot).keys.size(); });

  std::map<SlotId, std::map<ClientId, PublicKeys>> shared;
  ask(
      Phase::secure_share, [](const Group& group, ClientId client) { return group.keys.count(client) > 0; },
      [](const Group& group, ClientId, SecureTask& task) { task.keys = group.keys; },
      [](Group& group, ClientId client, SecureAnswer& answer) {
        for (auto& [receiver, box] : answer.sealed) group.sealed[receiver][client] = std::move(box);
        if (!group.server) group.server = std::make_unique<SecureServer>(group.cohort, group.threshold);
        group.server->take_keys(client, group.keys.at(client));
      });
  const auto sharers = [](const Group& group) { return group.server ? group.server->keys().size() : 0; };
  drop_small(tasks, [&](SlotId slot) { return sharers(groups_.at(slot)); });

  // What is left trains; whoever fell silent so far does not.
  for (ClientTask& task : tasks) {
    std::erase_if(task.trains, [&](const TrainJob& job) {
      return !job.alone && groups_.at(job.slot).server->keys().count(task.client) == 0;
    });
    for (TrainJob& job : task.trains) {
      if (job.alone) continue;
      Group& group = groups_.at(job.slot);
      job.secure = true;
      job.max_weight = group.max_weight;
      for (auto& [owner, box] : group.sealed[task.client]) {
        if (group.server->keys().count(owner) > 0) job.sealed[owner] = box;
      }
    }
  }
  std::erase_if(tasks, [](const ClientTask& task) { return task.trains.empty(); });
}

void SecureRound::drop_small(std::vector<ClientTask>& tasks, const std::function<std::size_t(SlotId)>& size) {
  std::erase_if(groups_, [&](const auto& entry) {
    if (size(entry.first) >= 3) return false;
    given_up_.push_back(entry.first);
    return true;
  });
  for (ClientTask& task : tasks)
    std::erase_if(task.trains,
                  [&](const TrainJob& job) { return !job.alone && groups_.count(job.slot) == 0; });
  std::erase_if(tasks, [](const ClientTask& task) { return task.trains.empty(); });
}

void SecureRound::ask(Phase phase, const std::function<bool(const Group&, ClientId)>& asked,
                      const std::function<void(const Group&, ClientId, SecureTask&)>& fill,
                      const std::function<void(Group&, ClientId, SecureAnswer&)>& take) {
  std::map<ClientId, ClientTask> by_client;
  for (const auto& [slot, group] : groups_) {
    for (ClientId client : group.cohort) {
      if (!asked(group, client)) continue;
      auto [found, fresh] = by_client.try_emplace(client, form_);
      found->second.phase = phase;
      found->second.client = client;
      SecureTask& task = found->second.secure.emplace_back();
      task.slot = slot;
      task.cohort = group.cohort;
      task.threshold = group.threshold;
      fill(group, client, task);
    }
  }
  std::vector<ClientTask> tasks;
  for (auto& [client, task] : by_client) tasks.push_back(std::move(task));
  if (tasks.empty()) return;
  exchange_(tasks, [&](ClientResult& result) {
    if (result.absent) return;
    for (SecureAnswer& answer : result.secure) {
      const auto found = groups_.find(answer.slot);
      if (found != groups_.end() && asked(found->second, result.client))
        take(found->second, result.client, answer);
    }
  });
}

void SecureRound::take(const ClientResult& result) {
  for (const Trained& trained : result.trained) {
    const auto found = groups_.find(trained.slot);
    if (found == groups_.end() || trained.masked.empty()) continue;
    found->second.server->take_masked(result.client, trained.masked);
  }
}

std::map<SlotId, Params> SecureRound::open() {
  const auto came = [](const Group& group) { return group.server->survived(); };
  std::erase_if(groups_, [&](const auto& entry) {
    const Group& group = entry.second;
    if (came(group).size() >= static_cast<std::size_t>(std::max(3, group.threshold))) return false;
    given_up_.push_back(entry.first);
    return true;
  });
  ask(
      Phase::secure_open, [&](const Group& group, ClientId client) { return came(group).count(client) > 0; },
      [&](const Group& group, ClientId, SecureTask& task) {
        const auto survived = came(group), dropped = group.server->dropped();
        task.survived.assign(survived.begin(), survived.end());
        task.dropped.assign(dropped.begin(), dropped.end());
      },
      [](Group& group, ClientId client, SecureAnswer& answer) {
        group.server->take_opened(client, {answer.seeds, answer.mask_keys});
      });
  std::map<SlotId, Params> means;
  for (auto& [slot, group] : groups_) {
    try {
      means[slot] = dequantise_mean(group.server->sum(), came(group).size());
    } catch (const Unavailable&) {  // too few shares: nothing is unmasked
      given_up_.push_back(slot);
    }
  }
  return means;
}

}  // namespace ballast::federate
