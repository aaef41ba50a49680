#include "harness/torture/victims.hpp"

#include <atomic>

#include "harness/native/platform.hpp"
#include "harness/torture/lock_turns.hpp"
#include "harness/torture/space_turn.hpp"
#include "locks/mutex/broken.hpp"
#include "locks/mutex/list.hpp"
#include "locks/range/list.hpp"
#include "locks/schemes/registry.hpp"
#include "locks/shared/list.hpp"

namespace faultline::torture {
namespace {

using P = NativePlatform;

class SpaceVictim final : public Victim {
 public:
  SpaceVictim(std::unique_ptr<AddressSpace> space, bool is_kernel)
      : kernel_(is_kernel), space_(std::move(space)) {
    space_->enter();
    break_ = space_->brk(0).address;
  }

  void enter() override { space_->enter(); }

  bool turn() override {
    // relaxed: the texts are string literals, which need no publication.
    if (const std::string_view wrong = space_turn(*space_, kernel_); !wrong.empty())
      wrong_.store(wrong.data(), std::memory_order_relaxed);
    return true;
  }

  bool failed() const override { return wrong_.load(std::memory_order_relaxed) != nullptr; }

  std::string verdict() override {
    if (failed()) return wrong_.load(std::memory_order_relaxed);
    if (space_->brk(0).address != break_)
      return "the break did not return to where it began, although every move up was undone";
    if (space_->unmap(space_->fixed_base(), shared_bytes) != Error::none)
      return "unmap of the range that all threads share failed";
    // The kernel's address space also holds the program's own mappings.
    if (const u64 left = kernel_ ? 0 : space_->scan(); left != 0)
      return std::to_string(left) + " mapping(s) remain although every range was unmapped";
    return space_->check();
  }

 private:
  const bool kernel_;
  std::unique_ptr<AddressSpace> space_;
  u64 break_ = 0;
  std::atomic<const char*> wrong_{nullptr};
};

std::unique_ptr<Victim> make_space(const VictimEntry& entry, u32 threads) {
  const Chosen scheme = choose(scheme_family, entry.name);
  return space_victim(make_scheme<P>(scheme, space_options(threads)), scheme.entry().kernel);
}

template <class L, bool sound>
std::unique_ptr<Victim> make_lock(const VictimEntry&, u32) {
  return std::make_unique<LockVictim<Turns<L, sound>>>();
}

template <bool sound, class... Named>
void add_locks(std::vector<VictimEntry>& all, const std::tuple<Named...>& list) {
  const auto add = [&]<class L>(const NamedLock<L>& named) {
    all.push_back({named.name, Turns<L, sound>::checks, 0, !sound, make_lock<L, sound>});
  };
  std::apply([&](const auto&... named) { (add(named), ...); }, list);
}

std::vector<VictimEntry> everything() {
  std::vector<VictimEntry> all;
  add_locks<true>(all, mutex_list<P>());
  add_locks<true>(all, shared_list<P>());
  add_locks<true>(all, range_list<P>());
  for (const std::string& name : stars_of(scheme_family, true)) {
    const Entry& scheme = choose(scheme_family, name).entry();
    const char* checks =
        scheme.kernel ? "each thread's own pages" : "oracle, each thread's pages and contents";
    all.push_back({name, checks, scheme.max_threads, false, make_space});
  }
  add_locks<false>(all, broken_list<P>());
  return all;
}

}  // namespace

AddressSpaceOptions space_options(u32 threads) {
  AddressSpaceOptions options;
  options.threads = threads + 1;
  options.frames_per_thread = frames_for_turns(options.threads);
  return options;
}

std::unique_ptr<Victim> space_victim(std::unique_ptr<AddressSpace> space, bool is_kernel) {
  return std::make_unique<SpaceVictim>(std::move(space), is_kernel);
}

const std::vector<VictimEntry>& victims() {
  static const std::vector<VictimEntry> all = everything();
  return all;
}

std::vector<std::string> sound_victims() {
  std::vector<std::string> names;
  for (const VictimEntry& entry : victims())
    if (!entry.on_request) names.push_back(entry.name);
  return names;
}

const VictimEntry* find_victim(const std::string& name) {
  for (const VictimEntry& entry : victims())
    if (entry.name == name) return &entry;
  return nullptr;
}

}  // namespace faultline::torture
