// eval/: why models fail under a condition. Statistics of what each batch norm is given, scores
// with those statistics put in, layer by layer, and exact changes of the input.
#pragma once
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "eval/scoring.h"
#include "results/explanation.h"

namespace mr::eval {

inline constexpr std::size_t explained_samples = 512;  // at most, drawn by the seed
/// Samples that a swap takes its statistics from: those of mixed_sets in partition 0.
inline constexpr std::int64_t swap_set = 128;

/// Indices into `conditions` of clean and of those that are named, ascending.
/// names  as of results::name, without parts: "motion:3", "recipe:worn"
/// throws UsageError where one is not evaluated, or none of them is clean
std::vector<std::size_t> explained_conditions(const std::vector<std::string>& names,
                                              const std::vector<results::Condition>& conditions);

/// The samples that are explained, as indices into `samples`.
std::vector<std::size_t> choose_explained(const dataset::SampleSet& samples, std::uint64_t seed);

/// Some samples, with their images. chosen: indices into `samples`, ascending
dataset::SampleSet subset(const dataset::SampleSet& samples,
                          const std::vector<std::size_t>& chosen);

/// What is known by (index of the condition, index of the model).
using Explained = std::map<std::pair<std::size_t, std::size_t>, results::Findings>;

/// Findings as a line of JSON, and back into `explained`.
/// throws DataError that begins with `name`
void add_explained(Explained& explained, const Json& line, const std::string& name);

/// Explains each model as it is under each condition, unless `explained` has it; one without batch
/// norm on clean images alone. A condition's pixels are in memory together; `finished` gets each
/// model's findings as add_explained takes them.
/// plan    of the samples that are explained, with all conditions of the evaluation
/// header  of the same samples: labels, truth, subjects
/// throws  InterruptedError, DataError
void explain(const Plan& plan, const results::Header& header,
             const std::vector<std::size_t>& conditions, Explained& explained,
             const std::function<void(const Json&)>& finished, const Messages& messages);

}  // namespace mr::eval
