// search: networks, devices, or both at once, under limits; and plot, which draws fronts that it wrote.
#include <fmt/format.h>

#include <chrono>
#include <limits>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/base/progress.h"
#include "ballast/codesign/genotype_source.h"
#include "ballast/codesign/predictor.h"
#include "ballast/codesign/search_problem.h"
#include "ballast/codesign/trainer.h"
#include "ballast/codesign/verbs.h"
#include "ballast/model/threads.h"

namespace ballast::codesign {
namespace {

struct Flags {
  std::string checkpoint, space = "h4h-28", hardware = "xr22-x4", algorithm = "nsga2", evaluator = "supernet",
                          cache, fixed;
  std::vector<std::string> objectives, limits, genes;
  SearchOptions search;
  std::int64_t images = 2000;
  int predictor_pairs = 500;
  bool conv_only = false, no_test = false;
};

/// Accuracies on held-out training images, each network measured once, kept in a file if asked.
class SupernetAccuracy {
 public:
  SupernetAccuracy(const Supernet& net, const ImageData& data, std::int64_t images, std::string cache)
      : net_(net), cache_file_(std::move(cache)) {
    calibrate_ = data.train.floats(0, std::min<std::int64_t>(2000, data.train.size()));
    const ImageSet held = data.held.part(0, std::min(images, data.held.size()));
    images_ = held.floats();
    labels_ = held.labels;
    if (cache_file_.empty()) return;
    try {
      const Json stored = Json::parse(read_file(cache_file_));
      for (const auto& [key, value] : stored.items()) known_[std::stoull(key)] = value;
    } catch (const Unavailable&) {
      // The first run has no cache yet.
    } catch (const std::exception&) {
      throw InvalidInput(cache_file_ + ": no cache of codesign search");
    }
  }
  ~SupernetAccuracy() {
    if (cache_file_.empty() || !changed_) return;
    try {
      Json out = Json::object();
      for (const auto& [key, value] : known_) out[std::to_string(key)] = value;
      write_file(cache_file_, out.dump());
    } catch (const std::exception& error) {
      fmt::print(stderr, "ballast codesign: the cache was not written: {}\n", error.what());
    }
  }
  SupernetAccuracy(const SupernetAccuracy&) = delete;
  SupernetAccuracy& operator=(const SupernetAccuracy&) = delete;

  double operator()(const Genotype& g) {
    const auto found = known_.find(g.hash());
    if (found != known_.end()) return found->second;
    changed_ = true;
    return known_[g.hash()] = top1(net_, plan_network(net_.space(), g), calibrate_, images_, labels_);
  }

 private:
  const Supernet& net_;
  std::string cache_file_;
  at::Tensor calibrate_, images_, labels_;
  std::map<std::uint64_t, double> known_;
  bool changed_ = false;
};

std::unique_ptr<Predictor> train_predictor(const Space& space, SupernetAccuracy& accuracy, int pairs,
                                           Blocks blocks, std::uint64_t seed) {
  std::vector<std::pair<Genotype, double>> measured;
  Random random(seed, 0x70616972u);
  Progress bar("measuring for the predictor", static_cast<std::uint64_t>(pairs));
  for (int i = 0; i < pairs; ++i) {
    const Genotype g = sample(space, random, blocks);
    measured.emplace_back(g, accuracy(g));
    bar.add();
    cli::stop_if_interrupted();
  }
  return std::make_unique<Predictor>(space, measured, seed);
}

Json member_json(const Space& space, const Candidate& c, const std::vector<HardwareGene>& genes) {
  Json json = {{"genotype", to_json(space, c.genotype)}};
  for (const auto& [name, value] : c.scores) json[name] = value;
  Json hardware = Json::object();
  for (std::size_t i = 0; i < genes.size(); ++i)
    hardware[genes[i].path] = genes[i].values[static_cast<std::size_t>(c.hardware[i])];
  json["hardware"] = hardware;
  return json;
}

void run(Flags flags, const cli::Common& common) {
  model::use_threads(1);
  cli::require_one_of("--evaluator", flags.evaluator, {"supernet", "predictor"});
  flags.search.algorithm = algorithm_from_string(flags.algorithm);
  flags.search.seed = common.seed;
  Checkpoint head;
  std::unique_ptr<Supernet> net;
  std::unique_ptr<ImageData> data;
  Space space = load_space(flags.space);
  if (!flags.checkpoint.empty()) {
    net = std::make_unique<Supernet>(load_supernet(flags.checkpoint, &head));
    data = std::make_unique<ImageData>(load_images(head.data_name));
    space = net->space();
  }
  ProblemOptions options;
  options.blocks = flags.conv_only ? Blocks::conv_only : Blocks::hybrid;
  for (const auto& gene : flags.genes) options.genes.push_back(parse_hardware_gene(gene));
  options.goals.objectives = !flags.objectives.empty() ? flags.objectives
                             : net                     ? std::vector<std::string>{"accuracy", "latency"}
                                                       : std::vector<std::string>{"latency", "energy"};
  for (const auto& limit : flags.limits) options.goals.limits.insert(parse_limit(limit));
  if (!flags.fixed.empty()) options.fixed = genotype_from_word(space, flags.fixed, common.seed);
  const System base = load_system(flags.hardware);
  if (base.cim.analog && net)
    throw InvalidInput(
        "the device is analog and the accuracy evaluator knows no noise; use eval --adc-bits on the networks "
        "of a digital device's front, or a digital device");
  std::unique_ptr<SupernetAccuracy> accuracy;
  std::unique_ptr<Predictor> predictor;
  if (net) {
    accuracy = std::make_unique<SupernetAccuracy>(*net, *data, flags.images, flags.cache);
    options.accuracy = [&](const Genotype& g) { return (*accuracy)(g); };
  }
  Problem problem =
      network_problem(space, base, options);  // refuses what cannot be reached before anything is measured
  if (net && flags.evaluator == "predictor") {
    predictor = train_predictor(space, *accuracy, flags.predictor_pairs, options.blocks, common.seed);
    options.accuracy = [&](const Genotype& g) { return (*predictor)(g); };
    problem = network_problem(space, base, options);
  }
  SearchResult found = search(problem, flags.search);

  // Final figures: the whole network mapped with splits and residency, and the test images touched once.
  Table table(
      fmt::format("{} on {}: front of {} networks, {} feasible (latency and energy modelled{})", space.name,
                  base.name, found.evaluated, found.feasible,
                  net ? ", accuracy measured on test images" : ""),
      {"network", "device", "test top-1 %", "ms", "against npu %", "uJ", "against npu %", "MMAC", "mm2"});
  Json members = Json::array();
  at::Tensor calibrate, images, labels;
  if (net && !flags.no_test) {
    calibrate = data->train.floats(0, std::min<std::int64_t>(5000, data->train.size()));
    images = data->test.floats();
    labels = data->test.labels;
  }
  Chart chart{.kind = Chart::Kind::scatter,
              .title = "Every network that was scored, and the front",
              .x_label = "latency, ms (modelled)",
              .y_label = net ? "accuracy, % (measured)" : "energy, uJ (modelled)",
              .basis = Basis::modelled};
  Series all{"scored", {}, {}}, front{"front", {}, {}};
  const auto put = [&](Series& series, const Candidate& c) {
    series.xs.push_back(c.scores.at("latency"));
    series.ys.push_back(c.scores.at(net ? "accuracy" : "energy"));
  };
  for (const auto& c : found.all) {
    if (c.violation <= 0) put(all, c);
  }
  for (auto& c : found.front) {
    put(front, c);
    const System system = with_genes(base, options.genes, c.hardware);
    const NetworkCost cost = full_cost(space, c.genotype, system);
    c.scores["full_latency"] = cost.ms;
    c.scores["full_energy"] = cost.energy_uj;
    c.scores["npu_latency"] = cost.npu_ms;
    c.scores["npu_energy"] = cost.npu_uj;
    std::string test = "-", device;
    if (net && !flags.no_test) {
      const double top = top1(*net, plan_network(space, c.genotype), calibrate, images, labels);
      c.scores["test_accuracy"] = top;
      test = fmt::format("{:.2f}", top);
    }
    for (std::size_t i = 0; i < options.genes.size(); ++i)
      device += fmt::format("{}{}={}", i > 0 ? " " : "", options.genes[i].path,
                            options.genes[i].values[static_cast<std::size_t>(c.hardware[i])]);
    table.row({to_string(c.genotype), device.empty() ? base.name : device, test,
               fmt::format("{:.4f}", cost.ms), fmt::format("{:+.1f}", 100 * (cost.ms / cost.npu_ms - 1)),
               fmt::format("{:.2f}", cost.energy_uj),
               fmt::format("{:+.1f}", 100 * (cost.energy_uj / cost.npu_uj - 1)),
               fmt::format("{:.2f}", cost.macs / 1e6), fmt::format("{:.2f}", area_mm2(system))});
    members.push_back(member_json(space, c, options.genes));
  }
  chart.series = {all, front};
  if (common.for_people()) {
    table.print(stdout);
    if (predictor)
      fmt::print("predictor: Spearman {:.3f}, mean error {:.2f} points on {} held-out networks (measured)\n",
                 predictor->quality().spearman, predictor->quality().mean_error,
                 predictor->quality().held_out);
  }
  Json document = {{"schema", "ballast.codesign.search/1"},
                   {"space", space.name},
                   {"hardware", base.name},
                   {"algorithm", flags.algorithm},
                   {"seed", common.seed},
                   {"objectives", options.goals.objectives},
                   {"limits", options.goals.limits},
                   {"evaluated", found.evaluated},
                   {"feasible", found.feasible},
                   {"basis", "latency, energy and area modelled; accuracy measured"},
                   {"front", members}};
  if (predictor) document["predictor_spearman"] = predictor->quality().spearman;
  common.write_json(document);
  Report report("Search of " + space.name);
  report.section("codesign search").table(table).chart(chart).command(common.command_line);
  common.write_report(report);
}

struct PlotFlags {
  std::vector<std::string> fronts;
  std::string x = "latency", y = "accuracy", out = "front.html";
};

void plot(const PlotFlags& flags) {
  Chart chart{.kind = Chart::Kind::scatter,
              .title = flags.y + " against " + flags.x,
              .x_label = flags.x,
              .y_label = flags.y,
              .basis = Basis::modelled};
  Table table("Fronts and their hypervolume below the worst corner of all (modelled)",
              {"file", "networks", "hypervolume"});
  std::vector<std::vector<Point>> fronts;
  Point worst(2, -std::numeric_limits<double>::infinity());
  for (const auto& file : flags.fronts) {
    const Json json = read_json(file);
    if (!json.is_object() || json.value("schema", "") != "ballast.codesign.search/1")
      throw InvalidInput(file + ": no front of codesign search");
    Series series{file, {}, {}};
    auto& points = fronts.emplace_back();
    for (const auto& member : json.at("front")) {
      if (!member.contains(flags.x) || !member.contains(flags.y))
        throw InvalidInput(fmt::format("{}: its networks have no '{}' or no '{}'", file, flags.x, flags.y));
      series.xs.push_back(member.at(flags.x));
      series.ys.push_back(member.at(flags.y));
      const double sign = flags.y.find("accuracy") != std::string::npos ? -1 : 1;
      points.push_back({series.xs.back(), sign * series.ys.back()});
      for (std::size_t d = 0; d < 2; ++d) worst[d] = std::max(worst[d], points.back()[d]);
    }
    chart.series.push_back(series);
  }
  for (std::size_t i = 0; i < fronts.size(); ++i) {
    const Point reference{worst[0] + 1e-9, worst[1] + 1e-9};
    table.row({flags.fronts[i], std::to_string(fronts[i].size()),
               fmt::format("{:.4g}", hypervolume(fronts[i], reference))});
  }
  Report report("Fronts");
  report.section("codesign plot").table(table).chart(chart);
  report.write_html(flags.out);
  table.print(stdout);
  fmt::print("written: {}\n", flags.out);
}

}  // namespace

void add_search(cli::Program& program) {
  auto f = std::make_shared<Flags>();
  auto verb = program.verb(
      "search", "find networks (and devices) under limits",
      {"ballast codesign search --ckpt net.pt --hw xr22-x8 --max latency=0.1ms --json front.json",
       "ballast codesign search --space h4h-224 --gene cim.count=0,2,4,8 --gene npu.macs=128,256 --max "
       "area=4mm2"});
  verb->add_option("--ckpt", f->checkpoint, "a trained supernet; without it costs only");
  verb->add_option("--space", f->space, "without --ckpt: h4h-28, h4h-224 or a .yaml file")
      ->capture_default_str();
  verb->add_option("--hw", f->hardware, "a preset or a .yaml file")->capture_default_str();
  verb->add_option("--objectives", f->objectives, "accuracy, latency, energy, edp, area, params, macs")
      ->delimiter(',');
  verb->add_option("--max", f->limits, "a limit: latency=3ms, energy=50uJ, area=2mm2, params=1M");
  verb->add_option("--gene", f->genes, "a value of the device that may change: cim.count=0,1,2,4,8");
  verb->add_option("--network", f->fixed, "search the device alone, for this genotype");
  verb->add_option("--algo", f->algorithm, "random, evo, pareto-evo or nsga2")->capture_default_str();
  verb->add_option("--evaluator", f->evaluator,
                   "accuracies from the supernet, or from a predictor trained on it")
      ->capture_default_str();
  verb->add_option("--predictor-pairs", f->predictor_pairs, "networks measured for the predictor")
      ->capture_default_str();
  verb->add_option("--images", f->images, "held-out training images an accuracy is measured on")
      ->capture_default_str();
  verb->add_option("--cache", f->cache, "a file that keeps measured accuracies");
  verb->add_option("--population", f->search.population, "candidates a generation")->capture_default_str();
  verb->add_option("--evaluations", f->search.evaluations, "different candidates that are scored")
      ->capture_default_str();
  verb->add_option("--mutation", f->search.mutation, "probability a gene")->capture_default_str();
  verb->add_flag("--conv-only", f->conv_only, "no attention");
  verb->add_flag("--no-test", f->no_test, "leave the test images untouched");
  verb.run([f](const cli::Common& common) { run(*f, common); });

  auto p = std::make_shared<PlotFlags>();
  auto draw = program.verb("plot", "fronts of searches in one picture, with their hypervolumes",
                           {"ballast codesign plot front.json --out front.html",
                            "ballast codesign plot npu.json cim.json --x latency --y test_accuracy"});
  draw->add_option("fronts", p->fronts, "files that search --json wrote")->required();
  draw->add_option("--x", p->x, "a figure of the networks")->capture_default_str();
  draw->add_option("--y", p->y, "another")->capture_default_str();
  draw->add_option("--out", p->out, "the page")->capture_default_str();
  draw.run([p](const cli::Common&) { plot(*p); });
}

}  // namespace ballast::codesign
