// Takes an image through a recipe: slice by slice where all steps allow it, else as a volume.
#include <algorithm>
#include <cmath>
#include <memory>

#include "artifact/engine.h"
#include "artifact/recipe.h"
#include "base/error.h"
#include "base/json.h"
#include "base/simd.h"
#include "base/text.h"
#include "base/threads.h"
#include "image/image_file.h"
#include "kspace/axes.h"

namespace mr::artifact {
namespace {

using Pass = std::function<void(Block&, int threads)>;

/// What steps with their numbers drawn do to each frame, and the record of what was drawn.
struct Plan {
  Roles roles;
  std::vector<std::vector<Pass>> frames;  // [frame][pass]; steps that do nothing are left out
  bool needs_volume = false, real_part = false;
  Json record = Json::array();
  bool acts() const { return !frames.empty() && !frames[0].empty(); }
};

void require_signal(const Facts& facts) {
  if (!(facts.signal > 0))
    throw DataError("no foreground: every voxel is " + shortest(facts.maximum));
  if (!(facts.signal > 1e-17 && facts.maximum < 1e17))
    throw DataError("intensities out of range: mean of the foreground " + shortest(facts.signal) +
                    ", maximum " + shortest(facts.maximum) + "; want 1e-17 to 1e17");
}

/// A real image that is no magnitude: the real part of a complex one whose phase was corrected, as
/// of an inversion recovery. What acts on it acts on a complex image without imaginary part, of
/// which the real part is taken at the end.
bool is_real_part(const image::Volume& volume, const Facts& facts) {
  return !volume.is_complex() && facts.negative_share > 0.1;
}

/// The export's curves and steps are of magnitudes.
void require_magnitude(const Artifact& artifact, const image::Volume& volume, const Facts& facts) {
  if (artifact.row.stage == Stage::export_ && is_real_part(volume, facts))
    throw DataError(artifact.row.name + ": signed voxels: " + fixed(100 * facts.negative_share, 0) +
                    " % of the sum of magnitudes is negative; want a magnitude or complex image");
}

void multiply(std::vector<std::complex<double>>& into,
              const std::vector<std::complex<double>>& by) {
  if (into.empty())
    into = by;
  else if (!by.empty())
    for (std::size_t i = 0; i < into.size(); ++i) into[i] *= by[i];
}

/// One filter for each axis that has weights.
Pass filter(const AxisWeights& weights) {
  auto filters = std::make_shared<std::vector<kspace::AxisFilter>>();
  int axis = 0;
  for (const auto* along : {&weights.slice, &weights.lines, &weights.readout}) {
    if (!along->empty()) filters->emplace_back(axis, *along);
    ++axis;
  }
  return [filters](Block& block, int threads) {
    for (const auto& one : *filters) one.apply(block.re, block.im, threads);
  };
}

void multiply_axis(Block& block, int axis, const std::vector<std::complex<double>>& weights,
                   int threads) {
  if (weights.empty()) return;
  for_slices(block, threads, [&](float* re, float* im, std::int64_t slice) {
    for (std::int64_t y = 0; y < block.lines(); ++y)
      for (std::int64_t x = 0; x < block.readout(); ++x) {
        const auto which = axis == 0 ? slice - block.first_slice : axis == 1 ? y : x;
        const std::complex<float> w(weights[static_cast<std::size_t>(which)]);
        const auto at = y * block.readout() + x;
        const float a = re[at], b = im[at];
        re[at] = w.real() * a - w.imag() * b;
        im[at] = w.real() * b + w.imag() * a;
      }
  });
}

/// Steps that act in k-space one after another, between one transform and its inverse.
void in_kspace(Block& block, const std::vector<Drawn>& steps, bool volumetric, int threads) {
  const auto transform = [&](kspace::Direction direction) {
    for (int axis = volumetric ? 0 : 1; axis < 3; ++axis)
      kspace::transform_axis(block.re, block.im, axis, direction, threads);
  };
  transform(kspace::Direction::to_kspace);
  for (const auto& step : steps) {
    if (step.in_kspace) {
      step.in_kspace(block, threads);
    } else {
      multiply_axis(block, 0, step.weights->slice, threads);
      multiply_axis(block, 1, step.weights->lines, threads);
      multiply_axis(block, 2, step.weights->readout, threads);
    }
  }
  transform(kspace::Direction::to_image);
}

/// Steps that follow each other in k-space become one pass: a single filter where all are products
/// of weights, else one transform there and back.
std::vector<Pass> fuse(std::vector<Drawn> steps, bool volumetric) {
  std::vector<Pass> passes;
  for (std::size_t first = 0; first < steps.size();) {
    if (steps[first].apply) {
      passes.push_back(std::move(steps[first++].apply));
      continue;
    }
    std::vector<Drawn> group;
    bool all_weights = true;
    for (; first < steps.size() && !steps[first].apply; ++first) {
      all_weights &= steps[first].weights.has_value();
      group.push_back(std::move(steps[first]));
    }
    if (!all_weights) {
      passes.push_back([group, volumetric](Block& block, int threads) {
        in_kspace(block, group, volumetric, threads);
      });
      continue;
    }
    AxisWeights product;
    for (const auto& step : group) {
      multiply(product.slice, step.weights->slice);
      multiply(product.lines, step.weights->lines);
      multiply(product.readout, step.weights->readout);
    }
    passes.push_back(filter(product));
  }
  return passes;
}

/// Throws unless the maps that an artifact needs are there and on the image's grid. A parameter
/// `proxy` that is set makes do without.
void require_maps(const Artifact& artifact, const Values& values, const image::Volume& volume,
                  const Maps& maps) {
  const auto proxy = values.find("proxy");
  if (proxy != values.end() && proxy->second != 0) return;
  for (const auto kind : artifact.maps) {
    const auto found = maps.find(kind);
    if (found == maps.end())
      throw DataError(artifact.row.name + ": needs a map of the image: give it as maps." +
                      map_name(kind) + " in the manifest, or --map " + map_name(kind) + "=FILE");
    const auto& have = found->second;
    for (int axis = 0; axis < 3; ++axis)
      if (have.length(axis) != volume.length(axis))
        throw DataError(artifact.row.name + ": the " + map_name(kind) + " map has " +
                        std::to_string(have.length(axis)) + " voxels along " + "ijk"[axis] +
                        ", the image " + std::to_string(volume.length(axis)));
    if (have.is_complex() != (kind == Map::coils))
      throw DataError(artifact.row.name + ": the " + map_name(kind) + " map: want " +
                      (kind == Map::coils ? "complex" : "real") + " voxels");
  }
}

/// Streams of random numbers of one step; severity has no part in them.
class Streams {
 public:
  Streams(const Draw& draw, const Recipe& recipe, const std::string& artifact, int occurrence)
      : draw_(draw),
        per_(recipe.per),
        artifact_(artifact),
        occurrence_(std::to_string(occurrence)),
        epoch_(draw.epoch ? std::to_string(*draw.epoch) : std::string()) {}

  RandomKey operator()(std::string_view purpose) const { return of(draw_.unit_id, purpose); }

  /// The same of the unit that shares the draw.
  RandomKey of_level(const std::string& level, std::string_view purpose) const {
    const auto known = draw_.ids.find(level.empty() ? per_ : level);
    return of(known == draw_.ids.end() ? draw_.unit_id : known->second, purpose);
  }
  RandomKey of_group(std::string_view purpose) const { return of_level("", purpose); }
  LevelKey by_level(const std::string& purpose) const {
    return [this, purpose](const std::string& level) { return of_level(level, purpose); };
  }

 private:
  RandomKey of(const std::string& id, std::string_view purpose) const {
    return random_key(draw_.seed, {artifact_, occurrence_, id, epoch_, purpose});
  }

  const Draw& draw_;
  const std::string& per_;
  std::string artifact_, occurrence_, epoch_;
};

/// What has no bounds of its own ends at those of the parameter.
double within_range(const Row& row, const std::string& name, double value) {
  if (name == "severity") return std::clamp(value, 0.0, 5.0);
  for (const auto& p : row.parameters)
    if (p.name == name) return std::clamp(value, p.low, p.high);
  return value;
}

Values values_of(const Step& step, const Row& row, const Streams& streams, const Ladder* ladder,
                 Json& record) {
  auto severity = step.severity;
  auto parameters = step.parameters;
  for (const auto& [name, distribution] : step.distributions) {
    const double value =
        within_range(row, name, artifact::draw(distribution, streams.by_level("recipe " + name)));
    if (name == "severity")
      severity = value;
    else
      parameters[name] = value;
  }
  auto values = at_severity(row, severity.value_or(2), ladder);
  check_values(row, parameters);
  for (const auto& [name, value] : parameters) values[name] = value;
  if (severity || parameters.empty()) record["severity"] = severity.value_or(2);
  for (const auto& p : row.parameters) record["parameters"][p.name] = values[p.name];
  return values;
}

bool acts_on_volume(const Artifact& artifact, const Roles& roles) {
  return roles.mode == image::Mode::three_d ? artifact.needs_volume : artifact.crosses_slices;
}

const char* axis_name(int axis) {
  return axis == 0 ? "i" : axis == 1 ? "j" : "k";
}

void record_roles(const Roles& roles, Json& record) {
  record["mode"] = roles.mode == image::Mode::two_d ? "2d" : "3d";
  record["slice_axis"] = axis_name(roles.slice);
  record["phase_encode_axis"] = axis_name(roles.phase_encode);
  if (!roles.assumed.empty()) record["assumed"] = roles.assumed;
}

Plan make_plan(const image::Volume& volume, const Recipe& recipe, const Facts& facts,
               const Draw& draw, const Maps& maps, int threads) {
  Plan plan;
  plan.roles = roles_of(volume);
  plan.real_part = is_real_part(volume, facts);
  const auto timing =
      timing_of(volume, plan.roles, random_key(draw.seed, {"line order", draw.unit_id}));
  const bool frames_are_coils = volume.acquisition.dim4 == "coil";
  std::vector<std::vector<Drawn>> steps(static_cast<std::size_t>(volume.frames()));
  std::map<std::string, int> occurrences;
  Stage latest = Stage::object;
  for (const auto& step : recipe.steps) {
    const auto& artifact = find_artifact(step.artifact);
    const Streams streams(draw, recipe, step.artifact, occurrences[step.artifact]++);
    Json record = {{"artifact", step.artifact}};
    const auto values = values_of(step, artifact.row, streams, recipe.ladder.get(), record);
    record_roles(plan.roles, record);
    const bool acts =
        artifact.acts(values) &&
        (!step.probability ||
         uniform(streams.of_group("probability"), 0) <
             artifact::draw(*step.probability, streams.by_level("probability of level")));
    if (acts) require_signal(facts);
    if (acts) require_magnitude(artifact, volume, facts);
    if (acts) require_maps(artifact, values, volume, maps);
    Json drawn = Json::array();
    for (std::int64_t frame = 0; acts && frame < volume.frames(); ++frame) {
      const auto series_frame = draw.first_frame + frame;
      const auto own = [&](std::string_view purpose) {
        return sub_key(streams(purpose), static_cast<std::uint64_t>(series_frame));
      };
      const auto shared = [&](std::string_view purpose) { return sub_key(streams(purpose), 0); };
      const Context context{
          volume,
          facts,
          plan.roles,
          timing,
          maps,
          threads,
          frame,
          series_frame,
          draw.series_frames > 0 ? draw.series_frames : volume.frames(),
          frames_are_coils ? std::function<RandomKey(std::string_view)>(shared) : own,
          own,
          [&](std::string_view purpose) {
            return sub_key(streams.of_group(purpose),
                           frames_are_coils ? 0 : static_cast<std::uint64_t>(series_frame));
          }};
      auto one = artifact.draw(context, values);
      drawn.push_back(one.values.json());
      steps[static_cast<std::size_t>(frame)].push_back(std::move(one));
    }
    record["drawn"] = drawn.size() == 1 ? Json(drawn[0]) : drawn;
    record["slices"] = acts ? "all" : "none";
    if (acts && artifact.row.stage < latest) record["order"] = "as given, not physical";
    if (acts) latest = std::max(latest, artifact.row.stage);
    plan.needs_volume |= acts && acts_on_volume(artifact, plan.roles);
    plan.record.push_back(std::move(record));
  }
  for (auto& frame : steps)
    plan.frames.push_back(fuse(std::move(frame), plan.roles.mode == image::Mode::three_d));
  return plan;
}

/// Where the voxels of a block lie in the volume. Copies go in tiles, since one of the axes is
/// often strided.
class Window {
 public:
  Window(const image::Volume& volume, const Roles& roles, std::int64_t frame)
      : start_(frame * (count(volume.shape()) / volume.frames())) {
    for (const auto role : {Role::slice, Role::phase_encode, Role::readout}) {
      const auto r = static_cast<std::size_t>(role);
      length_[r] = volume.length(roles.axis(role));
      stride_[r] = stride(volume, roles.axis(role));
    }
  }

  /// body(index of the first in the volume, in the block, how many): voxels that follow each other
  /// in both where the readout is stored contiguously, else one by one, in tiles.
  template <typename Body>
  void for_runs(std::int64_t first_slice, std::int64_t depth, int threads, Body body) const {
    const std::int64_t tile = stride_[2] == 1 ? length_[2] : 16, run = stride_[2] == 1 ? tile : 1;
    parallel_for(threads, depth, [&](std::int64_t s) {
      for (std::int64_t p0 = 0; p0 < length_[1]; p0 += tile)
        for (std::int64_t r0 = 0; r0 < length_[2]; r0 += tile)
          for (auto p = p0; p < std::min(p0 + tile, length_[1]); ++p)
            for (auto r = r0; r < std::min(r0 + tile, length_[2]); r += run)
              body(start_ + (first_slice + s) * stride_[0] + p * stride_[1] + r * stride_[2],
                   (s * length_[1] + p) * length_[2] + r, run);
    });
  }

  Block gather(const image::Volume& volume, std::int64_t first_slice, std::int64_t depth,
               int threads) const {
    Block block;
    block.first_slice = first_slice;
    block.re = Array<float>({depth, length_[1], length_[2]});
    if (volume.is_complex()) {
      block.make_complex();
      const auto* from = volume.complex_voxels.data();
      for_runs(first_slice, depth, threads, [&](std::int64_t v, std::int64_t b, std::int64_t n) {
        for (std::int64_t i = 0; i < n; ++i) {
          block.re[b + i] = from[v + i].real();
          block.im[b + i] = from[v + i].imag();
        }
      });
    } else {
      for_runs(first_slice, depth, threads, [&](std::int64_t v, std::int64_t b, std::int64_t n) {
        std::copy_n(volume.voxels.data() + v, n, block.re.data() + b);
      });
    }
    return block;
  }

  void scatter(const Block& block, image::Volume& volume, int threads) const {
    const auto first = block.first_slice, depth = block.depth();
    if (volume.is_complex()) {
      auto* to = volume.complex_voxels.data();
      for_runs(first, depth, threads, [&](std::int64_t v, std::int64_t b, std::int64_t n) {
        for (std::int64_t i = 0; i < n; ++i) to[v + i] = {block.re[b + i], block.im[b + i]};
      });
    } else {
      for_runs(first, depth, threads, [&](std::int64_t v, std::int64_t b, std::int64_t n) {
        std::copy_n(block.re.data() + b, n, volume.voxels.data() + v);
      });
    }
  }

 private:
  std::int64_t start_;
  std::array<std::int64_t, 3> length_{}, stride_{};
};

std::vector<Map> unique(std::vector<Map> maps) {
  std::sort(maps.begin(), maps.end());
  maps.erase(std::unique(maps.begin(), maps.end()), maps.end());
  return maps;
}

MR_SIMD void take_magnitude(float* re, const float* im, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) re[i] = __builtin_sqrtf(re[i] * re[i] + im[i] * im[i]);
}

/// Of the slices [first, first + depth).
Block corrupted(const image::Volume& volume, const Plan& plan, std::int64_t frame,
                std::int64_t first, std::int64_t depth, int threads) {
  auto block = Window(volume, plan.roles, frame).gather(volume, first, depth, threads);
  for (const auto& pass : plan.frames[static_cast<std::size_t>(frame)]) pass(block, threads);
  if (!volume.is_complex() && !block.is_real() && !plan.real_part)
    for_slices(block, threads, [&](float* re, const float* im, std::int64_t) {
      take_magnitude(re, im, block.plane_size());
    });
  return block;
}

void corrupt_in_place(image::Volume& volume, const Plan& plan, std::int64_t frame,
                      std::int64_t first, std::int64_t depth, int threads) {
  const auto block = corrupted(volume, plan, frame, first, depth, threads);
  Window(volume, plan.roles, frame).scatter(block, volume, threads);
}

}  // namespace

void for_slices(Block& block, int threads,
                const std::function<void(float* re, float* im, std::int64_t slice)>& body) {
  parallel_for(threads, block.depth(), [&](std::int64_t s) {
    const auto at = s * block.plane_size();
    body(block.re.data() + at, block.is_real() ? nullptr : block.im.data() + at,
         block.first_slice + s);
  });
}

std::string map_name(Map map) {
  static const std::array<const char*, 4> names = {"fat", "field", "coils", "tissue"};
  return names[static_cast<std::size_t>(map)];
}

std::vector<Map> needed_maps(const Recipe& recipe) {
  std::vector<Map> needed;
  for (const auto& step : recipe.steps)
    for (const auto map : find_artifact(step.artifact).maps) needed.push_back(map);
  return unique(std::move(needed));
}

std::vector<Map> used_maps(const Recipe& recipe) {
  auto used = needed_maps(recipe);
  for (const auto& step : recipe.steps)
    for (const auto map : find_artifact(step.artifact).optional_maps) used.push_back(map);
  return unique(std::move(used));
}

Array<float> map_slice(const Context& context, const image::Volume& map, std::int64_t slice,
                       std::int64_t frame) {
  return map_slice(context.roles, map, slice, frame);
}

Array<float> map_slice(const Roles& roles, const image::Volume& map, std::int64_t slice,
                       std::int64_t frame) {
  Array<float> out({map.length(roles.phase_encode), map.length(roles.readout)});
  const auto first = frame * (count(map.shape()) / map.frames()) + slice * stride(map, roles.slice);
  const auto line_stride = stride(map, roles.phase_encode), stride_r = stride(map, roles.readout);
  for (std::int64_t y = 0; y < out.shape(0); ++y)
    for (std::int64_t x = 0; x < out.shape(1); ++x)
      out[y * out.shape(1) + x] = map.voxels[first + y * line_stride + x * stride_r];
  return out;
}

bool frame_by_frame(const Recipe& recipe) {
  return std::none_of(recipe.steps.begin(), recipe.steps.end(),
                      [](const Step& step) { return find_artifact(step.artifact).needs_series; });
}

void append_record(Json& record, const Json& more) {
  if (record.empty()) {
    record = more;
    return;
  }
  for (std::size_t step = 0; step < record.size(); ++step)
    for (const char* member : {"drawn", "gain"}) {
      if (!record[step].contains(member)) continue;
      auto& list = record[step][member];
      if (!list.is_array()) list = Json::array({list});
      const auto& next = more[step][member];
      if (next.is_array())
        list.insert(list.end(), next.begin(), next.end());
      else
        list.push_back(next);
    }
}

Json corrupt(image::Volume& volume, const Recipe& recipe, const Facts& facts, const Draw& draw,
             int threads, const Maps& maps) {
  const auto plan = make_plan(volume, recipe, facts, draw, maps, threads);
  if (!plan.acts()) return plan.record;
  const auto depth = volume.length(plan.roles.slice);
  for (std::int64_t frame = 0; frame < volume.frames(); ++frame) {
    if (plan.needs_volume)
      corrupt_in_place(volume, plan, frame, 0, depth, threads);
    else
      parallel_for(threads, depth,
                   [&](std::int64_t slice) { corrupt_in_place(volume, plan, frame, slice, 1, 1); });
  }
  return plan.record;
}

image::Volume kspace_image(const image::Volume& volume) {
  const auto roles = roles_of(volume);
  auto out = image::make_volume(volume.shape(), volume.affine, image::Datatype::c64);
  out.acquisition = volume.acquisition;
  out.spacing_mm = volume.spacing_mm;
  out.complex_voxels = Array<image::Complex>(volume.shape());
  out.voxels = {};
  for (std::int64_t frame = 0; frame < volume.frames(); ++frame) {
    const Window window(volume, roles, frame);
    auto block = window.gather(volume, 0, volume.length(roles.slice), 1);
    block.make_complex();
    for (int axis = roles.mode == image::Mode::three_d ? 0 : 1; axis < 3; ++axis)
      kspace::transform_axis(block.re, block.im, axis, kspace::Direction::to_kspace, 1);
    window.scatter(block, out, 1);
  }
  return out;
}

bool in_plane(const Recipe& recipe, const image::Volume& volume) {
  const auto roles = roles_of(volume);
  return std::none_of(recipe.steps.begin(), recipe.steps.end(), [&](const Step& step) {
    return acts_on_volume(find_artifact(step.artifact), roles);
  });
}

image::Volume corrupt_slices(const image::Volume& volume, const std::vector<std::int64_t>& slices,
                             const Recipe& recipe, const Facts& facts, const Draw& draw,
                             const Maps& maps) {
  const auto plan = make_plan(volume, recipe, facts, draw, maps, 1);
  if (plan.needs_volume)
    throw DataError("slices alone cannot be corrupted: the recipe acts on the volume");
  const auto depth = volume.length(plan.roles.slice);
  for (const auto slice : slices)
    if (slice < 0 || slice >= depth)
      throw DataError("slice " + std::to_string(slice) + ": want 0.." + std::to_string(depth - 1));
  image::Volume out;
  out.affine = volume.affine;
  out.spacing_mm = volume.spacing_mm;
  out.acquisition = volume.acquisition;
  out.storage = volume.storage;
  auto shape = volume.shape();
  shape[static_cast<std::size_t>(3 - plan.roles.slice)] = static_cast<std::int64_t>(slices.size());
  if (volume.is_complex())
    out.complex_voxels = Array<image::Complex>(shape);
  else
    out.voxels = Array<float>(shape);
  for (std::int64_t frame = 0; frame < volume.frames(); ++frame) {
    const Window place(out, plan.roles, frame);
    for (std::size_t i = 0; i < slices.size(); ++i) {
      auto block = corrupted(volume, plan, frame, slices[i], 1, 1);
      block.first_slice = static_cast<std::int64_t>(i);
      place.scatter(block, out, 1);
    }
  }
  return out;
}

}  // namespace mr::artifact
