// Secure aggregation inside a round of a coordinator (secagg.h has the protocol): three exchanges around the
// training tasks, for every model that at least three clients train in the round.
//
//   SecureRound secure(tasks, exchange, expected);   // keys, then sealed shares; marks the jobs of `tasks`
//   ... tasks are carried out; take(result) for every one ...
//   auto sums = secure.open();                       // the exact weighted means of those who came through
//
// A client that falls silent between two exchanges is a dropout; one whose process was started again in the
// middle has lost its keys and says so with an empty answer. Models with one contributor stay there and
// travel in the clear once a step (the chapter says what that tells); with two, or fewer than three left,
// nothing is unmasked.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "ballast/federate/secagg.h"
#include "ballast/federate/task.h"

namespace ballast::federate {

class SecureRound {
 public:
  /// Carries out tasks and hands over every result (Workforce::perform).
  using Exchange =
      std::function<void(const std::vector<ClientTask>&, const std::function<void(ClientResult&)>&)>;

  /// `weights(slot, client)` is what the client's update will weigh. Jobs of models that cannot be summed
  /// securely are taken out of `tasks`, and tasks without jobs with them.
  SecureRound(std::vector<ClientTask>& tasks, Exchange exchange,
              const std::function<double(SlotId, ClientId, const TrainJob&)>& weights);

  void take(const ClientResult& result);
  /// Means by slot. Slots whose sum cannot be opened (too many dropouts) are in `given_up`.
  std::map<SlotId, Params> open();
  /// After open(): how many updates are in a slot's mean.
  std::size_t clients(SlotId slot) const { return groups_.at(slot).server->survived().size(); }
  const std::vector<SlotId>& given_up() const { return given_up_; }

 private:
  struct Group {
    std::vector<ClientId> cohort;
    std::map<ClientId, PublicKeys> keys;
    std::map<ClientId, std::map<ClientId, std::string>> sealed;  // by receiver, then by owner
    std::unique_ptr<SecureServer> server;
    int threshold = 2;
    double max_weight = 1;
  };
  /// Asks every client of the groups once, with one record a group it belongs to.
  void ask(Phase phase, const std::function<bool(const Group&, ClientId)>& asked,
           const std::function<void(const Group&, ClientId, SecureTask&)>& fill,
           const std::function<void(Group&, ClientId, SecureAnswer&)>& take);
  void drop_small(std::vector<ClientTask>& tasks, const std::function<std::size_t(SlotId)>& size);

  Exchange exchange_;
  ClientTask form_;  // step and round
  std::map<SlotId, Group> groups_;
  std::vector<SlotId> given_up_;
};

}  // namespace ballast::federate
