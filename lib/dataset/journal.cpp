#include "dataset/journal.h"

#include <cstdio>

#include "base/error.h"
#include "base/file.h"

namespace mr::dataset {

Journal::Journal(std::string path, const Json& head, bool resume) : path_(std::move(path)) {
  if (path_.empty()) return;
  const auto first = to_line(head);
  if (resume) read(first);
  out_.open(path_, values_.empty() ? std::ios::trunc : std::ios::app);
  if (!out_) throw CannotCreateError(path_ + ": cannot be created");
  if (values_.empty()) out_ << first << '\n' << std::flush;
}

const Json* Journal::find(const std::string& key) const {
  const auto found = values_.find(key);
  return found == values_.end() ? nullptr : &found->second;
}

void Journal::append(const std::string& key, const Json& value) {
  if (path_.empty()) return;
  out_ << to_line({{"key", key}, {"value", value}}) << '\n' << std::flush;
  if (!out_) throw IoError(path_ + ": cannot be written");
}

void Journal::remove() {
  if (path_.empty()) return;
  out_.close();
  std::remove(path_.c_str());
}

void Journal::read(const std::string& head) {
  std::ifstream in(path_);
  std::string line;
  if (!in || !std::getline(in, line)) return;
  if (line != head)
    throw DataError(path_ + ": begun by another command; use --force without --resume");
  std::string whole = head + "\n";
  while (std::getline(in, line) && !in.eof()) {  // a last line without its end is not whole
    auto object = parse_json(line, path_);
    whole += line + "\n";
    values_[string_member(object, "key", path_)] = member(object, "value", path_);
  }
  in.close();
  write_file(path_, whole, Overwrite::yes);
}

}  // namespace mr::dataset
