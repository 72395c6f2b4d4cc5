#include "ballast/tune/memory.h"

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <fmt/format.h>
#include <malloc.h>

#include <algorithm>
#include <cstdlib>
#include <new>

namespace ballast::tune {
namespace {

thread_local std::shared_ptr<DeviceMemory> current_memory;
thread_local const char* current_tag = "";

// Stands before every block of memory that the allocator hands out.
struct alignas(64) Header {
  std::shared_ptr<DeviceMemory> memory;
  const char* tag;
  std::int64_t bytes;
};
static_assert(sizeof(Header) == 64);

class CountingAllocator : public c10::Allocator {
 public:
  c10::DataPtr allocate(std::size_t bytes) const override {
    if (bytes == 0) return {nullptr, nullptr, &free_block, c10::Device(c10::DeviceType::CPU)};
    const auto size = static_cast<std::int64_t>(bytes);
    if (current_memory) current_memory->charge(current_tag, size);
    void* block = nullptr;
    if (posix_memalign(&block, alignof(Header), sizeof(Header) + bytes) != 0) {
      if (current_memory) current_memory->release(current_tag, size);
      throw Unavailable(fmt::format("this machine has no {} left for a tensor", to_string(Bytes{bytes})));
    }
    auto* header = new (block) Header{current_memory, current_tag, size};
    void* data = header + 1;
    return {data, data, &free_block, c10::Device(c10::DeviceType::CPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &free_block; }

 private:
  static void free_block(void* data) {
    if (data == nullptr) return;
    auto* header = static_cast<Header*>(data) - 1;
    if (header->memory) header->memory->release(header->tag, header->bytes);
    header->~Header();
    std::free(header);
  }
};

std::vector<std::pair<std::string, std::int64_t>> sorted(const std::map<std::string, std::int64_t>& tags) {
  std::vector<std::pair<std::string, std::int64_t>> list(tags.begin(), tags.end());
  std::erase_if(list, [](const auto& entry) { return entry.second == 0; });
  std::sort(list.begin(), list.end(), [](const auto& a, const auto& b) { return a.second > b.second; });
  return list;
}

Bytes bytes_of(std::int64_t count) {
  return {static_cast<std::uint64_t>(count)};
}

}  // namespace

void install_counting_allocator() {
  static std::once_flag once;
  std::call_once(once, [] {
    static CountingAllocator allocator;
    c10::SetCPUAllocator(&allocator, /*priority=*/100);
    // Activations come and go every step: keep their pages instead of giving them back to the system each
    // time.
    mallopt(M_MMAP_THRESHOLD, 32 << 20);
    mallopt(M_TRIM_THRESHOLD, 1 << 30);
  });
}

std::int64_t DeviceMemory::used() const {
  const std::lock_guard lock(mutex_);
  return used_;
}

std::int64_t DeviceMemory::peak() const {
  const std::lock_guard lock(mutex_);
  return peak_;
}

void DeviceMemory::reset_peak() {
  const std::lock_guard lock(mutex_);
  peak_ = used_;
  by_tag_at_peak_ = by_tag_;
}

std::vector<std::pair<std::string, std::int64_t>> DeviceMemory::holders() const {
  const std::lock_guard lock(mutex_);
  return sorted(by_tag_);
}

std::vector<std::pair<std::string, std::int64_t>> DeviceMemory::peak_holders() const {
  const std::lock_guard lock(mutex_);
  return sorted(by_tag_at_peak_);
}

void DeviceMemory::charge(const char* tag, std::int64_t bytes) {
  const std::lock_guard lock(mutex_);
  if (budget_ > 0 && used_ + bytes > budget_) {
    std::string held;
    const auto holders = sorted(by_tag_);
    for (std::size_t i = 0; i < std::min<std::size_t>(holders.size(), 10); ++i) {
      held += fmt::format("{}{} {}", i ? ", " : "", holders[i].first, to_string(bytes_of(holders[i].second)));
    }
    throw DeviceOutOfMemory(fmt::format(
        "device memory (emulated): {} for {} "
        "do not fit: {} of {} are used ({})",
        to_string(bytes_of(bytes)), tag, to_string(bytes_of(used_)), to_string(bytes_of(budget_)), held));
  }
  used_ += bytes;
  by_tag_[tag] += bytes;
  if (used_ > peak_) {
    peak_ = used_;
    by_tag_at_peak_ = by_tag_;
  }
}

void DeviceMemory::release(const char* tag, std::int64_t bytes) {
  const std::lock_guard lock(mutex_);
  used_ -= bytes;
  by_tag_[tag] -= bytes;
}

DeviceScope::DeviceScope(const std::shared_ptr<DeviceMemory>& memory, const char* tag)
    : before_(std::exchange(current_memory, memory)), tag_before_(std::exchange(current_tag, tag)) {}

DeviceScope::~DeviceScope() {
  current_memory = before_;
  current_tag = tag_before_;
}

}  // namespace ballast::tune
