// report/: from a study to pages. A Document is plain data, what is said and drawn, in order; the
// writers (HTML, Markdown, SVG) turn it into bytes and know nothing of statistics.
#pragma once
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace mr::report {

/// A number as printed, or "–" where there is none; `reason` says why it or its interval is absent
/// and is printed as a footnote.
struct Cell {
  std::string text = "";
  std::string reason = "";
  std::string interval = "";         // "0.880 to 0.941"
  bool marked = false;               // with the sign that the caption explains
  std::optional<double> value = {};  // the number itself, of an estimate
};
inline constexpr const char* mark = "•";

/// The first `heads` columns hold words, the others numbers.
struct Table {
  std::string title, caption;
  std::vector<std::string> columns;
  std::vector<std::vector<Cell>> rows;
  std::size_t heads = 1;
  bool folded = false;                   // in HTML, until the reader opens it
  std::vector<std::size_t> ranked = {};  // columns in which a higher number is better
};

/// The distinct reasons of a table in order of appearance: footnotes a, b, c, ...
std::vector<std::string> footnotes(const Table& table);
std::string footnote_mark(const std::vector<std::string>& notes, const std::string& reason);

/// Whether rows a and b say the same in columns 0 to last, so that one head may stand for both.
bool same_heads(const Table& table, std::size_t a, std::size_t b, std::size_t last);

struct Interval {
  std::optional<double> value, low, high;
};

/// Values around 0 in colours that diverge from it; [rows][columns].
struct HeatMap {
  struct Tile : Interval {
    bool marked = false;
    std::string tooltip;
  };
  std::vector<std::string> rows, columns;
  std::vector<std::vector<Tile>> tiles;
  std::string column_title, negative, positive;  // what the two ends of the scale mean
  double limit = 0.1;                            // |value| of the strongest colour
};

/// A line per arm with its interval as a ribbon, and each run as a thin line. A series without
/// points of its own is its runs alone.
struct Curves {
  struct Point : Interval {
    double x;
  };
  struct Series {
    std::string name;
    std::size_t style;  // colour, dash and marker, see curves.h
    std::vector<Point> points;
    std::vector<std::vector<Point>> runs;
    std::vector<Point> marks = {};            // of runs: where to put the sign
    std::vector<std::string> run_names = {};  // of runs: their seeds
    std::string alt = {};                     // what the figure's alternative text says of it
  };
  std::vector<Series> series;
  std::string x_title, y_title;
  double y_low = 0, y_high = 1;
  std::optional<double> reference;  // a horizontal line, e.g. chance
  bool diagonal = false;            // a line from (0, 0) to (1, 1)
};

/// Differences with intervals, a line each, around 0.
struct Forest {
  struct Row : Interval {
    std::string group, name;
    std::size_t style;
    bool strong = false;
  };
  std::vector<Row> rows;
  std::string x_title;
};

struct Figure {
  std::string file;        // name of the SVG file without its ending
  std::string title, alt;  // alt of curves: what is said before that of each series
  std::variant<HeatMap, Curves, Forest> chart;
};

// Blocks of a section.
struct Paragraph {
  std::string text;
};
struct Notice {
  std::string text;
};  // what must not be overlooked
struct Definitions {
  std::vector<std::pair<std::string, std::string>> items;  // term, what is said of it
};
struct FigureGroup {
  std::string title, caption;
  std::vector<Figure> figures;
  Table numbers;              // the same in digits
  bool numbers_shown = true;  // false: folded, since the figures print them already
};
struct ContactSheet {
  struct Image {
    std::string png, alt;  // png: bytes; empty where there is no image
  };
  std::string title, caption;
  std::vector<std::string> columns;
  std::vector<std::pair<std::string, std::vector<Image>>> rows;
};
using Block = std::variant<Paragraph, Notice, Definitions, Table, FigureGroup, ContactSheet>;

struct Section {
  std::string id, title;
  std::vector<Block> blocks;
};

struct Document {
  std::string title, subtitle;
  std::vector<Section> sections;
};

}  // namespace mr::report
