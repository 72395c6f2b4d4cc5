// The engine behind offloading: three workers (link to host, host update, link to device) that serve chains
// in the order which a Schedule decides, while the device's thread computes.
//
// The life of one transfer: the device's thread submits it after BWD of its block; it is cut into chunks;
// each chunk takes a staging slot on the host, crosses to it, is updated in place there, crosses back into
// the target on the device, and gives the slot back. A chunk asks for one slot, before anything else, and
// holds only that; so the chain slot → D2H → UPD → H2D cannot deadlock, with a single slot either.
//
//   Engine engine(device, schedule_from_string("layerwise"), {});
//   engine.begin_step(7);
//   engine.submit({.block = 5, .unit = 38, .source = s, .target = s, .update = adam});
//   engine.backward_done();
//   engine.wait_block(0);          // before FWD of block 0 of the next step; rethrows what a worker met
#pragma once

#include <torch/torch.h>

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

#include "ballast/tune/device.h"
#include "ballast/tune/schedule.h"
#include "ballast/tune/timeline.h"

namespace ballast::tune {

struct Transfer {
  std::int64_t block = 0;
  std::int64_t unit = 0;
  at::Tensor source;  ///< on the device, contiguous f32; released when it has crossed
  at::Tensor target;  ///< on the device, contiguous f32, as long as the source
  /// On the host: turns the chunk [first, first + count) of the source, in `values`, into that of the target.
  std::function<void(std::int64_t first, std::int64_t count, float* values)> update;
};

struct EngineOptions {
  /// Staging buffers on the host. Schedules whose updates wait for all gradients hold them all: no limit
  /// there.
  int slots = 32;
  std::int64_t chunk_bytes = std::int64_t{4} << 20;
  /// Of the delayed schedule: so many first steps run without delay.
  std::int64_t delayed_warmup = 40;
  /// Values cross the link as bf16, rounded to nearest; both sides compute in f32.
  bool bf16_wire = false;
  bool record = false;  ///< keep intervals for a trace
};

class Engine {
 public:
  Engine(EmulatedDevice& device, Schedule schedule, EngineOptions options);
  /// Stops the workers; chains under way are finished first, waiting ones are dropped.
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  /// All chains of the step before must be done or under way; with schedules
  /// that wait for all, done (with a delayed one, those of the step before
  /// that).
  void begin_step(std::int64_t step);
  /// Never blocks.
  void submit(Transfer transfer);
  /// All transfers of the step have been submitted.
  void backward_done();
  /// Waits for the chains of one block (of all blocks, if the schedule says so).
  void wait_block(std::int64_t block);
  /// Waits until sources on their way to the host hold at most `bytes` of the device.
  void wait_pending_below(std::int64_t bytes);
  void drain();

  void set_transition(std::int64_t block);
  const Schedule& schedule() const { return schedule_; }
  /// The intervals recorded since the last call.
  std::vector<Interval> take_intervals();
  /// Where the waiting of `wait_*` went since the last call (compute is 0 in it).
  Breakdown take_waits();
  /// Seconds that each stage was busy since the last call, and chunks served: what StageTimes are made of.
  struct Busy {
    double d2h = 0, update = 0, h2d = 0;
    std::int64_t chunks = 0;
  };
  Busy take_busy();

 private:
  struct Chunk {
    std::shared_ptr<Transfer> transfer;
    std::int64_t first = 0, count = 0;
    Ticket ticket;
    at::Tensor buffer;                                     // the staging slot, from D2H to H2D
    std::shared_ptr<std::atomic<std::int64_t>> uncrossed;  // chunks of the transfer that have not crossed yet
    double times[6] = {};                                  // start and end of the three stages
  };
  enum Stage { kOffload = 0, kUpdate = 1, kUpload = 2 };

  void work(Stage stage);
  bool open(Stage stage, const Chunk& chunk) const;
  void serve(Stage stage, Chunk& chunk);
  void cross(LinkChannel& channel, float* to, const float* from, std::int64_t count);
  void finish(Stage stage, Chunk chunk);
  void rethrow();
  void account(double start, double end);
  template <typename Done>
  void wait(std::unique_lock<std::mutex>& lock, Done done);

  EmulatedDevice& device_;
  Schedule schedule_;
  EngineOptions options_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Chunk> queues_[3];
  std::vector<at::Tensor> free_buffers_;
  int slots_in_use_ = 0;
  std::vector<std::int64_t> open_chunks_;  // by block
  // Of one step: what its gates look at.
  struct StepCounts {
    std::int64_t submitted = 0, passed[3] = {};
    bool backward_done = false;
    bool done() const { return passed[kUpload] == submitted; }
  };
  std::map<std::int64_t, StepCounts> steps_;
  std::int64_t step_ = 0, arrivals_ = 0, open_total_ = 0, pending_bytes_ = 0;
  bool stopping_ = false, settling_ = false;
  std::exception_ptr failure_;
  std::vector<Interval> intervals_;
  std::vector<Chunk> finished_;  // of this and the last step, for the accounting of waits
  Breakdown waits_;
  Busy busy_;
  std::vector<std::thread> workers_;
};

}  // namespace ballast::tune
