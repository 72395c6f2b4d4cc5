#include "ballast/index/pim/profiles.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>

#include "ballast/base/cli.h"
#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/cost/nnls.h"
#include "ballast/cost/yaml.h"

namespace ballast::pim {
namespace {

struct Field {
  const char* name;
  double Profile::*value;
  bool may_be_zero;
};
constexpr Field kFields[] = {{"frequency_hz", &Profile::frequency_hz, false},
                             {"issue_interval", &Profile::issue_interval, false},
                             {"tasklets", &Profile::tasklets, false},
                             {"transfer_latency", &Profile::transfer_latency, true},
                             {"memory_bytes_per_cycle", &Profile::memory_bytes_per_cycle, false},
                             {"row_miss_cycles", &Profile::row_miss_cycles, true},
                             {"rank_modules", &Profile::rank_modules, false},
                             {"up_bytes_per_s", &Profile::up_bytes_per_s, false},
                             {"down_bytes_per_s", &Profile::down_bytes_per_s, false},
                             {"broadcast_bytes_per_s", &Profile::broadcast_bytes_per_s, false},
                             {"machine_bytes_per_s", &Profile::machine_bytes_per_s, false},
                             {"launch_s", &Profile::launch_s, true},
                             {"transfer_s", &Profile::transfer_s, true},
                             {"instructions_per_step", &Profile::instructions_per_step, false},
                             {"cpu_cores", &Profile::cpu_cores, false},
                             {"cpu_efficiency", &Profile::cpu_efficiency, false}};

Profile profile_of(const cost::Yaml& yaml) {
  std::vector<std::string> names{"name", "source", "assumed"};
  for (const auto& field : kFields) names.emplace_back(field.name);
  yaml.only(names);
  Profile profile;
  profile.name = yaml.at("name").text();
  if (yaml.has("source")) profile.source = yaml.at("source").text();
  if (yaml.has("assumed")) {
    for (const auto& name : yaml.at("assumed").list()) {
      profile.assumed.push_back(name.text());
      const auto same = [&](const Field& field) { return profile.assumed.back() == field.name; };
      if (std::none_of(std::begin(kFields), std::end(kFields), same))
        name.refuse("'" + profile.assumed.back() + "' is no field of a profile", "names of its fields");
    }
  }
  for (const auto& field : kFields)
    profile.*field.value =
        field.may_be_zero ? yaml.at(field.name).not_negative() : yaml.at(field.name).positive();
  return profile;
}

constexpr const char* kColumns[] = {"modules",         "most_sent",       "most_received",
                                    "broadcast_words", "most_work",       "most_memory_words",
                                    "most_transfers",  "most_row_misses", "seconds"};
constexpr std::size_t kColumnCount = std::size(kColumns);
constexpr double kOutOfReach = 1e15;

/// What each unknown is multiplied with: launch, transfers, 1/up, 1/down, 1/broadcast, 1/frequency.
std::vector<double> terms_of(const MeasuredRound& measured, const Profile& base) {
  const RoundRecord& round = measured.round;
  const double in_rank = std::min<double>(measured.modules, base.rank_modules);
  const double own = static_cast<double>(round.most_sent - std::min(round.most_sent, round.broadcast_words));
  const double broadcast = static_cast<double>(round.broadcast_words),
               received = static_cast<double>(round.most_received);
  const double transfers = (own > 0) + (broadcast > 0) + (received > 0);
  return {1,
          transfers,
          8 * own * in_rank,
          8 * received * in_rank,
          8 * broadcast * in_rank,
          module_cycles(round, base)};
}

}  // namespace

std::vector<Profile> read_profiles(std::string_view text, const std::string& file) {
  const cost::Yaml yaml = cost::Yaml::parse(text, file);
  std::vector<Profile> profiles;
  if (yaml.is_list()) {
    for (const auto& one : yaml.list()) profiles.push_back(profile_of(one));
  } else {
    profiles.push_back(profile_of(yaml));
  }
  return profiles;
}

const std::vector<Profile>& known_profiles() {
  static const std::vector<Profile> profiles = read_profiles(profiles_text(), "profiles.yaml");
  return profiles;
}

Profile find_profile(const std::string& name_or_file) {
  std::vector<std::string> names;
  for (const auto& profile : known_profiles()) {
    if (profile.name == name_or_file) return profile;
    names.push_back(profile.name);
  }
  if (name_or_file.find('.') == std::string::npos && !std::filesystem::exists(name_or_file))
    cli::require_one_of("--profile", name_or_file, names);
  const auto profiles = read_profiles(read_file(name_or_file, std::uint64_t{1} << 20), name_or_file);
  if (profiles.size() != 1)
    throw InvalidInput(name_or_file, fmt::format("{} profiles", profiles.size()), "one");
  return profiles[0];
}

std::string to_yaml(const Profile& profile) {
  std::string text = fmt::format("name: {}\nsource: \"{}\"\nassumed: [{}]\n", profile.name, profile.source,
                                 fmt::join(profile.assumed, ", "));
  for (const auto& field : kFields) text += fmt::format("{}: {}\n", field.name, profile.*field.value);
  return text;
}

std::vector<MeasuredRound> rounds_from_csv(std::string_view text, const std::string& file) {
  std::vector<MeasuredRound> rounds;
  std::uint64_t number = 0;
  while (!text.empty()) {
    ++number;
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    if (number == 1) {
      if (line != fmt::format("{}", fmt::join(kColumns, ",")))
        throw InvalidInput::at(file, 1, "the columns are not those of measured rounds",
                               fmt::format("{}", fmt::join(kColumns, ",")));
      continue;
    }
    if (line.empty()) continue;
    double values[kColumnCount];
    for (std::size_t c = 0; c < kColumnCount; ++c) {
      const std::string_view cell = line.substr(0, line.find(','));
      const auto [end, error] = std::from_chars(cell.data(), cell.data() + cell.size(), values[c]);
      const bool last = c + 1 == kColumnCount;
      const bool counted = last || (values[c] == std::floor(values[c]) && values[c] < 1e15);
      if (error != std::errc() || end != cell.data() + cell.size() || !(values[c] >= 0) || !counted ||
          !std::isfinite(values[c]) || (last != (cell.size() == line.size())))
        throw InvalidInput::at(
            file, number, fmt::format("{} is '{}'", kColumns[c], cell),
            last ? "a number of seconds at the end of the line" : "a whole number, then a comma");
      line.remove_prefix(std::min(line.size(), cell.size() + 1));
    }
    if (values[0] < 1 || values[0] > 65'536)
      throw InvalidInput::at(file, number, "modules out of range", "1 to 65536");
    if (!(values[8] > 0)) throw InvalidInput::at(file, number, "seconds is not above 0", "a measured time");
    MeasuredRound one{static_cast<std::uint32_t>(values[0]), {}, values[8]};
    const auto word = [&](std::size_t c) { return static_cast<std::uint64_t>(values[c]); };
    one.round.most_sent = word(1);
    one.round.most_received = word(2);
    one.round.broadcast_words = word(3);
    one.round.most_work = word(4);
    one.round.most_memory_words = word(5);
    one.round.most_transfers = word(6);
    one.round.most_row_misses = word(7);
    rounds.push_back(std::move(one));
  }
  return rounds;
}

std::vector<MeasuredRound> read_rounds(const std::string& path) {
  return rounds_from_csv(read_file(path, std::uint64_t{1} << 28), path);
}

std::string rounds_to_csv(const std::vector<MeasuredRound>& rounds) {
  std::string text = fmt::format("{}\n", fmt::join(kColumns, ","));
  for (const auto& [modules, round, seconds] : rounds)
    text += fmt::format("{},{},{},{},{},{},{},{},{:.9g}\n", modules, round.most_sent, round.most_received,
                        round.broadcast_words, round.most_work, round.most_memory_words, round.most_transfers,
                        round.most_row_misses, seconds);
  return text;
}

Calibrated calibrate(const std::vector<MeasuredRound>& rounds, const Profile& base, const std::string& name) {
  if (rounds.size() < 12) throw InvalidInput("measured rounds", std::to_string(rounds.size()), "at least 12");
  constexpr std::size_t kUnknowns = 6;
  // Columns are scaled to their largest entry, so that seconds and seconds a byte can stand side by side.
  cost::Matrix a{0, kUnknowns, {}};
  std::vector<double> scale(kUnknowns, 0), ones;
  for (std::size_t r = 0; r < rounds.size(); ++r) {
    if (r % 3 == 2) continue;
    const auto terms = terms_of(rounds[r], base);
    for (std::size_t u = 0; u < kUnknowns; ++u) {
      a.values.push_back(terms[u] / rounds[r].seconds);
      scale[u] = std::max(scale[u], a.values.back());
    }
    ++a.rows;
    ones.push_back(1);
  }
  for (std::size_t i = 0; i < a.values.size(); ++i)
    if (scale[i % kUnknowns] > 0) a.values[i] /= scale[i % kUnknowns];
  const cost::Nnls fit = cost::nnls(a, ones);
  const auto unknown = [&](std::size_t u) { return scale[u] > 0 ? fit.x[u] / scale[u] : 0; };
  const auto rate = [&](std::size_t u, double otherwise) {
    return scale[u] == 0 ? otherwise : unknown(u) > 0 ? 1 / unknown(u) : kOutOfReach;
  };
  Calibrated out{base, 0, 0, a.rows, rounds.size() - a.rows};
  Profile& p = out.profile;
  p.name = name;
  p.source = fmt::format("fitted to {} measured rounds", a.rows);
  p.assumed = {"machine_bytes_per_s", "cpu_cores", "cpu_efficiency"};
  p.launch_s = unknown(0);
  p.transfer_s = unknown(1);
  p.up_bytes_per_s = rate(2, base.up_bytes_per_s);
  p.down_bytes_per_s = rate(3, base.down_bytes_per_s);
  p.broadcast_bytes_per_s = rate(4, base.broadcast_bytes_per_s);
  p.frequency_hz = rate(5, base.frequency_hz);
  p.machine_bytes_per_s = kOutOfReach;
  for (std::size_t r = 2; r < rounds.size(); r += 3) {
    const double error =
        std::abs(modelled_seconds(rounds[r].round, rounds[r].modules, p) / rounds[r].seconds - 1);
    out.held_out_error = std::max(out.held_out_error, error);
    out.held_out_mean += error / static_cast<double>(out.held_out);
  }
  return out;
}

}  // namespace ballast::pim
