#include "ballast/robot/wire/graph_cache.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"
#include <dds/dds.h>
#pragma GCC diagnostic pop

#include "ballast/base/errors.h"
#include "ballast/robot/wire/type_description.h"

namespace ballast::ros {
namespace {

Guid to_guid(const dds_guid_t& raw) {
  Guid guid;
  std::copy(std::begin(raw.v), std::end(raw.v), guid.begin());
  return guid;
}

std::string user_data(const dds_qos_t* qos) {
  void* data = nullptr;
  std::size_t size = 0;
  if (!qos || !dds_qget_userdata(qos, &data, &size) || !data) return "";
  std::string text(static_cast<const char*>(data), size);
  dds_free(data);
  return text;
}

/// The value behind "key=" up to ';'.
std::string user_value(const std::string& text, const std::string& key) {
  std::size_t at = 0;
  while (at < text.size()) {
    const auto end = std::min(text.find(';', at), text.size());
    const auto part = text.substr(at, end - at);
    if (part.starts_with(key + "=")) return part.substr(key.size() + 1);
    at = end + 1;
  }
  return "";
}

Lease to_lease(dds_duration_t duration) {
  if (duration == DDS_INFINITY) return std::nullopt;
  return std::chrono::nanoseconds(duration);
}

QosProfile to_profile(const dds_qos_t* qos) {
  QosProfile profile;
  dds_reliability_kind_t reliability;
  dds_duration_t time;
  if (dds_qget_reliability(qos, &reliability, &time))
    profile.reliability =
        reliability == DDS_RELIABILITY_RELIABLE ? Reliability::reliable : Reliability::best_effort;
  dds_durability_kind_t durability;
  if (dds_qget_durability(qos, &durability))
    profile.durability =
        durability == DDS_DURABILITY_VOLATILE ? Durability::volatile_ : Durability::transient_local;
  dds_history_kind_t history;
  std::int32_t depth;
  if (dds_qget_history(qos, &history, &depth)) {
    profile.history = history == DDS_HISTORY_KEEP_ALL ? History::keep_all : History::keep_last;
    profile.depth = depth;
  }
  if (dds_qget_deadline(qos, &time)) profile.deadline = to_lease(time);
  if (dds_qget_lifespan(qos, &time)) profile.lifespan = to_lease(time);
  dds_liveliness_kind_t liveliness;
  if (dds_qget_liveliness(qos, &liveliness, &time)) {
    profile.liveliness =
        liveliness == DDS_LIVELINESS_AUTOMATIC ? Liveliness::automatic : Liveliness::manual_by_topic;
    profile.liveliness_lease = to_lease(time);
  }
  return profile;
}

/// Calls `use` with every living sample of a builtin-topic reader; they stay in the reader.
template <typename Sample, typename Use>
void for_each_alive(std::int32_t reader, Use use) {
  constexpr std::size_t kMost = 1024;
  std::vector<void*> samples(kMost, nullptr);
  std::vector<dds_sample_info_t> infos(kMost);
  const auto count = dds_read_mask(reader, samples.data(), infos.data(), kMost, kMost,
                                   DDS_ANY_SAMPLE_STATE | DDS_ANY_VIEW_STATE | DDS_ALIVE_INSTANCE_STATE);
  if (count < 0) throw Unavailable(fmt::format("discovery: DDS says: {}", dds_strretcode(-count)));
  for (std::int32_t i = 0; i < count; ++i) {
    const auto at = static_cast<std::size_t>(i);
    if (infos[at].valid_data) use(*static_cast<const Sample*>(samples[at]));
  }
  if (count > 0) dds_return_loan(reader, samples.data(), count);
}

std::string full_node_name(const NodeEndpoints& node) {
  return node.name_space == "/" || node.name_space.empty() ? "/" + node.name
                                                           : node.name_space + "/" + node.name;
}

std::vector<const Endpoint*> select(const Graph& graph, const std::string& topic, bool writer) {
  std::vector<const Endpoint*> result;
  for (const auto& endpoint : graph.endpoints)
    if (endpoint.writer == writer && endpoint.kind == NameKind::topic && endpoint.name == topic)
      result.push_back(&endpoint);
  return result;
}

}  // namespace

std::string vendor_name(const Guid& guid) {
  const int vendor = guid[0] << 8 | guid[1];
  switch (vendor) {
    case 0x0101:
      return "RTI Connext";
    case 0x0102:
      return "OpenSplice";
    case 0x010f:
      return "Fast DDS";
    case 0x0110:
      return "Cyclone DDS";
    case 0x0112:
      return "RustDDS";
    default:
      return fmt::format("vendor {:02x}.{:02x}", guid[0], guid[1]);
  }
}

std::vector<const Endpoint*> Graph::writers(const std::string& topic) const {
  return select(*this, topic, true);
}
std::vector<const Endpoint*> Graph::readers(const std::string& topic) const {
  return select(*this, topic, false);
}

Json Graph::to_json() const {
  Json document{{"schema", "ballast.robot.graph/1"},
                {"participants", Json::array()},
                {"nodes", nodes},
                {"endpoints", Json::array()}};
  for (const auto& participant : participants)
    document["participants"].push_back({{"guid", to_string(participant.guid)},
                                        {"vendor", participant.vendor},
                                        {"enclave", participant.enclave}});
  for (const auto& endpoint : endpoints)
    document["endpoints"].push_back({{"guid", to_string(endpoint.guid)},
                                     {"role", endpoint.writer ? "writer" : "reader"},
                                     {"name", endpoint.name},
                                     {"dds_topic", endpoint.dds_topic},
                                     {"type", endpoint.type},
                                     {"type_hash", endpoint.type_hash},
                                     {"qos", to_string(endpoint.qos)},
                                     {"node", endpoint.node}});
  return document;
}

std::string explain_mismatch(const Graph& graph, const std::string& topic, const std::string& type,
                             const QosProfile& qos, bool wants_writer) {
  const auto candidates = wants_writer ? graph.writers(topic) : graph.readers(topic);
  const char* role = wants_writer ? "publisher" : "subscriber";
  if (candidates.empty()) {
    std::set<std::string> others;
    for (const auto& endpoint : graph.endpoints)
      if (endpoint.writer == wants_writer && endpoint.kind == NameKind::topic) others.insert(endpoint.name);
    return fmt::format(
        "topic {} has no {}{}", topic, role,
        others.empty() ? "" : fmt::format(" (there are some of: {})", fmt::join(others, ", ")));
  }
  std::string problem;
  for (const auto* endpoint : candidates) {
    if (endpoint->type != type) {
      problem = fmt::format("topic {}: a {} has type {}, not {}", topic, role, endpoint->type, type);
      continue;
    }
    if (const auto& library = TypeLibrary::standard(); !endpoint->type_hash.empty() && library.find(type)) {
      if (const auto own = type_hash(library, type); own != endpoint->type_hash) {
        problem = fmt::format("topic {}: type {} has hash {} there and {} here", topic, type,
                              endpoint->type_hash, own);
        continue;
      }
    }
    const auto conflict =
        wants_writer ? incompatibility(endpoint->qos, qos) : incompatibility(qos, endpoint->qos);
    if (!conflict) return "";
    problem = fmt::format("topic {}: QoS does not match in {}", topic, *conflict);
  }
  return problem;
}

GraphCache::GraphCache(Context& context) : context_(context) {
  dds_listener_t* listener = dds_create_listener(this);
  dds_lset_data_available(listener,
                          [](dds_entity_t, void* self) { static_cast<GraphCache*>(self)->changed(); });
  const auto make = [&](dds_entity_t topic) {
    const auto reader = dds_create_reader(context.participant(), topic, nullptr, listener);
    if (reader < 0) throw Unavailable(fmt::format("discovery reader: {}", dds_strretcode(-reader)));
    return reader;
  };
  participants_ = make(DDS_BUILTIN_TOPIC_DCPSPARTICIPANT);
  publications_ = make(DDS_BUILTIN_TOPIC_DCPSPUBLICATION);
  subscriptions_ = make(DDS_BUILTIN_TOPIC_DCPSSUBSCRIPTION);
  dds_delete_listener(listener);
  QosProfile qos = QosProfile::transient_local(1);
  qos.history = History::keep_all;
  discovery_ = std::make_unique<RawSubscription>(
      context, kDiscoveryTopic, kDiscoveryType, qos, [this](RawSubscription&) { changed(); },
      EndpointOptions{.plain_name = true});
}

GraphCache::~GraphCache() {
  discovery_.reset();
  for (const auto reader : {participants_, publications_, subscriptions_}) {
    dds_set_listener(reader, nullptr);
    dds_delete(reader);
  }
}

void GraphCache::changed() {
  {
    const std::lock_guard lock(mutex_);
    ++changes_;
  }
  wake_.notify_all();
}

Graph GraphCache::snapshot() {
  while (auto sample = discovery_->take()) {
    try {
      auto record = decode_discovery(sample->payload());
      records_[record.participant] = std::move(record);
    } catch (const InvalidInput&) {
      // A record that is none of ROS 2's: its endpoints are shown without node.
    }
  }
  Graph graph;
  std::set<Guid> alive;
  for_each_alive<dds_builtintopic_participant_t>(participants_, [&](const auto& raw) {
    const Guid guid = to_guid(raw.key);
    alive.insert(guid);
    graph.participants.push_back({guid, vendor_name(guid), user_value(user_data(raw.qos), "enclave")});
  });
  std::map<Guid, std::string> owner;
  for (const auto& [participant, record] : records_) {
    if (!alive.contains(participant)) continue;
    for (const auto& node : record.nodes) {
      const auto name = full_node_name(node);
      graph.nodes.push_back(name);
      for (const auto& guid : node.readers) owner[guid] = name;
      for (const auto& guid : node.writers) owner[guid] = name;
    }
  }
  std::sort(graph.nodes.begin(), graph.nodes.end());
  const auto read = [&](std::int32_t reader, bool writer) {
    for_each_alive<dds_builtintopic_endpoint_t>(reader, [&](const dds_builtintopic_endpoint_t& raw) {
      Endpoint endpoint{.guid = to_guid(raw.key),
                        .participant = to_guid(raw.participant_key),
                        .writer = writer,
                        .dds_topic = raw.topic_name,
                        .dds_type = raw.type_name};
      const auto name = from_dds(endpoint.dds_topic);
      endpoint.kind = name.kind;
      endpoint.name = name.name;
      endpoint.type = type_from_dds(endpoint.dds_type).value_or(endpoint.dds_type);
      endpoint.qos = to_profile(raw.qos);
      endpoint.type_hash = user_value(user_data(raw.qos), "typehash");
      if (const auto found = owner.find(endpoint.guid); found != owner.end()) endpoint.node = found->second;
      graph.endpoints.push_back(std::move(endpoint));
    });
  };
  read(publications_, true);
  read(subscriptions_, false);
  std::sort(graph.endpoints.begin(), graph.endpoints.end(), [](const Endpoint& a, const Endpoint& b) {
    return std::tie(a.name, b.writer, a.guid) < std::tie(b.name, a.writer, b.guid);
  });
  return graph;
}

bool GraphCache::wait_until(const std::function<bool(const Graph&)>& condition,
                            std::chrono::milliseconds limit) {
  const auto until = std::chrono::steady_clock::now() + limit;
  for (;;) {
    std::uint64_t seen;
    {
      const std::lock_guard lock(mutex_);
      seen = changes_;
    }
    if (condition(snapshot())) return true;
    std::unique_lock lock(mutex_);
    // Changes may be coalesced by the middleware: look again at least every 100 ms.
    const auto next = std::min(until, std::chrono::steady_clock::now() + std::chrono::milliseconds(100));
    wake_.wait_until(lock, next, [&] { return changes_ != seen; });
    if (std::chrono::steady_clock::now() >= until) {
      lock.unlock();
      return condition(snapshot());
    }
  }
}

}  // namespace ballast::ros
