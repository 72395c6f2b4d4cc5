// `ballast robot pong` and `ballast robot ping` (n3): round trips between two hosts, and one-way times as far
// as their clocks allow.
#include <fmt/format.h>

#include "ballast/base/errors.h"
#include "ballast/robot/harness/clock_offset.h"
#include "ballast/robot/harness/schedule.h"
#include "ballast/robot/harness/synthetic_graph.h"
#include "ballast/robot/node/executable.h"
#include "ballast/robot/verbs/verbs.h"

namespace ballast::robot {
namespace {

constexpr const char* kThere = "/ballast_ping/there";
constexpr const char* kBack = "/ballast_ping/back";
constexpr const char* kType = "sensor_msgs/msg/Image";

struct PingOptions {
  std::size_t bytes = 1024, rounds = 1000;
  double rate_hz = 100, wait_s = 20;
  std::vector<std::string> peers;
};

ros::ContextOptions with_peers(ros::ContextOptions options, const std::vector<std::string>& peers) {
  options.peers.insert(options.peers.end(), peers.begin(), peers.end());
  if (!peers.empty()) options.range = ros::Range::subnet;
  return options;
}

/// Sends every message back with its own time as the stamp, from the receive thread.
void pong(const ros::ContextOptions& options) {
  ros::Context context(options);
  ros::RawPublisher back(context, kBack, kType, {});
  ros::RawSubscription there(context, kThere, kType, {}, [&](ros::RawSubscription& in) {
    while (auto sample = in.take()) {
      const auto now = ros::realtime_ns();
      ros::Bytes bytes(sample->payload().begin(), sample->payload().end());
      ros::write_stamp(bytes, now);
      back.publish(bytes);
    }
  });
  fmt::print(stderr, "answering pings; Ctrl-C ends it\n");
  while (!cli::interrupted()) {
    const timespec pause{0, 50'000'000};
    ::nanosleep(&pause, nullptr);
  }
}

void ping(const PingOptions& options, const ros::ContextOptions& context_options, const cli::Common& common) {
  ros::Context context(context_options);
  ros::RawPublisher there(context, kThere, kType, {});
  ros::RawSubscription back(context, kBack, kType, {});
  MonotonicClock clock;
  const auto limit = clock.now_ns() + static_cast<std::int64_t>(options.wait_s * 1e9);
  while (there.matched() == 0 || back.matched() == 0) {
    cli::stop_if_interrupted();
    if (clock.now_ns() > limit)
      throw Unavailable(
          fmt::format("nobody answers on domain {} within {:g} s: start `ballast robot pong` there, with "
                      "the same --domain, and give --peer HOST where multicast does not pass",
                      context_options.domain_id, options.wait_s));
    clock.sleep_until(clock.now_ns() + 5'000'000);
  }
  auto message = synthetic_streams(options.bytes)[0].messages[0];
  std::vector<ClockExchange> exchanges;
  std::vector<std::int64_t> round_trips;
  std::size_t lost = 0;
  const auto period = static_cast<std::int64_t>(1e9 / options.rate_hz);
  std::int64_t due = clock.now_ns();
  for (std::size_t i = 0; i < options.rounds && !cli::interrupted(); ++i) {
    clock.sleep_until(due += period);
    message.back() = static_cast<std::uint8_t>(i);
    const auto wall = ros::realtime_ns(), sent = clock.now_ns();
    there.publish(message);
    const auto answer = back.take_within(std::chrono::seconds(1));
    const auto taken = clock.now_ns() - sent;
    std::int64_t remote = 0;
    if (!answer || !ros::read_stamp(answer->payload(), remote)) {
      ++lost;
      continue;
    }
    round_trips.push_back(taken);
    exchanges.push_back({wall, wall + taken, remote});
  }
  if (exchanges.empty()) throw Unavailable("no ping was answered");
  const auto summary = summarise(round_trips);
  const auto ways = one_way(exchanges);
  const auto offset = estimate_offset(exchanges);
  Table table(
      fmt::format("{} round trips of {} B, {} lost (measured); clocks differ by {:.3f} ms +- {:.3f} ms",
                  round_trips.size(), options.bytes, lost, static_cast<double>(offset.offset_ns) * 1e-6,
                  ways.uncertainty_ms),
      {"what", "median ms", "p99 ms", "max ms"});
  table.row({"round trip", fmt::format("{:.4f}", summary.median_ms), fmt::format("{:.4f}", summary.p99_ms),
             fmt::format("{:.4f}", summary.max_ms)});
  const char* label = ways.measured ? "measured" : "half of the round trip: clocks are not known to 10 %";
  table.row({fmt::format("there ({})", label), fmt::format("{:.4f}", ways.there_ms), "", ""});
  table.row({fmt::format("back ({})", label), fmt::format("{:.4f}", ways.back_ms), "", ""});
  if (common.for_people()) table.print(stdout);
  common.write_json({{"schema", "ballast.robot.ping/1"},
                     {"bytes", options.bytes},
                     {"lost", lost},
                     {"round_trip", to_json(summary)},
                     {"one_way",
                      {{"measured", ways.measured},
                       {"there_ms", ways.there_ms},
                       {"back_ms", ways.back_ms},
                       {"uncertainty_ms", ways.uncertainty_ms},
                       {"drift_ms", ways.drift_ms}}},
                     {"offset_ms", static_cast<double>(offset.offset_ns) * 1e-6}});
}

}  // namespace

void add_ping(cli::Program& program) {
  auto options = std::make_shared<PingOptions>();
  auto verb = program.verb("ping", "round trips to another host that runs pong (n3)",
                           {"ballast robot ping --range subnet --rounds 10000",
                            "ballast robot ping --peer 192.168.1.7 --bytes 65536 --rate 50"});
  const auto domain = add_domain_flags(verb);
  verb->add_option("--bytes", options->bytes, "of a message")->check(CLI::Range(1, 64 << 20));
  verb->add_option("--rounds", options->rounds, "messages")->check(CLI::PositiveNumber);
  verb->add_option("--rate", options->rate_hz, "messages a second")->check(CLI::PositiveNumber);
  verb->add_option("--wait", options->wait_s, "seconds until somebody must have answered")
      ->check(CLI::PositiveNumber);
  verb->add_option("--peer", options->peers, "address of the other host (unicast discovery)");
  verb.run([options, domain](const cli::Common& common) {
    cli::catch_interrupts();
    ping(*options, with_peers(domain->options(), options->peers), common);
  });

  auto peers = std::make_shared<std::vector<std::string>>();
  auto answer =
      program.verb("pong", "answers the pings of another host (n3)",
                   {"ballast robot pong --range subnet", "ballast robot pong --peer 192.168.1.6 --domain 7"});
  const auto answer_domain = add_domain_flags(answer);
  answer->add_option("--peer", *peers, "address of the other host (unicast discovery)");
  answer.run([peers, answer_domain](const cli::Common&) {
    cli::catch_interrupts();
    pong(with_peers(answer_domain->options(), *peers));
  });
}

}  // namespace ballast::robot
