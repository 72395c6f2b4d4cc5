#include "ballast/robot/trace/ctf_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <vector>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"
#include <babeltrace2/babeltrace.h>
#pragma GCC diagnostic pop

#include "ballast/base/errors.h"

namespace ballast::trace {
namespace {

namespace fs = std::filesystem;

template <auto kRelease>
struct Releaser {
  template <typename T>
  void operator()(T* object) const {
    kRelease(object);
  }
};
template <typename T, auto kRelease>
using Owned = std::unique_ptr<T, Releaser<kRelease>>;

/// What went wrong in the library's own words; clears it.
std::string library_error() {
  std::string text;
  if (const bt_error* error = bt_current_thread_take_error()) {
    if (bt_error_get_cause_count(error) > 0)
      text = bt_error_cause_get_message(bt_error_borrow_cause_by_index(error, 0));
    bt_error_release(error);
  }
  return text.empty() ? "libbabeltrace2 gives no reason" : text;
}

void add_field(const std::string& name, const bt_field* field, Event& event);

void add_members(const bt_field* structure, Event& event) {
  if (!structure) return;
  const bt_field_class* type = bt_field_borrow_class_const(structure);
  const std::uint64_t members = bt_field_class_structure_get_member_count(type);
  for (std::uint64_t i = 0; i < members; ++i)
    add_field(bt_field_class_structure_member_get_name(
                  bt_field_class_structure_borrow_member_by_index_const(type, i)),
              bt_field_structure_borrow_member_field_by_index_const(structure, i), event);
}

void add_field(const std::string& name, const bt_field* field, Event& event) {
  const bt_field_class_type type = bt_field_get_class_type(field);
  if (bt_field_class_type_is(type, BT_FIELD_CLASS_TYPE_UNSIGNED_INTEGER)) {
    event.values[name] = bt_field_integer_unsigned_get_value(field);
  } else if (bt_field_class_type_is(type, BT_FIELD_CLASS_TYPE_SIGNED_INTEGER)) {
    event.values[name] = static_cast<std::uint64_t>(bt_field_integer_signed_get_value(field));
  } else if (type == BT_FIELD_CLASS_TYPE_BOOL) {
    event.values[name] = bt_field_bool_get_value(field) ? 1 : 0;
  } else if (type == BT_FIELD_CLASS_TYPE_STRING) {
    event.texts[name] = bt_field_string_get_value(field);
  } else if (type == BT_FIELD_CLASS_TYPE_STRUCTURE) {
    add_members(field, event);
  } else if (bt_field_class_type_is(type, BT_FIELD_CLASS_TYPE_ARRAY)) {
    // Arrays of numbers are identifiers here (gid): their bytes in hexadecimal digits.
    std::string digits;
    const std::uint64_t length = bt_field_array_get_length(field);
    for (std::uint64_t i = 0; i < length; ++i) {
      const bt_field* item = bt_field_array_borrow_element_field_by_index_const(field, i);
      const bt_field_class_type kind = bt_field_get_class_type(item);
      if (bt_field_class_type_is(kind, BT_FIELD_CLASS_TYPE_UNSIGNED_INTEGER))
        digits += fmt::format("{:02x}", bt_field_integer_unsigned_get_value(item));
      else if (bt_field_class_type_is(kind, BT_FIELD_CLASS_TYPE_SIGNED_INTEGER))
        digits += fmt::format("{:02x}", static_cast<std::uint8_t>(bt_field_integer_signed_get_value(item)));
    }
    event.texts[name] = digits;
  }
}

void add_event(const bt_message* message, Trace& trace) {
  const bt_event* raw = bt_message_event_borrow_event_const(message);
  Event event;
  if (const char* name = bt_event_class_get_name(bt_event_borrow_class_const(raw))) event.name = name;
  bt_clock_snapshot_get_ns_from_origin(bt_message_event_borrow_default_clock_snapshot_const(message),
                                       &event.time_ns);
  add_members(bt_event_borrow_common_context_field_const(raw), event);
  add_members(bt_event_borrow_specific_context_field_const(raw), event);
  event.pid = event.value("vpid");
  event.tid = event.value("vtid");
  add_members(bt_event_borrow_payload_field_const(raw), event);
  trace.events.push_back(std::move(event));
}

bt_graph_simple_sink_component_consume_func_status consume(bt_message_iterator* iterator, void* data) {
  auto& trace = *static_cast<Trace*>(data);
  bt_message_array_const messages;
  std::uint64_t count = 0;
  switch (bt_message_iterator_next(iterator, &messages, &count)) {
    case BT_MESSAGE_ITERATOR_NEXT_STATUS_END:
      return BT_GRAPH_SIMPLE_SINK_COMPONENT_CONSUME_FUNC_STATUS_END;
    case BT_MESSAGE_ITERATOR_NEXT_STATUS_AGAIN:
      return BT_GRAPH_SIMPLE_SINK_COMPONENT_CONSUME_FUNC_STATUS_AGAIN;
    case BT_MESSAGE_ITERATOR_NEXT_STATUS_OK:
      break;
    default:
      return BT_GRAPH_SIMPLE_SINK_COMPONENT_CONSUME_FUNC_STATUS_ERROR;
  }
  for (std::uint64_t i = 0; i < count; ++i) {
    const Owned<const bt_message, bt_message_put_ref> message(messages[i]);
    const bt_message_type type = bt_message_get_type(message.get());
    if (type == BT_MESSAGE_TYPE_EVENT &&
        bt_stream_class_borrow_default_clock_class_const(bt_stream_borrow_class_const(
            bt_event_borrow_stream_const(bt_message_event_borrow_event_const(message.get()))))) {
      add_event(message.get(), trace);
    } else if (type == BT_MESSAGE_TYPE_DISCARDED_EVENTS) {
      std::uint64_t lost = 1;  // an unknown number is at least one
      if (bt_message_discarded_events_get_count(message.get(), &lost) != BT_PROPERTY_AVAILABILITY_AVAILABLE)
        lost = 1;
      trace.discarded += lost;
    }
  }
  return BT_GRAPH_SIMPLE_SINK_COMPONENT_CONSUME_FUNC_STATUS_OK;
}

Owned<const bt_plugin, bt_plugin_put_ref> plugin_named(const char* name) {
  const bt_plugin* found = nullptr;
  if (bt_plugin_find(name, BT_TRUE, BT_TRUE, BT_TRUE, BT_TRUE, BT_FALSE, &found) !=
      BT_PLUGIN_FIND_STATUS_OK) {
    bt_current_thread_clear_error();
    throw Unavailable(fmt::format("libbabeltrace2's plugin {} is not installed (libbabeltrace2-0)", name));
  }
  return Owned<const bt_plugin, bt_plugin_put_ref>(found);
}

std::vector<std::string> trace_folders(const std::string& folder) {
  std::vector<std::string> found;
  if (fs::exists(folder + "/metadata")) found.push_back(folder);
  for (const auto& item : fs::recursive_directory_iterator(folder))
    if (item.is_directory() && fs::exists(item.path() / "metadata")) found.push_back(item.path().string());
  std::sort(found.begin(), found.end());
  return found;
}

}  // namespace

bool has_babeltrace() {
  return true;
}

Trace read_ctf(const std::string& folder) {
  if (!fs::is_directory(folder)) throw Unavailable(folder + " is no folder");
  const auto folders = trace_folders(folder);
  if (folders.empty()) throw InvalidInput(folder + " is no CTF trace: there is no metadata file below it");
  const auto ctf = plugin_named("ctf"), utils = plugin_named("utils");
  const Owned<bt_graph, bt_graph_put_ref> graph(bt_graph_create(0));
  const bt_component_filter* muxer = nullptr;
  if (!graph || bt_graph_add_filter_component(
                    graph.get(), bt_plugin_borrow_filter_component_class_by_name_const(utils.get(), "muxer"),
                    "muxer", nullptr, BT_LOGGING_LEVEL_NONE, &muxer) != BT_GRAPH_ADD_COMPONENT_STATUS_OK)
    throw Unavailable("libbabeltrace2: " + library_error());
  const auto connect = [&](const bt_port_output* out, const bt_port_input* in) {
    if (bt_graph_connect_ports(graph.get(), out, in, nullptr) != BT_GRAPH_CONNECT_PORTS_STATUS_OK)
      throw InvalidInput(folder + " is a damaged CTF trace: " + library_error());
  };
  std::uint64_t used = 0;
  for (const auto& trace_folder : folders) {
    const Owned<bt_value, bt_value_put_ref> params(bt_value_map_create());
    bt_value* inputs = nullptr;
    bt_value_map_insert_empty_array_entry(params.get(), "inputs", &inputs);
    bt_value_array_append_string_element(inputs, trace_folder.c_str());
    const bt_component_source* source = nullptr;
    if (bt_graph_add_source_component(graph.get(),
                                      bt_plugin_borrow_source_component_class_by_name_const(ctf.get(), "fs"),
                                      trace_folder.c_str(), params.get(), BT_LOGGING_LEVEL_NONE,
                                      &source) != BT_GRAPH_ADD_COMPONENT_STATUS_OK)
      throw InvalidInput(trace_folder + " is no CTF trace: " + library_error());
    const std::uint64_t ports = bt_component_source_get_output_port_count(source);
    for (std::uint64_t i = 0; i < ports; ++i)  // the muxer grows a port with each connection
      connect(bt_component_source_borrow_output_port_by_index_const(source, i),
              bt_component_filter_borrow_input_port_by_index_const(muxer, used++));
  }
  if (used == 0) throw InvalidInput(folder + " holds no event");
  Trace trace;
  const bt_component_sink* sink = nullptr;
  if (bt_graph_add_simple_sink_component(graph.get(), "reader", nullptr, consume, nullptr, &trace, &sink) !=
      BT_GRAPH_ADD_COMPONENT_STATUS_OK)
    throw Unavailable("libbabeltrace2: " + library_error());
  connect(bt_component_filter_borrow_output_port_by_index_const(muxer, 0),
          bt_component_sink_borrow_input_port_by_index_const(sink, 0));
  if (bt_graph_run(graph.get()) != BT_GRAPH_RUN_STATUS_OK)
    throw InvalidInput(folder + " is a damaged CTF trace: " + library_error());
  if (trace.events.empty()) throw InvalidInput(folder + " holds no event");
  return trace;
}

}  // namespace ballast::trace
