// R4, R5: vgemm and triangular operators through the schedule compiler against libraries and sparse kernels.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "ballast/base/errors.h"
#include "ballast/base/random.h"
#include "ballast/base/statistics.h"
#include "ballast/ragged/lengths.h"
#include "ballast/ragged/operators.h"
#include "ballast/ragged/peers/library_products.h"
#include "ballast/ragged/verbs.h"

namespace ballast::ragged {
namespace {

using loop::Expr;

std::vector<float> noise(std::int64_t n, std::uint64_t stream) {
  Random random(5, stream);
  std::vector<float> v(static_cast<std::size_t>(n));
  for (float& x : v) x = static_cast<float>(random.uniform(-1, 1));
  return v;
}

double difference(const std::vector<float>& a, const std::vector<float>& b) {
  double worst = 0, scale = 1e-30;
  for (std::size_t i = 0; i < a.size(); ++i) {
    worst = std::max(worst, std::fabs(static_cast<double>(a[i]) - b[i]));
    scale = std::max(scale, std::fabs(static_cast<double>(b[i])));
  }
  return worst / scale;
}

void must_agree(double error, const std::string& what) {
  if (!(error <= 1e-4))
    throw Unavailable(fmt::format("{}: results differ by {:.1e}, nothing was timed", what, error));
}

void vgemm_rows(Bench& bench, const BenchOptions& o, std::uint64_t seed, loop::KernelRegistry& registry,
                loop::Launcher& launcher) {
  const Program program = vgemm_program(
      registry, {.row_tile = o.tuned.vgemm_rows,
                 .column_tile = o.tuned.vgemm_columns,
                 .balance = o.techniques.balance ? loop::Balance::cost_prefix : loop::Balance::contiguous,
                 .hoist = o.techniques.hoist});
  std::vector<std::pair<std::string, std::int64_t>> cases{{"large", 4}, {"small", 32}, {"tiny", 128}};
  if (!o.quick) cases.insert(cases.end(), {{"large", 16}, {"large", 64}, {"skewed", 16}});
  if (!o.data.empty()) {
    cases.clear();
    for (const std::string& name : o.data) cases.emplace_back(name, o.batch.empty() ? 64 : o.batch.front());
  }
  for (const auto& [set, wanted] : cases) {
    cli::stop_if_interrupted();
    const std::vector<GemmSize> products = gemm_sizes(set, wanted, seed);
    const std::size_t batch = products.size();
    const auto size = static_cast<std::int64_t>(batch);
    std::vector<std::int32_t> sizes[3];
    for (const GemmSize& p : products) {
      sizes[0].push_back(p.m);
      sizes[1].push_back(p.n);
      sizes[2].push_back(p.k);
    }
    const auto &M = sizes[0], &N = sizes[1], &K = sizes[2];
    const Prepared p = program.prepare({.lengths = {{"M", M}, {"N", N}, {"K", K}}, .scalars = {{"B", size}}});
    const std::vector<float> a = noise(p.volume("A"), 1), c = noise(p.volume("C"), 2);
    std::vector<float> d(static_cast<std::size_t>(p.volume("D"))), other = d;
    const std::map<std::string, float*> tensors{
        {"A", const_cast<float*>(a.data())}, {"C", const_cast<float*>(c.data())}, {"D", d.data()}};
    double flops = 0;
    for (std::size_t b = 0; b < batch; ++b) flops += 2.0 * M[b] * N[b] * K[b];
    const int repeat = std::max(1, static_cast<int>(5e8 / flops));
    std::vector<Contestant> all{{"ragged", [&] {
                                   return flops * repeat * 1e-9 / time_of([&] {
                                            for (int i = 0; i < repeat; ++i)
                                              program.run(launcher, p, tensors);
                                          });
                                 }}};
    for (const char* name : {"onednn", "openblas"}) {
      const loop::GemmFn product = library_product(name);
      if (product == nullptr) continue;
      const auto run = [&, product] {
        std::int64_t at = 0, ct = 0, dt = 0;
        for (std::size_t b = 0; b < batch; ++b) {
          loop::GemmArgs g;
          g.m = M[b], g.n = N[b], g.k = K[b];
          g.a = a.data() + at, g.a_stride = K[b];
          g.b = c.data() + ct, g.b_stride = N[b];
          g.c = other.data() + dt, g.c_stride = N[b];
          product(registry.tiles(), g);
          at += g.m * g.k;
          ct += g.k * g.n;
          dt += g.m * g.n;
        }
      };
      run();
      program.run(launcher, p, tensors);
      must_agree(difference(d, other), "vgemm against " + std::string(name));
      all.push_back({name, [&, run] {
                       return flops * repeat * 1e-9 / time_of([&] {
                                for (int i = 0; i < repeat; ++i) run();
                              });
                     }});
    }
    // All problems at the largest sizes, one after the other in the same memory: what padding computes.
    const std::int32_t top[3] = {*std::max_element(M.begin(), M.end()), *std::max_element(N.begin(), N.end()),
                                 *std::max_element(K.begin(), K.end())};
    const std::vector<float> wide_a(static_cast<std::size_t>(top[0]) * static_cast<std::size_t>(top[2]),
                                    0.5f),
        wide_b(static_cast<std::size_t>(top[2]) * static_cast<std::size_t>(top[1]), 0.25f);
    std::vector<float> wide_c(static_cast<std::size_t>(top[0]) * static_cast<std::size_t>(top[1]));
    if (const loop::GemmFn product =
            library_product("onednn") ? library_product("onednn") : library_product("openblas")) {
      all.push_back({"padded", [&, product] {
                       loop::GemmArgs g;
                       g.m = top[0], g.n = top[1], g.k = top[2];
                       g.a = wide_a.data(), g.a_stride = top[2];
                       g.b = wide_b.data(), g.b_stride = top[1];
                       g.c = wide_c.data(), g.c_stride = top[1];
                       return flops * 1e-9 / time_of([&] {
                                for (std::size_t b = 0; b < batch; ++b) product(registry.tiles(), g);
                              });
                     }});
    }
    const Comparison timing = interleave(all, {.rounds = o.quick ? 7 : 11, .max_seconds = 10, .seed = seed});
    std::string best;
    for (const auto& [name, values] : timing.figures)
      if (name != "ragged" && name != "padded" && (best.empty() || timing.median(name) > timing.median(best)))
        best = name;
    BenchRow row{.id = fmt::format("R4.{}.b{}", set, size),
                 .what = "vgemm, per-problem calls of the faster library, one thread each",
                 .unit = "GFLOP/s",
                 .better = Better::higher,
                 .target = set == "large"  ? 0.97
                           : set == "tiny" ? std::optional(1.0)
                                           : std::nullopt};
    if (best.empty()) {
      row.ours = timing.median("ragged");
      row.peer = Peer{"onednn", std::nullopt};
      row.note = "not installed";
    } else {
      row.peer = Peer{best, timing.median(best), "", library_settings(best)};
      row.comparison = timing;
      row.ours_name = "ragged";
      row.peer_name = best;
    }
    double padded = 0;
    for (std::size_t b = 0; b < batch; ++b)
      padded += 2.0 * *std::max_element(M.begin(), M.end()) * *std::max_element(N.begin(), N.end()) *
                *std::max_element(K.begin(), K.end());
    row.note += fmt::format("{}padding to the largest would be {:.2f} times the work",
                            row.note.empty() ? "" : "; ", padded / flops);
    bench.add(row);
    if (!timing.figures.contains("padded")) continue;
    bench.add({.id = fmt::format("R4.{}.b{}.padded", set, size),
               .what = "vgemm against the batch padded to its largest sizes, by the faster library",
               .unit = "GFLOP/s",
               .peer = Peer{"padded", timing.median("padded"), "", library_settings(best)},
               .better = Better::higher,
               .target = 0.9 * padded / flops,
               .note = fmt::format("bound by saved work {:.2f}; useful work on both sides", padded / flops),
               .comparison = timing,
               .ours_name = "ragged",
               .peer_name = "padded"});
  }
}

/// The product of the full square by the faster library, and the triangular one of OpenBLAS, on as many
/// threads as ours.
void trmm_rows(Bench& bench, const BenchOptions& o, std::uint64_t seed, loop::KernelRegistry& registry,
               int threads) {
  loop::Launcher launcher(threads);
  for (std::int64_t n :
       o.quick ? std::vector<std::int64_t>{512, 1024} : std::vector<std::int64_t>{512, 1024, 2048, 4096}) {
    cli::stop_if_interrupted();
    Bound unsplit(
        trmm_program(registry,
                     {.n = n, .split = false, .balance = loop::Balance::contiguous, .heavy_first = false}),
        {}),
        split(trmm_program(registry, {.n = n, .balance = loop::Balance::contiguous, .heavy_first = false}),
              {}, {}),
        balanced(trmm_program(registry, {.n = n}), {}, {});
    for (Bound* b : {&unsplit, &split, &balanced}) {
      std::vector<float>& l = b->memory.at("L");
      for (std::int64_t i = 0; i < n; ++i)
        std::fill(l.begin() + i * n + i + 1, l.begin() + (i + 1) * n, 0.0f);
    }
    const std::vector<float>&l = balanced.memory.at("L"), &x = balanced.memory.at("X");
    std::vector<float> dense(static_cast<std::size_t>(n * n)), in_place = dense;
    const auto timed = [&](Bound& b) { return [&] { return time_of([&] { b.run(launcher); }); }; };
    std::vector<Contestant> all{
        {"unsplit", timed(unsplit)}, {"split", timed(split)}, {"split+balanced", timed(balanced)}};
    loop::GemmArgs g;
    g.m = g.n = g.k = n;
    g.a = l.data(), g.a_stride = n, g.b = x.data(), g.b_stride = n, g.c = dense.data(), g.c_stride = n;
    set_library_threads(threads);
    for (const char* name : {"onednn", "openblas"})
      if (const loop::GemmFn product = library_product(name, threads))
        all.push_back({name, [&, product] { return time_of([&] { product(registry.tiles(), g); }); }});
    if (library_trmm_available()) {
      all.push_back({"strmm", [&] {
                       in_place = x;  // it works in place: its copy is not timed
                       return time_of([&] { library_trmm(n, l.data(), in_place.data()); });
                     }});
    }
    for (const Contestant& c : all) c.run();
    must_agree(difference(split.memory.at("Y"), unsplit.memory.at("Y")), "trmm split against unsplit");
    must_agree(difference(balanced.memory.at("Y"), unsplit.memory.at("Y")), "trmm balanced against unsplit");
    if (all.size() > 3)
      must_agree(difference(balanced.memory.at("Y"), dense), "trmm against a dense product");
    if (library_trmm_available())
      must_agree(difference(balanced.memory.at("Y"), in_place), "trmm against strmm");
    const Comparison timing = interleave(all, {.rounds = o.quick ? 7 : 11, .max_seconds = 15, .seed = seed});
    std::string best;
    for (const auto& [name, values] : timing.figures)
      if ((name == "onednn" || name == "openblas") &&
          (best.empty() || timing.median(name) < timing.median(best)))
        best = name;
    const std::string ours = !o.techniques.opsplit   ? "unsplit"
                             : !o.techniques.balance ? "split"
                                                     : "split+balanced";
    const auto row = [&](const std::string& suffix, const std::string& peer, std::optional<double> target,
                         const std::string& what) {
      BenchRow r{.id = fmt::format("R5.trmm{}.{}.t{}", suffix, n, threads),
                 .what = what,
                 .unit = "s",
                 .target = target,
                 .note = fmt::format("{} thread(s) on both sides", threads)};
      if (timing.figures.contains(peer)) {
        r.peer = Peer{peer, timing.median(peer), "", library_settings(peer)};
        r.comparison = timing;
        r.ours_name = ours;
        r.peer_name = peer;
      } else {
        r.ours = timing.median(ours);
        r.peer = Peer{peer.empty() ? "onednn" : peer, std::nullopt};
        r.note = "not installed";
      }
      bench.add(r);
    };
    row("", best, n >= 2048 ? std::optional(1.75) : std::nullopt,
        "triangular product against the dense one of the faster library (bound by saved work 2)");
    row(".strmm", "strmm", 0.95, "triangular product against the library's own triangular one");
    row(".unsplit", "unsplit", std::nullopt, "operation splitting and balance against one padded operator");
    row(".unbalanced", "split", std::nullopt,
        "heavy tasks first, cut by cost, against equal numbers of tasks");
  }
}

/// Element-wise triangular operators: the packed flat loop against CSR and 32 x 32 block CSR as a sparse
/// compiler writes them, and against the plain stream of the same bytes.
void triangular_rows(Bench& bench, const BenchOptions& o, std::uint64_t seed,
                     loop::KernelRegistry& registry) {
  loop::Launcher one(1);
  for (std::int64_t n : o.quick ? std::vector<std::int64_t>{128, 512, 2048}
                                : std::vector<std::int64_t>{128, 512, 2048, 8192}) {
    cli::stop_if_interrupted();
    Bound ours(triangular_program(registry, n, false, o.techniques.offsets == "closed"), {});
    const std::vector<float>&a = ours.memory.at("A"), &b = ours.memory.at("B");
    const std::size_t elements = a.size();
    // CSR of both operands; the result's pattern is found as the kernel goes, since a sparse compiler does
    // not know that the two patterns are the same.
    std::vector<std::int32_t> row(static_cast<std::size_t>(n) + 1), column(elements), out_column(elements);
    for (std::int64_t i = 0; i < n; ++i) {
      row[static_cast<std::size_t>(i) + 1] =
          row[static_cast<std::size_t>(i)] + static_cast<std::int32_t>(i) + 1;
      for (std::int64_t j = 0; j <= i; ++j)
        column[static_cast<std::size_t>(row[static_cast<std::size_t>(i)] + j)] = static_cast<std::int32_t>(j);
    }
    const std::vector<std::int32_t> other_column = column;
    std::vector<float> y(elements), z(elements);
    const auto csr = [&] {
      std::int32_t out = 0;
      for (std::size_t i = 0; i < static_cast<std::size_t>(n); ++i) {
        std::int32_t p = row[i], q = row[i];
        const std::int32_t end = row[i + 1];
        while (p < end && q < end) {
          const std::int32_t cp = column[static_cast<std::size_t>(p)],
                             cq = other_column[static_cast<std::size_t>(q)];
          const std::int32_t c = std::min(cp, cq);
          float v = 0;
          if (cp == c) v += a[static_cast<std::size_t>(p++)];
          if (cq == c) v += b[static_cast<std::size_t>(q++)];
          out_column[static_cast<std::size_t>(out)] = c;
          y[static_cast<std::size_t>(out++)] = v;
        }
        for (; p < end; ++p, ++out) {
          out_column[static_cast<std::size_t>(out)] = column[static_cast<std::size_t>(p)];
          y[static_cast<std::size_t>(out)] = a[static_cast<std::size_t>(p)];
        }
        for (; q < end; ++q, ++out) {
          out_column[static_cast<std::size_t>(out)] = other_column[static_cast<std::size_t>(q)];
          y[static_cast<std::size_t>(out)] = b[static_cast<std::size_t>(q)];
        }
      }
    };
    // Blocks of 32 x 32, those on the diagonal full: their upper halves are stored zeros.
    const std::int64_t blocks = n / 32 * (n / 32 + 1) / 2;
    const std::vector<float> block_a = noise(blocks * 1024, 1), block_b = noise(blocks * 1024, 2);
    std::vector<float> block_y(block_a.size());
    const auto bcsr = [&] {
      for (std::size_t block = 0; block < static_cast<std::size_t>(blocks); ++block)
        for (std::size_t e = block * 1024; e < block * 1024 + 1024; ++e) block_y[e] = block_a[e] + block_b[e];
    };
    const auto stream = [&] {
      for (std::size_t e = 0; e < elements; ++e) z[e] = a[e] + b[e];
    };
    const int repeat = std::max(1, static_cast<int>(4000000 / elements));
    const auto timed = [&](const std::function<void()>& work) {
      return [work, repeat] {
        return time_of([&] {
          for (int i = 0; i < repeat; ++i) work();
        });
      };
    };
    csr();
    ours.run(one);
    must_agree(difference(ours.memory.at("Y"), y), "triangular addition against CSR");
    const Comparison timing = interleave({{"ragged", timed([&] { ours.run(one); })},
                                          {"csr", timed(csr)},
                                          {"bcsr-32", timed(bcsr)},
                                          {"stream", timed(stream)}},
                                         {.rounds = o.quick ? 9 : 15, .max_seconds = 8, .seed = seed});
    for (const auto& [peer, target] : {std::pair{"csr", std::optional(3.0)},
                                       {"bcsr-32", std::optional<double>()},
                                       {"stream", std::optional(0.85)}})
      bench.add({.id = fmt::format("R5.tri.{}.{}", n, peer),
                 .what = fmt::format("addition of packed triangles against {}", peer),
                 .unit = "s",
                 .peer = Peer{peer, timing.median(peer), "", "one thread, g++ -O2 loops"},
                 .target = target,
                 .comparison = timing,
                 .ours_name = "ragged",
                 .peer_name = peer});
  }
}

}  // namespace

void bench_vgemm(Bench& bench, const BenchOptions& o, std::uint64_t seed) {
  loop::KernelRegistry registry;
  loop::Launcher one(1);
  set_library_threads(1);
  vgemm_rows(bench, o, seed, registry, one);
}

void bench_trmm(Bench& bench, const BenchOptions& o, std::uint64_t seed) {
  loop::KernelRegistry registry;
  const int threads = loop::Launcher(o.threads).threads();
  trmm_rows(bench, o, seed, registry, 1);
  if (threads > 1) trmm_rows(bench, o, seed, registry, threads);
  set_library_threads(1);
}

void bench_tri(Bench& bench, const BenchOptions& o, std::uint64_t seed) {
  loop::KernelRegistry registry;
  triangular_rows(bench, o, seed, registry);
}

}  // namespace ballast::ragged
