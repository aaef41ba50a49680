#include "harness/counters/events.hpp"

#include <algorithm>

namespace faultline {
namespace {

using enum EventRole;

constexpr u32 generic = 0;  // PERF_TYPE_HARDWARE
constexpr u32 cache = 3;    // PERF_TYPE_HW_CACHE
constexpr u32 raw = 4;      // PERF_TYPE_RAW

// Two traps for new rows: OFFCORE_RESPONSE_0 without a supplier silently counts any response, and
// its L3_MISS without a hop covers local misses only. ARM has no event for a modified line, so all
// of its rows are proxies.
// clang-format off
constexpr EventRow table[] = {
    {"skx", "MEM_LOAD_L3_HIT_RETIRED:XSNP_HITM", raw, 0x4d2, 0x0, transfer,
     "load of a line modified in another core, same socket"},
    {"skx", "MEM_LOAD_L3_MISS_RETIRED:REMOTE_HITM", raw, 0x4d3, 0x0, transfer,
     "load of a line modified in another socket"},
    {"skx", "OFFCORE_RESPONSE_0:DMND_RFO:L3_HIT:SNP_HITM", raw, 0x1b7, 0x10003c0002, transfer,
     "store or RMW took a modified line, same socket"},
    {"skx", "OFFCORE_RESPONSE_0:DMND_RFO:L3_MISS_LOCAL:L3_MISS_REMOTE_HOP1_DRAM:SNP_HITM", raw, 0x1b7, 0x1014000002, transfer,
     "store or RMW took a modified line, other socket"},
    {"skx", "MEM_LOAD_L3_MISS_RETIRED:REMOTE_FWD", raw, 0x8d3, 0x0, transfer,
     "load of a clean line forwarded from another socket"},
    {"skx", "MEM_LOAD_L3_HIT_RETIRED:XSNP_HIT", raw, 0x2d2, 0x0, transfer,
     "load of a line clean in another core, same socket"},
    {"skx", "MEM_LOAD_L3_HIT_RETIRED:XSNP_MISS", raw, 0x1d2, 0x0, proxy,
     "load that snooped another core in vain: its copy was gone"},
    {"skx", "CORE_SNOOP_RESPONSE:RSP_IFWDM", raw, 0x10ef, 0x0, transfer,
     "the victim's side: gave up a modified line"},
    {"skx", "CORE_SNOOP_RESPONSE:RSP_SFWDM", raw, 0x8ef, 0x0, transfer,
     "the victim's side: forwarded a modified line and kept it shared"},
    {"skx", "OFFCORE_REQUESTS:DEMAND_RFO", raw, 0x4b0, 0x0, denominator,
     "requests for ownership that left the core"},
    {"skx", "MEM_INST_RETIRED:LOCK_LOADS", raw, 0x21d0, 0x0, denominator,
     "locked instructions"},

    {"clx", "MEM_LOAD_L3_HIT_RETIRED:XSNP_HITM", raw, 0x4d2, 0x0, transfer,
     "load of a line modified in another core, same socket"},
    {"clx", "MEM_LOAD_L3_MISS_RETIRED:REMOTE_HITM", raw, 0x4d3, 0x0, transfer,
     "load of a line modified in another socket"},
    {"clx", "OFFCORE_RESPONSE_0:DMND_RFO:L3_HIT:SNP_HITM", raw, 0x1b7, 0x10003c0002, transfer,
     "store or RMW took a modified line, same socket"},
    {"clx", "OFFCORE_RESPONSE_0:DMND_RFO:L3_MISS_LOCAL:L3_MISS_REMOTE_HOP1_DRAM:SNP_HITM", raw, 0x1b7, 0x1014000002, transfer,
     "store or RMW took a modified line, other socket"},
    {"clx", "MEM_LOAD_L3_MISS_RETIRED:REMOTE_FWD", raw, 0x8d3, 0x0, transfer,
     "load of a clean line forwarded from another socket"},
    {"clx", "MEM_LOAD_L3_HIT_RETIRED:XSNP_HIT", raw, 0x2d2, 0x0, transfer,
     "load of a line clean in another core, same socket"},
    {"clx", "MEM_LOAD_L3_HIT_RETIRED:XSNP_MISS", raw, 0x1d2, 0x0, proxy,
     "load that snooped another core in vain: its copy was gone"},
    {"clx", "CORE_SNOOP_RESPONSE:RSP_IFWDM", raw, 0x10ef, 0x0, transfer,
     "the victim's side: gave up a modified line"},
    {"clx", "CORE_SNOOP_RESPONSE:RSP_SFWDM", raw, 0x8ef, 0x0, transfer,
     "the victim's side: forwarded a modified line and kept it shared"},
    {"clx", "OFFCORE_REQUESTS:DEMAND_RFO", raw, 0x4b0, 0x0, denominator,
     "requests for ownership that left the core"},
    {"clx", "MEM_INST_RETIRED:LOCK_LOADS", raw, 0x21d0, 0x0, denominator,
     "locked instructions"},

    {"icx", "MEM_LOAD_L3_HIT_RETIRED:XSNP_HITM", raw, 0x4d2, 0x0, transfer,
     "load of a line modified in another core, same socket"},
    {"icx", "MEM_LOAD_L3_MISS_RETIRED:REMOTE_HITM", raw, 0x4d3, 0x0, transfer,
     "load of a line modified in another socket"},
    {"icx", "OCR:DEMAND_RFO_L3_HIT_SNOOP_HITM", raw, 0x1b7, 0x10003c0002, transfer,
     "store or RMW took a modified line, same socket"},
    {"icx", "OCR:READS_TO_CORE_REMOTE_CACHE_SNOOP_HITM", raw, 0x1b7, 0x1030000477, transfer,
     "load, store or RMW took a line modified in another socket"},
    {"icx", "OCR:READS_TO_CORE_SNC_CACHE_HITM", raw, 0x1b7, 0x1008000477, transfer,
     "load, store or RMW took a line modified in another sub-NUMA cluster"},
    {"icx", "L2_RQSTS:RFO_MISS", raw, 0x2224, 0x0, denominator,
     "requests for ownership that missed the L2"},
    {"icx", "MACHINE_CLEARS:MEMORY_ORDERING", raw, 0x2c3, 0x0, proxy,
     "pipeline cleared since a line read early was taken away"},

    {"spr", "MEM_LOAD_L3_HIT_RETIRED:XSNP_FWD", raw, 0x4d2, 0x0, transfer,
     "load of a line forwarded from another core, same socket"},
    {"spr", "MEM_LOAD_L3_MISS_RETIRED:REMOTE_HITM", raw, 0x4d3, 0x0, transfer,
     "load of a line modified in another socket"},
    {"spr", "OCR:DEMAND_RFO_L3_HIT_SNOOP_HITM", raw, 0x12a, 0x10003c0002, transfer,
     "store or RMW took a modified line, same socket"},
    {"spr", "OCR:READS_TO_CORE_REMOTE_CACHE_SNOOP_HITM", raw, 0x12a, 0x1030004477, transfer,
     "load, store or RMW took a line modified in another socket"},
    {"spr", "OCR:RFO_TO_CORE_L3_HIT_M", raw, 0x12a, 0x1f80040022, transfer,
     "request for ownership found the line modified, same socket"},
    {"spr", "L2_RQSTS:RFO_MISS", raw, 0x2224, 0x0, denominator,
     "requests for ownership that missed the L2"},
    {"spr", "MACHINE_CLEARS:MEMORY_ORDERING", raw, 0x2c3, 0x0, proxy,
     "pipeline cleared since a line read early was taken away"},

    {"amd64_fam17h_zen2", "DATA_CACHE_REFILLS_FROM_SYSTEM:LS_MABRESP_LCL_CACHE", raw, 0x243, 0x0, transfer,
     "fill from another cache, the line's home is this node"},
    {"amd64_fam17h_zen2", "DATA_CACHE_REFILLS_FROM_SYSTEM:LS_MABRESP_RMT_CACHE", raw, 0x1043, 0x0, transfer,
     "fill from another cache, the line's home is another node"},
    {"amd64_fam17h_zen2", "RETIRED_LOCK_INSTRUCTIONS:CACHEABLE_LOCKS", raw, 0xe25, 0x0, denominator,
     "locked instructions on cacheable memory"},

    {"amd64_fam19h_zen3", "DEMAND_DATA_CACHE_FILLS_FROM_SYSTEM:INT_CACHE", raw, 0x243, 0x0, transfer,
     "fill from another core of this CCX, or its L3, on demand"},
    {"amd64_fam19h_zen3", "DEMAND_DATA_CACHE_FILLS_FROM_SYSTEM:EXT_CACHE_LCL", raw, 0x443, 0x0, transfer,
     "fill from another CCX of this node, on demand"},
    {"amd64_fam19h_zen3", "DEMAND_DATA_CACHE_FILLS_FROM_SYSTEM:EXT_CACHE_RMT", raw, 0x1043, 0x0, transfer,
     "fill from a cache of another node, on demand"},
    {"amd64_fam19h_zen3", "ANY_DATA_CACHE_FILLS_FROM_SYSTEM:INT_CACHE", raw, 0x244, 0x0, transfer,
     "fill from another core of this CCX, or its L3, prefetches too"},
    {"amd64_fam19h_zen3", "ANY_DATA_CACHE_FILLS_FROM_SYSTEM:EXT_CACHE_LCL", raw, 0x444, 0x0, transfer,
     "fill from another CCX of this node, prefetches too"},
    {"amd64_fam19h_zen3", "ANY_DATA_CACHE_FILLS_FROM_SYSTEM:EXT_CACHE_RMT", raw, 0x1044, 0x0, transfer,
     "fill from a cache of another node, prefetches too"},
    {"amd64_fam19h_zen3", "RETIRED_LOCK_INSTRUCTIONS:BUS_LOCK", raw, 0x125, 0x0, proxy,
     "locked instructions that locked the bus"},

    {"amd64_fam19h_zen4", "DEMAND_DATA_CACHE_FILLS_FROM_SYSTEM:LOCAL_CCX", raw, 0x243, 0x0, transfer,
     "fill from another core of this CCX, or its L3, on demand"},
    {"amd64_fam19h_zen4", "DEMAND_DATA_CACHE_FILLS_FROM_SYSTEM:NEAR_CACHE_NEAR_FAR", raw, 0x443, 0x0, transfer,
     "fill from another CCX of this node, on demand"},
    {"amd64_fam19h_zen4", "DEMAND_DATA_CACHE_FILLS_FROM_SYSTEM:FAR_CACHE_NEAR_FAR", raw, 0x1043, 0x0, transfer,
     "fill from a cache of another node, on demand"},
    {"amd64_fam19h_zen4", "ANY_DATA_CACHE_FILLS_FROM_SYSTEM:LOCAL_CCX", raw, 0x244, 0x0, transfer,
     "fill from another core of this CCX, or its L3, prefetches too"},
    {"amd64_fam19h_zen4", "ANY_DATA_CACHE_FILLS_FROM_SYSTEM:NEAR_CACHE_NEAR_FAR", raw, 0x444, 0x0, transfer,
     "fill from another CCX of this node, prefetches too"},
    {"amd64_fam19h_zen4", "ANY_DATA_CACHE_FILLS_FROM_SYSTEM:FAR_CACHE_NEAR_FAR", raw, 0x1044, 0x0, transfer,
     "fill from a cache of another node, prefetches too"},
    {"amd64_fam19h_zen4", "RETIRED_LOCK_INSTRUCTIONS:BUS_LOCK", raw, 0x125, 0x0, proxy,
     "locked instructions that locked the bus"},

    {"zen5", "r0243", raw, 0x243, 0x0, transfer,
     "fill from another core of this CCX, or its L3, on demand"},
    {"zen5", "r0443", raw, 0x443, 0x0, transfer,
     "fill from another CCX of this node, on demand"},
    {"zen5", "r1043", raw, 0x1043, 0x0, transfer,
     "fill from a cache of another node, on demand"},
    {"zen5", "r0244", raw, 0x244, 0x0, transfer,
     "fill from another core of this CCX, or its L3, prefetches too"},
    {"zen5", "r0444", raw, 0x444, 0x0, transfer,
     "fill from another CCX of this node, prefetches too"},
    {"zen5", "r1044", raw, 0x1044, 0x0, transfer,
     "fill from a cache of another node, prefetches too"},
    {"zen5", "r1f25", raw, 0x1f25, 0x0, denominator,
     "locked instructions of any kind"},

    {"arm_n1", "REMOTE_ACCESS", raw, 0x31, 0x0, proxy,
     "access to another chip"},
    {"arm_n1", "LL_CACHE_RD", raw, 0x36, 0x0, proxy,
     "read of the last-level cache"},
    {"arm_n1", "LL_CACHE_MISS_RD", raw, 0x37, 0x0, proxy,
     "read that missed the last-level cache"},
    {"arm_n1", "L1D_CACHE_REFILL_OUTER", raw, 0x45, 0x0, proxy,
     "L1 fill from outside the cluster"},
    {"arm_n1", "L1D_CACHE_REFILL_INNER", raw, 0x44, 0x0, proxy,
     "L1 fill from inside the cluster"},
    {"arm_n1", "L1D_CACHE_INVAL", raw, 0x48, 0x0, proxy,
     "line of the L1 invalidated"},
    {"arm_n1", "STREX_FAIL_SPEC", raw, 0x6e, 0x0, proxy,
     "store-exclusive that failed"},

    {"arm_v1", "REMOTE_ACCESS", raw, 0x31, 0x0, proxy,
     "access to another chip"},
    {"arm_v1", "LL_CACHE_RD", raw, 0x36, 0x0, proxy,
     "read of the last-level cache"},
    {"arm_v1", "LL_CACHE_MISS_RD", raw, 0x37, 0x0, proxy,
     "read that missed the last-level cache"},
    {"arm_v1", "L1D_CACHE_REFILL_OUTER", raw, 0x45, 0x0, proxy,
     "L1 fill from outside the cluster"},
    {"arm_v1", "L1D_CACHE_REFILL_INNER", raw, 0x44, 0x0, proxy,
     "L1 fill from inside the cluster"},
    {"arm_v1", "L1D_CACHE_INVAL", raw, 0x48, 0x0, proxy,
     "line of the L1 invalidated"},
    {"arm_v1", "STREX_FAIL_SPEC", raw, 0x6e, 0x0, proxy,
     "store-exclusive that failed"},

    {"arm_n2", "REMOTE_ACCESS", raw, 0x31, 0x0, proxy,
     "access to another chip"},
    {"arm_n2", "LL_CACHE_RD", raw, 0x36, 0x0, proxy,
     "read of the last-level cache"},
    {"arm_n2", "LL_CACHE_MISS_RD", raw, 0x37, 0x0, proxy,
     "read that missed the last-level cache"},
    {"arm_n2", "L1D_CACHE_REFILL_OUTER", raw, 0x45, 0x0, proxy,
     "L1 fill from outside the cluster"},
    {"arm_n2", "L1D_CACHE_REFILL_INNER", raw, 0x44, 0x0, proxy,
     "L1 fill from inside the cluster"},
    {"arm_n2", "L1D_CACHE_INVAL", raw, 0x48, 0x0, proxy,
     "line of the L1 invalidated"},
    {"arm_n2", "STREX_FAIL_SPEC", raw, 0x6e, 0x0, proxy,
     "store-exclusive that failed"},

    {"arm_v2", "REMOTE_ACCESS", raw, 0x31, 0x0, proxy,
     "access to another chip"},
    {"arm_v2", "LL_CACHE_RD", raw, 0x36, 0x0, proxy,
     "read of the last-level cache"},
    {"arm_v2", "LL_CACHE_MISS_RD", raw, 0x37, 0x0, proxy,
     "read that missed the last-level cache"},
    {"arm_v2", "L1D_CACHE_REFILL_OUTER", raw, 0x45, 0x0, proxy,
     "L1 fill from outside the cluster"},
    {"arm_v2", "L1D_CACHE_REFILL_INNER", raw, 0x44, 0x0, proxy,
     "L1 fill from inside the cluster"},
    {"arm_v2", "L1D_CACHE_INVAL", raw, 0x48, 0x0, proxy,
     "line of the L1 invalidated"},
    {"arm_v2", "STREX_FAIL_SPEC", raw, 0x6e, 0x0, proxy,
     "store-exclusive that failed"},

    {"perf", "PERF_COUNT_HW_CACHE_MISSES", generic, 0x3, 0x0, proxy,
     "last-level cache misses, as the CPU defines them"},
    {"perf", "PERF_COUNT_HW_CACHE_LL:READ:MISS", cache, 0x10002, 0x0, proxy,
     "reads that missed the last-level cache"},
    {"perf", "PERF_COUNT_HW_CACHE_NODE:READ:MISS", cache, 0x10006, 0x0, proxy,
     "reads served by another node"},
};
// clang-format on

}  // namespace

std::span<const EventRow> event_table() {
  return table;
}

std::span<const EventRow> events_of_pmu(std::string_view pmu) {
  const auto ours = [&](const EventRow& row) { return row.pmu == pmu; };
  const auto* first = std::find_if(std::begin(table), std::end(table), ours);
  return {first, std::find_if_not(first, std::end(table), ours)};
}

std::string_view name(EventRole role) {
  return role == transfer ? "transfer" : role == denominator ? "denominator" : "proxy";
}

}  // namespace faultline
