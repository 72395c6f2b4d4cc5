// train and eval: the supernet on the user's images, and one of its networks.
#include <fmt/format.h>

#include <filesystem>

#include "ballast/base/errors.h"
#include "ballast/codesign/genotype_source.h"
#include "ballast/codesign/trainer.h"
#include "ballast/codesign/verbs.h"
#include "ballast/model/threads.h"

namespace ballast::codesign {
namespace {

struct TrainFlags {
  std::string space = "h4h-28", data = "fashion-mnist", out = "supernet.pt", distil = "alpha",
              conflict = "none", budget;
  std::string phase_order = "conv-first";
  std::int64_t limit = 0;
  bool resume = false, kernel_transform = false;
  TrainOptions train;
};

double minutes_of(const std::string& text) {
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  const std::string unit = end;
  const double factor = unit == "m" ? 1 : unit == "s" ? 1.0 / 60 : unit == "h" ? 60 : 0;
  if (!(value > 0) || factor == 0) throw InvalidInput("--budget", text, "a time such as 90s, 15m or 2h");
  return value * factor;
}

Space space_for(const std::string& word, const ImageData& data) {
  Space space = load_space(word);
  return adapted(space, data.side, static_cast<int>(data.train.pixels.size(1)), data.classes);
}

void train(TrainFlags flags, const cli::Common& common) {
  model::use_threads(1);
  flags.train.seed = common.seed;
  flags.train.distil = distil_from_string(flags.distil);
  flags.train.conflict = conflict_from_string(flags.conflict);
  cli::require_one_of("--phase-order", flags.phase_order, {"conv-first", "attn-first"});
  flags.train.attention_first = flags.phase_order == "attn-first";
  if (!flags.budget.empty()) flags.train.minutes = minutes_of(flags.budget);
  if (flags.train.phases != 1 && flags.train.phases != 2)
    throw InvalidInput("--phases", std::to_string(flags.train.phases), "1 or 2");
  if (flags.train.steps < 1 || flags.train.batch < 2)
    throw InvalidInput("--steps and --batch must be at least 1 and 2");
  const ImageData data = load_images(flags.data, flags.limit, common.seed);
  Supernet net(space_for(flags.space, data),
               {.seed = common.seed, .kernel_transform = flags.kernel_transform});
  Trainer trainer(net, data, flags.train);
  if (flags.resume) trainer.resume(flags.out);
  trainer.run(flags.out);

  const Space& space = net.space();
  const at::Tensor calibrate = data.train.floats(0, std::min<std::int64_t>(1000, data.train.size()));
  const std::int64_t count = std::min<std::int64_t>(2000, data.held.size());
  const ImageSet held = data.held.part(0, count);
  Table table(fmt::format("{} on {} after {} steps: held-out training images (measured)", space.name,
                          data.name, trainer.steps_done()),
              {"network", "MMAC", "top-1 %"});
  Json rows = Json::array();
  Random random(common.seed, 99);
  const auto add = [&](const std::string& name, const Genotype& g) {
    const Plan plan = plan_network(space, g);
    const double accuracy = top1(net, plan, calibrate, held.floats(), held.labels);
    table.row({name, fmt::format("{:.2f}", static_cast<double>(plan_macs(plan)) / 1e6),
               fmt::format("{:.1f}", accuracy)});
    rows.push_back({{"network", name}, {"genotype", to_json(space, g)}, {"top1", accuracy}});
  };
  add("smallest", smallest(space, Blocks::conv_only));
  add("largest, convolutions only", largest(space, Blocks::conv_only));
  if (!flags.train.conv_only) {
    add("largest", largest(space, Blocks::hybrid));
    for (int i = 0; i < 3; ++i)
      add(fmt::format("random hybrid {}", i + 1), sample(space, random, Blocks::hybrid));
  }
  Json lines = Json::array();
  Chart chart{.title = "Cosine between gradients of a convolution-only and a hybrid network",
              .x_label = "step",
              .y_label = "cosine",
              .basis = Basis::measured};
  for (std::size_t s = 0; s < space.stages.size(); ++s)
    chart.series.push_back({space.stages[s].name, {}, {}});
  for (const auto& line : trainer.log()) {
    lines.push_back({{"step", line.step},
                     {"phase", line.phase},
                     {"loss", line.loss},
                     {"lr", line.lr},
                     {"cosine_by_stage", line.cosine_by_stage},
                     {"negative_share", line.negative_share}});
    for (std::size_t s = 0; s < line.cosine_by_stage.size(); ++s) {
      chart.series[s].xs.push_back(static_cast<double>(line.step));
      chart.series[s].ys.push_back(line.cosine_by_stage[s]);
    }
  }
  if (common.for_people()) {
    table.print(stdout);
    if (!flags.train.conv_only)
      fmt::print(
          "gradients of a convolution-only and a hybrid network point apart in {:.1f} % of the shared "
          "tensors (measured)\n",
          100 * trainer.negative_share());
    fmt::print("written: {}\n", flags.out);
  }
  common.write_json({{"schema", "ballast.codesign.train/1"},
                     {"space", space.name},
                     {"data", data.name},
                     {"basis", "measured"},
                     {"steps", trainer.steps_done()},
                     {"networks", rows},
                     {"negative_share", trainer.negative_share()},
                     {"log", lines}});
  Report report("Training of " + space.name);
  auto& section = report.section("codesign train");
  section.table(table);
  if (!chart.series.empty() && !chart.series[0].xs.empty()) section.chart(chart);
  section.command(common.command_line);
  common.write_report(report);
}

struct EvalFlags {
  std::string checkpoint, genotype = "largest";
  AnalogNoise noise;
};

void evaluate_genotype(const EvalFlags& flags, const cli::Common& common) {
  model::use_threads(1);
  Checkpoint head;
  const Supernet net = load_supernet(flags.checkpoint, &head);
  const ImageData data = load_images(head.data_name);
  const Genotype g = genotype_from_word(net.space(), flags.genotype, common.seed);
  const Plan plan = plan_network(net.space(), g);
  AnalogNoise noise = flags.noise;
  noise.seed = common.seed;
  const at::Tensor calibrate = data.train.floats(0, std::min<std::int64_t>(5000, data.train.size()));
  Statistics stats;
  const double clean = top1(net, plan, calibrate, data.test.floats(), data.test.labels, {}, &stats);
  const bool noisy = noise.sigma > 0 || noise.adc_bits > 0;
  const double with_noise =
      noisy ? top1(net, plan, calibrate, data.test.floats(), data.test.labels, noise, &stats) : clean;
  if (common.for_people()) {
    fmt::print("{}: {:.2f} % top-1 of {} test images (measured)\n", to_string(g), clean, data.test.size());
    if (noisy)
      fmt::print("with noise of {} of the range and {} ADC bits on every dense layer: {:.2f} % (modelled)\n",
                 noise.sigma, noise.adc_bits, with_noise);
  }
  common.write_json({{"schema", "ballast.codesign.eval/1"},
                     {"genotype", to_json(net.space(), g)},
                     {"data", data.name},
                     {"images", data.test.size()},
                     {"top1", clean},
                     {"top1_with_noise", with_noise},
                     {"basis", "measured"}});
}

}  // namespace

void add_train(cli::Program& program) {
  auto f = std::make_shared<TrainFlags>();
  auto verb =
      program.verb("train", "train a weight-sharing supernet on images, in two phases",
                   {"ballast codesign train --space h4h-28 --data fashion-mnist --budget 15m --out net.pt",
                    "ballast codesign train --data fashion-oddout --steps 2000 --phases 1 --out single.pt"});
  verb->add_option("--space", f->space, "h4h-28, h4h-224 or a .yaml file")->capture_default_str();
  verb->add_option("--data", f->data, "fashion-mnist, fashion-oddout, made-up or cifar:FOLDER")
      ->capture_default_str();
  verb->add_option("--limit", f->limit, "use at most this many training images");
  verb->add_option("--steps", f->train.steps, "optimiser steps")->capture_default_str();
  verb->add_option("--budget", f->budget, "a time in place of steps: 15m (then not repeatable)");
  verb->add_option("--batch", f->train.batch, "images a step")->capture_default_str();
  verb->add_option("--lr", f->train.lr, "largest learning rate")->capture_default_str();
  verb->add_option("--phases", f->train.phases, "2: convolutions first; 1: hybrids from the start")
      ->capture_default_str();
  verb->add_flag("--conv-only", f->train.conv_only, "never attention");
  verb->add_option("--phase-order", f->phase_order, "conv-first or attn-first")->capture_default_str();
  verb->add_option("--random-nets", f->train.random_nets,
                   "random networks a step beside largest and smallest")
      ->capture_default_str();
  verb->add_option("--distil", f->distil, "alpha, kl or none")->capture_default_str();
  verb->add_option("--conflict", f->conflict, "none, project, gradnorm or separate-momentum")
      ->capture_default_str();
  verb->add_option("--shared-lr", f->train.shared_lr, "factor on shared weights in the second phase")
      ->capture_default_str();
  verb->add_flag("--kernel-transform", f->kernel_transform,
                 "small kernels are a learned function of large ones");
  verb->add_option("--out", f->out, "the checkpoint")->capture_default_str();
  verb->add_flag("--resume", f->resume, "go on from the checkpoint --out");
  verb.run([f](const cli::Common& common) { train(*f, common); });
}

void add_eval(cli::Program& program) {
  auto f = std::make_shared<EvalFlags>();
  auto verb =
      program.verb("eval", "test accuracy of one network of a trained supernet",
                   {"ballast codesign eval --ckpt net.pt --genotype largest",
                    "ballast codesign eval --ckpt net.pt --genotype g.json --noise-sigma 0.02 --adc-bits 6"});
  verb->add_option("--ckpt", f->checkpoint, "what train wrote")->required();
  verb->add_option("--genotype", f->genotype, "largest, largest-conv, smallest, random or a .json file")
      ->capture_default_str();
  verb->add_option("--noise-sigma", f->noise.sigma,
                   "Gaussian noise of analog macros, relative to a layer's range");
  verb->add_option("--adc-bits", f->noise.adc_bits, "bits of the macros' converters; 0: exact");
  verb.run([f](const cli::Common& common) { evaluate_genotype(*f, common); });
}

}  // namespace ballast::codesign
