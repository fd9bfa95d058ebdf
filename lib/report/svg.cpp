#include "report/svg.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/text.h"
#include "report/format.h"

namespace mr::report {
namespace {

constexpr double character = 6.4;  // mean width of a character at the font size of 12

enum class Anchor { start, middle, end };

/// The text of an <svg> element as it grows. Lengths are in user units, about CSS pixels.
class Canvas {
 public:
  std::string body;

  static std::string n(double value) {
    std::string text = fixed(value, 1);
    return ends_with(text, ".0") ? text.substr(0, text.size() - 2) : text;
  }
  void rect(double x, double y, double w, double h, const std::string& style,
            const std::string& inside = "") {
    body += "<rect x=\"" + n(x) + "\" y=\"" + n(y) + "\" width=\"" + n(w) + "\" height=\"" + n(h) +
            "\" " + style + (inside.empty() ? "/>" : ">" + inside + "</rect>") + "\n";
  }
  void line(double x1, double y1, double x2, double y2, const std::string& classes) {
    body += "<line x1=\"" + n(x1) + "\" y1=\"" + n(y1) + "\" x2=\"" + n(x2) + "\" y2=\"" + n(y2) +
            "\" class=\"" + classes + "\"/>\n";
  }
  void text(double x, double y, const std::string& words, Anchor anchor = Anchor::start,
            const std::string& classes = "c-text") {
    static const std::array<const char*, 3> anchors = {"start", "middle", "end"};
    body += "<text x=\"" + n(x) + "\" y=\"" + n(y) + "\" text-anchor=\"" +
            anchors[static_cast<std::size_t>(anchor)] + "\" class=\"" + classes + "\">" +
            escape_xml(words) + "</text>\n";
  }
  void path(const std::string& d, const std::string& classes) {
    body += "<path d=\"" + d + "\" class=\"" + classes + "\"/>\n";
  }
  /// The arm's sign: a circle, square, triangle or diamond in the arm's colour.
  void marker(double x, double y, std::size_t style, double r = 3.5) {
    const std::string classes = "c-fill c-s" + std::to_string(style % 8);
    switch (style % 4) {
      case 0:
        body += "<circle cx=\"" + n(x) + "\" cy=\"" + n(y) + "\" r=\"" + n(r) + "\" class=\"" +
                classes + "\"/>\n";
        break;
      case 1:
        rect(x - r, y - r, 2 * r, 2 * r, "class=\"" + classes + "\"");
        break;
      case 2:
        path("M" + n(x) + " " + n(y - 1.2 * r) + "l" + n(1.2 * r) + " " + n(2.2 * r) + "h" +
                 n(-2.4 * r) + "z",
             classes);
        break;
      default:
        path("M" + n(x) + " " + n(y - 1.4 * r) + "l" + n(1.4 * r) + " " + n(1.4 * r) + "l" +
                 n(-1.4 * r) + " " + n(1.4 * r) + "l" + n(-1.4 * r) + " " + n(-1.4 * r) + "z",
             classes);
    }
  }
};

/// Drawn contents and their size.
struct Drawing {
  double width, height;
  std::string body;
};

/// About as wide as a sans serif font draws it, rather more than less.
double text_width(const std::string& text) {
  double characters = 0;
  for (const char c : text) {
    if ((static_cast<unsigned char>(c) & 0xC0) == 0x80) continue;  // within a character of UTF-8
    const bool wide = std::string_view("mwMW%@+").find(c) != std::string_view::npos;
    const bool narrow = std::string_view("ijl.,:;'|!()").find(c) != std::string_view::npos;
    characters += wide ? 1.5 : narrow ? 0.7 : 1.0;
  }
  return character * characters;
}

template <typename Names>
double widest(const Names& names) {
  double width = 0;
  for (const auto& name : names) width = std::max(width, text_width(name));
  return width;
}

/// Multiples of a round step that cover [low, high] with at most `most` steps.
std::vector<double> ticks(double low, double high, int most) {
  double step = 1e-3;
  for (int i = 0; (high - low) / step > most; ++i) step *= i % 3 == 1 ? 2.5 : 2.0;
  std::vector<double> values;
  const auto first = static_cast<std::int64_t>(std::ceil(low / step - 1e-9));
  const auto last = static_cast<std::int64_t>(std::floor(high / step + 1e-9));
  for (auto i = first; i <= last; ++i) values.push_back(static_cast<double>(i) * step);
  return values;
}

/// The fewest digits after the point that tell all of them, the same for all.
int digits_of(const std::vector<double>& ticks) {
  for (int digits = 1; digits < 3; ++digits) {
    const double unit = std::pow(10, digits);
    if (std::all_of(ticks.begin(), ticks.end(),
                    [&](double v) { return std::abs(v * unit - std::round(v * unit)) < 1e-6; }))
      return digits;
  }
  return 3;
}

std::string tick_text(double value, int digits, bool with_sign) {
  const auto text = fixed(value, digits);
  return with_sign && value > 1e-9 ? "+" + text : minus_sign(text);
}

// --- heat map

std::string tile_style(double share) {
  const double strength = std::min(1.0, std::abs(share));
  return std::string("class=\"c-tile ") + (share < 0 ? "c-negative" : "c-positive") +
         "\" fill-opacity=\"" + fixed(0.04 + 0.96 * strength, 2) + "\"";
}

void draw_tile(Canvas& canvas, const HeatMap& map, const HeatMap::Tile& tile, double x, double y,
               double w, double h) {
  const std::string tooltip = "<title>" + escape_xml(tile.tooltip) + "</title>";
  if (!tile.value) {
    canvas.rect(x, y, w, h, "class=\"c-empty\"", tooltip);
    canvas.text(x + w / 2, y + h / 2 + 4, no_number, Anchor::middle, "c-text c-over");
    return;
  }
  const double share = *tile.value / map.limit;
  canvas.rect(x, y, w, h, tile_style(share), tooltip);
  const bool strong = std::abs(share) > 0.8;
  canvas.text(x + w / 2, y + h / 2 + 4,
              difference(*tile.value) + (tile.marked ? std::string(" ") + mark : ""),
              Anchor::middle, strong ? "c-text c-over c-on-colour" : "c-text c-over");
}

void draw_scale(Canvas& canvas, const HeatMap& map, double left, double y, double width) {
  constexpr int steps = 10;
  const double step = width / (2 * steps + 1);
  for (int i = -steps; i <= steps; ++i)
    canvas.rect(left + (i + steps) * step, y, step, 10, tile_style(static_cast<double>(i) / steps));
  canvas.text(left, y + 24, difference(-map.limit) + " " + map.negative, Anchor::start,
              "c-text c-small");
  canvas.text(left + width / 2, y - 5, "0", Anchor::middle, "c-text c-small");
  canvas.text(left + width, y + 24, map.positive + " " + difference(map.limit), Anchor::end,
              "c-text c-small");
}

Drawing draw(const HeatMap& map) {
  const double left = widest(map.rows) + 18, top = 64, h = 32;
  const double w = std::max(68.0, 340.0 / static_cast<double>(map.columns.size()));
  const double inner = w * static_cast<double>(map.columns.size());
  Canvas canvas;
  canvas.text(left + inner / 2, top - 26, map.column_title, Anchor::middle, "c-text c-muted");
  for (std::size_t c = 0; c < map.columns.size(); ++c)
    canvas.text(left + (static_cast<double>(c) + 0.5) * w, top - 8, map.columns[c], Anchor::middle);
  for (std::size_t r = 0; r < map.rows.size(); ++r) {
    const double y = top + static_cast<double>(r) * h;
    canvas.text(left - 8, y + h / 2 + 4, map.rows[r], Anchor::end);
    for (std::size_t c = 0; c < map.columns.size(); ++c)
      draw_tile(canvas, map, map.tiles[r][c], left + static_cast<double>(c) * w, y, w - 2, h - 2);
  }
  const double bottom = top + static_cast<double>(map.rows.size()) * h;
  draw_scale(canvas, map, left, bottom + 24, inner - 2);
  return {left + inner + 4, bottom + 56, canvas.body};
}

// --- degradation curves

/// From data to the drawing.
struct Axes {
  double x_low, x_high, y_low, y_high, left, top, width, height;
  double x(double v) const { return left + (v - x_low) / (x_high - x_low) * width; }
  double y(double v) const { return top + (y_high - v) / (y_high - y_low) * height; }
};

/// Straight lines through the points; a point without a value interrupts.
std::string polyline(const std::vector<Curves::Point>& points, const Axes& axes) {
  std::string d;
  bool pen_down = false;
  for (const auto& p : points) {
    if (p.value)
      d += (pen_down ? "L" : "M") + Canvas::n(axes.x(p.x)) + " " + Canvas::n(axes.y(*p.value));
    pen_down = p.value.has_value();
  }
  return d;
}

/// The area between the bounds of neighbouring points that both have an interval.
std::string ribbon(const std::vector<Curves::Point>& points, const Axes& axes) {
  std::string d;
  for (std::size_t i = 0; i + 1 < points.size(); ++i) {
    const auto &a = points[i], &b = points[i + 1];
    if (!a.low || !b.low) continue;
    const auto at = [&](double x, double v) {
      return Canvas::n(axes.x(x)) + " " + Canvas::n(axes.y(std::clamp(v, axes.y_low, axes.y_high)));
    };
    d += "M" + at(a.x, *a.low) + "L" + at(b.x, *b.low) + "L" + at(b.x, *b.high) + "L" +
         at(a.x, *a.high) + "Z";
  }
  return d;
}

/// Each x that has a value while they are few, else round ones.
std::vector<double> x_ticks(const Curves& curves) {
  constexpr std::size_t few = 10;
  std::vector<double> xs;
  const auto see = [&](const std::vector<Curves::Point>& points) {
    for (const auto& p : points) xs.push_back(p.x);
  };
  for (const auto& series : curves.series) {
    see(series.points);
    if (series.points.empty())
      for (const auto& run : series.runs) see(run);
  }
  std::sort(xs.begin(), xs.end());
  xs.erase(std::unique(xs.begin(), xs.end()), xs.end());
  return xs.size() <= few ? xs : ticks(0, xs.back(), 6);
}

void draw_axes(Canvas& canvas, const Curves& curves, const Axes& axes) {
  const auto y_ticks = ticks(axes.y_low, axes.y_high, 6);
  for (const double v : y_ticks) {
    canvas.line(axes.left, axes.y(v), axes.left + axes.width, axes.y(v), "c-grid");
    canvas.text(axes.left - 6, axes.y(v) + 4, tick_text(v, digits_of(y_ticks), false), Anchor::end);
  }
  for (const double v : x_ticks(curves))
    canvas.text(axes.x(v), axes.top + axes.height + 16, shortest(std::round(1e6 * v) / 1e6),
                Anchor::middle);
  canvas.line(axes.left, axes.top + axes.height, axes.left + axes.width, axes.top + axes.height,
              "c-axis");
  if (curves.reference && *curves.reference > axes.y_low && *curves.reference < axes.y_high)
    canvas.line(axes.left, axes.y(*curves.reference), axes.left + axes.width,
                axes.y(*curves.reference), "c-reference");
  if (curves.diagonal) canvas.line(axes.x(0), axes.y(0), axes.x(1), axes.y(1), "c-reference");
  canvas.text(axes.left + axes.width / 2, axes.top + axes.height + 34, curves.x_title,
              Anchor::middle, "c-text c-muted");
  canvas.text(axes.left, axes.top - 10, curves.y_title, Anchor::start, "c-text c-muted");
}

double draw_legend(Canvas& canvas, const std::vector<std::pair<std::string, std::size_t>>& names,
                   double left, double y, double width) {
  double x = left;
  for (const auto& [name, style] : names) {
    const double needs = 34 + text_width(name);
    if (x > left && x + needs > left + width) {
      x = left;
      y += 18;
    }
    canvas.line(x, y - 4, x + 22, y - 4, "c-line c-s" + std::to_string(style % 8));
    canvas.marker(x + 11, y - 4, style);
    canvas.text(x + 27, y, name);
    x += needs + 8;
  }
  return y;
}

Drawing draw(const Curves& curves) {
  constexpr double width = 350;
  Canvas canvas;
  std::vector<std::pair<std::string, std::size_t>> names;
  double x_high = 0;
  for (const auto& series : curves.series) {
    names.emplace_back(series.name, series.style);
    for (const auto& p : series.points) x_high = std::max(x_high, p.x);
    for (const auto& run : series.runs)
      for (const auto& p : run) x_high = std::max(x_high, p.x);
  }
  if (curves.diagonal || x_high == 0) x_high = 1;
  const double margin = 0.03 * x_high;  // for the signs at both ends
  const double legend = draw_legend(canvas, names, 8, 38, width - 16);
  const Axes axes{-margin, x_high + margin, curves.y_low, curves.y_high, 46, legend + 34, 294, 190};
  draw_axes(canvas, curves, axes);
  for (const auto& series : curves.series)
    canvas.path(ribbon(series.points, axes), "c-ribbon c-s" + std::to_string(series.style % 8));
  for (const auto& series : curves.series)
    for (const auto& run : series.runs)
      canvas.path(polyline(run, axes), (series.points.empty() ? "c-trace c-s" : "c-run c-s") +
                                           std::to_string(series.style % 8));
  for (const auto& series : curves.series) {
    canvas.path(polyline(series.points, axes), "c-line c-s" + std::to_string(series.style % 8));
    for (const auto& p : series.points)
      if (p.value) canvas.marker(axes.x(p.x), axes.y(*p.value), series.style);
    for (const auto& p : series.marks)
      if (p.value) canvas.marker(axes.x(p.x), axes.y(*p.value), series.style);
  }
  return {width, axes.top + axes.height + 44, canvas.body};
}

// --- forest plot

void draw_forest_row(Canvas& canvas, const Forest::Row& row, const Axes& axes, double y) {
  const std::string style = "c-s" + std::to_string(row.style % 8);
  if (!row.value) {
    canvas.text(axes.x(0), y + 4, no_number, Anchor::middle);
    return;
  }
  if (row.low) canvas.line(axes.x(*row.low), y, axes.x(*row.high), y, "c-interval " + style);
  canvas.marker(axes.x(*row.value), y, row.style, row.strong ? 5 : 3.5);
}

Axes forest_axes(const Forest& forest, double left) {
  double low = 0, high = 0;
  for (const auto& row : forest.rows)
    for (const auto& v : {row.value, row.low, row.high}) {
      low = std::min(low, v.value_or(0));
      high = std::max(high, v.value_or(0));
    }
  const double margin = std::max(0.005, 0.05 * (high - low));
  return {low - margin, high + margin, 0, 1, left, 0, 480 - left - 12, 0};
}

Drawing draw(const Forest& forest) {
  constexpr double row_height = 20;
  Canvas canvas;
  std::vector<std::pair<std::string, std::size_t>> names;
  std::vector<std::string> groups;
  for (const auto& row : forest.rows) {
    groups.push_back(row.group);
    const std::pair<std::string, std::size_t> name{row.name, row.style};
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  }
  const Axes axes = forest_axes(forest, widest(groups) + 24);
  const double top = draw_legend(canvas, names, 8, 38, 464) + 18;
  double y = top;
  std::string marks;
  Canvas rows;
  for (std::size_t i = 0; i < forest.rows.size(); ++i) {
    const bool first = i == 0 || forest.rows[i].group != forest.rows[i - 1].group;
    if (first && i > 0) {
      y += 8;
      rows.line(8, y - row_height / 2 - 4 + 8, 468, y - row_height / 2 - 4 + 8, "c-grid");
      y += 8;
    }
    if (first)
      rows.text(axes.left - 12, y + row_height / 2 + 4, forest.rows[i].group, Anchor::end,
                forest.rows[i].strong ? "c-text c-strong" : "c-text");
    draw_forest_row(rows, forest.rows[i], axes, y + row_height / 2);
    y += row_height;
  }
  const double bottom = y + 6;
  const auto x_ticks = ticks(axes.x_low, axes.x_high, 6);
  for (const double v : x_ticks) {
    canvas.line(axes.x(v), top, axes.x(v), bottom, std::abs(v) < 1e-9 ? "c-axis" : "c-grid");
    canvas.text(axes.x(v), bottom + 16, tick_text(v, digits_of(x_ticks), true), Anchor::middle);
  }
  canvas.body += rows.body;
  canvas.text((axes.left + 468) / 2, bottom + 36, forest.x_title, Anchor::middle, "c-text c-muted");
  return {480, bottom + 46, canvas.body};
}

std::string alt_of(const Figure& figure) {
  std::string text = figure.alt;
  if (const auto* curves = std::get_if<Curves>(&figure.chart))
    for (const auto& series : curves->series)
      if (!series.alt.empty()) text += " " + series.alt;
  return text;
}

std::string element(const Figure& figure, const std::string& style) {
  const Drawing drawing = std::visit([](const auto& chart) { return draw(chart); }, figure.chart);
  Canvas heading;
  heading.text(8, 16, figure.title, Anchor::start, "c-text c-title");
  const double width = std::max(drawing.width, 16 + 1.1 * text_width(figure.title));
  const std::string size = Canvas::n(width), height = Canvas::n(drawing.height);
  const std::string space = style.empty() ? "" : " xmlns=\"http://www.w3.org/2000/svg\"";
  std::string svg = "<svg" + space + " viewBox=\"0 0 " + size + " " + height + "\" width=\"" +
                    size + "\" height=\"" + height + "\" class=\"chart\" role=\"img\"" +
                    " aria-label=\"" + escape_xml(alt_of(figure)) + "\">\n";
  if (!style.empty()) {
    svg += "<style>" + style + "</style>\n";
    svg += "<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n";
  }
  return svg + heading.body + drawing.body + "</svg>\n";
}

// Okabe and Ito 2008, Color universal design; the baseline is the grey one.
constexpr std::array<const char*, 8> light_arms = {"#4d5560", "#0072b2", "#c44e00", "#00805c",
                                                   "#a8457f", "#2f8fc4", "#9a6b00", "#6a51a3"};
constexpr std::array<const char*, 8> dark_arms = {"#b4bcc8", "#4fb0ee", "#ff9152", "#3ecf9f",
                                                  "#ec93c4", "#8fd3ff", "#f0bf4c", "#b7a3ee"};

std::string arm_colours(const std::array<const char*, 8>& colours, const std::string& prefix) {
  std::string css;
  for (std::size_t i = 0; i < colours.size(); ++i)
    css += prefix + ".c-s" + std::to_string(i) + "{color:" + colours[i] + "}\n";
  return css;
}

}  // namespace

std::string draw(const Figure& figure) {
  return element(figure, "");
}

std::string svg_file(const Figure& figure) {
  return "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n" + element(figure, chart_style());
}

std::string chart_style() {
  return ".c-text{font:12px system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif;"
         "fill:#1c2127;font-variant-numeric:tabular-nums}\n"
         ".c-text.c-title{font-size:13px;font-weight:600}\n"
         ".c-text.c-muted{fill:#58616d}.c-text.c-small{font-size:11px;fill:#58616d}\n"
         ".c-text.c-strong{font-weight:600}.c-text.c-over{pointer-events:none}\n"
         ".c-text.c-on-colour{fill:#fff}\n"
         ".c-negative{fill:#9c4a00}.c-positive{fill:#1f5fa8}.c-empty{fill:#e9ecf0}\n"
         ".c-grid{stroke:#dfe3e8}.c-axis{stroke:#58616d}\n"
         ".c-reference{stroke:#58616d;stroke-dasharray:2 4}\n"
         ".c-line{fill:none;stroke:currentColor;stroke-width:2}\n"
         ".c-line.c-s1,.c-trace.c-s1,.c-line.c-s5,.c-trace.c-s5{stroke-dasharray:7 3}\n"
         ".c-line.c-s2,.c-trace.c-s2,.c-line.c-s6,.c-trace.c-s6{stroke-dasharray:2 3}\n"
         ".c-line.c-s3,.c-trace.c-s3,.c-line.c-s7,.c-trace.c-s7{stroke-dasharray:9 3 2 3}\n"
         ".c-run{fill:none;stroke:currentColor;stroke-width:.8;stroke-opacity:.45}\n"
         ".c-trace{fill:none;stroke:currentColor;stroke-width:1.2;stroke-opacity:.8}\n"
         ".c-ribbon{fill:currentColor;fill-opacity:.13}.c-fill{fill:currentColor}\n"
         ".c-interval{stroke:currentColor;stroke-width:2}\n" +
         arm_colours(light_arms, "");
}

std::string dark_chart_style() {
  return ".c-text{fill:#e6e9ed}.c-text.c-muted,.c-text.c-small{fill:#a7b0bc}\n"
         ".c-text.c-on-colour{fill:#fff}\n"
         ".c-negative{fill:#b85f14}.c-positive{fill:#2f6db5}.c-empty{fill:#2a3038}\n"
         ".c-grid{stroke:#333a43}.c-axis,.c-reference{stroke:#a7b0bc}\n" +
         arm_colours(dark_arms, "");
}

}  // namespace mr::report
