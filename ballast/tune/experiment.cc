#include "ballast/tune/experiment.h"

#include <fmt/format.h>

#include <filesystem>
#include <optional>

#include "ballast/base/cli.h"
#include "ballast/base/errors.h"
#include "ballast/base/statistics.h"
#include "ballast/model/threads.h"
#include "ballast/tune/checkpoint.h"

namespace ballast::tune {
namespace {

Task task_of(const WorkloadOptions& options) {
  if (options.task == "auto") return options.data.empty() ? Task::clm : Task::sft;
  const Task task = task_from_string(options.task);
  if (task != Task::clm && options.data.empty())
    throw InvalidInput("--task " + options.task + " needs --data FILE");
  return task;
}

model::Pooling pooling_of(const WorkloadOptions& options, const std::string& architecture) {
  if (options.pooling != "auto") return model::pooling_from_string(options.pooling);
  if (architecture == "llama" || architecture == "gpt2") return model::Pooling::last;
  return options.model == "minilm" ? model::Pooling::mean : model::Pooling::first;
}

std::shared_ptr<Corpus> labelled_corpus(Workload& workload, const CorpusOptions& split) {
  const WorkloadOptions& options = workload.options;
  const LabelledData data = read_labelled(options.data, workload.task);
  workload.classes = data.classes;
  std::vector<LabelledSample> samples;
  samples.reserve(data.items.size());
  for (const LabelledText& item : data.items) {
    samples.push_back(
        workload.source.vocabulary->sequence(item.a, item.b, static_cast<std::size_t>(options.window)));
    samples.back().target = data.target(item);
  }
  return std::make_shared<Corpus>(samples, workload.task == Task::regress, split);
}

}  // namespace

Workload load_workload(const WorkloadOptions& options) {
  model::use_threads(1);
  install_counting_allocator();
  Workload workload{.options = options,
                    .source = open_model(options.model, options.keep_blocks, options.seed),
                    .task = task_of(options),
                    .classes = {},
                    .corpus = nullptr,
                    .label = {},
                    .fresh = {}};
  workload.label = workload.source.label;
  const CorpusOptions split{
      .window = options.window, .calibration = options.calibration, .seed = options.seed};
  const Vocabulary& vocabulary = *workload.source.vocabulary;
  if (labelled(workload.task)) {
    workload.corpus = labelled_corpus(workload, split);
  } else if (workload.task == Task::sft || !options.data.empty()) {
    workload.corpus =
        std::make_shared<Corpus>(to_samples(read_instructions(options.data), vocabulary), split);
  } else {
    workload.corpus = std::make_shared<Corpus>(vocabulary.text(read_text(options.text)), split);
  }
  workload.fresh = [load = workload.source.load, task = workload.task, options,
                    outputs = static_cast<std::int64_t>(workload.classes.size())] {
    const auto model = load();
    const std::string architecture = model->architecture();
    if (!labelled(task)) {
      if (architecture == "bert" || architecture == "roberta")
        throw InvalidInput("--task", to_string(task),
                           "cls, pair or regress for a model of the " + architecture + " type");
      return model;
    }
    torch::manual_seed(options.seed);
    model->set_sequence_head({.outputs = outputs,
                              .pooling = pooling_of(options, architecture),
                              .regression = task == Task::regress});
    return model;
  };
  return workload;
}

Limits match_limits(const Workload& workload, const LimitOptions& options) {
  const Regime regime = regime_from_string(options.regime);
  Limits limits{.device = {.budget = options.budget, .link = options.link, .host_rate = options.host_rate},
                .regime = regime,
                .clock = options.clock,
                .compute = {},
                .parameters = 0};
  EmulatedDevice device({});
  const auto decoder = workload.fresh();
  for (const Unit& unit : units_of(*decoder)) limits.parameters += unit.size();
  limits.compute = measure_compute(*decoder, device, workload.corpus->batch(0, workload.options.rows),
                                   workload.options.checkpointing);
  match_regime(device, regime, limits.parameters, limits.compute_seconds());
  if (options.link.d2h <= 0) {
    limits.device.link.d2h = device.d2h().bytes_per_s();
    limits.device.link.h2d = device.h2d().bytes_per_s();
  }
  if (options.host_rate <= 0) limits.device.host_rate = device.host_rate();
  return limits;
}

std::string Limits::label() const {
  return EmulatedDevice(device).label() + (clock == Clock::modelled ? "; time modelled" : "");
}

std::vector<std::string> method_names() {
  return {"native", "native-inbwd", "zero", "zero-dpu",   "zero+layerwise", "swap",
          "lora",   "galore",       "lsp",  "lsp-random", "lsp-svd"};
}

std::unique_ptr<Method> make_method(const MethodOptions& options) {
  cli::require_one_of("--strategy", options.method, method_names());
  const auto schedule = [&](const std::string& usual) {
    return schedule_from_string(options.schedule == "auto" ? usual : options.schedule);
  };
  EngineOptions engine = options.engine;
  engine.record = options.record;
  if (options.method == "native") return make_native(false);
  if (options.method == "native-inbwd") return make_native(true, options.state_bits);
  if (options.state_bits != 32) throw InvalidInput("--state-bits 8 is for --strategy native-inbwd");
  if (options.method == "swap") return make_swap();
  if (options.method == "zero") return make_zero(schedule("zero"), engine);
  if (options.method == "zero+layerwise") return make_zero(schedule("layerwise"), engine);
  if (options.method == "zero-dpu") return make_zero(schedule("zero-dpu"), engine);
  if (options.method == "galore") {
    GaloreOptions galore = options.galore;
    galore.rank = options.rank;
    return make_galore(galore);
  }
  if (options.method == "lora") return make_lora(options.rank);
  LspOptions lsp = options.lsp;
  if (options.method == "lsp-random") lsp.learned = false;
  if (options.method == "lsp-svd") lsp.svd = true;
  return make_lsp(lsp, schedule("layerwise"), engine);
}

namespace {

// Follows the clock in use: wall seconds as they were, or each step simulated
// from its costs.
class Stopwatch {
 public:
  Stopwatch(const Limits& limits, const MethodOptions& options, Trainer& trainer,
            const std::vector<Unit>& units)
      : limits_(limits), method_(trainer.method()), schedule_(trainer.method().schedule()) {
    machine_ = {.link = limits.device.link,
                .host_rate = limits.device.host_rate,
                .chunk_bytes = options.engine.chunk_bytes,
                .slots = options.engine.slots,
                .bucket_bytes = trainer.method().bucket_bytes()};
    if (options.engine.bf16_wire) {  // payloads are counted in f32
      machine_.link.d2h *= 2;
      machine_.link.h2d *= 2;
    }
    for (const Unit& unit : units) {
      const double bytes = static_cast<double>(trainer.method().payload_bytes(unit));
      if (machine_.link.d2h > 0) d2h_ += bytes / machine_.link.d2h;
      if (machine_.link.h2d > 0) h2d_ += bytes / machine_.link.h2d;
      if (machine_.host_rate > 0) update_ += bytes / 4 / machine_.host_rate;
    }
  }

  double calibration(const CalibrationReport& report) const {
    if (limits_.clock == Clock::wall) return report.seconds;
    const double link = limits_.device.link.d2h;
    return report.processor_seconds + (link > 0 ? static_cast<double>(report.bytes) / link : 0);
  }

  /// Seconds of a step; fills its breakdown when the clock is modelled.
  double step(StepReport& report) {
    choose_transition(report.costs);
    if (limits_.clock == Clock::wall) return report.seconds;
    if (const auto modelled = method_.modelled_step(report.costs, machine_)) {
      report.breakdown = modelled->breakdown;
      return modelled->seconds;
    }
    if (!schedule_) {
      report.breakdown = {};
      report.breakdown.total = report.breakdown.compute = report.costs.compute();
      return report.costs.compute();
    }
    const SimulatedStep simulated = simulate(*schedule_, report.costs, machine_);
    report.breakdown = simulated.breakdown;
    return simulated.seconds;
  }

  /// The transition block for the costs seen last; nullopt when the schedule
  /// has none.
  std::optional<std::int64_t> transition() const {
    if (!schedule_ || schedule_->service != Service::transition) return std::nullopt;
    return schedule_->transition;
  }

 private:
  void choose_transition(const StepCosts& costs) {
    if (!schedule_ || schedule_->service != Service::transition) return;
    const auto blocks = static_cast<double>(costs.forward.size());
    StageTimes times{.blocks = static_cast<std::int64_t>(costs.forward.size()),
                     .d2h = d2h_ / blocks,
                     .update = update_ / blocks,
                     .h2d = h2d_ / blocks};
    for (const double seconds : costs.forward) times.forward += seconds;
    for (const double seconds : costs.backward) times.backward += seconds;
    schedule_->transition = transition_block(times);
  }

  const Limits& limits_;
  const Method& method_;
  std::optional<Schedule> schedule_;
  SimulatedMachine machine_;
  double d2h_ = 0, update_ = 0, h2d_ = 0;
};

Json facts_of(const Workload& workload, const MethodOptions& options) {
  Json facts{{"method", options.method},
             {"model", workload.label},
             {"text", workload.options.data.empty() ? workload.options.text : workload.options.data},
             {"task", to_string(workload.task)},
             {"classes", workload.classes},
             {"rows", workload.options.rows},
             {"window", workload.options.window},
             {"seed", options.seed},
             {"rate", options.rate},
             {"micro_batches", options.micro_batches}};
  if (options.method.starts_with("lsp")) {
    facts["d"] = options.lsp.d;
    facts["d_fraction"] = options.lsp.fraction;
    facts["r"] = options.lsp.r;
  }
  if (options.method == "lora" || options.method == "galore") facts["rank"] = options.rank;
  return facts;
}

}  // namespace

RunResult run_method(const Workload& workload, const Limits& limits, const MethodOptions& options,
                     const RunHooks& hooks) {
  if (options.steps <= 0 && options.seconds <= 0) {
    throw InvalidInput("--steps", "0", "a positive number, or --seconds");
  }
  DeviceOptions device_options = limits.device;
  if (limits.clock == Clock::modelled) {
    device_options.link = {};
    device_options.host_rate = 0;
  }
  EmulatedDevice device(device_options);
  std::shared_ptr<model::BlockModel> decoder;
  {
    const DeviceScope scope(device.memory(), "weights");
    decoder = workload.fresh();
  }
  Trainer trainer(*decoder, device, make_method(options),
                  {.rate = options.rate,
                   .warmup = options.warmup,
                   .steps = options.cosine_steps,
                   .checkpointing = workload.options.checkpointing,
                   .adam = options.adam,
                   .clip = options.clip,
                   .clip_norm = options.clip_norm,
                   .record = options.record,
                   .seed = options.seed});
  Stopwatch stopwatch(limits, options, trainer, units_of(*decoder));
  const Corpus& corpus = *workload.corpus;
  const auto validation = corpus.validation(workload.options.rows, options.evaluate_windows);
  const Json facts = facts_of(workload, options);

  RunResult result;
  result.method = trainer.method().name();
  if (options.resume) {
    const CheckpointInfo checkpoint = find_checkpoint(options.checkpoint);
    load_checkpoint(checkpoint, trainer.state(), facts);
    trainer.restored(checkpoint.step);
  }
  const auto evaluate = [&] {
    const EvalReport report = trainer.evaluate(validation);
    result.validation.push_back({trainer.steps_done(), result.seconds, report.loss});
    return report;
  };
  const auto save = [&] {
    if (options.checkpoint.empty()) return;
    trainer.settle();
    save_checkpoint(options.checkpoint, trainer.steps_done(), trainer.state(), facts);
  };
  result.before = result.after = evaluate();
  const std::int64_t first = trainer.steps_done();
  std::int64_t d2h = 0, h2d = 0;  // of calibration, which is not a step's
  std::vector<double> times, compute;
  while (options.steps <= 0 || trainer.steps_done() < options.steps) {
    if (options.seconds > 0 && result.seconds >= options.seconds) break;
    if (cli::interrupted()) {
      result.interrupted = true;
      break;
    }
    if (trainer.wants_calibration()) {
      const std::int64_t before_d2h = device.d2h().bytes(), before_h2d = device.h2d().bytes();
      const CalibrationReport report = trainer.calibrate(corpus.calibration(workload.options.rows));
      d2h += device.d2h().bytes() - before_d2h;
      h2d += device.h2d().bytes() - before_h2d;
      const double seconds = stopwatch.calibration(report);
      result.seconds += seconds;
      result.calibration_seconds += seconds;
      result.biases = report.biases;
      if (hooks.after_calibration) hooks.after_calibration(trainer.steps_done(), report);
    }
    std::vector<model::TokenBatch> batches;
    for (int i = 0; i < options.micro_batches; ++i) {
      batches.push_back(
          corpus.batch(trainer.steps_done() * options.micro_batches + i, workload.options.rows));
    }
    StepReport report = trainer.step(batches);
    report.seconds = stopwatch.step(report);
    if (const auto transition = stopwatch.transition(); transition && report.step < first + 5) {
      trainer.method().engine()->set_transition(*transition);
    }
    result.seconds += report.seconds;
    result.tokens += report.tokens;
    result.training.push_back({report.step, result.seconds, report.loss});
    if (report.step >= first + 1) result.breakdown += report.breakdown;
    if (report.step >= first + 2) {
      times.push_back(report.seconds);
      compute.push_back(report.costs.compute());
    }
    if (hooks.after_step) hooks.after_step(report, result.seconds);
    if (options.evaluate_every > 0 && trainer.steps_done() % options.evaluate_every == 0)
      result.after = evaluate();
    if (options.save_every > 0 && trainer.steps_done() % options.save_every == 0) save();
  }
  result.after = evaluate();
  save();
  result.steps = trainer.steps_done() - first;
  result.step_seconds = times.empty() ? 0 : median(times);
  result.compute_seconds = compute.empty() ? 0 : median(compute);
  result.d2h_bytes = device.d2h().bytes() - d2h;
  result.h2d_bytes = device.h2d().bytes() - h2d;
  result.peak_bytes = device.memory()->peak();
  result.intervals = trainer.take_intervals();
  if (hooks.finished) {
    trainer.method().merge();
    hooks.finished(*decoder);
  }
  return result;
}

}  // namespace ballast::tune
