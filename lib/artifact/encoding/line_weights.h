// Weights of k-space's lines by when each was measured; shared by what happens during a scan:
// breathing, decay, drifts.
#pragma once
#include <complex>
#include <cstdint>
#include <functional>
#include <vector>

#include "artifact/engine.h"

namespace mr::artifact {

/// record_of(timing) and what else tells the time of every line of every slice: slice_delays_ms in
/// 2-D, and the lines' shot and echo where their order is random.
Record times_record(const Context& context);

/// (t - t_centre) / T of a line: its distance in time from the central one, as a share of the scan
/// from the first line to the last. 0 for a single line.
double scan_share(const Context& context, std::int64_t line);

/// weight(s, y) of each line y of each slice s. In 3-D there is one list, of s = 0: partitions
/// share a line's time.
using LineWeights = std::vector<std::complex<double>>;
std::vector<LineWeights> weights_of_slices(
    const Context& context,
    const std::function<std::complex<double>(std::int64_t slice, std::int64_t line)>& weight);

/// Multiplies line y of slice s by weight(s, y). Where all slices have the same weights they are a
/// product over the axes.
void weigh_lines(
    const Context& context,
    const std::function<std::complex<double>(std::int64_t slice, std::int64_t line)>& weight,
    Drawn& drawn);

}  // namespace mr::artifact
