// Shows what an uncontended acquisition and release of a range costs, beside a pthread_rwlock in
// the same mode. The contestants take turns in short batches, forwards and backwards, so that other
// load on the machine affects all of them alike. Each round gives a ratio; the output is the median
// over the rounds with its bootstrap interval.
//
//     range [NAME=LIBRARY]...
//
// Each LIBRARY has a range lock of other people behind the functions of bench/foreign/library.hpp.
// Its time includes calls through pointers, which the other contestants do not have.
#include <dlfcn.h>
#include <fmt/format.h>
#include <pthread.h>

#include <cstdio>
#include <exception>
#include <filesystem>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "bench/foreign/library.hpp"
#include "harness/native/platform.hpp"
#include "harness/stats/stats.hpp"
#include "locks/range/list.hpp"
#include "locks/range/nesting.hpp"

namespace faultline {
namespace {

using P = NativePlatform;

constexpr u32 rounds = 75;
// Small, since locks of other people may keep the memory of each range that was locked.
constexpr u64 batch = 1'000;
constexpr Range page{16 * page_size, 17 * page_size};

struct Contestant {
  std::string name;
  std::function<double()> run;  // runs one batch; returns nanoseconds a pair
};

template <class Pair>
double time_pairs(const Pair& pair) {
  const u64 start = P::now();
  for (u64 i = 0; i < batch; ++i) pair();
  return static_cast<double>(P::now() - start) / batch;
}

Contestant pthread_rwlock(bool exclusive) {
  auto lock = std::make_shared<pthread_rwlock_t>();
  pthread_rwlock_init(lock.get(), nullptr);
  return {"pthread_rwlock", [lock, exclusive] {
            return time_pairs([&] {
              exclusive ? pthread_rwlock_wrlock(lock.get()) : pthread_rwlock_rdlock(lock.get());
              pthread_rwlock_unlock(lock.get());
            });
          }};
}

// `others`: how many disjoint ranges the thread holds meanwhile, below the one that it acquires.
template <class L>
Contestant range_lock(const std::string& name, bool exclusive, u32 others) {
  struct Held {
    L lock;
    std::vector<typename L::Node> nodes;
  };
  auto held = std::make_shared<Held>();
  held->nodes = std::vector<typename L::Node>(others);
  if (others != 0) allow_nesting(held->lock);
  for (u32 i = 0; i < others; ++i)
    held->lock.lock(held->nodes[i], {2 * i * page_size, (2 * i + 1) * page_size}, true);
  return {name, [held, exclusive] {
            return time_pairs([&] {
              typename L::Node node;
              held->lock.lock(node, page, exclusive);
              held->lock.unlock(node);
            });
          }};
}

// A range lock of another project, which knows only exclusive ranges of numbers.
struct Foreign {
  std::string name;
  const ForeignRangeLock* functions;
};

Foreign load(std::string_view argument) {
  const usize equals = argument.find('=');
  if (equals == std::string_view::npos || equals == 0)
    throw std::invalid_argument(
        fmt::format("'{}': expected NAME=LIBRARY, such as v1=/tmp/v1.so", argument));
  const std::string library = std::filesystem::absolute(argument.substr(equals + 1)).string();
  void* handle = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
  const void* functions = handle == nullptr ? nullptr : dlsym(handle, "foreign_range_lock");
  if (functions == nullptr)
    throw std::invalid_argument(
        fmt::format("{}, expected a library that bench/foreign/run.sh has built", dlerror()));
  return {std::string(argument.substr(0, equals)), static_cast<const ForeignRangeLock*>(functions)};
}

Contestant foreign_lock(const Foreign& foreign, u32 others) {
  const ForeignRangeLock& functions = *foreign.functions;
  const std::shared_ptr<void> owned(functions.make(), functions.destroy);
  void* const lock = owned.get();
  // From 1 on: some of them keep 0 for the head of a list.
  for (u32 i = 0; i < others; ++i) functions.lock(lock, 1 + 10 * i, 5 + 10 * i);
  return {foreign.name, [owned, lock, &functions] {
            return time_pairs([&] {
              void* const held = functions.lock(lock, 101, 105);
              functions.unlock(lock, held, 101, 105);
            });
          }};
}

void compare(const char* what, bool exclusive, u32 others, const std::vector<Foreign>& foreign) {
  std::vector<Contestant> contestants = {pthread_rwlock(exclusive)};
  std::apply(
      [&](const auto&... named) {
        const auto add = [&]<class L>(const NamedLock<L>& one) {
          contestants.push_back(range_lock<L>(one.name, exclusive, others));
        };
        (add(named), ...);
      },
      range_list<P>());
  if (exclusive)
    for (const Foreign& one : foreign) contestants.push_back(foreign_lock(one, others));
  std::vector<std::vector<double>> values(contestants.size());
  for (const Contestant& contestant : contestants) contestant.run();  // warms up
  for (u32 round = 0; round < rounds; ++round) {
    for (usize i = 0; i < contestants.size(); ++i) values[i].push_back(contestants[i].run() / 2);
    for (usize i = contestants.size(); i-- > 0;) values[i].back() += contestants[i].run() / 2;
  }
  fmt::print("{}\n", what);
  for (usize i = 0; i < contestants.size(); ++i) {
    std::vector<double> ratios;
    for (u32 round = 0; round < rounds; ++round)
      ratios.push_back(values[i][round] / values[0][round]);
    const Estimate ratio = bootstrap_median(ratios);
    fmt::print("  {:<24} {:7.2f} ns   ratio {:.3f} [{:.3f}, {:.3f}]\n", contestants[i].name,
               median(values[i]), ratio.median, ratio.low, ratio.high);
  }
}

void run(const std::vector<std::string_view>& arguments) {
  std::vector<Foreign> foreign;
  for (const std::string_view argument : arguments) foreign.push_back(load(argument));
  NativeThread thread(0, 0, 0, 1);
  compare("one page, exclusive, no other range", true, 0, foreign);
  compare("one page, shared, no other range", false, 0, foreign);
  compare("one page, exclusive, above 4 ranges that are held", true, 4, foreign);
}

}  // namespace
}  // namespace faultline

int main(int argc, char** argv) {
  try {
    faultline::run({argv + 1, argv + argc});
    return 0;
  } catch (const std::invalid_argument& error) {
    std::fprintf(stderr, "range: %s\n", error.what());
    return 2;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "range: %s\n", error.what());
    return 1;
  }
}
