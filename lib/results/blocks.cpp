#include "results/blocks.h"

#include <algorithm>
#include <set>

#include "stats/multiplicity.h"

namespace mr::results {
namespace {

/// The first subject of `group` that is in `seen`, which grows by the group's.
std::optional<std::int32_t> shared_subject(const Subgroup& group, std::set<std::int32_t>& seen) {
  for (const auto subject : group.subjects)
    if (!seen.insert(subject).second) return subject;
  return {};
}

/// [blocks][arms]; where a value is missing, the test's reason says so.
std::vector<std::vector<double>> values(const Study& study, BlockTest& test) {
  std::vector<std::vector<double>> all;
  std::set<std::int32_t> seen;
  for (std::size_t g = 0; g < study.subgroups().size(); ++g) {
    const auto& group = study.subgroups()[g];
    if (group.attribute != test.attribute || group.value.empty()) continue;
    test.blocks.push_back(group.value);
    if (const auto subject = shared_subject(group, seen))
      test.reason = "subject " + study.common().subjects[static_cast<std::size_t>(*subject)] +
                    " is in two of them: not independent";
    all.emplace_back();
    for (const auto& arm : test.arms) {
      const auto e =
          study.estimate(study.artifacts().empty() ? study.clean(arm) : study.endpoint(arm), macro,
                         Metric::auroc, g);
      if (e.value)
        all.back().push_back(*e.value);
      else if (test.reason.empty())
        test.reason = group.value + ": " + e.reason;
    }
  }
  return all;
}

void set_signed_ranks(BlockTest& test, const std::vector<std::vector<double>>& values) {
  std::vector<double> defined;
  for (std::size_t arm = 1; arm < test.arms.size(); ++arm) {
    std::vector<double> differences;
    for (const auto& block : values) differences.push_back(block[arm] - block[0]);
    test.p.push_back(stats::signed_rank(differences));
    if (test.p.back().value) defined.push_back(*test.p.back().value);
  }
  const auto adjusted = stats::holm(defined);
  auto next = adjusted.begin();
  for (const auto& p : test.p)
    test.p_adjusted.push_back(p.value ? std::optional<double>(*next++) : std::nullopt);
}

}  // namespace

std::vector<BlockTest> block_tests(const Study& study, const std::string& baseline) {
  std::vector<BlockTest> tests;
  for (const auto& group : study.subgroups()) {
    if (!tests.empty() && tests.back().attribute == group.attribute) continue;
    BlockTest test;
    test.attribute = group.attribute;
    test.arms = {baseline};
    for (const auto& arm : study.arms())
      if (arm != baseline) test.arms.push_back(arm);
    const auto of_blocks = values(study, test);
    if (test.reason.empty()) {
      test.friedman = stats::friedman(of_blocks);
      set_signed_ranks(test, of_blocks);
    }
    tests.push_back(std::move(test));
  }
  return tests;
}

}  // namespace mr::results
