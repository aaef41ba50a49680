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
  static AddressSpaceOptions options(u32 shootdown, u32 page_table = page_table_shared) {
    AddressSpaceOptions options;
    options.frames_per_thread = 8;
    options.shootdown = shootdown;
    options.page_table = page_table;
    return options;
  }
  NativeThread thread_{0, 0, 0, 1};
  Violations<P> violations_;
};

TEST_F(PageTableTest, CountsEveryFrameMappedOrFree) {
  PageTable<P> table(options(shootdown_cpumask), violations_);
  table.enter();
  for (u64 page = 0; page < 8; ++page)
    EXPECT_TRUE(table.fault_in(base + page * page_size, Access::write, rw, NewPage::own));
  EXPECT_FALSE(table.fault_in(base + 8 * page_size, Access::write, rw, NewPage::own));
  EXPECT_EQ(table.check(), "");
  table.zap({base, base + 3 * page_size});
  EXPECT_EQ(table.check(), "");
  EXPECT_TRUE(table.fault_in(base + 8 * page_size, Access::write, rw, NewPage::own));
  EXPECT_EQ(table.check(), "");
}

TEST_F(PageTableTest, UsesADelayedFrameAgainAfterAllOthers) {
  AddressSpaceOptions delayed = options(shootdown_cpumask);
  delayed.frames_per_thread = 1;
  delayed.frame_delay = {.ns = u64{3600} * 1'000'000'000, .most = 2};
  PageTable<P> table(delayed, violations_);
  table.enter();
  std::vector<FrameNumber> used;
  for (int turn = 0; turn < 6; ++turn) {
    ASSERT_TRUE(table.fault_in(base, Access::write, rw, NewPage::own));
    table.for_each_entry([&](u64, Pte pte) { used.push_back(pte.frame()); });
    table.zap({base, base + page_size});
    EXPECT_EQ(table.check(), "");
  }
  EXPECT_NE(used[0], used[1]);
  EXPECT_NE(used[1], used[2]);
  EXPECT_EQ(used, (std::vector<FrameNumber>{used[0], used[1], used[2], used[0], used[1], used[2]}));
}

TEST_F(PageTableTest, GrantsNoMoreThanTheAccessAskedFor) {
  PageTable<P> table(options(shootdown_cpumask), violations_);
  table.enter();
  ASSERT_TRUE(table.fault_in(base, Access::read, rw, NewPage::own));
  std::vector<u32> prots;
  const auto note = [&](u64, Pte pte) { prots.push_back(pte.prot()); };
  table.for_each_entry(note);
  ASSERT_TRUE(table.fault_in(base, Access::write, rw, NewPage::own));
  table.for_each_entry(note);
  table.restrict({base, base + page_size}, prot_read);
  table.for_each_entry(note);
  table.restrict({base, base + page_size}, prot_none);
  table.for_each_entry(note);
  EXPECT_EQ(prots, (std::vector<u32>{prot_read, rw, prot_read, prot_none}));
  EXPECT_FALSE(table.walk(base));
}

TEST_F(PageTableTest, AnAccessNeedsAnEntryWithEnoughRights) {
  PageTable<P> table(options(shootdown_cpumask), violations_);
  table.enter();
  EXPECT_FALSE(table.touch(base, Access::read));
  ASSERT_TRUE(table.fault_in(base, Access::read, rw, NewPage::own));
  EXPECT_TRUE(table.touch(base, Access::read));
  EXPECT_FALSE(table.touch(base, Access::write));
  ASSERT_TRUE(table.fault_in(base, Access::write, rw, NewPage::own));
  EXPECT_TRUE(table.touch(base, Access::write));
  table.zap({base, base + page_size});
  EXPECT_FALSE(table.touch(base, Access::read));
}

TEST_F(PageTableTest, ZapsRangesThatSpanTablesAndHolesWithoutTouchingTheRest) {
  PageTable<P> table(options(shootdown_cpumask), violations_);
  table.enter();
  const std::vector<u64> pages = {base - page_size, base, base + PageTable<P>::table_span,
                                  base + (u64{1} << 30)};
  for (u64 page : pages) ASSERT_TRUE(table.fault_in(page, Access::write, rw, NewPage::own));
  table.zap({base, base + (u64{1} << 30)});
  std::vector<u64> left;
  table.for_each_entry([&](u64 address, Pte) { left.push_back(address); });
  EXPECT_EQ(left, (std::vector<u64>{base - page_size, base + (u64{1} << 30)}));
}

// Three threads on three CPUs. The charge of a thread's next operation shows which CPUs a shootdown
// interrupted.
template <bool caller_excludes = false>
class ThreeCpus {
 public:
  ThreeCpus(const AddressSpaceOptions& options, Violations<P>& violations)
      : table_(options, violations) {
    for (u32 id = 1; id <= 3; ++id) {
      records_[id].id = id;
      records_[id].cpu = id;
      records_[id].charged_ns = 0;
      records_[id].live = true;
      as_thread(id, [&] { table_.enter(); });
    }
    native::thread_table.thread_limit = 4;
  }
  ~ThreeCpus() {
    for (u32 id = 1; id <= 3; ++id) records_[id].live = false;
  }
  ThreeCpus(const ThreeCpus&) = delete;
  ThreeCpus& operator=(const ThreeCpus&) = delete;

  void fault(u32 id, u64 address) {
    as_thread(id, [&] { table_.fault_in(address, Access::read, rw, NewPage::own); });
  }
  // The CPUs that a zap of one page by thread `id` charges.
  std::vector<bool> charged_by_zap(u32 id, u64 address) {
    for (u32 each = 1; each <= 3; ++each) records_[each].charged_ns = 0;
    as_thread(id, [&] { table_.zap({address, address + page_size}); });
    std::vector<bool> charged;
    for (u32 each = 1; each <= 3; ++each) charged.push_back(records_[each].charged_ns != 0);
    return charged;
  }

  void restrict(u32 id, u64 address, u32 prot) {
    as_thread(id, [&] { table_.restrict({address, address + page_size}, prot); });
  }
  PageTable<P, caller_excludes>& table() { return table_; }

 private:
  template <class F>
  void as_thread(u32 id, F&& act) {
    native::ThreadRecord* before = native::this_thread;
    native::this_thread = &records_[id];
    act();
    native::this_thread = before;
  }

  PageTable<P, caller_excludes> table_;
  native::ThreadRecord* records_ = native::thread_table.records;
};

TEST_F(PageTableTest, ShootsDownWhomThePolicyNames) {
  const auto charged = [&](u32 policy) {
    ThreeCpus cpus(options(policy), violations_);
    cpus.fault(1, base);
    cpus.fault(2, base);
    return cpus.charged_by_zap(1, base);
  };
  EXPECT_EQ(charged(shootdown_cpumask), (std::vector<bool>{false, true, true}));
  EXPECT_EQ(charged(shootdown_precise), (std::vector<bool>{false, true, false}));
  EXPECT_EQ(charged(shootdown_broadcast), (std::vector<bool>{false, false, false}));
}

TEST_F(PageTableTest, ForgetsUsersWithTheLastPageThatHadMany) {
  ThreeCpus cpus(options(shootdown_precise), violations_);
  for (const u64 page : {base, base + page_size}) {
    cpus.fault(1, page);
    cpus.fault(2, page);
  }
  cpus.charged_by_zap(1, base);
  cpus.fault(1, base);
  cpus.fault(3, base);
  // The other page still has many users, and the users belong to the whole table page.
  EXPECT_EQ(cpus.charged_by_zap(1, base), (std::vector<bool>{false, true, true}));
  cpus.charged_by_zap(1, base + page_size);
  cpus.fault(1, base);
  cpus.fault(3, base);
  EXPECT_EQ(cpus.charged_by_zap(1, base), (std::vector<bool>{false, false, true}));
}

TEST_F(PageTableTest, APageHasUsersOfItsOwnWhereTheCallerExcludesOthers) {
  ThreeCpus<true> cpus(options(shootdown_precise), violations_);
  for (const u32 id : {1, 2}) cpus.fault(id, base);
  for (const u32 id : {1, 3}) cpus.fault(id, base + page_size);
  EXPECT_EQ(cpus.charged_by_zap(1, base), (std::vector<bool>{false, true, false}));
  EXPECT_EQ(cpus.charged_by_zap(1, base + page_size), (std::vector<bool>{false, false, true}));
  for (const u32 id : {1, 3}) cpus.fault(id, base);
  EXPECT_EQ(cpus.charged_by_zap(1, base), (std::vector<bool>{false, false, true}));
  EXPECT_EQ(cpus.table().check(), "");
}

// The number of pages that the CPUs' own tables map together.
u64 own_pages(ThreeCpus<>& cpus) {
  u64 pages = 0;
  cpus.table().for_each_own_entry([&](u64, Pte) { ++pages; });
  return pages;
}

TEST_F(PageTableTest, AnOwnTableIsFilledByItsOwnCpusFaultsAlone) {
  ThreeCpus cpus(options(shootdown_cpumask, page_table_per_cpu), violations_);
  cpus.fault(1, base);
  EXPECT_EQ(own_pages(cpus), 1u);
  cpus.fault(2, base);
  cpus.fault(2, base + page_size);
  EXPECT_EQ(own_pages(cpus), 3u);
  EXPECT_EQ(cpus.table().check(), "");
}

TEST_F(PageTableTest, AZapEmptiesEveryOwnTableThatHasThePage) {
  for (const u32 policy : {shootdown_cpumask, shootdown_precise, shootdown_broadcast}) {
    ThreeCpus cpus(options(policy, page_table_per_cpu), violations_);
    for (const u32 id : {1, 2}) cpus.fault(id, base);
    cpus.fault(3, base + page_size);
    cpus.charged_by_zap(1, base);
    EXPECT_EQ(own_pages(cpus), 1u);
    EXPECT_EQ(cpus.table().check(), "");
  }
}

TEST_F(PageTableTest, ARestrictionReachesEveryOwnTable) {
  ThreeCpus cpus(options(shootdown_precise, page_table_per_cpu), violations_);
  for (const u32 id : {1, 2}) cpus.fault(id, base);
  cpus.restrict(3, base, prot_none);
  cpus.table().for_each_own_entry([](u64, Pte pte) { EXPECT_EQ(pte.prot(), prot_none); });
  EXPECT_EQ(own_pages(cpus), 2u);
}

// Adds up the modelled work of the calling thread.
struct CountingPlatform : NativePlatform {
  inline static thread_local u64 worked_ns = 0;
  static void work(u64 ns) { worked_ns += ns; }
};

TEST_F(PageTableTest, TheSenderOfABroadcastWaitsOnceARange) {
  using Table = PageTable<CountingPlatform>;
  Violations<CountingPlatform> violations;
  Table table(options(shootdown_broadcast), violations);
  table.enter();
  for (const u64 page : {base, base + page_size})
    ASSERT_TRUE(table.fault_in(page, Access::write, rw, NewPage::own));
  EXPECT_EQ(CountingPlatform::worked_ns, 0u);
  table.zap({base, base + 2 * page_size});
  EXPECT_EQ(CountingPlatform::worked_ns, Table::broadcast_ns);
  table.zap({base, base + 2 * page_size});  // the range was empty
  EXPECT_EQ(CountingPlatform::worked_ns, Table::broadcast_ns);
}

TEST_F(PageTableTest, NotesAFrameReusedBeforeItsShootdown) {
  Frames<P> frames(1, {}, true, true, Layout{}, violations_);
  frames.enter();
  const FrameNumber frame = frames.take();
  Frames<P>::Gathered gathered;
  frames.gather(gathered, frame);
  EXPECT_EQ(violations_.report(), "");
  frames.unpin(frame);  // as a scheme that frees before it has shot down
  frames.take();
  EXPECT_NE(violations_.report().find("before its shootdown"), std::string::npos);
}

}  // namespace
}  // namespace faultline
