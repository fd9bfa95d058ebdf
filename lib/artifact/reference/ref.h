// The published parametrisation (divyam3897/mri-robustness): TorchIO 0.18 transforms of single
// slices stored as 1 x H x W x 1, at a whole number of percent N. Slices are magnitude images; the
// real part is the result, so voxels may become negative. Kept for comparison, faults included.
#pragma once
#include <utility>

#include "artifact/engine.h"

namespace mr::artifact::ref {

/// One slice [rows, columns], rows along phase encoding.
struct Slice {
  float* voxels;
  std::int64_t rows, columns;
  std::int64_t size() const { return rows * columns; }
};

/// A row with the one parameter "percent".
Row row(const std::string& artifact, const std::string& summary, const std::string& source,
        Stage stage);

bool acts(const Values& values);

/// Runs corrupt(slice, key of the slice, percent) on every slice.
using CorruptSlice = void (*)(Slice, RandomKey, double percent);
Drawn per_slice(const Context& context, const Values& values, CorruptSlice corrupt);

template <CorruptSlice corrupt>
Artifact artifact(Row row) {
  return {std::move(row), acts,
          [](const Context& context, const Values& values) {
            return per_slice(context, values, corrupt);
          },
          false};
}

}  // namespace mr::artifact::ref
