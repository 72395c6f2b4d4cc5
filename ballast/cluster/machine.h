// One logical machine, as the function that runs on it sees it: its id, the exchange, the collectives, and
// the account of what it sent. Machines share nothing else: all data crosses by bytes.
//
//   cluster.run([](Machine& me) {
//     me.begin_stage("greet");
//     Outbox out = me.outbox();
//     for (int m = 0; m < me.machines(); ++m) out.to(m).put(me.id());
//     Inbox in = me.exchange(std::move(out));
//     std::uint64_t total = me.allreduce(std::uint64_t{1}, std::plus<>());
//   });
//
// Every call of exchange and of a collective is made by all machines in the same order.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "ballast/cluster/account.h"
#include "ballast/cluster/fault.h"
#include "ballast/cluster/message.h"
#include "ballast/cluster/stream.h"
#include "ballast/cluster/transport.h"

namespace ballast::cluster {

/// What a machine is made with; see Options in cluster.h.
struct MachineSettings {
  std::uint64_t seed = 1;
  bool checksum = false;
  std::uint64_t inbox_limit_bytes = 0;
  std::vector<Fault> faults;
};

class Machine {
 public:
  Machine(int id, Transport& transport, MachineSettings settings);
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  int id() const { return id_; }
  int machines() const { return transport_.machines(); }
  bool is_first() const { return id_ == 0; }
  /// A seed of this machine's own, drawn from the cluster's seed.
  std::uint64_t seed() const { return own_seed_; }
  /// The seed all machines share.
  std::uint64_t shared_seed() const { return settings_.seed; }
  const Transport& transport() const { return transport_; }

  /// Starts a named stage: supersteps count from 0 again.
  void begin_stage(std::string_view name);
  Where where() const { return {stage_, superstep_, stage_name_}; }

  /// An empty outbox whose buffers come from this machine's pool.
  Outbox outbox() { return Outbox(machines(), &pool_); }
  /// The personalised all-to-all that ends a superstep. Throws MachineLost when a machine is gone,
  /// Unavailable when a frame arrives damaged or the inbox passes its limit.
  Inbox exchange(Outbox out);
  /// The same in chunks that travel while `fill` still works, each given to `take` when it arrives
  /// (stream.h).
  void stream(const std::function<void(Stream&)>& fill,
              const std::function<void(int source, Reader chunk)>& take, const StreamOptions& options = {});

  void barrier() { gather({}); }
  /// The contributions of all machines in the order of their ids.
  template <typename T>
  std::vector<T> allgather(const T& mine);
  std::vector<std::vector<std::byte>> allgather_bytes(std::span<const std::byte> mine) {
    return gather(mine);
  }
  /// op over all machines' values, folded in the order of machine ids: the same bits on every transport.
  template <typename T, typename Op>
  T allreduce(T mine, Op op);
  /// Element by element, into `values`; every machine gives the same length.
  template <typename T, typename Op>
  void allreduce(std::span<T> values, Op op);
  template <typename T>
  T broadcast(const T& value, int root);
  std::vector<std::byte> broadcast_bytes(std::span<const std::byte> value, int root);
  /// op over the values of the machines before this one; `identity` at machine 0.
  template <typename T, typename Op>
  T exscan(const T& mine, T identity, Op op);

  /// CPU time that helper threads spent for this machine, to be added to its own.
  void add_cpu_ns(std::uint64_t ns) { helper_cpu_ns_ += ns; }
  const Account& account() const { return account_; }
  Account& account() { return account_; }

 private:
  std::vector<std::vector<std::byte>> gather(std::span<const std::byte> mine);
  friend class Stream;
  void strike(std::vector<Buffer>* out);
  void head_frame(int destination, Buffer& buffer, std::uint32_t flags) const;
  std::uint32_t open_frame(int source, const Buffer& buffer) const;
  void end_superstep(SuperstepCount& count);

  const int id_;
  Transport& transport_;
  MachineSettings settings_;
  const std::uint64_t own_seed_;
  BufferPool pool_;
  Account account_;
  std::uint32_t stage_ = 0, superstep_ = 0;
  std::string stage_name_ = "(no stage)";
  std::uint64_t helper_cpu_ns_ = 0, last_cpu_ns_ = 0, last_wall_ns_ = 0;
};

template <typename T>
std::vector<T> Machine::allgather(const T& mine) {
  static_assert(std::is_trivially_copyable_v<T>);
  const auto all = gather(std::as_bytes(std::span(&mine, 1)));
  std::vector<T> values;
  values.reserve(all.size());
  for (const auto& bytes : all) values.push_back(Reader(bytes).get<T>());
  return values;
}

template <typename T, typename Op>
T Machine::allreduce(T mine, Op op) {
  const auto all = allgather(mine);
  T result = all[0];
  for (std::size_t i = 1; i < all.size(); ++i) result = op(result, all[i]);
  return result;
}

template <typename T, typename Op>
void Machine::allreduce(std::span<T> values, Op op) {
  const auto all = gather(std::as_bytes(values));
  for (std::size_t m = 0; m < all.size(); ++m) {
    if (all[m].size() != values.size_bytes())
      throw InvalidInput("allreduce: machines give vectors of different lengths");
    Reader reader(all[m]);
    for (auto& value : values) {
      const T theirs = reader.get<T>();
      value = m == 0 ? theirs : op(value, theirs);
    }
  }
}

template <typename T>
T Machine::broadcast(const T& value, int root) {
  static_assert(std::is_trivially_copyable_v<T>);
  return Reader(broadcast_bytes(std::as_bytes(std::span(&value, 1)), root)).get<T>();
}

template <typename T, typename Op>
T Machine::exscan(const T& mine, T identity, Op op) {
  const auto all = allgather(mine);
  for (int i = 0; i < id_; ++i) identity = op(identity, all[static_cast<std::size_t>(i)]);
  return identity;
}

}  // namespace ballast::cluster
