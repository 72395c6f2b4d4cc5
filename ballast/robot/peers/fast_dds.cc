#include "ballast/robot/peers/fast_dds.h"

#include <fmt/format.h>
#include <unistd.h>

#include <fastdds/rtps/transport/UDPv4TransportDescriptor.h>
#include <fastrtps/utils/IPLocator.h>
#include <cstring>
#include <fastdds/dds/domain/DomainParticipant.hpp>
#include <fastdds/dds/domain/DomainParticipantFactory.hpp>
#include <fastdds/dds/publisher/DataWriter.hpp>
#include <fastdds/dds/publisher/DataWriterListener.hpp>
#include <fastdds/dds/publisher/Publisher.hpp>
#include <fastdds/dds/subscriber/DataReader.hpp>
#include <fastdds/dds/subscriber/SampleInfo.hpp>
#include <fastdds/dds/subscriber/Subscriber.hpp>
#include <fastdds/dds/topic/TopicDataType.hpp>
#include <fastdds/rtps/flowcontrol/FlowControllerDescriptor.hpp>
#include <thread>

#include "ballast/base/errors.h"
#include "ballast/robot/harness/schedule.h"
#include "ballast/robot/harness/sut.h"
#include "ballast/robot/harness/synthetic_graph.h"
#include "ballast/robot/wire/names.h"

namespace ballast::robot {
namespace {

namespace dds = eprosima::fastdds::dds;
namespace rtps = eprosima::fastrtps::rtps;

using Payload = std::vector<std::uint8_t>;
constexpr std::uint32_t kLargest = 32 << 20;
/// Images leave as bursts that a receive buffer of Linux's default size (208 kB) holds. Without them a sample
/// of 15 fragments loses some on such a machine, and Fast DDS asks for acknowledgement every 3 s only.
constexpr const char* kFlow = "bursts";
constexpr std::int32_t kBurstBytes = 192'000;

/// Any ROS 2 type as its bytes, encapsulation included.
class BlobType : public dds::TopicDataType {
 public:
  explicit BlobType(const std::string& name) {
    setName(name.c_str());
    m_typeSize = kLargest;
    m_isGetKeyDefined = false;
    auto_fill_type_information(false);
    auto_fill_type_object(false);
  }
  bool serialize(void* data, rtps::SerializedPayload_t* payload) override {
    const auto& bytes = *static_cast<const Payload*>(data);
    if (bytes.size() > payload->max_size) return false;
    std::memcpy(payload->data, bytes.data(), bytes.size());
    payload->length = static_cast<std::uint32_t>(bytes.size());
    payload->encapsulation = CDR_LE;
    return true;
  }
  bool deserialize(rtps::SerializedPayload_t* payload, void* data) override {
    static_cast<Payload*>(data)->assign(payload->data, payload->data + payload->length);
    return true;
  }
  std::function<std::uint32_t()> getSerializedSizeProvider(void* data) override {
    return [data] { return static_cast<std::uint32_t>(static_cast<Payload*>(data)->size()); };
  }
  void* createData() override { return new Payload; }
  void deleteData(void* data) override { delete static_cast<Payload*>(data); }
  bool getKey(void*, rtps::InstanceHandle_t*, bool) override { return false; }
};

template <typename T>
T* made(T* object, const std::string& what) {
  if (!object) throw Unavailable("Fast DDS cannot make " + what);
  return object;
}

}  // namespace

struct FastDds::Impl {
  dds::DomainParticipant* participant = nullptr;
  dds::Publisher* publisher = nullptr;
  dds::Subscriber* subscriber = nullptr;
  dds::DataWriter* writer = nullptr;
  dds::DataReader* reader = nullptr;

  dds::Topic* topic(const std::string& name, const std::string& type) {
    const std::string dds_type = ros::type_to_dds(type);
    dds::TypeSupport support(new BlobType(dds_type));
    support.register_type(participant);
    return made(participant->create_topic(ros::topic_to_dds(name), dds_type, dds::TOPIC_QOS_DEFAULT),
                "topic " + name);
  }
};

bool has_fast_dds() {
  return true;
}

FastDds::FastDds(std::uint32_t domain) : impl_(std::make_unique<Impl>()) {
  dds::DomainParticipantQos qos;
  auto udp = std::make_shared<eprosima::fastdds::rtps::UDPv4TransportDescriptor>();
  udp->interfaceWhiteList.push_back("127.0.0.1");
  udp->sendBufferSize = udp->receiveBufferSize = 4 << 20;
  qos.transport().use_builtin_transports = false;
  qos.transport().user_transports.push_back(udp);
  rtps::Locator_t local;
  rtps::IPLocator::setIPv4(local, "127.0.0.1");
  qos.wire_protocol().builtin.initialPeersList.push_back(local);
  auto flow = std::make_shared<eprosima::fastdds::rtps::FlowControllerDescriptor>();
  flow->name = kFlow;
  flow->max_bytes_per_period = kBurstBytes;
  flow->period_ms = 1;
  qos.flow_controllers().push_back(flow);
  impl_->participant =
      made(dds::DomainParticipantFactory::get_instance()->create_participant(static_cast<int>(domain), qos),
           fmt::format("a participant of domain {}", domain));
  impl_->publisher = made(impl_->participant->create_publisher(dds::PUBLISHER_QOS_DEFAULT), "a publisher");
  impl_->subscriber =
      made(impl_->participant->create_subscriber(dds::SUBSCRIBER_QOS_DEFAULT), "a subscriber");
}

FastDds::~FastDds() {
  impl_->participant->delete_contained_entities();
  dds::DomainParticipantFactory::get_instance()->delete_participant(impl_->participant);
}

void FastDds::open_writer(const std::string& topic, const std::string& type) {
  dds::DataWriterQos qos;
  qos.reliability().kind = dds::RELIABLE_RELIABILITY_QOS;
  qos.history().kind = dds::KEEP_LAST_HISTORY_QOS;
  qos.history().depth = 10;
  qos.publish_mode().kind = dds::ASYNCHRONOUS_PUBLISH_MODE;
  qos.publish_mode().flow_controller_name = kFlow;
  qos.reliable_writer_qos().times.heartbeatPeriod = eprosima::fastrtps::Duration_t(0.02);
  qos.endpoint().history_memory_policy = rtps::PREALLOCATED_WITH_REALLOC_MEMORY_MODE;
  impl_->writer =
      made(impl_->publisher->create_datawriter(impl_->topic(topic, type), qos), "a writer of " + topic);
}

void FastDds::open_reader(const std::string& topic, const std::string& type) {
  dds::DataReaderQos qos;
  qos.reliability().kind = dds::RELIABLE_RELIABILITY_QOS;
  qos.history().kind = dds::KEEP_LAST_HISTORY_QOS;
  qos.history().depth = 10;
  qos.endpoint().history_memory_policy = rtps::PREALLOCATED_WITH_REALLOC_MEMORY_MODE;
  impl_->reader =
      made(impl_->subscriber->create_datareader(impl_->topic(topic, type), qos), "a reader of " + topic);
}

int FastDds::matched_readers() const {
  dds::PublicationMatchedStatus status;
  impl_->writer->get_publication_matched_status(status);
  return status.current_count;
}
int FastDds::matched_writers() const {
  dds::SubscriptionMatchedStatus status;
  impl_->reader->get_subscription_matched_status(status);
  return status.current_count;
}

void FastDds::publish(const Payload& payload) {
  if (!impl_->writer->write(const_cast<Payload*>(&payload))) throw Unavailable("Fast DDS refused a message");
}

std::optional<Payload> FastDds::take_within(std::chrono::milliseconds limit) {
  const auto until = std::chrono::steady_clock::now() + limit;
  Payload payload;
  dds::SampleInfo info;
  for (;;) {
    if (impl_->reader->take_next_sample(&payload, &info) ==
        eprosima::fastrtps::types::ReturnCode_t::RETCODE_OK) {
      if (info.valid_data) return payload;
      continue;
    }
    const auto left = std::chrono::duration<double>(until - std::chrono::steady_clock::now()).count();
    if (left <= 0) return std::nullopt;
    impl_->reader->wait_for_unread_message(eprosima::fastrtps::Duration_t(left));
  }
}

void fast_echo(std::uint32_t domain) {
  FastDds echo(domain);
  echo.open_writer("/out", "sensor_msgs/msg/Image");
  echo.open_reader("/in", "sensor_msgs/msg/Image");
  while (::getppid() != 1)
    if (const auto payload = echo.take_within(std::chrono::milliseconds(500))) echo.publish(*payload);
}

LatencySummary fast_ping(std::uint32_t domain, std::size_t bytes, std::size_t rounds) {
  Sut child = Sut::command({own_program(), "fast-echo", "--domain", std::to_string(domain)}, domain);
  FastDds ping(domain);
  ping.open_writer("/in", "sensor_msgs/msg/Image");
  ping.open_reader("/out", "sensor_msgs/msg/Image");
  MonotonicClock clock;
  const auto limit = clock.now_ns() + 20'000'000'000;
  while (ping.matched_readers() == 0 || ping.matched_writers() == 0) {
    if (clock.now_ns() > limit) throw Unavailable("the Fast DDS echo was not discovered within 20 s");
    clock.sleep_until(clock.now_ns() + 1'000'000);
  }
  const auto message = synthetic_streams(bytes)[0].messages[0];
  std::vector<std::int64_t> latencies;
  for (std::size_t i = 0; i < rounds; ++i) {
    const auto sent = clock.now_ns();
    ping.publish(message);
    if (ping.take_within(std::chrono::seconds(1))) latencies.push_back(clock.now_ns() - sent);
  }
  return summarise(std::move(latencies));
}

}  // namespace ballast::robot
