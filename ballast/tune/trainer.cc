#include "ballast/tune/trainer.h"

#include <cmath>
#include <numbers>
#include <set>

#include "ballast/base/cli.h"
#include "ballast/base/errors.h"
#include "ballast/base/statistics.h"
#include "ballast/model/threads.h"
#include "ballast/tune/method_parts.h"
#include "ballast/tune/paths.h"

namespace ballast::tune {

double scheduled_rate(const TrainOptions& options, std::int64_t step) {
  if (step < options.warmup)
    return options.rate * static_cast<double>(step + 1) / static_cast<double>(options.warmup);
  if (options.steps <= options.warmup) return options.rate;
  const double part =
      static_cast<double>(step - options.warmup) / static_cast<double>(options.steps - options.warmup);
  return options.rate * 0.5 * (1 + std::cos(std::numbers::pi * std::min(part, 1.0)));
}

Trainer::Trainer(model::BlockModel& model, EmulatedDevice& device, std::unique_ptr<Method> method,
                 TrainOptions options)
    : model_(model), device_(device), method_(std::move(method)), options_(options) {
  for (at::Tensor& parameter : model_.parameters()) parameter.requires_grad_(false);
  context_ = {.model = &model_,
              .device = &device_,
              .units = units_of(model_),
              .adam = options_.adam,
              .clip = options_.clip,
              .clip_norm = options_.clip_norm,
              .seed = options_.seed};
  method_->attach(context_);
  if (!options_.train_norms) return;
  std::set<const void*> matrices;
  for (const Unit& unit : context_.units) matrices.insert(unit.layer->weight.unsafeGetTensorImpl());
  const DeviceScope scope(device_.memory(), "norms and their state");
  const auto add = [&](std::int64_t block, const std::vector<at::Tensor>& parameters, bool head = false) {
    for (at::Tensor parameter : parameters) {
      if ((parameter.dim() != 1 && !head) || matrices.contains(parameter.unsafeGetTensorImpl())) continue;
      if (!matrices.insert(parameter.unsafeGetTensorImpl()).second) continue;
      parameter.requires_grad_(true);
      others_.push_back({block, parameter, at::zeros_like(parameter), at::zeros_like(parameter)});
    }
  };
  for (std::int64_t block = 0; block < model_.block_count(); ++block)
    add(block, model_.block_module(block).parameters());
  // A task's head learns with every method, adapters included.
  if (model_.sequence_head) add(model_.block_count(), model_.sequence_head->parameters(), true);
  add(model_.block_count(), model_.parameters());
}

Trainer::~Trainer() {
  for (const Unit& unit : context_.units) unit.layer->path = nullptr;
}

void Trainer::update_others(std::int64_t block, double rate) {
  const at::NoGradGuard no_grad;
  for (Other& other : others_) {
    if (other.block != block || !other.parameter.grad().defined()) continue;
    at::Tensor gradient = other.parameter.grad().contiguous();
    const double norm = options_.clip == Clip::none ? 0 : gradient.norm().item<double>();
    // Norms and biases are not decayed.
    kernels::adam_parameters(
        gradient.data_ptr<float>(), other.m.data_ptr<float>(), other.v.data_ptr<float>(),
        other.parameter.data_ptr<float>(), gradient.numel(),
        adam_step(context_, step_, norm > options_.clip_norm ? options_.clip_norm / norm : 1), 1.0f,
        static_cast<float>(rate));
    other.parameter.mutable_grad().reset();
  }
}

bool Trainer::wants_calibration() const {
  if (!method_->wants_calibration() || calibrated_at_ == step_) return false;
  if (calibrated_at_ < 0) return true;
  return method_->check_every() > 0 && step_ % method_->check_every() == 0;
}

NamedTensors Trainer::state() {
  NamedTensors list;
  for (const auto& parameter : model_.named_parameters())
    list.emplace_back("model." + parameter.key(), parameter.value().detach());
  for (std::size_t i = 0; i < others_.size(); ++i) {
    list.emplace_back("other." + std::to_string(i) + ".m", others_[i].m);
    list.emplace_back("other." + std::to_string(i) + ".v", others_[i].v);
  }
  const NamedTensors more = method_->state();
  list.insert(list.end(), more.begin(), more.end());
  return list;
}

void Trainer::restored(std::int64_t steps_done) {
  step_ = steps_done;
  // What was calibrated before this step is part of the state; a check that is
  // due at this very step is still to be done.
  calibrated_at_ = steps_done > 0 ? steps_done - 1 : -1;
  method_->restored();
}

CalibrationReport Trainer::calibrate(const std::vector<model::TokenBatch>& batches) {
  calibrated_at_ = step_;
  if (!method_->wants_calibration()) return {};
  settle();
  CalibrationReport report;
  const double start = now(), processor = thread_seconds();
  const std::int64_t bytes = device_.d2h().bytes() + device_.h2d().bytes();
  const model::PinnedScope pinned(device_.device_cores());
  std::vector<std::shared_ptr<model::LinearPath>> paths;
  std::vector<at::Tensor> means;
  const auto share = 1.0f / static_cast<float>(batches.size());
  for (const Unit& unit : context_.units) {
    paths.push_back(unit.layer->path);
    const HostScope host;
    means.push_back(torch::zeros({unit.rows(), unit.cols()}));
    // Each dense gradient leaves the device at once, over the link, and is summed on the host.
    unit.layer->path =
        std::make_shared<DensePath>([this, share, mean = means.back()](const at::Tensor& g) mutable {
          const HostScope on_host;
          at::Tensor crossed = torch::empty(g.sizes());
          device_.d2h().copy(crossed.data_ptr<float>(), g.data_ptr<float>(),
                             static_cast<std::int64_t>(g.nbytes()));
          mean.add_(crossed, share);
        });
  }
  {
    const DeviceScope scope(device_.memory(), "activations");
    for (const model::TokenBatch& batch : batches) {
      cli::stop_if_interrupted();
      forward_backward(model_, batch, {.checkpointing = options_.checkpointing}, {});
    }
  }
  for (Other& other : others_) other.parameter.mutable_grad().reset();
  for (const Unit& unit : context_.units) unit.layer->path = paths[static_cast<std::size_t>(unit.id)];
  const DeviceScope scope(device_.memory(), "calibration");
  report.biases = method_->calibrate(step_, [&](const Unit& unit) {
    at::Tensor& mean = means[static_cast<std::size_t>(unit.id)];
    at::Tensor on_device = torch::empty(mean.sizes());
    device_.h2d().copy(on_device.data_ptr<float>(), mean.data_ptr<float>(),
                       static_cast<std::int64_t>(mean.nbytes()));
    mean.reset();
    return on_device;
  });
  report.seconds = now() - start;
  report.processor_seconds = thread_seconds() - processor;
  report.bytes = device_.d2h().bytes() + device_.h2d().bytes() - bytes;
  return report;
}

StepReport Trainer::step(const std::vector<model::TokenBatch>& micro_batches) {
  BALLAST_CHECK(!micro_batches.empty());
  const double start = now();
  const model::PinnedScope pinned(device_.device_cores());
  const DeviceScope scope(device_.memory(), "activations");
  const StepPlan plan{step_, scheduled_rate(options_, step_), static_cast<int>(micro_batches.size())};
  std::int64_t trained = 0;
  for (const model::TokenBatch& batch : micro_batches) trained += trained_positions(batch);
  if (trained == 0) throw InvalidInput("this step's samples hold no trained token");

  method_->begin_step(plan);
  StepReport report{.step = step_, .tokens = 0, .skipped = false, .breakdown = {}, .costs = {}};
  const auto blocks = static_cast<std::size_t>(model_.block_count());
  report.costs.forward.resize(blocks);
  report.costs.backward.resize(blocks);
  report.costs.apply.resize(blocks);
  report.costs.payload.resize(blocks);
  for (const Unit& unit : context_.units) {
    if (const std::int64_t bytes = method_->payload_bytes(unit); bytes > 0) {
      report.costs.payload[static_cast<std::size_t>(unit.block)].push_back(bytes);
    }
  }
  double loss_sum = 0, mark = 0;
  bool finite = true;
  const auto record = [&](const char* what, std::int64_t block) {
    const double at = now();
    if (options_.record) intervals_.push_back({Resource::device, what, step_, block, -1, mark, at});
    mark = at;
  };
  for (std::size_t i = 0; i < micro_batches.size(); ++i) {
    const bool last = i + 1 == micro_batches.size();
    mark = now();
    std::int64_t before = -1;
    const PassHooks hooks{
        .before_forward =
            [&](std::int64_t block) {
              if (before >= 0) record("forward", before);
              const double processor = thread_seconds();
              method_->before_forward(block);
              report.costs.apply[static_cast<std::size_t>(block)] += thread_seconds() - processor;
              record("apply", block);
              before = block;
            },
        .before_backward =
            [&](std::int64_t block) {
              if (before >= 0) record("forward", before);
              before = -1;
              method_->before_backward(block);
              record("stall", block);
            },
        .after_backward =
            [&](std::int64_t block) {
              const double processor = thread_seconds();
              method_->after_backward(block, last);
              if (last) update_others(block, plan.rate);
              report.costs.backward[static_cast<std::size_t>(block)] += thread_seconds() - processor;
              record("backward", block);
            }};
    const PassResult pass = forward_backward(
        model_, micro_batches[i], {.checkpointing = options_.checkpointing, .normaliser = trained}, hooks);
    loss_sum += pass.loss_sum;
    report.tokens += micro_batches[i].tokens();
    for (std::size_t block = 0; block < blocks; ++block) {
      report.costs.forward[block] += pass.block_forward[block];
      report.costs.backward[block] += pass.block_backward[block];
    }
    report.costs.ends += pass.ends;
    finite &= pass.finite;
    if (!finite) break;
  }
  const double processor = thread_seconds();
  if (finite) {
    update_others(model_.block_count(), plan.rate);
    method_->finish_step();
  } else {
    method_->abandon_step();
    for (Other& other : others_) other.parameter.mutable_grad().reset();
  }
  report.costs.ends += thread_seconds() - processor;
  report.loss = loss_sum / static_cast<double>(trained);
  ++step_;

  report.skipped = !finite || !method_->healthy();
  bad_in_a_row_ = report.skipped ? bad_in_a_row_ + 1 : 0;
  if (bad_in_a_row_ >= 3)
    throw Unavailable(
        "training diverged: three steps in a row met values that "
        "are not finite");
  report.seconds = now() - start;
  if (Engine* engine = method_->engine()) {
    report.breakdown = engine->take_waits();
    if (options_.record) {
      const auto more = engine->take_intervals();
      intervals_.insert(intervals_.end(), more.begin(), more.end());
    }
  }
  report.breakdown.compute = report.seconds - report.breakdown.total;
  report.breakdown.total = report.seconds;
  return report;
}

void Trainer::settle() {
  const DeviceScope scope(device_.memory(), "activations");
  method_->settle();
}

EvalReport Trainer::evaluate(const std::vector<model::TokenBatch>& batches) {
  settle();
  const model::PinnedScope pinned(device_.device_cores());
  const HostScope host;  // evaluation is outside the experiment: it neither
                         // fills nor is refused device memory
  double sum = 0;
  EvalReport report;
  std::int64_t correct = 0;
  for (const model::TokenBatch& batch : batches) {
    const PassResult pass = forward_only(model_, batch);
    sum += pass.loss_sum;
    report.tokens += pass.count;
    correct += pass.correct;
    if (!pass.predictions.defined()) continue;
    const at::Tensor guess = pass.predictions.to(torch::kFloat64), truth = batch.classes.to(torch::kFloat64);
    report.predictions.insert(report.predictions.end(), guess.data_ptr<double>(),
                              guess.data_ptr<double>() + guess.numel());
    report.truths.insert(report.truths.end(), truth.data_ptr<double>(),
                         truth.data_ptr<double>() + truth.numel());
  }
  if (model_.sequence_head) {
    if (model_.sequence_head->options.regression) {
      report.metrics.pearson = pearson(report.predictions, report.truths);
    } else {
      report.metrics = class_metrics(report.predictions, report.truths);
    }
  }
  const auto count = static_cast<double>(std::max<std::int64_t>(1, report.tokens));
  report.loss = sum / count;
  report.perplexity = std::exp(report.loss);
  report.accuracy = static_cast<double>(correct) / count;
  return report;
}

std::vector<Interval> Trainer::take_intervals() {
  return std::exchange(intervals_, {});
}

ComputeTimes measure_compute(model::BlockModel& model, EmulatedDevice& device, const model::TokenBatch& batch,
                             bool checkpointing, int rounds) {
  const model::PinnedScope pinned(device.device_cores());
  const HostScope host;
  for (at::Tensor& parameter : model.parameters()) parameter.requires_grad_(false);
  const std::vector<Unit> units = units_of(model);
  for (const Unit& unit : units) unit.layer->path = std::make_shared<DensePath>([](const at::Tensor&) {});
  std::vector<double> forward, backward, processor;
  for (int round = 0; round <= rounds; ++round) {
    const double before = thread_seconds();
    const PassResult pass = forward_backward(model, batch, {.checkpointing = checkpointing}, {});
    if (round == 0) continue;
    processor.push_back(thread_seconds() - before);
    forward.push_back(pass.forward_seconds);
    backward.push_back(pass.backward_seconds);
  }
  for (const Unit& unit : units) unit.layer->path = nullptr;
  return {median(forward), median(backward), median(processor)};
}

}  // namespace ballast::tune
