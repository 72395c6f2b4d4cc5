// The tour stop: one real camera pipeline in several implementations and executors, and the stall that naive
// timing does not see.
#include <fmt/format.h>

#include "ballast/base/random.h"
#include "ballast/robot/benchmarks/session.h"
#include "ballast/robot/harness/closed_loop.h"
#include "ballast/robot/verbs/show.h"
#include "ballast/robot/verbs/verbs.h"

namespace ballast::robot {

void add_tour(cli::Program& program) {
  program.tour(
      "a camera pipeline measured from outside, and the stall that naive timing hides",
      [](const cli::Common& common, Section& section) {
        section.uneven =
            "One slow callback every few seconds; a robot acts on the late message, not on the mean.";
        section.today =
            "Time one message after the other in the same process: a stall delays the next question, so it "
            "is counted once and the p99 stays small.";
        section.ballast =
            "Drive the unmodified graph over DDS on a schedule fixed before the run, and take every latency "
            "from the time the message was meant to leave.";
        const ros::PrivateDomain domain;
        SessionOptions options;
        options.context.domain_id = domain.id();
        options.iterations = 1;
        options.seconds = 2;
        options.seed = common.seed;
        std::vector<SessionResult> results;
        for (const auto& [slot, executor] : std::vector<std::pair<std::string, std::string>>{
                 {"reference", "single"}, {"reference", "events"}, {"tbb", "single"}, {"fused", "single"}}) {
          options.slot = slot;
          options.executor = executor;
          results.push_back(run_session(find_benchmark("a1"), options));
          results.back().slot += " / " + executor;
        }
        section.table(result_table(results));
        const auto stalls = compare_closed_loop({.context = options.context});
        Table table(
            "A system that answers in 1 ms and stalls for 200 ms every 500th message, at 100 Hz (synthetic, "
            "measured)",
            {"method", "median ms", "p99 ms", "max ms"});
        for (const auto& [name, summary] :
             {std::pair{"one in flight, as a loop of calls measures", stalls.naive},
              std::pair{"from the actual send", stalls.service},
              std::pair{"from the intended send (corrected)", stalls.corrected}})
          table.row({name, fmt::format("{:.2f}", summary.median_ms), fmt::format("{:.2f}", summary.p99_ms),
                     fmt::format("{:.2f}", summary.max_ms)});
        section.table(std::move(table));
        Chart chart{.kind = Chart::Kind::line,
                    .title = "The same stalling system, two ways of asking",
                    .x_label = "latency ms",
                    .y_label = "% of messages at or below",
                    .x_log = true};
        chart.series = {distribution("naive, one in flight", stalls.naive_ns),
                        distribution("corrected, intended times", stalls.corrected_ns)};
        section.chart(std::move(chart));
        section.figure(
            {"a1 perception_2nodes", to_svg(find_benchmark("a1").graph("reference")), Basis::counted});
        section.text("Input of a1: " + results[0].input + ".");
        section.command("ballast robot run a1 --impl reference,tbb,fused --rates 30,peak");
      });
}

}  // namespace ballast::robot
