// What varies between subjects, and by how much. Sizes follow adult knees roughly (assumed); the
// spread of the lesions is set by what a small network can learn from a few hundred subjects.
#include "phantom/anatomy.h"

namespace mr::phantom {
namespace {

constexpr double pi = 3.14159265358979323846;
constexpr double degree = pi / 180;

/// Successive numbers of one key.
struct Draws {
  RandomKey key;
  std::uint64_t n = 0;
  double between(double low, double high) { return uniform(key, n++, low, high); }
  double around(double mean, double sd) {  // at most 2 sd away, so that no shape breaks
    return mean + sd * std::clamp(normal(key, n++), -2.0, 2.0);
  }
  bool chance(double p) { return uniform(key, n++) < p; }
  int side() { return chance(0.5) ? 1 : -1; }
  double either_side(double low, double high) {
    const int sign = side();  // first: the order of two draws in one product is not defined
    return sign * between(low, high);
  }
};

std::array<Vec, 3> rotation(double about_m, double about_a, double about_s) {
  const double cm = std::cos(about_m), sm = std::sin(about_m), ca = std::cos(about_a),
               sa = std::sin(about_a), cs = std::cos(about_s), ss = std::sin(about_s);
  return {Vec{cs * ca, cs * sa * sm - ss * cm, cs * sa * cm + ss * sm},
          Vec{ss * ca, ss * sa * sm + cs * cm, ss * sa * cm - cs * sm}, Vec{-sa, ca * sm, ca * cm}};
}

Anatomy draw_shape(Draws d) {
  Anatomy k;
  k.laterality = d.side();
  const double size = d.around(1, 0.05);
  k.scale = size * Vec{d.around(1, 0.02), d.around(1, 0.02), d.around(1, 0.02)};
  const Vec turn_deg{d.around(0, 3), d.around(0, 3), d.around(0, 5)};
  k.rotation = rotation(turn_deg.m * degree, turn_deg.a * degree, turn_deg.s * degree);
  k.shift = {d.around(0, 2.5), d.around(0, 1.5), d.around(0, 5)};
  const double flexion = d.between(0, 12) * degree;
  k.flexion_cos = std::cos(flexion);
  k.flexion_sin = std::sin(flexion);
  k.condyle_radius = d.around(15, 0.7);
  k.notch_half_width = d.around(9.5, 0.7);
  k.spine_height = d.around(7, 1);
  k.femoral_cartilage = d.around(2.4, 0.2);
  k.tibial_cartilage = d.around(2.4, 0.2);
  k.joint_space = d.between(0.3, 1);
  k.cartilage_ripple = d.between(0.05, 0.25);
  k.ripple_phase = d.between(0, 2 * pi);
  k.cortical_thickness = d.around(1.1, 0.1);
  k.meniscus_inner = d.around(10, 0.8);
  k.meniscus_outer = d.around(18, 0.6);
  k.meniscus_height = d.around(7, 0.6);
  k.acl_origin = {d.around(7, 1), d.around(-13, 2), d.around(23, 1.5)};
  k.acl_insertion = {d.around(0, 2.5), d.around(9, 2.5), d.around(3, 1)};
  k.acl_radius = d.around(4.3, 0.6);
  k.pcl_radius = d.around(4.5, 0.4);
  k.leg_m = d.around(51, 1.5);
  k.leg_a = d.around(60, 1.5);
  k.subcutaneous = d.around(7, 1.5);
  k.septum_angle = d.between(0, 2 * pi);
  return k;
}

/// Normal variants, which look a little like lesions: independent of them.
void draw_variants(Draws d, double difficulty, Anatomy& k) {
  const double strength = 0.3 + difficulty;
  for (int i = 0; i < 3; ++i) {
    const double share = d.chance(0.5) ? strength * d.between(0.15, 0.35) : 0;
    const bool femoral = d.chance(0.6);
    const double s = femoral ? d.between(22, 62) : d.between(-45, -12);
    k.red_marrow.push_back({{d.between(-22, 22), d.between(-14, 14), s},
                            {d.between(7, 14), d.between(6, 12), d.between(6, 12)},
                            share});
  }
  for (const int side : {-1, 1}) {
    const double share = d.chance(0.4) ? strength * d.between(0.15, 0.35) : 0;
    k.mucoid.push_back({side, d.between(-20, 16), d.between(5, 10), d.between(0.6, 1),
                        d.between(2, 3.2), d.between(-10, 30), share});
  }
  k.acl_striation = d.chance(0.5) ? strength * d.between(0.15, 0.45) : 0;
  for (int i = 0; i < 3; ++i) {
    const double share = d.chance(0.6) ? std::min(1.0, strength * d.between(0.6, 1.2)) : 0;
    k.recesses.push_back({{d.between(-8, 8), d.between(-20, 14), d.between(5, 20)},
                          {d.between(4, 7), d.between(6, 12), d.between(4, 7)},
                          share});
  }
  for (int i = 0; i < 4; ++i) {
    const double radius = d.chance(0.5) ? d.between(1, 1.8) : 0;
    k.vessels.push_back({d.either_side(38, 47), d.between(-28, 32), radius});
  }
}

/// Lesions, each from a stream of its own.
void draw_lesions(RandomKey key, const Findings& findings, double difficulty, Anatomy& k) {
  const auto has = [&](Finding f) { return findings[static_cast<std::size_t>(f)]; };
  const auto draws = [&](Finding f) { return Draws{sub_key(key, static_cast<std::uint64_t>(f))}; };
  const double contrast = 1.2 - 0.6 * difficulty, size = 1.6 - 0.7 * difficulty;
  const auto share = [&](double drawn) { return std::min(1.0, contrast * drawn); };

  if (has(Finding::abnormal)) {
    auto d = draws(Finding::abnormal);
    const bool in_bone = d.chance(0.65), femoral = d.chance(0.5);
    const double s = femoral ? d.between(14, 40) : d.between(-28, -8);
    const Patch oedema{{d.either_side(12, 28), d.between(-20, 16), s},
                       size * Vec{d.between(8, 14), d.between(8, 14), d.between(8, 14)},
                       share(d.between(0.5, 1))};
    const Effusion effusion{d.between(-20, 16), size * d.between(8, 14), size * d.between(2.5, 5)};
    if (in_bone)
      k.oedema = oedema;
    else
      k.effusion = effusion;
  }
  if (has(Finding::meniscus_tear)) {
    auto d = draws(Finding::meniscus_tear);
    k.tear = {d.side(), d.between(-20, 16), size * d.between(9, 14), size * d.between(2, 3.2),
              12,       d.between(-35, 75), share(d.between(0.9, 1))};
  }
  if (has(Finding::acl)) {
    auto d = draws(Finding::acl);
    k.rupture = {d.between(0, 1), size * d.between(8, 13), d.between(1, 1.3),
                 share(d.between(0.55, 1))};
  }
  if (has(Finding::cartilage)) {
    auto d = draws(Finding::cartilage);
    k.defect = {d.chance(0.6),           d.either_side(15, 28),   d.between(-20, 16),
                size * d.between(6, 10), size * d.between(8, 13), share(d.between(0.8, 1)),
                size * d.between(4, 9)};
  }
}

}  // namespace

Anatomy draw_anatomy(RandomKey key, const Findings& findings, double difficulty) {
  auto k = draw_shape({sub_key(key, 0)});
  draw_variants({sub_key(key, 1)}, difficulty, k);
  draw_lesions(sub_key(key, 2), findings, difficulty, k);
  return k;
}

}  // namespace mr::phantom
