// For tests that need the shipped model: loaded once a suite, or every test is skipped with the reason.
//
//   class Http : public ModelTest<Http> {};
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "ballast/base/errors.h"
#include "ballast/llama/weights.h"

namespace ballast::serve {

/// `Suite` is the fixture itself: each has its own model.
template <typename Suite>
class ModelTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    try {
      model_ = std::make_shared<llama::Model>(llama::shipped_model());
    } catch (const Unavailable& error) {
      reason_ = error.what();
    }
  }
  static void TearDownTestSuite() { model_.reset(); }
  void SetUp() override {
    if (!model_) GTEST_SKIP() << reason_;
  }

  inline static std::shared_ptr<llama::Model> model_;
  inline static std::string reason_;
};

}  // namespace ballast::serve
