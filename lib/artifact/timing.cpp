#include "artifact/timing.h"

#include <algorithm>

#include "base/error.h"
#include "base/text.h"

namespace mr::artifact {
namespace {

using kspace::LineOrder;

/// What sequences of a kind usually do (Bernstein, King and Zhou 2004, ch. 14 to 16; vendors'
/// defaults: assumed). echo_train 0: all lines in one shot.
struct Preset {
  const char* kind;
  std::vector<const char*> words;  // of a sequence's name, in small letters
  LineOrder order;
  int echo_train;
  double tr_ms, echo_spacing_ms;
};

const std::vector<Preset>& presets() {
  static const std::vector<Preset> all = {
      {"epi", {"epi", "ep2d", "ep_", "ep\\", "*ep", "dwi", "bold"}, LineOrder::epi, 0, 3000, 0.6},
      {"haste", {"haste", "ssfse", "single-shot"}, LineOrder::segmented, 0, 2000, 5},
      {"mprage",
       {"mprage", "mp2rage", "tfl3d", "tfl", "bravo", "fspgr_ir"},
       LineOrder::mprage,
       1,
       2300,
       7},
      {"gre",
       {"gre", "flash", "fl2", "fl3", "spgr", "ffe", "gr", "medic", "swi"},
       LineOrder::linear,
       1,
       30,
       5},
      {"tse",
       {"tse", "fse", "rare", "space", "cube", "vista", "tir", "pd", "t2"},
       LineOrder::interleaved,
       8,
       3000,
       10},
      {"se", {"se"}, LineOrder::linear, 1, 600, 10},
  };
  return all;
}

const Preset& preset_named(const std::string& kind) {
  for (const auto& preset : presets())
    if (kind == preset.kind) return preset;
  throw Error(ExitStatus::internal, "no preset of sequences '" + kind + "'");
}

/// The kind of sequence: by its name, else the commonest of its mode: turbo spin echo of 2-D
/// slices, MPRAGE of 3-D volumes.
const Preset& preset_of(const image::Volume& volume, image::Mode mode,
                        std::vector<std::string>& assumed) {
  const auto name = lower(volume.acquisition.sequence.value_or(""));
  if (!name.empty())
    for (const auto& preset : presets())
      for (const auto* word : preset.words)
        if (name.find(word) != std::string::npos) return preset;
  assumed.emplace_back("sequence");
  return preset_named(mode == image::Mode::two_d ? "tse" : "mprage");
}

/// What `body` throws of a wrong word is the acquisition's fault, not the command line's.
template <typename Body>
auto of_acquisition(Body body) {
  try {
    return body();
  } catch (const UsageError& e) {
    throw DataError(std::string("acquisition: ") + e.what());
  }
}

/// NIfTI's words for the order of slices, or ours.
std::string slice_order_of(const image::Volume& volume, std::vector<std::string>& assumed) {
  if (!volume.acquisition.slice_order) {
    assumed.emplace_back("slice_order");
    return "interleaved";
  }
  const auto& order = *volume.acquisition.slice_order;
  if (order.rfind("alternating", 0) == 0) return "interleaved";
  if (order == "sequential_increasing") return "sequential";
  if (order == "sequential_decreasing") return "reverse";
  return order;
}

}  // namespace

Timing timing_of(const image::Volume& volume, const Roles& roles, RandomKey key) {
  const auto& a = volume.acquisition;
  Timing timing;
  const auto& preset = preset_of(volume, roles.mode, timing.assumed);
  timing.preset = preset.kind;
  const auto lines = volume.length(roles.phase_encode), slices = volume.length(roles.slice);
  const auto known = [&](const auto& member, auto otherwise, const char* name) {
    if (!member) timing.assumed.emplace_back(name);
    return member.value_or(otherwise);
  };
  kspace::ShotOptions options;
  options.order = a.line_order
                      ? of_acquisition([&] { return kspace::parse_line_order(*a.line_order); })
                      : preset.order;
  if (!a.line_order) timing.assumed.emplace_back("line_order");
  // Four shots at least where there are as many lines, but for what is measured in one.
  const auto quarter = static_cast<int>(std::max<std::int64_t>(1, lines / 4));
  const int usual =
      preset.echo_train == 0 ? static_cast<int>(lines) : std::min(preset.echo_train, quarter);
  options.echo_train = std::min(known(a.echo_train, usual, "echo_train"), static_cast<int>(lines));
  options.tr_ms = known(a.tr_ms, preset.tr_ms, "tr_ms");
  options.echo_spacing_ms = known(a.echo_spacing_ms, preset.echo_spacing_ms, "echo_spacing_ms");
  if (a.te_ms)
    options.effective_echo = std::clamp(
        static_cast<int>(*a.te_ms / options.echo_spacing_ms + 0.5) - 1, 0, options.echo_train - 1);
  else
    timing.assumed.emplace_back("te_ms");
  options.key = key;
  timing.table = kspace::shot_table(lines, options);
  if (roles.mode == image::Mode::two_d)
    timing.slice_delays_ms = of_acquisition([&] {
      return kspace::slice_delays_ms(slices, slice_order_of(volume, timing.assumed), options.tr_ms);
    });
  else
    timing.slice_delays_ms.assign(static_cast<std::size_t>(slices), 0);
  return timing;
}

Record record_of(const Timing& timing) {
  const auto& o = timing.table.options;
  Record record;
  record.set("line_order", kspace::name(o.order))
      .set("echo_train", o.echo_train)
      .set("shots", timing.table.shots)
      .set("tr_ms", o.tr_ms)
      .set("echo_spacing_ms", o.echo_spacing_ms)
      .set("preset", timing.preset);
  if (o.order == kspace::LineOrder::segmented) record.set("effective_echo", o.effective_echo);
  if (!timing.assumed.empty()) record.set("assumed", timing.assumed);
  return record;
}

}  // namespace mr::artifact
