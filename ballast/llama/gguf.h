// A GGUF file: its metadata and tensors, read without loading a model. For users who want the weights
// themselves (tune, model) rather than the library's inference.
//
//   Gguf file("SmolLM2-135M-Instruct.Q4_1.gguf");
//   file.integer("llama.block_count")                      // 30
//   file.strings("tokenizer.ggml.tokens")                  // the vocabulary
//   std::vector<float> w = file.read_f32("blk.0.attn_q.weight");   // dequantised, row-major
//
// A tensor's shape is given outermost first, as in numpy: a matrix of {rows, columns} maps `columns` inputs
// to `rows` outputs, and element (r, c) is w[r * columns + c]. (The file itself lists the innermost first.)
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace ballast::llama {

struct GgufTensor {
  std::string name;
  std::vector<std::int64_t> shape;  ///< outermost first
  std::string type;                 ///< ggml's name: "f32", "q4_1", ...
  std::uint64_t offset = 0;         ///< bytes from the start of the file
  std::uint64_t bytes = 0;
  std::int64_t elements() const;
};

class Gguf {
 public:
  /// Reads the header. Throws Unavailable (missing), InvalidInput (not a GGUF, truncated, inconsistent).
  explicit Gguf(std::string path);
  ~Gguf();
  Gguf(Gguf&&) noexcept;
  Gguf& operator=(Gguf&&) noexcept;

  const std::string& path() const { return path_; }
  std::vector<std::string> keys() const;
  bool has(const std::string& key) const;

  /// Metadata by key; throws InvalidInput naming file and key when it is absent or of another kind.
  std::int64_t integer(const std::string& key) const;
  double real(const std::string& key) const;  ///< also accepts an integer
  std::string text(const std::string& key) const;
  std::vector<std::string> strings(const std::string& key) const;
  std::vector<std::int64_t> integers(const std::string& key) const;
  std::vector<float> reals(const std::string& key) const;

  const std::vector<GgufTensor>& tensors() const { return tensors_; }
  const GgufTensor* find(const std::string& name) const;  ///< nullptr when absent
  const GgufTensor& tensor(const std::string& name) const;

  /// All elements as float. Costs one read of the tensor and 4 bytes an element.
  std::vector<float> read_f32(const std::string& name) const;
  /// The bytes as stored.
  std::vector<std::byte> read_raw(const std::string& name) const;

 private:
  struct Handle;
  std::int64_t require(const std::string& key) const;
  std::string path_;
  std::unique_ptr<Handle> handle_;
  std::vector<GgufTensor> tensors_;
};

/// A tensor to be written, in f32.
struct GgufEntry {
  std::string name;
  std::vector<std::int64_t> shape;  ///< outermost first
  const float* values = nullptr;    ///< row-major, valid until write_gguf() returns
};

/// Writes a GGUF with all metadata of `from` (vocabulary and chat template
/// among them), these `integers` in place of its own, and these tensors in f32.
/// `to` appears complete or not at all. requantize() (weights.h) makes other
/// formats of it. Throws Unavailable when `to` cannot be written.
void write_gguf(const std::string& from, const std::string& to, const std::vector<GgufEntry>& tensors,
                const std::vector<std::pair<std::string, std::uint32_t>>& integers);

}  // namespace ballast::llama
