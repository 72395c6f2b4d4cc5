#include "ballast/llama/model.h"

#include <fmt/format.h>
#include <llama.h>

#include <filesystem>

#include "ballast/base/errors.h"
#include "ballast/llama/backend.h"

namespace ballast::llama {

void Model::Free::operator()(llama_model* model) const {
  llama_model_free(model);
}

Model::Model(const std::string& path, const ModelOptions& options) : path_(path) {
  internal::start_backend();
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error))
    throw Unavailable(fmt::format("{}: no such model file", path));
  llama_model_params parameters = llama_model_default_params();
  parameters.vocab_only = options.vocabulary_only;
  parameters.n_gpu_layers = options.gpu_layers;
  internal::take_last_error();
  model_.reset(llama_model_load_from_file(path.c_str(), parameters));
  if (!model_) {
    internal::take_last_error();
    throw InvalidInput(
        fmt::format("{}: not a GGUF model that can be loaded (truncated, or of an unknown kind)", path));
  }
  vocab_ = llama_model_get_vocab(model_.get());
}

std::string Model::description() const {
  char buffer[256];
  llama_model_desc(model_.get(), buffer, sizeof buffer);
  return buffer;
}
std::uint64_t Model::bytes() const {
  return llama_model_size(model_.get());
}
std::uint64_t Model::parameters() const {
  return llama_model_n_params(model_.get());
}
int Model::vocabulary() const {
  return llama_vocab_n_tokens(vocab_);
}
int Model::trained_context() const {
  return llama_model_n_ctx_train(model_.get());
}
int Model::embedding_size() const {
  return llama_model_n_embd(model_.get());
}
int Model::layers() const {
  return llama_model_n_layer(model_.get());
}
bool Model::can_drop_suffix() const {
  return !llama_model_is_recurrent(model_.get()) && !llama_model_is_hybrid(model_.get());
}

std::optional<std::string> Model::metadata(const std::string& key) const {
  const int length = llama_model_meta_val_str(model_.get(), key.c_str(), nullptr, 0);
  if (length < 0) return std::nullopt;
  std::string value(static_cast<std::size_t>(length) + 1, '\0');
  llama_model_meta_val_str(model_.get(), key.c_str(), value.data(), value.size());
  value.resize(static_cast<std::size_t>(length));
  return value;
}

std::vector<Token> Model::tokenize(std::string_view text, bool add_special, bool parse_special) const {
  if (text.size() > std::size_t{1} << 28) throw InvalidInput("the text to tokenise is larger than 256 MiB");
  const int length = static_cast<int>(text.size());
  std::vector<Token> tokens(text.size() + 4);  // a token is at least one byte; room for start and end tokens
  int count = llama_tokenize(vocab_, text.data(), length, tokens.data(), static_cast<int>(tokens.size()),
                             add_special, parse_special);
  if (count < 0) {
    tokens.resize(static_cast<std::size_t>(-count));
    count = llama_tokenize(vocab_, text.data(), length, tokens.data(), static_cast<int>(tokens.size()),
                           add_special, parse_special);
  }
  BALLAST_CHECK(count >= 0);
  tokens.resize(static_cast<std::size_t>(count));
  return tokens;
}

std::string Model::piece(Token token, bool special) const {
  if (token < 0 || token >= vocabulary())
    throw InvalidInput("token", std::to_string(token), fmt::format("0 to {}", vocabulary() - 1));
  std::string text(32, '\0');
  int length = llama_token_to_piece(vocab_, token, text.data(), static_cast<int>(text.size()), 0, special);
  if (length < 0) {
    text.resize(static_cast<std::size_t>(-length));
    length = llama_token_to_piece(vocab_, token, text.data(), static_cast<int>(text.size()), 0, special);
  }
  text.resize(static_cast<std::size_t>(length));
  return text;
}

std::string Model::detokenize(std::span<const Token> tokens, bool special) const {
  std::string text;
  for (const Token token : tokens) text += piece(token, special);
  return text;
}

bool Model::ends_generation(Token token) const {
  return llama_vocab_is_eog(vocab_, token);
}
Token Model::start_token() const {
  return llama_vocab_bos(vocab_);
}
Token Model::end_token() const {
  return llama_vocab_eos(vocab_);
}

std::vector<Token> Model::end_tokens() const {
  std::vector<Token> tokens;
  for (Token token = 0; token < vocabulary(); ++token) {
    if (ends_generation(token)) tokens.push_back(token);
  }
  return tokens;
}

std::optional<std::string> Model::render_chat(const std::vector<ChatMessage>& messages,
                                              const std::string& chat_template) const {
  const char* text =
      chat_template.empty() ? llama_model_chat_template(model_.get(), nullptr) : chat_template.c_str();
  if (text == nullptr) return std::nullopt;  // the library would silently take chatml
  std::vector<llama_chat_message> chat;
  std::size_t size = 256;
  for (const auto& message : messages) {
    chat.push_back({message.role.c_str(), message.content.c_str()});
    size += 2 * (message.role.size() + message.content.size()) + 32;
  }
  std::string prompt(size, '\0');
  int length = llama_chat_apply_template(text, chat.data(), chat.size(), true, prompt.data(),
                                         static_cast<int>(prompt.size()));
  if (length < 0) return std::nullopt;
  if (static_cast<std::size_t>(length) > prompt.size()) {
    prompt.resize(static_cast<std::size_t>(length));
    length = llama_chat_apply_template(text, chat.data(), chat.size(), true, prompt.data(), length);
  }
  prompt.resize(static_cast<std::size_t>(length));
  return prompt;
}

bool same_vocabulary(const Model& a, const Model& b) {
  if (a.vocabulary() != b.vocabulary()) return false;
  for (Token token = 0; token < a.vocabulary(); ++token) {
    if (a.piece(token, true) != b.piece(token, true)) return false;
  }
  return true;
}

}  // namespace ballast::llama
