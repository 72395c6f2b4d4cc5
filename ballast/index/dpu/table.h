/* The local hash table of a module: key -> data node. Linear probing, backward-shift deletion, a power-of-two
 * number of slots of two words (key, offset of the data node; offset 0 is an empty slot), load at most 0.66.
 *
 * A data node is three words: key, value, height. */
#ifndef BALLAST_INDEX_DPU_TABLE_H_
#define BALLAST_INDEX_DPU_TABLE_H_

#include "hal.h"

#ifdef __cplusplus
extern "C" {
#endif

struct data_node {
  uint64_t key, value, height;
};

/* Makes room for `keys` keys. */
void table_reserve(struct module* m, uint32_t keys);
/* The offset of the key's data node, or 0. */
uint32_t table_find(struct module* m, uint64_t key);
/* Adds a key that is absent. */
void table_add(struct module* m, uint64_t key, uint32_t node);
/* Removes a key; returns its data node's offset, or 0 when it is absent. */
uint32_t table_remove(struct module* m, uint64_t key);
uint64_t table_count(struct module* m);

#ifdef __cplusplus
}
#endif
#endif
