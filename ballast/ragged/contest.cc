#include "ballast/ragged/contest.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "ballast/base/errors.h"
#include "ballast/base/random.h"
#include "ballast/ragged/peers/library_products.h"

namespace ballast::ragged {

namespace {

/// Packed weights are in our tiles' form; libraries take plain ones.
EncoderConfig for_inner(EncoderConfig c, const std::string& inner) {
  if (inner == "jit") return c;
  if (library_product(inner) == nullptr) throw Unavailable(inner + " was not found when Ballast was built");
  c.packed_weights = false;
  c.row_tile = 256;  // libraries like larger products
  return c;
}

}  // namespace

Engines::Engines(const EncoderConfig& c, const std::vector<LayerWeights>& w, int n, const std::string& inner)
    : config(c),
      weights(w),
      threads(n),
      registry("default", inner == "jit" ? static_cast<loop::GemmFn>(&loop::gemm) : library_product(inner)),
      launcher(n),
      encoder(registry, for_inner(c, inner), w) {
  if (!c.fused_attention || c.balance != loop::Balance::cost_prefix) {
    EncoderConfig plain = for_inner(c, inner);
    plain.fused_attention = true;
    plain.balance = loop::Balance::cost_prefix;
    default_ = std::make_unique<Encoder>(registry, plain, w);
  }
  for (const char* name : {"onednn", "openblas"}) {
    const loop::GemmFn product = library_product(name);
    if (product == nullptr) continue;
    EncoderConfig plain = for_inner(c, name);
    plain.fused_attention = true;
    plain.balance = loop::Balance::cost_prefix;
    Library library{name, std::make_unique<loop::KernelRegistry>("default", product), nullptr};
    library.encoder = std::make_unique<Encoder>(*library.registry, plain, w);
    libraries.push_back(std::move(library));
  }
  if (TorchEncoder::available()) torch = std::make_unique<TorchEncoder>(c, w, launcher.threads());
}

Contest::Contest(Engines& engines, std::vector<std::int32_t> lengths, Part part, std::uint64_t seed,
                 std::vector<std::string> baselines, std::int64_t pad_to)
    : e_(engines),
      lengths_(std::move(lengths)),
      part_(part),
      baselines_(std::move(baselines)),
      longest_(pad_to) {
  for (const std::int32_t l : lengths_) longest_ = std::max<std::int64_t>(longest_, l);
  ragged_ = Plan::ragged(lengths_, e_.config.max_length);
  padded_ = Plan::padded(lengths_, longest_, e_.config.max_length);
  const auto d = static_cast<std::size_t>(e_.config.model);
  input_.resize(static_cast<std::size_t>(ragged_.rows) * d);
  Random random(seed, 0xba7c);
  for (float& x : input_) x = static_cast<float>(random.normal());
  padded_input_ = scatter(input_);
  work_ = input_;
  padded_work_ = padded_input_;
  out_.resize(padded_input_.size());
  if (part_ == Part::layer && takes_part("microbatch")) {
    for (std::int64_t unit = 1; unit < static_cast<std::int64_t>(lengths_.size()); unit *= 2) {
      run_units(unit, padded_work_.data());  // warm
      unit_seconds_[unit] = time_of([&] { run_units(unit, padded_work_.data()); });
      if (unit_seconds_[unit] < unit_seconds_[best_unit_]) best_unit_ = unit;
    }
  }
}

Contest::Output Contest::scatter(const Output& packed) const {
  const std::int64_t d = e_.config.model;
  Output out(static_cast<std::size_t>(padded_.rows * d));
  for (std::size_t b = 0; b < lengths_.size(); ++b)
    std::copy_n(packed.data() + ragged_.offsets[b] * d, lengths_[b] * d, out.data() + padded_.offsets[b] * d);
  return out;
}

Contest::Output Contest::gather(const Output& padded) const {
  const std::int64_t d = e_.config.model;
  Output out(static_cast<std::size_t>(ragged_.rows * d));
  for (std::size_t b = 0; b < lengths_.size(); ++b)
    std::copy_n(padded.data() + padded_.offsets[b] * d, lengths_[b] * d, out.data() + ragged_.offsets[b] * d);
  return out;
}

void Contest::forward(const Encoder& encoder, const Plan& plan, float* hidden) {
  if (part_ == Part::layer) {
    encoder.forward(e_.launcher, plan, hidden, workspace_);
  } else {
    encoder.multi_head(e_.launcher, plan, hidden, out_.data(), workspace_);
  }
}

bool Contest::takes_part(const std::string& name) const {
  return baselines_.empty() || std::find(baselines_.begin(), baselines_.end(), name) != baselines_.end();
}

void Contest::run_groups(const std::vector<std::vector<std::size_t>>& groups, std::int64_t round_to,
                         float* padded) {
  const std::int64_t d = e_.config.model;
  out_.resize(std::max(out_.size(), padded_input_.size()));
  for (const std::vector<std::size_t>& group : groups) {
    std::vector<std::int32_t> own;
    std::int64_t to = 0;
    for (const std::size_t b : group) {
      own.push_back(lengths_[b]);
      to = std::max<std::int64_t>(to, lengths_[b]);
    }
    to = std::min((to + round_to - 1) / round_to * round_to, std::max(longest_, to));
    const Plan plan = Plan::padded(own, to, e_.config.max_length);
    for (std::size_t i = 0; i < group.size(); ++i)
      std::copy_n(padded + padded_.offsets[group[i]] * d, to * d,
                  out_.data() + static_cast<std::int64_t>(i) * to * d);
    e_.reference().forward(e_.launcher, plan, out_.data(), workspace_);
    for (std::size_t i = 0; i < group.size(); ++i)
      std::copy_n(out_.data() + static_cast<std::int64_t>(i) * to * d, own[i] * d,
                  padded + padded_.offsets[group[i]] * d);
  }
}

void Contest::run_units(std::int64_t unit, float* padded) {
  // Sorted by length; every micro-batch is dense at its own maximum. Its rows are copied together and back.
  std::vector<std::size_t> order(lengths_.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return lengths_[a] > lengths_[b]; });
  std::vector<std::vector<std::size_t>> groups;
  for (std::size_t i = 0; i < order.size(); ++i) {
    if (i % static_cast<std::size_t>(unit) == 0) groups.emplace_back();
    groups.back().push_back(order[i]);
  }
  run_groups(groups, 1, padded);
}

void Contest::run_buckets(std::int64_t width, float* padded) {
  std::map<std::int64_t, std::vector<std::size_t>> buckets;
  for (std::size_t b = 0; b < lengths_.size(); ++b) buckets[(lengths_[b] + width - 1) / width].push_back(b);
  std::vector<std::vector<std::size_t>> groups;
  for (const auto& [bucket, members] : buckets) groups.push_back(members);
  run_groups(groups, width, padded);
}

double Contest::worst_difference() {
  const auto result = [&](const Encoder& encoder, const Plan& plan, Output hidden) {
    forward(encoder, plan, hidden.data());
    return part_ == Part::layer
               ? hidden
               : Output(out_.begin(), out_.begin() + static_cast<std::ptrdiff_t>(hidden.size()));
  };
  const Output ours = result(e_.encoder, ragged_, input_);
  double worst = 0, scale = 1e-30;
  for (const float v : ours) scale = std::max(scale, std::fabs(static_cast<double>(v)));
  const auto compare = [&](const Output& theirs) {
    for (std::size_t i = 0; i < ours.size(); ++i)
      worst = std::max(worst, std::fabs(static_cast<double>(ours[i]) - theirs[i]) / scale);
  };
  compare(gather(result(e_.reference(), padded_, padded_input_)));
  for (const Engines::Library& library : e_.libraries)
    compare(gather(result(*library.encoder, padded_, padded_input_)));
  if (part_ == Part::layer) {
    Output hidden = input_;
    e_.reference().forward_packed(e_.launcher, ragged_, padded_, hidden.data(), workspace_);
    compare(hidden);
    for (const std::int64_t unit : {std::int64_t{1}, best_unit_}) {
      Output padded = padded_input_;
      run_units(unit, padded.data());
      compare(gather(padded));
    }
    for (const std::int64_t width : {32, 64}) {
      Output padded = padded_input_;
      run_buckets(width, padded.data());
      compare(gather(padded));
    }
  }
  if (e_.torch) compare(gather(e_.torch->forward(padded_input_, lengths_, part_ == Part::attention)));
  return worst;
}

std::vector<Contestant> Contest::contestants() {
  std::vector<Contestant> all;
  const auto add = [&](std::string name, std::function<void()> work) {
    if (name != "ragged" && !takes_part(name)) return;
    all.push_back({std::move(name), [work = std::move(work)] { return time_of(work); }});
  };
  add("ragged", [this] {
    const Plan plan = Plan::ragged(lengths_, e_.config.max_length);  // the prelude is part of our time
    forward(e_.encoder, plan, work_.data());
  });
  add("padded-jit", [this] { forward(e_.reference(), padded_, padded_work_.data()); });
  for (const Engines::Library& library : e_.libraries)
    add("padded-" + library.name,
        [this, encoder = library.encoder.get()] { forward(*encoder, padded_, padded_work_.data()); });
  if (part_ == Part::layer) {
    add("packed", [this] {
      const Plan plan = Plan::ragged(lengths_, e_.config.max_length);
      e_.reference().forward_packed(e_.launcher, plan, padded_, work_.data(), workspace_);
    });
    add("microbatch", [this] { run_units(best_unit_, padded_work_.data()); });
    if (best_unit_ != 1 || !takes_part("microbatch"))
      add("perseq", [this] { run_units(1, padded_work_.data()); });
    add("bucketed-32", [this] { run_buckets(32, padded_work_.data()); });
    add("bucketed-64", [this] { run_buckets(64, padded_work_.data()); });
  }
  if (e_.torch)
    add("padded-torch", [this] { e_.torch->forward(padded_input_, lengths_, part_ == Part::attention); });
  return all;
}

}  // namespace ballast::ragged
