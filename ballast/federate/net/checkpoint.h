// Numbered files, each complete or absent, that name the bytes they hold: the last three of a run.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace ballast::federate {

struct Checkpoint {
  std::uint64_t number = 0;
  std::string record;
};

/// Writes `checkpoint-N` (flushed, then renamed) and removes those before the last three.
void write_checkpoint(const std::string& folder, std::uint64_t number, const std::string& record);
/// The newest whose hash is right; damaged ones are named on standard error and passed over.
std::optional<Checkpoint> newest_checkpoint(const std::string& folder);

}  // namespace ballast::federate
