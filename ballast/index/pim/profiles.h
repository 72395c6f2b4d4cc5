// Profiles of PIM machines by name or from YAML files, and profiles fitted to measured rounds.
//
//   const Profile p = find_profile("upmem-p21");         // or "my-machine.yaml"
//   const Calibrated c = calibrate(read_rounds("rounds.csv"), p, "mine");
//   c.held_out_error                                      // largest relative error on rounds not fitted
//
// A profile file is one mapping with every field of Profile, or a list of such mappings; a missing, unknown
// or negative field is refused with its line. Rounds come as CSV with a header line:
//   modules,most_sent,most_received,broadcast_words,most_work,most_memory_words,most_transfers,
//   most_row_misses,seconds
// which are a RoundRecord's counts (`ballast index model --rounds FILE` writes them) and a measured time.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ballast/index/pim/timing.h"

namespace ballast::pim {

/// profiles.yaml as built in.
const char* profiles_text();
const std::vector<Profile>& known_profiles();
/// Throws InvalidInput with file and line.
std::vector<Profile> read_profiles(std::string_view text, const std::string& file);
/// A known name, or a YAML file with one profile. Throws InvalidInput naming the nearest name; Unavailable.
Profile find_profile(const std::string& name_or_file);
std::string to_yaml(const Profile& profile);

struct MeasuredRound {
  std::uint32_t modules = 0;
  RoundRecord round = {};
  double seconds = 0;
};
/// Throw InvalidInput with file and line for what is no such table.
std::vector<MeasuredRound> rounds_from_csv(std::string_view text, const std::string& file);
std::vector<MeasuredRound> read_rounds(const std::string& path);
std::string rounds_to_csv(const std::vector<MeasuredRound>& rounds);

/// Launch and transfer set-up, the three bandwidths and the frequency, by non-negative least squares on
/// relative errors over two rounds of three; the third is held out. Everything else is the base profile's;
/// the cap over all ranks is taken to be out of reach. Throws InvalidInput for fewer than 12 rounds.
struct Calibrated {
  Profile profile;
  double held_out_error = 0, held_out_mean = 0;
  std::size_t fitted = 0, held_out = 0;
};
Calibrated calibrate(const std::vector<MeasuredRound>& rounds, const Profile& base, const std::string& name);

}  // namespace ballast::pim
