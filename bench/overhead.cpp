// Measures what faultline itself costs and prints it beside the targets: its loop against a
// hand-written one, the virtual call of the address space, and rwsem's read path against bare
// additions and against locks of the C and C++ libraries. The contestants take turns in short
// batches, forwards and backwards, so that other load on the machine affects all of them alike.
// Each round gives a ratio; the output is the median over the rounds with its bootstrap interval.
#include <fmt/format.h>
#include <pthread.h>
#include <sched.h>

#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <exception>
#include <fstream>
#include <functional>
#include <latch>
#include <memory>
#include <shared_mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "harness/native/platform.hpp"
#include "harness/stats/stats.hpp"
#include "harness/topology/pinned.hpp"
#include "locks/mutex/ticket.hpp"
#include "locks/schemes/mmap_sem.hpp"
#include "locks/shared/no_lock.hpp"
#include "locks/shared/rwsem.hpp"
#include "locks/vmas/rbtree.hpp"
#include "workloads/lock_loop.hpp"

namespace faultline {
namespace {

using P = NativePlatform;

constexpr u32 rounds = 75;
constexpr u64 batch = 10'000;                     // operations of a batch that counts them
constexpr std::chrono::microseconds window{500};  // length of a batch that the clock ends

// Registers the calling thread and pins it.
class Pinned {
 public:
  Pinned(u32 id, u32 cpu) : thread_(id, cpu, 0, id) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    if (sched_setaffinity(0, sizeof(set), &set) != 0)
      throw std::runtime_error(fmt::format("CPU {}: cannot pin a thread there", cpu));
  }

 private:
  NativeThread thread_;
};

// ---- contestants in turn

struct Contestant {
  std::string name;
  std::function<double()> run;  // runs one batch; returns nanoseconds an operation
};

using Rounds = std::vector<std::vector<double>>;  // [contestant][round]

Rounds take_turns(const std::vector<Contestant>& contestants) {
  Rounds values(contestants.size());
  for (const Contestant& contestant : contestants) contestant.run();  // warms up
  for (u32 round = 0; round < rounds; ++round) {
    for (usize i = 0; i < contestants.size(); ++i) values[i].push_back(contestants[i].run() / 2);
    for (usize i = contestants.size(); i-- > 0;) values[i].back() += contestants[i].run() / 2;
  }
  return values;
}

Estimate over_rounds(const std::vector<double>& a, const std::vector<double>& b,
                     double (*combine)(double, double)) {
  std::vector<double> values;
  for (usize i = 0; i < a.size(); ++i) values.push_back(combine(a[i], b[i]));
  return bootstrap_median(values);
}
Estimate ratio(const std::vector<double>& a, const std::vector<double>& b) {
  return over_rounds(a, b, [](double x, double y) { return x / y; });
}
Estimate difference(const std::vector<double>& a, const std::vector<double>& b) {
  return over_rounds(a, b, [](double x, double y) { return x - y; });
}

// How much more the first contestant may cost than another: at most `ratio` times as much, or, if
// more_ns is not negative, at most `more_ns` nanoseconds more. A ratio of 0 sets no target.
struct Target {
  double ratio = 0;
  double more_ns = -1;

  std::string judge(const Estimate& times, const Estimate& more) const {
    if (ratio == 0) return "shown";
    const bool met = times.median <= ratio || more.median <= more_ns;
    const std::string wanted = more_ns < 0
                                   ? fmt::format("at most {:.2f}", ratio)
                                   : fmt::format("at most {:.2f} or {} ns more", ratio, more_ns);
    return wanted + (met ? ": met" : ": MISSED");
  }
};

void print_comparison(const std::vector<Contestant>& contestants,
                      const std::vector<Target>& targets) {
  const Rounds values = take_turns(contestants);
  fmt::print("  {:<34} {:8.2f} ns\n", contestants[0].name, median(values[0]));
  for (usize i = 1; i < contestants.size(); ++i) {
    const Estimate times = ratio(values[0], values[i]);
    const Estimate more = difference(values[0], values[i]);
    fmt::print(
        "  against {:<26} {:8.2f} ns   ratio {:.3f} [{:.3f}, {:.3f}]   {:+.2f} ns [{:+.2f}, "
        "{:+.2f}]   {}\n",
        contestants[i].name, median(values[i]), times.median, times.low, times.high, more.median,
        more.low, more.high, targets[i - 1].judge(times, more));
  }
}

// ---- loops

// Runs `batch` turns; returns the nanoseconds a turn took.
template <class Turn>
double time_turns(Turn turn) {
  const u64 start = P::now();
  for (u64 i = 0; i < batch; ++i) turn();
  return static_cast<double>(P::now() - start) / batch;
}

// Runs body(index) on a pinned thread for each CPU, all released at once, and returns the mean of
// their results. `opened`, if given, is the window that they work in: this function closes it after
// `window`.
double on_threads(const std::vector<u32>& cpus, const std::function<double(u32)>& body,
                  Window<P>* opened = nullptr) {
  std::latch ready(static_cast<std::ptrdiff_t>(cpus.size()));
  std::atomic<bool> released{false};
  std::vector<double> values(cpus.size());
  std::vector<std::thread> threads;
  if (opened != nullptr) opened->phase = phase_measure;
  for (u32 i = 0; i < cpus.size(); ++i)
    threads.emplace_back([&, i] {
      const Pinned self(i + 1, cpus[i]);
      ready.count_down();
      while (!released) P::pause(&released);
      values[i] = body(i);
    });
  ready.wait();
  released = true;
  if (opened != nullptr) {
    std::this_thread::sleep_for(window);
    opened->phase = phase_stop;
  }
  double sum = 0;
  for (u32 i = 0; i < cpus.size(); ++i) {
    threads[i].join();
    sum += values[i];
  }
  return sum / static_cast<double>(cpus.size());
}

// Returns nanoseconds an operation; NaN if the thread did not run during the window.
double faultline_loop(Workload<P>& workload, const Window<P>& opened, u32 index, u32 threads) {
  Worker<P> worker(nullptr, opened, index, threads, Role::all, false, nullptr);
  workload.run(worker);
  worker.finish();
  const Tally& tally = worker.tally();
  const u64 operations = tally.operations[static_cast<usize>(Operation::lock)];
  return static_cast<double>(tally.last_ns - tally.first_ns) / static_cast<double>(operations);
}

double hand_written_loop(Ticket<P>& ticket, const Window<P>& opened) {
  u64 operations = 0;
  const u64 start = P::now();
  // relaxed: the phase passes no data.
  while (opened.phase.load(std::memory_order_relaxed) != phase_stop) {
    Ticket<P>::Node node;
    ticket.lock(node);
    ticket.unlock(node);
    ++operations;
  }
  return static_cast<double>(P::now() - start) / static_cast<double>(operations);
}

// ---- what is compared

struct alignas(cache_line) Words {
  std::atomic<u64> count{0};
};

// Compares the loops on one thread for each of `cpus`, all at once.
void compare_loops(const std::vector<u32>& cpus, const Target& target) {
  Window<P> opened;
  LockLoop<P, Ticket<P>> workload(choose_workload("lock_loop"));
  alignas(cache_line) Ticket<P> ticket;
  const u32 threads = static_cast<u32>(cpus.size());
  auto run = [&](const std::function<double(u32)>& body) {
    for (;;)
      if (const double time = on_threads(cpus, body, &opened); std::isfinite(time)) return time;
  };
  print_comparison(
      {{"lock_loop over ticket",
        [&] { return run([&](u32 i) { return faultline_loop(workload, opened, i, threads); }); }},
       {"a loop written by hand",
        [&] { return run([&](u32) { return hand_written_loop(ticket, opened); }); }}},
      {target});
}

void compare_read_locks(const std::vector<u32>& cpus, const std::vector<Target>& targets) {
  const auto owned = std::make_unique<Rwsem<P>>();
  Rwsem<P>& rwsem = *owned;  // a reference, so that a turn follows no pointer, like the other locks
  Words bare;
  alignas(cache_line) pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
  alignas(cache_line) std::shared_mutex shared_mutex;
  auto run = [&cpus](auto turn) { return on_threads(cpus, [&](u32) { return time_turns(turn); }); };
  print_comparison({{"rwsem, read lock and unlock",
                     [&] {
                       return run([&] {
                         rwsem.lock_shared();
                         rwsem.unlock_shared();
                       });
                     }},
                    {"two bare locked RMWs",
                     [&] {
                       return run([&] {
                         // acquire and release: as in lock_shared() and unlock_shared() of rwsem.
                         bare.count.fetch_add(256, std::memory_order_acquire);
                         bare.count.fetch_sub(256, std::memory_order_release);
                       });
                     }},
                    {"pthread_rwlock",
                     [&] {
                       return run([&] {
                         pthread_rwlock_rdlock(&rwlock);
                         pthread_rwlock_unlock(&rwlock);
                       });
                     }},
                    {"std::shared_mutex",
                     [&] {
                       return run([&] {
                         shared_mutex.lock_shared();
                         shared_mutex.unlock_shared();
                       });
                     }}},
                   targets);
}

constexpr u64 pages = 512;

// Faults once on each page of the region at `base`; returns the nanoseconds a fault took.
template <class Fault>
double fault_pages(u64 base, Fault fault) {
  const u64 start = P::now();
  for (u64 page = 0; page < pages; ++page) fault(base + page * page_size);
  return static_cast<double>(P::now() - start) / pages;
}

// Nanoseconds of a page's first fault, through the interface, so that the compiler does not know
// the scheme.
double first_faults(AddressSpace& space, u64 base) {
  space.discard(base, pages * page_size);
  return fault_pages(base, [&](u64 address) { space.fault(address, Access::write); });
}

u64 map_region(AddressSpace& space) {
  space.enter();
  return space.map(0, pages * page_size, prot_read | prot_write, 0).address;
}

// Times the virtual call on faults whose page is present, since it is a large enough part of these
// to be measured. Prints it as a share of a fault that must clear a page.
void show_virtual_call() {
  using None = MmapSem<Mm<P, vmas::RbTree, NoHooks>, NoLock<P>>;
  const auto none = std::make_unique<None>(AddressSpaceOptions{});
  const std::unique_ptr<AddressSpace> locked =
      std::make_unique<MmapSem<Mm<P, vmas::RbTree, NoHooks>, Rwsem<P>>>(AddressSpaceOptions{});
  AddressSpace* volatile hidden = none.get();
  AddressSpace& space = *hidden;
  const u64 base = map_region(space);
  const u64 locked_base = map_region(*locked);
  auto by_interface = [&](u64 address) { space.fault(address, Access::write); };
  auto directly = [&](u64 address) { none->None::fault(address, Access::write); };
  const Rounds values =
      take_turns({{"none", [&] { return first_faults(space, base); }},
                  {"by interface", [&] { return fault_pages(base, by_interface); }},
                  {"directly", [&] { return fault_pages(base, directly); }},
                  {"mmap_sem", [&] { return first_faults(*locked, locked_base); }}});
  const Estimate call = difference(values[1], values[2]);
  const double fault = median(values[0]);
  fmt::print("  a fault of scheme none, page cleared {:6.2f} ns (mmap_sem: {:.2f} ns)\n", fault,
             median(values[3]));
  fmt::print(
      "  the virtual call                   {:8.2f} ns [{:+.2f}, {:+.2f}], {:.2f} % of that "
      "fault   shown\n",
      call.median, call.low, call.high, 100 * call.median / fault);
}

std::string cpu_model() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);)
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  return "unnamed CPU";
}

void run() {
  const std::vector<u32> cpus = allowed_cpus();
  fmt::print("native, {}, {} CPU(s); {} rounds, median [95 % interval]\n", cpu_model(), cpus.size(),
             2 * rounds);
  const std::vector<u32> one{cpus[0]};
  fmt::print("one thread\n");
  compare_loops(one, {.ratio = 1.03, .more_ns = 0.3});
  on_threads(one, [](u32) { return show_virtual_call(), 0.0; });
  compare_read_locks(one, {{.ratio = 1.15}, {.ratio = 1.0}, {.ratio = 1.0}});
  if (cpus.size() == 1) {
    fmt::print("two threads: left out, one CPU is allowed\n");
    return;
  }
  const std::vector<u32> two{cpus[0], cpus[1]};
  fmt::print("two threads, time of each\n");
  compare_loops(two, {});
  compare_read_locks(two, {{}, {}, {}});
}

}  // namespace
}  // namespace faultline

int main(int argc, char** argv) {
  if (argc > 1) {
    fmt::print(stderr, "overhead: '{}': no arguments are expected\n", argv[1]);
    return 2;
  }
  try {
    faultline::run();
  } catch (const std::exception& error) {
    fmt::print(stderr, "overhead: {}\n", error.what());
    return 1;
  }
  return 0;
}
