#include <algorithm>
#include <cmath>

#include "artifact/encoding/line_weights.h"
#include "artifact/object_extent.h"
#include "kspace/lines.h"

namespace mr::artifact {
namespace {

constexpr double pi = 3.14159265358979323846;

bool acts(const Values& values) {
  return values.at("peak_to_peak_mm") != 0;
}

/// Position in the breathing cycle, 0 at the end of expiration, where the chest rests longest.
/// source  Lujan et al. 1999, Med Phys 26:715, eq. 1 with n = 2: cos^4
double excursion(double phase_rad) {
  const double c = std::cos(phase_rad);
  return c * c * c * c;
}

/// Share of each line's signal that moves: 1 from the object's first line (or its last, where
/// `percent` is below 0) on, 0 beyond that part of its extent; half a cosine between.
std::vector<float> moving_share(const Context& context, double percent, double feather_percent) {
  const auto object = object_extent(context, Role::phase_encode);
  const auto extent = static_cast<double>(object.count());
  const double border = std::fabs(percent) / 100 * extent, width = feather_percent / 100 * extent;
  std::vector<float> shares;
  for (std::int64_t line = 0; line < context.lines(); ++line) {
    const auto inside =
        static_cast<double>(percent < 0 ? object.last - line : line - object.first) + 0.5;
    const double beyond = inside - border;
    const double share = width > 0 ? 0.5 - std::clamp(beyond / width, -0.5, 0.5) : beyond <= 0;
    shares.push_back(static_cast<float>(0.5 * (1 - std::cos(pi * share))));
  }
  return shares;
}

/// K = F(still) + phase F(moving) = F(I) + (phase - 1) F(moving): for each slice, or once in 3-D.
class PartMoves {
 public:
  PartMoves(std::vector<float> shares, const std::vector<LineWeights>& phases)
      : shares_(std::move(shares)) {
    for (auto weights : phases) {
      for (auto& w : weights) w -= 1;
      filters_.emplace_back(weights);
    }
  }

  void operator()(Block& block, int threads) const {
    const bool real = block.is_real();
    block.make_complex();
    const auto n = block.readout();
    for_slices(block, threads, [&](float* re, float* im, std::int64_t slice) {
      std::vector<float> moved_re(re, re + block.plane_size()),
          moved_im(im, im + block.plane_size());
      for (std::int64_t i = 0; i < block.plane_size(); ++i) {
        moved_re[static_cast<std::size_t>(i)] *= shares_[static_cast<std::size_t>(i / n)];
        moved_im[static_cast<std::size_t>(i)] *= shares_[static_cast<std::size_t>(i / n)];
      }
      const auto which = filters_.size() == 1 ? 0 : static_cast<std::size_t>(slice);
      filters_[which].apply(moved_re.data(), moved_im.data(), n, n, real);
      for (std::int64_t i = 0; i < block.plane_size(); ++i) {
        re[i] += moved_re[static_cast<std::size_t>(i)];
        im[i] += moved_im[static_cast<std::size_t>(i)];
      }
    });
  }

 private:
  std::vector<float> shares_;
  std::vector<kspace::LineFilter> filters_;
};

/// The object moves along phase encoding by d(t) = a cos^4(pi f t + phase), t the time of each line
/// of each slice: K(y) exp(-2 pi i k d / (N dy)); or a part of it, as the front of a chest does
/// while the back lies still. Displacements count from that of the slice's central line, so that
/// the image does not wander as a whole. Ghosts lie N f TR voxels off (modulo N), TR the time from
/// line to line.
Drawn draw(const Context& context, const Values& values) {
  const auto key = context.stream("cycle");
  const double rate_hz =
      values.at("rate_hz") + values.at("rate_spread_hz") * uniform(key, 0, -1, 1);
  const double phase = pi * uniform(key, 1);
  const auto lines = context.lines();
  const double spacing =
      context.volume.spacing_mm[static_cast<std::size_t>(context.roles.phase_encode)];
  const double amplitude_voxels = values.at("peak_to_peak_mm") / spacing;
  const auto position = [&](std::int64_t slice, std::int64_t line) {
    const double t = 1e-3 * context.timing.time_ms(slice, line);
    return amplitude_voxels * excursion(pi * rate_hz * t + phase);
  };
  const auto weight = [&](std::int64_t slice, std::int64_t line) {
    const double d = position(slice, line) - position(slice, lines / 2);
    const auto k = static_cast<double>(line - lines / 2);
    return std::polar(1.0, -2 * pi * k * d / static_cast<double>(lines));
  };
  Drawn drawn;
  drawn.values = times_record(context);
  drawn.values.set("rate_hz", rate_hz);
  drawn.values.set("phase_rad", phase);
  const double moving = values.at("moving_percent");
  if (moving >= 100) {
    weigh_lines(context, weight, drawn);
    return drawn;
  }
  auto shares = moving_share(context, moving, values.at("feather_percent"));
  drawn.values.set("moving_share", std::vector<double>(shares.begin(), shares.end()));
  drawn.apply = PartMoves(std::move(shares), weights_of_slices(context, weight));
  return drawn;
}

}  // namespace

Artifact breathing() {
  return {{"breathing",
           "The patient breathes through the scan: repeated edges along phase encoding",
           "Lujan et al. 1999, Med Phys 26:715, eq. 1; Wood and Henkelman 1985, Med Phys 12:143",
           Stage::encoding,
           {{"peak_to_peak_mm",
             "mm",
             "excursion along phase encoding of what moves",
             0,
             40,
             {0.25, 0.5, 1, 2.5, 6},
             0},
            {"rate_hz",
             "Hz",
             "mean of the breathing rate that is drawn",
             0.15,
             1,
             {0.275, 0.275, 0.275, 0.275, 0.275},
             0.275},
            {"rate_spread_hz",
             "Hz",
             "the rate is drawn uniformly within this of its mean",
             0,
             0.1,
             {0.075, 0.075, 0.075, 0.075, 0.075},
             0.075},
            {"moving_percent",
             "%",
             "100: the whole object moves; else this part of its extent along phase encoding, from "
             "the first line on, or from the last where it is below 0",
             -100,
             100,
             {100, 100, 100, 100, 100},
             100},
            {"feather_percent",
             "%",
             "of that extent, over which what moves fades into what lies still",
             0,
             100,
             {20, 20, 20, 20, 20},
             20}},
           2,
           false},
          acts,
          draw,
          false};
}

}  // namespace mr::artifact
