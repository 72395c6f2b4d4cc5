// Fine-tunes all weights of a small decoder on a device that is too small for its optimizer state: gradients
// cross an emulated link through learned sparse projectors.

#include <cstdio>

#include "ballast/model/decoder.h"
#include "ballast/model/threads.h"
#include "ballast/tune/corpus.h"
#include "ballast/tune/trainer.h"

int main() {
  using namespace ballast;
  model::use_threads(1);
  tune::EmulatedDevice device({.budget = Bytes::mib(24), .link = {.d2h = 0.5e9, .h2d = 0.5e9}});
  std::shared_ptr<model::Decoder> decoder;
  {
    const tune::DeviceScope on_device(device.memory(), "weights");
    decoder = std::make_shared<model::Decoder>(
        model::DecoderConfig{.vocabulary = 256, .hidden = 128, .blocks = 4, .heads = 4, .feed_forward = 352});
  }
  const tune::Corpus corpus(tune::byte_tokens(tune::read_text("/usr/share/common-licenses")), {.window = 64});

  tune::Trainer trainer(
      *decoder, device,
      tune::make_lsp({.fraction = 0.5, .r = 4}, tune::schedule_from_string("layerwise"), {}),
      {.rate = 3e-3, .warmup = 5});
  trainer.calibrate(corpus.calibration(4));
  const double before = trainer.evaluate(corpus.validation(4, 16)).loss;
  for (std::int64_t step = 0; step < 30; ++step) trainer.step({corpus.batch(step, 4)});
  const double after = trainer.evaluate(corpus.validation(4, 16)).loss;

  std::printf("loss on held-out text: %.2f, after 30 steps %.2f (nats a byte, measured)\n", before, after);
  std::printf("over the link: %.1f MB (counted); device memory: %.1f MB at most of 24 MiB (counted)\n",
              static_cast<double>(device.d2h().bytes() + device.h2d().bytes()) / 1e6,
              static_cast<double>(device.memory()->peak()) / 1e6);
  return after < before ? 0 : 1;
}
