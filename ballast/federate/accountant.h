// What differentially private federated averaging costs in privacy: Renyi accounting of the Poisson-sampled
// Gaussian mechanism (Mironov, Talwar, Zhang 2019), integer orders 2 to 256, composed over rounds.
#pragma once

namespace ballast::federate {

struct PrivacyLoss {
  double epsilon;
  int order;  ///< the Renyi order that gives the least epsilon
};

enum class Conversion { classic, tight };

/// `sampling` in (0, 1]: the chance of a client to be in a round; `noise`: standard deviation over clipping
/// norm. Throws InvalidInput outside the accepted ranges.
PrivacyLoss gaussian_privacy_loss(double sampling, double noise, long rounds, double delta,
                                  Conversion conversion = Conversion::tight);

}  // namespace ballast::federate
