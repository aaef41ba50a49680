#include "harness/case/names.hpp"

#include <stdexcept>

#include "results/old_names.hpp"

namespace faultline {
namespace {

template <class Choose>
Chosen choose_named(const std::string& name, const std::string& present, Choose&& choose_one) {
  try {
    return choose_one(name);
  } catch (const std::invalid_argument& error) {
    if (present == name) throw;
    std::string now;
    try {
      now = choose_one(present).text();
    } catch (const std::invalid_argument&) {
      throw error;
    }
    throw std::invalid_argument("'" + name + "' is the old name of '" + now + "': expected that");
  }
}

Chosen choose_named(Families families, const std::string& name, const std::string& present) {
  return choose_named(name, present,
                      [=](const std::string& text) { return choose(families, text); });
}

}  // namespace

Chosen scheme_named(const std::string& name) {
  return choose_named(scheme_family, name, present_scheme(name));
}

Chosen lock_named(const std::string& name) {
  return choose_named(lock_families, name, present_lock(name));
}

Chosen scheme_or_lock_named(const std::string& name) {
  return choose_named(scheme_family | lock_families, name, present_scheme(name));
}

Chosen workload_named(const std::string& name) {
  return choose_named(name, present_workload(name),
                      [](const std::string& text) { return choose_workload(text); });
}

Chosen contestant_named(const Entry& workload, const std::string& name) {
  return workload.needs_lock ? lock_named(name) : scheme_named(name);
}

std::vector<std::string> all_contestants(bool locks) {
  return stars_of(locks ? lock_families : Families{scheme_family}, true);
}

}  // namespace faultline
