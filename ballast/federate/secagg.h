// Secure aggregation (Bonawitz et al. 2017; SecAgg+ with a k-regular neighbour graph, Bell et al. 2020): the
// server learns the sum of the clients' vectors and no single one, though clients may drop out on the way.
//
//   1 advertise   every client publishes two X25519 keys: one for sealing shares, one for masks
//   2 share       it splits its mask key and its own seed among its neighbours (Shamir), each share sealed
//   3 mask        it sends x + PRG(own seed) +- PRG(key agreed with each neighbour), modulo 2^32
//   4 unmask      neighbours open the seeds of those who came through and the mask keys of those who did not
//
// Primitives are libsodium's (X25519, XSalsa20-Poly1305 for shares, ChaCha20 as PRG) and libgfshare's (Shamir
// in GF(2^8)). What it protects: single updates from a server that follows the protocol. The server must not
// ask for both the seed and the mask key of one client, and clients refuse to tell both.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "ballast/federate/params.h"

namespace ballast::federate {

using SecretBytes = std::array<unsigned char, 32>;
using MaskedVector = std::vector<std::uint32_t>;

/// Quantisation: rho = samples / max_weight <= 1; [rho, rho * theta] clipped to +-8 in 2^22 levels.
constexpr double kSecureRange = 8;
constexpr std::uint32_t kSecureLevels = 1u << 22;
constexpr int kSecureMostClients = 1023;  ///< more would overflow 2^32
MaskedVector quantise(const Params& params, double samples, double max_weight);
/// The weighted mean of `clients` summed vectors.
Params dequantise_mean(const MaskedVector& sum, std::size_t clients);

struct PublicKeys {
  SecretBytes seal, mask;
  void archive(Archive& a) { a& seal& mask; }
};

/// The neighbours of a client: everyone up to 64 clients, else the k nearest on a ring in the order of ids (k
/// even).
std::vector<int> secure_neighbours(int client, std::span<const int> cohort, int k = 32);

class SecureClient {
 public:
  /// `threshold`: shares that open a secret. Throws InvalidInput for cohorts below 3 or above 1023.
  SecureClient(int id, std::vector<int> cohort, int threshold);

  PublicKeys advertise() const { return {seal_public_, mask_public_}; }
  /// Sealed shares by neighbour. Throws InvalidInput when a neighbour's keys are missing.
  std::map<int, std::string> share(const std::map<int, PublicKeys>& keys);
  /// What neighbours sealed for this client; those absent have dropped out before and are not masked for.
  /// Throws InvalidInput when a seal is broken.
  MaskedVector mask(const MaskedVector& values, const std::map<int, std::string>& sealed);
  struct Opened {
    std::map<int, SecretBytes> seeds, keys;  ///< shares, by owner
  };
  /// Throws InvalidInput when somebody is in both lists, or when too few came through.
  Opened unmask(const std::set<int>& survived, const std::set<int>& dropped);

 private:
  int id_;
  std::vector<int> cohort_, neighbours_;
  int threshold_;
  SecretBytes seal_secret_, seal_public_, mask_secret_, mask_public_, seed_;
  std::map<int, PublicKeys> keys_;
  std::map<int, std::pair<SecretBytes, SecretBytes>> held_;  // owner -> share of its seed, of its mask key
  bool unmasked_ = false;
};

class SecureServer {
 public:
  SecureServer(std::vector<int> cohort, int threshold);
  void take_keys(int client, const PublicKeys& keys) { keys_[client] = keys; }
  const std::map<int, PublicKeys>& keys() const { return keys_; }
  void take_masked(int client, const MaskedVector& values);
  /// Who sent a masked vector, and who shared but did not.
  std::set<int> survived() const { return came_; }
  std::set<int> dropped() const;
  void take_opened(int client, const SecureClient::Opened& opened);
  /// The exact sum of those who came through. Throws Unavailable when shares are too few or false: then
  /// nothing is unmasked.
  MaskedVector sum() const;

 private:
  std::vector<int> cohort_;
  int threshold_;
  std::map<int, PublicKeys> keys_;
  std::set<int> came_;
  MaskedVector sum_;
  std::map<int, std::map<int, SecretBytes>> seeds_, mask_keys_;  // owner -> holder -> share
};

}  // namespace ballast::federate
