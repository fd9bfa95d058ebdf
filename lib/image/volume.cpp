#include "image/volume.h"

#include <cmath>

#include "base/json.h"
#include "base/text.h"

namespace mr::image {
namespace {

const std::vector<std::string> axis_names = {"i", "j", "k"};

// Ours, and NIfTI's words.
const std::vector<std::string> slice_orders = {"sequential",
                                               "interleaved",
                                               "reverse",
                                               "sequential_increasing",
                                               "sequential_decreasing",
                                               "alternating_increasing",
                                               "alternating_decreasing",
                                               "alternating_increasing_2",
                                               "alternating_decreasing_2"};

std::string text_of(const Json& value, const std::string& key, const std::string& name) {
  if (value.is_string()) return value.get<std::string>();
  throw DataError(name + ": acquisition: " + key + ": want a string, got " + to_line(value));
}

double positive(const Json& value, const std::string& key, const std::string& name) {
  if (value.is_number() && value.get<double>() > 0) return value.get<double>();
  throw DataError(name + ": acquisition: " + key + ": want a number > 0, got " + to_line(value));
}

std::string one_of(const Json& value, const std::string& key,
                   const std::vector<std::string>& choices, const std::string& name) {
  const auto text = text_of(value, key, name);
  for (const auto& choice : choices)
    if (text == choice) return text;
  throw DataError(name + ": acquisition: " + unknown(key, text, choices));
}

/// "j", "+j" or "j-" (BIDS writes the sign last): axis and sign; no sign where none is given.
void set_phase_encode(Acquisition& a, const std::string& text, const std::string& name) {
  std::string axis = text;
  a.phase_encode_sign.reset();
  for (const char sign : {'+', '-'}) {
    const bool first = !axis.empty() && axis.front() == sign;
    const bool last = !axis.empty() && axis.back() == sign;
    if (!first && !last) continue;
    axis.erase(first ? 0 : axis.size() - 1, 1);
    a.phase_encode_sign = sign == '-' ? -1 : 1;
    break;
  }
  for (int i = 0; i < 3; ++i)
    if (axis == axis_names[static_cast<std::size_t>(i)]) {
      a.phase_encode_axis = i;
      return;
    }
  throw DataError(name +
                  ": acquisition: phase_encode_axis: want i, j or k with an optional sign, got '" +
                  text + "'");
}

}  // namespace

const std::vector<std::string>& acquisition_members() {
  static const std::vector<std::string> names = {
      "mode",       "phase_encode_axis", "slice_axis", "slice_order",
      "line_order", "echo_spacing_ms",   "tr_ms",      "te_ms",
      "field_t",    "echo_train",        "sequence",   "dim4"};
  return names;
}

Acquisition merge_acquisition(const Acquisition& base, const Json& object,
                              const std::string& name) {
  if (!object.is_object())
    throw DataError(name + ": acquisition: want an object, got " + to_line(object));
  Acquisition a = base;
  for (const auto& [key, value] : object.items()) {
    if (key == "mode") {
      a.mode = one_of(value, key, {"2d", "3d"}, name) == "2d" ? Mode::two_d : Mode::three_d;
    } else if (key == "phase_encode_axis") {
      set_phase_encode(a, text_of(value, key, name), name);
    } else if (key == "slice_axis") {
      a.slice_axis = one_of(value, key, axis_names, name)[0] - 'i';
    } else if (key == "slice_order") {
      a.slice_order = one_of(value, key, slice_orders, name);
    } else if (key == "line_order") {
      a.line_order = text_of(value, key, name);
    } else if (key == "echo_spacing_ms") {
      a.echo_spacing_ms = positive(value, key, name);
    } else if (key == "tr_ms") {
      a.tr_ms = positive(value, key, name);
    } else if (key == "te_ms") {
      a.te_ms = positive(value, key, name);
    } else if (key == "field_t") {
      a.field_t = positive(value, key, name);
    } else if (key == "echo_train") {
      const double n = positive(value, key, name);
      if (n != std::floor(n) || n > 1e6)
        throw DataError(name + ": acquisition: echo_train: want a whole number, got " +
                        to_line(value));
      a.echo_train = static_cast<int>(n);
    } else if (key == "sequence") {
      a.sequence = text_of(value, key, name);
    } else if (key == "dim4") {
      a.dim4 = one_of(value, key, {"coil", "time", "echo"}, name);
    }  // other members are kept by the manifest and mean nothing here
  }
  return a;
}

Json to_json(const Acquisition& a) {
  Json j = Json::object();
  const auto axis = [](int index) { return axis_names[static_cast<std::size_t>(index)]; };
  if (a.mode) j["mode"] = *a.mode == Mode::two_d ? "2d" : "3d";
  if (a.phase_encode_axis)
    j["phase_encode_axis"] = axis(*a.phase_encode_axis) +
                             (a.phase_encode_sign ? (*a.phase_encode_sign < 0 ? "-" : "+") : "");
  if (a.slice_axis) j["slice_axis"] = axis(*a.slice_axis);
  if (a.slice_order) j["slice_order"] = *a.slice_order;
  if (a.line_order) j["line_order"] = *a.line_order;
  if (a.echo_spacing_ms) j["echo_spacing_ms"] = *a.echo_spacing_ms;
  if (a.tr_ms) j["tr_ms"] = *a.tr_ms;
  if (a.te_ms) j["te_ms"] = *a.te_ms;
  if (a.echo_train) j["echo_train"] = *a.echo_train;
  if (a.field_t) j["field_t"] = *a.field_t;
  if (a.sequence) j["sequence"] = *a.sequence;
  if (a.dim4) j["dim4"] = *a.dim4;
  return j;
}

namespace {

/// World axis (0 x, 1 y, 2 z) of each stored axis: of the six one-to-one assignments, the one with
/// the largest product of direction cosines, so that no oblique image gets an axis twice.
std::array<int, 3> world_axes(const Affine& affine) {
  constexpr std::array<std::array<int, 3>, 6> orders = {
      {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}}};
  std::array<int, 3> best = orders[0];
  double best_product = -1;
  for (const auto& order : orders) {
    double product = 1;
    for (std::size_t stored = 0; stored < 3; ++stored) {
      const double x = affine[0][stored], y = affine[1][stored], z = affine[2][stored];
      product *= std::fabs(affine[static_cast<std::size_t>(order[stored])][stored]) /
                 std::sqrt(x * x + y * y + z * z);
    }
    if (product > best_product * (1 + 1e-9)) {
      best = order;
      best_product = product;
    }
  }
  return best;
}

}  // namespace

std::array<char, 3> orientation(const Affine& affine) {
  const auto world = world_axes(affine);
  std::array<char, 3> letters{};
  for (std::size_t stored = 0; stored < 3; ++stored) {
    const auto axis = static_cast<std::size_t>(world[stored]);
    letters[stored] = (affine[axis][stored] < 0 ? "LPI" : "RAS")[axis];
  }
  return letters;
}

int axis_along(const Affine& affine, int world_axis) {
  const auto world = world_axes(affine);
  int stored = 0;
  while (world[static_cast<std::size_t>(stored)] != world_axis) ++stored;
  return stored;
}

}  // namespace mr::image
