// What holds for every artifact of the catalogue.
#include <algorithm>
#include <cmath>

#include "artifact_samples.h"
#include "base/error.h"

#include "check.h"

using namespace mr::artifact;
using namespace samples;

namespace {

/// What changes of contrast must know.
Volume with_times(Volume v) {
  v.acquisition.te_ms = 30;
  v.acquisition.ti_ms = 150;
  v.acquisition.flip_deg = 20;
  v.acquisition.tr_ms = 2500;
  v.acquisition.field_t = 3;
  return v;
}

/// Even sizes, which the N/2 ghost needs; several slices.
Volume flat() {
  return with_times(two_d({1, 6, 24, 36}));
}
Volume deep() {
  return with_times(three_d({1, 16, 24, 18}));
}

/// Rows of ours; those of the published parametrisation are faulty on purpose.
std::vector<Row> rows() {
  std::vector<Row> ours;
  for (const auto& row : catalogue())
    if (row.name.rfind("ref-", 0) != 0) ours.push_back(row);
  return ours;
}

/// Artifacts of single slices are refused where the encoding is 3-D: none is excited there.
bool takes(const Row& row, const Volume& image) {
  return row.name.rfind("slice-", 0) != 0 || image.acquisition.mode == Mode::two_d;
}

/// Displacements of many voxels come round to the other end of such small images, or half round.
std::vector<Volume> wide_enough(const Row& row) {
  if (row.name == "chemical-shift" || row.name == "epi-distortion" || row.name == "sense-maps")
    return {two_d({1, 2, 96, 80}), three_d({1, 2, 96, 80})};
  return {flat(), deep()};
}

std::string at(const Row& row, int level) {
  return row.name + ":" + std::to_string(level);
}

}  // namespace

TEST_CASE("severity 0 returns the input bit for bit, and needs no map") {
  for (const auto& row : rows())
    for (const auto& image : {flat(), deep(), with_phase(flat())}) {
      CAPTURE(row.name);
      auto volume = image;
      const auto record =
          corrupt(volume, recipe({at(row, 0)}), measure_facts(image), {1, "a", std::nullopt});
      CHECK(same_bits(volume, image));
      CHECK(record[0]["slices"] == "none");
    }
}

TEST_CASE("level 3 changes the image, and gives finite magnitudes") {
  for (const auto& row : rows())
    for (const auto& image : {flat(), deep()}) {
      CAPTURE(row.name);
      if (!takes(row, image)) continue;
      CAPTURE(image.shape()[1]);
      const auto result = corrupted(image, at(row, 3));
      CHECK(!same_bits(result.volume, image));
      // gaussian on a real image is the noise of a signed real part.
      const bool is_signed = row.name == "gaussian";
      for (const float x : result.volume.voxels)
        REQUIRE((std::isfinite(x) && (is_signed || x >= 0)));
    }
}

TEST_CASE("a complex image stays complex, whatever is done to it") {
  for (const auto& row : rows()) {
    CAPTURE(row.name);
    const auto result = corrupted(with_phase(flat()), at(row, 3));
    CHECK(result.volume.is_complex());
    for (const auto& x : result.volume.complex_voxels)
      REQUIRE((std::isfinite(x.real()) && std::isfinite(x.imag())));
  }
}

TEST_CASE("1, 2 and 12 threads give the same bits, and so does every repetition") {
  for (const auto& row : rows())
    for (const auto& image : {flat(), deep()}) {
      CAPTURE(row.name);
      if (!takes(row, image)) continue;
      const auto r = recipe({at(row, 4)});
      const auto one = corrupted(image, r, 1, "a", 1);
      for (const int threads : {2, 12, 12})
        CHECK(same_bits(corrupted(image, r, 1, "a", threads).volume, one.volume));
    }
}

TEST_CASE("one slice alone has the bits it has within its volume") {
  for (const auto& row : rows())
    for (const auto& image : {flat(), deep()}) {
      CAPTURE(row.name);
      if (!takes(row, image)) continue;
      const auto r = recipe({at(row, 4)});
      if (!in_plane(r, image)) continue;
      const auto facts = measure_facts(image);
      const auto whole = corrupted(image, r).volume;
      const auto plane = image.shape()[2] * image.shape()[3];
      for (const std::int64_t slice : {0, 3, 5}) {
        auto alone = image;
        samples::corrupt_slice(alone, slice, r, facts, {1, "a", std::nullopt}, maps(image));
        CHECK(std::equal(alone.voxels.begin() + slice * plane,
                         alone.voxels.begin() + (slice + 1) * plane,
                         whole.voxels.begin() + slice * plane));
      }
    }
}

/// A series of which no frame is another times a number, nor covers as much as they do together.
Volume series(Volume image) {
  const auto one = image.voxels;
  auto shape = image.shape();
  shape[0] = 3;
  image.voxels = mr::Array<float>(shape);
  for (std::int64_t i = 0; i < image.voxels.size(); ++i)
    image.voxels[i] = one[i % one.size()] * (1 + 0.2f * static_cast<float>(i / one.size())) +
                      static_cast<float>((i * 7919) % 23);
  const auto columns = shape[3], rows = shape[2];
  for (std::int64_t i = 0; i < image.voxels.size(); ++i) {
    const auto x = i % columns, y = i / columns % rows, frame = i / one.size();
    if ((frame == 1 && x < columns / 2) || (frame == 2 && y > rows / 2)) image.voxels[i] = 0;
  }
  image.acquisition.dim4 = "time";
  return image;
}

Volume frame_of(const Volume& series, std::int64_t frame) {
  auto one = series;
  auto shape = series.shape();
  shape[0] = 1;
  one.voxels = mr::Array<float>(shape);
  std::copy_n(series.voxels.begin() + frame * one.voxels.size(), one.voxels.size(),
              one.voxels.begin());
  return one;
}

TEST_CASE("frames one by one have the bits, the records and the fidelity that they have together") {
  int tried = 0;
  for (const auto& row : rows())
    for (const auto& image : {series(flat()), series(deep())}) {
      CAPTURE(row.name);
      if (!takes(row, image)) continue;
      const auto r = recipe({at(row, 4)});
      if (!frame_by_frame(r)) continue;
      ++tried;
      const auto whole = corrupted(image, r);
      const auto facts_of_all = measure_facts(image);
      FactsMeter meter(mr::count(image.shape()));
      while (meter.next_pass())
        for (std::int64_t f = 0; f < 3; ++f) meter.add(frame_of(image, f));
      auto facts = meter.facts();
      CHECK(facts.signal == facts_of_all.signal);
      CHECK(facts.peak == facts_of_all.peak);
      CHECK(facts.object == facts_of_all.object);
      mr::Json record;
      FidelityMeter fidelity;
      for (std::int64_t f = 0; f < 3; ++f) {
        const auto clean = frame_of(image, f);
        auto one = clean;
        find_foreground(one, facts);
        append_record(record,
                      corrupt(one, r, facts, {1, "a", std::nullopt, {}, f, 3}, 1, maps(one)));
        CHECK(one.voxels == frame_of(whole.volume, f).voxels);
        fidelity.add(clean, one, facts);
      }
      CHECK(record == whole.record);
      CHECK(to_json(fidelity.fidelity()) == to_json(compare(image, whole.volume, facts_of_all)));
    }
  CHECK(tried > 100);
}

TEST_CASE("an image x 1000 gives the result x 1000") {
  for (const auto& row : rows()) {
    CAPTURE(row.name);
    auto bright = flat();
    for (auto& x : bright.voxels) x *= 1000;
    const auto plain = corrupted(flat(), at(row, 3)), scaled = corrupted(bright, at(row, 3));
    CHECK(distance(plain.volume, scaled.volume, 1000) < 1e-5 * norm(scaled.volume));
  }
}

/// NRMSE in the foreground; of burnt-in text over the whole image, since text begins in the
/// corners, over air.
double damage(const Row& row, const Volume& clean, const Volume& corrupted, const Facts& facts) {
  return row.name == "burnt-in-text" ? distance(clean, corrupted) / norm(clean)
                                     : compare(clean, corrupted, facts).nrmse;
}

TEST_CASE("damage grows with the level: levels scale one draw") {
  for (const auto& row : rows())
    for (const auto& image : wide_enough(row)) {
      CAPTURE(row.name);
      if (!takes(row, image)) continue;
      if (row.name == "orientation") continue;  // has no degrees
      CAPTURE(image.shape()[1]);
      // Six slices hold less than one of level 5: no stack is left whose damage could grow.
      if (row.name == "thick-slice" && image.shape()[1] < 12) continue;
      // Of 432 voxels a hundredth are 4 bytes, and of that nothing is left to lose.
      if (row.name == "jpeg2000" && image.shape()[3] < 20) continue;
      const auto facts = measure_facts(image);
      double before = 0;
      for (int level = 1; level <= 5; ++level) {
        CAPTURE(level);
        double sum = 0;
        for (const std::string unit : {"a", "b", "c", "d", "e", "f"})
          sum += damage(row, image, corrupted(image, at(row, level), 1, unit).volume, facts);
        CHECK(sum > before);
        before = sum;
      }
    }
}

TEST_CASE("images of one slice, of odd sizes, and of axes of one pixel are taken or refused") {
  for (const auto& row : rows())
    for (const mr::Shape& shape :
         {mr::Shape{1, 1, 24, 36}, mr::Shape{1, 3, 23, 35}, mr::Shape{1, 4, 1, 16},
          mr::Shape{1, 4, 16, 1}, mr::Shape{1, 2, 2, 2}}) {
      CAPTURE(row.name);
      CAPTURE(shape[2]);
      CAPTURE(shape[3]);
      for (const bool volumetric : {false, true}) {
        auto image = volumetric ? three_d(shape) : two_d(shape);
        image.voxels[0] = 2000;  // a foreground, however small
        try {
          for (const float x : corrupted(image, at(row, 3)).volume.voxels)
            REQUIRE(std::isfinite(x));
        } catch (const mr::DataError& e) {
          CHECK(std::string(e.what()).find(row.name) != std::string::npos);
        }
      }
    }
}

TEST_CASE("a map that is missing, or of another grid, is named together with how to give it") {
  for (const auto& row : rows()) {
    const auto needed = needed_maps(recipe({at(row, 2)}));
    if (needed.empty()) continue;
    CAPTURE(row.name);
    auto image = flat();
    const auto facts = measure_facts(image);
    const auto name = map_name(needed[0]);
    const auto wanted = row.name + ": needs a map of the image: give it as maps." + name +
                        " in the manifest, or --map " + name + "=FILE";
    CHECK_THROWS_WITH_AS(corrupt(image, recipe({at(row, 2)}), facts, {}), wanted.c_str(),
                         mr::DataError);
    CHECK_THROWS_AS(corrupt(image, recipe({at(row, 2)}), facts, {}, 1, maps(deep())),
                    mr::DataError);
  }
}
