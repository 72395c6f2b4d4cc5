#include "ballast/base/bench.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <numeric>
#include <thread>

#include "ballast/base/errors.h"
#include "ballast/base/random.h"
#include "ballast/base/statistics.h"

namespace ballast {
namespace {

std::string number(const std::optional<double>& value) {
  return value ? fmt::format("{:.4g}", *value) : "-";
}

Json json_of(const std::optional<double>& value) {
  return value && std::isfinite(*value) ? Json(*value) : Json(nullptr);
}

std::string isa_of(const std::string& flags) {
  std::string isa;
  for (const char* name : {"sse4_2", "avx2", "avx512f", "avx512_bf16", "amx_tile", "neon", "sve"}) {
    if (flags.find(std::string(" ") + name + " ") != std::string::npos)
      isa += (isa.empty() ? "" : " ") + std::string(name);
  }
  return isa;
}

}  // namespace

double Comparison::median(const std::string& name) const {
  return ballast::median(figures.at(name));
}

Comparison::Ratio Comparison::ratio(const std::string& numerator, const std::string& denominator) const {
  const auto& top = figures.at(numerator);
  const auto& bottom = figures.at(denominator);
  std::vector<double> ratios;
  for (std::size_t i = 0; i < std::min(top.size(), bottom.size()); ++i) ratios.push_back(top[i] / bottom[i]);
  return {ballast::median(ratios), quantile(ratios, 0.1), quantile(ratios, 0.9)};
}

Comparison interleave(const std::vector<Contestant>& contestants, const InterleaveOptions& options) {
  Comparison comparison;
  Random random(options.seed);
  const auto start = std::chrono::steady_clock::now();
  std::vector<std::size_t> order(contestants.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  for (int round = -options.warmup; round < options.rounds; ++round) {
    random.shuffle(order);
    for (std::size_t i : order) {
      cli::stop_if_interrupted();
      const double figure = contestants[i].run();
      if (round >= 0) comparison.figures[contestants[i].name].push_back(figure);
    }
    const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start;
    if (round >= 2 && spent.count() > options.max_seconds) break;
  }
  return comparison;
}

double time_of(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

std::optional<bool> BenchRow::met() const {
  if (!target) return std::nullopt;
  if (peer || ratio) {
    if (!ratio) return std::nullopt;
    return *ratio >= *target;
  }
  if (!ours) return std::nullopt;
  return better == Better::lower ? *ours <= *target : *ours >= *target;
}

Bench::Bench(std::string component, std::string suite, const cli::Common& common)
    : component_(std::move(component)),
      suite_(std::move(suite)),
      common_(common),
      section_(component_ + " bench " + suite_) {}

void Bench::add(BenchRow row) {
  if (row.comparison) {
    row.ours = row.comparison->median(row.ours_name);
    if (!row.peer_name.empty()) {
      if (!row.peer) row.peer = Peer{.name = row.peer_name, .value = {}};
      row.peer->value = row.comparison->median(row.peer_name);
      const bool lower = row.better == Better::lower;
      const auto spread = lower ? row.comparison->ratio(row.peer_name, row.ours_name)
                                : row.comparison->ratio(row.ours_name, row.peer_name);
      row.ratio = spread.median;
      row.ratio_low = spread.low;
      row.ratio_high = spread.high;
    }
  } else if (!row.ratio && row.ours && row.peer && row.peer->value) {
    row.ratio = row.better == Better::lower ? *row.peer->value / *row.ours : *row.ours / *row.peer->value;
  }
  rows_.push_back(std::move(row));
}

Json Bench::to_json() const {
  Json json{{"schema", "ballast.bench/1"}, {"component", component_}, {"suite", suite_},
            {"machine", machine_facts()},  {"seed", common_.seed},    {"command", common_.command_line},
            {"rows", Json::array()}};
  for (const auto& row : rows_) {
    Json peer = nullptr;
    if (row.peer) {
      peer = {{"name", row.peer->name},
              {"value", json_of(row.peer->value)},
              {"version", row.peer->version},
              {"settings", row.peer->settings}};
    }
    const auto met = row.met();
    json["rows"].push_back({{"id", row.id},
                            {"what", row.what},
                            {"unit", row.unit},
                            {"ours", json_of(row.ours)},
                            {"peer", peer},
                            {"ratio", json_of(row.ratio)},
                            {"ratio_low", json_of(row.ratio_low)},
                            {"ratio_high", json_of(row.ratio_high)},
                            {"better", row.better == Better::lower ? "lower" : "higher"},
                            {"target", json_of(row.target)},
                            {"met", met ? Json(*met) : Json(nullptr)},
                            {"basis", to_string(row.basis)},
                            {"note", row.note}});
  }
  return json;
}

void Bench::finish() {
  Table table(
      fmt::format("{} {}: ratio > 1 means ours is better; spread is the 10th to 90th percentile of rounds",
                  component_, suite_),
      {"figure", "what", "unit", "ours", "peer", "its value", "ratio", "spread", "target", "met", "basis",
       "note"});
  for (const auto& row : rows_) {
    const auto met = row.met();
    table.row({row.id, row.what, row.unit, number(row.ours), row.peer ? row.peer->name : "-",
               row.peer ? (row.peer->value ? number(row.peer->value) : "not installed") : "-",
               number(row.ratio),
               row.ratio_low ? fmt::format("{:.3g}-{:.3g}", *row.ratio_low, *row.ratio_high) : "-",
               number(row.target), met ? (*met ? "yes" : "MISSED") : "-", to_string(row.basis), row.note});
  }
  if (common_.for_people()) table.print(stdout);
  common_.write_json(to_json());
  if (!common_.report_file.empty()) {
    Report report(fmt::format("Ballast {} bench: {}", component_, suite_));
    Section& section = report.add(section_);
    section.table(table);
    section.command(common_.command_line);
    common_.write_report(report);
  }
}

Json machine_facts() {
  std::ifstream info("/proc/cpuinfo");
  std::string line, model = "unknown", flags;
  while (std::getline(info, line) && (model == "unknown" || flags.empty())) {
    const auto colon = line.find(':');
    if (colon == std::string::npos) continue;
    if (line.starts_with("model name")) model = line.substr(colon + 2);
    if (line.starts_with("flags") || line.starts_with("Features")) flags = line.substr(colon + 1) + " ";
  }
  double load = 0;
  std::ifstream("/proc/loadavg") >> load;
  return {
      {"cpu", model}, {"cores", std::thread::hardware_concurrency()}, {"isa", isa_of(flags)}, {"load", load}};
}

}  // namespace ballast
