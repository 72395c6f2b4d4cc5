// How bytes get from machine to machine. A transport carries frames and knows nothing of what is in them.
// All calls but `fail` are collective: every machine makes the same calls in the same order.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "ballast/base/errors.h"
#include "ballast/cluster/cost_model.h"
#include "ballast/cluster/message.h"

namespace ballast::cluster {

/// A place in the run: what a machine is in the middle of.
struct Where {
  std::uint32_t stage = 0;
  std::uint32_t superstep = 0;
  std::string_view stage_name = {};
};

/// A machine is gone; every other machine gets this out of its exchange.
class MachineLost : public Unavailable {
 public:
  MachineLost(int machine, std::uint32_t stage, std::uint32_t superstep, const std::string& reason);
  int machine() const { return machine_; }
  std::uint32_t stage() const { return stage_; }
  std::uint32_t superstep() const { return superstep_; }
  const std::string& reason() const { return reason_; }

 private:
  int machine_;
  std::uint32_t stage_, superstep_;
  std::string reason_;
};

/// A frame of a stream, as it arrives.
struct StreamFrame {
  int source = -1;
  Buffer frame = {};
};

class Transport {
 public:
  virtual ~Transport() = default;

  virtual std::string name() const = 0;
  virtual int machines() const = 0;
  /// The machines that live in this process: ids from first_local() to first_local() + local_machines() - 1.
  virtual int first_local() const = 0;
  virtual int local_machines() const = 0;

  /// Runs `body` once for every local machine, each on its own thread, and returns when all have ended.
  virtual void run(const std::function<void(int machine)>& body) = 0;
  /// Moves frame out[d] to machine d for every d (an empty buffer is no frame); in[s] becomes what s sent.
  /// `out` comes back with buffers to be used again; received ones may be taken from `pool`.
  virtual void exchange(int machine, const Where& where, std::vector<Buffer>& out, std::vector<Buffer>& in,
                        BufferPool& pool) = 0;
  /// Everyone's contribution, in the order of machine ids.
  virtual void allgather(int machine, const Where& where, std::span<const std::byte> mine,
                         std::vector<std::vector<std::byte>>& all) = 0;
  /// Streams: frames that leave while their sender still works. All machines open, each sends and receives as
  /// it likes, all close after each has received all that was sent to it. Whether a transport can at all, and
  /// whether time is to be won by it:
  virtual bool can_stream() const { return false; }
  virtual bool stream_pays() const { return false; }
  virtual void stream_open(int machine, const Where& where);
  /// The frame may be one without payload. Its buffer is taken or left.
  virtual void stream_send(int machine, int to, Buffer& frame);
  /// The next frame that has arrived, if any; `wait`: waits for one.
  virtual bool stream_receive(int machine, const Where& where, bool wait, StreamFrame& arrived);
  virtual void stream_close(int machine, const Where& where);

  /// This machine has ended well and makes no more calls.
  virtual void leave(int machine) noexcept = 0;
  /// This machine has failed: all others leave their present or next call with MachineLost.
  virtual void fail(int machine, const Where& where, const std::string& reason) noexcept = 0;
};

/// P machines as threads of this process. `timeout_s`: how long an exchange waits for a machine before it is
/// given up.
std::unique_ptr<Transport> make_thread_transport(int machines, double timeout_s);

/// Any transport, slowed to a profile's bandwidth, cost of a message and latency by really waiting.
std::unique_ptr<Transport> make_shaped_transport(std::unique_ptr<Transport> inner, const Profile& link);

/// The ranks of the MPI job that this process belongs to, `machines_per_rank` machines in each. Throws
/// Unavailable when Ballast was built without MPI.
std::unique_ptr<Transport> make_mpi_transport(int machines_per_rank, double timeout_s);
/// "Open MPI 4.1.4, thread level funneled, 2 ranks", or why there is none. Starts MPI.
std::string describe_mpi();
bool built_with_mpi();

}  // namespace ballast::cluster
