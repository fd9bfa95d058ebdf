// What a long run had finished when it was stopped, beside its output: JSON Lines.
#pragma once
#include <fstream>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/json.h"

namespace mr {

class Journal {
 public:
  /// path  "": nothing is kept. head  says which run it is. resume  go on with what is there; a
  /// journal of another run is not gone on with: DataError "PATH: OTHER". throws CannotCreateError,
  /// IoError
  Journal(std::string path, const Json& head, bool resume, const std::string& other);

  const std::string& path() const { return path_; }
  const std::vector<Json>& lines() const { return lines_; }  // of the run before
  void append(const Json& line);                             // throws IoError
  void remove();                                             // the output is whole

 private:
  bool read(const std::string& head, const std::string& other);
  void put(const std::string& line);
  std::string path_;
  std::vector<Json> lines_;
  std::ofstream out_;
};

/// A journal whose lines are found by a key.
class KeyedJournal {
 public:
  KeyedJournal(std::string path, const Json& head, bool resume);  // throws as Journal

  const Json* find(const std::string& key) const;
  void append(const std::string& key, const Json& value) {
    journal_.append({{"key", key}, {"value", value}});
  }
  void remove() { journal_.remove(); }

 private:
  Journal journal_;
  std::unordered_map<std::string, const Json*> values_;
};

}  // namespace mr
