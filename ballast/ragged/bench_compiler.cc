// R6, R7, R8, R11 and the ablations: what the compiler's techniques are worth on attention's operators.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "ballast/base/errors.h"
#include "ballast/ragged/encoder.h"
#include "ballast/ragged/lengths.h"
#include "ballast/ragged/operators.h"
#include "ballast/ragged/verbs.h"

namespace ballast::ragged {
namespace {

Pattern pattern_of(const std::vector<std::int32_t>& lengths) {
  return {.lengths = {{"len", lengths}}, .scalars = {{"B", static_cast<std::int64_t>(lengths.size())}}};
}

Contestant timed(const std::string& name, Bound& b, loop::Launcher& launcher, int repeat = 1) {
  return {name, [&b, &launcher, repeat] {
            return time_of([&] {
              for (int i = 0; i < repeat; ++i) b.run(launcher);
            });
          }};
}

InterleaveOptions rounds(const BenchOptions& o, std::uint64_t seed, double seconds) {
  return {.rounds = o.rounds > 0 ? o.rounds
                    : o.quick    ? 7
                                 : 11,
          .warmup = 1,
          .max_seconds = seconds,
          .seed = seed};
}

void ratio_row(Bench& bench, const std::string& id, const std::string& what, const Comparison& timing,
               const std::string& ours, const std::string& peer, std::optional<double> target,
               const std::string& note = "") {
  bench.add({.id = id,
             .what = what,
             .unit = "s",
             .peer = Peer{peer, timing.median(peer)},
             .target = target,
             .note = note,
             .comparison = timing,
             .ours_name = ours,
             .peer_name = peer});
}

/// Largest difference of two tensors, relative to the second's largest value.
void must_agree(const std::vector<float>& a, const std::vector<float>& b, const std::string& what) {
  double worst = a.size() == b.size() ? 0 : INFINITY, scale = 1e-30;
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    worst = std::max(worst, std::fabs(static_cast<double>(a[i]) - b[i]));
    scale = std::max(scale, std::fabs(static_cast<double>(b[i])));
  }
  if (!(worst / scale <= 1e-4))
    throw Unavailable(fmt::format("{}: results differ by {:.1e}, nothing was timed", what, worst / scale));
}

void splitting_rows(Bench& bench, const BenchOptions& o, std::uint64_t seed, loop::KernelRegistry& registry,
                    loop::Launcher& launcher) {
  for (const std::int64_t size :
       o.quick ? std::vector<std::int64_t>{32} : std::vector<std::int64_t>{8, 32, 128, 512, 1024}) {
    cli::stop_if_interrupted();
    const auto lengths = draw_lengths("mnli", size, seed);
    const std::map<std::string, std::string> parts{{"S.head", "S"}, {"S.tail", "S"}};
    const bool hoist = o.techniques.hoist;
    Bound vanilla(split_scores_program(registry, "vanilla", 8, hoist), pattern_of(lengths)),
        split(split_scores_program(registry, "split", 8, hoist), pattern_of(lengths)),
        hfuse(split_scores_program(registry, o.techniques.hfuse ? "hfuse" : "split", 8, hoist),
              pattern_of(lengths));
    AttentionOptions exact_tails;
    exact_tails.hoist = o.techniques.hoist;
    Bound exact(attention_operator(registry, "qk", exact_tails), pattern_of(lengths));
    double padded = 0, useful = 0;
    for (const double l : lengths) {
      const double up = std::ceil(l / 64) * 64, whole = std::floor(l / 64) * 64, rest = l - whole;
      padded += up * up;
      useful += whole * up + std::ceil(rest / 32) * 32 * std::ceil(l / 32) * 32;
    }
    const int repeat = std::max(1, static_cast<int>(512 / size));
    const Comparison timing = interleave(
        {timed("vanilla", vanilla, launcher, repeat), timed("split", split, launcher, repeat),
         timed("split+hfuse", hfuse, launcher, repeat), timed("exact tails", exact, launcher, repeat)},
        rounds(o, seed, 10));
    const std::string note = fmt::format("bound by saved work {:.2f}", padded / useful);
    ratio_row(bench, fmt::format("R6.mnli.b{}.split", size),
              "QK^T, operation splitting against 64 x 64 padding", timing, "split", "vanilla", std::nullopt,
              note);
    ratio_row(bench, fmt::format("R6.mnli.b{}.hfuse", size),
              "QK^T, operation splitting with horizontal fusion against 64 x 64 padding", timing,
              "split+hfuse", "vanilla", 1.35, note);
    ratio_row(bench, fmt::format("R6.mnli.b{}.hfuse-over-split", size),
              "horizontal fusion against one part after the other", timing, "split+hfuse", "split", 1.0);
    ratio_row(bench, fmt::format("R6.mnli.b{}.exact", size),
              "QK^T, our own exact tails against 64 x 64 padding", timing, "exact tails", "vanilla",
              std::nullopt);
  }
}

/// Seconds of the kernels that only copy between paddings.
double separate_copy_seconds(Bound& separate, loop::Launcher& launcher) {
  double best = 1e30;
  for (int i = 0; i < 3; ++i)
    best = std::min(
        best, time_of([&] {
          separate.program.run_stages(launcher, separate.prepared, separate.tensors, {"QKV", "S1", "E", "O"});
        }));
  return best;
}

void padding_rows(Bench& bench, const BenchOptions& o, std::uint64_t seed, loop::KernelRegistry& registry,
                  loop::Launcher& launcher) {
  for (const auto& [set, target] : {std::pair{"race", 1.05}, {"mnli", 1.10}}) {
    cli::stop_if_interrupted();
    const std::int64_t size = o.quick ? (std::string(set) == "race" ? 8 : 32) : 32;
    const int repeat = std::string(set) == "race" ? 1 : 4;
    const auto lengths = draw_lengths(set, size, seed);
    AttentionOptions options;
    options.hoist = o.techniques.hoist;
    Bound exact(attention_program(registry, options, true), pattern_of(lengths));
    options.pad = 64;
    options.separate_padding = !o.techniques.padfuse;
    Bound fused(attention_program(registry, options, true), pattern_of(lengths));
    options.separate_padding = true;
    Bound separate(attention_program(registry, options, true), pattern_of(lengths));
    for (Bound* b : {&exact, &fused, &separate}) b->run(launcher);
    must_agree(fused.memory.at("Y"), separate.memory.at("Y"), "padding changes fused and separate");
    const Comparison timing =
        interleave({timed("separate", separate, launcher, repeat), timed("fused", fused, launcher, repeat),
                    timed("exact", exact, launcher, repeat)},
                   rounds(o, seed, 12));
    // What the copies would cost if they ran at the speed of the layer's useful work: their share of bytes is
    // small where products are large, so that the margin is bounded by what the separate kernels take.
    const double copies = separate_copy_seconds(separate, launcher);
    const std::string note =
        fmt::format("bound by the copies' own time {:.2f}",
                    timing.median("separate") / repeat / (timing.median("separate") / repeat - copies));
    ratio_row(bench, fmt::format("R7.{}.b{}", set, size),
              "multi-head attention, changes of padding (1 to 64 and back) inside its operators against "
              "kernels of their own",
              timing, "fused", "separate", target, note);
    ratio_row(bench, fmt::format("R7.{}.b{}.exact", set, size), "the same without any padding (our default)",
              timing, "exact", "separate", std::nullopt);
  }
}

void overhead_rows(Bench& bench, const BenchOptions& o, std::uint64_t seed, loop::KernelRegistry& registry,
                   loop::Launcher& launcher) {
  const std::int64_t size = o.quick ? 8 : 16;
  const std::vector<std::int32_t> lengths(static_cast<std::size_t>(size), 512);
  for (const std::string name : {"qk", "softmax", "av", "projection"}) {
    cli::stop_if_interrupted();
    AttentionOptions dense, loops, storage, hoisted;
    dense.constant_length = 512;
    loops.dense_storage = true;
    storage.hoist = false;
    Bound d(attention_operator(registry, name, dense), pattern_of(lengths)),
        l(attention_operator(registry, name, loops), pattern_of(lengths)),
        s(attention_operator(registry, name, storage), pattern_of(lengths)),
        h(attention_operator(registry, name, hoisted), pattern_of(lengths));
    const std::string out = name == "qk" ? "S" : name == "softmax" ? "P" : name == "av" ? "O" : "Y";
    for (Bound* b : {&d, &l, &s, &h}) b->run(launcher);
    must_agree(h.memory.at(out), d.memory.at(out), name + ", ragged against dense");
    must_agree(l.memory.at(out), d.memory.at(out), name + ", ragged loops against dense");
    const Comparison timing = interleave({timed("dense", d, launcher), timed("+vloops", l, launcher),
                                          timed("+vdims", s, launcher), timed("+hoisting", h, launcher)},
                                         rounds(o, seed, 8));
    for (const char* step : {"+vloops", "+vdims", "+hoisting"})
      ratio_row(bench, fmt::format("R8.{}.{}", name, step + 1),
                fmt::format("{} at constant length 512, {}, against dense loops and storage", name, step),
                timing, step, "dense", step == std::string("+hoisting") ? std::optional(0.97) : std::nullopt);
  }
}

void fused_rows(Bench& bench, const BenchOptions& o, std::uint64_t seed, loop::KernelRegistry& registry,
                loop::Launcher& launcher) {
  EncoderConfig config;
  const Encoder encoder(registry, config, random_weights(config, seed));
  for (const std::int32_t length : {64, 256, 512}) {
    cli::stop_if_interrupted();
    const std::vector<std::int32_t> lengths(16, length);
    Bound unfused(attention_program(registry, {}, false), pattern_of(lengths));
    const Plan plan = Plan::ragged(lengths);
    // The encoder expects its queries scaled already.
    std::vector<float> qkv = unfused.memory.at("QKV"),
                       out(static_cast<std::size_t>(plan.rows * config.model));
    for (std::int64_t row = 0; row < plan.rows; ++row)
      for (std::int64_t e = 0; e < config.model; ++e)
        qkv[static_cast<std::size_t>(row * 3 * config.model + e)] *= 0.125f;
    encoder.attend(launcher, plan, qkv.data(), out.data());
    unfused.run(launcher);
    const int repeat = length <= 64 ? 16 : length <= 256 ? 4 : 1;
    must_agree(out, unfused.memory.at("O"), "fused attention against one kernel an operator");
    const Comparison timing = interleave({{"fused",
                                           [&] {
                                             return time_of([&] {
                                               for (int i = 0; i < repeat; ++i)
                                                 encoder.attend(launcher, plan, qkv.data(), out.data());
                                             });
                                           }},
                                          timed("unfused", unfused, launcher, repeat)},
                                         rounds(o, seed, 8));
    ratio_row(bench, fmt::format("R11.l{}", length),
              "attention core as one task a row tile against one kernel an operator", timing, "fused",
              "unfused", length >= 256 ? std::optional(1.3) : std::nullopt);
  }
}

/// Each technique off against on, on the operators where it acts.
void ablation_rows(Bench& bench, const BenchOptions& o, std::uint64_t seed, loop::KernelRegistry& registry,
                   loop::Launcher& launcher) {
  const auto lengths = draw_lengths("mnli", o.quick ? 16 : 64, seed);
  const auto compare = [&](const std::string& id, const std::string& what, Program with, Program without,
                           const Pattern& pattern) {
    cli::stop_if_interrupted();
    const Techniques& t = o.techniques;
    // Flags that name techniques choose among the ablations.
    const std::vector<std::string> wished = [&] {
      std::vector<std::string> names;
      if (!t.bulk) names.emplace_back("bulk");
      if (t.dense_storage) names.emplace_back("storage");
      if (!t.fuse_maps.empty()) names.push_back(t.fuse_maps);
      return names;
    }();
    if (!wished.empty() && std::find(wished.begin(), wished.end(), id) == wished.end()) return;
    Bound on(std::move(with), pattern), off(std::move(without), pattern);
    const Comparison timing =
        interleave({timed("on", on, launcher), timed("off", off, launcher)}, rounds(o, seed, 4));
    ratio_row(bench, "ablation." + id, what, timing, "on", "off", std::nullopt);
  };
  AttentionOptions on, off;
  off.hoist = false;
  compare("hoist", "QK^T on MNLI, table loads hoisted", attention_operator(registry, "qk", on),
          attention_operator(registry, "qk", off), pattern_of(lengths));
  off = {};
  off.remap = false;
  compare("remap", "QK^T on MNLI, heavy tasks first", attention_operator(registry, "qk", on),
          attention_operator(registry, "qk", off), pattern_of(lengths));
  off = {};
  off.dense_storage = true;
  off.max_length = on.max_length = 128;
  compare("storage", "QK^T on MNLI, ragged storage against storage of 128 rows",
          attention_operator(registry, "qk", on), attention_operator(registry, "qk", off),
          pattern_of(lengths));
  // The maps of a fused loop, and bulk padding, on an element-wise operator and a projection over all tokens.
  const auto token_wise = [&](FuseMaps maps) {
    const Dim b = dim("b"), i = dim("i"), k = dim("k");
    const LengthFn B = LengthFn::scalar("B"), len = LengthFn::data("len", b, 0, 512);
    // The result's rows are padded to an even number, so that its position needs the sequence.
    const Tensor x = input("X", {{b, B}, {i, len}, {k, 64}});
    const Tensor y = compute("Y", {{b, B}, {i, len}, {k, 64}}, [&](const Index& at) {
      return Definition(loop::tanh(read(x, {at[b], at[i], at[k]})));
    });
    pad_storage(y, i, 2);
    Schedule s(y);
    const auto [fo, fi] = s.split(s.fuse(s[b], s[i]), 256);
    s.vectorize(s[k]).parallel(fo).fuse_maps(maps);
    return Program(registry, {s});
  };
  compare("walk", "token-wise tanh on MNLI, maps walked against the table of all iterations",
          token_wise(FuseMaps::walk), token_wise(FuseMaps::table), pattern_of(lengths));
  compare("search", "token-wise tanh on MNLI, maps searched against the table of all iterations",
          token_wise(FuseMaps::search), token_wise(FuseMaps::table), pattern_of(lengths));
  const auto projected = [&](std::int64_t bulk) {
    const Dim b = dim("b"), i = dim("i"), n = dim("n"), m = dim("m");
    const LengthFn B = LengthFn::scalar("B"), len = LengthFn::data("len", b, 0, 512);
    const Tensor x = input("X", {{b, B}, {i, len}, {m, 512}}), w = input("W", {{m, 512}, {n, 512}});
    const Tensor y = compute("Y", {{b, B}, {i, len}, {n, 512}}, [&](const Index& at) {
      return sum({{m, 512}}, [&](const Index& r) {
        return read(x, {at[b], at[i], r[m]}) * read(w, {r[m], at[n]});
      });
    });
    Schedule s(y);
    const auto [fo, fi] = s.split(s.fuse(s[b], s[i], bulk), 64);
    s.microkernel(fi, s[n], s[m]).parallel(fo);
    return Program(registry, {s});
  };
  compare("bulk", "projection of all tokens, their number rounded up to 64 against an exact tail",
          projected(64), projected(1), pattern_of(lengths));
  const auto balanced = [&](loop::Balance policy) {
    return trmm_program(registry,
                        {.n = 512, .balance = policy, .heavy_first = policy != loop::Balance::contiguous});
  };
  compare("balance", "trmm of 512, tasks cut by cost against equal numbers",
          balanced(loop::Balance::cost_prefix), balanced(loop::Balance::contiguous), {});
}

}  // namespace

namespace {

template <typename Rows>
void with_engine(Bench& bench, const BenchOptions& o, std::uint64_t seed, Rows rows_of) {
  loop::KernelRegistry registry;
  loop::Launcher all(o.threads);
  rows_of(bench, o, seed, registry, all);
}

}  // namespace

void bench_opsplit(Bench& bench, const BenchOptions& o, std::uint64_t seed) {
  with_engine(bench, o, seed, splitting_rows);
}
void bench_padfuse(Bench& bench, const BenchOptions& o, std::uint64_t seed) {
  with_engine(bench, o, seed, padding_rows);
}
void bench_overhead(Bench& bench, const BenchOptions& o, std::uint64_t seed) {
  with_engine(bench, o, seed, overhead_rows);
}
void bench_fused(Bench& bench, const BenchOptions& o, std::uint64_t seed) {
  with_engine(bench, o, seed, fused_rows);
}

void bench_ablation(Bench& bench, const BenchOptions& o, std::uint64_t seed) {
  loop::KernelRegistry registry;
  loop::Launcher all(o.threads);
  ablation_rows(bench, o, seed, registry, all);
}

}  // namespace ballast::ragged
