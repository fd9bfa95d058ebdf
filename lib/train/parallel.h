// Data parallel training: processes on one machine or many that each take their share of every
// batch, and add up what they found. Without others, a process is process 0 of 1.
#pragma once
#include <c10/core/Device.h>
#include <torch/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>

namespace mr::train {

struct World {
  int rank = 0, size = 1;
  int local_rank = 0, local_size = 1;  // among the processes of this machine
  std::string address;                 // of process 0
  int port = 0;
  std::string prefix;  // of keys in torchrun's own store, where it has opened one at the address
};

/// From RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT, as torchrun sets them, and, if they are
/// there, LOCAL_RANK and LOCAL_WORLD_SIZE. Where RANK is absent, from SLURM_PROCID, SLURM_NTASKS,
/// SLURM_LOCALID, MASTER_PORT, and MASTER_ADDR or the first host of SLURM_JOB_NODELIST; srun binds
/// each process to its own cores, so local_size stays 1.
/// throws UsageError that names the variable that is absent or no number
World world_of_environment();

/// The first host of a list as Slurm writes it: "knee[07-09,12],brain" begins with knee07.
std::string first_host(const std::string& list);

/// Every process calls the same functions in the same order.
class Parallel {
 public:
  Parallel() = default;  // process 0 of 1

  /// Waits for the other processes. Gloo on the CPU, NCCL on CUDA.
  /// throws UsageError when this build has no such backend, IoError when they cannot meet
  Parallel(const World& world, c10::Device device);

  int rank() const { return rank_; }
  int size() const { return size_; }
  bool first() const { return rank_ == 0; }

  /// [begin, end) of this process among n items in order: sizes differ by 1 at most, and add up to
  /// n.
  std::pair<std::int64_t, std::int64_t> share(std::int64_t n) const;

  /// Adds the processes' tensors up, in place; the same bits everywhere. `tensor` is contiguous, on
  /// the device. throws IoError when another process has ended
  void sum(const torch::Tensor& tensor) const;

  /// True everywhere when it is true anywhere.
  bool any(bool here) const;

  /// The bytes that process 0 has.
  std::string from_first(const std::string& bytes) const;

  /// Process 0 does it. When it throws an Error all end with that status, the others silently.
  void on_first(const std::function<void()>& work) const;

  /// What all processes have to say, process 0 says; the others' text is empty.
  std::string once(const std::string& text) const { return first() ? text : ""; }

 private:
  struct Group;
  int rank_ = 0, size_ = 1;
  c10::Device device_ = c10::kCPU;
  std::shared_ptr<Group> group_;  // none: alone
};

}  // namespace mr::train
