// Messages in sections: a header of one count a section, then the records of the first section, of the
// second, ... Sections are filled in order. The header is framing, counted apart from what the records carry.
#pragma once

#include <array>
#include <cstdint>

#include "ballast/cluster/machine.h"
#include "ballast/orch/codec.h"

namespace ballast::orch {

template <std::size_t Sections>
class BundleOutbox {
 public:
  using Counts = std::array<std::uint32_t, Sections>;

  explicit BundleOutbox(cluster::Machine& me)
      : me_(&me),
        out_(me.outbox()),
        counts_(static_cast<std::size_t>(me.machines())),
        latest_(counts_.size(), 0) {}

  /// The place for one more record of this section for this machine.
  Buffer& record(int machine, std::size_t section) {
    Buffer& buffer = out_.to(machine);
    auto& latest = latest_[static_cast<std::size_t>(machine)];
    BALLAST_CHECK(section >= latest, "sections of a bundle are filled in order");
    latest = static_cast<std::uint8_t>(section);
    if (buffer.empty()) {
      buffer.put(Counts{});
      if (machine != me_->id()) header_bytes_ += sizeof(Counts);
    }
    ++counts_[static_cast<std::size_t>(machine)][section];
    return buffer;
  }
  std::uint64_t header_bytes() const { return header_bytes_; }
  bool empty() const {
    for (const auto& counts : counts_) {
      for (std::uint32_t count : counts) {
        if (count > 0) return false;
      }
    }
    return true;
  }

  /// Moves all records of one section of another outbox, which has no others, to this one's `section`.
  template <std::size_t Others>
  void take_section(BundleOutbox<Others>& other, std::size_t from, std::size_t section) {
    for (int d = 0; d < me_->machines(); ++d) {
      const std::uint32_t count = other.counts_[static_cast<std::size_t>(d)][from];
      if (count == 0) continue;
      const auto bytes = other.out_.to(d).bytes().subspan(sizeof(typename BundleOutbox<Others>::Counts));
      record(d, section).append(bytes);
      counts_[static_cast<std::size_t>(d)][section] += count - 1;
    }
    other = BundleOutbox<Others>(*other.me_);
  }

  cluster::Inbox exchange() {
    for (int d = 0; d < me_->machines(); ++d) {
      Buffer& buffer = out_.to(d);
      if (!buffer.empty()) std::memcpy(buffer.data(), &counts_[static_cast<std::size_t>(d)], sizeof(Counts));
    }
    return me_->exchange(std::move(out_));
  }

 private:
  template <std::size_t>
  friend class BundleOutbox;
  cluster::Machine* me_;
  cluster::Outbox out_;
  std::vector<Counts> counts_;
  std::vector<std::uint8_t> latest_;  ///< section filled last
  std::uint64_t header_bytes_ = 0;
};

/// The same on a stream: every chunk is a bundle of its own, and leaves when it is full. There is no
/// superstep to end here; that is the stream's.
template <std::size_t Sections>
class BundleStream {
 public:
  using Counts = std::array<std::uint32_t, Sections>;

  BundleStream(cluster::Machine& me, cluster::Stream& out)
      : me_(me), out_(out), counts_(static_cast<std::size_t>(me.machines())), latest_(counts_.size(), 0) {
    out.before_leaving = [this](int machine, std::span<std::byte> chunk) {
      const auto d = static_cast<std::size_t>(machine);
      std::memcpy(chunk.data(), &counts_[d], sizeof(Counts));
      counts_[d] = Counts{};
      latest_[d] = 0;
      if (machine != me_.id()) header_bytes_ += sizeof(Counts);
    };
  }
  BundleStream(const BundleStream&) = delete;
  BundleStream& operator=(const BundleStream&) = delete;

  Buffer& record(int machine, std::size_t section) {
    Buffer& buffer = out_.to(machine);
    const auto d = static_cast<std::size_t>(machine);
    if (out_.begins(machine)) buffer.put(Counts{});
    BALLAST_CHECK(section >= latest_[d], "sections of a bundle are filled in order");
    latest_[d] = static_cast<std::uint8_t>(section);
    ++counts_[d][section];
    return buffer;
  }
  std::uint64_t header_bytes() const { return header_bytes_; }

 private:
  cluster::Machine& me_;
  cluster::Stream& out_;
  std::vector<Counts> counts_;
  std::vector<std::uint8_t> latest_;  ///< section filled last in the present chunk
  std::uint64_t header_bytes_ = 0;
};

/// Calls read(section, reader) for every record of one bundle.
template <std::size_t Sections, typename Read>
void read_bundle(Reader& reader, Read read) {
  const auto counts = reader.get<std::array<std::uint32_t, Sections>>();
  for (std::size_t section = 0; section < Sections; ++section) {
    for (std::uint32_t i = 0; i < counts[section]; ++i) read(section, reader);
  }
}

/// Calls read(source, section, reader) for every record of every message, in the order of sources and
/// sections.
template <std::size_t Sections, typename Read>
void read_bundles(const cluster::Inbox& in, Read read) {
  for (int source = 0; source < in.machines(); ++source) {
    Reader reader = in.from(source);
    if (reader.empty()) continue;
    read_bundle<Sections>(reader,
                          [&](std::size_t section, Reader& record) { read(source, section, record); });
  }
}

}  // namespace ballast::orch
