// Which arms may be preferred to the baseline, by a rule that was fixed beforehand.
#include <algorithm>

#include "base/json.h"
#include "base/text.h"
#include "report/format.h"
#include "report/sections.h"

namespace mr::report {
namespace {

using results::Outcome;
using results::Verdict;

std::string percent(double share) {
  return fixed(100 * share, 0) + " %";
}

/// The first severity at which a label fails, of each label and metric.
std::vector<std::string> operating_texts(const Scope& scope,
                                         const std::vector<results::OperatingFailure>& failures) {
  const auto rule = scope.rule();
  std::vector<std::string> parts;
  for (auto failure = failures.begin(); failure != failures.end(); ++failure) {
    const bool later = std::any_of(failures.begin(), failure, [&](const auto& f) {
      return f.label == failure->label && f.metric == failure->metric;
    });
    if (later) continue;
    const std::string where =
        failure->severity == 0 ? " on clean images" : " at severity " + shortest(failure->severity);
    const auto& label = scope.study.labels()[failure->label];
    parts.push_back(
        failure->metric == Metric::sensitivity
            ? "sensitivity of " + label + " " + in_words(level_cell(failure->estimate)) + where +
                  ", below " + level(rule.sensitivity_floor)
            : "alarm rate of " + label + " " + in_words(difference_cell(failure->estimate)) +
                  where + ", above " + difference(rule.alarm_rate_cap));
  }
  return parts;
}

std::string joined_text(const std::vector<std::string>& parts) {
  std::string text;
  for (const auto& part : parts) text += (text.empty() ? "" : "; ") + part;
  return text;
}

std::string against(const Scope& scope, const Verdict& v) {
  std::vector<std::string> shown, possible, parts;
  for (const auto& harm : v.harms)
    (harm.shown ? shown : possible)
        .push_back(harm.artifact + " (" + difference_cell(harm.difference).text + ", " +
                   difference_cell(harm.difference).interval + ")");
  if (!shown.empty()) parts.push_back("harm under " + listed(shown));
  if (!possible.empty()) parts.push_back("harm not excluded under " + listed(possible));
  for (auto& text : operating_texts(scope, v.operating)) parts.push_back(text);
  return joined_text(parts);
}

/// What stands against each arm; of the baseline, what would.
Definitions all_against(const Scope& scope) {
  Definitions list;
  for (const auto& v : scope.verdicts) {
    const auto text = against(scope, v);
    if (!text.empty()) list.items.emplace_back("Against " + arm_name(v.arm), text);
  }
  const auto own = joined_text(operating_texts(
      scope, results::operating_failures(scope.study, scope.baseline, scope.rule())));
  if (!own.empty())
    list.items.emplace_back("The baseline " + arm_name(scope.baseline) + " itself", own);
  return list;
}

/// "To show it with 80 % power takes 240 subjects (now 60) at the same runs, or 9 runs of each arm
/// (now 3) at the same subjects"
std::string more_text(const results::Missing& missing) {
  if (!missing.more) return "The difference has no variance, so nothing can be said";
  const auto& [subjects, runs] = *missing.more;
  const auto now = [](std::int64_t n) { return " (now " + std::to_string(n) + ")"; };
  const bool enough = subjects && *subjects == missing.subjects;
  if (enough) return "This study is large enough: the difference itself is what is missing";
  const std::string by_subjects =
      subjects
          ? std::to_string(*subjects) + " subjects" + now(missing.subjects) + " at the same runs"
          : "no number of subjects alone, for the runs differ too much";
  const std::string by_runs = missing.runs == 1 ? "what more runs would add is not known from one"
                              : runs            ? std::to_string(*runs) + " runs of each arm" +
                                           now(missing.runs) + " at the same subjects"
                                     : "no number of runs alone, for the subjects differ too much";
  return "To show it with 80 % power takes " + by_subjects + "; " + by_runs;
}

std::string remedy_text(const Scope& scope, const results::Missing& missing) {
  if (!missing.p_unadjusted || *missing.p_unadjusted >= scope.rule().alpha)
    return more_text(missing);
  return "Without the correction for " + plural(scope.candidates.size(), "arm") +
         " it would be: a new study that asks of one arm alone, named beforehand, may show it";
}

/// "p .112", "p .111 to .114" of several arms; nothing where none has one.
std::string p_range(const std::vector<double>& p) {
  if (p.empty()) return "";
  const auto [low, high] = std::minmax_element(p.begin(), p.end());
  const auto from = p_value(*low), to = p_value(*high);
  return " (p " + from + (from == to ? "" : " to " + to) + ")";
}

/// What a preference lacks, and what would show it; arms that lack the same together.
Definitions all_missing(const Scope& scope) {
  struct Group {
    std::vector<std::string> arms, requirements, more;
    std::vector<std::vector<double>> p;  // [requirements], of the arms that have one
  };
  std::vector<Group> groups;
  for (const auto& v : scope.verdicts) {
    if (v.missing.empty()) continue;
    Group lacking{{arm_name(v.arm)}, {}, {}, {}};
    for (const auto& missing : v.missing) {
      lacking.requirements.emplace_back(results::name(missing.requirement));
      lacking.more.push_back(remedy_text(scope, missing));
      lacking.p.emplace_back();
      if (missing.p) lacking.p.back().push_back(*missing.p);
    }
    const auto same = std::find_if(groups.begin(), groups.end(), [&](const Group& g) {
      return g.requirements == lacking.requirements && g.more == lacking.more;
    });
    if (same == groups.end()) {
      groups.push_back(std::move(lacking));
      continue;
    }
    same->arms.push_back(lacking.arms.front());
    for (std::size_t i = 0; i < lacking.p.size(); ++i)
      same->p[i].insert(same->p[i].end(), lacking.p[i].begin(), lacking.p[i].end());
  }
  Definitions list;
  for (const auto& group : groups) {
    std::vector<std::string> parts;
    for (std::size_t i = 0; i < group.requirements.size(); ++i)
      parts.push_back(group.requirements[i] + " is not shown" + p_range(group.p[i]) + ". " +
                      group.more[i]);
    list.items.emplace_back("Missing for " + listed(group.arms), joined_text(parts) + ".");
  }
  return list;
}

Definitions rule_definitions(const results::Rule& r) {
  return {{{"prefer", "on clean images not worse than the baseline by " + level(r.margin) +
                          " or more, and better on corrupted ones, both at the one-sided level " +
                          shortest(r.alpha) +
                          " after Holm over the arms (intersection-union, Berger 1982), and "
                          "nothing stands against it"},
           {"equivalent", "within " + level(r.margin) +
                              " on clean and on corrupted images (two one-sided tests, Schuirmann "
                              "1987)"},
           {"non-inferior only",
            "not worse on clean images; more is not shown, or something stands against it"},
           {"harmful",
            "harm is shown, or the clean performance is shown to be worse by " + level(r.margin)},
           {"inconclusive", "the study is too small to say"},
           {"What stands against an arm",
            "harm under one artifact: a loss of more than " + level(r.guard) +
                ", shown where the 95 % interval lies below 0, not excluded where the interval "
                "reaches beyond it; at the frozen thresholds up to severity " +
                shortest(r.up_to_severity) + ", a label's sensitivity below " +
                level(r.sensitivity_floor) + ", or its alarm rate up by more than " +
                level(r.alarm_rate_cap)}}};
}

Table verdict_table(const Scope& scope) {
  Table table;
  table.title = "Verdict on each arm, against " + arm_name(scope.baseline);
  table.caption =
      "Differences of the macro AUROC with 95 % interval. p: of both requirements of a preference "
      "together, one-sided, after Holm. Detectable: the true difference on corrupted images that a "
      "study of this size would find with 80 % power, by one two-sided test at 5 %.";
  table.columns = {"Arm", "Verdict", "Clean", "Corrupted", "p of preference", "Detectable"};
  table.heads = 2;
  for (const auto& v : scope.verdicts)
    table.rows.push_back(
        {{arm_name(v.arm)},
         {results::name(v.outcome)},
         difference_cell(v.clean),
         difference_cell(v.endpoint),
         p_cell(v.p_prefer, v.endpoint.reason.empty() ? v.clean.reason : v.endpoint.reason),
         v.endpoint.mde ? Cell{level(*v.endpoint.mde)} : Cell{no_number, v.endpoint.reason}});
  return table;
}

std::string conclusion(const Scope& scope) {
  std::vector<std::string> parts;
  for (const auto outcome : {Outcome::prefer, Outcome::equivalent, Outcome::non_inferior,
                             Outcome::harmful, Outcome::inconclusive}) {
    std::vector<std::string> names;
    for (const auto& v : scope.verdicts)
      if (v.outcome == outcome) names.push_back(arm_name(v.arm));
    if (!names.empty()) parts.push_back(std::string(results::name(outcome)) + ": " + listed(names));
  }
  return "Against " + arm_name(scope.baseline) + " — " + joined_text(parts) + ".";
}

std::string plan_text(const results::Protocol& plan) {
  return "Planned power, at a standard error of " + shortest(plan.standard_error) +
         ": to show an equally good arm non-inferior on clean images " +
         percent(non_inferiority_power(plan)) + "; to show an arm better that is so by " +
         shortest(plan.difference) + " on corrupted images " + percent(superiority_power(plan)) +
         ".";
}

void add_protocol(Section& section, const Scope& scope) {
  if (!scope.protocol) {
    section.blocks.emplace_back(Paragraph{
        "No protocol was given: the rule is the default one, and nothing shows that it was chosen "
        "before the results were seen."});
    return;
  }
  const auto& plan = scope.protocol->content;
  section.blocks.emplace_back(Paragraph{"Protocol: " + scope.protocol->file + ", SHA-256 " +
                                        scope.protocol->sha256 + ". " + plan_text(plan)});
  const auto deviations = protocol_deviations(scope);
  if (deviations.empty()) section.blocks.emplace_back(Paragraph{"Deviations from it: none."});
  for (const auto& deviation : deviations)
    section.blocks.emplace_back(Notice{"Deviation from the protocol: " + deviation + "."});
}

}  // namespace

std::vector<std::string> protocol_deviations(const Scope& scope) {
  const auto& plan = scope.protocol->content;
  std::vector<std::string> found;
  if (scope.baseline != plan.baseline)
    found.push_back("the baseline is " + arm_name(scope.baseline) + ", planned was " +
                    arm_name(plan.baseline));
  if (scope.study.level() != plan.level)
    found.push_back(std::string("the unit is the ") + results::name(scope.study.level()) +
                    ", planned was the " + results::name(plan.level));
  if (plan.level != results::Level::sample && scope.study.pool() != plan.pool)
    found.push_back(std::string("slices are pooled by ") + results::name(scope.study.pool()) +
                    ", planned was " + results::name(plan.pool));
  const auto& done = scope.artifacts;
  const auto has = [](const std::vector<std::string>& all, const std::string& name) {
    return std::find(all.begin(), all.end(), name) != all.end();
  };
  auto severities = plan.severities;
  std::sort(severities.begin(), severities.end());
  for (const auto& artifact : plan.artifacts)
    if (!has(done, artifact))
      found.push_back(artifact + " was not evaluated");
    else if (scope.study.severities(artifact) != severities)
      found.push_back(artifact + " was evaluated at other severities than planned");
  for (const auto& artifact : done)
    if (!has(plan.artifacts, artifact))
      found.push_back(artifact + " was not planned, and counts in the endpoint");
  std::size_t evaluations = 0, before = 0;
  for (const auto& entry : scope.study.provenance()) {
    if (entry.value("tool", "") != "mr-eval") continue;
    ++evaluations;
    for (const auto& input : entry.value("inputs", Json::array()))
      if (input.value("sha256", "") == scope.protocol->sha256) {
        ++before;
        break;
      }
  }
  if (before < evaluations)
    found.push_back(std::to_string(evaluations - before) + " of " +
                    plural(evaluations, "evaluation") +
                    " did not record this protocol, so it may have been written afterwards");
  return found;
}

Section verdict(const Scope& scope) {
  Section section{"verdict", "Verdict", {}};
  if (scope.verdicts.empty()) {
    if (scope.protocol) add_protocol(section, scope);
    return section;
  }
  section.blocks.emplace_back(Paragraph{conclusion(scope)});
  if (single_run(scope.study))
    section.blocks.emplace_back(Notice{
        "An arm has one run: the verdict on it is on that trained network alone. Whether its "
        "normalization may be preferred takes several runs."});
  section.blocks.emplace_back(verdict_table(scope));
  const auto objections = all_against(scope);
  if (!objections.items.empty()) section.blocks.emplace_back(objections);
  const auto lacking = all_missing(scope);
  if (!lacking.items.empty()) {
    section.blocks.emplace_back(lacking);
    section.blocks.emplace_back(Paragraph{
        "How much more data: at the margin of " + level(scope.rule().margin) +
        ", for an arm that is as good on clean images, or better by as much on corrupted ones; one "
        "arm alone, by the variances over subjects and runs found here, never by the difference "
        "found."});
  }
  section.blocks.emplace_back(Paragraph{"How a verdict is reached:"});
  section.blocks.emplace_back(rule_definitions(scope.rule()));
  add_protocol(section, scope);
  return section;
}

namespace {

Json missing_json(const Verdict& v) {
  const auto count = [](const std::optional<std::int64_t>& n) { return n ? Json(*n) : Json(); };
  Json all = Json::array();
  for (const auto& missing : v.missing) {
    Json entry = {{"requirement", results::name(missing.requirement)},
                  {"p", or_null(missing.p)},
                  {"p_unadjusted", or_null(missing.p_unadjusted)},
                  {"subjects_now", missing.subjects},
                  {"runs_now", missing.runs},
                  {"subjects", nullptr},
                  {"runs", nullptr}};
    if (missing.more) {
      entry["subjects"] = count(missing.more->subjects);
      if (missing.runs > 1) entry["runs"] = count(missing.more->runs);
    }
    if (entry["subjects"].is_null() || entry["runs"].is_null())
      entry["reason"] = more_text(missing);
    all.push_back(std::move(entry));
  }
  return all;
}

}  // namespace

Json verdicts_json(const Scope& scope) {
  Json all = Json::array();
  for (const auto& v : scope.verdicts) {
    Json harms = Json::array(), operating = Json::array();
    for (const auto& harm : v.harms)
      harms.push_back({{"artifact", harm.artifact},
                       {"shown", harm.shown},
                       {"value", or_null(harm.difference.value)},
                       {"low", or_null(harm.difference.low)},
                       {"high", or_null(harm.difference.high)}});
    for (const auto& failure : v.operating)
      operating.push_back({{"label", scope.study.labels()[failure.label]},
                           {"metric", stats::name(failure.metric)},
                           {"severity", failure.severity},
                           {"value", or_null(failure.estimate.value)},
                           {"low", or_null(failure.estimate.low)},
                           {"high", or_null(failure.estimate.high)}});
    all.push_back({{"arm", v.arm},
                   {"reference", scope.baseline},
                   {"outcome", results::name(v.outcome)},
                   {"p_prefer", or_null(v.p_prefer)},
                   {"p_non_inferior", or_null(v.p_non_inferior)},
                   {"p_superior", or_null(v.p_superior)},
                   {"p_equivalent", or_null(v.p_equivalent)},
                   {"missing", missing_json(v)},
                   {"harms", harms},
                   {"operating_failures", operating}});
  }
  return all;
}

}  // namespace mr::report
