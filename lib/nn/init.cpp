#include "nn/init.h"

#include <torch/script.h>

#include <cstring>
#include <map>
#include <optional>
#include <sstream>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"

namespace mr::nn {
namespace {

using Tensors = std::map<std::string, torch::Tensor>;

std::uint64_t header_length(const std::string& bytes) {
  std::uint64_t length = 0;  // little-endian, as this machine
  std::memcpy(&length, bytes.data(), sizeof length);
  return length;
}

/// A safetensors file begins with the length of its header, and the header with a brace.
bool is_safetensors(const std::string& bytes) {
  return bytes.size() > 9 && bytes[8] == '{' && header_length(bytes) <= bytes.size() - 8;
}

std::optional<torch::ScalarType> type_of(const std::string& name) {
  if (name == "F16") return torch::kFloat16;
  if (name == "BF16") return torch::kBFloat16;
  if (name == "F32") return torch::kFloat32;
  if (name == "F64") return torch::kFloat64;
  return std::nullopt;
}

torch::Tensor read_tensor(const Json& row, torch::ScalarType type, std::string_view data,
                          const std::string& where) {
  std::vector<std::int64_t> shape;
  for (const auto& length : member(row, "shape", where)) {
    if (!length.is_number_integer() || length < 0)
      throw DataError(where + ": shape: want whole numbers, got " + to_line(row["shape"]));
    shape.push_back(length.get<std::int64_t>());
  }
  const auto& offsets = member(row, "data_offsets", where);
  if (!offsets.is_array() || offsets.size() != 2 || !offsets[0].is_number_unsigned() ||
      !offsets[1].is_number_unsigned())
    throw DataError(where + ": data_offsets: want two numbers, got " + to_line(offsets));
  const auto begin = offsets[0].get<std::uint64_t>(), end = offsets[1].get<std::uint64_t>();
  if (begin > end || end > data.size())
    throw DataError(where + ": lies beyond the end of the file");
  // The length is known before anything of that size is made.
  const auto bytes = c10::elementSize(type);
  std::uint64_t elements = 1;
  for (const auto length : shape) {
    if (length > 0 && elements > (end - begin) / static_cast<std::uint64_t>(length))
      elements = end + 1;
    if (elements <= end) elements *= static_cast<std::uint64_t>(length);
  }
  if (elements * bytes != end - begin)
    throw DataError(where + ": its shape does not fit its " + std::to_string(end - begin) +
                    " bytes");
  auto tensor = torch::empty(shape, type);
  std::memcpy(tensor.data_ptr(), data.data() + begin, end - begin);
  return tensor.to(torch::kFloat32);
}

Tensors read_safetensors(const std::string& bytes, const std::string& path) {
  const std::string_view all(bytes);
  const auto length = header_length(bytes);
  const auto header = parse_json(all.substr(8, length), path);
  Tensors tensors;
  for (const auto& [name, row] : header.items()) {
    if (name == "__metadata__") continue;
    const auto where = path + ": " + name;
    const auto type = type_of(string_member(row, "dtype", where));
    if (type) tensors[name] = read_tensor(row, *type, all.substr(8 + length), where);
  }
  return tensors;
}

Tensors read_torchscript(const std::string& bytes, const std::string& path) {
  std::istringstream stream(bytes);
  Tensors tensors;
  try {
    const auto module = torch::jit::load(stream, c10::kCPU);
    const auto add = [&](const auto& list) {
      for (const auto& item : list)
        if (item.value.is_floating_point())
          tensors[item.name] = item.value.detach().to(torch::kFloat32);
    };
    add(module.named_parameters());
    add(module.named_buffers());
  } catch (const c10::Error&) {
    throw DataError(path + ": neither TorchScript that this LibTorch can read, nor safetensors");
  }
  return tensors;
}

std::string text(at::IntArrayRef shape) {
  std::ostringstream out;
  out << shape;
  return out.str();
}

}  // namespace

Initialised initialise(torch::jit::Module& network, const std::string& path) {
  const auto bytes = read_all(path);
  auto tensors =
      is_safetensors(bytes) ? read_safetensors(bytes, path) : read_torchscript(bytes, path);
  Initialised result;
  const torch::NoGradGuard no_grad;
  const auto take = [&](const auto& list) {
    for (const auto& item : list) {
      const auto found = tensors.find(item.name);
      if (found == tensors.end()) {
        result.absent.push_back(item.name);
        continue;
      }
      auto target = item.value;
      if (found->second.sizes() == target.sizes()) {
        target.copy_(found->second);
        result.taken.push_back(item.name);
      } else {
        result.other_shape.push_back(item.name + ": " + text(found->second.sizes()) + " for " +
                                     text(target.sizes()));
      }
      tensors.erase(found);
    }
  };
  take(network.named_parameters());
  take(network.named_buffers());
  for (const auto& [name, unused] : tensors) result.unused.push_back(name);
  if (result.taken.empty())
    throw DataError(path + ": nothing in it has a name and a shape of this network");
  return result;
}

}  // namespace mr::nn
