#include "base/json_schema.h"

#include <regex.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>

#include "base/error.h"
#include "base/json.h"
#include "base/schemas.h"
#include "base/text.h"

namespace mr {
namespace {

/// A place in the document and what is wrong there.
struct Fault {
  std::vector<std::string> path;
  std::string what;
};
using Found = std::optional<Fault>;

/// A POSIX extended expression: unlike std::regex it does not recurse, and base64 is megabytes
/// long.
class Pattern {
 public:
  explicit Pattern(const std::string& text) {
    if (regcomp(&compiled_, text.c_str(), REG_EXTENDED | REG_NOSUB) != 0)
      throw DataError("schema: pattern '" + text + "' is not one");
  }
  Pattern(const Pattern&) = delete;
  Pattern& operator=(const Pattern&) = delete;
  ~Pattern() { regfree(&compiled_); }
  bool fits(const std::string& text) const {
    return regexec(&compiled_, text.c_str(), 0, nullptr, 0) == 0;
  }

 private:
  regex_t compiled_;
};

bool is_type(const Json& value, const std::string& type) {
  if (type == "integer")
    return value.is_number_integer() ||
           (value.is_number_float() && value.get<double>() == std::floor(value.get<double>()));
  if (type == "number") return value.is_number();
  return type == value.type_name();
}

class Validator {
 public:
  explicit Validator(const Json& root) : root_(root) {}

  Found check(const Json& value, const Json& schema) {
    if (schema.is_boolean()) return schema.get<bool>() ? Found() : fault("is not expected here");
    for (const auto& [keyword, wanted] : schema.items())
      if (const auto& rule = rules().at(keyword))
        if (auto found = rule(*this, value, wanted, schema)) return found;
    return {};
  }

  /// Throws on a keyword without a rule, here or in a schema inside, used or not.
  static void require_known(const Json& schema) {
    if (!schema.is_object()) return;
    for (const auto& [keyword, wanted] : schema.items()) {
      if (rules().count(keyword) == 0)
        throw DataError("schema: keyword " + keyword + " is not known");
      if (keyword == "properties" || keyword == "$defs" || wanted.is_array())
        for (const auto& inside : wanted) require_known(inside);
      else if (keyword != "const" && keyword != "default")
        require_known(wanted);
    }
  }

 private:
  using Rule =
      std::function<Found(Validator&, const Json& value, const Json& wanted, const Json& schema)>;

  static Found fault(std::string what) { return Fault{{}, std::move(what)}; }

  Found inside(const std::string& place, const Json& value, const Json& schema) {
    auto found = check(value, schema);
    if (found) found->path.insert(found->path.begin(), place);
    return found;
  }

  Found bound(const Json& value, const Json& wanted, const char* words, bool fits) {
    if (!value.is_number() || fits) return {};
    return fault("want " + std::string(words) + " " + excerpt(wanted) + ", got " + excerpt(value));
  }

  Found count(std::size_t n, const Json& wanted, const char* words, bool fits) {
    if (fits) return {};
    return fault("want " + std::string(words) + " " + excerpt(wanted) + ", got " +
                 std::to_string(n));
  }

  Found required(const Json& value, const Json& wanted) {
    if (value.is_object())
      for (const auto& key : wanted)
        if (!value.contains(key.get<std::string>()))
          return fault("lacks \"" + key.get<std::string>() + "\"");
    return {};
  }

  Found properties(const Json& value, const Json& wanted) {
    if (value.is_object())
      for (const auto& [key, schema] : wanted.items())
        if (const auto member = value.find(key); member != value.end())
          if (auto found = inside(key, *member, schema)) return found;
    return {};
  }

  Found additional(const Json& value, const Json& wanted, const Json& schema) {
    if (!value.is_object()) return {};
    const auto declared = schema.find("properties");
    for (const auto& [key, member] : value.items())
      if (declared == schema.end() || !declared->contains(key))
        if (auto found = inside(key, member, wanted)) return found;
    return {};
  }

  Found items(const Json& value, const Json& wanted) {
    if (value.is_array())
      for (std::size_t i = 0; i < value.size(); ++i)
        if (auto found = inside(std::to_string(i), value[i], wanted)) return found;
    return {};
  }

  Found unique(const Json& value) {
    std::set<std::string> seen;
    if (value.is_array())
      for (const auto& item : value)
        if (!seen.insert(to_line(item)).second) return fault(excerpt(item) + " twice");
    return {};
  }

  Found pattern(const Json& value, const std::string& text) {
    if (!value.is_string()) return {};
    auto& compiled = patterns_[text];
    if (!compiled) compiled = std::make_unique<Pattern>(text);
    if (compiled->fits(value.get_ref<const std::string&>())) return {};
    return fault("want text like " + text + ", got " + excerpt(value));
  }

  Found type(const Json& value, const Json& wanted) {
    const auto fits = [&](const Json& one) {
      return is_type(value, one.get_ref<const std::string&>());
    };
    if (wanted.is_array() ? std::any_of(wanted.begin(), wanted.end(), fits) : fits(wanted))
      return {};
    return fault("want " + to_line(wanted) + ", got " + excerpt(value));
  }

  Found one_of(const Json& value, const Json& wanted, std::size_t most) {
    Found deepest;
    std::size_t fitting = 0;
    for (const auto& schema : wanted) {
      auto found = check(value, schema);
      if (!found)
        ++fitting;
      else if (!deepest || found->path.size() > deepest->path.size())
        deepest = std::move(found);
    }
    if (fitting == 0) return deepest;
    return fitting > most ? fault("fits several alternatives of which it must be one") : Found();
  }

  Found all_of(const Json& value, const Json& wanted) {
    for (const auto& schema : wanted)
      if (auto found = check(value, schema)) return found;
    return {};
  }

  Found condition(const Json& value, const Json& wanted, const Json& schema) {
    const auto branch = schema.find(check(value, wanted) ? "else" : "then");
    return branch == schema.end() ? Found() : check(value, *branch);
  }

  Found reference(const Json& value, const std::string& to) {
    return check(value, root_.at(Json::json_pointer(to.substr(1))));
  }

  static const std::map<std::string, Rule>& rules() {
    using V = Validator&;
    using J = const Json&;
    const auto number = [](J v) { return v.is_number() ? v.get<double>() : 0; };
    static const std::map<std::string, Rule> all = {
        {"$schema", {}},
        {"$defs", {}},
        {"title", {}},
        {"description", {}},
        {"default", {}},
        {"then", {}},
        {"else", {}},
        {"type", [](V self, J v, J w, J) { return self.type(v, w); }},
        {"const",
         [](V, J v, J w, J) {
           return v == w ? Found() : fault("want " + excerpt(w) + ", got " + excerpt(v));
         }},
        {"enum",
         [](V, J v, J w, J) {
           for (const auto& one : w)
             if (v == one) return Found();
           return fault("want one of " + to_line(w) + ", got " + excerpt(v));
         }},
        {"minimum", [number](V self, J v, J w,
                             J) { return self.bound(v, w, "at least", number(v) >= number(w)); }},
        {"maximum", [number](V self, J v, J w,
                             J) { return self.bound(v, w, "at most", number(v) <= number(w)); }},
        {"exclusiveMinimum",
         [number](V self, J v, J w, J) {
           return self.bound(v, w, "a number above", number(v) > number(w));
         }},
        {"exclusiveMaximum",
         [number](V self, J v, J w, J) {
           return self.bound(v, w, "a number below", number(v) < number(w));
         }},
        {"minItems",
         [](V self, J v, J w, J) {
           return self.count(v.size(), w, "a list of at least",
                             !v.is_array() || v.size() >= w.get<std::size_t>());
         }},
        {"maxItems",
         [](V self, J v, J w, J) {
           return self.count(v.size(), w, "a list of at most",
                             !v.is_array() || v.size() <= w.get<std::size_t>());
         }},
        {"minLength",
         [](V, J v, J w, J) {
           if (!v.is_string() || v.get_ref<const std::string&>().size() >= w.get<std::size_t>())
             return Found();
           return fault("want text of at least " + excerpt(w) + " characters");
         }},
        {"pattern", [](V self, J v, J w, J) { return self.pattern(v, w.get<std::string>()); }},
        {"required", [](V self, J v, J w, J) { return self.required(v, w); }},
        {"properties", [](V self, J v, J w, J) { return self.properties(v, w); }},
        {"additionalProperties", [](V self, J v, J w, J s) { return self.additional(v, w, s); }},
        {"items", [](V self, J v, J w, J) { return self.items(v, w); }},
        {"uniqueItems",
         [](V self, J v, J w, J) { return w.get<bool>() ? self.unique(v) : Found(); }},
        {"oneOf", [](V self, J v, J w, J) { return self.one_of(v, w, 1); }},
        {"anyOf", [](V self, J v, J w, J) { return self.one_of(v, w, w.size()); }},
        {"allOf", [](V self, J v, J w, J) { return self.all_of(v, w); }},
        {"not", [](V self, J v, J w,
                   J) { return self.check(v, w) ? Found() : fault("has what it must not have"); }},
        {"if", [](V self, J v, J w, J s) { return self.condition(v, w, s); }},
        {"$ref", [](V self, J v, J w, J) { return self.reference(v, w.get<std::string>()); }},
    };
    return all;
  }

  const Json& root_;
  std::map<std::string, std::unique_ptr<Pattern>> patterns_;
};

}  // namespace

std::vector<std::string> schema_names() {
  std::vector<std::string> names;
  for (const auto& schema : embedded_schemas) names.emplace_back(schema.name);
  return names;
}

Json schema_named(const std::string& name) {
  for (const auto& schema : embedded_schemas)
    if (name == schema.name) return parse_json(schema.text, name + ".schema.json");
  throw DataError(unknown("schema", name, schema_names()));
}

std::string mismatch(const Json& document, const Json& schema) {
  Validator::require_known(schema);
  const auto found = Validator(schema).check(document, schema);
  if (!found) return "";
  std::string where;
  for (const auto& step : found->path) where += (where.empty() ? "" : "/") + step;
  return where.empty() ? found->what : where + ": " + found->what;
}

}  // namespace mr
