"""Artifacts of fields and of incomplete k-space, recomputed in NumPy in double precision from what
mr-corrupt recorded."""
import numpy as np
import pytest

from artifact_tools import (FLOAT32, along, anatomy, corrupt, geometries, nrmse, otsu, roles,
                            to_lines, to_rows)
import images

complex_too = pytest.mark.parametrize("is_complex", [False, True])


def coordinates(shape):
    return np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")


def image_of(shape, is_complex):
    """Its phase, if it has one, varies along all axes."""
    if not is_complex:
        return anatomy(shape)
    x, y, z = coordinates(shape)
    phase = 1.2 * x + 1.5 * y**2 - 0.8 * y * z + 1.5 * z**2 + 0.5
    return (anatomy(shape) * np.exp(1j * phase)).astype(np.complex64)


def check(got, want, image, bound=FLOAT32):
    """The result is what NumPy says, and not the image as it was."""
    want = want if np.iscomplexobj(image) else np.abs(want)
    assert nrmse(image, want) > 3e-3
    assert nrmse(got, want) < bound


def encoded_axes(record):
    axes = roles(record)
    return [axes["phase_encode"], axes["readout"]] + [axes["slice"]] * (record["mode"] == "3d")


def filtered(image, record, weight):
    """Multiplies k-space by weight(k, n) along each encoded axis."""
    for axis in encoded_axes(record):
        n = image.shape[axis]
        weights = np.array([weight(i - n // 2, n) for i in range(n)])
        image = to_rows(to_lines(image.astype(complex), axis) * along(weights, axis), axis)
    return image


# ---- weights of k-space ----

WEIGHTS = {
    "truncation:2": lambda k, n: float(abs(k) <= 0.5 * n / 2),
    "truncation:5": lambda k, n: float(abs(k) <= 0.2 * n / 2 + 1e-12),
    "kspace-filter:2": lambda k, n: 1.0 if abs(k) <= 0.6 * n / 2 else
        np.cos(np.pi / 2 * (abs(k) - 0.6 * n / 2) / (0.4 * n / 2))**2,
    "kspace-filter:5": lambda k, n: np.cos(np.pi * k / n)**2,
    "resolution:3": lambda k, n: np.cos(np.pi * k * 2.2 / n)**2 if abs(k) * 4.4 < n else 0.0,
    "blur:4": lambda k, n: np.exp(-0.5 * (2 * np.pi * k / n * 2.5)**2),
}


@geometries
@complex_too
@pytest.mark.parametrize("step", WEIGHTS)
def test_weights_of_kspace(corrupt, shape, spacing, mode, phase_encode, is_complex, step):
    image = image_of(shape, is_complex)
    got, record, _ = corrupt(image, spacing, step, "--mode", mode, "--phase-encode", phase_encode)
    check(got, filtered(image, record, WEIGHTS[step]), image)


@geometries
@complex_too
@pytest.mark.parametrize("step, weight", [
    ("fermi-filter:4", lambda r: (1 + np.exp(-0.65 / 0.05)) / (1 + np.exp((r - 0.65) / 0.05))),
    ("fermi-filter,radius=0.71,width=0", lambda r: r <= 0.71)])
def test_filter_of_an_ellipse(corrupt, shape, spacing, mode, phase_encode, is_complex, step, weight):
    image = image_of(shape, is_complex)
    got, record, _ = corrupt(image, spacing, step, "--mode", mode, "--phase-encode", phase_encode)
    lines, r2 = image.astype(complex), 0
    for axis in encoded_axes(record):
        lines, n = to_lines(lines, axis), shape[axis]
        r2 = r2 + along((np.arange(n) - n // 2) / (n / 2), axis)**2
    want = lines * weight(np.sqrt(r2))
    for axis in encoded_axes(record):
        want = to_rows(want, axis)
    check(got, want, image)


# ---- undersampling ----

@geometries
@complex_too
@pytest.mark.parametrize("options", ["", ",regular=1,acceleration=3"])
def test_undersampling(corrupt, shape, spacing, mode, phase_encode, is_complex, options):
    image = image_of(shape, is_complex)
    step = "undersampling:4" if not options else "undersampling" + options
    got, record, _ = corrupt(image, spacing, step, "--mode", mode, "--phase-encode", phase_encode)
    axis, drawn = roles(record)["phase_encode"], record["drawn"]
    n = shape[axis]
    measured = np.isin(np.arange(n), drawn["measured_lines"])
    assert measured[n // 2]
    assert drawn["true_acceleration"] == pytest.approx(n / measured.sum())
    if options:
        assert measured[(np.arange(n) - n // 2) % 3 == 0].all()
    want = to_rows(to_lines(image.astype(complex), axis) * along(measured, axis), axis)
    check(got, want, image)


# ---- wrap-around ----

@geometries
@complex_too
def test_wrap_around(corrupt, shape, spacing, mode, phase_encode, is_complex):
    image = image_of(shape, is_complex)
    got, record, _ = corrupt(image, spacing, "wrap-around:4", "--mode", mode, "--phase-encode",
                             phase_encode)
    axis, drawn = roles(record)["phase_encode"], record["drawn"]
    foreground = np.moveaxis(otsu(np.abs(image)), axis, 0).reshape(shape[axis], -1).any(1)
    low, high = np.flatnonzero(foreground)[[0, -1]]
    first, count = drawn["first_line"], drawn["fov_lines"]
    assert count == round(0.7 * (high - low + 1)) or abs(count - 0.7 * (high - low + 1)) == 0.5
    assert abs((first + (count - 1) / 2) - (low + high) / 2) <= 0.5
    lines = np.moveaxis(image, axis, 0)
    want = np.zeros_like(lines)
    for y in range(first, first + count):
        same = [v for v in range(shape[axis]) if (v - y) % count == 0]
        want[y] = lines[same].sum(0)
    check(got, np.moveaxis(want, 0, axis), image)


# ---- smooth fields ----

def harmonics(x, y, z):
    """Solid harmonics of orders 1 to 3: r^l P_l^m cos, sin (m phi), not normalised."""
    r2 = x**2 + y**2 + z**2
    return [x, y, z, x * y, y * z, z * x, x**2 - y**2, 3 * z**2 - r2,
            z * (5 * z**2 - 3 * r2), x * (5 * z**2 - r2), y * (5 * z**2 - r2),
            z * (x**2 - y**2), x * y * z, x**3 - 3 * x * y**2, 3 * x**2 * y - y**3]


def smooth_field(drawn, shape, spacing):
    grid = np.meshgrid(*((np.arange(n) - n // 2) * d / drawn["unit_mm"]
                         for n, d in zip(shape, spacing)), indexing="ij")
    assert drawn["unit_mm"] == pytest.approx(max(np.array(shape) * spacing) / 2, rel=1e-6)
    return sum(c * h for c, h in zip(drawn["coefficients"], harmonics(*grid))) + drawn["offset"]


# ---- partial Fourier ----

def homodyne(lines, axis, measured, overlap, k):
    centre = to_rows(lines * along(np.abs(k) <= overlap, axis), axis)
    phase = np.exp(1j * np.angle(centre))
    weights = np.clip((overlap + 1 - k) / (overlap + 1), 0, 2)
    weights[k == -len(k) / 2] = 1
    image = to_rows(lines * along(weights, axis), axis)
    return (image * phase.conj()).real * phase


def pocs(lines, axis, measured, overlap, k, iterations):
    centre = to_rows(lines * along(np.abs(k) <= overlap, axis), axis)
    phase = np.exp(1j * np.angle(centre))
    image = to_rows(lines, axis)
    for _ in range(iterations):
        guess = to_lines((image * phase.conj()).real * phase, axis)
        image = to_rows(np.where(along(measured, axis), lines, guess), axis)
    return image


@geometries
@complex_too
@pytest.mark.parametrize("method", ["", ",mode=1", ",mode=2,iterations=7"])
def test_partial_fourier(corrupt, shape, spacing, mode, phase_encode, is_complex, method):
    image = image_of(shape, is_complex)
    got, record, _ = corrupt(image, spacing, "partial-fourier:4" + method, "--mode", mode,
                             "--phase-encode", phase_encode)
    axis, drawn = roles(record)["phase_encode"], record["drawn"]
    n = shape[axis]
    assert drawn["measured_lines"] == int(np.ceil(9 / 16 * n))
    k = np.arange(n) - n // 2
    measured = np.arange(n) < drawn["measured_lines"]
    overlap = k[measured].max()
    object_ = image.astype(complex)
    if not is_complex and method:
        phase = smooth_field(drawn["phase"], shape, spacing)
        foreground = otsu(image)
        assert phase[foreground].mean() == pytest.approx(0, abs=1e-6)
        assert phase[foreground].std() == pytest.approx(0.7, rel=1e-4)
        object_ = object_ * np.exp(1j * phase)
    lines = to_lines(object_, axis) * along(measured, axis)
    if not method:
        want = to_rows(lines, axis)
    elif "mode=1" in method:
        want = homodyne(lines, axis, measured, overlap, k)
    else:
        want = pocs(lines, axis, measured, overlap, k, 7)
    check(got, want, image)


# ---- chemical shift ----

@pytest.fixture
def saved_map(tmp_path):
    """saved_map(kind, array, spacing) -> options that give it to mr-corrupt."""

    def save(kind, array, spacing):
        path = images.save(tmp_path / f"{kind}.nii", array.astype(np.float32), spacing)
        return ["--map", f"{kind}={path}"]

    return save


def rolled(image, distance, axis):
    """Moved by any distance: a linear phase of k-space; the unpaired frequency of a real image
    gets the mean of what it and its other sign would get."""
    n = image.shape[axis]
    k = np.arange(n) - n // 2
    weights = np.exp(-2j * np.pi * k * distance / n)
    if n % 2 == 0:
        weights[0] = weights[0].real
    return to_rows(to_lines(image.astype(complex), axis) * along(weights, axis), axis)


@geometries
@complex_too
@pytest.mark.parametrize("options", ["shift_px=2.3", "shift_px=-1.5,phase_deg=70", "proxy=1"])
def test_chemical_shift(corrupt, saved_map, shape, spacing, mode, phase_encode, is_complex,
                        options):
    image = image_of(shape, is_complex)
    x, y, z = coordinates(shape)
    share = np.clip(x**2 + y**2 - 0.2 + 0.1 * z, 0, 1).astype(np.float32)
    given = [] if "proxy" in options else saved_map("fat", share, spacing)
    got, record, _ = corrupt(image, spacing, "chemical-shift," + options, "--mode", mode,
                             "--phase-encode", phase_encode, *given)
    parameters = record["parameters"]
    if "proxy" in options:
        low, high = record["drawn"]["fat_from"]
        peak = np.percentile(np.abs(image).astype(float), 99.9)
        assert (low, high) == pytest.approx((0.6 * peak, 0.8 * peak), rel=1e-5)
        share = np.clip((np.abs(image) - low) / (high - low), 0, 1)
    fat = image * share.astype(float)
    moved = rolled(fat, parameters["shift_px"], roles(record)["readout"])
    check(got, image - fat + moved * np.exp(1j * np.radians(parameters["phase_deg"])), image)


# ---- displacement by the field ----

def displaced(image, distance, axis, wraps=True):
    """Every voxel is a box whose moved ends are known: the amount up to a point of the line is the
    sum of parts of boxes, and a voxel gets the difference between its ends."""
    image, distance = np.moveaxis(image, axis, -1), np.moveaxis(distance, axis, -1)
    n = image.shape[-1]
    padded = np.concatenate([distance[..., :1], distance, distance[..., -1:]], -1)
    edges = np.arange(n + 1) + (padded[..., :-1] + padded[..., 1:]) / 2
    low = np.minimum(edges[..., :-1], edges[..., 1:])
    high = np.maximum(edges[..., :-1], edges[..., 1:])
    turns = int(np.ceil(np.abs(distance).max() / n)) + 1
    points = np.arange(-turns * n, (turns + 1) * n + 1)
    # up to[p] = sum over boxes of the share of the box below p
    share = np.clip((points - low[..., None]) / (high - low)[..., None], 0, 1)
    up_to = (image[..., None] * share).sum(-2)
    cells = np.diff(up_to, axis=-1)
    fields = cells.reshape(*cells.shape[:-1], 2 * turns + 1, n)
    total = fields.sum(-2) if wraps else fields[..., turns, :]
    return np.moveaxis(total, -1, axis)


@geometries
@complex_too
@pytest.mark.parametrize("name, options", [("off-resonance", ":4"), ("off-resonance", ":3,proxy=1"),
                                           ("epi-distortion", ":3"),
                                           ("epi-distortion", ",peak_px=-6,proxy=1")])
def test_displacement(corrupt, saved_map, shape, spacing, mode, phase_encode, is_complex, name,
                      options):
    image = image_of(shape, is_complex)
    x, y, z = coordinates(shape)
    hertz = (60 * x * y + 30 * y**2 - 20 * z + 10 + 25 * x).astype(np.float32)
    given = [] if "proxy" in options else saved_map("field", hertz, spacing)
    got, record, _ = corrupt(image, spacing, name + options, "--mode", mode, "--phase-encode",
                             phase_encode, *given)
    drawn, peak = record["drawn"], record["parameters"]["peak_px"]
    foreground = otsu(np.abs(image))
    if "proxy" in options:
        assert drawn["field"] == "drawn"
        distance = smooth_field(drawn["displacement"], shape, spacing)
    else:
        assert drawn["field"] == "map"
        distance = hertz.astype(float) / drawn["hz_per_voxel"]
    assert np.abs(distance[foreground]).max() == pytest.approx(abs(peak), rel=1e-5)
    axis = roles(record)["readout" if name == "off-resonance" else "phase_encode"]
    # Distances are single precision: an edge moves by 1e-6 voxels, of a step that by its share.
    check(got, displaced(image.astype(complex), distance, axis), image)


# ---- transmit field ----

@geometries
@complex_too
def test_b1_transmit(corrupt, shape, spacing, mode, phase_encode, is_complex):
    image = image_of(shape, is_complex)
    got, record, _ = corrupt(image, spacing, "b1-transmit:5", "--mode", mode, "--phase-encode",
                             phase_encode)
    drawn = record["drawn"]
    d = sum(along((np.arange(n) - c) / r, axis)**2 for axis, (n, c, r) in
            enumerate(zip(shape, drawn["centre_voxel"], drawn["radius_voxel"])))
    kappa = 1 + 0.41 * (2 * 2.0**-d - 1)
    excitation, refocusing = np.radians(90 * kappa), np.radians(180 * kappa)
    check(got, image * np.sin(excitation) * np.sin(refocusing / 2)**2, image)


@geometries
@pytest.mark.parametrize("mapped", [False, True])
def test_b1_transmit_of_a_gradient_echo(corrupt, tmp_path, shape, spacing, mode, phase_encode, mapped):
    """Fat and muscle saturate differently, so that the contrast changes too."""
    image = image_of(shape, False)
    tissues = np.full(shape, 2, np.int16)
    tissues[shape[0] // 2:] = 3
    images.save(tmp_path / "tissue.nii", tissues, spacing)
    got, record, _ = corrupt(image, spacing, "b1-transmit:5,flip_deg=25,tr_ms=40,t1_ms=700,field_t=3",
                             "--mode", mode, "--phase-encode", phase_encode,
                             *(["--map", f"tissue={tmp_path / 'tissue.nii'}"] if mapped else []))
    drawn = record["drawn"]
    assert drawn["t1"] == ("tissue map" if mapped else "t1_ms")
    t1 = np.where(tissues == 2, 371, 1420) if mapped else 700
    d = sum(along((np.arange(n) - c) / r, axis)**2 for axis, (n, c, r) in
            enumerate(zip(shape, drawn["centre_voxel"], drawn["radius_voxel"])))
    e1 = np.exp(-40 / t1)

    def signal(kappa):
        flip = np.radians(25 * kappa)
        return np.sin(flip) * (1 - e1) / (1 - e1 * np.cos(flip))

    check(got, image * signal(1 + 0.41 * (2 * 2.0**-d - 1)) / signal(1), image)


def apply_(corrupt, shape, spacing, mode, phase_encode, is_complex, step):
    image = image_of(shape, is_complex)
    got, record, _ = corrupt(image, spacing, step, "--mode", mode, "--phase-encode", phase_encode)
    return image, got, record


# ---- susceptibility ----

@geometries
@complex_too
def test_susceptibility(corrupt, shape, spacing, mode, phase_encode, is_complex):
    image, got, record = apply_(corrupt, shape, spacing, mode, phase_encode, is_complex,
                                "susceptibility:5")
    axes, drawn = roles(record), record["drawn"]
    sides = [n * d for axis, (n, d) in enumerate(zip(shape, spacing)) if axis != axes["slice"]]
    assert drawn["sigma_mm"] == pytest.approx(0.1 * max(sides), rel=1e-6)
    source = np.array(drawn["worst_mm"])
    source[axes["slice"]] += drawn["side"] * drawn["sigma_mm"]
    grid = np.stack(np.meshgrid(*(np.arange(n) * d for n, d in zip(shape, spacing)),
                                indexing="ij"), -1)
    # The field exp(-r^2 / 2 sigma^2), its derivative across slices, scaled to at most 1.5 turns.
    distance = (grid - source) / drawn["sigma_mm"]
    gradient = distance[..., axes["slice"]] * np.exp(-(distance**2).sum(-1) / 2)
    turns = 1.5 * gradient / np.exp(-0.5)
    check(got, image * np.sinc(turns), image)


# ---- metal ----

@geometries
@complex_too
@pytest.mark.parametrize("step", ["metal:3", "metal,radius_mm=4,susceptibility_ppm=-60,te_ms=3",
                                  "metal:3,cylinder=1,te_ms=2"])
def test_metal(corrupt, shape, spacing, mode, phase_encode, is_complex, step):
    image, got, record = apply_(corrupt, shape, spacing, mode, phase_encode, is_complex, step)
    axes, drawn, p = roles(record), record["drawn"], record["parameters"]
    spacing = np.float32(spacing).astype(float)  # as stored: the edge of the sphere is sharp
    assert drawn["field_direction"] == [0, 0, 1]  # of a diagonal affine
    hertz = 42.577478518 * drawn["field_t"] * p["susceptibility_ppm"]

    def field(grid):
        d = grid - np.array(drawn["centre_mm"])
        if p["cylinder"]:
            axis, main = np.array(drawn["axis"]), np.array([0, 0, 1])
            assert np.linalg.norm(axis) == pytest.approx(1)
            d = d - (d @ axis)[..., None] * axis
            main = main - axis[2] * axis
            r = np.sqrt((d**2).sum(-1))
            # sin^2(theta) cos(2 phi), main being sin(theta) long
            cosine = d @ main / np.where(r > 0, r, 1)
            off = hertz / 2 * (2 * cosine**2 - main @ main)
            return off * (p["radius_mm"] / np.maximum(r, p["radius_mm"]))**2, r
        r = np.sqrt((d**2).sum(-1))
        cosine = d[..., 2] / np.where(r > 0, r, 1)
        near = p["radius_mm"] / np.maximum(r, p["radius_mm"])
        return hertz / 3 * near**3 * (3 * cosine**2 - 1), r

    grid = np.stack(np.meshgrid(*(np.arange(n) * d for n, d in zip(shape, spacing)),
                                indexing="ij"), -1)
    half = np.zeros(3)
    half[axes["slice"]] = spacing[axes["slice"]] / 2
    off, r = field(grid)
    dephasing = p["te_ms"] / 1000 * (field(grid + half)[0] - field(grid - half)[0])
    left = image * np.sinc(dephasing) * (r >= p["radius_mm"] * (1 - 1e-9))
    along_readout = off / p["readout_hz"]
    if mode == "3d":
        want = displaced(left, along_readout, axes["readout"], wraps=False)
    else:
        want, s = np.zeros(shape, complex), axes["slice"]
        arrives = along(np.arange(shape[s]), s) + off / p["slice_hz"]
        for to in range(shape[s]):
            part = left * np.maximum(0, 1 - np.abs(arrives - to))
            at = [slice(None)] * 3
            at[s] = to
            want[tuple(at)] = displaced(part, along_readout, axes["readout"],
                                            wraps=False).sum(s)
    # Displacements up to 30 voxels in single precision, and their differences along a line.
    check(got, want, image, 3e-5)


# ---- gradients ----

def legendre_harmonic(order, degree, x, y, z):
    """r^order P_order^degree(z / r) cos(degree phi), scaled like a polynomial of whole numbers."""
    rr = x**2 + y**2
    return {(3, 0): 2 * z**3 - 3 * z * rr,
            (3, 1): x * (4 * z**2 - rr),
            (5, 0): 8 * z**5 - 40 * z**3 * rr + 15 * z * rr**2,
            (5, 1): x * (8 * z**4 - 12 * z**2 * rr + rr**2)}[order, degree]


@geometries
@complex_too
def test_gradient_nonlinearity(corrupt, shape, spacing, mode, phase_encode, is_complex):
    image, got, record = apply_(corrupt, shape, spacing, mode, phase_encode, is_complex,
                                "gradient-nonlinearity,corner_mm=3")
    drawn, axes = record["drawn"], roles(record)
    unit = drawn["unit_mm"]
    assert unit == pytest.approx(np.linalg.norm(np.array(shape) * spacing) / 2, rel=1e-6)
    assert drawn["bore_axis"] == 2
    warped = encoded_axes(record)

    def displacement(x):  # [mm], from coordinates in units
        out = []
        for axis, (third, fifth) in enumerate(drawn["coefficients_mm"]):
            degree = 0 if axis == 2 else 1
            a, b = (x[0], x[1]) if axis != 1 else (x[1], x[0])
            value = sum(c * legendre_harmonic(order, degree, a, b, x[2])
                        for order, c in ((3, third), (5, fifth)))
            out.append(value if axis in warped else 0 * value)
        return np.stack(out)

    x = np.stack(np.meshgrid(*((np.arange(n) - n // 2) * d / unit for n, d in zip(shape, spacing)),
                             indexing="ij"))
    u = displacement(x)
    corners = np.linalg.norm(u, axis=0)[::shape[0] - 1, ::shape[1] - 1, ::shape[2] - 1]
    assert corners.max() == pytest.approx(3, rel=1e-6)
    jacobian = np.broadcast_to(np.eye(3)[:, :, None, None, None], (3, 3, *shape)).copy()
    h = 1e-5
    for b in range(3):
        step = np.zeros((3, 1, 1, 1))
        step[b] = h
        jacobian[:, b] += (displacement(x + step) - displacement(x - step)) / (2 * h) / unit
    jacobian[[a for a in range(3) if a not in warped]] = np.eye(3)[
        [a for a in range(3) if a not in warped]][:, :, None, None, None]
    ratio = np.abs(np.linalg.det(np.moveaxis(jacobian, (0, 1), (-2, -1))))
    at = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij")) + u / np.reshape(
        spacing, (3, 1, 1, 1))

    def keys(d):
        d = np.abs(d)
        return np.where(d <= 1, 1.5 * d**3 - 2.5 * d**2 + 1,
                        np.where(d < 2, -0.5 * d**3 + 2.5 * d**2 - 4 * d + 2, 0))

    kernels = [keys(at[a][..., None] - np.arange(shape[a])) for a in range(3)]
    want = ratio * np.einsum("abc,xyza,xyzb,xyzc->xyz", image.astype(complex), *kernels,
                             optimize=True)
    check(got, want, image)


@geometries
@complex_too
def test_eddy_currents(corrupt, shape, spacing, mode, phase_encode, is_complex):
    image, got, record = apply_(corrupt, shape, spacing, mode, phase_encode, is_complex,
                                "eddy-currents:4")
    axes, drawn = roles(record), record["drawn"]
    distance = np.full(shape, drawn["constant"])
    for name, role in (("readout", "readout"), ("lines", "phase_encode"), ("slice", "slice")):
        n = shape[axes[role]]
        distance += drawn[name] * along((np.arange(n) - n // 2) / (n // 2), axes[role])
    assert np.abs(distance).max() <= 4 + 1e-9
    check(got, displaced(image, distance, axes["phase_encode"]), image)


@geometries
@complex_too
def test_b0_drift(corrupt, shape, spacing, mode, phase_encode, is_complex):
    image, got, record = apply_(corrupt, shape, spacing, mode, phase_encode, is_complex,
                                "b0-drift,drift_px=-1.3")
    assert record["drawn"] == {"shift_px": -1.3}
    check(got, rolled(image, -1.3, roles(record)["phase_encode"]), image)


# ---- moire ----

@geometries
@complex_too
def test_moire(corrupt, shape, spacing, mode, phase_encode, is_complex):
    image, got, record = apply_(corrupt, shape, spacing, mode, phase_encode, is_complex, "moire:4")
    axis, drawn = roles(record)["phase_encode"], record["drawn"]
    turns = smooth_field(drawn["turns"], shape, spacing)
    assert np.abs(turns[otsu(np.abs(image))]).max() == pytest.approx(6, rel=1e-5)
    other = np.roll(image, -(shape[axis] // 2), axis)
    # The phase is kept in single precision, of up to some tens of turns at the corners.
    check(got, image + 0.35 * np.exp(2j * np.pi * turns) * other, image, 2e-5)
