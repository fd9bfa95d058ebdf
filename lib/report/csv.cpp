#include "report/csv.h"

#include <array>
#include <charconv>

#include "base/text.h"
#include "report/format.h"
#include "report/records.h"

namespace mr::report {
namespace {

std::string number(const std::optional<double>& value) {
  return value ? shortest(*value) : "";
}

/// Shortest text that reads back as the same float.
std::string score_text(float score) {
  std::array<char, 32> buffer{};
  return {buffer.data(), std::to_chars(buffer.data(), buffer.data() + buffer.size(), score).ptr};
}

std::string row_of(const Scope& scope, const Record& record) {
  const auto& model = any_model(scope.study, record.arm);
  const auto& e = record.estimate;
  const bool interval = e.low.has_value();
  std::string row;
  for (const auto& field : {std::string(name(record.quantity)),
                            record.arm,
                            model.normalization,
                            model.adaptation,
                            record.run ? std::to_string(*record.run) : "",
                            record.reference,
                            record.artifact,
                            number(record.severity),
                            record.label,
                            std::string(stats::name(record.metric)),
                            number(e.value),
                            number(e.low),
                            number(e.high),
                            number(e.p),
                            number(record.p_adjusted),
                            record.adjustment,
                            number(e.mde),
                            interval ? shortest(e.variance.total) : "",
                            interval ? shortest(e.variance.df) : "",
                            std::to_string(e.runs),
                            std::to_string(e.labels_used),
                            std::to_string(e.positives),
                            std::to_string(e.negatives),
                            std::to_string(e.positive_subjects),
                            std::to_string(e.negative_subjects)})
    row += csv_field(field) + ",";
  return row + csv_field(e.reason) + "\n";
}

std::string drawn(const HeatMap& map) {
  std::string text = "row,column,estimate,lo,hi,marked\n";
  for (std::size_t r = 0; r < map.rows.size(); ++r)
    for (std::size_t c = 0; c < map.columns.size(); ++c) {
      const auto& tile = map.tiles[r][c];
      text += csv_line({map.rows[r], map.columns[c], number(tile.value), number(tile.low),
                        number(tile.high), tile.marked ? "1" : "0"});
    }
  return text;
}

std::string drawn(const Curves& curves) {
  std::string text = "series,run,x,estimate,lo,hi\n";
  for (const auto& series : curves.series) {
    for (const auto& p : series.points)
      text += csv_line(
          {series.name, "", shortest(p.x), number(p.value), number(p.low), number(p.high)});
    for (std::size_t r = 0; r < series.runs.size(); ++r)
      for (const auto& p : series.runs[r])  // a thin line has no ribbon
        text +=
            csv_line({series.name, series.run_names.at(r), shortest(p.x), number(p.value), "", ""});
  }
  return text;
}

std::string drawn(const Forest& forest) {
  std::string text = "group,name,estimate,lo,hi\n";
  for (const auto& row : forest.rows)
    text += csv_line({row.group, row.name, number(row.value), number(row.low), number(row.high)});
  return text;
}

}  // namespace

std::string figure_csv(const Figure& figure) {
  return std::visit([](const auto& chart) { return drawn(chart); }, figure.chart);
}

std::string estimates_csv(const Scope& scope) {
  std::string text =
      "quantity,arm,norm,adaptation,run,reference,artifact,severity,label,metric,estimate,lo,hi,p,"
      "p_adjusted,adjustment,mde,variance,df,runs,labels_used,n_pos,n_neg,subjects_pos,subjects_"
      "neg,"
      "reason\n";
  for_each_record(scope, [&](const Record& record) { text += row_of(scope, record); });
  return text;
}

ScoresCsv::ScoresCsv(std::function<void(std::string_view)> sink) : sink_(std::move(sink)) {
  sink_("arm,norm,adaptation,run,model,artifact,severity,sample,subject,label,truth,score\n");
}

void ScoresCsv::add(const results::Header& header, const results::Result& result) {
  const auto& model = header.models[result.model];
  const auto [artifact, severity] = columns_of(result.condition);
  std::string begin;
  for (const auto& field : {results::arm(model), model.normalization, model.adaptation,
                            std::to_string(model.run), model.id, artifact, number(severity)})
    begin += csv_field(field) + ",";
  const auto samples = header.sample_ids.size();
  std::string block;
  for (std::size_t l = 0; l < header.labels.size(); ++l)
    for (std::size_t i = 0; i < samples; ++i) {
      const int truth = header.truth[l][i];
      block += begin + csv_field(header.sample_ids[i]) + "," +
               csv_field(header.subjects[static_cast<std::size_t>(header.sample_subject[i])]) +
               "," + csv_field(header.labels[l]) + "," + (truth < 0 ? "" : std::to_string(truth)) +
               "," + score_text(result.scores[l * samples + i]) + "\n";
      if (block.size() > (1u << 20)) {
        sink_(block);
        block.clear();
      }
    }
  sink_(block);
}

}  // namespace mr::report
