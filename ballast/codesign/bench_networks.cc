#include "ballast/codesign/bench_networks.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/base/statistics.h"
#include "ballast/base/temporary_folder.h"
#include "ballast/codesign/onnx_export.h"
#include "ballast/codesign/runtimes.h"
#include "ballast/codesign/search_problem.h"
#include "ballast/codesign/trainer.h"
#include "ballast/model/threads.h"

namespace ballast::codesign {
namespace {

RawTensor raw(const at::Tensor& tensor) {
  const at::Tensor plain = tensor.contiguous(at::MemoryFormat::Contiguous);
  RawTensor out{{plain.sizes().begin(), plain.sizes().end()}, {}};
  out.values.assign(plain.data_ptr<float>(), plain.data_ptr<float>() + plain.numel());
  return out;
}

/// The least full latency among networks of at least this held-out accuracy.
double quickest(const Space& space, const SearchResult& found, const System& system, double floor) {
  double least = 1e300;
  for (const auto& c : found.all) {
    if (c.scores.at("accuracy") >= floor) least = std::min(least, full_cost(space, c.genotype, system).ms);
  }
  return least;
}

void export_row(Bench& bench, const Supernet& net, const ImageData& data, const Genotype& g) {
  torch::NoGradGuard no_grad;
  const Plan plan = plan_network(net.space(), g);
  const Supernet alone = net.extract(g);
  Statistics stats;
  const double accuracy =
      top1(alone, plan, data.train.floats(0, 2000), data.test.floats(), data.test.labels, {}, &stats);
  std::vector<at::Tensor> logits;
  for (std::int64_t at = 0; at < data.test.size(); at += 250)
    logits.push_back(alone.forward(plan,
                                   data.test.floats(at, std::min<std::int64_t>(250, data.test.size() - at)),
                                   Mode::evaluate, &stats));
  const TemporaryFolder folder;
  write_file(folder.file("net.onnx"), export_onnx(alone, plan, stats));
  const RuntimeAnswer answer = run_onnxruntime(folder.file("net.onnx"), "x", raw(data.test.floats()));
  bench.add({.id = "train.best",
             .what = "test accuracy of the most accurate network of the front, Fashion-MNIST",
             .unit = "%",
             .ours = accuracy,
             .better = Better::higher,
             .note = to_string(g)});
  BenchRow row{.id = "export.agreement",
               .what = "same top-1 in libtorch and onnxruntime, 10,000 test images",
               .unit = "%",
               .better = Better::higher,
               .target = 100,
               .note = "onnxruntime is not installed"};
  if (answer.installed && answer.problem.empty()) {
    const Agreement a = agreement(raw(at::cat(logits)), answer.output);
    row.ours = 100.0 * static_cast<double>(a.same_top1) / static_cast<double>(a.rows);
    row.note = fmt::format("largest difference of a logit {:.1e}", a.largest_difference);
  } else if (answer.installed) {
    row.note = answer.problem;
  }
  bench.add(row);
}

struct Trained {
  Supernet net;
  double negative_share = 0;
};

// Trains, or takes what an earlier run of the suite left.
Trained trained(const Space& space, const ImageData& data, const TrainOptions& options,
                const std::string& file) {
  Trained result{Supernet(space, {.seed = options.seed}), 0};
  Trainer trainer(result.net, data, options);
  if (std::filesystem::exists(file)) trainer.resume(file);
  trainer.run(file);
  result.negative_share = trainer.negative_share();
  return result;
}

double mean_accuracy(const Supernet& net, const ImageData& data, Blocks blocks, int networks,
                     std::uint64_t seed) {
  Random random(seed, 0x6d65616eu);
  const at::Tensor calibrate = data.train.floats(0, 1000), images = data.held.floats(0, 1000);
  double sum = 0;
  for (int i = 0; i < networks; ++i)
    sum += top1(net, plan_network(net.space(), sample(net.space(), random, blocks)), calibrate, images,
                data.held.labels.narrow(0, 0, 1000));
  return sum / networks;
}

// The best test accuracy among networks under a latency, chosen on held-out images.
double best_under(const Supernet& net, const ImageData& data, const System& system, double limit_ms,
                  Blocks blocks, std::uint64_t seed) {
  const at::Tensor calibrate = data.train.floats(0, 1000), images = data.held.floats(0, 1000);
  const at::Tensor labels = data.held.labels.narrow(0, 0, 1000);
  ProblemOptions options;
  options.blocks = blocks;
  options.goals.limits["latency"] = limit_ms;
  options.accuracy = [&](const Genotype& g) {
    return top1(net, plan_network(net.space(), g), calibrate, images, labels);
  };
  const auto found = search(network_problem(net.space(), system, options),
                            {.population = 24, .evaluations = 120, .seed = seed});
  const Candidate* best = nullptr;
  for (const auto& c : found.front) {
    if (best == nullptr || c.scores.at("accuracy") > best->scores.at("accuracy")) best = &c;
  }
  if (best == nullptr) throw Unavailable("the accuracy suite found no network under its latency limit");
  return top1(net, plan_network(net.space(), best->genotype), data.train.floats(0, 5000), data.test.floats(),
              data.test.labels);
}

}  // namespace

void network_rows(Bench& bench, double minutes, int evaluations, std::uint64_t seed) {
  model::use_threads(1);
  ImageData data;
  try {
    data = load_images("fashion-mnist");
  } catch (const Unavailable& error) {
    bench.add({.id = "train.best", .what = "supernet on Fashion-MNIST", .unit = "%", .note = error.what()});
    return;
  }
  const Space space = load_space("h4h-28");
  Supernet net(space, {.seed = seed});
  Trainer trainer(net, data, {.minutes = minutes, .seed = seed});
  trainer.run();
  const at::Tensor calibrate = data.train.floats(0, 1000), images = data.held.floats(0, 1000);
  const at::Tensor labels = data.held.labels.narrow(0, 0, 1000);
  std::map<std::uint64_t, double> known;
  ProblemOptions options;
  options.accuracy = [&](const Genotype& g) {
    const auto [at, fresh] = known.emplace(g.hash(), 0);
    if (fresh) at->second = top1(net, plan_network(space, g), calibrate, images, labels);
    return at->second;
  };
  const System hybrid = load_system("xr22-x8"), npu = load_system("npu-only");
  const SearchOptions budget{.population = 24, .evaluations = evaluations, .seed = seed};
  const auto with = search(network_problem(space, hybrid, options), budget);
  const auto without = search(network_problem(space, npu, options), budget);
  double most = 0;
  for (const auto& c : without.all) most = std::max(most, c.scores.at("accuracy"));
  const double floor = most - 0.5;
  const double ours = quickest(space, with, hybrid, floor), base = quickest(space, without, npu, floor);
  if (ours < 1e300 && base < 1e300) {
    bench.add({.id = "saving.iso-accuracy",
               .what = "latency saved by the best network for xr22-x8 over the best for the NPU alone, same "
                       "accuracy floor",
               .unit = "%",
               .ours = 100 * (1 - ours / base),
               .better = Better::higher,
               .target = 56,
               .basis = Basis::modelled,
               .note = fmt::format(
                   "h4h-28, floor {:.1f} % on held-out images, {} scored each, {:.1f} min of training", floor,
                   evaluations, minutes)});
  }
  const auto best = std::max_element(with.front.begin(), with.front.end(), [](const auto& a, const auto& b) {
    return a.scores.at("accuracy") < b.scores.at("accuracy");
  });
  if (best != with.front.end()) export_row(bench, net, data, best->genotype);
}

void accuracy_rows(Bench& bench, double minutes, const std::string& folder) {
  model::use_threads(1);
  std::filesystem::create_directories(folder);
  const ImageData odd = load_images("fashion-oddout"), plain = load_images("fashion-mnist");
  const Space large = adapted(load_space("h4h-28"), odd.side, 1, 10), small = load_space("h4h-28");
  const System system = load_system("xr22-x8");
  std::vector<double> gain, phases, share_one, share_two;
  for (std::uint64_t seed = 1; seed <= 3; ++seed) {
    const auto file = [&](const std::string& name) { return fmt::format("{}/{}-{}.pt", folder, name, seed); };
    const TrainOptions base{.minutes = minutes, .seed = seed};
    TrainOptions conv = base, single = base;
    conv.conv_only = true;
    single.phases = 1;
    const Trained hybrid = trained(large, odd, base, file("odd-hybrid"));
    const Trained plain_conv = trained(large, odd, conv, file("odd-conv"));
    const double limit = full_cost(large, largest(large, Blocks::conv_only), system).ms * 0.6;
    gain.push_back(best_under(hybrid.net, odd, system, limit, Blocks::hybrid, seed) -
                   best_under(plain_conv.net, odd, system, limit, Blocks::conv_only, seed));
    const Trained two = trained(small, plain, base, file("two-phases")),
                  one = trained(small, plain, single, file("one-phase"));
    phases.push_back(mean_accuracy(two.net, plain, Blocks::hybrid, 200, seed) -
                     mean_accuracy(one.net, plain, Blocks::hybrid, 200, seed));
    share_one.push_back(one.negative_share);
    share_two.push_back(two.negative_share);
  }
  const auto range = [](const std::vector<double>& v) {
    return fmt::format("three seeds, {:.2f} to {:.2f}", *std::min_element(v.begin(), v.end()),
                       *std::max_element(v.begin(), v.end()));
  };
  bench.add(
      {.id = "accuracy.hybrid",
       .what = "best hybrid less best convolution-only network at equal modelled latency, fashion-oddout",
       .unit = "points",
       .ours = mean(gain),
       .better = Better::higher,
       .target = 1.3,
       .note = range(gain)});
  bench.add({.id = "accuracy.phases",
             .what = "mean of 200 random hybrids, two phases less one, Fashion-MNIST",
             .unit = "points",
             .ours = mean(phases),
             .better = Better::higher,
             .target = 0.5,
             .note = range(phases)});
  bench.add({.id = "conflict.negative",
             .what = "fewer negative cosines with two phases than with one",
             .unit = "%",
             .ours = 100 * (1 - mean(share_two) / std::max(1e-9, mean(share_one))),
             .better = Better::higher,
             .target = 33,
             .note = fmt::format("{:.1f} % against {:.1f} % of shared tensors", 100 * mean(share_two),
                                 100 * mean(share_one))});
}

}  // namespace ballast::codesign
