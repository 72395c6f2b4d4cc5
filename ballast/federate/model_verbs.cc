// predict and export: what a trained federation's models are for.
#include <fmt/format.h>

#include <cstdio>
#include <filesystem>
#include <sstream>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/data/npy.h"
#include "ballast/data/safetensors.h"
#include "ballast/federate/model_file.h"
#include "ballast/federate/torch_trainer.h"
#include "ballast/federate/user_data.h"
#include "ballast/federate/verbs.h"

namespace ballast::federate {
namespace {

namespace fs = std::filesystem;

// The model that serves a client at the end of a run: of a deployment by the client's name, of a simulation
// by its number.
std::string serving_model(const std::string& run, const std::string& client) {
  const auto file_of = [&](int slot) { return fmt::format("{}/models/{}.safetensors", run, slot); };
  if (fs::exists(run + "/status.json")) {
    for (const Json& entry : read_json(run + "/status.json").at("clients")) {
      if (entry.at("name") != client) continue;
      if (!entry.at("model").is_number())
        throw InvalidInput("--client", client, "a client that the run has given a model");
      return file_of(entry.at("model").get<int>());
    }
    throw InvalidInput("--client", client, fmt::format("a name in {}/status.json", run));
  }
  if (!fs::exists(run + "/assignment.csv"))
    throw Unavailable(
        fmt::format("{}: neither status.json nor assignment.csv; give the state folder of `serve` or a "
                    "strategy's folder of `sim --out`",
                    run));
  std::istringstream lines(read_file(run + "/assignment.csv"));
  int slot = -1;
  for (std::string line; std::getline(lines, line);) {  // step,client,concept,slot,...: the last row counts
    std::vector<std::string> cells;
    std::istringstream row(line);
    for (std::string cell; std::getline(row, cell, ',');) cells.push_back(cell);
    if (cells.size() > 3 && cells[1] == client) slot = std::atoi(cells[3].c_str());
  }
  if (slot < 0) throw InvalidInput("--client", client, "a client's number in assignment.csv");
  return file_of(slot);
}

struct Choice {
  std::string model, run, client;
  std::string path() const {
    if (model.empty() == run.empty()) throw InvalidInput("give --model FILE, or --run FOLDER with --client");
    if (!model.empty()) return model;
    if (client.empty()) throw InvalidInput("--run needs --client: which client's model");
    return serving_model(run, client);
  }
  void add_to(cli::Verb& verb) {
    verb->add_option("--model", model, "a model file (RUN/models/SLOT.safetensors)");
    verb->add_option("--run", run, "state folder of `serve`, or a strategy's folder of `sim --out`");
    verb->add_option("--client", client, "with --run: take the model that serves this client");
  }
};

}  // namespace

void add_predict(cli::Program& program) {
  struct Options {
    Choice choice;
    std::string data, label, out;
  };
  auto options = std::make_shared<Options>();
  auto verb =
      program.verb("predict", "answers of a trained model for the rows of a CSV file",
                   {"ballast federate predict --run run --client north --data new.csv --out answers.csv",
                    "ballast federate predict --model run/models/0.safetensors --data new.csv --label y"});
  options->choice.add_to(verb);
  verb->add_option("--data", options->data,
                   "CSV file: the features in the order of training, and the label if known")
      ->required();
  verb->add_option("--label", options->label, "the label column: the share of right answers is printed");
  verb->add_option("--out", options->out, "write the answers there (a column `answer`) in place of printing");
  verb.run([options](const cli::Common& common) {
    const ModelFile model = read_model(options->choice.path());
    const Samples samples =
        read_csv_samples(options->data, options->label, model.shape.classes, !options->label.empty());
    if (samples.features != model.shape.features)
      throw InvalidInput(fmt::format("{}: {} feature columns, the model has {}", options->data,
                                     samples.features, model.shape.features));
    const auto answers = make_trainer(model.shape)->predict(model.params, samples);
    std::string text = "answer\n";
    std::size_t right = 0;
    for (std::size_t i = 0; i < answers.size(); ++i) {
      text += fmt::format("{}\n", answers[i]);
      right += !options->label.empty() && answers[i] == samples.y[i] ? 1 : 0;
    }
    if (!options->out.empty()) write_file(options->out, text);
    Json document{{"schema", "ballast.federate.predict/1"}, {"rows", answers.size()}};
    if (options->out.empty()) document["answers"] = answers;
    if (common.for_people() && options->out.empty()) fmt::print("{}", text);
    if (!options->label.empty() && !answers.empty()) {
      const double share = static_cast<double>(right) / static_cast<double>(answers.size());
      document["accuracy"] = share;
      if (common.for_people())
        fmt::print(stderr, "{} of {} answers are right: {:.2f} % (measured)\n", right, answers.size(),
                   100 * share);
    }
    common.write_json(document);
  });
}

void add_export(cli::Program& program) {
  struct Options {
    Choice choice;
    std::string format = "safetensors", out;
  };
  auto options = std::make_shared<Options>();
  auto verb = program.verb(
      "export", "a trained model for other programs: tensors layer by layer, or TorchScript",
      {"ballast federate export --run run --client north --format npz --out north.npz",
       "ballast federate export --model run/models/0.safetensors --format torchscript --out m.pt"});
  options->choice.add_to(verb);
  verb->add_option("--format", options->format, "safetensors, npz or torchscript")->capture_default_str();
  verb->add_option("--out", options->out, "the file to write")->required();
  verb.run([options](const cli::Common& common) {
    cli::require_one_of("--format", options->format, {"safetensors", "npz", "torchscript"});
    const std::string path = options->choice.path();
    const ModelFile model = read_model(path);
    std::map<std::string, data::Array> arrays;
    for (const NamedTensor& tensor : named_tensors(model.shape)) {
      std::size_t count = 1;
      for (const std::size_t size : tensor.shape) count *= size;
      arrays[tensor.name] = data::Array::of<float>({tensor.shape.begin(), tensor.shape.end()},
                                                   std::span(model.params).subspan(tensor.first, count));
    }
    if (options->format == "npz") {
      data::write_npz(options->out, arrays);
    } else if (options->format == "safetensors") {
      std::map<std::string, data::ArrayView> views;
      for (const auto& [name, array] : arrays) views[name] = array.view();
      data::write_safetensors(options->out, views, {{"format", "pt"}});
    } else {
      export_torchscript(path, options->out);
    }
    if (common.for_people())
      fmt::print("{}: {} tensors, {} parameters\n", options->out, arrays.size(), model.params.size());
    common.write_json({{"schema", "ballast.federate.export/1"},
                       {"out", options->out},
                       {"format", options->format},
                       {"tensors", arrays.size()},
                       {"parameters", model.params.size()}});
  });
}

}  // namespace ballast::federate
