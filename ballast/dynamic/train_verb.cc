// train: parameters of a model that gives losses.
#include <fmt/format.h>

#include "ballast/base/errors.h"
#include "ballast/dynamic/run_options.h"
#include "ballast/dynamic/train/trainer.h"
#include "ballast/dynamic/verbs.h"

namespace ballast::dynamic {
namespace {

struct TrainVerb {
  ModelOptions model;
  DataOptions data;
  TrainOptions train;
  int batch = 32, epochs = 3;
  std::string save;
};

void train(const TrainVerb& options, const cli::Common& common) {
  const Executable exe = compile(options.model.load(), {.constants = false});
  const std::vector<Instance> instances = options.data.load(*exe.module, common.seed);
  Trainer trainer(exe, initial_parameters(*exe.module, common.seed), options.train);
  Table table(fmt::format("{}: {} instances, {} (loss measured)", options.model.model, instances.size(),
                          options.train.optimizer),
              {"epoch", "loss an instance"});
  Json losses = Json::array();
  for (int epoch = 1; epoch <= options.epochs; ++epoch) {
    double sum = 0;
    for (std::size_t first = 0; first < instances.size(); first += static_cast<std::size_t>(options.batch)) {
      cli::stop_if_interrupted();
      const auto batch = std::span(instances).subspan(
          first, std::min(static_cast<std::size_t>(options.batch), instances.size() - first));
      sum += trainer.step(batch) * static_cast<double>(batch.size());
    }
    losses.push_back(sum / static_cast<double>(instances.size()));
    table.row({std::to_string(epoch), fmt::format("{:.4f}", losses.back().get<double>())});
  }
  if (!options.save.empty()) write_parameters(*exe.module, trainer.parameters(), options.save);
  if (common.for_people()) table.print(stdout);
  common.write_json(
      {{"schema", "ballast.dynamic.train/1"}, {"model", options.model.model}, {"losses", losses}});
}

}  // namespace

void add_train(cli::Program& program) {
  auto options = std::make_shared<TrainVerb>();
  auto verb = program.verb("train", "train a model whose entry function gives losses",
                           {"ballast dynamic train treelstm-loss --instances 256 --epochs 5",
                            "ballast dynamic train model.bdm --data trees.ptb --save model.safetensors"});
  options->model.add_to(verb.app());
  options->data.add_to(verb.app());
  verb->add_option("--batch", options->batch, "instances of a mini-batch")
      ->capture_default_str()
      ->check(CLI::Range(1, 100000));
  verb->add_option("--epochs", options->epochs, "times through the data")
      ->capture_default_str()
      ->check(CLI::Range(1, 100000));
  verb->add_option("--optimizer", options->train.optimizer, "sgd or adam")->capture_default_str();
  verb->add_option("--rate", options->train.rate, "learning rate")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  verb->add_option("--momentum", options->train.momentum, "of sgd")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 1.0));
  verb->add_option("--save", options->save,
                   "trained parameters: .safetensors, or else JSON; run --parameters reads them");
  verb.run([options](const cli::Common& common) { train(*options, common); });
}

}  // namespace ballast::dynamic
