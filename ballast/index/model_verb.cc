// `ballast index model` and `calibrate`: from counts to the time that a PIM machine would take.
#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/index/pim/profiles.h"
#include "ballast/index/tree_flags.h"
#include "ballast/index/verbs.h"

namespace ballast::index {
namespace {

// One row a phase: rounds of the same name together.
Table by_phase(const pim::Cost& cost, const pim::Profile& profile, double total) {
  Table table(
      fmt::format("Where the time goes (modelled, {}; CPU work measured on this machine, divided by {} "
                  "cores x {})",
                  profile.name, profile.cpu_cores, profile.cpu_efficiency),
      {"phase", "rounds", "module us", "launch and links us", "CPU us", "share"});
  std::vector<std::string> order;
  struct Sum {
    std::uint64_t rounds = 0;
    double module = 0, rest = 0, cpu = 0;
  };
  std::map<std::string, Sum> sums;
  for (const auto& round : cost.rounds) {
    if (sums.count(round.phase) == 0) order.push_back(round.phase);
    Sum& sum = sums[round.phase];
    const double module = pim::module_cycles(round, profile) / profile.frequency_hz;
    ++sum.rounds;
    sum.module += module;
    sum.rest += pim::modelled_seconds(round, cost.modules, profile) - module;
    sum.cpu += 1e-9 * static_cast<double>(round.cpu_ns) / (profile.cpu_cores * profile.cpu_efficiency);
  }
  for (const auto& phase : order) {
    const Sum& sum = sums[phase];
    table.row({phase, std::to_string(sum.rounds), fmt::format("{:.1f}", 1e6 * sum.module),
               fmt::format("{:.1f}", 1e6 * sum.rest), fmt::format("{:.1f}", 1e6 * sum.cpu),
               fmt::format("{:.0f} %", 100 * (sum.module + sum.rest) / total)});
  }
  return table;
}

void add_model_verb(cli::Program& program) {
  struct Options {
    OneBatch batch;
    std::string profile = "upmem-p21", rounds;
    bool sweep = false, print = false;
  };
  auto options = std::make_shared<Options>();
  auto verb =
      program.verb("model", "what one batch would take on a PIM machine (modelled), and how sure that is",
                   {"ballast index model --modules 2048 --alpha 1.2 --sweep",
                    "ballast index model --profile mine.yaml --op insert --method range"});
  options->batch.add_to(verb);
  verb->add_option("--profile", options->profile,
                   "upmem-p21, upimulator, hbm-pim-like, cxl-like, or a YAML file")
      ->capture_default_str();
  verb->add_flag("--sweep", options->sweep, "every parameter halved and doubled, one after the other");
  verb->add_flag("--print-profile", options->print,
                 "print the profile as YAML and end: a start for your own");
  verb->add_option(
      "--rounds", options->rounds,
      "write the batch's rounds as CSV with their modelled times: the form that calibrate reads");
  verb.run([options](const cli::Common& common) {
    const pim::Profile profile = pim::find_profile(options->profile);
    if (options->print) {
      fmt::print("{}", pim::to_yaml(profile));
      return;
    }
    const OneBatch::Outcome ran = options->batch.run(common.seed, false);
    const pim::Cost& cost = ran.method.index->cost();
    const auto time = pim::modelled(cost, static_cast<double>(ran.operations), profile);
    const double cpu_s = [&] {
      double ns = 0;
      for (const auto& round : cost.rounds) ns += static_cast<double>(round.cpu_ns);
      return 1e-9 * ns / (profile.cpu_cores * profile.cpu_efficiency);
    }();
    const Table phases = by_phase(cost, profile, time.seconds);
    Table sweep("Sensitivity: operations a second with one parameter changed (modelled)",
                {"parameter", "assumed", "x 0.5", "x 2"});
    Json sensitivity = Json::object();
    const auto all = pim::sensitivity(profile);
    for (std::size_t i = 0; i < pim::sensitive_parameters().size(); ++i) {
      const std::string& name = pim::sensitive_parameters()[i].first;
      const auto rate = [&](const pim::Profile& p) {
        return static_cast<double>(ran.operations) / pim::modelled_seconds(cost, p);
      };
      const bool assumed =
          std::find(profile.assumed.begin(), profile.assumed.end(), name) != profile.assumed.end();
      sweep.row({name, assumed ? "yes" : "no", fmt::format("{:.3g}", rate(all[2 * i])),
                 fmt::format("{:.3g}", rate(all[2 * i + 1]))});
      sensitivity[name] = {rate(all[2 * i]), rate(all[2 * i + 1])};
    }
    if (!options->rounds.empty()) {
      std::vector<pim::MeasuredRound> rounds;
      for (const auto& round : cost.rounds)
        rounds.push_back({cost.modules, round, pim::modelled_seconds(round, cost.modules, profile)});
      write_file(options->rounds, pim::rounds_to_csv(rounds));
    }
    if (common.for_people()) {
      phases.print(stdout);
      if (options->sweep) sweep.print(stdout);
      fmt::print(
          "{}: {:.3g} operations a second (modelled, {}), {:.3g} to {:.3g} with each parameter halved or "
          "doubled; {:.3g} with the CPU side's work. No figure of PIM hardware.\n",
          ran.method.index->name(), time.operations_per_s, profile.name, time.low, time.high,
          static_cast<double>(ran.operations) / (time.seconds + cpu_s));
    }
    common.write_json({{"schema", "ballast.index.model/1"},
                       {"profile", profile.name},
                       {"basis", "modelled"},
                       {"operations_per_s", time.operations_per_s},
                       {"low", time.low},
                       {"high", time.high},
                       {"seconds", time.seconds},
                       {"cpu_seconds", cpu_s},
                       {"sensitivity", sensitivity}});
    Report report("ballast index model");
    Section& section = report.section(ran.method.index->name());
    section.table(phases);
    section.table(sweep);
    section.command(common.command_line);
    common.write_report(report);
  });
}

void add_calibrate(cli::Program& program) {
  struct Options {
    std::string rounds, base = "upmem-p21", out, name = "calibrated";
  };
  auto options = std::make_shared<Options>();
  auto verb = program.verb("calibrate", "fit a PIM profile to rounds that you measured on hardware",
                           {"ballast index calibrate rounds.csv --out mine.yaml",
                            "ballast index calibrate rounds.csv --base upimulator --name lab"});
  verb->add_option("CSV", options->rounds, "counts and measured seconds of rounds (see `model --rounds`)")
      ->required();
  verb->add_option("--base", options->base, "the profile that gives what is not fitted")
      ->capture_default_str();
  verb->add_option("--name", options->name, "of the new profile")->capture_default_str();
  verb->add_option("--out", options->out, "where to write it (YAML); none: standard output");
  verb.run([options](const cli::Common& common) {
    const auto fit =
        pim::calibrate(pim::read_rounds(options->rounds), pim::find_profile(options->base), options->name);
    const std::string yaml = pim::to_yaml(fit.profile);
    if (!options->out.empty()) write_file(options->out, yaml);
    if (common.for_people()) {
      if (options->out.empty()) fmt::print("{}", yaml);
      fmt::print(
          "fitted to {} rounds; of {} held out the model is off by {:.1f} % on average, {:.1f} % at most\n",
          fit.fitted, fit.held_out, 100 * fit.held_out_mean, 100 * fit.held_out_error);
    }
    common.write_json({{"schema", "ballast.index.calibrate/1"},
                       {"profile", yaml},
                       {"fitted", fit.fitted},
                       {"held_out", fit.held_out},
                       {"held_out_mean_error", fit.held_out_mean},
                       {"held_out_error", fit.held_out_error}});
  });
}

}  // namespace

void add_model(cli::Program& program) {
  add_model_verb(program);
  add_calibrate(program);
}

}  // namespace ballast::index
