#include "ballast/robot/node/executor.h"

#include <fmt/format.h>
#include <sched.h>
#include <time.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <exception>
#include <thread>

#include "ballast/base/cli.h"
#include "ballast/base/errors.h"

namespace ballast::ros {
namespace {

std::int64_t clock_ns(clockid_t clock) {
  timespec now;
  ::clock_gettime(clock, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

std::int64_t earliest_wake(const std::vector<Executable*>& executables) {
  std::int64_t earliest = INT64_MAX;
  for (const auto* executable : executables) earliest = std::min(earliest, executable->wakes_at());
  return earliest;
}

class SingleThreaded : public Executor {
 public:
  explicit SingleThreaded(bool fixed) : fixed_(fixed) {}

  void spin() override {
    const std::vector<Executable*> fixed_list = executables_;
    std::vector<Executable*> collected;
    std::vector<Executable*> ready;
    while (!stopped()) {
      const auto seen = notifications();
      if (!fixed_) collected.assign(executables_.begin(), executables_.end());
      const auto& list = fixed_ ? fixed_list : collected;
      const auto now = monotonic_ns();
      ready.clear();
      std::copy_if(list.begin(), list.end(), std::back_inserter(ready),
                   [&](const Executable* executable) { return executable->ready(now); });
      if (ready.empty()) {
        wait(seen, earliest_wake(list));
        continue;
      }
      for (auto* executable : ready) {
        if (stopped()) return;
        run(*executable);
      }
    }
  }

 private:
  bool fixed_;
};

class Prioritized : public Executor {
 public:
  explicit Prioritized(bool realtime) : realtime_(realtime) {}

  void spin() override {
    if (realtime_) {
      const sched_param parameters{.sched_priority = 10};
      ::sched_setscheduler(0, SCHED_FIFO, &parameters);  // without the right to it the order alone must do
    }
    std::vector<Executable*> list = executables_;
    std::stable_sort(list.begin(), list.end(),
                     [](const Executable* a, const Executable* b) { return a->priority > b->priority; });
    while (!stopped()) {
      const auto seen = notifications();
      const auto now = monotonic_ns();
      const auto first = std::find_if(list.begin(), list.end(),
                                      [&](const Executable* executable) { return executable->ready(now); });
      if (first == list.end()) {
        wait(seen, earliest_wake(list));
      } else {
        run(**first);
      }
    }
  }

 private:
  bool realtime_;
};

class MultiThreaded : public Executor {
 public:
  explicit MultiThreaded(int threads) : threads_(threads) {}

  void spin() override {
    std::vector<std::thread> workers;
    for (int i = 1; i < threads_; ++i) workers.emplace_back([this, i] { work(static_cast<std::size_t>(i)); });
    work(0);
    for (auto& worker : workers) worker.join();
    if (failure_) std::rethrow_exception(failure_);
  }

 private:
  void work(std::size_t worker) {
    try {
      std::size_t start = worker;
      while (!stopped()) {
        const auto seen = notifications();
        const auto now = monotonic_ns();
        bool ran = false;
        for (std::size_t i = 0; i < executables_.size() && !ran; ++i) {
          Executable& executable = *executables_[(start + i) % executables_.size()];
          if (!executable.ready(now)) continue;
          ran = run(executable);
          if (ran) start = (start + i + 1) % executables_.size();
        }
        if (ran) {
          // A callback of the same group may have been passed over by another thread meanwhile.
          bump();
        } else {
          wait(seen, earliest_wake(executables_));
        }
      }
    } catch (...) {
      const std::lock_guard lock(mutex_);
      if (!failure_) failure_ = std::current_exception();
      stopped_.store(true, std::memory_order_release);
      wake_.notify_all();
    }
  }

  void bump() {
    {
      const std::lock_guard lock(mutex_);
      ++notified_;
    }
    wake_.notify_one();
  }

  int threads_;
  std::exception_ptr failure_;
};

class Events : public Executor {
 public:
  void notify(Executable& executable) override {
    {
      const std::lock_guard lock(mutex_);
      events_.push_back(&executable);
      ++notified_;
    }
    wake_.notify_one();
  }

  void spin() override {
    for (auto* executable : executables_)
      if (executable->ready(monotonic_ns())) notify(*executable);
    while (!stopped()) {
      Executable* next = nullptr;
      std::uint64_t seen;
      {
        const std::lock_guard lock(mutex_);
        seen = notified_;
        if (!events_.empty()) {
          next = events_.front();
          events_.pop_front();
        }
      }
      const auto now = monotonic_ns();
      // Timers have no arrival: their expiry is the event, and an expired one goes first.
      const auto timer = std::find_if(executables_.begin(), executables_.end(), [&](const Executable* item) {
        return item->wakes_at() != INT64_MAX && item->ready(now);
      });
      if (timer != executables_.end()) {
        if (next) {
          const std::lock_guard lock(mutex_);
          events_.push_front(next);
        }
        run(**timer);
      } else if (next) {
        if (!next->ready(now)) continue;
        run(*next);
        if (next->ready(monotonic_ns()) && next->wakes_at() == INT64_MAX) notify(*next);
      } else {
        wait(seen, earliest_wake(executables_));
      }
    }
  }

 private:
  std::deque<Executable*> events_;
};

}  // namespace

std::int64_t monotonic_ns() {
  return clock_ns(CLOCK_MONOTONIC);
}
std::int64_t realtime_ns() {
  return clock_ns(CLOCK_REALTIME);
}

ExecutorOptions ExecutorOptions::parse(const std::string& text) {
  const auto open = text.find('(');
  const std::string word = text.substr(0, open);
  cli::require_one_of("executor", word, {"single", "static", "multi", "prioritized", "events"});
  ExecutorOptions options;
  if (word == "static") options.kind = ExecutorKind::static_;
  if (word == "multi") options.kind = ExecutorKind::multi;
  if (word == "prioritized") options.kind = ExecutorKind::prioritized;
  if (word == "events") options.kind = ExecutorKind::events;
  if (open != std::string::npos) {
    const char* first = text.data() + open + 1;
    const char* last = text.data() + text.size() - 1;
    const auto [end, error] = std::from_chars(first, last, options.threads);
    if (word != "multi" || text.back() != ')' || error != std::errc() || end != last || options.threads < 1 ||
        options.threads > 256)
      throw InvalidInput("executor", text, "multi(N) with N from 1 to 256");
  }
  return options;
}

std::string to_string(const ExecutorOptions& options) {
  switch (options.kind) {
    case ExecutorKind::single:
      return "single";
    case ExecutorKind::static_:
      return "static";
    case ExecutorKind::multi:
      return fmt::format("multi({})", options.threads);
    case ExecutorKind::prioritized:
      return "prioritized";
    case ExecutorKind::events:
      return "events";
  }
  return "";
}

std::unique_ptr<Executor> Executor::make(const ExecutorOptions& options) {
  switch (options.kind) {
    case ExecutorKind::single:
      return std::make_unique<SingleThreaded>(false);
    case ExecutorKind::static_:
      return std::make_unique<SingleThreaded>(true);
    case ExecutorKind::multi:
      return std::make_unique<MultiThreaded>(options.threads);
    case ExecutorKind::prioritized:
      return std::make_unique<Prioritized>(options.realtime);
    case ExecutorKind::events:
      return std::make_unique<Events>();
  }
  return nullptr;
}

void Executor::add(Executable& executable) {
  executables_.push_back(&executable);
}
void Executor::remove(Executable& executable) {
  std::erase(executables_, &executable);
}

void Executor::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopped_.store(true, std::memory_order_release);
    ++notified_;
  }
  wake_.notify_all();
}

void Executor::notify(Executable&) {
  {
    const std::lock_guard lock(mutex_);
    ++notified_;
  }
  wake_.notify_one();
}

std::uint64_t Executor::notifications() {
  const std::lock_guard lock(mutex_);
  return notified_;
}

std::uint64_t Executor::wait(std::uint64_t seen, std::int64_t until_ns) {
  std::unique_lock lock(mutex_);
  const auto changed = [&] { return notified_ != seen || stopped(); };
  if (until_ns == INT64_MAX) {
    wake_.wait(lock, changed);
  } else {
    const std::chrono::steady_clock::time_point until{std::chrono::nanoseconds(until_ns)};
    wake_.wait_until(lock, until, changed);
  }
  return notified_;
}

bool Executor::run(Executable& executable) {
  if (executable.group && !executable.group->enter()) return false;
  struct Leave {
    CallbackGroup* group;
    ~Leave() {
      if (group) group->leave();
    }
  } leave{executable.group};
  executable.execute();
  return true;
}

}  // namespace ballast::ros
