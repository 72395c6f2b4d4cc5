// Trains a supernet: each step the largest network, the smallest and some random ones (the sandwich rule),
// their gradients combined to one optimiser step; in two phases, convolutions first, then with attention
// blocks inserted so that at first they change nothing. Follows H4H-NAS (arXiv:2410.08326) in goal; the
// details that the paper does not give are our own.
//
//   Supernet net(space);
//   Trainer trainer(net, data, {.steps = 2000, .phases = 2});
//   trainer.run();                     // or: while (trainer.step()) ...
//   trainer.save("net.pt");            // resumes with the same result as an uninterrupted run
#pragma once

#include <functional>
#include <optional>

#include "ballast/codesign/images.h"
#include "ballast/codesign/supernet.h"

namespace ballast::codesign {

enum class Distil { none, kl, alpha };
/// What is done where a subnet's gradient points against the largest network's, tensor by tensor.
enum class Conflict {
  none,
  project,            ///< the component along the largest network's gradient is removed
  gradnorm,           ///< the subnet's gradient gets the norm of the largest network's
  separate_momentum,  ///< convolution-only and hybrid networks have momentum of their own
};

struct TrainOptions {
  std::int64_t steps = 1000;
  double minutes = 0;  ///< instead of steps: the schedule follows the clock (then not repeatable)
  std::int64_t batch = 128;
  int phases = 2;          ///< 1: hybrids from the start
  bool conv_only = false;  ///< never hybrids
  bool attention_first =
      false;  ///< phase order reversed: hybrids with as much attention as there can be, first
  double phase_a_share = 0.4, ramp = 0.1, shared_lr = 0.3;
  int random_nets = 2;
  Distil distil = Distil::alpha;
  Conflict conflict = Conflict::none;
  double lr = 0.1, momentum = 0.9, weight_decay = 1e-4, clip = 1.0, warmup = 0.03;
  bool augment = true;
  std::int64_t log_every = 25;
  std::uint64_t seed = 1;
};

/// One line of the log.
struct TrainLog {
  std::int64_t step = 0;
  int phase = 1;
  double loss = 0, lr = 0;
  /// Cosine between the gradients of a convolution-only and a hybrid network on one batch, by stage; and the
  /// share of shared tensors where it is negative.
  std::vector<double> cosine_by_stage;
  double negative_share = 0;
};

class Trainer {
 public:
  Trainer(Supernet& net, const ImageData& data, const TrainOptions& options);

  /// One step; false when the budget is used up. Throws Unavailable when the loss stays no number after three
  /// restarts from the last good state with half the learning rate.
  bool step();
  /// Steps to the end; shows progress, stops cleanly at Ctrl-C (throwing Interrupted, after `save_to` is
  /// written).
  void run(const std::string& save_to = "");

  std::int64_t steps_done() const { return step_; }
  const std::vector<TrainLog>& log() const { return log_; }
  /// Share of negative cosines over all probes that had hybrids.
  double negative_share() const;

  void save(const std::string& path) const;
  /// Goes on from a file that save() wrote. Throws InvalidInput when space, options or parameters do not fit,
  /// naming the first that differs.
  void resume(const std::string& path);

 private:
  struct Drawn {
    Plan plan;
    bool hybrid;
  };
  double progress() const;
  bool in_second_phase() const;
  std::vector<Drawn> draw() const;
  std::map<std::string, at::Tensor> gradients(const Drawn& drawn, const Batch& batch,
                                              const at::Tensor* teacher, at::Tensor* logits, double* loss);
  void apply(const std::map<std::string, at::Tensor>& gradient, double lr, int set);
  void probe(const Batch& batch);
  void keep_good_state();
  void restore_good_state();

  Supernet& net_;
  const ImageData& data_;
  TrainOptions options_;
  std::map<std::string, bool> attention_part_;  // by parameter
  std::map<std::string, int> stage_of_;
  std::vector<std::map<std::string, at::Tensor>> momentum_;
  std::optional<Supernet> phase_a_net_,
      good_;  // phase A's end, a teacher while phase B ramps up; the last good state
  bool phase_a_done_ = false;
  std::int64_t step_ = 0, good_step_ = 0;
  double elapsed_s_ = 0, lr_scale_ = 1;
  int restarts_ = 0;
  std::vector<TrainLog> log_;
};

/// A network and what it was made of, as `train` writes it.
struct Checkpoint {
  Space space;
  std::string data_name;
  Json options;
};
/// Reads what stands in front of the parameters of a file that Trainer::save wrote.
Checkpoint read_checkpoint_head(const std::string& path);
/// The supernet of a checkpoint.
Supernet load_supernet(const std::string& path, Checkpoint* head = nullptr);

Distil distil_from_string(const std::string& word);
Conflict conflict_from_string(const std::string& word);

}  // namespace ballast::codesign
