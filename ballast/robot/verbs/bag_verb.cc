// `ballast robot bag info|convert|verify`.
#include "ballast/robot/bag/bag.h"

#include <fmt/format.h>

#include "ballast/base/errors.h"
#include "ballast/base/units.h"
#include "ballast/robot/verbs/verbs.h"
#include "ballast/robot/wire/cdr_walk.h"

namespace ballast::robot {
namespace {

struct BagOptions {
  std::string action, path, output, storage = "mcap", compression = "none";
  bool recover = false;
};

/// Types of the bag first, then the program's own.
const ros::TypeLibrary* library_of(const bag::Reader& bag, const std::string& type) {
  if (bag.types().find(type)) return &bag.types();
  return ros::TypeLibrary::standard().find(type) ? &ros::TypeLibrary::standard() : nullptr;
}

void info(const bag::Reader& bag, const cli::Common& common) {
  Table table(fmt::format("{} bag", bag.storage()), {"topic", "type", "messages", "QoS"});
  Json topics = Json::array();
  for (const auto& topic : bag.topics()) {
    const auto qos = bag::qos_from_yaml(topic.qos);
    table.row({topic.name, topic.type, std::to_string(topic.count), qos ? to_string(*qos) : "-"});
    topics.push_back({{"name", topic.name},
                      {"type", topic.type},
                      {"messages", topic.count},
                      {"serialization", topic.serialization}});
  }
  if (common.for_people()) table.print(stdout);
  common.write_json({{"schema", "ballast.robot.bag/1"},
                     {"storage", bag.storage()},
                     {"topics", topics},
                     {"warnings", bag.warnings()}});
}

void convert(bag::Reader& bag, const BagOptions& options) {
  if (options.output.empty()) throw InvalidInput("bag convert needs -o FOLDER");
  auto out = bag::create(options.output, bag::storage_from_string(options.storage),
                         bag::compression_from_string(options.compression));
  std::vector<std::size_t> topics;
  for (const auto& topic : bag.topics()) {
    const auto* library = library_of(bag, topic.type);
    topics.push_back(out->add_topic(topic, library ? *library : ros::TypeLibrary::standard()));
  }
  std::uint64_t messages = 0;
  while (const auto message = bag.next()) {
    cli::stop_if_interrupted();
    out->write(topics[message->topic], message->time_ns, message->data);
    ++messages;
  }
  out->finish();
  fmt::print(stderr, "{} messages of {} topics written to {}\n", messages, topics.size(), options.output);
}

/// Every payload is walked by its type's definition.
void verify(bag::Reader& bag, const cli::Common& common) {
  std::uint64_t good = 0, bad = 0, unknown = 0;
  std::string first;
  while (const auto message = bag.next()) {
    cli::stop_if_interrupted();
    const auto& topic = bag.topics()[message->topic];
    const auto* library = library_of(bag, topic.type);
    if (!library) {
      ++unknown;
      continue;
    }
    try {
      ros::check_payload(*library, topic.type, message->data);
      ++good;
    } catch (const InvalidInput& error) {
      if (bad++ == 0) first = fmt::format("{} at {}: {}", topic.name, message->time_ns, error.what());
    }
  }
  if (common.for_people())
    fmt::print("{} messages whole, {} damaged, {} of unknown type, {} warnings\n", good, bad, unknown,
               bag.warnings().size());
  common.write_json({{"schema", "ballast.robot.bag.verify/1"},
                     {"whole", good},
                     {"damaged", bad},
                     {"unknown", unknown},
                     {"first", first},
                     {"warnings", bag.warnings()}});
  if (bad > 0) {
    fmt::print(stderr, "ballast robot: {}\n", first);
    throw cli::Exit{1};
  }
}

}  // namespace

void add_bag(cli::Program& program) {
  auto options = std::make_shared<BagOptions>();
  auto verb = program.verb("bag", "info, convert or verify a rosbag2 folder, .mcap or .db3 file",
                           {"ballast robot bag info r2b_storage",
                            "ballast robot bag convert old.db3 -o new --storage mcap --compression zstd"});
  verb->add_option("action", options->action, "info, convert or verify")->required();
  verb->add_option("bag", options->path, "folder or file")->required();
  verb->add_option("-o,--output", options->output, "folder of the new bag");
  verb->add_option("--storage", options->storage, "sqlite3 or mcap");
  verb->add_option("--compression", options->compression, "none, zstd or lz4");
  verb->add_flag("--recover", options->recover, "keep what is whole of a damaged bag");
  verb.run([options](const cli::Common& common) {
    cli::catch_interrupts();
    cli::require_one_of("bag action", options->action, {"info", "convert", "verify"});
    const auto bag = bag::open(options->path, {.recover = options->recover});
    if (options->action == "info") info(*bag, common);
    if (options->action == "convert") convert(*bag, *options);
    if (options->action == "verify") verify(*bag, common);
    for (const auto& warning : bag->warnings()) fmt::print(stderr, "ballast robot: warning: {}\n", warning);
  });
}

}  // namespace ballast::robot
