#include "artifact/field/foreground.h"

namespace mr::artifact {
namespace {

/// Whether a voxel is foreground in any frame; outside of the image none is.
class Object {
 public:
  explicit Object(const Context& context) : foreground_(context.facts.foreground) {
    for (std::size_t a = 0; a < 3; ++a) size_[a] = context.volume.length(static_cast<int>(a));
  }
  bool holds(const Voxel& voxel) const {
    for (std::size_t a = 0; a < 3; ++a)
      if (voxel[a] < 0 || voxel[a] >= size_[a]) return false;
    const auto voxels = size_[0] * size_[1] * size_[2];
    for (auto i = (voxel[2] * size_[1] + voxel[1]) * size_[0] + voxel[0]; i < foreground_.size();
         i += voxels)
      if (foreground_[i]) return true;
    return false;
  }
  template <typename Wanted>
  std::vector<Voxel> select(Wanted wanted) const {
    std::vector<Voxel> found;
    Voxel v{};
    for (v[2] = 0; v[2] < size_[2]; ++v[2])
      for (v[1] = 0; v[1] < size_[1]; ++v[1])
        for (v[0] = 0; v[0] < size_[0]; ++v[0])
          if (holds(v) && wanted(v)) found.push_back(v);
    return found;
  }

 private:
  const Array<std::uint8_t>& foreground_;
  std::array<std::int64_t, 3> size_{};
};

}  // namespace

std::vector<Voxel> foreground_voxels(const Context& context) {
  return Object(context).select([](const Voxel&) { return true; });
}

std::vector<Voxel> foreground_rim(const Context& context) {
  const Object object(context);
  return object.select([&](const Voxel& voxel) {
    for (const int axis : {context.roles.phase_encode, context.roles.readout})
      for (const std::int64_t step : {-1, 1}) {
        auto neighbour = voxel;
        neighbour[static_cast<std::size_t>(axis)] += step;
        if (!object.holds(neighbour)) return true;
      }
    return false;
  });
}

}  // namespace mr::artifact
