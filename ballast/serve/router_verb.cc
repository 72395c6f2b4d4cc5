#include <fmt/format.h>

#include "ballast/base/file.h"
#include "ballast/serve/http/router.h"
#include "ballast/serve/signals.h"
#include "ballast/serve/verbs.h"

namespace ballast::serve {

void add_router(cli::Program& program) {
  struct Options {
    std::vector<std::string> replicas;
    ServerOptions server;
    std::string first = "round_robin", backup = "best_effort", port_file;
    RouteSettings route;
  };
  auto options = std::make_shared<Options>();
  auto verb = program.verb(
      "router",
      "one address in front of several servers: promises are asked for in turn, lost streams go on elsewhere",
      {"ballast serve router --port 8080 --replica http://127.0.0.1:8081 --replica http://127.0.0.1:8082",
       "ballast serve router --replica http://10.0.0.2:8080,http://10.0.0.3:8080 --limit 2 --backup "
       "decline"});
  verb->add_option("--replica", options->replicas, "address of a `ballast serve start`, as http://HOST:PORT")
      ->required()
      ->delimiter(',');
  verb->add_option("--first", options->first,
                   "who is asked first: round_robin, least_requests, power_of_two");
  verb->add_option("--limit", options->route.limit, "replicas that are asked for a promise; 0: all")
      ->check(CLI::Range(0, 1024));
  verb->add_option("--backup", options->backup,
                   "when all say no: best_effort, decline (429), downgrade (ask for a looser tier)");
  verb->add_option("--downgrade-tier", options->route.downgrade_tier, "the looser tier");
  verb->add_option("--host", options->server.host, "address to listen on");
  verb->add_option("--port", options->server.port, "port; 0 takes any free one");
  verb->add_option("--port-file", options->port_file, "write the bound port to this file once ready");
  verb->add_option("--api-keys", options->server.api_keys_file,
                   "file with one accepted key a line; keys are passed on to the replicas");
  verb->add_option("--tls-cert", options->server.tls_certificate, "PEM certificate chain");
  verb->add_option("--tls-key", options->server.tls_key, "PEM private key");
  verb.run([options](const cli::Common& common) {
    DrainSignals signals;
    options->route.first = RouteSettings::balancer_from_string(options->first);
    options->route.backup = RouteSettings::backup_from_string(options->backup);
    Router router(options->replicas, options->route, options->server, common.seed);
    signals.watch([&router] { router.drain(); });
    fmt::print("routing on http{}://{}:{} to {} replicas\n",
               options->server.tls_certificate.empty() ? "" : "s", options->server.host, router.port(),
               options->replicas.size());
    std::fflush(stdout);
    if (!options->port_file.empty()) write_file(options->port_file, std::to_string(router.port()) + "\n");
    router.run();
    signals.end();
    fmt::print("drained\n");
  });
}

}  // namespace ballast::serve
