#include <algorithm>
#include <cmath>
#include <numeric>

#include "artifact/engine.h"

namespace mr::artifact {
namespace {

/// A line of k-space by its place along both phase-encode axes, and what is left of it.
struct Lost {
  std::int64_t slice, line;
  double weight;
};

/// Distance from zero frequency, as a share of the axis.
double offset(std::int64_t index, std::int64_t n) {
  return static_cast<double>(index - n / 2) / static_cast<double>(n);
}

/// `fraction` of all lines, from the front of an order in which those that are not spared stand at
/// random, so that a larger fraction holds the smaller. The last one is lost in part.
std::vector<Lost> draw_lost(RandomKey key, std::int64_t slices, std::int64_t lines, double fraction,
                            double spared) {
  std::vector<std::int64_t> order;
  for (std::int64_t i = 0; i < slices * lines; ++i)
    if (spared == 0 || std::hypot(offset(i / lines, slices), offset(i % lines, lines)) > spared / 2)
      order.push_back(i);
  shuffle(key, order);
  std::vector<Lost> lost;
  double left = fraction * static_cast<double>(slices * lines);
  for (const auto i : order) {
    if (!(left > 0)) break;
    lost.push_back({i / lines, i % lines, std::max(0.0, 1 - left)});
    left -= 1;
  }
  return lost;
}

/// What is left of a line, and noise of standard deviation sigma per part instead of what is not.
void replace(const Lost& lost, double sigma, RandomKey key, std::int64_t n, float* re, float* im) {
  std::vector<float> noise(static_cast<std::size_t>(2 * n));
  fill_normal(sub_key(key, static_cast<std::uint64_t>(lost.slice)),
              static_cast<std::uint64_t>(2 * n * lost.line), noise.data(), noise.size());
  const auto kept = static_cast<float>(lost.weight);
  const auto added = static_cast<float>((1 - lost.weight) * sigma);
  for (std::int64_t x = 0; x < n; ++x) {
    const auto i = static_cast<std::size_t>(x);
    re[x] = kept * re[x] + added * noise[i];
    im[x] = kept * im[x] + added * noise[i + static_cast<std::size_t>(n)];
  }
}

bool acts(const Values& values) {
  return values.at("fraction") != 0;
}

/// Lines of k-space that the receiver missed are 0, or noise. In 2-D each slice loses lines of its
/// own, in 3-D a line has two phase encodes.
Drawn draw(const Context& context, const Values& values) {
  const auto slices = context.slices(), lines = context.lines();
  const double fraction = values.at("fraction"), spared = values.at("spared");
  const auto key = context.stream("lines");
  std::vector<Lost> lost;
  if (context.is_3d())
    lost = draw_lost(key, slices, lines, fraction, spared);
  else
    for (std::int64_t s = 0; s < slices; ++s)
      for (const auto& l :
           draw_lost(sub_key(key, static_cast<std::uint64_t>(s)), 1, lines, fraction, spared))
        lost.push_back({s, l.line, l.weight});
  Drawn drawn;
  drawn.values.set("lost", Record::list());  // [slice, line, weight]
  for (const auto& l : lost) drawn.values.append("lost", Record::list(l.slice, l.line, l.weight));
  const double sigma = values.at("garbage") * context.facts.signal;
  drawn.values.set("sigma", sigma);
  drawn.in_kspace = [lost, sigma, noise = context.frame_stream("garbage")](Block& block, int) {
    for (const auto& l : lost) {
      const auto slice = l.slice - block.first_slice;
      if (slice < 0 || slice >= block.depth()) continue;
      const auto first = (slice * block.lines() + l.line) * block.readout();
      replace(l, sigma, noise, block.readout(), block.re.data() + first, block.im.data() + first);
    }
  };
  return drawn;
}

}  // namespace

Artifact line_loss() {
  return {{"line-loss",
           "Lines of k-space lost by the receiver: streaks along phase encoding",
           "Graves and Mitchell 2013, J Magn Reson Imaging 38:269 (data errors)",
           Stage::receiver,
           {{"fraction",
             "1",
             "lost lines / all lines; the last one is lost in part",
             0,
             1,
             {0.005, 0.01, 0.02, 0.04, 0.08},
             0},
            {"spared",
             "1",
             "share of k-space around its centre whose lines are never lost; 0: none",
             0,
             1,
             {0.04, 0.04, 0.04, 0.04, 0.04},
             0.04},
            {"garbage",
             "1",
             "noise instead of lost samples, per component / mean of the foreground; 0: zeros",
             0,
             1000,
             {0, 0, 0, 0, 0},
             0}},
           6,
           false},
          acts,
          draw,
          true};
}

}  // namespace mr::artifact
