#include "ballast/robot/node/service.h"

#include <fmt/format.h>

#include <mutex>

#include "ballast/base/errors.h"
#include "ballast/robot/wire/type_description.h"

namespace ballast::ros {

std::string service_identity(const std::string& key, const Guid& participant, std::uint32_t counter) {
  std::string text = key + "=";
  for (std::size_t i = 0; i < 12; ++i) text += fmt::format("{:02x}.", participant[i]);
  for (int shift = 24; shift >= 0; shift -= 8)
    text += fmt::format("{:02x}{}", (counter >> shift) & 0xff, shift > 0 ? "." : ";");
  return text;
}

EndpointOptions service_endpoint(Context& context, const std::string& key, const std::string& body_type,
                                 const std::string& node) {
  static std::atomic<std::uint32_t> counter{0};  // ids only need to differ within a participant
  EndpointOptions options{.plain_name = true, .type_hash = {}, .node = node};
  if (context.options().dialect != Dialect::iron_plus) return options;
  options.user_data = service_identity(key, context.guid(), ++counter);
  if (TypeLibrary::standard().find(body_type))
    options.user_data += "typehash=" + type_hash(TypeLibrary::standard(), body_type) + ";";
  return options;
}

void check_service_vendor(const Graph& graph, const std::string& service) {
  for (const auto& endpoint : graph.endpoints) {
    if ((endpoint.kind != NameKind::service_request && endpoint.kind != NameKind::service_reply) ||
        endpoint.name != service)
      continue;
    const std::string vendor = vendor_name(endpoint.guid);
    if (vendor != "Cyclone DDS")
      throw InvalidInput(
          fmt::format("service {} is offered through {}: services do not pass between DDS vendors "
                      "(the request's identity travels elsewhere); run both sides on Cyclone DDS",
                      service, vendor));
  }
}

}  // namespace ballast::ros
