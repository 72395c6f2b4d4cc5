// A client of a deployed federation: pulls tasks, computes on its own data, pushes results. Only models,
// statistics and counts leave it.
#pragma once

#include <functional>
#include <string>

#include "ballast/federate/client_runtime.h"

namespace ballast::federate {

struct ClientOptions {
  std::string server, name, token;
  std::string ca;                ///< PEM of the authority that signed the server's certificate
  std::string certificate, key;  ///< of this client, for mutual TLS
  bool insecure = false;
  std::string state;  ///< folder for what must survive a restart; empty: memory only
  int features = 1, classes = 2;
  double patience_s = 60;  ///< how long the server may be away
  double poll_s = 0.2;     ///< how often a missing batch is looked for
};

/// Bytes that went over the connection as payload, for the ledger.
struct ClientTraffic {
  std::uint64_t down = 0, up = 0, tasks = 0, refused = 0;
};

/// Works until the run ends. Throws InvalidInput when the server refuses this client, Unavailable when it
/// stays away, Interrupted when `stop` says so.
ClientTraffic run_client(const ClientOptions& options, ClientStore& store,
                         const std::function<bool()>& stop = {});

/// The server's status document.
std::string fetch_status(const ClientOptions& options);

}  // namespace ballast::federate
