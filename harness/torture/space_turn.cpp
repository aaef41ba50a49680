#include "harness/torture/space_turn.hpp"

#include "harness/torture/guarded.hpp"

namespace faultline::torture {
namespace {

using P = NativePlatform;
constexpr u32 rw = prot_read | prot_write;

// Keeps the text of the first expectation that did not hold.
class Expectations {
 public:
  void expect(bool holds, std::string_view otherwise) {
    if (!holds && wrong_.empty()) wrong_ = otherwise;
  }
  std::string_view wrong() const { return wrong_; }

 private:
  std::string_view wrong_;
};

// The pages of a mapping that only the calling thread uses. Each is zero until the thread writes
// its pattern, which names the mapping and the page, and keeps that until it is dropped.
class Contents {
 public:
  Contents(AddressSpace& space, Expectations& all) : space_(space), all_(all) {}

  // A new mapping takes the place of the last.
  void map(u64 start) {
    thread_local u64 mappings = 0;
    start_ = start;
    pattern_ = u64{P::self() + 1} << 48 | ++mappings << 8;
  }
  void expect_zero(u64 page) {
    all_.expect(read(page) == 0,
                "a page that nobody has written since it was mapped or dropped is "
                "not zero");
  }
  void write(u64 page) {
    u64 word = pattern_of(page);
    all_.expect(access(page, Access::write, word), "a page could not be written after its fault");
  }
  void expect_kept(u64 page) {
    all_.expect(read(page) == pattern_of(page), "a page does not hold what its thread has written");
  }

 private:
  u64 pattern_of(u64 page) const { return pattern_ + (page - start_) / page_size; }
  u64 read(u64 page) {
    u64 word = 0;
    all_.expect(access(page, Access::read, word), "a page could not be read after its fault");
    return word;
  }
  // Another CPU to which the thread has been moved may have no entry for the page yet.
  bool access(u64 page, Access kind, u64& word) {
    for (u32 tries = 0; tries < 1000; ++tries)
      if (space_.fault(page, kind) == Error::none && space_.touch_word(page, kind, word))
        return true;
    return false;
  }

  AddressSpace& space_;
  Expectations& all_;
  u64 start_ = 0;
  u64 pattern_ = 0;
};

// Moves the break up and down again. All threads share the break, so its position is not checked
// and the fault may find its page unmapped again.
void move_break(AddressSpace& space, Expectations& all) {
  const i64 bytes = static_cast<i64>((1 + P::random() % 3) * page_size);
  const MapResult up = space.brk(bytes);
  all.expect(up.error == Error::none, "the break could not be moved up");
  all.expect(space.fault(up.address - 1, Access::write) != Error::nomem,
             "a fault below the break found no memory");
  all.expect(space.brk(-bytes).error == Error::none, "the break could not be moved down again");
}

// Maps at `start` if there is room. A mapping that comes to lie elsewhere is unmapped again, so
// that such mappings do not pile up.
void map_near(AddressSpace& space, u64 start, u64 length, u32 prot) {
  const u32 flags = P::random() % 2 == 0 ? map_growsdown : 0;
  const MapResult result = space.map(start, length, prot, flags);
  if (result.error == Error::none && result.address != start) space.unmap(result.address, length);
}

void shared_operation(AddressSpace& space, Expectations& all) {
  const u64 start = space.fixed_base() + P::random() % 32 * page_size;
  const u64 length = (1 + P::random() % 8) * page_size;
  const u32 prot = P::random() % 2 == 0 ? prot_read : rw;
  switch (P::random() % 10) {
    case 0:
      space.map(start, length, rw, map_fixed);
      break;
    case 1:
      map_near(space, start, length, prot);
      break;
    case 2:
      space.unmap(start, length);
      break;
    case 3:
      space.protect(start, length, prot);
      break;
    case 4:
      space.discard(start, length);
      break;
    case 5:
      space.scan();
      break;
    case 6:
      space.walk(start);
      break;
    case 7:
      move_break(space, all);
      break;
    default:
      space.fault(start, P::random() % 2 == 0 ? Access::read : Access::write);
  }
}

}  // namespace

std::string_view space_turn(AddressSpace& space, bool is_kernel) {
  Expectations all;
  Contents contents(space, all);
  const u64 own = space.fixed_base() + (P::self() + 64) * (u64{1} << 21);
  all.expect(space.map(own, 4 * page_size, rw, map_fixed).error == Error::none,
             "a thread could not map a range of its own");
  const u64 page = own + P::random() % 4 * page_size;
  all.expect(space.fault(page, Access::write) == Error::none,
             "a write to a thread's own mapping failed");
  const u64 dropped = own + (page - own + page_size) % (4 * page_size);
  if (!is_kernel) {
    contents.map(own);
    for (const u64 each : {page, dropped}) {
      contents.expect_zero(each);
      contents.write(each);
    }
  }
  shared_operation(space, all);
  linger(P::random());
  if (!is_kernel) {
    contents.expect_kept(dropped);
    all.expect(space.discard(dropped, page_size) == Error::none,
               "a thread could not discard its own page");
    contents.expect_zero(dropped);
  }
  all.expect(space.protect(page, page_size, prot_read) == Error::none,
             "a thread could not protect its own page");
  all.expect(space.fault(page, Access::write) == Error::segv, "a write passed a read-only page");
  all.expect(space.fault(page, Access::read) == Error::none, "a read of a read-only page failed");
  if (!is_kernel) contents.expect_kept(page);
  const MapResult placed = space.map(0, 3 * page_size, rw, 0);
  all.expect(placed.error == Error::none, "no room was found for a mapping");
  all.expect(space.fault(placed.address + page_size, Access::write) == Error::none,
             "a write to a placed mapping failed");
  if (!is_kernel) {
    contents.expect_kept(page);
    contents.map(placed.address);
    contents.expect_zero(placed.address);
  }
  all.expect(space.unmap(own, 4 * page_size) == Error::none, "a thread could not unmap its own");
  all.expect(is_kernel || !space.walk(page), "a page was mapped after its unmap");
  all.expect(space.unmap(placed.address, 3 * page_size) == Error::none,
             "a placed mapping could not be unmapped");
  all.expect(space.fault(page, Access::read) == Error::segv, "a read after the unmap did not fail");
  return all.wrong();
}

}  // namespace faultline::torture
