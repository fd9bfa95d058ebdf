// Test-time adaptation of batch norm: statistics of other images, or a step on their entropy, in
// place of what training left. Images come as batches [n, C, H, W].
#pragma once
#include <torch/types.h>

#include <string>
#include <vector>

#include "nn/model.h"

namespace mr::nn {

/// The layers of a network that keep running statistics and are not frozen, in the order in which
/// they are run.
std::vector<torch::jit::Module> batch_norms(const torch::jit::Module& network);

/// Their names in the network, in the same order: "stage1_block1.norm1".
std::vector<std::string> batch_norm_names(const torch::jit::Module& network);

/// Makes batch norms affine maps for good: running statistics in training too, and no adaptation.
void freeze(torch::jit::Module& network);

constexpr double running_statistics = -1, batch_statistics = 0;

/// What batch norm normalises with in evaluation mode: its running statistics; the mean and the
/// biased variance of the batch at hand (prediction-time batch norm: Nado et al. 2020); or, for a
/// prior N > 0, (N running + n batch) / (N + n) of both, n images in the batch (Schneider et al.
/// 2020, eq. 2). Running statistics are not touched.
void set_prior(torch::jit::Module& network, double prior);

/// The norm layers that can say what they are given, batch norms (not frozen) among them, in the
/// order in which they are run, and their names likewise. Scaled and shifted activations (nf,
/// fixup) are no norms.
std::vector<torch::jit::Module> norms(const torch::jit::Module& network);
std::vector<std::string> norm_names(const torch::jit::Module& network);

/// Mean and biased variance, [C] each in double precision, of what a layer is given.
struct Statistics {
  torch::Tensor mean, variance;
};

/// Those of every one of norms() over all images of `batches`, pooled, while batch norms normalise
/// with their running statistics: one pass. `network` is in evaluation mode and ends as it was.
std::vector<Statistics> input_statistics(torch::jit::Module& network,
                                         const std::vector<torch::Tensor>& batches);

/// How far what the batch norms are given of each image [n, C, H, W] is from their running
/// statistics, in running standard deviations: the root of the mean over layers, each a mean over
/// channels, of [(m - mu)^2 + (s - sigma)^2] / (sigma^2 + eps), the squared 2-Wasserstein distance
/// of normal distributions (Dowson and Landau 1982, eq. 4) of the image's mean m and standard
/// deviation s over positions from the running mu and sigma. Images pass one by one. `network` has
/// batch norms, is in evaluation mode and ends as it was.
std::vector<float> statistics_distances(torch::jit::Module& network, const torch::Tensor& images);

enum class Replaced { both, mean, variance };

/// Replaces the running statistics by mean and biased variance over all images of `batches`, pooled
/// (the variance of the batches' means is in it), mixed with the old ones by a prior N >= 0 as
/// above. Each layer's are measured with the layers before it already replaced: one pass for each
/// layer, one in all where there is one batch and both are replaced. `network` is in evaluation
/// mode; afterwards it normalises with its running statistics.
void recalibrate(torch::jit::Module& network, const std::vector<torch::Tensor>& batches,
                 double prior = 0, Replaced replaced = Replaced::both);

/// TENT (Wang et al. 2021), episodic: a copy of the network that normalises with the batch at hand,
/// after `steps` of Adam (betas 0.9 and 0.999) on weights and biases of its batch norms, down the
/// entropy of the batch: the mean over images and labels of the two-class entropy.
/// throws DataError when the entropy is not finite
torch::jit::Module tent(const torch::jit::Module& network, const torch::Tensor& batch,
                        double learning_rate, int steps);

}  // namespace mr::nn
