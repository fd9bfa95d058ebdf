// DICOM headers without what identifies a person. Private to the room.
#pragma once
#include <dcmtk/config/osconfig.h>
#include <dcmtk/dcmdata/dctk.h>

#include <string>

#include "base/id_key.h"

namespace mr::image {

/// Another UID, the same for one UID and key.
std::string mapped_uid(const IdKey& key, const std::string& uid);

/// DICOM PS3.15 E.2, Basic Application Level Confidentiality Profile: attributes of Table E.1-1 are
/// removed, emptied, replaced, or (UIDs) mapped, in nested items, too; private attributes, overlays
/// and curves are gone; patient id and name become a keyed hash of the id. Pixels are not looked
/// at, and the header says so.
void deidentify(DcmDataset& dataset, const IdKey& key);

}  // namespace mr::image
