#include "ballast/robot/harness/energy.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <linux/perf_event.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>

#include "ballast/base/errors.h"
#include "ballast/robot/node/executable.h"

namespace ballast::robot {
namespace {

std::string first_line(const std::string& file) {
  std::ifstream in(file);
  std::string line;
  std::getline(in, line);
  return line;
}
std::uint64_t counter_of(const std::string& file) {
  return std::strtoull(first_line(file).c_str(), nullptr, 10);
}

std::vector<std::string> matching(const std::string& folder, const std::string& prefix) {
  std::vector<std::string> result;
  std::error_code ignored;
  for (const auto& item : std::filesystem::directory_iterator(folder, ignored))
    if (item.path().filename().string().starts_with(prefix)) result.push_back(item.path().string());
  std::sort(result.begin(), result.end());
  return result;
}

/// A function of the library; throws Unavailable when it is too old to have it.
template <typename Function>
Function symbol(void* library, const char* name) {
  const auto found = reinterpret_cast<Function>(::dlsym(library, name));
  if (!found) throw Unavailable(std::string("libnvidia-ml.so.1 has no ") + name);
  return found;
}

using Make = std::function<std::unique_ptr<EnergyCounter>()>;
const std::vector<std::pair<std::string, Make>>& counters() {
  static const std::vector<std::pair<std::string, Make>> list{
      {"rapl", [] { return std::make_unique<Rapl>(); }},
      {"perf", [] { return std::make_unique<PerfEnergy>(); }},
      {"nvml", [] { return std::make_unique<Nvml>(); }},
      {"hwmon", [] { return std::make_unique<Hwmon>(); }}};
  return list;
}

}  // namespace

std::vector<EnergyProvider> energy_providers() {
  std::vector<EnergyProvider> list;
  for (const auto& [name, make] : counters()) {
    try {
      make();
      list.push_back({name, true, "readable"});
    } catch (const Unavailable& error) {
      list.push_back({name, false, error.what()});
    }
  }
  list.push_back({"meter", false, "an external meter's CSV is read by `analyze --meter FILE`"});
  return list;
}

Rapl::Rapl(const std::string& root) {
  for (const auto& zone : matching(root, "intel-rapl:")) {
    const std::string name = first_line(zone + "/name");
    // Sub-zones core and uncore are part of their package: counting them too would count twice.
    if (!name.starts_with("package") && name != "dram") continue;
    if (::access((zone + "/energy_uj").c_str(), R_OK) != 0) continue;
    zones_.push_back(
        {zone + "/energy_uj", counter_of(zone + "/energy_uj"), counter_of(zone + "/max_energy_range_uj")});
  }
  if (zones_.empty()) throw Unavailable("no readable RAPL zone under " + root);
}

double Rapl::joules() {
  double total = 0;
  for (auto& zone : zones_) {
    const std::uint64_t now = counter_of(zone.file);
    total += static_cast<double>(now >= zone.last ? now - zone.last : zone.range - zone.last + now) * 1e-6;
    zone.last = now;
  }
  return total;
}

Hwmon::Hwmon(const std::string& root, int period_ms) {
  for (const auto& device : matching(root, "hwmon")) {
    for (const auto& file : matching(device, "power"))
      if (file.ends_with("_input")) rails_.push_back({file, ""});
    // A rail of an INA sensor: voltage and current of the same number.
    for (const auto& file : matching(device, "curr")) {
      if (!file.ends_with("_input")) continue;
      const auto name = std::filesystem::path(file).filename().string();
      const std::string number = name.substr(4, name.size() - 4 - 6),
                        volts = device + "/in" + number + "_input";
      if (std::filesystem::exists(volts) && !std::filesystem::exists(device + "/power" + number + "_input"))
        rails_.push_back({volts, file});
    }
  }
  if (rails_.empty()) throw Unavailable("no power*_input, nor in*_input with curr*_input, under " + root);
  thread_ = std::thread([this, period_ms] {
    auto last = ros::monotonic_ns();
    double before = watts_now();
    while (!over_) {
      std::this_thread::sleep_for(std::chrono::milliseconds(period_ms));
      const auto now = ros::monotonic_ns();
      const double watts = watts_now();
      total_ = total_ + static_cast<double>(now - last) * 1e-9 * (before + watts) / 2;
      last = now;
      before = watts;
    }
  });
}

Hwmon::~Hwmon() {
  over_ = true;
  if (thread_.joinable()) thread_.join();
}

double Hwmon::watts_now() const {
  double watts = 0;
  for (const auto& rail : rails_)
    watts += rail.second.empty() ? static_cast<double>(counter_of(rail.first)) * 1e-6
                                 : static_cast<double>(counter_of(rail.first)) * 1e-3 *
                                       static_cast<double>(counter_of(rail.second)) * 1e-3;
  return watts;
}

double Hwmon::joules() {
  const double total = total_;
  return total - std::exchange(told_, total);
}

PerfEnergy::PerfEnergy() {
  const std::string folder = "/sys/bus/event_source/devices/power";
  if (!std::filesystem::exists(folder + "/events/energy-pkg"))
    throw Unavailable("no PMU event power/energy-pkg/ under /sys/bus/event_source/devices");
  perf_event_attr attributes{};
  attributes.size = sizeof attributes;
  attributes.type = static_cast<std::uint32_t>(counter_of(folder + "/type"));
  const std::string event = first_line(folder + "/events/energy-pkg");  // "event=0x02"
  attributes.config = std::strtoull(event.substr(event.find('=') + 1).c_str(), nullptr, 0);
  scale_ = std::strtod(first_line(folder + "/events/energy-pkg.scale").c_str(), nullptr);
  std::istringstream cpus(first_line(folder + "/cpumask"));  // one CPU a socket: "0,28"
  for (std::string cpu; std::getline(cpus, cpu, ',');) {
    const int descriptor =
        static_cast<int>(::syscall(SYS_perf_event_open, &attributes, -1, std::atoi(cpu.c_str()), -1, 0));
    if (descriptor < 0) {
      const std::string why = std::strerror(errno);
      for (const int open : descriptors_) ::close(open);
      throw Unavailable("power/energy-pkg/ cannot be opened: " + why + " (kernel.perf_event_paranoid)");
    }
    descriptors_.push_back(descriptor);
  }
  joules();
}

PerfEnergy::~PerfEnergy() {
  for (const int descriptor : descriptors_) ::close(descriptor);
}

double PerfEnergy::joules() {
  std::uint64_t total = 0;
  for (const int descriptor : descriptors_) {
    std::uint64_t value = 0;
    if (::read(descriptor, &value, sizeof value) == sizeof value) total += value;
  }
  return static_cast<double>(total - std::exchange(last_, total)) * scale_;
}

Nvml::Nvml() : library_(::dlopen("libnvidia-ml.so.1", RTLD_LAZY)) {
  if (!library_) throw Unavailable("libnvidia-ml.so.1 is not here");
  try {
    if (symbol<int (*)()>(library_, "nvmlInit_v2")() != 0)
      throw Unavailable("NVML does not start: no NVIDIA driver");
    unsigned count = 0;
    symbol<int (*)(unsigned*)>(library_, "nvmlDeviceGetCount_v2")(&count);
    const auto handle = symbol<int (*)(unsigned, void**)>(library_, "nvmlDeviceGetHandleByIndex_v2");
    const auto energy =
        symbol<int (*)(void*, unsigned long long*)>(library_, "nvmlDeviceGetTotalEnergyConsumption");
    for (unsigned i = 0; i < count; ++i) {
      void* device = nullptr;
      unsigned long long value = 0;
      if (handle(i, &device) == 0 && energy(device, &value) == 0) devices_.push_back(device);
    }
    if (devices_.empty()) throw Unavailable("no GPU here counts its energy");
  } catch (const Unavailable&) {
    ::dlclose(library_);
    throw;
  }
  last_ = millijoules();
}

Nvml::~Nvml() {
  symbol<int (*)()>(library_, "nvmlShutdown")();
  ::dlclose(library_);
}

std::uint64_t Nvml::millijoules() const {
  const auto energy =
      symbol<int (*)(void*, unsigned long long*)>(library_, "nvmlDeviceGetTotalEnergyConsumption");
  std::uint64_t total = 0;
  for (void* device : devices_) {
    unsigned long long value = 0;
    if (energy(device, &value) == 0) total += value;
  }
  return total;
}

double Nvml::joules() {
  const std::uint64_t now = millijoules();
  return static_cast<double>(now - std::exchange(last_, now)) * 1e-3;
}

EnergyMeter::EnergyMeter() {
  for (const auto& [name, make] : counters()) {
    try {
      counter_ = make();
      return;
    } catch (const Unavailable& error) {
      why_not_ += (why_not_.empty() ? "" : "; ") + name + ": " + error.what();
    }
  }
}

void EnergyMeter::start() {
  if (counter_) counter_->joules();
  started_ns_ = ros::monotonic_ns();
}

EnergyUse EnergyMeter::stop() {
  EnergyUse use;
  use.seconds = static_cast<double>(ros::monotonic_ns() - started_ns_) * 1e-9;
  if (!counter_) {
    use.unavailable = why_not_;
    return use;
  }
  use.joules = counter_->joules();
  use.provider = counter_->name();
  use.uncertainty_w = use.seconds > 0 ? counter_->resolution_j() / use.seconds : 0;
  return use;
}

Json to_json(const EnergyUse& use) {
  if (!use.joules) return {{"unavailable", use.unavailable}};
  return {{"provider", use.provider},
          {"joules", *use.joules},
          {"watts", use.seconds > 0 ? *use.joules / use.seconds : 0},
          {"uncertainty_w", use.uncertainty_w}};
}

double meter_joules(const std::string& csv, const std::string& file, double from_s, double to_s) {
  std::istringstream lines(csv);
  std::uint64_t number = 0;
  double joules = 0, last_t = 0, last_w = 0;
  bool any = false;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    if (line.empty() || line[0] == '#' || (number == 1 && std::isalpha(static_cast<unsigned char>(line[0]))))
      continue;
    double t, w;
    if (std::sscanf(line.c_str(), "%lf,%lf", &t, &w) != 2 || !std::isfinite(t) || !std::isfinite(w))
      throw InvalidInput::at(file, number, "no sample", "seconds,watts");
    if (any && t < last_t) throw InvalidInput::at(file, number, "time runs backwards");
    if (any && t > last_t) {
      const double a = std::max(last_t, from_s), b = std::min(t, to_s);
      const auto power = [&](double at) { return last_w + (w - last_w) * (at - last_t) / (t - last_t); };
      if (b > a) joules += (b - a) * (power(a) + power(b)) / 2;
    }
    last_t = t;
    last_w = w;
    any = true;
  }
  if (!any || last_t < to_s) throw InvalidInput(file + " does not cover the measured window");
  return joules;
}

}  // namespace ballast::robot
