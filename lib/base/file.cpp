#include "base/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <vector>

#include "base/cleanup.h"
#include "base/error.h"

namespace mr {
namespace fs = std::filesystem;
namespace {

std::string reason(int error) {
  return std::generic_category().message(error);
}

void write_fully(int descriptor, std::string_view bytes, const std::string& name) {
  while (!bytes.empty()) {
    const auto n = ::write(descriptor, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EPIPE) throw ClosedPipe();
    if (n < 0) throw IoError(name + ": cannot be written: " + reason(errno));
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
}

/// A name beside `path` that no other process uses.
std::string temporary_beside(const std::string& path) {
  const fs::path p(path);
  return (p.parent_path() /
          ("." + p.filename().string() + "." + std::to_string(::getpid()) + ".part"))
      .string();
}

void sync_folder_of(const std::string& path) {
  const int folder = ::open(parent_folder(path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return;  // a folder that cannot be opened cannot be synced; the rename stands
  ::fsync(folder);
  ::close(folder);
}

std::string without_trailing_slash(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

}  // namespace

std::string read_all(const std::string& path) {
  const bool standard = path == "-";
  const std::string name = standard ? "standard input" : path;
  const int descriptor = standard ? STDIN_FILENO : ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) throw MissingInputError(name + ": " + reason(errno));
  struct Closer {
    int d;
    ~Closer() {
      if (d != STDIN_FILENO) ::close(d);
    }
  } closer{descriptor};
  std::string bytes;
  struct stat status {};
  if (::fstat(descriptor, &status) == 0) {
    if (S_ISDIR(status.st_mode)) throw DataError(name + ": is a folder");
    if (S_ISREG(status.st_mode)) bytes.reserve(static_cast<std::size_t>(status.st_size) + 1);
  }
  std::vector<char> block(1 << 18);
  for (;;) {
    const auto n = ::read(descriptor, block.data(), block.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw IoError(name + ": cannot be read: " + reason(errno));
    if (n == 0) return bytes;
    bytes.append(block.data(), static_cast<std::size_t>(n));
  }
}

std::string read_prefix(const std::string& path, std::size_t n) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) throw MissingInputError(path + ": " + reason(errno));
  std::string bytes(n, '\0');
  std::size_t have = 0;
  ssize_t got = 1;
  while (have < n && got > 0) {
    got = ::read(descriptor, bytes.data() + have, n - have);
    if (got < 0 && errno == EINTR)
      got = 1;
    else if (got > 0)
      have += static_cast<std::size_t>(got);
  }
  const int error = got < 0 ? errno : 0;
  ::close(descriptor);
  if (error == EISDIR) throw DataError(path + ": is a folder");
  if (error) throw IoError(path + ": cannot be read: " + reason(error));
  bytes.resize(have);
  return bytes;
}

bool exists(const std::string& path) {
  std::error_code error;
  return fs::exists(fs::symlink_status(path, error));
}

bool is_folder(const std::string& path) {
  std::error_code error;
  return fs::is_directory(path, error);
}

bool is_device(const std::string& path) {
  std::error_code error;
  const auto status = fs::status(path, error);
  return fs::exists(status) && !fs::is_regular_file(status) && !fs::is_directory(status);
}

std::string resolve(const std::string& path, const std::string& root) {
  fs::path p(path);
  if (p.is_relative()) p = fs::absolute(root.empty() ? fs::path(".") : fs::path(root)) / p;
  return without_trailing_slash(p.lexically_normal().string());
}

std::string parent_folder(const std::string& path) {
  const auto parent = fs::path(without_trailing_slash(path)).parent_path().string();
  return parent.empty() ? "." : parent;
}

std::string file_stem(const std::string& path) {
  return fs::path(without_trailing_slash(path)).stem().string();
}

std::string file_name(const std::string& path) {
  return fs::path(without_trailing_slash(path)).filename().string();
}

void make_folders(const std::string& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) throw CannotCreateError(path + ": cannot be created: " + error.message());
}

void require_absent(const std::string& path, Overwrite overwrite) {
  if (overwrite == Overwrite::no && exists(path))
    throw CannotCreateError(path + ": exists; use --force to replace it");
}

AtomicFile::AtomicFile(std::string path, Overwrite overwrite) : path_(std::move(path)) {
  require_absent(path_, overwrite);
  if (is_folder(path_)) throw CannotCreateError(path_ + ": is a folder");
  // A device or a pipe ("/dev/stdout", "/dev/full") cannot be renamed over: write straight to it.
  std::error_code error;
  const auto status = fs::status(path_, error);
  const bool special = fs::exists(status) && !fs::is_regular_file(status);
  temporary_ = special ? "" : temporary_beside(path_);
  const auto& target = special ? path_ : temporary_;
  descriptor_ =
      ::open(target.c_str(), O_WRONLY | O_CLOEXEC | (special ? 0 : O_CREAT | O_TRUNC), 0666);
  if (descriptor_ < 0) throw CannotCreateError(path_ + ": cannot be created: " + reason(errno));
  if (!special) cleanup::remember(temporary_);
}

AtomicFile::~AtomicFile() {
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  if (temporary_.empty()) return;
  ::unlink(temporary_.c_str());
  cleanup::forget(temporary_);
}

void AtomicFile::write(std::string_view bytes) {
  write_fully(descriptor_, bytes, path_);
}

void AtomicFile::commit() {
  const bool special = temporary_.empty();
  if (!special && ::fsync(descriptor_) != 0)
    throw IoError(path_ + ": cannot be written: " + reason(errno));
  const int closed = ::close(descriptor_);
  const int close_error = errno;
  descriptor_ = -1;
  if (!special) {
    const bool renamed = closed == 0 && ::rename(temporary_.c_str(), path_.c_str()) == 0;
    const int error = closed == 0 ? errno : close_error;
    if (!renamed) ::unlink(temporary_.c_str());
    cleanup::forget(temporary_);
    if (!renamed) throw IoError(path_ + ": cannot be written: " + reason(error));
    sync_folder_of(path_);
  } else if (closed != 0) {
    throw IoError(path_ + ": cannot be written: " + reason(close_error));
  }
}

void write_file(const std::string& path, std::string_view bytes, Overwrite overwrite) {
  AtomicFile file(path, overwrite);
  file.write(bytes);
  file.commit();
}

AtomicFolder::AtomicFolder(std::string path, Overwrite overwrite)
    : path_(without_trailing_slash(std::move(path))) {
  require_absent(path_, overwrite);
  temporary_ = temporary_beside(path_);
  std::error_code error;
  fs::remove_all(temporary_, error);
  if (!fs::create_directory(temporary_, error))
    throw CannotCreateError(path_ + ": cannot be created: " + error.message());
  cleanup::remember(temporary_);
}

AtomicFolder::~AtomicFolder() {
  if (temporary_.empty()) return;
  std::error_code error;
  fs::remove_all(temporary_, error);
  cleanup::forget(temporary_);
}

void AtomicFolder::commit() {
  std::error_code error;
  // rename(2) does not replace a folder that has members: move the old one aside, then away.
  const std::string old = temporary_ + ".old";
  const bool replace = exists(path_);
  if (replace) fs::rename(path_, old, error);
  if (!error) fs::rename(temporary_, path_, error);
  if (error) {
    std::error_code ignored;
    if (replace && !exists(path_)) fs::rename(old, path_, ignored);
    throw IoError(path_ + ": cannot be written: " + error.message());
  }
  cleanup::forget(temporary_);
  temporary_.clear();
  sync_folder_of(path_);
  if (replace) fs::remove_all(old, error);
}

void write_stdout(std::string_view bytes) {
  write_fully(STDOUT_FILENO, bytes, "standard output");
}

void close_stdout() {
  // Some file systems report a full disk only when the file is closed.
  const int copy = ::dup(STDOUT_FILENO);
  if (copy >= 0 && ::close(copy) != 0)
    throw IoError("standard output: cannot be written: " + reason(errno));
}

}  // namespace mr
