// What a coordinator asks of a client and what the client answers: the same records for threads, ranks and
// processes over gRPC, so that all three compute the same bits.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "ballast/federate/archive.h"
#include "ballast/federate/compression.h"
#include "ballast/federate/secagg.h"
#include "ballast/federate/strategy.h"
#include "ballast/federate/trainer.h"

namespace ballast::federate {

enum class Phase : std::uint8_t {
  open,
  score,
  cross_eval,
  train,
  trained_score,
  evaluate,
  secure_keys,
  secure_share,
  secure_open
};
const char* to_string(Phase phase);

/// Score all models on `count` samples of the batch of `step`, which belongs to slot `cluster`.
struct Probe {
  SlotId cluster = 0;
  int step = 0;
  std::uint64_t count = 0;
  void archive(Archive& a) { a& cluster& step& count; }
};

/// Train the model of one slot on these batches for one round.
struct TrainJob {
  SlotId slot = 0;
  std::vector<TrainBatch> batches;
  std::uint64_t view = 0;   ///< 0: the data as they are; else key of a feature mask and of a resampling (KUE)
  float learning_rate = 0;  ///< 0: the run's
  bool early_stop = false;  ///< stop when the validation loss gains little (Flash)
  bool keep = false;        ///< start from what this client trained in the last round
  bool upload = true;       ///< false: keep the result here
  bool alone = false;       ///< no other client trains this model
  bool secure = false;      ///< the result leaves masked; `sealed` are neighbours' shares
  double max_weight = 1;    ///< secure: the most samples that a client of the model has
  std::map<ClientId, std::string> sealed = {};
  void archive(Archive& a) {
    a& slot& batches& view& learning_rate& early_stop& keep& upload& alone& secure& max_weight& sealed;
  }
};

/// One of the exchanges of secure aggregation, for one model (secure_round.h).
struct SecureTask {
  SlotId slot = 0;
  std::vector<ClientId> cohort;
  int threshold = 2;
  std::map<ClientId, PublicKeys> keys;      ///< secure_share: of all who advertised
  std::vector<ClientId> survived, dropped;  ///< secure_open
  void archive(Archive& a) { a& slot& cohort& threshold& keys& survived& dropped; }
};
struct SecureAnswer {
  SlotId slot = 0;
  PublicKeys keys = {};                              ///< secure_keys
  std::map<ClientId, std::string> sealed;            ///< secure_share: by receiver
  std::map<ClientId, SecretBytes> seeds, mask_keys;  ///< secure_open: shares, by owner
  void archive(Archive& a) { a& slot& keys& sealed& seeds& mask_keys; }
};

struct ClientTask {
  Phase phase = Phase::open;
  ClientId client = 0;
  int step = 0, round = 0;
  std::vector<SlotId> slots;         ///< models to score
  std::vector<std::uint64_t> views;  ///< of each, see TrainJob::view
  std::vector<double> vote;          ///< evaluate: weight of each model in the answer
  bool counts = false;               ///< open: tell the number of samples of each label
  bool confusion = false;            ///< score: tell each model's confusion matrix
  bool previous = false;             ///< score: also on the batch of the step before
  std::string detector;              ///< score: feed the best model's errors to this detector
  std::vector<Probe> probes;
  std::vector<TrainJob> trains;
  std::vector<SecureTask> secure;
  void archive(Archive& a) {
    a& phase& client& step& round& slots& views& vote& counts& confusion& previous& detector& probes& trains&
        secure;
  }
};

/// One trained model, as it travels.
struct Trained {
  SlotId slot = 0;
  std::uint64_t samples = 0;  ///< that it was drawn from
  std::string payload;        ///< encoded by Compression; empty: kept on the client
  bool clipped = false;       ///< by the client, for differential privacy
  MaskedVector masked = {};   ///< in place of the payload, with secure aggregation
  void archive(Archive& a) { a& slot& samples& payload& clipped& masked; }
};

struct ClientResult {
  ClientId client = 0;
  bool absent = true;  ///< gone, or too late
  int age = 0;         ///< rounds by which it is late (never from the wire)
  std::uint64_t samples = 0;
  std::vector<std::uint64_t> counts;
  std::vector<ScoreStat> scores, previous;
  std::vector<std::vector<std::uint64_t>> confusion;  ///< [model][true class * classes + answer]
  bool detected = false;
  std::vector<Trained> trained;
  std::vector<SecureAnswer> secure;
  void archive(Archive& a) {
    a& client& absent& samples& counts& scores& previous& confusion& detected& trained& secure;
  }
};

}  // namespace ballast::federate
