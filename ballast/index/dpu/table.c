#include "table.h"

#include "layout.h"

struct slot {
  uint64_t key, node;
};

/* A hash of its own: the placement hash has spent the high bits of another one on choosing this module. */
static uint64_t spread(uint64_t x) {
  x ^= x >> 32;
  x *= 0xd6e8feb86659fd93ull;
  x ^= x >> 32;
  x *= 0xd6e8feb86659fd93ull;
  return x ^ (x >> 32);
}

static uint32_t slot_at(uint64_t table, uint64_t i) { return (uint32_t)(table + 16 * i); }

static uint64_t mask_of(uint64_t table) { return (1ull << ((table >> 32) & 31)) - 1; }

static void rebuild(struct module* m, uint32_t log_slots) {
  const uint64_t old = mem_word(m, ROOT_TABLE);
  const uint32_t slots = 1u << log_slots;
  const uint32_t fresh = block_take(m, 2 * slots);
  static const uint64_t zeros[256];
  if (fresh == 0) return;
  for (uint32_t i = 0; i < 2 * slots; i += 256)
    mem_write(m, fresh + 8 * i, zeros, 2 * slots - i < 256 ? 2 * slots - i : 256);
  if (old != 0) {
    const uint32_t from = (uint32_t)old, old_slots = 1u << ((old >> 32) & 31);
    for (uint32_t i = 0; i < old_slots; ++i) {
      struct slot moved, there;
      mem_read(m, slot_at(from, i), &moved, 2);
      if (moved.node == 0) continue;
      uint64_t at = spread(moved.key) & (slots - 1);
      for (uint32_t tries = 0; tries < slots; ++tries) {
        mem_read(m, slot_at(fresh, at), &there, 2);
        work(m, 3);
        if (there.node == 0) break;
        at = (at + 1) & (slots - 1);
      }
      mem_write(m, slot_at(fresh, at), &moved, 2);
    }
    block_give(m, from, 2 * old_slots);
  }
  mem_set(m, ROOT_TABLE, fresh | (uint64_t)log_slots << 32);
}

void table_reserve(struct module* m, uint32_t keys) {
  const uint64_t table = mem_word(m, ROOT_TABLE);
  uint32_t log_slots = 4;
  while ((uint64_t)keys * 3 > (2ull << log_slots) && log_slots < 25) ++log_slots;
  if (table == 0 || log_slots > (table >> 32)) rebuild(m, log_slots);
}

uint32_t table_find(struct module* m, uint64_t key) {
  const uint64_t table = mem_word(m, ROOT_TABLE);
  if (table == 0) return 0;
  const uint64_t mask = mask_of(table);
  work(m, 8);
  uint64_t at = spread(key) & mask;
  for (uint64_t tries = 0; tries <= mask; ++tries, at = (at + 1) & mask) {
    struct slot slot;
    mem_read(m, slot_at((uint32_t)table, at), &slot, 2);
    work(m, 4);
    if (slot.node == 0) return 0;
    if (slot.key == key) return (uint32_t)slot.node;
  }
  fail(m, FAULT_ADDRESS); /* a table without an empty slot */
  return 0;
}

void table_add(struct module* m, uint64_t key, uint32_t node) {
  const uint64_t count = mem_word(m, ROOT_TABLE_COUNT) + 1;
  table_reserve(m, (uint32_t)count);
  const uint64_t table = mem_word(m, ROOT_TABLE);
  if (table == 0 || m->fault != FAULT_NONE) return;
  const uint64_t mask = mask_of(table);
  work(m, 10);
  struct slot slot;
  uint64_t at = spread(key) & mask;
  for (uint64_t tries = 0;; ++tries, at = (at + 1) & mask) {
    mem_read(m, slot_at((uint32_t)table, at), &slot, 2);
    work(m, 3);
    if (slot.node == 0) break;
    if (tries > mask) {
      fail(m, FAULT_ADDRESS);
      return;
    }
  }
  slot.key = key;
  slot.node = node;
  mem_write(m, slot_at((uint32_t)table, at), &slot, 2);
  mem_set(m, ROOT_TABLE_COUNT, count);
}

uint32_t table_remove(struct module* m, uint64_t key) {
  const uint64_t table = mem_word(m, ROOT_TABLE);
  if (table == 0) return 0;
  const uint64_t mask = mask_of(table);
  struct slot slot;
  uint64_t at = spread(key) & mask;
  work(m, 8);
  for (uint64_t tries = 0;; ++tries, at = (at + 1) & mask) {
    mem_read(m, slot_at((uint32_t)table, at), &slot, 2);
    work(m, 4);
    if (slot.node == 0) return 0;
    if (slot.key == key) break;
    if (tries > mask) {
      fail(m, FAULT_ADDRESS);
      return 0;
    }
  }
  const uint32_t node = (uint32_t)slot.node;
  /* Backward shift: pull later members of the run into the hole while that does not pass their own place. */
  uint64_t hole = at;
  for (uint64_t next = (at + 1) & mask; next != at; next = (next + 1) & mask) {
    mem_read(m, slot_at((uint32_t)table, next), &slot, 2);
    work(m, 6);
    if (slot.node == 0) break;
    const uint64_t home = spread(slot.key) & mask;
    if (((next - home) & mask) >= ((next - hole) & mask)) {
      mem_write(m, slot_at((uint32_t)table, hole), &slot, 2);
      hole = next;
    }
  }
  slot.key = slot.node = 0;
  mem_write(m, slot_at((uint32_t)table, hole), &slot, 2);
  mem_set(m, ROOT_TABLE_COUNT, mem_word(m, ROOT_TABLE_COUNT) - 1);
  return node;
}

uint64_t table_count(struct module* m) { return mem_word(m, ROOT_TABLE_COUNT); }
