// R9, R10: the prelude's time and tables, against a sparse format's; activations, counted and as peak memory.
#include <fmt/format.h>
#include <malloc.h>

#include <fstream>
#include <numeric>
#include <string>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/base/statistics.h"
#include "ballast/ragged/csf.h"
#include "ballast/ragged/encoder.h"
#include "ballast/ragged/lengths.h"
#include "ballast/ragged/prelude_cache.h"
#include "ballast/ragged/verbs.h"
#include "ballast/ragged/work.h"

namespace ballast::ragged {
namespace {

std::vector<std::string> sets_of(const BenchOptions& o, std::vector<std::string> few) {
  if (!o.data.empty()) return o.data;
  if (o.quick) return few;
  std::vector<std::string> names;
  for (const LengthSet& set : length_sets()) names.push_back(set.name);
  return names;
}

/// Bytes of the tables that a token-wise operator over all rows needs with these maps, when the result's
/// storage is padded so that its position needs the sequence.
std::int64_t map_bytes(loop::KernelRegistry& registry, FuseMaps maps, const Pattern& pattern) {
  const Dim b = dim("b"), i = dim("i"), k = dim("k");
  const LengthFn B = LengthFn::scalar("B"), len = LengthFn::data("len", b, 0, 512);
  const Tensor x = input("X", {{b, B}, {i, len}, {k, 64}});
  const Tensor y = compute("Y", {{b, B}, {i, len}, {k, 64}}, [&](const Index& at) {
    return Definition(loop::tanh(read(x, {at[b], at[i], at[k]})));
  });
  pad_storage(y, i, 2);
  Schedule s(y);
  const auto [fo, fi] = s.split(s.fuse(s[b], s[i]), 256);
  s.vectorize(s[k]).parallel(fo).fuse_maps(maps);
  const Program program(registry, {s});
  return program.prepare(pattern).table_bytes() -
         4 * static_cast<std::int64_t>(pattern.lengths.at("len").size());  // the lengths themselves are given
}

/// A field of /proc/self/status in bytes; nullopt where there is none.
std::optional<double> status_bytes(const std::string& field) {
  std::ifstream in("/proc/self/status");
  for (std::string line; std::getline(in, line);)
    if (line.starts_with(field + ":")) return std::stod(line.substr(field.size() + 1)) * 1024;
  return std::nullopt;
}

/// How far resident memory rises above its present level while this runs; nullopt where the kernel does not
/// let a process reset its peak.
std::optional<double> peak_bytes(const std::function<void()>& work) {
  ::malloc_trim(0);
  {
    std::ofstream reset("/proc/self/clear_refs");
    reset << "5";
    reset.flush();
    if (!reset) return std::nullopt;
  }
  const auto before = status_bytes("VmRSS");
  work();
  const auto peak = status_bytes("VmHWM");
  if (!before || !peak) return std::nullopt;
  return *peak - *before;
}

}  // namespace

void bench_prelude(Bench& bench, const BenchOptions& o, std::uint64_t seed) {
  EncoderConfig config;
  config.layers = 6;
  const auto weights = random_weights(config, seed);
  loop::KernelRegistry registry;
  loop::Launcher launcher(o.threads);
  const Encoder encoder(registry, config, weights);
  EncoderConfig one = config;
  one.layers = 1;
  const Encoder layer(registry, one, {weights[0]});
  for (const std::string& name : sets_of(o, {"race", "squad", "cola"})) {
    cli::stop_if_interrupted();
    const auto lengths = batches(lengths_from(name, 32, seed), 32).front();
    const Plan plan = Plan::ragged(lengths);
    std::vector<float> hidden(static_cast<std::size_t>(plan.rows * config.model), 0.5f);
    Workspace workspace;
    layer.forward(launcher, plan, hidden.data(), workspace);
    std::vector<double> shares, prelude;
    for (int round = 0; round < (o.quick ? 5 : 11); ++round) {
      const double seconds = time_of([&] { layer.forward(launcher, plan, hidden.data(), workspace); });
      prelude.push_back(time_of([&] {
                          for (int i = 0; i < 50; ++i) Plan::ragged(lengths);
                        }) /
                        50);
      shares.push_back(prelude.back() / seconds);
    }
    bench.add({.id = fmt::format("R9.{}.prelude", name),
               .what = "the encoder's prelude as share of one layer, 32 sequences",
               .unit = "share",
               .ours = median(shares),
               .target = name == "cola" ? 0.04 : 0.01,
               .note = fmt::format("{:.1f} us (measured), once a batch for all layers; {} bytes of tables",
                                   median(prelude) * 1e6, plan.table_bytes())});
    // One table of offsets a tensor, no sharing between tensors, against the arrays of a CSF.
    const Pattern pattern{.lengths = {{"len", lengths}},
                          .scalars = {{"B", static_cast<std::int64_t>(lengths.size())}}};
    std::int64_t ours = 0, theirs = 0;
    for (const Tensor& t : layer_tensors(config.model, config.heads, config.feed_forward)) {
      Tables tables;
      std::vector<loop::Expr> zero(t->axes.size(), loop::Expr(0));
      position(tables, *t, zero);
      for (const TableSpec& spec : tables.specs())
        if (spec.kind == TableSpec::Kind::prefix) ours += 4 * (static_cast<std::int64_t>(lengths.size()) + 1);
      for (const auto& array : csf_positions(t, lengths))
        theirs += 4 * static_cast<std::int64_t>(array.size());
    }
    bench.add({.id = fmt::format("R9.{}.tables", name),
               .what = "tables to find elements of the ten tensors of a layer, against CSF's",
               .unit = "B",
               .ours = static_cast<double>(ours),
               .peer = Peer{"csf", static_cast<double>(theirs)},
               .target = name == "race"   ? std::optional(500.0)
                         : name == "cola" ? std::optional(90.0)
                                          : std::nullopt,
               .basis = Basis::counted});
    bench.add({.id = fmt::format("R9.{}.maps", name),
               .what = "maps of a loop fused over all tokens: walked, against the paper's table",
               .unit = "B",
               .ours = static_cast<double>(map_bytes(registry, FuseMaps::walk, pattern)),
               .peer = Peer{"table", static_cast<double>(map_bytes(registry, FuseMaps::table, pattern))},
               .basis = Basis::counted});
    PreludeCache cache;
    for (std::int64_t l = 0; l < config.layers; ++l) cache.plan(lengths, config.max_length);
    bench.add({.id = fmt::format("R9.{}.stack", name),
               .what = "preludes run for a stack of six layers that each ask for theirs",
               .unit = "preludes",
               .ours = static_cast<double>(cache.stats().misses),
               .target = 1,
               .basis = Basis::counted});
  }
}

void bench_memory(Bench& bench, const BenchOptions& o, std::uint64_t seed) {
  const LayerSizes sizes;
  EncoderConfig config;
  const auto weights = random_weights(config, seed);
  loop::KernelRegistry registry;
  loop::Launcher launcher(o.threads);
  const Encoder encoder(registry, config, weights);
  static const std::map<std::string, double> published{{"race", 1.65},    {"wiki512", 1.49}, {"squad", 2.47},
                                                       {"wiki128", 1.13}, {"mnli", 2.67},    {"xnli", 1.97},
                                                       {"mrpc", 1.68},    {"cola", 2.39}};
  std::vector<double> ratios;
  for (const std::string& name : sets_of(o, {"race", "mnli", "cola"})) {
    cli::stop_if_interrupted();
    double dense = 0, ragged = 0;
    for (const auto& batch : batches(lengths_from(name, 6400, seed), 64)) {
      dense += activation_floats(batch, sizes, true);
      ragged += activation_floats(batch, sizes, false);
    }
    ratios.push_back(dense / ragged);
    const auto want = published.find(name);
    bench.add(
        {.id = fmt::format("R10.{}.b64", name),
         .what = "activations of a layer, all of them live: dense over ragged",
         .unit = "floats",
         .ours = ragged,
         .peer = Peer{"dense", dense},
         .basis = Basis::counted,
         .note = want == published.end()
                     ? ""
                     : fmt::format("specification: {} +-6 %, {}", want->second,
                                   std::abs(dense / ragged / want->second - 1) <= 0.06 ? "met" : "missed")});
    // What our layer allocates: hidden rows and the workspace; scores stay in the workers' scratch.
    const auto lengths = batches(lengths_from(name, 64, seed), 64).front();
    const auto run = [&](const Plan& plan) {
      launcher.threads();
      return peak_bytes([&] {
        std::vector<float> hidden(static_cast<std::size_t>(plan.rows * config.model), 0.5f);
        Workspace workspace;
        encoder.forward(launcher, plan, hidden.data(), workspace);
      });
    };
    const Plan plan = Plan::ragged(lengths), padded = Plan::padded(lengths);
    run(plan);  // the workers' scratch and code are there from now on
    run(padded);
    const auto measured = run(plan), full = run(padded);
    const double counted =
        4.0 * static_cast<double>(plan.rows) * static_cast<double>(6 * config.model + config.feed_forward);
    BenchRow row{.id = fmt::format("R10.{}.peak", name),
                 .what = "peak memory of a ragged layer over its counted bytes (target: within 0.9 to 1.1)",
                 .unit = "B"};
    if (measured && full) {
      row.ours = *measured;
      row.peer = Peer{"counted", counted};
      row.ratio = *measured / counted;
      row.note = fmt::format("{}; the padded layer's peak is {:.2f} times ours",
                             std::abs(*measured / counted - 1) <= 0.1 ? "met" : "missed", *full / *measured);
    } else {
      row.ours = counted;
      row.basis = Basis::counted;
      row.note = "this kernel does not let a process reset its peak";
    }
    bench.add(row);
  }
  bench.add({.id = "R10.geomean.b64",
             .what = "activations of a layer, all of them live: dense over ragged",
             .unit = "x",
             .ours = 1.0,
             .peer = Peer{"dense", geometric_mean(ratios)},
             .ratio = geometric_mean(ratios),
             .basis = Basis::counted});
}

}  // namespace ballast::ragged
