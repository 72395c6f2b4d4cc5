/* The layout of a module's memory, and its allocator.
 *
 *   offset 8      root record: 64 words (below)
 *   offset 520    blocks of 4, 8, 16, ... words; a free block holds the offset of the next free one of its
 * size
 *
 * Sizes are powers of two words; free blocks of a size form a list; nothing is split or joined.
 */
#ifndef BALLAST_INDEX_DPU_LAYOUT_H_
#define BALLAST_INDEX_DPU_LAYOUT_H_

#include "hal.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
  ROOT_TOP = 8,          /* first byte that was never allocated */
  ROOT_USED = 16,        /* words in live blocks, by block size */
  ROOT_TABLE = 24,       /* hash table: offset | log2(slots) << 32 */
  ROOT_TABLE_COUNT = 32, /* keys in it */
  ROOT_TREE = 40,        /* B+-tree (replica of L3, or a range partition): offset | height << 32 */
  ROOT_TREE_COUNT = 48,  /* keys in it */
  ROOT_TREE_FIRST = 56,  /* what is found below all keys: the leftmost L2 root */
  ROOT_TREE_WORDS = 64,  /* in its nodes */
  ROOT_FREE = 72,        /* free list heads of blocks of 4 << i words, i = 0..22 */
  ROOT_CLASSES = 23,
  ROOT_FREE_COUNT = 256, /* free blocks of each size */
  ROOT_LONGEST = 440,    /* most room that a chunk's array ever had */
  ROOT_END = 520
};

/* A record of memory that was never used is all zeros; this makes it ready. */
void layout_reset(struct module* m);
/* A block of at least `words` words, contents undefined; 0 and FAULT_MEMORY when the memory is full. */
uint32_t block_take(struct module* m, uint32_t words);
/* Gives back a block that was taken for `words` words. */
void block_give(struct module* m, uint32_t at, uint32_t words);
/* Bytes that were never allocated. */
uint32_t layout_untouched(struct module* m);

#ifdef __cplusplus
}
#endif
#endif
