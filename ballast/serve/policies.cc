// Policies by name.
#include <fmt/format.h>

#include <charconv>

#include "ballast/base/cli.h"
#include "ballast/base/errors.h"
#include "ballast/serve/deadline_policy.h"
#include "ballast/serve/fcfs_policy.h"
#include "ballast/serve/policy.h"
#include "ballast/serve/slos_policy.h"

namespace ballast::serve {

std::vector<std::string> policy_names() {
  return {"slos",         "vllm", "vllm-v1", "sarathi", "slots", "prefill-first",
          "decode-first", "edf",  "qoserve", "scorpio", "silo",  "distserve"};
}

namespace {

// "NAME:NUMBER:SECOND+spec:K" in its parts; absent numbers are 0.
struct Words {
  std::string base;
  int number = 0, second = 0, speculation = 0;
};

int positive(const std::string& whole, std::string_view digits) {
  int value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc() || end != digits.data() + digits.size() || value < 1)
    throw InvalidInput("policy", whole, "a positive number behind ':'");
  return value;
}

Words parse(const std::string& name) {
  Words words;
  std::string head = name;
  if (const auto plus = head.find("+spec:"); plus != std::string::npos) {
    words.speculation = positive(name, std::string_view(head).substr(plus + 6));
    if (words.speculation > kMaxSpeculation)
      throw InvalidInput("policy", name, fmt::format("at most +spec:{}", kMaxSpeculation));
    head.resize(plus);
  }
  if (const auto colon = head.find(':'); colon != std::string::npos) {
    const std::string_view digits = std::string_view(head).substr(colon + 1);
    const auto next = digits.find(':');
    words.number = positive(name, digits.substr(0, next));
    if (next != std::string_view::npos) words.second = positive(name, digits.substr(next + 1));
    head.resize(colon);
  }
  words.base = head;
  return words;
}

}  // namespace

std::unique_ptr<Policy> make_policy(const std::string& name, const PolicySettings& settings) {
  using Order = FcfsSettings::Order;
  const Words words = parse(name);
  cli::require_one_of("policy", words.base, policy_names());
  if (words.base == "slos") {
    if (words.number != 0 || words.speculation != 0)
      throw InvalidInput("policy", name, "slos; its speculation is set by --speculation");
    return std::make_unique<SlosPolicy>(settings);
  }
  if (words.number > 0 && (words.base == "distserve") != (words.second > 0))
    throw InvalidInput("policy", name, "one number behind ':', two only for distserve:P:D");
  FcfsSettings fcfs;
  fcfs.name = name;
  fcfs.speculation = words.speculation > 0 ? words.speculation : 1;
  if (words.number > 0) fcfs.token_budget = words.number;
  if (words.base == "vllm" || words.base == "prefill-first") {
    fcfs.order = Order::prefill_first;
    fcfs.chunked = false;
    if (words.base == "prefill-first") fcfs.token_budget = 1 << 30;
  } else if (words.base == "vllm-v1") {
    fcfs.order = Order::running_first;
  } else if (words.base == "sarathi") {
    if (words.number == 0) fcfs.token_budget = 512;
  } else if (words.base == "slots") {
    fcfs.slots = words.number > 0 ? words.number : 8;
    fcfs.token_budget = 2048;
  } else if (words.base == "decode-first") {
    fcfs.order = Order::batch_first;
  } else if (words.base == "edf") {
    fcfs.by_deadline = true;
    if (words.number == 0) fcfs.token_budget = 512;
  } else if (words.base == "qoserve" || words.base == "scorpio") {
    return std::make_unique<DeadlinePolicy>(
        fcfs, words.base == "qoserve" ? DeadlinePolicy::Kind::qoserve : DeadlinePolicy::Kind::scorpio);
  } else if (words.base == "silo") {
    fcfs.token_budget = 512;
    fcfs.division.by_pace = true;
    fcfs.division.tight = words.number;
  } else if (words.base == "distserve") {
    // Whole prompts on the prefill replicas; a decode replica sees none but those of later tool rounds.
    fcfs.chunked = false;
    fcfs.token_budget = 2048;
    fcfs.division = {.prefill = std::max(1, words.number), .decode = std::max(1, words.second)};
  }
  return std::make_unique<FcfsPolicy>(fcfs);
}

}  // namespace ballast::serve
