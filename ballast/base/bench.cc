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
  const Json document = to_json();
  const Table table = bench_table(document);
  if (common_.for_people()) table.print(stdout);
  common_.write_json(document);
  if (!common_.report_file.empty()) {
    Report report(fmt::format("Ballast {} bench: {}", component_, suite_));
    Section& section = report.add(section_);
    section.table(table);
    if (const auto chart = ratio_chart(document)) section.chart(*chart);
    section.command(common_.command_line);
    common_.write_report(report);
  }
}

namespace {

// The documents come from files too, so everything that is missing or of another type is told.
template <typename Read>
auto read_bench(const Json& document, const Read& read) {
  try {
    if (document.at("schema") != "ballast.bench/1")
      throw InvalidInput("schema", document.at("schema").dump(), "ballast.bench/1");
    return read();
  } catch (const Json::exception& error) {
    throw InvalidInput(fmt::format("a bench document: {}", error.what()));
  }
}

std::optional<double> optional_number(const Json& row, const char* key) {
  return row.at(key).is_null() ? std::nullopt : std::optional<double>(row.at(key).get<double>());
}

}  // namespace

Table bench_table(const Json& document) {
  return read_bench(document, [&] {
    Table table(
        fmt::format("{} {}: ratio > 1 means ours is better; spread is the 10th to 90th percentile of rounds",
                    document.at("component").get<std::string>(), document.at("suite").get<std::string>()),
        {"figure", "what", "unit", "ours", "peer", "its value", "ratio", "spread", "target", "met", "basis",
         "note"});
    for (const Json& row : document.at("rows")) {
      const Json& peer = row.at("peer");
      const auto low = optional_number(row, "ratio_low"), high = optional_number(row, "ratio_high");
      const Json& met = row.at("met");
      table.row({row.at("id"), row.at("what"), row.at("unit"), number(optional_number(row, "ours")),
                 peer.is_null() ? "-" : peer.at("name").get<std::string>(),
                 peer.is_null()               ? "-"
                 : peer.at("value").is_null() ? "not installed"
                                              : number(optional_number(peer, "value")),
                 number(optional_number(row, "ratio")),
                 low && high ? fmt::format("{:.3g}-{:.3g}", *low, *high) : "-",
                 number(optional_number(row, "target")),
                 met.is_null() ? "-" : (met.get<bool>() ? "yes" : "MISSED"), row.at("basis"),
                 row.at("note")});
    }
    return table;
  });
}

std::optional<Chart> ratio_chart(const Json& document) {
  return read_bench(document, [&]() -> std::optional<Chart> {
    Chart chart{.kind = Chart::Kind::bar,
                .title = "How many times better than the competitor (1: equal)",
                .y_label = "ratio",
                .y_log = true,
                .series = {{"ratio", {}, {}}},
                .basis = Basis::counted};
    for (const Json& row : document.at("rows")) {
      const auto ratio = optional_number(row, "ratio");
      if (!ratio || !(*ratio > 0)) continue;
      chart.labels.push_back(row.at("id"));
      chart.series[0].ys.push_back(*ratio);
      // The weakest basis of its rows.
      const Basis basis = basis_from_string(row.at("basis"));
      if (basis == Basis::modelled || (basis == Basis::measured && chart.basis == Basis::counted))
        chart.basis = basis;
    }
    return chart.labels.size() < 2 ? std::nullopt : std::optional<Chart>(chart);
  });
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
