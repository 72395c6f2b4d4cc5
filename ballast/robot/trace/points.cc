#include "ballast/robot/trace/points.h"

#include <fmt/format.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <mutex>
#include <sstream>

#include "ballast/base/cli.h"
#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/base/random.h"
#include "ballast/robot/trace/event.h"
#include "ballast/robot/trace/lttng.h"
#include "ballast/robot/trace/schema.h"

namespace ballast::trace {
namespace {

constexpr std::size_t kMaxValues = 4;
constexpr std::size_t kRecordsAThread = 1 << 17;

struct Record {
  std::int64_t time_ns;
  Point point;
  std::uint16_t values_used;
  std::uint32_t texts;  ///< index + 1 into the buffer's texts, or 0
  std::array<std::uint64_t, kMaxValues> values;
};

/// Written by one thread, read by collect_internal(): `used` is released after the record is whole.
struct ThreadBuffer {
  explicit ThreadBuffer(std::uint64_t id) : tid(id), records(std::make_unique<Record[]>(kRecordsAThread)) {}
  std::uint64_t tid;
  std::unique_ptr<Record[]> records;
  std::atomic<std::size_t> used{0};
  std::atomic<std::uint64_t> discarded{0};
  std::size_t collected = 0;
  std::mutex text_mutex;  ///< texts come with set-up events and operations' names only
  std::vector<std::pair<std::string, std::string>> texts;
  const char* last_text = nullptr;  ///< the last name's address: operations repeat theirs
  std::uint32_t last_index = 0;
};

struct Buffers {
  std::mutex mutex;
  std::vector<std::shared_ptr<ThreadBuffer>> all;
};
Buffers& buffers() {
  static Buffers instance;
  return instance;
}

ThreadBuffer& own_buffer() {
  thread_local const std::shared_ptr<ThreadBuffer> buffer = [] {
    auto made = std::make_shared<ThreadBuffer>(static_cast<std::uint64_t>(::syscall(SYS_gettid)));
    const std::lock_guard lock(buffers().mutex);
    buffers().all.push_back(made);
    return made;
  }();
  return *buffer;
}

std::int64_t now_ns() {
  timespec now;
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

void record_internal(Point point, std::initializer_list<std::uint64_t> values, std::string_view text,
                     std::string_view second) {
  ThreadBuffer& buffer = own_buffer();
  const std::size_t at = buffer.used.load(std::memory_order_relaxed);
  if (at == kRecordsAThread) {
    buffer.discarded.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  Record& record = buffer.records[at];
  record.time_ns = now_ns();
  record.point = point;
  record.values_used = static_cast<std::uint16_t>(std::min(values.size(), kMaxValues));
  std::copy_n(values.begin(), record.values_used, record.values.begin());
  record.texts = 0;
  if (!text.empty()) {
    if (second.empty() && text.data() == buffer.last_text) {
      record.texts = buffer.last_index;
    } else {
      const std::lock_guard lock(buffer.text_mutex);
      buffer.texts.emplace_back(text, second);
      record.texts = static_cast<std::uint32_t>(buffer.texts.size());
      buffer.last_text = second.empty() ? text.data() : nullptr;
      buffer.last_index = record.texts;
    }
  }
  buffer.used.store(at + 1, std::memory_order_release);
}

}  // namespace

namespace internal {

std::atomic<int> backend{0};

void emit(Point point, std::initializer_list<std::uint64_t> values, std::string_view text,
          std::string_view second_text) {
  if (selected_backend() == Backend::lttng) {
    lttng_emit(point, values, text, second_text);
  } else {
    record_internal(point, values, text, second_text);
  }
}

std::uint64_t handle_of(std::string_view name) {
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return mix64(hash);
}

}  // namespace internal

Backend backend_from_string(const std::string& word) {
  cli::require_one_of("tracer", word, {"off", "internal", "lttng"});
  if (word == "lttng" && !has_lttng())
    throw Unavailable(
        "this program was built without LTTng-UST: use --tracer internal, or install liblttng-ust-dev");
  return word == "off" ? Backend::off : word == "internal" ? Backend::internal : Backend::lttng;
}

void select_backend(Backend backend) {
  internal::backend.store(static_cast<int>(backend));
}
Backend selected_backend() {
  return static_cast<Backend>(internal::backend.load(std::memory_order_relaxed));
}

void node_init(const void* node, std::string_view full_name) {
  if (!active()) return;
  const auto slash = full_name.rfind('/');
  internal::emit(Point::rcl_node_init, {internal::handle_of(full_name), internal::handle_of(node)},
                 full_name.substr(slash + 1), slash == 0 ? "/" : full_name.substr(0, slash));
}

void publisher_init(const void* publisher, std::string_view node, std::string_view topic, int depth) {
  if (!active()) return;
  const auto handle = internal::handle_of(publisher);
  internal::emit(Point::rmw_publisher_init, {handle});
  internal::emit(Point::rcl_publisher_init,
                 {handle, internal::handle_of(node), handle, static_cast<std::uint64_t>(depth)}, topic);
}

void subscription_init(const void* subscription, std::string_view node, std::string_view topic, int depth) {
  if (!active()) return;
  const auto handle = internal::handle_of(subscription);
  internal::emit(Point::rmw_subscription_init, {handle});
  internal::emit(Point::rcl_subscription_init,
                 {handle, internal::handle_of(node), handle, static_cast<std::uint64_t>(depth)}, topic);
  internal::emit(Point::rclcpp_subscription_init, {handle, handle});
  internal::emit(Point::rclcpp_subscription_callback_added, {handle, handle});
  internal::emit(Point::rclcpp_callback_register, {handle}, topic);
}

void service_init(const void* service, std::string_view node, std::string_view name) {
  if (!active()) return;
  const auto handle = internal::handle_of(service);
  internal::emit(Point::rcl_service_init, {handle, internal::handle_of(node), handle}, name);
  internal::emit(Point::rclcpp_service_callback_added, {handle, handle});
  internal::emit(Point::rclcpp_callback_register, {handle}, name);
}

void timer_init(const void* timer, std::int64_t period_ns) {
  if (!active()) return;
  const auto handle = internal::handle_of(timer);
  internal::emit(Point::rcl_timer_init, {handle, static_cast<std::uint64_t>(period_ns)});
  internal::emit(Point::rclcpp_timer_callback_added, {handle, handle});
}

Trace collect_internal() {
  Trace trace;
  std::vector<std::shared_ptr<ThreadBuffer>> all;
  {
    const std::lock_guard lock(buffers().mutex);
    all = buffers().all;
  }
  for (const auto& buffer : all) {
    const std::size_t used = buffer->used.load(std::memory_order_acquire);
    const std::lock_guard lock(buffer->text_mutex);
    for (; buffer->collected < used; ++buffer->collected) {
      const Record& record = buffer->records[buffer->collected];
      const auto& schema = schema_of(record.point);
      Event event;
      event.time_ns = record.time_ns;
      event.pid = static_cast<std::uint64_t>(::getpid());
      event.tid = buffer->tid;
      for (std::size_t i = 0; i < record.values_used && i < schema.values.size(); ++i)
        event.values[schema.values[i]] = record.values[i];
      event.name = schema.name;
      if (record.texts > 0) {
        const auto& [first, second] = buffer->texts[record.texts - 1];
        if (event.name.front() == '_') {
          event.name = operation_event(first, record.point);
        } else {
          if (!schema.texts.empty()) event.texts[schema.texts[0]] = first;
          if (schema.texts.size() > 1) event.texts[schema.texts[1]] = second;
        }
      }
      trace.events.push_back(std::move(event));
    }
    trace.discarded += buffer->discarded.exchange(0);
  }
  std::stable_sort(trace.events.begin(), trace.events.end(),
                   [](const Event& a, const Event& b) { return a.time_ns < b.time_ns; });
  return trace;
}

std::string to_text(const Trace& trace) {
  std::string text = fmt::format("# ballast.robot.trace/1 discarded={}\n", trace.discarded);
  for (const auto& event : trace.events) {
    text += fmt::format("{} {} {} {}", event.time_ns, event.pid, event.tid, event.name);
    for (const auto& [field, value] : event.values) text += fmt::format(" {}={}", field, value);
    for (const auto& [field, value] : event.texts) text += fmt::format(" {}:{}", field, value);
    text += '\n';
  }
  return text;
}

Trace read_text_trace(const std::string& file) {
  Trace trace;
  std::istringstream lines(read_file(file));
  std::string line;
  std::uint64_t number = 0;
  while (std::getline(lines, line)) {
    ++number;
    if (line.starts_with("#")) {
      if (const auto at = line.find("discarded="); at != std::string::npos)
        trace.discarded = std::strtoull(line.c_str() + at + 10, nullptr, 10);
      continue;
    }
    std::istringstream words(line);
    Event event;
    if (!(words >> event.time_ns >> event.pid >> event.tid >> event.name))
      throw InvalidInput::at(file, number, "no event", "TIME PID TID NAME field=value ...");
    for (std::string word; words >> word;) {
      const auto mark = word.find_first_of("=:");
      if (mark == std::string::npos) throw InvalidInput::at(file, number, "'" + word + "' is no field");
      if (word[mark] == '=') {
        event.values[word.substr(0, mark)] = std::strtoull(word.c_str() + mark + 1, nullptr, 10);
      } else {
        event.texts[word.substr(0, mark)] = word.substr(mark + 1);
      }
    }
    trace.events.push_back(std::move(event));
  }
  return trace;
}

}  // namespace ballast::trace
