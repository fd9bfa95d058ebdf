// Files that appear whole or not at all, and the reading of inputs.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace mr {

enum class Overwrite { no, yes };

/// Whole content; "-" is standard input. throws MissingInputError when it cannot be opened,
/// IoError.
std::string read_all(const std::string& path);

/// First bytes of a file (at most n), for recognising its kind.
std::string read_prefix(const std::string& path, std::size_t n);

bool exists(const std::string& path);
bool is_folder(const std::string& path);
bool is_device(const std::string& path);  // there, but no file and no folder: a pipe, /dev/null

/// Absolute, lexically normal path; `root` is where relative ones start.
std::string resolve(const std::string& path, const std::string& root);
std::string parent_folder(const std::string& path);
std::string file_name(const std::string& path);
std::string file_stem(const std::string& path);  // the name without its last ending
void make_folders(const std::string& path);      // throws CannotCreateError

/// Throws CannotCreateError "PATH: exists; use --force to replace it" unless `overwrite` is yes.
void require_absent(const std::string& path, Overwrite overwrite);

/// A file written beside its final name and renamed by commit() after fsync. Without commit, or
/// when the program is stopped by a signal, nothing is left behind.
class AtomicFile {
 public:
  AtomicFile(std::string path, Overwrite overwrite);
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  ~AtomicFile();
  void write(std::string_view bytes);  // throws IoError
  void commit();

 private:
  std::string path_, temporary_;
  int descriptor_ = -1;
};

/// Writes all of `bytes` to `path` at once.
void write_file(const std::string& path, std::string_view bytes, Overwrite overwrite);

/// A folder filled under a temporary name beside its final one and renamed by commit().
class AtomicFolder {
 public:
  AtomicFolder(std::string path, Overwrite overwrite);
  AtomicFolder(const AtomicFolder&) = delete;
  AtomicFolder& operator=(const AtomicFolder&) = delete;
  ~AtomicFolder();
  const std::string& path() const { return temporary_; }  // where to write the members
  void commit();

 private:
  std::string path_, temporary_;
};

/// Standard output, unbuffered and checked: a full disk is an IoError, a reader that went away
/// throws ClosedPipe, on which tool_main ends the tool silently.
void write_stdout(std::string_view bytes);
void close_stdout();

struct ClosedPipe {};

}  // namespace mr
