#include "btree.h"

#include "layout.h"

enum { NODE_WORDS = 32, NODE_MOST = 15, DEEPEST = 16 };

struct node {
  uint32_t count, leaf;
  uint64_t next; /* the leaf to the right, or 0 */
  uint64_t keys[NODE_MOST];
  uint64_t values[NODE_MOST]; /* of an inner node: offsets of children; keys[0] counts as below everything */
};

struct path {
  uint32_t at[DEEPEST];
  uint32_t index[DEEPEST];
  uint32_t depth; /* of the leaf */
};

static void node_read(struct module* m, uint64_t at, struct node* node) {
  mem_read(m, (uint32_t)at, node, NODE_WORDS);
  if (node->count > NODE_MOST) {
    fail(m, FAULT_ADDRESS);
    node->count = 0;
  }
}

static uint32_t node_new(struct module* m) {
  const uint32_t at = block_take(m, NODE_WORDS);
  if (at != 0) mem_set(m, ROOT_TREE_WORDS, mem_word(m, ROOT_TREE_WORDS) + NODE_WORDS);
  return at;
}

static void node_write(struct module* m, uint32_t at, const struct node* node) {
  mem_write(m, at, node, NODE_WORDS);
}

/* How many keys of the node are <= key; an inner node's first key always counts. */
static uint32_t rank_of(struct module* m, const struct node* node, uint64_t key) {
  /* Counted, not stopped at: the same rank without a branch that nobody can foresee. The work is that of a
   * loop that stops. */
  uint32_t rank = node->leaf ? 0 : 1;
  for (uint32_t i = rank; i < node->count; ++i) rank += node->keys[i] <= key;
  work(m, 2 + 2 * (uint64_t)rank);
  return rank;
}

/* Goes down to the leaf that covers the key; the leaf is left in *node. Returns 0 for an empty tree. */
static int descend(struct module* m, uint64_t key, struct path* path, struct node* node) {
  const uint64_t root = mem_word(m, ROOT_TREE);
  if (root == 0) return 0;
  uint64_t at = (uint32_t)root;
  for (path->depth = 0; path->depth < DEEPEST; ++path->depth) {
    node_read(m, at, node);
    path->at[path->depth] = (uint32_t)at;
    if (node->leaf) return 1;
    const uint32_t rank = rank_of(m, node, key), child = rank - 1;
    path->index[path->depth] = child;
    at = node->values[child];
  }
  fail(m, FAULT_ADDRESS);
  return 0;
}

int btree_predecessor(struct module* m, uint64_t key, uint64_t* found, uint64_t* value) {
  struct path path;
  struct node node;
  if (!descend(m, key, &path, &node)) return 0;
  uint32_t rank = rank_of(m, &node, key), steps = 0;
  while (rank == 0) {
    if (++steps > m->bytes / (8 * NODE_WORDS)) {
      fail(m, FAULT_ADDRESS);
      return 0;
    }
    /* Nothing in this leaf: the nearest one to the left, over the lowest ancestor that has one. */
    uint32_t level = path.depth;
    do {
      if (level == 0) return 0;
      --level;
    } while (path.index[level] == 0);
    node_read(m, path.at[level], &node);
    path.index[level] -= 1;
    uint64_t at = node.values[path.index[level]];
    while (level < path.depth) {
      ++level;
      node_read(m, at, &node);
      path.at[level] = (uint32_t)at;
      if (level == path.depth) break;
      if (node.leaf || node.count == 0) {
        fail(m, FAULT_ADDRESS);
        return 0;
      }
      path.index[level] = node.count - 1;
      at = node.values[node.count - 1];
    }
    rank = node.count;
    work(m, 4);
    if (m->fault != FAULT_NONE) return 0;
  }
  *found = node.keys[rank - 1];
  *value = node.values[rank - 1];
  return 1;
}

int btree_successor(struct module* m, uint64_t key, uint64_t* found, uint64_t* value) {
  struct path path;
  struct node node;
  if (!descend(m, key, &path, &node)) return 0;
  uint32_t rank = rank_of(m, &node, key);
  if (rank > 0 && node.keys[rank - 1] == key) --rank;
  for (uint32_t steps = 0; rank == node.count; ++steps) {
    if (steps > m->bytes / (8 * NODE_WORDS)) fail(m, FAULT_ADDRESS);
    if (node.next == 0 || m->fault != FAULT_NONE) return 0;
    node_read(m, node.next, &node);
    rank = 0;
  }
  *found = node.keys[rank];
  *value = node.values[rank];
  return 1;
}

uint64_t btree_scan(struct module* m, uint64_t low, uint64_t high,
                    void (*take)(struct module* m, uint64_t key, uint64_t value, void* to), void* to) {
  struct path path;
  struct node node;
  uint64_t n = 0;
  if (low > high || !descend(m, low, &path, &node)) return 0;
  for (uint32_t steps = 0; m->fault == FAULT_NONE; ++steps) {
    for (uint32_t i = 0; i < node.count; ++i) {
      work(m, 4);
      if (node.keys[i] < low) continue;
      if (node.keys[i] > high) return n;
      take(m, node.keys[i], node.values[i], to);
      ++n;
    }
    if (node.next == 0) return n;
    if (steps > m->bytes / (8 * NODE_WORDS)) fail(m, FAULT_ADDRESS);
    node_read(m, node.next, &node);
  }
  return n;
}

static void insert_at(struct node* node, uint32_t i, uint64_t key, uint64_t value) {
  memmove(node->keys + i + 1, node->keys + i, 8 * (node->count - i));
  memmove(node->values + i + 1, node->values + i, 8 * (node->count - i));
  node->keys[i] = key;
  node->values[i] = value;
  node->count += 1;
}

int btree_put(struct module* m, uint64_t key, uint64_t value) {
  struct path path;
  struct node node;
  if (mem_word(m, ROOT_TREE) == 0) {
    const uint32_t at = node_new(m);
    if (at == 0) return 0;
    memset(&node, 0, sizeof node);
    node.leaf = 1;
    insert_at(&node, 0, key, value);
    node_write(m, at, &node);
    mem_set(m, ROOT_TREE, at);
    mem_set(m, ROOT_TREE_COUNT, 1);
    return 1;
  }
  if (!descend(m, key, &path, &node)) return 0;
  uint32_t rank = rank_of(m, &node, key);
  if (rank > 0 && node.keys[rank - 1] == key) {
    node.values[rank - 1] = value;
    node_write(m, path.at[path.depth], &node);
    return 0;
  }
  mem_set(m, ROOT_TREE_COUNT, mem_word(m, ROOT_TREE_COUNT) + 1);
  for (uint32_t level = path.depth;; --level) {
    work(m, 2 * (uint64_t)(node.count - rank) + 8);
    if (node.count < NODE_MOST) {
      insert_at(&node, rank, key, value);
      node_write(m, path.at[level], &node);
      return 1;
    }
    /* Split in the middle, or at the end where keys come in ascending order. */
    struct node right;
    memset(&right, 0, sizeof right);
    const uint32_t keep = rank == NODE_MOST ? NODE_MOST : (NODE_MOST + 1) / 2;
    right.leaf = node.leaf;
    right.count = NODE_MOST - keep;
    memcpy(right.keys, node.keys + keep, 8 * right.count);
    memcpy(right.values, node.values + keep, 8 * right.count);
    node.count = keep;
    if (rank > keep || keep == NODE_MOST)
      insert_at(&right, rank - keep, key, value);
    else
      insert_at(&node, rank, key, value);
    const uint32_t right_at = node_new(m);
    if (right_at == 0) return 0;
    right.next = node.next;
    if (node.leaf) node.next = right_at;
    node_write(m, right_at, &right);
    node_write(m, path.at[level], &node);
    key = right.keys[0];
    value = right_at;
    if (level == 0) {
      struct node root;
      memset(&root, 0, sizeof root);
      root.count = 2;
      root.keys[0] = node.keys[0];
      root.values[0] = path.at[0];
      root.keys[1] = key;
      root.values[1] = right_at;
      const uint32_t root_at = node_new(m);
      if (root_at == 0) return 0;
      node_write(m, root_at, &root);
      mem_set(m, ROOT_TREE, root_at);
      return 1;
    }
    node_read(m, path.at[level - 1], &node);
    rank = path.index[level - 1] + 1;
  }
}

int btree_remove(struct module* m, uint64_t key) {
  struct path path;
  struct node node;
  if (!descend(m, key, &path, &node)) return 0;
  const uint32_t rank = rank_of(m, &node, key);
  if (rank == 0 || node.keys[rank - 1] != key) return 0;
  memmove(node.keys + rank - 1, node.keys + rank, 8 * (node.count - rank));
  memmove(node.values + rank - 1, node.values + rank, 8 * (node.count - rank));
  node.count -= 1;
  work(m, 2 * (uint64_t)(node.count - rank + 1) + 6);
  node_write(m, path.at[path.depth], &node);
  mem_set(m, ROOT_TREE_COUNT, mem_word(m, ROOT_TREE_COUNT) - 1);
  return 1;
}

uint64_t btree_count(struct module* m) { return mem_word(m, ROOT_TREE_COUNT); }
