// What the artifacts do to the images: fidelity by condition, and the contact sheet.
#include <algorithm>
#include <map>

#include "base/json.h"
#include "base/text.h"
#include "image/png.h"
#include "report/format.h"
#include "report/sections.h"

namespace mr::report {
namespace {

struct Measure {
  const char* key;  // member of a result's fidelity
  const char* column;
  double factor;
  int decimals;
};
constexpr Measure measures[] = {{"gain", "Gain", 1, 3},
                                {"nrmse", "NRMSE [%]", 100, 1},
                                {"nrmse_matched", "E [%]", 100, 1},
                                {"ssim", "SSIM", 1, 3},
                                {"psnr_db", "PSNR [dB]", 1, 1}};

Cell measure_cell(const Json& fidelity, const Measure& measure) {
  const auto found = fidelity.find(measure.key);
  if (found == fidelity.end() || !found->is_number())
    return {no_number, "not recorded, or not finite"};
  return {minus_sign(fixed(measure.factor * found->get<double>(), measure.decimals))};
}

std::optional<Table> fidelity_table(const Scope& scope) {
  Table table;
  table.heads = 2;
  table.title = "Image fidelity";
  table.caption =
      "Medians over the images that were changed, against the clean image, in the foreground. "
      "Gain: least-squares scale "
      "of the corrupted image. E: NRMSE after that gain is divided out. Equal numbers are not "
      "equal damage to a diagnosis: artifacts are not to be ranked by them.";
  table.columns = {"Artifact", "Severity"};
  for (const auto& measure : measures) table.columns.push_back(measure.column);
  for (const auto& condition : scope.study.conditions()) {
    const auto fidelity = scope.study.fidelity(condition);
    if (condition.kind == results::Kind::clean || !fidelity.is_object() || fidelity.empty())
      continue;
    const bool graded = condition.kind == results::Kind::artifact;
    std::vector<Cell> row = {{graded ? condition.artifact : condition_name(condition)},
                             {graded ? shortest(condition.severity) : no_number}};
    for (const auto& measure : measures) row.push_back(measure_cell(fidelity, measure));
    table.rows.push_back(row);
  }
  if (table.rows.empty()) return {};
  return table;
}

/// Thumbnails of one sample: at artifact and severity; 0 for what has no severity.
using Sheet = std::map<std::pair<std::string, double>, std::string>;

ContactSheet::Image image_of(const Sheet& sheet, const std::string& row, double column,
                             const std::string& alt) {
  const auto found = sheet.find({row, column});
  return found == sheet.end() ? ContactSheet::Image{} : ContactSheet::Image{found->second, alt};
}

constexpr int contrast = 2;  // of differences, which are small

/// What was added to the clean picture x (brighter than mid-grey) or taken from it; "" where the
/// corrupted one is missing or of another size.
std::string difference_png(const image::GreyPicture& x, const Sheet& sheet,
                           const std::string& artifact, double severity) {
  const auto corrupted = sheet.find({artifact, severity});
  if (corrupted == sheet.end()) return "";
  auto y = image::decode_png(corrupted->second, "thumbnail of " + artifact);
  if (x.width != y.width || x.height != y.height) return "";
  for (std::size_t i = 0; i < y.pixels.size(); ++i)
    y.pixels[i] = static_cast<std::uint8_t>(
        std::clamp(128 + contrast * (int{y.pixels[i]} - int{x.pixels[i]}), 0, 255));
  return image::encode_png(y.pixels, y.width, y.height);
}

ContactSheet contact_sheet(const Scope& scope, const std::string& sample, const Sheet& sheet) {
  ContactSheet block;
  block.title = "Contact sheet: " + sample;
  block.caption =
      "The same slice under every artifact (rows) and severity (columns), in the grey scale of the "
      "clean one; and below each its difference from that, at twice the contrast: mid-grey is no "
      "difference, brighter is added, darker is lost.";
  const auto of_clean = sheet.find({"clean", 0});
  const bool clean = of_clean != sheet.end();
  const auto x =
      clean ? image::decode_png(of_clean->second, "thumbnail of clean") : image::GreyPicture();
  if (clean) block.columns.push_back("clean");
  for (const double s : scope.severities) block.columns.push_back(shortest(s));
  for (const auto& artifact : scope.artifacts) {
    std::vector<ContactSheet::Image> images;
    if (clean) images.push_back(image_of(sheet, "clean", 0, sample + ", clean"));
    for (const double s : scope.severities)
      images.push_back(
          image_of(sheet, artifact, s, sample + ", " + artifact + ", severity " + shortest(s)));
    block.rows.emplace_back(artifact, images);
    if (!clean) continue;
    std::vector<ContactSheet::Image> differences(1);
    for (const double s : scope.severities)
      differences.push_back(
          {difference_png(x, sheet, artifact, s),
           sample + ", " + artifact + ", severity " + shortest(s) + ", minus clean"});
    block.rows.emplace_back(artifact + " − clean", differences);
  }
  for (const auto& condition : scope.others) {
    const auto name = condition_name(condition);
    block.rows.push_back({name, {image_of(sheet, name, 0, sample + ", " + name)}});
  }
  if (scope.artifacts.empty() && scope.others.empty())
    block.rows.push_back({"", {image_of(sheet, "clean", 0, sample + ", clean")}});
  return block;
}

std::vector<ContactSheet> contact_sheets(const Scope& scope) {
  std::vector<std::string> samples;  // in order of appearance
  std::map<std::string, Sheet> sheets;
  for (const auto& thumbnail : scope.study.thumbnails()) {
    if (std::find(samples.begin(), samples.end(), thumbnail.sample_id) == samples.end())
      samples.push_back(thumbnail.sample_id);
    const auto& c = thumbnail.condition;
    const bool graded = c.kind == results::Kind::artifact;
    sheets[thumbnail.sample_id]
          [{graded ? c.artifact : condition_name(c), graded ? c.severity : 0}] = thumbnail.png;
  }
  std::vector<ContactSheet> blocks;
  for (const auto& sample : samples)
    blocks.push_back(contact_sheet(scope, sample, sheets.at(sample)));
  return blocks;
}

}  // namespace

Section image_changes(const Scope& scope) {
  Section section{"images", "What the artifacts do to the images", {}};
  for (auto& sheet : contact_sheets(scope)) section.blocks.emplace_back(std::move(sheet));
  if (auto table = fidelity_table(scope)) section.blocks.emplace_back(std::move(*table));
  return section;
}

}  // namespace mr::report
