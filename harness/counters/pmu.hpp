// Chooses the rows of the event table that this machine can count, and encodes them.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "harness/counters/events.hpp"

namespace faultline {

// The CPU's vendor and model from /proc/cpuinfo: on x86 "GenuineIntel" or "AuthenticAMD" with
// family and model, on ARM "0x41" with the part number as model.
struct CpuIdentity {
  std::string vendor;
  u32 family = 0;
  u32 model = 0;
};

CpuIdentity read_identity(const std::string& cpuinfo);

// The table's PMU for a CPU. It is the first of `detected` that has rows; `detected` are the core
// PMUs that libpfm4 finds, or that LIBPFM_FORCE_PMU names. Otherwise family and model decide, for
// CPUs that libpfm4 4.13 does not know (most Zen 4, Zen 5, Emerald Rapids, ARM on an amd64 build).
// Otherwise it is "perf", the kernel's generic events.
std::string_view choose_pmu(const std::vector<std::string>& detected, const CpuIdentity& identity);

// An event in the fields of perf_event_attr.
struct Encoding {
  u32 type = 0;
  u64 config = 0;
  u64 config1 = 0;
  bool operator==(const Encoding&) const = default;
};

// Encodes "pmu::EVENT" with libpfm4; nothing if libpfm4 cannot. It encodes events of a PMU that
// this machine lacks only if LIBPFM_ENCODE_INACTIVE was set when the process first used libpfm4.
std::optional<Encoding> encode(const std::string& event);

// The encoding to use for a row: libpfm4's if this machine has that PMU, else the row's numbers.
Encoding encoding_of(const EventRow& row);

// The rows to count on this machine, never empty.
std::span<const EventRow> events_here();

}  // namespace faultline
