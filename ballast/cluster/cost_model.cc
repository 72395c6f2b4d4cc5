#include "ballast/cluster/cost_model.h"

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "ballast/base/cli.h"
#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/cluster/profiles.h"

namespace ballast::cluster {
namespace {

double positive(const YAML::Node& node, const char* field, const std::string& where, bool zero_allowed) {
  if (!node[field]) throw InvalidInput(fmt::format("{}: '{}' is missing", where, field));
  double value = 0;
  try {
    value = node[field].as<double>();
  } catch (const YAML::Exception&) {
    throw InvalidInput(fmt::format("{}: '{}' is no number", where, field));
  }
  if (!std::isfinite(value) || value < 0 || (value == 0 && !zero_allowed))
    throw InvalidInput(fmt::format("{}: '{}' is {}", where, field, value), "", "a positive number");
  return value;
}

Profile profile_of(const YAML::Node& node, const std::string& where) {
  if (!node.IsMap())
    throw InvalidInput(where + ": not a profile; accepted: bytes_per_s, per_message_s, latency_s");
  for (const auto& entry : node) {
    const auto field = entry.first.as<std::string>();
    const std::vector<std::string> known{"name", "bytes_per_s", "per_message_s", "latency_s", "source"};
    if (std::find(known.begin(), known.end(), field) == known.end())
      throw InvalidInput(where + ": field", field, "name, bytes_per_s, per_message_s, latency_s, source");
  }
  Profile profile;
  profile.name = node["name"] ? node["name"].as<std::string>() : where;
  profile.bytes_per_s = positive(node, "bytes_per_s", where, false);
  profile.per_message_s = positive(node, "per_message_s", where, true);
  profile.latency_s = positive(node, "latency_s", where, true);
  if (node["source"]) profile.source = node["source"].as<std::string>();
  return profile;
}

using Row = std::array<double, 3>;  // 1, messages, bytes

// Least squares with non-negative coefficients over three terms: the best of the eight subsets whose solution
// has no negative part. Rows are scaled by 1/seconds, so that relative errors count.
std::array<double, 3> fit(std::span<const PingPoint> points) {
  std::array<double, 3> best{};
  double best_error = INFINITY;
  for (unsigned subset = 1; subset < 8; ++subset) {
    std::array<std::array<double, 4>, 3> m{};
    for (const auto& point : points) {
      const Row row{1 / point.seconds, point.messages / point.seconds, point.bytes / point.seconds};
      for (std::size_t i = 0; i < 3; ++i) {
        for (std::size_t j = 0; j < 3; ++j) m[i][j] += row[i] * row[j];
        m[i][3] += row[i];
      }
    }
    std::vector<std::size_t> use;
    for (std::size_t i = 0; i < 3; ++i) {
      if (subset >> i & 1u) use.push_back(i);
    }
    // Gaussian elimination on the chosen columns.
    bool singular = false;
    for (std::size_t k : use) {
      if (std::abs(m[k][k]) < 1e-300) {
        singular = true;
        break;
      }
      for (std::size_t i : use) {
        if (i == k) continue;
        const double factor = m[i][k] / m[k][k];
        for (std::size_t j : use) m[i][j] -= factor * m[k][j];
        m[i][3] -= factor * m[k][3];
      }
    }
    if (singular) continue;
    std::array<double, 3> solution{};
    bool negative = false;
    for (std::size_t k : use) {
      solution[k] = m[k][3] / m[k][k];
      negative |= solution[k] < 0 || !std::isfinite(solution[k]);
    }
    if (negative) continue;
    double error = 0;
    for (const auto& point : points) {
      const double guess = solution[0] + solution[1] * point.messages + solution[2] * point.bytes;
      error += (guess / point.seconds - 1) * (guess / point.seconds - 1);
    }
    if (error < best_error) {
      best_error = error;
      best = solution;
    }
  }
  return best;
}

}  // namespace

Json Profile::to_json() const {
  return {{"name", name},
          {"bytes_per_s", bytes_per_s},
          {"per_message_s", per_message_s},
          {"latency_s", latency_s},
          {"source", source}};
}

const std::vector<Profile>& known_profiles() {
  static const std::vector<Profile> profiles = [] {
    std::vector<Profile> list;
    for (const auto& node : YAML::Load(profiles_yaml())) list.push_back(profile_of(node, "profiles.yaml"));
    return list;
  }();
  return profiles;
}

Profile find_profile(const std::string& name_or_file) {
  std::vector<std::string> names;
  for (const auto& profile : known_profiles()) {
    if (profile.name == name_or_file) return profile;
    names.push_back(profile.name);
  }
  const bool file =
      name_or_file.find('.') != std::string::npos || name_or_file.find('/') != std::string::npos;
  if (!file) cli::require_one_of("--net", name_or_file, names);
  try {
    return profile_of(YAML::Load(read_file(name_or_file, std::uint64_t{1} << 20)), name_or_file);
  } catch (const YAML::Exception& error) {
    throw InvalidInput::at(name_or_file, static_cast<std::uint64_t>(error.mark.line + 1), error.msg);
  }
}

ModelledTime model_time(std::span<const Account> accounts, const Profile& profile, bool with_compute) {
  ModelledTime time;
  std::size_t steps = 0;
  for (const auto& account : accounts) steps = std::max(steps, account.supersteps.size());
  for (std::size_t i = 0; i < steps; ++i) {
    std::uint64_t work = 0, h = 0, messages = 0;
    for (const auto& account : accounts) {
      if (i >= account.supersteps.size()) continue;
      const auto& s = account.supersteps[i];
      work = std::max(work, s.cpu_ns);
      h = std::max(h, s.h());
      messages = std::max({messages, s.messages_out, s.messages_in});
    }
    if (with_compute) time.compute_s += static_cast<double>(work) * 1e-9;
    time.transfer_s += profile.g() * static_cast<double>(h);
    time.messages_s += profile.per_message_s * static_cast<double>(messages);
    time.latency_s += profile.latency_s;
  }
  return time;
}

FittedProfile fit_profile(std::span<const PingPoint> points, const std::string& name) {
  std::vector<PingPoint> used, held_out;
  for (std::size_t i = 0; i < points.size(); ++i) (i % 3 == 2 ? held_out : used).push_back(points[i]);
  if (used.size() < 3) throw InvalidInput("a profile needs at least four points to be fitted and checked");
  const auto solution = fit(used);
  FittedProfile result;
  result.profile = {.name = name,
                    .bytes_per_s = solution[2] > 0 ? 1 / solution[2] : 1e12,
                    .per_message_s = solution[1],
                    .latency_s = solution[0],
                    .source = "fitted by `ballast cluster ping`"};
  for (const auto& point : held_out) {
    const double guess = solution[0] + solution[1] * point.messages + solution[2] * point.bytes;
    result.held_out_error = std::max(result.held_out_error, std::abs(guess / point.seconds - 1));
  }
  return result;
}

}  // namespace ballast::cluster
