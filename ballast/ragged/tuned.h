// Tile sizes that `ballast ragged tune` found for this machine, kept beside the compiled kernels.
#pragma once

#include <cstdint>
#include <string>

namespace ballast::ragged {

struct Tuned {
  std::int64_t vgemm_rows = 768, vgemm_columns = 256;
  std::int64_t encoder_rows = 96;
};

/// The file: $XDG_CACHE_HOME/ballast/jit/ragged-tuned.json (BALLAST_JIT_CACHE moves the folder).
std::string tuned_file();
/// What the file says for this CPU, or the defaults where it says nothing. A damaged file is InvalidInput.
Tuned read_tuned(const std::string& cpu);
void write_tuned(const std::string& cpu, const Tuned& tuned);

}  // namespace ballast::ragged
