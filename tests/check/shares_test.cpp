// The time of a deep run.
#include "harness/check/common/shares.hpp"

#include <gtest/gtest.h>

namespace faultline::check {
namespace {

TEST(Shares, ProgramsGetEqualSharesOfAllProcesses) {
  EXPECT_DOUBLE_EQ(share_of(100, 1, 50), 2);
  EXPECT_DOUBLE_EQ(share_of(100, 2, 50), 4);
}

TEST(Shares, WhatAProgramHasLeftGoesToLaterOnes) {
  // Nine of ten programs have ended at once.
  EXPECT_DOUBLE_EQ(share_of(100, 1, 1), 100);
}

TEST(Shares, TheLastProgramsEndWithTheRun) {
  EXPECT_DOUBLE_EQ(share_of(100, 8, 2), 100);
}

TEST(Shares, ALateProgramGetsTheLeastShare) {
  EXPECT_DOUBLE_EQ(share_of(-5, 2, 10), least_share);
  EXPECT_DOUBLE_EQ(share_of(0, 2, 10), least_share);
}

}  // namespace
}  // namespace faultline::check
