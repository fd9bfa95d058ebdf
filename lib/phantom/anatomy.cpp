#include "phantom/anatomy.h"

#include <optional>

namespace mr::phantom {
namespace {

constexpr double pi = 3.14159265358979323846;
constexpr double degree = pi / 180;
constexpr double compartment_m = 21.5;  // of the middle of a condyle, from the mid-plane
constexpr double far = 40;              // a distance that no blend reaches

const Vec pcl_origin{-7, 2, 23}, pcl_bend{-2, -13, 13}, pcl_insertion{0, -21, -5};

double radius(double x, double y) {
  return std::sqrt(x * x + y * y);
}

/// 1 inside, 0 outside, with a ramp of `ramp` around |x| = half.
double window(double x, double half, double ramp) {
  return std::clamp((half + ramp / 2 - std::abs(x)) / ramp, 0.0, 1.0);
}

/// A point of the knee with the distances that every tissue asks for.
struct Place {
  Vec p;                     // in the tibia's frame
  Vec f;                     // in the femur's frame
  double femur, tibia;       // of the bones' surfaces
  double notch;              // of the intercondylar notch
  double hull;               // of both bones with the joint space closed, effusion included
  double femoral_depth = 0;  // thickness of the cartilage hereabouts,
  double tibial_depth = 0;   // 0 where the bone is not articular
};

Vec to_knee(const Anatomy& k, const Vec& scanner) {
  const Vec d = scanner - k.shift;
  const Vec r{dot(k.rotation[0], d), dot(k.rotation[1], d), dot(k.rotation[2], d)};
  return {k.laterality * r.m / k.scale.m, r.a / k.scale.a, r.s / k.scale.s};
}

/// Height of the bony floor of the femur's condyles above the tibial plateau.
double femur_floor(const Anatomy& k) {
  return k.femoral_cartilage + k.tibial_cartilage + k.joint_space;
}

/// Flexion turns the femur about the axis through its condyles.
Vec to_femur(const Anatomy& k, const Vec& p) {
  const Vec axis{0, -5, femur_floor(k) + 19};
  const Vec d = p - axis;
  const double c = k.flexion_cos, s = k.flexion_sin;
  return axis + Vec{d.m, c * d.a + s * d.s, -s * d.a + c * d.s};
}

double notch_distance(const Anatomy& k, const Vec& f) {
  return ellipsoid(f, {0, -16, 10}, {k.notch_half_width, 27, 21});
}

double femur_distance(const Anatomy& k, const Vec& f, double notch) {
  const double floor = femur_floor(k);
  double d =
      smooth_min(ellipsoid(f, {-compartment_m, -6, floor + 19}, {k.condyle_radius, 29, 19}),
                 ellipsoid(f, {compartment_m, -5, floor + 18}, {k.condyle_radius, 27, 18}), 6);
  d = smooth_min(d, ellipsoid(f, {0, 12, floor + 27}, {27, 18, 20}), 6);
  d = smooth_min(d, ellipsoid(f, {0, 0, floor + 33}, {32, 21, 24}), 8);
  d = smooth_min(d, capsule(f, {0, 4, 60}, {0, 8, 160}, 14.5), 24);
  return smooth_max(d, -notch, 4);
}

double tibia_distance(const Anatomy& k, const Vec& p) {
  const double depth = std::max(-p.s, 0.0) / 28;
  const double flare = std::exp(-depth * depth);
  const double side = column(p.m, p.a - 5 + 8 * flare, 14.5 + 23 * flare, 14.5 + 11 * flare);
  const double off_spine = (std::abs(p.m) - 4.5) / 3.5, off_middle = (p.a + 2) / 10;
  const double spine = k.spine_height * std::exp(-off_spine * off_spine - off_middle * off_middle);
  return smooth_max(side, p.s - spine, 5);
}

double effusion_bulge(const Anatomy& k, const Vec& p) {
  if (k.effusion.thickness == 0) return 0;
  return k.effusion.thickness * window(p.a - k.effusion.a, k.effusion.half_length, 6) *
         window(p.s - 27, 17, 8) * std::clamp((std::abs(p.m) - 16) / 8, 0.0, 1.0);
}

/// Distance from the middle of the nearer compartment of the joint, along the plateau.
double compartment_radius(const Vec& p) {
  return radius(std::abs(p.m) - compartment_m, 0.8 * (p.a + 2));
}

Place locate(const Anatomy& k, const Vec& p) {
  Place at;
  at.p = p;
  at.f = to_femur(k, p);
  at.notch = notch_distance(k, at.f);
  at.femur = p.s < -40 ? far : femur_distance(k, at.f, at.notch);
  at.tibia = p.s > 45 ? far : tibia_distance(k, p);
  at.hull = smooth_min(at.femur, at.tibia, 34);
  if (std::min(at.femur, at.tibia) < 0 || std::min(at.femur, at.tibia) > 5) return at;
  const double ripple = 1 + k.cartilage_ripple * std::sin(0.23 * p.m + 0.17 * p.a + k.ripple_phase);
  // Articular: the weight-bearing floor, the back of the condyles, the trochlea; thinner to the
  // rim.
  const Vec& f = at.f;
  const double top = f.a < -20 ? 34 : f.a > 16 && std::abs(f.m) < 24 ? 52 : 16;
  const double rim = std::clamp(std::min((top - f.s) / 6, (at.notch - 0.5) / 3), 0.0, 1.0);
  at.femoral_depth = ripple * rim * k.femoral_cartilage;
  const double plateau = std::clamp((compartment_radius(p) - 19) / -3, 0.0, 1.0);
  at.tibial_depth = p.s > 0 ? ripple * plateau * k.tibial_cartilage : 0;
  return at;
}

/// Share of the patch at p: full in the core, 0 at the rim.
double patch_share(const Patch& patch, const Vec& p) {
  if (patch.share == 0) return 0;
  const Vec d = p - patch.centre;
  const double k = norm({d.m / patch.radii.m, d.a / patch.radii.a, d.s / patch.radii.s});
  return patch.share * std::clamp(2 * (1 - k), 0.0, 1.0);
}

/// Bowl of the defect over the plateau: 1 in the middle, 0 at the rim, negative outside.
double bowl(const Defect& defect, const Vec& p) {
  if (defect.depth == 0) return -1;
  const double m = (p.m - defect.m) / defect.radius_m, a = (p.a - defect.a) / defect.radius_a;
  return 1 - m * m - a * a;
}

Content marrow(const Anatomy& k, const Place& at) {
  const double under = k.defect.on_femur ? -at.femur : -at.tibia;  // depth in the bone
  const double deep = bowl(k.defect, at.p);
  if (deep > 0 && under > 0 && under < k.defect.subchondral * std::sqrt(deep) &&
      std::abs(at.p.s - 3) < 14)
    return {Tissue::marrow, Tissue::oedema, 0.9 * k.defect.depth,
            static_cast<int>(Finding::cartilage)};
  const double lesion = patch_share(k.oedema, at.p);
  double variant = 0;
  for (const auto& patch : k.red_marrow) variant = std::max(variant, patch_share(patch, at.p));
  if (lesion > variant)
    return {Tissue::marrow, Tissue::oedema, lesion, static_cast<int>(Finding::abnormal)};
  return {Tissue::marrow, Tissue::oedema, variant, -1};
}

std::optional<Content> bones(const Anatomy& k, const Place& at) {
  double d = std::min(at.femur, at.tibia);
  const Vec& p = at.p;
  if (p.a > 30) d = std::min(d, ellipsoid(at.f, {0, 46, 34}, {20, 9.5, 20}));
  if (p.m > 20 && p.a < 0 && p.s < 0)
    d = std::min(d, smooth_min(ellipsoid(p, {36, -17, -17}, {8, 8, 9}),
                               capsule(p, {36, -17, -20}, {33, -17, -160}, 5), 6));
  if (d > 0) return std::nullopt;
  if (d > -k.cortical_thickness) return Content{Tissue::cortical_bone};
  auto content = marrow(k, at);
  content.clearance = -d - std::max(k.cortical_thickness, k.defect.subchondral);
  return content;
}

/// True where the defect has taken the cartilage at `height` above the bone, of full `thickness`.
bool worn(const Defect& defect, bool on_femur, const Vec& p, double height, double thickness) {
  if (defect.on_femur != on_femur) return false;
  const double deep = bowl(defect, p);
  return deep > 0 && height > thickness * (1 - defect.depth * std::sqrt(deep));
}

std::optional<Content> cartilage(const Anatomy& k, const Place& at) {
  const bool femoral = at.femur < at.femoral_depth;
  const bool tibial = at.tibia < at.tibial_depth;
  if (!femoral && !tibial)
    return at.p.a > 28 && ellipsoid(at.f, {0, 46, 34}, {18, 12, 18}) < 0 && at.f.a < 46
               ? std::optional(Content{Tissue::cartilage})  // behind the patella
               : std::nullopt;
  const double height = femoral ? at.femur : at.tibia;
  const double depth = femoral ? at.femoral_depth : at.tibial_depth;
  if (worn(k.defect, femoral, at.p, height, depth))
    return Content{Tissue::cartilage, Tissue::fluid, 1, static_cast<int>(Finding::cartilage)};
  return Content{Tissue::cartilage};
}

/// Place in the radial section of a meniscus: from its compartment's middle outwards, and up.
struct Section {
  double radius, height;
};

bool within(const MeniscalSignal& signal, int side, const Vec& p, const Section& section) {
  if (signal.share == 0 || signal.side != side) return false;
  if (std::abs(p.a - signal.a) > signal.half_length) return false;
  const double c = std::cos(signal.tilt_deg * degree), s = std::sin(signal.tilt_deg * degree);
  const double across = c * section.height - s * section.radius;
  const double along_it = c * section.radius + s * section.height;
  return std::abs(across) < signal.half_width && std::abs(along_it) < signal.half_depth;
}

/// What fills the wedge between condyle and plateau, in a ring open to the notch.
std::optional<Content> meniscus(const Anatomy& k, const Place& at) {
  const Vec& p = at.p;
  const double from_middle = compartment_radius(p);
  const double outwards = (from_middle - k.meniscus_inner) / (k.meniscus_outer - k.meniscus_inner);
  const double height = p.s - k.tibial_cartilage;
  if (outwards < 0 || outwards > 1 || std::abs(p.m) - compartment_m < -0.55 * from_middle ||
      height > 0.8 + outwards * k.meniscus_height || height < -1)
    return std::nullopt;
  const int side = p.m < 0 ? -1 : 1;
  const Section section{from_middle - (0.4 * k.meniscus_inner + 0.6 * k.meniscus_outer),
                        height - 0.3 * k.meniscus_height};
  if (within(k.tear, side, p, section))
    return Content{Tissue::meniscus, Tissue::fluid, k.tear.share,
                   static_cast<int>(Finding::meniscus_tear)};
  for (const auto& core : k.mucoid)
    if (within(core, side, p, section))
      return Content{Tissue::meniscus, Tissue::fluid, core.share, -1};
  return Content{Tissue::meniscus};
}

std::optional<Content> anterior_cruciate(const Anatomy& k, const Vec& p) {
  const auto place = along(p, k.acl_origin, k.acl_insertion);
  const double length = norm(k.acl_insertion - k.acl_origin);
  const double off = (place.t - k.rupture.at) * length;
  const double torn = k.rupture.share == 0 ? 0 : window(off, k.rupture.half_length, 4);
  if (place.distance > k.acl_radius * (1 + (k.rupture.swelling - 1) * torn)) return std::nullopt;
  if (torn > 0)
    return Content{Tissue::ligament, Tissue::fluid, k.rupture.share * torn,
                   static_cast<int>(Finding::acl)};
  const double bundles = std::cos(2 * pi * (p.m + 0.5 * p.a) / k.acl_radius);
  return Content{Tissue::ligament, Tissue::fluid, bundles > 0.3 ? k.acl_striation : 0, -1};
}

std::optional<Content> ligaments(const Anatomy& k, const Place& at) {
  const Vec& p = at.p;
  if (const auto acl = anterior_cruciate(k, p)) return acl;
  const bool pcl = capsule(p, pcl_origin, pcl_bend, k.pcl_radius) < 0 ||
                   capsule(p, pcl_bend, pcl_insertion, k.pcl_radius) < 0;
  const bool medial =
      p.m < -18 && at.hull > 1 && at.hull < 3.6 && std::abs(p.a) < 9 && p.s > -42 && p.s < 38;
  const bool lateral = capsule(p, {40, -6, 26}, {39, -16, -10}, 2.3) < 0;
  const bool iliotibial =
      p.m > 18 && at.hull > 1.5 && at.hull < 4 && p.a > 4 && p.a < 17 && p.s > -10;
  const bool patellar =
      p.a > 18 && capsule({0.22 * p.m, p.a, p.s}, {0, 47, 16}, {0, 22, -42}, 2.8) < 0;
  const bool quadriceps = p.a > 20 && capsule(at.f, {0, 46, 52}, {0, 36, 160}, 4.5) < 0;
  if (pcl || medial || lateral || iliotibial || patellar || quadriceps)
    return Content{Tissue::ligament};
  return std::nullopt;
}

std::optional<Content> joint_fluid(const Anatomy& k, const Place& at) {
  const double gap = (at.femur - at.femoral_depth) + (at.tibia - at.tibial_depth);
  if (at.femoral_depth > 0 && at.tibial_depth > 0 && gap < 1.6) return Content{Tissue::fluid};
  const double bulge = effusion_bulge(k, at.p);
  if (bulge > 0 && at.hull < 0.4)
    return Content{Tissue::fat, Tissue::fluid, 1, static_cast<int>(Finding::abnormal)};
  return std::nullopt;
}

/// Muscle groups around the bones, thin at the level of the joint, with fat between them.
bool in_muscle(const Anatomy& k, const Place& at, double fascia) {
  const Vec& p = at.p;
  const double above = std::max(p.s - 18, -18 - p.s);  // the joint's level
  const bool behind = p.a < -29 && std::abs(p.m) > 8 + 0.1 * std::abs(p.s);
  const double taper = p.a > 14 && p.s < 20 ? 0 : above / 2;
  if (fascia > -1 || at.hull < 4.5 || (!behind && (above < 0 || at.hull > taper + 5))) return false;
  const double septum = std::sin(1.5 * std::atan2(p.m, p.a) + k.septum_angle);
  return std::abs(septum) * radius(p.m, p.a) > 1.2;
}

Content soft_tissue(const Anatomy& k, const Place& at, double skin) {
  const Vec& p = at.p;
  for (const auto& vessel : k.vessels)
    if (radius(p.m - vessel.m, p.s - vessel.s) < vessel.radius) return {Tissue::vessel};
  if (radius(p.m - 2, p.a + 37) < 4 || radius(p.m + 5, p.a + 40) < 3)
    return {Tissue::vessel};  // popliteal
  for (const auto& recess : k.recesses)
    if (const double share = patch_share(recess, p); share > 0)
      return {Tissue::fat, Tissue::fluid, share, -1};
  const double fascia = skin + k.subcutaneous * (1 - 0.5 * std::max(p.a, 0.0) / k.leg_a);
  return {in_muscle(k, at, fascia) ? Tissue::muscle : Tissue::fat};
}

}  // namespace

const char* finding_name(Finding finding) {
  static constexpr std::array<const char*, finding_count> names{"abnormal", "meniscus_tear", "acl",
                                                                "cartilage"};
  return names[static_cast<std::size_t>(finding)];
}

Content Anatomy::at(const Vec& scanner) const {
  const Vec p = to_knee(*this, scanner);
  const double wider = 1 + 0.0015 * std::abs(p.s);  // thigh and calf
  const double skin = column(p.m, p.a, leg_m * wider, leg_a * wider);
  if (skin > 0) return {Tissue::air, Tissue::air, 0, -1, skin};
  if (skin > -1.6) return {Tissue::skin};
  if (skin > -3) return {Tissue::fat};
  auto place = locate(*this, p);
  if (const auto bone = bones(*this, place)) return *bone;
  place.hull -= effusion_bulge(*this, p);  // fluid lifts what lies on the bone
  for (const auto tissue : {cartilage, meniscus, joint_fluid, ligaments})
    if (const auto content = tissue(*this, place)) return *content;
  return soft_tissue(*this, place, skin);
}

}  // namespace mr::phantom
