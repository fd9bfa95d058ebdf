#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "artifact/field/displacement.h"
#include "artifact/field/foreground.h"
#include "artifact/field/main_field.h"
#include "artifact/field/metal_body.h"
#include "base/error.h"
#include "base/threads.h"

namespace mr::artifact {
namespace {

constexpr double pi = 3.14159265358979323846;

/// What a voxel of one slice does: its displacement [voxel, slice], and what is left of its signal.
struct SliceEffect {
  Array<float> along_readout, through, share;  // [lines, readout]; through: empty in 3-D
  float farthest = 0;                          // slice that any of it reaches
};

class Scan {
 public:
  Scan(const Context& context, const Values& values, const MetalBody& body)
      : body_(body),
        roles_(context.roles),
        spacing_(context.volume.spacing_mm),
        hz_per_voxel_(values.at("readout_hz")),
        hz_per_slice_(values.at("slice_hz")),
        te_s_(values.at("te_ms") / 1000) {}

  bool dephases() const { return te_s_ > 0; }  // what is left may be below 0
  bool is_3d() const { return roles_.mode == image::Mode::three_d; }

  SliceEffect effect(std::int64_t slice, std::int64_t lines, std::int64_t readout) const {
    const Shape shape{lines, readout};
    SliceEffect effect{Array<float>(shape), {}, Array<float>(shape), 0};
    if (!is_3d()) effect.through = Array<float>(shape);
    std::vector<double> hz(static_cast<std::size_t>(readout));
    for (std::int64_t line = 0; line < lines; ++line) {
      const auto first = line * readout;
      auto* share = effect.share.data() + first;
      row(slice, line, 0, hz, share);
      for (std::int64_t x = 0; x < readout; ++x) {
        const double off = hz[static_cast<std::size_t>(x)];
        effect.along_readout[first + x] = static_cast<float>(off / hz_per_voxel_);
        if (is_3d()) continue;
        effect.through[first + x] = static_cast<float>(off / hz_per_slice_);
        effect.farthest = std::max(effect.farthest, std::fabs(effect.through[first + x]));
      }
      if (dephases()) dephase(slice, line, share, readout);
    }
    return effect;
  }

 private:
  /// Field of a line, `offset` slices off it.
  void row(std::int64_t slice, std::int64_t line, double offset, std::vector<double>& hz,
           float* outside) const {
    const auto s = static_cast<std::size_t>(roles_.slice);
    const auto p = static_cast<std::size_t>(roles_.phase_encode);
    const auto r = static_cast<std::size_t>(roles_.readout);
    Point_mm start{};
    start[s] = (static_cast<double>(slice) + offset) * spacing_[s];
    start[p] = static_cast<double>(line) * spacing_[p];
    body_.row(start, r, spacing_[r], static_cast<std::int64_t>(hz.size()), hz.data(), outside);
  }

  /// Signal left when the phase runs evenly through the slice up to the echo.
  void dephase(std::int64_t slice, std::int64_t line, float* share, std::int64_t n) const {
    std::vector<double> above(static_cast<std::size_t>(n)), below(above.size());
    row(slice, line, 0.5, above, nullptr);
    row(slice, line, -0.5, below, nullptr);
    for (std::size_t x = 0; x < above.size(); ++x) {
      const double turns = te_s_ * (above[x] - below[x]);
      if (std::fabs(turns) > 1e-9)
        share[x] *= static_cast<float>(std::sin(pi * turns) / (pi * turns));
    }
  }

  MetalBody body_;
  Roles roles_;
  std::array<double, 3> spacing_;
  double hz_per_voxel_, hz_per_slice_, te_s_;
};

/// 3-D: each slice keeps what is its own.
void displace_slices(const Scan& scan, Block& block, int threads) {
  for_slices(block, threads, [&](float* re, float* im, std::int64_t slice) {
    const auto effect = scan.effect(slice, block.lines(), block.readout());
    for (auto* part : {re, im})
      for (std::int64_t i = 0; part && i < effect.share.size(); ++i) part[i] *= effect.share[i];
    displace(effect.along_readout, Role::readout, Ends::lose, re, im);
  });
}

/// The part of slice `from` that is excited with slice `to` appears there, moved along the readout.
/// A voxel that comes to lie between two slices is shared by them.
void add_excited(const SliceEffect& effect, const Block& source, std::int64_t from, std::int64_t to,
                 Block& result) {
  if (static_cast<float>(std::abs(from - to)) >= 1 + effect.farthest) return;
  const auto n = source.plane_size();
  Array<float> share({n});
  for (std::int64_t i = 0; i < n; ++i) {
    const float apart = std::fabs(static_cast<float>(from - to) + effect.through[i]);
    share[i] = std::max(0.0f, 1 - apart) * effect.share[i];
  }
  if (std::all_of(share.begin(), share.end(), [](float x) { return x == 0; })) return;
  const auto part = [&](const Array<float>& all) {
    Array<float> excited({n});
    for (std::int64_t i = 0; i < n; ++i) excited[i] = share[i] * all[from * n + i];
    return excited;
  };
  auto re = part(source.re);
  auto im = source.is_real() ? Array<float>() : part(source.im);
  displace(effect.along_readout, Role::readout, Ends::lose, re.data(),
           im.empty() ? nullptr : im.data());
  for (std::int64_t i = 0; i < n; ++i) {
    result.re[to * n + i] += re[i];
    if (!im.empty()) result.im[to * n + i] += im[i];
  }
}

/// 2-D: what lies near the metal is excited with other slices.
void exchange_slices(const Scan& scan, Block& block, int threads) {
  Block result;
  result.first_slice = block.first_slice;
  result.re = Array<float>(block.re.shape());
  if (!block.is_real()) result.make_complex();
  std::vector<SliceEffect> effects(static_cast<std::size_t>(block.depth()));
  parallel_for(threads, block.depth(), [&](std::int64_t s) {
    effects[static_cast<std::size_t>(s)] = scan.effect(s, block.lines(), block.readout());
  });
  parallel_for(threads, block.depth(), [&](std::int64_t to) {
    for (std::int64_t from = 0; from < block.depth(); ++from)
      add_excited(effects[static_cast<std::size_t>(from)], block, from, to, result);
  });
  block = std::move(result);
}

bool acts(const Values& values) {
  return values.at("radius_mm") != 0;
}

/// Any direction is as likely as any other.
std::array<double, 3> draw_direction(RandomKey key) {
  const double z = uniform(key, 0, -1, 1), angle = 2 * pi * uniform(key, 1);
  const double across = std::sqrt(1 - z * z);
  return {across * std::cos(angle), across * std::sin(angle), z};
}

/// Void where the metal is; around it displacement along the readout, out of the image too, and,
/// where slices are excited one by one, through them, with the pile-up of both; with an echo time,
/// a gradient echo's loss.
Drawn draw(const Context& context, const Values& values) {
  const auto voxel = draw_foreground_voxel(context, context.stream("place"));
  Point_mm centre{};
  for (std::size_t a = 0; a < 3; ++a)
    centre[a] = static_cast<double>(voxel[a]) * context.volume.spacing_mm[a];
  const bool is_rod = values.at("cylinder") >= 0.5;
  const auto direction = main_field_direction(context.volume);
  const auto axis = draw_direction(context.stream("axis"));
  const MetalBody body(
      is_rod ? MetalBody::Form::cylinder : MetalBody::Form::sphere, centre, direction, axis,
      values.at("radius_mm"),
      hydrogen_mhz_per_tesla * main_field_tesla(context.volume) * values.at("susceptibility_ppm"));
  Drawn drawn;
  drawn.values.set("centre_mm", centre)
      .set("field_direction", direction)
      .set("field_t", main_field_tesla(context.volume));
  if (is_rod) drawn.values.set("axis", axis);
  if (!context.volume.acquisition.field_t) drawn.values.append("assumed", std::string("field_t"));
  drawn.apply = [scan = Scan(context, values, body)](Block& block, int threads) {
    if (scan.dephases()) block.make_complex();
    if (scan.is_3d())
      displace_slices(scan, block, threads);
    else
      exchange_slices(scan, block, threads);
  };
  return drawn;
}

}  // namespace

Artifact metal() {
  return {
      {"metal",
       "Metal in the tissue, a sphere or a rod: void, distortion and pile-up, along readout and "
       "slices",
       "Ludeke, Roschmann and Tischler 1985, Magn Reson Imaging 3:329 (fields); Hargreaves et "
       "al. 2011, AJR 197:547",
       Stage::field,
       {{"radius_mm", "mm", "radius of the sphere or rod", 0, 100, {2, 3, 5, 8, 10}, 0},
        {"susceptibility_ppm",
         "ppm",
         "difference to tissue; titanium 182, cobalt-chromium 920",
         -10000,
         10000,
         {20, 60, 180, 180, 900},
         0},
        {"readout_hz", "Hz", "bandwidth of a voxel", 1, 1e6, {500, 500, 500, 500, 500}, 500},
        {"slice_hz",
         "Hz",
         "2-D: bandwidth of a slice's excitation",
         1,
         1e6,
         {2000, 2000, 2000, 2000, 2000},
         2000},
        {"te_ms", "ms", "echo time of a gradient echo; 0: spin echo", 0, 1000, {0, 0, 0, 0, 0}, 0},
        {"cylinder",
         "1",
         "1: a long rod in a drawn direction; 0: a sphere",
         0,
         1,
         {0, 0, 0, 0, 0},
         0}},
       0,
       false},
      acts,
      draw,
      false,
      {},
      true};
}

}  // namespace mr::artifact
