#include "ballast/cluster/account.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <sstream>

#include "ballast/base/units.h"

namespace ballast::cluster {
namespace {

constexpr const char* kColumns =
    "machine,stage_name,stage,superstep,bytes_out,bytes_in,messages_out,messages_in,self_bytes,self_messages,"
    "inbox_bytes,cpu_ns,wall_ns,wait_ns";

const SuperstepCount* at(const Account& account, std::size_t i) {
  return i < account.supersteps.size() ? &account.supersteps[i] : nullptr;
}

std::size_t longest(std::span<const Account> accounts) {
  std::size_t most = 0;
  for (const auto& account : accounts) most = std::max(most, account.supersteps.size());
  return most;
}

std::string stage_name(const Account& account, std::uint32_t stage) {
  return stage == 0 || stage > account.stages.size() ? "-" : account.stages[stage - 1];
}

}  // namespace

SuperstepCount Account::total() const {
  SuperstepCount sum;
  for (const auto& s : supersteps) {
    sum.bytes_out += s.bytes_out;
    sum.bytes_in += s.bytes_in;
    sum.messages_out += s.messages_out;
    sum.messages_in += s.messages_in;
    sum.self_bytes += s.self_bytes;
    sum.self_messages += s.self_messages;
    sum.inbox_bytes = std::max(sum.inbox_bytes, s.inbox_bytes);
    sum.cpu_ns += s.cpu_ns;
    sum.wall_ns += s.wall_ns;
    sum.wait_ns += s.wait_ns;
  }
  return sum;
}

std::uint64_t Account::busy_bytes() const {
  std::uint64_t sum = 0;
  for (const auto& s : supersteps) sum += s.h();
  return sum;
}

void Account::encode(Buffer& out) const {
  out.put(collectives);
  out.put(collective_bytes);
  out.put_varint(stages.size());
  for (const auto& name : stages) {
    out.put_varint(name.size());
    out.append(name.data(), name.size());
  }
  out.put_varint(supersteps.size());
  for (const auto& s : supersteps) out.put(s);
}

Account Account::decode(Reader& in) {
  Account account;
  account.collectives = in.get<std::uint64_t>();
  account.collective_bytes = in.get<std::uint64_t>();
  for (auto n = in.get_varint(); n > 0; --n) {
    const auto text = in.take(in.get_varint());
    account.stages.emplace_back(reinterpret_cast<const char*>(text.data()), text.size());
  }
  for (auto n = in.get_varint(); n > 0; --n) account.supersteps.push_back(in.get<SuperstepCount>());
  return account;
}

std::uint64_t busiest_machine_bytes(std::span<const Account> accounts) {
  std::uint64_t most = 0;
  for (const auto& account : accounts) most = std::max(most, account.busy_bytes());
  return most;
}

Table superstep_table(std::span<const Account> accounts, const std::string& title) {
  Table table(title,
              {"stage", "superstep", "busiest h", "mean h", "bytes sent", "messages", "largest inbox"});
  for (std::size_t i = 0; i < longest(accounts); ++i) {
    std::uint64_t most = 0, sum = 0, sent = 0, messages = 0, inbox = 0;
    std::string stage = "-";
    std::uint32_t superstep = 0;
    for (const auto& account : accounts) {
      const auto* s = at(account, i);
      if (s == nullptr) continue;
      most = std::max(most, s->h());
      sum += s->h();
      sent += s->wire_out();
      messages += s->messages_out;
      inbox = std::max(inbox, s->inbox_bytes);
      stage = stage_name(account, s->stage);
      superstep = s->superstep;
    }
    table.row({stage, std::to_string(superstep), to_string(Bytes{most}),
               to_string(Bytes{sum / accounts.size()}), to_string(Bytes{sent}), std::to_string(messages),
               to_string(Bytes{inbox})});
  }
  return table;
}

std::string to_csv(std::span<const Account> accounts) {
  std::string text = std::string(kColumns) + "\n";
  for (std::size_t m = 0; m < accounts.size(); ++m) {
    for (const auto& s : accounts[m].supersteps) {
      text += fmt::format("{},{},{},{},{},{},{},{},{},{},{},{},{},{}\n", m, stage_name(accounts[m], s.stage),
                          s.stage, s.superstep, s.bytes_out, s.bytes_in, s.messages_out, s.messages_in,
                          s.self_bytes, s.self_messages, s.inbox_bytes, s.cpu_ns, s.wall_ns, s.wait_ns);
    }
  }
  return text;
}

std::vector<Account> accounts_from_csv(const std::string& text, const std::string& file) {
  std::vector<Account> accounts;
  std::istringstream lines(text);
  std::string line;
  std::uint64_t number = 1;
  if (!std::getline(lines, line) || line != kColumns)
    throw InvalidInput::at(file, 1, "this is no account of a cluster", kColumns);
  while (std::getline(lines, line)) {
    ++number;
    std::vector<std::string> cells;
    std::istringstream cut(line);
    for (std::string cell; std::getline(cut, cell, ',');) cells.push_back(cell);
    if (cells.size() != 14)
      throw InvalidInput::at(file, number, fmt::format("{} cells", cells.size()), "14 cells");
    std::vector<std::uint64_t> v;
    for (std::size_t i = 0; i < cells.size(); ++i) {
      if (i == 1) continue;
      if (cells[i].empty() || cells[i].size() > 19 ||
          cells[i].find_first_not_of("0123456789") != std::string::npos)
        throw InvalidInput::at(file, number, fmt::format("cell {} is '{}'", i + 1, cells[i]), "a count");
      v.push_back(std::stoull(cells[i]));
    }
    if (v[0] >= 4096) throw InvalidInput::at(file, number, "machine " + cells[0], "0 to 4095");
    if (accounts.size() <= v[0]) accounts.resize(v[0] + 1);
    auto& account = accounts[v[0]];
    if (v[1] > 1'000'000) throw InvalidInput::at(file, number, "stage " + cells[2], "at most 1000000");
    if (account.stages.size() < v[1]) account.stages.resize(v[1]);
    if (v[1] > 0) account.stages[v[1] - 1] = cells[1];
    account.supersteps.push_back({.stage = static_cast<std::uint32_t>(v[1]),
                                  .superstep = static_cast<std::uint32_t>(v[2]),
                                  .bytes_out = v[3],
                                  .bytes_in = v[4],
                                  .messages_out = v[5],
                                  .messages_in = v[6],
                                  .self_bytes = v[7],
                                  .self_messages = v[8],
                                  .inbox_bytes = v[9],
                                  .cpu_ns = v[10],
                                  .wall_ns = v[11],
                                  .wait_ns = v[12]});
  }
  return accounts;
}

std::string heat_map(std::span<const Account> accounts) {
  static constexpr const char* kShades[] = {" ", "░", "▒", "▓", "█"};
  const std::size_t steps = longest(accounts);
  std::uint64_t most = 0;
  for (const auto& account : accounts) {
    for (const auto& s : account.supersteps) most = std::max(most, s.h());
  }
  std::string text =
      fmt::format("h by machine (down) and superstep (across); darkest = {}\n", to_string(Bytes{most}));
  for (std::size_t m = 0; m < accounts.size(); ++m) {
    text += fmt::format("{:>5} |", m);
    for (std::size_t i = 0; i < steps; ++i) {
      const auto* s = at(accounts[m], i);
      const std::uint64_t h = s == nullptr ? 0 : s->h();
      const std::size_t shade =
          h == 0 ? 0
                 : 1 + static_cast<std::size_t>(3.999 * static_cast<double>(h) / static_cast<double>(most));
      text += kShades[std::min<std::size_t>(shade, 4)];
      text += kShades[std::min<std::size_t>(shade, 4)];
    }
    text += fmt::format("| {}\n", to_string(Bytes{accounts[m].busy_bytes()}));
  }
  return text;
}

}  // namespace ballast::cluster
