// The LTTng-UST backend of the tracepoints, present when liblttng-ust-dev was there at build time.
#pragma once

#include <initializer_list>
#include <string_view>

#include "ballast/robot/trace/points.h"

namespace ballast::trace::internal {
void lttng_emit(Point point, std::initializer_list<std::uint64_t> values, std::string_view text,
                std::string_view second_text);
}
