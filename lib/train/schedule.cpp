#include "train/schedule.h"

#include <algorithm>
#include <cmath>

namespace mr::train {
namespace {

int plateaus(const std::vector<double>& aurocs, int patience) {
  int count = 0, worse = 0;
  double best = -1;
  for (const double auroc : aurocs) {
    worse = auroc > best ? 0 : worse + 1;
    best = std::max(best, auroc);
    if (worse < patience) continue;
    ++count;
    worse = 0;
  }
  return count;
}

}  // namespace

std::string name(Schedule schedule) {
  switch (schedule) {
    case Schedule::cosine:
      return "cosine";
    case Schedule::step:
      return "step";
    case Schedule::plateau:
      return "plateau";
    case Schedule::constant:
      break;
  }
  return "constant";
}

double rate_factor(const ScheduleOptions& options, const Progression& at) {
  constexpr double pi = 3.14159265358979323846;
  const auto per_epoch = static_cast<double>(at.steps_per_epoch);
  const double warmup = std::round(options.warmup_epochs * per_epoch);
  const auto step = static_cast<double>(at.step);
  const double rise = step < warmup ? (step + 1) / warmup : 1;
  switch (options.kind) {
    case Schedule::cosine:
      if (step < warmup) return rise;
      return (1 + std::cos(pi * (step - warmup) / (at.epochs * per_epoch - warmup))) / 2;
    case Schedule::step:
      return rise * std::pow(options.factor, at.step / at.steps_per_epoch / options.step_epochs);
    case Schedule::plateau:
      return rise * std::pow(options.factor, plateaus(at.aurocs, options.plateau_patience));
    case Schedule::constant:
      break;
  }
  return rise;
}

}  // namespace mr::train
