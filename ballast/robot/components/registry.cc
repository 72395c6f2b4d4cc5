#include <fmt/format.h>

#include "ballast/base/cli.h"
#include "ballast/base/errors.h"
#include "ballast/robot/components/component.h"

namespace ballast::robot {

const std::vector<ComponentType>& component_types() {
  static const std::vector<ComponentType> types = [] {
    std::vector<ComponentType> all;
    for (auto group : {vision_components, classify_components, depth_components, control_components,
                       arm_components, transform_components, navigation_components, localization_components,
                       avoidance_components, synthetic_components})
      for (auto& type : group()) all.push_back(std::move(type));
    return all;
  }();
  return types;
}

std::unique_ptr<Component> make_component(const std::string& type, ros::Node& node, const Json& params) {
  std::vector<std::string> names;
  for (const auto& known : component_types()) {
    names.push_back(known.name);
    if (known.name != type) continue;
    for (const auto& [name, unused] : params.items())
      cli::require_one_of(fmt::format("parameter of {}", type), name, known.parameters);
    return known.make(node, params);
  }
  cli::require_one_of("component", type, names);
  return nullptr;
}

}  // namespace ballast::robot
