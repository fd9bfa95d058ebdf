// One subject's knee: what tissue is where, and which lesions it has. A function of a key alone.
#pragma once
#include <array>
#include <cstdint>
#include <vector>

#include "base/random.h"
#include "phantom/shapes.h"
#include "phantom/tissue.h"

namespace mr::phantom {

enum class Finding { abnormal, meniscus_tear, acl, cartilage };  // in the order of the labels
constexpr int finding_count = 4;
using Findings = std::array<bool, finding_count>;
const char* finding_name(Finding finding);

/// What is at a point: a base tissue of which `share` is replaced by `added`. `finding` tells which
/// lesion did so: an index of Finding, or -1 (healthy, or a normal variant).
struct Content {
  Tissue base = Tissue::air;
  Tissue added = Tissue::air;
  double share = 0;
  int finding = -1;
  double clearance = 0;  // no other base tissue is nearer than about this [mm]; 0: not known
};

/// Marrow oedema; as normal variants, red marrow or a pocket of fluid. `share` at the core, falling
/// to 0 at the rim.
struct Patch {
  Vec centre, radii;
  double share = 0;
};

/// A sheet (tear) or core (mucoid change, a normal variant) in one meniscus. In the radial section,
/// it runs through the middle of the wedge at `tilt_deg` from horizontal.
struct MeniscalSignal {
  int side = 1;  // -1 medial, +1 lateral
  double a = 0, half_length = 8, half_width = 0.8, half_depth = 9, tilt_deg = 0, share = 0;
};

/// A stretch of the anterior cruciate ligament: `at` runs from 0 (femur) to 1 (tibia).
struct Rupture {
  double at = 0.5, half_length = 8, swelling = 1.3, share = 0;
};

/// Cartilage worn from its surface downwards by `depth` (1: to the bone), with oedema in the marrow
/// below as far as `subchondral` mm from the bone's surface.
struct Defect {
  bool on_femur = true;
  double m = 0, a = 0, radius_m = 6, radius_a = 8, depth = 0, subchondral = 0;
};

/// Fluid that lifts the capsule off the bone around the femur.
struct Effusion {
  double a = 0, half_length = 12, thickness = 0;
};

/// A thin vessel along a.
struct Vessel {
  double m = 0, s = 0, radius = 0;
};

/// Standard knee: origin on the tibial plateau between the spines; lengths in mm before `scale`.
struct Anatomy {
  int laterality = 1;  // +1 right knee, -1 left
  Vec scale{1, 1, 1};
  std::array<Vec, 3> rotation{};  // rows: the knee's m, a, s axes in (right, anterior, superior)
  Vec shift;                      // of the knee in the scanner
  double flexion_cos = 1, flexion_sin = 0;  // of the femur against the tibia
  double condyle_radius = 15, notch_half_width = 9.5, spine_height = 7;
  double femoral_cartilage = 2.4, tibial_cartilage = 2.4, joint_space = 0.6;
  double cartilage_ripple = 0.2, ripple_phase = 0;
  double cortical_thickness = 1.1;
  double meniscus_inner = 10, meniscus_outer = 18, meniscus_height = 7;
  Vec acl_origin{7, -13, 23}, acl_insertion{0, 9, 3};
  double acl_radius = 4.5, pcl_radius = 4.5, acl_striation = 0;
  double leg_m = 54, leg_a = 60, subcutaneous = 7, septum_angle = 0;

  std::vector<Patch> red_marrow;
  std::vector<MeniscalSignal> mucoid;
  std::vector<Patch> recesses;  // fluid in the notch, about the cruciate ligaments
  std::vector<Vessel> vessels;

  Patch oedema;  // lesions: absent where share, depth or thickness is 0
  Effusion effusion;
  MeniscalSignal tear;
  Rupture rupture;
  Defect defect;

  /// Content at a place of the scanner: m to the patient's right, a anterior, s superior [mm].
  Content at(const Vec& scanner) const;
};

/// Draws a subject's knee. The healthy part, with its variants, depends on the key alone: the same
/// key with other findings differs in the lesions only.
/// difficulty  0 (large lesions of full contrast) to 1 (small and faint, strong normal variants)
Anatomy draw_anatomy(RandomKey key, const Findings& findings, double difficulty);

}  // namespace mr::phantom
