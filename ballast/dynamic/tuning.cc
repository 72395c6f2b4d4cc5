#include "ballast/dynamic/tuning.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "ballast/base/cli.h"
#include "ballast/base/errors.h"
#include "ballast/base/random.h"
#include "ballast/dynamic/runtime/batches.h"

namespace ballast::dynamic {
namespace {

const std::vector<std::string> kReadings{"auto", "pointers", "copied"};

std::string name_of(KernelChoice::Reading reading) {
  return kReadings[static_cast<std::size_t>(reading)];
}

/// Trials for each weight, at least one each, at most `most`.
std::vector<int> share_out(const std::vector<double>& weights, int trials, int most) {
  const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  std::vector<int> shares;
  for (const double w : weights)
    shares.push_back(std::clamp(static_cast<int>(w / std::max(1e-300, sum) * trials + 0.5), 1, most));
  return shares;
}

}  // namespace

std::vector<KernelChoice> kernel_candidates() {
  std::vector<KernelChoice> all;
  for (const auto reading :
       {KernelChoice::Reading::automatic, KernelChoice::Reading::pointers, KernelChoice::Reading::copied})
    for (const std::int64_t tile : {32, 8, 16, 64, 4, 14, 28, 128}) all.push_back({tile, reading});
  return all;
}

std::vector<double> static_weights(const Executable& exe) {
  const auto& functions = exe.program.functions;
  const std::size_t n = functions.size();
  std::vector<std::set<std::size_t>> calls(n);
  for (std::size_t f = 0; f < n; ++f)
    each_stmt(functions[f].body, [&](const Stmt& s) {
      if (s.kind == Stmt::Kind::call) calls[f].insert(static_cast<std::size_t>(s.function));
    });
  std::vector<std::vector<bool>> reaches(n, std::vector<bool>(n, false));
  for (std::size_t f = 0; f < n; ++f) {
    std::vector<std::size_t> open(calls[f].begin(), calls[f].end());
    while (!open.empty()) {
      const std::size_t g = open.back();
      open.pop_back();
      if (reaches[f][g]) continue;
      reaches[f][g] = true;
      open.insert(open.end(), calls[g].begin(), calls[g].end());
    }
  }
  const auto together = [&](std::size_t f, std::size_t g) {
    return f == g || (reaches[f][g] && reaches[g][f]);
  };
  // Longest path of components from the entry: relax until nothing changes; components have no cycles.
  std::vector<double> level(n, 0);
  for (std::size_t round = 0; round < n; ++round)
    for (std::size_t f = 0; f < n; ++f)
      for (const std::size_t g : calls[f]) {
        if (together(f, g)) continue;
        for (std::size_t same = 0; same < n; ++same)
          if (together(g, same)) level[same] = std::max(level[same], level[f] + 1);
      }
  std::vector<double> weights(exe.unit.types.size(), 1);
  for (const Site& site : exe.unit.sites)
    weights[static_cast<std::size_t>(site.type)] += 5 * level[site.function];
  return weights;
}

Tuning tune(const Executable& exe, const Parameters& parameters, std::span<const Instance> sample,
            const TuneOptions& options) {
  cli::require_one_of("weights", options.weights, {"uniform", "static", "pgo"});
  if (sample.empty()) throw InvalidInput("tuning needs a sample of instances");
  Session session(exe, parameters, {.threads = options.threads});
  session.run(sample);
  const std::vector<BatchProfile> profile = session.profile();
  const std::size_t types = exe.unit.types.size();
  std::vector<double> weights(types, 1);
  if (options.weights == "static") weights = static_weights(exe);
  if (options.weights == "pgo")
    for (std::size_t t = 0; t < types; ++t)
      weights[t] = static_cast<double>(profile[t].lanes) * work_of(exe.unit.types[t].cell);
  const std::vector<KernelChoice> candidates = kernel_candidates();
  const std::vector<int> trials = share_out(weights, options.trials, static_cast<int>(candidates.size()));
  Globals globals(exe.program, parameters);
  BatchRunner runner(exe.unit.types, globals, options.threads, exe.cache_directory());
  Tuning result;
  result.choices.assign(types, {});
  for (std::size_t t = 0; t < types; ++t) {
    const std::int64_t mean =
        profile[t].launches > 0 ? std::max<std::int64_t>(1, profile[t].lanes / profile[t].launches) : 1;
    Tuning::Kernel kernel{exe.unit.types[t].name,
                          {},
                          weights[t],
                          0,
                          options.batch_estimate > 0 ? options.batch_estimate : mean};
    if (profile[t].launches > 0 && runner.can_be_timed(static_cast<int>(t))) {
      for (int i = 0; i < trials[t]; ++i) {
        cli::stop_if_interrupted();
        const KernelChoice& candidate = candidates[static_cast<std::size_t>(i)];
        const double us = 1e6 * runner.time(static_cast<int>(t), kernel.lanes, candidate, options.seed);
        if (i == 0) kernel.before_us = kernel.after_us = us;
        // A new choice must be clearly better: noise is no reason.
        if (us < 0.97 * kernel.after_us) {
          kernel.after_us = us;
          kernel.choice = candidate;
        }
        ++kernel.trials;
      }
      result.choices[t] = kernel.choice;
    }
    result.kernels.push_back(std::move(kernel));
  }
  return result;
}

Json tuning_to_json(const Tuning& tuning, int threads) {
  Json kernels = Json::array();
  for (const Tuning::Kernel& k : tuning.kernels)
    kernels.push_back({{"type", k.type},
                       {"tile", k.choice.tile},
                       {"reading", name_of(k.choice.reading)},
                       {"weight", k.weight},
                       {"trials", k.trials},
                       {"lanes", k.lanes},
                       {"before_us", k.before_us},
                       {"after_us", k.after_us}});
  return {
      {"format", 1}, {"cpu", loop::KernelRegistry("").host()}, {"threads", threads}, {"kernels", kernels}};
}

std::vector<KernelChoice> choices_from_json(const Executable& exe, const Json& log,
                                            const std::string& where) {
  std::vector<KernelChoice> choices(exe.unit.types.size());
  try {
    if (log.at("format").get<int>() != 1) throw InvalidInput(where + ": a tuning log of another format");
    const std::string cpu = log.at("cpu"), host = loop::KernelRegistry("").host();
    if (cpu != host)
      throw InvalidInput(
          fmt::format("{}: tuned on the processor {}, this one is {}; tune again", where, cpu, host));
    for (const Json& kernel : log.at("kernels")) {
      const auto tile = kernel.at("tile").get<std::int64_t>();
      if (tile < 1 || tile > 4096)
        throw InvalidInput(fmt::format("{}: tile {}; accepted: 1 to 4096", where, tile));
      const std::string reading = kernel.at("reading"), type = kernel.at("type");
      const auto found = std::find(kReadings.begin(), kReadings.end(), reading);
      if (found == kReadings.end()) cli::require_one_of(where + ": reading", reading, kReadings);
      for (std::size_t t = 0; t < choices.size(); ++t)
        if (exe.unit.types[t].name == type)
          choices[t] = {tile, static_cast<KernelChoice::Reading>(found - kReadings.begin())};
    }
  } catch (const Json::exception& error) {
    throw InvalidInput(fmt::format("{}: no tuning log ({})", where, error.what()));
  }
  return choices;
}

}  // namespace ballast::dynamic
