#include "ballast/base/trace.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>

#include "ballast/base/json.h"

namespace ballast {
namespace {

constexpr std::size_t kBufferBytes = std::size_t{1} << 16;

void put_integer(std::string& out, std::uint64_t value) {
  char digits[24];
  out.append(digits, std::to_chars(digits, digits + sizeof digits, value).ptr);
}

// Nanoseconds in the format's microseconds.
void put_time(std::string& out, std::int64_t ns) {
  std::uint64_t size = static_cast<std::uint64_t>(ns);
  if (ns < 0) {
    out += '-';
    size = 0 - size;
  }
  put_integer(out, size / 1000);
  const auto rest = static_cast<unsigned>(size % 1000);
  const char fraction[] = {'.', static_cast<char>('0' + rest / 100), static_cast<char>('0' + rest / 10 % 10),
                           static_cast<char>('0' + rest % 10)};
  if (rest != 0) out.append(fraction, sizeof fraction);
}

void put_number(std::string& out, double value) {
  char digits[32];
  if (std::isfinite(value)) {
    out.append(digits, std::to_chars(digits, digits + sizeof digits, value).ptr);
  } else {
    out += "null";
  }
}

void put_string(std::string& out, std::string_view text) {
  bool plain = true;
  for (const char c : text)
    plain &= c >= 0x20 && c != '"' && c != '\\';  // other bytes, UTF-8 too, take the slow way
  if (plain) {
    out += '"';
    out += text;
    out += '"';
  } else {
    out += Json(text).dump(-1, ' ', true, Json::error_handler_t::replace);
  }
}

}  // namespace

Trace::Trace(const std::string& path, Basis basis) {
  if (path.empty()) return;
  file_ = std::make_unique<AtomicFile>(path);
  file_->write(
      fmt::format("{{\"displayTimeUnit\":\"ns\",\"otherData\":{{\"basis\":\"{}\",\"writer\":\"ballast {}\"}},"
                  "\"traceEvents\":[",
                  to_string(basis), BALLAST_VERSION));
}

Trace::~Trace() = default;

Trace::Track& Trace::track(std::string_view process, std::string_view thread) {
  const std::lock_guard lock(mutex_);
  int process_id = 0, processes = 0, threads = 0;
  for (const auto& known : tracks_) {
    if (known->process_name_ == process && known->thread_name_ == thread) return *known;
  }
  // Processes and threads are numbered from 1 in the order in which they are first named.
  for (const auto& known : tracks_) {
    int id = 0;
    std::from_chars(known->where_.data() + 7, known->where_.data() + known->where_.size(), id);
    processes = std::max(processes, id);
    if (known->process_name_ == process) process_id = id, ++threads;
  }
  const bool new_process = process_id == 0;
  if (new_process) process_id = processes + 1;
  auto& track = *tracks_.emplace_back(new Track(this, process_id, threads + 1));
  track.process_name_ = process;
  track.thread_name_ = thread;
  if (on()) {
    const auto name = [&](const char* what, std::string_view value) {
      track.buffer_ += fmt::format(
          ",\n{{\"ph\":\"M\",\"pid\":{},\"tid\":{},\"name\":\"{}\",\"args\":{{\"name\":", process_id,
          threads + 1, what);
      put_string(track.buffer_, value);
      track.buffer_ += "}}";
    };
    if (new_process) name("process_name", process);
    name("thread_name", thread);
  }
  return track;
}

void Trace::append(std::string& buffer) {
  const std::lock_guard lock(mutex_);
  std::string_view text = buffer;
  if (first_ && !text.empty()) text.remove_prefix(1);  // every event brings the comma before it
  first_ = first_ && text.empty();
  try {
    if (!failure_) file_->write(text);
  } catch (...) {
    failure_ = std::current_exception();
  }
  buffer.clear();
}

void Trace::commit() {
  if (!on()) return;
  for (const auto& track : tracks_) append(track->buffer_);
  if (failure_) std::rethrow_exception(failure_);
  file_->write("\n]}\n");
  file_->commit();
  file_.reset();
}

Trace::Track::Track(Trace* trace, int process, int thread)
    : trace_(trace), where_(fmt::format(",\"pid\":{},\"tid\":{},\"ts\":", process, thread)) {}

void Trace::Track::begin(char phase, std::string_view name, std::int64_t at_ns) {
  buffer_ += ",\n{\"ph\":\"";
  buffer_ += phase;
  buffer_ += '"';
  buffer_ += where_;
  put_time(buffer_, at_ns);
  buffer_ += ",\"name\":";
  put_string(buffer_, name);
}

void Trace::Track::end(Arguments arguments) {
  if (arguments.size() > 0) {
    buffer_ += ",\"args\":{";
    bool first = true;
    for (const Argument& argument : arguments) {
      if (!first) buffer_ += ',';
      first = false;
      put_string(buffer_, argument.key);
      buffer_ += ':';
      if (const auto* text = std::get_if<std::string_view>(&argument.value)) {
        put_string(buffer_, *text);
      } else if (const auto* number = std::get_if<double>(&argument.value)) {
        put_number(buffer_, *number);
      } else {
        buffer_ += std::to_string(std::get<std::int64_t>(argument.value));
      }
    }
    buffer_ += '}';
  }
  buffer_ += '}';
  if (buffer_.size() >= kBufferBytes) trace_->append(buffer_);
}

void Trace::Track::complete(std::string_view name, std::int64_t start_ns, std::int64_t duration_ns,
                            Arguments arguments) {
  if (!on()) return;
  begin('X', name, start_ns);
  buffer_ += ",\"dur\":";
  put_time(buffer_, duration_ns);
  end(arguments);
}

void Trace::Track::instant(std::string_view name, std::int64_t at_ns, Arguments arguments) {
  if (!on()) return;
  begin('i', name, at_ns);
  buffer_ += ",\"s\":\"t\"";
  end(arguments);
}

void Trace::Track::counter(std::string_view name, std::int64_t at_ns, double value) {
  if (!on()) return;
  begin('C', name, at_ns);
  end({{"value", value}});
}

void Trace::Track::flow(char phase, std::string_view name, std::uint64_t id, std::int64_t at_ns) {
  if (!on()) return;
  begin(phase, name, at_ns);
  buffer_ += ",\"cat\":\"flow\",\"id\":";
  put_integer(buffer_, id);
  if (phase == 'f') buffer_ += ",\"bp\":\"e\"";  // binds to the bar that encloses it, not to the next one
  end({});
}

void Trace::Track::flow_out(std::string_view name, std::uint64_t id, std::int64_t at_ns) {
  flow('s', name, id, at_ns);
}
void Trace::Track::flow_in(std::string_view name, std::uint64_t id, std::int64_t at_ns) {
  flow('f', name, id, at_ns);
}

}  // namespace ballast
