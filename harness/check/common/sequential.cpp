#include <algorithm>

#include "harness/check/common/space_calls.hpp"
#include "harness/check/common/space_model.hpp"
#include "harness/check/common/split_space.hpp"

namespace faultline::check {
namespace {

// The model of the program's space.
std::unique_ptr<AddressSpace> model_of(const Program& program, SpaceModel::Counts counts) {
  auto model = std::make_unique<SpaceModel>(counts, program.merge);
  if (!program.split) return model;
  return std::make_unique<SplitSpace>(
      std::move(model), std::make_unique<SpaceModel>(counts, program.merge), split_of(program));
}

// `order` names the threads whose calls come first, second, ...
History history_of(const Program& program, const std::vector<u32>& order,
                   SpaceModel::Counts counts) {
  const std::unique_ptr<AddressSpace> owned = model_of(program, counts);
  AddressSpace& space = *owned;
  prepare_space(space, program);
  std::vector<std::vector<u32>> answers(program.threads.size());
  for (u32 thread : order)
    answers[thread].push_back(
        call_space(space, program, program.threads[thread][answers[thread].size()], thread));
  History history;
  for (const auto& own : answers)
    for (u32 answer : own) history.add(answer);
  look_at_pages(space, program, history);
  return history;
}

}  // namespace

std::vector<History> sequential_histories(const Program& program) {
  std::vector<u32> order;
  for (u32 thread = 0; thread < program.threads.size(); ++thread)
    order.insert(order.end(), program.threads[thread].size(), thread);
  std::vector<History> histories;
  do
    for (const auto counts : {SpaceModel::Counts::merged, SpaceModel::Counts::runs}) {
      const History history = history_of(program, order, counts);
      if (std::find(histories.begin(), histories.end(), history) == histories.end())
        histories.push_back(history);
    }
  while (std::next_permutation(order.begin(), order.end()));
  return histories;
}

}  // namespace faultline::check
