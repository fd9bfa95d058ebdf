// report/: the report as mr-report/1, for programs.
#pragma once
#include "report/document.h"
#include "report/scope.h"
#include "report/training.h"

namespace mr::report {

/// Every estimate (records.h) of member "estimates": means over runs, with single runs beside them.
Json estimates_json(const Scope& scope);

/// Numbers in full precision, null where undefined, with a reason.
Json to_json(const Scope& scope, const Document& document, const Trainings& trainings,
             const Json& provenance);

/// Of trainings alone.
Json to_json(const Document& document, const Trainings& trainings, const Json& provenance);

}  // namespace mr::report
