// A trace of who did what when, as Chrome's JSON: open it in ui.perfetto.dev or chrome://tracing.
//
//   Trace trace(common.trace_file);                     // an empty name: off, every call below returns at
//   once Trace::Track& worker = trace.track("machine 3", "worker 0"); { Trace::Span span(worker, "phase 2");
//   ... }        // a bar from here to the end of the block worker.complete("h2d", start_ns, duration_ns,
//   {{"bytes", 4096}}); worker.counter("queue", trace.now_ns(), 17); trace.commit(); // the file appears
//   whole, or not at all
//
// A track is used by one thread at a time and has its own buffer, so threads do not wait for one another; an
// event costs well below 200 ns. Times are nanoseconds since the trace began, by a steady clock (now_ns()) or
// by the clock of a model, as the basis says.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <exception>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <variant>

#include "ballast/base/basis.h"
#include "ballast/base/file.h"

namespace ballast {

class Trace {
 public:
  /// What an event carries beside its name.
  struct Argument {
    Argument(std::string_view name, std::string_view text) : key(name), value(text) {}
    Argument(std::string_view name, const char* text) : key(name), value(std::string_view(text)) {}
    Argument(std::string_view name, double number) : key(name), value(number) {}
    template <std::integral Integer>
    Argument(std::string_view name, Integer number) : key(name), value(static_cast<std::int64_t>(number)) {}

    std::string_view key;
    std::variant<std::int64_t, double, std::string_view> value;
  };
  using Arguments = std::initializer_list<Argument>;

  /// One row of the picture: a thread of a process, in the words of the format.
  class Track {
   public:
    /// A bar. Bars of one track nest or follow one another; they must not cross.
    void complete(std::string_view name, std::int64_t start_ns, std::int64_t duration_ns,
                  Arguments arguments = {});
    void instant(std::string_view name, std::int64_t at_ns, Arguments arguments = {});
    /// A step line, one a name and process.
    void counter(std::string_view name, std::int64_t at_ns, double value);
    /// An arrow from the bar that is open here at `at_ns` to the one that `flow_in` of the same id names, on
    /// any track; ids come from next_flow().
    void flow_out(std::string_view name, std::uint64_t id, std::int64_t at_ns);
    void flow_in(std::string_view name, std::uint64_t id, std::int64_t at_ns);

    bool on() const { return trace_->on(); }
    Trace& trace() { return *trace_; }

   private:
    friend class Trace;
    Track(Trace* trace, int process, int thread);
    void begin(char phase, std::string_view name, std::int64_t at_ns);
    void end(Arguments arguments);
    void flow(char phase, std::string_view name, std::uint64_t id, std::int64_t at_ns);

    Trace* trace_;
    std::string process_name_, thread_name_;
    std::string where_;  // ,"pid":1,"tid":2,"ts":
    std::string buffer_;
  };

  /// A bar from construction to destruction.
  class Span {
   public:
    Span(Track& track, std::string_view name)
        : track_(track), name_(name), start_ns_(track.on() ? track.trace().now_ns() : 0) {}
    ~Span() {
      if (track_.on()) track_.complete(name_, start_ns_, track_.trace().now_ns() - start_ns_);
    }
    Span(const Span&) = delete;
    Span& operator=(const Span&) = delete;

   private:
    Track& track_;
    std::string_view name_;
    std::int64_t start_ns_;
  };

  /// Throws Unavailable when the file cannot be created.
  explicit Trace(const std::string& path, Basis basis = Basis::measured);
  ~Trace();
  Trace(const Trace&) = delete;
  Trace& operator=(const Trace&) = delete;

  bool on() const { return file_ != nullptr; }
  /// The track of these names, made at the first call; it stays where it is. Safe from every thread.
  Track& track(std::string_view process, std::string_view thread);
  std::int64_t now_ns() const {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now() - start_)
        .count();
  }
  std::uint64_t next_flow() { return ++flows_; }

  /// Writes what is left and puts the file in its place; call it once, when no thread records any more. A
  /// failure to write (a full disk), then or earlier, is thrown here as Unavailable; without commit() nothing
  /// is left behind.
  void commit();

 private:
  void append(std::string& buffer);

  std::unique_ptr<AtomicFile> file_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  std::atomic<std::uint64_t> flows_{0};
  std::mutex mutex_;  // guards what follows, and file_'s content
  std::deque<std::unique_ptr<Track>> tracks_;
  bool first_ = true;
  std::exception_ptr failure_;
};

}  // namespace ballast
