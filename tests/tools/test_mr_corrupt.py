"""mr-corrupt as a user runs it. The physics is in test_artifacts.py."""
import gzip
import json
import os
import re
import signal
import subprocess
import time

import nibabel
import numpy as np
import pytest

import images
from conftest import BIN

STUDY = ["rician", "motion", "ghosting", "spike", "bias"]


@pytest.fixture
def knee(tmp_path):
    return images.save(tmp_path / "knee.nii.gz", images.phantom())


def test_filter_equals_files(run, knee, tmp_path):
    """A pipe and a file give the same image."""
    piped = run(["mr-corrupt", "-a", "motion:3"], stdin=knee.read_bytes()).stdout
    run(["mr-corrupt", "-a", "motion:3", knee, "-o", tmp_path / "moved.nii.gz"])
    assert piped == (tmp_path / "moved.nii.gz").read_bytes()


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32, np.float64])
def test_severity_0_changes_no_voxel(run, tmp_path, dtype):
    array = images.phantom(dtype=dtype, peak=200.0)
    source = images.save(tmp_path / "in.nii", array)
    for artifact in STUDY:
        out = tmp_path / f"{artifact}.nii"
        run(["mr-corrupt", "-a", f"{artifact}:0", source, "-o", out])
        image = nibabel.load(out)
        assert image.get_data_dtype() == np.dtype(dtype)
        np.testing.assert_array_equal(np.asarray(image.dataobj), array)
        np.testing.assert_array_equal(image.affine, nibabel.load(source).affine)


def test_chain_is_steps_in_order(run, knee, tmp_path, schema):
    out = tmp_path / "both.nii.gz"
    run(["mr-corrupt", "-a", "bias:2", "-a", "rician:3", knee, "-o", out, "--manifest-out",
         tmp_path / "m.json"])
    document = json.loads((tmp_path / "m.json").read_text())
    schema("mr-manifest")(document)
    entry = document["images"][0]
    assert [s["artifact"] for s in entry["artifacts"]] == ["bias", "rician"]
    assert entry["file"] == "both.nii.gz" and entry["source"] == "knee.nii.gz"
    assert 0 < entry["fidelity"]["nrmse"] < 1 and 0.8 < entry["fidelity"]["gain"] < 1.2
    assert document["provenance"][0]["tool"] == "mr-corrupt"


def test_seed_decides(run, knee):
    def once(*options):
        return run(["mr-corrupt", "-a", "rician:3", *options], stdin=knee.read_bytes()).stdout
    assert once("--seed", "5") == once("--seed", "5") != once("--seed", "6")
    assert once("--id", "a") != once("--id", "b")


def test_manifest_at_any_number_of_threads(run, tmp_path, schema):
    m = images.manifest(tmp_path)
    results = []
    for threads in (1, 2, 12):
        folder = tmp_path / f"t{threads}"
        run(["mr-corrupt", "-a", "motion:4", "-o", folder, "-t", threads, m, "--manifest-out",
             tmp_path / f"t{threads}.json"])
        document = json.loads((tmp_path / f"t{threads}.json").read_text())
        schema("mr-manifest")(document)
        assert all(e["source"].startswith("im") for e in document["images"])
        files = sorted(os.listdir(folder))
        results.append([(f, (folder / f).read_bytes()) for f in files])
    assert results[0] == results[1] == results[2]
    assert len(results[0]) == 4


def test_pipe_of_two_is_a_chain_of_two(run, tmp_path):
    """Facts of the clean image come from the manifest's source, so the way does not matter."""
    m = images.manifest(tmp_path)
    first = run(["mr-corrupt", "-a", "bias:3", "-o", tmp_path / "a", m]).stdout
    run(["mr-corrupt", "-a", "ghosting:3", "-o", tmp_path / "b", "-"], stdin=first)
    run(["mr-corrupt", "-a", "bias:3", "-a", "ghosting:3", "-o", tmp_path / "c", m])
    for name in sorted(os.listdir(tmp_path / "c")):
        b, c = (nibabel.load(tmp_path / d / name).get_fdata() for d in "bc")
        # Between the two the image was rounded to integers once more.
        assert np.abs(b - c).max() <= 2.0
    assert len(os.listdir(tmp_path / "c")) == 4


def test_stopped_run_resumes_to_the_same_bytes(run, tmp_path):
    m = images.manifest(tmp_path, images=12, shape=(160, 160, 16))
    command = [str(BIN / "mr-corrupt"), "-a", "motion:5", "-t", "1", str(m)]
    run(["mr-corrupt"] + command[1:] + ["-o", tmp_path / "whole", "--manifest-out",
                                        tmp_path / "whole.json"])
    for how, status in ((signal.SIGTERM, 75), (signal.SIGKILL, -9)):
        folder, out = tmp_path / f"part{status}", tmp_path / f"part{status}.json"
        arguments = command + ["-o", str(folder), "--manifest-out", str(out)]
        p = subprocess.Popen(arguments, stderr=subprocess.PIPE)
        while not (folder / "im001.nii.gz").exists() and p.poll() is None:
            time.sleep(0.005)
        p.send_signal(how)
        assert p.wait() == status
        assert not out.exists()
        for name in os.listdir(folder):  # nothing half under its final name
            if name.endswith(".nii.gz") and not name.startswith("."):
                nibabel.load(folder / name).get_fdata()
        run(["mr-corrupt"] + arguments[1:] + ["--resume"])
        assert out.read_text().replace(f"part{status}/", "whole/") == \
            (tmp_path / "whole.json").read_text()
        for name in os.listdir(tmp_path / "whole"):
            assert (folder / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_printed_recipe_gives_the_same_bytes_again(run, tmp_path, knee, schema):
    recipe = {"schema": "mr-recipe/1", "gain": "match", "steps": [
        {"artifact": "bias", "severity": {"uniform": [1, 4]}},
        {"artifact": "spike", "probability": 0},
        {"artifact": "motion", "parameters": {"events": {"choice": [2, 3]}, "rotation_deg": 1.5}},
        {"artifact": "spike", "severity": 3}]}
    (tmp_path / "r.json").write_text(json.dumps(recipe))
    run(["mr-corrupt", "--recipe", tmp_path / "r.json", "--seed", "5", "--id", "x", knee, "-o",
         tmp_path / "a.nii.gz", "--print-recipe", tmp_path / "done.json"])
    done = json.loads((tmp_path / "done.json").read_text())
    schema("mr-recipe")(done)
    assert (done["seed"], done["unit"], done["gain"]) == (5, "x", "match")
    assert 1 <= done["steps"][0]["severity"] <= 4 and done["steps"][1]["probability"] == 0
    run(["mr-corrupt", "--recipe", tmp_path / "done.json", knee, "-o", tmp_path / "b.nii.gz"])
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()


def test_draws_are_shared_per_scanner_and_per_subject(run, tmp_path):
    m = images.manifest(tmp_path, images=8)
    document = json.loads(m.read_text())
    for i, entry in enumerate(document["images"]):
        entry.update(subject=f"s{i // 2}", attributes={"scanner": "AB"[i % 2]})
    images.write(m, [l["name"] for l in document["labels"]], document["images"])
    for per, group in (("scanner", lambda e: e["attributes"]["scanner"]), ("subject", lambda e: e["subject"]),
                       ("image", lambda e: e["id"])):
        (tmp_path / "r.json").write_text(json.dumps(
            {"schema": "mr-recipe/1", "per": per,
             "steps": [{"artifact": "rician", "severity": {"uniform": [1, 5]}}]}))
        out = json.loads(run(["mr-corrupt", "--recipe", tmp_path / "r.json", "-o", tmp_path / per, m]).stdout)
        severities = {}
        for entry in out["images"]:
            severities.setdefault(group(entry), set()).add(entry["artifacts"][0]["severity"])
        assert all(len(s) == 1 for s in severities.values())
        assert len(set.union(*severities.values())) == len(severities)


def test_a_random_gain_belongs_to_the_unit_of_the_recipe(run, tmp_path):
    m = images.manifest(tmp_path, images=12, shape=(16, 16, 2))
    document = json.loads(m.read_text())
    for i, entry in enumerate(document["images"]):
        entry["attributes"] = {"scanner": f"s{i % 4}"}
    images.write(m, [l["name"] for l in document["labels"]], document["images"])
    (tmp_path / "r.json").write_text(json.dumps(
        {"schema": "mr-recipe/1", "per": "scanner", "steps": [{"artifact": "gain-random", "severity": 3}]}))
    out = json.loads(run(["mr-corrupt", "--recipe", tmp_path / "r.json", "-o", tmp_path / "o", m]).stdout)
    gains = {}
    for entry in out["images"]:
        gains.setdefault(entry["attributes"]["scanner"], set()).add(entry["artifacts"][0]["drawn"]["gain"])
    assert all(len(g) == 1 for g in gains.values())
    assert len(set.union(*gains.values())) == 2  # seed 1 gives up and down


def test_ready_recipes_run_by_name(run, fails, tmp_path, knee):
    text = run(["mr-corrupt", "--list"]).stdout.decode()
    names = [line.split(":")[0].split()[1] for line in text.splitlines() if line.startswith("recipe ")]
    assert set(names) == {"scanner-old-1.5T", "restless-patient", "epi", "ref-mri-robustness", "ref-rood"}
    m = images.manifest(tmp_path, images=12, shape=(32, 32, 4))
    document = json.loads(m.read_text())
    for entry in document["images"]:
        entry["attributes"] = {"scanner": "A"}
    images.write(m, [l["name"] for l in document["labels"]], document["images"])
    for name in names:
        out = json.loads(run(["mr-corrupt", "--recipe", name, "-o", tmp_path / name, m]).stdout)
        for entry in out["images"]:
            assert entry["artifacts"] and not any("order" in a for a in entry["artifacts"])
            steps = {a["artifact"] for a in entry["artifacts"] if a["slices"] != "none"}
            assert (entry["fidelity"]["nrmse"] > 0) == bool(steps)
            if not name.startswith("ref-"):  # published bias fields brighten without bound
                assert entry["fidelity"]["nrmse"] < 1.5
    fails(["mr-corrupt", "--recipe", "restless", knee], 66, "restless", "ready recipe")


def test_a_lone_image_says_its_scanner(run, fails, tmp_path):
    """And is drawn as it is within a manifest."""
    m = images.manifest(tmp_path, images=2, shape=(24, 24, 3))
    document = json.loads(m.read_text())
    for entry in document["images"]:
        entry["attributes"] = {"scanner": "A"}
    images.write(m, [l["name"] for l in document["labels"]], document["images"])
    out = json.loads(run(["mr-corrupt", "--recipe", "scanner-old-1.5T", "-o", tmp_path / "all", m]).stdout)
    entry = out["images"][1]
    command = ["mr-corrupt", "--recipe", "scanner-old-1.5T", "--id", entry["id"], entry["source"],
               "-o", tmp_path / "one.nii", "--manifest-out", tmp_path / "one.json"]
    fails(command, 65, "scanner", "--attribute scanner=VALUE")
    fails([*command, "--attribute", "scanner"], 64, "--attribute: want NAME=VALUE, got 'scanner'")
    run([*command, "--attribute", "scanner=A"])
    alone = json.loads((tmp_path / "one.json").read_text())["images"][0]
    assert alone["attributes"] == {"scanner": "A"}
    for step, other in zip(alone["artifacts"], entry["artifacts"], strict=True):
        if step["artifact"] != "nonstationary-noise":  # which has a share of each subject
            assert step["parameters"] == other["parameters"]


def test_deviates_of_levels_add_up(run, tmp_path, schema):
    """SNR that scanners and patients have their share in: log-normal, each level's draw is its own."""
    m = images.manifest(tmp_path, images=8, shape=(8, 8, 1))
    document = json.loads(m.read_text())
    for i, entry in enumerate(document["images"]):
        entry["subject"], entry["attributes"] = f"P{i // 2}", {"scanner": "AB"[i // 4]}
    images.write(m, [l["name"] for l in document["labels"]], document["images"])

    def log_snr(**log_sd):
        recipe = {"schema": "mr-recipe/1", "steps": [{"artifact": "rician", "parameters": {
            "snr": {"lognormal": {"median": 20, "log_sd": log_sd}}}}]}
        schema("mr-recipe")(recipe)
        (tmp_path / "r.json").write_text(json.dumps(recipe))
        out = json.loads(run(["mr-corrupt", "--recipe", tmp_path / "r.json", "--force", "-o",
                              tmp_path / "o", m]).stdout)
        return np.log([e["artifacts"][0]["parameters"]["snr"] / 20 for e in out["images"]])

    scanner, subject, image = log_snr(scanner=.2), log_snr(subject=.1), log_snr(image=.05)
    assert [len(set(x)) for x in (scanner, subject, image)] == [2, 4, 8]
    np.testing.assert_allclose(log_snr(scanner=.2, subject=.1, image=.05), scanner + subject + image)


def test_an_attribute_that_is_not_there_is_named(run, fails, tmp_path):
    m = images.manifest(tmp_path, images=1)
    (tmp_path / "r.json").write_text(
        '{"schema": "mr-recipe/1", "per": "coil", "steps": [{"artifact": "rician"}]}')
    fails(["mr-corrupt", "--recipe", tmp_path / "r.json", "-o", tmp_path / "o", m], 65, "per coil", "im0")


@pytest.mark.parametrize("mode", ["2d", "3d"])
def test_matched_gain_is_one_in_the_foreground(run, tmp_path, mode):
    array = images.phantom(dtype=np.float32)
    source = images.save(tmp_path / "in.nii", array)
    out = {}
    for gain in ("keep", "match"):
        out[gain] = tmp_path / f"{gain}.nii"
        run(["mr-corrupt", "-a", "ghosting:5", "--mode", mode, "--gain", gain, "--id", "x", source, "-o", out[gain]])
    kept, matched = (nibabel.load(out[g]).get_fdata() for g in ("keep", "match"))
    from artifact_tools import otsu
    x, foreground = array.astype(float), otsu(array)
    units = [(..., k) for k in range(array.shape[2])] if mode == "2d" else [...]
    for unit in units:
        f = foreground[unit]
        if not f.any():
            continue
        g = (x[unit] * kept[unit])[f].sum() / (x[unit]**2)[f].sum()
        np.testing.assert_allclose(matched[unit], kept[unit] / g, rtol=1e-5, atol=1e-5 * x.max())


def test_saved_kspace_is_the_transform_of_the_result(run, tmp_path, knee):
    for mode, axes in (("2d", (0, 1)), ("3d", (0, 1, 2))):
        out, kspace = tmp_path / f"{mode}.nii", tmp_path / f"{mode}-k.nii"
        run(["mr-corrupt", "-a", "motion:3", "--mode", mode, knee, "-o", out, "--save-kspace", kspace])
        image = nibabel.load(out).get_fdata()
        want = np.fft.fftshift(np.fft.fftn(np.fft.ifftshift(image, axes), axes=axes, norm="ortho"), axes)
        got = np.asarray(nibabel.load(kspace).dataobj)
        assert got.dtype == np.complex64 and np.linalg.norm(got - want) < 1e-5 * np.linalg.norm(want)


def test_calibrated_severities_show_the_targets(run, tmp_path, schema):
    m = images.manifest(tmp_path, images=6, shape=(48, 40, 6))
    ladder = tmp_path / "ladder.json"
    p = run(["mr-corrupt", "calibrate", "-a", "rician", "-a", "bias", "-a", "ghosting", "--targets",
             "3,6,12,20,95", "-o", ladder, m])
    document = json.loads(ladder.read_text())
    schema("mr-ladder")(document)
    assert b"0.95 is not reached" in p.stderr
    for artifact in document["artifacts"]:
        for level, solved in enumerate(artifact["levels"][:4], 1):
            assert solved["reached"] and solved["e"] == pytest.approx(solved["target"], rel=0.02)
            out = run(["mr-corrupt", "-a", f"{artifact['artifact']}:{level}", "--ladder", ladder, "-f", "-o",
                       tmp_path / "o", m]).stdout
            seen = [e["fidelity"]["nrmse_matched"] for e in json.loads(out)["images"]]
            assert np.median(seen) == pytest.approx(solved["target"], rel=0.021)


def test_the_man_page_lists_every_artifact_under_its_stage(run):
    from conftest import ROOT
    rows = json.loads(run(["mr-corrupt", "--list", "--json"]).stdout)
    page = (ROOT / "man" / "mr-corrupt.1").read_text()
    page = page.partition(".SS Artifacts")[2].partition(".SH ")[0].replace("\\-", "-")
    blocks = dict(re.findall(r"\.TP\n\.B (\w+)\n(.*?)(?=\n\.)", page, re.S))
    listed = {(stage, name) for stage, names in blocks.items() for name in re.split(r",\s+", names)}
    assert listed == {(r["stage"], r["name"]) for r in rows if not r["name"].startswith("ref-")}


def test_a_contact_sheet_shows_the_slice_and_what_changed(run, fails, tmp_path):
    from PIL import Image
    source = images.save(tmp_path / "in.nii", images.phantom((64, 48, 6)))
    run(["mr-corrupt", "--sheet", tmp_path / "s.png", "-a", "ghosting", "-a", "bias", source])
    sheet = np.asarray(Image.open(tmp_path / "s.png")).astype(int)
    width, rows, gap, caption = 128, 96, 2, 14  # 64 columns, 48 rows, enlarged twice
    assert sheet.shape == (caption + 2 * (caption + 2 * (rows + gap) + gap), gap + 6 * (width + gap))
    top = 2 * caption
    tiles = [sheet[top:top + rows, gap + c * (width + gap):][:, :width] for c in range(6)]
    differences = [sheet[top + rows + gap:][:rows, gap + c * (width + gap):][:, :width] for c in range(6)]
    # the clean slice: radiological, its 99.5th percentile white, dots of 2 x 2
    want = nibabel.load(source).get_fdata()[::-1, ::-1, 3].T
    want = np.clip(want / np.sort(want.ravel())[(want.size - 1) * 995 // 1000], 0, 1)
    assert np.abs(tiles[0][::2, ::2] - 255 * want).max() <= 1 and (tiles[0][::2] == tiles[0][1::2]).all()
    assert np.ptp(differences[0]) == 0 and abs(differences[0][0, 0] - 127.5) < 1
    spread = [d.std() for d in differences]
    assert spread == sorted(spread) and spread[1] > 0
    fails(["mr-corrupt", "--sheet", tmp_path / "s.png", source], 73, "s.png")
    fails(["mr-corrupt", "--sheet", tmp_path / "t.png", "--slice", "6", source], 65, "slice 6: want 0..5")


def test_list_as_json_has_every_row(run):
    rows = json.loads(run(["mr-corrupt", "--list", "--json"]).stdout)
    text = run(["mr-corrupt", "--list"]).stdout.decode()
    assert set(STUDY) <= {row["name"] for row in rows}
    for row in rows:
        assert f"\n{row['name']} ({row['stage']})" in "\n" + text
        assert row["summary"] and row["source"] and row["parameters"]
        assert all(len(p["levels"]) == 5 and p["unit"] for p in row["parameters"])


# ---- what goes wrong ----

@pytest.mark.parametrize("arguments, parts", [
    (["-a", "rican:3"], ["rican", "did you mean 'rician'"]),
    (["-a", "motion:6"], ["6", "0", "5"]),
    (["-a", "motion:-1"], ["-1"]),
    (["-a", "motion:x"], ["x"]),
    (["-a", "bias,log_sd=1"], ["log_sd"]),
    (["-a", "rician:1", "--preset", "nothing:5"], ["nothing"]),
    (["--frobnicate"], ["frobnicate"]),
    ([], ["no artifact"]),
])
def test_usage(fails, knee, arguments, parts):
    fails(["mr-corrupt", *arguments, knee, "-o", knee.parent / "x.nii"], 64, *parts)


def test_file_absent(fails, tmp_path):
    fails(["mr-corrupt", "-a", "rician", tmp_path / "no.nii"], 66, "no.nii")


def bad_files(folder):
    good = folder / "good.nii"
    images.save(good, images.phantom())
    raw = good.read_bytes()

    def file(name, content):
        (folder / name).write_bytes(content)
        return name

    yield file("text.nii", b"hello, world\n" * 100), ["not"]
    yield file("empty.nii", b""), ["empty"]
    yield file("short.nii", raw[:-1000]), ["truncated", str(24 * 20 * 6 * 2)]
    yield file("cut.nii.gz", gzip.compress(raw)[:-500]), ["truncated"]
    huge = bytearray(raw)
    huge[40:56] = np.array([3, 32767, 32767, 32767, 1, 1, 1, 1], "<i2").tobytes()
    yield file("huge.nii", bytes(huge)), ["header promises"]
    array = images.phantom(dtype=np.float32)
    array[3, 4, 5] = np.inf
    images.save(folder / "inf.nii", array)
    yield "inf.nii", ["finite", "(3, 4, 5)"]
    images.save(folder / "zero.nii", np.zeros((8, 8, 4), np.int16))
    yield "zero.nii", []
    rgb = np.zeros((8, 8, 4), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    rgb["G"] = 3
    nibabel.save(nibabel.Nifti1Image(rgb, np.eye(4)), folder / "rgb.nii")
    yield "rgb.nii", ["RGB"]


def test_bad_images(fails, tmp_path):
    for name, parts in bad_files(tmp_path):
        out = tmp_path / "out.nii"
        fails(["mr-corrupt", "-a", "rician:2", tmp_path / name, "-o", out], 65, name, *parts)
        assert not out.exists()


def test_what_exists_is_kept(run, fails, knee, tmp_path):
    out = tmp_path / "out.nii.gz"
    out.write_text("mine")
    fails(["mr-corrupt", "-a", "rician", knee, "-o", out], 73, "out.nii.gz", "--force")
    assert out.read_text() == "mine"
    run(["mr-corrupt", "-a", "rician", knee, "-o", out, "--force"])
    assert out.read_bytes()[:2] == b"\x1f\x8b"


def test_full_disk_and_unwritable_folder(fails, knee, tmp_path):
    with open("/dev/full", "wb") as full:
        p = subprocess.run([BIN / "mr-corrupt", "-a", "rician", knee], stdout=full,
                           stderr=subprocess.PIPE)
    assert p.returncode == 74 and b"standard output" in p.stderr
    fails(["mr-corrupt", "-a", "rician", knee, "-o", tmp_path / "no" / "x.nii"], 73, "x.nii")
    limited = subprocess.run(
        ["bash", "-c", f"ulimit -f 1; trap '' XFSZ; exec {BIN}/mr-corrupt -a rician:3 {knee} "
         f"-o {tmp_path}/big.nii"], capture_output=True)
    assert limited.returncode == 74, limited
    assert not (tmp_path / "big.nii").exists()
    assert [f for f in os.listdir(tmp_path) if f.endswith(".part")] == []


def test_closed_pipe_is_silent(run, knee):
    p = subprocess.run(["bash", "-c", f"{BIN}/mr-corrupt -a rician:1 {knee} | head -c 10 >/dev/null; "
                        "exit ${PIPESTATUS[0]}"], capture_output=True)
    assert (p.returncode, p.stderr) == (0, b"")


def test_list_names_the_study(run):
    text = run(["mr-corrupt", "--list"]).stdout.decode()
    for artifact in STUDY:
        assert f"\n{artifact} (" in "\n" + text


def test_image_never_goes_to_a_terminal(knee):
    p = subprocess.run(["script", "-qec", f"{BIN}/mr-corrupt -a rician:1 {knee}", "/dev/null"],
                       capture_output=True)
    assert p.returncode == 64 and b"terminal" in p.stdout
