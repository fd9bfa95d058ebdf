#include <algorithm>
#include <cmath>
#include <memory>

#include "artifact/encoding/line_weights.h"
#include "artifact/field/displacement.h"
#include "artifact/rows.h"
#include "base/error.h"
#include "base/threads.h"
#include "kspace/lines.h"

namespace mr::artifact {
namespace {

constexpr double pi = 3.14159265358979323846;
constexpr std::uint64_t candidates = 64;  // drawn voxels, the brightest of which is a vessel

/// Where the vessels are: [slices, lines, readout], or one slice for a tube along the slices.
struct Vessels {
  Array<std::uint8_t> mask;
  const std::uint8_t* of(std::int64_t slice) const {
    return mask.data() + (mask.shape(0) == 1 ? 0 : slice) * mask.shape(1) * mask.shape(2);
  }
};

/// Voxels of the tissue map that have the vessels' index; empty where it has none, or is not there.
Array<std::uint8_t> mapped_vessels(const Context& context, double tissue) {
  const auto found = context.maps.find(Map::tissue);
  if (found == context.maps.end()) return {};
  const auto& map = found->second;
  for (int axis = 0; axis < 3; ++axis)
    if (map.is_complex() || map.length(axis) != context.volume.length(axis))
      throw DataError("flow: the tissue map: want real voxels on the image's grid");
  const auto plane = context.lines() * context.readout();
  Array<std::uint8_t> mask({context.slices(), context.lines(), context.readout()});
  parallel_for(context.threads, context.slices(), [&](std::int64_t s) {
    const auto tissues = map_slice(context, map, s);
    for (std::int64_t i = 0; i < plane; ++i)
      mask[s * plane + i] = static_cast<double>(tissues[i]) == tissue;
  });
  return std::count(mask.begin(), mask.end(), 1) > 0 ? mask : Array<std::uint8_t>();
}

double magnitude(const image::Volume& volume, std::int64_t at) {
  return static_cast<double>(volume.is_complex() ? std::abs(volume.complex_voxels[at])
                                                 : std::fabs(volume.voxels[at]));
}

/// The brightest of some voxels of the foreground, as place in a slice: {line, sample}. Coils see
/// one vessel.
std::array<std::int64_t, 2> draw_bright_spot(const Context& context) {
  const auto& volume = context.volume;
  const auto voxels = count(volume.shape()) / volume.frames();
  const auto first = volume.acquisition.dim4 == "coil" ? 0 : context.frame * voxels;
  const Ones foreground(context.facts.foreground.data() + first, voxels);
  const auto n = static_cast<std::uint64_t>(foreground.count());
  if (n == 0) throw DataError("flow: no vessel can be drawn: no foreground");
  const auto key = context.stream("vessel");
  std::int64_t brightest = -1;
  for (std::uint64_t c = 0; c < candidates; ++c) {
    const auto at = first + foreground.at(static_cast<std::int64_t>(below(key, c, n)));
    if (brightest < 0 || magnitude(volume, at) > magnitude(volume, brightest)) brightest = at;
  }
  const auto index = [&](int axis) {
    return (brightest - first) / stride(volume, axis) % volume.length(axis);
  };
  return {index(context.roles.phase_encode), index(context.roles.readout)};
}

/// A tube along the slices around a bright spot.
Array<std::uint8_t> tube(const Context& context, std::array<std::int64_t, 2> centre,
                         double radius_mm) {
  const auto spacing = [&](int axis) {
    return context.volume.spacing_mm[static_cast<std::size_t>(axis)];
  };
  Array<std::uint8_t> mask({1, context.lines(), context.readout()});
  for (std::int64_t i = 0; i < mask.size(); ++i) {
    const auto y = i / context.readout() - centre[0], x = i % context.readout() - centre[1];
    mask[i] = std::hypot(static_cast<double>(y) * spacing(context.roles.phase_encode),
                         static_cast<double>(x) * spacing(context.roles.readout)) <= radius_mm;
  }
  return mask;
}

/// A slice of the vessels alone: [lines, readout].
struct Vessel {
  Array<float> re, im;
  std::vector<std::int64_t> columns;  // of the readout, that it meets
};

/// Takes the vessels out of a slice and puts them back `shift` voxels further along the readout.
Vessel displaced_vessel(const std::uint8_t* mask, const Shape& plane, float shift, float* re,
                        float* im) {
  Vessel vessel{Array<float>(plane), Array<float>(plane), {}};
  const auto n = vessel.re.size(), readout = plane[1];
  for (std::int64_t i = 0; i < n; ++i) {
    if (!mask[i]) continue;
    vessel.re[i] = re[i];
    vessel.im[i] = im[i];
  }
  if (shift != 0) {
    for (std::int64_t i = 0; i < n; ++i)
      if (mask[i]) re[i] = im[i] = 0;
    Array<float> distance(plane);
    std::fill(distance.begin(), distance.end(), shift);
    displace(distance, Role::readout, Ends::lose, vessel.re.data(), vessel.im.data());
    for (std::int64_t i = 0; i < n; ++i) {
      re[i] += vessel.re[i];
      im[i] += vessel.im[i];
    }
  }
  for (std::int64_t x = 0; x < readout; ++x)
    for (auto i = x; i < n; i += readout)
      if (vessel.re[i] != 0 || vessel.im[i] != 0) {
        vessel.columns.push_back(x);
        break;
      }
  return vessel;
}

/// Adds F^-1 ((w - 1) F (vessels)) to a slice; only columns of the readout that meet a vessel
/// change.
void pulsate(const Vessel& vessel, const kspace::LineFilter& less_one, float* re, float* im) {
  const auto lines = vessel.re.shape(0), readout = vessel.re.shape(1);
  const auto n = static_cast<std::int64_t>(vessel.columns.size());
  if (n == 0) return;
  Array<float> part_re({lines, n}), part_im({lines, n});
  const auto at = [&](std::int64_t i) {
    return i / n * readout + vessel.columns[static_cast<std::size_t>(i % n)];
  };
  for (std::int64_t i = 0; i < lines * n; ++i) {
    part_re[i] = vessel.re[at(i)];
    part_im[i] = vessel.im[at(i)];
  }
  less_one.apply(part_re.data(), part_im.data(), n, n, false);
  for (std::int64_t i = 0; i < lines * n; ++i) {
    re[at(i)] += part_re[i];
    im[at(i)] += part_im[i];
  }
}

/// One pulse a beat, 1 at its peak, that lasts 27 % of the beat at half of its height: a stand-in
/// for the flow of an artery.
double pulse(double phase_rad) {
  return std::exp(2 * (std::cos(phase_rad) - 1));
}

bool acts(const Values& values) {
  return values.at("modulation") != 0 || values.at("phase_rad") != 0 ||
         values.at("velocity_cm_s") != 0;
}

/// w - 1 of every line of the slices, w = (1 + m c) exp(i p c), c the pulse at the line's time less
/// that at the central line's, so that the mean stays.
std::vector<LineWeights> pulse_weights(const Context& context, const Values& values, double rate_hz,
                                       double phase) {
  const auto pulse_at = [&](std::int64_t slice, std::int64_t line) {
    return pulse(2 * pi * rate_hz * 1e-3 * context.timing.time_ms(slice, line) + phase);
  };
  return weights_of_slices(context, [&](std::int64_t slice, std::int64_t line) {
    const double c = pulse_at(slice, line) - pulse_at(slice, context.lines() / 2);
    return (1 + values.at("modulation") * c) * std::polar(1.0, values.at("phase_rad") * c) - 1.0;
  });
}

/// K(y) = F(I - I_V) + w(y) F(I_V): only what lies in vessels pulsates, and repeats along phase
/// encoding. Blood that flows along the readout has gone on when the echo comes, and appears beside
/// the place where it was when it was phase encoded. Vessels are those of the tissue map where it
/// is given and has any, else a tube through all slices, around a bright spot of the image; the
/// record says which.
Drawn draw(const Context& context, const Values& values) {
  const auto key = context.stream("beat");
  const double rate_hz =
      values.at("rate_hz") + values.at("rate_spread_hz") * uniform(key, 0, -1, 1);
  const double phase = 2 * pi * uniform(key, 1);
  Drawn drawn;
  drawn.values = times_record(context);
  drawn.values.set("rate_hz", rate_hz);
  drawn.values.set("beat_rad", phase);
  auto vessels = std::make_shared<Vessels>();
  vessels->mask = mapped_vessels(context, values.at("vessel_tissue"));
  if (vessels->mask.empty()) {
    const auto centre = draw_bright_spot(context);
    vessels->mask = tube(context, centre, values.at("radius_mm"));
    drawn.values.set("vessels", "drawn");
    drawn.values.set("centre", centre);
  } else {
    drawn.values.set("vessels", "tissue map");
  }
  const double shift_mm = 0.01 * values.at("velocity_cm_s") * values.at("delay_ms");
  const auto shift = static_cast<float>(
      shift_mm / context.volume.spacing_mm[static_cast<std::size_t>(context.roles.readout)]);
  std::vector<kspace::LineFilter> filters;
  for (const auto& weights : pulse_weights(context, values, rate_hz, phase))
    filters.emplace_back(weights);
  drawn.apply = [vessels, filters, shift](Block& block, int threads) {
    block.make_complex();
    for_slices(block, threads, [&](float* re, float* im, std::int64_t slice) {
      const auto which = filters.size() == 1 ? 0 : static_cast<std::size_t>(slice);
      const auto vessel =
          displaced_vessel(vessels->of(slice), {block.lines(), block.readout()}, shift, re, im);
      pulsate(vessel, filters[which], re, im);
    });
  };
  return drawn;
}

}  // namespace

Artifact flow() {
  return {
      {"flow",
       "Blood that pulsates with the heart: copies of vessels along phase encoding",
       "Haacke and Patrick 1986, Magn Reson Imaging 4:359 (periodic motion); Nishimura, Jackson "
       "and Pauly 1991, Magn Reson Med 22:481 (displacement)",
       Stage::encoding,
       {{"modulation",
         "1",
         "change of the vessels' signal from rest to the peak of the pulse",
         0,
         10,
         {0.1, 0.2, 0.4, 0.7, 1},
         0},
        {"phase_rad",
         "rad",
         "change of the vessels' phase from rest to the peak of the pulse",
         0,
         10,
         {0, 0, 0, 0, 0},
         0},
        {"rate_hz",
         "Hz",
         "mean of the heart rate that is drawn",
         0.3,
         4,
         {1.15, 1.15, 1.15, 1.15, 1.15},
         1.15},
        {"rate_spread_hz",
         "Hz",
         "the rate is drawn uniformly within this of its mean",
         0,
         0.35,
         {0.35, 0.35, 0.35, 0.35, 0.35},
         0.35},
        {"radius_mm",
         "mm",
         "of a vessel drawn around a bright spot, where no tissue map has any",
         0,
         50,
         {4, 4, 4, 4, 4},
         4},
        {"vessel_tissue",
         "1",
         "index of vessels in the tissue map (of mr-phantom: 11)",
         0,
         65535,
         {11, 11, 11, 11, 11},
         11},
        {"velocity_cm_s",
         "cm/s",
         "of the blood along the readout, towards higher indices",
         -300,
         300,
         {0, 0, 0, 0, 0},
         0},
        {"delay_ms", "ms", "from phase encoding to the echo", 0, 100, {4, 4, 4, 4, 4}, 4}},
       1,
       false},
      acts,
      draw,
      false,
      {},
      false,
      {Map::tissue}};
}

}  // namespace mr::artifact
