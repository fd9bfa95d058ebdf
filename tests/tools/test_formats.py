"""Every real image beside nibabel, pydicom, GDCM, dcm2niix and dciodvfy; the table of it is written
to formats.md beside the programs."""
import json
import re
import shutil
import subprocess
import warnings

import nibabel as nib
import numpy as np
import pydicom
import pytest
import torch

import conftest
from test_dicom_images import canonical, new_errors, same

KEEP = ["-a", "rician:0"]
# What nobody can take for an MR image: the reason that must be given.
REFUSED = {
    "headers without an image": (r"No such file", r"nibabel/(nifti1|nifti2|analyze)\.hdr|"
                                 r"avg152T1_LR_nifti\.hdr\.gz"),
    "colours": (r"RGB", r"nifti-rs/rgba?/"),
    "CIFTI": (r"a CIFTI file", r"dconn"),
    "float128 and the like": (r"is not handled", r"float128|complex256"),
}


@pytest.fixture(scope="module")
def table():
    rows = []
    yield rows
    head = ["image", "shape", "least", "most", "beside ours", "others", "validator"]
    lines = ["# Images as we and others read them", "", "| " + " | ".join(head) + " |",
             "| " + " | ".join("---" for _ in head) + " |"]
    lines += ["| " + " | ".join(str(c) for c in row) + " |" for row in rows]
    (conftest.BIN / "formats.md").write_text("\n".join(lines) + "\n")


def ours(run, source, folder):
    target = folder / "ours.nii"
    p = run(["mr-corrupt", *KEEP, "--force", source, "-o", target], check=False)
    if p.returncode:
        assert p.returncode in (65, 66) and p.stderr.count(b"\n") == 1, p.stderr
        return None, p.stderr.decode().split(": ", 1)[1].strip()
    return nib.load(target), ""


def described(image):
    voxels = np.asarray(image.dataobj)
    if np.iscomplexobj(voxels):
        voxels = np.abs(voxels)
    return ["x".join(map(str, image.shape)), f"{voxels.min():.7g}", f"{voxels.max():.7g}"]


def nifti_files(data):
    for folder in ("nifti", "hippocampus/images", "dicom/dcm_qa_nih/Ref", "dicom/dcm_qa_ts/Ref",
                   "dicom/nitest-balls1/NIFTI"):
        for path in sorted((data / folder).rglob("*")):
            if re.search(r"\.(nii|hdr)(\.gz)?$", path.name):
                yield path


def test_nibabel_agrees_on_every_nifti_file(run, data, tmp_path, table):
    seen = {reason: 0 for reason in REFUSED}
    agreed = 0
    for path in nifti_files(data):
        name = str(path.relative_to(data))
        image, why = ours(run, path, tmp_path)
        if image is None:
            (reason,) = [r for r, (message, names) in REFUSED.items()
                         if re.search(message, why) and re.search(names, name)] or [None]
            assert reason, (name, why)
            seen[reason] += 1
            if len(table) < 1000:
                table.append([name, "", "", "", f"refused: {reason}", "", ""])
            continue
        try:
            before = nib.load(path)
            np.asarray(before.dataobj)
        except FileNotFoundError:  # a plain header with voxels in gzip
            table.append([name, *described(image), "read", "nibabel cannot", ""])
            continue
        theirs, mine = np.asarray(before.dataobj), np.asarray(image.dataobj)
        theirs = np.nan_to_num(theirs.astype("c16" if np.iscomplexobj(theirs) else "f8"), nan=0)
        shape = before.shape + (1,) * (3 - len(before.shape))
        assert mine.size == theirs.size, name
        scale = max(1e-30, np.abs(theirs).max())
        assert np.abs(mine.reshape(theirs.shape) - theirs).max() <= 1e-6 * scale, name
        named = "minimal" not in name  # without any transform nibabel turns the first axis round
        if named:
            assert np.allclose(image.affine, before.affine, atol=1e-4), name
        agreed += 1
        if "hippocampus" not in name:
            table.append([name, *described(image), "equal", f"nibabel {'x'.join(map(str, shape))}", ""])
    assert agreed >= 330
    assert seen["colours"] >= 2 and seen["headers without an image"] >= 4
    table.append(["hippocampus (260 files)", "", "", "", "equal", "nibabel", ""])


# Collections of files that are no series: variants of one image, of one UID.
COLLECTIONS = {"wg04_mr4": "*.dcm", "derived-12bit": "*.dcm", "pydicom": "MR_small*.dcm"}


def listed(run, root):
    if root.name in COLLECTIONS:
        return [{"id": p.stem, "file": str(p)} for p in sorted(root.glob(COLLECTIONS[root.name]))]
    scan = run(["mr-manifest", "scan", "--allow-unreadable", "--localizers", root])
    return [i for i in json.loads(scan.stdout)["images"] if ".nii" not in i["file"]]


def pydicom_sum(source):
    """Least, most and sum of what pydicom reads, rescaled; nothing where it cannot."""
    files = sorted(source.glob("*.dcm")) if source.is_dir() else [source]
    least, most, total = [], [], []
    for file in files:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                d = pydicom.dcmread(file)
                pixels = d.pixel_array.astype(float)
        except Exception:
            return None
        if "PerFrameFunctionalGroupsSequence" in d:
            groups = d.PerFrameFunctionalGroupsSequence
            shared = d.SharedFunctionalGroupsSequence[0]
            scales = [(g if "PixelValueTransformationSequence" in g else shared)
                      .PixelValueTransformationSequence[0] for g in groups]
            pixels = np.array([p * float(s.RescaleSlope) + float(s.RescaleIntercept)
                               for p, s in zip(pixels, scales)])
        else:
            pixels = pixels * float(d.get("RescaleSlope", 1)) + float(d.get("RescaleIntercept", 0))
        least.append(pixels.min())
        most.append(pixels.max())
        total.append(pixels.sum())
    return min(least), max(most), sum(total)


def gdcm_reads(path):
    gdcm = pytest.importorskip("gdcm")
    reader = gdcm.ImageReader()
    reader.SetFileName(str(path))
    return reader.Read()


def test_pydicom_and_dcm2niix_agree_on_every_mr_image_and_all_open_what_is_written(
        run, data, tmp_path, table):
    if not shutil.which("dcm2niix"):
        pytest.skip("dcm2niix is not installed")
    compared = {"pydicom": 0, "dcm2niix": 0, "dciodvfy": 0}
    for folder in ("dcm_qa_nih/In", "dcm_qa_ts/In", "dcm_qa_enh_xa10", "nitest-balls1/DICOM",
                   "pydicom/dicomdir", "pydicom", "wg04_mr4", "derived-12bit", "nibabel"):
        root = data / "dicom" / folder
        reference = tmp_path / folder.replace("/", "_")
        reference.mkdir()
        subprocess.run(["dcm2niix", "-d", "9" if folder != "pydicom" else "0", "-b", "n", "-z", "n", "-p",
                        "n", "-f", "%s_%f_%t_%d", "-o", reference, root], capture_output=True)
        theirs = []
        for p in reference.glob("*.nii"):
            try:
                theirs.append(canonical(p))
            except TypeError:  # colours
                continue
        for entry in listed(run, root):
            image, why = ours(run, entry["file"], tmp_path)
            assert image is not None, (entry, why)
            mine = canonical(tmp_path / "ours.nii")
            row = [f"{folder}/{entry['id']}", *described(image)]
            others = []
            path = data / "dicom" / entry["file"]
            if "#" not in entry["file"] and (sums := pydicom_sum(path)) is not None:
                values = np.asarray(image.dataobj).astype(float)
                # pydicom 2.3.1 keeps stray bits, and decodes lossy files by other rules.
                if "derived-12bit" not in folder and not re.search("J2KI|JLSN|JPLY", entry["id"]):
                    assert values.max() == pytest.approx(sums[1], rel=1e-6), entry
                    assert values.sum() == pytest.approx(sums[2], rel=1e-6), entry
                    others.append("pydicom equal")
                    compared["pydicom"] += 1
            if any(same(mine, one) for one in theirs):
                others.append("dcm2niix equal")
                compared["dcm2niix"] += 1
            target = tmp_path / ("written" if (path.is_dir() or "#" in entry["file"]) else "written.dcm")
            negative = np.asarray(image.dataobj).min() < 0  # no magnitude: nothing to corrupt
            step = KEEP if negative else ["-a", "bias:2"]
            run(["mr-corrupt", *step, entry["file"], "-o", target])
            files = sorted(target.iterdir()) if target.is_dir() else [target]
            assert all(gdcm_reads(f) for f in files[:3])
            assert pydicom.dcmread(files[0]).pixel_array.size > 0
            before = path if path.is_file() else sorted(
                p for p in path.iterdir() if p.suffix == ".dcm")[0] if path.is_dir() else None
            valid = ""
            if before is not None and shutil.which("dciodvfy"):
                assert new_errors(before, files[0] if path.is_file() else target / (before.stem + ".dcm")
                                  ) == set(), entry
                valid = "no new error"
                compared["dciodvfy"] += 1
            table.append([*row, "read", ", ".join(others) or "-", valid])
            shutil.rmtree(target) if target.is_dir() else target.unlink()
    assert compared["pydicom"] >= 40 and compared["dcm2niix"] >= 45 and compared["dciodvfy"] >= 40, compared


# ---- the whole line on every set ----

SETS = ["hippocampus/images", "dicom/dcm_qa_nih/In", "dicom/dcm_qa_ts", "dicom/dcm_qa_enh_xa10",
        "dicom/nitest-balls1", "dicom/pydicom", "dicom/derived-12bit", "dicom/wg04_mr4", "dicom/nibabel",
        "dicom/pydicom/dicomdir",
        "nifti/nifti_space", "nifti/nifti-reader-js", "nifti/nifti-rs", "nifti/nibabel", "kspace"]


PATTERNS = {"hippocampus/images": "*01*",  # 1 in 10
            "nifti/nifti-reader-js": "*.gz", "nifti/nifti-rs": "[27c]*/*"}  # twins: one of each


class OddOut(torch.nn.Module):
    def forward(self, x):
        return x.mean(dim=[1, 2, 3]).unsqueeze(1)


@pytest.mark.parametrize("name", SETS)
def test_scan_corrupt_and_eval_run_on_every_set(name, run, data, tmp_path, schema):
    torch.jit.script(OddOut()).save(str(tmp_path / "mean.pt"))
    (tmp_path / "mean.json").write_text(json.dumps({
        "schema": "mr-foreign/1", "output": "logit", "channels": 1, "operating_rule": "sens>=0.80",
        "preprocessing": {"standardisation": "volume-percentile", "size": [32, 32], "spacing_mm": None,
                          "neighbours": 1, "depth": None}}))
    folder = data / name
    if folder.name in COLLECTIONS:
        for path in folder.glob(COLLECTIONS[folder.name]):
            (tmp_path / "set" / path.stem).mkdir(parents=True)
            shutil.copy(path, tmp_path / "set" / path.stem)
        folder = tmp_path / "set"
    scan = run(["mr-manifest", "scan", "--allow-unreadable", "--kspace", "--pattern",
                PATTERNS.get(name, "*"), folder])
    (tmp_path / "all.json").write_bytes(scan.stdout)
    document = json.loads(scan.stdout)
    kept = []
    for entry in document["images"]:
        if entry["id"] == "projection_coord":
            continue
        p = run(["mr-corrupt", "-a", "motion:3", "-a", "rician:2", "--force", entry["file"], "-o",
                 tmp_path / "one.nii"], check=False)
        if p.returncode:  # nothing to see: zeros, ramps of 3 voxels, signed fields
            message = p.stderr.decode()
            assert p.returncode == 65 and message.count("\n") == 1, message
            assert re.search(r"no foreground|signed voxels|out of range|want at least|too small", message), message
            continue
        kept.append(entry)
    assert len(kept) >= 1, document
    for i, entry in enumerate(kept):
        entry["samples"] = [{"labels": [i % 2]}]
        entry["split"] = "test"
    document.update(labels=[{"name": "odd", "values": ["0", "1"]}], images=kept)
    whole = tmp_path / "whole.json"
    whole.write_text(json.dumps(document))
    sliced = tmp_path / "sliced.json"
    run(["mr-manifest", "slices", "--axis", "k", "--every", "8", whole, "--manifest-out", sliced])
    schema("mr-manifest")(json.loads(sliced.read_text()))
    run(["mr-eval", "-m", tmp_path / "mean.pt", "--foreign", tmp_path / "mean.json", "--grid", "motion", "--severities", "3", "-o",
         tmp_path / "a.eval", sliced], timeout=300)
    end = json.loads((tmp_path / "a.eval").read_text().splitlines()[-1])
    assert end["end"]["results"] == 2
