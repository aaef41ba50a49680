#include "harness/run/display.hpp"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <iostream>
#include <sstream>

namespace faultline {
namespace {

using benchmark::BenchmarkReporter;

class MendingReporter final : public BenchmarkReporter {
 public:
  MendingReporter(std::unique_ptr<BenchmarkReporter> inner, const ReportedTrial& current)
      : inner_(std::move(inner)), current_(current) {
    inner_->SetOutputStream(&output_);
    inner_->SetErrorStream(&errors_);
  }

  bool ReportContext(const Context& context) override {
    const bool goes_on = inner_->ReportContext(context);
    pass_on();
    return goes_on;
  }

  void ReportRuns(const std::vector<Run>& runs) override {
    if (current_.record.is_null()) return;
    std::vector<Run> mended = runs;
    for (Run& run : mended) mend(run);
    inner_->ReportRuns(mended);
    pass_on();
  }

  void Finalize() override {
    inner_->Finalize();
    pass_on();
  }

 private:
  void mend(Run& run) const {
    const CaseSpec& spec = current_.planned->spec;
    run.run_name = {};
    run.run_name.function_name = spec.name() + (current_.trial.latency ? "/latency" : "");
    run.threads = spec.threads;
    run.repetitions = current_.trial.latency ? current_.planned->latency_repetitions
                                             : current_.planned->repetitions;
    run.repetition_index = current_.trial.repetition;
    const nlohmann::json& record = current_.record;
    const nlohmann::json::json_pointer cpu("/software/cpu_s");
    const double operations = record.value("operations", 0.0);
    if (record.contains(cpu) && operations > 0)
      run.cpu_accumulated_time = record.at(cpu).get<double>() / operations;
  }

  void pass_on() {
    std::string text = output_.str();
    const std::string debug = "\"library_build_type\": \"debug\"";
    if (const usize at = text.find(debug); at != std::string::npos)
      text.replace(at, debug.size(), "\"library_build_type\": \"release\"");
    std::cout << text << std::flush;
    std::istringstream lines(errors_.str());
    for (std::string line; std::getline(lines, line);)
      if (line.find("built as DEBUG") == std::string::npos) std::cerr << line << '\n';
    output_.str("");
    errors_.str("");
  }

  std::unique_ptr<BenchmarkReporter> inner_;
  const ReportedTrial& current_;
  std::ostringstream output_;
  std::ostringstream errors_;
};

#pragma GCC diagnostic push
// The library marks its CSV reporter as deprecated but still offers CSV as a format.
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
std::unique_ptr<BenchmarkReporter> csv_reporter() {
  return std::make_unique<benchmark::CSVReporter>();
}
#pragma GCC diagnostic pop

std::unique_ptr<BenchmarkReporter> console_reporter(const DisplayOptions& options) {
  using Console = benchmark::ConsoleReporter;
  const int chosen =
      (options.colour ? Console::OO_Color : 0) | (options.tabular ? Console::OO_Tabular : 0);
  return std::make_unique<Console>(static_cast<Console::OutputOptions>(chosen));
}

usize terminal_width() {
  winsize size = {};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

}  // namespace

std::unique_ptr<BenchmarkReporter> make_reporter(const DisplayOptions& options,
                                                 const ReportedTrial& current) {
  std::unique_ptr<BenchmarkReporter> inner;
  if (options.format == DisplayFormat::console) inner = console_reporter(options);
  if (options.format == DisplayFormat::json) inner = std::make_unique<benchmark::JSONReporter>();
  if (options.format == DisplayFormat::csv) inner = csv_reporter();
  return std::make_unique<MendingReporter>(std::move(inner), current);
}

Progress::Progress(usize trials, bool shown)
    : trials_(trials),
      shown_(shown),
      terminal_(shown && isatty(STDERR_FILENO) != 0),
      begin_(Clock::now()),
      last_(begin_) {}

Progress::~Progress() {
  clear();
}

void Progress::clear() {
  if (terminal_) std::cerr << "\r\033[K" << std::flush;
}

double Progress::mean_s() const {
  if (done_ == 0) return 0;
  return std::chrono::duration<double>(Clock::now() - begin_).count() / static_cast<double>(done_);
}

void Progress::step(const std::string& name) {
  ++done_;
  if (!shown_) return;
  const std::string left = human_seconds(mean_s() * static_cast<double>(trials_ - done_));
  const auto now = Clock::now();
  if (terminal_) {
    constexpr usize width = 20;
    const usize full = width * done_ / trials_;
    std::string line = fmt::format("[{:=>{}}{:>{}}] {}/{}  {} left  {}", "", full, "", width - full,
                                   done_, trials_, left, name);
    line.resize(std::min(line.size(), terminal_width() - 1));
    std::cerr << "\r\033[K" << line << std::flush;
  } else if (now - last_ > std::chrono::seconds(10) || done_ == trials_) {
    std::cerr << fmt::format("{}/{} trials, {} left\n", done_, trials_, left);
    last_ = now;
  }
}

void Progress::remark(const std::string& line) {
  clear();
  std::cerr << line << '\n';
}

std::string human_seconds(double seconds) {
  const auto whole = static_cast<u64>(seconds + 0.5);
  return whole < 60 ? fmt::format("{} s", whole)
                    : fmt::format("{} min {} s", whole / 60, whole % 60);
}

}  // namespace faultline
