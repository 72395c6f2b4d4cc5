// One replica between two engine steps: the requests that live in it, its KV ledger, and the policy that
// decides. It knows neither a clock nor an executor: the simulator drives it on virtual time, the server with
// llama.cpp.
//
//   Replica replica(perf, make_policy("slos", settings), {...});
//   replica.arrive(live, now, t0);                 // a request, or its next round; t0: when the running
//   batch ends const StepBatch& batch = replica.form(now);    // what to compute next; empty: idle
//   replica.complete(now, outcomes);               // what came out of it, item by item
//
// Life of a request: arrive -> pending -> {admitted | best effort | declined}; prefill (chunk by chunk) ->
// first token
// -> decode -> {next round through a tool wait | finished}. Best-effort requests may be preempted: they lose
// their KV blocks, keep what they generated, and prefill all of it again.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "ballast/serve/kv_ledger.h"
#include "ballast/serve/meter.h"
#include "ballast/serve/perf_model.h"
#include "ballast/serve/request.h"

namespace ballast::serve {

class Policy;

/// A request while it lives in a replica. Plain data: the policy and the replica both work on it.
struct Live {
  enum class Phase : std::uint8_t { waiting, prefill, decode, tool_wait, gone };

  const Request* request = nullptr;
  Phase phase = Phase::waiting;
  Admission admission = Admission::pending;
  Outcome outcome = Outcome::open;
  int round = 0;
  int segment = 0, in_segment = 0;  ///< place in the round's output
  int in_round = 0;                 ///< tokens of this round so far
  int done = 0;                     ///< tokens whose KV is computed
  int target = 0;                   ///< tokens whose KV is needed before the next token can come
  int expected_output = 0;          ///< o_hat of this round: for memory and context only
  double stage_arrival = 0;         ///< of this round
  double idle_ms = 0;               ///< T0 of this round
  double deadline = 0;              ///< of the first token of this round
  double anchor = 0;                ///< when the present segment's first token came
  double next_due = 0;              ///< deadline of the next token (decode)
  double tpot_ms = 0;               ///< of the present segment
  double relaxed_tpot_ms = 0;  ///< of a downgraded request: it is paced no faster than this; 0: as promised
  double plan_tpot_ms = 0;     ///< the tightest that is still to come in this round
  KvLedger::Account account;
  RoundMeter meter;
  int preemptions = 0;
  bool ever_best_effort = false;
  bool met_token = true, met_mean = true;  ///< all rounds so far
  int late_tokens = 0;
  int late_firsts = 0;
  std::string reason;  ///< of the admission decision
  double first_arrival = 0, finish = 0;
  double slowdown = 0;  ///< worst over rounds: TTFT / T0
  double worst_tpot = 0;
  std::vector<std::vector<double>> token_times;  ///< [round][token], when recorded
  std::uint64_t sequence = 0;                    ///< order of arrival in its replica
  int executor_slot = -1;                        ///< sequence id in a real executor

  const Round& current() const { return request->rounds[static_cast<std::size_t>(round)]; }
  int left() const { return target - done; }
  /// Context at the end of this round if it becomes as long as expected.
  int final_context() const { return target - in_round + std::max(expected_output, in_round + 1); }
};

struct BatchItem {
  Live* live = nullptr;
  int chunk = 0;   ///< prompt tokens to process; 0 for a decode
  int verify = 0;  ///< tokens verified in a decode (1: plain); 0 for a chunk
};

/// One step: its items, and the sum of what they cost.
struct StepBatch {
  std::vector<BatchItem> items;
  BatchLoad load;
  void clear() { items.clear(), load = {}; }
  bool empty() const { return items.empty(); }
};

/// What a step gave for one item.
struct StepOutcome {
  int emitted = 0;            ///< new tokens: 0 for an unfinished chunk, 1 .. verify for a decode
  int drafted = -1;           ///< guesses that were really verified; -1: verify - 1
  bool ended = false;         ///< the text ended here (a live server; a replay knows its lengths)
  bool next_segment = false;  ///< the text moved on to the next segment after these tokens
};

struct ReplicaSettings {
  int kv_block = 16;
  double tool_hold_ms = 5000;  ///< how long a round's KV waits for its tool before it is dropped
  bool record_tokens = false;  ///< keep every token time in Live::token_times
  std::function<int(const Live&)>
      expect_output;  ///< o_hat; empty: the round's real length (replay), as an oracle
  std::function<bool(const Live&)> may_start;  ///< whether a request that holds no memory may take some (an
                                               ///< executor has so many sequences)
};

struct ReplicaCounters {
  std::int64_t steps = 0, tokens = 0, chunks = 0, decodes = 0, preemptions = 0;
  std::int64_t drafted = 0, accepted_drafts = 0;
  std::int64_t kv_exhausted = 0;
  double busy_ms = 0;
};

class Replica {
 public:
  Replica(const PerfModel& perf, std::unique_ptr<Policy> policy, ReplicaSettings settings);
  ~Replica();
  Replica(const Replica&) = delete;
  Replica& operator=(const Replica&) = delete;

  // --- what a driver does ---
  /// A request, or its next round, is here; the batch in flight ends at `t0`.
  void arrive(Live& live, double now, double t0);
  /// Whether this replica's plan takes the request (routing, section 4.7). It is then admitted; else nothing
  /// changed.
  bool offer(Live& live, double now, double t0);
  /// A request whose prompt another replica has computed; its KV memory comes with it (disaggregation).
  void adopt(Live& live, double now, double t0);
  const StepBatch& form(double now);
  /// Results of the last form(), in its order.
  void complete(double now, std::span<const StepOutcome> outcomes);
  /// The client is gone: memory is free at once. Not while a batch with this request is in flight.
  void cancel(Live& live, double now, Outcome outcome = Outcome::cancelled, std::string reason = {});
  /// Called for every request that leaves: finished, declined, failed, cancelled.
  std::function<void(Live&)> on_gone;
  /// Called when a round ends and its tool runs; the driver lets the next round arrive after the wait.
  std::function<void(Live&, double wait_ms)> on_tool;
  /// Called when a prompt is done and its first token is out: the request leaves for another replica, which
  /// adopts it. Empty: it stays.
  std::function<void(Live&)> on_prefilled;
  /// Called when a preempted or finished request's KV is dropped (a real executor drops the sequence).
  std::function<void(Live&)> on_drop;

  // --- what a policy does ---
  const PerfModel& perf() const { return perf_; }
  PerfModel& perf() { return perf_; }
  KvLedger& ledger() { return ledger_; }
  const KvLedger& ledger() const { return ledger_; }
  const ReplicaSettings& settings() const { return settings_; }
  /// Adds a decode of `verify` tokens to the batch if its memory fits (after freeing tool waits); else false.
  bool add_decode(StepBatch& batch, Live& live, int verify);
  /// Adds up to `chunk` prompt tokens.
  bool add_chunk(StepBatch& batch, Live& live, int chunk);
  /// Takes the KV away; the request prefills everything again.
  void preempt(Live& live);
  void decline(Live& live, double now, std::string reason);
  /// Frees memory of requests whose tool runs, the longest waiting first. False: there was none.
  bool drop_a_tool_wait();

  Policy& policy() { return *policy_; }
  const ReplicaCounters& counters() const { return counters_; }
  /// Requests that are here and not gone (tool waits included).
  int alive() const { return alive_; }

 private:
  void start_round(Live& live, double now);
  void emit(Live& live, double now, const StepOutcome& outcome);
  void end_round(Live& live, double now);
  void leave(Live& live, double now, Outcome outcome);
  void drop_kv(Live& live);

  PerfModel perf_;
  ReplicaSettings settings_;
  KvLedger ledger_;
  std::unique_ptr<Policy> policy_;
  StepBatch batch_;
  ReplicaCounters counters_;
  std::vector<Live*> tool_waits_;
  std::uint64_t next_sequence_ = 0;
  int alive_ = 0;
};

}  // namespace ballast::serve
