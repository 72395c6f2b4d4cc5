// pattern, detect and privacy: verbs of one screen each.
#include <fmt/format.h>

#include <cstdio>
#include <iostream>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/federate/accountant.h"
#include "ballast/federate/detectors.h"
#include "ballast/federate/verbs.h"

namespace ballast::federate {
namespace {

void detect(const std::string& name, std::istream& in, const cli::Common& common) {
  const auto detector = make_detector(name);
  Table table("", {"sample", "event"});
  Json found = Json::array();
  bool warned = false;
  std::string word;
  for (std::uint64_t index = 0; in >> word; ++index) {
    char* end = nullptr;
    const double x = std::strtod(word.c_str(), &end);
    if (*end != '\0' || !(x == x)) {
      throw InvalidInput::at("standard input", index + 1, fmt::format("value '{}'", word),
                             "one number a line");
    }
    detector->update(x);
    const char* kind = detector->drift() ? "drift" : detector->warning() && !warned ? "warning" : nullptr;
    warned = detector->warning();
    if (kind == nullptr) continue;
    table.row({std::to_string(index), kind});
    found.push_back({{"sample", index}, {"event", kind}});
  }
  if (common.for_people()) table.print(stdout);
  common.write_json({{"schema", "ballast.federate.detect/1"}, {"detector", name}, {"events", found}});
}

}  // namespace

void add_detect(cli::Program& program) {
  auto name = std::make_shared<std::string>("adwin");
  auto verb =
      program.verb("detect", "find the changes in a stream of errors, read from standard input",
                   {"ballast federate detect --detector ddm < errors.txt",
                    "seq 1 100 | awk '{print ($1>50)}' | ballast federate detect --detector eddm --json"});
  verb->add_option("--detector", *name, fmt::format("{}", fmt::join(detector_names(), ", ")))
      ->capture_default_str();
  verb.run([name](const cli::Common& common) { detect(*name, std::cin, common); });
}

void add_pattern(cli::Program& program) {
  auto word = std::make_shared<std::string>("A");
  auto out = std::make_shared<std::string>();
  auto clients = std::make_shared<int>(0), stretch = std::make_shared<int>(1);
  auto verb = program.verb(
      "pattern", "show, check or make a concept pattern",
      {"ballast federate pattern C", "ballast federate pattern 'R(7)' --clients 100 --out big.cp"});
  verb->add_option("pattern", *word, "A..F, W..Z, R(seed), or a .cp file")->capture_default_str();
  verb->add_option("--clients", *clients, "repeat the columns to so many clients");
  verb->add_option("--stretch", *stretch, "repeat each row so many times")->check(CLI::Range(1, 1000));
  verb->add_option("--out", *out, "write a .cp file in place of printing");
  verb.run([=](const cli::Common& common) {
    ConceptPattern pattern = ConceptPattern::from(*word).stretched(*stretch);
    if (*clients > 0) pattern = pattern.tiled(*clients);
    if (!out->empty()) write_file(*out, pattern.to_text());
    if (common.for_people() && out->empty()) fmt::print("{}", pattern.to_text());
    common.write_json({{"schema", "ballast.federate.pattern/1"},
                       {"clients", pattern.clients()},
                       {"steps", pattern.steps()},
                       {"concepts", pattern.concepts()}});
  });
}

void add_privacy(cli::Program& program) {
  struct Options {
    double sampling = 1, noise = 1, delta = 1e-5;
    long rounds = 100;
  };
  auto options = std::make_shared<Options>();
  auto verb =
      program.verb("privacy", "epsilon of differentially private federated averaging (Renyi accountant)",
                   {"ballast federate privacy --sampling 0.01 --noise 1.1 --rounds 5000",
                    "ballast federate privacy --noise 4 --rounds 100 --json"});
  verb->add_option("--sampling", options->sampling, "chance of a client to be in a round")
      ->capture_default_str();
  verb->add_option("--noise", options->noise, "noise over clipping norm")->capture_default_str();
  verb->add_option("--rounds", options->rounds, "rounds in all")->capture_default_str();
  verb->add_option("--delta", options->delta, "delta of the promise")->capture_default_str();
  verb.run([options](const cli::Common& common) {
    const auto tight =
        gaussian_privacy_loss(options->sampling, options->noise, options->rounds, options->delta);
    const auto classic = gaussian_privacy_loss(options->sampling, options->noise, options->rounds,
                                               options->delta, Conversion::classic);
    Table table("Privacy loss of the models sent in all rounds (computed)",
                {"conversion", "epsilon", "order"});
    table.row({"tight", fmt::format("{:.3f}", tight.epsilon), std::to_string(tight.order)});
    table.row({"classic", fmt::format("{:.3f}", classic.epsilon), std::to_string(classic.order)});
    if (common.for_people()) table.print(stdout);
    common.write_json({{"schema", "ballast.federate.privacy/1"},
                       {"epsilon", tight.epsilon},
                       {"epsilon_classic", classic.epsilon}});
  });
}

}  // namespace ballast::federate
