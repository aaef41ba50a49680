#include "harness/counters/pmu.hpp"

#include <fmt/format.h>
#include <perfmon/pfmlib_perf_event.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <iterator>
#include <memory>
#include <sstream>

namespace faultline {
namespace {

bool libpfm_works() {
  static const bool works = pfm_initialize() == PFM_SUCCESS;
  return works;
}

std::vector<std::string> detected_pmus() {
  std::vector<std::string> names;
  if (!libpfm_works()) return names;
  for (int number = PFM_PMU_NONE + 1; number < PFM_PMU_MAX; ++number) {
    pfm_pmu_info_t info{};
    info.size = sizeof(info);
    if (pfm_get_pmu_info(static_cast<pfm_pmu_t>(number), &info) != PFM_SUCCESS) continue;
    if (info.is_present && info.type == PFM_PMU_TYPE_CORE) names.push_back(info.name);
  }
  return names;
}

bool present(std::string_view pmu) {
  static const std::vector<std::string> detected = detected_pmus();
  return pmu == "perf" || std::find(detected.begin(), detected.end(), pmu) != detected.end();
}

bool between(u32 value, u32 low, u32 high) {
  return low <= value && value <= high;
}

// The model numbers follow arch/x86/kernel/cpu/amd.c and arch/x86/include/asm/intel-family.h.
std::string_view pmu_by_model(const CpuIdentity& cpu) {
  if (cpu.vendor == "AuthenticAMD" && cpu.family == 0x17) {
    const bool zen2 = between(cpu.model, 0x30, 0x4f) || between(cpu.model, 0x60, 0x7f) ||
                      between(cpu.model, 0x90, 0x91) || between(cpu.model, 0xa0, 0xaf);
    return zen2 ? "amd64_fam17h_zen2" : "";
  }
  if (cpu.vendor == "AuthenticAMD" && cpu.family == 0x19) {
    if (between(cpu.model, 0x00, 0x0f) || between(cpu.model, 0x20, 0x5f))
      return "amd64_fam19h_zen3";
    return between(cpu.model, 0x10, 0x1f) || between(cpu.model, 0x60, 0xaf) ? "amd64_fam19h_zen4"
                                                                            : "";
  }
  if (cpu.vendor == "AuthenticAMD" && cpu.family == 0x1a) {
    const bool zen5 = between(cpu.model, 0x00, 0x2f) || between(cpu.model, 0x40, 0x4f) ||
                      between(cpu.model, 0x60, 0x7f);
    return zen5 ? "zen5" : "";
  }
  // Emerald Rapids (0xcf) has Sapphire Rapids' core, and the kernel gives both the same PMU.
  if (cpu.vendor == "GenuineIntel" && cpu.family == 6 && cpu.model == 0xcf) return "spr";
  if (cpu.vendor == "0x41") {
    switch (cpu.model) {
      case 0xd0c:
        return "arm_n1";
      case 0xd40:
        return "arm_v1";
      case 0xd49:
        return "arm_n2";
      case 0xd4f:
        return "arm_v2";
      default:
        return "";
    }
  }
  return "";
}

// The value of the first line "key : value" in the text of /proc/cpuinfo; empty if there is none.
std::string field(const std::string& cpuinfo, std::string_view key) {
  std::istringstream lines(cpuinfo);
  for (std::string line; std::getline(lines, line);) {
    const usize colon = line.find(':');
    if (colon == std::string::npos) continue;
    const usize key_end = line.find_last_not_of(" \t", colon - 1);
    if (line.substr(0, key_end + 1) != key) continue;
    const usize start = line.find_first_not_of(" \t", colon + 1);
    return start == std::string::npos ? "" : line.substr(start);
  }
  return "";
}

u32 number(const std::string& text) {
  const bool hex = text.starts_with("0x");
  u32 value = 0;
  std::from_chars(text.data() + (hex ? 2 : 0), text.data() + text.size(), value, hex ? 16 : 10);
  return value;
}

}  // namespace

CpuIdentity read_identity(const std::string& cpuinfo) {
  const std::string implementer = field(cpuinfo, "CPU implementer");
  if (!implementer.empty())
    return {.vendor = implementer, .family = 0, .model = number(field(cpuinfo, "CPU part"))};
  return {.vendor = field(cpuinfo, "vendor_id"),
          .family = number(field(cpuinfo, "cpu family")),
          .model = number(field(cpuinfo, "model"))};
}

std::string_view choose_pmu(const std::vector<std::string>& detected, const CpuIdentity& identity) {
  for (const std::string& pmu : detected) {
    const auto rows = events_of_pmu(pmu);
    if (!rows.empty()) return rows.front().pmu;
  }
  const std::string_view by_model = pmu_by_model(identity);
  return by_model.empty() ? "perf" : by_model;
}

std::optional<Encoding> encode(const std::string& event) {
  if (!libpfm_works()) return std::nullopt;
  perf_event_attr attributes{};
  attributes.size = sizeof(attributes);
  pfm_perf_encode_arg_t request{};
  request.size = sizeof(request);
  request.attr = &attributes;
  if (pfm_get_os_event_encoding(event.c_str(), PFM_PLM0 | PFM_PLM3, PFM_OS_PERF_EVENT, &request) !=
      PFM_SUCCESS)
    return std::nullopt;
  return Encoding{attributes.type, attributes.config, attributes.config1};
}

Encoding encoding_of(const EventRow& row) {
  if (present(row.pmu)) {
    if (const auto encoding = encode(fmt::format("{}::{}", row.pmu, row.event))) return *encoding;
  }
  return {row.type, row.config, row.config1};
}

std::span<const EventRow> events_here() {
  static const std::string_view pmu = [] {
    std::ifstream file("/proc/cpuinfo");
    const std::string text((std::istreambuf_iterator<char>(file)), {});
    return choose_pmu(detected_pmus(), read_identity(text));
  }();
  return events_of_pmu(pmu);
}

}  // namespace faultline
