#include "plots/report.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <regex>
#include <sstream>

#include "results/fit.hpp"
#include "results/native_and_simulated.hpp"
#include "results/reader.hpp"
#include "results/writer.hpp"
#include "tests/results/sample.hpp"

namespace faultline {
namespace {

using nlohmann::json;
using sample::put_text;
using sample::TemporaryDirectory;
using sample::text_of;

const std::vector<std::string> all_pictures = {"bounces", "events",     "fairness", "latency",
                                               "linux",   "throughput", "waiting"};

std::string write_sample(const TemporaryDirectory& directory, const std::string& name,
                         const sample::Shape& shape) {
  write_results(build_results({sample::header(shape), sample::trials(shape), false}, name),
                directory.file(name));
  return directory.file(name);
}

struct Page {
  std::string dom;
  std::string log;
};

/** Opens a page in headless Chromium without a network, until its scripts have run. */
Page open_page(const TemporaryDirectory& directory, const std::string& html) {
  const std::string command =
      "chromium --headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
      "--disable-background-networking "
      "--disable-component-update --disable-sync --host-resolver-rules='MAP * ~NOTFOUND' "
      "--virtual-time-budget=15000 "
      "--enable-logging=stderr --v=0 --user-data-dir='" +
      directory.file("profile") + "' --dump-dom 'file://" + html + "' > '" + directory.file("dom") +
      "' 2> '" + directory.file("log") + "'";
  EXPECT_EQ(std::system(command.c_str()), 0) << text_of(directory.file("log"));
  return {text_of(directory.file("dom")), text_of(directory.file("log"))};
}

std::size_t count_of(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1))
    ++count;
  return count;
}

/** What the page wrote to its console, which must be nothing. */
std::string console_of(const Page& page) {
  std::string lines;
  std::istringstream log(page.log);
  for (std::string line; std::getline(log, line);) {
    if (line.find("CONSOLE") != std::string::npos) lines += line + '\n';
  }
  return lines;
}

std::string refusal(const std::vector<std::string>& files, const std::string& html,
                    const std::string& svg) {
  try {
    report(files, html, svg);
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "no error";
}

TEST(Report, DrawsEveryPictureInABrowserWithoutConsoleErrors) {
  const TemporaryDirectory directory;
  const std::string results =
      write_sample(directory, "r.json", {.repetitions = 3, .counters = true});
  ASSERT_EQ(report({results}, directory.file("report.html"), ""), 0);
  const Page page = open_page(directory, directory.file("report.html"));
  EXPECT_EQ(console_of(page), "");
  EXPECT_NE(page.dom.find("data-drawn=\"7\""), std::string::npos);
  EXPECT_EQ(page.dom.find("data-error"), std::string::npos);
  // A picture's marks, its provenance and its choice of threads are there, not only an empty frame.
  EXPECT_GE(count_of(page.dom, "class=\"marks\""), 7u);
  EXPECT_GE(
      count_of(
          page.dom,
          "native \u00b7 testhost (Test CPU &lt;/script&gt; 3000) \u00b7 2026-11-24T02:30:00Z"),
      7u);
  EXPECT_GE(count_of(page.dom, "<select name=\"threads\""), 2u);
  EXPECT_GT(count_of(page.dom, "aria-roledescription=\"point\"") +
                count_of(page.dom, "mark-symbol role-mark"),
            7u);
}

TEST(Report, OfASuiteWithQuestionsBeginsWithTheirAnswers) {
  const TemporaryDirectory directory;
  const std::string results = write_sample(directory, "r.json", {.repetitions = 3});
  json asked = json::parse(text_of(results));
  asked["faultline"]["suite"] = "lwn-2019";
  // The sample has no comparison that the questions ask for, so that one of its schemes plays
  // another.
  for (json& one : asked["faultline"]["cases"])
    if (one["scheme"] == "refcount") one["scheme"] = "full_range";
  put_text(directory.file("asked.json"), asked.dump());
  ASSERT_EQ(
      report({directory.file("asked.json")}, directory.file("report.html"), directory.file("svg")),
      0);
  const std::string html = text_of(directory.file("report.html"));
  EXPECT_NE(html.find("<section id=\"questions-lwn-2019\"><h2>The questions of 2019</h2>"),
            std::string::npos);
  EXPECT_NE(html.find("full_range over mmap_sem</b>. Test CPU &lt;/script&gt; 3000, native: At "),
            std::string::npos);
  const std::string picture = "picture-question-lwn-2019-full_range\"";
  EXPECT_EQ(count_of(html, picture), 1u);
  EXPECT_NE(text_of(directory.file("svg/question-lwn-2019-full_range.svg")).find("native"),
            std::string::npos);
  const Page page = open_page(directory, directory.file("report.html"));
  EXPECT_EQ(console_of(page), "");
  EXPECT_EQ(page.dom.find("data-error"), std::string::npos);

  ASSERT_EQ(report({results}, directory.file("other.html"), ""), 0);
  EXPECT_EQ(text_of(directory.file("other.html")).find("The questions of 2019"), std::string::npos);
}

TEST(Report, ShowsSimulatedResultsApartFromMeasuredOnes) {
  const TemporaryDirectory directory;
  const std::string native = write_sample(directory, "n.json", {.repetitions = 2});
  const std::string simulated =
      write_sample(directory, "s.json", {.repetitions = 2, .mode = "sim"});
  report({simulated}, "", directory.file("alone"));
  for (const char* picture : {"throughput", "stall", "transfers", "waiting"}) {
    const std::string svg = text_of(directory.file(std::string("alone/") + picture + ".svg"));
    EXPECT_NE(svg.find("simulated on testbox, seeds 1\u20133"), std::string::npos) << picture;
    EXPECT_EQ(svg.find("native"), std::string::npos) << picture;
  }
  EXPECT_NE(text_of(directory.file("alone/stall.svg")).find(">rwsem.count<"), std::string::npos);
  EXPECT_NE(text_of(directory.file("alone/transfers.svg")).find(">vma.lock<"), std::string::npos);

  ASSERT_EQ(report({native, simulated}, directory.file("both.html"), directory.file("both")), 0);
  const std::string svg = text_of(directory.file("both/throughput.svg"));
  // Three workloads have one panel each in either mode.
  EXPECT_EQ(count_of(svg, ">simulated on testbox<"), 3u);
  const Page page = open_page(directory, directory.file("both.html"));
  EXPECT_EQ(console_of(page), "");
  EXPECT_NE(page.dom.find("data-drawn=\"8\""), std::string::npos);
  EXPECT_NE(text_of(directory.file("both.html")).find("made up"), std::string::npos);
}

/** Made-up results of `local` under two schemes that stand for systems in the published curves. */
json published_case(const std::vector<int>& threads) {
  const sample::Shape shape{.threads = threads, .repetitions = 3, .mode = "sim"};
  json results = build_results({sample::header(shape), sample::trials(shape), false}, "here");
  results["faultline"]["machine"]["models"][0]["name"] = "e7-8870";
  for (json& one : results["faultline"]["cases"]) {
    one.update({{"machine", "e7-8870"}, {"page_table", "shared"}, {"kernel_entry", true}});
    if (one["workload"] == "local" && one["scheme"] == "mmap_sem")
      one["scheme"] = "mmap_sem:lock=rwsem_2012";
    if (one["workload"] == "local" && one["scheme"] == "lock_in_tree")
      one["scheme"] = "lock_in_tree:frames=refcache";
  }
  return results;
}

TEST(Report, ShowsTheFitToPublishedCurvesAsItIsComputed) {
  const TemporaryDirectory directory;
  const json results = published_case({1, 10, 20, 32});
  write_results(results, directory.file("s.json"));
  ASSERT_EQ(report({directory.file("s.json")}, directory.file("r.html"), directory.file("svg")), 0);
  const std::vector<json> fits = fits_of({results["faultline"]}, published_curves());
  ASSERT_EQ(fits.size(), 1u);
  const json& fit = fits[0];
  ASSERT_EQ(fit["systems"].size(), 2u);  // mmap_sem and lock_in_tree
  const std::string svg = text_of(directory.file("svg/fit-mapbench-local-e7-8870.svg"));
  for (const char* part : {">published<", ">simulated on e7-8870<", "published: A. Clements"})
    EXPECT_NE(svg.find(part), std::string::npos) << part;
  const std::string html = text_of(directory.file("r.html"));
  std::vector<std::string> parts = {"<section id=\"fit-mapbench-local-e7-8870\">",
                                    "<section id=\"ladder\">", "3 of 9", "linux, point by point"};
  for (const json& system : fit["systems"]) {
    parts.push_back(fmt::format("<td>{:.2f}</td>", system["error"]["mean"].get<double>()));
    parts.push_back(fmt::format("<td>{:.2f} at {}</td>", system["error"]["worst"].get<double>(),
                                system["error"]["worst_at"].get<int>()));
    for (const json& trivial : system["trivial"])
      parts.push_back(fmt::format("<td>{:.2f}, {:.2f} ", trivial["mean"].get<double>(),
                                  trivial["worst"].get<double>()));
  }
  for (const std::string& part : parts) EXPECT_NE(html.find(part), std::string::npos) << part;
  const Page page = open_page(directory, directory.file("r.html"));
  EXPECT_EQ(console_of(page), "");
  EXPECT_EQ(page.dom.find("data-error"), std::string::npos);
}

TEST(Report, HasNoFitWhereNoCaseStandsForAPublishedSystem) {
  const TemporaryDirectory directory;
  report({write_sample(directory, "s.json", {.repetitions = 2, .mode = "sim"})},
         directory.file("r.html"), directory.file("svg"));
  EXPECT_EQ(text_of(directory.file("r.html")).find("<section id=\"fit"), std::string::npos);
  EXPECT_FALSE(std::filesystem::exists(directory.file("svg/fit-mapbench-local-e7-8870.svg")));
}

/** A simulation on a machine that was calibrated on `host`. The native samples are of testhost. */
std::string write_calibrated(const TemporaryDirectory& directory, const std::string& host) {
  const sample::Shape shape{.repetitions = 3, .speed = 2, .mode = "sim"};
  json results = build_results({sample::header(shape), sample::trials(shape), false}, "here");
  results["faultline"]["machine"]["models"][0]["calibrated"] = {
      {"host", host}, {"cpu_model", "Test CPU </script> 3000"}};
  write_results(results, directory.file("s.json"));
  return directory.file("s.json");
}

TEST(Report, TellsHowNearTheModelOfTheMeasuredMachineComes) {
  const TemporaryDirectory directory;
  const std::string native = write_sample(directory, "n.json", {.repetitions = 3});
  const std::string simulated = write_calibrated(directory, "testhost");
  report({native, simulated}, directory.file("r.html"), "");
  const json told = native_and_simulated(
      {load_results(native)["faultline"], load_results(simulated)["faultline"]})[0];
  const std::string html = text_of(directory.file("r.html"));
  std::vector<std::string> parts = {
      "<h3>testbox and testhost</h3>",
      fmt::format("{} cases: {:.2f} in the median, {:.2f} (", told["cases"].size(),
                  told["median"].get<double>(), told["worst"]["ratio"]["median"].get<double>())};
  for (const json& one : told["cases"])
    parts.push_back(fmt::format(
        "<td>{:.2f}</td><td>{:.2f} \u2026 {:.2f}</td></tr>", one["ratio"]["median"].get<double>(),
        one["ratio"]["low"].get<double>(), one["ratio"]["high"].get<double>()));
  for (const std::string& part : parts) EXPECT_NE(html.find(part), std::string::npos) << part;
  const Page page = open_page(directory, directory.file("r.html"));
  EXPECT_EQ(console_of(page), "");
}

TEST(Report, SaysWhyTheModelOfAnotherMachineIsNotCompared) {
  const TemporaryDirectory directory;
  const std::string native = write_sample(directory, "n.json", {.repetitions = 2});
  report({native, write_calibrated(directory, "elsewhere")}, directory.file("r.html"), "");
  EXPECT_NE(text_of(directory.file("r.html"))
                .find("Not compared: testbox was calibrated on elsewhere (Test CPU &lt;/script&gt; "
                      "3000), and the measurement is of testhost"),
            std::string::npos);
  // A preset is not calibrated on any host.
  report({native, write_sample(directory, "p.json", {.repetitions = 2, .mode = "sim"})},
         directory.file("p.html"), "");
  EXPECT_EQ(text_of(directory.file("p.html")).find("id=\"agreement\""), std::string::npos);
}

TEST(Report, ShowsNotesWithTheirCases) {
  const TemporaryDirectory directory;
  const sample::Shape shape{.repetitions = 2, .mode = "sim"};
  json results = build_results({sample::header(shape), sample::trials(shape), false}, "here");
  results["faultline"]["cases"][0]["notes"] = {"none did <so> in 2 ms"};
  results["faultline"]["cases"][1]["notes"] = {"none did <so> in 2 ms"};
  write_results(results, directory.file("s.json"));
  report({directory.file("s.json")}, directory.file("r.html"), "");
  const std::string html = text_of(directory.file("r.html"));
  EXPECT_NE(html.find("none did &lt;so&gt; in 2 ms</td><td><details><summary>2 cases</summary>" +
                      results["faultline"]["cases"][0]["name"].get<std::string>() + "<br>"),
            std::string::npos);
}

TEST(Report, TakesALogarithmicScaleWhereOneCurveLiesFarAboveAnother) {
  const TemporaryDirectory directory;
  const sample::Shape shape{.repetitions = 2, .spoiled = false};
  json results = build_results({sample::header(shape), sample::trials(shape), false}, "here");
  const auto throughput = [&](const std::string& name) {
    write_results(results, directory.file("r.json"));
    report({directory.file("r.json")}, "", directory.file(name));
    return text_of(directory.file(name + "/throughput.svg"));
  };
  EXPECT_EQ(throughput("near").find("operations per second (log)"), std::string::npos);
  for (json& one : results["faultline"]["cases"])
    if (one["scheme"] == "lock_in_tree")
      one["throughput"]["median"] = 1000 * one["throughput"]["median"].get<double>();
  EXPECT_NE(throughput("far").find("operations per second (log)"), std::string::npos);
}

TEST(Report, DrawsDoubtfulPointsHollowAndSaysWhy) {
  const TemporaryDirectory directory;
  const sample::Shape shape{.repetitions = 4, .spoiled = false, .mode = "sim"};
  json results = build_results({sample::header(shape), sample::trials(shape), false}, "here");
  report({write_sample(directory, "sure.json", shape)}, "", directory.file("sure"));
  json& one = results["faultline"]["cases"][0];
  one["doubtful"] = {{{"kind", "unsettled"}, {"why", "it <drifts>"}},
                     {{"kind", "modes"}, {"why", "it has modes"}}};
  const double median = one["throughput"]["median"];
  one["throughput"]["modes"] = {{{"median", median}, {"repetitions", 2}},
                                {{"median", 2 * median}, {"repetitions", 2}}};
  write_results(results, directory.file("s.json"));
  report({directory.file("s.json")}, directory.file("r.html"), directory.file("svg"));
  const std::string svg = text_of(directory.file("svg/throughput.svg"));
  const std::string sure = text_of(directory.file("sure/throughput.svg"));
  EXPECT_NE(svg.find("hollow points are doubtful"), std::string::npos);
  EXPECT_EQ(sure.find("hollow points are doubtful"), std::string::npos);
  for (const char* name : {"stall", "transfers"}) {
    const std::string bars = text_of(directory.file(fmt::format("svg/{}.svg", name)));
    EXPECT_NE(bars.find(">" + one["threads"].dump() + "?</text>"), std::string::npos) << name;
    EXPECT_NE(bars.find("bars with a question mark are doubtful"), std::string::npos) << name;
  }
  const std::string latency = text_of(directory.file("svg/latency.svg"));
  EXPECT_NE(latency.find("pale marks are doubtful"), std::string::npos);
  // The point of each mode.
  const auto hollow = [](const std::string& text) {
    return std::regex_search(text, std::regex("role=\"graphics-symbol\"[^>]*fill=\"white\""));
  };
  EXPECT_TRUE(hollow(svg));
  EXPECT_FALSE(hollow(sure));
  const std::string html = text_of(directory.file("r.html"));
  const std::string where = one["workload"].get<std::string>() +
                            ", simulated on testbox: " + one["scheme"].get<std::string>() + " at " +
                            one["threads"].dump();
  for (const std::string& part :
       {"Hollow points are doubtful. Throughput had not settled when the warm-up reached its "
        "cap: " +
            where,
        std::string("The seeds fall into two modes: "), std::string("(2 seeds), "),
        std::string("it &lt;drifts&gt;</td><td><details><summary>1 case</summary>")})
    EXPECT_NE(html.find(part), std::string::npos) << part;
  EXPECT_EQ(console_of(open_page(directory, directory.file("r.html"))), "");
}

TEST(Report, RefusesADamagedSimulationByFileAndPlace) {
  const TemporaryDirectory directory;
  const sample::Shape shape{.repetitions = 2, .mode = "sim"};
  json results = build_results({sample::header(shape), sample::trials(shape), false}, "here");
  results["faultline"]["cases"][2]["sim"]["time"].erase("stall");
  write_results(results, directory.file("s.json"));
  const std::string message = refusal({directory.file("s.json")}, directory.file("r.html"), "");
  EXPECT_NE(message.find("s.json: /faultline/cases/2/sim/time/stall is missing"), std::string::npos)
      << message;
  EXPECT_EQ(directory.names(), std::vector<std::string>{"s.json"});
}

TEST(Report, IsOneFileThatLoadsNothing) {
  const TemporaryDirectory directory;
  report({write_sample(directory, "r.json", {.repetitions = 2})}, directory.file("report.html"),
         "");
  const std::string html = text_of(directory.file("report.html"));
  EXPECT_NE(html.find("default-src 'none'"), std::string::npos);
  // Addresses inside the bundled libraries are text; only markup and styles load. Elements stand
  // outside <script>.
  const std::string markup =
      std::regex_replace(html.substr(0, html.find("<script>")), std::regex("data:,"), "");
  EXPECT_FALSE(std::regex_search(markup, std::regex("(src|href)=\"(?!#)[^\"]")));
  EXPECT_EQ(html.find("<script src"), std::string::npos);
  EXPECT_EQ(html.find("@import"), std::string::npos);
  const std::vector<std::string> names = directory.names();
  EXPECT_EQ(names, (std::vector<std::string>{"r.json", "report.html"}));
}

TEST(Report, SaysWhyBouncesWereNotCountedAndListsWhatWentWrong) {
  const TemporaryDirectory directory;
  report({write_sample(directory, "r.json", {.repetitions = 2})}, directory.file("report.html"),
         directory.file("svg"));
  const std::string html = text_of(directory.file("report.html"));
  for (const char* part :
       {"Bounces were not counted: this machine has no PMU.", "no progress for 10 s",
        "holding: thread 0 holds rwsem@0x10 for writing", "steal 7 % of the window",
        "threads 3 of page_fault1", "budget 2m", "g++ 12.2.0"}) {
    EXPECT_NE(html.find(part), std::string::npos) << part;
  }
  EXPECT_EQ(html.find("picture-bounces"), std::string::npos);
  EXPECT_NE(text_of(directory.file("svg/bounces.svg")).find("this machine has no PMU"),
            std::string::npos);
}

TEST(Report, NamesTheEventsThatWereNotCountedAndTellsWhichAreScaled) {
  const TemporaryDirectory directory;
  report({write_sample(directory, "r.json",
                       {.repetitions = 2, .counters = true, .refused_event = true})},
         directory.file("report.html"), "");
  const std::string html = text_of(directory.file("report.html"));
  EXPECT_NE(html.find("Not counted everywhere: icx::REFUSED (too many open files)."),
            std::string::npos);
  EXPECT_NE(html.find("scaled: counted 50.0 % of the time"), std::string::npos);
}

TEST(Report, NamesEveryFilesOwnReasonForAbsentCounters) {
  const TemporaryDirectory directory;
  const auto lacking = [&](const std::string& name, const std::string& reason) {
    const sample::Shape shape{.repetitions = 1};
    json header = sample::header(shape);
    header["counters"]["reason"] = reason;
    write_results(build_results({header, sample::trials(shape), false}, name),
                  directory.file(name));
    return directory.file(name);
  };
  const std::string one = lacking("one.json", "this machine has no PMU");
  const std::string two = lacking("two.json", "paranoid is 3");
  const std::string counted =
      write_sample(directory, "counted.json", {.repetitions = 1, .counters = true});
  report({one, two}, directory.file("none.html"), "");
  EXPECT_NE(
      text_of(directory.file("none.html"))
          .find("Bounces were not counted: one: this machine has no PMU; two: paranoid is 3."),
      std::string::npos);
  report({counted, two}, directory.file("some.html"), "");
  EXPECT_NE(
      text_of(directory.file("some.html")).find("Not counted everywhere: two: paranoid is 3."),
      std::string::npos);
}

TEST(Report, EverySvgSaysNativeMachineDateAndBuild) {
  const TemporaryDirectory directory;
  // The results have no counters. A picture without data must name its provenance too.
  const std::string results = write_sample(directory, "r.json", {.repetitions = 2});
  report({results}, "", directory.file("svg"));
  for (const std::string& picture : all_pictures) {
    const std::string svg = text_of(directory.file("svg/" + picture + ".svg"));
    for (const char* part : {"native", "testhost (Test CPU", "2026-11-24", "build 0123abc"}) {
      EXPECT_NE(svg.find(part), std::string::npos) << picture << " lacks " << part;
    }
  }
  EXPECT_NE(text_of(directory.file("svg/throughput.svg")).find("page_fault1"), std::string::npos);
}

TEST(Report, DrawsManyThreadCountsAndSeveralFiles) {
  const TemporaryDirectory directory;
  const std::string wide =
      write_sample(directory, "wide.json",
                   {.threads = {1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128}, .repetitions = 2});
  const std::string other =
      write_sample(directory, "other.json", {.repetitions = 2, .host = "elsewhere"});
  report({wide, other}, directory.file("report.html"), directory.file("svg"));
  const std::string html = text_of(directory.file("report.html"));
  EXPECT_NE(html.find("wide: native"), std::string::npos);
  EXPECT_NE(html.find("other: native"), std::string::npos);
  const std::string svg = text_of(directory.file("svg/throughput.svg"));
  EXPECT_NE(svg.find("elsewhere"), std::string::npos);
  EXPECT_NE(svg.find(">64<"), std::string::npos);
}

TEST(Report, ShowsMediansAndIntervalsAsTheyAreInTheResults) {
  const TemporaryDirectory directory;
  const sample::Shape shape{.repetitions = 3};
  const json results = build_results({sample::header(shape), sample::trials(shape), false}, "here");
  write_results(results, directory.file("r.json"));
  report({directory.file("r.json")}, directory.file("report.html"), "");
  const std::string html = text_of(directory.file("report.html"));
  for (const json& one : results.at("faultline").at("cases")) {
    if (one.at("scheme") == "linux") continue;
    for (const char* part : {"median", "low", "high"}) {
      const std::string number = one.at("throughput").at(part).dump();
      EXPECT_NE(html.find(number.substr(0, number.find(".0"))), std::string::npos)
          << part << ' ' << number;
    }
  }
}

TEST(Report, DrawsTheIntervalsOfLockEvents) {
  const TemporaryDirectory directory;
  report({write_sample(directory, "many.json", {.repetitions = 3})}, "", directory.file("many"));
  report({write_sample(directory, "once.json", {.repetitions = 1})}, "", directory.file("once"));
  const std::string bar = "aria-roledescription=\"rule mark\"";
  EXPECT_GT(count_of(text_of(directory.file("many/events.svg")), bar), 0u);
  EXPECT_EQ(count_of(text_of(directory.file("once/events.svg")), bar), 0u);
}

TEST(Report, RefusesBadInputInOneLineAndLeavesNoFile) {
  const TemporaryDirectory directory;
  const std::string good = write_sample(directory, "r.json", {.repetitions = 1});
  put_text(directory.file("cut.json"), text_of(good).substr(0, 1000));
  const auto one_line = [](const std::string& message, const std::string& part) {
    EXPECT_NE(message.find(part), std::string::npos) << message;
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
  };
  one_line(refusal({directory.file("cut.json")}, directory.file("x.html"), ""), "truncated JSON");
  one_line(refusal({directory.file("none")}, directory.file("x.html"), ""), "No such file");
  one_line(refusal({good}, directory.file("no/x.html"), ""), "cannot write");
  one_line(refusal({good}, "", good), "cannot write");
  one_line(refusal({good}, "", ""), "expected -o FILE.html or --svg DIR");
  one_line(refusal({}, directory.file("x.html"), ""), "expected one file or more");
  EXPECT_EQ(directory.names(), (std::vector<std::string>{"cut.json", "r.json"}));
}

TEST(Report, WithoutNodeNamesTheMend) {
  const TemporaryDirectory directory;
  const std::string good = write_sample(directory, "r.json", {.repetitions = 1});
  const std::string path = std::getenv("PATH");
  setenv("PATH", directory.file("").c_str(), 1);
  try {
    report({good}, directory.file("x.html"), "");
    ADD_FAILURE() << "no error";
  } catch (const std::runtime_error& error) {
    EXPECT_NE(std::string(error.what()).find("expected Node.js 18 or later"), std::string::npos)
        << error.what();
  }
  setenv("PATH", path.c_str(), 1);
}

}  // namespace
}  // namespace faultline
