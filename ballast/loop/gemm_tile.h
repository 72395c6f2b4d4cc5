// Emitters of the register tiles and of the panel transposition, as LLVM IR with explicit vectors.
#pragma once

#include "ballast/loop/gemm.h"
#include "ballast/loop/jit.h"

namespace ballast::loop {

/// A TileFn of this shape. One accumulator register a (row, vector); the loop over k is not unrolled further
/// than the registers allow.
Jit::Fill tile_emitter(const GemmTiles::Shape& shape, int lanes);
/// A TransposeFn, by butterflies on lanes x lanes blocks.
Jit::Fill transpose_emitter(int lanes);

}  // namespace ballast::loop
