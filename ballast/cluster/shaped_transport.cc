// A slow network, emulated: bytes travel by the transport underneath, then every machine waits (really) until
// its link would have carried them. A superstep's transfers begin when all machines have come; a machine's
// link takes latency + a messages + max(out, in) / bandwidth. Times measured this way are measured times of
// an emulated network.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <thread>

#include "ballast/cluster/transport.h"

namespace ballast::cluster {
namespace {

class ShapedTransport : public Transport {
 public:
  ShapedTransport(std::unique_ptr<Transport> inner, const Profile& link)
      : inner_(std::move(inner)), link_(link) {}

  std::string name() const override { return fmt::format("{} shaped as {}", inner_->name(), link_.name); }
  int machines() const override { return inner_->machines(); }
  int first_local() const override { return inner_->first_local(); }
  int local_machines() const override { return inner_->local_machines(); }
  void run(const std::function<void(int)>& body) override { inner_->run(body); }
  void leave(int machine) noexcept override { inner_->leave(machine); }
  void fail(int machine, const Where& where, const std::string& reason) noexcept override {
    inner_->fail(machine, where, reason);
  }

  void exchange(int machine, const Where& where, std::vector<Buffer>& out, std::vector<Buffer>& in,
                BufferPool& pool) override {
    std::uint64_t sent = 0, received = 0, messages_out = 0, messages_in = 0;
    const auto me = static_cast<std::size_t>(machine);
    for (std::size_t d = 0; d < out.size(); ++d) {
      if (d == me || out[d].empty()) continue;
      sent += out[d].frame().size();
      ++messages_out;
    }
    inner_->exchange(machine, where, out, in, pool);
    const auto start = std::chrono::steady_clock::now();
    for (std::size_t s = 0; s < in.size(); ++s) {
      if (s == me || in[s].empty()) continue;
      received += in[s].frame().size();
      ++messages_in;
    }
    wait(start, static_cast<double>(std::max(sent, received)),
         static_cast<double>(std::max(messages_out, messages_in)), 1);
  }

  void allgather(int machine, const Where& where, std::span<const std::byte> mine,
                 std::vector<std::vector<std::byte>>& all) override {
    inner_->allgather(machine, where, mine, all);
    const auto start = std::chrono::steady_clock::now();
    double bytes = 0;
    for (const auto& part : all) bytes += static_cast<double>(part.size());
    const double hops = std::ceil(std::log2(std::max(2, machines())));  // recursive doubling
    wait(start, bytes, hops, hops);
  }

 private:
  void wait(std::chrono::steady_clock::time_point start, double bytes, double messages, double hops) const {
    const double seconds =
        hops * link_.latency_s + messages * link_.per_message_s + bytes / link_.bytes_per_s;
    std::this_thread::sleep_until(start + std::chrono::duration_cast<std::chrono::steady_clock::duration>(
                                              std::chrono::duration<double>(seconds)));
  }

  std::unique_ptr<Transport> inner_;
  Profile link_;
};

}  // namespace

std::unique_ptr<Transport> make_shaped_transport(std::unique_ptr<Transport> inner, const Profile& link) {
  return std::make_unique<ShapedTransport>(std::move(inner), link);
}

}  // namespace ballast::cluster
