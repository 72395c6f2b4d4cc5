// A deployed federation's server: gRPC with TLS around the desk, a coordinator, checkpoints after every phase
// and round, a status page.
//
// The state folder: `run.json` (the configuration), `checkpoint-N` (the last three; BLAKE2b hash, then the
// record), `status.html` and `status.json` (renewed after every phase), `models/*.safetensors` at the end. A
// server that is started again on the folder goes on with the phase that it was in. An operator's words are
// files that `ballast federate drain` and `release` write there: `drain` ends the run after the present step
// (started again, it goes on), `release` names clients whose quarantine ends.
#pragma once

#include <memory>
#include <string>

#include "ballast/federate/net/server_core.h"

namespace ballast::federate {

struct ServerOptions {
  std::string listen = "127.0.0.1:0";
  std::string certificate, key, client_ca;  ///< PEM files; client_ca: clients must show certificates of it
  bool insecure = false;                    ///< no TLS
  std::string tokens, state;
  int steps = 1;
  int min_reports = 1;
  DeskOptions desk;
  StrategySpec strategy;
  RunConfig config;
  bool accept_config_change = false;
};

class FederationServer {
 public:
  /// Listens. Throws InvalidInput for options that contradict, Unavailable when it cannot listen or read.
  explicit FederationServer(const ServerOptions& options);
  ~FederationServer();
  int port() const;
  ServerDesk& desk();
  /// Runs to the end of the last step and returns what happened. Throws Interrupted after stop().
  RunLog run();
  void stop();
  Json status() const;
  /// Whether run() returned because of an operator's `drain`.
  bool drained() const;

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace ballast::federate
