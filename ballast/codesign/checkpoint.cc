// A training run on disk: a line of JSON (space, data, options, place), then every tensor as libtorch's
// archive.
#include <fmt/format.h>

#include <sstream>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/codesign/trainer.h"

namespace ballast::codesign {
namespace {

constexpr const char* kMagic = "ballast.codesign.checkpoint/1\n";

Json space_json(const Space& space) {
  Json stages = Json::array();
  for (const auto& s : space.stages) {
    stages.push_back({{"name", s.name},
                      {"widths", s.widths},
                      {"depths", s.depths},
                      {"kernels", s.kernels},
                      {"expansions", s.expansions},
                      {"stride", s.stride},
                      {"squeeze", s.squeeze},
                      {"head_dims", s.attention.head_dims},
                      {"v_expansions", s.attention.v_expansions},
                      {"mlp_ratios", s.attention.mlp_ratios},
                      {"v_depthwise", s.attention.v_depthwise}});
  }
  return {{"name", space.name},
          {"channels", space.channels},
          {"classes", space.classes},
          {"resolutions", space.resolutions},
          {"stem_widths", space.stem_widths},
          {"stem_stride", space.stem_stride},
          {"project_shortcut", space.project_shortcut},
          {"wide_head", space.wide_head},
          {"residual_scale", space.residual_scale},
          {"last_widths", space.last_widths},
          {"stages", stages}};
}

Space space_from(const Json& j) {
  Space space{.name = j.at("name"),
              .channels = j.at("channels"),
              .classes = j.at("classes"),
              .resolutions = j.at("resolutions"),
              .stem_widths = j.at("stem_widths"),
              .stem_stride = j.at("stem_stride"),
              .project_shortcut = j.at("project_shortcut"),
              .wide_head = j.at("wide_head"),
              .residual_scale = j.at("residual_scale"),
              .stages = {},
              .last_widths = j.at("last_widths")};
  for (const auto& s : j.at("stages")) {
    space.stages.push_back(
        {.name = s.at("name"),
         .widths = s.at("widths"),
         .depths = s.at("depths"),
         .kernels = s.at("kernels"),
         .expansions = s.at("expansions"),
         .stride = s.at("stride"),
         .squeeze = s.at("squeeze"),
         .attention = {s.at("head_dims"), s.at("v_expansions"), s.at("mlp_ratios"), s.at("v_depthwise")}});
  }
  return space;
}

Json options_json(const TrainOptions& o) {
  return {{"steps", o.steps},
          {"minutes", o.minutes},
          {"batch", o.batch},
          {"phases", o.phases},
          {"conv_only", o.conv_only},
          {"attention_first", o.attention_first},
          {"phase_a_share", o.phase_a_share},
          {"ramp", o.ramp},
          {"shared_lr", o.shared_lr},
          {"random_nets", o.random_nets},
          {"distil", static_cast<int>(o.distil)},
          {"conflict", static_cast<int>(o.conflict)},
          {"lr", o.lr},
          {"momentum", o.momentum},
          {"weight_decay", o.weight_decay},
          {"clip", o.clip},
          {"warmup", o.warmup},
          {"augment", o.augment},
          {"log_every", o.log_every},
          {"seed", o.seed}};
}

struct File {
  Json head;
  std::string archive;
};

File read(const std::string& path) {
  const std::string bytes = read_file(path);
  const std::string_view magic = kMagic;
  const auto end = bytes.find('\n', magic.size());
  if (!bytes.starts_with(magic) || end == std::string::npos)
    throw InvalidInput(fmt::format("{}: no checkpoint of codesign train, or cut short", path));
  File file;
  try {
    file.head = Json::parse(bytes.substr(magic.size(), end - magic.size()));
  } catch (const std::exception&) {
    throw InvalidInput(fmt::format("{}: the checkpoint's head is damaged", path));
  }
  file.archive = bytes.substr(end + 1);
  if (file.head.value("checksum", std::uint64_t{0}) != checksum64(file.archive))
    throw InvalidInput(fmt::format("{}: the checkpoint is damaged (its checksum differs)", path));
  return file;
}

torch::serialize::InputArchive open(const File& file) {
  torch::serialize::InputArchive archive;
  std::istringstream in(file.archive);
  archive.load_from(in);
  return archive;
}

void read_into(torch::serialize::InputArchive& archive, Supernet& net, const std::string& prefix,
               const std::string& path) {
  torch::NoGradGuard no_grad;
  for (auto& [name, value] : net.parameters()) {
    at::Tensor stored;
    if (!archive.try_read(prefix + name, stored))
      throw InvalidInput(fmt::format("{}: parameter {} is missing", path, name));
    if (stored.sizes() != value.sizes())
      throw InvalidInput(fmt::format("{}: parameter {} has another shape", path, name));
    value.copy_(stored);
  }
}

}  // namespace

void Trainer::save(const std::string& path) const {
  torch::serialize::OutputArchive archive;
  for (const auto& [name, value] : net_.parameters()) archive.write("net." + name, value.detach());
  for (std::size_t set = 0; set < momentum_.size(); ++set) {
    for (const auto& [name, value] : momentum_[set])
      archive.write(fmt::format("momentum{}.{}", set, name), value);
  }
  const bool has_phase_a = phase_a_net_.has_value();
  if (has_phase_a) {
    for (const auto& [name, value] : phase_a_net_->parameters())
      archive.write("phase_a." + name, value.detach());
  }
  std::ostringstream out;
  archive.save_to(out);
  const std::string body = out.str();
  Json lines = Json::array();
  for (const auto& line : log_) {
    lines.push_back({{"step", line.step},
                     {"phase", line.phase},
                     {"loss", line.loss},
                     {"lr", line.lr},
                     {"cosine_by_stage", line.cosine_by_stage},
                     {"negative_share", line.negative_share}});
  }
  const Json head = {{"space", space_json(net_.space())},
                     {"data", data_.name},
                     {"options", options_json(options_)},
                     {"step", step_},
                     {"elapsed_s", elapsed_s_},
                     {"lr_scale", lr_scale_},
                     {"restarts", restarts_},
                     {"phase_a", has_phase_a},
                     {"phase_a_done", phase_a_done_},
                     {"log", lines},
                     {"checksum", checksum64(body)}};
  write_file(path, kMagic + head.dump() + "\n" + body);
}

void Trainer::resume(const std::string& path) {
  const File file = read(path);
  const Json space = space_json(net_.space()), options = options_json(options_);
  for (const auto& [key, value] : space.items()) {
    if (file.head.at("space").at(key) != value)
      throw InvalidInput(fmt::format("{}: the checkpoint's space differs in '{}': {} there, {} here", path,
                                     key, file.head.at("space").at(key).dump(), value.dump()));
  }
  for (const auto& [key, value] : options.items()) {
    if (file.head.at("options").at(key) != value)
      throw InvalidInput(fmt::format("{}: the checkpoint was trained with {} = {}, this run has {}", path,
                                     key, file.head.at("options").at(key).dump(), value.dump()));
  }
  if (file.head.at("data") != data_.name)
    throw InvalidInput(
        fmt::format("{}: the checkpoint was trained on {}", path, file.head.at("data").dump()));
  auto archive = open(file);
  read_into(archive, net_, "net.", path);
  for (std::size_t set = 0; set < momentum_.size(); ++set) {
    momentum_[set].clear();
    for (const auto& [name, value] : net_.parameters()) {
      at::Tensor stored;
      if (archive.try_read(fmt::format("momentum{}.{}", set, name), stored)) momentum_[set][name] = stored;
    }
  }
  phase_a_net_.reset();
  if (file.head.at("phase_a").get<bool>()) {
    phase_a_net_ = net_.clone();
    read_into(archive, *phase_a_net_, "phase_a.", path);
  }
  phase_a_done_ = file.head.at("phase_a_done");
  step_ = file.head.at("step");
  elapsed_s_ = file.head.at("elapsed_s");
  lr_scale_ = file.head.at("lr_scale");
  restarts_ = file.head.at("restarts");
  log_.clear();
  for (const auto& line : file.head.at("log")) {
    log_.push_back({.step = line.at("step"),
                    .phase = line.at("phase"),
                    .loss = line.at("loss"),
                    .lr = line.at("lr"),
                    .cosine_by_stage = line.at("cosine_by_stage").get<std::vector<double>>(),
                    .negative_share = line.at("negative_share")});
  }
  keep_good_state();
}

Checkpoint read_checkpoint_head(const std::string& path) {
  const File file = read(path);
  return {space_from(file.head.at("space")), file.head.at("data"), file.head.at("options")};
}

Supernet load_supernet(const std::string& path, Checkpoint* head) {
  const File file = read(path);
  Supernet net(space_from(file.head.at("space")));
  auto archive = open(file);
  read_into(archive, net, "net.", path);
  if (head != nullptr) *head = {net.space(), file.head.at("data"), file.head.at("options")};
  return net;
}

}  // namespace ballast::codesign
