// Splits a manifest into train, val and test by subject.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/run.h"
#include "dataset/filter.h"
#include "dataset/manifest.h"

namespace mr::dataset {

struct SplitRatio {
  std::string split;  // train | val | test
  double ratio = 0;   // of the subjects, in (0, 1]
};

/// "train=.5,val=.15,test=.35": different splits, ratios that sum to 1. throws UsageError
std::vector<SplitRatio> parse_ratios(const std::string& text);

/// Samples of one subject for each (label, value).
using Strata = std::map<std::pair<std::size_t, int>, std::int64_t>;

/// Index into `ratios` for each subject. The number of subjects in a split is its ratio of all,
/// rounded by largest remainders; within these, samples of every label value are spread in the
/// same ratios, the rarest value first, subjects in an order that the seed draws.
/// throws   DataError when a split would be empty
/// source   Sechidis, Tsoumakas and Vlahavas 2011, On the stratification of multi-label data,
///          algorithm 1, with subjects in place of examples
std::vector<std::size_t> stratify(const std::map<std::string, Strata>& subjects,
                                  const std::vector<SplitRatio>& ratios, std::uint64_t seed);

/// Writes the manifest with a split in every image, one for all images of a subject. Splits that
/// were there are replaced. Images wait in a temporary file, so that memory grows with subjects
/// only.
/// held_out  subjects with an image that meets all of these (if any) are test, and the ratios are of
///           the others
/// throws    DataError when no image is to be held out, or no subject is left
void split(ManifestReader& reader, const std::vector<SplitRatio>& ratios,
           const Conditions& held_out, ManifestOutput& output, const Run& run);

}  // namespace mr::dataset
