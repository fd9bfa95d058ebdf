#include "base/run.h"

#include <malloc.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <mutex>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/text.h"

namespace mr {
namespace cleanup {
namespace {

// Fixed slots, so that a signal handler can read them without locks or allocation.
constexpr std::size_t slots = 256, slot_size = 4096;
std::array<std::array<char, slot_size>, slots> paths;
std::array<std::atomic<bool>, slots> used;
std::mutex mutex;

}  // namespace

void remember(const std::string& path) {
  if (path.size() >= slot_size) return;
  const std::lock_guard<std::mutex> lock(mutex);
  for (std::size_t i = 0; i < slots; ++i)
    if (!used[i]) {
      std::memcpy(paths[i].data(), path.c_str(), path.size() + 1);
      used[i] = true;
      return;
    }
}

void forget(const std::string& path) {
  const std::lock_guard<std::mutex> lock(mutex);
  for (std::size_t i = 0; i < slots; ++i)
    if (used[i] && path == paths[i].data()) used[i] = false;
}

void unlink_all() {
  for (std::size_t i = 0; i < slots; ++i)
    if (used[i]) ::unlink(paths[i].data());
}

}  // namespace cleanup

namespace {

volatile sig_atomic_t stop_flag = 0;

void on_stop(int number) {
  if (stop_flag) {
    cleanup::unlink_all();
    ::_exit(128 + number);
  }
  stop_flag = 1;
}

double now_s() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace

void keep_freed_memory() {
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
  mallopt(M_TOP_PAD, 1 << 24);
}

std::string version() {
  return MR_VERSION;
}

Json provenance_entry(const Run& run,
                      const std::vector<std::pair<std::string, std::string>>& inputs) {
  Json entry = {{"tool", run.tool},
                {"version", version()},
                {"command", run.command},
                {"seed", run.seed},
                {"inputs", Json::array()}};
  for (const auto& [name, sha256] : inputs)
    entry["inputs"].push_back(
        {{"name", run.redact_paths ? redacted_name(name, sha256) : name}, {"sha256", sha256}});
  return entry;
}

std::string redacted_name(const std::string& name, const std::string& sha256) {
  const auto file = file_name(name);
  const auto dot = file.rfind('.');
  return "redacted-" + sha256.substr(0, 12) + (dot == std::string::npos ? "" : file.substr(dot));
}

std::string redacted_path(const std::string& path) {
  std::error_code error;  // a pipe can be read but once
  return std::filesystem::is_regular_file(path, error) ? redacted_name(path, sha256_file(path))
                                                       : "redacted";
}

void install_stop_handlers() {
  struct sigaction action {};
  action.sa_handler = on_stop;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  signal(SIGPIPE, SIG_IGN);  // a closed pipe is met as EPIPE where it is written
}

bool stop_requested() {
  return stop_flag != 0;
}

void throw_if_stopped() {
  if (stop_requested()) throw InterruptedError("stopped by a signal");
}

Messages::Messages(std::string tool, Verbosity verbosity)
    : tool_(std::move(tool)), verbosity_(verbosity) {}

void Messages::warn(const std::string& text) const {
  if (verbosity_ != Verbosity::quiet)
    std::fprintf(stderr, "%s: warning: %s\n", tool_.c_str(), one_line(text).c_str());
}

void Messages::inform(const std::string& text) const {
  if (verbosity_ != Verbosity::quiet) std::fprintf(stderr, "%s: %s\n", tool_.c_str(), text.c_str());
}

void Messages::detail(const std::string& text) const {
  if (verbosity_ == Verbosity::verbose)
    std::fprintf(stderr, "%s: %s\n", tool_.c_str(), text.c_str());
}

bool Messages::progress_shown() const {
  return verbosity_ != Verbosity::quiet && ::isatty(STDERR_FILENO) == 1;
}

Progress::Progress(const Messages& messages, std::string label, std::int64_t total)
    : shown_(messages.progress_shown()),
      label_(std::move(label)),
      total_(total),
      began_s_(now_s()) {}

Progress::~Progress() {
  if (shown_ && last_shown_s_ > 0) std::fputs("\r\033[K", stderr);
}

void Progress::advance(std::int64_t by) {
  done_ += by;
  if (!shown_) return;
  const double now = now_s();
  if (now - last_shown_s_ < 0.1 || now - began_s_ < 0.5) return;
  last_shown_s_ = now;
  show();
}

void Progress::show() {
  if (total_ <= 0) {
    std::fprintf(stderr, "\r\033[K%s: %lld", label_.c_str(), static_cast<long long>(done_));
    return;
  }
  constexpr int width = 30;
  const double part = static_cast<double>(done_) / static_cast<double>(total_);
  const int filled = static_cast<int>(part * width);
  const double left = (now_s() - began_s_) * (1 / part - 1);
  std::fprintf(stderr, "\r\033[K%s [%.*s%*s] %3.0f %%, %.0f s left", label_.c_str(), filled,
               "##############################", width - filled, "", 100 * part, left);
}

}  // namespace mr
