// Private to this component: the library's one-time start and its log, which is kept off the terminal.
#pragma once

#include <string>

namespace ballast::llama::internal {

/// Starts the library (once a process; safe from any thread) and takes over its log.
void start_backend();

/// The last error line that the library logged on this thread, or an empty string; forgets it.
std::string take_last_error();

}  // namespace ballast::llama::internal
