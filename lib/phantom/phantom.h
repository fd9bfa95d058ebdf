// The data set: who is examined where, and the files that come of it.
#pragma once
#include <string>
#include <vector>

#include "base/file.h"
#include "base/run.h"
#include "phantom/acquisition.h"
#include "phantom/anatomy.h"

namespace mr::phantom {

struct Options {
  std::string folder;        // receives images/ (and maps/)
  std::string manifest_out;  // "" or "-": standard output
  std::uint64_t seed = 1;
  int subjects = 500;
  int matrix = 64;
  Plane plane = Plane::coronal;
  std::vector<Sequence> sequences{Sequence::pdfs};
  double difficulty = 0.4;     // 0..1
  bool complex_image = false;  // complex64 of the matched filter instead of the int16 magnitude
  bool maps = false;           // maps of each subject: tissue, fat, field, coils
  int threads = 1;
  Overwrite overwrite = Overwrite::no;
};

struct Scanner {
  std::string id, site;
  double field_t, gain;  // gain: stored value of signal 1
  double tr_ms, te_ms;   // the protocol in use there
  double fat_residual;   // of its fat suppression
  double noise_sd;       // per coil, real and imaginary part, in units of signal
};

/// Six scanners at three sites, each site with one of 1.5 T and one of 3 T. Gains are log-normal
/// (standard deviation 0.5); TR and TE as in the fastMRI knee protocol (Zbontar et al. 2018,
/// arXiv:1811.08839: 2200 to 3000 ms, 27 to 34 ms); noise is inverse to the field.
std::vector<Scanner> draw_scanners(std::uint64_t seed);

struct Subject {
  std::string id;
  std::size_t scanner;  // index into draw_scanners
  int slices;           // 8..12
  Findings findings;
};

/// Scanners and slice counts in shuffled blocks. Each finding goes to a fixed share of the
/// subjects, spread evenly over the scanners and slice counts, so that neither tells anything about
/// it.
std::vector<Subject> design(std::uint64_t seed, int subjects);

/// Labels of a slice: 1 where the lesion covers enough of it.
std::vector<int> slice_labels(const Rendering& rendering, std::int64_t slice);

/// Writes the data set: the folder and then its manifest, each whole or not at all. The bytes
/// depend on the options alone, not on threads. throws   CannotCreateError, IoError,
/// InterruptedError
void make_data_set(const Options& options, const Run& run, const Messages& messages);

}  // namespace mr::phantom
