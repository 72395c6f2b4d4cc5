// For tests: the shipped model, or a skip with the reason.
#pragma once

#include <gtest/gtest.h>

#include "ballast/base/errors.h"
#include "ballast/llama/weights.h"

#define BALLAST_NEEDS_SHIPPED_MODEL()            \
  try {                                          \
    ::ballast::llama::shipped_model();           \
  } catch (const ::ballast::Unavailable& gone) { \
    GTEST_SKIP() << gone.what();                 \
  }                                              \
  static_assert(true)
