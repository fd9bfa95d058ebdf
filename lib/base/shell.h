// Command lines as text: words quoted for a POSIX shell, and taken apart again.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace mr {

/// The word as a shell reads it back: as it stands where it can, else in single quotes.
std::string shell_quoted(std::string_view word);

/// "mr-train --norm group 'my study.json'": the words quoted, with spaces between them.
std::string shell_line(const std::vector<std::string>& words);

/// The words of such a line: quotes of both kinds and backslashes, no expansions.
/// throws DataError "NAME: ..." where a quote is not closed
std::vector<std::string> shell_words(std::string_view line, const std::string& name);

}  // namespace mr
