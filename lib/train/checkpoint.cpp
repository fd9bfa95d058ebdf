#include "train/checkpoint.h"

#include <torch/types.h>

#include <cstring>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"

namespace mr::train {

void write_checkpoint(const std::string& path, const Checkpoint& checkpoint) {
  Json header = {{"schema", "mr-checkpoint/1"}, {"state", checkpoint.state}};
  for (const auto& [name, tensor] : checkpoint.tensors)
    header["tensors"].push_back({{"name", name}, {"elements", tensor.numel()}});
  AtomicFile file(path, Overwrite::yes);
  file.write(header.dump() + "\n");
  for (const auto& named : checkpoint.tensors) {
    const auto tensor = named.second.to(torch::kCPU).contiguous();
    file.write({static_cast<const char*>(tensor.data_ptr()),
                static_cast<std::size_t>(tensor.numel()) * sizeof(float)});
  }
  file.commit();
}

Checkpoint decode_checkpoint(const std::string& bytes, const std::string& name) {
  const auto line_end = bytes.find('\n');
  if (line_end == std::string::npos) throw DataError(name + ": not a checkpoint of mr-train");
  const auto header = parse_json(std::string_view(bytes).substr(0, line_end), name);
  require_schema(header, "mr-checkpoint/1", name);
  Checkpoint checkpoint{member(header, "state", name), {}};
  std::size_t position = line_end + 1;
  for (const auto& item : member(header, "tensors", name)) {
    const auto elements = integer_member(item, "elements", name);
    const auto length = static_cast<std::size_t>(elements) * sizeof(float);
    if (elements < 0 || length > bytes.size() - position)
      throw DataError(name + ": truncated checkpoint");
    auto tensor = torch::empty({elements}, torch::kFloat32);
    std::memcpy(tensor.data_ptr(), bytes.data() + position, length);
    position += length;
    checkpoint.tensors.emplace_back(string_member(item, "name", name), tensor);
  }
  return checkpoint;
}

}  // namespace mr::train
