#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <set>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/json_schema.h"
#include "base/random.h"
#include "base/shell.h"
#include "base/text.h"
#include "base/threads.h"
#include "check.h"

namespace fs = std::filesystem;

namespace {

struct TemporaryFolder {
  std::string path =
      (fs::temp_directory_path() / ("mr-base-" + std::to_string(::getpid()))).string();
  TemporaryFolder() { fs::create_directories(path); }
  ~TemporaryFolder() { fs::remove_all(path); }
  std::size_t members() const {
    return static_cast<std::size_t>(std::distance(fs::directory_iterator(path), {}));
  }
};

/// Asymptotic p value of the Kolmogorov-Smirnov distance of sorted u to the uniform distribution.
double ks_p_value(std::vector<double> u) {
  std::sort(u.begin(), u.end());
  const double n = static_cast<double>(u.size());
  double d = 0;
  for (std::size_t i = 0; i < u.size(); ++i)
    d = std::max({d, (static_cast<double>(i) + 1) / n - u[i], u[i] - static_cast<double>(i) / n});
  double p = 0;
  for (int k = 1; k < 100; ++k) p += (k % 2 ? 2 : -2) * std::exp(-2.0 * k * k * n * d * d);
  return p;
}

double normal_cdf(double z) {
  return 0.5 * std::erfc(-z / std::sqrt(2.0));
}

}  // namespace

TEST_CASE("Philox gives the published known-answer vectors (Salmon et al. 2011, Random123 kat)") {
  CHECK(mr::philox({0}, 0) ==
        std::array<std::uint32_t, 4>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
}

TEST_CASE("a key depends on the seed, on each part and on where parts are divided") {
  const std::set<std::uint64_t> keys = {
      mr::random_key(1, {"ab", "c"}).value, mr::random_key(1, {"a", "bc"}).value,
      mr::random_key(1, {"abc"}).value, mr::random_key(2, {"ab", "c"}).value,
      mr::random_key(1, {"ab", "c", ""}).value};
  CHECK(keys.size() == 5);
  const auto key = mr::random_key(1, {"a"});
  CHECK(mr::sub_key(key, 0).value != mr::sub_key(key, 1).value);
  const auto block = mr::philox(key, 3);
  CHECK(mr::sub_key(key, 3).value != (std::uint64_t{block[1]} << 32 | block[0]));
}

TEST_CASE("uniform numbers are uniform, in the open interval") {
  std::vector<double> u;
  for (std::uint64_t i = 0; i < 20000; ++i) u.push_back(mr::uniform(mr::random_key(7, {"u"}), i));
  CHECK(*std::min_element(u.begin(), u.end()) > 0);
  CHECK(*std::max_element(u.begin(), u.end()) < 1);
  CHECK(ks_p_value(u) > 0.001);
}

TEST_CASE("normal numbers are normal, one by one and in blocks") {
  std::vector<double> one, block;
  std::vector<float> values(40000);
  mr::fill_normal(mr::random_key(8, {"n"}), 0, values.data(), values.size());
  double fourth = 0, lag = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    block.push_back(normal_cdf(values[i]));
    one.push_back(normal_cdf(mr::normal(mr::random_key(9, {"n"}), i)));
    fourth += std::pow(values[i], 4) / static_cast<double>(values.size());
    if (i)
      lag += static_cast<double>(values[i]) * values[i - 1] / static_cast<double>(values.size());
  }
  CHECK(ks_p_value(block) > 0.001);
  CHECK(ks_p_value(one) > 0.001);
  CHECK(std::abs(fourth - 3) < 4 * std::sqrt(96.0 / 40000));  // Var(z^4) = 96
  CHECK(std::abs(lag) < 4 / std::sqrt(40000.0));
}

TEST_CASE("block normals are those of Box and Muller to 1e-6, out to 5.77") {
  const auto key = mr::random_key(4, {"precision"});
  std::vector<float> values(400000);
  mr::fill_normal(key, 0, values.data(), values.size());
  double worst = 0;
  for (std::size_t i = 0; i < values.size(); i += 2) {
    const auto c = mr::philox(key, i / 4);
    const double u = ((c[i % 4] >> 8) + 1.0) * 0x1p-24, v = (c[i % 4 + 1] >> 8) * 0x1p-24;
    const double radius = std::sqrt(-2 * std::log(u)), angle = 2 * 3.14159265358979323846 * v;
    worst = std::max(worst, std::abs(static_cast<double>(values[i]) - radius * std::cos(angle)));
    worst =
        std::max(worst, std::abs(static_cast<double>(values[i + 1]) - radius * std::sin(angle)));
  }
  CHECK(worst < 1e-6);
}

TEST_CASE("an element of the normal stream does not depend on the block it is drawn in") {
  const auto key = mr::random_key(3, {"blocks"});
  std::vector<float> whole(1000), pieces(1000);
  mr::fill_normal(key, 5, whole.data(), whole.size());
  std::size_t step = 1;
  for (std::size_t at = 0; at < pieces.size(); at += step) {
    step = step % 297 + 3;
    mr::fill_normal(key, 5 + at, pieces.data() + at, std::min(step, pieces.size() - at));
  }
  CHECK(whole == pieces);
}

TEST_CASE("Poisson numbers have the mean and variance of their law") {
  double sum = 0, squares = 0;
  constexpr int n = 20000;
  for (int i = 0; i < n; ++i) {
    const double x = mr::poisson(mr::random_key(4, {"p"}), static_cast<std::uint64_t>(i), 3.5);
    sum += x;
    squares += x * x;
  }
  const double mean = sum / n, variance = squares / n - mean * mean;
  CHECK(std::abs(mean - 3.5) < 4 * std::sqrt(3.5 / n));
  CHECK(std::abs(variance - 3.5) < 4 * std::sqrt((3.5 + 2 * 3.5 * 3.5) / n));
  CHECK(mr::poisson(mr::random_key(4, {"p"}), 0, 0) == 0);
  CHECK_THROWS_AS(mr::poisson(mr::random_key(4, {"p"}), 0, -1), mr::DataError);
}

TEST_CASE("a shuffle is a permutation that the key decides") {
  std::vector<int> a(100), b;
  for (int i = 0; i < 100; ++i) a[static_cast<std::size_t>(i)] = i;
  b = a;
  auto c = a;
  mr::shuffle(mr::random_key(1, {"s"}), a);
  mr::shuffle(mr::random_key(1, {"s"}), b);
  mr::shuffle(mr::random_key(2, {"s"}), c);
  CHECK(a == b);
  CHECK(a != c);
  std::sort(c.begin(), c.end());
  for (int i = 0; i < 100; ++i) CHECK(c[static_cast<std::size_t>(i)] == i);
}

TEST_CASE("results of a pipeline come in order at any number of threads") {
  for (const int threads : {1, 2, 12}) {
    CAPTURE(threads);
    int next = 0;
    std::vector<int> seen;
    mr::ordered_pipeline(
        threads,
        [&]() -> std::optional<int> { return next < 200 ? std::optional(next++) : std::nullopt; },
        [](int i) { return i * i; }, [&](int r) { seen.push_back(r); });
    REQUIRE(seen.size() == 200);
    for (int i = 0; i < 200; ++i) CHECK(seen[static_cast<std::size_t>(i)] == i * i);
  }
}

TEST_CASE("an error in a thread reaches the caller and stops the work") {
  for (const int threads : {1, 4}) {
    int next = 0;
    CHECK_THROWS_AS(mr::ordered_pipeline(
                        threads, [&]() -> std::optional<int> { return next++; },
                        [](int i) {
                          if (i == 50) throw mr::DataError("item 50");
                          return i;
                        },
                        [](int) {}),
                    mr::DataError);
    CHECK(next < 100);
    CHECK_THROWS_AS(mr::parallel_for(threads, 100,
                                     [](std::int64_t i) {
                                       if (i == 3) throw mr::DataError("three");
                                     }),
                    mr::DataError);
  }
}

TEST_CASE("every index is visited once") {
  std::vector<std::atomic<int>> visits(1000);
  mr::parallel_for(8, 1000, [&](std::int64_t i) { ++visits[static_cast<std::size_t>(i)]; });
  CHECK(std::all_of(visits.begin(), visits.end(), [](const auto& v) { return v == 1; }));
}

TEST_CASE("a file appears when it is committed, and not before") {
  const TemporaryFolder folder;
  const auto path = folder.path + "/out.txt";
  {
    mr::AtomicFile file(path, mr::Overwrite::no);
    file.write("half");
    CHECK(!mr::exists(path));
  }
  CHECK(folder.members() == 0);
  mr::write_file(path, "whole", mr::Overwrite::no);
  CHECK(mr::read_all(path) == "whole");
  CHECK(folder.members() == 1);
  CHECK_THROWS_WITH_AS(mr::write_file(path, "again", mr::Overwrite::no),
                       (path + ": exists; use --force to replace it").c_str(),
                       mr::CannotCreateError);
  mr::write_file(path, "again", mr::Overwrite::yes);
  CHECK(mr::read_all(path) == "again");
}

TEST_CASE("a folder appears when it is committed, and replaces an old one whole") {
  const TemporaryFolder folder;
  const auto path = folder.path + "/out";
  { const mr::AtomicFolder unfinished(path, mr::Overwrite::no); }
  CHECK(folder.members() == 0);
  for (const char* content : {"one", "two"}) {
    mr::AtomicFolder out(path + "/", mr::Overwrite::yes);
    mr::write_file(out.path() + "/" + content, content, mr::Overwrite::no);
    out.commit();
  }
  CHECK(mr::exists(path + "/two"));
  CHECK(!mr::exists(path + "/one"));
  CHECK(folder.members() == 1);
}

TEST_CASE("a full disk is an error of writing, a folder that cannot be made one of creating") {
  CHECK_THROWS_AS(mr::write_file("/dev/full", "x", mr::Overwrite::yes), mr::IoError);
  CHECK_THROWS_AS(mr::write_file("/nowhere/at/all", "x", mr::Overwrite::no), mr::CannotCreateError);
  CHECK_THROWS_AS(mr::read_all("/nowhere/at/all"), mr::MissingInputError);
}

TEST_CASE("a JSON error says line and column") {
  CHECK_THROWS_WITH_AS(mr::parse_json("{\n  \"a\": 1,\n  \"b\" 2\n}", "x.json"),
                       doctest::Contains("x.json: line 3, column 7: "), mr::DataError);
  CHECK_THROWS_WITH(
      mr::require_schema({{"schema", "mr-manifest/9"}}, "mr-manifest/1", "m"),
      "m: schema version mr-manifest/9 is not known; this version reads mr-manifest/1");
  CHECK_THROWS_WITH(mr::number_member({{"x", "y"}}, "x", "m"), "m: x: want a number, got \"y\"");
}

TEST_CASE("text: hashes, base64, nearest names, numbers") {
  CHECK(mr::sha256_hex("abc") ==
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  const std::string bytes("\x00\xff\x10mr", 5);
  CHECK(mr::base64_decode(mr::base64_encode(bytes), "x") == bytes);
  CHECK(mr::base64_encode("Man") == "TWFu");
  CHECK_THROWS_AS(mr::base64_decode("!!", "x"), mr::DataError);
  CHECK(mr::nearest("rican", {"motion", "rician", "bias"}) == "rician");
  CHECK(mr::nearest("zzzzzz", {"motion", "rician"}).empty());
  CHECK(mr::shortest(0.1) == "0.1");
  CHECK(mr::fixed(-0.0001, 3) == "0.000");
  CHECK(mr::fixed(0.8125, 3) == "0.812");
}

TEST_CASE("a quoted command line is read back word by word") {
  const std::vector<std::string> words = {"mr-train", "--rule", "sens>=0.90", "it's",     "", "a b",
                                          "$HOME",    "\\",     "\"x\" *",    "new\nline"};
  CHECK(mr::shell_words(mr::shell_line(words), "x") == words);
  CHECK(mr::shell_line({"mr-train", "--lr", "1e-3", "sens>=0.9"}) ==
        "mr-train --lr 1e-3 'sens>=0.9'");
  CHECK(mr::shell_words("  a\\ b  \"c d\"'e' ", "x") == std::vector<std::string>{"a b", "c de"});
  CHECK(mr::shell_words("", "x").empty());
  CHECK_THROWS_WITH_AS(mr::shell_words("a 'b", "x"), "x: a quote is not closed: a 'b",
                       mr::DataError);
}

TEST_CASE("relative paths resolve against their root") {
  CHECK(mr::resolve("a/../b.nii", "/data") == "/data/b.nii");
  CHECK(mr::resolve("/x/y/", "/data") == "/x/y");
  CHECK(mr::parent_folder("/a/b/") == "/a");
}

TEST_CASE("a schema with a keyword that is not known is refused, wherever it stands") {
  const auto document = mr::Json::parse(R"({"a": 1})");
  for (const char* text : {R"({"multipleOf": 2})", R"({"properties": {"b": {"format": "date"}}})",
                           R"({"oneOf": [{"type": "object"}, {"contains": {}}]})",
                           R"({"$defs": {"unused": {"maxLength": 3}}})"}) {
    CAPTURE(text);
    CHECK_THROWS_AS(mr::mismatch(document, mr::Json::parse(text)), mr::DataError);
  }
  for (const auto& name : mr::schema_names()) {
    CAPTURE(name);
    CHECK(!mr::mismatch({}, mr::schema_named(name)).empty());  // null is none of them
  }
}

TEST_CASE("a mismatch says where: the deepest of the alternatives that do not fit") {
  const auto schema = mr::Json::parse(
      R"({"oneOf": [{"type": "string"},
                    {"properties": {"x": {"type": "array", "items": {"maximum": 3}}}}]})");
  CHECK(mr::mismatch(mr::Json::parse(R"({"x": [1, 2, 4]})"), schema) ==
        "x/2: want at most 3, got 4");
  CHECK(mr::mismatch(mr::Json::parse(R"({"x": [1, 2, 3]})"), schema).empty());
}
