// The text of profiles.yaml, built in.
#pragma once

namespace ballast::cluster {
const char* profiles_yaml();
}
