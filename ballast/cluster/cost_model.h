// What a run would take on another network: the BSP cost model.
//
//   T = sum over supersteps of ( max_i w_i + g max_i h_i + a max_i msgs_i + l )
//
// w CPU seconds, g seconds a byte, a seconds a message, l latency of a superstep. Whatever is computed with
// it is modelled, never measured.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "ballast/base/json.h"
#include "ballast/cluster/account.h"

namespace ballast::cluster {

/// A network, as the machines see it.
struct Profile {
  std::string name;
  double bytes_per_s = 1.25e9;  ///< of one machine, each way
  double per_message_s = 2e-6;  ///< a
  double latency_s = 5e-5;      ///< l
  std::string source = {};      ///< where the figures come from

  double g() const { return 1 / bytes_per_s; }
  Json to_json() const;
};

/// The profiles that Ballast knows by name (profiles.yaml).
const std::vector<Profile>& known_profiles();
/// A known name, or a YAML or JSON file with bytes_per_s, per_message_s, latency_s. Throws InvalidInput.
Profile find_profile(const std::string& name_or_file);

struct ModelledTime {
  double compute_s = 0, transfer_s = 0, messages_s = 0, latency_s = 0;
  double total() const { return compute_s + transfer_s + messages_s + latency_s; }
};
/// The time of these accounts on that network; `with_compute`: the machines' CPU time counts too.
ModelledTime model_time(std::span<const Account> accounts, const Profile& profile, bool with_compute = true);

/// One point of a ping: every machine sends `messages` messages of `bytes` in a superstep that took
/// `seconds`.
struct PingPoint {
  double bytes, messages, seconds;
};
/// The profile that fits the points best (least squares on relative errors, no negative coefficient), and its
/// largest relative error on points that were held out of the fit (every third).
struct FittedProfile {
  Profile profile;
  double held_out_error = 0;
};
FittedProfile fit_profile(std::span<const PingPoint> points, const std::string& name);

}  // namespace ballast::cluster
