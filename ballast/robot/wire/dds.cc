#include "ballast/robot/wire/dds.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <cstdlib>
#include <map>
#include <sstream>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"
#include <dds/dds.h>
#pragma GCC diagnostic pop

#include "ballast/base/cli.h"
#include "ballast/base/errors.h"
#include "ballast/robot/wire/announcer.h"
#include "ballast/robot/wire/blob.h"
#include "ballast/robot/wire/names.h"
#include "ballast/robot/wire/type_description.h"

namespace ballast::ros {
namespace {

std::int32_t checked(std::int32_t entity, const std::string& what) {
  if (entity < 0) throw Unavailable(fmt::format("{}: DDS says: {}", what, dds_strretcode(-entity)));
  return entity;
}

/// An entity made from a domain may not outlive it, and a domain may be made once a process: counted here.
struct Domains {
  std::mutex mutex;
  std::map<std::uint32_t, std::pair<std::int32_t, int>> open;
};
Domains& domains() {
  static Domains instance;  // Cyclone's own domains are a process-wide registry: this mirrors it
  return instance;
}

struct QosDeleter {
  void operator()(dds_qos_t* qos) const { dds_delete_qos(qos); }
};
using QosPointer = std::unique_ptr<dds_qos_t, QosDeleter>;

dds_duration_t duration(const Lease& lease) {
  return lease ? lease->count() : DDS_INFINITY;
}

QosPointer make_qos(const QosProfile& profile, bool writer) {
  if (profile.history == History::keep_last && profile.depth < 1)
    throw InvalidInput("QoS depth", std::to_string(profile.depth), "at least 1 with keep_last");
  QosPointer qos(dds_create_qos());
  const auto history = profile.history == History::keep_all ? DDS_HISTORY_KEEP_ALL : DDS_HISTORY_KEEP_LAST;
  dds_qset_history(qos.get(), history, profile.depth);
  dds_qset_reliability(
      qos.get(),
      profile.reliability == Reliability::reliable ? DDS_RELIABILITY_RELIABLE : DDS_RELIABILITY_BEST_EFFORT,
      DDS_INFINITY);
  const bool transient = profile.durability == Durability::transient_local;
  dds_qset_durability(qos.get(), transient ? DDS_DURABILITY_TRANSIENT_LOCAL : DDS_DURABILITY_VOLATILE);
  if (transient && writer)
    dds_qset_durability_service(qos.get(), 0, history, profile.depth, DDS_LENGTH_UNLIMITED,
                                DDS_LENGTH_UNLIMITED, DDS_LENGTH_UNLIMITED);
  dds_qset_deadline(qos.get(), duration(profile.deadline));
  if (writer) {
    dds_qset_lifespan(qos.get(), duration(profile.lifespan));
    dds_qset_writer_data_lifecycle(qos.get(), false);
  }
  dds_qset_liveliness(
      qos.get(),
      profile.liveliness == Liveliness::automatic ? DDS_LIVELINESS_AUTOMATIC : DDS_LIVELINESS_MANUAL_BY_TOPIC,
      duration(profile.liveliness_lease));
  const dds_data_representation_id_t representation = DDS_DATA_REPRESENTATION_XCDR1;
  dds_qset_data_representation(qos.get(), 1, &representation);
  return qos;
}

void set_user_data(dds_qos_t* qos, const Context& context, const std::string& type,
                   const EndpointOptions& options) {
  if (!options.user_data.empty()) dds_qset_userdata(qos, options.user_data.data(), options.user_data.size());
  if (context.options().dialect != Dialect::iron_plus || options.plain_name) return;
  std::string hash = options.type_hash;
  const auto& library = TypeLibrary::standard();
  if (hash.empty() && library.find(type)) hash = ros::type_hash(library, type);
  if (hash.empty()) return;
  const std::string text = "typehash=" + hash + ";";
  dds_qset_userdata(qos, text.data(), text.size());
}

std::int32_t make_topic(Context& context, const std::string& topic, const std::string& type,
                        const EndpointOptions& options, const ddsi_sertype** used) {
  const std::string dds_name = options.plain_name ? topic : topic_to_dds(topic);
  ddsi_sertype* sertype = internal::new_blob_type(type_to_dds(type));
  const std::int32_t entity = checked(
      dds_create_topic_sertype(context.participant(), dds_name.c_str(), &sertype, nullptr, nullptr, nullptr),
      fmt::format("topic {} of type {}", topic, type));
  if (used) *used = sertype;
  return entity;
}

Guid guid_of(std::int32_t entity) {
  dds_guid_t raw;
  checked(dds_get_guid(entity, &raw), "GUID");
  Guid guid;
  std::copy(std::begin(raw.v), std::end(raw.v), guid.begin());
  return guid;
}

}  // namespace

std::string to_string(const Guid& guid) {
  std::string text;
  for (std::size_t i = 0; i < guid.size(); ++i)
    text += fmt::format("{}{:02x}", i > 0 && i % 4 == 0 ? ":" : "", guid[i]);
  return text;
}

ContextOptions ContextOptions::from_environment() {
  ContextOptions options;
  if (const char* text = std::getenv("ROS_DOMAIN_ID"); text && *text) {
    char* end = nullptr;
    const long value = std::strtol(text, &end, 10);
    if (*end != 0 || value < 0 || value > 232) throw InvalidInput("ROS_DOMAIN_ID", text, "0 to 232");
    options.domain_id = static_cast<std::uint32_t>(value);
  }
  if (const char* text = std::getenv("ROS_LOCALHOST_ONLY"); text && std::string(text) == "0")
    options.range = Range::subnet;
  if (const char* text = std::getenv("ROS_AUTOMATIC_DISCOVERY_RANGE"); text && *text) {
    const std::string range = text;
    cli::require_one_of("ROS_AUTOMATIC_DISCOVERY_RANGE", range,
                        {"SUBNET", "LOCALHOST", "OFF", "SYSTEM_DEFAULT"});
    options.range = range == "SUBNET" ? Range::subnet : Range::localhost;
  }
  if (const char* text = std::getenv("ROS_STATIC_PEERS"); text && *text) {
    std::istringstream peers(text);
    for (std::string peer; std::getline(peers, peer, ';');)
      if (!peer.empty()) options.peers.push_back(peer);
  }
  return options;
}

std::string cyclone_config(const ContextOptions& options) {
  std::string general, peers;
  if (options.range == Range::localhost) {
    general +=
        "<Interfaces><NetworkInterface name=\"lo\" multicast=\"false\"/></Interfaces>"
        "<AllowMulticast>false</AllowMulticast>";
    peers += "<Peer Address=\"localhost\"/>";
  }
  for (const auto& peer : options.peers) peers += fmt::format("<Peer Address=\"{}\"/>", peer);
  std::string internals;
  if (options.tuning.large_messages) {
    general += "<MaxMessageSize>65500B</MaxMessageSize><FragmentSize>64000B</FragmentSize>";
    internals += fmt::format("<Internal><SocketReceiveBufferSize max=\"{}\"/></Internal>",
                             options.tuning.receive_buffer);
  }
  return fmt::format(
      "<General>{}</General><Discovery><ParticipantIndex>auto</ParticipantIndex>"
      "<MaxAutoParticipantIndex>{}</MaxAutoParticipantIndex>{}</Discovery>{}",
      general, options.tuning.max_participants, peers.empty() ? "" : fmt::format("<Peers>{}</Peers>", peers),
      internals);
}

Sample::Sample(ddsi_serdata* blob, std::int64_t source_timestamp, std::uint64_t writer)
    : blob_(blob), source_timestamp_(source_timestamp), writer_(writer) {}
Sample::~Sample() {
  if (blob_) internal::release_blob(blob_);
}
Sample::Sample(Sample&& other) noexcept
    : blob_(std::exchange(other.blob_, nullptr)),
      source_timestamp_(other.source_timestamp_),
      writer_(other.writer_) {}
Sample& Sample::operator=(Sample&& other) noexcept {
  std::swap(blob_, other.blob_);
  source_timestamp_ = other.source_timestamp_;
  writer_ = other.writer_;
  return *this;
}
ByteView Sample::payload() const {
  return internal::blob_bytes(blob_);
}

Context::Context(ContextOptions options) : options_(std::move(options)) {
  if (options_.domain_id > 232)
    throw InvalidInput("domain", std::to_string(options_.domain_id),
                       "0 to 232 (RTPS port numbers end there)");
  {
    const std::lock_guard lock(domains().mutex);
    auto& [entity, users] = domains().open[options_.domain_id];
    if (users == 0) {
      std::string config = cyclone_config(options_);
      if (const char* own = std::getenv("CYCLONEDDS_URI"); own && *own) config += std::string(",") + own;
      const std::int32_t made = dds_create_domain(options_.domain_id, config.c_str());
      if (made < 0)
        throw Unavailable(fmt::format("DDS domain {} cannot be opened: {} (is CYCLONEDDS_URI right?)",
                                      options_.domain_id, dds_strretcode(-made)));
      entity = made;
    }
    ++users;
    domain_ = entity;
  }
  QosPointer qos(dds_create_qos());
  const std::string user_data = fmt::format("enclave={};", options_.enclave);
  dds_qset_userdata(qos.get(), user_data.data(), user_data.size());
  participant_ = checked(dds_create_participant(options_.domain_id, qos.get(), nullptr),
                         fmt::format("a participant of domain {}", options_.domain_id));
  if (options_.announce_nodes) announcer_ = std::make_unique<NodeAnnouncer>(*this);
}

Context::~Context() {
  announcer_.reset();
  dds_delete(participant_);
  const std::lock_guard lock(domains().mutex);
  auto& [entity, users] = domains().open[options_.domain_id];
  if (--users == 0) {
    dds_delete(entity);
    domains().open.erase(options_.domain_id);
  }
}

Guid Context::guid() const {
  return guid_of(participant_);
}

RawPublisher::RawPublisher(Context& context, const std::string& topic, const std::string& type,
                           const QosProfile& qos, const EndpointOptions& options)
    : context_(context), topic_(topic), type_(type), node_(options.node) {
  topic_entity_ = make_topic(context, topic, type, options, &sertype_);
  const auto writer_qos = make_qos(qos, true);
  set_user_data(writer_qos.get(), context, type, options);
  if (options.ignore_local) dds_qset_ignorelocal(writer_qos.get(), DDS_IGNORELOCAL_PARTICIPANT);
  writer_ = checked(dds_create_writer(context.participant(), topic_entity_, writer_qos.get(), nullptr),
                    "writer of " + topic);
  if (!node_.empty() && context.announcer()) context.announcer()->add_writer(node_, guid());
}

RawPublisher::~RawPublisher() {
  if (!node_.empty() && context_.announcer()) context_.announcer()->remove_writer(node_, guid());
  dds_delete(writer_);
  dds_delete(topic_entity_);
}

void RawPublisher::publish(ByteView payload) {
  publish(payload, dds_time());
}

void RawPublisher::publish(ByteView payload, std::int64_t source_timestamp_ns) {
  ddsi_serdata* blob = internal::new_blob(sertype_, payload);
  internal::set_timestamp(blob, source_timestamp_ns);
  const auto status = dds_forwardcdr(writer_, blob);
  if (status < 0)
    throw Unavailable(fmt::format("publishing {} bytes on {}: DDS says: {}", payload.size(), topic_,
                                  dds_strretcode(-status)));
}

int RawPublisher::matched() const {
  dds_publication_matched_status_t status;
  checked(dds_get_publication_matched_status(writer_, &status), "matched readers of " + topic_);
  return static_cast<int>(status.current_count);
}
Guid RawPublisher::guid() const {
  return guid_of(writer_);
}

RawSubscription::RawSubscription(Context& context, const std::string& topic, const std::string& type,
                                 const QosProfile& qos, OnData on_data, const EndpointOptions& options)
    : context_(context), topic_(topic), type_(type), node_(options.node), on_data_(std::move(on_data)) {
  topic_entity_ = make_topic(context, topic, type, options, nullptr);
  const auto reader_qos = make_qos(qos, false);
  set_user_data(reader_qos.get(), context, type, options);
  if (options.ignore_local) dds_qset_ignorelocal(reader_qos.get(), DDS_IGNORELOCAL_PARTICIPANT);
  dds_listener_t* listener = nullptr;
  if (on_data_) {
    listener = dds_create_listener(this);
    dds_lset_data_available(listener, [](dds_entity_t, void* self) {
      auto* subscription = static_cast<RawSubscription*>(self);
      if (subscription->reader_ != 0) subscription->on_data_(*subscription);
    });
  }
  // The listener is set once reader_ is known, so that no callback sees a half-made object.
  const auto reader = dds_create_reader(context.participant(), topic_entity_, reader_qos.get(), nullptr);
  reader_ = checked(reader, "reader of " + topic);
  if (listener) {
    dds_set_listener(reader_, listener);
    dds_delete_listener(listener);
  }
  waitset_ = checked(dds_create_waitset(context.participant()), "waitset");
  checked(dds_set_status_mask(reader_, DDS_DATA_AVAILABLE_STATUS), "status mask");
  checked(dds_waitset_attach(waitset_, reader_, 0), "waitset");
  if (!node_.empty() && context.announcer()) context.announcer()->add_reader(node_, guid());
}

RawSubscription::~RawSubscription() {
  if (!node_.empty() && context_.announcer()) context_.announcer()->remove_reader(node_, guid());
  dds_set_listener(reader_, nullptr);
  dds_delete(waitset_);
  dds_delete(reader_);
  dds_delete(topic_entity_);
}

std::optional<Sample> RawSubscription::take() {
  for (;;) {
    ddsi_serdata* blob = nullptr;
    dds_sample_info_t info;
    const auto count = dds_takecdr(reader_, &blob, 1, &info, DDS_ANY_STATE);
    if (count < 0) throw Unavailable(fmt::format("taking from {}: {}", topic_, dds_strretcode(-count)));
    if (count == 0) return std::nullopt;
    Sample sample(blob, info.source_timestamp, info.publication_handle);
    if (info.valid_data) return sample;
  }
}

std::optional<Sample> RawSubscription::take_within(std::chrono::nanoseconds timeout) {
  const dds_time_t until = dds_time() + timeout.count();
  for (;;) {
    if (auto sample = take()) return sample;
    if (dds_waitset_wait_until(waitset_, nullptr, 0, until) <= 0 && dds_time() >= until) return take();
  }
}

int RawSubscription::matched() const {
  dds_subscription_matched_status_t status;
  checked(dds_get_subscription_matched_status(reader_, &status), "matched writers of " + topic_);
  return static_cast<int>(status.current_count);
}
Guid RawSubscription::guid() const {
  return guid_of(reader_);
}
std::uint64_t RawSubscription::lost() const {
  dds_sample_lost_status_t status;
  checked(dds_get_sample_lost_status(reader_, &status), "lost samples of " + topic_);
  return status.total_count;
}

PrivateDomain::PrivateDomain() {
  // Ids 10..101 leave 0 to ordinary graphs and keep the ports below the ephemeral range of Linux.
  for (std::uint32_t attempt = 0; attempt < 92; ++attempt) {
    const std::uint32_t id = 10 + (static_cast<std::uint32_t>(::getpid()) * 7 + attempt) % 92;
    const std::string path = fmt::format("/tmp/ballast-dds-domain-{}.lock", id);
    const int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (descriptor < 0) continue;
    if (::flock(descriptor, LOCK_EX | LOCK_NB) == 0) {
      id_ = id;
      descriptor_ = descriptor;
      return;
    }
    ::close(descriptor);
  }
  throw Unavailable("all private DDS domains (10 to 101) are in use on this machine");
}

PrivateDomain::~PrivateDomain() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

}  // namespace ballast::ros
