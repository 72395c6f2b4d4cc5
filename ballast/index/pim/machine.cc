#include "ballast/index/pim/machine.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>
#include <time.h>

#include <algorithm>

#include "ballast/index/dpu/layout.h"

namespace ballast::pim {
namespace {

thread_local std::uint32_t t_driver = 0;  // which driver the thread is (Machine::Seat)

std::uint64_t thread_cpu_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000u + static_cast<std::uint64_t>(now.tv_nsec);
}

}  // namespace

Machine::Seat::Seat(std::uint32_t number) : before_(t_driver) {
  t_driver = number;
}
Machine::Seat::~Seat() {
  t_driver = before_;
}

Machine::Driver& Machine::driver() const {
  BALLAST_CHECK(t_driver < drivers_.size(), "a machine has fewer drivers than threads that drive it");
  return *drivers_[t_driver];
}

ModuleFull::ModuleFull(std::uint32_t module, Bytes memory)
    : Unavailable(
          fmt::format("the memory of module {} ({}) is full; give modules more memory or use more of them",
                      module, to_string(memory))),
      module_(module) {}

ModuleFull::ModuleFull(std::uint32_t module, Bytes memory, Bytes need, Bytes have)
    : Unavailable(fmt::format("the batch needs up to {} in module {}, which has {} of {} left; nothing was "
                              "changed: give modules more memory, use more of them, or smaller batches",
                              to_string(need), module, to_string(have), to_string(memory))),
      module_(module) {}

ModuleLost::ModuleLost(std::uint32_t module, std::uint64_t round, const std::string& phase)
    : Unavailable(fmt::format("module {} was lost in round {} ({}); the index on it must be restored", module,
                              round, phase)),
      module_(module),
      round_(round) {}

std::uint64_t Cost::io_time() const {
  std::uint64_t sum = 0;
  for (const auto& round : rounds) sum += round.io_time();
  return sum;
}
std::uint64_t Cost::words() const {
  std::uint64_t sum = 0;
  for (const auto& round : rounds) sum += round.words();
  return sum;
}
std::uint64_t Cost::header_words() const {
  std::uint64_t sum = 0;
  for (const auto& round : rounds) sum += round.header_words;
  return sum;
}
double Cost::io_imbalance() const {
  const std::uint64_t all = words();
  return all == 0 ? 1 : static_cast<double>(padded_words()) / static_cast<double>(all);
}
std::uint64_t Cost::pim_time() const {
  std::uint64_t sum = 0;
  for (const auto& round : rounds) sum += round.most_work;
  return sum;
}
double Cost::work_imbalance() const {
  std::uint64_t all = 0;
  for (const auto& round : rounds) all += round.work;
  return all == 0 ? 1 : static_cast<double>(pim_time()) * modules / static_cast<double>(all);
}

void Round::open(Lane& lane, task type, std::size_t words, std::size_t count) {
  if (lane.type != static_cast<int>(type)) {
    lane.type = static_cast<int>(type);
    lane.block = lane.send.size();
    lane.send.push_back(static_cast<std::uint64_t>(type));
    ++lane.headers;
  }
  lane.send[lane.block] += static_cast<std::uint64_t>(count) << 8 | static_cast<std::uint64_t>(words * count)
                                                                        << 32;
}

std::uint64_t* Round::add(std::uint32_t module, task type, std::size_t words) {
  return add_many(module, type, words, 1);
}

std::uint64_t* Round::add_many(std::uint32_t module, task type, std::size_t words, std::size_t count) {
  Lane& lane = lanes_[module];
  if (!lane.used) {
    lane.used = true;
    used_.push_back(module);
  }
  open(lane, type, words, count);
  tasks_ += count;
  const std::size_t at = lane.send.size();
  lane.send.resize(at + words * count);
  return lane.send.data() + at;
}

void Round::add(std::uint32_t module, task type, std::initializer_list<std::uint64_t> words) {
  std::copy(words.begin(), words.end(), add(module, type, words.size()));
}

void Round::broadcast(task type, std::initializer_list<std::uint64_t> words) {
  open(broadcast_, type, words.size());
  ++tasks_;
  broadcast_.send.insert(broadcast_.send.end(), words.begin(), words.end());
}

const std::uint64_t* Round::next(std::uint32_t module, std::size_t words) {
  Lane& lane = lanes_[module];
  BALLAST_CHECK(lane.cursor + words <= lane.receive.size(), "a reply is shorter than its task says");
  const std::uint64_t* at = lane.receive.data() + lane.cursor;
  lane.cursor += words;
  return at;
}

Machine::Machine(MachineOptions options) : options_(options), modules_(options.modules) {
  if (options.modules == 0 || options.modules > 65'536)
    throw InvalidInput("number of modules", std::to_string(options.modules), "1 to 65536");
  options_.memory.count = (options.memory.count + 4095) / 4096 * 4096;
  if (options_.memory < Bytes::kib(64) || options_.memory > Bytes::gib(2))
    throw InvalidInput("memory of a module", to_string(options.memory), "64 KiB to 2 GiB");
  // One reservation; pages come when a module first touches them.
  void* arena = ::mmap(nullptr, options_.memory.count * options.modules,
                       options.guard ? PROT_NONE : PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (arena == MAP_FAILED) throw Unavailable::from_errno("the memories of the modules", "cannot be reserved");
  arena_ = static_cast<std::uint8_t*>(arena);
  for (std::uint32_t i = 0; i < options.modules; ++i) {
    modules_[i] = {};
    modules_[i].memory = arena_ + options_.memory.count * i;
    modules_[i].bytes = static_cast<std::uint32_t>(options_.memory.count);
    modules_[i].id = i;
    protect(i, true);
    layout_reset(&modules_[i]);
    protect(i, false);
    modules_[i].counters = {};
  }
  if (options.kill_round != 0 && options.kill_module >= options.modules)
    throw InvalidInput("module to be lost", std::to_string(options.kill_module),
                       fmt::format("0 to {}", options.modules - 1));
  if (options.drivers < 1 || options.drivers > 64)
    throw InvalidInput("drivers", std::to_string(options.drivers), "1 to 64");
  for (std::uint32_t d = 0; d < options.drivers; ++d) {
    drivers_.push_back(std::make_unique<Driver>());
    drivers_.back()->round.lanes_.resize(options.modules);
    drivers_.back()->cost.modules = options.modules;
  }
}

Machine::~Machine() {
  ::munmap(arena_, options_.memory.count * options_.modules);
}

void Machine::protect(std::uint32_t index, bool accessible) {
  if (!options_.guard) return;
  BALLAST_CHECK(::mprotect(modules_[index].memory, options_.memory.count,
                           accessible ? PROT_READ | PROT_WRITE : PROT_NONE) == 0);
}

void Machine::reset_cost() {
  driver().cost.rounds.clear();
  driver().cpu_mark_ns = thread_cpu_ns();
}

void Machine::clear() {
  for (std::uint32_t i = 0; i < options_.modules; ++i) {
    protect(i, true);
    layout_reset(&modules_[i]);
    protect(i, false);
    modules_[i].counters = {};
  }
  broken_ = false;
}

Round& Machine::begin(std::string phase) {
  if (broken_)
    throw Unavailable(
        "a module was full or lost in the middle of a batch, so the index is no longer whole; build it anew "
        "(with more memory), or restore it");
  Round& round = driver().round;
  for (const std::uint32_t index : round.used_) {
    auto& lane = round.lanes_[index];
    lane.send.clear();
    lane.receive.clear();
    lane.type = 0;
    lane.headers = lane.cursor = 0;
    lane.used = false;
  }
  round.used_.clear();
  round.broadcast_ = {};
  round.tasks_ = 0;
  round.phase_ = std::move(phase);
  return round;
}

void Machine::run_module(Round& round, std::uint32_t index) {
  // The scratch for replies is the thread's; what was written is then moved to the lane.
  constexpr std::size_t kReplyWords = std::size_t{1} << 22;
  thread_local std::unique_ptr<std::uint64_t[]> scratch(new std::uint64_t[kReplyWords]);
  auto& lane = round.lanes_[index];
  module& m = modules_[index];
  m.counters = {};
  m.fault = FAULT_NONE;
  protect(index, true);
  reply out{scratch.get(), 0, kReplyWords};
  module_run(&m, round.broadcast_.send.data(), round.broadcast_.send.size(), &out);
  module_run(&m, lane.send.data(), lane.send.size(), &out);
  protect(index, false);
  lane.receive.assign(out.words, out.words + out.length);
}

void Machine::run(Round& round) {
  Driver& mine = driver();
  BALLAST_CHECK(&round == &mine.round);
  if (round.tasks_ == 0) return;
  const std::uint64_t cpu_ns = thread_cpu_ns() - mine.cpu_mark_ns;
  const std::lock_guard lock(running_);
  if (++rounds_ == options_.kill_round) {
    broken_ = true;
    throw ModuleLost(options_.kill_module, rounds_, round.phase_);
  }
  const bool everywhere = !round.broadcast_.send.empty();
  if (everywhere) {
    for (std::uint32_t i = 0; i < options_.modules; ++i) {
      if (round.lanes_[i].used) continue;
      round.lanes_[i].used = true;
      round.used_.push_back(i);
    }
  }
  const auto all = [&] {
    tbb::parallel_for(std::size_t{0}, round.used_.size(),
                      [&](std::size_t i) { run_module(round, round.used_[i]); });
  };
  if (options_.threads == 1) {
    for (const std::uint32_t index : round.used_) run_module(round, index);
  } else if (options_.threads > 1) {
    tbb::task_arena(options_.threads).execute(all);
  } else {
    all();
  }

  RoundRecord record{.phase = round.phase_, .tasks = round.tasks_, .cpu_ns = cpu_ns};
  const std::uint64_t broadcast = round.broadcast_.send.size() - round.broadcast_.headers;
  record.broadcast_words = broadcast;
  if (trace_) record.module_words.resize(options_.modules);
  std::uint64_t most = 0;
  bool any_reply = false;
  for (const std::uint32_t index : round.used_) {
    const auto& lane = round.lanes_[index];
    const module& m = modules_[index];
    if (m.fault == FAULT_MEMORY) {
      broken_ = true;
      throw ModuleFull(index, options_.memory);
    }
    BALLAST_CHECK(m.fault == FAULT_NONE,
                  fmt::format("module {} met fault {} in phase {}", index, m.fault, round.phase_));
    const std::uint64_t sent = lane.send.size() - lane.headers + broadcast, received = lane.receive.size();
    record.sent_words += sent;
    record.received_words += received;
    record.most_sent = std::max(record.most_sent, sent);
    record.most_received = std::max(record.most_received, received);
    record.header_words += lane.headers + round.broadcast_.headers;
    any_reply |= received != 0;
    record.work += m.counters.instructions;
    record.most_work = std::max(record.most_work, m.counters.instructions);
    record.most_memory_words =
        std::max(record.most_memory_words, m.counters.read_words + m.counters.written_words);
    record.most_transfers = std::max(record.most_transfers, m.counters.reads + m.counters.writes);
    record.most_row_misses = std::max(record.most_row_misses, m.counters.row_misses);
    if (trace_) record.module_words[index] = static_cast<std::uint32_t>(sent + received);
    if (sent + received > most) {
      most = sent + received;
      record.busiest = index;
    }
  }
  if (any_reply) record.header_words += options_.modules;  // the reply lengths
  mine.cost.rounds.push_back(std::move(record));
  mine.cpu_mark_ns = thread_cpu_ns();
}

}  // namespace ballast::pim
