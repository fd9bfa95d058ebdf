// results/: questions put to a set of evaluations. An arm is a normalization (with its test-time
// adaptation), a run one training of it; a contrast weighs arms under conditions, and its estimate
// takes subjects and runs as random.
#pragma once
#include "results/evaluation.h"
#include "results/measure.h"
#include "results/reading.h"
#include "stats/contrast.h"
#include "stats/robustness.h"

namespace mr::results {

using stats::Metric;

/// A weighted sum of arms under conditions. Build with Study::at and the like, combine with minus.
struct Contrast {
  struct Term {
    std::string arm;
    Condition condition;
    double weight;
    bool retuned = false;  // the balanced accuracy at thresholds of this condition's own
  };
  std::vector<Term> terms;
};
Contrast operator+(Contrast a, const Contrast& b);
Contrast operator-(Contrast a, const Contrast& b);
Contrast operator*(double factor, Contrast contrast);

/// A label's index, or `macro`: the mean over the labels that are defined, equal weights.
using Label = std::optional<std::size_t>;
inline constexpr std::nullopt_t macro = std::nullopt;

struct Estimate : stats::Estimate {
  std::size_t labels_used = 0;                // macro: k of the labels().size()
  std::int64_t positives = 0, negatives = 0;  // samples; of the scarcest label for macro
  std::int64_t positive_subjects = 0, negative_subjects = 0;  // likewise
};

/// One candidate against the baseline, p adjusted within its family.
struct Comparison {
  std::string arm;
  std::optional<Condition> condition;  // none: the endpoint, the mean over artifacts and severities
  Estimate difference;                 // arm minus baseline
  std::optional<double> p_adjusted;
};

/// The samples of images with one value of an attribute: a scanner, a contrast, a sex.
struct Subgroup {
  std::string attribute, value;                 // value "": the images that lack it
  std::vector<std::vector<std::int8_t>> truth;  // L x N; -1 outside
  std::vector<stats::Counts> counts;            // [L]
  std::size_t samples = 0;
  std::vector<std::int32_t> subjects;  // indices, ascending
};

/// In the order of `by`, values in that of their bytes.
/// throws  UsageError on an attribute that no image has, or with more than 20 values
std::vector<Subgroup> make_subgroups(const Header& header, const std::vector<std::string>& by);

/// Why one run of an arm does as it does under a condition, sample by sample whatever the level.
struct ExplainedRun {
  std::string arm;
  std::int64_t run = 0;
  Condition condition;
  Findings findings;
};

/// What is known of subgroups.
inline constexpr Metric subgroup_metrics[] = {Metric::auroc, Metric::sensitivity,
                                              Metric::specificity};

/// All samples, or an index into Study::subgroups(), where subgroup_metrics are known.
using Among = std::optional<std::size_t>;
inline constexpr std::nullopt_t all_samples = std::nullopt;

/// A set of evaluations of the same samples. Holds influences, and scores of few conditions: its
/// size is models x conditions x labels x subjects.
class Study {
 public:
  /// Sees each result with the scores of its units while the files are read once ("-" may be among
  /// them).
  using ResultSeen = std::function<void(const Header&, const Result&)>;

  /// throws DataError when two files differ in labels, samples, subjects or truth, when two models
  /// claim the same arm and run, or when a model has a condition twice; it names both files; when a
  /// model cannot be recalibrated; and what Pooling throws
  explicit Study(const std::vector<std::string>& paths, const ResultSeen& result_seen = {},
                 const Reading& reading = {});

  /// Forgets all other arms, and what they alone were evaluated under.
  /// arms    in the order that they shall have
  /// throws  UsageError on an arm that there is not
  void keep(const std::vector<std::string>& arms);

  const std::vector<std::string>& labels() const { return common_.labels; }
  Level level() const { return level_; }
  Pool pool() const { return reading_.pool; }
  Recalibrate recalibrated() const { return reading_.recalibrate; }
  const std::string& why_not_pooled() const { return why_not_pooled_; }
  /// Labels, samples (pooled to the level), subjects, truth and attributes, which all files share;
  /// the other members are those of the first file.
  const Header& common() const { return common_; }
  const stats::Counts& counts(std::size_t label) const { return counts_.at(label); }
  const std::vector<Model>& models() const { return models_; }    // of all files
  const std::vector<std::string>& arms() const { return arms_; }  // in order of appearance
  bool has(const std::string& arm) const;
  std::vector<std::int64_t> runs(const std::string& arm) const;  // ascending
  /// Without those that hold a part of what an artifact did.
  const std::vector<Condition>& conditions() const { return conditions_; }
  /// Some run of the arm was evaluated under the condition.
  bool evaluated(const std::string& arm, const Condition& condition) const;
  /// ... under artifacts' gain and structure alone.
  bool has_parts(const std::string& arm) const;
  /// ... and has thresholds chosen on validation images under artifacts.
  bool has_retuned(const std::string& arm) const;
  /// Intervals of decisions hold the spread of the operating points, over the validation subjects
  /// that these were chosen on; of the deferral they do not.
  bool resamples_thresholds() const { return !validation_counts_.empty(); }
  const std::vector<Subgroup>& subgroups() const { return subgroups_; }
  std::optional<double> prevalence() const { return reading_.prevalence; }
  /// Of all files, in their order; none where none was asked for.
  const std::vector<ExplainedRun>& explained() const { return explained_; }
  bool has_clean() const;
  std::vector<std::string> artifacts() const;                         // in order of appearance
  std::vector<double> severities(const std::string& artifact) const;  // ascending
  const std::vector<Thumbnail>& thumbnails() const { return thumbnails_; }  // each image once
  Json fidelity(const Condition& condition) const;        // {} where none was recorded
  const Json& notes() const { return notes_; }            // of all files, each once
  const Json& provenance() const { return provenance_; }  // of all files, each once

  /// A contrast of balanced accuracies with thresholds chosen by the same rule on validation images
  /// under each term's own condition, in place of the frozen ones.
  static Contrast retuned(Contrast contrast);

  // Contrasts, each with weights that sum to 1.
  Contrast at(const std::string& arm, const Condition& condition) const;
  Contrast clean(const std::string& arm) const;
  Contrast over_severities(const std::string& arm, const std::string& artifact,
                           Part part = Part::all) const;
  Contrast at_severity(const std::string& arm,
                       double severity) const;  // over the artifacts with it
  Contrast endpoint(const std::string& arm,
                    Part part = Part::all) const;  // over severities, then over artifacts

  /// The contrast's value, interval and p value. Arms that share their trained networks (one with,
  /// one without adaptation) are paired by run. A contrast with a negative weight is a difference.
  /// No value, with its reason, where the study lacks a condition in some run, arms that share
  /// networks have different runs, or no label is defined.
  Estimate estimate(const Contrast& contrast, Label label = macro, Metric metric = Metric::auroc,
                    Among among = all_samples) const;
  /// A contrast within a subgroup minus the same within another, which may share subjects: a
  /// difference of subgroup_metrics. Macro: over the labels that are defined in both.
  Estimate shift(const Contrast& contrast, std::size_t group, std::size_t reference,
                 Label label = macro, Metric metric = Metric::auroc) const;

  /// The same for each run by itself, in the order of runs(arm); contrast of one arm only.
  std::vector<Estimate> each_run(const Contrast& contrast, Label label = macro,
                                 Metric metric = Metric::auroc) const;

  /// What one network says of one label under a condition. Scores are kept of each artifact's
  /// highest severity and of all that is no artifact at a severity; of others, and where the
  /// network was not evaluated so, there is none.
  std::optional<stats::Cases> cases(const std::string& arm, std::int64_t run,
                                    const Condition& condition, std::size_t label) const;

  /// How far each unit's statistics are from those that the network was trained on (a mean over its
  /// samples); empty where it was not measured.
  std::vector<float> distances(const std::string& arm, std::int64_t run,
                               const Condition& condition) const;

  /// Mean performance over runs at clean and at each severity; none where a value is missing.
  std::optional<stats::Curve> curve(const std::string& arm, const std::string& artifact,
                                    Label label = macro, Metric metric = Metric::auroc) const;

  /// All other arms against the baseline on the endpoint; Holm over these arms.
  std::vector<Comparison> compare(const std::string& baseline, Label label = macro,
                                  Metric metric = Metric::auroc) const;
  /// One arm against the baseline in each artifact x severity; Benjamini-Hochberg over the cells.
  std::vector<Comparison> heat_map(const std::string& arm, const std::string& baseline,
                                   Label label = macro, Metric metric = Metric::auroc) const;

 private:
  // One model's metric under one condition; float halves the memory and is far finer than the
  // sampling error that these influences describe.
  struct Cell {
    std::optional<double> value;
    std::vector<float> influence;  // [P]
    std::int64_t subjects = 0;
    std::string reason;
    std::vector<float> resampled;  // [validation_resamples], at their operating points; or empty
  };
  struct Measured {
    std::string path;  // of the file it came from
    Condition condition;
    std::vector<Cell> cells;      // [L x metrics], then [subgroups x L x subgroup_metrics]
    std::vector<float> scores;    // [L x N], or empty
    std::vector<float> distance;  // [N], or empty
    std::vector<Cell> retuned;    // [L] balanced accuracy at thresholds of this condition; or empty
  };
  struct Trained {
    std::string path;
    Model model;
    std::map<std::string, Measured> at;  // by the condition's name
  };
  struct Family {  // terms over the same networks, with and without adaptation
    std::vector<std::int64_t> runs;
    std::vector<const Contrast::Term*> terms;
  };
  struct Formed {                  // a contrast, one stats::Arm per family, before its estimate
    std::vector<stats::Arm> arms;  // empty where there is a reason
    std::int64_t subjects = 0;
    std::int64_t validation_subjects = 0;  // 0: no operating point was resampled
    std::size_t labels_used = 0;
    std::size_t scarcest_label = 0;
    std::string reason;
  };

  void add_file(const std::string& path, const ResultSeen& result_seen);
  void add_header(const std::string& path, const Header& header);
  void take_thresholds(const Model& model);
  void add_model(const std::string& path, const Model& model);
  void add_result(const std::string& path, const Model& model, const Header& header,
                  const Result& result, const Tuned& frozen, const Tuned& retuned);
  bool any(const std::string& arm, const std::function<bool(const Measured&)>& wanted) const;
  const std::map<std::int64_t, Trained>& networks(const std::string& arm) const;
  std::vector<Family> families(const Contrast& contrast) const;
  std::size_t cell_index(std::size_t label, Metric metric, Among among) const;
  Formed form_label(const std::vector<Family>& families, std::size_t label, Metric metric,
                    Among among) const;
  /// Over the labels, or the one; of_label gives each.
  Formed average(Label label, const std::function<Formed(std::size_t)>& of_label) const;
  Formed form(const Contrast& contrast, Label label, Metric metric, Among among) const;
  Estimate estimate_formed(const Formed& formed, const std::vector<stats::Arm>& arms,
                           stats::Scale scale, Among among) const;

  std::string first_path_;
  Header common_;
  std::vector<stats::Counts> counts_;  // [L]
  Reading reading_;
  Level level_ = Level::sample;
  std::string why_not_pooled_;
  std::vector<Subgroup> subgroups_;
  std::vector<Model> models_;
  std::vector<std::string> arms_;
  std::vector<Condition> conditions_;
  std::vector<stats::Counts> validation_counts_;  // [L], of the first file that has them
  std::vector<ExplainedRun> explained_;
  std::vector<Thumbnail> thumbnails_;
  std::map<std::string, Json> fidelity_;  // by the condition's name
  Json notes_ = Json::array(), provenance_ = Json::array();
  std::map<std::string, std::map<std::int64_t, Trained>> trained_;  // by arm, run
};

}  // namespace mr::results
