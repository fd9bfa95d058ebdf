// report/: the sections of a report, each the answer to one question. A section that the study
// cannot answer has no blocks and is left out.
#pragma once
#include "report/document.h"
#include "report/scope.h"
#include "report/training.h"

namespace mr::report {

Section verdict(const Scope& scope);  // by the protocol's rule, or the default one
Section summary(const Scope& scope);
Section performance(const Scope& scope);  // clean, corrupted, their difference; by label
Section leaderboard(const Scope& scope);  // each model, best first
Section heat_maps(const Scope& scope);    // artifact x severity
Section degradation(const Scope& scope);  // curves over severity
Section paired_differences(const Scope& scope);
Section decomposition(const Scope& scope);    // gain and structure
Section remedies(const Scope& scope);         // adaptation and augmentation
Section operating_point(const Scope& scope);  // at frozen thresholds
Section calibration(const Scope& scope);      // of the stated probabilities
Section decision_curves(const Scope& scope);  // net benefit
Section detection(const Scope& scope);        // of artifacts, by the scores
Section subgroups(const Scope& scope);        // by attribute of the images
Section controls(const Scope& scope);         // gain alone, and what was not evaluated
Section shortcuts(const Scope& scope);        // of facts beside the image
Section diagnostics(const Scope& scope);      // why: statistics of batch norms, swaps, probes
Section image_changes(const Scope& scope);    // fidelity and contact sheet
Section methods(const Scope& scope);
Section limitations(const Scope& scope);
Section checklist(const Scope& scope, const Json& provenance);  // CLAIM
Section origin(const Scope& scope, const Json& provenance);     // models and provenance
Section origin(const Json& provenance);                         // provenance alone

/// Normalizations crossed with standardisations; part of decomposition().
std::vector<Block> factorial_tables(const Scope& scope);

/// In what the study is not as its protocol says; the scope has one.
std::vector<std::string> protocol_deviations(const Scope& scope);
Json verdicts_json(const Scope& scope);
Json decomposition_json(const Scope& scope);
Json factorial_json(const Scope& scope);
Json threshold_loss_json(const Scope& scope);
Json calibrations_json(const Scope& scope);
Json decision_curves_json(const Scope& scope);
Json remedies_json(const Scope& scope);
Json augmentation_gaps_json(const Scope& scope);
Json detections_json(const Scope& scope);
Json subgroups_json(const Scope& scope);
Json shifts_json(const Scope& scope);
Json blocks_json(const Scope& scope);
Json exchanges_json(const Scope& scope);
Json controls_json(const Scope& scope);
Json shortcuts_json(const Scope& scope);
Json leaderboard_json(const Scope& scope);
Json checklist_json(const Scope& scope, const Json& provenance);
Json diagnostics_json(const Scope& scope);

/// The whole report. provenance: that of the study with this run's entry last.
Document make_document(const Scope& scope, const Trainings& trainings, const Json& provenance);

}  // namespace mr::report
