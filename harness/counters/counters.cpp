#include "harness/counters/counters.hpp"

#include <fmt/format.h>
#include <linux/perf_event.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>
#include <map>

namespace faultline {
namespace {

using nlohmann::json;

constexpr Encoding migrations_event = {PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CPU_MIGRATIONS, 0};

int open_once(const Encoding& encoding, bool kernel) {
  perf_event_attr attributes{};
  attributes.size = sizeof(attributes);
  attributes.type = encoding.type;
  attributes.config = encoding.config;
  attributes.config1 = encoding.config1;
  attributes.disabled = 1;
  attributes.exclude_kernel = kernel ? 0 : 1;
  attributes.exclude_hv = 1;
  attributes.read_format = PERF_FORMAT_TOTAL_TIME_ENABLED | PERF_FORMAT_TOTAL_TIME_RUNNING;
  return static_cast<int>(
      syscall(SYS_perf_event_open, &attributes, 0, -1, -1, PERF_FLAG_FD_CLOEXEC));
}

// The event's file; -1 with errno set if it cannot be opened.
int open_event(const Encoding& encoding, bool kernel) {
  const int file = open_once(encoding, kernel);
  if (file >= 0 || errno != EMFILE) return file;
  // A dozen events on each of hundreds of threads exceed the usual soft limit of 1024 files.
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  return open_once(encoding, kernel);
}

std::string paranoid_level() {
  std::ifstream file("/proc/sys/kernel/perf_event_paranoid");
  std::string level;
  return std::getline(file, level) ? level : "unknown";
}

std::string why_not(int error) {
  switch (error) {
    case ENOENT:
    case ENODEV:
    case EOPNOTSUPP:
      return "this machine has no PMU to count hardware events with, as is usual in a virtual "
             "machine";
    case EACCES:
    case EPERM:
      return fmt::format(
          "perf_event_open is forbidden: perf_event_paranoid is {}, or a container's filter "
          "forbids "
          "it",
          paranoid_level());
    case ENOSYS:
      return "this kernel has no perf_event_open";
    default:
      return fmt::format("perf_event_open: {}", std::strerror(error));
  }
}

// Why one event could not be opened although others could.
std::string why_not_this(int error) {
  const bool unknown = error == ENOENT || error == ENODEV || error == EOPNOTSUPP;
  return unknown ? "neither the CPU nor the kernel has this event" : why_not(error);
}

bool forbidden(int error) {
  return error == EACCES || error == EPERM;
}

// The calling thread's count in the line "se.nr_migrations : 3" of /proc/thread-self/sched; nothing
// on kernels without SCHED_DEBUG, which lack that file.
std::optional<u64> proc_migrations() {
  std::ifstream file("/proc/thread-self/sched");
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with("se.nr_migrations")) continue;
    const usize start = line.find_first_of("0123456789");
    u64 value = 0;
    if (start == std::string::npos) return std::nullopt;
    std::from_chars(line.data() + start, line.data() + line.size(), value);
    return value;
  }
  return std::nullopt;
}

// The event's value, time enabled and time running, in the order of the kernel's read format.
std::optional<std::array<u64, 3>> read_event(int file) {
  std::array<u64, 3> numbers{};
  if (read(file, numbers.data(), sizeof(numbers)) != sizeof(numbers)) return std::nullopt;
  return numbers;
}

std::string why_uncounted(const EventReading& reading) {
  if (!reading.absent.empty()) return reading.absent;
  return reading.running_ns == 0 ? "it never had one of the CPU's counters" : "";
}

}  // namespace

std::optional<double> EventReading::scaled() const {
  if (running_ns == 0) return std::nullopt;
  return static_cast<double>(value) * static_cast<double>(enabled_ns) /
         static_cast<double>(running_ns);
}

ThreadCounters::ThreadCounters(std::span<const EventRow> rows) {
  open_rows(rows);
  open_migrations();
}

void ThreadCounters::open_rows(std::span<const EventRow> rows) {
  bool opened = false;
  int first_error = 0;
  for (const EventRow& row : rows) {
    const Encoding encoding = encoding_of(row);
    std::string name = fmt::format("{}::{}", row.pmu, row.event);
    int file = open_event(encoding, true);
    if (file < 0 && forbidden(errno)) {
      file = open_event(encoding, false);
      name += ":u";
    }
    const int error = file < 0 ? errno : 0;
    if (error != 0 && first_error == 0) first_error = error;
    opened = opened || error == 0;
    files_.push_back(file);
    readings_.push_back({.name = std::move(name), .absent = error == 0 ? "" : why_not_this(error)});
  }
  if (!opened) {
    files_.clear();
    readings_.clear();
    absent_ = why_not(first_error);
  }
  if (rows.empty()) absent_ = "the event table has no row for this CPU";
}

void ThreadCounters::open_migrations() {
  // With the kernel excluded this event reads 0, which is not a measurement.
  migrations_file_ = open_event(migrations_event, true);
}

ThreadCounters::~ThreadCounters() {
  for (const int file : files_)
    if (file >= 0) close(file);
  if (migrations_file_ >= 0) close(migrations_file_);
}

void ThreadCounters::start() {
  if (migrations_file_ < 0) migrations_by_proc_ = proc_migrations();
  prctl(PR_TASK_PERF_EVENTS_ENABLE, 0, 0, 0, 0);
}

void ThreadCounters::stop() {
  prctl(PR_TASK_PERF_EVENTS_DISABLE, 0, 0, 0, 0);
  for (usize i = 0; i < files_.size(); ++i) {
    if (files_[i] < 0) continue;
    const auto numbers = read_event(files_[i]);
    if (!numbers) {
      readings_[i].absent = "its count could not be read";
      continue;
    }
    readings_[i].value = (*numbers)[0];
    readings_[i].enabled_ns = (*numbers)[1];
    readings_[i].running_ns = (*numbers)[2];
  }
  if (migrations_file_ >= 0) {
    if (const auto numbers = read_event(migrations_file_)) migrations_ = (*numbers)[0];
  } else if (migrations_by_proc_) {
    if (const auto now = proc_migrations())
      migrations_ = migrations_.value_or(0) + *now - *migrations_by_proc_;
  }
}

json events_json(const std::vector<std::vector<EventReading>>& threads) {
  std::map<std::string, EventReading> sums;
  std::map<std::string, usize> counted;
  for (const std::vector<EventReading>& readings : threads)
    for (const EventReading& reading : readings) {
      EventReading& sum = sums[reading.name];
      sum.value += reading.value;
      sum.enabled_ns += reading.enabled_ns;
      sum.running_ns += reading.running_ns;
      const std::string why = why_uncounted(reading);
      if (why.empty()) ++counted[reading.name];
      if (sum.absent.empty()) sum.absent = why;
    }
  json events = json::object();
  for (const auto& [name, sum] : sums) {
    const usize by = counted[name];
    if (by == threads.size())
      events[name] = {
          {"value", sum.value}, {"enabled_ns", sum.enabled_ns}, {"running_ns", sum.running_ns}};
    else if (by == 0)
      events[name] = {{"absent", sum.absent}};
    else
      events[name] = {
          {"absent", fmt::format("{} of {} threads could not count it{}{}", threads.size() - by,
                                 threads.size(), sum.absent.empty() ? "" : ": ", sum.absent)}};
  }
  return events;
}

json counters_json(const std::vector<const ThreadCounters*>& threads) {
  std::vector<std::vector<EventReading>> readings;
  for (const ThreadCounters* thread : threads) {
    if (!thread->absent().empty()) return {{"absent", thread->absent()}};
    readings.push_back(thread->readings());
  }
  if (readings.empty()) return {{"absent", "no thread counted"}};
  return {{"events", events_json(readings)}};
}

std::optional<std::string> counters_absent() {
  const ThreadCounters probe;
  if (probe.absent().empty()) return std::nullopt;
  return probe.absent();
}

json counters_summary() {
  const ThreadCounters probe;
  if (!probe.absent().empty()) return {{"available", false}, {"reason", probe.absent()}};
  json events = json::array();
  for (const EventReading& reading : probe.readings())
    if (reading.absent.empty()) events.push_back(reading.name);
  return {{"available", true}, {"pmu", std::string(events_here().front().pmu)}, {"events", events}};
}

}  // namespace faultline
