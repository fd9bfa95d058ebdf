// JSON with the order of members kept, and errors that name the file, line and column.
#pragma once
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "base/json_fwd.h"

namespace mr {

/// throws DataError "NAME: line 3, column 7: ..." on a syntax error
Json parse_json(std::string_view text, const std::string& name, std::size_t first_line = 1);
Json read_json(const std::string& path);

/// document["schema"] must be `want` (e.g. "mr-manifest/1"); throws DataError that names both.
void require_schema(const Json& document, const std::string& want, const std::string& name);

/// Member of the wanted type; throws DataError "NAME: MEMBER: want a string, got 3".
const Json& member(const Json& object, const char* key, const std::string& name);
std::string string_member(const Json& object, const char* key, const std::string& name);
double number_member(const Json& object, const char* key, const std::string& name);
std::int64_t integer_member(const Json& object, const char* key, const std::string& name);

/// One line, UTF-8 kept, non-finite numbers as null; invalid UTF-8 is replaced.
std::string to_line(const Json& value);

/// The number, or null.
Json or_null(const std::optional<double>& value);

/// Its beginning, for messages.
std::string excerpt(const Json& value);

}  // namespace mr
