#include "results/verdict.h"

#include <algorithm>
#include <set>

#include "stats/multiplicity.h"

namespace mr::results {
namespace {

using P = std::optional<double>;

P larger(const P& a, const P& b) {
  return a && b ? P(std::max(*a, *b)) : P();
}

/// Holm over the verdicts that have this p value.
void adjust(std::vector<Verdict>& verdicts, P Verdict::*which) {
  std::vector<double> p;
  for (const auto& v : verdicts)
    if (v.*which) p.push_back(*(v.*which));
  const auto adjusted = stats::holm(p);
  auto next = adjusted.begin();
  for (auto& v : verdicts)
    if (v.*which) v.*which = *next++;
}

std::vector<Harm> harms(const Study& study, const std::string& arm, const std::string& baseline,
                        const Rule& rule) {
  std::vector<Harm> found;
  for (const auto& artifact : study.artifacts()) {
    const auto e = study.estimate(study.over_severities(arm, artifact) -
                                  study.over_severities(baseline, artifact));
    if (!e.value || !e.low) continue;
    const bool shown = *e.value < -rule.guard && *e.high < 0;
    if (shown || *e.low < -rule.guard) found.push_back({artifact, e, shown});
  }
  return found;
}

Outcome outcome(const Verdict& v, const Rule& rule) {
  const auto shown = [&](const P& p) { return p && *p < rule.alpha; };
  const bool harm_shown =
      std::any_of(v.harms.begin(), v.harms.end(), [](const Harm& harm) { return harm.shown; });
  if (harm_shown || (v.clean.high && *v.clean.high < -rule.margin)) return Outcome::harmful;
  if (shown(v.p_prefer) && v.harms.empty() && v.operating.empty()) return Outcome::prefer;
  if (shown(v.p_equivalent)) return Outcome::equivalent;
  if (shown(v.p_non_inferior)) return Outcome::non_inferior;
  return Outcome::inconclusive;
}

std::vector<Missing> missing(const Study& study, const Verdict& v, const Rule& rule) {
  std::vector<Missing> all;
  if (v.outcome != Outcome::inconclusive && v.outcome != Outcome::non_inferior) return all;
  const auto subjects = static_cast<std::int64_t>(study.common().subjects.size());
  const auto see = [&](Requirement requirement, const Estimate& difference, const P& p,
                       double bound) {
    if (p && *p < rule.alpha) return;
    all.push_back(
        {requirement, p, stats::p_above(difference, bound), {}, subjects, difference.runs});
    if (difference.low)
      all.back().more = stats::more_data(difference, subjects, rule.margin, rule.alpha);
  };
  see(Requirement::non_inferior_clean, v.clean, v.p_non_inferior, -rule.margin);
  see(Requirement::superior_corrupted, v.endpoint, v.p_superior, 0);
  return all;
}

}  // namespace

const char* name(Requirement requirement) {
  return requirement == Requirement::non_inferior_clean ? "non-inferiority on clean images"
                                                        : "superiority on corrupted images";
}

const char* name(Outcome outcome) {
  switch (outcome) {
    case Outcome::prefer:
      return "prefer";
    case Outcome::equivalent:
      return "equivalent";
    case Outcome::non_inferior:
      return "non-inferior only";
    case Outcome::harmful:
      return "harmful";
    case Outcome::inconclusive:
      break;
  }
  return "inconclusive";
}

std::vector<OperatingFailure> operating_failures(const Study& study, const std::string& arm,
                                                 const Rule& rule) {
  std::set<double> severities = {0};
  for (const auto& artifact : study.artifacts())
    for (const double s : study.severities(artifact))
      if (s <= rule.up_to_severity) severities.insert(s);
  std::vector<OperatingFailure> found;
  for (std::size_t l = 0; l < study.labels().size(); ++l)
    for (const double s : severities) {
      const auto at = s == 0 ? study.clean(arm) : study.at_severity(arm, s);
      const auto sensitivity = study.estimate(at, l, Metric::sensitivity);
      if (sensitivity.value && *sensitivity.value < rule.sensitivity_floor)
        found.push_back({l, Metric::sensitivity, s, sensitivity});
      const auto rise = study.estimate(at - study.clean(arm), l, Metric::alarm_rate);
      if (rise.value && *rise.value > rule.alarm_rate_cap)
        found.push_back({l, Metric::alarm_rate, s, rise});
    }
  return found;
}

std::vector<Verdict> decide(const Study& study, const std::string& baseline, const Rule& rule) {
  std::vector<Verdict> verdicts;
  for (const auto& arm : study.arms()) {
    if (arm == baseline) continue;
    Verdict v;
    v.arm = arm;
    v.clean = study.estimate(study.clean(arm) - study.clean(baseline));
    v.endpoint = study.estimate(study.endpoint(arm) - study.endpoint(baseline));
    v.p_non_inferior = stats::p_above(v.clean, -rule.margin);
    v.p_superior = stats::p_above(v.endpoint, 0);
    v.p_prefer = larger(v.p_non_inferior, v.p_superior);
    v.p_equivalent =
        larger(stats::p_within(v.clean, rule.margin), stats::p_within(v.endpoint, rule.margin));
    v.harms = harms(study, arm, baseline, rule);
    v.operating = operating_failures(study, arm, rule);
    verdicts.push_back(std::move(v));
  }
  for (auto which :
       {&Verdict::p_prefer, &Verdict::p_non_inferior, &Verdict::p_superior, &Verdict::p_equivalent})
    adjust(verdicts, which);
  for (auto& v : verdicts) {
    v.outcome = outcome(v, rule);
    v.missing = missing(study, v, rule);
  }
  return verdicts;
}

}  // namespace mr::results
