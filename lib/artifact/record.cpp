#include "artifact/record.h"

#include <array>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"

namespace mr::artifact {
namespace {

template <typename T>
const T& as_json(const T& value) {
  return value;
}

const Json& as_json(const Record& record) {
  return record.json();
}

}  // namespace

Record::Record() : json_(std::make_unique<Json>(Json::object())) {}
Record::Record(const Record& other) : json_(std::make_unique<Json>(*other.json_)) {}
Record::Record(Record&& other) noexcept = default;
Record::~Record() = default;

Record& Record::operator=(Record other) noexcept {
  std::swap(json_, other.json_);
  return *this;
}

Record Record::empty_list() {
  Record list;
  *list.json_ = Json::array();
  return list;
}

template <typename T>
Record& Record::set(const char* name, const T& value) {
  (*json_)[name] = as_json(value);
  return *this;
}

template <typename T>
Record& Record::append(const char* name, const T& value) {
  (*json_)[name].push_back(as_json(value));
  return *this;
}

template <typename T>
Record& Record::push(const T& value) {
  json_->push_back(as_json(value));
  return *this;
}

Record& Record::update(const Record& other) {
  json_->update(*other.json_);
  return *this;
}

Record& Record::set(const char* name, const char* text) {
  return set(name, std::string(text));
}

#define MR_RECORDS(...)                                             \
  template Record& Record::set(const char*, const __VA_ARGS__&);    \
  template Record& Record::append(const char*, const __VA_ARGS__&); \
  template Record& Record::push(const __VA_ARGS__&);
MR_RECORDS(bool)
MR_RECORDS(int)
MR_RECORDS(std::int64_t)
MR_RECORDS(std::size_t)
MR_RECORDS(double)
MR_RECORDS(std::string)
MR_RECORDS(Record)
MR_RECORDS(std::vector<int>)
MR_RECORDS(std::vector<std::int64_t>)
MR_RECORDS(std::vector<std::size_t>)
MR_RECORDS(std::vector<double>)
MR_RECORDS(std::vector<std::string>)
MR_RECORDS(std::vector<std::vector<double>>)
MR_RECORDS(std::array<double, 2>)
MR_RECORDS(std::array<double, 3>)
MR_RECORDS(std::array<double, 15>)
MR_RECORDS(std::array<std::array<double, 2>, 3>)
MR_RECORDS(std::array<std::int64_t, 2>)
MR_RECORDS(std::array<std::int64_t, 3>)
#undef MR_RECORDS

}  // namespace mr::artifact
