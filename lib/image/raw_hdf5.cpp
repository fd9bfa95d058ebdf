// K-space in HDF5: fastMRI (Zbontar et al. 2018, arXiv:1811.08839) and ISMRMRD (Inati et al., Magn
// Reson Med 2017;77:411; ismrmrd.h of version 1.8 for the layout of an acquisition).
#include <hdf5.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <optional>
#include <pugixml.hpp>
#include <utility>

#include "base/error.h"
#include "base/json.h"
#include "image/child.h"
#include "image/raw_file.h"

namespace mr::image {
namespace {

/// A handle of HDF5 and how it is closed.
class Handle {
 public:
  Handle(hid_t id, herr_t (*close)(hid_t)) : id_(id), close_(close) {}
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  Handle(Handle&& o) noexcept : id_(std::exchange(o.id_, -1)), close_(o.close_) {}
  ~Handle() {
    if (id_ >= 0) close_(id_);
  }
  operator hid_t() const { return id_; }
  explicit operator bool() const { return id_ >= 0; }

 private:
  hid_t id_;
  herr_t (*close_)(hid_t);
};

Handle open_file(const std::string& path) {
  H5dont_atexit();                              // it complains of what a damaged file left open
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);  // messages are ours to make
  Handle file(H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), H5Fclose);
  if (!file) throw DataError(path + ": damaged HDF5 file");
  return file;
}

bool has(hid_t file, const char* name) {
  return H5Lexists(file, name, H5P_DEFAULT) > 0;
}

std::vector<hsize_t> lengths(hid_t dataset) {
  const Handle space(H5Dget_space(dataset), H5Sclose);
  const int n = space ? H5Sget_simple_extent_ndims(space) : -1;
  std::vector<hsize_t> dims(static_cast<std::size_t>(std::max(0, n)));
  if (n > 0) H5Sget_simple_extent_dims(space, dims.data(), nullptr);
  return dims;
}

/// Text of a dataset or attribute of one string, of fixed length or not; "" where it is none.
template <typename Read, typename Reclaim>
std::string text_of(const Handle& type, Read read, Reclaim reclaim) {
  if (!type || H5Tget_class(type) != H5T_STRING) return "";
  const Handle memory(H5Tcopy(type), H5Tclose);
  if (H5Tis_variable_str(type) > 0) {
    char* text = nullptr;
    if (read(memory, &text) < 0 || !text) return "";
    std::string copy(text);
    reclaim(memory, &text);
    return copy;
  }
  std::string text(std::min<std::size_t>(H5Tget_size(type), 1 << 24), '\0');
  if (text.size() != H5Tget_size(type) || read(memory, text.data()) < 0) return "";
  return text.substr(0, text.find('\0'));
}

std::string text_dataset(hid_t file, const char* name) {
  if (!has(file, name)) return "";
  const Handle dataset(H5Dopen2(file, name, H5P_DEFAULT), H5Dclose);
  if (!dataset) return "";
  const Handle space(H5Dget_space(dataset), H5Sclose);
  if (!space || H5Sget_simple_extent_npoints(space) != 1) return "";
  return text_of(
      Handle(H5Dget_type(dataset), H5Tclose),
      [&](hid_t type, void* to) {
        return H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, to);
      },
      [&](hid_t type, void* from) { H5Dvlen_reclaim(type, space, H5P_DEFAULT, from); });
}

std::string text_attribute(hid_t file, const char* name) {
  if (H5Aexists(file, name) <= 0) return "";
  const Handle attribute(H5Aopen(file, name, H5P_DEFAULT), H5Aclose);
  const Handle space(H5Aget_space(attribute), H5Sclose);
  if (!attribute || !space || H5Sget_simple_extent_npoints(space) != 1) return "";
  return text_of(
      Handle(H5Aget_type(attribute), H5Tclose),
      [&](hid_t type, void* to) { return H5Aread(attribute, type, to); },
      [&](hid_t type, void* from) { H5Dvlen_reclaim(type, space, H5P_DEFAULT, from); });
}

// ---- the XML header that both have ----

std::int64_t whole(double x, std::int64_t otherwise) {
  return x >= 1 && x < 1e6 ? static_cast<std::int64_t>(x) : otherwise;
}

struct Encoding {
  std::array<double, 3> matrix{}, fov_mm{};              // x readout, y, z; 0: not said
  std::array<double, 3> image_matrix{}, image_fov_mm{};  // of the reconstructed space
  std::optional<double> centre_1, centre_2;              // k-space line that is the zero frequency
  std::string trajectory;

  /// Of `length` encoded samples along x, y or z, those that the reconstructed field of view spans;
  /// where fields of view are not said, as many as its matrix has.
  std::int64_t kept(std::size_t axis, std::int64_t length) const {
    const double share = image_fov_mm[axis] / fov_mm[axis];
    if (std::isfinite(share) && share > 0)
      return std::clamp<std::int64_t>(std::llround(matrix[axis] * std::min(share, 1.0)), 1, length);
    return whole(image_matrix[axis], length);
  }
};

std::array<double, 3> three(const pugi::xml_node& node) {
  return {node.child("x").text().as_double(), node.child("y").text().as_double(),
          node.child("z").text().as_double()};
}

struct Xml {
  pugi::xml_document document;

  Xml(const std::string& text, const std::string& path) {
    if (!document.load_string(text.c_str()))
      throw DataError(path + ": the ISMRMRD header is no XML");
  }
  pugi::xml_node root() const { return document.child("ismrmrdHeader"); }

  Encoding encoding() const {
    Encoding e;
    const auto node = root().child("encoding");
    const auto space = node.child("encodedSpace"), image = node.child("reconSpace");
    e.matrix = three(space.child("matrixSize"));
    e.fov_mm = three(space.child("fieldOfView_mm"));
    e.image_matrix = three(image.child("matrixSize"));
    e.image_fov_mm = three(image.child("fieldOfView_mm"));
    e.trajectory = node.child("trajectory").text().as_string();
    const auto centre = [&](const char* name) -> std::optional<double> {
      const auto limit = node.child("encodingLimits").child(name).child("center");
      const double line = limit.text().as_double(-1);
      return limit && line >= 0 && line < 1e6 ? std::optional(line) : std::nullopt;
    };
    e.centre_1 = centre("kspace_encoding_step_1");
    e.centre_2 = centre("kspace_encoding_step_2");
    return e;
  }

  void describe(RawHeader& header) const {
    auto& a = header.acquisition;
    const auto sequence = root().child("sequenceParameters");
    const auto positive = [&](const char* name) -> std::optional<double> {
      const double x = sequence.child(name).text().as_double();
      return std::isfinite(x) && x > 0 ? std::optional(x) : std::nullopt;
    };
    a.tr_ms = positive("TR");
    a.te_ms = positive("TE");
    a.ti_ms = positive("TI");
    a.flip_deg = positive("flipAngle_deg");
    a.echo_spacing_ms = positive("echo_spacing");
    const auto system = root().child("acquisitionSystemInformation");
    if (const double field = system.child("systemFieldStrength_T").text().as_double();
        std::isfinite(field) && field > 0)
      a.field_t = field;
    const auto set = [&](const char* key, const std::string& value) {
      if (!value.empty()) header.attributes[key] = value;
    };
    set("manufacturer", system.child("systemVendor").text().as_string());
    set("model", system.child("systemModel").text().as_string());
    if (a.field_t) header.attributes["field_t"] = *a.field_t;
    set("sequence", sequence.child("sequence_type").text().as_string());
    const auto train = root().child("encoding").child("echoTrainLength").text().as_int();
    if (train > 0) a.echo_train = train;
  }
};

/// Voxel sizes of the encoded grid along columns (phase encoding), rows (readout) and slices;
/// where they are not said, 1 mm.
std::array<double, 3> spacing_of(const Encoding& e) {
  const auto size = [](double fov, double matrix) {
    return std::isfinite(fov / matrix) && fov / matrix > 0 ? fov / matrix : 1.0;
  };
  return {size(e.fov_mm[1], e.matrix[1]), size(e.fov_mm[0], e.matrix[0]),
          size(e.fov_mm[2], e.matrix[2])};
}

Handle complex_type() {
  Handle type(H5Tcreate(H5T_COMPOUND, sizeof(Complex)), H5Tclose);
  H5Tinsert(type, "r", 0, H5T_NATIVE_FLOAT);
  H5Tinsert(type, "i", sizeof(float), H5T_NATIVE_FLOAT);
  return type;
}

// ---- fastMRI: /kspace [slice, (coil,) readout, phase] of {r, i}, attributes, /ismrmrd_header ----

void read_fastmri_header(hid_t file, const std::string& path, std::uint64_t bytes,
                         RawHeader& header) {
  const Handle dataset(H5Dopen2(file, "kspace", H5P_DEFAULT), H5Dclose);
  const auto dims = dataset ? lengths(dataset) : std::vector<hsize_t>{};
  const Handle type(dataset ? H5Dget_type(dataset) : -1, H5Tclose);
  if (!type || H5Tget_class(type) != H5T_COMPOUND || H5Tget_member_index(type, "r") < 0 ||
      H5Tget_member_index(type, "i") < 0)
    throw DataError(path + ": kspace is not an array of complex numbers {r, i}");
  if (dims.size() != 3 && dims.size() != 4)
    throw DataError(path + ": kspace has " + std::to_string(dims.size()) +
                    " dimensions; want slice, coil (left out for one), readout, phase encoding");
  const auto length = [&](std::size_t i) {
    return static_cast<std::int64_t>(std::min<hsize_t>(dims[i], 1 << 20));
  };
  const auto last = dims.size() - 1;
  header.shape = {dims.size() == 4 ? length(1) : 1, length(0), length(last - 1), length(last)};
  require_size(header, bytes, true, path);
  Encoding encoding;
  if (const auto text = text_dataset(file, "ismrmrd_header"); !text.empty()) {
    const Xml xml(text, path);
    encoding = xml.encoding();
    xml.describe(header);
  }
  header.image_size = {header.shape[1], encoding.kept(0, header.shape[2]),
                       encoding.kept(1, header.shape[3])};
  for (const char* name : {"reconstruction_rss", "reconstruction_esc"})
    if (has(file, name)) {
      const Handle image(H5Dopen2(file, name, H5P_DEFAULT), H5Dclose);
      const auto size = image ? lengths(image) : std::vector<hsize_t>{};
      if (size.size() == 3)
        header.image_size = {header.shape[1], static_cast<std::int64_t>(size[1]),
                             static_cast<std::int64_t>(size[2])};
    }
  const auto acquisition = text_attribute(file, "acquisition");
  if (!acquisition.empty()) header.attributes["acquisition"] = acquisition;
  header.subject = text_attribute(file, "patient_id");
  // Arrays are stored upside down: their first row is inferior (coronal knees) or posterior (axial
  // brains). Which side is left is not said.
  const bool axial = acquisition.rfind("AX", 0) == 0;
  header.affine = centred_affine(spacing_of(encoding), axial ? "LAS" : "LSA", header.shape);
  header.acquisition.mode = Mode::two_d;
  header.acquisition.phase_encode_axis = 0;
  header.acquisition.slice_axis = 2;
}

void read_fastmri(hid_t file, const std::string& path, const RawHeader& header, Complex* samples) {
  const Handle dataset(H5Dopen2(file, "kspace", H5P_DEFAULT), H5Dclose);
  const auto memory_type = complex_type();
  const auto [coils, slices, rows, columns] = header.shape;
  const auto size = [](std::int64_t n) { return static_cast<hsize_t>(n); };
  std::vector<hsize_t> count = {1, size(coils), size(rows), size(columns)};
  if (lengths(dataset).size() == 3) count.erase(count.begin() + 1);
  std::vector<hsize_t> start(count.size(), 0);
  const Handle space(H5Dget_space(dataset), H5Sclose);
  const hsize_t all[] = {size(coils), size(slices), size(rows * columns)};
  const hsize_t slice[] = {all[0], 1, all[2]};
  const Handle memory(H5Screate_simple(3, all, nullptr), H5Sclose);
  for (hsize_t z = 0; z < all[1]; ++z) {
    start[0] = z;
    const hsize_t to[] = {0, z, 0};
    H5Sselect_hyperslab(space, H5S_SELECT_SET, start.data(), nullptr, count.data(), nullptr);
    H5Sselect_hyperslab(memory, H5S_SELECT_SET, to, nullptr, slice, nullptr);
    if (H5Dread(dataset, memory_type, memory, space, H5P_DEFAULT, samples) < 0)
      throw DataError(path + ": kspace cannot be read: damaged HDF5 file");
  }
}

// ---- ISMRMRD: /dataset/xml, /dataset/data [acquisition] of {head, traj, data} ----

/// What is used of an acquisition's head.
struct Head {
  std::uint64_t flags;
  std::uint16_t number_of_samples, active_channels, center_sample, encoding_space_ref;
  float position[3], read_dir[3], phase_dir[3], slice_dir[3];
  struct {
    std::uint16_t kspace_encode_step_1, kspace_encode_step_2, slice, contrast, phase, repetition,
        set;
  } idx;
};

Handle head_type() {
  const hsize_t three = 3;
  const Handle vector(H5Tarray_create2(H5T_NATIVE_FLOAT, 1, &three), H5Tclose);
  const Handle idx(H5Tcreate(H5T_COMPOUND, sizeof(Head::idx)), H5Tclose);
  using Idx = decltype(Head::idx);
  const auto counter = [&](const char* name, std::size_t offset) {
    H5Tinsert(idx, name, offset, H5T_NATIVE_UINT16);
  };
  counter("kspace_encode_step_1", offsetof(Idx, kspace_encode_step_1));
  counter("kspace_encode_step_2", offsetof(Idx, kspace_encode_step_2));
  counter("slice", offsetof(Idx, slice));
  counter("contrast", offsetof(Idx, contrast));
  counter("phase", offsetof(Idx, phase));
  counter("repetition", offsetof(Idx, repetition));
  counter("set", offsetof(Idx, set));
  Handle head(H5Tcreate(H5T_COMPOUND, sizeof(Head)), H5Tclose);
  H5Tinsert(head, "flags", offsetof(Head, flags), H5T_NATIVE_UINT64);
  H5Tinsert(head, "number_of_samples", offsetof(Head, number_of_samples), H5T_NATIVE_UINT16);
  H5Tinsert(head, "active_channels", offsetof(Head, active_channels), H5T_NATIVE_UINT16);
  H5Tinsert(head, "center_sample", offsetof(Head, center_sample), H5T_NATIVE_UINT16);
  H5Tinsert(head, "encoding_space_ref", offsetof(Head, encoding_space_ref), H5T_NATIVE_UINT16);
  H5Tinsert(head, "position", offsetof(Head, position), vector);
  H5Tinsert(head, "read_dir", offsetof(Head, read_dir), vector);
  H5Tinsert(head, "phase_dir", offsetof(Head, phase_dir), vector);
  H5Tinsert(head, "slice_dir", offsetof(Head, slice_dir), vector);
  H5Tinsert(head, "idx", offsetof(Head, idx), idx);
  return head;
}

/// Flags of ismrmrd.h, which counts bits from 1.
constexpr std::uint64_t flag(int bit) {
  return std::uint64_t{1} << (bit - 1);
}
constexpr std::uint64_t calibration_alone = flag(20), reversed = flag(22);
// Noise, navigator, phase correction, feedback, dummies, coil correction, phase stabilisation.
constexpr std::uint64_t no_image = flag(19) | flag(23) | flag(24) | flag(26) | flag(27) | flag(28) |
                                   flag(29) | flag(30) | flag(31);

bool is_imaging(const Head& head) {
  return (head.flags & (no_image | calibration_alone)) == 0 && head.encoding_space_ref == 0;
}

/// The heads of all acquisitions.
std::vector<Head> read_heads(hid_t dataset, const std::string& path) {
  const auto dims = lengths(dataset);  // [n], or [n, 1]
  const bool is_list = dims.size() == 1 || (dims.size() == 2 && (dims[0] == 1 || dims[1] == 1));
  if (!is_list) throw DataError(path + ": the acquisitions are no list");
  const hsize_t n = std::max(dims.front(), dims.back());
  if (n > 1 << 24 || dims.front() == 0 || dims.back() == 0)
    throw DataError(path + ": holds " + std::to_string(n) + " acquisitions");
  std::vector<Head> heads(n);
  const auto head = head_type();
  const Handle type(H5Tcreate(H5T_COMPOUND, sizeof(Head)), H5Tclose);
  H5Tinsert(type, "head", 0, head);
  if (H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, heads.data()) < 0)
    throw DataError(path + ": the acquisitions cannot be read: damaged, or no ISMRMRD file");
  return heads;
}

/// Where the slices lie, by their number in the file: sorted along their normal.
struct SliceOrder {
  std::map<int, std::int64_t> place;  // in the volume
  std::array<double, 3> first_lps{};  // centre of the first slice
  double step_mm = 0;                 // 0: one slice
};

double along(const Head& head) {
  double sum = 0;
  for (std::size_t c = 0; c < 3; ++c)
    sum += static_cast<double>(head.position[c]) * static_cast<double>(head.slice_dir[c]);
  return sum;
}

SliceOrder order_slices(const std::vector<Head>& heads) {
  std::map<int, const Head*> first_of;
  for (const auto& head : heads)
    if (is_imaging(head)) first_of.emplace(head.idx.slice, &head);
  std::vector<std::pair<int, const Head*>> slices(first_of.begin(), first_of.end());
  std::stable_sort(slices.begin(), slices.end(), [](const auto& a, const auto& b) {
    return along(*a.second) < along(*b.second);
  });
  SliceOrder order;
  for (std::size_t k = 0; k < slices.size(); ++k)
    order.place[slices[k].first] = static_cast<std::int64_t>(k);
  if (slices.empty()) return order;
  std::copy(std::begin(slices[0].second->position), std::end(slices[0].second->position),
            order.first_lps.begin());
  if (slices.size() > 1)
    order.step_mm = (along(*slices.back().second) - along(*slices[0].second)) /
                    static_cast<double>(slices.size() - 1);
  return order;
}

/// Columns run along phase_dir, rows along read_dir [LPS]; spacing alone where directions are no
/// three perpendicular unit vectors.
Affine ismrmrd_affine(const Head& head, const SliceOrder& order, std::array<double, 3> spacing,
                      const RawHeader& header) {
  if (order.step_mm > 0) spacing[2] = order.step_mm;
  const std::array<const float*, 3> directions = {head.phase_dir, head.read_dir, head.slice_dir};
  for (std::size_t a = 0; a < 3; ++a)
    for (std::size_t b = a; b < 3; ++b) {
      double dot = 0;
      for (std::size_t c = 0; c < 3; ++c)
        dot += static_cast<double>(directions[a][c]) * static_cast<double>(directions[b][c]);
      if (!(std::fabs(dot - (a == b)) <= 1e-3)) return centred_affine(spacing, "LPS", header.shape);
    }
  Affine affine{};
  for (std::size_t r = 0; r < 3; ++r) {
    const double sign = r < 2 ? -1 : 1;
    affine[r][3] = sign * order.first_lps[r];
    for (std::size_t axis = 0; axis < 3; ++axis) {
      affine[r][axis] = sign * static_cast<double>(directions[axis][r]) * spacing[axis];
      const bool centred = axis < 2 || header.acquisition.mode == Mode::three_d;
      if (centred)
        affine[r][3] -= affine[r][axis] * static_cast<double>(header.shape[3 - axis] / 2);
    }
  }
  affine[3][3] = 1;
  return affine;
}

void require_one(const std::vector<Head>& heads, const std::string& path) {
  const Head* first = nullptr;
  for (const auto& head : heads) {
    if (!is_imaging(head)) continue;
    if (!first) first = &head;
    for (std::size_t c = 0; c < 3; ++c)
      if (!std::isfinite(head.position[c]) || !std::isfinite(head.slice_dir[c]))
        throw DataError(path + ": an acquisition's position is not finite");
    const auto differ = [&](const char* what, auto a, auto b) {
      if (a != b) throw DataError(path + ": acquisitions of several " + what + "; want one image");
    };
    differ("contrasts", head.idx.contrast, first->idx.contrast);
    differ("phases", head.idx.phase, first->idx.phase);
    differ("repetitions", head.idx.repetition, first->idx.repetition);
    differ("sets", head.idx.set, first->idx.set);
    differ("numbers of channels", head.active_channels, first->active_channels);
    if ((head.flags & reversed) != 0)
      throw DataError(path + ": lines that were read backwards (EPI) are not handled");
  }
  if (!first) throw DataError(path + ": holds no acquisition of an image");
}

Handle open_acquisitions(hid_t file, const std::string& path) {
  Handle dataset(H5Dopen2(file, "dataset/data", H5P_DEFAULT), H5Dclose);
  const Handle type(dataset ? H5Dget_type(dataset) : -1, H5Tclose);
  if (!type || H5Tget_class(type) != H5T_COMPOUND || H5Tget_member_index(type, "head") < 0 ||
      H5Tget_member_index(type, "data") < 0)
    throw DataError(path + ": dataset/data holds no ISMRMRD acquisitions");
  return dataset;
}

void read_ismrmrd_header(hid_t file, const std::string& path, std::uint64_t bytes,
                         RawHeader& header) {
  const Xml xml(text_dataset(file, "dataset/xml"), path);
  const auto encoding = xml.encoding();
  if (encoding.trajectory != "cartesian")
    throw DataError(path + ": a " +
                    (encoding.trajectory.empty() ? "nameless" : encoding.trajectory.substr(0, 20)) +
                    " trajectory; want a Cartesian one");
  const auto dataset = open_acquisitions(file, path);
  const auto heads = read_heads(dataset, path);
  require_one(heads, path);
  const auto first = std::find_if(heads.begin(), heads.end(), is_imaging);
  const auto order = order_slices(heads);
  const auto depth = whole(encoding.matrix[2], 1);
  const auto slices = static_cast<std::int64_t>(order.place.size());
  if (depth > 1 && slices > 1) throw DataError(path + ": a second phase encode and several slices");
  header.acquisition.mode = depth > 1 ? Mode::three_d : Mode::two_d;
  header.shape = {first->active_channels, std::max(depth, slices),
                  whole(encoding.matrix[0], first->number_of_samples),
                  whole(encoding.matrix[1], 0)};
  require_size(header, bytes, true, path);
  header.image_size = {depth > 1 ? encoding.kept(2, depth) : slices,
                       encoding.kept(0, header.shape[2]), encoding.kept(1, header.shape[3])};
  xml.describe(header);
  header.acquisition.phase_encode_axis = 0;
  header.acquisition.slice_axis = 2;
  header.affine = ismrmrd_affine(*first, order, spacing_of(encoding), header);
}

/// Adds one line to its place; `seen` counts how often each was measured.
void add_line(const Head& head, const hvl_t& line, const Encoding& encoding,
              const SliceOrder& order, const RawHeader& header, Complex* samples,
              std::vector<std::uint16_t>& seen, const std::string& path) {
  const auto [coils, slices, rows, columns] = header.shape;
  const auto centred = [](int step, const std::optional<double>& centre, std::int64_t n) {
    return centre ? step - static_cast<std::int64_t>(*centre) + n / 2 : std::int64_t{step};
  };
  const auto column = centred(head.idx.kspace_encode_step_1, encoding.centre_1, columns);
  const auto slice = header.acquisition.mode == Mode::three_d
                         ? centred(head.idx.kspace_encode_step_2, encoding.centre_2, slices)
                         : order.place.at(head.idx.slice);
  const std::int64_t n = head.number_of_samples;
  // An echo that is not in the middle of its line is put there.
  const std::int64_t centre = head.center_sample > 0 ? head.center_sample : n / 2;
  const std::int64_t row = rows / 2 - centre;
  if (column < 0 || column >= columns || slice < 0 || slice >= slices)
    throw DataError(path + ": line " + std::to_string(head.idx.kspace_encode_step_1) + ", " +
                    std::to_string(head.idx.kspace_encode_step_2) +
                    " lies outside the encoded matrix");
  if (line.len != static_cast<std::size_t>(2 * n * coils))
    throw DataError(path + ": a line of " + std::to_string(line.len / 2) +
                    " samples; its head says " + std::to_string(n) + " of " +
                    std::to_string(coils) + " channels");
  const auto* values = static_cast<const float*>(line.p);
  for (std::int64_t c = 0; c < coils; ++c)
    for (std::int64_t s = std::max<std::int64_t>(0, -row); s < n && row + s < rows; ++s) {
      const auto* value = values + 2 * (c * n + s);
      samples[((c * slices + slice) * rows + row + s) * columns + column] +=
          Complex(value[0], value[1]);
    }
  ++seen[static_cast<std::size_t>(slice * columns + column)];
}

void read_ismrmrd(hid_t file, const std::string& path, const RawHeader& header, Complex* samples) {
  const auto encoding = Xml(text_dataset(file, "dataset/xml"), path).encoding();
  const auto dataset = open_acquisitions(file, path);
  const auto heads = read_heads(dataset, path);
  const auto order = order_slices(heads);
  const Handle floats(H5Tvlen_create(H5T_NATIVE_FLOAT), H5Tclose);
  const Handle type(H5Tcreate(H5T_COMPOUND, sizeof(hvl_t)), H5Tclose);
  H5Tinsert(type, "data", 0, floats);
  const auto dims = lengths(dataset);
  const Handle space(H5Dget_space(dataset), H5Sclose);
  const auto [coils, slices, rows, columns] = header.shape;
  std::vector<std::uint16_t> seen(static_cast<std::size_t>(slices * columns));
  for (std::size_t i = 0; i < heads.size(); ++i) {
    if (!is_imaging(heads[i])) continue;
    std::vector<hsize_t> start(dims.size(), 0), count(dims.size(), 1);
    start[dims[0] > 1 || dims.size() == 1 ? 0 : 1] = i;  // [n], or [n, 1]
    H5Sselect_hyperslab(space, H5S_SELECT_SET, start.data(), nullptr, count.data(), nullptr);
    const hsize_t one = 1;
    const Handle memory(H5Screate_simple(1, &one, nullptr), H5Sclose);
    hvl_t line{0, nullptr};
    if (H5Dread(dataset, type, memory, space, H5P_DEFAULT, &line) < 0)
      throw DataError(path + ": an acquisition cannot be read: damaged HDF5 file");
    try {
      add_line(heads[i], line, encoding, order, header, samples, seen, path);
    } catch (const DataError&) {
      H5Dvlen_reclaim(type, memory, H5P_DEFAULT, &line);
      throw;
    }
    H5Dvlen_reclaim(type, memory, H5P_DEFAULT, &line);
  }
  for (std::int64_t c = 0; c < coils; ++c)  // averages
    for (std::int64_t z = 0; z < slices; ++z)
      for (std::int64_t x = 0; x < columns; ++x)
        if (const auto n = seen[static_cast<std::size_t>(z * columns + x)]; n > 1)
          for (std::int64_t y = 0; y < rows; ++y)
            samples[((c * slices + z) * rows + y) * columns + x] /= static_cast<float>(n);
}

RawHeader header_of(const std::string& path) {
  const auto file = open_file(path);
  std::error_code error;
  const auto bytes = std::filesystem::file_size(path, error);
  RawHeader header;
  if (has(file, "kspace"))
    read_fastmri_header(file, path, bytes, header);
  else if (has(file, "dataset") && has(file, "dataset/data") && has(file, "dataset/xml"))
    read_ismrmrd_header(file, path, bytes, header);
  else
    throw DataError(path +
                    ": HDF5 without k-space: want kspace (fastMRI), or dataset/data and "
                    "dataset/xml (ISMRMRD)");
  for (std::size_t i = 0; i < 3; ++i)
    header.image_size[i] = std::clamp<std::int64_t>(header.image_size[i], 1, header.shape[i + 1]);
  return header;
}

Json to_json(const RawHeader& header) {
  return {{"shape", header.shape},           {"image_size", header.image_size},
          {"affine", header.affine},         {"acquisition", to_json(header.acquisition)},
          {"attributes", header.attributes}, {"subject", header.subject}};
}

RawHeader header_from_json(const Json& object, const std::string& path) {
  RawHeader header;
  header.shape = object.at("shape").get<std::array<std::int64_t, 4>>();
  header.image_size = object.at("image_size").get<std::array<std::int64_t, 3>>();
  header.affine = object.at("affine").get<Affine>();
  header.acquisition = merge_acquisition({}, object.at("acquisition"), path);
  header.attributes = object.at("attributes");
  header.subject = object.at("subject");
  return header;
}

}  // namespace

// HDF5 1.10 crashes on damaged files: it is called in processes of their own.

RawHeader read_hdf5_header(const std::string& path) {
  Child child(path, [&](const ByteSink& sink) { sink(to_line(to_json(header_of(path)))); });
  const auto text = child.read_all();
  child.finish();
  return header_from_json(parse_json(text, path), path);
}

void read_hdf5(const std::string& path, const RawHeader& header, Complex* samples) {
  const auto n = static_cast<std::size_t>(header.shape[0] * header.shape[1] * header.shape[2] *
                                          header.shape[3]);
  Child child(path, [&](const ByteSink& sink) {
    const auto file = open_file(path);
    if (has(file, "kspace"))
      read_fastmri(file, path, header, samples);  // of the child's memory
    else
      read_ismrmrd(file, path, header, samples);
    sink({reinterpret_cast<const char*>(samples), n * sizeof(Complex)});
  });
  child.read(samples, n * sizeof(Complex));
  child.finish();
}

}  // namespace mr::image
