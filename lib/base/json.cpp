#include "base/json.h"

#include <algorithm>

#include "base/error.h"
#include "base/file.h"

namespace mr {
namespace {

std::string described(const Json& value) {
  std::string text = to_line(value);
  if (text.size() > 40) text = text.substr(0, 37) + "...";
  return text;
}

}  // namespace

Json parse_json(std::string_view text, const std::string& name, std::size_t first_line) {
  try {
    return Json::parse(text);
  } catch (const Json::parse_error& e) {
    const auto at = std::min(text.size(), e.byte > 0 ? e.byte - 1 : 0);
    const auto before = text.substr(0, at);
    const auto line =
        first_line + static_cast<std::size_t>(std::count(before.begin(), before.end(), '\n'));
    const auto newline = before.rfind('\n');
    const auto column = at - (newline == std::string_view::npos ? 0 : newline + 1) + 1;
    std::string what = e.what();
    // nlohmann's text is "[json.exception...] parse error at line L, column C: syntax error ...".
    const auto detail = what.find(": ");
    what = detail == std::string::npos ? what : what.substr(detail + 2);
    std::replace(what.begin(), what.end(), '\n', ' ');
    throw DataError(name + ": line " + std::to_string(line) + ", column " + std::to_string(column) +
                    ": " + what);
  } catch (const Json::exception& e) {
    throw DataError(name + ": " + e.what());
  }
}

Json read_json(const std::string& path) {
  return parse_json(read_all(path), path == "-" ? "standard input" : path);
}

void require_schema(const Json& document, const std::string& want, const std::string& name) {
  if (!document.is_object() || !document.contains("schema") || !document["schema"].is_string())
    throw DataError(name + ": not a " + want + " document: no \"schema\"");
  const auto found = document["schema"].get<std::string>();
  if (found == want) return;
  const auto kind = want.substr(0, want.find('/'));
  if (found.substr(0, found.find('/')) == kind)
    throw DataError(name + ": schema version " + found + " is not known; this version reads " +
                    want);
  throw DataError(name + ": want schema " + want + ", found " + found);
}

const Json& member(const Json& object, const char* key, const std::string& name) {
  if (!object.is_object()) throw DataError(name + ": want an object, got " + described(object));
  const auto found = object.find(key);
  if (found == object.end()) throw DataError(name + ": lacks \"" + key + "\"");
  return *found;
}

std::string string_member(const Json& object, const char* key, const std::string& name) {
  const auto& value = member(object, key, name);
  if (!value.is_string())
    throw DataError(name + ": " + key + ": want a string, got " + described(value));
  return value.get<std::string>();
}

double number_member(const Json& object, const char* key, const std::string& name) {
  const auto& value = member(object, key, name);
  if (!value.is_number())
    throw DataError(name + ": " + key + ": want a number, got " + described(value));
  return value.get<double>();
}

std::int64_t integer_member(const Json& object, const char* key, const std::string& name) {
  const auto& value = member(object, key, name);
  if (!value.is_number_integer())
    throw DataError(name + ": " + key + ": want an integer, got " + described(value));
  return value.get<std::int64_t>();
}

std::string to_line(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Json or_null(const std::optional<double>& value) {
  return value ? Json(*value) : Json(nullptr);
}

std::string excerpt(const Json& value) {
  return to_line(value).substr(0, 60);
}

}  // namespace mr
