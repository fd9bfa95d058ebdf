"""What the tests of artifacts share: the fixture that runs mr-corrupt, images, transforms."""
import json

import nibabel
import numpy as np
import pytest

import images

FLOAT32 = 1e-5  # NRMSE allowed to single precision


def nrmse(got, want):
    return np.linalg.norm(got - want) / np.linalg.norm(want)


@pytest.fixture
def corrupt(run, tmp_path):
    """corrupt(array, spacing, step, *options) -> corrupted array, the step's record, fidelity."""

    def runner(array, spacing, step, *options):
        source, out, manifest = (tmp_path / n for n in ("in.nii", "out.nii", "m.json"))
        images.save(source, array, spacing)
        run(["mr-corrupt", "-a", step, *options, "--seed", "7", "--id", "x", "--force", source,
             "-o", out, "--manifest-out", manifest])
        entry = json.loads(manifest.read_text())["images"][0]
        result = np.asarray(nibabel.load(out).dataobj)
        assert result.dtype == array.dtype and result.shape == array.shape
        return result, entry["artifacts"][0], entry["fidelity"]

    return runner


def anatomy(shape):
    """A structured magnitude image, positive everywhere."""
    rng = np.random.default_rng(3)
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, n) if n > 1 else [0.0] for n in shape), indexing="ij")
    inside = x**2 / 0.7 + y**2 / 0.8 + z**2 / 1.5 < 1
    image = inside * (600 + 200 * np.sin(6 * x + z) * np.cos(5 * y)) + 10 * rng.random(shape)
    return image.astype(np.float32)


def with_phase(magnitude):
    x = np.linspace(-1.5, 1.5, magnitude.size).reshape(magnitude.shape)
    return (magnitude * np.exp(1j * x)).astype(np.complex64)


def roles(record):
    axes = {"slice": "ijk".index(record["slice_axis"]),
            "phase_encode": "ijk".index(record["phase_encode_axis"])}
    axes["readout"] = 3 - sum(axes.values())
    return axes


def to_lines(image, axis):
    return np.fft.fftshift(np.fft.fft(np.fft.ifftshift(image, axis), axis=axis, norm="ortho"), axis)


def to_rows(lines, axis):
    return np.fft.fftshift(np.fft.ifft(np.fft.ifftshift(lines, axis), axis=axis, norm="ortho"), axis)


def along(values, axis):
    shape = [1, 1, 1]
    shape[axis] = -1
    return np.reshape(values, shape)


def otsu(image):
    counts, edges = np.histogram(image, 256, (0, image.max()))
    centres = np.arange(256)
    best, split = -1, 0
    for b in range(255):
        low, high = counts[:b + 1].sum(), counts[b + 1:].sum()
        if low and high:
            distance = (np.average(centres[:b + 1], weights=counts[:b + 1])
                        - np.average(centres[b + 1:], weights=counts[b + 1:]))
            if low * high * distance**2 > best:
                best, split = low * high * distance**2, b
    return image > edges[split + 1]


GEOMETRIES = [  # shape, spacing, mode, phase encoding
    ((35, 24, 6), (0.8, 1.3, 4.0), "2d", "j"),
    ((24, 37, 5), (1.1, 0.9, 4.0), "2d", "i"),
    ((20, 17, 23), (1.0, 1.4, 0.8), "3d", "k"),
    ((21, 18, 16), (1.0, 1.0, 1.0), "3d", "j"),
]
geometries = pytest.mark.parametrize("shape, spacing, mode, phase_encode", GEOMETRIES)


class Blobs:
    """A sum of Gaussians in mm about voxel n // 2: a band-limited object that can be moved exactly."""

    def __init__(self, shape, spacing):
        rng = np.random.default_rng(11)
        self.grid = np.stack(np.meshgrid(*((np.arange(n) - n // 2) * d
                                           for n, d in zip(shape, spacing)), indexing="ij"), -1)
        extent = np.array(shape) * spacing
        self.weights = [100.0, 70.0, 50.0]
        self.centres = [rng.uniform(-0.08, 0.08, 3) * extent for _ in self.weights]
        self.covariances = [np.diag((rng.uniform(1.7, 2.0, 3) * spacing)**2) for _ in self.weights]

    def image(self, rotation=np.eye(3), translation=np.zeros(3)):
        total = 0
        for weight, centre, covariance in zip(self.weights, self.centres, self.covariances):
            d = self.grid - (rotation @ centre + translation)
            inverse = np.linalg.inv(rotation @ covariance @ rotation.T)
            total = total + weight * np.exp(-0.5 * np.einsum("...i,ij,...j", d, inverse, d))
        return total


def rotation_matrix(degrees):
    """About i, then j, then k, each turning the next axis towards the one after it."""
    m = np.eye(3)
    for axis, angle in enumerate(np.radians(degrees)):
        a, b = (axis + 1) % 3, (axis + 2) % 3
        turn = np.eye(3)
        turn[a, a] = turn[b, b] = np.cos(angle)
        turn[a, b], turn[b, a] = -np.sin(angle), np.sin(angle)
        m = turn @ m
    return m
