#include "artifact/encoding/line_weights.h"

#include <algorithm>

namespace mr::artifact {
namespace {

void multiply(const LineWeights& weights, std::int64_t columns, float* re, float* im) {
  for (std::size_t line = 0; line < weights.size(); ++line) {
    const std::complex<float> w(weights[line]);
    const auto first = static_cast<std::int64_t>(line) * columns;
    for (auto at = first; at < first + columns; ++at) {
      const float a = re[at], b = im[at];
      re[at] = w.real() * a - w.imag() * b;
      im[at] = w.real() * b + w.imag() * a;
    }
  }
}

}  // namespace

Record times_record(const Context& context) {
  const auto& timing = context.timing;
  auto record = record_of(timing);
  if (!context.is_3d()) record.set("slice_delays_ms", timing.slice_delays_ms);
  if (timing.table.options.order == kspace::LineOrder::random)
    for (const auto& line : timing.table.lines) {
      record.append("shot_of_line", line.shot);
      record.append("echo_of_line", line.echo);
    }
  return record;
}

double scan_share(const Context& context, std::int64_t line) {
  const auto& table = context.timing.table;
  const double duration = table.duration_ms();
  const double from_centre =
      table.lines[static_cast<std::size_t>(line)].time_ms - table.centre().time_ms;
  return duration > 0 ? from_centre / duration : 0;
}

std::vector<LineWeights> weights_of_slices(
    const Context& context,
    const std::function<std::complex<double>(std::int64_t slice, std::int64_t line)>& weight) {
  std::vector<LineWeights> of_slice(context.is_3d() ? 1
                                                    : static_cast<std::size_t>(context.slices()));
  for (std::size_t s = 0; s < of_slice.size(); ++s)
    for (std::int64_t line = 0; line < context.lines(); ++line)
      of_slice[s].push_back(weight(static_cast<std::int64_t>(s), line));
  return of_slice;
}

void weigh_lines(
    const Context& context,
    const std::function<std::complex<double>(std::int64_t slice, std::int64_t line)>& weight,
    Drawn& drawn) {
  auto of_slice = weights_of_slices(context, weight);
  if (std::all_of(of_slice.begin(), of_slice.end(),
                  [&](const LineWeights& w) { return w == of_slice[0]; })) {
    drawn.weights = AxisWeights{{}, std::move(of_slice[0]), {}};
    return;
  }
  drawn.in_kspace = [of_slice](Block& block, int threads) {
    for_slices(block, threads, [&](float* re, float* im, std::int64_t slice) {
      multiply(of_slice[static_cast<std::size_t>(slice)], block.readout(), re, im);
    });
  };
}

}  // namespace mr::artifact
