// Learning-rate schedules: functions of the step's number and of the epochs so far, so that a
// resumed run needs no state of theirs.
#pragma once
#include <cstdint>
#include <vector>

#include "train/train.h"

namespace mr::train {

/// Where a run stands.
struct Progression {
  std::int64_t step = 0;  // from 0, over all epochs
  std::int64_t steps_per_epoch = 1;
  int epochs = 1;              // at most
  std::vector<double> aurocs;  // mean validation AUROC of each finished epoch
};

/// What the learning rate of a step is multiplied with. In the first warmup_epochs it rises
/// linearly from step to step and reaches 1 at their last (Goyal et al. 2017, section 2.2);
///   cosine   then (1 + cos(pi t)) / 2, t from 0 to 1 over the steps after the warm-up
///            (Loshchilov and Hutter 2017, eq. 5, without restarts);
///   step     factor^k, k the number of whole step_epochs that have passed;
///   plateau  factor^k, k the number of times that plateau_patience epochs in a row were not better
///            than the best before them.
double rate_factor(const ScheduleOptions& options, const Progression& at);

}  // namespace mr::train
