// Scheme `linux`: the running kernel. The operations are mmap(2), munmap(2), mprotect(2),
// madvise(2) and real faults on this process's own address space, so a process has one such address
// space. Native only. P must have
//   bool touch(void* address, Access)   accesses one byte; false: it raised SIGSEGV or SIGBUS
//
// Three things differ from the simulated schemes. brk moves a mapping of its own, since the
// process's break belongs to malloc. `walk` is a shared futex wake, whose key comes from
// get_user_pages_fast; when that finds no page, the call faults the page in. Huge pages are a
// setting of the process (PR_SET_THP_DISABLE), since madvise on each map would add an exclusive
// section of its own.
#pragma once

#include <fcntl.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <mutex>
#include <new>

#include "locks/address_space/break.hpp"
#include "locks/address_space/interface.hpp"
#include "locks/per_thread.hpp"

namespace faultline {

template <class P>
class LinuxScheme final : public AddressSpace {
 public:
  // Finds a free range for fixed mappings and the break. The hint lies far from the addresses where
  // the kernel places mappings without a hint, so nothing is placed there after this reservation is
  // unmapped.
  explicit LinuxScheme(const AddressSpaceOptions&) {
    constexpr u64 reserved = fixed_span + break_limit + huge_page;
    const i64 range = raw_mmap(u64{1} << 44, reserved, PROT_NONE,
                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
    if (range < 0) throw std::bad_alloc();
    raw_call(SYS_munmap, static_cast<u64>(range), reserved);
    fixed_base_ = (static_cast<u64>(range) + huge_page - 1) & ~(huge_page - 1);
    break_start_ = fixed_base_ + fixed_span;
    break_ = break_start_;
  }
  ~LinuxScheme() override {
    if (zero_ >= 0) close(zero_);
  }

  u64 fixed_base() const override { return fixed_base_; }

  void enter() override { files_.here(); }

  // The kernel does not say whether the access took a fault.
  bool touch(u64 address, Access access) override {
    return P::touch(reinterpret_cast<void*>(address), access);
  }

  Error fault(u64 address, Access access) override {
    return P::touch(reinterpret_cast<void*>(address), access) ? Error::none : Error::segv;
  }

  MapResult map(u64 hint, u64 length, u32 prot, u32 flags) override {
    const bool file = (flags & (map_file | map_zero)) != 0;
    const int fd = descriptor(length, flags);
    if (file && fd < 0) return {0, Error::nomem};
    const int native = ((flags & map_shared) != 0 ? MAP_SHARED : MAP_PRIVATE) |
                       (file ? 0 : MAP_ANONYMOUS) | MAP_NORESERVE |
                       ((flags & map_fixed) != 0 ? MAP_FIXED : 0) |
                       ((flags & map_growsdown) != 0 ? MAP_GROWSDOWN : 0);
    const i64 result = raw_mmap(hint, length, native_prot(prot), native, fd);
    if (result < 0) return {0, to_error(result)};
    return {static_cast<u64>(result), Error::none};
  }

  Error unmap(u64 start, u64 length) override {
    return to_error(raw_call(SYS_munmap, start, length));
  }

  Error protect(u64 start, u64 length, u32 prot) override {
    return to_error(raw_call(SYS_mprotect, start, length, native_prot(prot)));
  }

  MapResult brk(i64 delta) override {
    const std::lock_guard guard(break_mutex_);
    const MapResult result = move_break(
        break_, delta, {break_start_, break_start_ + break_limit + page_size},
        [&](Range range) {
          return map(range.start, range.length(), prot_read | prot_write, map_fixed).error;
        },
        [&](Range range) { return unmap(range.start, range.length()); });
    break_ = result.address;
    return result;
  }

  Error discard(u64 start, u64 length) override {
    return to_error(raw_call(SYS_madvise, start, length, MADV_DONTNEED));
  }

  bool walk(u64 address) override {
    return syscall(SYS_futex, page_floor(address), FUTEX_WAKE, 0, nullptr, nullptr, 0) >= 0;
  }

  u64 scan() override {
    const int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    if (fd < 0) return 0;
    u64 lines = 0;
    char buffer[page_size];
    for (ssize_t got; (got = read(fd, buffer, sizeof(buffer))) > 0;)
      for (ssize_t i = 0; i < got; ++i) lines += buffer[i] == '\n';
    close(fd);
    return lines;
  }

  void append_events(Events&) const override {}
  std::vector<std::string> holders() const override {
    return {"linux: the kernel does not say who holds mmap_lock"};
  }
  // The oracle is modelled on the kernel, so this checks nothing.
  std::string check() override { return {}; }

 private:
  static constexpr u64 huge_page = u64{1} << 21;
  static constexpr u64 break_limit = u64{1} << 34;

  // A thread's own file in memory, for map_file.
  class File {
   public:
    File() = default;
    File(const File&) = delete;
    File& operator=(const File&) = delete;
    ~File() {
      if (fd_ >= 0) close(fd_);
    }
    // The descriptor of a file of at least `length` bytes, or -1.
    int with_length(u64 length) {
      if (fd_ < 0) fd_ = memfd_create("faultline", MFD_CLOEXEC);
      if (fd_ < 0) return -1;
      if (length > length_) {
        if (ftruncate(fd_, static_cast<off_t>(length)) != 0) return -1;
        length_ = length;
      }
      return fd_;
    }

   private:
    int fd_ = -1;
    u64 length_ = 0;
  };

  // The file that a map of `length` bytes with these flags maps. -1: none, or the file is missing.
  int descriptor(u64 length, u32 flags) {
    if ((flags & map_zero) != 0) return zero_;
    return (flags & map_file) != 0 ? files_.here().with_length(page_ceil(length)) : -1;
  }

  static int native_prot(u32 prot) {
    return ((prot & prot_read) != 0 ? PROT_READ : 0) | ((prot & prot_write) != 0 ? PROT_WRITE : 0);
  }
  static Error to_error(i64 result) {
    if (result >= 0) return Error::none;
    return errno == EINVAL ? Error::inval : Error::nomem;
  }

  // These calls bypass the C library's functions, which sanitizers intercept: the sanitizers would
  // keep shadow memory for mappings of this scheme.
  template <class... Args>
  static i64 raw_call(i64 number, Args... args) {
    return syscall(number, args...);
  }
  static i64 raw_mmap(u64 hint, u64 length, int prot, int flags, int fd) {
    return raw_call(SYS_mmap, hint, length, prot, flags, fd, 0L);
  }

  PerThread<P, File> files_;
  // For map_zero.
  const int zero_ = open("/dev/zero", O_RDONLY | O_CLOEXEC);
  std::mutex break_mutex_;
  u64 fixed_base_ = 0;
  u64 break_start_ = 0;
  u64 break_ = 0;
};

struct linux_scheme {
  template <class P, class, class, Layout>
  using Space = LinuxScheme<P>;
};

}  // namespace faultline
