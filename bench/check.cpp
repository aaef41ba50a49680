// Measures how many executions a second the checker runs, by lock and number of threads. Beside the
// ticket lock it shows bare Relacy: Relacy's own random scheduler, without our search, on the same
// lock.
#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "harness/check/common/search.hpp"
#include "harness/check/weak_memory/scheduler.hpp"

namespace faultline::check {
namespace {

constexpr u64 bare_executions = 300'000;
// Acquisitions of each thread. With four, even the ticket lock's search lasts long enough that its
// start does not count.
constexpr u32 acquisitions = 4;

class BareTicket {
 public:
  void lock() {
    const unsigned mine = next_.fetch_add(1, rl::mo_relaxed, {});
    while (serving_.load(rl::mo_acquire, {}) != mine) rl::ctx().yield(1, {});
  }
  void unlock() { serving_.store(serving_.load(rl::mo_relaxed, {}) + 1, rl::mo_release, {}); }

 private:
  rl::atomic<unsigned> next_{0};
  rl::atomic<unsigned> serving_{0};
};

template <rl::thread_id_t threads>
struct BareSuite : rl::test_suite<BareSuite<threads>, threads> {
  BareTicket ticket;
  rl::var<unsigned> guarded{0};
  void thread(unsigned) {
    for (u32 i = 0; i < acquisitions; ++i) {
      ticket.lock();
      guarded(rl::debug_info()).store(guarded(rl::debug_info()).load() + 1);
      ticket.unlock();
    }
  }
};

template <rl::thread_id_t threads>
double bare_rate() {
  std::ostream nowhere(nullptr);
  rl::test_params params;
  params.output_stream = params.progress_stream = &nowhere;
  params.iteration_count = bare_executions;
  rl::ostringstream state;
  const double start = cpu_seconds();
  rl::run_test<BareSuite<threads>, rl::random_scheduler<threads>>(params, state, false);
  return static_cast<double>(bare_executions) / (cpu_seconds() - start);
}

double rate(const char* lock, u32 threads) {
  const Checked& checked = *find_checked(lock);
  const Program program{std::vector<Script>(threads, Script(acquisitions)), false, {}};
  SearchOptions options;
  options.threads = threads;
  SearchLimits limits;
  limits.seconds = 1;
  const Outcome outcome = explore(checked, program, options, limits);
  return static_cast<double>(outcome.executions) / outcome.seconds;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

template <rl::thread_id_t threads>
void compare_with_bare() {
  std::vector<double> ours, bare, ratios;
  for (int round = 0; round < 5; ++round) {
    bare.push_back(bare_rate<threads>());
    ours.push_back(rate("ticket", threads));
    ratios.push_back(ours.back() / bare.back());
  }
  fmt::print("{:<18} {} threads {:>10.0f}/s   bare Relacy {:>10.0f}/s   ratio {:.2f}\n", "ticket",
             threads, median(ours), median(bare), median(ratios));
}

void run() {
  fmt::print("executions a second of CPU time, {} acquisitions a thread; exhaustive search\n",
             acquisitions);
  compare_with_bare<2>();
  compare_with_bare<3>();
  for (const char* lock : {"mcs", "rwsem", "tree_range_lock"})
    for (u32 threads : {2U, 3U})
      fmt::print("{:<18} {} threads {:>10.0f}/s\n", lock, threads, rate(lock, threads));
}

}  // namespace
}  // namespace faultline::check

int main() {
  faultline::check::run();
}
