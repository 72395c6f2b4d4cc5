/* Tasks that change memory. */
#include "btree.h"
#include "chunk.h"
#include "layout.h"
#include "table.h"
#include "tasks.h"

enum { BATCH = 128 };

static uint64_t update(struct module* m, const uint64_t* task, uint64_t left, struct reply* reply) {
  if (left < 2) return 0;
  const uint32_t node = table_find(m, task[0]);
  if (node != 0) mem_set(m, node + 8, task[1]);
  reply_put(m, reply, node != 0);
  return 2;
}

static uint64_t drop(struct module* m, const uint64_t* task, uint64_t left) {
  if (left < 1) return 0;
  const uint32_t node = table_remove(m, task[0]);
  if (node != 0) block_give(m, node, 3);
  return 1;
}

static uint64_t new_data(struct module* m, const uint64_t* task, uint64_t left, struct reply* reply) {
  if (left < 3) return 0;
  const uint32_t node = block_take(m, 3);
  if (node != 0) {
    mem_write(m, node, task, 3);
    table_add(m, task[0], node);
  }
  reply_put(m, reply, node);
  return 3;
}

static uint64_t new_node(struct module* m, const uint64_t* task, uint64_t left, struct reply* reply) {
  if (left < 5) return 0;
  const uint32_t node = block_take(m, 5);
  if (node != 0) mem_write(m, node, task, 5);
  reply_put(m, reply, node);
  return 5;
}

static uint64_t set_node(struct module* m, const uint64_t* task, uint64_t left) {
  if (left < 3) return 0;
  mem_set(m, (uint32_t)task[0] + 16, task[1]);
  mem_set(m, (uint32_t)task[0] + 24, task[2]);
  return 3;
}

static uint64_t put_update(struct module* m, const uint64_t* task, uint64_t left, struct reply* reply) {
  if (left < 2) return 0;
  uint64_t key, value;
  const int found = btree_predecessor(m, task[0], &key, &value) && key == task[0];
  if (found) btree_put(m, task[0], task[1]);
  reply_put(m, reply, (uint64_t)found);
  return 2;
}

static uint64_t set_link(struct module* m, enum task type, const uint64_t* task, uint64_t left) {
  struct chunk chunk;
  if (left < 2) return 0;
  chunk_load(m, (uint32_t)task[0], &chunk);
  if (type == TASK_SET_LEFT) chunk.left = task[1];
  if (type == TASK_SET_RIGHT) chunk.right = task[1];
  if (type == TASK_SET_FIRST) chunk.first = task[1];
  chunk_store(m, (uint32_t)task[0], &chunk);
  return 2;
}

static uint64_t fill(struct module* m, const uint64_t* task, uint64_t left) {
  struct chunk chunk;
  if (left < 1 || 2 * (task[0] >> 32) > left - 1) return 0;
  const uint32_t at = (uint32_t)task[0], count = (uint32_t)(task[0] >> 32);
  chunk_load(m, at, &chunk);
  chunk_append(m, &chunk, task + 1, task + 1 + count, count);
  if (m->fault == FAULT_NONE) chunk_store(m, at, &chunk);
  return 1 + 2 * (uint64_t)count;
}

/* Removes the entries >= key; with a reply, hands them out: keys first, then addresses. */
static void truncate_at(struct module* m, uint32_t at, uint64_t key, struct reply* reply) {
  struct chunk chunk;
  uint64_t keys[BATCH];
  chunk_load(m, at, &chunk);
  uint64_t count = 0;
  for (uint32_t begin = 0; begin < chunk.length; begin += BATCH) {
    const uint32_t size = chunk.length - begin < BATCH ? chunk.length - begin : BATCH;
    mem_read(m, chunk.array + 8 * begin, keys, size);
    work(m, 3 * (uint64_t)size);
    for (uint32_t i = 0; i < size; ++i) count += keys[i] >= key;
  }
  uint64_t *out_keys = 0, *out_addresses = 0;
  if (reply != 0) {
    reply_put(m, reply, count);
    reply_put(m, reply, chunk.right);
    out_keys = reply_take(m, reply, count);
    out_addresses = reply_take(m, reply, count);
    if (m->fault != FAULT_NONE) return;
  }
  uint64_t given = 0;
  for (uint32_t i = 0; i < chunk.length && given < count && m->fault == FAULT_NONE;) {
    const uint64_t entry = chunk_key(m, &chunk, i);
    work(m, 4);
    if (entry < key) {
      ++i;
      continue;
    }
    if (reply != 0) {
      out_keys[given] = entry;
      out_addresses[given] = chunk_address(m, &chunk, i);
    }
    ++given;
    chunk_remove(m, &chunk, entry); /* the last entry takes its place: look at i again */
  }
  chunk_store(m, at, &chunk);
}

static uint64_t remove_entries(struct module* m, uint32_t at, const uint64_t* keys, uint32_t count) {
  struct chunk chunk;
  chunk_load(m, at, &chunk);
  for (uint32_t i = 0; i < count; ++i)
    if (!chunk_remove(m, &chunk, keys[i])) return 0;
  chunk_store(m, at, &chunk);
  return 1;
}

static uint64_t set_value(struct module* m, const uint64_t* task, uint64_t left) {
  struct chunk chunk;
  uint64_t keys[BATCH];
  if (left < 1 || 2 * (task[0] >> 32) > left - 1) return 0;
  const uint32_t count = (uint32_t)(task[0] >> 32);
  chunk_load(m, (uint32_t)task[0], &chunk);
  uint32_t written = 0;
  for (uint32_t begin = 0; begin < chunk.length && m->fault == FAULT_NONE; begin += BATCH) {
    const uint32_t size = chunk.length - begin < BATCH ? chunk.length - begin : BATCH;
    mem_read(m, chunk.array + 8 * begin, keys, size);
    work(m, 3 * (uint64_t)count * size);
    for (uint32_t i = 0; i < count; ++i) {
      for (uint32_t j = 0; j < size; ++j) {
        if (keys[j] != task[1 + i]) continue;
        mem_set(m, chunk.array + 8 * (chunk.room + begin + j), task[1 + count + i]);
        ++written;
      }
    }
  }
  return written == count ? 1 + 2 * (uint64_t)count : 0;
}

static uint64_t set_height(struct module* m, const uint64_t* task, uint64_t left) {
  if (left < 2) return 0;
  const uint32_t node = table_find(m, task[0]);
  if (node == 0) return 0;
  mem_set(m, node + 16, task[1]);
  return 2;
}

static uint64_t take(struct module* m, const uint64_t* task, uint64_t left, struct reply* reply) {
  struct chunk chunk;
  if (left < 1) return 0;
  const uint32_t at = (uint32_t)task[0];
  chunk_load(m, at, &chunk);
  reply_put(m, reply, chunk.length);
  reply_put(m, reply, chunk.left);
  reply_put(m, reply, chunk.right);
  reply_entries(m, &chunk, reply);
  chunk_free(m, at);
  return 1;
}

static uint64_t copy_set(struct module* m, const uint64_t* task, uint64_t left) {
  struct chunk root, copy;
  uint32_t position = NOWHERE;
  if (left < 3 || 2 * (task[0] >> 32) > left - 3) return 0;
  const uint32_t at = (uint32_t)task[0], count = (uint32_t)(task[0] >> 32);
  const uint64_t child = task[1], first = task[2];
  chunk_load(m, at, &root);
  const uint32_t old = chunk_copy_of(m, &root, child, &position);
  if (!root.shadowed || old != 0 || (position == NOWHERE && root.first != child)) return 0;
  const uint32_t fresh = chunk_new(m, 1, 0);
  if (fresh == 0) return 0;
  chunk_load(m, fresh, &copy);
  copy.first = first;
  chunk_append(m, &copy, task + 3, task + 3 + count, count);
  if (m->fault != FAULT_NONE) return 0;
  chunk_store(m, fresh, &copy);
  if (position == NOWHERE) {
    root.first_copy = fresh;
    chunk_store(m, at, &root);
  } else {
    chunk_set_copy(m, &root, position, fresh);
  }
  return 3 + 2 * (uint64_t)count;
}

static uint64_t copy_change(struct module* m, enum task type, const uint64_t* task, uint64_t left) {
  struct chunk root, copy;
  uint32_t position;
  if (left < 2) return 0;
  const uint32_t count = (uint32_t)(task[0] >> 32);
  const uint64_t more = type == TASK_COPY_ADD ? 2 * (uint64_t)count : type == TASK_COPY_REMOVE ? count : 1;
  if (more > left - 2) return 0;
  chunk_load(m, (uint32_t)task[0], &root);
  const uint32_t at = chunk_copy_of(m, &root, task[1], &position);
  if (at == 0) return 0;
  if (type == TASK_COPY_TRUNCATE) {
    truncate_at(m, at, task[2], 0);
  } else if (type == TASK_COPY_REMOVE) {
    if (!remove_entries(m, at, task + 2, count)) return 0;
  } else {
    chunk_load(m, at, &copy);
    chunk_append(m, &copy, task + 2, task + 2 + count, count);
    if (m->fault == FAULT_NONE) chunk_store(m, at, &copy);
  }
  return 2 + more;
}

uint64_t run_update_task(struct module* m, enum task type, const uint64_t* task, uint64_t left, struct reply* reply) {
  switch (type) {
    case TASK_RESERVE:
      if (left < 1) return 0;
      table_reserve(m, (uint32_t)task[0]);
      return 1;
    case TASK_UPDATE:
      return update(m, task, left, reply);
    case TASK_DROP:
      return drop(m, task, left);
    case TASK_NEW_DATA:
      return new_data(m, task, left, reply);
    case TASK_L3_FIRST:
      if (left < 1) return 0;
      mem_set(m, ROOT_TREE_FIRST, task[0]);
      return 1;
    case TASK_L3_PUT:
      if (left < 2) return 0;
      btree_put(m, task[0], task[1]);
      return 2;
    case TASK_L3_DROP:
      if (left < 1) return 0;
      btree_remove(m, task[0]);
      return 1;
    case TASK_NEW_CHUNK:
      if (left < 1) return 0;
      reply_put(m, reply, chunk_new(m, (uint32_t)task[0], (task[0] >> 32) != 0));
      return 1;
    case TASK_FILL:
      return fill(m, task, left);
    case TASK_TRUNCATE:
      if (left < 2) return 0;
      truncate_at(m, (uint32_t)task[0], task[1], reply);
      return 2;
    case TASK_REMOVE:
      if (left < 1 || (task[0] >> 32) > left - 1) return 0;
      return remove_entries(m, (uint32_t)task[0], task + 1, (uint32_t)(task[0] >> 32)) ? 1 + (task[0] >> 32) : 0;
    case TASK_SET_VALUE:
      return set_value(m, task, left);
    case TASK_SET_HEIGHT:
      return set_height(m, task, left);
    case TASK_TAKE:
      return take(m, task, left, reply);
    case TASK_SET_LEFT:
    case TASK_SET_RIGHT:
    case TASK_SET_FIRST:
      return set_link(m, type, task, left);
    case TASK_COPY_SET:
      return copy_set(m, task, left);
    case TASK_COPY_ADD:
    case TASK_COPY_TRUNCATE:
    case TASK_COPY_REMOVE:
      return copy_change(m, type, task, left);
    case TASK_NEW_NODE:
      return new_node(m, task, left, reply);
    case TASK_SET_NODE:
      return set_node(m, task, left);
    case TASK_TREE_UPDATE:
      return put_update(m, task, left, reply);
    case TASK_TREE_PUT:
      if (left < 2) return 0;
      reply_put(m, reply, (uint64_t)btree_put(m, task[0], task[1]));
      return 2;
    case TASK_TREE_DROP:
      if (left < 1) return 0;
      reply_put(m, reply, (uint64_t)btree_remove(m, task[0]));
      return 1;
    default:
      return 0;
  }
}
