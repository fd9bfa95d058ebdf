// The shared end of every main: common options, exit statuses, one-line errors, signals.
#pragma once
#include <CLI/CLI.hpp>
#include <algorithm>
#include <functional>
#include <iostream>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/run.h"
#include "base/shell.h"
#include "base/text.h"
#include "completion.h"

namespace mr {

/// A word of the command line, with the path in it redacted: the whole word, or what follows a "=",
/// as in --map=fat=FILE. What is there counts as a path, and what has a "/".
inline std::string without_path(const std::string& word) {
  const auto is_path = [](const std::string& text) {
    const auto file = text.substr(0, text.rfind('#'));  // FOLDER#NAME
    return text.find('/') != std::string::npos || exists(text) || exists(file);
  };
  const auto at = word.rfind('=') + 1;  // 0 where there is none
  if (const auto rest = word.substr(at); is_path(rest))
    return word.substr(0, at) + redacted_path(rest);
  return is_path(word) ? "redacted" : word;
}

/// The command line without what must not matter to the result: how loud, how parallel, where to.
inline std::string recorded_command(const std::string& tool, int argc, char** argv, bool redact) {
  static const std::vector<std::string> bare = {
      "--resume", "--force", "-f", "--quiet", "-q", "-v", "--verbose", "--redact-paths"};
  static const std::vector<std::string> valued = {
      "--threads", "-t", "-o", "--output", "--manifest-out", "--log", "--checkpoint", "--scores"};
  // Files that may not be there yet.
  static const std::vector<std::string> made = {"--print-recipe", "--save-kspace", "--sheet",
                                                "--id-key"};
  const auto has = [](const std::vector<std::string>& list, const std::string& s) {
    return std::find(list.begin(), list.end(), s) != list.end();
  };
  std::string command = tool;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    const auto option = word.substr(0, word.find('='));
    if (has(bare, word)) continue;
    if (has(valued, word)) {
      ++i;
      continue;
    }
    if (word.rfind("--", 0) == 0 && has(valued, option)) continue;
    if (word.size() > 2 && word[1] != '-' && has(valued, word.substr(0, 2))) continue;  // -oFILE
    if (redact && has(made, option)) {
      command += " " + option + " redacted";
      i += word == option ? 1 : 0;
      continue;
    }
    command += " " + shell_quoted(redact ? without_path(word) : word);
  }
  return command;
}

inline std::uint64_t parsed_seed(const CLI::App& app) {
  if (const auto* option = app.get_option_no_throw("--seed")) return option->as<std::uint64_t>();
  for (const auto* sub : app.get_subcommands()) return parsed_seed(*sub);
  return 0;
}

/// An error is one line, whatever a file's contents put into it; one without text ends the tool
/// silently, since another process of the same run says it.
inline int fail(const std::string& tool, const std::string& what, ExitStatus status) {
  if (what.empty()) return static_cast<int>(status);
  std::cerr << tool << ": " << one_line(what) << std::endl;
  return static_cast<int>(status);
}

/// An option of the tool that a subcommand lacks reaches the tool itself, and would do nothing.
inline void refuse_options_of(const CLI::App& app, const CLI::App& sub) {
  for (const auto* option : app.get_options()) {
    const auto name = option->get_name();
    if (option->count() > 0 && name != "--quiet" && name != "--verbose" && name != "--redact-paths")
      throw UsageError(name + ": no option of " + app.get_name() + " " + sub.get_name() +
                       ", or stands before it");
  }
}

/// Parses, runs, and turns what went wrong into one line and an exit status. `body` gets who runs
/// and how to talk; `words` complete values of options in a shell. A default "--seed" must be made
/// with capture_default_str() where one exists.
inline int tool_main(CLI::App& app, int argc, char** argv,
                     const std::function<void(const Run&, const Messages&)>& body,
                     const Words& words = {}) {
  const std::string tool = app.get_name();
  bool quiet = false, verbose = false, redact = false;
  app.add_flag("-q,--quiet", quiet, "Errors only: no warnings, no progress");
  app.add_flag("-v,--verbose", verbose, "Say more on standard error");
  app.add_flag("--redact-paths", redact,
               "Record inputs by their contents, not by their paths, which may carry names");
  app.set_version_flag("--version", tool + " " + version(), "Print the version and exit");
  app.set_help_flag("-h,--help", "Print this help and exit");
  const auto print_completion = [&](std::int64_t) {
    write_stdout(bash_completion(app, words));
    throw CLI::Success();
  };
  app.add_flag_function("--completion", print_completion, "Print a completion script for bash")
      ->group("")
      ->trigger_on_parse();
  app.fallthrough();
  app.get_formatter()->column_width(32);
  try {
    app.parse(argc, argv);
    install_stop_handlers();
    keep_freed_memory();
    const auto verbosity =
        quiet ? Verbosity::quiet : (verbose ? Verbosity::verbose : Verbosity::normal);
    body({tool, recorded_command(tool, argc, argv, redact), parsed_seed(app), redact},
         Messages(tool, verbosity));
    close_stdout();
    return 0;
  } catch (const CLI::Success& e) {  // --help, --version
    return app.exit(e);
  } catch (const CLI::ParseError& e) {
    return fail(tool, e.what(), ExitStatus::usage);
  } catch (const ClosedPipe&) {
    return 0;
  } catch (const Error& e) {
    return fail(tool, e.what(), e.exit_status());
  } catch (const std::bad_alloc&) {
    return fail(tool, "out of memory", ExitStatus::internal);
  } catch (const std::exception& e) {
    return fail(tool, std::string("internal error: ") + e.what(), ExitStatus::internal);
  }
}

}  // namespace mr
