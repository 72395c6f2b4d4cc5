#include "ballast/kv/commands.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <limits>

namespace ballast::kv {
namespace {

constexpr const char* kNotANumber = "ERR value is not an integer or out of range";

Command immediate(std::string reply) {
  return {.reply = std::move(reply)};
}
Command error(std::string_view text) {
  Command command;
  resp_error(command.reply, text);
  return command;
}
Command wrong_count(const std::string& name) {
  return error(fmt::format("ERR wrong number of arguments for '{}' command", name));
}
Command over(Command::Shape shape, std::vector<std::pair<std::string, Operation>> operations) {
  for (const auto& [key, operation] : operations) {
    if (key.size() > orch::kMostKeyBytes) return error("ERR key is longer than 255 bytes");
    if (operation.value.size() > kMostValueBytes)
      return error("ERR string exceeds maximum allowed size (16MB)");
  }
  return {.shape = shape, .operations = std::move(operations)};
}

// Equal whatever the first difference: a guess learns nothing from the time it takes.
bool same_secret(const std::string& a, const std::string& b) {
  unsigned char difference = a.size() == b.size() ? 0 : 1;
  for (std::size_t i = 0; i < a.size(); ++i)
    difference |= static_cast<unsigned char>(a[i] ^ b[b.empty() ? 0 : i % b.size()]);
  return difference == 0 && a.size() == b.size();
}

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

}  // namespace

bool writes(Kind kind) {
  return kind != Kind::get && kind != Kind::exists;
}

Command understand(const RespParser::Request& request, Session& session) {
  const std::string name = lower(request[0].substr(0, 64));
  const std::size_t n = request.size();
  std::string out;
  if (name == "auth") {
    if (n != 2 && n != 3) return wrong_count(name);
    if (session.password.empty()) return error("ERR AUTH called without any password configured");
    session.authenticated = same_secret(request[n - 1], session.password);
    if (!session.authenticated) return error("WRONGPASS invalid username-password pair or user is disabled.");
    resp_simple(out, "OK");
    return immediate(out);
  }
  if (name == "quit") {
    resp_simple(out, "OK");
    return {.shape = Command::Shape::close, .reply = out};
  }
  if (!session.password.empty() && !session.authenticated) return error("NOAUTH Authentication required.");
  if (name == "ping") {
    if (n > 2) return wrong_count(name);
    if (n == 2) {
      resp_bulk(out, request[1]);
    } else {
      resp_simple(out, "PONG");
    }
    return immediate(out);
  }
  if (name == "echo") {
    if (n != 2) return wrong_count(name);
    resp_bulk(out, request[1]);
    return immediate(out);
  }
  if (name == "info") {
    resp_bulk(out, session.info ? session.info() : "");
    return immediate(out);
  }
  if (name == "select") {
    if (n != 2) return wrong_count(name);
    if (request[1] != "0") return error("ERR DB index is out of range");
    resp_simple(out, "OK");
    return immediate(out);
  }
  if (name == "command" || name == "config" || name == "client") {
    resp_array(out, 0);
    return immediate(out);
  }
  if (name == "get") {
    if (n != 2) return wrong_count(name);
    return over(Command::Shape::get, {{request[1], get()}});
  }
  if (name == "set") {
    if (n < 3) return wrong_count(name);
    if (n > 3) return error("ERR syntax error");
    return over(Command::Shape::ok, {{request[1], {.kind = Kind::put, .value = request[2]}}});
  }
  if (name == "append") {
    if (n != 3) return wrong_count(name);
    return over(Command::Shape::number, {{request[1], {.kind = Kind::append, .value = request[2]}}});
  }
  if (name == "mget" || name == "del" || name == "exists") {
    if (n < 2) return wrong_count(name);
    const Kind kind = name == "mget" ? Kind::get : name == "del" ? Kind::erase : Kind::exists;
    std::vector<std::pair<std::string, Operation>> operations;
    for (std::size_t i = 1; i < n; ++i) operations.emplace_back(request[i], Operation{.kind = kind});
    return over(name == "mget" ? Command::Shape::mget : Command::Shape::count, std::move(operations));
  }
  if (name == "mset") {
    if (n < 3 || n % 2 == 0) return wrong_count(name);
    std::vector<std::pair<std::string, Operation>> operations;
    for (std::size_t i = 1; i < n; i += 2)
      operations.emplace_back(request[i], Operation{.kind = Kind::put, .value = request[i + 1]});
    return over(Command::Shape::ok, std::move(operations));
  }
  const bool down = name == "decr" || name == "decrby";
  if (name == "incr" || name == "incrby" || down) {
    const bool by = name.ends_with("by");
    if (n != (by ? 3u : 2u)) return wrong_count(name);
    const auto number = by ? number_of(request[2]) : std::optional<std::int64_t>(1);
    if (!number || (down && *number == std::numeric_limits<std::int64_t>::min())) return error(kNotANumber);
    return over(Command::Shape::number,
                {{request[1], {.kind = Kind::add, .number = down ? -*number : *number}}});
  }
  return error(fmt::format("ERR unknown command '{}'", request[0].substr(0, 128)));
}

std::string reply_of(const Command& command, const std::vector<Answer>& answers) {
  std::string out;
  const auto value = [&](const Answer& answer) {
    if (answer.status == Status::found) {
      resp_bulk(out, answer.value);
    } else {
      resp_null(out);
    }
  };
  switch (command.shape) {
    case Command::Shape::get:
      value(answers[0]);
      break;
    case Command::Shape::mget:
      resp_array(out, answers.size());
      for (const auto& answer : answers) value(answer);
      break;
    case Command::Shape::ok:
      resp_simple(out, "OK");
      break;
    case Command::Shape::count:
      resp_integer(out, std::count_if(answers.begin(), answers.end(),
                                      [](const Answer& answer) { return answer.status == Status::found; }));
      break;
    case Command::Shape::number:
      if (answers[0].status == Status::not_a_number) {
        resp_error(out, kNotANumber);
      } else if (answers[0].status == Status::too_large) {
        resp_error(out, command.operations[0].second.kind == Kind::add
                            ? "ERR increment or decrement would overflow"
                            : "ERR string exceeds maximum allowed size (16MB)");
      } else {
        resp_integer(out, number_of(answers[0].value).value_or(0));
      }
      break;
    case Command::Shape::immediate:
    case Command::Shape::close:
      out = command.reply;
      break;
  }
  return out;
}

}  // namespace ballast::kv
