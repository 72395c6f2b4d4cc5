// Machines as threads of one process. A buffer changes hands at a meeting of all: the bytes were copied once,
// by the sender into its outbox. Two sets of mailboxes are used in turn, so that one meeting an exchange is
// enough: whoever fills set s again has met everyone since all have emptied it.
#include <fmt/format.h>
#include <chrono>
#include <deque>
#include <thread>

#include "ballast/cluster/rendezvous.h"
#include "ballast/cluster/transport.h"

namespace ballast::cluster {
namespace {

class ThreadTransport : public Transport {
 public:
  ThreadTransport(int machines, double timeout_s)
      : machines_(machines), timeout_s_(timeout_s), rendezvous_(0, machines, timeout_s) {
    const auto n = static_cast<std::size_t>(machines);
    for (int s = 0; s < 2; ++s) {
      mail_[s].resize(n * n);
      shared_[s].resize(n);
    }
    turn_.assign(n, Turn{});
    streams_ = std::vector<Arrivals>(n);
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
    for (auto& arrivals : streams_) arrivals.frames.clear();
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
    for (auto& arrivals : streams_) {
      const std::lock_guard lock(arrivals.mutex);
      arrivals.changed.notify_all();
    }
  }

  // Between threads nothing travels: streams are here for the shaped transport, which makes them.
  bool can_stream() const override { return true; }
  void stream_open(int machine, const Where& where) override {
    rendezvous_.meet(machine, Meeting::stream, where);
  }
  void stream_send(int machine, int to, Buffer& frame) override {
    Arrivals& arrivals = streams_[static_cast<std::size_t>(to)];
    const std::lock_guard lock(arrivals.mutex);
    arrivals.frames.push_back({machine, std::move(frame)});
    frame = Buffer();
    arrivals.changed.notify_one();
  }
  bool stream_receive(int machine, const Where& where, bool wait, StreamFrame& arrived) override {
    Arrivals& arrivals = streams_[static_cast<std::size_t>(machine)];
    std::unique_lock lock(arrivals.mutex);
    const auto until = std::chrono::steady_clock::now() + std::chrono::duration<double>(timeout_s_);
    while (arrivals.frames.empty()) {
      if (!wait) return false;
      rendezvous_.stop_if_failed();
      if (std::chrono::steady_clock::now() > until)
        throw Unavailable(
            fmt::format("machine {} has waited {} s for frames of other machines in stage '{}', superstep {}",
                        machine, timeout_s_, where.stage_name, where.superstep));
      arrivals.changed.wait_for(lock, std::chrono::milliseconds(100));
    }
    arrived = std::move(arrivals.frames.front());
    arrivals.frames.pop_front();
    return true;
  }
  // Everyone meets again before the next frames leave.
  void stream_close(int, const Where&) override {}

 private:
  struct alignas(64) Turn {
    std::uint64_t exchange = 0, allgather = 0;
  };
  struct Arrivals {
    std::mutex mutex;
    std::condition_variable changed;
    std::deque<StreamFrame> frames;
  };
  const int machines_;
  const double timeout_s_;
  Rendezvous rendezvous_;
  std::vector<Buffer> mail_[2];  // [source * machines + destination]
  std::vector<std::vector<std::byte>> shared_[2];
  std::vector<Turn> turn_;
  std::vector<Arrivals> streams_;  // [destination]
};

}  // namespace

std::unique_ptr<Transport> make_thread_transport(int machines, double timeout_s) {
  return std::make_unique<ThreadTransport>(machines, timeout_s);
}

}  // namespace ballast::cluster
