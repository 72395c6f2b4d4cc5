// A slow network, emulated. Frames of a stream pass two buckets: they leave when the link of their source has
// carried what left before, and have arrived when the link of their destination has; both at once, as bits on
// a wire. A frame carries the time at which it has left in 8 bytes behind it (steady clock: one host).
//
// A superstep of an exchange: bytes travel by the transport underneath, then every machine waits (really)
// until its link would have carried them. A superstep's transfers begin when all machines have come; a
// machine's link takes latency + a messages + max(out, in) / bandwidth. Times measured this way are measured
// times of an emulated network.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <deque>
#include <thread>

#include "ballast/cluster/transport.h"

namespace ballast::cluster {
namespace {

class ShapedTransport : public Transport {
 public:
  ShapedTransport(std::unique_ptr<Transport> inner, const Profile& link)
      : inner_(std::move(inner)), link_(link), links_(static_cast<std::size_t>(inner_->machines())) {}

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

  bool can_stream() const override { return inner_->can_stream(); }
  bool stream_pays() const override { return inner_->can_stream(); }
  void stream_open(int machine, const Where& where) override {
    inner_->stream_open(machine, where);
    links_[static_cast<std::size_t>(machine)].arriving.clear();
  }
  void stream_send(int machine, int to, Buffer& frame) override {
    auto& free_at = links_[static_cast<std::size_t>(machine)].out_free_at;
    free_at = std::max(free_at, Clock::now()) + seconds(link_.per_message_s + carried(frame));
    frame.put(free_at.time_since_epoch().count());
    inner_->stream_send(machine, to, frame);
  }
  bool stream_receive(int machine, const Where& where, bool wait, StreamFrame& arrived) override {
    auto& link = links_[static_cast<std::size_t>(machine)];
    for (;;) {
      StreamFrame frame;
      while (inner_->stream_receive(machine, where, wait && link.arriving.empty(), frame)) {
        Clock::rep left = 0;
        std::memcpy(&left, frame.frame.data() + frame.frame.size() - sizeof left, sizeof left);
        frame.frame.resize(frame.frame.size() - sizeof left);
        link.in_free_at = std::max(Clock::time_point(Clock::duration(left)) + seconds(link_.latency_s),
                                   link.in_free_at + seconds(carried(frame.frame)));
        link.arriving.emplace_back(link.in_free_at, std::move(frame));
        frame = StreamFrame();
      }
      if (link.arriving.empty()) return false;
      if (link.arriving.front().first > Clock::now()) {
        if (!wait) return false;
        std::this_thread::sleep_until(link.arriving.front().first);
      }
      arrived = std::move(link.arriving.front().second);
      link.arriving.pop_front();
      return true;
    }
  }
  void stream_close(int machine, const Where& where) override { inner_->stream_close(machine, where); }

 private:
  using Clock = std::chrono::steady_clock;
  struct alignas(64) Link {
    Clock::time_point out_free_at{}, in_free_at{};
    std::deque<std::pair<Clock::time_point, StreamFrame>> arriving;
  };
  static Clock::duration seconds(double s) {
    return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(s));
  }
  double carried(const Buffer& frame) const {
    return static_cast<double>(frame.size() + kFrameHeaderBytes) / link_.bytes_per_s;
  }

  void wait(std::chrono::steady_clock::time_point start, double bytes, double messages, double hops) const {
    const double seconds =
        hops * link_.latency_s + messages * link_.per_message_s + bytes / link_.bytes_per_s;
    std::this_thread::sleep_until(start + std::chrono::duration_cast<std::chrono::steady_clock::duration>(
                                              std::chrono::duration<double>(seconds)));
  }

  std::unique_ptr<Transport> inner_;
  Profile link_;
  std::vector<Link> links_;
};

}  // namespace

std::unique_ptr<Transport> make_shaped_transport(std::unique_ptr<Transport> inner, const Profile& link) {
  return std::make_unique<ShapedTransport>(std::move(inner), link);
}

}  // namespace ballast::cluster
