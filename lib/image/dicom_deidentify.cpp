#include "image/dicom_deidentify.h"

#include <algorithm>
#include <iterator>

#include "image/dicom_frames.h"
#include "image/dicom_origin.h"

namespace mr::image {
namespace {

// DICOM PS3.15 2024b, Table E.1-1, column "Basic Profile": group and element of each attribute,
// rising. Where the action depends on an attribute's type in its object (X/Z, X/D, Z/D, X/Z/D),
// that which every type allows. X/Z/U* (source and referenced images) stay, with their UIDs mapped.

// clang-format off
/// X.
constexpr std::uint32_t removed[] = {
    0x00001000, 0x00080015, 0x00080024, 0x00080025, 0x00080034, 0x00080035, 0x00080054, 0x00080055,
    0x00080081, 0x00080092, 0x00080094, 0x00080096, 0x0008009d, 0x00080201, 0x00081000, 0x00081030,
    0x0008103e, 0x00081040, 0x00081041, 0x00081048, 0x00081049, 0x00081050, 0x00081052, 0x00081060,
    0x00081062, 0x00081080, 0x00081084, 0x00081088, 0x00081120, 0x00082111, 0x00084000, 0x00100021,
    0x00100032, 0x00100050, 0x00100101, 0x00100102, 0x00101000, 0x00101001, 0x00101002, 0x00101005,
    0x00101010, 0x00101020, 0x00101030, 0x00101040, 0x00101050, 0x00101060, 0x00101080, 0x00101081,
    0x00101090, 0x00101100, 0x00102000, 0x00102110, 0x00102150, 0x00102152, 0x00102154, 0x00102155,
    0x00102160, 0x00102180, 0x001021a0, 0x001021b0, 0x001021c0, 0x001021d0, 0x001021f0, 0x00102297,
    0x00102299, 0x00104000, 0x00120022, 0x00120023, 0x00120032, 0x00120041, 0x00120043, 0x00120051,
    0x00120055, 0x00120071, 0x00120072, 0x00120073, 0x00120082, 0x00120086, 0x00120087, 0x0014407c,
    0x0014407e, 0x0016002b, 0x0016004b, 0x0016004d, 0x0016004e, 0x0016004f, 0x00160050, 0x00160051,
    0x00160070, 0x00160071, 0x00160072, 0x00160073, 0x00160074, 0x00160075, 0x00160076, 0x00160077,
    0x00160078, 0x00160079, 0x0016007a, 0x0016007b, 0x0016007c, 0x0016007d, 0x0016007e, 0x0016007f,
    0x00160080, 0x00160081, 0x00160082, 0x00160083, 0x00160084, 0x00160085, 0x00160086, 0x00160087,
    0x00160088, 0x00160089, 0x0016008a, 0x0016008b, 0x0016008c, 0x0016008d, 0x0016008e, 0x00180027,
    0x00180035, 0x00181004, 0x00181005, 0x00181007, 0x00181008, 0x00181009, 0x0018100a, 0x00181012,
    0x00181014, 0x00181042, 0x00181043, 0x00181072, 0x00181073, 0x00181078, 0x00181079, 0x00181200,
    0x00181201, 0x00181202, 0x00181204, 0x00181205, 0x00184000, 0x00185011, 0x00189185, 0x00189373,
    0x0018937b, 0x0018937f, 0x00189424, 0x00189937, 0x0018a002, 0x0018a003, 0x00200027, 0x00203401,
    0x00203403, 0x00203405, 0x00203406, 0x00204000, 0x00209158, 0x00284000, 0x00320012, 0x00320032,
    0x00320033, 0x00320034, 0x00320035, 0x00321000, 0x00321001, 0x00321010, 0x00321011, 0x00321020,
    0x00321021, 0x00321030, 0x00321032, 0x00321033, 0x00321040, 0x00321041, 0x00321050, 0x00321051,
    0x00321066, 0x00321067, 0x00321070, 0x00324000, 0x00380004, 0x00380010, 0x00380011, 0x00380014,
    0x0038001a, 0x0038001b, 0x0038001c, 0x0038001d, 0x0038001e, 0x00380020, 0x00380021, 0x00380030,
    0x00380032, 0x00380040, 0x00380050, 0x00380060, 0x00380061, 0x00380062, 0x00380064, 0x00380300,
    0x00380400, 0x00380500, 0x00384000, 0x003a0329, 0x003a032b, 0x00400001, 0x00400002, 0x00400003,
    0x00400004, 0x00400005, 0x00400006, 0x00400007, 0x00400009, 0x0040000b, 0x00400010, 0x00400011,
    0x00400012, 0x00400241, 0x00400242, 0x00400243, 0x00400244, 0x00400245, 0x00400250, 0x00400251,
    0x00400253, 0x00400254, 0x00400275, 0x00400280, 0x00400310, 0x0040050a, 0x0040051a, 0x00400600,
    0x00400602, 0x004006fa, 0x00401001, 0x00401002, 0x00401004, 0x00401005, 0x0040100a, 0x00401010,
    0x00401011, 0x00401102, 0x00401103, 0x00401104, 0x00401400, 0x00402001, 0x00402004, 0x00402005,
    0x00402008, 0x00402009, 0x00402010, 0x00402011, 0x00402400, 0x00403001, 0x00404005, 0x00404008,
    0x00404010, 0x00404011, 0x00404025, 0x00404027, 0x00404028, 0x00404030, 0x00404034, 0x00404035,
    0x00404036, 0x00404037, 0x00404050, 0x00404051, 0x00404052, 0x0040a023, 0x0040a024, 0x0040a033,
    0x0040a078, 0x0040a07a, 0x0040a07c, 0x0040a110, 0x0040a112, 0x0040a192, 0x0040a193, 0x0040a307,
    0x0040a352, 0x0040a353, 0x0040a354, 0x0040a358, 0x0040db06, 0x0040db07, 0x0040e004, 0x00440004,
    0x0044000b, 0x00440010, 0x00440105, 0x0050001b, 0x00500020, 0x00500021, 0x006a0006, 0x00700082,
    0x00700083, 0x00700086, 0x00741234, 0x00741236, 0x00880200, 0x00880904, 0x00880906, 0x00880910,
    0x00880912, 0x01000420, 0x04000310, 0x04000402, 0x04000403, 0x04000404, 0x04000550, 0x04000551,
    0x04000552, 0x04000561, 0x04000600, 0x20300020, 0x21000040, 0x21000050, 0x21000070, 0x30020121,
    0x30020123, 0x30060004, 0x30060006, 0x30060028, 0x3006002d, 0x3006002e, 0x30060038, 0x3006004d,
    0x3006004e, 0x30060085, 0x30060088, 0x300a0003, 0x300a0004, 0x300a000b, 0x300a000e, 0x300a0016,
    0x300a0072, 0x300a00c3, 0x300a00dd, 0x300a0196, 0x300a01a6, 0x300a01b2, 0x300a0216, 0x300a02eb,
    0x300a0676, 0x300a078e, 0x300a0792, 0x300a0794, 0x300a079a, 0x300c0113, 0x30100036, 0x30100037,
    0x30100061, 0x30100085, 0x40000010, 0x40004000, 0x40080040, 0x40080042, 0x40080100, 0x40080101,
    0x40080102, 0x40080108, 0x40080109, 0x4008010a, 0x4008010b, 0x4008010c, 0x40080111, 0x40080112,
    0x40080113, 0x40080114, 0x40080115, 0x40080118, 0x40080119, 0x4008011a, 0x40080200, 0x40080202,
    0x40080300, 0x40084000, 0xfffafffa, 0xfffcfffc,
};

/// Z and X/Z.
constexpr std::uint32_t emptied[] = {
    0x00080020, 0x00080022, 0x00080030, 0x00080032, 0x00080050, 0x00080090, 0x0008009c, 0x00081110,
    0x00100010, 0x00100030, 0x00100040, 0x00102203, 0x00120021, 0x00120030, 0x00120031, 0x00120050,
    0x00120060, 0x00181203, 0x00200010, 0x00321060, 0x00400513, 0x00400555, 0x00400562, 0x00400610,
    0x00402016, 0x00402017, 0x0040a082, 0x0040a088, 0x04000564, 0x22000002, 0x22000005, 0x30060008,
    0x30060009, 0x30060026, 0x300600a6, 0x30080105, 0x300a00b2, 0x300a0611, 0x300a0615, 0x300a067d,
    0x300e0004, 0x300e0005, 0x300e0008, 0x3010000f, 0x30100017, 0x3010001b, 0x30100043, 0x3010005a,
    0x3010005c, 0x3010007a, 0x3010007b, 0x3010007f, 0x30100081,
};

/// D, Z/D, X/D and X/Z/D.
constexpr std::uint32_t replaced[] = {
    0x00080012, 0x00080013, 0x00080021, 0x00080023, 0x0008002a, 0x00080031, 0x00080033, 0x00080080,
    0x00080082, 0x00080106, 0x00080107, 0x00081010, 0x00081070, 0x00081072, 0x00081111, 0x00100020,
    0x00120010, 0x00120020, 0x00120040, 0x00120042, 0x00120081, 0x00180010, 0x00181000, 0x00181030,
    0x001811bb, 0x00181400, 0x0018700a, 0x0018700c, 0x0018700e, 0x00189074, 0x00189151, 0x00189367,
    0x00189369, 0x0018936a, 0x00189371, 0x00189516, 0x00189517, 0x00189623, 0x00189701, 0x00189804,
    0x00189919, 0x00340001, 0x00340002, 0x00340005, 0x00340007, 0x003a0314, 0x00400512, 0x00400551,
    0x00401101, 0x0040a027, 0x0040a030, 0x0040a032, 0x0040a073, 0x0040a075, 0x0040a120, 0x0040a121,
    0x0040a122, 0x0040a123, 0x0040a13a, 0x0040a730, 0x00420011, 0x00440104, 0x00686226, 0x00686270,
    0x006a0003, 0x006a0005, 0x00700001, 0x00700084, 0x0072000a, 0x0072005e, 0x0072005f, 0x00720061,
    0x00720063, 0x00720065, 0x00720066, 0x00720068, 0x0072006a, 0x0072006b, 0x0072006c, 0x0072006d,
    0x0072006e, 0x00720070, 0x00720071, 0x04000105, 0x04000115, 0x04000562, 0x04000563, 0x04000565,
    0x21000140, 0x30060002, 0x30080024, 0x30080025, 0x30080054, 0x30080056, 0x30080162, 0x30080164,
    0x30080166, 0x30080168, 0x30080250, 0x30080251, 0x300a0002, 0x300a0006, 0x300a0007, 0x300a022c,
    0x300a022e, 0x300a0608, 0x300a0619, 0x300a0623, 0x300a062a, 0x300a067c, 0x300a0734, 0x300a0736,
    0x300a073a, 0x300a0741, 0x300a0742, 0x300a0760, 0x300a0783, 0x300c0127, 0x3010002d, 0x30100033,
    0x30100034, 0x30100035, 0x30100038, 0x3010004c, 0x3010004d, 0x30100054, 0x30100056, 0x30100077,
};

/// U.
constexpr std::uint32_t mapped[] = {
    0x00001001, 0x00020003, 0x00041511, 0x00080014, 0x00080017, 0x00080018, 0x00080019, 0x00080058,
    0x00081155, 0x00081195, 0x00083010, 0x00181002, 0x0018100b, 0x00182042, 0x0020000d, 0x0020000e,
    0x00200052, 0x00200200, 0x00209161, 0x00209164, 0x00281199, 0x00281214, 0x003a0310, 0x00400554,
    0x00404023, 0x0040a124, 0x0040a171, 0x0040a172, 0x0040a402, 0x0040db0c, 0x0040db0d, 0x00620021,
    0x00640003, 0x0070031a, 0x00701101, 0x00701102, 0x00880140, 0x04000100, 0x30060024, 0x300600c2,
    0x300a0013, 0x300a0083, 0x300a0609, 0x300a0650, 0x300a0700, 0x300a0785, 0x30100006, 0x3010000b,
    0x30100013, 0x30100015, 0x30100031, 0x3010003b, 0x3010006e, 0x3010006f,
};
// clang-format on

template <std::size_t n>
bool lists(const std::uint32_t (&table)[n], const DcmTag& tag) {
  return std::binary_search(std::begin(table), std::end(table),
                            std::uint32_t{tag.getGroup()} << 16 | tag.getElement());
}

/// A value that says nothing, as an element of that type must have one; null: none is known.
const char* dummy_value(DcmEVR type) {
  switch (type) {
    case EVR_DA:
      return "19000101";
    case EVR_TM:
      return "000000";
    case EVR_DT:
      return "19000101000000";
    case EVR_AS:
      return "000Y";
    case EVR_UI:
    case EVR_UR:
    case EVR_SQ:
    case EVR_OB:
    case EVR_UN:
      return nullptr;
    default:
      return "REMOVED";
  }
}

bool is_overlay_or_curve(const DcmTag& tag) {
  const int group = tag.getGroup() & 0xff00;
  return group == 0x5000 || group == 0x6000;
}

void clean_item(DcmItem& item, const IdKey& key);

/// What becomes of one element: true where it is to go.
bool clean_element(DcmElement& element, const IdKey& key) {
  const DcmTag tag = element.getTag();
  if (tag.getGroup() % 2 == 1 || lists(removed, tag) || is_overlay_or_curve(tag)) return true;
  if (lists(emptied, tag)) {
    element.clear();
    return false;
  }
  if (lists(replaced, tag)) {
    const auto* value = dummy_value(element.ident());
    return !value || element.putString(value).bad();
  }
  if (lists(mapped, tag)) {
    OFString uid;
    element.getOFStringArray(uid);
    return !uid.empty() && element.putString(mapped_uid(key, uid.c_str()).c_str()).bad();
  }
  if (auto* sequence = dynamic_cast<DcmSequenceOfItems*>(&element);
      sequence && element.ident() == EVR_SQ)
    for (unsigned long i = 0; i < sequence->card(); ++i) clean_item(*sequence->getItem(i), key);
  return false;
}

/// An element whose type is not known (UN) is bytes that may hold anything: gone, but for UIDs.
bool clean_unknown(DcmItem& item, unsigned long i, const IdKey& key) {
  auto* element = item.getElement(i);
  if (element->ident() != EVR_UN) return false;
  const DcmTagKey tag = element->getTag();
  std::string uid;
  Uint8* bytes = nullptr;
  if (lists(mapped, DcmTag(tag)) && element->getUint8Array(bytes).good() && bytes) {
    uid.assign(reinterpret_cast<const char*>(bytes), element->getLength());
    uid.erase(std::find_if(uid.begin(), uid.end(), [](char c) { return c == '\0' || c == ' '; }),
              uid.end());
  }
  delete item.remove(i);
  if (!uid.empty()) item.putAndInsertString(DcmTag(tag, EVR_UI), mapped_uid(key, uid).c_str());
  return true;
}

void clean_item(DcmItem& item, const IdKey& key) {
  for (unsigned long i = item.card(); i-- > 0;)
    if (!clean_unknown(item, i, key) && clean_element(*item.getElement(i), key))
      delete item.remove(i);
}

void set(DcmItem& item, const DcmTagKey& tag, const std::string& value) {
  item.putAndInsertString(tag, value.c_str());
}

}  // namespace

std::string mapped_uid(const IdKey& key, const std::string& uid) {
  return uid_from("de-identified " + key.id("uid " + uid));
}

void deidentify(DcmDataset& dataset, const IdKey& key) {
  auto who = text_of(dataset, DCM_PatientID);
  if (who.empty()) who = "study " + text_of(dataset, DCM_StudyInstanceUID);
  const auto patient = key.id(who);
  clean_item(dataset, key);
  set(dataset, DCM_PatientID, patient);
  set(dataset, DCM_PatientName, patient);
  set(dataset, DCM_PatientIdentityRemoved, "YES");
  set(dataset, DCM_DeidentificationMethod, "PS3.15 Basic Profile; pixel data not inspected");
  dataset.findAndDeleteElement(DCM_DeidentificationMethodCodeSequence);
  DcmItem* code = nullptr;
  dataset.findOrCreateSequenceItem(DCM_DeidentificationMethodCodeSequence, code, -2);
  set(*code, DCM_CodeValue, "113100");
  set(*code, DCM_CodingSchemeDesignator, "DCM");
  set(*code, DCM_CodeMeaning, "Basic Application Confidentiality Profile");
  set(dataset, DCM_LongitudinalTemporalInformationModified, "REMOVED");
}

}  // namespace mr::image
