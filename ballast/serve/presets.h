// Published performance figures, one row a preset: origin `published`, times in ms. Figures marked (est.) in
// the chapter are estimated where the source gives none.
#pragma once

#include "ballast/serve/perf_model.h"

namespace ballast::serve {

struct Preset {
  const char* name;
  const char* device;
  const char* model;
  Line memory, compute;
  double kv_ms;    ///< per token of decode context
  double area_ms;  ///< per unit of chunk * (2 done + chunk)
  int kv_tokens;
  const char* source;
};

inline constexpr Preset kPresets[] = {
    // DistServe's public simulator profile (A100-80G): prefill 18.103 + 0.10191 N + 7.122e-6 p^2, decode
    // (batch < 95)
    // 19.935 + 0.03851 N + 6.269e-4 context.
    {"a100-opt13b-tp1",
     "A100-80G",
     "OPT-13B",
     {19.93, 0.0385},
     {18.10, 0.1019},
     6.27e-4,
     7.12e-6,
     66144,
     "DistServe simulator profile"},
    {"a100-opt13b-tp2",
     "2 x A100-80G",
     "OPT-13B",
     {13.29, 0.0630},
     {14.74, 0.0686},
     3.41e-4,
     2.45e-6,
     163008,
     "DistServe simulator profile"},
    // KV: 64 layers x 9216 x 2 x 2 bytes = 2.36 MB a token; 4 x 80 GB x 0.9 less 132 GB of weights.
    {"a100-opt66b-tp4",
     "4 x A100-80G",
     "OPT-66B",
     {30.76, 0.0633},
     {29.44, 0.1514},
     4.52e-4,
     8.32e-6,
     66112,
     "DistServe simulator profile"},
    // Vidur's linear-operator profile, 32 layers summed; the attention terms and the KV size are estimated.
    {"a100-llama2-7b",
     "A100-80G",
     "Llama-2-7B",
     {9.0, 0.01},
     {2.25, 0.0641},
     3.2e-4,
     4e-6,
     111000,
     "Vidur linear-operator profile, attention estimated"},
    {"h100-llama2-7b",
     "H100",
     "Llama-2-7B",
     {5.5, 0.008},
     {2.9, 0.0202},
     1.8e-4,
     1.6e-6,
     111000,
     "Vidur linear-operator profile, attention estimated"},
};

}  // namespace ballast::serve
