#include "train/sync_batch_norm.h"

#include <torch/custom_class.h>
#include <torch/script.h>

#include <set>

namespace mr::train {
namespace {

using torch::Tensor;

/// The processes, as an attribute of a TorchScript module.
struct Processes : torch::CustomClassHolder {
  explicit Processes(Parallel all) : parallel(std::move(all)) {}
  Parallel parallel;
};
using ProcessesPointer = c10::intrusive_ptr<Processes>;

std::vector<std::int64_t> all_but_channels(const Tensor& images) {
  std::vector<std::int64_t> axes = {0};
  for (std::int64_t axis = 2; axis < images.dim(); ++axis) axes.push_back(axis);
  return axes;
}

/// [C] as it spreads over `images`: [1, C, 1, ...].
Tensor per_channel(const Tensor& values, const Tensor& images) {
  std::vector<std::int64_t> shape(static_cast<std::size_t>(images.dim()), 1);
  shape[1] = values.numel();
  return values.reshape(shape);
}

/// Sums over all but the channels and over all processes of tensors [N, C, ...]: each [C].
std::vector<Tensor> sums(const std::vector<Tensor>& tensors, const Parallel& parallel) {
  std::vector<Tensor> rows;
  for (const auto& tensor : tensors) rows.push_back(tensor.sum(all_but_channels(tensor)));
  const auto all = torch::stack(rows);
  parallel.sum(all);
  return all.unbind(0);
}

struct Normalise : torch::autograd::Function<Normalise> {
  /// images [N, C, ...]; weight, bias and the running statistics [C]
  static Tensor forward(torch::autograd::AutogradContext* context, const Tensor& images,
                        const Tensor& weight, const Tensor& bias, Tensor running_mean,
                        Tensor running_var, double momentum, double eps,
                        const ProcessesPointer& processes) {
    const auto& parallel = processes->parallel;
    const auto x = images.to(torch::kFloat32);
    auto count = torch::full({1}, static_cast<double>(x.numel() / x.size(1)), x.options());
    parallel.sum(count);
    const auto mean = sums({x}, parallel)[0] / count;
    const auto centred = x - per_channel(mean, x);
    const auto variance = sums({centred.square()}, parallel)[0] / count;
    const auto inverse_deviation = (variance + eps).rsqrt();
    running_mean.lerp_(mean, momentum);
    running_var.lerp_(variance * (count / (count - 1)), momentum);
    const auto standardised = centred * per_channel(inverse_deviation, x);
    context->save_for_backward({standardised, weight, inverse_deviation, count});
    context->saved_data["processes"] = processes;
    context->saved_data["type"] = images.scalar_type();
    return (standardised * per_channel(weight, x) + per_channel(bias, x)).to(images.scalar_type());
  }

  /// The gradients of weight and bias are of this process's images, as those of all parameters.
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& gradients) {
    const auto saved = context->get_saved_variables();
    const auto &standardised = saved[0], &weight = saved[1], &inverse_deviation = saved[2],
               &count = saved[3];
    const auto processes = context->saved_data["processes"].toCustomClass<Processes>();
    const auto type = context->saved_data["type"].toScalarType();
    const auto gradient = gradients[0].to(torch::kFloat32);
    const auto product = gradient * standardised;
    const auto of_all = sums({gradient, product}, processes->parallel);
    const auto inner = gradient - per_channel(of_all[0] / count, gradient) -
                       standardised * per_channel(of_all[1] / count, gradient);
    return {(inner * per_channel(weight * inverse_deviation, gradient)).to(type),
            product.sum(all_but_channels(product)),
            gradient.sum(all_but_channels(gradient)),
            Tensor(),
            Tensor(),
            Tensor(),
            Tensor(),
            Tensor()};
  }
};

Tensor sync_batch_norm(const Tensor& images, const Tensor& weight, const Tensor& bias,
                       const Tensor& running_mean, const Tensor& running_var, double momentum,
                       double eps, const ProcessesPointer& processes) {
  return Normalise::apply(images, weight, bias, running_mean, running_var, momentum, eps,
                          processes);
}

TORCH_LIBRARY(mr_train, library) {
  library.class_<Processes>("Processes");
  library.def("sync_batch_norm", sync_batch_norm);
}

const char* const forward_source = R"(
def forward(self, x):
    if self.training:
        y = mr_train.sync_batch_norm(x, self.weight, self.bias, self.running_mean, self.running_var,
                                     self.momentum, self.eps, self.processes)
    else:
        y = self.evaluated(x, self.weight, self.bias)
    return torch.relu_(y) if self.relu else y
)";

struct Resolver : torch::jit::NativeResolver {
  std::shared_ptr<torch::jit::SugaredValue> resolveValue(
      const std::string& name, torch::jit::GraphFunction& function,
      const torch::jit::SourceRange& range) override {
    if (name == "mr_train") return std::make_shared<torch::jit::BuiltinModule>(name);
    return NativeResolver::resolveValue(name, function, range);
  }
};

void replace_forward(torch::jit::Module& module) {
  const auto type = module.type();
  type->unsafeRemoveMethod("forward");
  type->compilation_unit()->unsafeRemoveMethod(c10::QualifiedName(*type->name(), "forward"));
  module.define(forward_source, std::make_shared<Resolver>());
}

}  // namespace

void synchronise_batch_norm(torch::jit::Module& network, const Parallel& parallel) {
  const c10::IValue processes(c10::make_intrusive<Processes>(parallel));
  std::set<c10::ClassTypePtr> done;  // layers share a class
  for (auto module : network.modules()) {
    if (!module.hasattr("running_mean")) continue;
    module.register_attribute("processes", processes.type(), processes);
    if (done.insert(module.type()).second) replace_forward(module);
  }
}

}  // namespace mr::train
