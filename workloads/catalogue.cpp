#include "workloads/catalogue.hpp"

#include "locks/address_space/interface.hpp"
#include "workloads/trace.hpp"

namespace faultline {
namespace {

using namespace options;

// The number of threads of the recording. Reads all of the recording.
u32 recorded_threads(const Chosen& chosen) {
  return static_cast<u32>(read_trace(chosen.word("file")).threads.size());
}

constexpr Entry workloads[] = {
#define FAULTLINE_WORKLOAD(name_, type, summary_, ...) \
  in(workload_family, {.name = #name_, .summary = summary_ __VA_OPT__(, ) __VA_ARGS__}),
#include "workloads/list.def"
};

}  // namespace

std::span<const Entry> workload_catalogue() {
  return workloads;
}

Chosen choose_workload(std::string_view text) {
  return choose_among(workloads, family_name(workload_family), text);
}

}  // namespace faultline
