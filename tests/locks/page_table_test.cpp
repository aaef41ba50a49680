#include "locks/address_space/page_table.hpp"

#include <gtest/gtest.h>

#include <vector>

#include "harness/native/platform.hpp"

namespace faultline {
namespace {

using P = NativePlatform;
constexpr u32 rw = prot_read | prot_write;
constexpr u64 base = u64{1} << 44;

class PageTableTest : public testing::Test {
 protected:
  static AddressSpaceOptions options(u32 shootdown) {
    AddressSpaceOptions options;
    options.frames_per_thread = 8;
    options.shootdown = shootdown;
    return options;
  }
  NativeThread thread_{0, 0, 0, 1};
  Violations<P> violations_;
};

TEST_F(PageTableTest, CountsEveryFrameMappedOrFree) {
  PageTable<P> table(options(shootdown_cpumask), violations_);
  table.enter();
  for (u64 page = 0; page < 8; ++page)
    EXPECT_TRUE(table.fault_in(base + page * page_size, Access::write, rw, true));
  EXPECT_FALSE(table.fault_in(base + 8 * page_size, Access::write, rw, true));
  EXPECT_EQ(table.check_frames(), "");
  table.zap({base, base + 3 * page_size});
  EXPECT_EQ(table.check_frames(), "");
  EXPECT_TRUE(table.fault_in(base + 8 * page_size, Access::write, rw, true));
  EXPECT_EQ(table.check_frames(), "");
}

TEST_F(PageTableTest, GrantsNoMoreThanTheAccessAskedFor) {
  PageTable<P> table(options(shootdown_cpumask), violations_);
  table.enter();
  ASSERT_TRUE(table.fault_in(base, Access::read, rw, true));
  std::vector<u32> prots;
  const auto note = [&](u64, Pte pte) { prots.push_back(pte.prot()); };
  table.for_each_entry(note);
  ASSERT_TRUE(table.fault_in(base, Access::write, rw, true));
  table.for_each_entry(note);
  table.restrict({base, base + page_size}, prot_read);
  table.for_each_entry(note);
  table.restrict({base, base + page_size}, prot_none);
  table.for_each_entry(note);
  EXPECT_EQ(prots, (std::vector<u32>{prot_read, rw, prot_read, prot_none}));
  EXPECT_FALSE(table.walk(base));
}

TEST_F(PageTableTest, ZapsRangesThatSpanTablesAndHolesWithoutTouchingTheRest) {
  PageTable<P> table(options(shootdown_cpumask), violations_);
  table.enter();
  const std::vector<u64> pages = {base - page_size, base, base + PageTable<P>::table_span,
                                  base + (u64{1} << 30)};
  for (u64 page : pages) ASSERT_TRUE(table.fault_in(page, Access::write, rw, true));
  table.zap({base, base + (u64{1} << 30)});
  std::vector<u64> left;
  table.for_each_entry([&](u64 address, Pte) { left.push_back(address); });
  EXPECT_EQ(left, (std::vector<u64>{base - page_size, base + (u64{1} << 30)}));
}

// Three threads on three CPUs; who pays is read off what their next operation is charged.
std::vector<bool> charged_after_zap(u32 policy, Violations<P>& violations) {
  AddressSpaceOptions options;
  options.frames_per_thread = 8;
  options.shootdown = policy;
  PageTable<P> table(options, violations);
  auto& records = native::thread_table.records;
  const auto as_thread = [&](u32 id, auto&& act) {
    native::ThreadRecord* before = native::this_thread;
    native::this_thread = &records[id];
    act();
    native::this_thread = before;
  };
  for (u32 id = 1; id <= 3; ++id) {
    records[id].id = id;
    records[id].cpu = id;
    records[id].charged_ns = 0;
    records[id].live = true;
    as_thread(id, [&] { table.enter(); });
  }
  native::thread_table.thread_limit = 4;
  as_thread(1, [&] { table.fault_in(base, Access::write, rw, true); });
  as_thread(2, [&] { table.fault_in(base, Access::read, rw, true); });
  as_thread(1, [&] { table.zap({base, base + page_size}); });
  std::vector<bool> charged;
  for (u32 id = 1; id <= 3; ++id) {
    charged.push_back(records[id].charged_ns != 0);
    records[id].live = false;
  }
  return charged;
}

TEST_F(PageTableTest, ShootsDownWhomThePolicyNames) {
  EXPECT_EQ(charged_after_zap(shootdown_cpumask, violations_),
            (std::vector<bool>{false, true, true}));
  EXPECT_EQ(charged_after_zap(shootdown_precise, violations_),
            (std::vector<bool>{false, true, false}));
  EXPECT_EQ(charged_after_zap(shootdown_broadcast, violations_),
            (std::vector<bool>{false, false, false}));
}

TEST_F(PageTableTest, NotesAFrameReusedBeforeItsShootdown) {
  Frames<P> frames(1, true, violations_);
  frames.enter();
  const FrameNumber frame = frames.take();
  Frames<P>::Gathered gathered;
  frames.gather(gathered, frame);
  EXPECT_EQ(violations_.report(), "");
  frames.unpin(frame);  // as a scheme would that frees before it has shot down
  frames.take();
  EXPECT_NE(violations_.report().find("before its shootdown"), std::string::npos);
}

}  // namespace
}  // namespace faultline
