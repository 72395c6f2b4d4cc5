// Checkpoints between stages: one file a machine and a manifest, which is written last and under its name at
// once, so that a half-written checkpoint is never found.
//
//   Checkpoint checkpoint("state.ckpt");
//   checkpoint.save(me, stage, bytes);                   // collective
//   if (auto saved = checkpoint.load(me)) resume(saved->stage, saved->state);      // collective
//
// A checkpoint belongs to its number of machines: another P is refused with the reason.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ballast/cluster/machine.h"

namespace ballast::cluster {

class Checkpoint {
 public:
  explicit Checkpoint(std::string folder) : folder_(std::move(folder)) {}

  /// Writes every machine's state; the older one is removed once the new one is complete. Throws Unavailable
  /// (all machines do) when a file cannot be written.
  void save(Machine& me, std::uint64_t stage, std::span<const std::byte> state) const;

  struct Saved {
    std::uint64_t stage;
    std::string state;
  };
  /// The last complete checkpoint; nullopt: there is none. Throws InvalidInput when it is of another P or
  /// format, or damaged.
  std::optional<Saved> load(Machine& me) const;

 private:
  std::string folder_;
};

}  // namespace ballast::cluster
