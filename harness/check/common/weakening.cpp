#include "harness/check/common/weakening.hpp"

#include <fmt/format.h>

#include "harness/check/common/sources.hpp"

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

std::string_view short_name(std::string_view file) {
  for (const Source& source : sources())
    if (file.ends_with(source.name) &&
        (file.size() == source.name.size() || file[file.size() - source.name.size() - 1] == '/'))
      return source.name;
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

std::vector<Weakening> weakenings_of(const Site& site) {
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

Loss loss_of(const Weakening& weakening) {
  const auto [site, weaker] = weakening;
  if (site.kind == SiteKind::wake) return Loss::wake;
  const bool failure = site.kind == SiteKind::failure;
  if (site.order == Order::seq_cst) return failure ? Loss::seq_cst_on_failure : Loss::seq_cst;
  if (failure) return Loss::acquire_on_failure;
  const bool keeps_acquire = weaker == Order::acquire;
  return site.order == Order::release || keeps_acquire ? Loss::release : Loss::acquire;
}

const char* name_of(Loss loss) {
  constexpr const char* names[] = {
      "acquire", "release", "seq_cst", "acquire on failure", "seq_cst on failure", "wake"};
  return names[static_cast<usize>(loss)];
}

std::string to_string(const Site& site) {
  return fmt::format("{}:{}:{} {}", short_name(site.file), site.line, site.column,
                     kind_name(site.kind));
}

std::string to_string(const Weakening& weakening) {
  if (weakening.site.kind == SiteKind::wake) return to_string(weakening.site) + " dropped";
  return fmt::format("{} {} -> {}", to_string(weakening.site), name_of(weakening.site.order),
                     name_of(weakening.weaker));
}

}  // namespace faultline::check
