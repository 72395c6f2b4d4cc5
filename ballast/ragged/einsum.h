// Operators as one line of text, and schedules as a YAML list: the compiler without C++.
//
//   Einsum e = parse_einsum("S[b,i,h,j] = 0.125 * sum(k) Q[b,i,h,k] * K[b,j,h,k]", "b:B i(b):len j(b):len h:8
//   k:64"); Schedule s = parse_schedule(e, "- split: {loop: i, factor: 64, into: [io, ii]}\n- parallel:
//   b\n");
//
// Text:      NAME[dim, ...] = EXPRESSION
//            numbers, + - * /, parentheses, NAME[dim, ...], exp tanh sqrt erf abs relu gelu sigmoid (one
//            argument), min max (two), and one reduction: sum(dim, ...), max(dim, ...), min(dim, ...) or
//            prod(dim, ...) before a product.
// Dims:      name:EXTENT or name(outer):EXTENT, separated by spaces. EXTENT: an integer; a name (a run-time
// scalar, or with an
//            outer dimension one length an index of it); or outer+c, c a number (closed form).
// Schedule:  split {loop, factor, into: [outer, inner]}; fuse {loops: [outer, inner], into}; reorder [loops];
// parallel,
//            vectorize, unroll, peel: loop; microkernel [rows, columns, reduction]; pad_loop {dim, multiple};
//            pad_storage {tensor, dim, multiple}; split_dim {tensor, dim, factor, into: [tile, place]};
//            fuse_dims {tensor, dims: [outer, inner]}; reorder_dims {tensor, order}; cache_read {tensor, at};
//            cache_write: true; remap: cost or reversed; balance: cost, contiguous, dynamic or lpt;
//            fuse_maps: table, search or walk; hoist_loads: true or false; elide_guards: true
//
// Errors are InvalidInput with the text, a caret under the place, and what is accepted; or CompileError.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "ballast/ragged/schedule.h"

namespace ballast::ragged {

struct Einsum {
  Tensor output;
  std::vector<Tensor> inputs;
  std::map<std::string, Dim> dims;
};

Einsum parse_einsum(const std::string& expression, const std::string& dims);
/// An empty text gives the default: the outermost loop parallel, the innermost spatial one with lanes.
Schedule parse_schedule(const Einsum& einsum, const std::string& yaml);

}  // namespace ballast::ragged
