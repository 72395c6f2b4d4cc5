#include "chunk.h"
#include "tasks.h"

static int is_update(enum task type) {
  switch (type) {
    case TASK_RESERVE:
    case TASK_UPDATE:
    case TASK_DROP:
    case TASK_NEW_DATA:
    case TASK_L3_FIRST:
    case TASK_L3_PUT:
    case TASK_L3_DROP:
    case TASK_NEW_CHUNK:
    case TASK_FILL:
    case TASK_TRUNCATE:
    case TASK_REMOVE:
    case TASK_SET_VALUE:
    case TASK_SET_HEIGHT:
    case TASK_TAKE:
    case TASK_SET_LEFT:
    case TASK_SET_RIGHT:
    case TASK_SET_FIRST:
    case TASK_COPY_SET:
    case TASK_COPY_ADD:
    case TASK_COPY_TRUNCATE:
    case TASK_COPY_REMOVE:
    case TASK_NEW_NODE:
    case TASK_SET_NODE:
    case TASK_TREE_UPDATE:
    case TASK_TREE_PUT:
    case TASK_TREE_DROP:
      return 1;
    default:
      return 0;
  }
}

uint64_t* reply_take(struct module* m, struct reply* reply, uint64_t n) {
  static uint64_t nowhere[1024]; /* written, never read */
  if (n > reply->capacity - reply->length) {
    fail(m, FAULT_REPLY);
    return nowhere;
  }
  uint64_t* at = reply->words + reply->length;
  reply->length += n;
  return at;
}

void reply_entries(struct module* m, const struct chunk* chunk, struct reply* reply) {
  enum { BATCH = 128 };
  for (uint32_t column = 0; column < 2; ++column) {
    for (uint32_t begin = 0; begin < chunk->length; begin += BATCH) {
      const uint32_t size = chunk->length - begin < BATCH ? chunk->length - begin : BATCH;
      mem_read(m, chunk->array + 8 * (column * chunk->room + begin), reply_take(m, reply, size), size);
    }
  }
  work(m, 4 + chunk->length);
}

void module_run(struct module* m, const uint64_t* buffer, uint64_t words, struct reply* reply) {
  uint64_t at = 0;
  while (at < words && m->fault == FAULT_NONE) {
    const uint64_t header = buffer[at++];
    const enum task type = (enum task)(header & 0xff);
    const uint64_t count = (header >> 8) & 0xffffff, size = header >> 32;
    if (type < TASK_RESERVE || type >= TASK_TYPES || size > words - at) {
      fail(m, FAULT_TASK);
      return;
    }
    const uint64_t* task = buffer + at;
    uint64_t left = size;
    const int update = is_update(type);
    for (uint64_t i = 0; i < count && m->fault == FAULT_NONE; ++i) {
      work(m, 12); /* reading the task, dispatch */
      const uint64_t used = update ? run_update_task(m, type, task, left, reply)
                                   : run_query_task(m, type, task, left, reply);
      if (used > left || (used == 0 && type != TASK_USAGE && type != TASK_SPACE)) {
        fail(m, FAULT_TASK);
        return;
      }
      task += used;
      left -= used;
    }
    at += size;
  }
}
