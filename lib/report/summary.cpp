// What was found, in words made from the numbers, with the caution that they ask for.
#include <algorithm>
#include <set>

#include "base/json.h"
#include "base/text.h"
#include "report/format.h"
#include "report/sections.h"

namespace mr::report {
namespace {

constexpr double level_of_test = 0.05;
constexpr std::size_t most_in_words = 5;  // arms, each with its numbers; more are summed up

bool many(const Scope& scope) {
  return scope.arms().size() > most_in_words;
}

std::string measure_name(const Scope& scope) {
  return scope.study.labels().size() == 1 ? "AUROC" : "macro AUROC";
}

std::string what_was_tested(const Scope& scope) {
  const auto& common = scope.study.common();
  std::string text = "The test set has " + size_of_test_set(scope.study) + " with " +
                     plural(common.labels.size(), "label") + " (" + listed(common.labels) + "). ";
  std::vector<std::string> arms;
  std::set<std::size_t> runs;
  for (const auto& arm : scope.arms()) runs.insert(scope.study.runs(arm).size());
  const bool alike = runs.size() == 1;
  const auto of_runs = [](std::size_t n) { return " (" + plural(n, "run") + ")"; };
  for (const auto& arm : scope.arms())
    arms.push_back(arm_name(arm) + (alike ? "" : of_runs(scope.study.runs(arm).size())));
  text += arms.size() == 1 ? "One arm was evaluated: " : "The arms compared are ";
  text += listed(arms);
  if (alike) text += " (" + plural(*runs.begin(), "run") + (arms.size() == 1 ? ")" : " of each)");
  if (scope.graded())
    text += ", under " + plural(scope.artifacts.size(), "artifact") + " (" +
            listed(scope.artifacts) + ") at " + severity_range(scope);
  return text + ".";
}

/// "0.958 (0.949 to 0.966) for batch; of the others it is highest, 0.967 (...) for group(8), and
/// lowest, 0.943 (...) for instance".
template <typename Ask>
std::string baseline_and_extremes(const Scope& scope, const Ask& contrast_of) {
  std::vector<std::pair<double, std::string>> all;
  std::string text;
  for (const auto& arm : scope.arms()) {
    const auto e = scope.study.estimate(contrast_of(arm));
    const auto words = in_words(level_cell(e)) + " for " + arm_name(arm);
    if (arm == scope.baseline)
      text = words;
    else if (e.value)
      all.emplace_back(*e.value, words);
  }
  if (all.empty()) return text;
  const auto [low, high] = std::minmax_element(all.begin(), all.end());
  return text + "; of the others it is highest, " + high->second + ", and lowest, " + low->second;
}

/// "0.958 (0.949 to 0.966) for batch and ...".
template <typename Ask>
std::string by_arm(const Scope& scope, const Ask& contrast_of) {
  if (many(scope)) return baseline_and_extremes(scope, contrast_of);
  std::vector<std::string> parts;
  for (const auto& arm : scope.arms())
    parts.push_back(in_words(level_cell(scope.study.estimate(contrast_of(arm)))) + " for " +
                    arm_name(arm));
  return listed(parts);
}

std::string levels(const Scope& scope) {
  const auto& study = scope.study;
  std::string text = " The " + measure_name(scope) + " (95 % interval) ";
  if (study.has_clean())
    text += "on clean images is " +
            by_arm(scope, [&](const auto& arm) { return study.clean(arm); }) +
            (many(scope) ? ". On" : "; on");
  else
    text += "on";
  return text + " average over artifacts and severities it is " +
         by_arm(scope, [&](const auto& arm) { return study.endpoint(arm); }) + ".";
}

std::string hardest(const Scope& scope) {
  if (!scope.study.has_clean()) return "";
  Estimate lowest;
  std::string where;
  for (const auto& artifact : scope.artifacts) {
    const auto e = scope.study.estimate(scope.study.over_severities(scope.baseline, artifact) -
                                        scope.study.clean(scope.baseline));
    if (!e.value || (lowest.value && *lowest.value <= *e.value)) continue;
    lowest = e;
    where = artifact;
  }
  if (where.empty()) return "";
  return " As the severities are set here, " + arm_name(scope.baseline) + " changes most under " +
         where + ": " + in_words(difference_cell(lowest)) + " on average over severities.";
}

/// What the difference of the endpoint and its p value allow to be said.
std::string verdict(const std::string& name, const std::string& reference, const Estimate& e,
                    const std::optional<double>& p, bool equivalent) {
  const std::string numbers = in_words(difference_cell(e));
  if (!p)
    return " On corrupted images " + name + " differs from " + reference + " by " + numbers +
           (e.value ? ", without a test: " + e.reason : "") + ".";
  const std::string tested = ", p " + (*p < 0.001 ? "" : std::string("= ")) + p_value(*p);
  if (*p < level_of_test)
    return " On corrupted images " + name + " is " + (*e.value > 0 ? "better" : "worse") +
           " than " + reference + ": " + numbers + tested + ".";
  const std::string none = " On corrupted images no difference of " + name + " from " + reference +
                           " is shown: " + numbers + tested;
  if (equivalent) return none + "; the verdict is on equality.";
  return none + "; that is no proof of equality" +
         (e.mde
              ? ", since a true difference below about " + level(*e.mde) + " would often be missed."
              : ".");
}

std::string clean_difference(const Scope& scope, const std::string& arm) {
  const auto e = scope.study.estimate(scope.study.clean(arm) - scope.study.clean(scope.baseline));
  if (!e.value) return "";
  const bool holds_zero = e.low && *e.low <= 0 && *e.high >= 0;
  return " On clean images it differs by " + in_words(difference_cell(e)) +
         (holds_zero ? ", which may be chance." : ".");
}

/// Which arms differ, each in a list of its kind, with numbers where a difference is shown.
std::string comparisons_summed_up(const Scope& scope) {
  std::vector<std::string> better, worse, open, untested, clean;
  std::optional<double> finest, coarsest;
  for (const auto& c : scope.study.compare(scope.baseline)) {
    const auto name = arm_name(c.arm), numbers = in_words(difference_cell(c.difference));
    const auto& p = c.p_adjusted;
    if (!p) {
      untested.push_back(name);
    } else if (*p < level_of_test) {
      (*c.difference.value > 0 ? better : worse).push_back(name + ", " + numbers);
    } else {
      open.push_back(name);
      if (const auto& mde = c.difference.mde) {
        finest = std::min(finest.value_or(*mde), *mde);
        coarsest = std::max(coarsest.value_or(*mde), *mde);
      }
    }
    if (!scope.study.has_clean()) continue;
    const auto e =
        scope.study.estimate(scope.study.clean(c.arm) - scope.study.clean(scope.baseline));
    if (e.low && (*e.low > 0 || *e.high < 0))
      clean.push_back(name + ", " + in_words(difference_cell(e)));
  }
  const auto reference = arm_name(scope.baseline);
  std::string text;
  const auto say = [&](const std::string& what, const std::vector<std::string>& who) {
    if (who.empty()) return;
    text += " " + what;
    for (std::size_t i = 0; i < who.size(); ++i) text += (i == 0 ? " " : "; ") + who[i];
    text += ".";
  };
  say("On corrupted images better than " + reference + ", by p values adjusted after Holm:",
      better);
  say("Worse:", worse);
  if (!open.empty()) {
    text += " On corrupted images no difference from " + reference + " is shown, after Holm, of " +
            (open.size() == scope.candidates.size() ? "any other arm" : listed(open)) +
            "; that is no proof of equality";
    if (finest)
      text += ", since a true difference below about " + level(*finest) +
              (level(*finest) == level(*coarsest) ? "" : " to " + level(*coarsest)) +
              " would often be missed";
    text += ".";
  }
  if (!untested.empty()) text += " Not tested: " + listed(untested) + ".";
  say("On clean images the interval of the difference from " + reference + " excludes 0 for",
      clean);
  return text + " The section Paired differences has the numbers of every arm.";
}

std::string comparisons(const Scope& scope) {
  if (many(scope)) return comparisons_summed_up(scope);
  std::string text;
  for (const auto& c : scope.study.compare(scope.baseline)) {
    const bool equivalent =
        std::any_of(scope.verdicts.begin(), scope.verdicts.end(), [&](const results::Verdict& v) {
          return v.arm == c.arm && v.outcome == results::Outcome::equivalent;
        });
    text +=
        verdict(arm_name(c.arm), arm_name(scope.baseline), c.difference, c.p_adjusted, equivalent);
    if (scope.study.has_clean()) text += clean_difference(scope, c.arm);
  }
  return scope.candidates.size() > 1 ? text + " These p values are adjusted after Holm." : text;
}

std::string at_condition(const Scope& scope, const Condition& condition) {
  return " The " + measure_name(scope) + " (95 % interval), " + condition_name(condition) +
         ", is " + by_arm(scope, [&](const auto& arm) { return scope.study.at(arm, condition); }) +
         ".";
}

std::string what_was_found(const Scope& scope) {
  std::string text;
  if (scope.graded())
    text += levels(scope) + hardest(scope) + comparisons(scope);
  else if (scope.study.has_clean())
    text += at_condition(scope, {});
  for (const auto& condition : scope.others) text += at_condition(scope, condition);
  if (single_run(scope.study))
    text +=
        " Where an arm has one run, its numbers speak of that trained network, not of the "
        "normalization: another training may differ by more than the interval says.";
  return text;
}

}  // namespace

Section summary(const Scope& scope) {
  Section section{"summary", "Summary", {}};
  section.blocks.emplace_back(Paragraph{what_was_tested(scope)});
  section.blocks.emplace_back(Paragraph{what_was_found(scope).substr(1)});  // begins with a space
  for (const auto& note : scope.study.notes())
    section.blocks.emplace_back(Notice{note.is_string() ? note.get<std::string>() : to_line(note)});
  return section;
}

}  // namespace mr::report
