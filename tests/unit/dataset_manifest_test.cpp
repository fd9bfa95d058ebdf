#include <set>
#include <sstream>

#include "base/json.h"
#include "base/text.h"
#include "check.h"
#include "dataset/check.h"
#include "dataset/manifest.h"
#include "dataset/slices.h"
#include "dataset/split.h"
#include "dataset/table.h"
using namespace mr::dataset;

namespace {

ManifestReader reader_of(const std::string& text, const std::string& root = "/data") {
  return {std::make_unique<std::istringstream>(text), "m.json", root};
}

std::vector<ImageEntry> entries_of(const std::string& text) {
  auto reader = reader_of(text);
  std::vector<ImageEntry> entries;
  for (ImageEntry entry; reader.next(entry);) entries.push_back(entry);
  return entries;
}

/// What is wrong with a document, "" where nothing is.
std::string complaint(const std::string& text) {
  try {
    entries_of(text);
    return "";
  } catch (const mr::DataError& e) {
    return e.what();
  }
}

std::string document(const std::string& images,
                     const std::string& labels = R"([{"name":"acl"},{"name":"meniscus"}])") {
  return R"({"schema":"mr-manifest/1","labels":)" + labels + R"(,"images":[)" + images +
         R"(],"provenance":[{"tool":"hand"}]})";
}

std::string image_with(const std::string& members) {
  return R"({"id":"a","subject":"s","file":"a.nii")" + members + "}";
}

const char* const full = R"({"id":"a/b","subject":"7","split":"val",
  "attributes":{"site":"x","field_t":1.5},"file":"a/b.nii.gz","mask":"../m/b.nii.gz",
  "phase":"/abs/p.nii","maps":{"fat":"f.nii"},"acquisition":{"mode":"2d","phase_encode_axis":"i-"},
  "samples":[{"slice":{"axis":"k","index":3},"labels":[1,null]},{"labels":[0,1]}],
  "source":"clean.nii","artifacts":[{"artifact":"motion","severity":3}],"mine":{"kept":[1,"ä"]}})";

std::string written(const std::vector<ImageEntry>& entries, const std::string& folder) {
  std::string text;
  ManifestWriter writer([&](std::string_view bytes) { text += bytes; }, {{"acl"}, {"meniscus"}},
                        folder);
  for (const auto& entry : entries) writer.write(entry);
  writer.finish(mr::Json::array({{{"tool", "hand"}}}), {{"note", "mine"}});
  return text;
}

}  // namespace

TEST_CASE("every member of an image is read, and paths become absolute") {
  const auto entry = entries_of(document(full)).at(0);
  CHECK(entry.id == "a/b");
  CHECK(entry.subject == "7");
  CHECK(entry.split == "val");
  CHECK(entry.attributes["field_t"] == 1.5);
  CHECK(entry.file == "/data/a/b.nii.gz");
  CHECK(entry.mask == "/m/b.nii.gz");
  CHECK(entry.phase == "/abs/p.nii");
  CHECK(entry.maps["fat"] == "/data/f.nii");
  CHECK(entry.source == "/data/clean.nii");
  REQUIRE(entry.samples.size() == 2);
  CHECK(entry.samples[0].slice->axis == 2);
  CHECK(entry.samples[0].slice->index == 3);
  CHECK(entry.samples[0].labels == std::vector<int>{1, unknown_label});
  CHECK_FALSE(entry.samples[1].slice);
  CHECK(sample_id(entry, entry.samples[0]) == "a/b/k3");
  CHECK(sample_id(entry, entry.samples[1]) == "a/b");
  CHECK(entry.extra["mine"]["kept"][1] == "ä");
}

TEST_CASE("what is written reads back the same, with absolute and with relative paths") {
  const auto entries = entries_of(document(std::string(full) + "," + image_with("")));
  for (const std::string folder : {"", "/data", "/data/deeper", "/"}) {
    CAPTURE(folder);
    auto reader = reader_of(written(entries, folder), folder);
    for (const auto& entry : entries) {
      ImageEntry again;
      REQUIRE(reader.next(again));
      CHECK(to_json(again, "") == to_json(entry, ""));
    }
    ImageEntry none;
    CHECK_FALSE(reader.next(none));
    CHECK_FALSE(reader.next(none));
    CHECK(reader.provenance().size() == 1);
    CHECK(reader.extra() == mr::Json{{"note", "mine"}});
    CHECK(reader.labels()[1] == Label{"meniscus"});
  }
  CHECK(to_json(entries[0], "/data/deeper")["file"] == "../a/b.nii.gz");
}

TEST_CASE("a manifest is one image a line") {
  const auto text = written(entries_of(document(std::string(full) + "," + image_with(""))), "");
  const auto lines = mr::split(text, '\n');
  REQUIRE(lines.size() > 6);
  CHECK(lines[0] == R"({"schema":"mr-manifest/1",)");
  CHECK(lines[3].substr(0, 11) == R"({"id":"a/b")");
  CHECK(lines[4].substr(0, 9) == R"({"id":"a")");
  CHECK(lines[5] == "],");
}

TEST_CASE("layout does not matter: indented or without any white space") {
  const auto compact = written(entries_of(document(std::string(full) + "," + image_with(""))), "");
  const auto whole = mr::Json::parse(compact);
  for (const auto& text : {whole.dump(), whole.dump(4), "\n\t " + whole.dump(1, '\t') + "\r\n\n"}) {
    const auto entries = entries_of(text);
    CHECK(written(entries, "") == compact);
  }
}

TEST_CASE("the hash is that of the whole document, whatever its size") {
  std::string images = image_with("");
  for (int i = 0; i < 3000; ++i) images += "," + image_with("");  // several blocks
  const auto text = document(images) + "\n\n";
  auto reader = reader_of(text);
  for (ImageEntry entry; reader.next(entry);) {
  }
  CHECK(reader.sha256() == mr::sha256_hex(text));
}

TEST_CASE("a document that was cut anywhere is refused") {
  const auto text = written(entries_of(document(std::string(full) + "," + image_with(""))), "");
  const auto whole = text.substr(0, text.size() - 1);  // the last newline is not needed
  REQUIRE(complaint(whole).empty());
  for (std::size_t n = 0; n < whole.size(); ++n) {
    CAPTURE(whole.substr(0, n));
    CHECK(complaint(whole.substr(0, n)).find("m.json: ") == 0);
  }
  CHECK(complaint(document(image_with("")).substr(0, 40))
            .find("cut off at line 1, column 40: the document lacks its end") != std::string::npos);
}

TEST_CASE("a syntax error is named with its line and column in the document") {
  const auto head = "{\"schema\": \"mr-manifest/1\",\n \"labels\": [],\n \"images\": [\n";
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"  {\"id\": \"a\" \"subject\"", "m.json: line 4, column "},
      {"  {\"id\": tru}", "m.json: line 4, column 13: "},
      {"{\"id\": \"a\",\n \"subject\" \"s\"}", "m.json: line 5, column "},
      {"  7]}", "m.json: line 4: want an object, got 7"},
      {"  {]", "m.json: line 4, column 4: "},
      {"]\n;", "m.json: line 5, column 1: want ',', found ';'"},
      {"],, ", "m.json: line 4, column 3: want the name of a member"},
      {"], \"labels\": []}", "m.json: line 4, column 12: member \"labels\" is there twice"},
      {"], \"a\": nul}", "line 4, column 11: want a value, found 'nul'"},
      {"]}\n\n  x", "m.json: line 6, column 3: text after the document's end"},
      {"{\"id\":\"a\",\"subject\":\"s\",\"file\":\"f\"},]}", "line 4, column "}};
  for (const auto& [tail, want] : cases) {
    CAPTURE(tail);
    const auto what = complaint(head + tail);
    CAPTURE(what);
    CHECK(what.find(want) != std::string::npos);
  }
  CHECK(complaint("[]") == "m.json: line 1, column 1: want '{', found '['");
}

TEST_CASE("schema and labels are wanted before the images, and other schemas refused by name") {
  CHECK(complaint("{}").find("not a mr-manifest/1 document") != std::string::npos);
  CHECK(complaint(R"({"schema":"mr-manifest/2","labels":[],"images":[]})")
            .find("mr-manifest/2 is not known") != std::string::npos);
  CHECK(complaint(R"({"schema":"mr-eval/1"})") ==
        "m.json: want schema mr-manifest/1, found mr-eval/1");
  CHECK(complaint(R"({"labels":[],"images":[],"schema":"mr-manifest/1"})").find("no \"schema\"") !=
        std::string::npos);
  CHECK(complaint(R"({"schema":"mr-manifest/1","images":[],"labels":[]})") ==
        "m.json: want \"labels\" before \"images\"");
  CHECK(complaint(R"({"schema":"mr-manifest/1","labels":[]})") == "m.json: lacks \"images\"");
  CHECK(
      complaint(R"({"provenance":[],"n":-1.5e3,"labels":[],"schema":"mr-manifest/1","images":[]})")
          .empty());
}

TEST_CASE("labels are declared once each, with two values or more") {
  const auto with = [](const std::string& labels) { return complaint(document("", labels)); };
  CHECK(with(R"([{"name":"a","values":["no","slight","severe"]}])").empty());
  CHECK(with(R"([{"name":"a"},{"name":"a"}])") == "m.json: label a is there twice");
  CHECK(with(R"([{"name":"a","values":["0"]}])").find("two or more different") !=
        std::string::npos);
  CHECK(with(R"([{"name":"a","values":["0","0"]}])").find("two or more") != std::string::npos);
  CHECK(with(R"([{"name":"a","values":[0,1]}])").find("two or more") != std::string::npos);
  CHECK(with(R"([{"values":["0","1"]}])").find("lacks \"name\"") != std::string::npos);
  CHECK(with(R"("acl")") == "m.json: labels: want a list, got \"acl\"");
}

TEST_CASE("an image's faults are named with its line and id, and reading can go on") {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {R"(,"samples":[{"labels":[0,0]},{"labels":[2,0]}])",
       "sample 2: label acl is 2; want 0 or 1, or null where unknown"},
      {R"(,"samples":[{"labels":[-1,0]}])", "label acl is -1"},
      {R"(,"samples":[{"labels":[0.5,0]}])", "label acl is 0.5"},
      {R"(,"samples":[{"labels":[0,true]}])", "label meniscus is true"},
      {R"(,"samples":[{"labels":[0]}])", "sample 1: want 2 labels, found 1"},
      {R"(,"samples":[{}])", "sample 1: want 2 labels, found 0"},
      {R"(,"samples":[{"slice":{"axis":"z","index":0},"labels":[0,0]}])", "slice: want"},
      {R"(,"samples":[{"slice":{"axis":"i","index":-1},"labels":[0,0]}])", "slice: want"},
      {R"(,"samples":[{"slice":4,"labels":[0,0]}])", "slice: want"},
      {R"(,"samples":{})", "samples: want a list"},
      {R"(,"split":"training")", "split: want train, val or test, got 'training'"},
      {R"(,"attributes":[])", "attributes: want an object"},
      {R"(,"mask":3)", "mask: want a string, got 3"},
      {R"(,"phase":"")", "phase: want a path"},
      {R"(,"artifacts":{})", "artifacts: want a list"},
      {R"(,"acquisition":{"mode":"4d"})", "acquisition: unknown mode '4d'"},
      {R"(,"subject":"")", "lacks \"subject\""}};
  for (const auto& [members, want] : cases) {
    CAPTURE(members);
    auto reader = reader_of(document("\n" + image_with(members) + ",\n" + image_with("")));
    ImageEntry entry;
    std::string what;
    try {
      reader.next(entry);
    } catch (const EntryError& e) {
      what = e.what();
    }
    CAPTURE(what);
    CHECK(what.find("m.json: line 2: image a: ") == 0);
    CHECK(what.find(want) != std::string::npos);
    CHECK(reader.next(entry));
    CHECK_FALSE(reader.next(entry));
  }
  CHECK(complaint(document(R"({"subject":"s","file":"f"})")) ==
        "m.json: line 1: an image lacks \"id\"");
  CHECK(complaint(document(R"({"id":"a","subject":"s","file":{"t1":"a.nii","t2":"b.nii"}})"))
            .find("several series in one image are not handled by mr-manifest/1") !=
        std::string::npos);
  CHECK(complaint(document(R"({"id":"a","subject":"s","samples":[]})")).find("lacks \"file\"") !=
        std::string::npos);
}

TEST_CASE("a sample with the wrong number of labels is not written") {
  ManifestWriter writer([](std::string_view) {}, {{"acl"}}, "");
  ImageEntry entry;
  entry.samples.resize(1);
  CHECK_THROWS_AS(writer.write(entry), EntryError);
}

TEST_CASE("a table is read as RFC 4180 has it, with tabs, byte order marks and CRLF besides") {
  const std::vector<std::pair<std::string, std::vector<std::vector<std::string>>>> cases = {
      {"a,b\n1,2\n", {{"1", "2"}}},
      {"\xEF\xBB\xBF"
       "a,b\r\n1,2\r\n",
       {{"1", "2"}}},
      {"a,b\n1,2", {{"1", "2"}}},
      {"a\tb\n1,5\t2\n", {{"1,5", "2"}}},
      {"a;b\n1,5;2\n", {{"1,5", "2"}}},
      {"a,b\n,\n\n\nx,\n", {{"", ""}, {"x", ""}}},
      {"a,b\n\"x,\"\"y\"\"\nz\",2\n3,4\n", {{"x,\"y\"\nz", "2"}, {"3", "4"}}},
      {"\"a\",\"b\"\n\"\",\"\"\n", {{"", ""}}},
      {"a,b\nx\"y, z \n", {{"x\"y", " z "}}}};
  for (const auto& [text, want] : cases) {
    CAPTURE(text);
    const auto table = parse_table(text, "t.csv");
    CHECK(table.columns == std::vector<std::string>{"a", "b"});
    REQUIRE(table.rows.size() == want.size());
    for (std::size_t r = 0; r < want.size(); ++r) CHECK(table.rows[r].fields == want[r]);
  }
}

TEST_CASE("a row knows its line, and a fault in a table is named with it") {
  CHECK(parse_table("a,b\n\"x\ny\",1\n\n3,4\n", "t").rows[1].line == 5);
  const auto fault = [](const std::string& text) {
    try {
      parse_table(text, "t.csv");
      return std::string();
    } catch (const mr::DataError& e) {
      return std::string(e.what());
    }
  };
  CHECK(fault("") == "t.csv: empty; want a line of column names");
  CHECK(fault("a,b\n1,2\n1,2,3\n") == "t.csv: line 3: want 2 fields, found 3");
  CHECK(fault(std::string("\xFF\xFE"
                          "a\0,\0",
                          6)) == "t.csv: is UTF-16; want UTF-8");
  CHECK(fault("a;b,c\n1;2\n") == "t.csv: line 2: want 2 fields, found 1");
  CHECK(fault("a,b\n\n1\n") == "t.csv: line 3: want 2 fields, found 1");
  CHECK(fault("a,a\n") == "t.csv: line 1: column 'a' is there twice");
  CHECK(fault("a,b\n1,2\n\"x,2\n3,4\n") == "t.csv: line 3: a quote is opened and never closed");
  CHECK(fault("a,b\n\"x\"y,2\n") == "t.csv: line 2: text after a closing quote");
  CHECK_THROWS_WITH_AS(parse_table("subject,acl\n", "t.csv").column("subjct"),
                       "t.csv: unknown column 'subjct'; did you mean 'subject'?", mr::UsageError);
}

TEST_CASE("a label in a table is 0, 1 or unknown, never anything else") {
  const auto table = parse_table("x\n0\n1\nNA\nn/a\nNaN\n\"\"\n2\n0.0\nyes\n", "t.csv");
  std::vector<int> labels;
  for (std::size_t r = 0; r < 5; ++r) labels.push_back(label_of(table, table.rows[r], 0));
  CHECK(labels == std::vector<int>{0, 1, unknown_label, unknown_label, unknown_label});
  CHECK_THROWS_WITH_AS(label_of(table, table.rows[5], 0),
                       "t.csv: line 8: x: want 0 or 1, or empty or NA where unknown, got '2'",
                       mr::DataError);
  CHECK_THROWS_AS(label_of(table, table.rows[6], 0), mr::DataError);
  CHECK_THROWS_AS(label_of(table, table.rows[7], 0), mr::DataError);
}

TEST_CASE("an attribute in a table is a number only where it is written as one") {
  const auto table = parse_table("x\n1.5\n3\n007\nGE\nNA\ntrue\n", "t.csv");
  const std::vector<mr::Json> want = {1.5, 3, "007", "GE", nullptr, "true"};
  for (std::size_t r = 0; r < want.size(); ++r) CHECK(attribute_of(table.rows[r], 0) == want[r]);
}

TEST_CASE("voxels of a mask are counted slice by slice along each stored axis") {
  mr::image::Volume mask;
  mask.voxels = mr::Array<float>({1, 2, 3, 4});  // k 2, j 3, i 4
  const auto set = [&](int i, int j, int k, float value) {
    mask.voxels[(k * 3 + j) * 4 + i] = value;
  };
  set(3, 0, 0, 2);
  set(3, 1, 1, 2.0005F);  // stored with a slope
  set(0, 2, 1, 1);
  set(1, 2, 1, 1.5F);  // neither 1 nor 2
  using Counts = std::vector<std::int64_t>;
  CHECK(count_by_slice(mask, 0, 2) == Counts{0, 0, 0, 2});
  CHECK(count_by_slice(mask, 1, 2) == Counts{1, 1, 0});
  CHECK(count_by_slice(mask, 2, 2) == Counts{1, 1});
  CHECK(count_by_slice(mask, 1, 1) == Counts{0, 0, 1});
  CHECK(count_by_slice(mask, 2, 0) == Counts{11, 9});
}

TEST_CASE("anatomical axes go by the affine, stored axes by their letter") {
  // Stored axes run to posterior, superior, right.
  const mr::image::Affine affine = {{{0, 0, 2, 0}, {-1, 0, 0, 0}, {0, 1, 0, 0}, {0, 0, 0, 1}}};
  CHECK(stored_axis("coronal", affine) == 0);
  CHECK(stored_axis("axial", affine) == 1);
  CHECK(stored_axis("sagittal", affine) == 2);
  CHECK(stored_axis("i", affine) == 0);
  CHECK(stored_axis("k", affine) == 2);
  CHECK_THROWS_AS(stored_axis("ij", affine), mr::UsageError);
  CHECK_THROWS_AS(stored_axis("", affine), mr::UsageError);
}

TEST_CASE("a mask label is NAME=VALUE[,MIN_VOXELS]") {
  const auto label = parse_mask_label("grade=a=2,20");
  CHECK(label.name == "grade=a");
  CHECK(label.value == 2);
  CHECK(label.min_voxels == 20);
  CHECK(parse_mask_label("x=1").min_voxels == 1);
  for (const auto* wrong : {"x", "=1", "x=", "x=a", "x=1,", "x=1,0", "x=1,2,3", "x=1.5", "x= 1"}) {
    CAPTURE(wrong);
    CHECK_THROWS_AS(parse_mask_label(wrong), mr::UsageError);
  }
}

namespace {

/// Subjects with a rare, a common and an absent label, in numbers that vary.
std::map<std::string, Strata> some_subjects(int n) {
  std::map<std::string, Strata> subjects;
  for (int s = 0; s < n; ++s) {
    auto& counts = subjects["subject " + std::to_string(s)];
    counts[{0, 0}] = 20 + s % 7;
    if (s % 10 == 0) counts[{0, 1}] = 1 + s % 4;
    counts[{1, 0}] = 10;
    if (s % 2 == 0) counts[{1, 1}] = 5 + s % 11;
    if (s % 3 == 0) subjects["unlabelled " + std::to_string(s)];
  }
  return subjects;
}

const std::vector<SplitRatio> study = {{"train", .5}, {"val", .15}, {"test", .35}};

}  // namespace

TEST_CASE("each split gets its part of the subjects, and of every label value") {
  const auto subjects = some_subjects(300);
  for (const std::uint64_t seed : {1, 2, 3}) {
    CAPTURE(seed);
    const auto split_of = stratify(subjects, study, seed);
    REQUIRE(split_of.size() == subjects.size());
    std::vector<int> sizes(3);
    std::vector<Strata> counts(3);
    Strata all;
    std::size_t s = 0;
    for (const auto& [name, strata] : subjects) {
      ++sizes[split_of[s]];
      for (const auto& [key, n] : strata) {
        counts[split_of[s]][key] += n;
        all[key] += n;
      }
      ++s;
    }
    CHECK(sizes == std::vector<int>{200, 60, 140});
    for (std::size_t j = 0; j < 3; ++j)
      for (const auto& [key, n] : all) {
        CAPTURE(key.first);
        CAPTURE(key.second);
        const auto share = static_cast<double>(counts[j][key]) / static_cast<double>(n);
        // One subject holds up to 4 of the 60 rarest samples; two such are 0.13, far less than
        // the spread of a split without strata would be.
        CHECK(std::abs(share - study[j].ratio) < (key == Strata::key_type{0, 1} ? 0.07 : 0.04));
      }
  }
}

TEST_CASE("a split is drawn by the seed alone") {
  const auto subjects = some_subjects(100);
  CHECK(stratify(subjects, study, 1) == stratify(subjects, study, 1));
  CHECK(stratify(subjects, study, 1) != stratify(subjects, study, 2));
}

TEST_CASE("subjects are rounded by largest remainders, and no split is left empty") {
  const auto sizes = [](int n, const std::vector<SplitRatio>& ratios) {
    std::map<std::string, Strata> subjects;
    for (int s = 0; s < n; ++s) subjects[std::to_string(s)];
    std::vector<int> count(ratios.size());
    for (const auto j : stratify(subjects, ratios, 1)) ++count[j];
    return count;
  };
  CHECK(sizes(170, study) == std::vector<int>{85, 26, 59});
  CHECK(sizes(100, study) == std::vector<int>{50, 15, 35});
  CHECK(sizes(7, {{"train", 1. / 3}, {"val", 1. / 3}, {"test", 1. / 3}}) ==
        std::vector<int>{3, 2, 2});
  CHECK_THROWS_WITH_AS(sizes(2, study), "split val would be empty: its ratio is 0.15 of 2 subjects",
                       mr::DataError);
  CHECK_THROWS_AS(sizes(0, study), mr::DataError);
}

TEST_CASE("ratios name known splits once and sum to 1") {
  const auto ratios = parse_ratios("train=.50,val=.15,test=.35");
  CHECK(ratios[1].split == "val");
  CHECK(ratios[2].ratio == 0.35);
  CHECK(parse_ratios("train=0.1,val=0.2,test=0.7").size() == 3);  // 0.1 + 0.2 + 0.7 rounds below 1
  CHECK(parse_ratios("test=1").size() == 1);
  for (const auto* wrong :
       {"", "train", "train=.5", "train=.5,train=.5", "dev=.5,test=.5", "train=1.5,val=-.5",
        "train=0,val=1", "train=a,val=1", "train=1,", "train=nan,val=1", "train=.6,val=.6"}) {
    CAPTURE(wrong);
    CHECK_THROWS_AS(parse_ratios(wrong), mr::UsageError);
  }
}

TEST_CASE("what must hold between images is checked over all of them") {
  Consistency consistency;
  const auto add = [&](const std::string& id, const std::string& subject, const std::string& split,
                       std::vector<Sample> samples = {{Slice{2, 1}, {}}}) {
    ImageEntry entry;
    entry.id = id;
    entry.subject = subject;
    entry.split = split;
    entry.samples = std::move(samples);
    return consistency.add(entry);
  };
  using Problems = std::vector<std::string>;
  CHECK(add("a", "1", "train") == Problems{});
  CHECK(add("b", "1", "train") == Problems{});
  CHECK(add("a", "2", "train") == Problems{"image a: the id is there twice"});
  CHECK(add("c", "1", "test") == Problems{"image c: subject 1 is in two splits: train and test"});
  CHECK(add("d", "1", "") == Problems{"image d: subject 1 is in two splits: train and no split"});
  CHECK(add("e", "3", "val", {}) == Problems{});
  CHECK(add("f", "4", "test", {{Slice{2, 1}, {}}, {Slice{1, 1}, {}}, {Slice{2, 1}, {}}}) ==
        Problems{"image f: sample f/k1 is there twice"});
  CHECK(consistency.finish({}) == Problems{"split val is empty"});
  CHECK(Consistency().finish({"train"}) == Problems{"there is no image", "split train is empty"});
}

TEST_CASE("a mask must lie on its image's grid") {
  const mr::image::Affine affine = {{{0, 0, 2, 5}, {-1, 0, 0, 6}, {0, 1, 0, 7}, {0, 0, 0, 1}}};
  CHECK(grid_difference({1, 4, 5, 6}, affine, {1, 4, 5, 6}, affine).empty());
  CHECK(grid_difference({8, 4, 5, 6}, affine, {1, 4, 5, 6}, affine).empty());  // a 4-D image
  CHECK(grid_difference({1, 4, 5, 6}, affine, {1, 4, 6, 5}, affine) ==
        "the mask is 5x6x4, its image 6x5x4");
  CHECK(grid_difference({1, 4, 5, 6}, affine, {2, 4, 5, 6}, affine).find("one frame") !=
        std::string::npos);
  auto moved = affine;
  moved[0][3] += 0.4;  // less than half of the smallest edge, 1 mm
  CHECK(grid_difference({1, 4, 5, 6}, affine, {1, 4, 5, 6}, moved).empty());
  moved[0][3] += 0.2;
  CHECK(grid_difference({1, 4, 5, 6}, affine, {1, 4, 5, 6}, moved) ==
        "the mask lies elsewhere than its image: a corner is off by 0.60 mm");
  auto longer = affine;  // i has 6 voxels: 5 steps of 0.5 mm too much
  longer[1][0] = -1.5;
  CHECK(grid_difference({1, 4, 5, 6}, affine, {1, 4, 5, 6}, longer).find("off by 2.50 mm") !=
        std::string::npos);
  auto flipped = affine;  // the same box, the last axis the other way round
  flipped[0][2] = -2;
  flipped[0][3] = 5 + 2 * 3;
  CHECK_FALSE(grid_difference({1, 4, 5, 6}, affine, {1, 4, 5, 6}, flipped).empty());
}
