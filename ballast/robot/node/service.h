// Services as ROS 2 has them over Cyclone DDS: a request topic rq/NAMERequest and a reply topic rr/NAMEReply,
// whose messages begin with the client's identity and a sequence number (rmw_cyclonedds). Fast DDS carries
// both elsewhere (related sample identity), so that services do not pass between the vendors;
// check_service_vendor() says so.
//
//   ros::Service<std_srvs::SetBool> flag(node, "/flag", [&](const auto& request) { return Response{...}; });
//   ros::Client<std_srvs::SetBool> client(context, "/flag");
//   auto answer = client.call({.data = true}, 2s);          // nullopt: no answer in time
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <optional>
#include <string>

#include "ballast/robot/node/node.h"
#include "ballast/robot/wire/graph_cache.h"

namespace ballast::ros {

/// What crosses the wire: the header of the dialect, then the request or response.
template <typename Body>
struct ServiceFrame {
  static constexpr const char* kType = Body::kType;
  std::uint64_t client = 0;
  std::int64_t sequence = 0;
  Body body;
  template <typename Self, typename Visitor>
  static void visit(Self& self, Visitor&& visitor) {
    visitor("client", self.client);
    visitor("sequence", self.sequence);
    Body::visit(self.body, visitor);
  }
};

/// "clientid=01.10....;" or "serviceid=...;": the participant's GUID prefix and a counter, 16 bytes in dots.
std::string service_identity(const std::string& key, const Guid& participant, std::uint32_t counter);
/// Endpoint options of one end of a service.
EndpointOptions service_endpoint(Context& context, const std::string& key, const std::string& body_type,
                                 const std::string& node);
/// Throws InvalidInput naming the vendor when an endpoint of this service on the domain is not Cyclone's.
void check_service_vendor(const Graph& graph, const std::string& service);

template <typename Type>
class Service : public Executable {
 public:
  using Request = typename Type::Request;
  using Response = typename Type::Response;
  using Handler = std::function<Response(const Request&)>;

  Service(Node& node, const std::string& name, Handler handler)
      : process_(node.process()),
        handler_(std::move(handler)),
        replies_(process_.context(), service_reply_to_dds(node.topic(name)), Response::kType,
                 QosProfile::services(),
                 service_endpoint(process_.context(), "serviceid", Response::kType, node.name())),
        requests_(
            process_.context(), service_request_to_dds(node.topic(name)), Request::kType,
            QosProfile::services(),
            [this](RawSubscription&) {
              waiting_.store(true);
              process_.executor().notify(*this);
            },
            service_endpoint(process_.context(), "serviceid", Request::kType, node.name())) {
    trace::service_init(this, node.name(), node.topic(name));
    process_.executor().add(*this);
  }
  ~Service() override { process_.executor().remove(*this); }

  bool ready(std::int64_t) const override { return waiting_.load(); }
  void execute() override {
    waiting_.store(false);
    auto sample = requests_.take();
    if (!sample) return;
    waiting_.store(true);
    ServiceFrame<Request> request;
    try {
      deserialize_into(sample->payload(), request);
    } catch (const InvalidInput&) {
      malformed_.fetch_add(1);
      return;
    }
    trace::callback_start(this, false);
    ServiceFrame<Response> reply{request.client, request.sequence, handler_(request.body)};
    trace::callback_end(this);
    Bytes bytes;
    serialize_into(reply, bytes);
    replies_.publish(bytes);
  }
  std::uint64_t malformed() const { return malformed_.load(); }

 private:
  Composition& process_;
  Handler handler_;
  std::atomic<bool> waiting_{false};
  std::atomic<std::uint64_t> malformed_{0};
  RawPublisher replies_;
  RawSubscription requests_;  // last: its callback uses all of the above
};

/// Calls from any thread but the executor's own; one call at a time.
template <typename Type>
class Client {
 public:
  using Request = typename Type::Request;
  using Response = typename Type::Response;

  Client(Context& context, const std::string& service, const std::string& node = {})
      : requests_(context, service_request_to_dds(service), Request::kType, QosProfile::services(),
                  service_endpoint(context, "clientid", Request::kType, node)),
        replies_(context, service_reply_to_dds(service), Response::kType, QosProfile::services(), {},
                 service_endpoint(context, "clientid", Response::kType, node)) {
    for (const std::uint8_t byte : requests_.guid()) identity_ = identity_ * 0x100000001b3u + byte;
  }

  /// Whether both ends of a server are matched.
  bool available() const { return requests_.matched() > 0 && replies_.matched() > 0; }
  std::optional<Response> call(const Request& request, std::chrono::nanoseconds limit) {
    const ServiceFrame<Request> frame{identity_, ++sequence_, request};
    Bytes bytes;
    serialize_into(frame, bytes);
    requests_.publish(bytes);
    const auto until = monotonic_ns() + limit.count();
    for (auto now = monotonic_ns(); now < until; now = monotonic_ns()) {
      const auto sample = replies_.take_within(std::chrono::nanoseconds(until - now));
      if (!sample) continue;
      ServiceFrame<Response> reply;
      deserialize_into(sample->payload(), reply);
      // Replies to other clients, and late ones to earlier calls, are not ours.
      if (reply.client == identity_ && reply.sequence == sequence_) return std::move(reply.body);
    }
    return std::nullopt;
  }

 private:
  RawPublisher requests_;
  RawSubscription replies_;
  std::uint64_t identity_ = 0xcbf29ce484222325u;
  std::int64_t sequence_ = 0;
};

}  // namespace ballast::ros
