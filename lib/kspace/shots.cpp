#include "kspace/shots.h"

#include "base/error.h"

namespace mr::kspace {

ShotTable shot_table(std::int64_t lines, LineOrder order, int echo_train) {
  if (lines < 1 || echo_train < 1)
    throw DataError("shot table: want at least one line and one echo, got " +
                    std::to_string(lines) + " and " + std::to_string(echo_train));
  ShotTable table{order, echo_train, 0, {}};
  table.shots = static_cast<int>((lines + echo_train - 1) / echo_train);
  for (std::int64_t line = 0; line < lines; ++line)
    table.shot_of_line.push_back(
        static_cast<int>(order == LineOrder::linear ? line / echo_train : line % table.shots));
  return table;
}

}  // namespace mr::kspace
