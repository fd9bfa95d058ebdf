#include "artifact/reference/ref.h"

#include "base/error.h"

namespace mr::artifact::ref {

Row row(const std::string& artifact, const std::string& summary, const std::string& source,
        Stage stage) {
  return {"ref-" + artifact,
          summary,
          "divyam3897/mri-robustness at d12968b, " + source,
          stage,
          {{"percent", "%", "the published strength N", 0, 1000, {1, 2, 5, 10, 20}, 0}},
          2,
          false};
}

bool acts(const Values& values) {
  return values.at("percent") != 0;
}

Drawn per_slice(const Context& context, const Values& values, CorruptSlice corrupt) {
  Drawn drawn;
  drawn.apply = [key = context.stream("slice"), percent = values.at("percent"), corrupt](
                    Block& block, int threads) {
    if (!block.is_real())
      throw DataError("the published artifacts want a magnitude image, before any other step");
    for_slices(block, threads, [&](float* re, float*, std::int64_t slice) {
      corrupt({re, block.lines(), block.readout()}, sub_key(key, static_cast<std::uint64_t>(slice)),
              percent);
    });
  };
  return drawn;
}

}  // namespace mr::artifact::ref
