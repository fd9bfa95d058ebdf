// phantom/: a knee-like labelled data set: tissues, anatomy and lesions, acquisition, the writing
// of files. Lengths are mm, times ms, fields tesla; signal 1 is that of water at full recovery.
#pragma once
#include <array>

namespace mr::phantom {

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

enum class Sequence { pd, pdfs };  // proton density weighted; the same with fat suppression
const char* sequence_name(Sequence sequence);

struct SpinEcho {
  Sequence sequence = Sequence::pd;
  double tr_ms = 2600, te_ms = 30;
  double field_t = 3;         // 1.5 or 3
  double fat_residual = 0.1;  // share of the fat signal left by fat suppression, 0..1
};

/// Spin-echo signal PD (1 - exp(-TR/T1)) exp(-TE/T2), the fat share scaled by fat_residual in pdfs.
/// throws   DataError for a field other than 1.5 and 3 T
/// source   Haacke et al. 1999, Magnetic Resonance Imaging, ch. 8; TE << TR
double signal(Tissue tissue, const SpinEcho& spin_echo);

}  // namespace mr::phantom
