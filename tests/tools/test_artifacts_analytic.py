"""Against analytic truth: the k-space of ellipsoids in closed form (Koay et al. 2007, Magn Reson Med
58:430, eq. 6), sampled where a scanner would; no image is transformed to make the expectation."""
import numpy as np
import pytest

from artifact_tools import along, corrupt, nrmse, roles, rotation_matrix, to_lines, to_rows  # noqa: F401
from test_artifacts_encoding import shots_and_echoes

SHAPE, SPACING = (48, 40, 44), (1.0, 1.2, 0.9)
ELLIPSOIDS = [  # value, half axes [mm], centre [mm] from voxel n // 2, turned by [deg] about i, j, k
    (1000, (19, 14, 11), (0, 0, 0), (0, 0, 0)),
    (-500, (15, 11, 8), (0.5, -0.4, 0.3), (3, -5, 8)),
    (900, (4, 8, 3), (-6, 3, 1), (20, 35, -50)),
    (600, (3, 2.5, 6), (7, -4, -2), (0, 15, 30))]


def frequencies():
    """Centred k [cycles / mm], [..., 3]."""
    return np.stack(np.meshgrid(*((np.arange(n) - n // 2) / (n * d) for n, d in zip(SHAPE, SPACING)),
                                indexing="ij"), -1)


def analytic_kspace(rotation=np.eye(3), translation=np.zeros(3)):
    """Unitary DFT's convention: what a scan of the object, moved about voxel n // 2, measures."""
    k = frequencies()
    total = 0
    for value, half_axes, centre, turned in ELLIPSOIDS:
        axes = rotation @ rotation_matrix(turned) @ np.diag(half_axes)
        q = 2 * np.pi * np.linalg.norm(k @ axes, axis=-1)
        small = q < 1e-3
        q = np.where(small, 1, q)
        shape = np.where(small, 4 * np.pi / 3, 4 * np.pi * (np.sin(q) - q * np.cos(q)) / q**3)
        total = total + value * np.prod(half_axes) * shape * np.exp(
            -2j * np.pi * k @ (rotation @ np.array(centre) + translation))
    return total / np.prod(SPACING) / np.sqrt(np.prod(SHAPE))


def to_image(kspace):
    for axis in range(3):
        kspace = to_rows(kspace, axis)
    return kspace


@pytest.fixture(scope="module")
def kspace():
    return analytic_kspace()


def measured_lines(record):
    lines = np.zeros(SHAPE[1], bool)
    drawn = record["drawn"]["measured_lines"]
    lines[drawn if isinstance(drawn, list) else slice(drawn)] = True  # these, or so many from the first
    return along(lines, 1)


def run_on(corrupt, kspace, step, *options):
    image = to_image(kspace).astype(np.complex64)
    got, record, _ = corrupt(image, SPACING, step, "--mode", "3d", "--phase-encode", "j", *options)
    assert roles(record)["phase_encode"] == 1
    return image, got, record


def test_the_closed_form_is_an_ellipsoid(kspace):
    """Its sum is the value at zero frequency; its image is the object, but for Gibbs' ringing."""
    image = to_image(kspace)
    volume = sum(v * 4 / 3 * np.pi * np.prod(a) for v, a, _, _ in ELLIPSOIDS) / np.prod(SPACING)
    assert image.sum().real == pytest.approx(volume, rel=1e-6)
    # In the middle, 1000 - 500, and in air.
    assert image[24, 20, 22].real == pytest.approx(500, rel=0.1)
    assert abs(image[1, 1, 1]) < 30


def lines_of_moved_objects(drawn):
    shot, _ = shots_and_echoes(drawn, SHAPE[1])

    def pose(s):
        happened = [e for e in drawn["events"] if e["shot"] <= s]
        return [np.sum([e[kind] for e in happened], axis=0) if happened else np.zeros(3)
                for kind in ("translation_mm", "rotation_deg")]

    centre = pose(shot[SHAPE[1] // 2])
    total = 0
    for s in range(drawn["shots"]):
        translation, rotation = (p - c for p, c in zip(pose(s), centre))
        total = total + along(shot == s, 1) * analytic_kspace(rotation_matrix(rotation), translation)
    return total


@pytest.mark.parametrize("order", ["linear", "interleaved", "centre-out"])
def test_translation_is_exact(corrupt, kspace, order):
    image, got, record = run_on(corrupt, kspace, "motion:4,rotation_deg=0", "--line-order", order,
                                "--echo-train", "5")
    want = to_image(lines_of_moved_objects(record["drawn"]))
    assert nrmse(image, want) > 0.05
    # An even axis has one frequency without a partner: a shift by parts of a voxel is not defined
    # there, and the object's k-space is not 0.
    assert nrmse(got, want) < 2e-3


def to_kspace(image):
    for axis in range(3):
        image = to_lines(image, axis)
    return image


@pytest.mark.parametrize("order", ["linear", "interleaved"])
def test_rotation_is_that_of_the_object(corrupt, kspace, order):
    """Sampled k-space says nothing of what turns in from beyond its corners: within the ball that it
    holds at every angle, the error is a small part of the damage; over all, about a third."""
    image, got, record = run_on(corrupt, kspace, "motion:4,translation_mm=0,rotation_deg=10",
                                "--line-order", order, "--echo-train", "5")
    want = lines_of_moved_objects(record["drawn"])
    damage = nrmse(image, to_image(want))
    assert damage > 0.1 and nrmse(got, to_image(want)) < 0.35 * damage
    ball = np.linalg.norm(frequencies(), axis=-1) < 0.8 * 0.5 / max(SPACING)
    assert nrmse(to_kspace(got)[ball], want[ball]) < 0.05 * damage


@pytest.mark.parametrize("step", ["undersampling:4", "undersampling,acceleration=2,regular=1,centre=0"])
def test_undersampling_leaves_lines_out(corrupt, kspace, step):
    image, got, record = run_on(corrupt, kspace, step)
    lines = measured_lines(record)
    assert 1 < lines.size / lines.sum() < 3
    want = to_image(kspace * lines)
    assert nrmse(image, want) > 0.05 and nrmse(got, want) < 1e-5
    if "regular" in step:  # half the object, and its copy half a field of view on
        phase = np.exp(2j * np.pi * (np.flatnonzero(lines)[0] - SHAPE[1] // 2) / 2)
        full = to_image(kspace)
        copies = 0.5 * (full + phase * np.roll(full, SHAPE[1] // 2, 1))
        assert nrmse(got, copies) < 1e-5


@pytest.mark.parametrize("level", [1, 3, 5])
def test_partial_fourier_leaves_one_side_out(corrupt, kspace, level):
    image, got, record = run_on(corrupt, kspace, f"partial-fourier:{level}")
    want = to_image(kspace * measured_lines(record))
    assert nrmse(image, want) > 1e-3 and nrmse(got, want) < 1e-5


@pytest.mark.parametrize("mode", [1, 2])
def test_homodyne_and_pocs_restore_what_conjugate_symmetry_holds(corrupt, kspace, mode):
    """A real object: half of k-space tells all of it."""
    image, zero, _ = run_on(corrupt, kspace, "partial-fourier:3")
    _, got, _ = run_on(corrupt, kspace, f"partial-fourier:3,mode={mode}")
    truth = to_image(kspace)
    assert nrmse(np.abs(got), np.abs(truth)) < 0.3 * nrmse(np.abs(zero), np.abs(truth))
