#include "results/reading.h"

#include "base/error.h"
#include "base/text.h"
#include "results/measure.h"

namespace mr::results {
namespace {

double rescaled(const stats::Recalibration& by, double score) {
  return by.intercept + by.slope * score;
}

}  // namespace

const char* name(Recalibrate how) {
  return how == Recalibrate::platt         ? "platt"
         : how == Recalibrate::temperature ? "temperature"
                                           : "no";
}

Recalibrate parse_recalibrate(const std::string& text) {
  for (const auto how : {Recalibrate::no, Recalibrate::temperature, Recalibrate::platt})
    if (text == name(how)) return how;
  throw UsageError(unknown("recalibration", text, {"temperature", "platt"}));
}

Units::Units(const Header& read, Level level, const Reading& reading)
    : level_(level),
      recalibrate_(reading.recalibrate),
      test_(read, level, reading.pool),
      validation_(read.validation, read.validation.sample_ids.empty() ? Level::sample : level,
                  reading.pool),
      header_(read) {
  static_cast<Samples&>(header_) = test_.units();
  header_.validation = validation_.units();
  if (level_ != Level::sample)  // those of the models are for samples
    for (auto& model : header_.models) model.thresholds.assign(header_.labels.size(), std::nullopt);
}

Units::Scaling Units::fit(const Model& model, const std::vector<float>& scores) const {
  Scaling scaling;
  const auto& truth = header_.validation.truth;
  const auto n = static_cast<std::ptrdiff_t>(header_.validation.sample_ids.size());
  for (std::size_t l = 0; l < truth.size(); ++l) {
    const auto first = scores.begin() + static_cast<std::ptrdiff_t>(l) * n;
    const std::vector<float> own(first, first + n);
    scaling.push_back(recalibrate_ == Recalibrate::platt
                          ? stats::platt_scaling(own, truth[l])
                          : stats::temperature_scaling(own, truth[l]));
    if (!scaling.back().reason.empty())
      throw DataError("model " + model.id + ": " + header_.labels[l] +
                      " cannot be recalibrated: " + scaling.back().reason);
  }
  return scaling;
}

void Units::see(const ValidationScores& validation) {
  auto& model = header_.models[validation.model];
  const auto pooled = validation_.pooled(validation.scores);
  const bool clean = validation.condition.kind == Kind::clean;
  if (clean && recalibrate_ != Recalibrate::no) scalings_[validation.model] = fit(model, pooled);
  auto thresholds = clean && level_ == Level::sample
                        ? model.thresholds
                        : choose_thresholds(model, header_.validation, pooled);
  Tuned::Resampled resampled;
  if (model.info.contains("operating_points"))
    resampled = resample_thresholds(model, header_.validation, pooled);
  if (const auto scaling = scalings_.find(validation.model); scaling != scalings_.end())
    for (std::size_t l = 0; l < thresholds.size(); ++l) {
      const auto rescale = [&](double t) {  // rounded as the scores are, one of which it is
        return static_cast<double>(static_cast<float>(rescaled(scaling->second[l], t)));
      };
      if (thresholds[l]) thresholds[l] = rescale(*thresholds[l]);
      if (!resampled.empty())
        for (double& t : resampled[l]) t = rescale(t);
    }
  if (clean) model.thresholds = thresholds;
  tuned_[{validation.model, name(validation.condition)}] = {std::move(thresholds),
                                                            std::move(resampled)};
}

Tuned Units::tuned(std::size_t model, const Condition& condition) const {
  const auto found = tuned_.find({model, name(condition)});
  return found == tuned_.end() ? Tuned() : found->second;
}

Tuned Units::frozen(const Result& result) const {
  return tuned(result.model, Condition{});
}

void Units::transform(Result& result) const {
  result.scores = test_.pooled(result.scores);
  result.distance = test_.averaged(result.distance);
  if (recalibrate_ == Recalibrate::no) return;
  const auto scaling = scalings_.find(result.model);
  if (scaling == scalings_.end())
    throw DataError("model " + header_.models[result.model].id +
                    " has no scores on clean validation images to recalibrate with");
  const auto n = header_.sample_ids.size();
  for (std::size_t i = 0; i < result.scores.size(); ++i)
    result.scores[i] =
        static_cast<float>(rescaled(scaling->second[i / n], static_cast<double>(result.scores[i])));
}

Tuned Units::retuned(const Result& result) const {
  if (result.condition.kind == Kind::clean) return {};
  return tuned(result.model, result.condition);
}

}  // namespace mr::results
