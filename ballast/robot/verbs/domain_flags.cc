#include "ballast/base/errors.h"
#include "ballast/robot/verbs/verbs.h"

namespace ballast::robot {

ros::ContextOptions DomainFlags::options() const {
  auto options = ros::ContextOptions::from_environment();
  if (domain >= 0) options.domain_id = static_cast<std::uint32_t>(domain);
  if (!range.empty()) {
    cli::require_one_of("--range", range, {"localhost", "subnet"});
    options.range = range == "localhost" ? ros::Range::localhost : ros::Range::subnet;
  }
  cli::require_one_of("--dialect", dialect, {"humble", "iron+"});
  options.dialect = dialect == "humble" ? ros::Dialect::humble : ros::Dialect::iron_plus;
  return options;
}

std::shared_ptr<DomainFlags> add_domain_flags(cli::Verb& verb) {
  auto flags = std::make_shared<DomainFlags>();
  verb->add_option("--domain", flags->domain, "DDS domain (default: $ROS_DOMAIN_ID or 0)")
      ->check(CLI::Range(0, 232));
  verb->add_option("--range", flags->range, "localhost (default) or subnet, with multicast");
  verb->add_option("--dialect", flags->dialect, "of the graph: humble or iron+ (default)");
  return flags;
}

}  // namespace ballast::robot
