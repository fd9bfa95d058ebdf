// What a step drew, as the manifest records it.
#pragma once
#include <memory>

#include "base/json_fwd.h"

namespace mr::artifact {

/// Named values in the order they were set, or a list; written as JSON by those who read it.
/// Values are numbers, booleans, text, records, and vectors and arrays of these as record.cpp
/// lists.
class Record {
 public:
  Record();
  Record(const Record& other);
  Record(Record&& other) noexcept;
  Record& operator=(Record other) noexcept;
  ~Record();

  /// A list of such values.
  template <typename... T>
  static Record list(const T&... values) {
    auto all = empty_list();
    (all.push(values), ...);
    return all;
  }

  template <typename T>
  Record& set(const char* name, const T& value);

  Record& set(const char* name, const char* text);

  /// At the end of the list of that name, which is begun where there is none.
  template <typename T>
  Record& append(const char* name, const T& value);

  /// At the end of this list.
  template <typename T>
  Record& push(const T& value);

  /// Takes over the members of another.
  Record& update(const Record& other);

  const Json& json() const { return *json_; }

 private:
  static Record empty_list();
  std::unique_ptr<Json> json_;
};

}  // namespace mr::artifact
