// `ballast base histogram`: percentiles of HdrHistogram logs, merged, by tag, over time.
#include <fmt/format.h>

#include <map>

#include "ballast/base/errors.h"
#include "ballast/base/histogram_log.h"
#include "ballast/base/table.h"
#include "ballast/base/units.h"
#include "ballast/base/verbs.h"

namespace ballast {
namespace {

struct HistogramWords {
  std::vector<std::string> files;
  std::vector<double> percentiles{50, 90, 99, 99.9, 100};
  std::int64_t interval = 0;
  std::string merge_to;
};

std::string tag_name(const std::string& tag) {
  return tag.empty() ? "(no tag)" : tag;
}

// Points of the cumulative distribution for a chart: every percentile where the curve bends, about a hundred.
Series percentile_curve(const std::string& name, const Histogram& h) {
  Series series{name, {}, {}};
  for (double above = 100; above >= 1e-3; above /= 1.15) {  // the share above: 100 %, 87 %, ..., 0.001 %
    if (above / 100 * static_cast<double>(h.count()) < 1) break;
    series.xs.push_back(100 / above);
    series.ys.push_back(static_cast<double>(h.percentile(100 - above)));
  }
  return series;
}

Chart over_time(const HistogramLog& log, const std::string& tag) {
  Chart chart{.title = fmt::format("{}: by interval", tag_name(tag)),
              .x_label = "s",
              .y_label = "recorded value",
              .y_log = true};
  for (const double p : {50.0, 99.0, 100.0}) {
    Series series{p == 100 ? "max" : fmt::format("{:g} %", p), {}, {}};
    for (const auto& interval : log.intervals) {
      if (interval.tag != tag || interval.histogram.count() == 0) continue;
      series.xs.push_back(interval.start_s);
      series.ys.push_back(static_cast<double>(interval.histogram.percentile(p)));
    }
    chart.series.push_back(std::move(series));
  }
  return chart;
}

}  // namespace

void add_histogram_verb(cli::Program& program) {
  auto words = std::make_shared<HistogramWords>();
  auto verb =
      program.verb("histogram", "percentiles of HdrHistogram logs: by tag, merged over intervals and files",
                   {"ballast base histogram run.hlog --report run.html",
                    "ballast base histogram a.hlog b.hlog --percentiles 50,99.99 --merge-to all.hlog"});
  verb->add_option("LOG", words->files, "HdrHistogram V2 logs")->required();
  verb->add_option("--percentiles", words->percentiles, "which")
      ->delimiter(',')
      ->check(CLI::Range(0.0, 100.0))
      ->capture_default_str();
  verb->add_option("--expected-interval", words->interval,
                   "correct for coordinated omission: the value at which the loop would have sent");
  verb->add_option("--merge-to", words->merge_to, "write one interval a tag, all merged")
      ->type_name("FILE.hlog");
  verb.run([words](const cli::Common& common) {
    HistogramLog all;
    std::map<std::string, Histogram> by_tag;
    for (const auto& file : words->files) {
      for (auto& interval : HistogramLog::read(file).intervals) {
        auto [entry, fresh] = by_tag.try_emplace(interval.tag, interval.histogram.range());
        entry->second.merge(interval.histogram);
        all.intervals.push_back(std::move(interval));
      }
    }
    if (by_tag.empty()) throw InvalidInput(fmt::format("{}: no interval in it", words->files.front()));
    std::vector<std::string> columns{"tag", "count", "mean"};
    for (const double p : words->percentiles) columns.push_back(fmt::format("{:g} %", p));
    Table table(words->interval > 0 ? "Percentiles, corrected for coordinated omission" : "Percentiles",
                columns);
    table.basis(Basis::measured);
    Json json{{"schema", "ballast.histogram/1"}, {"basis", "measured"}, {"tags", Json::array()}};
    HistogramLog merged;
    Chart curve{.title = "By share of records above",
                .x_label = "1 / share above (10 is the 90th percentile, 100 the 99th)",
                .y_label = "recorded value",
                .x_log = true,
                .y_log = true};
    for (auto& [tag, histogram] : by_tag) {
      if (words->interval > 0) histogram = histogram.corrected(words->interval);
      std::vector<std::string> row{tag_name(tag), std::to_string(histogram.count()),
                                   fmt::format("{:.6g}", histogram.mean())};
      Json entry{{"tag", tag},
                 {"count", histogram.count()},
                 {"mean", histogram.mean()},
                 {"min", histogram.min()},
                 {"max", histogram.max()},
                 {"percentiles", Json::object()}};
      for (const double p : words->percentiles) {
        row.push_back(std::to_string(histogram.percentile(p)));
        entry["percentiles"][fmt::format("{:g}", p)] = histogram.percentile(p);
      }
      table.row(std::move(row));
      json["tags"].push_back(std::move(entry));
      curve.series.push_back(percentile_curve(tag_name(tag), histogram));
      merged.intervals.push_back({.tag = tag, .histogram = histogram});
    }
    if (!words->merge_to.empty()) merged.write(words->merge_to);
    if (common.for_people()) table.print(stdout);
    common.write_json(json);
    Report report("Histograms");
    Section& section = report.section(words->files.front()).table(table).chart(curve);
    if (words->files.size() == 1)
      for (const auto& [tag, histogram] : by_tag) section.chart(over_time(all, tag));
    section.command(common.command_line);
    common.write_report(report);
  });
}

}  // namespace ballast
