#include <algorithm>

#include "harness/check/common/space_calls.hpp"
#include "harness/stub/single_thread.hpp"
#include "locks/schemes/mmap_sem.hpp"
#include "locks/shared/no_lock.hpp"
#include "locks/vmas/rbtree.hpp"

namespace faultline::check {
namespace {

// The reference is scheme `none` on a platform of one thread.
struct OneThreadTag {
  static constexpr u32 max_threads = 1;
};
struct OneThread : stub::SingleThread<OneThreadTag> {
  static constexpr u32 table_level_bits = 2;  // as on the checkers' platforms
};

// `order` names the threads whose calls come first, second, ...
History history_of(const Program& program, const std::vector<u32>& order) {
  MmapSem<Mm<OneThread, vmas::RbTree, NoHooks>, NoLock<OneThread>> space(small_space());
  space.enter();
  prepare_space(space, program);
  std::vector<std::vector<u32>> answers(program.threads.size());
  for (u32 thread : order)
    answers[thread].push_back(call_space(space, program.threads[thread][answers[thread].size()]));
  History history;
  for (const auto& own : answers)
    for (u32 answer : own) history.add(answer);
  look_at_pages(space, history);
  return history;
}

}  // namespace

std::vector<History> sequential_histories(const Program& program) {
  std::vector<u32> order;
  for (u32 thread = 0; thread < program.threads.size(); ++thread)
    order.insert(order.end(), program.threads[thread].size(), thread);
  std::vector<History> histories;
  do histories.push_back(history_of(program, order));
  while (std::next_permutation(order.begin(), order.end()));
  return histories;
}

}  // namespace faultline::check
