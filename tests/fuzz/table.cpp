// Bytes as a table of labels and attributes.
#include "dataset/table.h"

#include <cstddef>
#include <cstdint>

#include "base/error.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t n) {
  using namespace mr::dataset;
  try {
    const auto table = parse_table({reinterpret_cast<const char*>(bytes), n}, "input");
    for (const auto& row : table.rows)
      for (std::size_t column = 0; column < table.columns.size(); ++column) {
        attribute_of(row, column);
        label_of(table, row, column);
      }
  } catch (const mr::Error&) {
  }
  return 0;
}
