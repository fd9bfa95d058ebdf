// stats/: stated probabilities in bins, against what is observed there.
#pragma once
#include "stats/influence.h"

namespace mr::stats {

/// Samples of known truth with the probability that a model states of each. The vectors are equally
/// long; several runs or conditions of the same subjects may be put together.
struct Stated {
  std::vector<double> probability;
  std::vector<std::int8_t> truth;     // 0, 1
  std::vector<std::int32_t> subject;  // index, 0 .. subjects - 1
  std::int32_t subjects = 0;
};

/// 1 / (1 + exp(-score)) of the samples whose truth is known, added to the others.
/// throws  DataError where the numbers of subjects differ
void append(Stated& all, const Cases& cases);

enum class Binning {
  equal_width,  // (k/M, (k+1)/M], the first closed at 0
  equal_mass,   // by mid-rank, so that equal probabilities share a bin
};
inline constexpr std::size_t bins = 15;  // M, unless a test wants another

/// The bin of each sample, 0 .. M - 1. A product pM within 1e-9 of a whole number is taken for it.
std::vector<std::size_t> bins_of(const std::vector<double>& probability, Binning binning,
                                 std::size_t count = bins);

struct Bin {
  std::int64_t samples = 0;
  double probability = 0;    // mean of the stated ones
  double positives = 0;      // share
  double low = 0, high = 1;  // 95 % interval of the share
};

struct Reliability {
  std::vector<Bin> bins;         // those that have samples, ascending
  double calibration_error = 0;  // ECE: mean over samples of |probability - positives| of their bin
  // The Brier score is reliability - resolution + uncertainty + within_bins.
  double reliability = 0, resolution = 0, uncertainty = 0, within_bins = 0;
};

/// Intervals: Wilson's, with the effective number of samples, that is the binomial variance over
/// the variance of the share with the samples of a subject dependent (at most their number; where
/// all or none are positive, the number of subjects). returns  none without samples source   Naeini
/// et al. 2015, Guo et al. 2017 (ECE); Murphy 1973 with the terms within bins of
///          Stephenson et al. 2008; Korn and Graubard 1998 (effective number)
std::optional<Reliability> reliability(const Stated& stated, Binning binning,
                                       std::size_t count = stats::bins);

}  // namespace mr::stats
