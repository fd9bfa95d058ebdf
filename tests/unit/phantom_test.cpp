#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "base/error.h"
#include "phantom/acquisition.h"
#include "phantom/anatomy.h"
#include "phantom/field.h"
#include "phantom/phantom.h"
#include "phantom/tissue.h"

#include "check.h"
using namespace mr::phantom;

namespace {

const Findings healthy{};
const Geometry small{Plane::coronal, 48, 8};

mr::RandomKey knee(int n) {
  return mr::random_key(7, {"knee", std::to_string(n)});
}

double share(const Rendering& r, std::int64_t voxel, Tissue t) {
  return r.share[voxel * tissue_count + static_cast<int>(t)];
}

/// Volume in ml of a tissue in the slices' own thickness.
double volume_ml(const Rendering& r, Tissue t, const Geometry& g) {
  double voxels = 0;
  for (std::int64_t v = 0; v < mr::count(g.shape()); ++v) voxels += share(r, v, t);
  return voxels * g.in_plane_mm() * g.in_plane_mm() * g.thickness_mm / 1000;
}

}  // namespace

TEST_CASE("the spin-echo signal agrees with values worked out by hand") {
  // Muscle at 3 T (Gold 2004): 0.8 (1 - exp(-2600/1420)) exp(-30/31.7)
  CHECK(signal(Tissue::muscle, {Sequence::pd, 2600, 30, 3, 0.1}) ==
        doctest::Approx(0.8 * 0.839731 * 0.388135).epsilon(1e-5));
  // Fluid at 1.5 T: 1 (1 - exp(-2600/2850)) exp(-30/1210)
  CHECK(signal(Tissue::fluid, {Sequence::pd, 2600, 30, 1.5, 0.1}) ==
        doctest::Approx(0.598395 * 0.975511).epsilon(1e-5));
  CHECK(signal(Tissue::air, {}) == 0);
}

TEST_CASE("fat suppression leaves its residual of the fat share, and water alone") {
  const SpinEcho pd{Sequence::pd, 2600, 30, 3, 0.2}, pdfs{Sequence::pdfs, 2600, 30, 3, 0.2};
  const auto left = [&](Tissue t) { return signal(t, pdfs) / signal(t, pd); };
  CHECK(left(Tissue::fat) == doctest::Approx(1 - 0.95 * 0.8));
  CHECK(left(Tissue::marrow) == doctest::Approx(1 - 0.90 * 0.8));
  for (const auto t : {Tissue::muscle, Tissue::cartilage, Tissue::fluid, Tissue::meniscus})
    CHECK(left(t) == doctest::Approx(1));
}

TEST_CASE("contrast is what a radiologist expects at both fields") {
  for (const double field : {1.5, 3.0}) {
    CAPTURE(field);
    const SpinEcho pd{Sequence::pd, 2600, 30, field, 0.1},
        pdfs{Sequence::pdfs, 2600, 30, field, 0.1};
    CHECK(signal(Tissue::fat, pd) > signal(Tissue::fluid, pd));
    CHECK(signal(Tissue::fluid, pdfs) > signal(Tissue::cartilage, pdfs));
    CHECK(signal(Tissue::cartilage, pdfs) > signal(Tissue::fat, pdfs));
    CHECK(signal(Tissue::oedema, pdfs) > 2 * signal(Tissue::marrow, pdfs));
    for (const auto dark : {Tissue::meniscus, Tissue::ligament, Tissue::cortical_bone})
      CHECK(signal(dark, pd) < 0.25 * signal(Tissue::cartilage, pd));
  }
}

TEST_CASE("a field without relaxation times is refused") {
  CHECK_THROWS_WITH_AS(signal(Tissue::fat, {Sequence::pd, 2600, 30, 7, 0.1}),
                       "signal: want a field of 1.5 or 3 T, got 7", mr::DataError);
}

TEST_CASE("the same key draws the same knee, another key another one") {
  const auto one = render(draw_anatomy(knee(1), healthy, 0.5), small);
  CHECK(render(draw_anatomy(knee(1), healthy, 0.5), small).share == one.share);
  const auto two = render(draw_anatomy(knee(2), healthy, 0.5), small);
  std::int64_t differ = 0;
  for (std::int64_t n = 0; n < one.share.size(); ++n) differ += one.share[n] != two.share[n];
  CHECK(differ > one.share.size() / 20);
}

TEST_CASE("a knee holds each tissue in plausible amounts, and its shares sum to 1") {
  const Geometry whole{Plane::coronal, 64, 12};
  for (int n = 0; n < 5; ++n) {
    CAPTURE(n);
    const auto r = render(draw_anatomy(knee(n), healthy, 0.5), whole);
    double worst = 0;
    for (std::int64_t v = 0; v < mr::count(whole.shape()); ++v) {
      double sum = 0;
      for (int t = 0; t < tissue_count; ++t) sum += share(r, v, static_cast<Tissue>(t));
      worst = std::max(worst, std::abs(sum - 1));
    }
    CHECK(worst < 1e-5);  // float rounding of nine ninths
    const double bone = volume_ml(r, Tissue::marrow, whole);
    CHECK(bone > 80);
    CHECK(bone < 250);
    for (const auto t : {Tissue::cartilage, Tissue::meniscus, Tissue::ligament}) {
      CAPTURE(properties(t).name);
      CHECK(volume_ml(r, t, whole) > 0.5);
      CHECK(volume_ml(r, t, whole) < 20);
    }
    CHECK(volume_ml(r, Tissue::muscle, whole) > 20);
    CHECK(volume_ml(r, Tissue::air, whole) > 10);
  }
}

TEST_CASE("a lesion changes the knee where it is stated, and nowhere else") {
  for (int f = 0; f < finding_count; ++f) {
    CAPTURE(finding_name(static_cast<Finding>(f)));
    const bool lifts_the_capsule = f == static_cast<int>(Finding::abnormal);  // effusion
    Findings findings{};
    findings[static_cast<std::size_t>(f)] = true;
    std::int64_t stated = 0, elsewhere = 0, other_findings = 0;
    for (int n = 0; n < 6; ++n) {
      const auto with = draw_anatomy(knee(n), findings, 0.5);
      const auto without = draw_anatomy(knee(n), healthy, 0.5);
      for (double a = -24; a < 20; a += 1.7)
        for (double s = -40; s < 60; s += 1.3)
          for (double m = -60; m < 60; m += 1.3) {
            const auto x = with.at({m, a, s}), y = without.at({m, a, s});
            stated += x.finding == f;
            other_findings += y.finding != -1 || (x.finding != f && x.finding != -1);
            elsewhere += x.finding == -1 && (x.base != y.base || x.share != y.share);
          }
      const auto r = render(with, small);
      for (std::int64_t i = 0; i < r.finding_mm2.size(); ++i)
        other_findings += i / small.slices != f && r.finding_mm2[i] != 0;
    }
    CHECK(stated > 100);
    CHECK(other_findings == 0);
    if (!lifts_the_capsule) CHECK(elsewhere == 0);
  }
}

TEST_CASE("more difficulty makes lesions smaller") {
  const Findings all{true, true, true, true};
  for (int f = 0; f < finding_count; ++f) {
    std::array<double, 2> area{};
    for (int n = 0; n < 8; ++n)
      for (const int hard : {0, 1}) {
        const auto r = render(draw_anatomy(knee(n), all, hard), small);
        for (std::int64_t k = 0; k < small.slices; ++k)
          area[static_cast<std::size_t>(hard)] += r.finding_mm2[f * small.slices + k];
      }
    CAPTURE(finding_name(static_cast<Finding>(f)));
    CHECK(area[1] < 0.6 * area[0]);
    CHECK(area[1] > 0);
  }
}

TEST_CASE(
    "the stored axes run left, up, back in coronal slices and back, up, right in sagittal ones") {
  const auto coronal = affine({Plane::coronal, 64, 10}),
             sagittal = affine({Plane::sagittal, 64, 10});
  CHECK(mr::image::orientation(coronal) == std::array<char, 3>{'L', 'S', 'P'});
  CHECK(mr::image::orientation(sagittal) == std::array<char, 3>{'P', 'S', 'R'});
  CHECK(coronal[0][0] == doctest::Approx(-2));
  CHECK(coronal[1][2] == doctest::Approx(-3.6));
}

TEST_CASE("the coils' root sum of squares is 1 in the middle and higher at the elements") {
  const Geometry g{Plane::coronal, 65, 9};
  const auto rss = root_sum_of_squares(sensitivities(g, 8, knee(1)));
  const std::int64_t middle = (4 * 65 + 32) * 65 + 32;
  CHECK(rss[middle] == doctest::Approx(1).epsilon(1e-3));
  CHECK(rss[middle - 32] > 1.1);
  CHECK(rss[middle - 32] < 2);
}

TEST_CASE(
    "in air the magnitude has the moments of a chi distribution with 2 C degrees of freedom") {
  const Geometry g{Plane::coronal, 64, 8};
  const int coils = 8;
  const double sd = 0.02;
  const auto c = sensitivities(g, coils, knee(1));
  const auto noise = root_sum_of_squares(receive(mr::Array<float>(g.shape()), c, sd, knee(2)));
  double mean = 0, square = 0;
  for (const double x : noise) {
    mean += x / static_cast<double>(noise.size());
    square += x * x / static_cast<double>(noise.size());
  }
  const double chi_mean = std::sqrt(2.0) * std::exp(std::lgamma(coils + 0.5) - std::lgamma(coils));
  CHECK(mean == doctest::Approx(sd * chi_mean).epsilon(0.005));  // 7 standard errors
  CHECK(square == doctest::Approx(sd * sd * 2 * coils).epsilon(0.01));
}

TEST_CASE(
    "without noise both combinations give signal times shading; with it, the filter keeps sd") {
  const Geometry g{Plane::coronal, 32, 8};
  const auto c = sensitivities(g, 6, knee(1));
  const auto shading = root_sum_of_squares(c);
  mr::Array<float> signal(g.shape());
  std::fill(signal.begin(), signal.end(), 0.7f);
  const auto clean = receive(signal, c, 0, knee(2));
  const auto rss = root_sum_of_squares(clean);
  const auto filtered = matched_filter(clean, c);
  for (std::int64_t v = 0; v < rss.size(); ++v) {
    REQUIRE(rss[v] == doctest::Approx(0.7 * shading[v]).epsilon(1e-5));
    REQUIRE(std::abs(filtered[v]) == doctest::Approx(rss[v]).epsilon(1e-5));
    REQUIRE(std::abs(std::arg(filtered[v] * std::conj(c[v]))) < 1e-5);
  }
  const auto noise = matched_filter(receive(mr::Array<float>(g.shape()), c, 0.05, knee(3)), c);
  double square = 0;
  for (const auto& value : noise) square += std::norm(value) / static_cast<double>(noise.size());
  CHECK(square == doctest::Approx(2 * 0.05 * 0.05).epsilon(0.05));  // 4.5 standard errors
}

TEST_CASE("findings tell nothing of scanner or slice count: each has its even share of them") {
  for (const std::uint64_t seed : {1, 2, 3}) {
    const auto subjects = design(seed, 600);
    for (std::size_t f = 0; f < finding_count; ++f) {
      CAPTURE(finding_name(static_cast<Finding>(f)));
      std::map<std::size_t, double> by_scanner, scanner_size;
      std::map<int, double> by_slices, slices_size;
      double all = 0;
      for (const auto& s : subjects) {
        by_scanner[s.scanner] += s.findings[f];
        by_slices[s.slices] += s.findings[f];
        scanner_size[s.scanner] += 1;
        slices_size[s.slices] += 1;
        all += s.findings[f] / 600.0;
      }
      CHECK(scanner_size.size() == 6);
      CHECK(slices_size.size() == 5);
      for (const auto& [scanner, n] : by_scanner)  // runs of one scanner: within 1 of its share
        CHECK(std::abs(n - all * scanner_size[scanner]) < 1.5);
      for (const auto& [slices, n] : by_slices)  // six runs: within 6
        CHECK(std::abs(n - all * slices_size[slices]) < 6.5);
    }
  }
}

TEST_CASE("findings are independent of one another, and their share does not depend on the seed") {
  const auto subjects = design(5, 2000);
  for (std::size_t f = 0; f < finding_count; ++f)
    for (std::size_t g = 0; g < f; ++g) {
      double both = 0, one = 0, other = 0;
      for (const auto& s : subjects) {
        both += s.findings[f] && s.findings[g];
        one += s.findings[f];
        other += s.findings[g];
      }
      CHECK(both / 2000 == doctest::Approx(one / 2000 * other / 2000).epsilon(0.12));
    }
}

TEST_CASE("scanners differ in gain, and each site has both fields") {
  const auto scanners = draw_scanners(3);
  std::map<std::string, std::set<double>> fields;
  double low = 1e9, high = 0;
  for (const auto& s : scanners) {
    fields[s.site].insert(s.field_t);
    low = std::min(low, s.gain);
    high = std::max(high, s.gain);
  }
  CHECK(fields.size() == 3);
  for (const auto& [site, values] : fields) CHECK(values == std::set<double>{1.5, 3});
  CHECK(high > 1.3 * low);
}

TEST_CASE("a slice is positive from the stated area on") {
  Rendering r;
  r.finding_mm2 = mr::Array<double>({finding_count, 2});
  r.finding_mm2[static_cast<int>(Finding::meniscus_tear) * 2 + 1] = 100;
  r.finding_mm2[static_cast<int>(Finding::acl) * 2 + 1] = 0.5;
  CHECK(slice_labels(r, 0) == std::vector<int>{0, 0, 0, 0});
  CHECK(slice_labels(r, 1) == std::vector<int>{0, 1, 0, 0});
}

TEST_CASE("a sphere's field is that of a dipole, and inside there is none") {
  // In a grid four diameters wide the nearest images of the sphere add a few per cent.
  const std::int64_t n = 64;
  const double radius = 8, chi = 3;
  mr::Array<float> field({n, n, n});
  const auto place = [&](std::int64_t i, std::int64_t axis) {
    const std::array<std::int64_t, 3> index{i / (n * n), i / n % n, i % n};
    return static_cast<double>(index[static_cast<std::size_t>(axis)] - n / 2);
  };
  const auto distance = [&](std::int64_t i) {
    return std::sqrt(std::pow(place(i, 0), 2) + std::pow(place(i, 1), 2) +
                     std::pow(place(i, 2), 2));
  };
  for (std::int64_t i = 0; i < field.size(); ++i)
    field[i] = distance(i) < radius ? static_cast<float>(chi) : 0;
  susceptibility_to_field(field);
  for (std::int64_t i = 0; i < field.size(); ++i) {
    const double r = distance(i);
    if (r < radius - 2) CHECK(std::fabs(field[i]) < 0.05 * chi);
    if (r < radius + 2 || r > 16) continue;
    const double cosine = place(i, 0) / r;
    const double want = chi / 3 * std::pow(radius / r, 3) * (3 * cosine * cosine - 1);
    CHECK(std::fabs(static_cast<double>(field[i]) - want) < 0.05 * chi);
  }
}

TEST_CASE("the field map is shimmed, grows with the main field and is the scanner's own") {
  const auto anatomy = draw_anatomy({4}, {}, 0.4);
  const Geometry geometry{Plane::coronal, 32, 10};
  const auto at_3t = field_map(anatomy, geometry, 3, {1}),
             at_1_5t = field_map(anatomy, geometry, 1.5, {1});
  const auto a = affine(geometry);
  double sums[4] = {}, squares = 0, most = 0, inside = 0;
  std::int64_t v = 0;
  for (std::int64_t k = 0; k < geometry.slices; ++k)
    for (std::int64_t j = 0; j < geometry.matrix; ++j)
      for (std::int64_t i = 0; i < geometry.matrix; ++i, ++v) {
        REQUIRE(at_3t[v] == doctest::Approx(2 * at_1_5t[v]).epsilon(1e-4));
        Vec p{};
        double* coordinates[] = {&p.m, &p.a, &p.s};
        for (std::size_t r = 0; r < 3; ++r)
          *coordinates[r] = a[r][0] * static_cast<double>(i) + a[r][1] * static_cast<double>(j) +
                            a[r][2] * static_cast<double>(k) + a[r][3];
        if (anatomy.at(p).base == Tissue::air) continue;
        const auto hz = static_cast<double>(at_3t[v]);
        sums[0] += hz;
        sums[1] += hz * p.m;
        sums[2] += hz * p.a;
        sums[3] += hz * p.s;
        squares += hz * hz;
        most = std::max(most, std::fabs(hz));
        ++inside;
      }
  const double rms = std::sqrt(squares / inside);
  for (const double sum : sums) CHECK(std::fabs(sum / inside) < 1e-3 * rms);
  CHECK(rms > 5);
  CHECK(rms < 100);
  CHECK(most < 1000);
  const auto other = field_map(anatomy, geometry, 3, {2});
  CHECK(!std::equal(other.begin(), other.end(), at_3t.begin()));
}
