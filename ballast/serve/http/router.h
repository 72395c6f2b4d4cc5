// `ballast serve router`: one address in front of several servers (specification 4.7).
//
// A request asks the first replica for its promise; if the plan there says no, the next is asked at once, up
// to the route limit; then the backup policy decides. Promises count from the arrival at the router
// (x-slo-elapsed-ms). A replica that dies in the middle of a stream loses nothing: the tokens that came so
// far go to another replica
// (`resume`), which continues the text; the client sees one stream. Greedy texts continue as they would have;
// sampled ones by the same law.
//
//   Router router({"http://127.0.0.1:8081", "http://127.0.0.1:8082"}, {.limit = 2}, {.port = 8080});
//   router.run();
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "ballast/serve/http/fleet.h"
#include "ballast/serve/http/listener.h"

namespace ballast::serve {

class Router {
 public:
  Router(const std::vector<std::string>& replicas, const RouteSettings& settings,
         const ServerOptions& options, std::uint64_t seed = 1);
  ~Router();
  std::uint16_t port() const;
  /// Until stop(), or until a drain has finished all requests.
  void run();
  void stop();
  void drain();

  class Endpoints;  ///< private to router.cc

 private:
  std::unique_ptr<Endpoints> endpoints_;
};

}  // namespace ballast::serve
