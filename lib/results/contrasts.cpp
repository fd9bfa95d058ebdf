#include "results/contrasts.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <set>

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "stats/multiplicity.h"
#include "stats/resampled.h"

namespace mr::results {
namespace {

std::string display(const std::string& path) {
  return path == "-" ? "standard input" : path;
}

void require_same(const Header& a, const std::string& path_a, const Header& b,
                  const std::string& path_b) {
  const auto differ = [&](const std::string& what) {
    throw DataError(path_b + ": " + what + " differ from those of " + path_a);
  };
  if (a.labels != b.labels) differ("labels");
  if (a.sample_ids != b.sample_ids) differ("samples");
  if (a.subjects != b.subjects || a.sample_subject != b.sample_subject)
    differ("subjects of the samples");
  if (a.truth != b.truth) differ("true labels");
}

void append_new(Json& all, const Json& more) {
  for (const auto& item : more)
    if (std::find(all.begin(), all.end(), item) == all.end()) all.push_back(item);
}

template <typename T>
void append_new(std::vector<T>& all, const T& item) {
  if (std::find(all.begin(), all.end(), item) == all.end()) all.push_back(item);
}

std::string listed(const std::vector<std::int64_t>& runs) {
  std::string text;
  for (const auto run : runs) text += (text.empty() ? "" : ", ") + std::to_string(run);
  return text;
}

stats::Scale scale(const Contrast& contrast, Metric metric) {
  const bool difference = std::any_of(contrast.terms.begin(), contrast.terms.end(),
                                      [](const auto& term) { return term.weight < 0; });
  if (difference) return stats::Scale::plain;
  return stats::is_share(metric) ? stats::Scale::logit : stats::Scale::unbounded;
}

/// Sets p_adjusted of the comparisons that have a p value; the others are no part of the family.
void adjust(std::vector<Comparison>& family,
            std::vector<double> (*method)(const std::vector<double>&)) {
  std::vector<double> p;
  for (const auto& member : family)
    if (member.difference.p) p.push_back(*member.difference.p);
  const auto adjusted = method(p);
  auto next = adjusted.begin();
  for (auto& member : family)
    if (member.difference.p) member.p_adjusted = *next++;
}

std::size_t place_of(Metric decision) {
  const auto& all = stats::decision_metrics;
  return static_cast<std::size_t>(std::find(std::begin(all), std::end(all), decision) -
                                  std::begin(all));
}

/// SHA-256 of the file that training wrote: of a converted model, that of its source.
std::string trained_file(const Model& model) {
  const auto conversion = model.info.find("conversion");
  return conversion == model.info.end()
             ? model.sha256
             : string_member(*conversion, "source_sha256", "model " + model.id);
}

}  // namespace

Contrast operator+(Contrast a, const Contrast& b) {
  a.terms.insert(a.terms.end(), b.terms.begin(), b.terms.end());
  return a;
}

Contrast operator-(Contrast a, const Contrast& b) {
  return std::move(a) + -1.0 * b;
}

Contrast operator*(double factor, Contrast contrast) {
  for (auto& term : contrast.terms) term.weight *= factor;
  return contrast;
}

Study::Study(const std::vector<std::string>& paths, const ResultSeen& result_seen,
             const Reading& reading)
    : reading_(reading) {
  for (const auto& path : paths) add_file(path, result_seen);
}

void Study::add_file(const std::string& path, const ResultSeen& result_seen) {
  const auto where = display(path);
  const auto with_path = [&](const auto& what) {
    try {
      what();
    } catch (const DataError& e) {
      throw DataError(where + ": " + e.what());
    }
  };
  std::optional<Units> units;
  Visitor visitor;
  visitor.header = [&](const Header& read) {
    with_path([&] {
      if (first_path_.empty())
        level_ =
            reading_.level ? *reading_.level : choose_level(read, read.labels, why_not_pooled_);
      units.emplace(read, level_, reading_);
    });
    add_header(where, units->header());
  };
  visitor.validation = [&](ValidationScores&& scores) {
    with_path([&] { units->see(scores); });
    const auto& header = units->header();
    for (std::size_t l = validation_counts_.size(); l < header.labels.size(); ++l)
      validation_counts_.push_back(count(header.validation, l));
    take_thresholds(units->header().models[scores.model]);
  };
  visitor.result = [&](Result&& result) {
    with_path([&] { units->transform(result); });
    const auto& header = units->header();
    add_result(where, header.models[result.model], header, result, units->frozen(result),
               units->retuned(result));
    if (result_seen) result_seen(header, result);
  };
  visitor.explanation = [&](Explanation&& explanation) {
    const auto& model = units->header().models[explanation.model];
    explained_.push_back(
        {arm(model), model.run, explanation.condition, std::move(explanation.findings)});
  };
  visitor.thumbnail = [&](Thumbnail&& thumbnail) {
    const auto same = [&](const Thumbnail& t) {
      return t.condition == thumbnail.condition && t.sample_id == thumbnail.sample_id;
    };
    if (std::none_of(thumbnails_.begin(), thumbnails_.end(), same))
      thumbnails_.push_back(std::move(thumbnail));
  };
  read_evaluation(path, visitor);
}

void Study::add_header(const std::string& path, const Header& header) {
  if (first_path_.empty()) {
    first_path_ = path;
    common_ = header;
    for (std::size_t l = 0; l < common_.labels.size(); ++l) counts_.push_back(count(common_, l));
    subgroups_ = make_subgroups(common_, reading_.by);
  } else {
    require_same(common_, first_path_, header, path);
  }
  append_new(notes_, header.notes);
  append_new(provenance_, header.provenance);
  for (const auto& model : header.models) add_model(path, model);
}

void Study::take_thresholds(const Model& model) {
  for (auto& known : models_)
    if (arm(known) == arm(model) && known.run == model.run) known.thresholds = model.thresholds;
}

void Study::add_model(const std::string& path, const Model& model) {
  const auto name = arm(model);
  for (const auto& other : models_) {
    if (other.normalization != model.normalization || other.run != model.run) continue;
    const auto& known = trained_.at(arm(other)).at(other.run);
    const bool same_arm = arm(other) == name;
    if (trained_file(other) != trained_file(model) || (same_arm && known.path == path))
      throw DataError(path + ": model " + model.id + ": run " + std::to_string(model.run) + " of " +
                      model.normalization + " is already model " + other.id + " in " + known.path);
    if (same_arm) return;
  }
  append_new(arms_, name);
  models_.push_back(model);
  trained_[name][model.run] = {path, model, {}};
}

void Study::add_result(const std::string& path, const Model& model, const Header& header,
                       const Result& result, const Tuned& frozen, const Tuned& retuned) {
  const auto condition = name(result.condition);
  auto& at = trained_.at(arm(model)).at(model.run).at;
  const auto known = at.find(condition);
  if (known != at.end())
    throw DataError(path + ": model " + model.id + " at " + condition + " is already in " +
                    known->second.path);
  auto& measured = at[condition];
  measured.path = path;
  measured.condition = result.condition;
  if (result.condition.part == Part::all) measured.scores = result.scores;
  measured.distance = result.distance;
  const auto graded = [&](const Condition& c) {
    return c.kind == Kind::artifact && c.part == Part::all &&
           c.artifact == result.condition.artifact;
  };
  for (auto& [other_name, other] : at) {
    if (!graded(result.condition) || !graded(other.condition)) continue;
    auto& lower = other.condition.severity < measured.condition.severity ? other : measured;
    if (other.condition.severity != measured.condition.severity)
      std::vector<float>().swap(lower.scores);
  }
  const auto cell_of = [](const stats::Linearized& metric) {
    return Cell{metric.value,
                {metric.influence.begin(), metric.influence.end()},
                metric.subjects,
                metric.reason,
                {}};
  };
  const auto keep = [&](const stats::Linearized& metric) {
    measured.cells.push_back(cell_of(metric));
  };
  for (const auto& label : linearize(header, result, reading_.prevalence))
    for (const auto& metric : label) keep(metric);
  const auto decisions = [&](const Tuned& tuned, std::size_t l, const auto& truth) {
    if (tuned.resampled.empty()) return std::vector<std::vector<float>>();
    return stats::decisions_at(cases_of(header, result.scores, l, truth), tuned.resampled[l],
                               reading_.prevalence);
  };
  for (std::size_t l = 0; l < frozen.resampled.size(); ++l) {
    auto values = decisions(frozen, l, header.truth[l]);
    for (std::size_t m = 0; m < values.size(); ++m)
      measured.cells[cell_index(l, stats::decision_metrics[m], all_samples)].resampled =
          std::move(values[m]);
  }
  for (const auto& group : subgroups_)
    for (std::size_t l = 0; l < header.labels.size(); ++l) {
      const stats::OperatingPoint point{model.thresholds[l], {}};
      const auto resampled = decisions(frozen, l, group.truth[l]);
      for (const auto metric : subgroup_metrics) {
        keep(linearize(metric, header, result, l, group.truth[l], point));
        if (stats::needs_threshold(metric) && !resampled.empty())
          measured.cells.back().resampled = resampled[place_of(metric)];
      }
    }
  for (std::size_t l = 0; l < retuned.chosen.size(); ++l) {
    measured.retuned.push_back(cell_of(linearize(Metric::balanced_accuracy, header, result, l,
                                                 header.truth[l], {retuned.chosen[l], {}})));
    measured.retuned.back().resampled =
        std::move(decisions(retuned, l, header.truth[l])[place_of(Metric::balanced_accuracy)]);
  }
  if (result.condition.part == Part::all) append_new(conditions_, result.condition);
  if (!result.fidelity.empty()) fidelity_.emplace(condition, result.fidelity);
}

void Study::keep(const std::vector<std::string>& arms) {
  const auto lacks = [](const std::vector<std::string>& all, const std::string& one) {
    return std::find(all.begin(), all.end(), one) == all.end();
  };
  for (const auto& wanted : arms)
    if (lacks(arms_, wanted)) {
      std::string known;
      for (const auto& name : arms_) known += (known.empty() ? "" : ", ") + name;
      throw UsageError("unknown arm '" + wanted + "'; there are " + known);
    }
  for (const auto& other : arms_)
    if (lacks(arms, other)) trained_.erase(other);
  arms_ = arms;
  const auto forget = [](auto& list, const auto& condition) {
    list.erase(std::remove_if(list.begin(), list.end(), condition), list.end());
  };
  forget(models_, [&](const Model& model) { return lacks(arms, arm(model)); });
  forget(explained_, [&](const ExplainedRun& one) { return lacks(arms, one.arm); });
  const auto unseen = [&](const Condition& condition) {
    return std::none_of(arms_.begin(), arms_.end(),
                        [&](const auto& arm) { return evaluated(arm, condition); });
  };
  forget(conditions_, unseen);
  forget(thumbnails_, [&](const Thumbnail& thumbnail) { return unseen(thumbnail.condition); });
}

const std::map<std::int64_t, Study::Trained>& Study::networks(const std::string& arm) const {
  const auto found = trained_.find(arm);
  if (found == trained_.end()) throw DataError(unknown("arm", arm, arms_));
  return found->second;
}

bool Study::has(const std::string& arm) const {
  return trained_.count(arm) != 0;
}

std::vector<std::int64_t> Study::runs(const std::string& arm) const {
  std::vector<std::int64_t> numbers;
  for (const auto& [run, trained] : networks(arm)) numbers.push_back(run);
  return numbers;
}

bool Study::any(const std::string& arm, const std::function<bool(const Measured&)>& wanted) const {
  for (const auto& [run, trained] : networks(arm))
    for (const auto& [condition, measured] : trained.at)
      if (wanted(measured)) return true;
  return false;
}

bool Study::evaluated(const std::string& arm, const Condition& condition) const {
  return any(arm, [&](const Measured& m) { return m.condition == condition; });
}

bool Study::has_parts(const std::string& arm) const {
  return any(arm, [](const Measured& m) { return m.condition.part != Part::all; });
}

bool Study::has_retuned(const std::string& arm) const {
  return any(arm, [](const Measured& m) { return !m.retuned.empty(); });
}

bool Study::has_clean() const {
  return std::find(conditions_.begin(), conditions_.end(), Condition{}) != conditions_.end();
}

std::vector<std::string> Study::artifacts() const {
  std::vector<std::string> names;
  for (const auto& condition : conditions_)
    if (condition.kind == Kind::artifact) append_new(names, condition.artifact);
  return names;
}

std::vector<double> Study::severities(const std::string& artifact) const {
  std::set<double> found;
  for (const auto& condition : conditions_)
    if (condition.kind == Kind::artifact && condition.artifact == artifact)
      found.insert(condition.severity);
  if (found.empty()) throw DataError(unknown("artifact", artifact, artifacts()));
  return {found.begin(), found.end()};
}

Json Study::fidelity(const Condition& condition) const {
  const auto found = fidelity_.find(name(condition));
  return found == fidelity_.end() ? Json::object() : found->second;
}

Contrast Study::retuned(Contrast contrast) {
  for (auto& term : contrast.terms) term.retuned = true;
  return contrast;
}

Contrast Study::at(const std::string& arm, const Condition& condition) const {
  return {{{arm, condition, 1.0}}};
}

Contrast Study::clean(const std::string& arm) const {
  return at(arm, Condition{});
}

Contrast Study::over_severities(const std::string& arm, const std::string& artifact,
                                Part part) const {
  const auto levels = severities(artifact);
  Contrast mean;
  for (const double severity : levels)
    mean.terms.push_back({arm,
                          {Kind::artifact, artifact, severity, part},
                          1.0 / static_cast<double>(levels.size())});
  return mean;
}

Contrast Study::at_severity(const std::string& arm, double severity) const {
  Contrast mean;
  for (const auto& artifact : artifacts()) {
    const auto levels = severities(artifact);
    if (std::find(levels.begin(), levels.end(), severity) == levels.end()) continue;
    mean.terms.push_back({arm, {Kind::artifact, artifact, severity}, 1});
  }
  for (auto& term : mean.terms) term.weight = 1.0 / static_cast<double>(mean.terms.size());
  return mean;
}

Contrast Study::endpoint(const std::string& arm, Part part) const {
  const auto names = artifacts();
  Contrast mean;
  for (const auto& artifact : names)
    mean = std::move(mean) +
           1.0 / static_cast<double>(names.size()) * over_severities(arm, artifact, part);
  return mean;
}

std::vector<Study::Family> Study::families(const Contrast& contrast) const {
  std::vector<Family> all;
  std::vector<std::string> names;
  for (const auto& term : contrast.terms) {
    const auto& normalization = networks(term.arm).begin()->second.model.normalization;
    const auto known = std::find(names.begin(), names.end(), normalization);
    if (known == names.end()) {
      names.push_back(normalization);
      all.push_back({runs(term.arm), {&term}});
    } else {
      all[static_cast<std::size_t>(known - names.begin())].terms.push_back(&term);
    }
  }
  return all;
}

std::size_t Study::cell_index(std::size_t label, Metric metric, Among among) const {
  const auto metrics = std::size(stats::all_metrics), labels = common_.labels.size();
  if (!among) return label * metrics + static_cast<std::size_t>(metric);
  const auto place = std::find(std::begin(subgroup_metrics), std::end(subgroup_metrics), metric);
  if (place == std::end(subgroup_metrics))
    throw DataError(std::string(stats::name(metric)) + ": not known of subgroups");
  return labels * metrics + (*among * labels + label) * std::size(subgroup_metrics) +
         static_cast<std::size_t>(place - std::begin(subgroup_metrics));
}

Study::Formed Study::form_label(const std::vector<Family>& families, std::size_t label,
                                Metric metric, Among among) const {
  Formed formed;
  if (families.empty()) {
    formed.reason = "no artifact was evaluated";
    return formed;
  }
  formed.subjects = std::numeric_limits<std::int64_t>::max();
  formed.labels_used = 1;
  formed.scarcest_label = label;
  const auto undefined = [](std::string reason) {
    Formed none;
    none.reason = std::move(reason);
    return none;
  };
  const auto index = cell_index(label, metric, among);
  const auto cell_at = [&](const Measured& measured, const Contrast::Term& term) -> const Cell* {
    if (!term.retuned) return &measured.cells.at(index);
    return measured.retuned.empty() ? nullptr : &measured.retuned.at(label);
  };
  for (const auto& family : families) {
    stats::Arm sum;
    for (const auto run : family.runs) {
      sum.values.push_back(0);
      sum.influences.emplace_back(common_.subjects.size());
      for (const auto* term : family.terms) {
        if (runs(term->arm) != family.runs)
          return undefined(term->arm + " has runs " + listed(runs(term->arm)) + ", and " +
                           family.terms[0]->arm + " " + listed(family.runs));
        const auto& at = networks(term->arm).at(run).at;
        const auto measured = at.find(name(term->condition));
        if (measured == at.end())
          return undefined("run " + std::to_string(run) + " of " + term->arm +
                           " was not evaluated at " + name(term->condition));
        const auto* found = cell_at(measured->second, *term);
        if (!found)
          return undefined("no validation images were evaluated at " + name(term->condition));
        const auto& cell = *found;
        if (!cell.value) return undefined(common_.labels[label] + ": " + cell.reason);
        sum.values.back() += term->weight * *cell.value;
        for (std::size_t p = 0; p < cell.influence.size(); ++p)
          sum.influences.back()[p] += term->weight * static_cast<double>(cell.influence[p]);
        if (!cell.resampled.empty()) {
          const auto j = sum.values.size();
          sum.resampled.resize(j, std::vector<double>(cell.resampled.size()));
          for (std::size_t b = 0; b < cell.resampled.size(); ++b)
            sum.resampled.back()[b] += term->weight * static_cast<double>(cell.resampled[b]);
          const auto& counts = validation_counts_[label];
          formed.validation_subjects = std::min(counts.positive_subjects, counts.negative_subjects);
        }
        formed.subjects = std::min(formed.subjects, cell.subjects);
      }
    }
    formed.arms.push_back(std::move(sum));
  }
  return formed;
}

Study::Formed Study::form(const Contrast& contrast, Label label, Metric metric, Among among) const {
  const auto parts = families(contrast);
  return average(label, [&](std::size_t l) { return form_label(parts, l, metric, among); });
}

Study::Formed Study::average(Label label,
                             const std::function<Formed(std::size_t)>& of_label) const {
  if (label) return of_label(*label);
  Formed mean;
  std::vector<Formed> defined;
  for (std::size_t l = 0; l < common_.labels.size(); ++l) {
    auto one = of_label(l);
    if (one.reason.empty())
      defined.push_back(std::move(one));
    else if (mean.reason.empty())
      mean.reason = one.reason;
  }
  if (defined.empty()) return mean;
  mean = defined[0];
  mean.labels_used = defined.size();
  for (std::size_t g = 0; g < mean.arms.size(); ++g)
    for (std::size_t j = 0; j < mean.arms[g].values.size(); ++j) {
      auto& value = mean.arms[g].values[j];
      auto& influence = mean.arms[g].influences[j];
      for (std::size_t d = 1; d < defined.size(); ++d) {
        value += defined[d].arms[g].values[j];
        for (std::size_t p = 0; p < influence.size(); ++p)
          influence[p] += defined[d].arms[g].influences[j][p];
      }
      if (!mean.arms[g].resampled.empty())
        for (std::size_t b = 0; b < mean.arms[g].resampled[j].size(); ++b) {
          auto& at = mean.arms[g].resampled[j][b];
          for (std::size_t d = 1; d < defined.size(); ++d) at += defined[d].arms[g].resampled[j][b];
          at /= static_cast<double>(defined.size());
        }
      value /= static_cast<double>(defined.size());
      for (double& u : influence) u /= static_cast<double>(defined.size());
    }
  for (const auto& one : defined)
    if (one.validation_subjects < mean.validation_subjects)
      mean.validation_subjects = one.validation_subjects;
  for (const auto& one : defined)
    if (one.subjects < mean.subjects) {
      mean.subjects = one.subjects;
      mean.scarcest_label = one.scarcest_label;
    }
  return mean;
}

Estimate Study::estimate_formed(const Formed& formed, const std::vector<stats::Arm>& arms,
                                stats::Scale on, Among among) const {
  Estimate e;
  e.reason = formed.reason;
  if (!e.reason.empty()) return e;
  static_cast<stats::Estimate&>(e) =
      stats::estimate(arms, formed.subjects, on, formed.validation_subjects);
  e.labels_used = formed.labels_used;
  const auto& counts = (among ? subgroups_[*among].counts : counts_)[formed.scarcest_label];
  e.positives = counts.positives;
  e.negatives = counts.negatives;
  e.positive_subjects = counts.positive_subjects;
  e.negative_subjects = counts.negative_subjects;
  return e;
}

Estimate Study::estimate(const Contrast& contrast, Label label, Metric metric, Among among) const {
  const auto formed = form(contrast, label, metric, among);
  return estimate_formed(formed, formed.arms, scale(contrast, metric), among);
}

Estimate Study::shift(const Contrast& contrast, std::size_t group, std::size_t reference,
                      Label label, Metric metric) const {
  const auto parts = families(contrast);
  const auto formed = average(label, [&](std::size_t l) {
    auto inside = form_label(parts, l, metric, group);
    const auto other = form_label(parts, l, metric, reference);
    if (!inside.reason.empty()) return inside;
    if (!other.reason.empty()) return other;
    inside.subjects = std::min(inside.subjects, other.subjects);
    const auto subtract = [](std::vector<double>& from, const std::vector<double>& what) {
      for (std::size_t i = 0; i < from.size(); ++i) from[i] -= what[i];
    };
    for (std::size_t g = 0; g < inside.arms.size(); ++g) {
      auto& arm = inside.arms[g];
      const auto& of_other = other.arms[g];
      subtract(arm.values, of_other.values);
      for (std::size_t j = 0; j < arm.values.size(); ++j)
        subtract(arm.influences[j], of_other.influences[j]);
      for (std::size_t j = 0; j < arm.resampled.size(); ++j)
        subtract(arm.resampled[j], of_other.resampled[j]);
    }
    return inside;
  });
  return estimate_formed(formed, formed.arms, stats::Scale::plain, group);
}

std::vector<Estimate> Study::each_run(const Contrast& contrast, Label label, Metric metric) const {
  const auto formed = form(contrast, label, metric, all_samples);
  if (formed.arms.size() > 1)
    throw DataError("each run of a contrast: want one family of networks, got " +
                    std::to_string(formed.arms.size()));
  std::vector<Estimate> estimates;
  for (const auto& arm : formed.arms)
    for (std::size_t j = 0; j < arm.values.size(); ++j) {
      stats::Arm one{{arm.values[j]}, {arm.influences[j]}};
      if (!arm.resampled.empty()) one.resampled.push_back(arm.resampled[j]);
      estimates.push_back(estimate_formed(formed, {one}, scale(contrast, metric), all_samples));
    }
  return estimates;
}

std::optional<stats::Cases> Study::cases(const std::string& arm, std::int64_t run,
                                         const Condition& condition, std::size_t label) const {
  const auto& at = networks(arm).at(run).at;
  const auto measured = at.find(name(condition));
  if (measured == at.end() || measured->second.scores.empty()) return {};
  const auto samples = static_cast<std::ptrdiff_t>(common_.sample_ids.size());
  const auto first = measured->second.scores.begin() + static_cast<std::ptrdiff_t>(label) * samples;
  return stats::Cases{{first, first + samples},
                      common_.truth[label],
                      common_.sample_subject,
                      static_cast<std::int32_t>(common_.subjects.size())};
}

std::vector<float> Study::distances(const std::string& arm, std::int64_t run,
                                    const Condition& condition) const {
  const auto& at = networks(arm).at(run).at;
  const auto measured = at.find(name(condition));
  return measured == at.end() ? std::vector<float>() : measured->second.distance;
}

std::optional<stats::Curve> Study::curve(const std::string& arm, const std::string& artifact,
                                         Label label, Metric metric) const {
  const auto at_clean = estimate(clean(arm), label, metric).value;
  if (!at_clean) return {};
  stats::Curve curve{*at_clean, {}};
  for (const double severity : severities(artifact)) {
    const auto value = estimate(at(arm, {Kind::artifact, artifact, severity}), label, metric).value;
    if (!value) return {};
    curve.at_severity.push_back(*value);
  }
  return curve;
}

std::vector<Comparison> Study::compare(const std::string& baseline, Label label,
                                       Metric metric) const {
  std::vector<Comparison> family;
  for (const auto& arm : arms_)
    if (arm != baseline)
      family.push_back({arm, {}, estimate(endpoint(arm) - endpoint(baseline), label, metric), {}});
  adjust(family, stats::holm);
  return family;
}

std::vector<Comparison> Study::heat_map(const std::string& arm, const std::string& baseline,
                                        Label label, Metric metric) const {
  std::vector<Comparison> family;
  for (const auto& artifact : artifacts())
    for (const double severity : severities(artifact)) {
      const Condition cell{Kind::artifact, artifact, severity};
      family.push_back(
          {arm, cell, estimate(at(arm, cell) - at(baseline, cell), label, metric), {}});
    }
  adjust(family, stats::benjamini_hochberg);
  return family;
}

}  // namespace mr::results
