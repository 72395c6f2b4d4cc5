// What both ends of a deployment agree on: settings of a run as a record, hashes, the tokens file.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "ballast/federate/client_runtime.h"

namespace ballast::federate {

/// Hyper-parameters that a client needs, in the ticket.
struct WireSettings {
  int features = 0, classes = 0;
  RunConfig config;
  void archive(Archive& a);
};

/// BLAKE2b-256, as 32 bytes.
std::string blake2b(std::string_view bytes);
/// The hash that names a model: of its layout and its bytes.
std::string model_hash(const ModelShape& shape, const Params& params);
std::string to_hex(std::string_view bytes);

/// A secret of 32 random bytes, as text.
std::string new_token();
/// Lines `NAME HASH`; the line's position is the client's number. Lines starting with # are comments.
struct Roster {
  std::vector<std::pair<std::string, std::string>> clients;  ///< name, hex of the token's hash
  /// Throws Unavailable or InvalidInput with the line.
  static Roster read(const std::string& path);
  /// The client's number, or -1: unknown name or wrong token, which take the same time and tell no
  /// difference.
  int authenticate(const std::string& name, const std::string& token) const;
};

constexpr std::size_t kChunkBytes = 1 << 20;

}  // namespace ballast::federate
