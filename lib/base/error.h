// base/: what every room stands on: errors and exit statuses, arrays, random numbers, threads,
// files that appear whole, JSON, provenance.
#pragma once
#include <stdexcept>
#include <string>

namespace mr {

/// Exit statuses of every tool, after sysexits.h. The man pages list them.
enum class ExitStatus : int {
  ok = 0,
  usage = 64,          // the command line is wrong
  bad_data = 65,       // an input is not what it should be
  missing_input = 66,  // an input cannot be opened
  internal = 70,       // a fault of ours
  cannot_create = 73,  // an output cannot be created, or exists and --force was not given
  io = 74,             // reading or writing failed underway (disk full, ...)
  interrupted = 75,    // stopped by a signal; run again with --resume
};

/// Base of all errors. what() is one line without the tool's name: "THING: what is wrong".
class Error : public std::runtime_error {
 public:
  Error(ExitStatus status, const std::string& message)
      : std::runtime_error(message), status_(status) {}
  ExitStatus exit_status() const { return status_; }

 private:
  ExitStatus status_;
};

struct UsageError : Error {
  explicit UsageError(const std::string& m) : Error(ExitStatus::usage, m) {}
};
struct DataError : Error {
  explicit DataError(const std::string& m) : Error(ExitStatus::bad_data, m) {}
};
struct MissingInputError : Error {
  explicit MissingInputError(const std::string& m) : Error(ExitStatus::missing_input, m) {}
};
struct CannotCreateError : Error {
  explicit CannotCreateError(const std::string& m) : Error(ExitStatus::cannot_create, m) {}
};
struct IoError : Error {
  explicit IoError(const std::string& m) : Error(ExitStatus::io, m) {}
};
struct InterruptedError : Error {
  explicit InterruptedError(const std::string& m) : Error(ExitStatus::interrupted, m) {}
};

}  // namespace mr
