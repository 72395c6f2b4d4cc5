// Ordered maps of others behind one thin interface, driven as their users drive them: one key at a time, in
// the order that suits them.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "ballast/index/types.h"

namespace ballast::index::peers {

class PeerMap {
 public:
  virtual ~PeerMap() = default;
  virtual void fill(std::span<const Entry> sorted) = 0;
  virtual std::optional<Value> find(Key key) const = 0;
  virtual std::optional<Entry> before(Key key) const = 0;
  /// Loops within, so that the virtual call is paid once; the results are summed so that nothing is optimised
  /// away.
  virtual std::uint64_t find_all(std::span<const Key> keys) const = 0;
  virtual std::uint64_t before_all(std::span<const Key> keys) const = 0;
  virtual void insert_all(std::span<const Entry> entries) = 0;
  virtual void erase_all(std::span<const Key> keys) = 0;
  /// Rows are written to a vector, as ours are.
  virtual std::vector<Entry> scan_all(std::span<const KeyRange> ranges) const = 0;
};

/// A library that is driven one call at a time through virtual functions: its own call costs far more.
class OneByOne : public PeerMap {
 public:
  void fill(std::span<const Entry> sorted) override { insert_all(sorted); }
  std::uint64_t find_all(std::span<const Key> keys) const override;
  std::uint64_t before_all(std::span<const Key> keys) const override;
};

struct Peer {
  std::string name, version;
  std::unique_ptr<PeerMap> map = nullptr;  ///< null: not installed
  bool ordered = true;                     ///< false: it has no predecessor and no scan
  std::size_t share = 1;                   ///< stores get 1/share of a batch: their calls take microseconds
  std::size_t change_share = share;        ///< the same for batches that are inserted and erased
};
/// The maps in memory first (each round of a benchmark runs all of them), then the stores.
std::vector<Peer> all_peers();

/// One file each; not installed where the library is not.
Peer tbb_peer();
Peer libcds_peer();
Peer rocksdb_peer();
Peer leveldb_peer();
Peer lmdb_peer();
Peer sqlite_peer();

}  // namespace ballast::index::peers
