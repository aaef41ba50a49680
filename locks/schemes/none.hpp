// Scheme `none`: mmap_sem without its lock. For one thread.
#pragma once

#include "locks/schemes/mmap_sem.hpp"
#include "locks/shared/no_lock.hpp"

namespace faultline {

struct none_scheme {
  template <class P, class Vmas, class, Layout layout>
  using Space = MmapSem<Mm<P, Vmas, NoHooks, layout>, NoLock<P>>;
};

}  // namespace faultline
