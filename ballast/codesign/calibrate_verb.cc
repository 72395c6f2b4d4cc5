// measure and calibrate: a table of measured operators, and a device whose formulas are fitted to it.
#include <fmt/format.h>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/base/progress.h"
#include "ballast/codesign/calibrate.h"
#include "ballast/codesign/measure.h"
#include "ballast/codesign/nets.h"
#include "ballast/codesign/plan.h"
#include "ballast/codesign/verbs.h"
#include "ballast/model/threads.h"

namespace ballast::codesign {
namespace {

struct Flags {
  std::string what = "host", space = "h4h-28", table, hardware = "host", out;
  int networks = 20, runs = 15;
  bool lenient = false;
};

void measure(const Flags& flags, const cli::Common& common) {
  cli::require_one_of("measure", flags.what, {"host"});
  if (flags.networks < 1 || flags.runs < 4)
    throw InvalidInput("--networks and --runs must be at least 1 and 4");
  model::use_threads(1);
  std::vector<Graph> graphs;
  const Space space = load_space(flags.space);
  Random random(common.seed);
  for (int i = 0; i < flags.networks; ++i)
    graphs.push_back(to_graph(space, sample(space, random, Blocks::hybrid)));
  if (flags.space == "h4h-224") graphs.push_back(mobilenet_v2());
  Progress bar("measuring operators");
  const std::string text = measure_host(graphs, flags.runs, [&] {
    bar.add();
    cli::stop_if_interrupted();
  });
  const std::string out = flags.out.empty() ? "host.csv" : flags.out;
  write_file(out, text);
  const auto table = CostTable::parse(text, out);
  if (common.for_people())
    fmt::print("{}: {} operators (measured, one thread, f32)\n", out, table.rows().size());
  common.write_json({{"schema", "ballast.codesign.measure/1"},
                     {"file", out},
                     {"rows", table.rows().size()},
                     {"basis", "measured"}});
}

void run_calibrate(const Flags& flags, const cli::Common& common) {
  const CostTable table = CostTable::read(flags.table, flags.lenient);
  const CalibrationReport report = calibrate(table, load_system(flags.hardware), common.seed);
  const std::string out = flags.out.empty() ? "calibrated.yaml" : flags.out;
  write_file(out, with_calibration(system_text(flags.hardware), report.factors));
  Table lines(fmt::format("{} fitted to {}: error on held-out rows (measured)", flags.hardware, flags.table),
              {"class", "fitted", "held out", "MAPE %", "compute", "memory", "overhead cycles"});
  Json classes = Json::array();
  for (const auto& c : report.classes) {
    const Calibration& f = report.factors.at(c.name);
    lines.row({c.name, std::to_string(c.fitted), std::to_string(c.held_out), fmt::format("{:.1f}", c.mape),
               fmt::format("{:.3f}", f.compute), fmt::format("{:.3f}", f.memory),
               fmt::format("{:.0f}", f.overhead_cycles)});
    classes.push_back({{"class", c.name},
                       {"mape", c.mape},
                       {"compute", f.compute},
                       {"memory", f.memory},
                       {"overhead_cycles", f.overhead_cycles}});
  }
  if (common.for_people()) {
    lines.print(stdout);
    fmt::print("all {} held-out rows: MAPE {:.1f} %, R2 {:.3f}, Spearman {:.3f} (measured)\n",
               report.held_out, report.mape, report.r2, report.spearman);
    if (report.skipped_classes > 0)
      fmt::print("{} classes had too few rows and keep the formula\n", report.skipped_classes);
    if (table.skipped() > 0) fmt::print("{} rows were left out\n", table.skipped());
    fmt::print("written: {}\n", out);
  }
  common.write_json({{"schema", "ballast.codesign.calibrate/1"},
                     {"file", out},
                     {"mape", report.mape},
                     {"r2", report.r2},
                     {"spearman", report.spearman},
                     {"held_out", report.held_out},
                     {"skipped_rows", table.skipped()},
                     {"classes", classes},
                     {"basis", "measured"}});
  Report page("Calibration of " + flags.hardware);
  page.section("codesign calibrate").table(lines).command(common.command_line);
  common.write_report(page);
}

}  // namespace

void add_calibrate(cli::Program& program) {
  auto f = std::make_shared<Flags>();
  auto time = program.verb("measure", "time the operators of a space's networks on this processor",
                           {"ballast codesign measure host --space h4h-28 -o host.csv",
                            "ballast codesign measure host --space h4h-224 --networks 4 -o large.csv"});
  time->add_option("what", f->what, "host")->capture_default_str();
  time->add_option("--space", f->space, "networks are drawn from it")->capture_default_str();
  time->add_option("--networks", f->networks, "how many")->capture_default_str();
  time->add_option("--runs", f->runs, "of each operator")->capture_default_str();
  time->add_option("-o,--out", f->out, "the table");
  time.run([f](const cli::Common& common) { measure(*f, common); });

  auto g = std::make_shared<Flags>();
  auto fit =
      program.verb("calibrate", "fit a device's formulas to a table of measured operators",
                   {"ballast codesign calibrate --table host.csv --hw host -o mine.yaml",
                    "ballast codesign calibrate --table chip.csv --hw npu-only --lenient -o chip.yaml"});
  fit->add_option("--table", g->table, "the .csv file")->required();
  fit->add_option("--hw", g->hardware, "a preset or a .yaml file")->capture_default_str();
  fit->add_option("-o,--out", g->out, "the calibrated device");
  fit->add_flag("--lenient", g->lenient, "leave malformed rows out and count them");
  fit.run([g](const cli::Common& common) { run_calibrate(*g, common); });
}

}  // namespace ballast::codesign
