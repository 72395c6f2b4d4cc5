// `ballast data gen keys|arrivals|trace`: uneven input on standard output or in a file.
#include <fmt/format.h>

#include <cinttypes>
#include <memory>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/base/units.h"
#include "ballast/data/arrivals.h"
#include "ballast/data/npy.h"
#include "ballast/data/trace.h"
#include "ballast/data/verbs.h"
#include "ballast/data/ycsb.h"

namespace ballast::data {
namespace {

struct GenOptions {
  std::string what, out, law = "zipf", records = "1e6", count = "1e6", like = "azure-conv";
  double exponent = 0.99, rate = 5, off_rate = 0, cv = 1, on_s = 1, off_s = 1, duration_s = 3500;
};

// One value a line, or a .npy file.
template <typename T>
void put_values(const GenOptions& options, const std::vector<T>& values, const char* format) {
  if (options.out.ends_with(".npy"))
    return write_npy(options.out, Array::of<T>({values.size()}, values).view());
  std::string text;
  for (const T value : values) {
    text += fmt::format(fmt::runtime(format), value);
    if (options.out.empty() && text.size() > (1 << 16)) {
      std::fwrite(text.data(), 1, text.size(), stdout);
      text.clear();
      cli::stop_if_interrupted();
    }
  }
  if (options.out.empty()) {
    std::fwrite(text.data(), 1, text.size(), stdout);
  } else {
    write_file(options.out, text);
  }
}

void generate(const GenOptions& options, const cli::Common& common) {
  if (options.what == "keys") {
    const std::uint64_t count = parse_count("--count", options.count);
    if (count > 1'000'000'000) throw InvalidInput("--count", options.count, "up to 1e9");
    KeyOptions law{.law = key_law("--law", options.law),
                   .records = parse_count("--records", options.records),
                   .exponent = options.exponent};
    const KeyChooser keys(law, common.seed);
    std::vector<std::uint64_t> values(count);
    for (std::uint64_t i = 0; i < count; ++i) {
      values[i] = keys.at(0, i);
      if (i % (1 << 20) == 0) cli::stop_if_interrupted();
    }
    put_values(options, values, "{}\n");
  } else if (options.what == "arrivals") {
    cli::require_one_of("--law", options.law, {"poisson", "gamma", "on-off"});
    const ArrivalLaw law = options.law == "poisson" ? ArrivalLaw::poisson(options.rate)
                           : options.law == "gamma" ? ArrivalLaw::gamma(options.rate, options.cv)
                                                    : ArrivalLaw::on_off(options.rate, options.off_rate,
                                                                         options.on_s, options.off_s);
    put_values(options, arrivals_s(law, options.duration_s, common.seed), "{:.6f}\n");
  } else {
    cli::require_one_of("--like", options.like, {"azure-conv", "azure-code"});
    if (options.out.empty()) throw InvalidInput("a trace needs a file; give --out trace.csv");
    write_trace(options.out,
                synthetic_trace(options.like == "azure-code" ? TraceKind::azure_code : TraceKind::azure_conv,
                                options.duration_s, common.seed));
  }
}

}  // namespace

void add_gen(cli::Program& program) {
  auto options = std::make_shared<GenOptions>();
  auto verb = program.verb(
      "gen", "draw keys, arrival times or a request trace",
      {"ballast data gen keys --law zipf --exponent 1.2 --records 1e8 --count 1e6 --out keys.npy",
       "ballast data gen arrivals --law gamma --rate 5 --cv 3 --duration 60",
       "ballast data gen trace --like azure-code --duration 3600 --out trace.csv"});
  verb->add_option("WHAT", options->what, "keys, arrivals or trace")->required();
  verb->add_option(
          "--law", options->law,
          "keys: uniform, zipf, zipfian, scrambled, latest, hotspot, exponential, sequential; arrivals: "
          "poisson, gamma, on-off")
      ->capture_default_str();
  verb->add_option("--records", options->records, "number of keys")->capture_default_str();
  verb->add_option("--count", options->count, "number of draws")->capture_default_str();
  verb->add_option("--exponent", options->exponent, "of zipf, zipfian and latest")->capture_default_str();
  verb->add_option("--rate", options->rate, "arrivals a second (on-off: in the on-state)")
      ->capture_default_str();
  verb->add_option("--off-rate", options->off_rate, "on-off: arrivals a second in the off-state")
      ->capture_default_str();
  verb->add_option("--cv", options->cv, "gamma: coefficient of variation of the gaps")->capture_default_str();
  verb->add_option("--on", options->on_s, "on-off: mean seconds of the on-state")->capture_default_str();
  verb->add_option("--off", options->off_s, "on-off: mean seconds of the off-state")->capture_default_str();
  verb->add_option("--duration", options->duration_s, "seconds of arrivals or trace")->capture_default_str();
  verb->add_option("--like", options->like, "trace: azure-conv or azure-code")->capture_default_str();
  verb->add_option("--out", options->out, "file (.npy for an array); standard output without it");
  verb.run([options](const cli::Common& common) {
    cli::require_one_of("WHAT", options->what, {"keys", "arrivals", "trace"});
    if (options->what == "arrivals" && options->law == "zipf") options->law = "poisson";
    generate(*options, common);
  });
}

}  // namespace ballast::data
