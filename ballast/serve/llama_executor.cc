#include "ballast/serve/llama_executor.h"

#include <algorithm>
#include <numeric>

#include "ballast/base/errors.h"

namespace ballast::serve {

LlamaExecutor::LlamaExecutor(const llama::Model& model, const ExecutorOptions& options)
    : context_(model, {.cells = options.slots * options.slot_tokens,
                       .sequences = options.slots,
                       .batch = options.batch,
                       .outputs = options.slots * std::max(1, options.max_speculation),
                       .threads = options.threads,
                       .pool = options.pool}),
      batch_(context_.batch_capacity()) {}

ExecutorResult LlamaExecutor::step(std::span<const ExecutorItem> items) {
  // Equal runs on ascending slots go through the library in one pass: decodes first, then chunks by length.
  std::vector<std::size_t> order(items.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return items[a].tokens.size() != items[b].tokens.size() ? items[a].tokens.size() < items[b].tokens.size()
                                                            : items[a].slot < items[b].slot;
  });
  batch_.clear();
  std::vector<int> first(items.size());
  for (const std::size_t i : order) {
    const ExecutorItem& item = items[i];
    first[i] = batch_.size();
    const int count = static_cast<int>(item.tokens.size());
    for (int k = 0; k < count; ++k) {
      const bool wanted = item.sampler != nullptr && k >= count - 1 - item.drafted;
      batch_.add(item.tokens[static_cast<std::size_t>(k)], item.position + k, item.slot, wanted);
    }
  }
  ExecutorResult result;
  result.tokens.resize(items.size());
  result.logprobs.resize(items.size());
  result.status = context_.decode(batch_);
  if (result.status != llama::DecodeStatus::ok) return result;
  for (std::size_t i = 0; i < items.size(); ++i) {
    const ExecutorItem& item = items[i];
    if (item.sampler == nullptr) continue;
    const int count = static_cast<int>(item.tokens.size());
    // A guess is right when the sampler draws it: for a fixed guess this is rejection sampling, so the output
    // has the distribution that it would have without drafts.
    for (int k = count - 1 - item.drafted; k < count; ++k) {
      const llama::Token token = item.sampler->sample(context_, first[i] + k);
      result.tokens[i].push_back(token);
      if (item.top_logprobs >= 0)
        result.logprobs[i].push_back(
            llama::logprob_of(context_.logits(first[i] + k), token, item.top_logprobs));
      if (k + 1 < count && token != item.tokens[static_cast<std::size_t>(k) + 1]) break;
    }
    const int kept = item.position + count - item.drafted + static_cast<int>(result.tokens[i].size()) - 1;
    if (kept < item.position + count) context_.drop(item.slot, kept);
  }
  return result;
}

}  // namespace ballast::serve
