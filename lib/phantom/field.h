// The main field in the leg: what its susceptibility and the magnet make of it.
#pragma once
#include "base/array.h"
#include "phantom/acquisition.h"
#include "phantom/anatomy.h"

namespace mr::phantom {

/// Field [ppm] of a susceptibility map [ppm], in place, along its first axis; [n, n, n], periodic,
/// of equal steps. Its mean is 0.
/// source  Marques and Bowtell 2005, Concepts Magn Reson 25B:65 ((1/3 - k_z^2 / k^2) in k-space)
void susceptibility_to_field(Array<float>& chi);

/// Off-resonance [Hz] of each voxel, [Z, Y, X]: of tissue in air (Schenck 1996, Med Phys 23:815:
/// water -9.05, air 0.36 ppm), the leg going on above and below; and of the magnet, solid harmonics
/// of order 2 of 0.3 ppm each at 60 mm (standard deviation; assumed); after a linear shim over the
/// tissue in the field of view. The main field runs along superior.
/// field_t  main field [T]
/// magnet   key of the scanner
Array<float> field_map(const Anatomy& anatomy, const Geometry& geometry, double field_t,
                       RandomKey magnet);

}  // namespace mr::phantom
