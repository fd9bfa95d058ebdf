"""mr-manifest as a user runs it: each subcommand, its messages and its exit statuses."""
import gzip
import csv
import hashlib
import hmac
import json
import os
import pathlib
import shutil
import signal
import stat
import subprocess
import time

import nibabel
import numpy as np
import pytest

import images
from conftest import BIN

SHAPE = (5, 6, 7)


def save(path, array=None, affine=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    array = images.phantom(SHAPE) if array is None else array
    nibabel.save(nibabel.Nifti1Image(array, np.eye(4) if affine is None else affine), path)
    return path


def load(process):
    return json.loads(process.stdout)


def by_id(document):
    return {image["id"]: image for image in document["images"]}


@pytest.fixture
def folder(tmp_path):
    """Three images in two folders, a mask for each, a table, and things that are no images."""
    root = tmp_path / "set"
    for i, name in enumerate(["b/two.nii", "a/one.nii.gz", "three.nii.gz"]):
        save(root / name)
        mask = np.zeros(SHAPE, np.uint8)
        mask[:, 2, :i + 1] = 1
        mask[0, 4, 0] = 2
        save(tmp_path / "masks" / name, mask)
    (root / "notes.txt").write_text("not an image")
    (root / ".hidden.nii").write_text("not looked at")
    (tmp_path / "t.csv").write_text("path,who,acl,scanner,age\n"
                                    "a/one.nii.gz,P1,1,A,31\nb/two.nii,P2,NA,B,\nthree,P1,0,A,31\n")
    return root


@pytest.fixture
def scanned(run, folder, tmp_path):
    path = tmp_path / "scan.json"
    run(["mr-manifest", "scan", folder, "--masks", tmp_path / "masks", "--manifest-out", path])
    return path


def study(tmp_path, n=20, labels=("acl",), **changes):
    """A manifest of n images that share one small file."""
    save(tmp_path / "x.nii.gz")
    entries = [{"id": f"i{i}", "subject": f"s{i // 2}", "file": "x.nii.gz",
                "attributes": {"scanner": "AB"[i % 2], "field_t": 1.5 * (1 + i % 2)},
                "samples": [{"slice": {"axis": "k", "index": k}, "labels": [(i + k) % 2] * len(labels)}
                            for k in range(3)]} for i in range(n)]
    for entry in entries:
        entry.update(changes)
    path = tmp_path / "study.json"
    images.write(path, labels, entries)
    return path


# scan

def test_scan_lists_images_sorted_with_ids_from_their_paths(run, folder, schema):
    document = load(run(["mr-manifest", "scan", folder]))
    schema("mr-manifest")(document)
    assert [i["id"] for i in document["images"]] == ["a/one", "b/two", "three"]
    assert [i["subject"] for i in document["images"]] == ["a/one", "b/two", "three"]
    assert all(i["samples"] == [{"labels": []}] for i in document["images"])
    assert document["images"][0]["file"] == str(folder / "a/one.nii.gz")  # absolute
    assert list(document) == ["schema", "labels", "images", "provenance"]


def test_scan_takes_labels_subjects_and_attributes_from_a_table(run, folder, tmp_path, schema):
    document = load(run(
        ["mr-manifest", "scan", folder, "--table", tmp_path / "t.csv", "--file-column", "path",
         "--subject-column", "who", "--label", "acl", "--attribute", "scanner", "--attribute", "age",
         "--attribute-value", "site=x=y", "--mode", "2d", "--phase-encode", "j-", "--acquisition",
         "sequence=mprage", "--acquisition", "tr_ms=2300", "--acquisition", "echo_train=1"]))
    schema("mr-manifest")(document)
    found = by_id(document)
    assert document["labels"] == [{"name": "acl", "values": ["0", "1"]}]
    assert {i: found[i]["samples"][0]["labels"] for i in found} == {
        "a/one": [1], "b/two": [None], "three": [0]}
    assert {i: found[i]["subject"] for i in found} == {"a/one": "P1", "b/two": "P2", "three": "P1"}
    assert found["a/one"]["attributes"] == {
        "datatype": "int16", "scanner": "A", "age": 31, "site": "x=y"}
    assert found["b/two"]["attributes"] == {  # no age: unknown
        "datatype": "int16", "scanner": "B", "site": "x=y"}
    assert found["three"]["acquisition"] == {
        "sequence": "mprage", "tr_ms": 2300, "echo_train": 1, "mode": "2d", "phase_encode_axis": "j-"}
    digest = hashlib.sha256((tmp_path / "t.csv").read_bytes()).hexdigest()
    assert document["provenance"][0]["inputs"] == [{"name": "t.csv", "sha256": digest}]


def test_scan_takes_ids_from_a_table_and_a_pattern(run, folder, tmp_path):
    (tmp_path / "ids.tsv").write_text("id\tacl\na/one\t1\n")
    document = load(run(["mr-manifest", "scan", folder, "--pattern", "a/*", "--table",
                         tmp_path / "ids.tsv", "--label", "acl"]))
    assert [i["id"] for i in document["images"]] == ["a/one"]


def test_scan_refuses_rows_and_images_that_do_not_match(run, fails, folder, tmp_path):
    table = tmp_path / "t.csv"
    table.write_text("path,acl\nthree,1\nfour,0\n")
    shutil.rmtree(tmp_path / "masks" / "a")
    args = ["mr-manifest", "scan", folder, "--table", table, "--file-column", "path", "--label",
            "acl", "--masks", tmp_path / "masks"]
    fails(args, 65, "1 row matches no image (line 3: four)",
          "2 images have no row (a/one.nii.gz, b/two.nii)", "1 image has no mask (a/one.nii.gz)",
          "--allow-unmatched")
    p = run(args + ["--allow-unmatched"])
    assert [i["id"] for i in load(p)["images"]] == ["three"]
    assert b"warning" in p.stderr and b"left out" in p.stderr
    assert run(args + ["--allow-unmatched", "-q"]).stderr == b""


FINDINGS = ["--finding", "acl=acl", "--finding", "mtear=Meniscus Tear", "--finding",
            "cartilage=cartilage"]


def test_labels_of_fastmri_plus_are_those_of_the_published_rules(run, data, tmp_path):
    """Substrings of the finding, by slice; the images without a row are in the list of those read."""
    tables = data / "tables/fastmri-plus"
    rows = list(csv.DictReader(open(tables / "knee.csv", newline="")))
    every = (tables / "knee_file_list.csv").read_text().split()
    without_row = next(name for name in every if name not in {r["file"] for r in rows})
    names = every[:11] + [without_row, "file1001022"]  # the last has a study-level row
    for name in names:
        save(tmp_path / "knees" / f"{name}.nii.gz", np.ones((4, 4, 50), "u1"))
    scan = run(["mr-manifest", "scan", tmp_path / "knees"]).stdout
    document = load(run(["mr-manifest", "slices", "--axis", "k", "--annotations", tables / "knee.csv",
                         "--annotated", tables / "knee_file_list.csv", *FINDINGS], stdin=scan))
    assert [label["name"] for label in document["labels"]] == ["acl", "mtear", "cartilage"]
    positive = 0
    for entry in document["images"]:
        for sample in entry["samples"]:
            found = [r["label"].lower() for r in rows if r["file"] == entry["id"]
                     and r["study_level"] == "No" and int(r["slice"]) == sample["slice"]["index"]]
            want = [int(any(t in f for f in found)) for t in ("acl", "meniscus tear", "cartilage")]
            assert sample["labels"] == want
            positive += sum(want)
    assert positive > 20 and len(document["images"]) == 13
    inputs = [i["name"] for i in document["provenance"][-1]["inputs"]]
    assert "knee.csv" in inputs and "knee_file_list.csv" in inputs


def test_what_nobody_looked_at_or_placed_is_unknown(run, fails, folder, tmp_path):
    table = tmp_path / "findings.csv"
    table.write_text("file,slice,study_level,label\nthree,2,No,ACL tear\na/one,0,Yes,artifact: ACL\n"
                     "a/one,1,No,acl sprain\n")
    scan = run(["mr-manifest", "scan", folder]).stdout
    args = ["mr-manifest", "slices", "--axis", "k", "--annotations", table, "--finding", "acl=ACL"]
    fails(args, 65, "image b/two was not looked at; --allow-unmatched", stdin=scan)
    p = run([*args, "--allow-unmatched"], stdin=scan)
    found = {i: [s["labels"][0] for s in e["samples"]] for i, e in by_id(load(p)).items()}
    assert found["three"] == [0, 0, 1, 0, 0, 0, 0]
    assert found["a/one"] == [None, 1] + [None] * 5  # somewhere, the table says
    assert found["b/two"] == [None] * 7
    assert b"images that were not looked at: 1; their labels are unknown" in p.stderr
    (tmp_path / "read.txt").write_text("b/two\r\n")
    found = by_id(load(run([*args, "--annotated", tmp_path / "read.txt"], stdin=scan)))
    assert [s["labels"][0] for s in found["b/two"]["samples"]] == [0] * 7


@pytest.mark.parametrize("row, extra, message", [
    ("three,7,ACL", [], "findings.csv: slice 7 of three: the image has 7"),
    ("three,-1,ACL", [], "findings.csv: line 2: slice: want 0 or more, got '-1'"),
    ("three,x,ACL", [], "line 2: slice"), ("three,1,ACL", ["--finding", "acl=x"], "twice"),
    ("three,1,ACL", ["--finding", "acl"], "want NAME=VALUE")])
def test_bad_annotations_are_refused(row, extra, message, run, fails, folder, tmp_path):
    (tmp_path / "findings.csv").write_text("file,slice,label\n" + row + "\n")
    scan = run(["mr-manifest", "scan", folder, "--pattern", "three*"]).stdout
    p = run(["mr-manifest", "slices", "--axis", "k", "--annotations", tmp_path / "findings.csv",
             "--finding", "acl=ACL", *extra], check=False, stdin=scan)
    assert p.returncode in (64, 65) and message in p.stderr.decode()
    fails(["mr-manifest", "slices", "--axis", "k", "--annotations", tmp_path / "findings.csv"], 64,
          "want a label of them with --finding", stdin=scan)


def test_png_files_are_images_where_asked_for(run, folder):
    from PIL import Image
    Image.fromarray(np.arange(12, dtype="u1").reshape(3, 4)).save(folder / "a" / "four.png")
    assert sorted(by_id(load(run(["mr-manifest", "scan", folder])))) == ["a/one", "b/two", "three"]
    found = by_id(load(run(["mr-manifest", "scan", folder, "--png"])))
    assert sorted(found) == ["a/four", "a/one", "b/two", "three"]
    assert found["a/four"]["attributes"] == {"datatype": "uint8"}


def keyed(key, name):
    return hmac.new(bytes.fromhex(key.read_text().strip()), name.encode(), "sha256").hexdigest()[:16]


def test_ids_and_subjects_are_hashed_under_a_key_after_the_table_was_joined(run, folder, tmp_path):
    key = tmp_path / "id.key"
    args = ["mr-manifest", "scan", folder, "--table", tmp_path / "t.csv", "--file-column", "path",
            "--subject-column", "who", "--label", "acl", "--id-key", key]
    found = by_id(load(run(args)))
    assert stat.S_IMODE(key.stat().st_mode) == 0o600 and len(key.read_text()) == 65
    assert set(found) == {keyed(key, i) for i in ("a/one", "b/two", "three")}
    assert found[keyed(key, "a/one")]["samples"][0]["labels"] == [1]
    assert found[keyed(key, "a/one")]["subject"] == found[keyed(key, "three")]["subject"] == \
        keyed(key, "P1")
    assert by_id(load(run(args))) == found  # the key is kept
    other = by_id(load(run([*args[:-1], tmp_path / "other.key"])))
    assert not set(other) & set(found)


def test_a_table_of_slices_has_the_ids_before_hashing(run, fails, folder, tmp_path):
    key, table = tmp_path / "id.key", tmp_path / "slices.csv"
    scan = run(["mr-manifest", "scan", folder, "--pattern", "three*", "--id-key", key]).stdout
    table.write_text("\n".join(["id,slice,tear"] + [f"three,{k},{k % 2}" for k in range(7)]))
    args = ["mr-manifest", "slices", "--axis", "k", "--table", table, "--label", "tear"]
    (entry,) = load(run([*args, "--id-key", key], stdin=scan))["images"]
    assert entry["id"] == keyed(key, "three")
    assert [s["labels"] for s in entry["samples"]] == [[k % 2] for k in range(7)]
    fails(args, 65, "has no row", stdin=scan)
    fails([*args, "--id-key", tmp_path / "typo.key"], 66, "typo.key: No such file", stdin=scan)
    assert not (tmp_path / "typo.key").exists()  # a new key would fit no id
    fails([*args[:4], "--id-key", key], 64, "--id-key: there is no table", stdin=scan)


@pytest.mark.parametrize("text, mode, message", [
    ("00" * 32 + "\n", 0o644, "others may read this key"),
    ("00" * 31 + "\n", 0o600, "holds no key: want one line of 64 hexadecimal digits"),
    ("zz" * 32 + "\n", 0o600, "holds no key"), ("", 0o600, "holds no key")])
def test_a_bad_key_is_refused(text, mode, message, fails, folder, tmp_path):
    key = tmp_path / "id.key"
    key.write_text(text)
    key.chmod(mode)
    fails(["mr-manifest", "scan", folder, "--id-key", key], 65, message)
    fails(["mr-manifest", "scan", folder, "--id-key", tmp_path / "no" / "x"], 73, "cannot be created")


def test_images_that_cannot_be_read_are_an_error_or_left_out_by_name(run, fails, folder, tmp_path):
    (folder / "a" / "broken.nii").write_bytes(b"hello")
    args = ["mr-manifest", "scan", folder]
    fails(args, 65, "a/broken.nii: not an image file", "--allow-unreadable leaves such images out")
    one = run(args + ["--allow-unreadable", "--threads", "1"])
    assert sorted(by_id(load(one))) == ["a/one", "b/two", "three"]
    (line,) = [line for line in one.stderr.decode().splitlines() if "warning" in line]
    assert "a/broken.nii: not an image file" in line and line.endswith("; left out")
    four = run(args + ["--allow-unreadable", "--threads", "4"])
    drop = lambda p: {k: v for k, v in load(p).items() if k != "provenance"}
    assert drop(one) == drop(four)
    for path in folder.rglob("*.nii*"):
        path.write_bytes(b"hello")
    fails(args + ["--allow-unreadable", "-q"], 65, "no image is left")


@pytest.mark.parametrize("given, message", [
    ("tr=3", "--acquisition: unknown member 'tr'"),
    ("tr_ms=long", "--acquisition: acquisition: tr_ms: want a number > 0, got \"long\""),
    ("slice_order=zigzag", "unknown slice_order 'zigzag'"),
    ("te_ms", "--acquisition: want NAME=VALUE, got 'te_ms'")])
def test_scan_refuses_an_acquisition_that_means_nothing(fails, folder, given, message):
    fails(["mr-manifest", "scan", folder, "--acquisition", given], 64, message)


def test_a_stopped_scan_goes_on_where_it_ended(run, fails, tmp_path):
    folder = tmp_path / "many"
    folder.mkdir()
    save(folder / "0.nii")
    for i in range(1, 4000):
        os.link(folder / "0.nii", folder / f"{i}.nii")
    whole, partial = tmp_path / "m.json", tmp_path / "m.json.partial"
    started = subprocess.Popen([BIN / "mr-manifest", "scan", folder, "-t", "1", "--manifest-out", whole],
                               stderr=subprocess.PIPE)
    while started.poll() is None and not (partial.exists() and partial.stat().st_size > 50000):
        time.sleep(0.001)
    started.send_signal(signal.SIGTERM)
    assert started.wait() == 75 and not whole.exists()
    kept = partial.read_text().splitlines()
    assert 100 < len(kept) < 4000
    read = pathlib.Path(json.loads(kept[1])["key"])  # which is not read again
    read.unlink()
    read.write_text("no image any more")
    run(["mr-manifest", "scan", folder, "-t", "2", "--manifest-out", whole, "--resume"])
    assert len(json.loads(whole.read_text())["images"]) == 4000 and not partial.exists()
    fails(["mr-manifest", "scan", folder, "--resume"], 64, "goes with --manifest-out")
    fails(["mr-manifest", "scan", folder, "--manifest-out", tmp_path / "x.json"], 65, f"{read.name}: ")
    assert not (tmp_path / "x.json.partial").exists()


def test_scan_refuses_what_it_cannot_take(fails, folder, tmp_path):
    table = tmp_path / "t.csv"

    def scan(text, *options):
        table.write_text(text)
        return ["mr-manifest", "scan", folder, "--table", table, *options]

    fails(scan("id,acl\na/one,2\nb/two,1\nthree,0\n", "--label", "acl"), 65,
          "t.csv: line 2: acl: want 0 or 1", "got '2'")
    fails(scan("id,acl\na/one,1\na/one,1\n"), 65, "line 3: 'a/one' is there twice; first in line 2")
    fails(scan("id,who\na/one,\nb/two,x\nthree,y\n", "--subject-column", "who"), 65,
          "line 2: the subject is empty")
    fails(scan("id,who\n", "--subject-column", "woh"), 64, "unknown column 'woh'; did you mean 'who'?")
    fails(["mr-manifest", "scan", folder, "--label", "acl"], 64, "--label", "--table")
    fails(["mr-manifest", "scan", folder, "--attribute-value", "site"], 64, "want NAME=VALUE")
    fails(["mr-manifest", "scan", tmp_path / "none"], 66, "none: no such folder")
    fails(["mr-manifest", "scan", table], 65, "is neither a folder nor a DICOMDIR")
    fails(["mr-manifest", "scan", folder, "--pattern", "*.dcm"], 65, "that matches '*.dcm'")
    (tmp_path / "empty").mkdir()
    fails(["mr-manifest", "scan", tmp_path / "empty"], 65, "holds no NIfTI or DICOM image")
    (folder / "broken.nii.gz").write_bytes(b"no gzip")
    fails(["mr-manifest", "scan", folder], 65, "broken.nii.gz")
    (folder / "broken.nii.gz").unlink()
    save(folder / "a/one.nii")
    fails(["mr-manifest", "scan", folder], 65, "a/one.nii and a/one.nii.gz would both have the id a/one")


def test_scan_takes_a_folder_of_dicom_as_one_image_and_says_not_who_it_is(run, data, tmp_path, schema):
    series = tmp_path / "set" / "series1"
    series.mkdir(parents=True)
    source = data / "dicom" / "pydicom" / "MR_small.dcm"
    shutil.copy(source, series / "IM0001")  # by content, not by name
    save(tmp_path / "set" / "x.nii")
    document = load(run(["mr-manifest", "scan", tmp_path / "set"]))
    schema("mr-manifest")(document)
    assert [(i["id"], i["file"]) for i in document["images"]] == [
        ("series1", str(series)), ("x", str(tmp_path / "set" / "x.nii"))]
    import pydicom
    header = pydicom.dcmread(source, stop_before_pixels=True)
    for secret in [str(header.PatientName), header.PatientID, header.StudyInstanceUID]:
        assert secret and secret not in json.dumps(document)
    assert document["images"][0]["subject"] == "series1"


# slices

def test_slices_are_labelled_from_the_mask(run, scanned, schema):
    document = load(run(["mr-manifest", "slices", "--axis", "k", "--mask-label", "lesion=1,5",
                         "--mask-label", "spot=2", scanned]))
    schema("mr-manifest")(document)
    found = by_id(document)
    assert [label["name"] for label in document["labels"]] == ["lesion", "spot"]
    for name, bright in [("b/two", 1), ("a/one", 2), ("three", 3)]:
        want = [{"slice": {"axis": "k", "index": k}, "labels": [int(k < bright), int(k == 0)]}
                for k in range(7)]
        assert found[name]["samples"] == want
    assert len(document["provenance"]) == 2
    fewer = load(run(["mr-manifest", "slices", "--axis", "k", "--mask-label", "l=1,6", scanned]))
    assert all(s["labels"] == [0] for i in fewer["images"] for s in i["samples"])


def test_anatomical_axes_follow_each_image_and_float_masks_count(run, tmp_path):
    """The same head stored in two orders: the same slices and labels along the anatomical axis."""
    ras = np.zeros(SHAPE, np.float32)
    ras[1:3, 4, 2:5] = 1
    swapped = np.moveaxis(ras, [0, 1, 2], [2, 0, 1])  # stored A, S, R
    affine = np.zeros((4, 4))
    affine[1, 0] = affine[2, 1] = affine[0, 2] = affine[3, 3] = 1
    for part, dtype in [("images", np.int16), ("masks", np.float32)]:
        save(tmp_path / part / "ras.nii.gz", ras.astype(dtype))
        save(tmp_path / part / "asr.nii.gz", swapped.astype(dtype), affine)
    scan = run(["mr-manifest", "scan", tmp_path / "images", "--masks", tmp_path / "masks"]).stdout
    found = by_id(load(run(["mr-manifest", "slices", "--axis", "coronal", "--mask-label", "x=1", "-"],
                           stdin=scan)))
    axes = {name: {s["slice"]["axis"] for s in i["samples"]} for name, i in found.items()}
    assert axes == {"ras": {"j"}, "asr": {"i"}}
    labels = {name: [s["labels"] for s in i["samples"]] for name, i in found.items()}
    assert labels["ras"] == labels["asr"] == [[0]] * 4 + [[1], [0]]


def test_slices_every_nth_and_without_empty_ones(run, tmp_path):
    array = np.full(SHAPE, 7, np.int16)
    array[2, 2, 3] = array[2, 2, 4] = 9
    save(tmp_path / "set" / "x.nii", array)
    scan = run(["mr-manifest", "scan", tmp_path / "set"]).stdout

    def indices(*options):
        document = load(run(["mr-manifest", "slices", "--axis", "k", *options], stdin=scan))
        return [s["slice"]["index"] for s in document["images"][0]["samples"]]

    assert indices() == [0, 1, 2, 3, 4, 5, 6]
    assert indices("--every", "3") == [0, 3, 6]
    assert indices("--keep", "nonempty") == [3, 4]
    assert indices("--keep", "nonempty", "--every", "2") == [4]


def test_slices_are_labelled_from_a_table_and_inherit_labels(run, fails, folder, tmp_path):
    scan = run(["mr-manifest", "scan", folder, "--pattern", "three*", "--table", tmp_path / "t.csv",
                "--file-column", "path", "--label", "acl", "--allow-unmatched", "-q"]).stdout
    table = tmp_path / "slices.csv"
    args = ["mr-manifest", "slices", "--axis", "k", "--table", table, "--label", "tear"]
    rows = [f"three,{k},{k % 2}" for k in range(7)]
    table.write_text("\n".join(["id,slice,tear"] + rows))
    document = load(run(args, stdin=scan))
    assert [label["name"] for label in document["labels"]] == ["acl", "tear"]
    assert [s["labels"] for s in document["images"][0]["samples"]] == [[0, k % 2] for k in range(7)]

    table.write_text("\n".join(["id,slice,tear"] + rows[:5] + ["four,0,1"]))
    fails(args, 65, "slices.csv: slice 5 of three has no row", stdin=scan)
    p = run(args + ["--allow-unmatched"], stdin=scan)
    assert [s["labels"][1] for s in load(p)["images"][0]["samples"]] == [0, 1, 0, 1, 0, None, None]
    assert b"2 slices have no row" in p.stderr and b"four" in p.stderr
    table.write_text("\n".join(["id,slice,tear"] + rows + ["four,0,1"]))
    fails(args, 65, "image ids that are not in standard input: 1 (the first: four)", stdin=scan)
    table.write_text("\n".join(["id,slice,tear"] + rows + ["three,7,1"]))
    fails(args, 65, "slice 7 of three: the image has 7", stdin=scan)
    table.write_text("id,slice,tear\nthree,-1,1\n")
    fails(args, 65, "line 2: slice: want 0 or more, got '-1'", stdin=scan)
    table.write_text("id,slice,tear\nthree,1,1\nthree,1,0\n")
    fails(args, 65, "line 3: slice 1 of three is there twice", stdin=scan)


def test_slices_refuses_what_would_be_labelled_wrongly(fails, run, folder, scanned, tmp_path):
    slices = ["mr-manifest", "slices", "--axis", "k"]
    fails(slices + ["--mask-label", "x", scanned], 64, "want NAME=VALUE")
    fails(slices + ["--mask-label", "x=1", "--mask-label", "x=2", scanned], 64, "x would be there twice")
    fails(["mr-manifest", "slices", "--axis", "oblique", scanned], 64, "--axis", "oblique")
    fails(slices + [study(tmp_path)], 65, "study.json: image i0: want one sample of the whole image")
    unmasked = run(["mr-manifest", "scan", folder]).stdout
    fails(slices + ["--mask-label", "x=1"], 65, "standard input: image a/one: has no mask",
          stdin=unmasked)
    save(tmp_path / "masks/a/one.nii.gz", np.zeros((5, 6, 8), np.uint8))
    fails(slices + ["--mask-label", "x=1", scanned], 65, "a/one.nii.gz: the mask is 5x6x8, its image 5x6x7")
    save(tmp_path / "masks/a/one.nii.gz", np.zeros(SHAPE, np.uint8), np.diag([-1, 1, 1, 1]))
    fails(slices + ["--mask-label", "x=1", scanned], 65, "the mask lies elsewhere than its image")


# split

def test_split_is_by_subject_balanced_and_seeded(run, tmp_path, schema):
    path = study(tmp_path, 200)
    args = ["mr-manifest", "split", "--ratio", "train=.5,val=.2,test=.3", path, "--seed"]
    document = load(run(args + ["1"]))
    schema("mr-manifest")(document)
    splits = {}
    for image in document["images"]:
        splits.setdefault(image["split"], set()).add(image["subject"])
    assert {name: len(s) for name, s in splits.items()} == {"train": 50, "val": 20, "test": 30}
    assert not splits["train"] & splits["test"] and not splits["train"] & splits["val"]
    assert not splits["val"] & splits["test"]
    assert [i["id"] for i in document["images"]] == [f"i{i}" for i in range(200)]
    assert document["provenance"][-1]["seed"] == 1
    assert run(args + ["1"]).stdout == run(args + ["1"]).stdout
    assert load(run(args + ["2"]))["images"] != document["images"]


def test_split_holds_a_scanner_out(run, fails, tmp_path, schema):
    """Subjects with an image of it are test whole; the ratio is of the others."""
    path = images.manifest(tmp_path, images=40)
    document = json.loads(path.read_text())
    for i, entry in enumerate(document["images"]):
        entry["subject"] = f"s{i // 2}"  # two images each; those of s0 to s4 are of A and of B
        entry["attributes"] = {"scanner": "B" if i < 10 and i % 2 else "AC"[i % 3 == 0], "field": 3.0}
    path.write_text(json.dumps(document))
    done = run(["mr-manifest", "split", "--ratio", "train=.6,val=.2,test=.2", "--hold-out", "scanner=B",
                path])
    found = json.loads(done.stdout)
    schema("mr-manifest")(found)
    splits = {}
    for entry in found["images"]:
        splits.setdefault(entry["subject"], set()).add(entry["split"])
    assert all(len(s) == 1 for s in splits.values())
    held = {f"s{i}" for i in range(5)}
    assert all(splits[s] == {"test"} for s in held)
    others = [next(iter(s)) for name, s in splits.items() if name not in held]
    assert {s: others.count(s) for s in ("train", "val", "test")} == {"train": 9, "val": 3, "test": 3}
    command = ["mr-manifest", "split", "--ratio", "train=1", "--hold-out"]
    fails([*command, "scanner=D", path], 65, "no image is to be held out", "none has scanner=D")
    fails([*command, "field=3", path], 65, "every subject")
    fails([*command, "scanner", path], 64, "--hold-out")
    alternatives = run([*command, "scanner=B", "--hold-out", "scanner=C", path])
    assert sum(e["split"] == "test" for e in json.loads(alternatives.stdout)["images"]) > 10


def test_split_refuses_empty_splits_and_bad_ratios(fails, tmp_path):
    path = study(tmp_path, 4)
    fails(["mr-manifest", "split", "--ratio", "train=.5,val=.15,test=.35", path], 65,
          "study.json: split val would be empty: its ratio is 0.15 of 2 subjects")
    fails(["mr-manifest", "split", "--ratio", "train=.5,val=.4", path], 64, "sum to 1, got 0.9")
    fails(["mr-manifest", "split", "--ratio", "dev=1", path], 64, "dev=1")
    fails(["mr-manifest", "split", path], 64, "--ratio is required")


# check

def problems(run, args, stdin=None):
    """The lines of a check that fails; the last counts them."""
    p = run(["mr-manifest", "check", *args], check=False, stdin=stdin)
    lines = p.stderr.decode().splitlines()
    assert p.returncode == 65, (p.returncode, lines)
    assert all(line.startswith("mr-manifest: ") for line in lines)
    n = len(lines) - 1
    assert lines[-1].endswith(f": {n} problem" + ("" if n == 1 else "s"))
    return [line[len("mr-manifest: "):] for line in lines[:-1]]


def test_check_is_silent_about_a_good_manifest(run, tmp_path):
    p = run(["mr-manifest", "check", study(tmp_path)])
    assert p.stdout == p.stderr == b""


def edit(path, change):
    document = json.loads(path.read_text())
    change(document["images"])
    path.write_text(json.dumps(document, indent=1))
    return path


def test_check_names_each_problem_on_one_line(run, tmp_path):
    path = study(tmp_path, 8)
    truncated = tmp_path / "cut.nii.gz"
    truncated.write_bytes((tmp_path / "x.nii.gz").read_bytes()[:-30])
    save(tmp_path / "mask.nii.gz", np.zeros((5, 6, 8), np.uint8))

    def change(entries):
        entries[0]["samples"][1]["labels"] = [2]
        entries[1]["samples"][0]["labels"] = [0, 0]
        entries[2]["samples"][2]["slice"]["index"] = 7
        entries[3]["id"] = "i2"
        entries[4]["split"], entries[5]["split"] = "train", "test"
        entries[5]["samples"] = []
        entries[6]["file"] = "absent.nii"
        entries[7].update(file="cut.nii.gz", mask="mask.nii.gz")

    edit(path, change)
    # The document is indented one line an item: lines of entries are found by their first key.
    found = problems(run, [path, "--split", "val"])
    want = ["image i0: sample 2: label acl is 2; want 0 or 1, or null where unknown",
            "image i1: sample 1: want 1 labels, found 2",
            "image i2: slice k 7 is outside of the image, which has 7 (0 to 6)",
            "image i2: the id is there twice",
            "image i5: subject s2 is in two splits: train and test",
            "absent.nii", "cut.nii.gz", "the mask is 5x6x8, its image 5x6x7",
            "split test is empty", "split val is empty"]
    assert len(found) == len(want), found
    for line, part in zip(found, want):
        assert part in line
    assert found[0].startswith(f"{path}: line 4: ") or ": line " in found[0]
    quick = problems(run, [path, "--quick", "--split", "val"])
    assert [line for line in found if line not in quick] == [found[6]]  # voxels alone are cut


def test_check_order_does_not_depend_on_threads(run, tmp_path):
    path = edit(study(tmp_path, 40), lambda entries: [
        e.update(file=f"absent{i}.nii") for i, e in enumerate(entries) if i % 3])
    assert problems(run, [path, "-t", "1"]) == problems(run, [path, "-t", "7"])


# filter, merge, summary

def test_filter_keeps_what_meets_all_conditions(run, tmp_path, schema):
    path = study(tmp_path, 20)
    document = load(run(["mr-manifest", "filter", "--attribute", "scanner=A", path]))
    schema("mr-manifest")(document)
    assert [i["id"] for i in document["images"]] == [f"i{i}" for i in range(0, 20, 2)]
    both = load(run(["mr-manifest", "filter", "--attribute", "scanner=A", "--attribute", "scanner=B",
                     "--attribute", "field_t=3", "--limit", "3", path]))
    assert [i["id"] for i in both["images"]] == ["i1", "i3", "i5"]
    ones = load(run(["mr-manifest", "filter", "--label", "acl=1", path]))
    assert all(s["labels"] == [1] for i in ones["images"] for s in i["samples"])
    assert sum(len(i["samples"]) for i in ones["images"]) == 30
    split = run(["mr-manifest", "split", "--ratio", "train=.5,test=.5", path]).stdout
    test = load(run(["mr-manifest", "filter", "--split", "test", "-"], stdin=split))
    assert {i["split"] for i in test["images"]} == {"test"} and len(test["images"]) == 10


def test_filter_refuses_unknown_names_and_an_empty_result(fails, tmp_path):
    path = study(tmp_path)
    fails(["mr-manifest", "filter", "--label", "alc=1", path], 64, "unknown label 'alc'; did you mean 'acl'?")
    fails(["mr-manifest", "filter", "--label", "acl=7", path], 64, "acl: unknown value '7'")
    fails(["mr-manifest", "filter", "--split", "dev", path], 64, "--split", "dev")
    fails(["mr-manifest", "filter", "--label", "acl=unknown", path, "--manifest-out",
           tmp_path / "none.json"], 65, "study.json: no image is left")
    assert not (tmp_path / "none.json").exists()


def test_what_filter_takes_apart_merge_puts_together(run, fails, tmp_path, schema):
    path = study(tmp_path, 10)
    parts = []
    for scanner in "AB":
        parts.append(tmp_path / f"{scanner}.json")
        run(["mr-manifest", "filter", "--attribute", f"scanner={scanner}", path, "--manifest-out", parts[-1]])
    merged = load(run(["mr-manifest", "merge", *parts]))
    schema("mr-manifest")(merged)
    whole = load(run(["mr-manifest", "filter", path]))
    assert by_id(merged) == by_id(whole)
    assert len(merged["provenance"]) == 3
    assert [i["name"] for i in merged["provenance"][-1]["inputs"]] == ["A.json", "B.json"]
    fails(["mr-manifest", "merge", parts[0], parts[0]], 65, "image i0: the id is there twice")
    other = tmp_path / "other"
    other.mkdir()
    fails(["mr-manifest", "merge", parts[0], study(other, labels=("acl", "pcl"))], 65,
          "its labels are not those of")


def test_summary_counts(run, tmp_path, schema):
    path = study(tmp_path, 20)
    split = run(["mr-manifest", "split", "--ratio", "train=.5,val=.2,test=.3", path]).stdout
    table = run(["mr-manifest", "summary"], stdin=split).stdout.decode().splitlines()
    rows = {line[:line.rfind("  ")].split("  ")[0].strip() or line.strip(): line.split() for line in table}
    assert table[0].split() == ["train", "val", "test", "all"]
    assert rows["subjects"][1:] == ["5", "2", "3", "10"]
    assert rows["images"][1:] == ["10", "4", "6", "20"]
    assert rows["samples"][1:] == ["30", "12", "18", "60"]
    document = load(run(["mr-manifest", "summary", "--json", "-"], stdin=split))
    schema("mr-manifest-summary")(document)
    assert [s["split"] for s in document["splits"]] == ["train", "val", "test"]
    assert sum(s["labels"]["acl"]["1"] for s in document["splits"]) == 30
    assert document["splits"][0]["attributes"]["scanner"] == {"A": 5, "B": 5}


# every subcommand

def test_output_to_a_file_is_relative_and_kept_unless_forced(run, fails, folder, tmp_path):
    out = tmp_path / "elsewhere" / "m.json"
    out.parent.mkdir()
    args = ["mr-manifest", "scan", folder, "--manifest-out", out]
    assert run(args).stdout == b""
    assert json.loads(out.read_text())["images"][0]["file"] == "../set/a/one.nii.gz"
    before = out.read_bytes()
    fails(args + ["--pattern", "a/*"], 73, f"{out}: exists; use --force to replace it")
    assert out.read_bytes() == before
    run(args + ["--pattern", "a/*", "--force"])
    assert len(json.loads(out.read_text())["images"]) == 1
    assert os.listdir(out.parent) == ["m.json"]
    run(["mr-manifest", "filter", out, "--manifest-out", out, "--force"])  # onto itself
    assert json.loads(out.read_text())["images"][0]["file"] == "../set/a/one.nii.gz"


def test_relative_paths_on_standard_input_start_at_root(run, tmp_path):
    text = study(tmp_path).read_bytes()
    document = load(run(["mr-manifest", "filter", "--root", tmp_path], stdin=text))
    assert document["images"][0]["file"] == str(tmp_path / "x.nii.gz")
    document = load(run(["mr-manifest", "filter", "-"], stdin=text, cwd=tmp_path / ".."))
    assert document["images"][0]["file"] == str(tmp_path.parent / "x.nii.gz")


@pytest.mark.parametrize("command", [["slices", "--axis", "k"], ["split", "--ratio", "test=1"],
                                     ["check"], ["filter"], ["merge"], ["summary"]])
def test_bad_documents_are_refused_by_every_reader(fails, tmp_path, command):
    path = tmp_path / "m.json"

    def with_text(text, status, *parts):
        path.write_text(text)
        fails(["mr-manifest", *command, path], status, f"{path}: ", *parts)

    with_text('{"schema": "mr-manifest/1",\n "labels": [],\n "images": [{"id" 3}]}', 65,
              "line 3, column 19: ")
    with_text('{"schema": "mr-manifest/1", "labels": [], "images": [', 65,
              "cut off at line 1, column 53: the document lacks its end")
    with_text('{"schema": "mr-manifest/9", "labels": [], "images": []}', 65, "mr-manifest/9")
    with_text('{"schema": "mr-eval/1"}', 65, "want schema mr-manifest/1, found mr-eval/1")
    with_text("", 65, "cut off")
    path.unlink()
    fails(["mr-manifest", *command, path], 66, f"{path}: No such file or directory")
    fails(["mr-manifest", *command, tmp_path], 65, "is a folder")


def test_a_wrong_label_stops_every_reader(fails, tmp_path):
    path = study(tmp_path, 1, samples=[{"labels": [2]}])
    for command in [["split", "--ratio", "test=1"], ["filter"], ["summary"]]:
        fails(["mr-manifest", *command, path], 65, f"{path}: line 1: image i0: sample 1: label acl is 2")


def test_a_wrong_command_line_is_status_64(fails):
    fails(["mr-manifest"], 64, "want a subcommand")
    fails(["mr-manifest", "scam"], 64, "scam")
    fails(["mr-manifest", "summary", "--jsn"], 64, "--jsn")


def test_a_closed_pipe_ends_silently(run, tmp_path):
    path = study(tmp_path, 5000)
    p = subprocess.Popen([str(BIN / "mr-manifest"), "filter", str(path)], stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE)
    p.stdout.read(100)
    p.stdout.close()
    assert p.stderr.read() == b"" and p.wait(timeout=20) == 0


def test_a_full_disk_is_status_74(fails, tmp_path):
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full")
    with open("/dev/full", "wb") as full:
        p = subprocess.run([str(BIN / "mr-manifest"), "filter", str(study(tmp_path))], stdout=full,
                           stderr=subprocess.PIPE)
    assert p.returncode == 74 and p.stderr.startswith(b"mr-manifest: standard output: "), p


def peak_memory_kib(args, chunks):
    """Peak memory of a tool that is fed on standard input, from the kernel's own account of it."""
    p = subprocess.Popen([str(BIN / args[0]), *args[1:]], stdin=subprocess.PIPE,
                         stdout=subprocess.DEVNULL)
    for chunk in chunks:
        p.stdin.write(chunk)
    p.stdin.close()
    _, status, usage = os.wait4(p.pid, 0)
    p.returncode = os.waitstatus_to_exitcode(status)
    assert p.returncode == 0
    return usage.ru_maxrss


@pytest.mark.parametrize("command", [["filter", "-"], ["summary", "-"]])
def test_memory_does_not_grow_with_the_number_of_images(run, command):
    run(["mr-manifest", "--version"])  # skips where it is not built

    samples = b",".join(b'{"slice":{"axis":"k","index":%d},"labels":[1]}' % k for k in range(10))

    def chunks(n):
        yield b'{"schema":"mr-manifest/1","labels":[{"name":"acl"}],"images":['
        for i in range(n):
            yield (b"," * (i > 0) + b'{"id":"image %d","subject":"s%d","file":"/x/%d.nii","samples":['
                   % (i, i % 100, i) + samples + b"]}")
        yield b'],"provenance":[]}'

    few, many = (peak_memory_kib(["mr-manifest", *command], chunks(n)) for n in (10_000, 100_000))
    assert many < few + 1024, (few, many)


def test_the_hippocampus_study(run, data, tmp_path, schema):
    """The pipe of the hippocampus example, its counts against nibabel's."""
    folder = data / "hippocampus"
    scan = run(["mr-manifest", "scan", folder / "images", "--masks", folder / "labels", "--table",
                folder / "subjects.csv", "--file-column", "file", "--subject-column", "subject",
                "--mode", "3d", "--phase-encode", "j", "--attribute-value", "site=msd"]).stdout
    sliced = run(["mr-manifest", "slices", "--axis", "coronal", "--mask-label", "anterior=1,20",
                  "--mask-label", "posterior=2,20", "-"], stdin=scan).stdout
    out = tmp_path / "hippocampus.json"
    run(["mr-manifest", "split", "--ratio", "train=.50,val=.15,test=.35", "--seed", "1",
         "--manifest-out", out, "-"], stdin=sliced)
    document = json.loads(out.read_text())
    schema("mr-manifest")(document)
    run(["mr-manifest", "check", "--split", "train", "--split", "val", "--split", "test", out])

    assert len(document["images"]) == 260
    positive = {}
    for image in document["images"]:
        mask = np.asarray(nibabel.load(folder / "labels" / f"{image['id']}.nii.gz").dataobj)
        want = [[int((mask[:, j] == value).sum() >= 20) for value in (1, 2)]
                for j in range(mask.shape[1])]
        assert [s["labels"] for s in image["samples"]] == want
        assert {s["slice"]["axis"] for s in image["samples"]} == {"j"}
        positive.setdefault(image["split"], []).extend(want)
    subjects = {}
    for image in document["images"]:
        subjects.setdefault(image["split"], set()).add(image["subject"])
    assert {name: len(s) for name, s in subjects.items()} == {"train": 85, "val": 26, "test": 59}
    everything = np.concatenate([np.array(p) for p in positive.values()])
    for rows in positive.values():  # stratified: the prevalence of each label is the same
        assert np.abs(np.mean(rows, axis=0) - everything.mean(axis=0)).max() < 0.02
