#include "base/journal.h"

#include <cstdio>

#include "base/error.h"
#include "base/file.h"

namespace mr {

Journal::Journal(std::string path, const Json& head, bool resume, const std::string& other)
    : path_(std::move(path)) {
  if (path_.empty()) return;
  const auto first = to_line(head);
  const bool goes_on = resume && read(first, other);
  out_.open(path_, goes_on ? std::ios::app : std::ios::trunc);
  if (!out_) throw CannotCreateError(path_ + ": cannot be created");
  if (!goes_on) put(first);
}

void Journal::append(const Json& line) {
  if (!path_.empty()) put(to_line(line));
}

void Journal::remove() {
  if (path_.empty()) return;
  out_.close();
  std::remove(path_.c_str());
}

/// False where there is none.
bool Journal::read(const std::string& head, const std::string& other) {
  std::ifstream in(path_);
  std::string line;
  if (!in || !std::getline(in, line)) return false;
  if (line != head) throw DataError(path_ + ": " + other);
  std::string whole = head + "\n";
  while (std::getline(in, line) && !in.eof()) {  // a last line without its end is not whole
    lines_.push_back(parse_json(line, path_));
    whole += line + "\n";
  }
  in.close();
  write_file(path_, whole, Overwrite::yes);
  return true;
}

void Journal::put(const std::string& line) {
  out_ << line << '\n' << std::flush;
  if (!out_) throw IoError(path_ + ": cannot be written");
}

KeyedJournal::KeyedJournal(std::string path, const Json& head, bool resume)
    : journal_(std::move(path), head, resume,
               "begun by another command; use --force without --resume") {
  for (const auto& line : journal_.lines())
    values_[string_member(line, "key", journal_.path())] = &member(line, "value", journal_.path());
}

const Json* KeyedJournal::find(const std::string& key) const {
  const auto found = values_.find(key);
  return found == values_.end() ? nullptr : found->second;
}

}  // namespace mr
