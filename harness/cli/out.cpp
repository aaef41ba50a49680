#include "harness/cli/out.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <ctime>
#include <filesystem>
#include <stdexcept>

#include "results/files.hpp"
#include "results/summary.hpp"
#include "results/writer.hpp"

namespace faultline {

namespace fs = std::filesystem;

namespace {

std::string default_out(const std::string& name) {
  const std::time_t now = std::time(nullptr);
  char time[32];
  std::strftime(time, sizeof(time), "%Y%m%d-%H%M%S", std::localtime(&now));
  const fs::path out = fmt::format("results/runs/{}-{}/results.json", time, name);
  std::error_code error;
  fs::create_directories(out.parent_path(), error);
  if (error)
    throw std::invalid_argument("cannot make " + out.parent_path().string() + ": " +
                                error.message() + ", expected --out FILE in a writable folder");
  return out.string();
}

// Makes the result from the journal. If it cannot be written, the journal stays, and the error says
// how to use it.
nlohmann::json recover_or_keep(const std::string& journal, const std::string& out) {
  try {
    return recover(journal, out);
  } catch (const std::invalid_argument& error) {
    throw std::invalid_argument(fmt::format(
        "{}; the trials are in {}, `faultline recover` makes the result", error.what(), journal));
  }
}

}  // namespace

std::string choose_out(const std::string& given, const std::string& name) {
  const std::string out = given.empty() ? default_out(name) : given;
  require_writable(out);
  const std::string journal = journal_for(out);
  if (fs::exists(journal))
    throw std::invalid_argument(
        fmt::format("{}: a run that did not end has left this journal; `faultline recover {}` "
                    "makes its result, then remove the journal",
                    journal, journal));
  return out;
}

std::string journal_for(const std::string& out) {
  return out + ".journal";
}

void finish(const std::string& journal, const std::string& out, std::ostream& table) {
  const nlohmann::json results = recover_or_keep(journal, out);
  std::error_code ignored;
  fs::remove(journal, ignored);
  print_summary(table, results);
  table << "results: " << out << '\n';
}

std::string host_name() {
  char host[256] = "host";
  gethostname(host, sizeof(host) - 1);
  return host;
}

}  // namespace faultline
