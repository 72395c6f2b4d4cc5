// Spaces and genotypes as text: YAML in, JSON out and in.
#include <fmt/format.h>

#include "ballast/base/cli.h"
#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/codesign/preset_texts.h"
#include "ballast/codesign/space.h"
#include "ballast/cost/yaml.h"

namespace ballast::codesign {
namespace {

std::vector<int> whole_numbers(const cost::Yaml& yaml, int least = 1) {
  std::vector<int> values;
  for (double value : yaml.numbers()) {
    if (value != static_cast<double>(static_cast<int>(value)) || value < least || value > 1e6)
      yaml.refuse(fmt::format("{} in a list of choices", value), fmt::format("whole numbers from {}", least));
    values.push_back(static_cast<int>(value));
  }
  if (values.empty()) yaml.refuse("an empty list", "at least one choice");
  return values;
}

int whole_number(const cost::Yaml& yaml) {
  const double value = yaml.positive();
  if (value != static_cast<double>(static_cast<int>(value))) yaml.refuse("no whole number");
  return static_cast<int>(value);
}

bool truth(const cost::Yaml& yaml) {
  const std::string text = yaml.text();
  if (text != "true" && text != "false") yaml.refuse("'" + text + "'", "true or false");
  return text == "true";
}

StageChoices read_stage(const cost::Yaml& yaml) {
  yaml.only({"name", "widths", "depths", "kernels", "expansions", "stride", "squeeze", "attention"});
  StageChoices stage;
  stage.name = yaml.at("name").text();
  stage.widths = whole_numbers(yaml.at("widths"));
  stage.depths = whole_numbers(yaml.at("depths"));
  stage.kernels = whole_numbers(yaml.at("kernels"));
  for (int kernel : stage.kernels) {
    if (kernel % 2 == 0) yaml.at("kernels").refuse(fmt::format("kernel {}", kernel), "odd ones");
  }
  stage.expansions = whole_numbers(yaml.at("expansions"));
  if (yaml.has("stride")) stage.stride = whole_number(yaml.at("stride"));
  if (yaml.has("squeeze")) stage.squeeze = truth(yaml.at("squeeze"));
  if (yaml.has("attention")) {
    const auto attention = yaml.at("attention");
    attention.only({"head_dims", "v_expansions", "mlp_ratios", "v_depthwise"});
    stage.attention.head_dims = whole_numbers(attention.at("head_dims"));
    stage.attention.v_expansions = whole_numbers(attention.at("v_expansions"));
    stage.attention.mlp_ratios = whole_numbers(attention.at("mlp_ratios"));
    if (attention.has("v_depthwise")) stage.attention.v_depthwise = truth(attention.at("v_depthwise"));
  }
  return stage;
}

int gene(const Json& json, const char* name) {
  if (!json.contains(name) || !json[name].is_number_integer())
    throw InvalidInput(
        fmt::format("genotype: '{}' is missing or no whole number; accepted: ballast.genotype/1", name));
  return json[name].get<int>();
}

}  // namespace

std::vector<std::string> space_names() {
  std::vector<std::string> names;
  for (const auto& text : kSpaceTexts) names.emplace_back(text.name);
  return names;
}

Space parse_space(const std::string& text, const std::string& where) {
  const auto yaml = cost::Yaml::parse(text, where);
  yaml.only({"name", "channels", "classes", "resolutions", "stem", "shortcut", "head", "residual_scale",
             "stages", "last"});
  Space space;
  space.name = yaml.at("name").text();
  space.channels = whole_number(yaml.at("channels"));
  space.classes = whole_number(yaml.at("classes"));
  space.resolutions = whole_numbers(yaml.at("resolutions"), 4);
  const auto stem = yaml.at("stem");
  stem.only({"widths", "stride"});
  space.stem_widths = whole_numbers(stem.at("widths"));
  space.stem_stride = whole_number(stem.at("stride"));
  const auto word = [&](const char* key, const char* yes, const char* no) {
    const std::string value = yaml.has(key) ? yaml.at(key).text() : no;
    if (value != yes && value != no) yaml.at(key).refuse("'" + value + "'", fmt::format("{} or {}", yes, no));
    return value == yes;
  };
  space.project_shortcut = word("shortcut", "project", "identity");
  space.wide_head = word("head", "wide", "plain");
  if (yaml.has("residual_scale")) space.residual_scale = yaml.at("residual_scale").not_negative();
  for (const auto& stage : yaml.at("stages").list()) space.stages.push_back(read_stage(stage));
  if (space.stages.empty()) yaml.at("stages").refuse("no stage", "at least one");
  space.last_widths = whole_numbers(yaml.at("last"));
  return space;
}

Space load_space(const std::string& word) {
  if (word.ends_with(".yaml") || word.ends_with(".yml")) return parse_space(read_file(word, 1 << 20), word);
  cli::require_one_of("--space", word, space_names());
  for (const auto& text : kSpaceTexts) {
    if (word == text.name) return parse_space(text.text, std::string("space ") + text.name);
  }
  throw InvalidInput("--space", word, "a shipped space or a .yaml file");
}

std::string to_string(const Genotype& g) {
  std::string text = fmt::format("r{} w{}", g.resolution, g.stem);
  for (const auto& stage : g.stages) {
    text += fmt::format(" | {}", stage.width);
    for (const auto& b : stage.blocks) {
      text += b.attention ? fmt::format(" a{}v{}m{}", b.head_dim, b.v_expansion, b.mlp_ratio)
                          : fmt::format(" {}x{}", b.kernel, b.expansion);
    }
  }
  return text + fmt::format(" | {}", g.last);
}

Json to_json(const Space& space, const Genotype& g) {
  Json stages = Json::array();
  for (const auto& stage : g.stages) {
    Json blocks = Json::array();
    for (const auto& b : stage.blocks) {
      if (b.attention)
        blocks.push_back({{"type", "att"},
                          {"head_dim", b.head_dim},
                          {"v_expansion", b.v_expansion},
                          {"mlp_ratio", b.mlp_ratio}});
      else
        blocks.push_back({{"type", "mb"}, {"kernel", b.kernel}, {"expansion", b.expansion}});
    }
    stages.push_back({{"width", stage.width}, {"blocks", blocks}});
  }
  return {{"schema", "ballast.genotype/1"},
          {"space", space.name},
          {"resolution", g.resolution},
          {"stem", g.stem},
          {"stages", stages},
          {"last", g.last}};
}

Genotype genotype_from_json(const Json& json) {
  if (!json.is_object() || json.value("schema", "") != "ballast.genotype/1" || !json.contains("stages") ||
      !json["stages"].is_array())
    throw InvalidInput("genotype: not a document of schema ballast.genotype/1");
  Genotype g;
  g.resolution = gene(json, "resolution");
  g.stem = gene(json, "stem");
  g.last = gene(json, "last");
  for (const auto& stage : json["stages"]) {
    StageGenes genes;
    genes.width = gene(stage, "width");
    if (!stage.contains("blocks") || !stage["blocks"].is_array())
      throw InvalidInput("genotype: a stage has no list 'blocks'; accepted: ballast.genotype/1");
    for (const auto& block : stage["blocks"]) {
      BlockGenes b;
      const std::string type = block.is_object() && block.contains("type") && block["type"].is_string()
                                   ? block["type"].get<std::string>()
                                   : "";
      if (type != "att" && type != "mb") throw InvalidInput("genotype: block type", type, "mb or att");
      b.attention = type == "att";
      if (b.attention) {
        b.head_dim = gene(block, "head_dim");
        b.v_expansion = gene(block, "v_expansion");
        b.mlp_ratio = gene(block, "mlp_ratio");
      } else {
        b.kernel = gene(block, "kernel");
        b.expansion = gene(block, "expansion");
      }
      genes.blocks.push_back(b);
    }
    g.stages.push_back(std::move(genes));
  }
  return g;
}

}  // namespace ballast::codesign
