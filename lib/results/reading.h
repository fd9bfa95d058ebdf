// results/: from what an evaluation holds to what is decided on: samples pooled to units, operating
// points chosen for these, scores recalibrated.
#pragma once
#include <map>
#include <utility>

#include "results/pooling.h"
#include "stats/calibration.h"

namespace mr::results {

/// What is done to scores before anything is computed from them: fitted on each model's scores on
/// clean validation samples, label by label. Ranks and decisions at the thresholds stay.
enum class Recalibrate { no, temperature, platt };
const char* name(Recalibrate how);                       // "no", "temperature", "platt"
Recalibrate parse_recalibrate(const std::string& text);  // throws UsageError

/// How a study reads its evaluations.
struct Reading {
  Recalibrate recalibrate = Recalibrate::no;
  std::optional<Level> level = {};  // none: choose_level
  Pool pool = Pool::top3;
  std::vector<std::string> by = {};       // attributes to make subgroups of
  std::optional<double> prevalence = {};  // for the predictive values; none: that of the samples
};

using Thresholds = std::vector<std::optional<double>>;  // [L]

/// Operating points, and what they would be on resampled validation subjects.
struct Tuned {
  using Resampled = std::vector<std::vector<double>>;  // [L][validation_resamples]
  Thresholds chosen;                                   // empty: there are none
  Resampled resampled;                                 // empty, too, of a model without a rule
};

/// One evaluation as it is read: units in the place of samples.
class Units {
 public:
  /// throws what Pooling throws
  Units(const Header& read, Level level, const Reading& reading);

  /// Its models' thresholds are those of the units, once their validation scores were seen; at the
  /// level of samples those that the file states.
  const Header& header() const { return header_; }

  /// Scores on clean validation samples give a model its thresholds and its recalibration; those on
  /// validation samples under an artifact the thresholds that would be chosen there.
  /// throws DataError where a model cannot be recalibrated
  void see(const ValidationScores& validation);

  /// Pools and recalibrates the scores. throws DataError where there is nothing to recalibrate with
  void transform(Result& result) const;

  /// Of the result's model on clean validation samples; and on those under the result's condition,
  /// where that is another one.
  Tuned frozen(const Result& result) const;
  Tuned retuned(const Result& result) const;

 private:
  using Scaling = std::vector<stats::Recalibration>;  // [L]

  Tuned tuned(std::size_t model, const Condition& condition) const;
  Scaling fit(const Model& model, const std::vector<float>& scores) const;

  Level level_;
  Recalibrate recalibrate_;
  Pooling test_, validation_;
  Header header_;
  std::map<std::size_t, Scaling> scalings_;                     // by model
  std::map<std::pair<std::size_t, std::string>, Tuned> tuned_;  // by model and condition
};

}  // namespace mr::results
