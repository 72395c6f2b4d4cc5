#include "ballast/cluster/stream.h"

#include <chrono>

#include "ballast/base/cli.h"
#include "ballast/cluster/machine.h"

namespace ballast::cluster {
namespace {

constexpr std::uint32_t kLast = 2;  // flag of a frame: its source sends no more in this stream

std::uint64_t now_ns() {
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(
                                        std::chrono::steady_clock::now().time_since_epoch())
                                        .count());
}

}  // namespace

Stream::Stream(Machine& me, const StreamOptions& options, const Take& take, SuperstepCount& count)
    : me_(me),
      options_(options),
      take_(take),
      count_(count),
      travelling_(options.overlap && me.machines() > 1 && me.transport().stream_pays()),
      chunks_(static_cast<std::size_t>(me.machines())),
      begin_(chunks_.size(), 0),
      sizes_(chunks_.size()),
      sources_left_(me.machines() - 1) {}

Buffer& Stream::to(int machine) {
  const auto d = static_cast<std::size_t>(machine);
  Buffer& buffer = chunks_[d];
  if (buffer.size() - begin_[d] >= options_.chunk_bytes) {
    close_chunk(machine);
    if (travelling_) {
      send(machine, false);
      receive(false);
    }
  }
  if (buffer.capacity() == 0) buffer = me_.pool_.take();
  return buffer;
}

// The present chunk is complete: it is headed and counted.
void Stream::close_chunk(int machine) {
  const auto d = static_cast<std::size_t>(machine);
  const std::size_t bytes = chunks_[d].size() - begin_[d];
  if (before_leaving) before_leaving(machine, {chunks_[d].data() + begin_[d], bytes});
  if (machine == me_.id()) {
    count_.self_bytes += bytes;
    ++count_.self_messages;
  } else {
    count_.bytes_out += bytes;
    ++count_.messages_out;
  }
  if (travelling_) return;
  sizes_[d].push_back(static_cast<std::uint32_t>(bytes));
  begin_[d] = chunks_[d].size();
}

void Stream::send(int machine, bool last) {
  Buffer& buffer = chunks_[static_cast<std::size_t>(machine)];
  if (machine == me_.id()) {
    took(machine, buffer.bytes());
    return buffer.clear();
  }
  buffer.reserve(1);
  me_.head_frame(machine, buffer, last ? kLast : 0);
  me_.transport_.stream_send(me_.id(), machine, buffer);
  buffer.clear();
}

void Stream::took(int source, std::span<const std::byte> chunk) {
  count_.inbox_bytes += chunk.size();
  if (source != me_.id()) {
    count_.bytes_in += chunk.size();
    ++count_.messages_in;
  }
  take_(source, Reader(chunk));
}

// Takes what has arrived; with `wait`, until all sources have ended.
void Stream::receive(bool wait) {
  StreamFrame arrived;
  while (sources_left_ > 0) {
    const std::uint64_t before = wait ? now_ns() : 0;
    if (!me_.transport_.stream_receive(me_.id(), me_.where(), wait, arrived)) return;
    if (wait) count_.wait_ns += now_ns() - before;
    const std::uint32_t flags = me_.open_frame(arrived.source, arrived.frame);
    if (flags & kLast) --sources_left_;
    if (!arrived.frame.empty()) took(arrived.source, arrived.frame.bytes());
    me_.pool_.give(std::move(arrived.frame));
    arrived.frame = Buffer();
  }
}

void Stream::end() {
  for (int step = 0; step < me_.machines(); ++step) {  // everyone begins with another partner
    const int d = (me_.id() + step) % me_.machines();
    const bool some = !chunks_[static_cast<std::size_t>(d)].empty();
    if (some) close_chunk(d);
    if (some || d != me_.id()) send(d, true);
  }
  receive(true);
  me_.transport_.stream_close(me_.id(), me_.where());
}

// All chunks by one exchange. Behind the payload of a frame stand the sizes of its chunks and their number.
void Stream::end_together() {
  for (int d = 0; d < me_.machines(); ++d) {
    Buffer& buffer = chunks_[static_cast<std::size_t>(d)];
    if (!begins(d)) close_chunk(d);
    auto& sizes = sizes_[static_cast<std::size_t>(d)];
    if (sizes.empty()) continue;
    buffer.append(sizes.data(), sizes.size() * sizeof(std::uint32_t));
    buffer.put(static_cast<std::uint32_t>(sizes.size()));
    me_.head_frame(d, buffer, 0);
  }
  std::vector<Buffer> in;
  const std::uint64_t before = now_ns();
  me_.transport_.exchange(me_.id(), me_.where(), chunks_, in, me_.pool_);
  count_.wait_ns += now_ns() - before;
  for (auto& buffer : chunks_) me_.pool_.give(std::move(buffer));
  for (int source = 0; source < me_.machines(); ++source) {
    Buffer& buffer = in[static_cast<std::size_t>(source)];
    if (buffer.empty()) continue;
    me_.open_frame(source, buffer);
    const auto bytes = buffer.bytes();
    const auto number = [&](std::size_t from_end) {
      if (from_end * sizeof(std::uint32_t) > bytes.size())
        throw InvalidInput("a message of chunks ends in the middle of their sizes");
      return Reader(bytes.subspan(bytes.size() - from_end * sizeof(std::uint32_t))).get<std::uint32_t>();
    };
    const std::size_t chunks = number(1);
    Reader all(bytes);
    for (std::size_t c = 0; c < chunks; ++c) took(source, all.take(number(1 + chunks - c)));
    me_.pool_.give(std::move(buffer));
  }
}

void Machine::stream(const std::function<void(Stream&)>& fill, const Stream::Take& take,
                     const StreamOptions& options) {
  cli::stop_if_interrupted();
  SuperstepCount count;
  count.stage = stage_;
  count.superstep = superstep_;
  Stream stream(*this, options, take, count);
  if (stream.travelling_) {
    transport_.stream_open(id_, where());
    if (!settings_.faults.empty()) strike(nullptr);
  }
  fill(stream);
  if (stream.travelling_) {
    stream.end();
  } else {
    if (!settings_.faults.empty()) strike(&stream.chunks_);
    stream.end_together();
  }
  end_superstep(count);
}

}  // namespace ballast::cluster
