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

/// A member of the manifest's acquisition that is being read.
struct Given {
  const std::string& key;
  const Json& value;
  const std::string& name;  // of the document

  DataError wrong(const std::string& wanted) const {
    return DataError(name + ": acquisition: " + key + ": want " + wanted + ", got " +
                     to_line(value));
  }
  std::string text() const {
    if (value.is_string()) return value.get<std::string>();
    throw wrong("a string");
  }
  double positive() const {
    if (value.is_number() && value.get<double>() > 0) return value.get<double>();
    throw wrong("a number > 0");
  }
  int whole() const {
    const double n = positive();
    if (n != std::floor(n) || n > 1e6) throw wrong("a whole number");
    return static_cast<int>(n);
  }
  std::string one_of(const std::vector<std::string>& choices) const {
    const auto word = text();
    for (const auto& choice : choices)
      if (word == choice) return word;
    throw DataError(name + ": acquisition: " + unknown(key, word, choices));
  }
};

/// "j", "+j" or "j-" (BIDS writes the sign last): axis and sign; no sign where none is given.
void set_phase_encode(Acquisition& a, const Given& given) {
  auto axis = given.text();
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
  throw DataError(given.name +
                  ": acquisition: phase_encode_axis: want i, j or k with an optional sign, got '" +
                  given.text() + "'");
}

std::string phase_encode_text(const Acquisition& a) {
  return axis_names[static_cast<std::size_t>(*a.phase_encode_axis)] +
         (a.phase_encode_sign ? (*a.phase_encode_sign < 0 ? "-" : "+") : "");
}

/// A member of an acquisition: how it is read, and written where it is known.
struct Member {
  const char* name;
  void (*read)(Acquisition&, const Given&);
  void (*write)(const Acquisition&, Json& to);
};

template <std::optional<double> Acquisition::*member>
void read_positive(Acquisition& a, const Given& given) {
  a.*member = given.positive();
}

template <std::optional<std::string> Acquisition::*member>
void read_text(Acquisition& a, const Given& given) {
  a.*member = given.text();
}

template <auto member>
void write_as_is(const Acquisition& a, Json& to) {
  if (a.*member) to = *(a.*member);
}

/// A number above 0, or any text.
template <std::optional<double> Acquisition::*member>
Member number(const char* name) {
  return {name, read_positive<member>, write_as_is<member>};
}

template <std::optional<std::string> Acquisition::*member>
Member text(const char* name) {
  return {name, read_text<member>, write_as_is<member>};
}

const std::vector<Member>& members() {
  using A = Acquisition;
  static const std::vector<Member> all = {
      {"mode",
       [](A& a, const Given& given) {
         a.mode = given.one_of({"2d", "3d"}) == "2d" ? Mode::two_d : Mode::three_d;
       },
       [](const A& a, Json& to) {
         if (a.mode) to = *a.mode == Mode::two_d ? "2d" : "3d";
       }},
      {"phase_encode_axis", set_phase_encode,
       [](const A& a, Json& to) {
         if (a.phase_encode_axis) to = phase_encode_text(a);
       }},
      {"slice_axis",
       [](A& a, const Given& given) { a.slice_axis = given.one_of(axis_names)[0] - 'i'; },
       [](const A& a, Json& to) {
         if (a.slice_axis) to = axis_names[static_cast<std::size_t>(*a.slice_axis)];
       }},
      {"slice_order", [](A& a, const Given& given) { a.slice_order = given.one_of(slice_orders); },
       write_as_is<&A::slice_order>},
      text<&A::line_order>("line_order"),
      number<&A::echo_spacing_ms>("echo_spacing_ms"),
      number<&A::tr_ms>("tr_ms"),
      number<&A::te_ms>("te_ms"),
      number<&A::ti_ms>("ti_ms"),
      number<&A::flip_deg>("flip_deg"),
      {"echo_train", [](A& a, const Given& given) { a.echo_train = given.whole(); },
       write_as_is<&A::echo_train>},
      number<&A::field_t>("field_t"),
      text<&A::sequence>("sequence"),
      {"dim4",
       [](A& a, const Given& given) {
         a.dim4 = given.one_of({"coil", "time", "echo"});
       },
       write_as_is<&A::dim4>},
      {"combine",
       [](A& a, const Given& given) {
         a.combine = given.one_of({"rss", "sense"});
       },
       write_as_is<&A::combine>},
  };
  return all;
}

}  // namespace

std::vector<std::string> acquisition_members() {
  std::vector<std::string> names;
  for (const auto& member : members()) names.emplace_back(member.name);
  return names;
}

Acquisition merge_acquisition(const Acquisition& base, const Json& object,
                              const std::string& name) {
  if (!object.is_object())
    throw DataError(name + ": acquisition: want an object, got " + to_line(object));
  Acquisition a = base;
  for (const auto& [key, value] : object.items())
    for (const auto& member : members())  // others are kept by the manifest and mean nothing here
      if (key == member.name) member.read(a, {key, value, name});
  return a;
}

Json to_json(const Acquisition& a) {
  Json j = Json::object();
  for (const auto& member : members()) {
    Json value;
    member.write(a, value);
    if (!value.is_null()) j[member.name] = std::move(value);
  }
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

std::array<double, 3> column_lengths(const Affine& a) {
  std::array<double, 3> length{};
  for (std::size_t c = 0; c < 3; ++c)
    length[c] = std::sqrt(a[0][c] * a[0][c] + a[1][c] * a[1][c] + a[2][c] * a[2][c]);
  return length;
}

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
