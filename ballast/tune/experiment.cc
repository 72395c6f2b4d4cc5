#include "ballast/tune/experiment.h"

#include <fmt/format.h>

#include <filesystem>

#include "ballast/base/cli.h"
#include "ballast/base/errors.h"
#include "ballast/base/statistics.h"
#include "ballast/llama/weights.h"
#include "ballast/model/threads.h"

namespace ballast::tune {
namespace {

model::DecoderConfig random_config(const std::string& name) {
  if (name == "tiny") {
    return {.vocabulary = 256, .hidden = 64, .blocks = 4, .heads = 4, .kv_heads = 2, .feed_forward = 176};
  }
  return {.vocabulary = 256, .hidden = 512, .blocks = 8, .heads = 8, .kv_heads = 4, .feed_forward = 1408};
}

}  // namespace

Workload load_workload(const WorkloadOptions& options) {
  model::use_threads(1);
  install_counting_allocator();
  Workload workload{.options = options, .gguf = nullptr, .corpus = nullptr, .label = {}, .fresh = {}};
  const std::string text = read_text(options.text);
  std::vector<std::int32_t> tokens;
  if (options.model == "mini" || options.model == "tiny") {
    tokens = byte_tokens(text);
    model::DecoderConfig config = random_config(options.model);
    if (options.keep_blocks > 0) config.blocks = options.keep_blocks;
    workload.label = fmt::format("random decoder '{}', {} blocks", options.model, config.blocks);
    workload.fresh = [config, seed = options.seed] {
      torch::manual_seed(seed);
      return std::make_shared<model::Decoder>(config);
    };
  } else {
    if (options.model != "smollm2" && !options.model.ends_with(".gguf")) {
      throw InvalidInput("--model", options.model, "smollm2, mini, tiny, or the path of a .gguf file");
    }
    const std::string path = options.model == "smollm2" ? llama::shipped_model() : options.model;
    workload.gguf = std::make_shared<GgufModel>(path, GgufOptions{.keep_blocks = options.keep_blocks});
    tokens = workload.gguf->tokenize(text);
    workload.label = fmt::format("{}, {} blocks", std::filesystem::path(path).stem().string(),
                                 workload.gguf->config().blocks);
    workload.fresh = [gguf = workload.gguf] { return gguf->load(); };
  }
  workload.corpus = std::make_shared<Corpus>(
      std::move(tokens),
      CorpusOptions{.window = options.window, .calibration = options.calibration, .seed = options.seed});
  return workload;
}

Limits match_limits(const Workload& workload, const LimitOptions& options) {
  const Regime regime = regime_from_string(options.regime);
  Limits limits{.device = {.budget = options.budget, .link = options.link, .host_rate = options.host_rate},
                .regime = regime,
                .compute = {},
                .parameters = 0};
  EmulatedDevice device({});
  const auto decoder = workload.fresh();
  for (const Unit& unit : units_of(*decoder)) limits.parameters += unit.size();
  limits.compute = measure_compute(*decoder, device, workload.corpus->batch(0, workload.options.rows),
                                   workload.options.checkpointing);
  match_regime(device, regime, limits.parameters, limits.compute.total());
  if (options.link.d2h <= 0) {
    limits.device.link.d2h = device.d2h().bytes_per_s();
    limits.device.link.h2d = device.h2d().bytes_per_s();
  }
  if (options.host_rate <= 0) limits.device.host_rate = device.host_rate();
  return limits;
}

std::vector<std::string> method_names() {
  return {"native", "native-inbwd", "zero", "zero+layerwise", "lora", "lsp", "lsp-random"};
}

std::unique_ptr<Method> make_method(const MethodOptions& options) {
  cli::require_one_of("--strategy", options.method, method_names());
  const auto schedule = [&](const std::string& usual) {
    return schedule_from_string(options.schedule == "auto" ? usual : options.schedule);
  };
  EngineOptions engine = options.engine;
  engine.record = options.record;
  if (options.method == "native") return make_native(false);
  if (options.method == "native-inbwd") return make_native(true);
  if (options.method == "zero") return make_zero(schedule("zero"), engine);
  if (options.method == "zero+layerwise") return make_zero(schedule("layerwise"), engine);
  if (options.method == "lora") return make_lora(options.rank);
  LspOptions lsp = options.lsp;
  if (options.method == "lsp-random") lsp.learned = false;
  return make_lsp(lsp, schedule("layerwise"), engine);
}

RunResult run_method(const Workload& workload, const Limits& limits, const MethodOptions& options,
                     const RunHooks& hooks) {
  if (options.steps <= 0 && options.seconds <= 0)
    throw InvalidInput("--steps", "0", "a positive number, or --seconds");
  EmulatedDevice device(limits.device);
  std::shared_ptr<model::Decoder> decoder;
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
                   .record = options.record,
                   .seed = options.seed});
  const Corpus& corpus = *workload.corpus;
  const auto validation = corpus.validation(workload.options.rows, options.evaluate_windows);

  RunResult result;
  result.method = trainer.method().name();
  const auto evaluate = [&] {
    const EvalReport report = trainer.evaluate(validation);
    result.validation.push_back({trainer.steps_done(), result.seconds, report.loss});
    return report;
  };
  result.before = result.after = evaluate();
  result.calibration_seconds = trainer.calibrate(corpus.calibration(workload.options.rows));
  result.seconds = result.calibration_seconds;
  const std::int64_t d2h = device.d2h().bytes(), h2d = device.h2d().bytes();

  std::vector<double> times;
  while (options.steps <= 0 || trainer.steps_done() < options.steps) {
    if (options.seconds > 0 && result.seconds >= options.seconds) break;
    if (cli::interrupted()) {
      result.interrupted = true;
      break;
    }
    std::vector<model::TokenBatch> batches;
    for (int i = 0; i < options.micro_batches; ++i) {
      batches.push_back(
          corpus.batch(trainer.steps_done() * options.micro_batches + i, workload.options.rows));
    }
    const double start = now();
    const StepReport report = trainer.step(batches);
    result.seconds += now() - start;
    result.tokens += report.tokens;
    result.training.push_back({report.step, result.seconds, report.loss});
    if (report.step >= 1) result.breakdown += report.breakdown;
    if (report.step >= 2) times.push_back(report.seconds);
    if (hooks.after_step) hooks.after_step(report, result.seconds);
    if (options.evaluate_every > 0 && trainer.steps_done() % options.evaluate_every == 0) {
      const double draining = now();
      trainer.settle();
      result.seconds += now() - draining;
      result.after = evaluate();
    }
  }
  const double draining = now();
  trainer.settle();
  result.seconds += now() - draining;
  result.after = evaluate();
  result.steps = trainer.steps_done();
  result.step_seconds = times.empty() ? 0 : median(times);
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
