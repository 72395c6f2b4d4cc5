#include "ballast/federate/net/wire.h"

#include <sodium.h>

#include <fmt/format.h>

#include <set>
#include <sstream>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"

namespace ballast::federate {
namespace {

void start_sodium() {
  if (sodium_init() < 0) throw Unavailable("libsodium cannot be started: no source of random numbers");
}

}  // namespace

void WireSettings::archive(Archive& a) {
  OptimizerConfig& o = config.optimizer;
  a& features& classes& config.model& config.hidden& config.rounds& config.local_steps& config.batch& config
      .seed& config.cross_eval_batches& config.reset_optimizer& config.holdout& config.privacy.clip& config
      .privacy.local_noise& config.privacy.noise& config.compression.kind& config.compression.keep& o.adam& o
      .learning_rate& o.beta1& o.beta2& o.epsilon& o.weight_decay& o.amsgrad& o.momentum& o.prox;
}

std::string blake2b(std::string_view bytes) {
  start_sodium();
  std::string hash(32, '\0');
  crypto_generichash(reinterpret_cast<unsigned char*>(hash.data()), hash.size(),
                     reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), nullptr, 0);
  return hash;
}

std::string model_hash(const ModelShape& shape, const Params& params) {
  std::string bytes =
      fmt::format("{} {} {} {}\n", to_string(shape.kind), shape.features, shape.hidden, shape.classes);
  bytes.append(reinterpret_cast<const char*>(params.data()), params.size() * sizeof(float));
  return blake2b(bytes);
}

std::string to_hex(std::string_view bytes) {
  std::string text;
  for (char c : bytes) text += fmt::format("{:02x}", static_cast<unsigned char>(c));
  return text;
}

std::string new_token() {
  start_sodium();
  std::string bytes(32, '\0');
  randombytes_buf(bytes.data(), bytes.size());
  return to_hex(bytes);
}

Roster Roster::read(const std::string& path) {
  std::istringstream lines(read_file(path, 1 << 24));
  Roster roster;
  std::set<std::string> names;
  std::string line;
  for (std::uint64_t number = 1; std::getline(lines, line); ++number) {
    if (line.empty() || line[0] == '#') continue;
    std::istringstream words(line);
    std::string name, hash, rest;
    if (!(words >> name >> hash) || (words >> rest) || hash.size() != 64)
      throw InvalidInput::at(path, number, "not a client",
                             "NAME HASH, as `ballast federate token` writes them");
    if (!names.insert(name).second)
      throw InvalidInput::at(path, number, fmt::format("client '{}' comes twice", name));
    roster.clients.emplace_back(name, hash);
  }
  if (roster.clients.empty())
    throw InvalidInput(fmt::format("{}: no clients; make one with `ballast federate token`", path));
  return roster;
}

int Roster::authenticate(const std::string& name, const std::string& token) const {
  const std::string given = to_hex(blake2b(token));
  int found = -1;
  for (std::size_t i = 0; i < clients.size(); ++i) {
    const bool right = sodium_memcmp(given.data(), clients[i].second.data(), 64) == 0;
    if (clients[i].first == name && right) found = static_cast<int>(i);
  }
  return found;
}

}  // namespace ballast::federate
