#include "train/parallel.h"

#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#ifdef MR_GLOO
#ifndef USE_C10D_GLOO  // without it the header is empty
#define USE_C10D_GLOO
#endif
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#endif
#ifdef MR_NCCL
#ifndef USE_C10D_NCCL
#define USE_C10D_NCCL
#endif
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>
#endif

#include <charconv>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <iostream>
#include <vector>

#include "base/error.h"
#include "nn/torch_version.h"

namespace mr::train {
namespace {

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

std::string required(const char* name) {
  const auto value = variable(name);
  if (value.empty())
    throw UsageError(std::string("--parallel: ") + name +
                     " is not set; start the processes with torchrun or srun");
  return value;
}

int number(const char* name, int least, int most) {
  const auto text = required(name);
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < least || value > most)
    throw UsageError(std::string("--parallel: ") + name + ": want a number from " +
                     std::to_string(least) + " to " + std::to_string(most) + ", got '" + text +
                     "'");
  return value;
}

constexpr int most_processes = 1 << 20;

World world_of_torchrun() {
  World world;
  world.size = number("WORLD_SIZE", 1, most_processes);
  world.rank = number("RANK", 0, world.size - 1);
  if (!variable("LOCAL_RANK").empty()) world.local_rank = number("LOCAL_RANK", 0, world.rank);
  if (!variable("LOCAL_WORLD_SIZE").empty())
    world.local_size = number("LOCAL_WORLD_SIZE", 1, world.size);
  world.address = required("MASTER_ADDR");
  if (variable("TORCHELASTIC_USE_AGENT_STORE") == "True")
    world.prefix = "mr-train/" + variable("TORCHELASTIC_RESTART_COUNT");
  return world;
}

World world_of_slurm() {
  World world;
  world.size = number("SLURM_NTASKS", 1, most_processes);
  world.rank = number("SLURM_PROCID", 0, world.size - 1);
  if (!variable("SLURM_LOCALID").empty()) world.local_rank = number("SLURM_LOCALID", 0, world.rank);
  world.address = variable("MASTER_ADDR");
  if (world.address.empty()) world.address = first_host(required("SLURM_JOB_NODELIST"));
  return world;
}

c10::intrusive_ptr<c10d::Store> open_store(const World& world) {
  c10d::TCPStoreOptions options;
  options.port = static_cast<std::uint16_t>(world.port);
  options.isServer = world.rank == 0 && world.prefix.empty();
  if (world.prefix.empty()) options.numWorkers = static_cast<std::size_t>(world.size);
  nn::use_plain_server(options);
  auto store = c10::make_intrusive<c10d::TCPStore>(world.address, options);
  if (world.prefix.empty()) return store;
  return c10::make_intrusive<c10d::PrefixStore>(world.prefix, store);
}

}  // namespace

World world_of_environment() {
  const bool slurm = variable("RANK").empty() && !variable("SLURM_PROCID").empty();
  auto world = slurm ? world_of_slurm() : world_of_torchrun();
  world.port = number("MASTER_PORT", 1, 65535);
  return world;
}

std::string first_host(const std::string& list) {
  std::string host;
  for (std::size_t i = 0; i < list.size() && list[i] != ','; ++i) {
    if (list[i] != '[') {
      host += list[i];
      continue;
    }
    const auto end = list.find_first_of("-,]", i), close = list.find(']', i);
    if (close == std::string::npos) break;
    host += list.substr(i + 1, end - i - 1);
    i = close;
  }
  return host;
}

struct Parallel::Group {
  std::function<void(std::vector<torch::Tensor>&)> sum, broadcast;
};

namespace {

// The backends' base class has another name in LibTorch 2.
template <typename Group, typename Backend>
std::shared_ptr<Group> group_of(const c10::intrusive_ptr<Backend>& backend) {
  return std::make_shared<Group>(
      Group{[backend](std::vector<torch::Tensor>& t) { backend->allreduce(t)->wait(); },
            [backend](std::vector<torch::Tensor>& t) { backend->broadcast(t)->wait(); }});
}

#ifdef MR_GLOO
/// Of std::cerr, where Gloo from 2025 on tells that it has connected.
struct Silence {
  std::streambuf* const kept = std::cerr.rdbuf(nullptr);
  Silence() = default;
  Silence(const Silence&) = delete;
  Silence& operator=(const Silence&) = delete;
  ~Silence() { std::cerr.rdbuf(kept); }
};

/// The network interface: GLOO_SOCKET_IFNAME, as in PyTorch; processes that meet at the loopback
/// address stay there.
std::shared_ptr<::gloo::transport::Device> network_device(const World& world) {
  using c10d::ProcessGroupGloo;
  const auto interface = variable("GLOO_SOCKET_IFNAME");
  if (!interface.empty()) return ProcessGroupGloo::createDeviceForInterface(interface);
  if (world.address == "localhost" || world.address == "127.0.0.1")
    return ProcessGroupGloo::createDeviceForHostname("127.0.0.1");
  return ProcessGroupGloo::createDefaultDevice();
}
#endif

template <typename Group>
std::shared_ptr<Group> open_group([[maybe_unused]] const World& world, c10::Device device) {
#ifdef MR_NCCL
  if (device.is_cuda())
    return group_of<Group>(
        c10::make_intrusive<c10d::ProcessGroupNCCL>(open_store(world), world.rank, world.size));
#endif
#ifdef MR_GLOO
  if (device.is_cpu()) {
    auto options = c10d::ProcessGroupGloo::Options::create();
    options->devices.push_back(network_device(world));
    const auto store = open_store(world);
    const Silence silence;
    return group_of<Group>(
        c10::make_intrusive<c10d::ProcessGroupGloo>(store, world.rank, world.size, options));
  }
#endif
  throw UsageError(std::string("--parallel: this build lacks ") +
                   (device.is_cuda() ? "NCCL, which CUDA wants" : "Gloo, which the CPU wants"));
}

/// What of LibTorch's message fits one line: it may end in a trace of calls.
std::string first_line(const std::exception& e) {
  const std::string text = e.what();
  return text.substr(0, text.find('\n'));
}

}  // namespace

Parallel::Parallel(const World& world, c10::Device device)
    : rank_(world.rank), size_(world.size), device_(device) {
  try {
    group_ = open_group<Group>(world, device);
  } catch (const Error&) {
    throw;
  } catch (const std::exception& e) {
    throw IoError("--parallel: process " + std::to_string(rank_) + " of " + std::to_string(size_) +
                  " met no others at " + world.address + ":" + std::to_string(world.port) + ": " +
                  first_line(e));
  }
}

std::pair<std::int64_t, std::int64_t> Parallel::share(std::int64_t n) const {
  return {n * rank_ / size_, n * (rank_ + 1) / size_};
}

void Parallel::sum(const torch::Tensor& tensor) const {
  if (!group_) return;
  std::vector<torch::Tensor> tensors = {tensor};
  try {
    group_->sum(tensors);
  } catch (const std::exception& e) {
    throw IoError("--parallel: another process has ended: " + first_line(e));
  }
}

bool Parallel::any(bool here) const {
  if (!group_) return here;
  const auto count = torch::full({1}, here ? 1.0f : 0.0f, torch::device(device_));
  sum(count);
  return count.item<float>() > 0;
}

std::string Parallel::from_first(const std::string& bytes) const {
  if (!group_) return bytes;
  const auto broadcast = [&](const torch::Tensor& values) {
    std::vector<torch::Tensor> tensors = {values.to(device_)};
    try {
      group_->broadcast(tensors);
    } catch (const std::exception& e) {
      throw IoError("--parallel: another process has ended: " + first_line(e));
    }
    return tensors.front().to(torch::kCPU);
  };
  const auto length = broadcast(torch::full({1}, static_cast<std::int64_t>(bytes.size())));
  auto values = torch::zeros({length.item<std::int64_t>()}, torch::kUInt8);
  if (values.numel() == 0) return "";
  if (first()) std::memcpy(values.data_ptr(), bytes.data(), bytes.size());
  values = broadcast(values);
  return {static_cast<const char*>(values.data_ptr()), static_cast<std::size_t>(values.numel())};
}

void Parallel::on_first(const std::function<void()>& work) const {
  if (!group_) return work();
  std::exception_ptr error;
  std::string status;
  if (first()) try {
      work();
    } catch (const Error& e) {
      error = std::current_exception();
      status = std::to_string(static_cast<int>(e.exit_status()));
    }
  status = from_first(status);
  if (error) std::rethrow_exception(error);
  if (!status.empty()) throw Error(static_cast<ExitStatus>(std::stoi(status)), "");
}

}  // namespace mr::train
