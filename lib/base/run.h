// What one run of a tool carries: who it is, how it talks, when it must stop.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/json_fwd.h"

namespace mr {

/// Identity of this run, for provenance. `command` omits what must not matter to the result
/// (--resume, --force, --threads, --progress, --quiet, --verbose and output paths).
struct Run {
  std::string tool;     // "mr-corrupt"
  std::string command;  // "mr-corrupt -a motion:3 knee.nii.gz"
  std::uint64_t seed = 0;
  bool redact_paths = false;  // inputs are named by their contents: see redacted_path
};

/// What a path is called in a record that must not say it: "redacted-", the first 12 digits of the
/// file's SHA-256 and its ending; "redacted" where there is no file.
std::string redacted_path(const std::string& path);
/// The same of a file of that name and SHA-256.
std::string redacted_name(const std::string& name, const std::string& sha256);

std::string version();  // of the toolkit

/// {"tool", "version", "command", "seed", "inputs": [{"name", "sha256"}]}
Json provenance_entry(const Run& run,
                      const std::vector<std::pair<std::string, std::string>>& inputs);

/// SIGINT and SIGTERM: set a flag that long work looks at; a second signal ends at once.
void install_stop_handlers();
bool stop_requested();
void throw_if_stopped();  // throws InterruptedError "stopped by signal"

/// Images and activations of megabytes come and go: their pages stay with the process, instead of
/// being given back and cleared anew by the kernel each time. Once, at the start of a program.
void keep_freed_memory();

enum class Verbosity { quiet, normal, verbose };

/// Words for a person, on standard error: "mr-train: epoch 3 ...". The library is handed one and
/// never prints by itself.
class Messages {
 public:
  Messages(std::string tool, Verbosity verbosity);
  void warn(const std::string& text) const;    // always, but with --quiet
  void inform(const std::string& text) const;  // normal and verbose
  void detail(const std::string& text) const;  // verbose alone
  bool progress_shown() const;                 // standard error is a terminal, and not --quiet

 private:
  std::string tool_;
  Verbosity verbosity_;
};

/// A bar on a terminal; nothing elsewhere. total 0: a count.
class Progress {
 public:
  Progress(const Messages& messages, std::string label, std::int64_t total);
  ~Progress();
  void advance(std::int64_t by = 1);

 private:
  bool shown_;
  std::string label_;
  std::int64_t total_, done_ = 0;
  double last_shown_s_ = 0, began_s_ = 0;
  void show();
};

}  // namespace mr
