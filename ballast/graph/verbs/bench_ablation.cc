// `ballast graph bench --suite ablation`: one technique off at a time, each by the figure that it is there
// for.
#include <fmt/format.h>

#include <algorithm>

#include "ballast/base/errors.h"
#include "ballast/graph/generate.h"
#include "ballast/graph/verbs/bench.h"

namespace ballast::graph {

EdgeList made(const std::string& word, std::uint64_t seed, bool weighted) {
  GenerateOptions options{.seed = seed, .weighted = weighted};
  BALLAST_CHECK(parse_generator(word, options), word);
  return Generator(options).all();
}

VertexId busiest_vertex(const EdgeList& list) {
  std::vector<std::uint32_t> degree(list.vertices, 0);
  for (const Edge& e : list.edges) ++degree[e.source];
  return static_cast<VertexId>(std::max_element(degree.begin(), degree.end()) - degree.begin());
}

Job job_of(const std::string& algorithm, const std::string& engine, int machines, const EdgeList& list) {
  return {.algorithm = algorithm,
          .engine = engine_options(engine),
          .cluster = {.machines = machines},
          .parameters = {.source = busiest_vertex(list), .rank = {.iterations = 10}}};
}

namespace {

using Change = std::function<void(DistOptions&)>;
using Figure = std::function<double(const JobReport&)>;

struct Row {
  const char *id, *what, *algorithm, *unit;
  const EdgeList* list;
  Change base, off;
  Figure figure;
  double target = 0;
  int machines = 16;
  const char* net = "";  // measured rows: the emulated network
};

// Counted rows are exact; the others are times of interleaved runs.
void add_row(Bench& bench, const Settings& settings, const Row& row) {
  cli::stop_if_interrupted();
  const auto source = source_of(*row.list);
  Job on = job_of(row.algorithm, "tdo", row.machines, *row.list);
  on.cluster.net = row.net;
  row.base(on.engine);
  Job off = on;
  row.off(off.engine);
  BenchRow figure{.id = std::string("G4.") + row.id,
                  .what = row.what,
                  .unit = row.unit,
                  .peer = Peer{.name = "without it", .value = {}, .version = "built in"},
                  .better = Better::lower,
                  .note = fmt::format("P = {}", row.machines)};
  if (row.figure) {
    figure.basis = Basis::counted;
    figure.ours = row.figure(run_job(*source, on));
    figure.peer->value = row.figure(run_job(*source, off));
  } else {
    on.repeats = off.repeats = 3;
    figure.comparison = interleave({{"with", [&] { return run_job(*source, on).run_s; }},
                                    {"without", [&] { return run_job(*source, off).run_s; }}},
                                   {.rounds = settings.rounds() + 1, .warmup = 0, .seed = settings.seed});
    figure.ours_name = "with";
    figure.peer_name = "without";
  }
  if (row.target > 0) figure.target = row.target;
  bench.add(figure);
}

}  // namespace

void bench_ablation(Bench& bench, const Settings& settings) {
  const EdgeList kron = made(fmt::format("kron:{}", settings.quick ? 13 : 16), settings.seed);
  const EdgeList road = made(fmt::format("road:{}", settings.quick ? 96 : 256), settings.seed);
  const EdgeList hubs_first = [&] {
    GenerateOptions options{
        .kind = "kron", .scale = settings.quick ? 13u : 16u, .seed = settings.seed, .permute = false};
    return Generator(options).all();
  }();
  const Figure bytes = [](const JobReport& r) { return static_cast<double>(r.busiest_bytes); };
  const Figure visits = [](const JobReport& r) { return static_cast<double>(r.counts.edges_visited); };
  const Figure steps = [](const JobReport& r) { return static_cast<double>(r.supersteps); };
  const Figure memory = [](const JobReport& r) { return static_cast<double>(r.layout.bytes); };
  const Figure collectives = [](const JobReport& r) {
    return static_cast<double>(r.accounts[0].collectives);
  };
  const Change same = [](DistOptions&) {};
  const std::vector<Row> rows{
      {"G1", "placement by contention, pr on kron, bytes of the busiest machine", "pr", "bytes", &kron, same,
       [](DistOptions& o) { o.place_by_contention = false; }, bytes, 1.2},
      {"G2G3",
       "source and destination trees (fan-out 4), pr on kron with hubs at low ids, bytes of the busiest "
       "machine",
       "pr", "bytes", &hubs_first, [](DistOptions& o) { o.fanout = 4; }, [](DistOptions& o) { o.fanout = 0; },
       bytes, 1.2},
      {"G5", "codes of positions, bfs on kron, bytes of the busiest machine", "bfs", "bytes", &kron, same,
       [](DistOptions& o) { o.code_positions = false; }, bytes, 0},
      {"G6", "codes of values, cc on kron, bytes of the busiest machine", "cc", "bytes", &kron, same,
       [](DistOptions& o) { o.code_values = false; }, bytes, 0},
      {"L1.dense", "dense rounds, bfs on kron, edges looked at", "bfs", "edges", &kron, same,
       [](DistOptions& o) { o.dense_threshold = 0; }, visits, 1.2},
      {"L1.exit", "early exit of dense scans, bfs on kron, edges looked at", "bfs", "edges", &kron, same,
       [](DistOptions& o) { o.early_exit = false; }, visits, 1.2},
      {"done", "mirrors that contributed are left alone, bfs on kron, edges looked at", "bfs", "edges", &kron,
       same, [](DistOptions& o) { o.skip_done = false; }, visits, 0},
      {"C3", "sizes ride on exchanges, bfs on road, collectives", "bfs", "collectives", &road, same,
       [](DistOptions& o) { o.fuse_reduce = false; }, collectives, 0},
      {"C6", "local rounds, sssp on road, supersteps", "sssp", "supersteps", &road, same,
       [](DistOptions& o) { o.local_rounds = 0; }, steps, 1.2},
      {"G4", "settled bits, bc on kron, bytes of the busiest machine", "bc", "bytes", &kron, same,
       [](DistOptions& o) { o.finished_bits = false; }, bytes},
      {"G4.work", "settled bits, bc on kron, edges looked at", "bc", "edges", &kron, same,
       [](DistOptions& o) { o.finished_bits = false; }, visits},
      {"C4", "levels that no tree has are left out (fan-out 4), pr on road, supersteps", "pr", "supersteps",
       &road, [](DistOptions& o) { o.fanout = 4; }, [](DistOptions& o) { o.trim_trees = false; }, steps},
      {"C5.road", "one exchange a round, bfs on road, supersteps", "bfs", "supersteps", &road, same,
       [](DistOptions& o) { o.direct_rounds = false; }, steps, 1.2},
      {"C5.kron", "one exchange a round, pr on kron, supersteps", "pr", "supersteps", &kron, same,
       [](DistOptions& o) { o.direct_rounds = false; }, steps},
      {"L6", "byte-coded adjacency, memory of the fullest machine, kron", "pr", "bytes", &kron,
       [](DistOptions& o) { o.compress = o.by_degree = true; }, [](DistOptions& o) { o.compress = false; },
       memory},
      {"L6.time",
       "byte-coded adjacency, pr on kron, time",
       "pr",
       "s",
       &kron,
       [](DistOptions& o) { o.compress = o.by_degree = true; },
       [](DistOptions& o) { o.compress = false; },
       {},
       0,
       1},
      {"L2",
       "two threads in a machine, pr on kron, time",
       "pr",
       "s",
       &kron,
       [](DistOptions& o) { o.threads = 2; },
       [](DistOptions& o) { o.threads = 1; },
       {},
       0,
       1},
      {"L2.blocks",
       "blocks of equal edges on two threads, pr on kron with hubs at low ids, time",
       "pr",
       "s",
       &hubs_first,
       [](DistOptions& o) { o.threads = 2; },
       [](DistOptions& o) { o.balanced_blocks = false; },
       {},
       0,
       1},
      {"L3",
       "long lists as bits, pr on kron, time",
       "pr",
       "s",
       &kron,
       same,
       [](DistOptions& o) { o.bitmaps = false; },
       {},
       0,
       1},
      {"L4",
       "contributions meet at a bit, sssp on kron, time",
       "sssp",
       "s",
       &kron,
       [](DistOptions& o) { o.dense_threshold = 0; },
       [](DistOptions& o) { o.unique_touches = false; },
       {},
       0,
       1},
      {"L5",
       "numbers by degree, pr on kron, time",
       "pr",
       "s",
       &kron,
       [](DistOptions& o) { o.by_degree = true; },
       [](DistOptions& o) { o.by_degree = false; },
       {},
       0,
       1},
      {"L7",
       "first touch by the computing thread, two threads, pr on kron, time",
       "pr",
       "s",
       &kron,
       [](DistOptions& o) { o.threads = 2, o.first_touch = true; },
       [](DistOptions& o) { o.first_touch = false; },
       {},
       0,
       1},
      {"C2",
       "own part beside the exchange, pr on kron, emulated slow network, time",
       "pr",
       "s",
       &kron,
       same,
       [](DistOptions& o) { o.own_part_first = false; },
       {},
       0,
       4,
       "slow"},
      {"C1",
       "rounds of all vertices in two parts of a ring, pr on kron, emulated slow network, time",
       "pr",
       "s",
       &kron,
       [](DistOptions& o) { o.ring_chunks = 2; },
       [](DistOptions& o) { o.ring_chunks = 1; },
       {},
       0,
       4,
       "slow"},
  };
  for (const Row& row : rows) add_row(bench, settings, row);
}

}  // namespace ballast::graph
