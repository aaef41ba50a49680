// Each lock, each container of VMAs, each scheme and each kernel profile has results of its own in
// the simulator. Two entries of the catalogue whose results are equal on every case here are one
// entry under two names, or one of them does not do what it says.
#include <gtest/gtest.h>

#include <array>
#include <map>
#include <memory>
#include <string>

#include "harness/case/names.hpp"
#include "locks/any.hpp"
#include "locks/schemes/registry.hpp"
#include "tests/harness/sim_threads.hpp"

namespace faultline {
namespace {

using P = SimPlatform;
constexpr u64 us = 1000;

// The catalogue's tables outlive the simulated memory, so that the choice is made before.
template <class Any>
struct Held {
  static inline std::unique_ptr<const Chosen> chosen;
  Any lock{AddressSpaceOptions{.lock = chosen.get(), .ranges = chosen.get()}};
};

std::string text_of(const LoopResult& result) {
  return std::to_string(result.operations) + " operations, " +
         std::to_string(result.counts.accesses) + " accesses, " +
         std::to_string(result.counts.transfers) + " transfers; ";
}

// Calls hold(lock, exclusive, thread) again and again; it takes the lock, works and releases it.
template <class Any, class F>
std::string results(const Entry& entry, Families family, F&& hold) {
  Held<Any>::chosen = std::make_unique<const Chosen>(choose(family, entry.name));
  std::string text;
  for (const u32 threads : {1U, 8U, 32U})
    text += text_of(run_loop<Held<Any>>(sim::Machine::load("e7-8870"), threads, 300 * us,
                                        [&](Held<Any>& held, u32 thread) {
                                          hold(held.lock, P::random() % 4 == 0, thread);
                                          P::work(P::random() % 1000);
                                        }));
  return text;
}

std::string results_of(const Entry& entry) {
  switch (entry.family) {
    case mutex_family:
      return results<AnyMutex<P>>(entry, mutex_family, [](auto& lock, bool, u32) {
        AnyNode node;
        lock.lock(node);
        P::work(200);
        lock.unlock(node);
      });
    case shared_family:
      return results<AnyShared<P>>(entry, shared_family, [](auto& lock, bool exclusive, u32) {
        exclusive ? lock.lock() : lock.lock_shared();
        P::work(200);
        exclusive ? lock.unlock() : lock.unlock_shared();
      });
    default:
      return results<AnyRange<P>>(entry, range_family, [](auto& lock, bool exclusive, u32 thread) {
        AnyNode node;
        const u64 start = lowest_address + thread / 2 * page_size;
        lock.lock(node, {start, start + 2 * page_size}, exclusive);
        P::work(200);
        lock.unlock(node);
      });
  }
}

struct Space {
  static inline std::unique_ptr<const Chosen> scheme;
  std::unique_ptr<AddressSpace> space = make_scheme<P>(*scheme, {.threads = 8});
};

// Threads fault on pages of many VMAs, and one of four operations maps, unmaps or discards one, or
// scans all of them.
std::string results_under(const std::string& scheme) {
  Space::scheme = std::make_unique<const Chosen>(choose(scheme_family, scheme));
  std::array<bool, 8> entered{};
  const auto step = [&](Space& shared, u32 thread) {
    AddressSpace& space = *shared.space;
    if (!entered[thread]) space.enter(), entered[thread] = true;
    const u64 page = space.fixed_base() + (thread * 64 + P::random() % 32 * 2) * page_size;
    const u32 rights = prot_read | prot_write;
    const u64 drawn = P::random() % 32;
    if (drawn < 24)
      space.fault(page, Access::write);
    else if (drawn < 27)
      space.map(page, page_size, rights, map_fixed);
    else if (drawn < 30)
      space.unmap(page, page_size);
    else if (drawn < 31)
      space.discard(page, page_size);
    else
      space.scan();
  };
  return text_of(run_loop<Space>(sim::Machine::load("e7-8870"), 8, 1000 * us, step));
}

// Which earlier entry has the same results, or an empty string.
using Known = std::map<std::string, std::string>;
std::string twin(Known& known, const std::string& results, const std::string& name) {
  const auto [place, fresh] = known.emplace(results, name);
  return fresh ? "" : place->second;
}

class SimDistinct : public SimTest {};

TEST_F(SimDistinct, NoTwoLocksHaveEqualResults) {
  for (const Family family : {mutex_family, shared_family, range_family}) {
    Known known;
    for (const Entry& entry : catalogue(family)) {
      if (entry.native_only) continue;
      EXPECT_EQ(twin(known, results_of(entry), entry.name), "") << entry.name;
    }
    EXPECT_GT(known.size(), 1U);
  }
}

TEST_F(SimDistinct, NoTwoContainersHaveEqualResults) {
  Known known;
  for (const Entry& entry : catalogue(vmas_family))
    EXPECT_EQ(twin(known, results_under(std::string("mmap_sem:vmas=") + entry.name), entry.name),
              "")
        << entry.name;
  EXPECT_GT(known.size(), 1U);
}

TEST_F(SimDistinct, NoTwoSchemesAndKernelProfilesHaveEqualResults) {
  Known known;
  for (const Entry& entry : catalogue(scheme_family))
    if (!entry.native_only && entry.max_threads == 0) {
      EXPECT_EQ(twin(known, results_under(entry.name), entry.name), "") << entry.name;
    }
  for (const Profile& profile : profiles) {
    // A profile may be a scheme with its defaults, as its summary then says.
    const bool is_default = choose(scheme_family, profile.composition).departures() == 0;
    EXPECT_EQ(twin(known, results_under(profile.name), profile.name),
              is_default ? profile.composition : "")
        << profile.name;
  }
  EXPECT_GT(known.size(), 1U);
}

TEST_F(SimDistinct, OneLockTwiceIsFoundOut) {
  Known known;
  const Entry& entry = *find_entry(mutex_family, "ticket");
  EXPECT_EQ(twin(known, results_of(entry), entry.name), "");
  EXPECT_EQ(twin(known, results_of(entry), entry.name), "ticket");
}

}  // namespace
}  // namespace faultline
