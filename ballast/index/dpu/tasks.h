/* clang-format off */
/* The tasks that a module understands, and the one entry point that runs them.
 *
 * A buffer for a module is a sequence of blocks; a block is one word  type | count << 8 | words << 32  and
 * `words` words that hold `count` tasks of that type. Replies are written one behind the other in task order.
 * In the table, "keys n" are n words; an address is module << 32 | offset; o|n is one word, offset | n << 32.
 *
 *   task            words                              reply
 *   RESERVE         keys                               -                    room in the hash table
 *   GET             key                                found, value
 *   HEIGHT          key                                height (0: absent)
 *   UPDATE          key, value                         found
 *   DROP            key                                -                    the data node is freed
 *   NEW_DATA        key, value, height                 offset
 *   DATA            offset                             key, value
 *   L3_FIRST        address                            -                    the root below all keys of L3
 *   L3_PUT          key, address                       -                    also: puts of the range baseline
 *   L3_DROP         key                                -
 *   L3_FIND         key                                address of the L2 root that covers the key
 *   L3_RANGE        low, high                          n, addresses         all roots that cover part of it
 *   FIND            o|n, keys n                        n addresses of children
 *   WALK            o|n, keys n                        n addresses of level-0 chunks, by the shadow subtree
 *   WALK_RECORD     o|n, keys n                        n pairs: level-1 chunk (the original), level-0 chunk
 *   PULL            offset                             n, link, keys n, addresses n; link: right (level 0),
 *                                                      first
 *   RANGE           o, low, high                       n, addresses         children that cover part of it
 *   COUNT           o, low, high                       n                    entries with low <= key <= high
 *   AFTER           o|n, keys n                        right, n addresses of the smallest entry >= key, or 0
 *   FIND_PAIR       o|n, keys n                        m, then m pairs: key, value (values in level 0; the last
 *                                                      m keys find something)
 *   AFTER_PAIR      o|n, keys n                        right, m, then m pairs (the first m keys)
 *   RANGE_PAIR      o, low, high                       m, then m pairs: entries with low <= key <= high
 *   NEW_CHUNK       level | shadowed << 32             offset
 *   FILL            o|n, keys n, addresses n           -                    appends
 *   TRUNCATE        offset, key                        n, right, keys n, addresses n: entries >= key, removed
 *   REMOVE          o|n, keys n                        -
 *   SET_VALUE       o|n, keys n, values n              -                    of entries that are there
 *   SET_HEIGHT      key, height                        -                    of a key that is there
 *   TAKE            offset                             n, left, right, keys n, addresses n; the chunk is freed
 *   SET_LEFT, SET_RIGHT, SET_FIRST   offset, address   -
 *   COPY_SET        o|n, child, first, keys n, addr. n -                    the shadow copy of `child` below o
 *   COPY_ADD        o|n, child, keys n, addresses n    -                    appends to it
 *   COPY_TRUNCATE   offset, child, key                 -                    removes its entries >= key
 *   COPY_REMOVE     o|n, child, keys n                 -
 *   COPY_PULL       offset, child                      found, n, room, keys n, addresses n   (the verifier's)
 *   TREE_GET        key                                found, value         range baseline, B+-tree
 *   TREE_UPDATE     key, value                         found
 *   TREE_PUT        key, value                         new
 *   TREE_DROP       key                                found
 *   TREE_BEFORE     key                                key, value           nothing: the largest key there is
 *   TREE_AFTER      key                                key, value           nothing: 0
 *   TREE_RANGE      low, high                          n, then n pairs of key, value
 *   TREE_COUNT      low, high                          n
 *   NEW_NODE        key, value, right, right key, down offset               binary skip list (jump-push)
 *   SET_NODE        offset, right, right key           -
 *   HOP             offset, key                        next address, whether this was the end
 *   NODE            offset                             key, value, right, right key, down
 *   LINKS           offset                             n, left, right
 *   SPACE           -                                  bytes never allocated, longest chunk array, log2 of the
 *                                                      table's slots, free blocks of each of the 23 sizes
 *   INSPECT         offset                             n, left, right, first, level, room, keys n, addresses n
 *   USAGE           -                                  words in use, keys in the table, in the tree, words of
 *                                                      both
 */
/* clang-format on */
#ifndef BALLAST_INDEX_DPU_TASKS_H_
#define BALLAST_INDEX_DPU_TASKS_H_

#include "hal.h"

#ifdef __cplusplus
extern "C" {
#endif

enum task {
  TASK_RESERVE = 1,
  TASK_GET,
  TASK_HEIGHT,
  TASK_UPDATE,
  TASK_DROP,
  TASK_NEW_DATA,
  TASK_DATA,
  TASK_L3_FIRST,
  TASK_L3_PUT,
  TASK_L3_DROP,
  TASK_L3_FIND,
  TASK_L3_RANGE,
  TASK_FIND,
  TASK_WALK,
  TASK_WALK_RECORD,
  TASK_PULL,
  TASK_RANGE,
  TASK_COUNT,
  TASK_AFTER,
  TASK_FIND_PAIR,
  TASK_AFTER_PAIR,
  TASK_RANGE_PAIR,
  TASK_NEW_CHUNK,
  TASK_FILL,
  TASK_TRUNCATE,
  TASK_REMOVE,
  TASK_SET_VALUE,
  TASK_SET_HEIGHT,
  TASK_TAKE,
  TASK_SET_LEFT,
  TASK_SET_RIGHT,
  TASK_SET_FIRST,
  TASK_COPY_SET,
  TASK_COPY_ADD,
  TASK_COPY_TRUNCATE,
  TASK_COPY_REMOVE,
  TASK_COPY_PULL,
  TASK_TREE_GET,
  TASK_TREE_UPDATE,
  TASK_TREE_PUT,
  TASK_TREE_DROP,
  TASK_TREE_BEFORE,
  TASK_TREE_AFTER,
  TASK_TREE_RANGE,
  TASK_TREE_COUNT,
  TASK_NEW_NODE,
  TASK_SET_NODE,
  TASK_HOP,
  TASK_NODE,
  TASK_LINKS,
  TASK_SPACE,
  TASK_INSPECT,
  TASK_USAGE,
  TASK_TYPES
};

struct reply {
  uint64_t* words;
  uint64_t length, capacity;
};

/* Space for n reply words, or a scratch that is thrown away (and FAULT_REPLY) when the buffer is full. */
uint64_t* reply_take(struct module* m, struct reply* reply, uint64_t n);
static inline void reply_put(struct module* m, struct reply* reply, uint64_t word) {
  *reply_take(m, reply, 1) = word;
}

/* Keys, then addresses, of all entries. */
struct chunk;
void reply_entries(struct module* m, const struct chunk* chunk, struct reply* reply);

/* Runs all blocks of the buffer. Stops at the first fault, which stays in m->fault. */
void module_run(struct module* m, const uint64_t* buffer, uint64_t words, struct reply* reply);

/* One task each; they return the words that they used up, 0 for a malformed task. */
uint64_t run_query_task(struct module* m, enum task type, const uint64_t* task, uint64_t left,
                        struct reply* reply);
uint64_t run_update_task(struct module* m, enum task type, const uint64_t* task, uint64_t left,
                         struct reply* reply);

#ifdef __cplusplus
}
#endif
#endif
