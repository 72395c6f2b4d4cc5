#include "ballast/llama/context.h"

#include <fmt/format.h>
#include <llama.h>

#include <algorithm>
#include <map>

#include "ballast/base/errors.h"
#include "ballast/llama/backend.h"

namespace ballast::llama {

Batch::Batch(int capacity) : capacity_(capacity) {
  if (capacity < 1) throw InvalidInput("batch capacity", std::to_string(capacity), "at least 1");
  tokens_.reserve(static_cast<std::size_t>(capacity));
}

void Batch::add(Token token, int position, SequenceId sequence, bool want_logits) {
  if (size() == capacity_)
    throw InvalidInput(fmt::format("the batch is full: it has room for {} tokens", capacity_));
  tokens_.push_back(token);
  positions_.push_back(position);
  sequences_.push_back(sequence);
  wants_logits_.push_back(want_logits ? 1 : 0);
}

void Batch::clear() {
  tokens_.clear();
  positions_.clear();
  sequences_.clear();
  wants_logits_.clear();
}

void Context::Free::operator()(llama_context* context) const {
  llama_free(context);
}

Context::Context(const Model& model, const ContextOptions& options)
    : model_(&model), pool_(options.pool), abort_(std::make_unique<std::atomic<bool>>(false)) {
  const int most = static_cast<int>(llama_max_parallel_sequences());
  if (options.sequences < 1 || options.sequences > most)
    throw InvalidInput("sequences", std::to_string(options.sequences), fmt::format("1 to {}", most));
  if (options.cells < options.sequences || options.batch < 1 || options.threads < 1 || options.outputs < 0)
    throw InvalidInput("context sizes must be positive, with at least one cell a sequence");
  outputs_ = options.outputs == 0
                 ? options.batch
                 : std::clamp(options.outputs, options.sequences, std::max(options.batch, options.sequences));

  llama_context_params parameters = llama_context_default_params();
  parameters.n_ctx = static_cast<std::uint32_t>(options.cells);
  parameters.n_seq_max = static_cast<std::uint32_t>(options.sequences);
  parameters.n_batch = static_cast<std::uint32_t>(options.batch);
  parameters.n_ubatch =
      static_cast<std::uint32_t>(options.batch);  // one pass a call: a failure leaves nothing behind
  parameters.n_outputs_max = static_cast<std::uint32_t>(outputs_);
  parameters.n_threads = parameters.n_threads_batch = options.threads;
  parameters.kv_unified = options.pool == KvPool::unified;
  parameters.swa_full = true;  // sliding-window models keep all positions, so that a part can be dropped
  parameters.no_perf = true;
  parameters.embeddings = options.embeddings;
  if (options.exact) {
    parameters.type_k = parameters.type_v = GGML_TYPE_F32;
    parameters.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_DISABLED;
  }
  if (options.embeddings) parameters.pooling_type = LLAMA_POOLING_TYPE_MEAN;
  parameters.abort_callback = [](void* flag) { return static_cast<std::atomic<bool>*>(flag)->load(); };
  parameters.abort_callback_data = abort_.get();
  internal::take_last_error();
  context_.reset(llama_init_from_model(model.raw(), parameters));
  if (!context_)
    throw Unavailable(fmt::format("no context of {} cells for {} ({})", options.cells, model.path(),
                                  internal::take_last_error()));
}

int Context::cells() const {
  return static_cast<int>(llama_n_ctx(context_.get()));
}
int Context::cells_per_sequence() const {
  return static_cast<int>(llama_n_ctx_seq(context_.get()));
}
int Context::sequences() const {
  return static_cast<int>(llama_n_seq_max(context_.get()));
}
int Context::batch_capacity() const {
  return static_cast<int>(llama_n_batch(context_.get()));
}

// More tokens or outputs than the context has room for would end the process inside the library, and a gap in
// the positions comes back as one number for many reasons: so all rules are checked here, with a sentence
// each.
void Context::check(const Batch& batch) const {
  if (batch.size() == 0) throw InvalidInput("an empty batch cannot be decoded");
  if (batch.size() > batch_capacity())
    throw InvalidInput("tokens in the batch", std::to_string(batch.size()),
                       fmt::format("at most {}", batch_capacity()));
  const auto wanted = std::count(batch.wants_logits_.begin(), batch.wants_logits_.end(), 1);
  if (wanted > outputs_)
    throw InvalidInput("outputs of the batch", std::to_string(wanted), fmt::format("at most {}", outputs_));
  const int vocabulary = model_->vocabulary();
  std::map<SequenceId, int> next;
  for (std::size_t i = 0; i < batch.tokens_.size(); ++i) {
    const SequenceId sequence = batch.sequences_[i];
    if (sequence < 0 || sequence >= sequences())
      throw InvalidInput("sequence", std::to_string(sequence), fmt::format("0 to {}", sequences() - 1));
    if (batch.tokens_[i] < 0 || batch.tokens_[i] >= vocabulary)
      throw InvalidInput("token", std::to_string(batch.tokens_[i]), fmt::format("0 to {}", vocabulary - 1));
    auto [place, is_new] = next.try_emplace(sequence, 0);
    if (is_new) place->second = last_position(sequence) + 1;
    if (batch.positions_[i] != place->second)
      throw InvalidInput(fmt::format("position {} of sequence {} in the batch; the next one is {}",
                                     batch.positions_[i], sequence, place->second));
    ++place->second;
  }
}

DecodeStatus Context::decode(const Batch& batch) {
  check(batch);
  const auto count = batch.tokens_.size();
  std::vector<std::int32_t> one_each(count, 1);
  std::vector<llama_seq_id*> sequence_lists(count);
  auto* sequences = const_cast<llama_seq_id*>(batch.sequences_.data());  // the C interface only reads it
  for (std::size_t i = 0; i < count; ++i) sequence_lists[i] = sequences + i;
  llama_batch raw{};
  raw.n_tokens = batch.size();
  raw.token = const_cast<Token*>(batch.tokens_.data());
  raw.pos = const_cast<std::int32_t*>(batch.positions_.data());
  raw.n_seq_id = one_each.data();
  raw.seq_id = sequence_lists.data();
  raw.logits = const_cast<std::int8_t*>(batch.wants_logits_.data());
  switch (llama_decode(context_.get(), raw)) {
    case 0:
      return DecodeStatus::ok;
    case 1:
      return DecodeStatus::no_room;
    case 2:
      return DecodeStatus::aborted;
    default:
      return DecodeStatus::failed;
  }
}

std::span<const float> Context::logits(int index) const {
  const float* row = llama_get_logits_ith(context_.get(), index);
  if (row == nullptr) throw InvalidInput(fmt::format("entry {} of the last batch wanted no logits", index));
  return {row, static_cast<std::size_t>(model_->vocabulary())};
}

Token Context::greedy(int index) const {
  const auto row = logits(index);
  return static_cast<Token>(std::max_element(row.begin(), row.end()) - row.begin());
}

std::span<const float> Context::embedding(SequenceId sequence) const {
  const float* row = llama_get_embeddings_seq(context_.get(), sequence);
  if (row == nullptr)
    throw InvalidInput(fmt::format("sequence {} has no embedding: it was not in the last batch", sequence));
  return {row, static_cast<std::size_t>(model_->embedding_size())};
}

int Context::last_position(SequenceId sequence) const {
  return llama_memory_seq_pos_max(llama_get_memory(context_.get()), sequence);
}

bool Context::drop(SequenceId sequence, int from) {
  return llama_memory_seq_rm(llama_get_memory(context_.get()), sequence, from, -1);
}

void Context::share_prefix(SequenceId from, SequenceId to, int tokens) {
  if (last_position(to) >= 0)
    throw InvalidInput(fmt::format("sequence {} is not empty: no prefix can be shared", to));
  if (tokens > last_position(from) + 1)
    throw InvalidInput(
        fmt::format("sequence {} holds {} tokens, not {}", from, last_position(from) + 1, tokens));
  auto memory = llama_get_memory(context_.get());
  if (pool_ == KvPool::unified) {
    llama_memory_seq_cp(memory, from, to, 0, tokens);
  } else {
    llama_memory_seq_cp(memory, from, to, -1, -1);  // between streams only whole sequences can be copied
    llama_memory_seq_rm(memory, to, tokens, -1);
  }
}

void Context::clear() {
  llama_memory_clear(llama_get_memory(context_.get()), false);
}

std::vector<std::byte> Context::save(SequenceId sequence) const {
  std::vector<std::byte> state(llama_state_seq_get_size(context_.get(), sequence));
  const auto written = llama_state_seq_get_data(context_.get(), reinterpret_cast<std::uint8_t*>(state.data()),
                                                state.size(), sequence);
  state.resize(written);
  return state;
}

bool Context::restore(SequenceId sequence, std::span<const std::byte> state) {
  drop(sequence, 0);
  if (llama_state_seq_set_data(context_.get(), reinterpret_cast<const std::uint8_t*>(state.data()),
                               state.size(), sequence) != 0)
    return true;
  drop(sequence, 0);
  return false;
}

void Context::set_threads(int threads) {
  llama_set_n_threads(context_.get(), threads, threads);
}

}  // namespace ballast::llama
