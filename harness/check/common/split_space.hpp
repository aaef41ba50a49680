// Two address spaces behind the interface of one: the lower one has the addresses below `split`.
#pragma once

#include <memory>
#include <optional>
#include <utility>

#include "locks/address_space/interface.hpp"

namespace faultline::check {

// A range that crosses the edge takes two calls, so concurrent calls keep to one side.
class SplitSpace final : public AddressSpace {
 public:
  SplitSpace(std::unique_ptr<AddressSpace> low, std::unique_ptr<AddressSpace> high, u64 split)
      : low_(std::move(low)), high_(std::move(high)), split_(split) {}

  // Ends the upper space, which no other thread uses. Nothing is mapped there afterwards.
  void close() { high_.reset(); }

  void enter() override {
    low_->enter();
    high_->enter();
  }
  bool touch(u64 address, Access access) override {
    return is_open(address) && side(address).touch(address, access);
  }
  Error fault(u64 address, Access access) override {
    return is_open(address) ? side(address).fault(address, access) : Error::segv;
  }
  MapResult map(u64 hint, u64 length, u32 prot, u32 flags) override {
    if (!is_open(hint)) return {0, Error::nomem};
    return side(hint).map(hint, length, prot, flags);
  }
  Error unmap(u64 start, u64 length) override {
    return on_sides(start, length,
                    [](AddressSpace& space, u64 at, u64 bytes) { return space.unmap(at, bytes); });
  }
  Error protect(u64 start, u64 length, u32 prot) override {
    return on_sides(start, length, [prot](AddressSpace& space, u64 at, u64 bytes) {
      return space.protect(at, bytes, prot);
    });
  }
  MapResult brk(i64 delta) override { return low_->brk(delta); }
  Error discard(u64 start, u64 length) override {
    return on_sides(start, length, [](AddressSpace& space, u64 at, u64 bytes) {
      return space.discard(at, bytes);
    });
  }
  bool walk(u64 address) override { return is_open(address) && side(address).walk(address); }
  u64 scan() override { return low_->scan() + (high_ ? high_->scan() : 0); }

  void append_events(Events& events) const override { low_->append_events(events); }
  std::vector<std::string> holders() const override { return low_->holders(); }
  std::string check() override {
    std::string wrong = low_->check();
    return wrong.empty() && high_ ? high_->check() : wrong;
  }
  // The two spaces share no identity.
  std::optional<Observation> observe() override {
    auto seen = low_->observe();
    const auto above = seen && high_ ? high_->observe() : std::nullopt;
    if (!above) return seen;
    constexpr u64 high_bit = u64{1} << 63;
    for (Observation::Mapping mapping : above->mappings) {
      if (mapping.identity != 0) mapping.identity |= high_bit;
      seen->mappings.push_back(mapping);
    }
    seen->pages.insert(seen->pages.end(), above->pages.begin(), above->pages.end());
    return seen;
  }

 private:
  bool is_open(u64 address) const { return address < split_ || high_ != nullptr; }
  AddressSpace& side(u64 address) { return address < split_ ? *low_ : *high_; }

  template <class F>
  Error on_sides(u64 start, u64 length, const F& call) {
    if (length > 0 && start < split_ && length > split_ - start) {
      const Error error = call(*low_, start, split_ - start);
      if (error != Error::none) return error;
      length -= split_ - start;
      start = split_;
    }
    return is_open(start) ? call(side(start), start, length) : Error::nomem;
  }

  std::unique_ptr<AddressSpace> low_, high_;
  const u64 split_;
};

}  // namespace faultline::check
