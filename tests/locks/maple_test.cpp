// Container `maple` with nodes of full size: a million operations beside `sorted_array`, nodes that
// are reserved, and their memory on a large machine.
#include "locks/vmas/maple.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "harness/native/platform.hpp"
#include "harness/sim/machine/machine.hpp"
#include "locks/address_space/mm.hpp"
#include "locks/mutex/ticket.hpp"
#include "locks/vmas/sorted_array.hpp"
#include "tests/harness/sim_threads.hpp"

namespace faultline {
namespace {

template <class P, class Family>
using VmaOf = Vma<P, Family::template Links, NoHooks::State, Layout::linux_6_18>;
template <class P, class Family>
using ContainerOf = typename Family::template Container<P, VmaOf<P, Family>>;

constexpr u64 place_size = 4 * page_size;
Range whole(u64 place) {
  const u64 start = lowest_address + place * place_size;
  return {start, start + place_size};
}

// A container, and a VMA for each place of four pages.
template <class P, class Family, u64 places>
struct Filled {
  void insert(u64 place, Range range) {
    vmas[place].set_range(range);
    container.reserve(1);
    container.insert(vmas[place]);
  }
  ContainerOf<P, Family> container;
  std::array<VmaOf<P, Family>, places> vmas;
};

using N = NativePlatform;

class Operations {
 public:
  // One operation in both containers, at a drawn place. Answers what differs. The nodes on the way
  // to the place, with their gaps, and a look-up are compared after each operation, a search for a
  // hole after every 64th, and the whole tree after every 4096th and where it gets higher or lower.
  std::string step(u64 number) {
    const u64 place = draw(places);
    change(place);
    const u32 height = tried_->container.height();
    lowest_ = number < warm ? height : std::min(lowest_, height);
    if (std::string wrong = tried_->container.check_path(whole(place).start); !wrong.empty())
      return wrong;
    if (number % 4096 == 0 || height != height_)
      if (std::string wrong = tried_->container.check(); !wrong.empty()) return wrong;
    height_ = height;
    const u64 address = whole(draw(places)).start + draw(place_size);
    if (range_of(tried_->container.find(address)) != range_of(reference_->container.find(address)))
      return "find differs";
    if (number % 64 != 0) return "";
    const u64 length = (1 + draw(16)) * page_size;
    if (tried_->container.find_gap(length) != reference_->container.find_gap(length))
      return "find_gap differs";
    return "";
  }
  // The least after the warm-up.
  u32 lowest() const { return lowest_; }

  static constexpr u64 warm = 4000;

 private:
  static constexpr u64 places = 200;
  // Takes all space above the places, so that holes are found among the places.
  static constexpr Range above{lowest_address + places * place_size, address_space_end};

  u64 draw(u64 n) { return random_() % n; }
  // The pages of a VMA at this place: all of them, so that it touches its neighbours, or some.
  Range drawn(u64 place) {
    const Range all = whole(place);
    if (draw(2) == 0) return all;
    const u64 first = draw(4);
    return {all.start + first * page_size, all.start + (first + 1 + draw(4 - first)) * page_size};
  }
  // Two of three places are taken in the mean.
  void change(u64 place) {
    auto& known = reference_->vmas[place];
    auto& tried = tried_->vmas[place];
    if (!there_[place]) {
      const Range range = drawn(place);
      reference_->insert(place, range);
      tried_->insert(place, range);
      there_[place] = true;
    } else if (draw(2) == 0) {
      const Range range = drawn(place);
      reference_->container.resize(known, range);
      tried_->container.resize(tried, range);
    } else {
      reference_->container.erase(known);
      tried_->container.erase(tried);
      there_[place] = false;
    }
  }
  template <class V>
  static std::pair<u64, u64> range_of(const V* vma) {
    return vma == nullptr ? std::pair<u64, u64>{} : std::pair{vma->range().start, vma->range().end};
  }

  struct Taken {
    Taken() {
      reference.insert(places, above);
      tried.insert(places, above);
    }
    Filled<N, vmas::SortedArray, places + 1> reference;
    Filled<N, vmas::Maple, places + 1> tried;
  };
  std::mt19937_64 random_{1};
  std::array<bool, places> there_{};
  std::unique_ptr<Taken> taken_ = std::make_unique<Taken>();
  Filled<N, vmas::SortedArray, places + 1>* reference_ = &taken_->reference;
  Filled<N, vmas::Maple, places + 1>* tried_ = &taken_->tried;
  u32 height_ = 0, lowest_ = 0;
};

TEST(Maple, AMillionOperationsAreThoseOfASortedArray) {
  NativeThread thread(0, 0, 0, 1);
  Operations operations;
  for (u64 number = 0; number < 1'000'000; ++number)
    ASSERT_EQ(operations.step(number), "") << "after " << number + 1 << " operations";
  EXPECT_GE(operations.lowest(), 3U);
}

// Four inserts in the worst place, a tree of which every node splits.
TEST(Maple, InsertsTakeOnlyReservedNodes) {
  NativeThread thread(0, 0, 0, 1);
  constexpr u64 places = 600;
  auto filled = std::make_unique<Filled<N, vmas::Maple, places>>();
  auto& tree = filled->container;
  for (u64 place = 0; place + 4 <= places; place += 4) {
    tree.reserve(4);
    const u64 before = tree.allocated_nodes();
    for (u64 i = place; i < place + 4; ++i) {
      const Range all = whole(i);
      filled->vmas[i].set_range({all.start, all.end - page_size});
      tree.insert(filled->vmas[i]);
    }
    ASSERT_EQ(tree.allocated_nodes(), before);
  }
  EXPECT_GE(tree.height(), 3U);
}

// Each thread maps and unmaps at a place of its own, under one lock.
struct Edited {
  using P = SimPlatform;
  static constexpr u32 most_threads = 1024;
  Ticket<P> lock;
  Filled<P, vmas::Maple, most_threads> filled;
  u64 edits = 0;
  void edit(u32 thread) {
    P::settle();
    filled.container.reserve(4);
    typename Ticket<P>::Node node;
    lock.lock(node);
    const Range all = whole(thread);
    filled.vmas[thread].set_range({all.start, all.end - page_size});
    filled.container.insert(filled.vmas[thread]);
    filled.container.erase(filled.vmas[thread]);
    edits += 2;
    lock.unlock(node);
  }
};

struct Outcome {
  u64 nodes = 0, edits = 0;
};
Outcome edit_for(u32 threads, u64 window_us) {
  Outcome outcome;
  const sim::Machine machine = sim::Machine::load("ideal-" + std::to_string(threads));
  run_loop<Edited>(machine, threads, window_us * 1000, [&](Edited& edited, u32 thread) {
    edited.edit(thread);
    outcome = {edited.filled.container.allocated_nodes(), edited.edits};
  });
  return outcome;
}

class SimMaple : public SimTest {};

// What a thread reserves for four inserts into a tree of four levels (44 nodes), what it keeps
// beyond, and dead nodes: the simulated RCU reclaims once a CPU has retired 64 batches.
constexpr u64 most_nodes_of_a_thread = 256;

TEST_F(SimMaple, MemoryStopsGrowingOnceNodesComeBack) {
  constexpr u32 threads = 16;
  const Outcome early = edit_for(threads, 20'000), late = edit_for(threads, 40'000);
  EXPECT_GT(early.edits, 64U * threads * 2);
  EXPECT_GT(late.edits, early.edits * 3 / 2);
  EXPECT_EQ(late.nodes, early.nodes);
  EXPECT_LT(late.nodes, most_nodes_of_a_thread * threads);
}

TEST_F(SimMaple, MemoryIsBoundedOn1024Cpus) {
  const Outcome outcome = edit_for(1024, 20'000);
  EXPECT_GT(outcome.edits, 1024U * 2);
  EXPECT_LT(outcome.nodes, most_nodes_of_a_thread * 1024);
}

}  // namespace
}  // namespace faultline
