/* A chunk: a node of the chunked skip list. A header of eight words and one array of `room` keys, `room`
 * addresses and, in an L2 root with shadows, `room` offsets of local copies of the children. Entries are in
 * no order: new ones go to the end, a removed one is replaced by the last.
 *
 * The leftmost chunk of a level has no head key and, above level 0, a child that is below all keys: `first`.
 */
#ifndef BALLAST_INDEX_DPU_CHUNK_H_
#define BALLAST_INDEX_DPU_CHUNK_H_

#include "hal.h"

#ifdef __cplusplus
extern "C" {
#endif

struct chunk {
  uint64_t left, right; /* neighbours on the same level: module << 32 | offset, or 0 */
  uint64_t first;       /* the child below all keys (leftmost chunk only), or 0 */
  uint32_t length, room;
  uint32_t array, first_copy;
  uint32_t level, shadowed;
  uint64_t unused[2];
};

enum { CHUNK_WORDS = 8, CHUNK_GROUP = 512 /* most keys of one search */ };
#define NOWHERE 0xffffffffu

uint32_t chunk_new(struct module* m, uint32_t level, int shadowed);
/* Frees the chunk and the copies of its children. */
void chunk_free(struct module* m, uint32_t at);
void chunk_load(struct module* m, uint32_t at, struct chunk* chunk);
void chunk_store(struct module* m, uint32_t at, const struct chunk* chunk);

/* For each of `count` keys (at most CHUNK_GROUP): the position of the largest entry <= key, or NOWHERE. The
 * entries are read once for all keys. */
void chunk_find(struct module* m, const struct chunk* chunk, const uint64_t* keys, uint32_t count,
                uint32_t* positions);
uint64_t chunk_key(struct module* m, const struct chunk* chunk, uint32_t position);
uint64_t chunk_address(struct module* m, const struct chunk* chunk, uint32_t position);
uint32_t chunk_copy(struct module* m, const struct chunk* chunk, uint32_t position);
void chunk_set_copy(struct module* m, const struct chunk* chunk, uint32_t position, uint32_t copy);
/* The position whose address is `address`, or NOWHERE. */
uint32_t chunk_position_of(struct module* m, const struct chunk* chunk, uint64_t address);

/* Where a root keeps its copy of this child; 0 when it has no such child or no copy of it. *position: of the
 * child's entry, NOWHERE for the first child. */
uint32_t chunk_copy_of(struct module* m, const struct chunk* root, uint64_t child, uint32_t* position);

/* Appends entries; the header is changed but not stored. */
void chunk_append(struct module* m, struct chunk* chunk, const uint64_t* keys, const uint64_t* addresses,
                  uint32_t count);
/* Removes the entry with this key; returns 0 when there is none. The header is changed but not stored. */
int chunk_remove(struct module* m, struct chunk* chunk, uint64_t key);

#ifdef __cplusplus
}
#endif
#endif
