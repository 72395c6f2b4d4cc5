// Device memory of the emulated device: every tensor that is made while a DeviceScope is alive on this thread
// is charged to a budget, and a tensor too many is refused as a GPU would refuse it.
//
//   install_counting_allocator();                       // once, before tensors are made
//   auto memory = std::make_shared<DeviceMemory>(Bytes::mib(900));
//   { DeviceScope scope(memory, "weights"); w = torch::empty({m, n}); }      // charged until w is gone
//
// Counted are the bytes asked for. Not seen: scratch of OpenBLAS and oneDNN, and what the C++ code itself
// allocates.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "ballast/base/errors.h"
#include "ballast/base/units.h"

namespace ballast::tune {

/// An allocation that the budget does not allow. Nothing was changed.
class DeviceOutOfMemory : public Unavailable {
 public:
  using Unavailable::Unavailable;
};

class DeviceMemory {
 public:
  /// A budget of 0 bytes is no limit.
  explicit DeviceMemory(Bytes budget) : budget_(static_cast<std::int64_t>(budget.count)) {}

  Bytes budget() const { return {static_cast<std::uint64_t>(budget_)}; }
  void set_budget(Bytes budget) { budget_ = static_cast<std::int64_t>(budget.count); }
  std::int64_t used() const;
  std::int64_t peak() const;
  void reset_peak();
  /// Tags and their bytes now, largest first.
  std::vector<std::pair<std::string, std::int64_t>> holders() const;
  /// The same at the moment of the peak.
  std::vector<std::pair<std::string, std::int64_t>> peak_holders() const;

  /// Throws DeviceOutOfMemory naming tag, sizes and the ten largest holders.
  void charge(const char* tag, std::int64_t bytes);
  void release(const char* tag, std::int64_t bytes);

 private:
  mutable std::mutex mutex_;
  std::int64_t budget_;
  std::int64_t used_ = 0, peak_ = 0;
  std::map<std::string, std::int64_t> by_tag_, by_tag_at_peak_;
};

/// Makes the counting allocator torch's allocator of CPU tensors, for the whole process.
void install_counting_allocator();

/// While it lives, tensors made on this thread are charged to `memory` under `tag` (a string literal).
class DeviceScope {
 public:
  DeviceScope(const std::shared_ptr<DeviceMemory>& memory, const char* tag);
  ~DeviceScope();
  DeviceScope(const DeviceScope&) = delete;
  DeviceScope& operator=(const DeviceScope&) = delete;

 private:
  std::shared_ptr<DeviceMemory> before_;
  const char* tag_before_;
};

/// While it lives, tensors made on this thread belong to the host and are not charged.
class HostScope : public DeviceScope {
 public:
  HostScope() : DeviceScope(nullptr, "host") {}
};

}  // namespace ballast::tune
