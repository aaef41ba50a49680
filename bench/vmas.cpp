// Compares the look-ups of `maple` and `rbtree` at 1,000 VMAs, under the lock and under RCU, and
// shows the memory that each container takes for a VMA. The containers take turns in short batches,
// forwards and backwards, so that other load on the machine affects both alike. Each round gives a
// ratio; the output is the median over the rounds with its bootstrap interval.
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstdio>
#include <exception>
#include <memory>
#include <random>
#include <stdexcept>
#include <vector>

#include "harness/native/platform.hpp"
#include "harness/stats/stats.hpp"
#include "locks/address_space/mm.hpp"
#include "locks/vmas/bonsai.hpp"
#include "locks/vmas/maple.hpp"
#include "locks/vmas/rbtree.hpp"
#include "locks/vmas/skiplist.hpp"
#include "locks/vmas/sorted_array.hpp"
#include "locks/vmas/xarray.hpp"

namespace faultline {
namespace {

using P = NativePlatform;

constexpr u32 rounds = 75;
constexpr u64 batch = 10'000;
constexpr u64 vma_count = 1000;

template <class Family>
class Filled {
 public:
  using V = Vma<P, Family::template Links, NoHooks::State, Layout::linux_6_18>;
  using Container = typename Family::template Container<P, V>;

  // `order`: the places of the VMAs in the order in which they are mapped. Every second VMA touches
  // the next one.
  explicit Filled(const std::vector<u64>& order) : vmas_(order.size()) {
    for (u64 i = 0; i < order.size(); ++i) {
      const u64 start = lowest_address + order[i] * 4 * page_size;
      vmas_[i].set_range({start, start + (order[i] % 2 == 0 ? 4 : 3) * page_size});
      container_.reserve(1);
      container_.insert(vmas_[i]);
    }
  }
  const Container& container() const { return container_; }

  // Nanoseconds a look-up.
  double find(const std::vector<u64>& addresses) const {
    return time(addresses, [&](u64 address) { return container_.find(address); });
  }
  double find_rcu(const std::vector<u64>& addresses) const {
    return time(addresses, [&](u64 address) {
      P::rcu::read_lock();
      const V* vma = container_.find_rcu(address);
      P::rcu::read_unlock();
      return vma;
    });
  }

 private:
  // Each look-up begins when the one before has its answer, as those of faults do.
  template <class F>
  double time(const std::vector<u64>& addresses, const F& look_up) const {
    u64 found = 0;
    const u64 start = P::now();
    for (const u64 address : addresses) {
      const V* vma = look_up(address + (found & 1));
      found += vma->range().start & 1;  // always 0, which the compiler does not know
    }
    const u64 end = P::now();
    if (found != 0) throw std::logic_error("a VMA begins within a page");
    return static_cast<double>(end - start) / static_cast<double>(addresses.size());
  }

  std::vector<V> vmas_;
  Container container_;
};

template <class F, class G>
void compare(const char* what, const F& maple, const G& rbtree) {
  std::vector<double> maples, rbtrees, ratios;
  maple(), rbtree();  // warm up
  for (u32 round = 0; round < rounds; ++round) {
    double m = maple(), r = rbtree();
    r += rbtree(), m += maple();
    maples.push_back(m / 2), rbtrees.push_back(r / 2), ratios.push_back(m / r);
  }
  const Estimate ratio = bootstrap_median(ratios);
  fmt::print("  {:<10} maple {:6.2f} ns   rbtree {:6.2f} ns   ratio {:.3f} [{:.3f}, {:.3f}]   {}\n",
             what, median(maples), median(rbtrees), ratio.median, ratio.low, ratio.high,
             ratio.median <= 1 ? "no slower: met" : "no slower: MISSED");
}

// `beside`: bytes of the container that belong to no VMA.
template <class Family>
void print_memory(const char* name, u64 beside) {
  using V = typename Filled<Family>::V;
  fmt::print("  {:<14} {:4} bytes of a VMA and its links, {:4} bytes beside: {:4} for a VMA\n",
             name, sizeof(V), beside / vma_count, sizeof(V) + beside / vma_count);
}

void run() {
  NativeThread thread(0, 0, 0, 1);
  std::mt19937_64 random(1);
  std::vector<u64> order(vma_count), addresses(batch);
  for (u64 i = 0; i < vma_count; ++i) order[i] = i;
  std::shuffle(order.begin(), order.end(), random);
  for (u64& address : addresses)
    address = lowest_address + random() % vma_count * 4 * page_size + random() % 3 * page_size;
  const auto maple = std::make_unique<Filled<vmas::Maple>>(order);
  const auto rbtree = std::make_unique<Filled<vmas::RbTree>>(order);
  fmt::print("look-ups at {} VMAs, one thread, height of maple {}\n", vma_count,
             maple->container().height());
  compare(
      "find", [&] { return maple->find(addresses); }, [&] { return rbtree->find(addresses); });
  compare(
      "find_rcu", [&] { return maple->find_rcu(addresses); },
      [&] { return rbtree->find_rcu(addresses); });
  fmt::print("memory at {} VMAs, every second of which touches the next\n", vma_count);
  print_memory<vmas::RbTree>("rbtree", 0);
  print_memory<vmas::Maple>("maple", maple->container().live_nodes() * vmas::maple_node_size);
  print_memory<vmas::Bonsai>("bonsai",
                             vma_count * sizeof(vmas::BonsaiNode<P, Filled<vmas::Bonsai>::V>));
  const auto xarray = std::make_unique<Filled<vmas::XArray>>(order);
  print_memory<vmas::XArray>("xarray",
                             xarray->container().live_nodes() * vmas::XArrayNode<P, 6>::bytes);
  print_memory<vmas::SkipList>(
      "skiplist", vma_count * sizeof(vmas::SkipListNode<P, Filled<vmas::SkipList>::V>));
  print_memory<vmas::SortedArray>("sorted_array", sizeof(void*) * std::bit_ceil(vma_count));
}

}  // namespace
}  // namespace faultline

int main() {
  try {
    faultline::run();
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "vmas: %s\n", error.what());
    return 1;
  }
}
