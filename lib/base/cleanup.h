// Temporary files that must vanish when a second signal ends the program at once.
#pragma once
#include <string>

namespace mr::cleanup {

void remember(const std::string& path);
void forget(const std::string& path);
/// Async-signal-safe for files: unlinks what is remembered. Folders are left to the next run,
/// which removes its own leftovers.
void unlink_all();

}  // namespace mr::cleanup
