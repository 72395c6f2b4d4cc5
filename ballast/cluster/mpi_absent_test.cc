#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ballast/cluster/cluster.h"

namespace ballast::cluster {
namespace {

TEST(MpiAbsent, SaysWhatToInstall) {
  try {
    Cluster::open({.machines = 0, .transport = "mpi"});
    FAIL() << "there is no MPI";
  } catch (const Unavailable& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("libopenmpi-dev"));
  }
}

}  // namespace
}  // namespace ballast::cluster
