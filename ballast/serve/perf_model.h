// How long one engine step takes: the paper's roofline form with the context terms that a full KV memory
// needs.
//
//   T(batch) = base(N) + kv * C + at * A + dr * S + ov                                       [ms]
//
//   N  tokens in the batch (prompt chunks, and one or several tokens for every decoding request)
//   C  tokens of KV memory that the decoding requests read (the sum of their contexts)
//   A  sum over prompt chunks of chunk * (2 * done + chunk): the chunks of a prompt of p tokens add up to p^2
//   S  steps of the draft model that were run for the batch
//   base(N) = max_i (b_i + k_i N) over a memory-bound and a compute-bound line (arXiv:2504.08784, section on
//   the performance model), or a table over log2 N that is linear between its knots.
//
// A measured CPU profile has three more terms (see `CpuTerms`); they are zero in the published GPU presets.
//
//   auto perf = PerfModel::load("a100-opt13b-tp1");      // a preset's name or a profile file
//   perf.step_ms({.tokens = 313});                       // 50 ms
//   perf.tokens_within(50.0);                            // 313: the largest batch that ends in 50 ms
//
// All costs are non-decreasing in every argument.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ballast/base/json.h"
#include "ballast/base/report.h"

namespace ballast::serve {

/// What one step has to do, summed up: everything that the model looks at.
struct BatchLoad {
  int tokens = 0;             ///< N
  double decode_context = 0;  ///< C
  double prefill_area = 0;    ///< A
  int draft_steps = 0;        ///< S
  int decodes = 0;            ///< requests that decode in this step
  int chunks = 0;             ///< prompt chunks in this step
  double chunk_done = 0;      ///< sum of chunk * done                (CPU form of A)
  double chunk_square = 0;    ///< sum of chunk^2
  double tile_done = 0;       ///< sum of min(chunk, 64) * done: flash attention works in tiles of 64 rows
  int highest_cell = 0;       ///< cells of a unified KV pool that are in use; 0 for separate streams

  void add_decode(int verified_tokens, int context);
  void add_chunk(int chunk, int done);
};

/// What a unit of work costs on a CPU beyond the paper's form; 0: the term is off.
struct CpuTerms {
  double done = 0;    ///< ms per chunk * done
  double square = 0;  ///< ms per chunk^2
  double tile = 0;    ///< ms per min(chunk, 64) * done
  double mixed_pass =
      0;            ///< ms once when a batch holds both decodes and chunks (they run as separate passes)
  double pool = 0;  ///< ms per token and highest used cell of a unified pool
};

struct Line {
  double fixed_ms = 0, ms_per_token = 0;
};

class PerfModel {
 public:
  std::string name;  ///< preset or profile
  std::string device, model;
  std::string origin;  ///< "published:..." or "measured"
  std::vector<Line> lines;
  std::vector<std::pair<double, double>>
      table;            ///< (tokens, ms), increasing; used in place of `lines` when set
  double kv_ms = 0;     ///< per token of decode context
  double area_ms = 0;   ///< per unit of A
  double draft_ms = 0;  ///< per draft step
  double overhead_ms = 0;
  CpuTerms cpu;
  int kv_tokens = 0;         ///< KV capacity
  int max_batch_tokens = 0;  ///< the executor's largest batch
  int max_sequences = 0;
  double safety = 0;  ///< eps: the planner's figures are T * (1 + eps)
  double scale = 1;   ///< online correction: measured over predicted
  Json statistics;    ///< of the fit; empty for presets

  Basis basis() const { return origin == "measured" ? Basis::measured : Basis::modelled; }

  /// Preset names in a stable order.
  static std::vector<std::string> presets();
  /// A preset by name, or a profile file (`ballast.perf/1`). Throws InvalidInput naming the nearest preset.
  static PerfModel load(const std::string& name_or_file);
  static PerfModel from_json(const Json& json, const std::string& where);
  Json to_json() const;

  /// base(N) alone.
  double base_ms(double tokens) const;
  /// T of a batch, with the online scale, without the safety margin.
  double step_ms(const BatchLoad& load) const;
  /// step_ms() * (1 + safety): what planning uses.
  double planned_ms(const BatchLoad& load) const { return step_ms(load) * (1 + safety); }

  /// The paper's time2bs: the largest N with planned T(N) <= `ms`, given what else the step carries (context,
  /// draft steps). 0 when not even one token fits. Not above max_batch_tokens.
  double tokens_within(double ms, double decode_context = 0, int draft_steps = 0) const;
  /// The largest chunk, at most `limit`, of a prompt with `done` tokens processed that keeps planned T <=
  /// `ms`.
  int max_chunk(const BatchLoad& load, int done, int limit, double ms) const;

  /// T0(p): the time of a prompt on an idle machine, in chunks of the largest allowed batch; planned figure.
  double idle_prefill_ms(int prompt, int done = 0) const;
  /// ms per token of the steepest line: turns attention work into effective tokens.
  double compute_ms_per_token() const;
  /// Prefill work left of a prompt in effective tokens: tokens + attention / k_compute (section 4.4).
  double effective_tokens(int done, int total) const;

  /// Without the terms whose names stand in `off` ("kv", "area", "draft", "overhead", "cpu"): for ablation.
  PerfModel without(const std::vector<std::string>& off) const;

 private:
  double rest_ms(const BatchLoad& load) const;
  double tokens_for_base(double ms) const;
};

}  // namespace ballast::serve
