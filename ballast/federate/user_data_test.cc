#include "ballast/federate/user_data.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/base/temporary_folder.h"
#include "ballast/data/npy.h"

namespace ballast::federate {
namespace {

using testing::HasSubstr;

TEST(UserData, TimesAndLengths) {
  EXPECT_EQ(seconds_of("1d"), 86400);
  EXPECT_EQ(seconds_of("90s"), 90);
  EXPECT_EQ(seconds_of("2.5"), 2.5);
  EXPECT_THROW(seconds_of("soon"), InvalidInput);
  EXPECT_THROW(seconds_of("-1d"), InvalidInput);
  EXPECT_EQ(time_of_cell("1970-01-02"), 86400);
  EXPECT_EQ(time_of_cell("1970-01-01T01:02:03"), 3723);
  EXPECT_EQ(time_of_cell("1970-01-01 01:02"), 3720);
  EXPECT_EQ(time_of_cell("12.5"), 12.5);
  for (const char* bad : {"yesterday", "1970-13-01", "1970-01-01x", "1970-01-01 25:00", ""})
    EXPECT_FALSE(time_of_cell(bad)) << bad;
}

TEST(UserData, OneCsvWithATimeColumn) {
  const TemporaryFolder folder;
  write_file(folder.file("log.csv"),
             "ts,x,z,y\n2026-01-01 08:00,1,2,0\n2026-01-01 20:00,3,4,1\n2026-01-04,5,6,1\n");
  UserStore store({.path = folder.file("log.csv"), .prefix = {}, .label = "y", .time_column = "ts"});
  ASSERT_NE(store.batch(0), nullptr);
  EXPECT_EQ(store.batch(0)->size(), 2u);
  EXPECT_EQ(store.batch(1)->size(), 0u);  // empty steps are allowed
  EXPECT_EQ(store.batch(3)->x, (std::vector<float>{5, 6}));
  EXPECT_EQ(store.batch(4), nullptr);
  EXPECT_EQ(store.features(), 2);
}

TEST(UserData, FoldersGrow) {
  const TemporaryFolder folder;
  write_file(folder.file("step_0.csv"), "x,y\n0.5,1\n");
  UserStore store({.path = folder.path(), .prefix = {}, .label = {}, .time_column = {}});
  EXPECT_EQ(store.batch(1), nullptr);
  const std::vector<float> x{1, 2};
  const std::vector<std::int64_t> y{0, 1};
  data::write_npy(folder.file("step_1_x.npy"), data::Array::of<float>({2, 1}, x).view());
  data::write_npy(folder.file("step_1_y.npy"), data::Array::of<std::int64_t>({2}, y).view());
  ASSERT_NE(store.batch(1), nullptr);
  EXPECT_EQ(store.batch(1)->y, (std::vector<std::int32_t>{0, 1}));
}

TEST(UserData, WrongCellsAreNamedWithFileAndLine) {
  const TemporaryFolder folder;
  const auto refusal = [&](const std::string& content) -> std::string {
    write_file(folder.file("step_0.csv"), content);
    try {
      UserStore store({.path = folder.path(), .prefix = {}, .label = "y", .time_column = {}});
      store.batch(0);
    } catch (const InvalidInput& error) {
      return error.what();
    }
    return "accepted";
  };
  EXPECT_THAT(refusal("x,y\n1,0\nabc,1\n"), HasSubstr("step_0.csv:3: column 'x' holds 'abc'"));
  EXPECT_THAT(refusal("x,y\nnan,0\n"), HasSubstr("column 'x' holds 'nan'"));
  EXPECT_THAT(refusal("x,y\n1,2\n"), HasSubstr("label 2"));
  EXPECT_THAT(refusal("x,y\n1,0.5\n"), HasSubstr("label 0.5"));
  EXPECT_THAT(refusal("x,z\n1,0\n"), HasSubstr("y"));
  EXPECT_THAT(refusal("y\n1\n"), HasSubstr("no feature columns"));
  EXPECT_EQ(refusal("x,y\n"), "accepted");
  EXPECT_THROW(UserStore({.path = folder.file("none"), .prefix = {}, .label = {}, .time_column = {}}),
               Unavailable);
  EXPECT_THROW(UserStore({.path = folder.file("step_0.csv"), .prefix = {}, .label = {}, .time_column = {}}),
               InvalidInput);
}

TEST(UserData, AFederationFromTheReferenceFormat) {
  const TemporaryFolder folder;
  for (int c = 0; c < 2; ++c) {
    for (int t = 0; t < 3; ++t)
      write_file(folder.file("client_" + std::to_string(c) + "_iter_" + std::to_string(t) + ".csv"),
                 "x,label\n" + std::to_string(10 * c + t) + ",1\n");
  }
  const auto federation = folder_federation(folder.path(), "", 2);
  EXPECT_EQ(federation.clients(), 2);
  EXPECT_EQ(federation.steps(), 2);
  EXPECT_EQ(federation.batch(1, 2).x[0], 12);
}

}  // namespace
}  // namespace ballast::federate
