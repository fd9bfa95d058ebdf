#include <regex>

#include "base/error.h"
#include "report/curves.h"
#include "report/format.h"
#include "report/html.h"
#include "report/markdown.h"
#include "report/svg.h"
#include "report/training.h"

#include "check.h"

using namespace mr::report;
using mr::results::Estimate;

namespace {

Estimate estimate(double value, double low, double high) {
  Estimate e;
  e.value = value;
  e.low = low;
  e.high = high;
  return e;
}

Estimate undefined(const std::string& reason) {
  Estimate e;
  e.reason = reason;
  return e;
}

std::size_t occurrences(const std::string& text, const std::string& part) {
  std::size_t n = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++n;
  return n;
}

Document document_of(const Block& block) {
  return {"Title", "", {{"s", "Section", {block}}}};
}

HeatMap heat_map(const std::vector<std::optional<double>>& values) {
  HeatMap map;
  map.rows = {"motion"};
  map.tiles.emplace_back();
  for (std::size_t i = 0; i < values.size(); ++i) {
    map.columns.push_back(std::to_string(i + 1));
    HeatMap::Tile tile;
    tile.value = values[i];
    tile.tooltip = "tile " + std::to_string(i + 1);
    map.tiles[0].push_back(tile);
  }
  return map;
}

/// What colours a tile, found by its tooltip.
std::string tile_style(const std::string& svg, const std::string& tooltip) {
  const auto title = svg.find("<title>" + tooltip);
  REQUIRE(title != std::string::npos);
  const auto begin = svg.rfind("<rect", title);
  return svg.substr(begin, title - begin);
}

double opacity(const std::string& style) {
  const auto at = style.find("fill-opacity=\"");
  REQUIRE(at != std::string::npos);
  return std::stod(style.substr(at + 14));
}

Curves curves(const std::vector<std::optional<double>>& values) {
  Curves::Series series{"batch", 0, {}, {}};
  for (std::size_t i = 0; i < values.size(); ++i) {
    Curves::Point p;
    p.x = static_cast<double>(i);
    p.value = values[i];
    if (values[i]) {
      p.low = *values[i] - 0.1;
      p.high = *values[i] + 0.1;
    }
    series.points.push_back(p);
  }
  Curves chart;
  chart.series = {series};
  return chart;
}

}  // namespace

TEST_CASE("styles: the baseline's, then at most six that begin anew") {
  const auto styles = [](std::size_t n) {
    std::string all;
    for (std::size_t i = 0; i < n; ++i) all += std::to_string(style_of(i, n));
    return all;
  };
  CHECK(styles(1) == "0");
  CHECK(styles(2) == "01");
  CHECK(styles(7) == "0123456");
  CHECK(styles(8) == "01234123");  // two drawings of about as many
  CHECK(styles(13) == "0123456123456");
  CHECK(styles(17) == "01234561234561234");
}

TEST_CASE("curves of many arms become several drawings, each with what is for all") {
  Curves curves;
  for (std::size_t i = 0; i < 8; ++i)
    curves.series.push_back({std::string(1, static_cast<char>('a' + i)), style_of(i, 8), {}, {}});
  curves.series.push_back({"line", style_of_no_arm, {}, {}});
  FigureGroup group;
  group.figures = {{"f", "F", "alt", curves}, {"map", "Map", "", HeatMap{}}};
  auto document = document_of(group);
  spread_curves(document);
  const auto& figures = std::get<FigureGroup>(document.sections[0].blocks[0]).figures;
  REQUIRE(figures.size() == 3);
  const auto names = [&](std::size_t f) {
    std::string all;
    for (const auto& series : std::get<Curves>(figures[f].chart).series) all += series.name + " ";
    return all;
  };
  CHECK(names(0) == "a b c d e line ");
  CHECK(names(1) == "a f g h line ");
  CHECK(figures[1].file == "f-2");
  CHECK(figures[1].title == "F (2 of 2)");
  CHECK(figures[2].file == "map");
}

TEST_CASE("numbers are printed as the field prints them") {
  CHECK(level(0.91249) == "0.912");
  CHECK(level(1) == "1.000");
  CHECK(difference(0.0123) == "+0.012");
  CHECK(difference(-0.0123) == "−0.012");
  CHECK(difference(0.0004) == "0.000");  // no sign that the digits do not show
  CHECK(difference(-0.0004) == "0.000");
  CHECK(p_value(0.0004) == "<.001");
  CHECK(p_value(0.0126) == ".013");
  CHECK(p_value(1) == "1.000");
}

TEST_CASE("what is undefined is a dash with its reason, never a number") {
  CHECK(level_cell(estimate(0.9, 0.85, 0.94)).text == "0.900");
  CHECK(level_cell(estimate(0.9, 0.85, 0.94)).interval == "0.850 to 0.940");
  CHECK(level_cell(estimate(0.9, 0.85, 0.94)).reason == "");
  const auto none = level_cell(undefined("no positives"));
  CHECK(none.text == no_number);
  CHECK(none.reason == "no positives");
  auto perfect = undefined("at its limit: no interval");
  perfect.value = 1;
  CHECK(level_cell(perfect).text == "1.000");
  CHECK(level_cell(perfect).interval == "");
  CHECK(level_cell(perfect).reason == "at its limit: no interval");
  CHECK(p_cell({}, "few subjects").text == no_number);
}

TEST_CASE("footnotes: one per distinct reason, in order of appearance, in both forms") {
  Table table;
  table.columns = {"Arm", "Clean", "Corrupted"};
  table.rows = {{{"batch"}, {no_number, "first"}, {no_number, "second"}},
                {{"layer"}, {"0.900"}, {no_number, "first"}}};
  CHECK(footnotes(table) == std::vector<std::string>{"first", "second"});
  const auto markdown = to_markdown(document_of(table));
  CHECK(markdown.find("| batch | –<sup>a</sup> | –<sup>b</sup> |") != std::string::npos);
  CHECK(markdown.find("| layer | 0.900 | –<sup>a</sup> |") != std::string::npos);
  CHECK(markdown.find("- <sup>b</sup> second") != std::string::npos);
  const auto html = to_html(document_of(table));
  CHECK(occurrences(html, "–<sup>a</sup>") == 2);
  CHECK(occurrences(html, "<li><sup>a</sup> first</li>") == 1);
}

TEST_CASE("a head that several rows share is printed once on the page") {
  Table table;
  table.columns = {"Label", "Arm", "Clean"};
  table.heads = 2;
  table.rows = {
      {{"acl"}, {"batch"}, {"1"}}, {{"acl"}, {"layer"}, {"2"}}, {{"tear"}, {"batch"}, {"3"}}};
  const auto html = to_html(document_of(table));
  CHECK(html.find("rowspan=\"2\">acl</th>") != std::string::npos);
  CHECK(occurrences(html, ">acl<") == 1);
  CHECK(html.find("rowspan=\"1\">tear</th>") != std::string::npos);
  CHECK(occurrences(html, ">batch<") == 2);
}

TEST_CASE("text cannot leave its place") {
  CHECK(escape_xml("<a b=\"c\">&'\x01") == "&lt;a b=&quot;c&quot;&gt;&amp;&#39;\xEF\xBF\xBD");
  CHECK(escape_markdown("a|b *c* `d` \\") == "a\\|b \\*c\\* \\`d\\` \\\\");
  CHECK(escape_markdown("[x](y) and NRMSE [%]") == "[x\\](y) and NRMSE [%]");
  CHECK(escape_markdown("p <.001, <b>") == "p <.001, \\<b>");
  CHECK(escape_markdown("meniscus_tear _x_") == "meniscus_tear \\_x\\_");
  CHECK(escape_markdown("two\nlines") == "two lines");
  CHECK(csv_field("plain") == "plain");
  CHECK(csv_field("a,\"b\"\n") == "\"a,\"\"b\"\"\n\"");
}

TEST_CASE("names") {
  CHECK(arm_name("batch+batch-stats:volume") == "batch + batch-stats:volume");
  CHECK(arm_name("group(8)") == "group(8)");
  CHECK(slug("group(8)") == "group-8");
  CHECK(slug("batch+batch-stats:volume") == "batch-batch-stats-volume");
  CHECK(slug("()") == "x");
  CHECK(listed({"a"}) == "a");
  CHECK(listed({"a", "b", "c"}) == "a, b and c");
  CHECK(plural(1, "run") == "1 run");
  CHECK(plural(0, "run") == "0 runs");
  using mr::results::Kind;
  CHECK(condition_name({Kind::artifact, "motion", 3}) == "motion, severity 3");
  CHECK(condition_name({Kind::as_given, "", 0}) == "images as given");
}

TEST_CASE("heat map: the sign is the hue, the size is the strength, 0 is neutral") {
  auto map = heat_map({-0.08, -0.02, 0.0, 0.02, 0.2, std::nullopt});
  map.tiles[0][1].marked = true;
  map.limit = 0.1;
  const auto svg = draw(Figure{"f", "title", "alt", map});
  CHECK(tile_style(svg, "tile 1").find("c-negative") != std::string::npos);
  CHECK(tile_style(svg, "tile 4").find("c-positive") != std::string::npos);
  CHECK(opacity(tile_style(svg, "tile 1")) > opacity(tile_style(svg, "tile 2")));
  CHECK(opacity(tile_style(svg, "tile 2")) == opacity(tile_style(svg, "tile 4")));
  CHECK(opacity(tile_style(svg, "tile 3")) < 0.05);
  CHECK(opacity(tile_style(svg, "tile 5")) == 1);  // beyond the scale: its end
  CHECK(tile_style(svg, "tile 6").find("c-empty") != std::string::npos);
  CHECK(svg.find(">−0.080</text>") != std::string::npos);
  CHECK(svg.find(">−0.020 •</text>") != std::string::npos);
  CHECK(occurrences(svg, "•") == 1);
}

TEST_CASE("a curve is interrupted where a value is missing, and so is its ribbon") {
  const auto path = [](const std::string& svg, const std::string& kind) {
    const std::regex pattern("<path d=\"([^\"]*)\" class=\"" + kind + " c-s0\"");
    std::smatch found;
    REQUIRE(std::regex_search(svg, found, pattern));
    return found[1].str();
  };
  const auto whole = draw(Figure{"f", "t", "a", curves({0.9, 0.8, 0.7, 0.6})});
  CHECK(occurrences(path(whole, "c-line"), "M") == 1);
  CHECK(occurrences(path(whole, "c-line"), "L") == 3);
  CHECK(occurrences(path(whole, "c-ribbon"), "Z") == 3);
  const auto broken = draw(Figure{"f", "t", "a", curves({0.9, 0.8, std::nullopt, 0.6})});
  CHECK(occurrences(path(broken, "c-line"), "M") == 2);
  CHECK(occurrences(path(broken, "c-line"), "L") == 1);
  CHECK(occurrences(path(broken, "c-ribbon"), "Z") == 1);
  CHECK(occurrences(whole, "<circle") == 4 + 1);  // and one in the legend
  CHECK(occurrences(broken, "<circle") == 3 + 1);
}

TEST_CASE("runs without a mean are drawn by themselves, with a sign at each mark") {
  auto chart = curves({});
  chart.series[0].runs = {{}, {}};
  for (int epoch = 1; epoch <= 40; ++epoch)
    for (auto& run : chart.series[0].runs) {
      Curves::Point p;
      p.x = epoch;
      p.value = 0.5 + 0.01 * epoch;
      run.push_back(p);
    }
  chart.series[0].marks = {chart.series[0].runs[0].back(), chart.series[0].runs[1][4]};
  const auto svg = draw(Figure{"f", "t", "a", chart});
  CHECK(occurrences(svg, "c-trace c-s0") == 2);
  CHECK(occurrences(svg, "c-run") == 0);
  CHECK(occurrences(svg, "<circle") == 2 + 1);  // and one in the legend
  for (const int tick : {0, 10, 20, 30, 40})    // 40 numbers would not fit
    CHECK(occurrences(svg, ">" + std::to_string(tick) + "</text>") == 1);
  CHECK(occurrences(svg, ">7</text>") == 0);
}

TEST_CASE("a normalization has the style of its arm; others follow, batch norm first") {
  const auto log = [](const std::string& normalization, std::uint64_t seed) {
    mr::results::TrainingLog l;
    l.normalization = normalization;
    l.seed = seed;
    return l;
  };
  const std::vector<mr::results::TrainingLog> logs = {log("layer", 1), log("group(8)", 1),
                                                      log("batch", 1), log("layer", 2)};
  const Trainings alone(logs, {});
  CHECK(alone.normalizations() == std::vector<std::string>{"batch", "layer", "group(8)"});
  CHECK(alone.style("batch") == 0);
  CHECK(alone.logs()[2].seed == 2);  // those of one normalization together, in their order
  const Trainings beside(logs, {"group(8)", "group(8)+batch-stats:volume", "layer"});
  CHECK(beside.style("group(8)") == 0);
  CHECK(beside.style("layer") == 2);
  CHECK(beside.style("batch") == 3);
  CHECK(training(Trainings({}, {})).blocks.empty());
}

TEST_CASE("a higher AUROC is drawn higher") {
  const auto svg = draw(Figure{"f", "t", "a", curves({0.9, 0.3})});
  const std::regex pattern("<path d=\"M[0-9.]+ ([0-9.]+)L[0-9.]+ ([0-9.]+)\" class=\"c-line");
  std::smatch found;
  REQUIRE(std::regex_search(svg, found, pattern));
  CHECK(std::stod(found[1]) < std::stod(found[2]));
}

TEST_CASE("a figure's file carries its styles and namespace, the page's drawing neither") {
  const Figure figure{"f", "a <title> & more", "alt \"text\"", heat_map({0.1})};
  const auto file = svg_file(figure);
  CHECK(file.find("xmlns=\"http://www.w3.org/2000/svg\"") != std::string::npos);
  CHECK(file.find(chart_style()) != std::string::npos);
  const auto inline_svg = draw(figure);
  CHECK(inline_svg.find("http") == std::string::npos);
  CHECK(inline_svg.find("<style>") == std::string::npos);
  CHECK(inline_svg.find("a &lt;title&gt; &amp; more") != std::string::npos);
  CHECK(inline_svg.find("aria-label=\"alt &quot;text&quot;\"") != std::string::npos);
}

TEST_CASE("numbers that a figure prints already are folded, others are shown") {
  FigureGroup group;
  group.numbers.title = "Numbers";
  group.numbers.columns = {"Arm"};
  CHECK(to_html(document_of(group)).find("<details>") == std::string::npos);
  group.numbers_shown = false;
  CHECK(to_html(document_of(group)).find("<details><summary>Numbers") != std::string::npos);
}
