// Tissues of the musculoskeletal system as MR sees them: one table for contrast changes and for the
// phantom. A map of tissues holds their indices. Times are ms, fields tesla.
#pragma once

namespace mr::artifact {

enum class Tissue {
  air,
  skin,
  fat,
  muscle,
  marrow,
  cortical_bone,
  cartilage,
  meniscus,
  ligament,
  fluid,
  oedema,
  vessel,
};
constexpr int tissue_count = 12;

/// T1 and T2 of a tissue at one field.
struct Relaxation {
  double t1_ms, t2_ms;
};

struct TissueProperties {
  const char* name;
  double proton_density;  // relative to water
  double fat_fraction;    // share of the signal that fat suppression acts on
  Relaxation at_1_5t, at_3t;
};

/// The table, with its sources. throws nothing
const TissueProperties& properties(Tissue tissue);

}  // namespace mr::artifact
