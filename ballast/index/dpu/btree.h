/* The local B+-tree of a module: 64-bit keys to 64-bit values, nodes of 32 words with 15 entries. It serves
 * as the replica of L3 (values are addresses of L2 roots) and as the local index of the range-partitioned
 * baseline.
 *
 * Removal leaves nodes in place, even empty ones; searches step over them. Ascending insertion fills nodes.
 */
#ifndef BALLAST_INDEX_DPU_BTREE_H_
#define BALLAST_INDEX_DPU_BTREE_H_

#include "hal.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The largest key <= key, and its value; returns 0 when there is none. */
int btree_predecessor(struct module* m, uint64_t key, uint64_t* found, uint64_t* value);
/* The smallest key >= key, and its value; returns 0 when there is none. */
int btree_successor(struct module* m, uint64_t key, uint64_t* found, uint64_t* value);
/* Adds the key, or replaces its value; returns 1 when the key is new. */
int btree_put(struct module* m, uint64_t key, uint64_t value);
/* Returns 1 when the key was there. */
int btree_remove(struct module* m, uint64_t key);
/* Calls `take` for every key of [low, high], ascending; returns how many there were. */
uint64_t btree_scan(struct module* m, uint64_t low, uint64_t high,
                    void (*take)(struct module* m, uint64_t key, uint64_t value, void* to), void* to);
uint64_t btree_count(struct module* m);

#ifdef __cplusplus
}
#endif
#endif
