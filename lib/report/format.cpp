#include "report/format.h"

#include <algorithm>
#include <cctype>
#include <cmath>

#include "base/json.h"
#include "base/text.h"

namespace mr::report {
namespace {

bool alphanumeric(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0;
}

Cell estimate_cell(const stats::Estimate& e, std::string (*number)(double)) {
  if (!e.value) return {no_number, e.reason};
  if (!e.low) return {number(*e.value), e.reason, "", false, e.value};
  return {number(*e.value), "", number(*e.low) + " to " + number(*e.high), false, e.value};
}

}  // namespace

std::string minus_sign(std::string text) {
  if (!text.empty() && text[0] == '-') text.replace(0, 1, "−");
  return text;
}

std::string level(double value) {
  return minus_sign(fixed(value, 3));
}

std::string difference(double value) {
  const std::string text = fixed(value, 3);
  const bool zero = text.find_first_not_of("0.") == std::string::npos;
  return value > 0 && !zero ? "+" + text : minus_sign(text);
}

std::string p_value(double p) {
  if (p < 0.001) return "<.001";
  const std::string text = fixed(p, 3);
  return text[0] == '0' ? text.substr(1) : text;
}

Cell level_cell(const stats::Estimate& estimate) {
  return estimate_cell(estimate, level);
}
Cell difference_cell(const stats::Estimate& estimate) {
  return estimate_cell(estimate, difference);
}

Cell p_cell(const std::optional<double>& p, const std::string& reason) {
  return p ? Cell{p_value(*p)} : Cell{no_number, reason};
}

void add_differences(std::vector<Cell>& row, const results::Study& study,
                     const std::vector<results::Contrast>& contrasts) {
  for (const auto& contrast : contrasts) row.push_back(difference_cell(study.estimate(contrast)));
}

Json interval_json(const results::Study& study, const results::Contrast& contrast) {
  return results::interval_json(study.estimate(contrast));
}

std::string plural(std::size_t n, const std::string& noun) {
  return std::to_string(n) + " " + noun + (n == 1 ? "" : "s");
}

std::string listed(const std::vector<std::string>& items) {
  std::string text;
  for (std::size_t i = 0; i < items.size(); ++i)
    text += (i == 0 ? "" : i + 1 == items.size() ? " and " : ", ") + items[i];
  return text;
}

std::string arm_name(const std::string& arm) {
  const auto plus = arm.find('+');
  return plus == std::string::npos ? arm : arm.substr(0, plus) + " + " + arm.substr(plus + 1);
}

std::string condition_name(const results::Condition& condition) {
  switch (condition.kind) {
    case results::Kind::clean:
      return "clean";
    case results::Kind::as_given:
      return condition.artifact.empty() ? "images as given"
                                        : "images as given (" + condition.artifact + ")";
    case results::Kind::recipe:
      return "recipe " + condition.artifact;
    case results::Kind::artifact:
      break;
  }
  return condition.artifact + ", severity " + shortest(condition.severity);
}

std::string in_words(const Cell& cell) {
  if (cell.text == no_number) return "undefined (" + cell.reason + ")";
  return cell.interval.empty() ? cell.text : cell.text + " (" + cell.interval + ")";
}

std::string in_words(const Json& value) {
  if (value.is_null()) return no_number;
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number_float()) return shortest(value.get<double>());
  std::string text;
  if (value.is_array()) {
    for (const auto& item : value) text += (text.empty() ? "" : ", ") + in_words(item);
    return text;
  }
  if (!value.is_object()) return to_line(value);
  for (const auto& [key, item] : value.items())
    text += (text.empty() ? "" : "; ") + key + " " +
            (item.is_object() ? "(" + in_words(item) + ")" : in_words(item));
  return text;
}

ConditionColumns columns_of(const results::Condition& condition) {
  if (condition.kind == results::Kind::artifact && condition.part == results::Part::all)
    return {condition.artifact, condition.severity};
  return {results::name(condition), {}};
}

std::string escape_xml(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        // XML 1.0 has no place for other control characters, not even escaped.
        if (static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t')
          out += "\xEF\xBF\xBD";
        else
          out += c;
    }
  }
  return out;
}

std::string escape_markdown(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const char before = i > 0 ? text[i - 1] : ' ', after = i + 1 < text.size() ? text[i + 1] : ' ';
    const bool in_word = alphanumeric(before) && alphanumeric(after);
    const bool tag = c == '<' && (std::isalpha(static_cast<unsigned char>(after)) != 0 ||
                                  after == '/' || after == '!' || after == '?');
    if (c == '\n' || c == '\r') {
      out += ' ';
      continue;
    }
    const bool link = c == ']' && std::string_view("([:").find(after) != std::string_view::npos;
    if (std::string_view("\\`*|").find(c) != std::string_view::npos || tag || link ||
        (c == '_' && !in_word))
      out += '\\';
    out += c;
  }
  return out;
}

std::string csv_field(std::string_view text) {
  if (text.find_first_of(",\"\r\n") == std::string_view::npos) return std::string(text);
  std::string out = "\"";
  for (const char c : text) out += c == '"' ? std::string("\"\"") : std::string(1, c);
  return out + "\"";
}

std::string csv_line(const std::vector<std::string>& fields) {
  std::string line;
  for (const auto& field : fields) line += csv_field(field) + ",";
  line.back() = '\n';
  return line;
}

std::string slug(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (alphanumeric(c))
      out += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    else if (!out.empty() && out.back() != '-')
      out += '-';
  }
  while (!out.empty() && out.back() == '-') out.pop_back();
  return out.empty() ? "x" : out;
}

}  // namespace mr::report
