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

// A call, or a part of one.
struct Step {
  CallName name;
  Act act;
};
using Steps = std::vector<Step>;

bool looks_at_page(const Act& act) {
  return act.call == Call::fault_read || act.call == Call::fault_write || act.call == Call::walk;
}

// Whether a call of another thread looks at the page.
bool is_looked_at(const Program& program, u32 thread, u32 page) {
  for (u32 other = 0; other < program.threads.size(); ++other)
    for (const Act& act : program.threads[other])
      if (other != thread && looks_at_page(act) && act.first == page) return true;
  return false;
}

// The parts in which a call takes effect. Of the pages of one part other threads look at no more
// than one, so smaller parts would give the same histories.
void append_parts(Steps& steps, const Program& program, CallName name, const Act& act) {
  steps.push_back({name, act});
  if (!program.discards_by_page || act.call != Call::discard || act.skew != 0) return;
  bool looked_at = false;
  for (u8 page = act.first; page < act.end; ++page) {
    if (!is_looked_at(program, name.thread, page)) continue;
    if (looked_at) {
      steps.push_back(steps.back());
      Act& lower = steps[steps.size() - 2].act;
      lower.end = steps.back().act.first = page;
      lower.cut = 0;
    }
    looked_at = true;
  }
}

std::vector<Steps> steps_of(const Program& program) {
  std::vector<Steps> all;
  for (u32 thread = 0; thread < program.threads.size(); ++thread) {
    Steps& steps = all.emplace_back();
    const Script& script = program.threads[thread];
    for (u32 i = 0; i < script.size(); ++i)
      append_parts(steps, program, {static_cast<u8>(thread), static_cast<u8>(i)}, script[i]);
  }
  return all;
}

// Whether the call may edit the discard's range. At the top a call without a fixed address may map
// there.
bool edits(const Act& act, const Act& discard, bool at_top) {
  if (is_refused(act)) return false;
  const bool overlaps = act.first < discard.end && discard.first < act.end;
  switch (act.call) {
    case Call::map:
    case Call::map_stack:
    case Call::unmap:
    case Call::protect:
      return overlaps;
    case Call::map_hinted:
      return at_top || overlaps;
    case Call::place:
      return at_top;
    default:
      return false;
  }
}

// `order`: the threads whose steps come first, second, ... False: the order puts an edit between
// the parts of a discard that holds the edit's range.
bool in_order(const Program& program, const std::vector<Steps>& all, const std::vector<u32>& order,
              Steps& steps) {
  steps.clear();
  std::array<usize, most_threads> next{};
  for (u32 thread : order) {
    const Step& step = all[thread][next[thread]++];
    for (u32 other = 0; other < all.size(); ++other) {
      if (other == thread || next[other] == 0 || next[other] == all[other].size()) continue;
      const Step& before = all[other][next[other] - 1];
      const bool inside = before.name.number == all[other][next[other]].name.number;
      if (inside && edits(step.act, program.threads[other][before.name.number], program.at_top))
        return false;
    }
    steps.push_back(step);
  }
  return true;
}

History history_of(const Program& program, const Steps& steps, SpaceModel::Counts counts) {
  const std::unique_ptr<AddressSpace> owned = model_of(program, counts);
  AddressSpace& space = *owned;
  prepare_space(space, program);
  std::array<std::array<u32, Moments::most_calls>, most_threads> answers{};
  for (const auto& [name, act] : steps) {
    u32& answer = answers[name.thread][name.number];
    const u32 own = call_space(space, program, act, name.thread);
    if (answer == 0) answer = own;  // an error in one part of a discard is the answer
  }
  History history;
  for (u32 thread = 0; thread < program.threads.size(); ++thread)
    for (u32 i = 0; i < program.threads[thread].size(); ++i) history.add(answers[thread][i]);
  look_closely(space, program, history);
  return history;
}

void add(std::vector<Sequential>& histories, const History& history, const CallOrder& order) {
  const auto same = std::find_if(histories.begin(), histories.end(),
                                 [&](const Sequential& one) { return one.history == history; });
  if (same == histories.end())
    histories.push_back({history, {order}});
  else
    same->orders.push_back(order);
}

}  // namespace

std::vector<Sequential> sequential_histories(const Program& program) {
  const std::vector<Steps> all = steps_of(program);
  std::vector<u32> order;
  for (u32 thread = 0; thread < all.size(); ++thread)
    order.insert(order.end(), all[thread].size(), thread);
  std::vector<Sequential> histories;
  Steps steps;
  do {
    if (!in_order(program, all, order, steps)) continue;
    CallOrder names;
    for (const Step& step : steps) names.push_back(step.name);
    for (const auto counts : {SpaceModel::Counts::merged, SpaceModel::Counts::runs})
      add(histories, history_of(program, steps, counts), names);
  } while (std::next_permutation(order.begin(), order.end()));
  return histories;
}

}  // namespace faultline::check
