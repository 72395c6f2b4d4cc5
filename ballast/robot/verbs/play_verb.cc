// `ballast robot play BAG` and `ballast robot record`.
#include <fmt/format.h>

#include <atomic>
#include <map>

#include "ballast/base/errors.h"
#include "ballast/robot/bag/bag.h"
#include "ballast/robot/harness/schedule.h"
#include "ballast/robot/node/executable.h"
#include "ballast/robot/verbs/listen.h"
#include "ballast/robot/verbs/verbs.h"

namespace ballast::robot {
namespace {

struct Buffered {
  std::size_t topic;
  std::int64_t time_ns;
  ros::Bytes data;
};

struct PlayOptions {
  std::string bag, mode = "timeline";
  std::vector<std::string> map;
  double rate_hz = 30, speed = 1, seconds = 0;
  std::size_t count = 0;
  bool stamp = false, recover = false;
};

struct RecordOptions {
  std::string folder, storage = "mcap", compression = "none";
  std::vector<std::string> topics;
  double seconds = 0;
  std::uint64_t count = 0;
};

std::map<std::string, std::string> renames(const std::vector<std::string>& words) {
  std::map<std::string, std::string> table;
  for (const auto& word : words) {
    const auto mark = word.find(":=");
    if (mark == std::string::npos) throw InvalidInput("--map", word, "OLD:=NEW");
    ros::check_full_name(word.substr(mark + 2));
    table[word.substr(0, mark)] = word.substr(mark + 2);
  }
  return table;
}

void play(const PlayOptions& options, const ros::ContextOptions& context_options) {
  cli::require_one_of("playback mode", options.mode, {"timeline", "looping", "sweeping"});
  const auto bag = bag::open(options.bag, {.recover = options.recover});
  const auto table = renames(options.map);
  for (const auto& [from, to] : table) bag->topic_index(from);
  // All in memory before the first is sent: nothing is read from a disk while others are timed.
  std::vector<Buffered> messages;
  while (const auto message = bag->next()) {
    const auto& name = bag->topics()[message->topic].name;
    if (!table.empty() && !table.contains(name)) continue;
    messages.push_back({message->topic, message->time_ns, {message->data.begin(), message->data.end()}});
  }
  if (messages.empty()) throw InvalidInput(options.bag + " holds no message of the wanted topics");
  ros::Context context(context_options);
  std::map<std::size_t, std::unique_ptr<ros::RawPublisher>> publishers;
  for (const auto& message : messages) {
    if (publishers.contains(message.topic)) continue;
    const auto& topic = bag->topics()[message.topic];
    const auto renamed = table.find(topic.name);
    publishers[message.topic] = std::make_unique<ros::RawPublisher>(
        context, renamed == table.end() ? topic.name : renamed->second, topic.type,
        bag::qos_from_yaml(topic.qos).value_or(ros::QosProfile{}),
        ros::EndpointOptions{.plain_name = false, .type_hash = topic.type_hash, .node = "/ballast_play"});
  }
  MonotonicClock clock;
  clock.sleep_until(clock.now_ns() + 500'000'000);  // discovery; readers that come later get what comes later
  const std::int64_t start = clock.now_ns();
  const bool timeline = options.mode == "timeline";
  const std::size_t total = options.count > 0 ? options.count : timeline ? messages.size() : SIZE_MAX;
  const Playback mode = options.mode == "sweeping" ? Playback::sweeping : Playback::looping;
  std::size_t sent = 0;
  for (; sent < total && !cli::interrupted(); ++sent) {
    auto& message = messages[frame_index(mode, sent, messages.size())];
    const double offset = timeline
                              ? static_cast<double>(message.time_ns - messages[0].time_ns) / options.speed
                              : static_cast<double>(sent) * 1e9 / options.rate_hz;
    const auto due = start + static_cast<std::int64_t>(offset);
    if (options.seconds > 0 && static_cast<double>(due - start) * 1e-9 > options.seconds) break;
    clock.sleep_until(due);
    if (options.stamp) ros::write_stamp(message.data, ros::realtime_ns());
    publishers.at(message.topic)->publish(message.data);
  }
  clock.sleep_until(clock.now_ns() + 200'000'000);  // reliable readers may still ask for what they missed
  fmt::print(stderr, "{} messages sent\n", sent);
}

void record(const RecordOptions& options, const ros::ContextOptions& context_options) {
  ros::Context context(context_options);
  std::vector<Found> found;
  for (const auto& topic : options.topics)
    found.push_back(find_topic(context, topic, std::chrono::seconds(10)));
  auto out = bag::create(options.folder, bag::storage_from_string(options.storage),
                         bag::compression_from_string(options.compression));
  std::mutex mutex;
  std::atomic<std::uint64_t> messages{0};
  std::vector<std::unique_ptr<ros::RawSubscription>> subscriptions;
  for (std::size_t i = 0; i < options.topics.size(); ++i) {
    const auto id = out->add_topic(
        {.name = options.topics[i], .type = found[i].type, .qos = bag::qos_to_yaml(found[i].qos)});
    subscriptions.push_back(std::make_unique<ros::RawSubscription>(
        context, options.topics[i], found[i].type, found[i].qos,
        [&, id](ros::RawSubscription& in) {
          while (auto sample = in.take()) {
            const std::lock_guard lock(mutex);
            if (options.count > 0 && messages >= options.count) return;
            out->write(id, ros::realtime_ns(), sample->payload());
            ++messages;
          }
        },
        ros::EndpointOptions{.plain_name = false, .type_hash = {}, .node = "/ballast_record"}));
  }
  const auto until = ros::monotonic_ns() + static_cast<std::int64_t>(options.seconds * 1e9);
  while (!cli::interrupted() && (options.seconds <= 0 || ros::monotonic_ns() < until) &&
         (options.count == 0 || messages < options.count)) {
    const timespec pause{0, 10'000'000};
    ::nanosleep(&pause, nullptr);
  }
  subscriptions.clear();
  out->finish();
  fmt::print(stderr, "{} messages of {} topics recorded in {}\n", messages.load(), options.topics.size(),
             options.folder);
}

}  // namespace

void add_play(cli::Program& program) {
  auto options = std::make_shared<PlayOptions>();
  auto verb =
      program.verb("play", "publishes a bag's messages",
                   {"ballast robot play r2b_storage --map /cam/image:=/image_raw --rate 30 --mode looping",
                    "ballast robot play drive.mcap --speed 0.5"});
  const auto domain = add_domain_flags(verb);
  verb->add_option("bag", options->bag, "folder or file")->required();
  verb->add_option("--map", options->map, "OLD:=NEW; only mapped topics are played when any is given");
  verb->add_option("--mode", options->mode, "timeline (recorded spacing), looping or sweeping");
  verb->add_option("--rate", options->rate_hz, "messages a second, of looping and sweeping")
      ->check(CLI::PositiveNumber);
  verb->add_option("--speed", options->speed, "factor of the timeline")->check(CLI::PositiveNumber);
  verb->add_option("--seconds", options->seconds, "stop after so long");
  verb->add_option("--count", options->count, "stop after so many messages");
  verb->add_flag("--stamp", options->stamp, "set header.stamp to the time of sending");
  verb->add_flag("--recover", options->recover, "play what is whole of a damaged bag");
  verb.run([options, domain](const cli::Common&) {
    cli::catch_interrupts();
    play(*options, domain->options());
  });
}

void add_record(cli::Program& program) {
  auto options = std::make_shared<RecordOptions>();
  auto verb = program.verb("record", "records topics of any type into a new bag",
                           {"ballast robot record /image_raw /camera_info -o bag --seconds 10",
                            "ballast robot record /scan -o bag --count 100 --compression zstd"});
  const auto domain = add_domain_flags(verb);
  verb->add_option("topics", options->topics, "full names")->required();
  verb->add_option("-o,--output", options->folder, "folder of the new bag")->required();
  verb->add_option("--storage", options->storage, "sqlite3 or mcap");
  verb->add_option("--compression", options->compression, "none, zstd or lz4");
  verb->add_option("--seconds", options->seconds, "stop after so long (default: Ctrl-C)");
  verb->add_option("--count", options->count, "stop after so many messages");
  verb.run([options, domain](const cli::Common&) {
    cli::catch_interrupts();
    record(*options, domain->options());
  });
}

}  // namespace ballast::robot
