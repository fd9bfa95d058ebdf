// Batch norm over the batch of all processes, where each alone would see its share.
#pragma once
#include <torch/csrc/jit/api/module.h>

#include "train/parallel.h"

namespace mr::train {

/// Makes the batch norm layers of a new network, which has not run yet, take mean and variance in
/// training over the images of all processes. A network made so can be trained, not saved. All
/// processes run it together, forward and backward, with 0 images too.
/// source  Ioffe and Szegedy 2015, algorithm 1 and the gradients of section 3, sums over all
void synchronise_batch_norm(torch::jit::Module& network, const Parallel& parallel);

}  // namespace mr::train
