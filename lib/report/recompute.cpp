#include "report/recompute.h"

#include "base/json.h"

namespace mr::report {
namespace {

// clang-format off
constexpr const char* python = R"py(#!/usr/bin/env python3
"""The headline of this report once more, from every sample's score and the definitions alone: macro
AUROC on corrupted images, each arm minus the baseline, with subjects and training runs as random.

    mr-report --scores scores.csv EVALUATION...
    python3 recompute.py scores.csv
"""
import csv
import sys
from collections import defaultdict

import numpy as np
from scipy.stats import rankdata, t

BASELINE = @baseline@


def auroc(score, truth, subject, subjects):
    """AUROC; U_p, the influence of each subject (DeLong et al. 1988, clustered by subject: Obuchowski
    1997); and min(I10, I01), the subjects with positives or with negatives, whichever are fewer."""
    x, y = score[truth == 1], score[truth == 0]
    both = rankdata(np.concatenate([x, y]))  # mid-ranks: a tie counts half
    v10 = (both[:len(x)] - rankdata(x)) / len(y)  # share of the negatives below each positive
    v01 = 1 - (both[len(x):] - rankdata(y)) / len(x)
    area, influence, independent = v10.mean(), 0, []
    for placement, who in ((v10, subject[truth == 1]), (v01, subject[truth == 0])):
        i = len(set(who))
        scale = np.sqrt(i / (i - 1)) if i > 1 else 0
        influence = influence + scale * np.bincount(who, placement - area, subjects) / len(who)
        independent.append(i)
    return area, influence, min(independent)


if len(sys.argv) != 2:
    sys.exit("usage: recompute.py SCORES.csv, as mr-report --scores writes it")
cells, norm, index = defaultdict(list), {}, {}
with open(sys.argv[1], newline="", encoding="utf-8") as file:
    for row in csv.DictReader(file):
        norm[row["arm"]] = row["norm"]
        p = index.setdefault(row["subject"], len(index))
        if row["severity"] and row["truth"]:  # under an artifact, and of known truth
            key = row["arm"], row["run"], row["label"], row["artifact"], row["severity"]
            cells[key].append((float(row["score"]), int(row["truth"]), p))

# By network and label, the AUROC and its influences: mean over severities, then over artifacts.
grouped = defaultdict(lambda: defaultdict(list))
for (arm, run, label, artifact, _), cases in cells.items():
    score, truth, subject = map(np.array, zip(*cases))
    if 0 < truth.sum() < len(truth):
        grouped[arm, run, label][artifact].append(auroc(score, truth, subject, len(index)))


def mean(parts):
    """Of (value, influences, subjects): means, and the fewest subjects."""
    return (np.mean([p[0] for p in parts]), np.mean([p[1] for p in parts], axis=0),
            min(p[2] for p in parts))


labels = defaultdict(list)
for (arm, run, _), artifacts in grouped.items():
    labels[arm, run].append(mean([mean(severities) for severities in artifacts.values()]))
networks = {key: mean(parts) for key, parts in labels.items()}  # mean over labels: macro
runs = {arm: sorted(r for a, r in networks if a == arm) for arm in norm}

print("arm,reference,estimate,lo,hi,p,subjects,runs,interaction,df")
for arm in norm:
    if arm == BASELINE:
        continue
    if norm[arm] == norm[BASELINE]:  # the same networks, one with adaptation: paired run by run
        pairs = [(networks[arm, r], networks[BASELINE, r]) for r in runs[arm]]
        families = [([a[0] - b[0] for a, b in pairs], [a[1] - b[1] for a, b in pairs])]
    else:
        families = [([sign * networks[a, r][0] for r in runs[a]],
                     [sign * networks[a, r][1] for r in runs[a]])
                    for a, sign in ((arm, 1), (BASELINE, -1))]
    subjects = min(networks[a, r][2] for a in (arm, BASELINE) for r in runs[a])
    theta, of_subject, v_r, v_sr, over_df, least = 0, 0, 0, 0, 0, subjects - 1
    for values, influences in families:
        j, bar = len(values), np.mean(influences, axis=0)
        theta += np.mean(values)
        of_subject = of_subject + bar
        if j > 1:
            of_runs = np.var(values, ddof=1) / j
            v_r += of_runs
            v_sr += ((np.array(influences) - bar) ** 2).sum() / (j * (j - 1))
            over_df += of_runs ** 2 / (j - 1)
            least = min(least, j - 1) if of_runs > 0 else least
    v_s = (of_subject ** 2).sum()
    v = max(v_s, v_s + v_r - v_sr)  # both contain the interaction of runs and subjects
    df = max(least, v ** 2 / (v_s ** 2 / (subjects - 1) + over_df))  # Satterthwaite 1946
    half = t.ppf(0.975, df) * np.sqrt(v)
    p = 2 * t.sf(abs(theta) / np.sqrt(v), df) if subjects >= 10 else None
    csv.writer(sys.stdout, lineterminator="\n").writerow(
        [arm, BASELINE, theta, theta - half, theta + half, p, v_s, v_r, v_sr, df])
)py";

constexpr const char* r = R"r(#!/usr/bin/env Rscript
# The headline of this report once more, from every sample's score and the definitions alone: macro
# AUROC on corrupted images, each arm minus the baseline, with subjects and training runs as random.
#
#     mr-report --scores scores.csv EVALUATION...
#     Rscript recompute.R scores.csv

baseline <- @baseline@

# AUROC; U_p, the influence of each subject (DeLong et al. 1988, clustered by subject: Obuchowski
# 1997); and min(I10, I01), the subjects with positives or with negatives, whichever are fewer.
auroc <- function(score, truth, subject) {
  x <- score[truth == 1]; y <- score[truth == 0]
  both <- rank(c(x, y))  # mid-ranks: a tie counts half
  v10 <- (both[seq_along(x)] - rank(x)) / length(y)  # share of the negatives below each positive
  v01 <- 1 - (both[-seq_along(x)] - rank(y)) / length(x)
  area <- mean(v10)
  part <- function(placement, who) {
    i <- length(unique(who))
    sums <- tapply(placement - area, who, sum)  # of all subjects: who is a factor
    sums[is.na(sums)] <- 0
    list(u = if (i > 1) sqrt(i / (i - 1)) * sums / length(placement) else 0 * sums, i = i)
  }
  positive <- part(v10, subject[truth == 1]); negative <- part(v01, subject[truth == 0])
  list(value = area, u = positive$u + negative$u, subjects = min(positive$i, negative$i))
}

average <- function(parts) {  # means, and the fewest subjects
  list(value = mean(sapply(parts, `[[`, "value")),
       u = Reduce(`+`, lapply(parts, `[[`, "u")) / length(parts),
       subjects = min(sapply(parts, `[[`, "subjects")))
}

if (length(commandArgs(TRUE)) != 1)
  stop("usage: recompute.R SCORES.csv, as mr-report --scores writes it", call. = FALSE)
d <- read.csv(commandArgs(TRUE), na.strings = "",
              colClasses = c(rep("character", 10), "integer", "numeric"))
norm <- d[!duplicated(d$arm), c("arm", "norm")]
norm <- setNames(norm$norm, norm$arm)
d$subject <- factor(d$subject)
d <- d[!is.na(d$severity) & !is.na(d$truth), ]  # under an artifact, and of known truth

# Of one network: mean over severities, then over artifacts, then over labels (macro).
network <- function(arm, run) {
  mine <- d[d$arm == arm & d$run == run, ]
  of_label <- lapply(split(mine, mine$label), function(l) {
    if (length(unique(l$truth)) < 2) return(NULL)  # a class is absent: no AUROC
    average(lapply(split(l, l$artifact), function(a)
      average(lapply(split(a, a$severity), function(s) auroc(s$score, s$truth, s$subject)))))
  })
  average(Filter(Negate(is.null), of_label))
}
runs <- lapply(split(d$run, d$arm), function(r) sort(unique(r)))
networks <- sapply(names(norm), function(a) lapply(runs[[a]], function(r) network(a, r)),
                   simplify = FALSE)

cat("arm,reference,estimate,lo,hi,p,subjects,runs,interaction,df\n")
for (arm in setdiff(names(norm), baseline)) {
  one <- networks[[arm]]; other <- networks[[baseline]]
  minus <- function(a, b) list(value = a$value - b$value, u = a$u - b$u)
  zero <- list(value = 0, u = 0)
  families <- if (norm[[arm]] == norm[[baseline]])
    list(Map(minus, one, other))  # the same networks, one with adaptation: paired run by run
  else
    list(one, lapply(other, function(b) minus(zero, b)))
  subjects <- min(sapply(c(one, other), `[[`, "subjects"))
  theta <- 0; of_subject <- 0; v_r <- 0; v_sr <- 0; over_df <- 0; least <- subjects - 1
  for (family in families) {
    j <- length(family)
    values <- sapply(family, `[[`, "value")
    bar <- Reduce(`+`, lapply(family, `[[`, "u")) / j
    theta <- theta + mean(values)
    of_subject <- of_subject + bar
    if (j > 1) {
      of_runs <- var(values) / j
      v_r <- v_r + of_runs
      v_sr <- v_sr + sum(sapply(family, function(n) sum((n$u - bar)^2))) / (j * (j - 1))
      over_df <- over_df + of_runs^2 / (j - 1)
      if (of_runs > 0) least <- min(least, j - 1)
    }
  }
  v_s <- sum(of_subject^2)
  v <- max(v_s, v_s + v_r - v_sr)  # both contain the interaction of runs and subjects
  df <- max(least, v^2 / (v_s^2 / (subjects - 1) + over_df))  # Satterthwaite 1946
  half <- qt(0.975, df) * sqrt(v)
  p <- if (subjects >= 10) 2 * pt(-abs(theta) / sqrt(v), df) else NA
  numbers <- sprintf("%.17g", c(theta, theta - half, theta + half, p, v_s, v_r, v_sr, df))
  numbers[numbers == "NA"] <- ""
  quoted <- paste0('"', gsub('"', '""', c(arm, baseline)), '"')
  cat(paste(c(quoted, numbers), collapse = ","), "\n", sep = "")
}
)r";
// clang-format on

/// A JSON string is one of Python and of R too.
std::string with_baseline(std::string text, const std::string& arm) {
  const std::string place = "@baseline@";
  return text.replace(text.find(place), place.size(), to_line(arm));
}

}  // namespace

std::string recompute_python(const Scope& scope) {
  return with_baseline(python, scope.baseline);
}

std::string recompute_r(const Scope& scope) {
  return with_baseline(r, scope.baseline);
}

}  // namespace mr::report
