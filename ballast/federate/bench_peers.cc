// Rows against the field's Python packages: Flower's simulation, river's detectors, scipy's clustering. Each
// runs in the virtual environment of set-up; what is not installed there gives a row without a number.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/base/statistics.h"
#include "ballast/base/temporary_folder.h"
#include "ballast/data/npy.h"
#include "ballast/federate/bench_suites.h"
#include "ballast/federate/clustering.h"
#include "ballast/federate/detectors.h"
#include "ballast/federate/verbs.h"

namespace ballast::federate {
namespace {

const std::string kFolder = std::string(BALLAST_SOURCE_DIR) + "/ballast/federate";

// The last line that a peer's script prints, or nullopt where its packages are missing.
std::optional<Json> ask(const std::string& script, const std::string& arguments, const std::string& package) {
  const std::string python = cache_folder() + "/venv/bin/python", path = kFolder + "/peers/" + script;
  if (!std::filesystem::exists(python) || !std::filesystem::exists(path)) return std::nullopt;
  const auto lines = [](const std::string& command) {
    std::FILE* pipe = ::popen(command.c_str(), "r");
    std::string text;
    for (int c; pipe != nullptr && (c = std::fgetc(pipe)) != EOF;) text.push_back(static_cast<char>(c));
    const bool well = pipe != nullptr && ::pclose(pipe) == 0;
    return std::pair(well, text);
  };
  if (!lines(python + " -c 'import " + package + "' 2>/dev/null").first) return std::nullopt;
  const auto [well, text] = lines(python + " " + path + " " + arguments + " 2>/dev/null");
  const std::size_t brace = text.rfind("{\"");
  const std::size_t mark = text.rfind("RESULT ");
  const std::size_t start = mark != std::string::npos ? mark + 7 : text.find('{');
  if (!well || brace == std::string::npos || start == std::string::npos)
    throw Unavailable(fmt::format("{} ended without a result", script));
  return Json::parse(text.substr(start));
}

std::vector<int> drifts(const std::string& name, const std::string& digits) {
  const auto detector = make_detector(name);
  std::vector<int> found;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (digits[i] < '0' || digits[i] > '9') continue;
    detector->update(digits[i] - '0');
    if (detector->drift()) found.push_back(static_cast<int>(i));
  }
  return found;
}

void detectors(Bench& bench) {
  const std::string coins = kFolder + "/testdata/bernoulli.txt", levels = kFolder + "/testdata/levels.txt";
  const auto river = ask("stream_peer.py", "detectors " + coins + " " + levels, "river");
  for (const char* name : {"ddm", "hddm_a", "hddm_w", "adwin", "page_hinkley"}) {
    BenchRow row{.id = std::string("detect.") + name,
                 .what = "first drift on the published stream",
                 .unit = "sample",
                 .better = Better::lower,
                 .basis = Basis::counted};
    const bool leveled = std::string(name) == "adwin" || std::string(name) == "page_hinkley";
    const auto ours = drifts(name, read_file(leveled ? levels : coins));
    row.ours = ours.empty() ? -1 : ours.front();
    row.peer = Peer{.name = "river", .value = {}};
    if (river) {
      row.peer->value = river->at(name).at("drifts").at(0).get<double>();
      row.peer->version = river->at("version");
      row.note = *row.peer->value == *row.ours ? "the same sample" : "ANOTHER sample";
    } else {
      row.note = "river is not installed";
    }
    bench.add(std::move(row));
  }
}

void clustering(Bench& bench, std::uint64_t seed) {
  Random random(seed, 0xC1);
  Json cases = Json::array();
  std::vector<std::vector<int>> ours;
  for (int i = 0; i < 1000; ++i) {
    const std::size_t n = 2 + random.below(12);
    DistanceMatrix distances(n, std::vector<double>(n, 0));
    for (std::size_t a = 0; a < n; ++a) {
      for (std::size_t b = a + 1; b < n; ++b) distances[a][b] = distances[b][a] = random.uniform();
    }
    const char* linkage = i % 3 == 0 ? "complete" : i % 3 == 1 ? "average" : "single";
    const double threshold = random.uniform(0.1, 0.9);
    std::vector<int> labels(n);
    const auto groups = agglomerate(distances, linkage_from_string(linkage), threshold).groups;
    for (std::size_t g = 0; g < groups.size(); ++g) {
      for (std::size_t member : groups[g]) labels[member] = static_cast<int>(g);
    }
    ours.push_back(labels);
    cases.push_back({{"distances", distances}, {"linkage", linkage}, {"threshold", threshold}});
  }
  const TemporaryFolder folder;
  write_file(folder.file("cases.json"), cases.dump());
  BenchRow row{.id = "cluster.scipy",
               .what = "partitions of 1 000 random matrices that equal scipy's",
               .unit = "1",
               .better = Better::higher,
               .target = 1000,
               .basis = Basis::counted};
  if (const auto scipy = ask("stream_peer.py", "clustering " + folder.file("cases.json"), "scipy")) {
    double equal = 0;
    for (std::size_t i = 0; i < ours.size(); ++i)
      equal += adjusted_rand_index(ours[i], scipy->at("answers")[i].get<std::vector<int>>()) == 1.0 ? 1 : 0;
    row.ours = equal;
    row.note = "scipy " + scipy->at("version").get<std::string>();
  } else {
    row.note = "scipy is not installed";
  }
  bench.add(std::move(row));
}

// Ten clients, SINE, batches of 50, 50 local steps a round, Adam renewed each round on both sides.
void flower(Bench& bench, std::uint64_t seed) {
  constexpr int kClients = 10, kRounds = 12;
  const auto federation = make_federation({.name = "sine", .samples = 500, .seed = seed},
                                          ConceptPattern::stationary(kClients, 1));
  RunConfig config;
  config.local_steps = 50;
  config.reset_optimizer = true;
  config.rounds = kRounds;
  const auto run_rounds = [&](int rounds) {
    config.rounds = rounds;
    const auto strategy = make_strategy({.name = "oblivious"}, federation.pattern());
    return run(federation, *strategy, config);
  };
  const RunLog log = run_rounds(kRounds);
  const TemporaryFolder folder;
  Samples tests;
  for (int c = 0; c < kClients; ++c) {
    for (const auto& [name, samples] :
         {std::pair(fmt::format("client_{}", c), &federation.batch(c, 0)), {"", &federation.batch(c, 1)}}) {
      if (name.empty()) {
        tests.x.insert(tests.x.end(), samples->x.begin(), samples->x.end());
        tests.y.insert(tests.y.end(), samples->y.begin(), samples->y.end());
        continue;
      }
      data::write_npy(folder.file(name + "_x.npy"),
                      data::Array::of<float>({samples->size(), 2}, samples->x).view());
      data::write_npy(folder.file(name + "_y.npy"),
                      data::Array::of<std::int32_t>({samples->size()}, samples->y).view());
    }
  }
  data::write_npy(folder.file("test_x.npy"), data::Array::of<float>({tests.size(), 2}, tests.x).view());
  data::write_npy(folder.file("test_y.npy"), data::Array::of<std::int32_t>({tests.size()}, tests.y).view());
  const Params start = fresh_params({2, 4, 2}, config.seed, mix64(0));
  data::write_npy(folder.file("start.npy"), data::Array::of<float>({start.size()}, start).view());
  BenchRow row{.id = "scale.flower",
               .what = "a steady round: 10 clients, 50 local steps, batch 50",
               .unit = "s",
               .better = Better::lower,
               .target = 200};
  row.peer = Peer{.name = "Flower simulation", .value = {}};
  const auto flower = ask("flower_peer.py", fmt::format("{} {} 50 50", folder.path(), kRounds), "flwr, ray");
  std::vector<double> ours;
  for (int repeat = 0; repeat < 7; ++repeat) {
    const double few = time_of([&] { run_rounds(1); }), many = time_of([&] { run_rounds(201); });
    ours.push_back((many - few) / 200);
  }
  row.ours = median(ours);
  if (flower) {
    const auto rounds = flower->at("rounds").get<std::vector<double>>();
    row.peer->value = median(rounds);
    row.peer->version = flower->at("version");
    row.ratio_low = quantile(rounds, 0.1) / quantile(ours, 0.9);
    row.ratio_high = quantile(rounds, 0.9) / quantile(ours, 0.1);
    row.note = fmt::format(
        "accuracy after {} rounds: ours {:.2f} %, Flower {:.2f} %; Flower's start-up {:.1f} s apart; numpy "
        "alone {:.3f} s a round",
        kRounds, 100 * log.accuracy(), 100 * flower->at("accuracy").get<double>(),
        flower->at("start_up").get<double>(), flower->at("numpy_round").get<double>());
  } else {
    row.note = "flwr with ray is not installed (make peers)";
  }
  // The same rounds with the same network by libtorch, in its worker processes.
  if (std::filesystem::exists(std::filesystem::read_symlink("/proc/self/exe").parent_path() /
                              "ballast-federate-torch")) {
    config.model = ModelKind::torch_mlp;
    const double few = time_of([&] { run_rounds(1); }), many = time_of([&] { run_rounds(11); });
    BenchRow torch{.id = "scale.flower.libtorch",
                   .what = "the same round with clients training through libtorch",
                   .unit = "s",
                   .ours = (many - few) / 10,
                   .better = Better::lower,
                   .note = "about 3x expected: the numpy clients of Flower do the same little work"};
    torch.peer = row.peer;
    bench.add(std::move(torch));
  }
  bench.add(std::move(row));
}

}  // namespace

void peer_suite(Bench& bench, const cli::Common& common) {
  detectors(bench);
  clustering(bench, common.seed);
  flower(bench, common.seed);
}

}  // namespace ballast::federate
