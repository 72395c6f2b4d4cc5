// R1, R2, R3, R12: the encoder layer and its attention against what people do today.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "ballast/base/errors.h"
#include "ballast/base/statistics.h"
#include "ballast/ragged/contest.h"
#include "ballast/ragged/lengths.h"
#include "ballast/ragged/peers/library_products.h"
#include "ballast/ragged/verbs.h"
#include "ballast/ragged/work.h"

namespace ballast::ragged {
namespace {

std::vector<std::string> sets_of(const BenchOptions& o) {
  if (!o.data.empty()) return o.data;
  if (o.quick) return {"mnli", "mrpc", "cola"};
  std::vector<std::string> names;
  for (const LengthSet& set : length_sets()) names.push_back(set.name);
  return names;
}

std::vector<std::int64_t> sizes_of(const BenchOptions& o) {
  if (!o.batch.empty()) return o.batch;
  return o.quick ? std::vector<std::int64_t>{32} : std::vector<std::int64_t>{32, 64, 128};
}

InterleaveOptions rounds_of(const BenchOptions& o, std::uint64_t seed) {
  return {.rounds = o.rounds > 0 ? o.rounds
                    : o.quick    ? 7
                                 : 10,
          .warmup = 1,
          .max_seconds = o.quick ? 12.0 : 60.0,
          .seed = seed};
}

std::string settings_of(const std::string& peer, const Engines& engines) {
  if (peer == "padded-onednn" || peer == "padded-openblas") return library_settings(peer.substr(7));
  if (peer == "padded-torch") return fmt::format("{} threads", engines.launcher.threads());
  return "";
}

/// Target of the specification for the geometric mean against this competitor (R2).
std::optional<double> layer_target(const std::string& peer) {
  if (peer == "best padded") return 1.6;
  if (peer == "padded-torch") return 1.9;
  if (peer == "packed") return 1.06;
  if (peer == "microbatch") return 1.04;
  if (peer == "perseq") return 1.05;
  return std::nullopt;
}

/// The bound that the saved multiply-adds allow against a competitor.
double work_bound(const std::string& peer, const Contest& contest, const EncoderConfig& c) {
  const LayerSizes sizes{c.model, c.heads, c.feed_forward};
  const LayerWork w = layer_work(contest.lengths(), sizes);
  if (peer == "packed") return w.packed / w.exact;
  if (peer == "microbatch") return microbatch_work(contest.lengths(), contest.best_unit(), sizes) / w.exact;
  if (peer == "perseq") return 1;
  if (peer.starts_with("bucketed-"))
    return bucketed_work(contest.lengths(), std::stoll(peer.substr(9)), sizes) / w.exact;
  return w.padded / w.exact;
}

/// The same for multi-head attention alone: tokens 4 d^2, scores 2 d l^2 (half of them under a causal mask
/// count as computed by everybody's tiles, so that this is an upper bound for plain attention only).
double attention_bound(const std::vector<std::int32_t>& lengths, const EncoderConfig& c) {
  double exact = 0, longest = 0;
  const auto d = static_cast<double>(c.model);
  for (const double l : lengths) longest = std::max(longest, l);
  for (const double l : lengths) exact += l * 4 * d * d + 2 * d * l * l;
  return static_cast<double>(lengths.size()) * (longest * 4 * d * d + 2 * d * longest * longest) / exact;
}

EncoderConfig config_of(const BenchOptions& o) {
  EncoderConfig config;
  config.row_tile = o.tuned.encoder_rows;
  config.fused_attention = o.techniques.fused_attention;
  if (!o.techniques.balance) config.balance = loop::Balance::contiguous;
  return config;
}

/// The cap of a set that --pad-to=cap asks for; 0: the batch's maximum.
std::int64_t cap_of(const BenchOptions& o, const std::string& name) {
  if (o.pad_to == "max") return 0;
  for (const LengthSet& set : length_sets())
    if (set.name == name) return set.cap;
  throw InvalidInput("--pad-to cap", name, "one of the eight length sets");
}

void must_agree(double difference, const std::string& name) {
  if (difference > 1e-4)
    throw Unavailable(
        fmt::format("competitors disagree by {:.1e} on {}: nothing was timed", difference, name));
}

/// The rounds of all batches of one cell, and the bounds against each competitor as the first batch has them.
struct Cell {
  Comparison timing;
  std::map<std::string, double> bounds;
  std::int64_t unit = 1;
  double worst = 0;
};
Cell run_cell(Engines& engines, const BenchOptions& o, const std::string& name, std::int64_t size, Part part,
              std::uint64_t seed) {
  Cell cell;
  std::vector<std::vector<std::int32_t>> all = batches(lengths_from(name, size * o.batches, seed), size);
  all.resize(std::min<std::size_t>(all.size(), static_cast<std::size_t>(o.batches)));
  for (std::size_t n = 0; n < all.size(); ++n) {
    cli::stop_if_interrupted();
    Contest contest(engines, all[n], part, seed, o.baselines, cap_of(o, name));
    cell.worst = std::max(cell.worst, contest.worst_difference());
    must_agree(cell.worst, name);
    const Comparison timing = interleave(contest.contestants(), rounds_of(o, seed));
    for (const auto& [who, figures] : timing.figures) {
      auto& to = cell.timing.figures[who];
      to.insert(to.end(), figures.begin(), figures.end());
      if (n == 0)
        cell.bounds[who] = part == Part::layer ? work_bound(who, contest, engines.config)
                                               : attention_bound(contest.lengths(), engines.config);
    }
    if (n == 0) cell.unit = contest.best_unit();
  }
  return cell;
}

struct Means {
  std::map<std::string, std::vector<double>> ratios;
  std::map<std::string, std::vector<double>> bounds;
  void add(Bench& bench, const std::string& id, const std::string& what,
           const std::function<std::optional<double>(const std::string&)>& target) const {
    for (const auto& [peer, values] : ratios)
      bench.add({.id = id + "." + peer,
                 .what = fmt::format("{}, geometric mean of {} cells", what, values.size()),
                 .unit = "x",
                 .ours = 1.0,
                 .peer = Peer{peer, geometric_mean(values)},
                 .ratio = geometric_mean(values),
                 .target = target(peer),
                 .note = bounds.contains(peer)
                             ? fmt::format("bound by saved work {:.2f}", geometric_mean(bounds.at(peer)))
                             : ""});
  }
};

}  // namespace

void bench_work(Bench& bench, const BenchOptions& o, std::uint64_t seed) {
  const LayerSizes sizes;
  for (const std::int64_t size : sizes_of(o)) {
    std::vector<double> waste;
    for (const std::string& name : sets_of(o)) {
      double exact = 0, padded = 0, partial = 0;
      for (const auto& batch : batches(lengths_from(name, 100 * size, seed), size)) {
        const LayerWork w = layer_work(batch, sizes);
        exact += w.exact;
        padded += w.padded;
        partial += w.partial;
      }
      waste.push_back(padded / exact);
      bench.add({.id = fmt::format("R1.{}.b{}", name, size),
                 .what = fmt::format("multiply-adds padded over exact (the paper's partial padding: {:.3f})",
                                     partial / exact),
                 .unit = "MACs",
                 .ours = exact,
                 .peer = Peer{"padded", padded},
                 .ratio = padded / exact,
                 .basis = Basis::modelled});
    }
    bench.add({.id = fmt::format("R1.geomean.b{}", size),
               .what = "multiply-adds padded over exact",
               .unit = "x",
               .ours = 1.0,
               .peer = Peer{"padded", geometric_mean(waste)},
               .ratio = geometric_mean(waste),
               .basis = Basis::modelled});
  }
}

void bench_encoder(Bench& bench, const BenchOptions& o, std::uint64_t seed) {
  const EncoderConfig config = config_of(o);
  const auto weights = random_weights(config, seed);
  Engines engines(config, weights, o.threads, o.techniques.inner);
  Means means;
  for (const std::string& name : sets_of(o)) {
    for (const std::int64_t size : sizes_of(o)) {
      const Cell cell = run_cell(engines, o, name, size, Part::layer, seed);
      const Comparison& timing = cell.timing;
      std::string best_padded;
      for (const auto& [peer, values] : timing.figures)
        if (peer.starts_with("padded-") && peer != "padded-torch" &&
            (best_padded.empty() || timing.median(peer) < timing.median(best_padded)))
          best_padded = peer;
      for (const auto& [peer, values] : timing.figures) {
        if (peer == "ragged") continue;
        const double ratio = timing.ratio(peer, "ragged").median, bound = cell.bounds.at(peer);
        means.ratios[peer].push_back(ratio);
        means.bounds[peer].push_back(bound);
        if (peer == best_padded) {
          means.ratios["best padded"].push_back(ratio);
          means.bounds["best padded"].push_back(bound);
        }
        if (peer == "padded-jit") means.ratios["share of the work bound"].push_back(ratio / bound);
        std::string note = fmt::format("bound by saved work {:.2f}", bound);
        if (peer == "microbatch") note += fmt::format(", best of all units: {}", cell.unit);
        bench.add(
            {.id = fmt::format("R2.{}.b{}", name, size),
             .what = "encoder layer against " + peer,
             .unit = "s",
             .peer = Peer{peer, timing.median(peer), peer == "padded-torch" ? TorchEncoder::version() : "",
                          settings_of(peer, engines)},
             .target = peer == "packed"       ? std::optional(0.98)
                       : peer == "microbatch" ? std::optional(0.97)
                                              : std::nullopt,
             .note = note,
             .comparison = timing,
             .ours_name = "ragged",
             .peer_name = peer});
      }
    }
  }
  means.add(bench, "R2.geomean", "encoder layer", [](const std::string& peer) {
    return peer == "share of the work bound" ? std::optional(0.95) : layer_target(peer);
  });
  // R12: no recompilation over batches of any lengths.
  const loop::RegistryStats before = engines.registry.stats();
  Workspace workspace;
  std::vector<float> hidden;
  const int batches_run = o.quick ? 100 : 1000;
  for (int i = 0; i < batches_run; ++i) {
    const auto lengths = draw_lengths("random_8_16", 1 + i % 7, static_cast<std::uint64_t>(i));
    const Plan plan = Plan::ragged(lengths);
    hidden.assign(static_cast<std::size_t>(plan.rows * config.model), 0.5f);
    engines.encoder.forward(engines.launcher, plan, hidden.data(), workspace);
  }
  const loop::RegistryStats after = engines.registry.stats();
  bench.add({.id = "R12.recompiles",
             .what = fmt::format("kernels compiled during {} random batches", batches_run),
             .unit = "kernels",
             .ours = static_cast<double>(after.kernels - before.kernels),
             .target = 0,
             .basis = Basis::counted,
             .note = fmt::format("tiles added when first needed: {}",
                                 after.compiled + after.from_disk - before.compiled - before.from_disk)});
}

namespace {

void attention_rows(Bench& bench, const BenchOptions& o, std::uint64_t seed, bool causal) {
  EncoderConfig config = config_of(o);
  config.causal = causal;
  if (causal) config.fused_attention = true;
  const auto weights = random_weights(config, seed);
  Engines engines(config, weights, o.threads, o.techniques.inner);
  Means means;
  for (const std::string& name : sets_of(o)) {
    for (const std::int64_t size : sizes_of(o)) {
      const Cell cell = run_cell(engines, o, name, size, Part::attention, seed);
      for (const auto& [peer, values] : cell.timing.figures) {
        if (peer == "ragged") continue;
        means.ratios[peer].push_back(cell.timing.ratio(peer, "ragged").median);
        if (!causal) means.bounds[peer].push_back(cell.bounds.at(peer));
        bench.add(
            {.id = fmt::format("R3.{}{}.b{}", causal ? "causal." : "", name, size),
             .what = fmt::format("{}multi-head attention against {}", causal ? "causal " : "", peer),
             .unit = "s",
             .peer = Peer{peer, cell.timing.median(peer),
                          peer == "padded-torch" ? TorchEncoder::version() : "", settings_of(peer, engines)},
             .note = causal ? "" : fmt::format("bound by saved work {:.2f}", cell.bounds.at(peer)),
             .comparison = cell.timing,
             .ours_name = "ragged",
             .peer_name = peer});
      }
    }
  }
  means.add(bench, causal ? "R3.causal.geomean" : "R3.geomean",
            causal ? "causal multi-head attention" : "multi-head attention", [](const std::string& peer) {
              return peer == "padded-torch" ? std::optional(1.86) : std::nullopt;
            });
}

}  // namespace

void bench_mha(Bench& bench, const BenchOptions& o, std::uint64_t seed) {
  attention_rows(bench, o, seed, false);
}

void bench_masked_mha(Bench& bench, const BenchOptions& o, std::uint64_t seed) {
  attention_rows(bench, o, seed, true);
}

/// The attention core, causal against unmasked, on sequences long enough for the triangle to matter.
void bench_core(Bench& bench, const BenchOptions& o, std::uint64_t seed) {
  EncoderConfig config;
  loop::KernelRegistry registry;
  loop::Launcher launcher(o.threads);
  const auto weights = random_weights(config, seed);
  const Encoder plain(registry, config, weights);
  config.causal = true;
  const Encoder causal(registry, config, weights);
  for (const std::int32_t l : {256, 512}) {
    const std::vector<std::int32_t> lengths(8, l);
    const Plan plan = Plan::ragged(lengths);
    std::vector<float> qkv(static_cast<std::size_t>(plan.rows * 3 * config.model), 0.1f),
        out(static_cast<std::size_t>(plan.rows * config.model));
    const auto repeated = [&](const Encoder& e) {
      return [&] {
        return time_of([&] {
          for (int i = 0; i < 4; ++i) e.attend(launcher, plan, qkv.data(), out.data());
        });
      };
    };
    const Comparison timing =
        interleave({{"causal", repeated(causal)}, {"plain", repeated(plain)}}, rounds_of(o, seed));
    const double tiles = l / 64.0;
    bench.add({.id = fmt::format("R3.core.l{}", l),
               .what = "causal attention core against our unmasked one",
               .unit = "s",
               .peer = Peer{"unmasked", timing.median("plain")},
               .target = 1.5,
               .note = fmt::format("bound by saved work {:.2f}", 2 * tiles / (tiles + 1)),
               .comparison = timing,
               .ours_name = "causal",
               .peer_name = "plain"});
  }
}

}  // namespace ballast::ragged
