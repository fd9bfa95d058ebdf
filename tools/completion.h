// Completion of a command line in bash, made from its declaration.
#pragma once
#include <CLI/CLI.hpp>
#include <algorithm>
#include <map>
#include <string>
#include <vector>

namespace mr {

/// Words that an option's value may be, beside those that its declaration lists (CLI::IsMember);
/// by the option's long name.
using Words = std::map<std::string, std::vector<std::string>>;

inline std::string joined(const std::vector<std::string>& words, char separator) {
  std::string text;
  for (const auto& word : words) text += (text.empty() ? "" : std::string(1, separator)) + word;
  return text;
}

inline std::vector<std::string> spellings(const CLI::Option& option) {
  std::vector<std::string> names;
  for (const auto& name : option.get_snames()) names.push_back("-" + name);
  for (const auto& name : option.get_lnames()) names.push_back("--" + name);
  return names;
}

/// "{a,b}" of an option's type, which is how CLI11 describes IsMember.
inline std::vector<std::string> listed_words(const CLI::Option& option) {
  const auto type = option.get_type_name();
  const auto open = type.find('{'), close = type.rfind('}');
  if (open == std::string::npos || close == std::string::npos) return {};
  return CLI::detail::split(type.substr(open + 1, close - open - 1), ',');
}

inline std::vector<const CLI::App*> subcommands(const CLI::App& app) {
  return app.get_subcommands([](const CLI::App*) { return true; });
}

/// Branches of `case $command,$previous` and of `case $command` for one command.
inline void complete_command(const CLI::App& app, const std::string& command, const Words& more,
                             std::string& values, std::string& options) {
  std::vector<std::string> names;
  for (const auto* option : app.get_options()) {
    const auto spelled = spellings(*option);
    if (spelled.empty() || option->get_group().empty()) continue;
    names.insert(names.end(), spelled.begin(), spelled.end());
    auto words = listed_words(*option);
    const auto found = more.find(spelled.back());
    if (found != more.end()) words.insert(words.end(), found->second.begin(), found->second.end());
    if (words.empty()) continue;
    std::string patterns;
    for (const auto& name : spelled) patterns += (patterns.empty() ? "" : "|") + command + "," + name;
    values += "    " + patterns + ") words='" + joined(words, ' ') + "' ;;\n";
  }
  options += "            " + (command.empty() ? "''" : command) + ") words='" +
             joined(names, ' ') + "' ;;\n";
}

/// A script for bash: `source <(TOOL --completion)`, or a file of bash-completion.
inline std::string bash_completion(const CLI::App& app, const Words& more) {
  const auto tool = app.get_name();
  std::string function = "_" + tool, values, options;
  std::replace(function.begin(), function.end(), '-', '_');
  std::vector<std::string> commands;
  complete_command(app, "", more, values, options);
  for (const auto* sub : subcommands(app)) {
    commands.push_back(sub->get_name());
    complete_command(*sub, sub->get_name(), more, values, options);
  }
  std::string find_command, offer_commands;
  if (!commands.empty()) {
    offer_commands = "        *) [ -n \"$command\" ] || words='" + joined(commands, ' ') + "' ;;\n";
    find_command = "  for word in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n    case $word in " +
                   joined(commands, '|') + ") command=$word; break ;; esac\n  done\n";
  }
  return function + "() {\n" +
         "  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}\n"
         "  local command= words= word\n" +
         find_command + "  case $command,$previous in\n" + values +
         "    *)\n      case $current in\n        -*)\n          case $command in\n" +
         options + "          esac ;;\n" + offer_commands + "      esac ;;\n  esac\n"
         "  COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n"
         "}\ncomplete -o default -F " +
         function + " " + tool + "\n";
}

}  // namespace mr
