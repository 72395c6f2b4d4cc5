// Machines as threads of one process. A buffer changes hands at a meeting of all: the bytes were copied once,
// by the sender into its outbox. Two sets of mailboxes are used in turn, so that one meeting an exchange is
// enough: whoever fills set s again has met everyone since all have emptied it.
#include <thread>

#include "ballast/cluster/rendezvous.h"
#include "ballast/cluster/transport.h"

namespace ballast::cluster {
namespace {

class ThreadTransport : public Transport {
 public:
  ThreadTransport(int machines, double timeout_s) : machines_(machines), rendezvous_(0, machines, timeout_s) {
    const auto n = static_cast<std::size_t>(machines);
    for (int s = 0; s < 2; ++s) {
      mail_[s].resize(n * n);
      shared_[s].resize(n);
    }
    turn_.assign(n, Turn{});
  }

  std::string name() const override { return "threads"; }
  int machines() const override { return machines_; }
  int first_local() const override { return 0; }
  int local_machines() const override { return machines_; }

  void run(const std::function<void(int)>& body) override {
    rendezvous_.reset();
    turn_.assign(turn_.size(), Turn{});
    for (auto& set : mail_) {
      for (auto& buffer : set) buffer.clear();
    }
    std::vector<std::thread> threads;
    for (int machine = 1; machine < machines_; ++machine)
      threads.emplace_back([&, machine] { body(machine); });
    body(0);
    for (auto& thread : threads) thread.join();
  }

  void exchange(int machine, const Where& where, std::vector<Buffer>& out, std::vector<Buffer>& in,
                BufferPool&) override {
    const auto n = static_cast<std::size_t>(machines_), me = static_cast<std::size_t>(machine);
    auto& mail = mail_[turn_[me].exchange++ % 2];
    for (std::size_t d = 0; d < n; ++d) mail[me * n + d].swap(out[d]);
    rendezvous_.meet(machine, Meeting::exchange, where);
    in.resize(n);
    for (std::size_t s = 0; s < n; ++s) {
      in[s].swap(mail[s * n + me]);
      mail[s * n + me].clear();
    }
  }

  void allgather(int machine, const Where& where, std::span<const std::byte> mine,
                 std::vector<std::vector<std::byte>>& all) override {
    auto& shared = shared_[turn_[static_cast<std::size_t>(machine)].allgather++ % 2];
    shared[static_cast<std::size_t>(machine)].assign(mine.begin(), mine.end());
    rendezvous_.meet(machine, Meeting::allgather, where);
    all.resize(shared.size());
    for (std::size_t s = 0; s < shared.size(); ++s) all[s].assign(shared[s].begin(), shared[s].end());
  }

  void leave(int machine) noexcept override { rendezvous_.leave(machine); }
  void fail(int machine, const Where& where, const std::string& reason) noexcept override {
    rendezvous_.fail(machine, where, reason);
  }

 private:
  struct alignas(64) Turn {
    std::uint64_t exchange = 0, allgather = 0;
  };
  const int machines_;
  Rendezvous rendezvous_;
  std::vector<Buffer> mail_[2];  // [source * machines + destination]
  std::vector<std::vector<std::byte>> shared_[2];
  std::vector<Turn> turn_;
};

}  // namespace

std::unique_ptr<Transport> make_thread_transport(int machines, double timeout_s) {
  return std::make_unique<ThreadTransport>(machines, timeout_s);
}

}  // namespace ballast::cluster
