"""Magnitude images with their measured phase: artifacts act on the complex image."""
import json

import nibabel as nib
import numpy as np
import pydicom
import pytest

import images


def complex_image(shape=(24, 20, 6)):
    rng = np.random.default_rng(0)
    x, y, z = np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij")
    magnitude = images.phantom(shape, dtype=np.float32)
    noise = 20 * (rng.normal(size=shape) + 1j * rng.normal(size=shape))
    return (magnitude * np.exp(1j * (4 * x + 3 * y**2 + z)) + noise).astype("c8")


UNITS = {"radians": (1, np.float32), "turn": (1, np.float32), "milliradians": (1000, np.float32),
         "12 bits": (4096 / (2 * np.pi), np.int16), "signed": (4096 / np.pi, np.int16)}


@pytest.fixture(params=UNITS)
def pair(request, tmp_path):
    image = complex_image()
    unit, dtype = UNITS[request.param]
    phase = np.angle(image)
    if request.param in ("turn", "12 bits"):
        phase %= 2 * np.pi
    phase = phase * unit
    images.save(tmp_path / "c.nii", image)
    images.save(tmp_path / "m.nii", np.abs(image))
    images.save(tmp_path / "p.nii", np.clip(np.round(phase), -4096, 4095).astype(dtype)
                if dtype == np.int16 else phase.astype(dtype))
    return tmp_path


def corrupted(run, source, step, *options):
    target = source.parent / "o.nii"
    run(["mr-corrupt", "-a", step, "--id", "x", "--force", *options, source, "-o", target])
    return np.asarray(nib.load(target).dataobj)


@pytest.mark.parametrize("step", ["motion:3", "rician:3", "partial-fourier:4"])
def test_the_magnitude_is_that_of_the_complex_image(step, run, pair):
    want = np.abs(corrupted(run, pair / "c.nii", step))
    got = corrupted(run, pair / "m.nii", step, "--phase", pair / "p.nii")
    assert np.abs(got - want).max() < 2e-3 * want.max()  # 12 bits of phase
    proxy = corrupted(run, pair / "m.nii", step)
    if step != "rician:3":
        assert np.abs(proxy - want).max() > 0.05 * want.max()


def test_severity_0_and_the_export_need_no_phase(run, pair):
    before = np.asarray(nib.load(pair / "m.nii").dataobj)
    assert np.array_equal(corrupted(run, pair / "m.nii", "rician:0", "--phase", pair / "p.nii"), before)
    plain = corrupted(run, pair / "m.nii", "gamma:3")
    assert np.array_equal(corrupted(run, pair / "m.nii", "gamma:3", "--phase", pair / "p.nii"), plain)


def test_the_phase_is_that_of_the_image_before(run, fails, data, pair):
    run(["mr-corrupt", "-a", "motion:3", "--phase", pair / "p.nii", pair / "m.nii", "-o", pair / "x.nii",
         "--manifest-out", pair / "x.json"])
    assert "phase" not in json.loads((pair / "x.json").read_text())["images"][0]
    fails(["mr-corrupt", "-a", "motion:3", "--phase", pair / "p.nii", data / "kspace/cartesian_ksp.npy",
           "-o", pair / "y.nii"], 64, "k-space has its own")


def test_what_is_no_phase_is_refused(run, fails, tmp_path):
    image = complex_image()
    images.save(tmp_path / "m.nii", np.abs(image))
    for name, array, part in [("hertz", 500 * np.angle(image) / np.pi, "a phase image of -"),
                              ("wide", 1e5 * np.angle(image), "want radians, milliradians"),
                              ("other", np.angle(image)[:-1], "another shape"),
                              ("complex", image, "one of the two is complex")]:
        images.save(tmp_path / f"{name}.nii", array.astype("c8" if name == "complex" else "f4"))
        fails(["mr-corrupt", "-a", "motion:2", "--phase", tmp_path / f"{name}.nii", tmp_path / "m.nii", "-o",
               tmp_path / "o.nii"], 65, f"{name}.nii: ", part)


def test_magnitude_and_phase_of_a_series_are_a_pair(run, data, tmp_path, schema):
    dataset = pydicom.dcmread(data / "dicom/pydicom/MR_small.dcm")
    folder = tmp_path / "study" / "gre"
    folder.mkdir(parents=True)
    image = complex_image((64, 64, 3))
    for k in range(3):
        for kind in "MP":
            values = np.abs(image) if kind == "M" else (np.angle(image) % (2 * np.pi)) * 4096 / (2 * np.pi)
            dataset.ImageType = ["ORIGINAL", "PRIMARY", kind, "ND"]
            dataset.SOPInstanceUID = f"1.2.3.{k}.{ord(kind)}"
            dataset.ImagePositionPatient = ["0", "0", str(3 * k)]
            dataset.PixelData = np.clip(np.round(values[..., k].T), 0, 4095).astype("<i2").tobytes()
            dataset.save_as(folder / f"{kind}{k}.dcm")
    manifest = tmp_path / "m.json"
    manifest.write_bytes(run(["mr-manifest", "scan", tmp_path / "study"]).stdout)
    (entry,) = json.loads(manifest.read_text())["images"]
    schema("mr-manifest")(json.loads(manifest.read_text()))
    assert entry["file"].endswith("gre#1") and entry["phase"].endswith("gre#1_ph")
    run(["mr-manifest", "check", manifest])
    done = json.loads(run(["mr-corrupt", "-a", "motion:3", "-o", tmp_path / "out", manifest]).stdout)
    assert "phase" not in done["images"][0]
    run(["mr-corrupt", "-a", "motion:3", "--id", "gre#1", f"{folder}#1", "--phase", f"{folder}#1_ph", "-o",
         tmp_path / "lone"])
    for path in sorted((tmp_path / "lone").iterdir()):
        (twin,) = (tmp_path / "out").rglob(path.name)
        assert np.array_equal(pydicom.dcmread(path).pixel_array, pydicom.dcmread(twin).pixel_array)
    # Velocities and fields are computed of phases, and are none.
    scan = run(["mr-manifest", "scan", data / "dicom/nitest-balls1/DICOM"]).stdout
    assert not [e for e in json.loads(scan)["images"] if "phase" in e]
