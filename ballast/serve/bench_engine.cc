// Figures of the real engine: E7 (fit) and E8 (served load, beside llama-server).
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/base/temporary_folder.h"
#include "ballast/llama/weights.h"
#include "ballast/serve/bench_suite.h"
#include "ballast/serve/load/load_workload.h"
#include "ballast/serve/local_model.h"
#include "ballast/serve/peers/server_process.h"

namespace ballast::serve {

void bench_fit(Suite& suite) {
  ExecutorOptions executor_options{.slots = suite.options.quick ? 4 : 16,
                                   .slot_tokens = suite.options.quick ? 384 : 2304,
                                   .batch = suite.options.quick ? 128 : 512,
                                   .threads = 2};
  try {
    const llama::Model model(llama::shipped_model());
    LlamaExecutor executor(model, executor_options);
    const PerfModel perf = profile_executor(executor, executor_options, true, suite.options.quick, true);
    suite.bench.add({.id = "E7.r2",
                     .what = "fit of the step-time model on SmolLM2-135M, all points",
                     .unit = "R^2",
                     .ours = perf.statistics.at("r2").get<double>(),
                     .better = Better::higher,
                     .target = 0.95,
                     .basis = Basis::measured,
                     .note = fmt::format("held out: {:.3f}; spread of repeats {:.0f} %, CPU share {:.2f}",
                                         perf.statistics.at("held_out").at("r2").get<double>(),
                                         100 * perf.statistics.at("spread").get<double>(),
                                         perf.statistics.at("cpu_share").get<double>())});
    suite.bench.add({.id = "E7.p95",
                     .what = "the same: 95th percentile of the relative error",
                     .unit = "share",
                     .ours = perf.statistics.at("p95").get<double>(),
                     .better = Better::lower,
                     .target = 0.15,
                     .basis = Basis::measured});
  } catch (const Unavailable& missing) {
    suite.bench.add({.id = "E7.r2",
                     .what = "fit of the step-time model on SmolLM2-135M",
                     .unit = "R^2",
                     .better = Better::higher,
                     .target = 0.95,
                     .basis = Basis::measured,
                     .note = missing.what()});
  }
}

namespace {

// One machine, one file, one shape of engine for everybody.
constexpr int kSlots = 8, kSlotTokens = 512, kBatch = 512, kThreads = 2;

class EngineBench {
 public:
  explicit EngineBench(Suite& suite)
      : suite_(suite), file_(llama::shipped_model()), seconds_(suite.options.quick ? 10 : 30) {
    ExecutorOptions executor{
        .slots = kSlots, .slot_tokens = kSlotTokens, .batch = kBatch, .threads = kThreads};
    const llama::Model model(file_);
    LlamaExecutor real(model, executor);
    perf_ = profile_executor(real, executor, /*force=*/true, /*quick=*/true, /*quiet=*/true);
    write_file(folder_.file("perf.json"), perf_.to_json().dump(2));
    slos_ = SloTable::from_profile(perf_);
  }

  void run() {
    const double rate = rate_of_the_model();
    const auto ours = served("slos", rate), slots = served("slots:8", rate);
    const std::string peer_program = find_llama_server();
    std::optional<LogSummary> peer, peer_full;
    if (!peer_program.empty()) peer = served("llama-server", rate);
    const auto full = served("slos", 0);
    if (!peer_program.empty()) peer_full = served("llama-server", 0);
    const std::string load = fmt::format("mixed, {:.2f} requests/s for {:.0f} s, Poisson", rate, seconds_);
    auto add_peer = [&](const std::string& id, const std::string& what, const std::string& unit, double mine,
                        const std::optional<LogSummary>& theirs, double LogSummary::*field, double target) {
      suite_.bench.add({.id = id,
                        .what = what,
                        .unit = unit,
                        .ours = mine,
                        .peer = Peer{"llama-server", theirs ? std::optional((*theirs).*field) : std::nullopt,
                                     "the same llama.cpp tree", kPeerSettings},
                        .better = Better::higher,
                        .target = target,
                        .basis = Basis::measured,
                        .note = theirs ? load : "not built: cmake --build build --target llama-server"});
    };
    add_peer("E8.attainment.token", "requests that kept every promise at the same offered load", "share",
             ours.attainment_token, peer, &LogSummary::attainment_token, 1.3);
    add_peer("E8.attainment.mean", "the same by mean time per token", "share", ours.attainment_mean, peer,
             &LogSummary::attainment_mean, 1.3);
    suite_.bench.add({.id = "E8.slots",
                      .what = "the same against our own engine under llama-server's rule",
                      .unit = "share",
                      .ours = ours.attainment_token,
                      .peer = Peer{"slots:8", slots.attainment_token, "", "policy, the same engine"},
                      .better = Better::higher,
                      .target = 1.3,
                      .basis = Basis::measured,
                      .note = load});
    suite_.bench.add({.id = "E8.guaranteed",
                      .what = "guaranteed requests that kept every promise, by the client's clock",
                      .unit = "share",
                      .ours = ours.guaranteed_kept,
                      .better = Better::higher,
                      .basis = Basis::measured,
                      .note = fmt::format("{} of {} were guaranteed", ours.guaranteed, ours.requests)});
    suite_.bench.add(
        {.id = "E8.simulator",
         .what = "simulated less measured attainment (token), absolute, on the profile of this run",
         .unit = "points",
         .ours = 100 * std::abs(simulated_ - ours.attainment_token),
         .better = Better::lower,
         .target = 5,
         .basis = Basis::measured,
         .note = fmt::format("simulated {:.3f}, measured {:.3f}", simulated_, ours.attainment_token)});
    add_peer("E8.saturation", "output tokens a second when everything is sent at once", "tokens/s",
             full.output_tokens_per_s, peer_full, &LogSummary::output_tokens_per_s, 1.0);
  }

 private:
  static constexpr const char* kPeerSettings =
      "-np 8 -c 4096 -b 512 -ub 512 -t 2 -tb 2 -no-kvu --no-jinja --no-cache-prompt --cache-ram 0";

  std::vector<LoadRequest> requests(double rate, bool slo_fields) const {
    const auto count =
        static_cast<int>(rate > 0 ? std::max(8.0, rate * seconds_) : (suite_.options.quick ? 32 : 96));
    auto arrivals = poisson_arrivals(rate > 0 ? rate : 1, count, suite_.seed);
    if (rate <= 0) {
      for (Arrival& arrival : arrivals) arrival.ms = 0;
    }
    return load_requests("mixed", arrivals, slos_, suite_.seed, {.slo_fields = slo_fields});
  }

  double simulate_attainment(const std::vector<LoggedRequest>& log, const std::string& policy) const {
    SimulationSettings settings;
    settings.kv_block = kSlotTokens;  // streams: a block is a slot
    PolicySettings policy_settings;
    policy_settings.slos = slos_;
    PerfModel perf = perf_;
    perf.kv_tokens = kSlots * kSlotTokens;
    return simulate(
               simulated(log, 32), perf, [&] { return make_policy(policy, policy_settings); }, settings)
        .attainment(Metric::token);
  }

  // The offered load is where the model of this machine says that we keep 90 %: nobody's measurement is
  // looked at.
  double rate_of_the_model() const {
    constexpr int kTemplateTokens = 30;  // that a chat template adds to a prompt
    double low = 0.2, high = 64;
    while (high / low > 1.05) {
      const double middle = std::sqrt(low * high);
      std::vector<LoggedRequest> log;
      for (LoadRequest& request : requests(middle, false)) {
        request.log.prompt_tokens += kTemplateTokens;
        log.push_back(std::move(request.log));
      }
      (simulate_attainment(log, "slos") >= 0.9 ? low : high) = middle;
    }
    return low;
  }

  // Starts the server, sends the load, ends it. `rate` 0: everything at once.
  LogSummary served(const std::string& name, double rate) {
    const bool ours = name != "llama-server";
    const std::uint16_t port = free_port();
    std::vector<std::string> command;
    if (ours) {
      command = {own_program(),
                 "start",
                 "--model",
                 file_,
                 "--perf",
                 folder_.file("perf.json"),
                 "--policy",
                 name,
                 "--slots",
                 std::to_string(kSlots),
                 "--slot-tokens",
                 std::to_string(kSlotTokens),
                 "--batch",
                 std::to_string(kBatch),
                 "--threads",
                 std::to_string(kThreads),
                 "--no-prefix-sharing",
                 "--port"};
    } else {
      command = {find_llama_server(),
                 "-m",
                 file_,
                 "--host",
                 "127.0.0.1",
                 "-np",
                 std::to_string(kSlots),
                 "-c",
                 std::to_string(kSlots * kSlotTokens),
                 "-b",
                 std::to_string(kBatch),
                 "-ub",
                 std::to_string(kBatch),
                 "-t",
                 std::to_string(kThreads),
                 "-tb",
                 std::to_string(kThreads),
                 "-no-kvu",
                 "--no-jinja",
                 "--no-cache-prompt",
                 "--cache-ram",
                 "0",
                 "--port"};
    }
    command.push_back(std::to_string(port));
    const ServerProcess server(command, port, folder_.file(ours ? "ours.log" : "peer.log"));
    LoadTarget target = parse_url(server.url());
    // Both servers are warm before the clock runs.
    run_load(target,
             load_requests("mixed", {{0, 0, 0}, {0, 0, 0}}, slos_, suite_.seed + 1, {.slo_fields = false}));
    auto log = run_load(target, requests(rate, ours));
    set_idle_times(log, perf_);
    if (name == "slos" && rate > 0) simulated_ = simulate_attainment(log, "slos");
    return summarise(log);
  }

  Suite& suite_;
  std::string file_;
  double seconds_;
  TemporaryFolder folder_;
  PerfModel perf_;
  SloTable slos_;
  double simulated_ = 0;
};

}  // namespace

void bench_engine(Suite& suite) {
  try {
    EngineBench(suite).run();
  } catch (const Unavailable& missing) {
    suite.bench.add({.id = "E8.attainment.token",
                     .what = "requests that kept every promise at the same offered load",
                     .unit = "share",
                     .better = Better::higher,
                     .target = 1.3,
                     .basis = Basis::measured,
                     .note = missing.what()});
  }
}

}  // namespace ballast::serve
