// Measures how fast the simulator is: it runs fixed cases on one host core, each for a fixed
// simulated time and in a process of its own. An event is a hit (an access that the CPU's own cache
// serves) or a transfer of a line. KiB/CPU is the growth of the process for each simulated CPU; in
// the last two cases it includes the workload's data.
//
//   bench/sim [CASE [CPUS]]
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <ctime>
#include <fstream>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "harness/sim/platform.hpp"
#include "workloads/registry.hpp"

namespace faultline {
namespace {

using P = SimPlatform;

struct Case {
  const char* name;
  const char* workload;
  const char* lock_or_scheme;
  u64 simulated_us;
};
constexpr Case cases[] = {
    {"ticket", "lock_loop", "ticket", 100'000},
    {"rwsem read side", "lock_loop:read=100", "rwsem", 100'000},
    {"page_fault1", "page_fault1", "refcount", 2'000},
    {"mix", "mix", "refcount", 2'000},
};

double host_seconds() {
  timespec now;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

double resident_kib() {
  long pages = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> pages >> resident;
  return static_cast<double>(resident) * static_cast<double>(sysconf(_SC_PAGESIZE)) / 1024;
}

// What the threads of a case share. All of it lies in the simulated memory.
struct Shared {
  std::unique_ptr<AddressSpace> space;
  std::unique_ptr<Workload<P>> workload;
  std::unique_ptr<Window<P>> window;

  Shared(const Case& which, u32 threads) {
    const bool bare = std::string(which.workload).starts_with("lock_loop");
    const sim::ArenaScope scope;
    workload = make_workload<P>(which.workload, which.lock_or_scheme, threads);
    window = std::make_unique<Window<P>>();
    if (bare) return;
    AddressSpaceOptions options;
    options.threads = threads;
    options.clear_pages = false;
    workload->demands(options);
    space = make_scheme<P>(choose(scheme_family, which.lock_or_scheme), options);
  }
};

struct Moment {
  double host_s = 0;
  sim::Counts counts;
};

void run_case(const Case& which, u32 threads) {
  const double kib_before = resident_kib();
  const sim::Machine machine = sim::Machine::load(fmt::format("ideal-{}", threads));
  std::vector<u32> cpus(threads);
  std::iota(cpus.begin(), cpus.end(), 0);
  sim::Simulation simulation(machine, cpus, {});
  Shared shared(which, threads);
  u64 done = 0;
  Moment opened, closed;
  for (u32 thread = 0; thread < threads; ++thread)
    simulation.set_body(thread, [&, thread] {
      Worker<P> worker(shared.space.get(), *shared.window, thread, threads, Role::all, false,
                       nullptr);
      if (shared.space) shared.space->enter();
      simulation.meet();
      if (thread == 0) shared.workload->set_up(worker);
      simulation.meet();
      shared.workload->enter(worker);
      simulation.meet();
      if (thread == 0) {
        const u64 now = simulation.now_ns();
        const auto enter = [&](u32 phase, Moment& moment) {
          return [&, phase] {
            moment = {host_seconds(), simulation.counts()};
            // relaxed: the phase passes no data.
            shared.window->phase.store(phase, std::memory_order_relaxed);
          };
        };
        simulation.at(now, enter(phase_measure, opened));
        simulation.at(now + which.simulated_us * 1000, enter(phase_stop, closed));
      }
      shared.workload->run(worker);
      worker.finish();
      const auto& operations = worker.tally().operations;
      done += std::accumulate(operations.begin(), operations.end(), u64{0});
    });
  simulation.run();
  const double seconds = closed.host_s - opened.host_s;
  const sim::Counts counts = closed.counts.since(opened.counts);
  fmt::print("{:16} {:5} {:9.3f} {:12} {:12} {:12} {:10.1f} {:9.0f}\n", which.name, threads,
             seconds, done, counts.hits, counts.transfers,
             1e-6 * static_cast<double>(counts.hits + counts.transfers) / seconds,
             (resident_kib() - kib_before) / threads);
}

int run_all(const std::string& only, u32 only_threads) {
  fmt::print("{:16} {:>5} {:>9} {:>12} {:>12} {:>12} {:>10} {:>9}\n", "case", "CPUs", "host s",
             "operations", "hits", "transfers", "M events/s", "KiB/CPU");
  int failed = 0;
  for (const Case& which : cases)
    for (const u32 threads : {16U, 64U, 256U, 1024U}) {
      if ((!only.empty() && only != which.name) || (only_threads != 0 && only_threads != threads))
        continue;
      std::fflush(stdout);
      const pid_t child = fork();
      if (child == 0) {
        try {
          run_case(which, threads);
        } catch (const sim::Stuck& stuck) {
          fmt::print(stderr, "{}: {}\n{}\n", which.name, stuck.what(),
                     fmt::join(stuck.waiting, "\n"));
          _exit(1);
        }
        std::fflush(stdout);
        _exit(0);
      }
      int status = 0;
      waitpid(child, &status, 0);
      failed += status != 0;
    }
  return failed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace faultline

int main(int argc, char** argv) {
  return faultline::run_all(argc > 1 ? argv[1] : "",
                            argc > 2 ? static_cast<faultline::u32>(std::atoi(argv[2])) : 0);
}
