// Which rows of the event table this machine can count.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "harness/counters/events.hpp"

namespace faultline {

// Who made the CPU, as /proc/cpuinfo tells: on x86 "GenuineIntel" or "AuthenticAMD" with family and
// model, on ARM "0x41" with the part number as model.
struct CpuIdentity {
  std::string vendor;
  u32 family = 0;
  u32 model = 0;
};

CpuIdentity read_identity(const std::string& cpuinfo);

// The table's PMU for a CPU: the first of `detected` (the core PMUs that libpfm4 finds here, or is
// forced to find by LIBPFM_FORCE_PMU) that has rows; else by family and model where libpfm4 4.13 is
// behind (most Zen 4, Zen 5, Emerald Rapids, ARM on an amd64 build); else "perf", the kernel's
// generic events.
std::string_view choose_pmu(const std::vector<std::string>& detected, const CpuIdentity& identity);

// How an event is given to perf_event_open.
struct Encoding {
  u32 type = 0;
  u64 config = 0;
  u64 config1 = 0;
  bool operator==(const Encoding&) const = default;
};

// Encodes "pmu::EVENT" with libpfm4; nothing if it cannot. libpfm4 encodes for a PMU that is not
// here only if LIBPFM_ENCODE_INACTIVE was set when the process first used it.
std::optional<Encoding> encode(const std::string& event);

// The encoding to use for a row: libpfm4's where that PMU is present, else the row's own numbers.
Encoding encoding_of(const EventRow& row);

// The rows to count on this machine, never empty.
std::span<const EventRow> events_here();

}  // namespace faultline
