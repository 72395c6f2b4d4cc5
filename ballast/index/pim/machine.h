// The PIM machine, simulated: P modules with private memories that talk only with the CPU side, round by
// round (the PIM model of "The Processing-in-Memory Model", SPAA 2021). Every module really runs its code
// (dpu/) on its own memory; every word that crosses and every instruction is counted.
//
//   Machine machine({.modules = 256});
//   Round& round = machine.begin("L1");
//   round.add(module, TASK_GET, {key});          // as many tasks as you like, then
//   machine.run(round);
//   const std::uint64_t* reply = round.next(module, 2);
//
// What is counted (`RoundRecord`): a word is 8 bytes. `sent` and `received` are task and reply words; block
// headers and the one length word a module that a variable-length transfer needs are kept apart in
// `header_words`. IO time h of a round is the most words sent to one module plus the most received from one;
// padded words are P * h, which is what a transfer of one common length moves.
//
// The result does not depend on the number of threads. With `guard`, a module's memory is accessible only
// while that module runs.
#pragma once

#include <atomic>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "ballast/base/errors.h"
#include "ballast/base/units.h"
#include "ballast/index/dpu/tasks.h"

namespace ballast::pim {

/// A global address: module << 32 | offset; 0 is none.
using Address = std::uint64_t;
constexpr std::uint32_t module_of(Address address) {
  return static_cast<std::uint32_t>(address >> 32);
}
constexpr std::uint32_t offset_of(Address address) {
  return static_cast<std::uint32_t>(address);
}
constexpr Address address_of(std::uint32_t module, std::uint64_t offset) {
  return static_cast<std::uint64_t>(module) << 32 | offset;
}

struct MachineOptions {
  std::uint32_t modules = 64;
  Bytes memory = Bytes::mib(64);  ///< of one module
  int threads = 0;                ///< that simulate; 0: as many as there are cores
  std::uint32_t drivers = 1;      ///< threads that may have a round of their own under way (drivers.h)
  bool guard = false;             ///< memory protection between CPU side and modules
  /// This module is lost in that round (1: the first after construction); 0: none is.
  std::uint32_t kill_module = 0;
  std::uint64_t kill_round = 0;
};

/// A module's memory is full. Whoever plans ahead (PimTree) throws it before anything changes; one that comes
/// out of a round leaves the machine broken.
class ModuleFull : public Unavailable {
 public:
  ModuleFull(std::uint32_t module, Bytes memory);
  /// A batch needs `need` bytes of it at most, and `have` are left.
  ModuleFull(std::uint32_t module, Bytes memory, Bytes need, Bytes have);
  std::uint32_t module() const { return module_; }

 private:
  std::uint32_t module_;
};

/// A module was lost in a round: what it held is gone, and the machine refuses further rounds until clear().
/// An index on it is restored from a snapshot and the changes since (recovering.h).
class ModuleLost : public Unavailable {
 public:
  ModuleLost(std::uint32_t module, std::uint64_t round, const std::string& phase);
  std::uint32_t module() const { return module_; }
  std::uint64_t round() const { return round_; }

 private:
  std::uint32_t module_;
  std::uint64_t round_;
};

/// What one round cost. All counts are exact.
struct RoundRecord {
  std::string phase;
  std::uint64_t tasks = 0;
  std::uint64_t sent_words = 0, received_words = 0;  ///< over all modules
  std::uint64_t most_sent = 0, most_received = 0;    ///< of one module
  std::uint64_t header_words = 0;                    ///< block headers and length words, all modules
  std::uint64_t broadcast_words = 0;                 ///< of one copy; counted P times in sent_words
  std::uint64_t work = 0, most_work = 0;             ///< instructions
  std::uint64_t most_memory_words = 0;               ///< between memory and scratch, of one module
  std::uint64_t most_transfers = 0;                  ///< their number, of one module
  std::uint64_t most_row_misses = 0;                 ///< of them, those that left the open row of 1 KiB
  std::uint32_t busiest = 0;                         ///< the module with most sent + received
  std::uint64_t cpu_ns = 0;                          ///< measured: CPU side, since the round before
  std::vector<std::uint32_t> module_words = {};      ///< sent + received of each, when the machine traces

  std::uint64_t io_time() const { return most_sent + most_received; }
  std::uint64_t words() const { return sent_words + received_words; }
};

/// The sum of rounds.
struct Cost {
  std::uint32_t modules = 0;
  std::vector<RoundRecord> rounds;

  std::uint64_t io_time() const;  ///< h
  std::uint64_t words() const;    ///< true words
  std::uint64_t header_words() const;
  std::uint64_t padded_words() const { return io_time() * modules; }
  double io_imbalance() const;     ///< padded / true words
  std::uint64_t pim_time() const;  ///< sum over rounds of the most work of one module
  double work_imbalance() const;
};

class Machine;

class Round {
 public:
  /// Room for one task of `words` words for this module; the caller fills it in.
  std::uint64_t* add(std::uint32_t module, task type, std::size_t words);
  void add(std::uint32_t module, task type, std::initializer_list<std::uint64_t> words);
  /// Room for `count` tasks of `words` words each, one behind the other.
  std::uint64_t* add_many(std::uint32_t module, task type, std::size_t words, std::size_t count);
  /// The same task for every module; runs before the module's own tasks and has no reply.
  void broadcast(task type, std::initializer_list<std::uint64_t> words);
  bool empty() const { return tasks_ == 0; }

  /// After Machine::run: the next `words` reply words of this module, in the order of its tasks.
  const std::uint64_t* next(std::uint32_t module, std::size_t words);

 private:
  friend class Machine;
  struct Lane {
    std::vector<std::uint64_t> send, receive;
    std::size_t block = 0;  // position of the open block's header
    int type = 0;           // its type; 0: none
    std::uint64_t headers = 0;
    std::size_t cursor = 0;
    bool used = false;
  };
  void open(Lane& lane, task type, std::size_t words, std::size_t count = 1);

  std::string phase_;
  std::vector<Lane> lanes_;
  Lane broadcast_;
  std::vector<std::uint32_t> used_;  // lanes that have tasks
  std::uint64_t tasks_ = 0;
};

class Machine {
 public:
  /// Throws InvalidInput for 0 or more than 65536 modules, or a memory below 64 KiB or above 2 GiB;
  /// Unavailable when the address space is not to be had.
  explicit Machine(MachineOptions options);
  ~Machine();
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  std::uint32_t modules() const { return options_.modules; }
  const MachineOptions& options() const { return options_; }

  /// Starts an empty round (of this thread's driver); the one before is gone. Throws Unavailable once a
  /// module was full.
  Round& begin(std::string phase);
  /// Runs it on all modules; a round without tasks costs nothing and is not recorded. Throws ModuleFull,
  /// ModuleLost.
  void run(Round& round);

  /// What was run since the last reset.
  const Cost& cost() const { return driver().cost; }
  void reset_cost();
  /// Empty memories, as at the start; the cost stays.
  void clear();
  /// Puts back what cost() was: for rounds that are not to be counted.
  void restore_cost(Cost cost) { driver().cost = std::move(cost); }
  /// Keep words by module in the records (for heat maps).
  void trace_modules(bool on) { trace_ = on; }
  /// Where a module's memory lies: for the test that the guard keeps everybody else out.
  const std::uint8_t* memory_for_tests(std::uint32_t index) const { return modules_[index].memory; }
  /// True once a full or lost module interrupted a round: what the modules hold is no longer whole.
  bool broken() const { return broken_; }

  /// Makes the calling thread driver `number` (of options().drivers) while it lives; other threads are driver
  /// 0.
  class Seat {
   public:
    explicit Seat(std::uint32_t number);
    ~Seat();
    Seat(const Seat&) = delete;
    Seat& operator=(const Seat&) = delete;

   private:
    std::uint32_t before_;
  };

 private:
  void run_module(Round& round, std::uint32_t index);
  void protect(std::uint32_t index, bool accessible);

  /// What each driver has of its own: buffers and costs. The modules run one round at a time.
  struct Driver {
    Round round;
    Cost cost;
    std::uint64_t cpu_mark_ns = 0;
  };
  Driver& driver() const;

  MachineOptions options_;
  std::vector<module> modules_;
  std::uint8_t* arena_ = nullptr;
  std::vector<std::unique_ptr<Driver>> drivers_;
  std::mutex running_;
  std::atomic<bool> broken_{false};
  std::uint64_t rounds_ = 0;  // run since construction
  bool trace_ = false;
};

}  // namespace ballast::pim
