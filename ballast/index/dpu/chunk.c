#include "chunk.h"

#include "layout.h"

enum { BATCH = 128 /* entries moved at once */ };

static uint32_t columns(const struct chunk* chunk) { return chunk->shadowed ? 3 : 2; }

uint32_t chunk_new(struct module* m, uint32_t level, int shadowed) {
  const uint32_t at = block_take(m, CHUNK_WORDS);
  struct chunk chunk;
  memset(&chunk, 0, sizeof chunk);
  chunk.level = level;
  chunk.shadowed = (uint32_t)shadowed;
  if (at != 0) mem_write(m, at, &chunk, CHUNK_WORDS);
  return at;
}

void chunk_load(struct module* m, uint32_t at, struct chunk* chunk) {
  mem_read(m, at, chunk, CHUNK_WORDS);
  if (chunk->length > chunk->room || chunk->room > m->bytes / 16) {
    fail(m, FAULT_ADDRESS);
    memset(chunk, 0, sizeof *chunk);
  }
}

void chunk_store(struct module* m, uint32_t at, const struct chunk* chunk) {
  mem_write(m, at, chunk, CHUNK_WORDS);
}

static void free_plain(struct module* m, uint32_t at, const struct chunk* chunk) {
  if (chunk->array != 0) block_give(m, chunk->array, columns(chunk) * chunk->room);
  block_give(m, at, CHUNK_WORDS);
}

static void free_copy(struct module* m, uint32_t at) {
  struct chunk copy;
  if (at == 0) return;
  chunk_load(m, at, &copy);
  if (copy.shadowed)
    fail(m, FAULT_ADDRESS); /* copies have no copies */
  else if (m->fault == FAULT_NONE)
    free_plain(m, at, &copy);
}

void chunk_free(struct module* m, uint32_t at) {
  struct chunk chunk;
  chunk_load(m, at, &chunk);
  if (chunk.shadowed) {
    for (uint32_t i = 0; i < chunk.length && m->fault == FAULT_NONE; ++i) free_copy(m, chunk_copy(m, &chunk, i));
    free_copy(m, chunk.first_copy);
  }
  if (m->fault == FAULT_NONE) free_plain(m, at, &chunk);
}

void chunk_find(struct module* m, const struct chunk* chunk, const uint64_t* keys, uint32_t count,
                uint32_t* positions) {
  uint64_t best[CHUNK_GROUP], entries[BATCH];
  for (uint32_t i = 0; i < count; ++i) {
    positions[i] = NOWHERE;
    best[i] = 0;
  }
  for (uint32_t begin = 0; begin < chunk->length; begin += BATCH) {
    const uint32_t size = chunk->length - begin < BATCH ? chunk->length - begin : BATCH;
    mem_read(m, chunk->array + 8 * begin, entries, size);
    for (uint32_t i = 0; i < count; ++i) {
      /* Which entries are below the key is as good as random: selected, not branched on. */
      const uint64_t key = keys[i];
      uint64_t largest = best[i];
      uint32_t position = positions[i];
      for (uint32_t j = 0; j < size; ++j) {
        const uint64_t entry = entries[j];
        const int closer = (entry <= key) & ((position == NOWHERE) | (entry > largest));
        largest = closer ? entry : largest;
        position = closer ? begin + j : position;
      }
      best[i] = largest;
      positions[i] = position;
    }
    work(m, 4ull * count * size);
  }
}

uint64_t chunk_key(struct module* m, const struct chunk* chunk, uint32_t position) {
  return mem_word(m, chunk->array + 8 * position);
}

uint64_t chunk_address(struct module* m, const struct chunk* chunk, uint32_t position) {
  return mem_word(m, chunk->array + 8 * (chunk->room + position));
}

uint32_t chunk_copy(struct module* m, const struct chunk* chunk, uint32_t position) {
  return (uint32_t)mem_word(m, chunk->array + 8 * (2 * chunk->room + position));
}

void chunk_set_copy(struct module* m, const struct chunk* chunk, uint32_t position, uint32_t copy) {
  mem_set(m, chunk->array + 8 * (2 * chunk->room + position), copy);
}

uint32_t chunk_position_of(struct module* m, const struct chunk* chunk, uint64_t address) {
  uint64_t addresses[BATCH];
  for (uint32_t begin = 0; begin < chunk->length; begin += BATCH) {
    const uint32_t size = chunk->length - begin < BATCH ? chunk->length - begin : BATCH;
    mem_read(m, chunk->array + 8 * (chunk->room + begin), addresses, size);
    for (uint32_t j = 0; j < size; ++j) {
      work(m, 3);
      if (addresses[j] == address) return begin + j;
    }
  }
  return NOWHERE;
}

uint32_t chunk_copy_of(struct module* m, const struct chunk* root, uint64_t child, uint32_t* position) {
  *position = NOWHERE;
  if (!root->shadowed) return 0;
  if (root->first != 0 && root->first == child) return root->first_copy;
  *position = chunk_position_of(m, root, child);
  return *position == NOWHERE ? 0 : chunk_copy(m, root, *position);
}

static void move_words(struct module* m, uint32_t from, uint32_t to, uint32_t words) {
  uint64_t buffer[BATCH];
  for (uint32_t i = 0; i < words; i += BATCH) {
    const uint32_t size = words - i < BATCH ? words - i : BATCH;
    mem_read(m, from + 8 * i, buffer, size);
    mem_write(m, to + 8 * i, buffer, size);
  }
}

static void zero_words(struct module* m, uint32_t at, uint32_t words) {
  static const uint64_t zeros[BATCH];
  for (uint32_t i = 0; i < words; i += BATCH)
    mem_write(m, at + 8 * i, zeros, words - i < BATCH ? words - i : BATCH);
}

/* Room for `length` entries: 8, 16, 32, ... (three columns fill 3/4 of their block). */
static void grow(struct module* m, struct chunk* chunk, uint32_t length) {
  uint32_t room = chunk->room < 8 ? 8 : chunk->room;
  while (room < length) room *= 2;
  if (room == chunk->room) return;
  const uint32_t width = columns(chunk), fresh = block_take(m, width * room);
  if (fresh == 0) return;
  for (uint32_t c = 0; c < width && chunk->length > 0; ++c)
    move_words(m, chunk->array + 8 * c * chunk->room, fresh + 8 * c * room, chunk->length);
  if (chunk->array != 0) block_give(m, chunk->array, width * chunk->room);
  work(m, 12);
  chunk->array = fresh;
  chunk->room = room;
  if (mem_word(m, ROOT_LONGEST) < room) mem_set(m, ROOT_LONGEST, room);
}

void chunk_append(struct module* m, struct chunk* chunk, const uint64_t* keys, const uint64_t* addresses,
                  uint32_t count) {
  if (count == 0) return;
  grow(m, chunk, chunk->length + count);
  if (m->fault != FAULT_NONE) return;
  mem_write(m, chunk->array + 8 * chunk->length, keys, count);
  mem_write(m, chunk->array + 8 * (chunk->room + chunk->length), addresses, count);
  if (chunk->shadowed) zero_words(m, chunk->array + 8 * (2 * chunk->room + chunk->length), count);
  work(m, 6 + 2 * (uint64_t)count);
  chunk->length += count;
}

int chunk_remove(struct module* m, struct chunk* chunk, uint64_t key) {
  uint64_t entries[BATCH];
  for (uint32_t begin = 0; begin < chunk->length; begin += BATCH) {
    const uint32_t size = chunk->length - begin < BATCH ? chunk->length - begin : BATCH;
    mem_read(m, chunk->array + 8 * begin, entries, size);
    for (uint32_t j = 0; j < size; ++j) {
      work(m, 3);
      if (entries[j] != key) continue;
      const uint32_t at = begin + j, last = chunk->length - 1;
      if (chunk->shadowed) free_copy(m, chunk_copy(m, chunk, at));
      if (at != last)
        for (uint32_t c = 0; c < columns(chunk); ++c)
          mem_set(m, chunk->array + 8 * (c * chunk->room + at), mem_word(m, chunk->array + 8 * (c * chunk->room + last)));
      chunk->length -= 1;
      return 1;
    }
  }
  return 0;
}
