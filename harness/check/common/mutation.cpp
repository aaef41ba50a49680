#include "harness/check/common/mutation.hpp"

#include <fmt/format.h>

namespace faultline::check {
namespace {

const char* kind_name(SiteKind kind) {
  switch (kind) {
    case SiteKind::load:
      return "load";
    case SiteKind::store:
      return "store";
    case SiteKind::exchange:
      return "read-modify-write";
    case SiteKind::failure:
      return "failed exchange";
    case SiteKind::wake:
      return "wake";
  }
  return "?";
}

}  // namespace

// The checkout's own path may have a folder of such a name too: the last counts.
std::string_view short_name(std::string_view file) {
  for (const std::string_view folder : {"/locks/", "/tests/", "/harness/"})
    if (const usize found = file.rfind(folder); found != file.npos) return file.substr(found + 1);
  return file;
}

const char* name_of(Order order) {
  switch (order) {
    case Order::relaxed:
      return "relaxed";
    case Order::consume:
      return "consume";
    case Order::acquire:
      return "acquire";
    case Order::release:
      return "release";
    case Order::acq_rel:
      return "acq_rel";
    case Order::seq_cst:
      return "seq_cst";
  }
  return "?";
}

std::vector<Mutation> mutations_of(const Site& site) {
  if (site.kind == SiteKind::wake) return {{site, site.order}};
  switch (site.order) {
    case Order::seq_cst:
      if (site.kind == SiteKind::exchange) return {{site, Order::acq_rel}};
      return {{site, site.kind == SiteKind::store ? Order::release : Order::acquire}};
    case Order::acq_rel:
      return {{site, Order::acquire}, {site, Order::release}};
    case Order::acquire:
    case Order::consume:
    case Order::release:
      return {{site, Order::relaxed}};
    case Order::relaxed:
      return {};
  }
  return {};
}

std::string to_string(const Site& site) {
  return fmt::format("{}:{}:{} {}", short_name(site.file), site.line, site.column,
                     kind_name(site.kind));
}

std::string to_string(const Mutation& mutation) {
  if (mutation.site.kind == SiteKind::wake) return to_string(mutation.site) + " dropped";
  return fmt::format("{} {} -> {}", to_string(mutation.site), name_of(mutation.site.order),
                     name_of(mutation.weaker));
}

}  // namespace faultline::check
