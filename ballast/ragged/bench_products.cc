// The micro-kernel gate: our tiles against oneDNN and OpenBLAS on cubes and on attention's products, one
// thread.
#include <fmt/format.h>

#include <map>

#include "ballast/base/statistics.h"
#include "ballast/loop/gemm.h"
#include "ballast/loop/kernel.h"
#include "ballast/ragged/peers/library_products.h"
#include "ballast/ragged/verbs.h"

namespace ballast::ragged {

void bench_products(Bench& bench, const BenchOptions& o, std::uint64_t seed) {
  struct Case {
    const char* group;
    std::int64_t m, n, k;
    bool transposed;
    std::int64_t a_stride, b_stride, c_stride;
    std::optional<double> target;
  };
  std::vector<Case> cases;
  for (std::int64_t s : {128, 256, 512, 768, 1024}) cases.push_back({"cube", s, s, s, false, s, s, s, 0.92});
  for (std::int64_t l : {16, 32, 48, 64, 96, 128, 256, 512})
    cases.push_back({"qk", l, l, 64, true, 1536, 1536, l, l <= 64 ? std::optional(1.1) : std::nullopt});
  for (std::int64_t l : {16, 32, 48, 64, 96, 128, 256, 512})
    cases.push_back({"av", l, 64, l, false, l, 1536, 512, l < 128 ? 0.92 : 1.05});
  if (o.quick)
    std::erase_if(cases, [](const Case& c) { return c.m == 768 || c.m == 1024 || c.m == 48 || c.m == 96; });

  loop::KernelRegistry registry;
  std::map<std::string, std::vector<double>> means;
  for (const Case& c : cases) {
    cli::stop_if_interrupted();
    std::vector<float> a(static_cast<std::size_t>(c.m * c.a_stride), 0.5f),
        b(static_cast<std::size_t>((c.transposed ? c.n : c.k) * c.b_stride), 0.25f),
        out(static_cast<std::size_t>(c.m * c.c_stride));
    loop::GemmArgs g;
    g.m = c.m, g.n = c.n, g.k = c.k;
    g.a = a.data(), g.a_stride = c.a_stride;
    g.b = b.data(), g.b_stride = c.b_stride, g.b_transposed = c.transposed;
    g.c = out.data(), g.c_stride = c.c_stride;
    const double flops = 2.0 * static_cast<double>(c.m * c.n * c.k);
    const int repeat = std::max(1, static_cast<int>(2e7 / flops));
    const auto speed = [&](loop::GemmFn product) {
      return [&registry, &g, product, repeat, flops] {
        const double seconds = time_of([&] {
          for (int i = 0; i < repeat; ++i) product(registry.tiles(), g);
        });
        return flops * repeat / seconds * 1e-9;
      };
    };
    std::vector<Contestant> all{{"ours", speed(static_cast<loop::GemmFn>(&loop::gemm))}};
    for (const char* name : {"onednn", "openblas"})
      if (const loop::GemmFn product = library_product(name)) all.push_back({name, speed(product)});
    const Comparison timing = interleave(all, {.rounds = o.quick ? 9 : 15, .max_seconds = 5, .seed = seed});
    std::string best;
    for (const auto& [name, values] : timing.figures)
      if (name != "ours" && (best.empty() || timing.median(name) > timing.median(best))) best = name;
    BenchRow row{
        .id = fmt::format("micro.{}.{}", c.group, c.m),
        .what = fmt::format("product {} x {} x {}{}", c.m, c.n, c.k, c.transposed ? ", B transposed" : ""),
        .unit = "GFLOP/s",
        .better = Better::higher,
        .target = c.target};
    if (best.empty()) {
      row.ours = timing.median("ours");
      row.peer = Peer{"onednn", std::nullopt};
      row.note = "not installed";
    } else {
      row.peer = Peer{best, timing.median(best), "", library_settings(best)};
      row.comparison = timing;
      row.ours_name = "ours";
      row.peer_name = best;
      row.note = "the faster library";
      means[c.group].push_back(timing.ratio("ours", best).median);
    }
    bench.add(row);
  }
  for (const auto& [group, ratios] : means)
    bench.add({.id = "micro." + group + ".geomean",
               .what = "products against the faster library of each size",
               .unit = "x",
               .ours = geometric_mean(ratios),
               .peer = Peer{"best library", 1.0},
               .better = Better::higher,
               .target = group == "cube" ? std::optional(0.95)
                         : group == "qk" ? std::optional(1.2)
                                         : std::nullopt});
}

}  // namespace ballast::ragged
