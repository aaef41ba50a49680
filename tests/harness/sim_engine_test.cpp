#include <gtest/gtest.h>

#include <numeric>

#include "harness/sim/platform.hpp"
#include "locks/mutex/mcs.hpp"
#include "locks/mutex/ticket.hpp"
#include "locks/shared/rwsem.hpp"
#include <chrono>

namespace faultline {
namespace {

using P = SimPlatform;

template <class L>
void contend(const char* name, const char* machine_name, u32 n) {
  const sim::Machine machine = sim::Machine::load(machine_name);
  std::vector<u32> cpus(n);
  std::iota(cpus.begin(), cpus.end(), 0);
  sim::Simulation simulation(machine, cpus, {});
  auto lock = simulation.make<L>();
  auto stop = simulation.make<P::atomic<u32>>(0);
  u64 done = 0;
  for (u32 i = 0; i < n; ++i)
    simulation.set_body(i, [&] {
      while (stop->load(std::memory_order_relaxed) == 0) {
        typename L::Node node;
        lock->lock(node);
        P::work(50);
        lock->unlock(node);
        ++done;
      }
    });
  simulation.at(1'000'000, [&] { stop->store(1, std::memory_order_relaxed); });
  auto t0 = std::chrono::steady_clock::now();
  simulation.run();
  double s = std::chrono::duration<double>(std::chrono::steady_clock::now() - t0).count();
  auto c = simulation.counts();
  printf("%s %s %u: %lu done, %lu ns, %lu accesses %lu transfers, host %.3f s, %.1f M/s transfers %.1f M/s\n", name, machine_name, n, done, simulation.now_ns(), c.accesses, c.transfers, s, 1e-6*(double)c.accesses/s, 1e-6*(double)c.transfers/s);
}
struct Faa {
  struct Node {};
  P::atomic<u64> w{0};
  void lock(Node&) { w.fetch_add(1, std::memory_order_relaxed); }
  void unlock(Node&) {}
};
struct Rd {
  struct Node {};
  Rwsem<P> s;
  void lock(Node&) { s.lock_shared(); }
  void unlock(Node&) { s.unlock_shared(); }
};
struct Wr {
  struct Node {};
  Rwsem<P> s;
  void lock(Node&) { s.lock(); }
  void unlock(Node&) { s.unlock(); }
};

TEST(Sim, AThreadAloneRunsToItsEnd) {
  for (const char* m : {"ideal-1024", "e7-8870"})
    for (u32 n : {1, 2, 4, 16, 64, 256, 1024}) {
      if (m[0] == 'e' && n > 64) break;
      contend<Faa>("faa", m, n);
      contend<Ticket<P>>("ticket", m, n);
      contend<Mcs<P>>("mcs", m, n);
      contend<Rd>("rwsem read", m, n);
      contend<Wr>("rwsem write", m, n);
    }
}

}  // namespace
}  // namespace faultline
