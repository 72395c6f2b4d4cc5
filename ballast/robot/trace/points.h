// Tracepoints: what happens inside a component, seen from outside without changing what it does. The names
// and fields are those of ros2_tracing (provider `ros2`) and of the RobotPerf suite (`ros2_image_pipeline`,
// `robotcore_control`, ...), so that tools for either read our traces.
//
// Backends: `off` (one branch a point), `internal` (a buffer a thread, no daemon), `lttng` (LTTng-UST,
// points_lttng.cc). The switch is process-wide because a tracepoint is: a call site knows no session.
#pragma once

#include <atomic>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

#include "ballast/robot/wire/qos.h"

namespace ballast::trace {

enum class Backend { off, internal, lttng };

/// Throws InvalidInput for a word other than off, internal, lttng; Unavailable when built without LTTng.
Backend backend_from_string(const std::string& word);
/// Call before nodes are made, or their names are missing in the trace.
void select_backend(Backend backend);
Backend selected_backend();
/// Whether this build has the LTTng backend.
bool has_lttng();

/// Every point that this program can emit, with its fields in order (schema.cc).
enum class Point : std::uint16_t {
  rcl_init,
  rcl_node_init,
  rmw_publisher_init,
  rcl_publisher_init,
  rclcpp_publish,
  rclcpp_intra_publish,
  rcl_publish,
  rmw_publish,
  rmw_subscription_init,
  rcl_subscription_init,
  rclcpp_subscription_init,
  rclcpp_subscription_callback_added,
  rmw_take,
  rcl_take,
  rclcpp_take,
  rcl_timer_init,
  rclcpp_timer_callback_added,
  rclcpp_callback_register,
  callback_start,
  callback_end,
  rclcpp_ring_buffer_enqueue,
  rclcpp_ring_buffer_dequeue,
  rcl_service_init,
  rclcpp_service_callback_added,
  operation_cb_init,
  operation_init,
  operation_fini,
  operation_cb_fini,
  session_marker,
};

namespace internal {
extern std::atomic<int> backend;  ///< Backend as int; read at every point
void emit(Point point, std::initializer_list<std::uint64_t> values, std::string_view text = {},
          std::string_view second_text = {});
std::uint64_t handle_of(std::string_view name);
inline std::uint64_t handle_of(const void* object) {
  return reinterpret_cast<std::uintptr_t>(object);
}
}  // namespace internal

inline bool active() {
  return internal::backend.load(std::memory_order_relaxed) != 0;
}

void node_init(const void* node, std::string_view full_name);
void publisher_init(const void* publisher, std::string_view node, std::string_view topic, int depth);
void subscription_init(const void* subscription, std::string_view node, std::string_view topic, int depth);
void service_init(const void* service, std::string_view node, std::string_view name);
void timer_init(const void* timer, std::int64_t period_ns);

inline void publish(const void* publisher, const void* message) {
  if (!active()) return;
  internal::emit(Point::rclcpp_publish, {internal::handle_of(message)});
  internal::emit(Point::rcl_publish, {internal::handle_of(publisher), internal::handle_of(message)});
}
inline void rmw_publish(const void* publisher, const void* message, std::int64_t timestamp) {
  if (!active()) return;
  internal::emit(Point::rmw_publish, {internal::handle_of(publisher), internal::handle_of(message),
                                      static_cast<std::uint64_t>(timestamp)});
}
inline void take(const void* subscription, const void* message, std::int64_t source_timestamp) {
  if (!active()) return;
  internal::emit(Point::rmw_take, {internal::handle_of(subscription), internal::handle_of(message),
                                   static_cast<std::uint64_t>(source_timestamp), 1});
  internal::emit(Point::rcl_take, {internal::handle_of(message)});
  internal::emit(Point::rclcpp_take, {internal::handle_of(message)});
}
inline void callback_start(const void* callback, bool intra_process) {
  if (active()) internal::emit(Point::callback_start, {internal::handle_of(callback), intra_process});
}
inline void callback_end(const void* callback) {
  if (active()) internal::emit(Point::callback_end, {internal::handle_of(callback)});
}
/// `index` counts the messages that entered the buffer; `overwritten` says that this one pushed out the
/// oldest.
inline void ring_buffer_enqueue(const void* buffer, std::uint64_t index, std::size_t size, bool overwritten) {
  if (active())
    internal::emit(Point::rclcpp_ring_buffer_enqueue,
                   {internal::handle_of(buffer), index, size, overwritten});
}
inline void ring_buffer_dequeue(const void* buffer, std::uint64_t index, std::size_t size) {
  if (active()) internal::emit(Point::rclcpp_ring_buffer_dequeue, {internal::handle_of(buffer), index, size});
}
/// An event that a session looks for to know that the trace is alive.
inline void session_marker(std::uint64_t value) {
  if (active()) internal::emit(Point::session_marker, {value});
}

/// The four points of one operation on one message: the borders of its callback and of its computation.
///
///   Operation operation("image_proc_rectify", image.header.stamp);   // ..._cb_init
///   operation.begin();                                               // ..._init
///   compute();
///   operation.end();                                                 // ..._fini; the destructor:
///   ..._cb_fini
class Operation {
 public:
  template <typename Stamp>
  Operation(std::string_view name, const Stamp& stamp)
      : name_(name), sec_(static_cast<std::uint64_t>(stamp.sec)), nanosec_(stamp.nanosec) {
    point(Point::operation_cb_init);
  }
  ~Operation() { point(Point::operation_cb_fini); }
  Operation(const Operation&) = delete;
  void begin() { point(Point::operation_init); }
  void end() { point(Point::operation_fini); }

 private:
  void point(Point which) {
    if (active()) internal::emit(which, {sec_, nanosec_}, name_);
  }
  std::string_view name_;
  std::uint64_t sec_, nanosec_;
};

}  // namespace ballast::trace
