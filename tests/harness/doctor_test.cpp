#include "harness/topology/doctor.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "harness/topology/machine.hpp"

namespace faultline {
namespace {

namespace fs = std::filesystem;

// A test with its own /proc and /sys.
class Doctor : public ::testing::Test {
 protected:
  Doctor() : root_(fs::temp_directory_path() / ("faultline-doctor-" + std::to_string(getpid()))) {
    fs::create_directories(root_);
  }
  ~Doctor() override { fs::remove_all(root_); }

  void write(const std::string& path, const std::string& text) {
    fs::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text << "\n";
  }

  void write_machine(bool good) {
    const std::string devices = "sys/devices/system/";
    write(devices + "cpu/cpufreq/policy0/scaling_governor", "performance");
    write(devices + "cpu/cpufreq/policy1/scaling_governor", good ? "performance" : "powersave");
    write(devices + "cpu/intel_pstate/no_turbo", good ? "1" : "0");
    write(devices + "cpu/smt/active", good ? "0" : "1");
    write(devices + "clocksource/clocksource0/current_clocksource", good ? "tsc" : "hpet");
    for (const char* node : {"node0", "node1"})
      fs::create_directories(root_ / devices / "node" / node);
    write("proc/sys/kernel/perf_event_paranoid", good ? "-1" : "3");
    write("proc/sys/kernel/numa_balancing", good ? "0" : "2");
    write("sys/kernel/mm/transparent_hugepage/enabled",
          good ? "always [madvise] never" : "[always] madvise never");
    write("proc/cpuinfo", good ? "flags\t\t: fpu tsc" : "flags\t\t: fpu tsc hypervisor lm");
    write("proc/loadavg", good ? "0.01 0.02 0.03 1/99 1" : "7.50 3.00 2.00 9/99 1");
    write("proc/stat", "cpu  1000 0 500 8000 100 0 0 200 0 0");
  }

  // The sample returns at once. Afterwards /proc/stat contains `after`.
  std::vector<Finding> diagnose_with(const std::string& after, const std::string& counters_absent) {
    DoctorOptions options;
    options.root = root_;
    options.counters_absent = counters_absent;
    options.wait = [&](std::chrono::milliseconds) {
      if (!after.empty()) write("proc/stat", after);
    };
    return diagnose(options);
  }

  fs::path root_;
};

const std::vector<std::string> all_names = {"governor",
                                            "turbo",
                                            "SMT",
                                            "counters",
                                            "perf_event_paranoid",
                                            "NUMA balancing",
                                            "transparent huge pages",
                                            "steal time",
                                            "other load",
                                            "clock source",
                                            "virtualisation"};

const Finding& find(const std::vector<Finding>& findings, const std::string& name) {
  const auto found = std::find_if(findings.begin(), findings.end(),
                                  [&](const Finding& finding) { return finding.name == name; });
  if (found == findings.end()) throw std::out_of_range(name);
  return *found;
}

TEST_F(Doctor, FindsNothingWrongWithAQuietMachine) {
  write_machine(true);
  for (const Finding& finding : diagnose_with("cpu  1001 0 501 8098 100 0 0 200 0 0", "")) {
    EXPECT_EQ(finding.verdict, Verdict::ok) << finding.name << " " << finding.value;
    EXPECT_EQ(finding.mend, "") << finding.name;
  }
}

TEST_F(Doctor, WarnsOfEachSpoilerWithItsMend) {
  write_machine(false);
  const auto findings = diagnose_with("cpu  1050 0 500 8030 100 0 0 220 0 0", "no PMU");
  std::vector<std::string> names;
  for (const Finding& finding : findings) {
    names.push_back(finding.name);
    EXPECT_EQ(finding.verdict, Verdict::warn) << finding.name << " " << finding.value;
    EXPECT_NE(finding.mend, "") << finding.name;
  }
  EXPECT_EQ(names, all_names);
  EXPECT_EQ(find(findings, "governor").value, "performance,powersave");
  EXPECT_EQ(find(findings, "steal time").value, "20.0 % of the CPU time");
  EXPECT_EQ(find(findings, "other load").value, "50 % of the CPU time, load 7.50");
  EXPECT_EQ(find(findings, "counters").value, "no PMU");
}

TEST_F(Doctor, SaysWhatItCannotKnowInsteadOfAllWell) {
  const auto findings = diagnose_with("", "no PMU");
  EXPECT_EQ(findings.size(), all_names.size());
  for (const Finding& finding : findings) {
    if (finding.name == "counters") continue;
    EXPECT_EQ(finding.verdict, Verdict::unknown) << finding.name;
    EXPECT_TRUE(finding.value.starts_with("absent: ")) << finding.name << " " << finding.value;
  }
}

TEST_F(Doctor, LetsNumaBalancingBeOnOneNode) {
  write_machine(false);
  fs::remove(root_ / "sys/devices/system/node/node1");
  EXPECT_EQ(find(diagnose_with("", ""), "NUMA balancing").verdict, Verdict::ok);
}

TEST_F(Doctor, PrintsEveryMendAndTheNumberOfWarnings) {
  write_machine(false);
  const auto findings = diagnose_with("cpu  1050 0 500 8030 100 0 0 220 0 0", "no PMU");
  std::ostringstream out;
  print_findings(out, findings);
  for (const Finding& finding : findings)
    EXPECT_NE(out.str().find("mend: " + finding.mend), std::string::npos) << finding.name;
  EXPECT_NE(out.str().find("11 of 11 would spoil"), std::string::npos) << out.str();
}

TEST_F(Doctor, TheMachinesOwnStateIsPrinted) {
  std::ostringstream out;
  EXPECT_EQ(print_doctor(out), 0);
  for (const std::string& name : all_names)
    EXPECT_NE(out.str().find(name), std::string::npos) << out.str();
}

TEST_F(Doctor, MachineSaysWhyAValueIsAbsent) {
  const Topology topology = Topology::foreign("package:2 [numa] core:2 pu:2");
  const auto machine = machine_json(topology, root_);
  for (const char* key : {"host", "cpu_model", "smt", "governor", "turbo", "perf_event_paranoid",
                          "numa_balancing", "thp", "clock_source", "virtual"})
    EXPECT_TRUE(machine.at(key).get<std::string>().starts_with("absent: ")) << key;
  EXPECT_EQ(machine.at("cpus"), 8);
  EXPECT_EQ(machine.at("sockets"), 2);
  EXPECT_NE(machine.at("hwloc_xml").get<std::string>().find("<topology"), std::string::npos);
}

TEST_F(Doctor, MachineSaysWhatIsKnown) {
  write_machine(false);
  write("proc/sys/kernel/hostname", "machine-1");
  write("proc/sys/kernel/osrelease", "6.1.0");
  const auto machine = machine_json(Topology::foreign("core:2 pu:1"), root_);
  EXPECT_EQ(machine.at("host"), "machine-1");
  EXPECT_EQ(machine.at("kernel"), "Linux 6.1.0");
  EXPECT_EQ(machine.at("smt"), "on");
  EXPECT_EQ(machine.at("turbo"), "on");
  EXPECT_EQ(machine.at("thp"), "always");
  EXPECT_EQ(machine.at("perf_event_paranoid"), 3);
  EXPECT_EQ(machine.at("virtual"), "unnamed hypervisor");
}

}  // namespace
}  // namespace faultline
