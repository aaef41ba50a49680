// The rights that calls may have given to a page.
#include "harness/check/common/grants.hpp"

#include <gtest/gtest.h>

namespace faultline::check {
namespace {

using Outcome = Grants::Outcome;
constexpr u32 all_rights = prot_read | prot_write;
constexpr Grants::Pages low = 1, high = 2, both = 3;

// A call that no other call overlaps in time.
void call(Grants& grants, Grants::Pages pages, u32 rights, Outcome outcome = Outcome::replaced) {
  grants.end(grants.begin(pages, rights), outcome);
}

TEST(Grants, ACallReplacesWhatReturnedBeforeItBegan) {
  Grants grants;
  call(grants, both, all_rights);
  call(grants, low, prot_read);
  EXPECT_EQ(grants.rights(0), prot_read);
  EXPECT_EQ(grants.rights(1), all_rights);
  EXPECT_EQ(grants.rights(2), prot_none);
}

TEST(Grants, UntilACallReturnsBothRightsAreThere) {
  Grants grants;
  call(grants, low, prot_read);
  const auto protect = grants.begin(low, all_rights);
  EXPECT_EQ(grants.rights(0), all_rights);
  grants.end(protect, Outcome::replaced);
  const auto unmap = grants.begin(low, prot_none);
  EXPECT_EQ(grants.rights(0), all_rights);
  grants.end(unmap, Outcome::replaced);
  EXPECT_EQ(grants.rights(0), prot_none);
}

TEST(Grants, ACallTakesNothingFromACallBesideIt) {
  Grants grants;
  const auto map = grants.begin(low, all_rights);
  const auto unmap = grants.begin(low, prot_none);
  grants.end(map, Outcome::replaced);
  grants.end(unmap, Outcome::replaced);
  EXPECT_EQ(grants.rights(0), all_rights);
}

TEST(Grants, ACallThatFailsTakesNothing) {
  Grants grants;
  call(grants, low, all_rights);
  call(grants, both, prot_read, Outcome::partly);
  call(grants, high, all_rights, Outcome::refused);
  EXPECT_EQ(grants.rights(0), all_rights);
  EXPECT_EQ(grants.rights(1), prot_read);
}

TEST(Grants, AFaultGivesRightsOnceThereIsAStack) {
  Grants grants;
  const auto fault = grants.begin_fault(both);
  EXPECT_EQ(grants.rights(0), prot_none);
  grants.map_stack();
  EXPECT_EQ(grants.rights(0), all_rights);
  grants.end(fault, Outcome::partly);
  EXPECT_EQ(grants.rights(0), all_rights);
}

TEST(Grants, AStackThatIsRefusedGivesFaultsNothing) {
  Grants grants;
  grants.map_stack();
  const auto fault = grants.begin_fault(both);
  EXPECT_EQ(grants.rights(0), all_rights);
  grants.refuse_stack();
  EXPECT_EQ(grants.rights(0), prot_none);
  grants.end(fault, Outcome::partly);
  EXPECT_EQ(grants.rights(0), prot_none);
}

}  // namespace
}  // namespace faultline::check
