// Scheme `refcount`: a reference count in each VMA (vm_refcnt), as Linux has it since 6.15.
// locks/schemes/vma_lock.hpp has the fault, locks/shared/vma_refcount.hpp the count.
#pragma once

#include "locks/catalogue.hpp"
#include "locks/schemes/vma_lock.hpp"
#include "locks/shared/vma_refcount.hpp"

namespace faultline {

struct refcount_scheme : VmaLockedScheme<RefcountHooks> {
  static void take(const Chosen& chosen, AddressSpaceOptions& options) {
    options.discard_by_vma = chosen.word("discard") == "vma";
    options.scan_by_vma = chosen.word("scan") == "vma";
  }
};

}  // namespace faultline
