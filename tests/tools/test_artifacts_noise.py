"""Noise, gains and coils, recomputed in NumPy in double precision from what mr-corrupt recorded.
Noise cannot be recomputed: its statistics are tested, at a significance of 0.001."""
import nibabel
import numpy as np
import pytest
from scipy import special, stats

from artifact_tools import (FLOAT32, along, anatomy, corrupt, geometries, nrmse, otsu, roles,
                            to_lines, to_rows, with_phase)

SIGNIFICANCE = 1e-3


def square(shape=(80, 70, 4), value=1000):
    image = np.zeros(shape, np.float32)
    image[20:60, 20:50] = value
    return image


# ---- gaussian ----

def test_gaussian_on_a_complex_image(corrupt):
    image = with_phase(anatomy((60, 50, 4)))
    got, record, _ = corrupt(image, (1, 1, 5), "gaussian:3")
    noise = (got - image).ravel() / record["drawn"]["sigma"]
    for part in (noise.real, noise.imag):
        assert stats.kstest(part, stats.norm.cdf).pvalue > SIGNIFICANCE
    assert abs(np.corrcoef(noise.real, noise.imag)[0, 1]) < 4 / np.sqrt(noise.size)


def test_gaussian_on_a_real_image(corrupt):
    image = square()
    got, record, _ = corrupt(image, (1, 1, 5), "gaussian:5")
    assert record["drawn"]["sigma"] == pytest.approx(200)
    assert stats.kstest((got - image).ravel() / 200, stats.norm.cdf).pvalue > SIGNIFICANCE


# ---- nc-chi ----

@pytest.mark.parametrize("coils", [1, 3, 8])
@pytest.mark.parametrize("mode", ["2d", "3d"])
def test_nc_chi(corrupt, coils, mode):
    image = square()
    got, record, _ = corrupt(image, (1, 1.2, 5), f"nc-chi:5,coils={coils}", "--mode", mode)
    assert record["drawn"] == {"sigma": pytest.approx(200), "coils": coils}
    power = (got.astype(float) / 200)**2
    assert stats.kstest(power[image == 0], stats.chi2(2 * coils).cdf).pvalue > SIGNIFICANCE
    assert stats.kstest(power[image > 0], stats.ncx2(2 * coils, 25).cdf).pvalue > SIGNIFICANCE


# ---- correlated-noise ----

def loop_maps(shape, spacing, axes, count, distance=1.5, radius=0.2, normalise=True,
              first=0.0):
    """b_x + i b_y of loops around the slice axis, [coil, *shape], by Biot and Savart's integral."""
    sizes = {role: shape[axis] for role, axis in axes.items()}
    half = max(sizes[r] * spacing[axes[r]] for r in ("phase_encode", "readout")) / 2
    place = {role: along((np.arange(n) - (n - 1) / 2) * spacing[axes[role]] / half, axes[role])
             for role, n in sizes.items()}
    x, y, z = np.broadcast_arrays(place["readout"], place["phase_encode"], place["slice"])
    points = np.stack([x, y, z], -1)

    def field(at, c):
        angle = first + 2 * np.pi * c / count
        out = np.array([np.cos(angle), np.sin(angle), 0])
        e1, e2 = np.array([out[1], -out[0], 0]), np.array([0, 0, 1])  # e1 x e2 = -out
        total, steps = 0, 96
        for t in 2 * np.pi * np.arange(steps) / steps:
            wire = radius * (np.cos(t) * e1 + np.sin(t) * e2)
            step = radius * (np.cos(t) * e2 - np.sin(t) * e1) * 2 * np.pi / steps
            to = at - distance * out - wire
            total = total + np.cross(step, to) / np.linalg.norm(to, axis=-1, keepdims=True)**3
        return total[..., 0] + 1j * total[..., 1]

    maps = np.stack([field(points, c) for c in range(count)])
    middle = np.sqrt(sum(abs(field(np.zeros((1, 3)), c))**2 for c in range(count)))
    return maps / np.sqrt((np.abs(maps)**2).sum(0)) if normalise else maps / middle


def test_correlated_noise_of_combined_coils(corrupt):
    """No phase of the noise shows where there is no signal; in tissue the coil that sees a voxel
    best weighs most: E[M^2] and the variance of M^2 are those of the quadratic form."""
    shape, spacing = (64, 50, 6), (1, 1.2, 5)
    image = square(shape)
    got, record, _ = corrupt(image, spacing, "correlated-noise:5")
    drawn = record["drawn"]
    assert (drawn["array"], drawn["coils"]) == ("loops", 8)
    c = np.arange(8)
    sigma, phase = np.array(drawn["sigma"]), np.array(drawn["phase_rad"])
    psi = (np.outer(sigma, sigma) * 0.5**abs(c[:, None] - c)
           * np.exp(1j * (phase[:, None] - phase)))
    assert np.sqrt(np.mean(sigma**2)) == pytest.approx(200)
    maps = loop_maps(shape, spacing, roles(record), 8)
    signal = maps * image
    # E[M^2] = |A|^2 + 2 tr Psi; Var[M^2] = 4 ||Psi||_F^2 + 4 A^H Psi A (Psi per component).
    mean = image.astype(float)**2 + 2 * np.trace(psi).real
    variance = (4 * (np.abs(psi)**2).sum()
                + 4 * np.einsum("c...,cd,d...", signal.conj(), psi, signal).real)
    z = (got.astype(float)**2 - mean) / np.sqrt(variance)
    for region in (image == 0, image > 0):
        n = region.sum()
        assert abs(z[region].mean()) < 3.3 / np.sqrt(n)
        # Skew: the fourth moment of z is at most 15 (that of one squared normal).
        assert abs(z[region].var() - 1) < 3.3 * np.sqrt(14 / n)
    # Where the quadratic form says so, noise is larger: its share of variance is found back.
    tissue = image > 0
    unit = variance[tissue].mean()
    slope = np.polyfit(variance[tissue] / unit,
                       (got[tissue].astype(float)**2 - mean[tissue])**2 / unit, 1)
    assert slope[0] == pytest.approx(1, abs=0.25)


# ---- gains ----

@geometries
@pytest.mark.parametrize("is_complex", [False, True])
@pytest.mark.parametrize("step", ["gain-common:4", "gain-random:4"])
def test_gain(corrupt, shape, spacing, mode, phase_encode, is_complex, step):
    image = with_phase(anatomy(shape)) if is_complex else anatomy(shape)
    got, record, _ = corrupt(image, spacing, step, "--mode", mode, "--phase-encode", phase_encode)
    gain = record["drawn"]["gain"]
    assert abs(np.log2(gain)) == 1 and (gain == 2 or step.startswith("gain-random"))
    assert nrmse(got, gain * image.astype(complex)) < FLOAT32


# ---- coil-failure ----

@geometries
@pytest.mark.parametrize("is_complex", [False, True])
def test_coil_failure(corrupt, shape, spacing, mode, phase_encode, is_complex):
    image = with_phase(anatomy(shape)) if is_complex else anatomy(shape)
    got, record, _ = corrupt(image, spacing, "coil-failure:5", "--mode", mode, "--phase-encode",
                             phase_encode)
    weights = np.array(record["drawn"]["weights"])
    assert sorted(weights) == [0, 0, 1, 1, 1, 1, 1, 1]
    maps = loop_maps(shape, spacing, roles(record), 8)
    left = np.sqrt(np.einsum("c,c...->...", weights**2, np.abs(maps)**2))
    assert left.min() < 0.7
    assert nrmse(got, image * left) < FLOAT32


# ---- zipper ----

@geometries
@pytest.mark.parametrize("is_complex", [False, True])
def test_zipper(corrupt, shape, spacing, mode, phase_encode, is_complex):
    """Phases of lines are not recorded: on a complex image they are read off the result, where they
    must explain all of it; a magnitude has the energy of what was added."""
    magnitude = anatomy(shape)
    image = with_phase(magnitude) if is_complex else magnitude
    got, record, _ = corrupt(image, spacing, "zipper:4", "--mode", mode, "--phase-encode",
                             phase_encode)
    axes, drawn = roles(record), record["drawn"]
    n, axis = shape[axes["readout"]], axes["readout"]
    signal = magnitude[otsu(magnitude)].mean()
    assert drawn["amplitude"] == pytest.approx(2 * signal / np.sqrt(n), rel=1e-6)
    tone = along(np.exp(2j * np.pi * drawn["column"] * (np.arange(n) - n // 2) / n), axis)
    column = to_rows(drawn["amplitude"] * tone, axis)  # in the image, of one line
    if not is_complex:
        # Energy: E|I + z|^2 = I^2 + |z|^2, and the phases of z are random.
        extra = (got.astype(float)**2 - image.astype(float)**2).sum()
        lines = got.size / n
        want = lines * (np.abs(column)**2).sum()
        cross = 4 * np.sqrt((2 * image.astype(float)**2 * np.abs(column)**2).sum())
        assert abs(extra - want) < cross
        return
    added = got - image.astype(complex)
    for a in range(3):
        if mode == "3d" or a != axes["slice"]:
            added = to_lines(added, a)
    phases = np.angle((added * tone.conj()).sum(axis, keepdims=True))
    want = drawn["amplitude"] * tone * np.exp(1j * phases)
    assert np.linalg.norm(added - want) < FLOAT32 * np.linalg.norm(image)
    assert stats.kstest(phases.ravel() / (2 * np.pi) + 0.5, "uniform").pvalue > SIGNIFICANCE


# ---- line-loss ----

@geometries
@pytest.mark.parametrize("is_complex", [False, True])
def test_line_loss(corrupt, shape, spacing, mode, phase_encode, is_complex):
    image = with_phase(anatomy(shape)) if is_complex else anatomy(shape)
    got, record, _ = corrupt(image, spacing, "line-loss:5", "--mode", mode, "--phase-encode",
                             phase_encode)
    axes = roles(record)
    transformed = [axes["phase_encode"]] + ([axes["slice"]] if mode == "3d" else [])
    lines = image.astype(complex)
    for axis in transformed:
        lines = to_lines(lines, axis)
    weights = np.ones([shape[axes["slice"]], shape[axes["phase_encode"]]])
    for slice_, line, weight in record["drawn"]["lost"]:
        weights[slice_, line] = weight
    assert (1 - weights).sum() == pytest.approx(0.08 * weights.size)
    order = [axes["slice"], axes["phase_encode"], axes["readout"]]
    lines = np.moveaxis(np.moveaxis(lines, order, (0, 1, 2)) * weights[..., None], (0, 1, 2), order)
    for axis in transformed:
        lines = to_rows(lines, axis)
    want = lines if is_complex else np.abs(lines)
    assert nrmse(image, want) > 1e-3
    assert nrmse(got, want) < FLOAT32


# ---- g-factor ----

@geometries
@pytest.mark.parametrize("level", [2, 3, 5])
def test_g_factor(corrupt, shape, spacing, mode, phase_encode, level):
    """(S^H S)^(1/2) whitens the noise of aliased voxels: the rest is white, of sigma sqrt(R)."""
    image = with_phase(anatomy(shape))
    got, record, _ = corrupt(image, spacing, f"g-factor:{level}", "--mode", mode, "--phase-encode",
                             phase_encode)
    axes, drawn = roles(record), record["drawn"]
    r = drawn["acceleration"]
    assert r == [None, 2, 2, 3, 3, 4][level] and drawn["array"] == "loops"
    signal = np.abs(image)[otsu(np.abs(image))].mean()
    assert drawn["sigma"] == pytest.approx(signal / [None, 40, 30, 30, 22, 22][level], rel=1e-6)
    axis = axes["phase_encode"]
    maps = np.moveaxis(loop_maps(shape, spacing, axes, 8), axis + 1, 1)
    noise = np.moveaxis((got - image.astype(complex)), axis, 0)
    n, step = shape[axis], -(-shape[axis] // r)
    white, largest = [], 1
    for first in range(step):
        rows = np.arange(first, n, step)
        s, e = maps[:, rows], noise[rows]
        gram = np.einsum("ci...,cj...->...ij", s.conj(), s)
        factor = np.linalg.cholesky(gram)
        white.append(np.einsum("...ji,j...->...i", factor.conj(), e).ravel())
        # The array has RSS 1, so that g^2 is the diagonal of the inverse.
        largest = max(largest, np.einsum("...ii->...i", np.linalg.inv(gram)).real.max()**0.5)
    white = np.concatenate(white) / (drawn["sigma"] * np.sqrt(r))
    assert largest > 1.05
    for part in (white.real, white.imag):
        assert stats.kstest(part, stats.norm.cdf).pvalue > SIGNIFICANCE
        assert abs(part.std() - 1) < 4 / np.sqrt(2 * part.size)
    # Aliased voxels share their noise in the image, but not once it is whitened.
    assert abs(np.mean(white[1:] * white[:-1].conj())) < 8 / np.sqrt(white.size)


# ---- sense-maps ----

@geometries
@pytest.mark.parametrize("is_complex", [False, True])
@pytest.mark.parametrize("step, r", [("sense-maps:2", 2), ("sense-maps,shift_px=2.5,acceleration=3", 3)])
def test_sense_with_wrong_maps(corrupt, shape, spacing, mode, phase_encode, is_complex, step, r):
    image = with_phase(anatomy(shape)) if is_complex else anatomy(shape)
    got, record, _ = corrupt(image, spacing, step, "--mode", mode, "--phase-encode", phase_encode)
    axes, drawn = roles(record), record["drawn"]
    assert abs(drawn["shift_px"]) == record["parameters"]["shift_px"] and drawn["acceleration"] == r
    axis = axes["phase_encode"]
    maps = np.moveaxis(loop_maps(shape, spacing, axes, 8), axis + 1, 1)
    lines, n = np.moveaxis(image, axis, 0).astype(complex), shape[axis]
    place = np.clip(np.arange(n) - drawn["shift_px"], 0, n - 1)
    low = np.floor(place).astype(int)
    part = (place - low)[None, :, None, None]
    believed = (1 - part) * maps[:, low] + part * maps[:, np.minimum(low + 1, n - 1)]
    believed /= np.sqrt((np.abs(believed)**2).sum(0))
    want, period = np.empty_like(lines), -(-n // r)
    for first in range(period):
        rows = np.arange(first, n, period)
        measured = (maps[:, rows] * lines[rows]).sum(1)
        s = believed[:, rows]
        gram = np.einsum("ci...,cj...->...ij", s.conj(), s)
        seen = np.einsum("ci...,c...->...i", s.conj(), measured)
        want[rows] = np.moveaxis(np.linalg.solve(gram, seen[..., None])[..., 0], -1, 0)
    want = np.moveaxis(want, 0, axis)
    want = want if is_complex else np.abs(want)
    assert nrmse(image, want) > 1e-3
    assert nrmse(got, want) < 2e-5  # sensitivities are single precision, and R = 3 amplifies


# ---- parallel-residual ----

@geometries
@pytest.mark.parametrize("is_complex", [False, True])
@pytest.mark.parametrize("r", [2, 3])
def test_parallel_residual(corrupt, shape, spacing, mode, phase_encode, is_complex, r):
    image = with_phase(anatomy(shape)) if is_complex else anatomy(shape)
    got, record, _ = corrupt(image, spacing, f"parallel-residual:5,acceleration={r}", "--mode",
                             mode, "--phase-encode", phase_encode)
    axes = roles(record)
    place = {role: along((2 * np.arange(shape[a]) - shape[a] + 1) / shape[a], a)
             for role, a in axes.items()}
    axis = axes["phase_encode"]
    n, step = shape[axis], -(-shape[axis] // r)
    padded = np.zeros([r * step if a == axis else shape[a] for a in range(3)], complex)
    inside = tuple(slice(0, n) for n in shape)
    padded[inside] = image
    want = image.astype(complex)
    assert len(record["drawn"]["ghosts"]) == r - 1
    for m, g in enumerate(record["drawn"]["ghosts"], 1):
        phase = (g["phase_rad"] + g["lines_rad"] * place["phase_encode"]
                 + g["readout_rad"] * place["readout"])
        want = want + 0.3 * np.exp(1j * phase) * np.roll(padded, m * step, axis)[inside]
    assert nrmse(got, want if is_complex else np.abs(want)) < FLOAT32


# ---- nonstationary-noise ----

@pytest.mark.parametrize("mode", ["2d", "3d"])
def test_nonstationary_noise(corrupt, mode):
    image = square((80, 70, 12))
    got, record, _ = corrupt(image, (1, 1.2, 5), "nonstationary-noise:5", "--mode", mode)
    sigma = np.array(record["drawn"]["sigma"])
    assert sigma.shape == ((12,) if mode == "2d" else (1,))
    if mode == "2d":
        assert np.log(sigma).std() > 0.1
    scaled, clean = got / sigma, np.broadcast_to(1000 / sigma, image.shape)
    assert stats.kstest(scaled[image == 0], stats.rayleigh.cdf).pvalue > SIGNIFICANCE
    share = stats.rice(clean[image > 0]).cdf(scaled[image > 0])
    assert stats.kstest(share, "uniform").pvalue > SIGNIFICANCE


# ---- coil-shading ----

@geometries
@pytest.mark.parametrize("is_complex", [False, True])
@pytest.mark.parametrize("coils", [1, 8])
def test_coil_shading(corrupt, shape, spacing, mode, phase_encode, is_complex, coils):
    image = with_phase(anatomy(shape)) if is_complex else anatomy(shape)
    got, record, _ = corrupt(image, spacing, f"coil-shading:4,coils={coils}", "--mode", mode,
                             "--phase-encode", phase_encode)
    maps = loop_maps(shape, spacing, roles(record), coils, 2.6, normalise=False,
                     first=record["drawn"]["first_rad"])
    field = np.sqrt((np.abs(maps)**2).sum(0))
    foreground, magnitude = otsu(np.abs(image)), np.abs(image).astype(float)
    scale = magnitude[foreground].sum() / (magnitude * field)[foreground].sum()
    assert record["drawn"]["scale"] == pytest.approx(scale, rel=1e-5)
    assert nrmse(got, image * scale * field) < FLOAT32


# ---- maps of coils ----

def test_a_map_of_coils_takes_the_place_of_the_loops(corrupt, tmp_path):
    shape, spacing = (20, 17, 5), (1.0, 1.4, 4.0)
    rng = np.random.default_rng(5)
    maps = (rng.normal(size=(*shape, 3)) + 1j * rng.normal(size=(*shape, 3))).astype(np.complex64)
    path = tmp_path / "coils.nii"
    nibabel.save(nibabel.Nifti1Image(maps, np.diag([*spacing, 1.0])), path)
    image = anatomy(shape)
    got, record, _ = corrupt(image, spacing, "coil-failure:4", "--map", f"coils={path}")
    weights = np.array(record["drawn"]["weights"])
    assert sorted(weights) == [0, 1, 1] and record["drawn"]["array"] == "map"
    power = np.abs(maps.astype(complex))**2
    assert nrmse(got, image * np.sqrt(power @ weights**2 / power.sum(-1))) < FLOAT32
