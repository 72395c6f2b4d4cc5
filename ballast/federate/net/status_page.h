// What the operator of a deployed federation sees: who is on which model since when, accuracy over time.
#pragma once

#include <string>

#include "ballast/federate/net/server_core.h"

namespace ballast::federate {

Json status_of(const Coordinator& coordinator, const Strategy& strategy, const ServerDesk& desk);
/// A page without scripts that renews itself every five seconds; all text is escaped.
std::string status_page(const Json& status);

}  // namespace ballast::federate
