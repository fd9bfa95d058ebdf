// What a long run had finished when it was stopped, beside its output: JSON Lines.
#pragma once
#include <fstream>
#include <string>
#include <unordered_map>

#include "base/json.h"

namespace mr::dataset {

class Journal {
 public:
  /// path  "": nothing is kept. head  says which run it is; a journal of another one is not gone on
  /// with. throws DataError on such a one, CannotCreateError
  Journal(std::string path, const Json& head, bool resume);

  const Json* find(const std::string& key) const;
  void append(const std::string& key, const Json& value);  // throws IoError
  void remove();                                           // the output is whole

 private:
  void read(const std::string& head);
  std::string path_;
  std::unordered_map<std::string, Json> values_;
  std::ofstream out_;
};

}  // namespace mr::dataset
