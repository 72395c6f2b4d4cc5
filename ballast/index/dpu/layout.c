#include "layout.h"

static uint32_t class_of(uint32_t words) {
  uint32_t i = 0;
  while ((4u << i) < words && i + 1 < ROOT_CLASSES) ++i;
  return i;
}

void layout_reset(struct module* m) {
  static const uint64_t zeros[64];
  mem_write(m, ROOT_TOP, zeros, 64);
  mem_set(m, ROOT_TOP, ROOT_END);
}

uint32_t block_take(struct module* m, uint32_t words) {
  const uint32_t i = class_of(words), head = ROOT_FREE + 8 * i;
  const uint64_t bytes = 32ull << i;
  uint64_t at = mem_word(m, head);
  work(m, 6);
  if (at != 0) {
    mem_set(m, head, mem_word(m, (uint32_t)at));
    mem_set(m, ROOT_FREE_COUNT + 8 * i, mem_word(m, ROOT_FREE_COUNT + 8 * i) - 1);
  } else {
    at = mem_word(m, ROOT_TOP);
    if (words > (4u << i) || at + bytes > m->bytes) {
      fail(m, FAULT_MEMORY);
      return 0;
    }
    mem_set(m, ROOT_TOP, at + bytes);
  }
  mem_set(m, ROOT_USED, mem_word(m, ROOT_USED) + (bytes >> 3));
  return (uint32_t)at;
}

void block_give(struct module* m, uint32_t at, uint32_t words) {
  const uint32_t i = class_of(words), head = ROOT_FREE + 8 * i;
  if (!valid(m, at, 1)) return;
  work(m, 4);
  mem_set(m, at, mem_word(m, head));
  mem_set(m, head, at);
  mem_set(m, ROOT_FREE_COUNT + 8 * i, mem_word(m, ROOT_FREE_COUNT + 8 * i) + 1);
  mem_set(m, ROOT_USED, mem_word(m, ROOT_USED) - ((32ull << i) >> 3));
}

uint32_t layout_untouched(struct module* m) { return m->bytes - (uint32_t)mem_word(m, ROOT_TOP); }
