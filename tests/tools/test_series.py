"""A NIfTI series goes through mr-corrupt frame by frame. --save-kspace wants it whole, in memory, so
the same command with and without it must give the same bytes."""
import json
import os
import subprocess
import sys

import nibabel
import numpy as np
import pytest

import images
from conftest import BIN


def series(frames=6, shape=(20, 16, 5), peak=900.0):
    """Frames of one object whose brightness and noise change."""
    rng = np.random.default_rng(3)
    base = images.phantom(shape, dtype=np.float64, peak=peak)
    array = np.stack([base * (1 + 0.05 * f) + rng.uniform(0, 20, shape) for f in range(frames)], -1)
    array[:shape[0] // 2, ..., 1:2] = 0  # a frame that shows half of the object
    return array


def save(path, array, scaled=False, complex_voxels=False):
    if complex_voxels:
        array = (array * np.exp(0.3j)).astype(np.complex64)
    image = nibabel.Nifti1Image(array, np.diag([2, 2, 4, 1]))
    image.header.set_zooms((2, 2, 4, 1.5))
    image.header.set_xyzt_units("mm", "sec")
    if scaled:
        image.header.set_slope_inter(0.5, 10)
    nibabel.save(image, path)
    return path


FILES = {
    "int16.nii": dict(array=series().astype(np.int16)),
    "int16.nii.gz": dict(array=series().astype(np.int16)),
    "uint8.hdr": dict(array=series(peak=120.0).astype(np.uint8)),
    "float32.nii.gz": dict(array=series().astype(np.float32)),
    "float64.nii": dict(array=series()),
    "scaled.nii": dict(array=series().astype(np.float32), scaled=True),
    "complex.nii": dict(array=series(), complex_voxels=True),
}
RECIPES = {
    "noise": ["-a", "rician:3"],
    "drift": ["-a", "b0-drift:4", "-a", "gain-drift:3"],
    "nothing": ["-a", "rician:0"],
    "overflow": ["-a", "gain-common:0,log2_gain=6.5"],
    "matched": ["-a", "bias:3", "--gain", "match"],
    "object": ["-a", "susceptibility:3"],
    "extent": ["-a", "border:4"],  # of the object in all frames
}


def source_of(name, tmp_path):
    if name.endswith(".hdr"):
        image = nibabel.Nifti1Pair(FILES[name]["array"], np.diag([2, 2, 4, 1]))
        nibabel.save(image, tmp_path / name)
        return tmp_path / name
    return save(tmp_path / name, **FILES[name])


CASES = [(name, recipe) for name in FILES for recipe in RECIPES
         if name != "complex.nii" or recipe in ("noise", "drift", "nothing", "overflow")]


@pytest.mark.parametrize("name,recipe", CASES)
def test_frame_by_frame_is_as_the_whole(name, recipe, run, tmp_path):
    source = source_of(name, tmp_path)
    by_frames, whole = tmp_path / "a", tmp_path / "b"
    by_frames.mkdir()
    whole.mkdir()
    out = "out.nii" + (".gz" if name.endswith(".gz") else "")
    command = ["mr-corrupt", *RECIPES[recipe], source, "--manifest-out", "m.json"]
    run([*command, "-o", out, "--print-recipe", "r.json"], cwd=by_frames)
    run([*command, "-o", out, "--print-recipe", "r.json", "--save-kspace", "k.nii"], cwd=whole)
    for file in (out, "r.json"):
        assert (by_frames / file).read_bytes() == (whole / file).read_bytes(), file
    a, b = (json.loads((folder / "m.json").read_text()) for folder in (by_frames, whole))
    assert a["images"] == b["images"]
    assert a["provenance"][0]["inputs"] == b["provenance"][0]["inputs"]
    piped = run(["mr-corrupt", *RECIPES[recipe], source]).stdout
    assert piped == (by_frames / out).read_bytes()
    if not name.endswith(".hdr"):
        again = run(["mr-corrupt", *RECIPES[recipe]], stdin=source.read_bytes()).stdout
        assert again == piped


def test_numbers_that_are_too_small_are_scaled_for_all_frames(run, tmp_path):
    """The last frame alone is too bright for int16: the scaling of the first ones changes too."""
    array = series(frames=4).astype(np.int16)
    array[..., 3] *= 20
    source = save(tmp_path / "in.nii", array)
    run(["mr-corrupt", "-a", "gain-common:0,log2_gain=1", source, "-o",
         tmp_path / "out.nii"])
    image = nibabel.load(tmp_path / "out.nii")
    assert image.get_data_dtype() == np.int16
    slope = float(image.dataobj.slope)
    assert slope > 1
    np.testing.assert_allclose(image.get_fdata(), 2.0 * array, atol=0.51 * slope)
    assert image.header.get_zooms() == (2, 2, 4, 1.5)


def test_a_manifest_gives_each_frame_as_the_lone_series(run, schema, tmp_path):
    source = save(tmp_path / "in.nii.gz", series().astype(np.int16))
    entry = {"id": "one", "subject": "s", "file": str(source),
             "acquisition": {"mode": "2d", "phase_encode_axis": "j"}}
    images.write(tmp_path / "m.json", ("x",), [entry])
    first = json.loads(run(["mr-corrupt", "-a", "motion:3", tmp_path / "m.json", "-o",
                            tmp_path / "first"]).stdout)
    schema("mr-manifest")(first)
    run(["mr-corrupt", "-a", "motion:3", source, "--id", "one", "--mode", "2d", "--phase-encode",
         "j", "-o", tmp_path / "lone.nii.gz"])
    assert (tmp_path / "first/one.nii.gz").read_bytes() == (tmp_path / "lone.nii.gz").read_bytes()
    assert len(first["images"][0]["artifacts"][0]["drawn"]) == 6

    # A second step: facts and fidelity are of the clean series.
    (tmp_path / "first.json").write_text(json.dumps(first))
    second = json.loads(run(["mr-corrupt", "-a", "rician:3", tmp_path / "first.json", "-o",
                             tmp_path / "second"]).stdout)["images"][0]
    assert second["source"] == str(source)
    clean, got = (np.asarray(nibabel.load(f).dataobj, np.float64)
                  for f in (source, tmp_path / "second/one.nii.gz"))
    foreground = clean > clean.max() * 0.3  # as good as Otsu's of this object
    nrmse = np.linalg.norm((got - clean)[foreground]) / np.linalg.norm(clean[foreground])
    assert second["fidelity"]["nrmse"] == pytest.approx(nrmse, rel=0.02)


def test_training_sees_the_first_frame_alone(run, tmp_path):
    """The same model as of images that are those frames."""
    lone, repeated = tmp_path / "lone", tmp_path / "series"
    models = []
    for folder in (lone, repeated):
        folder.mkdir()
        manifest = images.manifest(folder, images=6, splits=("train", "val", "test"))
        if folder is repeated:
            for path in folder.glob("*.nii.gz"):
                array = np.asarray(nibabel.load(path).dataobj)
                save(path, np.stack([array, array[::-1], array * 2], -1))
        run(["mr-train", "-q", "--norm", "group", "--groups", "2", "--width", "4", "--size", "16x16",
             "--epochs", "1", "--batch", "4", "-t", "1", manifest, "-o", folder / "m.pt"])
        lines = run(["mr-eval", "-m", folder / "m.pt", manifest]).stdout.splitlines()
        models.append([json.loads(line) for line in lines[1:]])  # behind the header
    assert models[0] and models[0] == models[1]


def test_a_bad_frame_is_named_and_nothing_written(fails, tmp_path):
    array = series().astype(np.float32)
    array[3, 2, 1, 4] = np.inf
    source = save(tmp_path / "in.nii", array)
    out = tmp_path / "out.nii"
    fails(["mr-corrupt", "-a", "rician:2", source, "-o", out], 65,
          "in.nii: 1 voxel is not finite, at (3, 2, 1, 4)")
    cut = tmp_path / "cut.nii.gz"
    save(cut, series().astype(np.int16))
    cut.write_bytes(cut.read_bytes()[:-2000])
    fails(["mr-corrupt", "-a", "rician:2", cut, "-o", out], 65, "cut.nii.gz: truncated gzip stream")
    assert not list(tmp_path.glob("*out*"))


def test_a_pipe_gets_the_whole_result_once_or_nothing(run, tmp_path):
    """Where the numbers turn out too small, and where the last frame fails."""
    source = save(tmp_path / "in.nii", series().astype(np.int16))
    command = ["mr-corrupt", "-a", "gain-common:0,log2_gain=6", source, "-f", "-o"]
    run([*command, tmp_path / "out.nii"])
    assert run([*command, "/dev/stdout"]).stdout == (tmp_path / "out.nii").read_bytes()

    array = series().astype(np.float32)
    array[..., 5] = 7  # no object
    source = save(tmp_path / "last.nii", array)
    p = run(["mr-corrupt", "-a", "kspace-quantisation:2", "-a", "bias:3", source], check=False)
    assert p.returncode == 65 and p.stdout == b"" and b"last.nii: " in p.stderr, p


def test_opacity_is_that_of_the_whole_series(run, fails, tmp_path):
    rgba = np.dtype([(c, "u1") for c in "RGBA"])
    array = np.zeros((8, 8, 3, 4), rgba)
    for channel in "RGB":
        array[channel] = np.arange(8)[:, None, None, None] * 20
    array["A"] = 255
    nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), tmp_path / "same.nii")
    run(["mr-corrupt", "-a", "rician:2", tmp_path / "same.nii", "-o", tmp_path / "out.nii"])
    array["A"][..., 2] = 100
    nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), tmp_path / "differ.nii")
    fails(["mr-corrupt", "-a", "rician:2", tmp_path / "differ.nii", "-o", tmp_path / "no.nii"], 65,
          "differ.nii: an RGB image with colours")


def test_a_recipe_that_cannot_be_written_ends_before_the_image(fails, tmp_path):
    source = save(tmp_path / "in.nii", series().astype(np.int16))
    fails(["mr-corrupt", "-a", "rician:2", source, "-o", tmp_path / "out.nii", "--print-recipe",
           tmp_path / "absent/r.json"], 73, "absent")
    assert not (tmp_path / "out.nii").exists()


def test_an_entry_may_be_a_pipe(run, tmp_path):
    """Read once, be it an image or a series."""
    for name, array in (("lone", images.phantom()), ("series", series().astype(np.int16))):
        source = save(tmp_path / f"{name}.nii", array) if array.ndim == 4 else \
            images.save(tmp_path / f"{name}.nii", array)
        pipe = tmp_path / f"{name}-pipe"
        os.mkfifo(pipe)
        results = []
        for file in (source, pipe):
            images.write(tmp_path / "m.json", ("x",), [{"id": name, "subject": "s", "file": str(file)}])
            feeder = subprocess.Popen(["dd", f"if={source}", f"of={pipe}", "status=none"])
            run(["mr-corrupt", "-f", "-a", "rician:2", tmp_path / "m.json", "-o", tmp_path / "out",
                 "--manifest-out", tmp_path / "o.json"], timeout=20)
            if file == pipe:
                assert feeder.wait(10) == 0
            else:
                feeder.kill()
                feeder.wait()
            results.append((tmp_path / f"out/{name}.nii").read_bytes())
        assert results[0] == results[1]


def test_a_lone_image_may_be_a_pipe(run, tmp_path):
    source = save(tmp_path / "in.nii.gz", series().astype(np.int16))
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    feeder = subprocess.Popen(["dd", f"if={source}", f"of={pipe}", "status=none"])
    piped = run(["mr-corrupt", "-a", "rician:2", pipe], timeout=20).stdout
    assert feeder.wait(10) == 0
    assert piped == run(["mr-corrupt", "-a", "rician:2", source]).stdout


def peak_memory_mib(source, out, *options):
    """From a small process, since a child counts the memory of the one that it was forked from."""
    code = ("import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True); "
            "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)")
    tool = [BIN / "mr-corrupt", "-f", "-a", "rician:2", "-a", "motion:1", *options, source, "-o", out]
    p = subprocess.run([sys.executable, "-S", "-c", code, *tool], capture_output=True, check=True)
    return int(p.stdout) / 1024


@pytest.mark.parametrize("options", [[], ["--manifest-out", "/dev/null", "-t", "1"]])
def test_memory_does_not_grow_with_the_frames(run, tmp_path, options):
    run(["mr-corrupt", "--version"])
    one = series(frames=1, shape=(64, 64, 24))
    peaks = []
    for frames in (8, 160):  # 3 and 60 MiB of float32
        source = save(tmp_path / f"{frames}.nii", np.repeat(one, frames, -1).astype(np.int16))
        peaks.append(peak_memory_mib(source, tmp_path / "out.nii", *options))
    assert peaks[1] - peaks[0] < 8, peaks
