// Components: what a graph file names. Each is a plain computation (tested without any middleware) and a thin
// node around it.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "ballast/base/json.h"
#include "ballast/robot/node/node.h"

namespace ballast::robot {

class Component {
 public:
  virtual ~Component() = default;
};

/// A parameter of a node, or its default. Throws InvalidInput naming the parameter for another type.
template <typename T>
T parameter(const Json& params, const std::string& name, T otherwise) {
  if (!params.is_object() || !params.contains(name)) return otherwise;
  try {
    return params.at(name).get<T>();
  } catch (const nlohmann::json::exception&) {
    throw InvalidInput("parameter " + name, params.at(name).dump(),
                       "a value of the type that the component states");
  }
}

struct ComponentType {
  std::string name;                     ///< "ballast::components::Rectify"
  std::string what;                     ///< one line for people
  std::vector<std::string> parameters;  ///< accepted names; others are refused
  std::function<std::unique_ptr<Component>(ros::Node&, const Json& params)> make;
};

/// All components, by name. Built by functions of the component files, listed in registry.cc.
const std::vector<ComponentType>& component_types();
/// Throws InvalidInput for an unknown component (naming the nearest) or parameter.
std::unique_ptr<Component> make_component(const std::string& type, ros::Node& node, const Json& params);

/// Joins messages of several topics that carry the same header stamp (message_filters' exact time policy).
template <typename... Messages>
class StampSync {
 public:
  using Set = std::tuple<std::shared_ptr<const Messages>...>;
  using Callback = std::function<void(const Set&)>;

  explicit StampSync(Callback callback, std::size_t depth = 10)
      : callback_(std::move(callback)), depth_(depth) {}

  template <std::size_t kIndex>
  void add(std::tuple_element_t<kIndex, Set> message) {
    const std::int64_t stamp = to_nanoseconds(message->header.stamp);
    Set complete;
    {
      const std::lock_guard lock(mutex_);
      auto& set = waiting_[stamp];
      std::get<kIndex>(set) = std::move(message);
      const bool all = std::apply([](const auto&... part) { return ((part != nullptr) && ...); }, set);
      if (!all) {
        while (waiting_.size() > depth_) {
          waiting_.erase(waiting_.begin());
          ++dropped_;
        }
        return;
      }
      complete = std::move(set);
      waiting_.erase(stamp);
    }
    callback_(complete);
  }
  std::uint64_t dropped() const { return dropped_; }

 private:
  Callback callback_;
  std::size_t depth_;
  std::mutex mutex_;
  std::map<std::int64_t, Set> waiting_;
  std::uint64_t dropped_ = 0;
};

std::vector<ComponentType> vision_components();
std::vector<ComponentType> classify_components();
std::vector<ComponentType> synthetic_components();
std::vector<ComponentType> depth_components();
std::vector<ComponentType> control_components();
std::vector<ComponentType> arm_components();
std::vector<ComponentType> transform_components();
std::vector<ComponentType> navigation_components();
std::vector<ComponentType> localization_components();
std::vector<ComponentType> avoidance_components();

}  // namespace ballast::robot
