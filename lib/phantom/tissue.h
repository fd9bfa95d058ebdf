// phantom/: a knee-like labelled data set: tissues, anatomy and lesions, acquisition, the writing
// of files. Lengths are mm, times ms, fields tesla; signal 1 is that of water at full recovery.
#pragma once
#include "artifact/tissue.h"

namespace mr::phantom {

using artifact::properties;
using artifact::Relaxation;
using artifact::Tissue;
using artifact::tissue_count;
using artifact::TissueProperties;

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
