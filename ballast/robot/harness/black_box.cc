#include "ballast/robot/harness/black_box.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <thread>

#include "ballast/base/cli.h"
#include "ballast/base/errors.h"
#include "ballast/robot/node/executable.h"
#include "ballast/robot/wire/cdr_walk.h"

namespace ballast::robot {
namespace {

constexpr std::int64_t kLeadIn = 50'000'000;         // between arming the monitors and the first send
constexpr std::int64_t kDrainQuiet = 1'000'000'000;  // nothing for so long ends the drain
constexpr std::int64_t kDrainLimit = 10'000'000'000;

bool has_header(const std::string& type) {
  const auto* description = ros::TypeLibrary::standard().find(type);
  if (!description) return true;  // unknown: the payload is stamped at the place of a header's stamp
  return !description->fields.empty() && description->fields[0].type.nested == "std_msgs/msg/Header";
}

std::uint64_t free_memory() {
  struct sysinfo info;
  if (::sysinfo(&info) != 0) return UINT64_MAX;
  return (info.freeram + info.bufferram) * std::uint64_t{info.mem_unit};
}

/// The message's number into an integer field of its payload.
void write_number(ros::Bytes& message, const ros::Place& place, std::uint64_t number) {
  std::memcpy(message.data() + place.offset, &number, ros::wire_size(place.type.kind));
}

void pause_ms(int milliseconds) {
  std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
}

}  // namespace

/// Receives on a thread of the middleware: the time first, then the key.
class BlackBox::Monitor {
 public:
  Monitor(ros::Context& context, const TopicSpec& spec)
      : spec_(spec),
        subscription_(context, spec.topic, spec.type, spec.qos, [this](auto& in) { arrived(in); }) {}

  void arm(std::size_t capacity, std::size_t keep) {
    const std::lock_guard lock(mutex_);
    records_.assign(capacity, {});
    used_.store(0);
    overflow_ = false;
    outputs_.clear();
    output_keys_.clear();
    keep_ = keep;
    last_ns_.store(0);
  }

  std::size_t used() const { return used_.load(); }
  std::int64_t last_ns() const { return last_ns_.load(); }
  bool overflow() const { return overflow_; }
  int matched() const { return subscription_.matched(); }
  const TopicSpec& spec() const { return spec_; }

  std::vector<Received> records() {
    const std::lock_guard lock(mutex_);
    return {records_.begin(), records_.begin() + static_cast<std::ptrdiff_t>(used_.load())};
  }
  std::vector<ros::Bytes> take_outputs() {
    const std::lock_guard lock(mutex_);
    return std::move(outputs_);
  }
  std::vector<std::int64_t> take_output_keys() {
    const std::lock_guard lock(mutex_);
    return std::move(output_keys_);
  }

 private:
  void arrived(ros::RawSubscription& in) {
    const std::int64_t now = ros::monotonic_ns();
    while (auto sample = in.take()) {
      const std::int64_t key = key_of(sample->payload());
      const std::lock_guard lock(mutex_);
      const std::size_t at = used_.load(std::memory_order_relaxed);
      last_ns_.store(now);
      if (at == records_.size()) {
        overflow_ = !records_.empty();
        continue;
      }
      records_[at] = {key, now};
      if (outputs_.size() < keep_) {
        outputs_.emplace_back(sample->payload().begin(), sample->payload().end());
        output_keys_.push_back(key);
      }
      used_.store(at + 1);
    }
  }

  std::int64_t key_of(ros::ByteView payload) {
    std::int64_t key = INT64_MIN;
    try {
      if (spec_.key.starts_with("user:")) {
        const auto place = ros::locate(ros::TypeLibrary::standard(), spec_.type, payload,
                                       std::string_view(spec_.key).substr(5));
        const std::size_t size = ros::wire_size(place.type.kind);
        std::uint64_t raw = 0;
        if (place.offset + size <= payload.size()) std::memcpy(&raw, payload.data() + place.offset, size);
        key = static_cast<std::int64_t>(raw);
      } else {
        ros::read_stamp(payload, key);
      }
    } catch (const InvalidInput&) {
      return INT64_MIN;  // counted as unmatched
    }
    return key;
  }

  TopicSpec spec_;
  std::mutex mutex_;
  std::vector<Received> records_;
  std::atomic<std::size_t> used_{0};
  std::atomic<std::int64_t> last_ns_{0};
  std::atomic<bool> overflow_{false};
  std::size_t keep_ = 0;
  std::vector<ros::Bytes> outputs_;
  std::vector<std::int64_t> output_keys_;
  ros::RawSubscription subscription_;  // last: its callback uses all of the above
};

std::vector<std::string> broken_rules(const Analysis& analysis, const ArrivalOptions& arrival,
                                      const ResourceUse& resources, std::int64_t realtime_step_ns) {
  std::vector<std::string> broken;
  const double period_ms = 1e3 / arrival.rate_hz;
  if (analysis.lateness_p99_ms > 0.05 * period_ms)
    broken.push_back(fmt::format("send lateness p99 {:.3f} ms is over 5 % of the period of {:.3f} ms",
                                 analysis.lateness_p99_ms, period_ms));
  if (std::abs(analysis.rate_error) > 0.01)
    broken.push_back(fmt::format("the send rate is off by {:.2f} %", 100 * analysis.rate_error));
  if (std::abs(realtime_step_ns) > 1'000'000)
    broken.push_back(
        fmt::format("CLOCK_REALTIME stepped by {:.3f} ms", static_cast<double>(realtime_step_ns) * 1e-6));
  if (resources.steal_percent > 2)
    broken.push_back(fmt::format("the hypervisor stole {:.1f} % of the CPU time", resources.steal_percent));
  if (analysis.service.count > 0 && analysis.service.min_ms < 0) broken.push_back("a latency is negative");
  return broken;
}

BlackBox::BlackBox(ros::Context& context, std::vector<Stream> streams, std::vector<TopicSpec> monitors)
    : context_(context), streams_(std::move(streams)), monitor_specs_(std::move(monitors)), cache_(context) {
  if (streams_.empty()) throw InvalidInput("a test without input streams");
  if (monitor_specs_.empty()) throw InvalidInput("a test without monitors");
  std::size_t frames = 0;
  std::uint64_t bytes = 0;
  for (const auto& stream : streams_) {
    for (const auto& message : stream.messages) bytes += message.size();
    if (stream.messages.empty())
      throw InvalidInput(fmt::format("stream {} has no messages", stream.topic.topic));
    if (stream.once) continue;
    if (frames != 0 && stream.messages.size() != frames)
      throw InvalidInput(fmt::format("stream {} has {} messages, another {}: a frame group needs one of each",
                                     stream.topic.topic, stream.messages.size(), frames));
    frames = stream.messages.size();
    if (stream.stamped && !has_header(stream.topic.type))
      throw InvalidInput(fmt::format(
          "{} of type {} has no header to carry the key: give its output `key: order` (only without loss) or "
          "`key: user:<field path>`",
          stream.topic.topic, stream.topic.type));
  }
  if (bytes > free_memory() / 2)
    throw Unavailable(
        fmt::format("the buffered messages take {} MiB, more than half of the free memory", bytes >> 20));
  for (const auto& stream : streams_) {
    ros::QosProfile qos = stream.topic.qos;
    if (stream.once) qos = ros::QosProfile::transient_local(1);
    // A best-effort reader matches a reliable writer; offering reliable lets both kinds of readers match.
    qos.reliability = ros::Reliability::reliable;
    publishers_.push_back(std::make_unique<ros::RawPublisher>(
        context, stream.topic.topic, stream.topic.type, qos,
        ros::EndpointOptions{.plain_name = false, .type_hash = {}, .node = "/ballast_playback"}));
  }
  for (const auto& spec : monitor_specs_) monitors_.push_back(std::make_unique<Monitor>(context, spec));
}

BlackBox::~BlackBox() = default;

void BlackBox::wait_ready(Sut& sut, std::chrono::milliseconds limit) {
  std::optional<std::string> ended;
  const auto ready = [&](const ros::Graph&) {
    ended = sut.ended();
    if (ended) return true;
    return std::all_of(publishers_.begin(), publishers_.end(),
                       [](const auto& p) { return p->matched() > 0; }) &&
           std::all_of(monitors_.begin(), monitors_.end(), [](const auto& m) { return m->matched() > 0; });
  };
  const bool good = cache_.wait_until(ready, limit);
  if (ended) throw Unavailable("the system under test did not start: " + *ended);
  if (good) return;
  const auto graph = cache_.snapshot();
  std::vector<std::string> problems;
  for (std::size_t i = 0; i < streams_.size(); ++i) {
    if (publishers_[i]->matched() > 0) continue;
    const auto& topic = streams_[i].topic;
    problems.push_back(ros::explain_mismatch(graph, topic.topic, topic.type, topic.qos, false));
  }
  for (const auto& monitor : monitors_) {
    if (monitor->matched() > 0) continue;
    const auto& topic = monitor->spec();
    problems.push_back(ros::explain_mismatch(graph, topic.topic, topic.type, topic.qos, true));
  }
  std::erase(problems, "");
  if (problems.empty()) problems.push_back("endpoints exist but discovery has not matched them");
  throw Unavailable(fmt::format("the graph was not complete after {} s: {}",
                                std::chrono::duration<double>(limit).count(), fmt::join(problems, "; ")));
}

Run BlackBox::run(const RunOptions& options, Sut& sut) {
  const Schedule schedule = make_schedule(options.arrival, options.count, options.seed);
  std::size_t frames = 1;
  for (const auto& stream : streams_)
    if (!stream.once) frames = stream.messages.size();
  if (!once_sent_) {
    for (std::size_t i = 0; i < streams_.size(); ++i)
      if (streams_[i].once) publishers_[i]->publish(streams_[i].messages[0]);
    once_sent_ = true;
  }
  Run run;
  run.arrival = options.arrival;
  run.sent.reserve(options.count);
  for (auto& monitor : monitors_) monitor->arm(options.count * 2 + 64, options.keep_outputs);

  std::vector<std::vector<ros::Place>> key_places(streams_.size());  // found before the run: a walk a message
  for (std::size_t s = 0; s < streams_.size(); ++s)
    if (!streams_[s].key_path.empty())
      for (const auto& message : streams_[s].messages)
        key_places[s].push_back(
            ros::locate(ros::TypeLibrary::standard(), streams_[s].topic.type, message, streams_[s].key_path));

  MonotonicClock clock;
  const auto before = snapshot_resources(sut.pids());
  energy_.start();
  const std::int64_t clock_offset = ros::realtime_ns() - clock.now_ns();
  const std::int64_t start = clock.now_ns() + kLeadIn;
  std::int64_t last_key = 0;
  std::optional<std::string> died;
  for (std::size_t i = 0; i < options.count; ++i) {
    const std::int64_t intended = start + schedule.intended_ns[i];
    const std::int64_t key = std::max(intended + clock_offset, last_key + 1);
    last_key = key;
    const std::size_t frame = frame_index(options.playback, i, frames);
    for (auto& stream : streams_)
      if (!stream.once && stream.stamped) ros::write_stamp(stream.messages[frame], key);
    for (std::size_t s = 0; s < streams_.size(); ++s)
      if (!key_places[s].empty()) write_number(streams_[s].messages[frame], key_places[s][frame], i);
    clock.sleep_until(intended);
    run.sent.push_back({key, intended, clock.now_ns()});
    for (std::size_t s = 0; s < streams_.size(); ++s)
      if (!streams_[s].once) publishers_[s]->publish(streams_[s].messages[frame]);
    if (i % 64 == 63) {
      cli::stop_if_interrupted();
      died = sut.ended();
      if (died) break;
    }
  }
  const std::int64_t sent_all = clock.now_ns();
  std::int64_t drain_end = sent_all;
  for (;;) {  // DRAIN
    drain_end = clock.now_ns();
    const bool all = std::all_of(monitors_.begin(), monitors_.end(),
                                 [&](const auto& monitor) { return monitor->used() >= run.sent.size(); });
    std::int64_t last = sent_all;
    for (const auto& monitor : monitors_) last = std::max(last, monitor->last_ns());
    if (all || drain_end - last > kDrainQuiet || drain_end - sent_all > kDrainLimit) break;
    if (!died) died = sut.ended();
    if (died) break;
    pause_ms(2);
  }
  run.energy = energy_.stop();
  const auto after = snapshot_resources(sut.pids());
  run.resources = difference(before, after);
  run.duration_s = static_cast<double>(sent_all - start) * 1e-9;
  const std::int64_t step = ros::realtime_ns() - clock.now_ns() - clock_offset;

  for (auto& monitor : monitors_) {
    const auto& key = monitor->spec().key;
    AnalysisOptions analysis{.key = key == "order"   ? KeyMode::order
                                    : key == "stamp" ? KeyMode::stamp
                                                     : KeyMode::user,
                             .drain_end_ns = drain_end,
                             .rate_hz = options.arrival.rate_hz,
                             .deadline_ms = options.deadline_ms};
    run.received.push_back(monitor->records());
    if (analysis.key == KeyMode::user)  // such keys count up with the messages
      for (std::size_t i = 0; i < run.sent.size(); ++i) run.sent[i].key = static_cast<std::int64_t>(i);
    try {
      run.analyses.push_back(analyse(run.sent, run.received.back(), analysis));
    } catch (const InvalidInput& error) {  // keys by order after a loss
      run.invalid.push_back(error.what());
      run.analyses.emplace_back();
      run.analyses.back().counts = {.sent = run.sent.size(), .lost = run.sent.size()};
    }
    run.outputs.push_back(monitor->take_outputs());
    run.output_keys.push_back(monitor->take_output_keys());
    if (monitor->overflow()) run.invalid.push_back("more outputs than the monitor has room for");
    if (run.received.back().empty()) {
      const auto& topic = monitor->spec();
      const auto why = ros::explain_mismatch(cache_.snapshot(), topic.topic, topic.type, topic.qos, true);
      run.invalid.push_back(
          fmt::format("nothing was received on {}{}{}", topic.topic, why.empty() ? "" : ": ", why));
    }
  }
  for (auto& rule : broken_rules(run.analyses[0], options.arrival, run.resources, step))
    run.invalid.push_back(std::move(rule));
  if (died) run.invalid.push_back("the system under test died: " + *died);
  for (const auto& stream : streams_) {
    const auto graph = cache_.snapshot();
    if (graph.writers(stream.topic.topic).size() > 1)
      run.invalid.push_back(fmt::format("another publisher of {} is on the domain", stream.topic.topic));
  }
  return run;
}

}  // namespace ballast::robot
