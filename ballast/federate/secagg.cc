#include "ballast/federate/secagg.h"

#include <sodium.h>
extern "C" {
#include <libgfshare.h>
}

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>

#include "ballast/base/errors.h"

namespace ballast::federate {
namespace {

void start_libraries() {
  if (sodium_init() < 0) throw Unavailable("libsodium cannot be started: no source of random numbers");
  gfshare_fill_rand = [](unsigned char* out, unsigned int size) { randombytes_buf(out, size); };
}

using Splitter = std::unique_ptr<gfshare_ctx, decltype(&gfshare_ctx_free)>;

// Share numbers are 1..255; a holder's is its position among its owner's holders, and one.
std::vector<unsigned char> share_numbers(std::size_t count) {
  std::vector<unsigned char> numbers(count);
  for (std::size_t i = 0; i < count; ++i) numbers[i] = static_cast<unsigned char>(i + 1);
  return numbers;
}

std::vector<SecretBytes> split(SecretBytes secret, std::size_t holders, int threshold) {
  auto numbers = share_numbers(holders);
  const Splitter context(gfshare_ctx_init_enc(numbers.data(), static_cast<unsigned>(holders),
                                              static_cast<unsigned char>(threshold), 32),
                         gfshare_ctx_free);
  if (!context) throw Unavailable("secret sharing cannot be started");
  gfshare_ctx_enc_setsecret(context.get(), secret.data());
  std::vector<SecretBytes> shares(holders);
  for (std::size_t i = 0; i < holders; ++i)
    gfshare_ctx_enc_getshare(context.get(), static_cast<unsigned char>(i), shares[i].data());
  return shares;
}

// Adds or subtracts the key's stream.
void apply_stream(MaskedVector& values, const SecretBytes& key, bool add) {
  MaskedVector stream(values.size());
  const std::array<unsigned char, crypto_stream_chacha20_NONCEBYTES> nonce{};
  crypto_stream_chacha20(reinterpret_cast<unsigned char*>(stream.data()), stream.size() * 4, nonce.data(),
                         key.data());
  for (std::size_t i = 0; i < values.size(); ++i) values[i] += add ? stream[i] : 0u - stream[i];
}

SecretBytes agree(const SecretBytes& secret, const SecretBytes& theirs, char purpose) {
  SecretBytes shared, key;
  if (crypto_scalarmult(shared.data(), secret.data(), theirs.data()) != 0)
    throw InvalidInput("a public key that no honest client has");
  std::array<unsigned char, 33> input;
  std::copy(shared.begin(), shared.end(), input.begin());
  input[32] = static_cast<unsigned char>(purpose);
  crypto_generichash(key.data(), key.size(), input.data(), input.size(), nullptr, 0);
  return key;
}

void check_cohort(std::size_t size, int threshold) {
  if (size < 3)
    throw InvalidInput("secure aggregation", fmt::format("{} clients", size),
                       "at least 3: a sum of fewer tells too much");
  if (size > kSecureMostClients)
    throw InvalidInput("secure aggregation", fmt::format("{} clients", size),
                       fmt::format("at most {}", kSecureMostClients));
  if (threshold < 2) throw InvalidInput("threshold", std::to_string(threshold), "at least 2 shares");
}

}  // namespace

MaskedVector quantise(const Params& params, double samples, double max_weight) {
  const double rho = std::min(1.0, samples / max_weight);
  MaskedVector values;
  values.reserve(params.size() + 1);
  const auto level = [](double x) {
    const double clipped = std::clamp(x, -kSecureRange, kSecureRange);
    return static_cast<std::uint32_t>(
        std::lround((clipped + kSecureRange) / (2 * kSecureRange) * (kSecureLevels - 1)));
  };
  values.push_back(level(rho));
  for (float p : params) values.push_back(level(rho * p));
  return values;
}

Params dequantise_mean(const MaskedVector& sum, std::size_t clients) {
  const auto value = [&](std::uint32_t level) {
    return level * (2 * kSecureRange) / (kSecureLevels - 1) - kSecureRange * static_cast<double>(clients);
  };
  const double weight = value(sum.at(0));
  Params mean;
  for (std::size_t i = 1; i < sum.size(); ++i) mean.push_back(static_cast<float>(value(sum[i]) / weight));
  return mean;
}

std::vector<int> secure_neighbours(int client, std::span<const int> cohort, int k) {
  const auto n = static_cast<int>(cohort.size());
  std::vector<int> neighbours;
  if (n <= 64) {
    for (int other : cohort) {
      if (other != client) neighbours.push_back(other);
    }
    return neighbours;
  }
  const auto at = static_cast<int>(std::find(cohort.begin(), cohort.end(), client) - cohort.begin());
  for (int d = 1; d <= k / 2; ++d) {
    for (int side : {at + d, at - d + n}) neighbours.push_back(cohort[static_cast<std::size_t>(side % n)]);
  }
  std::sort(neighbours.begin(), neighbours.end());
  return neighbours;
}

SecureClient::SecureClient(int id, std::vector<int> cohort, int threshold)
    : id_(id),
      cohort_(std::move(cohort)),
      neighbours_(secure_neighbours(id, cohort_)),
      threshold_(threshold) {
  check_cohort(cohort_.size(), threshold);
  if (static_cast<std::size_t>(threshold) > neighbours_.size())
    throw InvalidInput("threshold", std::to_string(threshold),
                       fmt::format("at most {} neighbours", neighbours_.size()));
  start_libraries();
  for (auto* secret : {&seal_secret_, &mask_secret_, &seed_}) randombytes_buf(secret->data(), secret->size());
  crypto_scalarmult_base(seal_public_.data(), seal_secret_.data());
  crypto_scalarmult_base(mask_public_.data(), mask_secret_.data());
}

std::map<int, std::string> SecureClient::share(const std::map<int, PublicKeys>& keys) {
  keys_ = keys;
  const auto seeds = split(seed_, neighbours_.size(), threshold_),
             masks = split(mask_secret_, neighbours_.size(), threshold_);
  std::map<int, std::string> sealed;
  for (std::size_t i = 0; i < neighbours_.size(); ++i) {
    const auto found = keys.find(neighbours_[i]);
    if (found == keys.end()) continue;  // dropped out before round 2
    std::array<unsigned char, 64> plain;
    std::copy(seeds[i].begin(), seeds[i].end(), plain.begin());
    std::copy(masks[i].begin(), masks[i].end(), plain.begin() + 32);
    const SecretBytes key = agree(seal_secret_, found->second.seal, 's');
    std::string box(crypto_secretbox_NONCEBYTES + crypto_secretbox_MACBYTES + plain.size(), '\0');
    auto* bytes = reinterpret_cast<unsigned char*>(box.data());
    randombytes_buf(bytes, crypto_secretbox_NONCEBYTES);
    crypto_secretbox_easy(bytes + crypto_secretbox_NONCEBYTES, plain.data(), plain.size(), bytes, key.data());
    sealed[neighbours_[i]] = std::move(box);
  }
  if (sealed.size() < static_cast<std::size_t>(threshold_))
    throw InvalidInput("secure aggregation: fewer neighbours than the threshold have advertised keys");
  return sealed;
}

MaskedVector SecureClient::mask(const MaskedVector& values, const std::map<int, std::string>& sealed) {
  for (const auto& [owner, box] : sealed) {
    const auto found = keys_.find(owner);
    std::array<unsigned char, 64> plain;
    const std::size_t size = crypto_secretbox_NONCEBYTES + crypto_secretbox_MACBYTES + plain.size();
    const auto* bytes = reinterpret_cast<const unsigned char*>(box.data());
    if (found == keys_.end() || box.size() != size)
      throw InvalidInput("a sealed share of the wrong size or from a stranger");
    const SecretBytes key = agree(seal_secret_, found->second.seal, 's');
    if (crypto_secretbox_open_easy(plain.data(), bytes + crypto_secretbox_NONCEBYTES,
                                   size - crypto_secretbox_NONCEBYTES, bytes, key.data()) != 0)
      throw InvalidInput(fmt::format("the share of client {} is not what it sealed", owner));
    auto& [seed, mask] = held_[owner];
    std::copy_n(plain.begin(), 32, seed.begin());
    std::copy_n(plain.begin() + 32, 32, mask.begin());
  }
  MaskedVector masked = values;
  apply_stream(masked, seed_, true);
  for (const auto& [other, shares] : held_)
    apply_stream(masked, agree(mask_secret_, keys_.at(other).mask, 'm'), id_ < other);
  return masked;
}

SecureClient::Opened SecureClient::unmask(const std::set<int>& survived, const std::set<int>& dropped) {
  if (unmasked_) throw InvalidInput("a client opens shares once only");
  if (survived.size() < static_cast<std::size_t>(std::max(threshold_, 3)))
    throw InvalidInput("secure aggregation: too few clients came through; nothing is opened");
  Opened opened;
  for (int owner : survived) {
    if (dropped.count(owner) > 0)
      throw InvalidInput("a server that asks for both secrets of a client is not honest");
    if (const auto found = held_.find(owner); found != held_.end()) opened.seeds[owner] = found->second.first;
  }
  for (int owner : dropped) {
    if (const auto found = held_.find(owner); found != held_.end()) opened.keys[owner] = found->second.second;
  }
  unmasked_ = true;
  return opened;
}

SecureServer::SecureServer(std::vector<int> cohort, int threshold)
    : cohort_(std::move(cohort)), threshold_(threshold) {
  check_cohort(cohort_.size(), threshold);
  start_libraries();
}

void SecureServer::take_masked(int client, const MaskedVector& values) {
  if (!came_.insert(client).second) throw InvalidInput("a client's masked vector came twice");
  if (sum_.empty()) sum_.assign(values.size(), 0);
  if (values.size() != sum_.size()) throw InvalidInput("masked vectors of different lengths");
  for (std::size_t i = 0; i < values.size(); ++i) sum_[i] += values[i];
}

std::set<int> SecureServer::dropped() const {
  std::set<int> gone;
  for (const auto& [client, keys] : keys_) {
    if (came_.count(client) == 0) gone.insert(client);
  }
  return gone;
}

void SecureServer::take_opened(int client, const SecureClient::Opened& opened) {
  for (const auto& [owner, share] : opened.seeds) seeds_[owner][client] = share;
  for (const auto& [owner, share] : opened.keys) mask_keys_[owner][client] = share;
}

namespace {

// Lagrange by libgfshare: shares that were not given are numbered 0.
SecretBytes recover(const std::vector<int>& holders, const std::map<int, SecretBytes>& shares) {
  auto numbers = share_numbers(holders.size());
  std::vector<unsigned char> used(holders.size(), 0);
  for (std::size_t i = 0; i < holders.size(); ++i) {
    if (shares.count(holders[i]) > 0) used[i] = numbers[i];
  }
  const Splitter context(gfshare_ctx_init_dec(used.data(), static_cast<unsigned>(holders.size()), 32),
                         gfshare_ctx_free);
  if (!context) throw Unavailable("secret sharing cannot be started");
  for (std::size_t i = 0; i < holders.size(); ++i) {
    if (used[i] == 0) continue;
    SecretBytes share = shares.at(holders[i]);
    gfshare_ctx_dec_giveshare(context.get(), static_cast<unsigned char>(i), share.data());
  }
  SecretBytes secret;
  gfshare_ctx_dec_extract(context.get(), secret.data());
  return secret;
}

}  // namespace

MaskedVector SecureServer::sum() const {
  const auto enough = [&](const std::map<int, std::map<int, SecretBytes>>& all, int owner) {
    const auto found = all.find(owner);
    return found != all.end() && found->second.size() >= static_cast<std::size_t>(threshold_);
  };
  MaskedVector sum = sum_;
  for (int client : came_) {
    if (!enough(seeds_, client))
      throw Unavailable(
          fmt::format("secure aggregation: too few shares of client {}; the round is given up", client));
  }
  const std::set<int> gone = dropped();
  std::map<int, SecretBytes> keys;
  for (int client : gone) {
    const auto neighbours = secure_neighbours(client, cohort_);
    const bool masked_for =
        std::any_of(neighbours.begin(), neighbours.end(), [&](int n) { return came_.count(n) > 0; });
    if (!masked_for) continue;
    if (!enough(mask_keys_, client))
      throw Unavailable(
          fmt::format("secure aggregation: too few shares of client {}; the round is given up", client));
    const SecretBytes key = recover(neighbours, mask_keys_.at(client));
    SecretBytes check;
    crypto_scalarmult_base(check.data(), key.data());
    if (check != keys_.at(client).mask)
      throw Unavailable(
          fmt::format("secure aggregation: false shares of client {}; the round is given up", client));
    keys[client] = key;
  }
  for (int client : came_)
    apply_stream(sum, recover(secure_neighbours(client, cohort_), seeds_.at(client)), false);
  for (const auto& [client, key] : keys) {
    for (int other : secure_neighbours(client, cohort_)) {
      if (came_.count(other) > 0) apply_stream(sum, agree(key, keys_.at(other).mask, 'm'), other > client);
    }
  }
  return sum;
}

}  // namespace ballast::federate
