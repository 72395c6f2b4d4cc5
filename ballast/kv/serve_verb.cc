// `ballast kv serve`: a server for Redis clients.
#include <fmt/format.h>

#include "ballast/base/errors.h"
#include "ballast/kv/server.h"
#include "ballast/kv/verbs.h"

namespace ballast::kv {
namespace {

struct ServeOptions {
  ServerOptions server;
  std::string resp = "127.0.0.1:6379", method = "td-orch";
};

void split_address(const std::string& text, ServerOptions& server) {
  const auto colon = text.rfind(':');
  const std::string port = colon == std::string::npos ? "" : text.substr(colon + 1);
  if (port.empty() || port.size() > 5 || port.find_first_not_of("0123456789") != std::string::npos ||
      std::stoi(port) > 65535)
    throw InvalidInput("--resp", text, "HOST:PORT such as 127.0.0.1:6379 (port 0: any free one)");
  server.host = text.substr(0, colon);
  server.port = static_cast<std::uint16_t>(std::stoi(port));
}

}  // namespace

void add_serve(cli::Program& program) {
  auto options = std::make_shared<ServeOptions>();
  auto verb = program.verb(
      "serve", "serve Redis clients (GET SET MGET MSET DEL EXISTS INCR[BY] DECR[BY] APPEND PING INFO)",
      {"ballast kv serve --resp 127.0.0.1:6380", "redis-benchmark -p 6380 -t get,set -P 16 -q",
       "ballast kv serve --resp 0.0.0.0:6380 --password SECRET --checkpoint state"});
  verb->add_option("--resp", options->resp, "address to serve")
      ->type_name("HOST:PORT")
      ->capture_default_str();
  verb->add_option("--machines", options->server.machines, "P")->capture_default_str();
  verb->add_option("--method", options->method, "how reads meet their data: td-orch, push, pull-dedup, ...")
      ->capture_default_str();
  verb->add_option("--batch", options->server.batch, "operations that close a batch")->capture_default_str();
  verb->add_option("--max-delay-us", options->server.max_delay_us, "or so long after its first operation")
      ->capture_default_str();
  verb->add_option("--max-clients", options->server.most_clients, "connections at a time")
      ->capture_default_str();
  verb->add_option("--password", options->server.password,
                   "asked for by AUTH; needed for addresses that others reach");
  verb->add_option("--checkpoint", options->server.checkpoint,
                   "folder to start from, and to write at the end")
      ->type_name("DIR");
  verb.run([options](const cli::Common& common) {
    orch::Options how;
    how.method = orch::method_from_string(options->method);
    how.hot_keys = 0;
    split_address(options->resp, options->server);
    auto cluster = cluster::Cluster::open({.machines = options->server.machines, .seed = common.seed});
    RespServer server(options->server);
    fmt::print("serving {}:{} on {} machines; Ctrl-C ends it\n", options->server.host, server.port(),
               options->server.machines);
    std::fflush(stdout);
    server.run(cluster, how);
  });
}

}  // namespace ballast::kv
