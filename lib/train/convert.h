// Norm surgery: another model file of a trained batch-norm one, without training.
#pragma once
#include <string>

#include "base/file.h"
#include "base/run.h"

namespace mr::train {

/// frozen        batch norms are affine maps for good: in training too, and no scheme adapts them
/// batch_stats   batch norms normalise with the batch at hand (Nado et al. 2020)
/// n_prior       with both, the running statistics counting as N images (Schneider et al. 2020)
/// recalibrated  running statistics measured on images of a manifest, pooled; with a prior, mixed
///               with those of training
enum class Target { frozen, batch_stats, n_prior, recalibrated };

struct Conversion {
  Target target = Target::recalibrated;
  double prior = 0;                             // images; of n_prior and recalibrated
  std::string model, output;                    // files
  std::string manifest, root, split = "train";  // of recalibrated; labels are not looked at
  std::string device = "cpu";
  int threads = 1, batch = 32;
  Overwrite overwrite = Overwrite::no;
};

/// "frozen", "batch-stats", "n-prior[=N]" (16), "recalibrated[=N]" (0). throws UsageError
void set_target(Conversion& conversion, const std::string& text);

/// Writes the model file. mr.json says in its member "conversion" what was done. Where the manifest
/// of a recalibration has labelled images in split val, thresholds are chosen on them anew; else
/// they are the source's.
/// throws DataError when the model has no batch norm, or the split no images
void convert(const Conversion& conversion, const Run& run, const Messages& messages);

}  // namespace mr::train
