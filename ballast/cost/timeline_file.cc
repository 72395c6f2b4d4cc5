#include "ballast/cost/timeline_file.h"

#include <fmt/format.h>

#include <map>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/cost/yaml.h"

namespace ballast::cost {
namespace {

using Names = std::map<std::string, std::uint32_t>;

std::uint32_t find(const Yaml& yaml, const Names& names, const char* kind) {
  const auto found = names.find(yaml.text());
  if (found == names.end()) yaml.refuse(fmt::format("'{}' is no {} of this file", yaml.text(), kind));
  return found->second;
}

void name_once(const Yaml& yaml, Names& names, const std::string& name) {
  if (!names.emplace(name, static_cast<std::uint32_t>(names.size())).second)
    yaml.refuse(fmt::format("the name '{}' stands here a second time", name));
}

Resource read_resource(const Yaml& yaml) {
  yaml.only({"name", "capacity", "shared"});
  if (yaml.has("capacity") && yaml.has("shared"))
    yaml.refuse("both 'capacity' and 'shared'", "capacity for exclusive resources, shared for work a second");
  Resource resource{.name = yaml.at("name").text(), .shared = yaml.has("shared")};
  if (yaml.has("capacity")) resource.capacity = yaml.at("capacity").positive();
  if (resource.shared) resource.capacity = yaml.at("shared").positive();
  return resource;
}

Task read_task(const Yaml& yaml, const Names& resources) {
  yaml.only({"name", "duration", "needs", "work", "after", "priority", "release", "group"});
  Task task{.name = yaml.at("name").text()};
  if (yaml.has("duration")) task.duration_s = yaml.at("duration").not_negative();
  if (yaml.has("priority")) task.priority = yaml.at("priority").number();
  if (yaml.has("release")) task.release_s = yaml.at("release").not_negative();
  if (yaml.has("group")) task.group = yaml.at("group").text();
  const auto amounts = [&](const Yaml& mapping) {
    std::vector<Need> needs;
    for (const auto& key : mapping.keys()) {
      const auto found = resources.find(key);
      if (found == resources.end())
        mapping.at(key).refuse(fmt::format("'{}' is no resource of this file", key));
      needs.push_back({found->second, mapping.at(key).not_negative()});
    }
    return needs;
  };
  if (yaml.has("needs")) task.needs = amounts(yaml.at("needs"));
  if (yaml.has("work")) {
    const auto work = amounts(yaml.at("work"));
    if (work.size() != 1) yaml.at("work").refuse(fmt::format("work on {} resources", work.size()), "on one");
    task.work = work[0];
  }
  return task;
}

}  // namespace

Workload parse_workload(std::string_view text, const std::string& name) {
  constexpr const char* kSchema = "ballast.timeline/1";
  const Yaml yaml = Yaml::parse(text, name);
  yaml.only({"schema", "resources", "tasks"});
  if (yaml.at("schema").text() != kSchema)
    yaml.at("schema").refuse(fmt::format("schema is '{}'", yaml.at("schema").text()), kSchema);
  Workload workload;
  Names resources, tasks;
  for (const Yaml& entry : yaml.at("resources").list()) {
    workload.add_resource(read_resource(entry));
    name_once(entry, resources, workload.resources.back().name);
  }
  const auto entries = yaml.at("tasks").list();
  for (const Yaml& entry : entries) {
    workload.add_task(read_task(entry, resources));
    name_once(entry, tasks, workload.tasks.back().name);
  }
  for (std::size_t t = 0; t < entries.size(); ++t) {
    if (!entries[t].has("after")) continue;
    for (const Yaml& before : entries[t].at("after").list())
      workload.tasks[t].after.push_back(find(before, tasks, "task"));
  }
  try {
    workload.check();
  } catch (const InvalidInput& error) {
    yaml.at("tasks").refuse(error.what());
  }
  return workload;
}

Workload read_workload(const std::string& path) {
  return parse_workload(read_file(path, std::uint64_t{1} << 28), path);
}

Json to_json(const Workload& w, const Schedule& s) {
  Json json{{"schema", "ballast.schedule/1"},
            {"basis", "modelled"},
            {"makespan_s", s.makespan_s},
            {"critical_path_s", w.critical_path_s()},
            {"resource_bound_s", w.resource_bound_s()},
            {"resources", Json::array()},
            {"tasks", Json::array()},
            {"critical_chain", Json::array()}};
  for (ResourceId r = 0; r < w.resources.size(); ++r) {
    json["resources"].push_back(
        {{"name", w.resources[r].name}, {"busy", s.busy(w, r)}, {"utilisation", s.utilisation(w, r)}});
  }
  for (TaskId t = 0; t < w.tasks.size(); ++t) {
    json["tasks"].push_back({{"name", w.tasks[t].name},
                             {"ready_s", s.ready_s[t]},
                             {"start_s", s.start_s[t]},
                             {"end_s", s.end_s[t]}});
  }
  for (const TaskId t : s.critical_chain()) json["critical_chain"].push_back(w.tasks[t].name);
  return json;
}

}  // namespace ballast::cost
