#include "stats/permutation.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/threads.h"
#include "stats/ranking.h"
#include "stats/resampled.h"

namespace mr::stats {
namespace {

constexpr double rounding = 1e-12;  // of differences that are the same

/// Scores replaced by their mid-ranks among the samples of known truth: whole and half numbers.
std::vector<float> mid_ranks(const Cases& cases) {
  const auto ranking = rank(cases.scores, cases.truth);
  std::vector<float> ranks(cases.scores.size());
  for (const auto& group : ranking.groups)
    for (std::size_t i = group.begin; i < group.end; ++i)
      ranks[ranking.order[i]] = -0.5f * static_cast<float>(group.begin + group.end);
  return ranks;
}

/// Both networks' ranks of one member: those of b belong to subjects P .. 2P - 1.
ResampledAuroc side_by_side(const Cases& a, const Cases& b) {
  if (a.truth != b.truth || a.subject != b.subject || a.subjects != b.subjects)
    throw DataError("exchange of ranks: the samples differ");
  Cases both{mid_ranks(a), a.truth, a.subject, 2 * a.subjects};
  const auto of_b = mid_ranks(b);
  both.scores.insert(both.scores.end(), of_b.begin(), of_b.end());
  both.truth.insert(both.truth.end(), b.truth.begin(), b.truth.end());
  for (const auto subject : b.subject) both.subject.push_back(subject + a.subjects);
  return ResampledAuroc(both);
}

/// Mean difference when the subjects of `exchanged` have their ranks exchanged.
class Exchange {
 public:
  Exchange(const std::vector<Cases>& a, const std::vector<Cases>& b) {
    if (a.size() != b.size()) throw DataError("exchange of ranks: want as many members in both");
    std::vector<bool> known;
    for (std::size_t m = 0; m < a.size(); ++m) {
      const auto n = count(a[m].truth, a[m].subject, a[m].subjects);
      if (n.positives == 0 || n.negatives == 0) continue;
      members_.push_back(side_by_side(a[m], b[m]));
      subjects_ = static_cast<std::size_t>(a[m].subjects);
      known.resize(subjects_);
      for (std::size_t i = 0; i < a[m].truth.size(); ++i)
        if (a[m].truth[i] >= 0) known[static_cast<std::size_t>(a[m].subject[i])] = true;
    }
    for (std::size_t p = 0; p < known.size(); ++p)
      if (known[p]) active_.push_back(p);
  }
  bool defined() const { return !members_.empty(); }
  std::size_t active() const { return active_.size(); }  // subjects that have samples

  template <typename Exchanged>
  double difference(const Exchanged& exchanged) const {
    Times of_a(2 * subjects_), of_b(2 * subjects_);
    for (std::size_t k = 0; k < active_.size(); ++k) {
      const std::int32_t other = exchanged(k) ? 1 : 0;
      const auto p = active_[k];
      of_a[p] = of_b[p + subjects_] = 1 - other;
      of_b[p] = of_a[p + subjects_] = other;
    }
    double sum = 0;
    for (const auto& member : members_) sum += *member(of_a) - *member(of_b);
    return sum / static_cast<double>(members_.size());
  }

 private:
  std::vector<ResampledAuroc> members_;
  std::size_t subjects_ = 0;
  std::vector<std::size_t> active_;
};

}  // namespace

Permutation exchange_ranks(const std::vector<Cases>& a, const std::vector<Cases>& b, RandomKey key,
                           std::int64_t most) {
  const Exchange exchange(a, b);
  Permutation result;
  if (!exchange.defined()) {
    result.reason = "no label has both classes";
    return result;
  }
  const double observed = exchange.difference([](std::size_t) { return false; });
  result.difference = observed;
  result.exact = exchange.active() < 63 && (std::int64_t{1} << exchange.active()) <= most;
  result.exchanges = result.exact ? std::int64_t{1} << exchange.active() : most;
  std::vector<char> as_large(static_cast<std::size_t>(result.exchanges));
  parallel_for(available_threads(), result.exchanges, [&](std::int64_t i) {
    const auto stream = sub_key(key, static_cast<std::uint64_t>(i));
    const double value = exchange.difference(
        [&](std::size_t k) { return result.exact ? (i >> k & 1) != 0 : uniform(stream, k) < 0.5; });
    as_large[static_cast<std::size_t>(i)] = std::abs(value) >= std::abs(observed) - rounding;
  });
  const auto found = static_cast<double>(std::count(as_large.begin(), as_large.end(), char{1}));
  const auto looked = static_cast<double>(result.exchanges);
  result.p = result.exact ? found / looked : (1 + found) / (1 + looked);
  return result;
}

}  // namespace mr::stats
