// Makes the schemes of the catalogue over a platform. Each scheme has one translation unit per
// platform, which the build writes from locks/schemes/list.def.
#pragma once

#include <memory>
#include <stdexcept>
#include <string>

#include "locks/address_space/interface.hpp"
#include "locks/catalogue.hpp"

namespace faultline {

#define FAULTLINE_SCHEME(name, ...) struct name##_scheme;
#include "locks/schemes/list.def"

// Defined in locks/schemes/make.hpp.
template <class P, class Scheme>
std::unique_ptr<AddressSpace> make_space(const Chosen& chosen, AddressSpaceOptions options);

// Throws std::invalid_argument where the platform does not have that combination of options.
template <class P>
std::unique_ptr<AddressSpace> make_scheme(const Chosen& chosen,
                                          const AddressSpaceOptions& options) {
  const std::string_view name = chosen.entry().name;
#define FAULTLINE_SCHEME(name_, ...) \
  if (name == #name_) return make_space<P, name_##_scheme>(chosen, options);
#include "locks/schemes/list.def"
  throw std::logic_error(std::string(name) + " is no scheme");
}

}  // namespace faultline
