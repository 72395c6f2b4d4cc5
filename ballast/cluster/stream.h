// One superstep whose messages travel in chunks while their sender still works, and are taken as they arrive:
// computing and waiting overlap.
//
//   me.stream(
//       [&](Stream& out) { for (...) out.to(owner).put(record); },       // a chunk leaves when it is full
//       [&](int source, Reader chunk) { while (!chunk.empty()) use(chunk.get<Record>()); });
//
// A chunk ends between two calls of to(), so that what is put after one call stays together. Chunks of one
// source are taken in order; those of different sources as they come, some of them between two chunks of
// one's own, on the same thread. Where no time is to be won (threads without an emulated network, several
// machines in one MPI rank, overlap = false) the same chunks move together by one exchange and are taken in
// the order of sources. Counters are the same in all cases: a chunk is a message; the sign that a source has
// ended travels with its last chunk, or as 40 bytes of control that count as little as the sizes of an
// exchange.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "ballast/cluster/account.h"
#include "ballast/cluster/message.h"

namespace ballast::cluster {

class Machine;

struct StreamOptions {
  std::size_t chunk_bytes = std::size_t{64} << 10;  ///< payload from which on a chunk leaves
  bool overlap = true;
};

class Stream {
 public:
  /// What has been put for this machine so far; append to it. May end the chunk before.
  Buffer& to(int machine);
  /// After to(): whether a new chunk begins.
  bool begins(int machine) const {
    const auto d = static_cast<std::size_t>(machine);
    return chunks_[d].size() == begin_[d];
  }
  /// Called with every chunk before it leaves: what heads it may be completed.
  std::function<void(int machine, std::span<std::byte> chunk)> before_leaving;

 private:
  friend class Machine;
  using Take = std::function<void(int source, Reader chunk)>;
  Stream(Machine& me, const StreamOptions& options, const Take& take, SuperstepCount& count);

  void close_chunk(int machine);
  void send(int machine, bool last);
  void end();
  void end_together();
  void receive(bool wait);
  void took(int source, std::span<const std::byte> chunk);

  Machine& me_;
  const StreamOptions options_;
  const Take& take_;
  SuperstepCount& count_;
  const bool travelling_;           ///< chunks leave at once; else all leave by one exchange at the end
  std::vector<Buffer> chunks_;      ///< by destination: the present chunk, or all of them
  std::vector<std::size_t> begin_;  ///< where the present chunk begins
  std::vector<std::vector<std::uint32_t>> sizes_;  ///< of the chunks before it, if they leave together
  int sources_left_ = 0;
};

}  // namespace ballast::cluster
