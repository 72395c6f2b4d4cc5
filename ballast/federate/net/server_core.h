// The server's desk, free of any transport: hands out tasks, takes results, refuses what is wrong. The gRPC
// handlers unpack and call it; tests call it directly.
#pragma once

#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "ballast/federate/coordinator.h"
#include "ballast/federate/net/wire.h"

namespace ballast::federate {

struct DeskOptions {
  int min_clients = 1;           ///< registered before the first step opens
  double open_deadline_s = 60;   ///< how long a step waits for clients' data
  double round_deadline_s = 60;  ///< how long a round waits for results; a timer, no message is needed
  int min_reports = 1;           ///< a round with fewer waits until its deadline, whoever is there
  double over_select = 1;        ///< a round closes once tasks / over_select results are in
  bool late_next_round = false;  ///< late updates count in the next round, with weight 1/sqrt(1 + age)
};

class ServerDesk : public Workforce {
 public:
  ServerDesk(Roster roster, DeskOptions options);

  /// Waits for min_clients; takes the first one's shape. False when stopped.
  bool wait_for_clients();
  /// After a restart: waits, up to the opening deadline, for the clients that were there before.
  void wait_for_return();
  void set_problem(const WireSettings& settings, const std::string& run);
  int features() const { return features_; }
  int classes() const { return classes_; }

  // Calls of clients; `client` is authenticated. A refusal is InvalidInput with the reason.
  void register_client(int client, int features, int classes);
  struct Work {
    enum class Kind { nothing, work, end } kind = Kind::nothing;
    std::uint64_t id = 0;
    std::string record;
    std::vector<std::pair<SlotId, std::string>> models;
    int deadline_ms = 0;
  };
  Work next_task(int client, std::chrono::milliseconds wait);
  /// Throws InvalidInput for a hash that is not in use.
  std::shared_ptr<const std::string> blob(const std::string& hash);
  /// The most bytes that a result of this client may have now.
  std::size_t result_limit(int client);
  /// "": accepted, "have": was here before; else why not. Refusals are counted; three quarantine the client.
  std::string push(int client, std::uint64_t task, const std::string& record);
  void leave(int client);
  /// An operator's word: the client's refusals are forgotten. False: no such client.
  bool release(const std::string& name);

  void perform(const std::vector<ClientTask>& tasks, const ModelStore& models, bool share,
               const Sink& sink) override;
  void end();              ///< tells clients that the run is over
  void wait_until_told();  ///< until all have heard it, ten seconds at most
  void stop();             ///< ends all waiting; perform throws Interrupted

  const Roster& roster() const { return roster_; }
  const std::string& run() const { return run_; }
  std::string settings() const { return settings_; }
  struct Facts {
    std::uint64_t refused = 0, late = 0, models_down = 0, results_up = 0;
    std::map<std::string, std::uint64_t> reasons;
    std::set<int> registered, quarantined;
  };
  Facts facts() const;
  /// Counts announced at OPEN, needed to check results; part of checkpoints.
  void archive(Archive& a);

 private:
  struct Open {
    ClientTask task;
    std::uint64_t id;
    bool done = false;
    ClientResult result;
  };
  /// A result whose deadline has passed: counted, and kept for the next round where wished for.
  std::string push_late(int client, const Open& open, const std::string& record);
  std::string check(const Open& open, const ClientResult& result) const;
  std::string refuse(int client, const std::string& reason);

  const Roster roster_;
  const DeskOptions options_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::map<int, Open> open_;
  std::set<std::uint64_t> finished_;
  std::map<int, Open> expired_;  // client -> its newest task that nobody waits for
  std::map<int, std::pair<ClientTask, ClientResult>> late_;         // client -> an update that came too late
  std::map<SlotId, std::pair<std::uint64_t, std::string>> hashes_;  // slot -> version, hash
  std::map<std::string, std::shared_ptr<const std::string>> blobs_;
  std::map<int, std::map<int, std::uint64_t>> announced_;  // client -> step -> samples
  std::map<int, int> violations_;
  std::vector<int> there_before_;
  std::chrono::steady_clock::time_point deadline_;
  Facts facts_;
  std::set<int> told_;
  ModelShape shape_;
  RunConfig config_;
  std::string run_, settings_;
  int features_ = 0, classes_ = 0;
  std::uint64_t next_id_ = 1;
  bool ended_ = false, stopped_ = false;
};

}  // namespace ballast::federate
