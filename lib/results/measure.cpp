#include "results/measure.h"

#include <algorithm>
#include <limits>

#include "base/error.h"
#include "base/json.h"
#include "base/random.h"
#include "base/threads.h"
#include "stats/contrast.h"
#include "stats/resampled.h"

namespace mr::results {
namespace {

std::optional<double> threshold(const Header& header, const Result& result, std::size_t label) {
  const auto& thresholds = header.models.at(result.model).thresholds;
  return label < thresholds.size() ? thresholds[label] : std::nullopt;
}

}  // namespace

stats::Cases cases_of(const Samples& samples, const std::vector<float>& scores, std::size_t label,
                      const std::vector<std::int8_t>& truth) {
  const auto n = static_cast<std::ptrdiff_t>(samples.sample_ids.size());
  const auto first = scores.begin() + static_cast<std::ptrdiff_t>(label) * n;
  return {{first, first + n},
          truth,
          samples.sample_subject,
          static_cast<std::int32_t>(samples.subjects.size())};
}

stats::Estimate estimate(const stats::Linearized& metric, stats::Scale scale) {
  if (metric.value)
    return stats::estimate({{{*metric.value}, {metric.influence}}}, metric.subjects, scale);
  stats::Estimate undefined;
  undefined.reason = metric.reason;
  return undefined;
}

Json interval_json(const stats::Estimate& e) {
  Json json{{"value", or_null(e.value)}, {"low", or_null(e.low)}, {"high", or_null(e.high)}};
  if (!e.reason.empty()) json["reason"] = e.reason;
  return json;
}

stats::Counts count(const Samples& samples, std::size_t label) {
  return stats::count(samples.truth.at(label), samples.sample_subject,
                      static_cast<std::int32_t>(samples.subjects.size()));
}

std::vector<std::vector<stats::Linearized>> linearize(const Header& header, const Result& result,
                                                      std::optional<double> prevalence) {
  const auto samples = header.sample_ids.size();
  if (result.scores.size() != header.labels.size() * samples)
    throw DataError(name(result.condition) + ": scores: want " +
                    std::to_string(header.labels.size() * samples) + ", got " +
                    std::to_string(result.scores.size()));
  std::vector<std::vector<stats::Linearized>> metrics(header.labels.size());
  const auto labels = static_cast<std::int64_t>(header.labels.size());
  parallel_for(available_threads(), labels, [&](std::int64_t label) {
    const auto l = static_cast<std::size_t>(label);
    metrics[l] = stats::linearize(cases_of(header, result.scores, l, header.truth.at(l)),
                                  {threshold(header, result, l), prevalence});
  });
  return metrics;
}

stats::Linearized linearize(stats::Metric metric, const Header& header, const Result& result,
                            std::size_t label, const std::vector<std::int8_t>& truth,
                            const stats::OperatingPoint& at) {
  return stats::linearize(metric, cases_of(header, result.scores, label, truth), at);
}

stats::Linearized macro_auroc(const Header& header, const Result& result) {
  stats::Linearized mean;
  double labels = 0;
  for (std::size_t l = 0; l < header.labels.size(); ++l) {
    const auto one = linearize(stats::Metric::auroc, header, result, l, header.truth.at(l));
    if (!one.value) {
      if (!mean.value) mean.reason = one.reason;
      continue;
    }
    mean.subjects = mean.value ? std::min(mean.subjects, one.subjects) : one.subjects;
    mean.value = mean.value.value_or(0) + *one.value;
    mean.influence.resize(one.influence.size());
    for (std::size_t p = 0; p < one.influence.size(); ++p) mean.influence[p] += one.influence[p];
    mean.reason.clear();
    ++labels;
  }
  if (!mean.value) return mean;
  *mean.value /= labels;
  for (double& u : mean.influence) u /= labels;
  return mean;
}

std::vector<std::optional<double>> choose_thresholds(const Model& model, const Samples& validation,
                                                     const std::vector<float>& scores) {
  const auto where = "model " + model.id;
  const auto& points = member(model.info, "operating_points", where);
  if (points.size() != validation.truth.size())
    throw DataError(where + ": operating_points: want one per label");
  std::vector<std::optional<double>> thresholds;
  const auto n = static_cast<std::ptrdiff_t>(validation.sample_ids.size());
  for (std::size_t l = 0; l < validation.truth.size(); ++l) {
    const auto first = scores.begin() + static_cast<std::ptrdiff_t>(l) * n;
    const auto rule = stats::parse_operating_rule(string_member(points[l], "rule", where));
    thresholds.push_back(
        stats::choose_threshold({first, first + n}, validation.truth[l], rule).value);
  }
  return thresholds;
}

std::vector<std::vector<double>> resample_thresholds(const Model& model, const Samples& validation,
                                                     const std::vector<float>& scores) {
  const auto where = "model " + model.id;
  const auto& points = member(model.info, "operating_points", where);
  std::string who;
  for (const auto& subject : validation.subjects) who += subject + '\n';
  const auto key = random_key(0, {"validation subjects", who});
  std::vector<stats::ResampledThreshold> rules;
  for (std::size_t l = 0; l < validation.truth.size(); ++l)
    rules.emplace_back(cases_of(validation, scores, l, validation.truth[l]),
                       stats::parse_operating_rule(string_member(points.at(l), "rule", where)));
  std::vector<std::vector<double>> thresholds(rules.size(),
                                              std::vector<double>(validation_resamples));
  parallel_for(available_threads(), static_cast<std::int64_t>(validation_resamples),
               [&](std::int64_t b) {
                 stats::Times times(validation.subjects.size());
                 stats::draw_subjects(key, static_cast<std::uint64_t>(b), times);
                 for (std::size_t l = 0; l < rules.size(); ++l)
                   thresholds[l][static_cast<std::size_t>(b)] =
                       rules[l](times).value_or(std::numeric_limits<double>::quiet_NaN());
               });
  return thresholds;
}

void measure(const Header& header, Result& result) {
  const auto metrics = linearize(header, result);
  result.metrics = Json::object();
  result.influence.clear();
  for (std::size_t l = 0; l < metrics.size(); ++l) {
    const auto counts = count(header, l);
    Json json{{"positives", counts.positives},
              {"negatives", counts.negatives},
              {"positive_subjects", counts.positive_subjects},
              {"negative_subjects", counts.negative_subjects},
              {"threshold", or_null(threshold(header, result, l))}};
    for (const auto metric : stats::all_metrics)
      json[stats::name(metric)] = interval_json(
          estimate(metrics[l][static_cast<std::size_t>(metric)],
                   stats::is_share(metric) ? stats::Scale::logit : stats::Scale::unbounded));
    result.metrics[header.labels[l]] = std::move(json);
    const auto& influence = metrics[l][static_cast<std::size_t>(stats::Metric::auroc)].influence;
    result.influence.insert(result.influence.end(), influence.begin(), influence.end());
  }
}

}  // namespace mr::results
