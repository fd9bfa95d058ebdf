// Time and memory of each artifact in memory, beside this machine's own limits.
//   artifact_speed volume|knee THREADS [NAME]...
// volume: 3-D, 160x256x256; knee: 2-D, 32 slices of 320x320; float32 magnitude. A line of JSON for
// each limit and each artifact at severity 3: median and least milliseconds of 5 repetitions.
#include <fftw3.h>
#include <malloc.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <functional>
#include <iostream>

#include "../unit/artifact_samples.h"
#include "artifact/catalogue.h"
#include "base/error.h"
#include "base/json.h"
#include "base/run.h"

namespace {

using mr::image::Volume;

struct Times {
  double median_ms = 0, least_ms = 0;
};

Times timed(const std::function<void()>& prepare, const std::function<void()>& body,
            int repetitions = 5) {
  std::vector<double> ms;
  for (int i = -1; i < repetitions; ++i) {  // the first warms up
    prepare();
    const auto begin = std::chrono::steady_clock::now();
    body();
    const std::chrono::duration<double, std::milli> taken =
        std::chrono::steady_clock::now() - begin;
    if (i >= 0) ms.push_back(taken.count());
  }
  std::sort(ms.begin(), ms.end());
  return {ms[ms.size() / 2], ms.front()};
}

/// Peak of resident memory so far [MiB].
double peak_mib() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.rfind("VmHWM:", 0) == 0) return std::stod(line.substr(6)) / 1024;
  return 0;
}

void forget_peak() {
  std::ofstream("/proc/self/clear_refs") << "5";
}

void print(mr::Json line) {
  std::cout << line.dump() << std::endl;
}

/// Runs in a process of its own, so that each has a peak of its own.
void apart(const std::function<void()>& body) {
  std::cout.flush();
  const auto child = fork();
  if (child == 0) {
    malloc_trim(0);  // what is free would else be shared with the parent, and copied when touched
    body();
    std::cout.flush();
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  if (status != 0) print({{"error", status}});
}

/// Complex FFT of the item, with measured plans, on one thread; and a copy of it as real numbers.
void print_limits(const mr::Shape& shape, bool is_3d) {
  const auto voxels = static_cast<std::size_t>(mr::count(shape));
  const int n[3] = {static_cast<int>(shape[1]), static_cast<int>(shape[2]),
                    static_cast<int>(shape[3])};
  auto* data = fftwf_alloc_complex(voxels);
  const auto plan = is_3d
                        ? fftwf_plan_dft(3, n, data, data, FFTW_FORWARD, FFTW_MEASURE)
                        : fftwf_plan_many_dft(2, n + 1, n[0], data, nullptr, 1, n[1] * n[2], data,
                                              nullptr, 1, n[1] * n[2], FFTW_FORWARD, FFTW_MEASURE);
  std::memset(data, 0, voxels * sizeof *data);
  const auto fft = timed([] {}, [&] { fftwf_execute(plan); });
  fftwf_destroy_plan(plan);
  fftwf_free(data);
  std::vector<float> from(voxels, 1), to(voxels);
  const auto copy =
      timed([] {}, [&] { std::memcpy(to.data(), from.data(), voxels * sizeof(float)); });
  print({{"limit", "fft"}, {"ms", fft.median_ms}, {"least_ms", fft.least_ms}});
  print({{"limit", "copy"}, {"ms", copy.median_ms}, {"least_ms", copy.least_ms}});
  std::vector<float> normals(1 << 16);
  const auto draws = timed([] {},
                           [&] {
                             for (std::size_t i = 0; i < voxels; i += normals.size())
                               mr::fill_normal({1}, i, normals.data(), normals.size());
                           });
  print({{"limit", "normals"}, {"ms", draws.median_ms}, {"least_ms", draws.least_ms}});
}

void print_artifact(const mr::artifact::Row& row, const Volume& image,
                    const mr::artifact::Facts& facts, const mr::artifact::Maps& maps, int threads) {
  const auto recipe = samples::recipe({row.name + ":3"});
  Volume work;
  mr::Json line = {{"artifact", row.name}, {"cost_ffts", row.cost_ffts}, {"threads", threads}};
  try {
    double base = 0, peak = 0;
    const auto times = timed(
        [&] {
          work = image;
          forget_peak();
          base = peak_mib();
        },
        [&] {
          mr::artifact::corrupt(work, recipe, facts, {1, "a", std::nullopt}, threads, maps);
          peak = std::max(peak, peak_mib() - base);
        });
    line["ms"] = times.median_ms;
    line["least_ms"] = times.least_ms;
    line["peak_mib"] = peak;
  } catch (const mr::Error& e) {
    line["refused"] = e.what();
  }
  print(line);
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  if (words.size() < 2 || (words[0] != "volume" && words[0] != "knee")) {
    std::cerr << "usage: artifact_speed volume|knee THREADS [NAME]...\n";
    return 64;
  }
  mr::keep_freed_memory();  // as the tools do
  const bool is_3d = words[0] == "volume";
  auto image = is_3d ? samples::three_d({1, 160, 256, 256}) : samples::two_d({1, 32, 320, 320});
  image.acquisition.te_ms = 30;
  image.acquisition.tr_ms = 2500;
  image.acquisition.sequence = "tse";
  image.acquisition.ti_ms = 150;
  image.acquisition.flip_deg = 20;
  image.acquisition.field_t = 3;
  const auto maps = samples::maps(image);
  const auto facts = mr::artifact::measure_facts(image);
  apart([&] { print_limits(image.shape(), is_3d); });
  for (const auto& row : mr::artifact::catalogue()) {
    const bool wanted =
        words.size() == 2 || std::find(words.begin() + 2, words.end(), row.name) != words.end();
    if (wanted) apart([&] { print_artifact(row, image, facts, maps, std::stoi(words[1])); });
  }
  return 0;
}
