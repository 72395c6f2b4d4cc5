#include "ballast/federate/engine.h"

#include <tbb/enumerable_thread_specific.h>
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

#include <map>
#include <set>

#include "ballast/base/cli.h"
#include "ballast/base/errors.h"

namespace ballast::federate {
namespace {

enum class Purpose : std::uint64_t { draw = 1, cross_eval = 2, init = 3 };

std::uint64_t key_of(std::uint64_t seed, Purpose purpose, int step, int round, int client, int slot) {
  std::uint64_t key = mix64(seed);
  for (std::uint64_t part : {static_cast<std::uint64_t>(purpose), static_cast<std::uint64_t>(step),
                             static_cast<std::uint64_t>(round), static_cast<std::uint64_t>(client),
                             static_cast<std::uint64_t>(slot)}) {
    key = mix64(key ^ part);
  }
  return key;
}

class Simulation {
 public:
  Simulation(const Federation& federation, Strategy& strategy, const RunConfig& config)
      : federation_(federation),
        strategy_(strategy),
        config_(config),
        shape_{federation.features(), config.hidden > 0 ? config.hidden : 2 * federation.features(),
               federation.classes()},
        arena_(config.threads),
        trainers_([this] { return Trainer(shape_); }),
        log_{.strategy = strategy.name(),
             .data = federation.name(),
             .prequential = {},
             .serving = {},
             .models = {},
             .events = {},
             .ledger = {},
             .optimizer_steps = 0,
             .pattern = federation.pattern(),
             .parameters = {}} {}

  RunLog run(const std::function<void(int, int)>& progress) {
    for (int step = 0; step < federation_.steps(); ++step) {
      cli::stop_if_interrupted();
      run_step(step);
      if (progress) progress(step + 1, federation_.steps());
    }
    log_.events = strategy_.events();
    log_.parameters = models_;
    return std::move(log_);
  }

 private:
  std::uint64_t model_bytes() const { return shape_.size() * sizeof(float); }

  void run_step(int step) {
    StepInfo info{.step = step, .samples = {}};
    for (int c = 0; c < federation_.clients(); ++c) info.samples.push_back(federation_.batch(c, step).size());
    const auto scored = strategy_.begin_step(info);
    apply_model_ops();
    strategy_.on_scores(score(scored, step));
    apply_model_ops();
    if (const auto compared = strategy_.cross_eval(); !compared.empty()) {
      strategy_.on_cross_eval(cross_evaluate(compared, step));
      apply_model_ops();
    }
    std::map<std::pair<SlotId, ClientId>, OptimizerState> states;
    for (int round = 0; round < config_.rounds; ++round) {
      if (strategy_.rescores_each_round() && round > 0) strategy_.on_scores(score(scored, step));
      train_round(step, round, states);
    }
    if (strategy_.wants_scores_after_training()) strategy_.on_trained_scores(score({0}, step));
    evaluate(step);
  }

  Params& model(SlotId slot) {
    if (static_cast<std::size_t>(slot) >= models_.size()) models_.resize(static_cast<std::size_t>(slot) + 1);
    return models_[static_cast<std::size_t>(slot)];
  }

  void apply_model_ops() {
    for (const ModelOp& op : strategy_.take_model_ops()) {
      if (op.kind == ModelOp::Kind::fresh) {
        model(op.slot) = fresh_params(shape_, config_.seed, mix64(static_cast<std::uint64_t>(op.slot)));
      } else if (op.kind == ModelOp::Kind::copy) {
        const Params source = model(op.sources.at(0));
        model(op.slot) = source;
      } else {
        std::vector<WeightedParams> terms;
        for (std::size_t i = 0; i < op.sources.size(); ++i)
          terms.push_back({&model(op.sources[i]), op.weights[i]});
        Params merged = weighted_mean(terms);
        model(op.slot) = std::move(merged);
      }
    }
  }

  template <typename Work>
  void for_all(std::size_t count, const Work& work) {
    arena_.execute([&] {
      tbb::parallel_for(std::size_t{0}, count, [&](std::size_t i) { work(i, trainers_.local()); });
    });
  }

  ScoreTable score(const std::vector<SlotId>& slots, int step) {
    ScoreTable table(static_cast<std::size_t>(federation_.clients()), std::vector<ScoreStat>(slots.size()));
    for_all(table.size(), [&](std::size_t c, Trainer& trainer) {
      for (std::size_t k = 0; k < slots.size(); ++k) {
        table[c][k] = trainer.score(models_[static_cast<std::size_t>(slots[k])],
                                    federation_.batch(static_cast<int>(c), step));
      }
    });
    log_.ledger.models_down += table.size() * slots.size() * model_bytes();
    return table;
  }

  // Model i on a sub-sample of the data of cluster j: at most cross_eval_batches mini-batches in total, split
  // over the clients that hold data of j in proportion to what they hold.
  std::vector<std::vector<ScoreStat>> cross_evaluate(const std::vector<SlotId>& slots, int step) {
    const std::size_t n = slots.size();
    std::vector<std::vector<ScoreStat>> matrix(n, std::vector<ScoreStat>(n));
    const auto budget =
        static_cast<std::uint64_t>(config_.cross_eval_batches) * static_cast<std::uint64_t>(config_.batch);
    struct Job {
      std::size_t j;
      int client, batch_step;
      std::uint64_t count;
    };
    std::vector<Job> jobs;
    for (std::size_t j = 0; j < n; ++j) {
      std::uint64_t held = 0;
      const std::size_t first = jobs.size();
      for (int c = 0; c < federation_.clients(); ++c) {
        for (int s : strategy_.cluster_steps(slots[j], c)) {
          jobs.push_back({j, c, s, federation_.batch(c, s).size()});
          held += jobs.back().count;
        }
      }
      for (std::size_t k = first; k < jobs.size() && held > budget; ++k) {
        jobs[k].count = (jobs[k].count * budget + held - 1) / held;
      }
    }
    std::vector<std::vector<ScoreStat>> parts(jobs.size(), std::vector<ScoreStat>(n));
    for_all(jobs.size(), [&](std::size_t k, Trainer& trainer) {
      const Job& job = jobs[k];
      const std::uint64_t key =
          key_of(config_.seed, Purpose::cross_eval, step, job.batch_step, job.client, slots[job.j]);
      for (std::size_t i = 0; i < n; ++i) {
        parts[k][i] = trainer.score_drawn(models_[static_cast<std::size_t>(slots[i])],
                                          federation_.batch(job.client, job.batch_step), job.count, key);
      }
    });
    std::set<int> asked;
    for (std::size_t k = 0; k < jobs.size(); ++k) {
      for (std::size_t i = 0; i < n; ++i) matrix[i][jobs[k].j] += parts[k][i];
      asked.insert(jobs[k].client);
    }
    log_.ledger.models_down += asked.size() * n * model_bytes();
    log_.ledger.stats_up += asked.size() * n * n * sizeof(ScoreStat);
    return matrix;
  }

  void train_round(int step, int round, std::map<std::pair<SlotId, ClientId>, OptimizerState>& states) {
    struct Job {
      SlotId slot;
      int client;
      DrawTable table;
      OptimizerState* state;
      Params params;
    };
    std::vector<Job> jobs;
    for (SlotId slot : strategy_.training_slots()) {
      for (int c = 0; c < federation_.clients(); ++c) {
        DrawTable table;
        for (const auto& batch : strategy_.train_batches(slot, c))
          table.add(federation_.batch(c, batch.step), batch.weight);
        if (!table.empty()) jobs.push_back({slot, c, std::move(table), &states[{slot, c}], model(slot)});
      }
    }
    for_all(jobs.size(), [&](std::size_t k, Trainer& trainer) {
      Job& job = jobs[k];
      trainer.train(job.params, *job.state, config_.optimizer, job.table, config_.local_steps, config_.batch,
                    key_of(config_.seed, Purpose::draw, step, round, job.client, job.slot));
    });
    for (std::size_t first = 0; first < jobs.size();) {
      std::size_t last = first;
      std::vector<WeightedParams> terms;
      for (; last < jobs.size() && jobs[last].slot == jobs[first].slot; ++last) {
        terms.push_back({&jobs[last].params, static_cast<double>(jobs[last].table.samples())});
      }
      model(jobs[first].slot) = weighted_mean(terms);
      first = last;
    }
    log_.optimizer_steps += jobs.size() * static_cast<std::uint64_t>(config_.local_steps);
    log_.ledger.models_down += jobs.size() * model_bytes();
    log_.ledger.models_up += jobs.size() * model_bytes();
  }

  void evaluate(int step) {
    auto& scores = log_.prequential.emplace_back(static_cast<std::size_t>(federation_.clients()));
    auto& serving = log_.serving.emplace_back();
    for (int c = 0; c < federation_.clients(); ++c) serving.push_back(strategy_.serving_slot(c));
    for_all(scores.size(), [&](std::size_t c, Trainer& trainer) {
      scores[c] = trainer.score(models_[static_cast<std::size_t>(serving[c])],
                                federation_.batch(static_cast<int>(c), step + 1));
    });
    log_.models.push_back(static_cast<int>(std::set<SlotId>(serving.begin(), serving.end()).size()));
  }

  const Federation& federation_;
  Strategy& strategy_;
  const RunConfig config_;
  const MlpShape shape_;
  tbb::task_arena arena_;
  tbb::enumerable_thread_specific<Trainer> trainers_;
  std::vector<Params> models_;
  RunLog log_;
};

}  // namespace

RunLog run(const Federation& federation, Strategy& strategy, const RunConfig& config,
           const std::function<void(int, int)>& progress) {
  if (config.rounds < 1) throw InvalidInput("--rounds", std::to_string(config.rounds), "at least 1");
  if (config.local_steps < 1)
    throw InvalidInput("--local-steps", std::to_string(config.local_steps), "at least 1");
  if (config.batch < 1) throw InvalidInput("--batch", std::to_string(config.batch), "at least 1");
  if (config.threads < 1) throw InvalidInput("--threads", std::to_string(config.threads), "at least 1");
  return Simulation(federation, strategy, config).run(progress);
}

}  // namespace ballast::federate
