// Nodes, publishers, subscriptions and timers of our own components, after rclcpp's model.
//
//   ros::Composition process(context, ExecutorOptions::parse("single"));
//   ros::Node node(process, "/rectify");
//   auto out = node.publisher<sensor_msgs::Image>("/image_rect", {});
//   node.subscribe<sensor_msgs::Image>("/image_raw", {}, [&](auto image) { out->publish(work(*image)); });
//   process.spin();
//
// Within one Composition messages are handed over as shared pointers, never serialized; DDS carries them only
// to other processes. What a callback costs is seen by the tracepoints of trace/points.h.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <typeindex>
#include <vector>

#include "ballast/robot/node/executor.h"
#include "ballast/robot/trace/points.h"
#include "ballast/robot/wire/dds.h"
#include "ballast/robot/wire/names.h"

namespace ballast::ros {

namespace internal {

/// One end of the intra-process hand-over: takes any message of its topic as a type-erased shared pointer.
class IntraReceiver {
 public:
  virtual ~IntraReceiver() = default;
  virtual void accept(std::shared_ptr<const void> message) = 0;
};

/// Which receivers listen to which topic within one Composition.
class IntraProcess {
 public:
  void add(const std::string& topic, std::type_index type, IntraReceiver& receiver);
  void remove(const std::string& topic, IntraReceiver& receiver);
  /// Hands the message to all receivers of this topic and type; returns how many there are.
  std::size_t deliver(const std::string& topic, std::type_index type,
                      const std::shared_ptr<const void>& message);

 private:
  struct Entry {
    std::type_index type;
    IntraReceiver* receiver;
  };
  std::mutex mutex_;
  std::map<std::string, std::vector<Entry>> topics_;
};

}  // namespace internal

/// The nodes of one process: a participant, an executor, the intra-process hand-over.
class Composition {
 public:
  Composition(Context& context, const ExecutorOptions& executor, bool intra_process = true);

  void spin() { executor_->spin(); }
  void stop() { executor_->stop(); }
  Context& context() { return context_; }
  Executor& executor() { return *executor_; }
  internal::IntraProcess& intra() { return intra_; }
  bool intra_process() const { return intra_process_; }

 private:
  Context& context_;
  std::unique_ptr<Executor> executor_;
  internal::IntraProcess intra_;
  bool intra_process_;
};

template <typename Message>
class Publisher {
 public:
  Publisher(Composition& process, const std::string& node, const std::string& topic, const QosProfile& qos)
      : process_(process),
        raw_(process.context(), topic, Message::kType, qos,
             {.plain_name = false, .type_hash = {}, .node = node, .ignore_local = process.intra_process()}) {
    trace::publisher_init(this, node, topic, qos.depth);
  }

  void publish(std::shared_ptr<const Message> message) {
    trace::publish(this, message.get());
    if (process_.intra_process()) process_.intra().deliver(raw_.topic(), typeid(Message), message);
    if (raw_.matched() > 0) {
      Bytes bytes;
      serialize_into(*message, bytes);
      const auto stamp = realtime_ns();
      trace::rmw_publish(this, message.get(), stamp);
      raw_.publish(bytes, stamp);
    }
  }
  void publish(Message message) { publish(std::make_shared<const Message>(std::move(message))); }
  int matched() const { return raw_.matched(); }

 private:
  Composition& process_;
  RawPublisher raw_;
};

template <typename Message>
class Subscription : public Executable, private internal::IntraReceiver {
 public:
  using Callback = std::function<void(std::shared_ptr<const Message>)>;

  Subscription(Composition& process, const std::string& node, const std::string& topic, const QosProfile& qos,
               Callback callback)
      : process_(process),
        topic_(topic),
        callback_(std::move(callback)),
        depth_(qos.history == History::keep_all ? SIZE_MAX : static_cast<std::size_t>(qos.depth)),
        raw_(process.context(), topic, Message::kType, qos, [this](RawSubscription&) { arrived(); },
             {.plain_name = false, .type_hash = {}, .node = node, .ignore_local = process.intra_process()}) {
    trace::subscription_init(this, node, topic, qos.depth);
    if (process.intra_process()) process.intra().add(topic, typeid(Message), *this);
    process.executor().add(*this);
  }
  ~Subscription() override {
    process_.executor().remove(*this);
    if (process_.intra_process()) process_.intra().remove(topic_, *this);
  }

  bool ready(std::int64_t) const override { return dds_data_.load() || intra_data_.load(); }

  void execute() override {
    if (auto message = take_intra()) return call(std::move(message), true);
    // Cleared before the take, so that an arrival in between sets it again; a successful take may leave more.
    dds_data_.store(false);
    auto sample = raw_.take();
    if (!sample) return;
    dds_data_.store(true);
    auto message = std::make_shared<Message>();
    try {
      deserialize_into(sample->payload(), *message);
    } catch (const InvalidInput&) {
      malformed_.fetch_add(1);
      return;
    }
    trace::take(this, message.get(), sample->source_timestamp_ns());
    call(std::move(message), false);
  }

  /// Messages that a newer one pushed out of the intra-process queue.
  std::uint64_t overwritten() const { return overwritten_.load(); }
  /// Payloads from DDS that were no message of this type.
  std::uint64_t malformed() const { return malformed_.load(); }
  int matched() const { return raw_.matched(); }

 private:
  void accept(std::shared_ptr<const void> message) override {
    {
      const std::lock_guard lock(mutex_);
      const bool overwritten = queue_.size() >= depth_;
      if (overwritten) {
        queue_.pop_front();
        overwritten_.fetch_add(1);
      }
      queue_.push_back(std::static_pointer_cast<const Message>(std::move(message)));
      trace::ring_buffer_enqueue(this, entered_++, queue_.size(), overwritten);
      intra_data_.store(true);
    }
    process_.executor().notify(*this);
  }

  std::shared_ptr<const Message> take_intra() {
    if (!intra_data_.load()) return nullptr;
    const std::lock_guard lock(mutex_);
    if (queue_.empty()) return nullptr;
    auto message = std::move(queue_.front());
    queue_.pop_front();
    intra_data_.store(!queue_.empty());
    trace::ring_buffer_dequeue(this, entered_ - queue_.size() - 1, queue_.size());
    return message;
  }

  void arrived() {
    dds_data_.store(true);
    process_.executor().notify(*this);
  }

  void call(std::shared_ptr<const Message> message, bool intra) {
    trace::callback_start(this, intra);
    callback_(std::move(message));
    trace::callback_end(this);
  }

  Composition& process_;
  std::string topic_;
  Callback callback_;
  std::size_t depth_;
  std::mutex mutex_;
  std::deque<std::shared_ptr<const Message>> queue_;
  std::uint64_t entered_ = 0;  ///< messages that were ever put into the queue
  std::atomic<bool> intra_data_{false}, dds_data_{false};
  std::atomic<std::uint64_t> overwritten_{0}, malformed_{0};
  RawSubscription raw_;  // last: its callbacks use all of the above
};

/// Fires at start + k * period on CLOCK_MONOTONIC; missed periods are skipped and counted, as rclcpp does.
class Timer : public Executable {
 public:
  Timer(Composition& process, std::int64_t period_ns, std::function<void()> callback);
  ~Timer() override;
  bool ready(std::int64_t now_ns) const override { return now_ns >= next_.load(); }
  std::int64_t wakes_at() const override { return next_.load(); }
  void execute() override;
  std::uint64_t skipped() const { return skipped_; }

 private:
  Composition& process_;
  std::int64_t period_;
  std::function<void()> callback_;
  std::atomic<std::int64_t> next_;
  std::uint64_t skipped_ = 0;
};

/// A name, its endpoints, and one mutually exclusive callback group unless told otherwise.
class Node {
 public:
  /// `name` is full ("/ns/name").
  Node(Composition& process, const std::string& name);
  ~Node();
  Node(const Node&) = delete;

  const std::string& name() const { return name_; }
  Composition& process() { return process_; }
  /// Topics are renamed by this table before use.
  void remap(std::map<std::string, std::string> table) { remap_ = std::move(table); }
  std::string topic(const std::string& own_name) const;
  /// The priority of callbacks that are declared from now on.
  void set_priority(int priority) { priority_ = priority; }

  template <typename Message>
  std::shared_ptr<Publisher<Message>> publisher(const std::string& topic_name, const QosProfile& qos) {
    return std::make_shared<Publisher<Message>>(process_, name_, topic(topic_name), qos);
  }
  template <typename Message>
  std::shared_ptr<Subscription<Message>> subscribe(const std::string& topic_name, const QosProfile& qos,
                                                   typename Subscription<Message>::Callback callback,
                                                   CallbackGroup* group = nullptr) {
    auto made =
        std::make_shared<Subscription<Message>>(process_, name_, topic(topic_name), qos, std::move(callback));
    made->group = group ? group : &group_;
    made->priority = priority_;
    owned_.push_back(made);
    return made;
  }
  std::shared_ptr<Timer> timer(std::int64_t period_ns, std::function<void()> callback);

 private:
  Composition& process_;
  std::string name_;
  int priority_ = 0;
  CallbackGroup group_;
  std::map<std::string, std::string> remap_;
  std::vector<std::shared_ptr<Executable>> owned_;
};

}  // namespace ballast::ros
