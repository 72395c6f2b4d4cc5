// A coroutine on the I/O thread.
#pragma once

#include <utility>  // Boost 1.74's asio forgets it
// (kept apart: asio must come after it)
#include <boost/asio/awaitable.hpp>

namespace ballast::serve {

template <typename T>
using Task = boost::asio::awaitable<T>;

}  // namespace ballast::serve
