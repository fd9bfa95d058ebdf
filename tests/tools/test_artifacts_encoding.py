"""Artifacts of encoding in time and of the receiver, recomputed in NumPy in double precision from
what mr-corrupt recorded."""
import numpy as np
import pytest

import images
from artifact_tools import (FLOAT32, Blobs, along, anatomy, corrupt, geometries, nrmse, otsu, roles,
                            rotation_matrix, to_lines, to_rows, with_phase)

__all__ = ["corrupt"]  # a fixture


def shots_and_echoes(drawn, n):
    """Shot and echo of every line, from the words of the record."""
    order, train = drawn["line_order"], drawn["echo_train"]
    shots = -(-n // train)
    lines = np.arange(n)
    if order == "random":
        return np.array(drawn["shot_of_line"]), np.array(drawn["echo_of_line"])
    if order in ("linear", "mprage"):
        return lines // train, lines % train
    if order == "centre-out":
        ranks = np.empty(n, int)
        ranks[np.argsort(np.abs(lines - n // 2), kind="stable")] = lines
        return ranks % shots, ranks // shots
    echo = lines // shots
    if order == "segmented":
        echo = (echo + drawn["effective_echo"] - echo[n // 2]) % (-(-n // shots))
    return lines % shots, echo


def seconds(drawn, shape, axes):
    """When each line of each slice was measured, to be multiplied with k-space."""
    shot, echo = shots_and_echoes(drawn, shape[axes["phase_encode"]])
    t = along(shot * drawn["tr_ms"] + echo * drawn["echo_spacing_ms"], axes["phase_encode"])
    if "slice_delays_ms" in drawn:
        t = t + along(drawn["slice_delays_ms"], axes["slice"])
    return 1e-3 * t


def frequencies(n, axis):
    return along((np.arange(n) - n // 2) / n, axis)


def from_centre(values, axis):
    """Less what it is at the central line of each slice."""
    return values - np.take(values, [values.shape[axis] // 2], axis)


def kspace(image, axes):
    for axis in axes:
        image = to_lines(image, axis)
    return image


def image_of(spectrum, axes):
    for axis in axes:
        spectrum = to_rows(spectrum, axis)
    return spectrum


def encoded_axes(record):
    axes = roles(record)
    return [axes["phase_encode"], axes["readout"]] + (
        [axes["slice"]] if record["mode"] == "3d" else [])


def sample(shape, is_complex):
    return with_phase(anatomy(shape)) if is_complex else anatomy(shape)


def check(got, want, image, least=0.005):
    if not np.iscomplexobj(got):
        want = np.abs(want)
    assert nrmse(image, want) > least  # something happened
    assert nrmse(got, want) < FLOAT32


each_kind = pytest.mark.parametrize("is_complex", [False, True])
OPTIONS = [[], ["--line-order", "random", "--echo-train", "3"],
           ["--line-order", "linear", "--echo-train", "5"], ["--sequence", "gre"]]
timings = pytest.mark.parametrize("timing", OPTIONS, ids=["assumed", "random", "linear", "gre"])


# ---- breathing ----

@geometries
@each_kind
@timings
def test_breathing(corrupt, shape, spacing, mode, phase_encode, is_complex, timing):
    image = sample(shape, is_complex)
    got, record, _ = corrupt(image, spacing, "breathing:4", "--mode", mode, "--phase-encode",
                             phase_encode, *timing)
    axes, drawn = roles(record), record["drawn"]
    assert 0.2 <= drawn["rate_hz"] <= 0.35
    axis = axes["phase_encode"]
    t = seconds(drawn, shape, axes)
    d = 2.5 / spacing[axis] * np.cos(np.pi * drawn["rate_hz"] * t + drawn["phase_rad"])**4
    turn = np.exp(-2j * np.pi * frequencies(shape[axis], axis) * from_centre(d, axis))
    check(got, to_rows(to_lines(image, axis) * turn, axis), image)


@geometries
@each_kind
@pytest.mark.parametrize("percent", [60, -35])
def test_breathing_of_a_part(corrupt, shape, spacing, mode, phase_encode, is_complex, percent):
    image = sample(shape, is_complex)
    got, record, _ = corrupt(image, spacing, f"breathing:5,moving_percent={percent}", "--mode", mode,
                             "--phase-encode", phase_encode)
    axes, drawn = roles(record), record["drawn"]
    axis = axes["phase_encode"]
    share = np.array(drawn["moving_share"])
    foreground = np.moveaxis(otsu(np.abs(image)), axis, 0).reshape(shape[axis], -1).any(1)
    low, high = np.flatnonzero(foreground)[[0, -1]]
    extent = high - low + 1
    depth = (np.arange(shape[axis]) - low if percent > 0 else high - np.arange(shape[axis])) + 0.5
    beyond = np.clip((depth - abs(percent) / 100 * extent) / (0.2 * extent), -0.5, 0.5)
    assert np.allclose(share, np.cos(np.pi / 2 * (beyond + 0.5))**2, atol=1e-6)
    t = seconds(drawn, shape, axes)
    d = 6 / spacing[axis] * np.cos(np.pi * drawn["rate_hz"] * t + drawn["phase_rad"])**4
    turn = np.exp(-2j * np.pi * frequencies(shape[axis], axis) * from_centre(d, axis))
    moving = image * along(share, axis)
    check(got, image - moving + to_rows(to_lines(moving, axis) * turn, axis), image)


# ---- T2 decay ----

@geometries
@each_kind
@pytest.mark.parametrize("timing", [[], ["--line-order", "random", "--echo-train", "3"],
                                    ["--line-order", "interleaved", "--echo-train", "5"],
                                    ["--sequence", "tse"], ["--sequence", "epi"]],
                         ids=["assumed", "random", "interleaved", "tse", "epi"])
def test_t2_blur(corrupt, shape, spacing, mode, phase_encode, is_complex, timing):
    image = sample(shape, is_complex)
    got, record, _ = corrupt(image, spacing, "t2-blur:3", "--mode", mode, "--phase-encode",
                             phase_encode, *timing)
    axis, drawn = roles(record)["phase_encode"], record["drawn"]
    n = shape[axis]
    _, echo = shots_and_echoes({**drawn, "shot_of_line": []}, n)
    assert list(echo) == drawn["echo_of_line"]
    weights = np.exp(-4 * (echo - echo[n // 2]) / drawn["echo_train"])
    check(got, to_rows(to_lines(image, axis) * along(weights, axis), axis), image)


# ---- motion ----

@geometries
@each_kind
@timings
def test_tremor(corrupt, shape, spacing, mode, phase_encode, is_complex, timing):
    image = sample(shape, is_complex)
    got, record, _ = corrupt(image, spacing, "motion-tremor:5", "--mode", mode, "--phase-encode",
                             phase_encode, *timing)
    axes, drawn = roles(record), record["drawn"]
    assert np.linalg.norm(drawn["direction"]) == pytest.approx(1)
    assert mode == "3d" or drawn["direction"][axes["slice"]] == 0
    d = from_centre(1.5 * np.sin(2 * np.pi * drawn["rate_hz"] * seconds(drawn, shape, axes)
                                 + drawn["phase_rad"]), axes["phase_encode"])
    turn = 0
    for axis in encoded_axes(record):
        turn = turn - 2j * np.pi * frequencies(shape[axis], axis) * (
            drawn["direction"][axis] / spacing[axis] * d)
    spectrum = kspace(image, encoded_axes(record)) * np.exp(turn)
    check(got, image_of(spectrum, encoded_axes(record)), image)


def blobs_of(shape, spacing, mode):
    blobs = Blobs([3 * n // 2 for n in shape], spacing)
    if mode == "2d":  # the object fills slices like a cylinder: it moves within them only
        for covariance in blobs.covariances:
            covariance[2, 2] = 1e12
    return blobs


def moving(blobs, poses, record, factor):
    """What lines measure of an object whose pose is poses[line] = (translation, rotation)."""
    axis, outside = roles(record)["phase_encode"], roles(record)["slice"]
    n = len(poses)
    lines = 0
    keys = [tuple(np.concatenate(p)) for p in poses]
    for key in set(keys):
        translation, rotation = np.split(np.array(key) - keys[n // 2], 2)
        if record["mode"] == "2d":
            translation[outside] = 0
            rotation[[a for a in range(3) if a != outside]] = 0
        image = blobs.image(rotation_matrix(rotation), translation) * factor
        lines = lines + to_lines(image, axis) * along([k == key for k in keys], axis)
    return to_rows(lines, axis)


def smooth_noise(knots, at):
    """Octaves of value noise between knots that are evenly spaced over [0, 1]."""
    total = 0
    for octave, values in enumerate(knots):
        position = np.clip(at * (len(values) - 1), 0, len(values) - 1 - 1e-12)
        first = position.astype(int)
        u = position - first
        values = np.array(values)
        total = total + 2.0**-octave * (
            values[first] * (1 - u * u * (3 - 2 * u)) + values[first + 1] * u * u * (3 - 2 * u))
    return total


def moved_blobs(corrupt, shape, spacing, mode, phase_encode, is_complex, step, timing=()):
    blobs = blobs_of(shape, spacing, mode)
    factor = np.exp(0.7j) if is_complex else 1.0
    image = (blobs.image() * factor).astype(np.complex64 if is_complex else np.float32)
    got, record, _ = corrupt(image, spacing, step, "--mode", mode, "--phase-encode", phase_encode,
                             *timing)
    return blobs, factor, image, got, record


@geometries
@each_kind
def test_drift(corrupt, shape, spacing, mode, phase_encode, is_complex):
    blobs, factor, image, got, record = moved_blobs(corrupt, shape, spacing, mode, phase_encode,
                                                    is_complex, "motion-drift:4")
    drawn, n = record["drawn"], image.shape[roles(record)["phase_encode"]]
    count = min(drawn["shots"], 32)
    at = (np.arange(count) + 0.5) / count
    traces = np.array([smooth_noise(knots, at) for knots in drawn["knots"]])
    traces *= 2 / np.ptp(traces, 1, keepdims=True)  # 2 mm and 2 deg
    shot, _ = shots_and_echoes(drawn, n)
    poses = [np.split(traces[:, s * count // drawn["shots"]], 2) for s in shot]
    check(got, moving(blobs, poses, record, factor), image, least=0.02)


@geometries
@each_kind
@pytest.mark.parametrize("train", [1, 2])
def test_nod(corrupt, shape, spacing, mode, phase_encode, is_complex, train):
    # 2 mm at most: the object does not reach the edge, where the image wraps.
    blobs, factor, image, got, record = moved_blobs(
        corrupt, shape, spacing, mode, phase_encode, is_complex,
        "motion-nod:5,nods=2,translation_mm=2", ["--line-order", "linear", "--echo-train", train])
    drawn, n = record["drawn"], image.shape[roles(record)["phase_encode"]]
    assert len(drawn["nods"]) == 2
    shot, _ = shots_and_echoes(drawn, n)
    poses = [np.zeros((2, 3)) for _ in shot]
    for nod in drawn["nods"]:
        # In the stored axes of a file without rotation, i runs from left to right.
        assert nod["translation_mm"][0] == 0 and nod["rotation_deg"][1:] == [0, 0]
        steps = min(nod["shots"], 8)
        step = (shot - nod["shot"]) * steps // nod["shots"]
        bump = np.where((step >= 0) & (step < steps), np.sin(np.pi * (step + 0.5) / steps)**2, 0)
        poses = [p + b * np.array([nod["translation_mm"], nod["rotation_deg"]])
                 for p, b in zip(poses, bump)]
    check(got, moving(blobs, poses, record, factor), image)


# ---- flow ----

def vessel_lines(image, vessels, step_values, drawn, record, shape):
    """What lines measure where what lies in vessels pulsates."""
    modulation, phase = step_values
    axes = roles(record)
    axis = axes["phase_encode"]
    beat = 2 * np.pi * drawn["rate_hz"] * seconds(drawn, shape, axes) + drawn["beat_rad"]
    c = from_centre(np.exp(2 * (np.cos(beat) - 1)), axis)
    weights = (1 + modulation * c) * np.exp(1j * phase * c)
    return to_rows(to_lines(image * ~vessels, axis) + weights * to_lines(image * vessels, axis),
                   axis)


@geometries
@each_kind
@timings
def test_flow_of_a_drawn_vessel(corrupt, shape, spacing, mode, phase_encode, is_complex, timing):
    image = sample(shape, is_complex)
    got, record, _ = corrupt(image, spacing, "flow:5,phase_rad=0.8,radius_mm=3", "--mode", mode,
                             "--phase-encode", phase_encode, *timing)
    axes, drawn = roles(record), record["drawn"]
    assert drawn["vessels"] == "drawn" and 0.8 <= drawn["rate_hz"] <= 1.5
    distance = 0
    for role, centre in zip(("phase_encode", "readout"), drawn["centre"]):
        axis = axes[role]
        distance = distance + along((np.arange(shape[axis]) - centre) * spacing[axis], axis)**2
    vessels = np.broadcast_to(np.sqrt(distance) <= 3, shape)
    assert np.abs(image)[vessels].mean() > np.abs(image).mean()
    check(got, vessel_lines(image, vessels, (1, 0.8), drawn, record, shape), image)


@geometries
def test_flow_of_mapped_vessels(corrupt, tmp_path, shape, spacing, mode, phase_encode):
    image = anatomy(shape)
    tissues = np.zeros(shape, np.int16)
    tissues[5:9, 6:8, 1:4] = 11
    tissues[12:14, 10:13] = 11
    tissues[14:, :4] = 3
    images.save(tmp_path / "tissue.nii", tissues, spacing)
    got, record, _ = corrupt(image, spacing, "flow:4", "--mode", mode, "--phase-encode",
                             phase_encode, "--map", f"tissue={tmp_path / 'tissue.nii'}")
    assert record["drawn"]["vessels"] == "tissue map"
    want = vessel_lines(image, tissues == 11, (0.7, 0), record["drawn"], record, shape)
    check(got, want, image)


@geometries
@each_kind
def test_flow_displaces_the_vessel(corrupt, shape, spacing, mode, phase_encode, is_complex):
    """By whole voxels: 0.01 mm/ms x 5 ms for each cm/s."""
    image = sample(shape, is_complex)
    readout = 3 - "ijk".index(phase_encode) - (2 if mode == "2d" else 0)
    if mode == "3d":
        _, record, _ = corrupt(image, spacing, "flow:1", "--mode", mode, "--phase-encode", phase_encode)
        readout = roles(record)["readout"]
    velocity = -2 * spacing[readout] / 0.05
    got, record, _ = corrupt(image, spacing, f"flow:4,velocity_cm_s={velocity!r},delay_ms=5,radius_mm=2",
                             "--mode", mode, "--phase-encode", phase_encode)
    axes, drawn = roles(record), record["drawn"]
    assert axes["readout"] == readout
    distance = 0
    for role, centre in zip(("phase_encode", "readout"), drawn["centre"]):
        axis = axes[role]
        distance = distance + along((np.arange(shape[axis]) - centre) * spacing[axis], axis)**2
    vessels = np.broadcast_to(np.sqrt(distance) <= 2, shape)
    blood = np.moveaxis(image * vessels, readout, 0)
    moved = np.zeros_like(blood)
    moved[:-2] = blood[2:]
    moved = np.moveaxis(moved, 0, readout)
    axis = axes["phase_encode"]
    beat = 2 * np.pi * drawn["rate_hz"] * seconds(drawn, shape, axes) + drawn["beat_rad"]
    weights = 1 + 0.7 * from_centre(np.exp(2 * (np.cos(beat) - 1)), axis)
    want = image * ~vessels + to_rows(weights * to_lines(moved, axis), axis)
    check(got, want, image)


# ---- propeller ----

@geometries
@each_kind
def test_propeller(corrupt, shape, spacing, mode, phase_encode, is_complex):
    blobs, factor, image, got, record = moved_blobs(
        corrupt, shape, spacing, mode, phase_encode, is_complex, "propeller:4,translation_mm=1")
    axes, drawn = roles(record), record["drawn"]
    pe, ro, outside = axes["phase_encode"], axes["readout"], axes["slice"]
    shape = image.shape
    step = {a: 1 / (shape[a] * spacing[a]) for a in (pe, ro)}
    half = 16 * step[pe] / 2
    count = int(np.ceil(np.pi / 2 * max(1 / spacing[pe], 1 / spacing[ro]) / (2 * half)))
    assert drawn["blades"] == count and count >= 3
    poses = [sum((np.array([e["translation_mm"], e["rotation_deg"]]) for e in drawn["events"]
                  if e["shot"] <= b), np.zeros((2, 3))) for b in range(count)]
    for pose in poses:  # within the slice
        pose[0, outside] = 0
        pose[1, [pe, ro]] = 0
    poses = np.array(poses) - np.mean(poses, 0)
    q = {a: along((np.arange(shape[a]) - shape[a] // 2) * step[a], a) for a in (pe, ro)}
    off = np.array([np.abs(q[pe] * np.cos(a) - q[ro] * np.sin(a))
                    for a in np.pi * np.arange(count) / count])
    shares = (off <= half * (1 + 1e-9)).astype(float)
    alone = shares.sum(0) == 0
    nearest = np.isclose(off, off.min(0), rtol=1e-8, atol=0)  # the first of equals
    nearest &= np.cumsum(nearest, 0) == 1
    shares = np.where(alone, nearest, shares)
    shares /= shares.sum(0)
    spectrum = 0
    for share, (translation, rotation) in zip(shares, poses):
        moved = blobs.image(rotation_matrix(rotation), translation) * factor
        spectrum = spectrum + share * kspace(moved, (pe, ro))
    check(got, image_of(spectrum, (pe, ro)), image)


# ---- N/2 ghost ----

@pytest.mark.parametrize("shape, spacing, mode, phase_encode", [
    ((35, 24, 6), (0.8, 1.3, 4.0), "2d", "j"), ((24, 37, 5), (1.1, 0.9, 4.0), "2d", "i"),
    ((20, 17, 22), (1.0, 1.4, 0.8), "3d", "k")])
@each_kind
@pytest.mark.parametrize("shift", [0, 0.3])
def test_nyquist_ghost(corrupt, shape, spacing, mode, phase_encode, is_complex, shift):
    image = sample(shape, is_complex)
    got, record, _ = corrupt(image, spacing, f"nyquist-ghost:4,echo_shift={shift}", "--mode", mode,
                             "--phase-encode", phase_encode)
    axes = roles(record)
    axis, readout = axes["phase_encode"], axes["readout"]
    assert np.sin(record["drawn"]["phase_rad"] / 2) == pytest.approx(0.2)
    sign = along((-1.0)**(np.arange(shape[axis]) - shape[axis] // 2), axis)
    phi = record["drawn"]["phase_rad"] + 2 * np.pi * shift * frequencies(shape[readout], readout)
    check(got, to_rows(to_lines(image, axis) * np.exp(0.5j * sign * phi), axis), image)


# ---- receiver ----

def by_slices(spectrum, record):
    """[slice, samples] in 2-D, [1, samples] in 3-D."""
    if record["mode"] == "3d":
        return spectrum.reshape(1, -1)
    return np.moveaxis(spectrum, roles(record)["slice"], 0).reshape(
        spectrum.shape[roles(record)["slice"]], -1)


def full_scale(spectrum):
    return max(np.abs(spectrum.real).max(), np.abs(spectrum.imag).max())


@geometries
@each_kind
def test_adc_overflow(corrupt, shape, spacing, mode, phase_encode, is_complex):
    image = sample(shape, is_complex)
    got, record, _ = corrupt(image, spacing, "adc-overflow:5", "--mode", mode, "--phase-encode",
                             phase_encode)
    axes, drawn = encoded_axes(record), record["drawn"]
    spectrum = kspace(image, axes)
    level = 0.45 * full_scale(spectrum)
    assert drawn["clip_level"] == pytest.approx(level, rel=1e-5)
    if mode == "2d":
        strongest = [full_scale(s) for s in by_slices(spectrum, record)]
        assert drawn["overflowing_slices"] == [s for s, k in enumerate(strongest) if k > level]
    clipped = np.clip(spectrum.real, -level, level) + 1j * np.clip(spectrum.imag, -level, level)
    check(got, image_of(clipped, axes), image)


@geometries
@each_kind
@pytest.mark.parametrize("bits", [5, 8])
def test_kspace_quantisation(corrupt, shape, spacing, mode, phase_encode, is_complex, bits):
    image = sample(shape, is_complex)
    got, record, _ = corrupt(image, spacing, f"kspace-quantisation,bits={bits}", "--mode", mode,
                             "--phase-encode", phase_encode)
    axes, step = encoded_axes(record), record["drawn"]["step"]
    spectrum = kspace(image, axes)
    assert step == pytest.approx(full_scale(spectrum) * 2 / 2**bits, rel=1e-5)
    rounded = step * (np.round(spectrum.real / step) + 1j * np.round(spectrum.imag / step))
    check(got, image_of(rounded, axes), image)


@geometries
@each_kind
@pytest.mark.parametrize("drift", [0, 0.8])
def test_dc_offset(corrupt, shape, spacing, mode, phase_encode, is_complex, drift):
    image = sample(shape, is_complex)
    got, record, _ = corrupt(image, spacing, f"dc-offset:4,drift={drift}", "--mode", mode,
                             "--phase-encode", phase_encode)
    axes, drawn = encoded_axes(record), record["drawn"]
    magnitude = np.abs(image)
    assert drawn["peak"] == pytest.approx(8 * magnitude[otsu(magnitude)].mean(), rel=1e-5)
    offset = drawn["peak"] * np.exp(1j * drawn["phase_rad"])
    offset /= np.sqrt(np.prod([shape[a] for a in axes]))
    offset = np.full(shape, offset)
    if drift:
        axis = roles(record)["phase_encode"]
        t = seconds({**drawn, "slice_delays_ms": np.zeros(shape[roles(record)["slice"]])}, shape,
                    roles(record))
        offset = offset * (1 + drift * from_centre(t, axis) / t.max())
    check(got, image_of(kspace(image, axes) + offset, axes), image)


@geometries
@each_kind
def test_quadrature_ghost(corrupt, shape, spacing, mode, phase_encode, is_complex):
    image = sample(shape, is_complex)
    got, record, _ = corrupt(image, spacing, "quadrature-ghost:5", "--mode", mode, "--phase-encode",
                             phase_encode)
    axes, drawn = encoded_axes(record), record["drawn"]
    epsilon = (drawn["gain"] + 1j * drawn["angle_rad"]) / 2
    assert abs(epsilon) == pytest.approx(0.15)
    spectrum = kspace(image, axes)
    check(got, image_of(spectrum + epsilon * spectrum.conj(), axes), image)


@geometries
@each_kind
@timings
def test_gain_drift(corrupt, shape, spacing, mode, phase_encode, is_complex, timing):
    image = sample(shape, is_complex)
    got, record, _ = corrupt(image, spacing, "gain-drift:5", "--mode", mode, "--phase-encode",
                             phase_encode, *timing)
    axis, drawn = roles(record)["phase_encode"], record["drawn"]
    assert abs(drawn["change"]) == pytest.approx(0.4)
    shot, echo = shots_and_echoes(drawn, shape[axis])
    t = shot * drawn["tr_ms"] + echo * drawn["echo_spacing_ms"]
    weights = 1 + drawn["change"] * (t - t[shape[axis] // 2]) / t.max()
    check(got, to_rows(to_lines(image, axis) * along(weights, axis), axis), image)
