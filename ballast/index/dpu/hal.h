/* What module code may use of its module: private memory through metered transfers, an instruction counter,
 * and nothing else. Module code is C11 that never sees a pointer into memory: all addresses are 32-bit
 * offsets.
 *
 * hal_native (this file) runs it in simulation. Every transfer and every instruction class is counted; an
 * access out of bounds sets `fault` and reads zeros, so that a malformed task can do no harm.
 */
#ifndef BALLAST_INDEX_DPU_HAL_H_
#define BALLAST_INDEX_DPU_HAL_H_

#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

enum fault {
  FAULT_NONE = 0,
  FAULT_ADDRESS = 1, /* transfer out of bounds or not on a word */
  FAULT_TASK = 2,    /* malformed task */
  FAULT_MEMORY = 3,  /* memory full */
  FAULT_REPLY = 4    /* reply buffer full */
};

struct counters {
  uint64_t reads, writes;             /* transfers between memory and scratch */
  uint64_t read_words, written_words; /* of 8 bytes */
  uint64_t instructions;              /* compares, hash steps, moves, branches */
  uint64_t row_misses;                /* transfers that left the open row */
};

struct module {
  uint8_t* memory;
  uint32_t bytes;
  uint32_t id;
  uint32_t fault;
  uint32_t open_row; /* 1 KiB of memory; what the last transfer touched */
  struct counters counters;
};

/* Counts n instructions. */
static inline void work(struct module* m, uint64_t n) {
  m->counters.instructions += n;
}

static inline void fail(struct module* m, enum fault fault) {
  if (m->fault == FAULT_NONE) m->fault = (uint32_t)fault;
}

static inline int valid(struct module* m, uint32_t at, uint32_t words) {
  if (at % 8 == 0 && at >= 8 && (uint64_t)at + 8ull * words <= m->bytes) return 1;
  fail(m, FAULT_ADDRESS);
  return 0;
}

static inline void open_row(struct module* m, uint32_t at) {
  m->counters.row_misses += at >> 10 != m->open_row;
  m->open_row = at >> 10;
}

/* Moves `words` words from memory at offset `at` to scratch. */
static inline void mem_read(struct module* m, uint32_t at, void* to, uint32_t words) {
  m->counters.reads += 1;
  m->counters.read_words += words;
  open_row(m, at);
  if (valid(m, at, words))
    memcpy(to, m->memory + at, 8ull * words);
  else
    memset(to, 0, 8ull * words);
}

static inline void mem_write(struct module* m, uint32_t at, const void* from, uint32_t words) {
  m->counters.writes += 1;
  m->counters.written_words += words;
  open_row(m, at);
  if (valid(m, at, words)) memcpy(m->memory + at, from, 8ull * words);
}

static inline uint64_t mem_word(struct module* m, uint32_t at) {
  uint64_t word;
  mem_read(m, at, &word, 1);
  return word;
}

static inline void mem_set(struct module* m, uint32_t at, uint64_t word) {
  mem_write(m, at, &word, 1);
}

#ifdef __cplusplus
}
#endif
#endif
