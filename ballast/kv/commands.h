// Redis commands as operations on the store. A command becomes one operation a key; its reply is put together
// from their answers. What needs no key is answered at once.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "ballast/kv/resp.h"
#include "ballast/kv/store.h"

namespace ballast::kv {

struct Command {
  enum class Shape { immediate, get, mget, ok, count, number, close };
  Shape shape = Shape::immediate;
  std::vector<std::pair<std::string, Operation>> operations = {};
  std::string reply = {};  ///< of `immediate` and `close`
};

/// What commands have to know of their connection and server.
struct Session {
  std::string password = {};  ///< empty: none is asked for
  bool authenticated = false;
  std::function<std::string()> info = {};  ///< the text of INFO
};

/// Understands one request; never throws for what a client can send.
Command understand(const RespParser::Request& request, Session& session);
/// The reply of a command whose operations have their answers, in order.
std::string reply_of(const Command& command, const std::vector<Answer>& answers);
/// Whether an operation of this kind writes.
bool writes(Kind kind);

}  // namespace ballast::kv
