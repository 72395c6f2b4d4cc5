// `ballast robot search ID`: the peak sustainable throughput alone, with every probe that led to it.
#include <fmt/format.h>

#include "ballast/base/errors.h"
#include "ballast/robot/benchmarks/session.h"
#include "ballast/robot/results/fingerprint.h"
#include "ballast/robot/verbs/show.h"
#include "ballast/robot/verbs/verbs.h"

namespace ballast::robot {
namespace {

struct SearchVerbOptions {
  std::string id;
  std::vector<std::string> slots;
  double lower_hz = 10, upper_hz = 0, seconds = 2;
  bool compat = false, quick = false;
};

}  // namespace

void add_search(cli::Program& program) {
  auto options = std::make_shared<SearchVerbOptions>();
  auto verb = program.verb("search", "finds the highest rate that a benchmark's graph keeps up with",
                           {"ballast robot search a1 --impl reference,fused",
                            "ballast robot search a2 --lower 20 --upper 400 --compat"});
  const auto domain = add_domain_flags(verb);
  verb->add_option("id", options->id, "benchmark (`ballast robot list`)")->required();
  verb->add_option("--impl", options->slots, "implementations (default: the reference)")->delimiter(',');
  verb->add_option("--lower", options->lower_hz, "Hz that the search starts from")
      ->check(CLI::PositiveNumber);
  verb->add_option("--upper", options->upper_hz, "Hz above which nothing is tried (default: the benchmark's)")
      ->check(CLI::PositiveNumber);
  verb->add_option("--seconds", options->seconds, "of one probe")->check(CLI::Range(0.2, 60.0));
  verb->add_flag("--compat", options->compat, "search as ros2_benchmark does (10 to 100 Hz)");
  verb->add_flag("--quick", options->quick, "small input");
  verb.run([options, domain](const cli::Common& common) {
    cli::catch_interrupts();
    const Benchmark& benchmark = find_benchmark(options->id);
    SessionOptions session{.peak = true,
                           .compat = options->compat,
                           .iterations = 0,
                           .seconds = options->seconds,
                           .size = options->quick ? Size::test : Size::bench,
                           .seed = common.seed,
                           .context = domain->options()};
    session.lower_hz = options->lower_hz;
    session.upper_hz = options->upper_hz;
    if (session.upper_hz > 0 && session.upper_hz <= session.lower_hz)
      throw InvalidInput("--upper", fmt::format("{:g}", session.upper_hz),
                         fmt::format("above --lower ({:g})", session.lower_hz));
    std::optional<ros::PrivateDomain> own;
    if (domain->domain < 0 && !std::getenv("ROS_DOMAIN_ID")) session.context.domain_id = own.emplace().id();
    auto slots = options->slots;
    if (slots.empty()) slots = {benchmark.slots.front()};
    Json documents = Json::array();
    std::string broken;
    for (const auto& slot : slots) {
      session.slot = slot;
      if (common.for_people())
        session.progress = [&](const std::string& state) {
          show_progress(benchmark.id + " " + slot + ": " + state);
        };
      const auto result = run_session(benchmark, session);
      if (common.for_people()) show_progress("");
      documents.push_back(to_json(result));
      if (!result.valid() && broken.empty()) broken = result.invalid.front();
      if (!result.peak || !common.for_people()) continue;
      Table table(fmt::format("{} {}: {:.1f} Hz{}{} (measured)", benchmark.id, slot, result.peak->hz,
                              result.peak->confirmed ? ", confirmed" : "",
                              result.peak->note.empty() ? "" : ", " + result.peak->note),
                  {"probe Hz", "sent Hz", "received Hz", "loss %", "median ms", "verdict"});
      for (const auto& probe : result.peak->probes) {
        const auto verdict = judge_strict(probe, {});
        table.row({fmt::format("{:.1f}", probe.rate_hz), fmt::format("{:.1f}", probe.send_rate_hz),
                   fmt::format("{:.1f}", probe.receive_rate_hz), fmt::format("{:.2f}", probe.loss_percent),
                   fmt::format("{:.2f}", probe.median_ms), verdict.sustained ? "sustained" : verdict.reason});
      }
      table.print(stdout);
    }
    common.write_json(
        {{"schema", "ballast.robot.run/1"}, {"fingerprint", fingerprint()}, {"results", documents}});
    if (!broken.empty()) {
      fmt::print(stderr, "ballast robot: {}: {}\n", benchmark.id, broken);
      throw cli::Exit{3};
    }
  });
}

}  // namespace ballast::robot
