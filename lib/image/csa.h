// The header that Siemens scanners put into a private element (0029,xx10) of their DICOM files.
// Private to the room.
#pragma once
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace mr::image {

/// Values of the named elements; those without a value are left out. Both layouts, "SV10" and the
/// older one without a signature (as documented by Brett et al., nibabel: "Siemens format DICOM
/// with CSA header"). Little-endian. A header that is cut off or damaged gives what stands before.
std::map<std::string, std::vector<std::string>> read_csa(std::string_view bytes);

}  // namespace mr::image
