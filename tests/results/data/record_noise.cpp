// The program that recorded noisy.json. It is not built with the tests. Each trial is a process of
// its own, 50 ms of warm-up and a window of 0.2 s, two pinned threads, the cases interleaved at
// random: as `faultline run` measures.
//
//   g++ -std=c++20 -O2 -pthread record_noise.cpp -o record_noise && nice -n -20 ./record_noise 120
//   "NOTE" > noisy.json
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <barrier>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <mutex>
#include <random>
#include <shared_mutex>
#include <string>
#include <thread>
#include <vector>

namespace {

constexpr int threads = 2;
constexpr std::size_t region = 1 << 20;
constexpr std::size_t page = 4096;
const std::vector<std::string> cases = {"counter", "mutex", "rwlock_clear", "kernel_faults"};

struct Shared {
  std::atomic<bool> stop{false};
  std::atomic<bool> counting{false};
  alignas(64) std::atomic<long> counter{0};
  alignas(64) std::mutex mutex;
  alignas(64) std::shared_mutex rwlock;
};

char* map_region() {
  void* memory = mmap(nullptr, region, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) std::abort();
  madvise(memory, region, MADV_NOHUGEPAGE);
  return static_cast<char*>(memory);
}

/** One operation of the case; `at` walks over the thread's own pages. */
void operation(const std::string& name, Shared& shared, char* memory, std::size_t& at) {
  if (name == "counter") {
    // relaxed: it pairs with nothing, since only its cost counts.
    shared.counter.fetch_add(1, std::memory_order_relaxed);
  } else if (name == "mutex") {
    const std::lock_guard lock(shared.mutex);
    std::memset(memory, static_cast<int>(at), 256);
  } else if (name == "rwlock_clear") {
    const std::shared_lock lock(shared.rwlock);
    std::memset(memory + at, 0, page);
  } else {
    memory[at] = 1;
  }
  at += page;
  if (at < region) return;
  at = 0;
  if (name == "kernel_faults") madvise(memory, region, MADV_DONTNEED);
}

double one_thread(int cpu, const std::string& name, Shared& shared, std::barrier<>& start) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  if (pthread_setaffinity_np(pthread_self(), sizeof set, &set) != 0) std::abort();
  char* memory = map_region();
  std::memset(memory, 1, region);
  std::size_t at = 0;
  start.arrive_and_wait();
  while (!shared.counting.load()) operation(name, shared, memory, at);
  const auto first = std::chrono::steady_clock::now();
  long done = 0;
  for (; !shared.stop.load(std::memory_order_relaxed); ++done) operation(name, shared, memory, at);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - first;
  return static_cast<double>(done) / took.count();
}

double trial(const std::string& name) {
  Shared shared;
  std::barrier start(threads + 1);
  std::vector<double> rates(threads);
  std::vector<std::thread> workers;
  for (int i = 0; i < threads; ++i) {
    workers.emplace_back(
        [&, i] { rates[static_cast<std::size_t>(i)] = one_thread(i, name, shared, start); });
  }
  start.arrive_and_wait();
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  shared.counting = true;
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  shared.stop = true;
  for (std::thread& worker : workers) worker.join();
  double sum = 0;
  for (double rate : rates) sum += rate;
  return sum;
}

/** Ticks of 10 ms that the hypervisor kept from all CPUs since boot. */
long steal_ticks() {
  std::ifstream stat("/proc/stat");
  std::string name;
  long ticks = 0;
  stat >> name;
  for (int column = 0; column < 8; ++column) stat >> ticks;
  return ticks;
}

double trial_in_process(const std::string& name) {
  int ends[2];
  if (pipe(ends) != 0) std::abort();
  const pid_t child = fork();
  if (child == 0) {
    const double rate = trial(name);
    _exit(write(ends[1], &rate, sizeof rate) == sizeof rate ? 0 : 1);
  }
  double rate = 0;
  if (child < 0 || read(ends[0], &rate, sizeof rate) != sizeof rate) std::abort();
  waitpid(child, nullptr, 0);
  close(ends[0]);
  close(ends[1]);
  return rate;
}

}  // namespace

int main(int, char** argv) {
  const int repetitions = std::atoi(argv[1]);
  std::vector<std::size_t> order;
  for (int i = 0; i < repetitions; ++i) {
    for (std::size_t c = 0; c < cases.size(); ++c) order.push_back(c);
  }
  std::shuffle(order.begin(), order.end(), std::mt19937_64(1));
  std::vector<std::string> rates(cases.size());
  for (std::size_t c : order) {
    long before = 0;
    double rate = 0;
    // As in a run, a trial that lost more than 5 % of its window to the hypervisor is discarded.
    do {
      before = steal_ticks();
      rate = trial_in_process(cases[c]);
    } while (steal_ticks() - before > 2);
    if (!rates[c].empty()) rates[c] += ", ";
    rates[c] += std::to_string(static_cast<long>(rate));
  }
  std::printf("{\n\"note\": \"%s\",\n\"cases\": {\n", argv[2]);
  for (std::size_t c = 0; c < cases.size(); ++c) {
    std::printf("\"%s\": [%s]%s\n", cases[c].c_str(), rates[c].c_str(),
                c + 1 < cases.size() ? "," : "");
  }
  std::printf("}\n}\n");
}
