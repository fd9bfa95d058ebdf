"""The physics of the artifacts, recomputed in NumPy in double precision from what mr-corrupt
recorded. Noise cannot be recomputed: its statistics are tested."""
import json

import nibabel
import numpy as np
import pytest
from scipy import ndimage, stats

import images
from artifact_tools import (FLOAT32, Blobs, along, anatomy, corrupt, geometries, nrmse, otsu, roles,
                            rotation_matrix, to_lines, to_rows, with_phase)

# ---- motion ----

def moved_lines(blobs, drawn, axis, complex_factor=1.0):
    """K = sum over shots of the lines measured in them, of the object in their pose."""
    def pose(shot):
        happened = [e for e in drawn["events"] if e["shot"] <= shot]
        return [np.sum([e[kind] for e in happened], axis=0) if happened else np.zeros(3)
                for kind in ("translation_mm", "rotation_deg")]
    n = blobs.grid.shape[axis]
    shot_of_line = np.arange(n) % drawn["shots"]
    centre = pose(shot_of_line[n // 2])
    lines = 0
    for shot in range(drawn["shots"]):
        translation, rotation = (p - c for p, c in zip(pose(shot), centre))
        image = blobs.image(rotation_matrix(rotation), translation) * complex_factor
        lines = lines + to_lines(image, axis) * along(shot_of_line == shot, axis)
    return lines


@geometries
@pytest.mark.parametrize("is_complex", [False, True])
def test_motion_is_lines_of_moved_objects(corrupt, shape, spacing, mode, phase_encode, is_complex):
    blobs = Blobs([3 * n // 2 for n in shape], spacing)
    # The object fills slices like a cylinder in 2-D: it moves within them only.
    if mode == "2d":
        for covariance in blobs.covariances:
            covariance[2, 2] = 1e12
    image = blobs.image()
    factor = np.exp(0.7j) if is_complex else 1.0
    image = (image * factor).astype(np.complex64 if is_complex else np.float32)
    got, record, fidelity = corrupt(image, spacing, "motion:4", "--mode", mode, "--phase-encode",
                                    phase_encode, "--line-order", "interleaved", "--echo-train", "4")
    axis = roles(record)["phase_encode"]
    assert axis == "ijk".index(phase_encode) and record["mode"] == mode
    want = to_rows(moved_lines(blobs, record["drawn"], axis, factor), axis)
    if not is_complex:
        want = np.abs(want)
    assert nrmse(image, want) > 0.02  # something moved
    assert nrmse(got, want) < FLOAT32


# ---- ghosting ----

@geometries
@pytest.mark.parametrize("is_complex", [False, True])
def test_ghosting(corrupt, shape, spacing, mode, phase_encode, is_complex):
    image = with_phase(anatomy(shape)) if is_complex else anatomy(shape)
    got, record, _ = corrupt(image, spacing, "ghosting:4", "--mode", mode, "--phase-encode",
                             phase_encode)
    axis = roles(record)["phase_encode"]
    n = shape[axis]
    weights = 1 + 0.4 * np.cos(2 * np.pi * (np.arange(n) - n // 2) / 5
                               + record["drawn"]["phase_rad"])
    want = to_rows(to_lines(image.astype(complex), axis) * along(weights, axis), axis)
    assert nrmse(got, want if is_complex else np.abs(want)) < FLOAT32


# ---- spike ----

@geometries
@pytest.mark.parametrize("is_complex", [False, True])
def test_spike(corrupt, shape, spacing, mode, phase_encode, is_complex):
    magnitude = anatomy(shape)
    image = with_phase(magnitude) if is_complex else magnitude
    got, record, _ = corrupt(image, spacing, "spike:4", "--mode", mode, "--phase-encode",
                             phase_encode)
    axes, drawn = roles(record), record["drawn"]
    signal = np.abs(image)[otsu(np.abs(image))].mean()
    assert drawn["amplitude"] == pytest.approx(0.25 * signal, rel=1e-6)
    wave = np.zeros(shape, complex)
    for s in range(shape[axes["slice"]]):
        which = 0 if mode == "3d" else s
        exponent = drawn["phase_rad"][which] * 1j
        for role, axis in axes.items():
            n = shape[axis]
            k = drawn[f"k_{role}"][which]
            exponent = exponent + along(2j * np.pi * k * (np.arange(n) - n // 2) / n, axis)
        at = [slice(None)] * 3
        at[axes["slice"]] = s
        wave[tuple(at)] = np.broadcast_to(np.exp(exponent), shape)[tuple(at)]
    want = image + drawn["amplitude"] * wave
    assert nrmse(got, want if is_complex else np.abs(want)) < FLOAT32


# ---- bias ----

@geometries
def test_bias(corrupt, shape, spacing, mode, phase_encode):
    image = anatomy(shape)
    got, record, _ = corrupt(image, spacing, "bias:5", "--mode", mode, "--phase-encode",
                             phase_encode)
    drawn = record["drawn"]
    log_bias = np.full(shape, drawn["log_offset"])
    for *orders, coefficient in drawn["legendre"]:
        assert 1 <= sum(orders) <= 3
        term = coefficient
        for axis, order in enumerate(orders):
            term = term * along(np.polynomial.legendre.Legendre.basis(order)(
                np.linspace(-1, 1, shape[axis])), axis)
        log_bias += term
    assert len(drawn["legendre"]) == 19
    assert nrmse(got, image * np.exp(log_bias)) < FLOAT32
    foreground = otsu(image)
    assert log_bias[foreground].std() == pytest.approx(0.35, rel=1e-4)
    assert got[foreground].sum() == pytest.approx(image[foreground].sum(), rel=1e-5)


# ---- noise ----

def test_noise_in_air_is_rayleigh(corrupt):
    image = np.zeros((80, 70, 4), np.float32)
    image[20:60, 20:50] = 1000
    got, record, _ = corrupt(image, (1, 1, 5), "rician:5")
    assert record["drawn"]["sigma"] == pytest.approx(200)
    air, tissue = (got[image == v].astype(float) for v in (0, 1000))
    assert stats.kstest(air, stats.rayleigh(scale=200).cdf).pvalue > 1e-3
    assert stats.kstest(tissue, stats.rice(5, scale=200).cdf).pvalue > 1e-3
    # Slices and neighbours have noise of their own.
    flat = (got - got.mean((0, 1)))[image[..., 0] == 0]
    assert np.abs(np.corrcoef(flat.T) - np.eye(4)).max() < 4 / np.sqrt(len(flat))


def test_noise_on_a_complex_image_is_gaussian(corrupt):
    image = with_phase(anatomy((60, 50, 4)))
    got, record, _ = corrupt(image, (1, 1, 5), "rician:3")
    noise = (got - image).ravel() / record["drawn"]["sigma"]
    for part in (noise.real, noise.imag):
        assert stats.kstest(part, stats.norm.cdf).pvalue > 1e-3
    assert abs(np.corrcoef(noise.real, noise.imag)[0, 1]) < 4 / np.sqrt(noise.size)


# ---- fidelity ----

def test_fidelity(corrupt):
    image = anatomy((40, 36, 5))
    got, _, fidelity = corrupt(image, (1, 1, 4), "bias:4")
    x, y, foreground = image.astype(float), got.astype(float), otsu(image)
    peak = np.percentile(x, 99.9)
    a, b = x[foreground], y[foreground]
    gain = a @ b / (a @ a)
    rest = b - np.polyval(np.polyfit(a, b, 1), a)
    want = {"gain": gain, "nrmse": nrmse(b, a), "nrmse_matched": nrmse(b / gain, a),
            "affine_residual": np.linalg.norm(rest) / np.linalg.norm(a),
            "psnr_db": 20 * np.log10(peak / np.sqrt(np.mean((b - a)**2)))}
    window = np.ones((7, 7, 1))

    def mean(values):
        return (ndimage.convolve(values, window, mode="constant")
                / ndimage.convolve(np.ones_like(x), window, mode="constant"))

    c1, c2 = (0.01 * peak)**2, (0.03 * peak)**2
    mx, my = mean(x), mean(y)
    ssim = ((2 * mx * my + c1) * (2 * (mean(x * y) - mx * my) + c2)
            / ((mx**2 + my**2 + c1) * (mean(x * x) - mx**2 + mean(y * y) - my**2 + c2)))
    near = ndimage.binary_dilation(foreground, window)
    want["ssim"] = ssim[near].mean()
    for name, value in want.items():
        assert fidelity[name] == pytest.approx(value, rel=2e-5), name


# ---- recipes and presets ----

def test_recipe_file_equals_the_command_line(run, tmp_path, schema):
    source = images.save(tmp_path / "in.nii", images.phantom())
    recipe = {"schema": "mr-recipe/1", "per": "image", "steps": [
        {"artifact": "bias", "severity": 2}, {"artifact": "rician", "parameters": {"snr": 9}}]}
    schema("mr-recipe")(recipe)
    (tmp_path / "r.json").write_text(json.dumps(recipe))
    from_file = run(["mr-corrupt", "--recipe", tmp_path / "r.json", source]).stdout
    from_line = run(["mr-corrupt", "-a", "bias:2", "-a", "rician,snr=9", source]).stdout

    def voxels(content):  # the headers say which command made them
        return nibabel.Nifti1Image.from_bytes(content).get_fdata()

    np.testing.assert_array_equal(voxels(from_file), voxels(from_line))


def test_bad_recipes(fails, tmp_path):
    source = images.save(tmp_path / "in.nii", images.phantom())
    for text, parts in (
            ('{"schema": "mr-recipe/9", "steps": []}', ["r.json", "mr-recipe/9"]),
            ('{"schema": "mr-recipe/1", "per": "scanner", "steps": []}', ["per", "scanner"]),
            ('{"schema": "mr-recipe/1", "steps": [{"artifact": "bas"}]}', ["steps[0]", "bias"]),
            ('{"schema": "mr-recipe/1",\n "steps": [}', ["line 2"])):
        (tmp_path / "r.json").write_text(text)
        fails(["mr-corrupt", "--recipe", tmp_path / "r.json", source, "-o", tmp_path / "o.nii"], 65,
              *parts)


def test_schema_refuses_what_the_tool_refuses(schema):
    import jsonschema
    for step in ({"artifact": "bias", "severity": 7}, {"severity": 1}, {"artifact": "bias", "x": 1},
                 {"artifact": "bias", "severity": {"uniform": [1]}},
                 {"artifact": "bias", "severity": {"choice": [6]}},
                 {"artifact": "bias", "parameters": {"log_std": "high"}}):
        with pytest.raises(jsonschema.ValidationError):
            schema("mr-recipe")({"schema": "mr-recipe/1", "steps": [step]})


def test_preset_zero_percent_is_the_identity(run, tmp_path):
    array = images.phantom(dtype=np.float32)
    source = images.save(tmp_path / "in.nii", array)
    for artifact in ("rician", "motion", "ghosting", "spike", "bias"):
        for percent in (0, 2):
            out = tmp_path / f"{artifact}{percent}.nii"
            run(["mr-corrupt", "--preset", f"mri-robustness:{percent}", "-a", artifact, source,
                 "-o", out])
            same = np.array_equal(np.asarray(nibabel.load(out).dataobj), array)
            assert same == (percent == 0)
