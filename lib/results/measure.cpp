#include "results/measure.h"

#include "base/error.h"
#include "base/json.h"
#include "base/threads.h"
#include "stats/contrast.h"

namespace mr::results {
namespace {

std::optional<double> threshold(const Header& header, const Result& result, std::size_t label) {
  const auto& thresholds = header.models.at(result.model).thresholds;
  return label < thresholds.size() ? thresholds[label] : std::nullopt;
}

Json with_interval(stats::Metric which, const stats::Linearized& metric) {
  Json json{{"value", or_null(metric.value)}, {"low", nullptr}, {"high", nullptr}};
  std::string reason = metric.reason;
  if (metric.value) {
    const auto scale = stats::is_share(which) ? stats::Scale::logit : stats::Scale::unbounded;
    const auto e = stats::estimate({{{*metric.value}, {metric.influence}}}, metric.subjects, scale);
    json["low"] = or_null(e.low);
    json["high"] = or_null(e.high);
    reason = e.reason;
  }
  if (!reason.empty()) json["reason"] = reason;
  return json;
}

stats::Cases cases_of(const Header& header, const Result& result, std::size_t label,
                      const std::vector<std::int8_t>& truth) {
  const auto samples = static_cast<std::ptrdiff_t>(header.sample_ids.size());
  const auto first = result.scores.begin() + static_cast<std::ptrdiff_t>(label) * samples;
  return {{first, first + samples},
          truth,
          header.sample_subject,
          static_cast<std::int32_t>(header.subjects.size())};
}

}  // namespace

std::vector<std::vector<stats::Linearized>> linearize(const Header& header, const Result& result) {
  const auto samples = header.sample_ids.size();
  if (result.scores.size() != header.labels.size() * samples)
    throw DataError(name(result.condition) + ": scores: want " +
                    std::to_string(header.labels.size() * samples) + ", got " +
                    std::to_string(result.scores.size()));
  std::vector<std::vector<stats::Linearized>> metrics(header.labels.size());
  const auto labels = static_cast<std::int64_t>(header.labels.size());
  parallel_for(available_threads(), labels, [&](std::int64_t label) {
    const auto l = static_cast<std::size_t>(label);
    metrics[l] = stats::linearize(cases_of(header, result, l, header.truth.at(l)),
                                  threshold(header, result, l));
  });
  return metrics;
}

stats::Linearized linearize_auroc(const Header& header, const Result& result, std::size_t label,
                                  const std::vector<std::int8_t>& truth) {
  return stats::linearize(stats::Metric::auroc, cases_of(header, result, label, truth));
}

void measure(const Header& header, Result& result) {
  const auto metrics = linearize(header, result);
  result.metrics = Json::object();
  result.influence.clear();
  for (std::size_t l = 0; l < metrics.size(); ++l) {
    const auto counts = stats::count(header.truth[l], header.sample_subject,
                                     static_cast<std::int32_t>(header.subjects.size()));
    Json json{{"positives", counts.positives},
              {"negatives", counts.negatives},
              {"positive_subjects", counts.positive_subjects},
              {"negative_subjects", counts.negative_subjects},
              {"threshold", or_null(threshold(header, result, l))}};
    for (const auto metric : stats::all_metrics)
      json[stats::name(metric)] =
          with_interval(metric, metrics[l][static_cast<std::size_t>(metric)]);
    result.metrics[header.labels[l]] = std::move(json);
    const auto& influence = metrics[l][static_cast<std::size_t>(stats::Metric::auroc)].influence;
    result.influence.insert(result.influence.end(), influence.begin(), influence.end());
  }
}

}  // namespace mr::results
