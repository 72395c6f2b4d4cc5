#include "ballast/robot/node/node.h"

#include <algorithm>

#include "ballast/robot/wire/announcer.h"

namespace ballast::ros {
namespace internal {

void IntraProcess::add(const std::string& topic, std::type_index type, IntraReceiver& receiver) {
  const std::lock_guard lock(mutex_);
  topics_[topic].push_back({type, &receiver});
}

void IntraProcess::remove(const std::string& topic, IntraReceiver& receiver) {
  const std::lock_guard lock(mutex_);
  std::erase_if(topics_[topic], [&](const Entry& entry) { return entry.receiver == &receiver; });
}

std::size_t IntraProcess::deliver(const std::string& topic, std::type_index type,
                                  const std::shared_ptr<const void>& message) {
  const std::lock_guard lock(mutex_);
  const auto found = topics_.find(topic);
  if (found == topics_.end()) return 0;
  std::size_t receivers = 0;
  for (const auto& entry : found->second) {
    if (entry.type != type) continue;
    entry.receiver->accept(message);
    ++receivers;
  }
  return receivers;
}

}  // namespace internal

Composition::Composition(Context& context, const ExecutorOptions& executor, bool intra_process)
    : context_(context), executor_(Executor::make(executor)), intra_process_(intra_process) {}

Timer::Timer(Composition& process, std::int64_t period_ns, std::function<void()> callback)
    : process_(process),
      period_(period_ns),
      callback_(std::move(callback)),
      next_(monotonic_ns() + period_ns) {
  trace::timer_init(this, period_ns);
  process.executor().add(*this);
}

Timer::~Timer() {
  process_.executor().remove(*this);
}

void Timer::execute() {
  const auto now = monotonic_ns();
  const auto due = next_.load();
  if (now < due) return;
  const auto missed = (now - due) / period_;
  skipped_ += static_cast<std::uint64_t>(missed);
  next_.store(due + (missed + 1) * period_);
  trace::callback_start(this, false);
  callback_();
  trace::callback_end(this);
}

Node::Node(Composition& process, const std::string& name) : process_(process), name_(name) {
  check_full_name(name);
  trace::node_init(this, name);
  if (process.context().announcer()) process.context().announcer()->add_node(name);
}

Node::~Node() {
  owned_.clear();
  if (process_.context().announcer()) process_.context().announcer()->remove_node(name_);
}

std::string Node::topic(const std::string& own_name) const {
  const auto found = remap_.find(own_name);
  const std::string& wanted = found == remap_.end() ? own_name : found->second;
  const auto slash = name_.rfind('/');
  return resolve_name(slash == 0 ? "/" : name_.substr(0, slash), wanted);
}

std::shared_ptr<Timer> Node::timer(std::int64_t period_ns, std::function<void()> callback) {
  auto made = std::make_shared<Timer>(process_, period_ns, std::move(callback));
  made->group = &group_;
  made->priority = priority_;
  owned_.push_back(made);
  return made;
}

}  // namespace ballast::ros
