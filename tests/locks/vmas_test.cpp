// One conformance test for all containers of VMAs: random operations, whose answers are compared
// with those of `sorted_array`, and look-ups under RCU beside edits.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <deque>
#include <random>
#include <thread>
#include <vector>

#include "harness/native/platform.hpp"
#include "locks/address_space/mm.hpp"
#include "locks/vmas/list.hpp"

namespace faultline {
namespace {

using P = NativePlatform;

template <class Vmas>
using VmaOf = Vma<P, Vmas::template Links, NoHooks::State, Layout::linux_6_18>;
template <class Vmas>
using ContainerOf = typename Vmas::template Container<P, VmaOf<Vmas>>;

std::string text(Range range) {
  return "[" + std::to_string(range.start / page_size) + ", " +
         std::to_string(range.end / page_size) + ")";
}

// A container, and VMAs for it. Answers are ranges, since each container has VMAs of its own.
template <class Vmas>
class Tried {
 public:
  using V = VmaOf<Vmas>;

  void insert(Range range) {
    V& vma = owned_.emplace_back();
    vma.set_range(range);
    container_.reserve(1);
    container_.insert(vma);
  }
  void erase(u64 address) { container_.erase(*container_.find(address)); }
  void resize(u64 address, Range range) { container_.resize(*container_.find(address), range); }

  std::vector<Range> all() const {
    std::vector<Range> ranges;
    for (V* vma = container_.first(); vma != nullptr; vma = container_.next(*vma))
      ranges.push_back(vma->range());
    return ranges;
  }
  std::vector<Range> backwards() const {
    std::vector<Range> ranges;
    for (V* vma = container_.last(); vma != nullptr; vma = container_.previous(*vma))
      ranges.insert(ranges.begin(), vma->range());
    return ranges;
  }
  Range find(u64 address) const { return range_of(container_.find(address)); }
  Range find_at_rest(u64 address) const {
    if constexpr (ContainerOf<Vmas>::searchable_under_rcu)
      return range_of(container_.find_rcu(address));
    else
      return range_of(containing(address));
  }
  u64 find_gap(u64 length) const { return container_.find_gap(length); }
  std::string check() const { return container_.check(); }

 private:
  static Range range_of(const V* vma) { return vma == nullptr ? Range{} : vma->range(); }
  const V* containing(u64 address) const {
    const V* vma = container_.find(address);
    return vma != nullptr && vma->range().contains(address) ? vma : nullptr;
  }

  std::deque<V> owned_;
  ContainerOf<Vmas> container_;
};

// A container beside the reference. Every function answers what differs, or an empty string.
template <class Vmas>
class Comparison {
 public:
  explicit Comparison(u64 seed) : random_(seed) {
    // In every second run all space above these pages is taken, so that gaps are found among these
    // pages alone.
    if (seed % 2 == 0) change([&](auto& tried) { tried.insert({end, address_space_end}); });
  }

  std::string run(u32 steps) {
    std::string wrong;
    for (u32 step = 0; step < steps && wrong.empty(); ++step) {
      edit();
      wrong = compare();
      if (!wrong.empty()) wrong = "after " + std::to_string(step + 1) + " edits: " + wrong;
    }
    return wrong;
  }

 private:
  static constexpr u64 pages = 96;
  static constexpr u64 end = lowest_address + pages * page_size;

  u64 below(u64 n) { return random_() % n; }
  template <class F>
  void change(F&& edit) {
    edit(reference_);
    edit(tried_);
  }

  // Inserts where the drawn page lies in a hole. Otherwise erases the VMA there, or moves its
  // edges.
  void edit() {
    const u64 address = lowest_address + below(pages) * page_size;
    const Range found = reference_.find(address);
    const bool taken = found.end != 0 && found.start <= address;
    if (!taken) {
      const u64 room = found.end == 0 ? end : std::min(found.start, end);
      const u64 most = std::min<u64>((room - address) / page_size, 6);
      const Range fresh{address, address + (1 + below(most)) * page_size};
      change([&](auto& tried) { tried.insert(fresh); });
    } else if (below(2) == 0) {
      change([&](auto& tried) { tried.erase(address); });
    } else {
      const Range moved = moved_edges(found);
      change([&](auto& tried) { tried.resize(address, moved); });
    }
  }

  Range moved_edges(Range range) {
    u64 lowest = lowest_address;
    u64 highest = end;
    for (const Range& other : reference_.all()) {
      if (other.end <= range.start) lowest = other.end;
      if (other.start >= range.end) highest = std::min(highest, other.start);
    }
    const u64 start = lowest + below((range.end - lowest) / page_size) * page_size;
    return {start, start + (1 + below((highest - start) / page_size)) * page_size};
  }

  std::string compare() {
    if (const std::string wrong = tried_.check(); !wrong.empty()) return wrong;
    if (const std::string wrong = lists_differ(tried_.all()); !wrong.empty()) return wrong;
    if (const std::string wrong = lists_differ(tried_.backwards()); !wrong.empty())
      return "backwards, " + wrong;
    for (u64 page = 0; page <= pages; ++page) {
      const u64 address = lowest_address + page * page_size - below(2);
      const Range wanted = reference_.find(address);
      if (!same(tried_.find(address), wanted)) return "find answers " + text(tried_.find(address));
      if (!same(tried_.find_at_rest(address), reference_.find_at_rest(address)))
        return "find_rcu answers " + text(tried_.find_at_rest(address));
    }
    for (u64 length = page_size; length <= pages * page_size; length += page_size)
      if (tried_.find_gap(length) != reference_.find_gap(length))
        return "find_gap answers page " + std::to_string(tried_.find_gap(length) / page_size);
    return "";
  }

  std::string lists_differ(const std::vector<Range>& ranges) const {
    const std::vector<Range> wanted = reference_.all();
    if (ranges.size() != wanted.size()) return "the walk sees " + std::to_string(ranges.size());
    for (usize i = 0; i < wanted.size(); ++i)
      if (!same(ranges[i], wanted[i])) return "the walk sees " + text(ranges[i]);
    return "";
  }
  static bool same(Range a, Range b) { return a.start == b.start && a.end == b.end; }

  std::mt19937_64 random_;
  Tried<vmas::SortedArray> reference_;
  Tried<Vmas> tried_;
};

template <class Vmas>
std::string first_difference() {
  NativeThread thread(0, 0, 0, 1);
  for (u64 seed = 1; seed <= 40; ++seed)
    if (const std::string wrong = Comparison<Vmas>(seed).run(150); !wrong.empty())
      return "seed " + std::to_string(seed) + ", " + wrong;
  return "";
}

// Edits beside one thread of look-ups under RCU.
//
// Each VMA has a slot of pages of its own. A slot with an even number is never empty. The VMA of a
// slot with an odd number comes and goes, and its edges move in between. `absent` is incremented to
// an even number after the VMA has left, and to an odd number before it comes back. A look-up in a
// VMA's slot may answer that VMA or null. It may answer only null if the slot was empty from before
// the look-up until after it.
template <class Vmas>
class Concurrency {
 public:
  std::string run() {
    NativeThread thread(0, 0, 0, 3);
    for (u64 slot = 0; slot < slots; ++slot) {
      vmas_[slot].set_range(whole(slot));
      container_.reserve(1);
      if (slot % 2 == 0) container_.insert(vmas_[slot]);
    }
    std::thread reader([&] { look_up(); });
    std::thread walker([&] { walk(); });
    std::mt19937_64 random(1);
    const u64 stop = P::now() + 200'000'000;
    while (P::now() < stop) edit(random() % (slots / 2) * 2 + 1, random() % 2 == 0);
    done_.store(true);
    reader.join();
    walker.join();
    if (wrong_.empty()) wrong_ = walked_wrong_;
    if (wrong_.empty() && hits_ == 0) return "no look-up found anything";
    for (u64 slot = 0; slot < slots; slot += 2)
      if (container_.find_rcu(whole(slot).start) != &vmas_[slot]) return "a VMA was lost";
    return wrong_.empty() ? container_.check() : wrong_;
  }

 private:
  using V = VmaOf<Vmas>;
  static constexpr u64 slots = 64;
  static constexpr u64 slot_size = 4 * page_size;

  static Range whole(u64 slot) {
    const u64 start = lowest_address + slot * slot_size;
    return {start, start + slot_size};
  }

  void edit(u64 slot, bool resizes) {
    V& vma = vmas_[slot];
    const Range range = whole(slot);
    if (absent_[slot].load() % 2 == 0) {
      absent_[slot].fetch_add(1);
      vma.set_range(range);
      container_.insert(vma);
    } else if (resizes) {
      container_.resize(vma, {range.start + page_size, range.end - page_size});
      container_.resize(vma, range);
    } else {
      container_.erase(vma);
      absent_[slot].fetch_add(1);
    }
  }

  void look_up() {
    NativeThread thread(1, 0, 0, 3);
    std::mt19937_64 random(2);
    while (!done_.load() && wrong_.empty()) {
      const u64 slot = random() % slots;
      const u64 before = absent_[slot].load();
      P::rcu::read_lock();
      const V* found = container_.find_rcu(whole(slot).start + random() % slot_size);
      P::rcu::read_unlock();
      const bool empty = slot % 2 == 1 && before % 2 == 0 && absent_[slot].load() == before;
      if (found != nullptr && found != &vmas_[slot])
        wrong_ = "a look-up answered a VMA of another place";
      if (found != nullptr && empty) wrong_ = "a look-up answered a VMA that had left";
      if constexpr (MissesNothing<ContainerOf<Vmas>>)
        if (found == nullptr && slot % 2 == 0) wrong_ = "a look-up missed a VMA";
      hits_ += found != nullptr;
    }
  }

  // A walk passes over no VMA that stays.
  void walk() {
    if constexpr (MissesNothing<ContainerOf<Vmas>>) {
      NativeThread thread(2, 0, 0, 3);
      while (!done_.load() && walked_wrong_.empty()) {
        P::rcu::read_lock();
        typename ContainerOf<Vmas>::Walk walk(container_, lowest_address);
        u64 slot = 0;
        while (const V* vma = walk.next()) {
          const auto seen = static_cast<u64>(vma - vmas_.data());
          if (seen > slot + slot % 2) walked_wrong_ = "a walk missed a VMA";
          if (seen + 1 < slot) walked_wrong_ = "a walk went back";
          slot = seen + 1;
        }
        P::rcu::read_unlock();
        if (slot < slots - 1) walked_wrong_ = "a walk ended early";
      }
    }
  }

  std::array<V, slots> vmas_;
  std::array<std::atomic<u64>, slots> absent_{};
  ContainerOf<Vmas> container_;
  std::atomic<bool> done_{false};
  // The reader writes it; others read it after the reader has ended.
  std::string wrong_;
  // The walker's.
  std::string walked_wrong_;
  u64 hits_ = 0;
};

// Containers that are broken on purpose.

// Does not update the gaps when a VMA's edges move.
struct ForgetsGaps {
  template <class Q, class V>
  using Links = vmas::RbTree::Links<Q, V>;
  template <class Q, class V>
  struct Container : vmas::RbTree::Container<Q, V> {
    void resize(V& vma, Range range) { vma.set_range(range); }
    std::string check() const { return ""; }
  };
};

// Answers only a VMA that contains the address, never the next one.
struct FindsNoNext : vmas::SortedArray {
  template <class Q, class V>
  struct Container : vmas::SortedArray::Container<Q, V> {
    V* find(u64 address) const {
      V* vma = vmas::SortedArray::Container<Q, V>::find(address);
      return vma != nullptr && vma->range().contains(address) ? vma : nullptr;
    }
  };
};

// Takes the next VMA out while another one comes in.
struct LosesTheNext : vmas::MapleOf<4, 3> {
  template <class Q, class V>
  struct Container : vmas::MapleOf<4, 3>::Container<Q, V> {
    using Base = vmas::MapleOf<4, 3>::Container<Q, V>;
    void insert(V& vma) {
      V* next = Base::find(vma.range().end);
      if (next != nullptr) Base::erase(*next);
      Base::insert(vma);
      if (next != nullptr) Base::insert(*next);
    }
  };
};

// Looks first at the VMA that the last look-up of the page found.
struct KeepsTheLast {
  template <class Q, class V>
  using Links = vmas::RbTree::Links<Q, V>;
  template <class Q, class V>
  struct Container : vmas::RbTree::Container<Q, V> {
    V* find_rcu(u64 address) const {
      V*& known = found[address / page_size % found.size()];
      if (known == nullptr) known = vmas::RbTree::Container<Q, V>::find_rcu(address);
      return known;
    }
    mutable std::array<V*, 512> found{};
  };
};

template <class Vmas>
class VmaContainers : public testing::Test {};
template <class, class... Families>
struct FamiliesAfter {
  using Types = testing::Types<Families...>;
};
// The containers of the catalogue, and two with nodes so small that few VMAs make them high.
using Containers = FamiliesAfter<void, vmas::MapleOf<4, 3>, vmas::XArrayOf<2>
#define FAULTLINE_VMAS(name, family, ...) , FAULTLINE_TYPE family
#include "locks/vmas/list.def"
                                 >::Types;
TYPED_TEST_SUITE(VmaContainers, Containers);

TYPED_TEST(VmaContainers, AnswerAsASortedArrayDoesAfterEveryEdit) {
  EXPECT_EQ(first_difference<TypeParam>(), "");
}

TYPED_TEST(VmaContainers, LookUpsUnderRcuSeeOnlyWhatWasThere) {
  if constexpr (ContainerOf<TypeParam>::searchable_under_rcu)
    EXPECT_EQ(Concurrency<TypeParam>().run(), "");
  else
    GTEST_SKIP() << "not searchable under RCU";
}

// The walk is in a leaf when edits replace it.
TYPED_TEST(VmaContainers, AWalkSeesWhatCameBeforeItsStep) {
  using Container = ContainerOf<TypeParam>;
  if constexpr (MissesNothing<Container>) {
    NativeThread thread(0, 0, 0, 1);
    std::array<VmaOf<TypeParam>, 4> vmas;
    Container container;
    const auto insert = [&](u64 i) {
      const u64 start = lowest_address + i * 2 * page_size;
      vmas[i].set_range({start, start + page_size});
      container.insert(vmas[i]);
    };
    for (const u64 i : {0, 2, 3}) insert(i);
    P::rcu::read_lock();
    typename Container::Walk walk(container, 0);
    EXPECT_EQ(walk.next(), &vmas[0]);
    insert(1);
    EXPECT_EQ(walk.next(), &vmas[1]);
    EXPECT_EQ(walk.next(), &vmas[2]);
    container.erase(vmas[3]);
    EXPECT_EQ(walk.next(), nullptr);
    P::rcu::read_unlock();
  } else {
    GTEST_SKIP() << "readers under RCU may miss a VMA";
  }
}

TEST(BrokenVmaContainers, OneThatForgetsAGapIsFoundOut) {
  EXPECT_NE(first_difference<ForgetsGaps>(), "");
}
TEST(BrokenVmaContainers, OneThatDoesNotFindTheNextVmaIsFoundOut) {
  EXPECT_NE(first_difference<FindsNoNext>(), "");
}
// In one attempt the reader may be off its CPU whenever the editor is at work.
template <class Vmas>
bool is_found_out_by_readers() {
  for (int attempt = 0; attempt < 50; ++attempt)
    if (!Concurrency<Vmas>().run().empty()) return true;
  return false;
}
TEST(BrokenVmaContainers, OneWhoseReadersMissAVmaIsFoundOut) {
  EXPECT_TRUE(is_found_out_by_readers<LosesTheNext>());
}
TEST(BrokenVmaContainers, OneWhoseLookUpsRememberIsFoundOut) {
  EXPECT_TRUE(is_found_out_by_readers<KeepsTheLast>());
}

}  // namespace
}  // namespace faultline
