"""Mutations of good files: no crash, no hang, no unbounded memory; each is read or refused in
one line."""
import gzip
import resource
import shutil
import subprocess
import sys

import images
import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from conftest import BIN, ROOT

BATCH = 500
EXTREMES = [b"\xff\xff\xff\xff", b"\x00\x00\x00\x80", b"\xff\xff\xff\x7f", b"\x00\x00\x00\x00",
            b"\x01\x00\x00\x00", b"\xfe\xff\x00\xe0"]


def good_files(data, folder):
    """Small files of every format and layout, by name."""
    dicom = data / "dicom"
    for name in ("pydicom/MR_small.dcm", "pydicom/MR_small_RLE.dcm", "pydicom/MR_small_bigendian.dcm",
                 "pydicom/MR_small_implicit.dcm", "pydicom/MR_small_jp2klossless.dcm",
                 "pydicom/MR_small_jpeg_ls_lossless.dcm", "derived-12bit/s12_dirty_high_bits.dcm",
                 "pydicom/dicomdir/DICOMDIR"):
        yield name.split("/")[-1].replace("DICOMDIR", "list.dcm"), (dicom / name).read_bytes()
    subprocess.run([sys.executable, ROOT / "tests/fuzz/seeds.py", data, folder], check=False)
    for path in sorted((folder / "dicom").glob("*.dcm")) + sorted((folder / "raw").iterdir()):
        yield path.name, path.read_bytes()
    array = np.arange(60).reshape(5, 4, 3)
    for kind, cls in (("1", nib.Nifti1Image), ("2", nib.Nifti2Image), ("a", nib.Spm99AnalyzeImage)):
        for dtype in ("u1", "i2", "f4", "f8") if kind != "a" else ("i2",):
            image = cls(array.astype(dtype), np.eye(4))
            if kind != "a":
                image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"hello"))
                yield f"n{kind}{dtype}.nii", image.to_bytes()
                yield f"n{kind}{dtype}.nii.gz", gzip.compress(image.to_bytes())
    for mode, dtype in (("L", "u1"), ("I;16", "u2")):
        Image.fromarray(array[..., 0].astype(dtype), mode).save(folder / "p.png")
        yield f"{dtype}.png", (folder / "p.png").read_bytes()
    yield "v.npy", (folder / "raw/a.npy").read_bytes()


def mutated(content, rng):
    out = bytearray(content)
    for _ in range(int(rng.integers(1, 4))):
        at = int(rng.integers(len(out) or 1))
        if rng.random() < 0.5:  # most of a header lies at the beginning
            at = min(at, int(rng.integers(600)))
        kind = int(rng.integers(6))
        if kind == 0 and out:
            out[at % len(out)] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            out[at:at + 1] = bytes([int(rng.integers(256))])
        elif kind == 2:
            out[at:at + 4] = EXTREMES[int(rng.integers(len(EXTREMES)))]
        elif kind == 3:
            del out[at:at + int(rng.integers(1, 64))]
        elif kind == 4:
            out[at:at] = out[at:at + int(rng.integers(1, 64))]
        else:
            del out[int(rng.integers(len(out) or 1)):]
    return bytes(out)


@pytest.mark.parametrize("count", [2_000, pytest.param(20_000, marks=pytest.mark.long)])
def test_mutations_are_read_or_refused(count, data, tmp_path):
    seeds = list(good_files(data, tmp_path))
    assert len(seeds) > 30
    rng = np.random.default_rng(1)
    folder = tmp_path / "mutated"
    read = 0
    for first in range(0, count, BATCH):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        entries = []
        for i in range(first, first + BATCH):
            name, content = seeds[i % len(seeds)]
            (folder / f"{i}-{name}").write_bytes(mutated(content, rng))
            entries.append({"id": str(i), "subject": str(i), "file": f"{i}-{name}",
                            "samples": [{"labels": []}]})
        manifest = folder / "m.json"
        images.write(manifest, (), entries)
        p = subprocess.run([BIN / "mr-manifest", "check", "-t", "2", manifest], capture_output=True,
                           timeout=300, preexec_fn=lambda: resource.setrlimit(
                               resource.RLIMIT_AS, (1 << 31, 1 << 31)))
        lines = p.stderr.decode(errors="replace").split("\n")[:-1]
        assert p.returncode in (0, 65), (first, p.returncode, lines[-3:])
        assert not [line for line in lines if "memory" in line or "internal" in line], lines
        assert not [line for line in lines if not line.startswith("mr-manifest: ")]
        read += BATCH - (len(lines) - 1)
    assert 0.05 * count < read < 0.95 * count, read
