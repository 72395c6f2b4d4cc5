/* Tasks that only read. */
#include "btree.h"
#include "chunk.h"
#include "layout.h"
#include "table.h"
#include "tasks.h"

enum { BATCH = 128 };

static uint64_t get(struct module* m, const uint64_t* task, uint64_t left, struct reply* reply) {
  if (left < 1) return 0;
  const uint32_t node = table_find(m, task[0]);
  struct data_node data = {0, 0, 0};
  if (node != 0) mem_read(m, node, &data, 3);
  uint64_t* out = reply_take(m, reply, 2);
  out[0] = node != 0;
  out[1] = data.value;
  return 1;
}

static uint64_t height(struct module* m, const uint64_t* task, uint64_t left, struct reply* reply) {
  if (left < 1) return 0;
  const uint32_t node = table_find(m, task[0]);
  reply_put(m, reply, node == 0 ? 0 : mem_word(m, node + 16));
  return 1;
}

static uint64_t data(struct module* m, const uint64_t* task, uint64_t left, struct reply* reply) {
  if (left < 1) return 0;
  mem_read(m, (uint32_t)task[0], reply_take(m, reply, 2), 2);
  return 1;
}

static uint64_t l3_find(struct module* m, const uint64_t* task, uint64_t left, struct reply* reply) {
  if (left < 1) return 0;
  uint64_t key, address;
  if (!btree_predecessor(m, task[0], &key, &address)) address = mem_word(m, ROOT_TREE_FIRST);
  reply_put(m, reply, address);
  return 1;
}

static uint64_t l3_range(struct module* m, const uint64_t* task, uint64_t left, struct reply* reply) {
  if (left < 2) return 0;
  uint64_t* count = reply_take(m, reply, 1);
  uint64_t n = 1, key, address;
  if (!btree_predecessor(m, task[0], &key, &address)) address = mem_word(m, ROOT_TREE_FIRST);
  reply_put(m, reply, address);
  uint64_t from = task[0];
  while (from != UINT64_MAX && m->fault == FAULT_NONE && btree_successor(m, from + 1, &key, &address) &&
         key <= task[1]) {
    reply_put(m, reply, address);
    from = key;
    ++n;
  }
  *count = n;
  return 2;
}

/* The chunk of the task's first word, for at most CHUNK_GROUP keys behind it. */
static uint32_t group(struct module* m, const uint64_t* task, uint64_t left, struct chunk* chunk) {
  if (left < 1) return 0;
  const uint64_t count = task[0] >> 32;
  if (count == 0 || count > CHUNK_GROUP || count > left - 1) return 0;
  chunk_load(m, (uint32_t)task[0], chunk);
  return (uint32_t)count;
}

static uint64_t find(struct module* m, const uint64_t* task, uint64_t left, struct reply* reply) {
  struct chunk chunk;
  uint32_t positions[CHUNK_GROUP];
  const uint32_t count = group(m, task, left, &chunk);
  if (count == 0) return 0;
  chunk_find(m, &chunk, task + 1, count, positions);
  uint64_t* out = reply_take(m, reply, count);
  for (uint32_t i = 0; i < count; ++i)
    out[i] = positions[i] == NOWHERE ? chunk.first : chunk_address(m, &chunk, positions[i]);
  return 1 + (uint64_t)count;
}

static uint64_t walk(struct module* m, const uint64_t* task, uint64_t left, struct reply* reply, int record) {
  struct chunk root, copy;
  uint32_t positions[CHUNK_GROUP], inner[CHUNK_GROUP];
  const uint32_t count = group(m, task, left, &root);
  if (count == 0 || !root.shadowed) return 0;
  const uint64_t* keys = task + 1;
  chunk_find(m, &root, keys, count, positions);
  uint64_t* out = reply_take(m, reply, record ? 2 * (uint64_t)count : count);
  for (uint32_t begin = 0, end; begin < count && m->fault == FAULT_NONE; begin = end) {
    /* Keys are sorted, so those of one child stand together. */
    for (end = begin + 1; end < count && positions[end] == positions[begin];) ++end;
    const uint32_t position = positions[begin];
    const uint32_t at = position == NOWHERE ? root.first_copy : chunk_copy(m, &root, position);
    chunk_load(m, at, &copy);
    chunk_find(m, &copy, keys + begin, end - begin, inner);
    const uint64_t child = !record ? 0 : position == NOWHERE ? root.first : chunk_address(m, &root, position);
    for (uint32_t i = begin; i < end; ++i) {
      const uint32_t there = inner[i - begin];
      const uint64_t leaf = there == NOWHERE ? copy.first : chunk_address(m, &copy, there);
      if (record) {
        out[2 * i] = child;
        out[2 * i + 1] = leaf;
      } else {
        out[i] = leaf;
      }
    }
  }
  return 1 + (uint64_t)count;
}

static uint64_t pull(struct module* m, const uint64_t* task, uint64_t left, struct reply* reply) {
  struct chunk chunk;
  if (left < 1) return 0;
  chunk_load(m, (uint32_t)task[0], &chunk);
  reply_put(m, reply, chunk.length);
  reply_put(m, reply, chunk.level == 0 ? chunk.right : chunk.first);
  reply_entries(m, &chunk, reply);
  return 1;
}

static uint64_t links(struct module* m, const uint64_t* task, uint64_t left, struct reply* reply) {
  struct chunk chunk;
  if (left < 1) return 0;
  chunk_load(m, (uint32_t)task[0], &chunk);
  uint64_t* out = reply_take(m, reply, 3);
  out[0] = chunk.length;
  out[1] = chunk.left;
  out[2] = chunk.right;
  return 1;
}

static uint64_t inspect(struct module* m, const uint64_t* task, uint64_t left, struct reply* reply) {
  struct chunk chunk;
  if (left < 1) return 0;
  chunk_load(m, (uint32_t)task[0], &chunk);
  uint64_t* out = reply_take(m, reply, 6);
  out[0] = chunk.length;
  out[1] = chunk.left;
  out[2] = chunk.right;
  out[3] = chunk.first;
  out[4] = chunk.level;
  out[5] = chunk.room;
  reply_entries(m, &chunk, reply);
  return 1;
}

/* Children that cover part of [low, high]: the one that covers low, and those whose key lies in (low, high]. */
static uint64_t range(struct module* m, const uint64_t* task, uint64_t left, struct reply* reply, int only_count) {
  struct chunk chunk;
  uint64_t keys[BATCH], addresses[BATCH];
  if (left < 3) return 0;
  const uint64_t low = task[1], high = task[2];
  chunk_load(m, (uint32_t)task[0], &chunk);
  uint64_t* count = reply_take(m, reply, 1);
  uint64_t n = 0, best = 0, best_address = 0;
  int found = 0;
  for (uint32_t begin = 0; begin < chunk.length && m->fault == FAULT_NONE; begin += BATCH) {
    const uint32_t size = chunk.length - begin < BATCH ? chunk.length - begin : BATCH;
    mem_read(m, chunk.array + 8 * begin, keys, size);
    if (!only_count) mem_read(m, chunk.array + 8 * (chunk.room + begin), addresses, size);
    work(m, 5 * (uint64_t)size);
    for (uint32_t i = 0; i < size; ++i) {
      if (only_count) {
        n += keys[i] >= low && keys[i] <= high;
      } else if (keys[i] > low && keys[i] <= high) {
        reply_put(m, reply, addresses[i]);
        ++n;
      } else if (keys[i] <= low && (!found || keys[i] > best)) {
        found = 1;
        best = keys[i];
        best_address = addresses[i];
      }
    }
  }
  if (!only_count) {
    /* At level 0 the entry before low is no part of the range; above, its child may be. */
    if (chunk.level == 0) {
      if (found && best == low) reply_put(m, reply, best_address), ++n;
    } else if (found || chunk.first != 0) {
      reply_put(m, reply, found ? best_address : chunk.first), ++n;
    }
  }
  *count = n;
  return 3;
}

/* The smallest entry >= key, for each key of the group. */
static uint64_t after(struct module* m, const uint64_t* task, uint64_t left, struct reply* reply, int pairs) {
  struct chunk chunk;
  uint64_t entries[BATCH], best[CHUNK_GROUP];
  uint32_t positions[CHUNK_GROUP];
  const uint32_t count = group(m, task, left, &chunk);
  if (count == 0) return 0;
  for (uint32_t i = 0; i < count; ++i) positions[i] = NOWHERE;
  for (uint32_t begin = 0; begin < chunk.length; begin += BATCH) {
    const uint32_t size = chunk.length - begin < BATCH ? chunk.length - begin : BATCH;
    mem_read(m, chunk.array + 8 * begin, entries, size);
    work(m, 4ull * count * size);
    for (uint32_t i = 0; i < count; ++i) {
      for (uint32_t j = 0; j < size; ++j) {
        if (entries[j] >= task[1 + i] && (positions[i] == NOWHERE || entries[j] < best[i])) {
          best[i] = entries[j];
          positions[i] = begin + j;
        }
      }
    }
  }
  reply_put(m, reply, chunk.right);
  if (pairs) {
    uint32_t found = 0;
    while (found < count && positions[found] != NOWHERE) ++found;
    reply_put(m, reply, found);
    uint64_t* two = reply_take(m, reply, 2 * (uint64_t)found);
    for (uint32_t i = 0; i < found && m->fault == FAULT_NONE; ++i) {
      two[2 * i] = best[i];
      two[2 * i + 1] = chunk_address(m, &chunk, positions[i]);
    }
    return 1 + (uint64_t)count;
  }
  uint64_t* out = reply_take(m, reply, count);
  for (uint32_t i = 0; i < count; ++i)
    out[i] = positions[i] == NOWHERE ? 0 : chunk_address(m, &chunk, positions[i]);
  return 1 + (uint64_t)count;
}

/* With values in level 0. Keys of a group ascend: what finds nothing stands first, or last. */
static uint64_t find_pair(struct module* m, const uint64_t* task, uint64_t left, struct reply* reply) {
  struct chunk chunk;
  uint32_t positions[CHUNK_GROUP];
  const uint32_t count = group(m, task, left, &chunk);
  if (count == 0) return 0;
  chunk_find(m, &chunk, task + 1, count, positions);
  uint32_t none = 0;
  while (none < count && positions[none] == NOWHERE) ++none;
  reply_put(m, reply, count - none);
  uint64_t* out = reply_take(m, reply, 2 * (uint64_t)(count - none));
  for (uint32_t i = none; i < count && m->fault == FAULT_NONE; ++i) {
    out[2 * (i - none)] = chunk_key(m, &chunk, positions[i]);
    out[2 * (i - none) + 1] = chunk_address(m, &chunk, positions[i]);
  }
  return 1 + (uint64_t)count;
}

static uint64_t range_pair(struct module* m, const uint64_t* task, uint64_t left, struct reply* reply) {
  struct chunk chunk;
  uint64_t keys[BATCH], values[BATCH];
  if (left < 3) return 0;
  chunk_load(m, (uint32_t)task[0], &chunk);
  uint64_t* count = reply_take(m, reply, 1);
  uint64_t n = 0;
  for (uint32_t begin = 0; begin < chunk.length && m->fault == FAULT_NONE; begin += BATCH) {
    const uint32_t size = chunk.length - begin < BATCH ? chunk.length - begin : BATCH;
    mem_read(m, chunk.array + 8 * begin, keys, size);
    mem_read(m, chunk.array + 8 * (chunk.room + begin), values, size);
    work(m, 5 * (uint64_t)size);
    for (uint32_t i = 0; i < size; ++i) {
      if (keys[i] < task[1] || keys[i] > task[2]) continue;
      uint64_t* out = reply_take(m, reply, 2);
      out[0] = keys[i];
      out[1] = values[i];
      ++n;
    }
  }
  *count = n;
  return 3;
}

static uint64_t copy_pull(struct module* m, const uint64_t* task, uint64_t left, struct reply* reply) {
  struct chunk root, copy;
  if (left < 2) return 0;
  chunk_load(m, (uint32_t)task[0], &root);
  if (!root.shadowed) return 0;
  uint32_t position;
  const uint32_t at = chunk_copy_of(m, &root, task[1], &position);
  reply_put(m, reply, at != 0);
  if (at == 0) {
    reply_put(m, reply, 0);
    reply_put(m, reply, 0);
    return 2;
  }
  chunk_load(m, at, &copy);
  reply_put(m, reply, copy.length);
  reply_put(m, reply, copy.room);
  reply_entries(m, &copy, reply);
  return 2;
}

/* Nothing found is told by a key on the wrong side of the question; an empty tree is never asked. */
static uint64_t tree_near(struct module* m, const uint64_t* task, uint64_t left, struct reply* reply, int after_it) {
  if (left < 1) return 0;
  uint64_t key = after_it ? 0 : UINT64_MAX, value = 0;
  if (after_it)
    btree_successor(m, task[0], &key, &value);
  else
    btree_predecessor(m, task[0], &key, &value);
  uint64_t* out = reply_take(m, reply, 2);
  out[0] = key;
  out[1] = value;
  return 1;
}

/* One step of the binary skip list: right while the right neighbour is not beyond the key, else down. */
static uint64_t hop(struct module* m, const uint64_t* task, uint64_t left, struct reply* reply) {
  uint64_t node[5]; /* key, value, right, right key, down */
  if (left < 2) return 0;
  mem_read(m, (uint32_t)task[0], node, 5);
  const int right = node[2] != 0 && node[3] <= task[1];
  work(m, 8);
  uint64_t* out = reply_take(m, reply, 2);
  out[0] = right ? node[2] : node[4];
  out[1] = !right && node[4] == 0; /* the end: this node holds the answer */
  return 2;
}

static uint64_t node_of(struct module* m, const uint64_t* task, uint64_t left, struct reply* reply) {
  if (left < 1) return 0;
  mem_read(m, (uint32_t)task[0], reply_take(m, reply, 5), 5);
  work(m, 4);
  return 1;
}

static uint64_t tree_get(struct module* m, const uint64_t* task, uint64_t left, struct reply* reply) {
  if (left < 1) return 0;
  uint64_t key = 0, value = 0;
  const int found = btree_predecessor(m, task[0], &key, &value) && key == task[0];
  uint64_t* out = reply_take(m, reply, 2);
  out[0] = (uint64_t)found;
  out[1] = found ? value : 0;
  return 1;
}

struct rows {
  struct reply* reply;
  int only_count;
};

static void take_row(struct module* m, uint64_t key, uint64_t value, void* to) {
  struct rows* rows = (struct rows*)to;
  if (rows->only_count) return;
  uint64_t* out = reply_take(m, rows->reply, 2);
  out[0] = key;
  out[1] = value;
}

static uint64_t tree_range(struct module* m, const uint64_t* task, uint64_t left, struct reply* reply, int only_count) {
  if (left < 2) return 0;
  struct rows rows = {reply, only_count};
  uint64_t* count = reply_take(m, reply, 1);
  *count = btree_scan(m, task[0], task[1], take_row, &rows);
  return 2;
}

static uint64_t space(struct module* m, struct reply* reply) {
  uint64_t* out = reply_take(m, reply, 3 + ROOT_CLASSES);
  out[0] = layout_untouched(m);
  out[1] = mem_word(m, ROOT_LONGEST);
  out[2] = mem_word(m, ROOT_TABLE) >> 32;
  mem_read(m, ROOT_FREE_COUNT, out + 3, ROOT_CLASSES);
  return 0;
}

static uint64_t usage(struct module* m, struct reply* reply) {
  const uint64_t table = mem_word(m, ROOT_TABLE);
  reply_put(m, reply, mem_word(m, ROOT_USED));
  reply_put(m, reply, table_count(m));
  reply_put(m, reply, btree_count(m));
  reply_put(m, reply, (table == 0 ? 0 : 2ull << ((table >> 32) & 31)) + mem_word(m, ROOT_TREE_WORDS));
  return 0;
}

uint64_t run_query_task(struct module* m, enum task type, const uint64_t* task, uint64_t left, struct reply* reply) {
  switch (type) {
    case TASK_GET:
      return get(m, task, left, reply);
    case TASK_HEIGHT:
      return height(m, task, left, reply);
    case TASK_DATA:
      return data(m, task, left, reply);
    case TASK_L3_FIND:
      return l3_find(m, task, left, reply);
    case TASK_L3_RANGE:
      return l3_range(m, task, left, reply);
    case TASK_FIND:
      return find(m, task, left, reply);
    case TASK_WALK:
      return walk(m, task, left, reply, 0);
    case TASK_WALK_RECORD:
      return walk(m, task, left, reply, 1);
    case TASK_PULL:
      return pull(m, task, left, reply);
    case TASK_RANGE:
      return range(m, task, left, reply, 0);
    case TASK_COUNT:
      return range(m, task, left, reply, 1);
    case TASK_AFTER:
      return after(m, task, left, reply, 0);
    case TASK_AFTER_PAIR:
      return after(m, task, left, reply, 1);
    case TASK_FIND_PAIR:
      return find_pair(m, task, left, reply);
    case TASK_RANGE_PAIR:
      return range_pair(m, task, left, reply);
    case TASK_COPY_PULL:
      return copy_pull(m, task, left, reply);
    case TASK_TREE_GET:
      return tree_get(m, task, left, reply);
    case TASK_TREE_BEFORE:
      return tree_near(m, task, left, reply, 0);
    case TASK_TREE_AFTER:
      return tree_near(m, task, left, reply, 1);
    case TASK_HOP:
      return hop(m, task, left, reply);
    case TASK_NODE:
      return node_of(m, task, left, reply);
    case TASK_TREE_RANGE:
      return tree_range(m, task, left, reply, 0);
    case TASK_TREE_COUNT:
      return tree_range(m, task, left, reply, 1);
    case TASK_LINKS:
      return links(m, task, left, reply);
    case TASK_SPACE:
      return space(m, reply);
    case TASK_INSPECT:
      return inspect(m, task, left, reply);
    case TASK_USAGE:
      return usage(m, reply);
    default:
      return 0;
  }
}
