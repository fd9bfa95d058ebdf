#include "image/child.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <utility>

#include "base/error.h"

namespace mr::image {

bool write_all(int descriptor, std::string_view bytes) {
  while (!bytes.empty()) {
    const auto n = ::write(descriptor, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

namespace {

constexpr int ended_well = 0, data_error = 65;

/// Ends the process without what a program does at its end, which is the parent's to do.
[[noreturn]] void run_child(const std::function<void(const ByteSink&)>& work, int bytes,
                            int message) {
  int status = ended_well;
  try {
    work([&](std::string_view more) {
      if (!write_all(bytes, more)) ::_exit(data_error);  // the parent has gone
    });
  } catch (const std::exception& e) {
    write_all(message, e.what());
    status = data_error;
  }
  ::_exit(status);
}

}  // namespace

Child::Child(std::string name, const std::function<void(const ByteSink&)>& work)
    : name_(std::move(name)) {
  int bytes[2], message[2];
  if (::pipe(bytes) != 0) throw IoError(name_ + ": no pipe for a process that reads it");
  if (::pipe(message) != 0) {
    ::close(bytes[0]);
    ::close(bytes[1]);
    throw IoError(name_ + ": no pipe for a process that reads it");
  }
  bytes_ = bytes[0];
  message_ = message[0];
  process_ = ::fork();
  if (process_ == 0) {
    ::close(bytes[0]);
    ::close(message[0]);
    run_child(work, bytes[1], message[1]);
  }
  ::close(bytes[1]);
  ::close(message[1]);
  if (process_ < 0) throw IoError(name_ + ": no process to read it");
}

Child::~Child() {
  ::close(bytes_);
  ::close(message_);
  if (process_ <= 0) return;
  ::kill(process_, SIGKILL);
  while (::waitpid(process_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

std::size_t Child::read_some(void* to, std::size_t n) {
  ssize_t got = 0;
  do got = ::read(bytes_, to, n);
  while (got < 0 && errno == EINTR);
  return got > 0 ? static_cast<std::size_t>(got) : 0;
}

void Child::read(void* to, std::size_t n) {
  for (std::size_t have = 0; have < n;) {
    const auto got = read_some(static_cast<char*>(to) + have, n - have);
    if (got == 0) {
      finish();
      throw DataError(name_ + ": ends before its data do");
    }
    have += got;
  }
}

std::string Child::read_all() {
  std::string all, block(1 << 16, '\0');
  while (const auto got = read_some(block.data(), block.size())) all.append(block, 0, got);
  return all;
}

void Child::finish() {
  int status = 0;
  while (::waitpid(process_, &status, 0) < 0 && errno == EINTR) {
  }
  process_ = -1;
  if (WIFEXITED(status) && WEXITSTATUS(status) == ended_well) return;
  std::string what(4096, '\0');
  const auto n = WIFEXITED(status) ? ::read(message_, what.data(), what.size()) : 0;
  if (n <= 0) throw DataError(name_ + ": damaged: the library that reads it crashed");
  throw DataError(what.substr(0, static_cast<std::size_t>(n)));
}

}  // namespace mr::image
