// The KV memory of one replica in blocks. Two figures a request: what it really uses, and what was reserved
// for it when it was admitted (its context at the end of its life). Best-effort requests reserve nothing:
// they live in blocks that nobody uses yet, and give them back when an admitted request needs them
// (Replica::make_room).
//
// With separate KV streams a block is a whole slot: block_tokens is then the length of a stream.
#pragma once

#include <algorithm>

#include "ballast/base/errors.h"

namespace ballast::serve {

class KvLedger {
 public:
  struct Account {
    int used = 0, reserved = 0;  ///< blocks
  };

  KvLedger(int total_tokens, int block_tokens) : block_(block_tokens), total_(total_tokens / block_tokens) {}

  int block_tokens() const { return block_; }
  int total() const { return total_; }
  int used() const { return used_; }
  int free() const { return total_ - used_; }
  /// Blocks that admitted requests use or may still claim.
  int committed() const { return committed_; }
  int blocks_for(int tokens) const { return (tokens + block_ - 1) / block_; }

  /// Whether the account can hold `tokens` now without taking from anyone.
  bool fits(const Account& account, int tokens) const { return blocks_for(tokens) - account.used <= free(); }
  /// Sets what the account uses; the growth must fit.
  void hold(Account& account, int tokens) {
    const int blocks = blocks_for(tokens);
    if (blocks == account.used) return;
    BALLAST_CHECK(blocks - account.used <= free(), "KV blocks were granted twice");
    move(account, blocks, account.reserved);
  }
  void reserve(Account& account, int blocks) { move(account, account.used, blocks); }
  void release(Account& account) { move(account, 0, 0); }

 private:
  // An account without a reservation (best effort) is not committed.
  static int commitment(const Account& account) {
    return account.reserved > 0 ? std::max(account.used, account.reserved) : 0;
  }
  void move(Account& account, int blocks, int reserved) {
    used_ += blocks - account.used;
    committed_ -= commitment(account);
    account = {blocks, reserved};
    committed_ += commitment(account);
  }

  int block_, total_, used_ = 0, committed_ = 0;
};

}  // namespace ballast::serve
