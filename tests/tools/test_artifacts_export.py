"""Artifacts of the object, of slices and of the export, recomputed in NumPy in double precision
from what mr-corrupt recorded."""
import io
import json

import nibabel
import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

import images
from artifact_tools import (FLOAT32, along, anatomy, corrupt, geometries, nrmse, otsu,
                            roles, with_phase)

both = pytest.mark.parametrize("is_complex", [False, True])


def sample(shape, is_complex):
    return with_phase(anatomy(shape)) if is_complex else anatomy(shape)


def remapped(image, function):
    """The function of the magnitude; of a complex image with the phase kept."""
    magnitude = np.abs(image).astype(float)
    return function(magnitude) * (np.exp(1j * np.angle(image)) if np.iscomplexobj(image) else 1)


# ---- thick slices ----

@geometries
@both
@pytest.mark.parametrize("step", ["thick-slice:1", "thick-slice:3", "thick-slice:5,gaussian=1"])
def test_thick_slice(corrupt, shape, spacing, mode, phase_encode, is_complex, step):
    image = sample(shape, is_complex)
    got, record, _ = corrupt(image, spacing, step, "--mode", mode, "--phase-encode", phase_encode)
    axis = roles(record)["slice"]
    n, width = shape[axis], record["parameters"]["thickness"]
    centres = np.array(record["drawn"]["centres"])
    pitch = width * (1 + record["parameters"]["gap_percent"] / 100)
    assert np.allclose(np.diff(centres), pitch) and np.isclose(centres.mean(), (n - 1) / 2)
    assert (len(centres) - 1) * pitch < n <= len(centres) * pitch + 1e-6
    assert record["drawn"]["thickness_mm"] == pytest.approx(width * spacing[axis])
    # The profile on a fine grid: 2000 points a slice, which the rectangle's edges meet.
    fine = (np.arange(2000 * n) + 0.5) / 2000 - 0.5
    thick = []
    for c in centres:
        if record["parameters"]["gaussian"]:
            profile = 0.5**((2 * (fine - c) / width)**2)
        else:
            profile = np.abs(fine - c) < width / 2
        w = profile.reshape(n, 2000).sum(1).astype(float)
        thick.append(np.tensordot(w / w.sum(), image.astype(complex), (0, axis)))
    thick = np.array(thick)
    flat = thick.reshape(len(centres), -1)
    want = np.array([np.interp(np.arange(n), centres, v.real)
                     + 1j * np.interp(np.arange(n), centres, v.imag) for v in flat.T]).T
    want = np.moveaxis(want.reshape(n, *thick.shape[1:]), 0, axis)
    assert nrmse(image, want) > 0.02
    # The fine grid's own error is below a 2000th of a slice in two edges.
    assert nrmse(got, want if is_complex else want.real) < 2e-4


def test_whole_thick_slices_are_plain_means(corrupt):
    image = anatomy((20, 22, 12))
    got, _, _ = corrupt(image, (1, 1, 4), "thick-slice,thickness=12", "--mode", "2d")
    mean = image.mean(2, keepdims=True, dtype=float)
    assert nrmse(got, np.broadcast_to(mean, got.shape)) < FLOAT32


# ---- intensities ----

@geometries
@both
@pytest.mark.parametrize("step", ["gamma:5", "gamma-dark:5", "gamma,gamma=0.4,keep_mean=0"])
def test_gamma(corrupt, shape, spacing, mode, phase_encode, is_complex, step):
    image = sample(shape, is_complex)
    got, record, _ = corrupt(image, spacing, step, "--mode", mode, "--phase-encode", phase_encode)
    magnitude = np.abs(image).astype(float)
    black, white = magnitude.min(), np.percentile(magnitude, 99.9)
    gamma = record["parameters"]["gamma"]

    def curve(x):
        return black + (white - black) * np.maximum(0, (x - black) / (white - black))**gamma

    inside = otsu(magnitude)
    gain = (magnitude[inside].mean() / curve(magnitude)[inside].mean()
            if record["parameters"]["keep_mean"] else 1)
    want = remapped(image, lambda x: gain * curve(x))
    assert nrmse(got, want) < FLOAT32
    assert record["drawn"]["gain"] == pytest.approx(gain, rel=1e-5)


@geometries
@both
def test_clipping(corrupt, shape, spacing, mode, phase_encode, is_complex):
    image = sample(shape, is_complex)
    got, record, _ = corrupt(image, spacing, "clipping:4", "--mode", mode, "--phase-encode",
                             phase_encode)
    magnitude = np.abs(image)
    limit = np.percentile(magnitude[otsu(magnitude)].astype(float), 80)
    assert record["drawn"]["limit"] == pytest.approx(limit, rel=1e-6)
    assert nrmse(got, remapped(image, lambda x: np.minimum(x, limit))) < FLOAT32


@geometries
@both
def test_quantisation(corrupt, shape, spacing, mode, phase_encode, is_complex):
    image = sample(shape, is_complex)
    got, record, _ = corrupt(image, spacing, "quantisation:4", "--mode", mode, "--phase-encode",
                             phase_encode)
    step = np.abs(image).max() / 15
    want = remapped(image, lambda x: step * np.round(x / step))
    # Where a value lies within float32 of the middle between two levels, either is right.
    near = np.abs(np.abs(image) / step % 1 - 0.5) < 1e-5
    assert near.mean() < 0.001
    assert nrmse(got[~near], want[~near]) < FLOAT32


@geometries
@both
def test_window(corrupt, shape, spacing, mode, phase_encode, is_complex):
    image = sample(shape, is_complex)
    got, _, _ = corrupt(image, spacing, "window:4", "--mode", mode, "--phase-encode", phase_encode)
    magnitude = np.abs(image).astype(float)
    low, high = np.percentile(magnitude, [10, 90])
    want = remapped(image, lambda x: magnitude.min() + np.ptp(magnitude)
                    * (np.clip(x, low, high) - low) / (high - low))
    assert nrmse(got, want) < FLOAT32


# ---- overlays ----

@geometries
@both
def test_border(corrupt, shape, spacing, mode, phase_encode, is_complex):
    image = sample(shape, is_complex)
    got, record, _ = corrupt(image, spacing, "border:5,padding=0.2", "--mode", mode,
                             "--phase-encode", phase_encode)
    axes = roles(record)
    foreground = otsu(np.abs(image))
    kept = 1.0
    for role in ("phase_encode", "readout"):
        axis = axes[role]
        others = tuple(a for a in range(3) if a != axis)
        where = np.flatnonzero(foreground.any(others))
        width = where[-1] + 1 - where[0]
        low, high = where[0] + 0.2 * width, where[-1] + 1 - 0.2 * width
        index = np.arange(shape[axis])
        share = np.clip(np.minimum(index + 1, high) - np.maximum(index, low), 0, 1)
        kept = kept * along(share, axis)
    padding = 0.2 * np.abs(image)[foreground].mean(dtype=float)
    assert nrmse(got, remapped(image, lambda x: kept * x + (1 - kept) * padding)) < FLOAT32


# 3 x 5 dots: rows from the top, the highest bit to the left.
FONT = dict(zip("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ",
                "75557 26227 71747 71717 55711 74717 74757 71111 75757 75717 25755 65656 34443 65556 "
                "74647 74644 34553 55755 72227 11152 55655 44447 57755 65555 25552 65644 25563 65655 "
                "34216 72222 55557 55552 55775 55255 55222 71247".split()))


def ink(lines, dot, height, width):
    """[height, width]: 1 where the text's rows, from the top and the bottom in turn, have ink."""
    page = np.zeros((height, width))
    for r, line in enumerate(lines):
        top = dot + r // 2 * 6 * dot if r % 2 == 0 else height - (r // 2 + 1) * 6 * dot
        for c, letter in enumerate(line):
            glyph = np.array([[int(row) >> b & 1 for b in (2, 1, 0)] for row in FONT[letter]])
            left = dot + 4 * dot * c
            page[top:top + 5 * dot, left:left + 3 * dot] = np.kron(glyph, np.ones((dot, dot)))
    return page


@geometries
def test_burnt_in_text(corrupt, shape, spacing, mode, phase_encode):
    image = anatomy(shape)
    got, record, _ = corrupt(image, spacing, "burnt-in-text:3", "--mode", mode, "--phase-encode",
                             phase_encode)
    axis, drawn = roles(record)["slice"], record["drawn"]
    burnt = np.moveaxis(got != image, axis, 0)
    burnt = burnt.any(0)
    # Upright: the affine runs along R, A, S, so the left is to the right, and the head up, or the
    # front where the head is not seen.
    plane = [a for a in "ijk" if "ijk".index(a) != axis]
    assert drawn["right"] == plane[0] + "-" and drawn["down"] == plane[1] + "-"
    burnt = burnt[::-1, ::-1].T
    page = ink(drawn["text"], drawn["dot_voxels"], *burnt.shape)
    assert drawn["burnt_voxels"] == round(0.04 * burnt.size) == burnt.sum()
    assert not (burnt & (page == 0)).any()
    # All letters are whole but those of the last row and, in it, of the last glyph.
    whole = ink(drawn["text"][:-1], drawn["dot_voxels"], *burnt.shape)
    assert burnt[whole == 1].all()
    assert (got[got != image] == image.max()).all() and drawn["value"] == image.max()


def test_large_slices_have_large_letters(corrupt):
    got, record, _ = corrupt(anatomy((270, 300, 1)), (1, 1, 4), "burnt-in-text:1", "--mode", "2d")
    assert record["drawn"]["dot_voxels"] == 2


# ---- single slices ----

SLICES = [  # shape, spacing, phase encoding, slice axis of the record
    ((35, 24, 6), (0.8, 1.3, 4.0), "j", "k"),
    ((24, 37, 5), (1.1, 0.9, 4.0), "i", "k"),
    ((7, 24, 33), (5.0, 0.9, 1.0), "k", "i"),
]
stacks = pytest.mark.parametrize("shape, spacing, phase_encode, slice_axis", SLICES)


@stacks
@both
@pytest.mark.parametrize("step", ["slice-crosstalk:4", "slice-gain:5", "slice-dropout:5"])
def test_single_slices(corrupt, shape, spacing, phase_encode, slice_axis, is_complex, step):
    image = sample(shape, is_complex)
    got, record, _ = corrupt(image, spacing, step, "--mode", "2d", "--phase-encode", phase_encode)
    assert record["slice_axis"] == slice_axis
    axis = "ijk".index(slice_axis)
    n, factors = shape[axis], np.array(record["drawn"]["factors"])
    if step.startswith("slice-crosstalk"):  # interleaved: 0, 2, 4, ... then 1, 3, ...
        want = [1 - 0.2 * (s % 2) * (0.5 * (s > 0) + 0.5 * (s + 1 < n)) for s in range(n)]
        assert np.allclose(factors, want)
    elif step.startswith("slice-dropout"):
        lost = np.sort(1 - factors)[::-1]
        whole = int(0.3 * n)
        assert (lost[:whole] >= 0.3).all() and (lost[whole + 1:] == 0).all()
        assert 0 < lost.sum() < 0.3 * n
    else:
        assert (np.diff(np.sign(np.diff(factors))) != 0).any() and len(factors) == n
    assert nrmse(got, image * along(factors, axis)) < FLOAT32


# ---- lossy files: Pillow's calls of the codecs, as independent of ours as can be had ----

def saved(pixels, **options):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, **options)
    return file


@stacks
@both
@pytest.mark.parametrize("step", ["jpeg:1", "jpeg:5", "jpeg2000:1", "jpeg2000:3"])
def test_lossy(corrupt, shape, spacing, phase_encode, slice_axis, is_complex, step):
    image = sample(shape, is_complex)
    got, record, _ = corrupt(image, spacing, step, "--mode", "2d", "--phase-encode", phase_encode)
    axis = "ijk".index(slice_axis)
    scale = np.abs(image).max() / 255
    grey = np.moveaxis(np.round(np.abs(image).astype(float) / scale).astype(np.uint8), axis, 0)
    want = []
    for plane in grey:
        if step.startswith("jpeg:"):
            file = saved(plane.T, format="JPEG", quality=int(record["parameters"]["quality"]))
        else:
            options = {"format": "JPEG2000", "irreversible": True, "quality_mode": "rates",
                       "no_jp2": True, "num_resolutions": 1 + int(np.log2(min(plane.shape)))}
            flat = saved(np.full_like(plane.T, 128), quality_layers=[1], **options)
            overhead = len(flat.getvalue())
            rate = plane.size / (overhead + plane.size / record["parameters"]["ratio"])
            file = saved(plane.T, quality_layers=[rate], **options)
        want.append(np.asarray(Image.open(file)).T)
    want = remapped(image, lambda _: scale * np.moveaxis(np.array(want, float), 0, axis))
    # A voxel that rounds the other way in single precision changes the 64 around it a little.
    assert nrmse(image, want) > 2e-3
    assert nrmse(got, want) < 1e-4


# ---- fat ----

def fat_map(shape):
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    r = x**2 / 0.7 + y**2 / 0.8 + z**2 / 1.5
    return np.where((r > 0.6) & (r < 1.1), 0.9, 0.02 + 0.1 * (r < 1)).astype(np.float32)


@pytest.fixture
def with_map(corrupt, tmp_path):
    """with_map(name, map, array, spacing, step, ...) -> as corrupt."""

    def runner(name, values, array, spacing, *rest):
        path = images.save(tmp_path / f"{name}.nii", values, spacing)
        return corrupt(array, spacing, *rest, "--map", f"{name}={path}")

    return runner


def cosine_series(terms, shape, axes):
    """Sum of products of cosines over slice, phase encoding and readout."""
    total = np.zeros(shape)
    for *orders, coefficient in terms:
        term = coefficient
        for role, order in zip(("slice", "phase_encode", "readout"), orders):
            n = shape[axes[role]]
            term = term * along(np.cos(np.pi * order * (np.arange(n) + 0.5) / n), axes[role])
        total = total + term
    return total


@geometries
@both
def test_fat_sat_failure(with_map, shape, spacing, mode, phase_encode, is_complex):
    image, fat = sample(shape, is_complex), fat_map(shape)
    got, record, _ = with_map("fat", fat, image, spacing, "fat-sat-failure:4", "--mode", mode,
                              "--phase-encode", phase_encode)
    drawn, magnitude = record["drawn"], np.abs(image).astype(float)
    foreground = otsu(magnitude)
    off = np.abs(cosine_series(drawn["cosines"], shape, roles(record)))
    inside = foreground | (fat >= 0.5)
    limit, median = np.percentile(off[inside], [65, 50])
    assert drawn["limit"] == pytest.approx(limit, rel=1e-6)
    eta = 1 / (1 + np.exp(-(off - limit) / (0.1 * median)))
    want = remapped(image, lambda x: x + eta * fat * 1.5 * magnitude[foreground].mean())
    assert nrmse(got, want) < FLOAT32


@geometries
@both
def test_dixon_swap(with_map, shape, spacing, mode, phase_encode, is_complex):
    image, fat = sample(shape, is_complex), fat_map(shape)
    got, record, _ = with_map("fat", fat, image, spacing, "dixon-swap:3", "--mode", mode,
                              "--phase-encode", phase_encode)
    drawn, magnitude, axes = record["drawn"], np.abs(image).astype(float), roles(record)
    foreground = otsu(magnitude)
    inside = foreground | (fat >= 0.5)
    square = 0
    for role, centre in zip(("slice", "phase_encode", "readout"), drawn["centre"]):
        axis = axes[role]
        square = square + along(((np.arange(shape[axis]) - centre) * spacing[axis])**2, axis)
    distance = np.sqrt(square) * (1 + 0.15 * np.tanh(cosine_series(drawn["cosines"], shape, axes)))
    assert drawn["radius_mm"] == pytest.approx(np.percentile(distance[inside], 20), rel=1e-6)
    region = distance <= drawn["radius_mm"] * (1 + 1e-7)
    assert ndimage.label(region)[1] == 1
    swapped = region & inside
    want = remapped(image, lambda x: np.where(
        swapped, fat * 1.5 * magnitude[foreground].mean(), x))
    edge = np.abs(distance / drawn["radius_mm"] - 1) < 1e-6  # either side is right
    assert nrmse(got[~edge], want[~edge]) < FLOAT32
    # What is lost of water is what the other image of the pair gains: the sum stays.
    other = np.where(swapped, magnitude, fat * 1.5 * magnitude[foreground].mean())
    total = magnitude + fat * 1.5 * magnitude[foreground].mean()
    assert nrmse((np.abs(got) + other)[~edge], total[~edge]) < FLOAT32


# ---- contrast ----

TISSUES = ("air skin fat muscle marrow cortical_bone cartilage meniscus ligament fluid oedema "
           "vessel").split()
AT_3T = {"skin": (1100, 22), "fat": (371, 133), "muscle": (1420, 31.7), "marrow": (365, 133),
         "cartilage": (1240, 36.9), "meniscus": (950, 11.4), "ligament": (900, 7),
         "fluid": (3620, 767)}  # T1, T2 [ms]
DENSITY = {"skin": 0.65, "fat": 0.9, "muscle": 0.8, "marrow": 0.85, "cartilage": 0.75,
           "meniscus": 0.7, "ligament": 0.65, "fluid": 1.0}


def tissue_map(shape):
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    inside = x**2 / 0.7 + y**2 / 0.8 + z**2 / 1.5 < 1
    names = list(AT_3T)
    which = np.clip(np.floor((x + 1) / 2 * len(names)), 0, len(names) - 1).astype(int)
    index = np.array([TISSUES.index(n) for n in names])[which]
    return np.where(inside, index, 0).astype(np.uint8)


def per_tissue(tissues, function, otherwise):
    out = np.full(tissues.shape, float(otherwise))
    for name, (t1, t2) in AT_3T.items():
        out[tissues == TISSUES.index(name)] = function(name, t1, t2)
    return out


def recovery(ti, tr, t1):
    return np.abs(1 - 2 * np.exp(-ti / t1) + np.exp(-tr / t1))


def spoiled(degrees, tr, t1):
    """Spoiled gradient echo."""
    e1 = np.exp(-tr / t1)
    return np.sin(np.radians(degrees)) * (1 - e1) / (1 - e1 * np.cos(np.radians(degrees)))


@geometries
@both
@pytest.mark.parametrize("step, factor", [
    ("contrast-te:5,te_ms=24,field_t=3", lambda name, t1, t2: np.exp(-12 / t2)),
    ("contrast-te:1,te_ms=24,field_t=3,change_percent=-50", lambda name, t1, t2: np.exp(12 / t2)),
    ("contrast-tr:4,tr_ms=800,field_t=2.9",
     lambda name, t1, t2: (1 - np.exp(-520 / t1)) / (1 - np.exp(-800 / t1))),
    ("contrast-ti:3,ti_ms=160,tr_ms=4000,field_t=3",
     lambda name, t1, t2: recovery(128, 4000, t1) / recovery(160, 4000, t1)),
    ("contrast-flip:4,flip_deg=20,tr_ms=30,field_t=3",
     lambda name, t1, t2: spoiled(27, 30, t1) / spoiled(20, 30, t1))])
def test_contrast(with_map, shape, spacing, mode, phase_encode, is_complex, step, factor):
    image, tissues = sample(shape, is_complex), tissue_map(shape)
    got, _, _ = with_map("tissue", tissues, image, spacing, step, "--mode", mode, "--phase-encode",
                         phase_encode)
    assert nrmse(got, image * per_tissue(tissues, factor, 1)) < FLOAT32


@geometries
@both
def test_magic_angle(with_map, shape, spacing, mode, phase_encode, is_complex):
    image, tissues = sample(shape, is_complex), tissue_map(shape)
    got, _, _ = with_map("tissue", tissues, image, spacing,
                         "magic-angle:3,te_ms=15,tr_ms=2000,field_t=3", "--mode", mode,
                         "--phase-encode", phase_encode)

    def signal(name, t1, t2):
        return DENSITY[name] * (1 - np.exp(-2000 / t1)) * np.exp(-15 / t2)

    def gain(name, t1, t2):
        if name not in ("ligament", "meniscus"):
            return 0
        theta = np.arccos(np.sqrt(1 / 3)) - np.radians(20)
        coupling = (1 / t2 - 1 / 22) / 4  # (3 cos^2 0 - 1)^2 = 4
        rate = 1 / 22 + coupling * (3 * np.cos(theta)**2 - 1)**2
        return signal(name, t1, 1 / rate) - signal(name, t1, t2)

    water = otsu(np.abs(image)) & ~np.isin(tissues, [TISSUES.index(n) for n in ("fat", "marrow")])
    unit = (np.abs(image).astype(float)[water].sum()
            / per_tissue(tissues, signal, 0)[water].sum())
    added = unit * per_tissue(tissues, gain, 0)
    assert nrmse(got, remapped(image, lambda x: x + added)) < FLOAT32


# ---- orientation ----

@geometries
@both
@pytest.mark.parametrize("mirrored", [("readout",), ("phase_encode",), ("readout", "phase_encode")])
def test_orientation(corrupt, shape, spacing, mode, phase_encode, is_complex, mirrored):
    image = sample(shape, is_complex)
    step = "orientation," + ",".join(f"mirror_{role}={int(role in mirrored)}"
                                     for role in ("readout", "phase_encode"))
    got, record, _ = corrupt(image, spacing, step, "--mode", mode, "--phase-encode", phase_encode)
    assert np.array_equal(got, np.flip(image, [roles(record)[role] for role in mirrored]))


# ---- deformation ----

def keys(s):
    """Keys 1981, a = -1/2."""
    s = np.abs(s)
    return np.where(s < 1, 1.5 * s**3 - 2.5 * s**2 + 1,
                    np.where(s < 2, -0.5 * s**3 + 2.5 * s**2 - 4 * s + 2, 0))


def resampled(plane, y, x):
    """plane at the places (y, x), its edges continued: a sum over all its extended pixels."""
    pad = 60
    extended = np.pad(plane, pad, mode="edge")
    out = np.zeros(plane.shape, complex)
    for index in np.ndindex(plane.shape):
        wy = keys(np.arange(extended.shape[0]) - pad - y[index])
        wx = keys(np.arange(extended.shape[1]) - pad - x[index])
        rows = np.flatnonzero(wy)
        out[index] = wy[rows] @ extended[rows] @ wx
    return out


def warped(image, axes, dy, dx):
    """All slices, displaced by dy along phase encoding and dx along the readout, in voxels."""
    order = [axes[role] for role in ("slice", "phase_encode", "readout")]
    blocks = [np.transpose(v, order) for v in (image.astype(complex), dy, dx)]
    grid = np.meshgrid(*(np.arange(n) for n in blocks[0].shape[1:]), indexing="ij")
    out = np.array([resampled(p, grid[0] + a, grid[1] + b) for p, a, b in zip(*blocks)])
    return np.transpose(out, np.argsort(order))


@geometries
@both
@pytest.mark.parametrize("step", ["elastic:3", "elastic,rms_mm=2.5"])
def test_elastic(corrupt, shape, spacing, mode, phase_encode, is_complex, step):
    image = sample(shape, is_complex)
    got, record, _ = corrupt(image, spacing, step, "--mode", mode, "--phase-encode", phase_encode)
    axes, drawn = roles(record), record["drawn"]
    dy, dx = (drawn["scale"] * cosine_series(drawn[f"{role}_cosines"], shape, axes)
              for role in ("phase_encode", "readout"))
    foreground = otsu(np.abs(image))
    in_mm = "mm" in step
    assert np.sqrt((dy**2 + dx**2)[foreground].mean()) == pytest.approx(2.5 if in_mm else 3, rel=1e-6)
    if in_mm:
        dy, dx = (d / spacing[axes[role]] for d, role in ((dy, "phase_encode"), (dx, "readout")))
    want = warped(image, axes, dy, dx)
    assert nrmse(got, want if is_complex else np.abs(want)) < FLOAT32


@geometries
@both
@pytest.mark.parametrize("step", ["position:3", "position:3,shift_mm=3.2"])
def test_position(corrupt, shape, spacing, mode, phase_encode, is_complex, step):
    image = sample(shape, is_complex)
    got, record, _ = corrupt(image, spacing, step, "--mode", mode, "--phase-encode", phase_encode)
    axes, drawn = roles(record), record["drawn"]
    mm = {role: along((np.arange(shape[axis]) - shape[axis] // 2) * spacing[axis], axis)
          for role, axis in axes.items()}
    side = min(shape[axes[r]] * spacing[axes[r]] for r in ("phase_encode", "readout"))
    shift = drawn["shift_readout_mm"] + 1j * drawn["shift_phase_encode_mm"]
    assert abs(shift) == pytest.approx(3.2 if "mm" in step else 0.06 * side)
    assert abs(drawn["rotation_deg"]) == 7
    place = mm["readout"] + 1j * mm["phase_encode"] + 0 * mm["slice"]
    before = (place - shift) * np.exp(-1j * np.radians(drawn["rotation_deg"]))
    want = warped(image, axes, (before - place).imag / spacing[axes["phase_encode"]],
                  (before - place).real / spacing[axes["readout"]])
    assert nrmse(got, want if is_complex else np.abs(want)) < FLOAT32


# ---- field strength ----

AT_1_5T = {"skin": (900, 25), "fat": (288, 165), "muscle": (1130, 35.3), "marrow": (288, 165),
           "cartilage": (1060, 42.1), "meniscus": (800, 12.5), "ligament": (750, 8),
           "fluid": (2850, 1210)}


@geometries
@both
def test_field_strength(with_map, shape, spacing, mode, phase_encode, is_complex):
    image, tissues = sample(shape, is_complex), tissue_map(shape)
    got, record, _ = with_map("tissue", tissues, image, spacing,
                              "field-strength:2,te_ms=18,tr_ms=900,field_t=1.5", "--mode", mode,
                              "--phase-encode", phase_encode)
    assert record["drawn"]["sigma"] == 0  # on the way up

    def signal(t1, t2):
        return (1 - np.exp(-900 / t1)) * np.exp(-18 / t2)

    def factor(name, t1, t2):
        low = np.array(AT_1_5T[name])
        return signal(*(low + 0.4 * (np.array([t1, t2]) - low))) / signal(*low)

    assert nrmse(got, image * per_tissue(tissues, factor, 1)) < FLOAT32
