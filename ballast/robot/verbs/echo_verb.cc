// `ballast robot echo TOPIC`: messages of any type as JSON; `hz TOPIC`: how often they come.
#include <fmt/format.h>

#include "ballast/base/errors.h"
#include "ballast/base/statistics.h"
#include "ballast/robot/node/executable.h"
#include "ballast/robot/verbs/listen.h"
#include "ballast/robot/verbs/verbs.h"
#include "ballast/robot/wire/cdr_walk.h"

namespace ballast::robot {
namespace {

struct EchoOptions {
  std::string topic;
  int count = 1;
  double timeout_s = 10;
  double seconds = 5;
  std::size_t elements = 16;
};

std::chrono::nanoseconds seconds(double value) {
  return std::chrono::nanoseconds(static_cast<std::int64_t>(value * 1e9));
}

}  // namespace

void add_echo(cli::Program& program) {
  auto options = std::make_shared<EchoOptions>();
  auto verb =
      program.verb("echo", "prints messages of a topic as JSON, whatever their type",
                   {"ballast robot echo /camera_info", "ballast robot echo /scan --count 10 --elements 4"});
  const auto domain = add_domain_flags(verb);
  verb->add_option("topic", options->topic, "full name of the topic")->required();
  verb->add_option("--count", options->count, "messages to print; 0: until Ctrl-C")
      ->check(CLI::Range(0, 1 << 30));
  verb->add_option("--timeout", options->timeout_s, "seconds to wait for each message");
  verb->add_option("--elements", options->elements, "elements of a sequence that are shown");
  verb.run([options, domain](const cli::Common& common) {
    cli::catch_interrupts();
    ros::Context context(domain->options());
    const auto limit = seconds(options->timeout_s);
    const Found found =
        find_topic(context, options->topic, std::chrono::duration_cast<std::chrono::milliseconds>(limit));
    if (!ros::TypeLibrary::standard().find(found.type))
      throw InvalidInput("message type", found.type,
                         "one that this program knows (`ballast robot list --types`)");
    ros::RawSubscription in(context, options->topic, found.type, found.qos, {},
                            {.plain_name = false, .type_hash = {}, .node = "/ballast_echo"});
    Json messages = Json::array();
    for (int i = 0; options->count == 0 || i < options->count; ++i) {
      std::optional<ros::Sample> sample;
      const auto until = std::chrono::steady_clock::now() + limit;
      while (!sample && std::chrono::steady_clock::now() < until && !cli::interrupted())
        sample = in.take_within(std::chrono::milliseconds(100));
      if (cli::interrupted()) break;
      if (!sample)
        throw Unavailable(fmt::format("no message on {} within {} s", options->topic, options->timeout_s));
      const Json message = ros::cdr_to_json(ros::TypeLibrary::standard(), found.type, sample->payload(),
                                            {.elements = options->elements});
      if (common.for_people()) {
        fmt::print("{}\n---\n", message.dump(2));
        std::fflush(stdout);
      }
      if (common.json) messages.push_back(message);
    }
    common.write_json({{"schema", "ballast.robot.echo/1"},
                       {"topic", options->topic},
                       {"type", found.type},
                       {"messages", messages}});
  });
}

void add_hz(cli::Program& program) {
  auto options = std::make_shared<EchoOptions>();
  auto verb = program.verb("hz", "how often messages of a topic come, and how evenly",
                           {"ballast robot hz /image_raw", "ballast robot hz /scan --seconds 20 --json"});
  const auto domain = add_domain_flags(verb);
  verb->add_option("topic", options->topic, "full name of the topic")->required();
  verb->add_option("--seconds", options->seconds, "how long to measure")->check(CLI::Range(0.1, 86400.0));
  verb.run([options, domain](const cli::Common& common) {
    cli::catch_interrupts();
    ros::Context context(domain->options());
    const Found found = find_topic(context, options->topic, std::chrono::seconds(10));
    std::mutex mutex;
    std::vector<std::int64_t> arrivals;
    std::uint64_t bytes = 0;
    ros::RawSubscription in(context, options->topic, found.type, found.qos,
                            [&](ros::RawSubscription& subscription) {
                              const auto now = ros::monotonic_ns();
                              while (auto sample = subscription.take()) {
                                const std::lock_guard lock(mutex);
                                arrivals.push_back(now);
                                bytes += sample->payload().size();
                              }
                            },
                            {.plain_name = false, .type_hash = {}, .node = "/ballast_hz"});
    const auto until = ros::monotonic_ns() + seconds(options->seconds).count();
    while (ros::monotonic_ns() < until && !cli::interrupted()) {
      const timespec pause{0, 20'000'000};
      ::nanosleep(&pause, nullptr);
    }
    const std::lock_guard lock(mutex);
    if (arrivals.size() < 2)
      throw Unavailable(fmt::format("{} messages on {} within {} s: no rate", arrivals.size(), options->topic,
                                    options->seconds));
    std::vector<double> gaps_ms;
    for (std::size_t i = 1; i < arrivals.size(); ++i)
      gaps_ms.push_back(static_cast<double>(arrivals[i] - arrivals[i - 1]) * 1e-6);
    const double span = static_cast<double>(arrivals.back() - arrivals.front()) * 1e-9;
    const double hz = static_cast<double>(arrivals.size() - 1) / span;
    if (common.for_people())
      fmt::print(
          "{}: {:.3f} Hz over {} messages of {} bytes (measured); gaps {:.3f} / {:.3f} / {:.3f} ms (min, "
          "median, max)\n",
          options->topic, hz, arrivals.size(), bytes / arrivals.size(), quantile(gaps_ms, 0), median(gaps_ms),
          quantile(gaps_ms, 1));
    common.write_json({{"schema", "ballast.robot.hz/1"},
                       {"topic", options->topic},
                       {"type", found.type},
                       {"hz", hz},
                       {"messages", arrivals.size()},
                       {"bytes", bytes},
                       {"gap_ms",
                        {{"min", quantile(gaps_ms, 0)},
                         {"median", median(gaps_ms)},
                         {"p99", quantile(gaps_ms, 0.99)},
                         {"max", quantile(gaps_ms, 1)}}}});
  });
}

}  // namespace ballast::robot
