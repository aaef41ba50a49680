#include "harness/topology/doctor.hpp"

#include <fmt/format.h>
#include <fmt/ostream.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <ostream>
#include <sstream>
#include <thread>

#include "harness/counters/counters.hpp"
#include "harness/topology/machine.hpp"

namespace faultline {
namespace {

Finding judged(std::string name, const Known& known, bool good, std::string mend) {
  if (!known.value) return {std::move(name), known.text(), Verdict::unknown, ""};
  if (good) return {std::move(name), *known.value, Verdict::ok, ""};
  return {std::move(name), *known.value, Verdict::warn, std::move(mend)};
}

Finding judge_governor(const std::string& root) {
  const Known known = governor(root);
  return judged("governor", known, known.value == "performance",
                "cpupower frequency-set -g performance");
}

Finding judge_turbo(const std::string& root) {
  const Known known = turbo(root);
  const bool pstate = first_line(root, "sys/devices/system/cpu/intel_pstate/no_turbo").has_value();
  return judged("turbo", known, known.value == "off",
                pstate ? "echo 1 > /sys/devices/system/cpu/intel_pstate/no_turbo"
                       : "echo 0 > /sys/devices/system/cpu/cpufreq/boost");
}

Finding judge_smt(const std::string& root) {
  const Known known = smt(root);
  return judged("SMT", known, known.value == "off",
                "echo off > /sys/devices/system/cpu/smt/control, or stay at or below the number of "
                "cores with placement compact or scatter");
}

Finding judge_counters(const std::string& absent) {
  if (absent.empty()) return {"counters", "hardware events can be counted", Verdict::ok, ""};
  return {"counters", absent, Verdict::warn,
          "run on bare metal or on a virtual machine with a PMU, and mend perf_event_paranoid; "
          "without counters, faultline measures everything but the bounces"};
}

Finding judge_paranoid(const std::string& root, bool privileged) {
  const Known known = perf_event_paranoid(root);
  int level = 0;
  const std::string text = known.value.value_or("");
  std::from_chars(text.data(), text.data() + text.size(), level);
  return judged("perf_event_paranoid", known, privileged || level <= 1,
                "sysctl kernel.perf_event_paranoid=1");
}

usize node_count(const std::string& root) {
  usize count = 0;
  std::error_code missing;
  const auto nodes = std::filesystem::path(root) / "sys/devices/system/node";
  for (const auto& entry : std::filesystem::directory_iterator(nodes, missing)) {
    const std::string name = entry.path().filename();
    if (name.starts_with("node") && name.size() > 4 && name[4] >= '0' && name[4] <= '9') ++count;
  }
  return count;
}

Finding judge_numa_balancing(const std::string& root) {
  const Known known = numa_balancing(root);
  return judged("NUMA balancing", known, known.value == "off" || node_count(root) < 2,
                "sysctl kernel.numa_balancing=0");
}

Finding judge_huge_pages(const std::string& root) {
  const Known known = transparent_huge_pages(root);
  return judged("transparent huge pages", known, known.value != "always",
                "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled (faultline turns them "
                "off for its own trials, but not for other programs)");
}

Finding judge_clock(const std::string& root) {
  const Known known = clock_source(root);
  static const std::vector<std::string> fast = {"tsc", "kvm-clock", "arch_sys_counter",
                                                "hyperv_clocksource_tsc_page"};
  const bool good = std::find(fast.begin(), fast.end(), known.value.value_or("")) != fast.end();
  return judged("clock source", known, good,
                "echo tsc > /sys/devices/system/clocksource/clocksource0/current_clocksource, or "
                "boot with tsc=reliable; otherwise every reading of the clock is a system call");
}

Finding judge_virtualisation(const std::string& root) {
  const Known known = virtualisation(root);
  return judged("virtualisation", known, known.value == "none",
                "measure on bare metal, or compare only cases that one run measured side by side");
}

// CPU time since boot in ticks, from the first line of /proc/stat.
struct CpuTicks {
  u64 total = 0;
  u64 busy = 0;
  u64 steal = 0;
};

std::optional<CpuTicks> cpu_ticks(const std::string& root) {
  const auto line = first_line(root, "proc/stat");
  if (!line || !line->starts_with("cpu ")) return std::nullopt;
  std::istringstream words(line->substr(4));
  u64 user = 0, nice = 0, system = 0, idle = 0, io = 0, interrupts = 0, soft = 0, steal = 0;
  if (!(words >> user >> nice >> system >> idle >> io >> interrupts >> soft >> steal))
    return std::nullopt;
  const u64 busy = user + nice + system + interrupts + soft;
  return CpuTicks{busy + idle + io + steal, busy, steal};
}

void judge_sample(std::vector<Finding>& findings, const std::string& root,
                  const std::optional<CpuTicks>& before, const std::optional<CpuTicks>& after) {
  if (!before || !after || after->total <= before->total) {
    const std::string absent = "absent: /proc/stat does not give it";
    findings.push_back({"steal time", absent, Verdict::unknown, ""});
    findings.push_back({"other load", absent, Verdict::unknown, ""});
    return;
  }
  const auto share = [&](u64 CpuTicks::*field) {
    return 100.0 * static_cast<double>((*after).*field - (*before).*field) /
           static_cast<double>(after->total - before->total);
  };
  constexpr double steal_limit = 1;
  constexpr double busy_limit = 5;
  const Known steal = {fmt::format("{:.1f} % of the CPU time", share(&CpuTicks::steal)), ""};
  findings.push_back(judged("steal time", steal, share(&CpuTicks::steal) <= steal_limit,
                            "ask for CPUs of your own, or measure when the host is quiet"));
  const std::string load = first_line(root, "proc/loadavg").value_or("absent");
  const Known busy = {fmt::format("{:.0f} % of the CPU time, load {}", share(&CpuTicks::busy),
                                  load.substr(0, load.find(' '))),
                      ""};
  findings.push_back(judged("other load", busy, share(&CpuTicks::busy) <= busy_limit,
                            "stop other programs (top shows them), or bind them to some CPUs with "
                            "taskset and leave faultline the others"));
}

}  // namespace

std::vector<Finding> diagnose(const DoctorOptions& options) {
  const std::string& root = options.root;
  std::vector<Finding> findings = {judge_governor(root),
                                   judge_turbo(root),
                                   judge_smt(root),
                                   judge_counters(options.counters_absent),
                                   judge_paranoid(root, options.privileged),
                                   judge_numa_balancing(root),
                                   judge_huge_pages(root)};
  const auto before = cpu_ticks(root);
  if (options.wait) {
    options.wait(options.sample);
  } else {
    std::this_thread::sleep_for(options.sample);
  }
  judge_sample(findings, root, before, cpu_ticks(root));
  findings.push_back(judge_clock(root));
  findings.push_back(judge_virtualisation(root));
  return findings;
}

void print_findings(std::ostream& out, const std::vector<Finding>& findings) {
  const auto word = [](Verdict verdict) {
    return verdict == Verdict::ok ? "ok" : verdict == Verdict::warn ? "WARN" : "?";
  };
  usize warnings = 0;
  for (const Finding& finding : findings) {
    fmt::print(out, "{:<5} {:<23} {}\n", word(finding.verdict), finding.name, finding.value);
    if (!finding.mend.empty()) fmt::print(out, "{:<5} {:<23} mend: {}\n", "", "", finding.mend);
    if (finding.verdict == Verdict::warn) ++warnings;
  }
  fmt::print(out, "{} of {} would spoil a measurement here\n", warnings, findings.size());
}

int print_doctor(std::ostream& out) {
  DoctorOptions options;
  options.privileged = geteuid() == 0;
  options.counters_absent = counters_absent().value_or("");
  print_findings(out, diagnose(options));
  return 0;
}

}  // namespace faultline
