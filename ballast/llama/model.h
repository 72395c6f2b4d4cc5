// A loaded model and its vocabulary. Loading maps the file; the weights are shared by all contexts of the
// model.
//
//   Model model(shipped_model());
//   std::vector<Token> tokens = model.tokenize("Once upon a time");
//   std::string text = model.detokenize(tokens);
//   auto prompt = model.render_chat({{"user", "Hello"}});          // nullopt: the file's template is unknown
//
// All member functions are safe to call from several threads at once.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

struct llama_model;
struct llama_vocab;

namespace ballast::llama {

using Token = std::int32_t;

struct ChatMessage {
  std::string role;
  std::string content;
};

struct ModelOptions {
  bool vocabulary_only = false;  ///< no weights: for tokenising
  int gpu_layers = 0;  ///< layers on the GPU; -1: all. Needs a ggml that was built with a GPU backend
};

class Model {
 public:
  /// Throws Unavailable (missing file) or InvalidInput (not a GGUF, truncated, unknown architecture).
  explicit Model(const std::string& path, const ModelOptions& options = {});

  const std::string& path() const { return path_; }
  std::string description() const;  ///< such as "llama 135M Q4_1"
  std::uint64_t bytes() const;      ///< of the weights
  std::uint64_t parameters() const;
  int vocabulary() const;       ///< number of tokens
  int trained_context() const;  ///< tokens
  int embedding_size() const;
  int layers() const;
  bool can_drop_suffix() const;  ///< false for recurrent models: they cannot forget a part
  std::optional<std::string> metadata(const std::string& key) const;

  /// `parse_special`: whether the text of control tokens stands for these tokens. `add_special`: whether the
  /// vocabulary's start token is put in front, if it has one.
  std::vector<Token> tokenize(std::string_view text, bool add_special = true,
                              bool parse_special = false) const;
  /// The bytes of one token: not always whole UTF-8 characters. `special`: show control tokens as their text.
  std::string piece(Token token, bool special = false) const;
  std::string detokenize(std::span<const Token> tokens, bool special = false) const;
  bool ends_generation(Token token) const;
  Token start_token() const;              ///< -1 when the vocabulary has none
  Token end_token() const;                ///< -1 when the vocabulary has none
  std::vector<Token> end_tokens() const;  ///< every token for which ends_generation() holds

  /// The prompt for these messages through the file's own chat template (or `chat_template`), ready for the
  /// assistant's turn. nullopt when the library does not know the template.
  std::optional<std::string> render_chat(const std::vector<ChatMessage>& messages,
                                         const std::string& chat_template = {}) const;

  const llama_vocab* vocab() const { return vocab_; }
  llama_model* raw() const { return model_.get(); }

 private:
  struct Free {
    void operator()(llama_model* model) const;
  };
  std::string path_;
  std::unique_ptr<llama_model, Free> model_;
  const llama_vocab* vocab_ = nullptr;
};

/// Whether two models can share tokens: same size and the same text for every token (drafting needs it).
bool same_vocabulary(const Model& a, const Model& b);

}  // namespace ballast::llama
