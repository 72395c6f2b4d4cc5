#include "ballast/data/ycsb_properties.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ballast/base/errors.h"

namespace ballast::data {
namespace {

using testing::HasSubstr;

TEST(YcsbProperties, ReadsTheWorkloadsAsTheyAreShipped) {
  const auto e = ycsb_properties(
      "# Yahoo! Cloud System Benchmark\r\n! also a comment\nrecordcount=1000\noperationcount=2000\n"
      "workload=site.ycsb.workloads.CoreWorkload\n\nreadallfields=true\nreadproportion=0\nupdateproportion="
      "0\n"
      "scanproportion=0.95\ninsertproportion=0.05\n\nrequestdistribution=zipfian\n\nmaxscanlength = 100\n"
      "scanlengthdistribution=uniform\n",
      "workloade");
  EXPECT_EQ(e.records, 1000u);
  EXPECT_EQ(e.operations, 2000u);
  EXPECT_EQ(e.scan, 0.95);
  EXPECT_EQ(e.insert, 0.05);
  EXPECT_EQ(e.read + e.update, 0);
  EXPECT_EQ(e.max_scan, 100u);
  EXPECT_EQ(e.law, KeyLaw::zipf);
  const auto d =
      ycsb_properties("requestdistribution=latest\ninsertproportion=0.05\nupdateproportion=0", "d");
  EXPECT_EQ(d.law, KeyLaw::latest);
  EXPECT_EQ(d.read, 0.95);  // YCSB's default
}

TEST(YcsbProperties, NamesFileAndLineOfWhatIsWrong) {
  const auto says = [](const char* text) -> std::string {
    try {
      ycsb_properties(text, "w");
    } catch (const InvalidInput& error) {
      return error.what();
    }
    return "taken";
  };
  EXPECT_THAT(says("\nreadproportion"), HasSubstr("w:2"));
  EXPECT_THAT(says("readproportion=much"), HasSubstr("readproportion is 'much'"));
  EXPECT_THAT(says("readproportion=-1"), HasSubstr("a number from 0 to 1"));
  EXPECT_THAT(says("recordcount=1.5"), HasSubstr("a whole number"));
  EXPECT_THAT(says("reedproportion=1"), HasSubstr("property 'reedproportion' is not known"));
  EXPECT_THAT(says("readproportion=0.5"), HasSubstr("add up to 0.55"));
  EXPECT_THAT(says("requestdistribution=zipfain"), HasSubstr("zipfian"));
}

}  // namespace
}  // namespace ballast::data
