#include "ballast/federate/engine.h"

#include <tbb/enumerable_thread_specific.h>
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

#include <bit>

#include "ballast/base/cli.h"
#include "ballast/base/errors.h"
#include "ballast/cluster/cluster.h"
#include "ballast/federate/coordinator.h"

namespace ballast::federate {
namespace {

/// A client's view of a simulated federation.
class FederationStore : public ClientStore {
 public:
  FederationStore(const Federation& federation, int client) : federation_(federation), client_(client) {}
  const Samples* batch(int step) override { return &federation_.batch(client_, step); }

 private:
  const Federation& federation_;
  int client_;
};

/// All clients of a federation, or a block of them, on the threads of this process.
class ThreadWorkforce : public Workforce {
 public:
  ThreadWorkforce(const Federation& federation, const RunConfig& config, const ModelShape& shape, int threads)
      : shape_(shape), arena_(threads), trainers_([this] { return make_trainer(shape_); }) {
    stores_.reserve(static_cast<std::size_t>(federation.clients()));
    for (int c = 0; c < federation.clients(); ++c) {
      stores_.emplace_back(federation, c);
      runtimes_.emplace_back(shape, config, stores_.back());
    }
  }

  // In blocks, so that only a block's models are in memory at a time.
  void perform(const std::vector<ClientTask>& tasks, const ModelStore& models, bool,
               const Sink& sink) override {
    constexpr std::size_t kBlock = 256;
    const ModelSource source = [&](SlotId slot) -> const Params& {
      return models.params.at(static_cast<std::size_t>(slot));
    };
    for (std::size_t first = 0; first < tasks.size(); first += kBlock) {
      std::vector<ClientResult> results(std::min(kBlock, tasks.size() - first));
      arena_.execute([&] {
        tbb::parallel_for(std::size_t{0}, results.size(), [&](std::size_t i) {
          const ClientTask& task = tasks[first + i];
          results[i] =
              runtimes_[static_cast<std::size_t>(task.client)].perform(task, source, *trainers_.local());
        });
      });
      for (ClientResult& result : results) sink(result);
    }
  }

 private:
  ModelShape shape_;
  std::vector<FederationStore> stores_;
  std::vector<ClientRuntime> runtimes_;
  tbb::task_arena arena_;
  tbb::enumerable_thread_specific<std::unique_ptr<LocalTrainer>> trainers_;
};

/// Every machine of a cluster holds an aligned block of the clients and a replica of the coordinator.
class ClusterWorkforce : public Workforce {
 public:
  ClusterWorkforce(cluster::Machine& machine, const Federation& federation, const RunConfig& config,
                   const ModelShape& shape)
      : machine_(machine), own_(federation, config, shape, config.threads) {
    const auto share =
        static_cast<unsigned>((federation.clients() + machine.machines() - 1) / machine.machines());
    block_ = static_cast<int>(std::bit_ceil(std::max(1u, share)));
  }

  void perform(const std::vector<ClientTask>& tasks, const ModelStore& models, bool share,
               const Sink& sink) override {
    std::vector<ClientTask> mine;
    for (const ClientTask& task : tasks) {
      if (task.client / block_ == machine_.id()) mine.push_back(task);
    }
    if (share) {
      own_.perform(mine, models, true, sink);
      return;
    }
    std::vector<ClientResult> results;
    own_.perform(mine, models, false, [&](ClientResult& result) { results.push_back(std::move(result)); });
    for (const auto& bytes : everyones(to_bytes(std::move(results)))) {
      for (ClientResult& result : from_bytes<std::vector<ClientResult>>(bytes)) sink(result);
    }
  }

  void combine(std::map<SlotId, TreeSum>& sums, std::vector<std::uint64_t>& counters) override {
    const auto all = everyones(to_bytes(std::pair(sums, counters)));
    sums.clear();
    std::fill(counters.begin(), counters.end(), 0);
    for (const auto& bytes : all) {
      auto [theirs, counted] =
          from_bytes<std::pair<std::map<SlotId, TreeSum>, std::vector<std::uint64_t>>>(bytes);
      for (const auto& [slot, sum] : theirs) sums[slot].add(sum);
      for (std::size_t i = 0; i < counters.size(); ++i) counters[i] += counted[i];
    }
  }

 private:
  std::vector<std::string> everyones(const std::string& mine) {
    std::vector<std::string> all;
    for (const auto& bytes : machine_.allgather_bytes(std::as_bytes(std::span(mine))))
      all.emplace_back(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return all;
  }
  cluster::Machine& machine_;
  ThreadWorkforce own_;
  int block_ = 1;
};

Samples part_of(const Samples& samples, std::size_t first, std::size_t last) {
  const auto width = static_cast<std::ptrdiff_t>(samples.features);
  const auto a = static_cast<std::ptrdiff_t>(first), b = static_cast<std::ptrdiff_t>(last);
  return {samples.features,
          {samples.x.begin() + a * width, samples.x.begin() + b * width},
          {samples.y.begin() + a, samples.y.begin() + b}};
}

ModelShape shape_of(const Federation& federation, const RunConfig& config) {
  return config.shape(federation.features(), federation.classes());
}

RunLog run_with(Workforce& workforce, const Federation& federation, Strategy& strategy,
                const RunConfig& config, const std::function<void(int, int)>& progress) {
  Coordinator coordinator(
      strategy, config,
      {federation.features(), federation.classes(), federation.clients(), federation.steps()}, workforce);
  for (int shown = 0; coordinator.advance();) {
    cli::stop_if_interrupted();
    if (coordinator.step() > shown && progress) progress(shown = coordinator.step(), federation.steps());
  }
  RunLog log = coordinator.take_log();
  log.data = federation.name();
  log.pattern = federation.pattern();
  return log;
}

}  // namespace

Samples holdout_part(const Samples& samples) {
  return part_of(samples, samples.size() - samples.size() / 5, samples.size());
}

Samples training_part(const Samples& samples) {
  return part_of(samples, 0, samples.size() - samples.size() / 5);
}

void RunConfig::check() const {
  const auto at_least_1 = [](const char* flag, int value) {
    if (value < 1) throw InvalidInput(flag, std::to_string(value), "at least 1");
  };
  at_least_1("--rounds", rounds);
  at_least_1("--local-steps", local_steps);
  at_least_1("--batch", batch);
  at_least_1("--threads", threads);
  if (!(fraction > 0 && fraction <= 1))
    throw InvalidInput("--fraction", std::to_string(fraction), "above 0 and at most 1");
  if (!(privacy.clip >= 0))
    throw InvalidInput("--clip", std::to_string(privacy.clip), "a norm of at least 0");
  if (!(privacy.noise >= 0))
    throw InvalidInput("--noise", std::to_string(privacy.noise), "a factor of at least 0");
  if (!(privacy.local_noise >= 0))
    throw InvalidInput("--local-noise", std::to_string(privacy.local_noise), "a factor of at least 0");
  if (privacy.local_noise > 0 && privacy.clip == 0)
    throw InvalidInput("--local-noise needs --clip: without a largest norm no noise hides an update");
  if (!(over_select >= 1 && over_select <= 10))
    throw InvalidInput("--over-select", std::to_string(over_select), "1 to 10");
  if (privacy.noise > 0 && privacy.clip == 0)
    throw InvalidInput("--noise needs --clip: without a largest norm no noise hides an update");
  if (privacy.noise > 0 && aggregator.needs_all())
    throw InvalidInput("--noise goes with --aggregate mean only: the sum is what the noise protects");
  if (secure) {
    if (aggregator.needs_all())
      throw InvalidInput(
          "--secure goes with --aggregate mean only: the server cannot look at single updates");
    if (compression.kind != Compression::Kind::none)
      throw InvalidInput("--secure goes with --compress none: masked vectors have no small values");
    if (privacy.adaptive)
      throw InvalidInput("--secure goes without --adaptive-clip: the server cannot count clipped updates");
    if (faults.sign_flip > 0)
      throw InvalidInput("--secure goes without --sign-flip: updates are not seen singly");
  }
  for (const auto& [flag, value] : {std::pair{"--churn", faults.churn},
                                    {"--stragglers", faults.stragglers},
                                    {"--sign-flip", faults.sign_flip}}) {
    if (!(value >= 0 && value < 1)) throw InvalidInput(flag, std::to_string(value), "at least 0 and below 1");
  }
}

RunLog run(const Federation& federation, Strategy& strategy, const RunConfig& config,
           const std::function<void(int, int)>& progress) {
  config.check();
  ThreadWorkforce workforce(federation, config, shape_of(federation, config), config.threads);
  return run_with(workforce, federation, strategy, config, progress);
}

RunLog run_on(cluster::Machine& machine, const Federation& federation, Strategy& strategy,
              const RunConfig& config) {
  config.check();
  ClusterWorkforce workforce(machine, federation, config, shape_of(federation, config));
  return run_with(workforce, federation, strategy, config, {});
}

}  // namespace ballast::federate
