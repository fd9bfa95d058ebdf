"""Small images and manifests, made with independent software."""
import json

import nibabel
import numpy as np


def phantom(shape=(24, 20, 6), seed=0, dtype=np.int16, peak=1000.0):
    """Ellipsoids with noise: something that has an inside, an outside and edges."""
    rng = np.random.default_rng(seed)
    axes = [np.linspace(-1, 1, n) for n in shape]
    x, y, z = np.meshgrid(*axes, indexing="ij")
    image = 0.7 * (x**2 / 0.7 + y**2 / 0.6 + z**2 < 1) + 0.3 * ((x - 0.2)**2 + y**2 < 0.1)
    image = peak * image + 0.01 * peak * np.abs(rng.standard_normal(shape))
    return np.round(image).astype(dtype) if np.issubdtype(dtype, np.integer) else image.astype(dtype)


def save(path, array, spacing=(2.0, 2.0, 4.0)):
    image = nibabel.Nifti1Image(array, np.diag([*spacing[:array.ndim], 1.0][:3] + [1.0])
                                if array.ndim >= 3 else np.eye(4))
    nibabel.save(image, path)
    return path


def manifest(folder, images=4, labels=("lesion",), shape=(24, 20, 6), splits=None, slices=True,
             contrast=600.0, seed=0):
    """A data set whose label is a bright square in the slice. Returns the manifest's path."""
    rng = np.random.default_rng(seed)
    entries = []
    for i in range(images):
        array = phantom(shape, seed=seed + i).astype(np.float64)
        truth = rng.random((shape[2], len(labels))) < 0.4
        for k in range(shape[2]):
            for l, on in enumerate(truth[k]):
                if on:
                    c = 6 + 6 * l
                    array[c:c + 4, 8:12, k] += contrast
        save(folder / f"im{i:03d}.nii.gz", np.round(array).astype(np.int16))
        entries.append({
            "id": f"im{i:03d}", "subject": f"s{i:03d}",
            **({"split": splits[i % len(splits)]} if splits else {}),
            "file": f"im{i:03d}.nii.gz",
            "acquisition": {"mode": "2d", "phase_encode_axis": "j"},
            "samples": [{"slice": {"axis": "k", "index": k},
                         "labels": [int(v) for v in truth[k]]} for k in range(shape[2])],
        })
    path = folder / "manifest.json"
    write(path, labels, entries)
    return path


def write(path, labels, entries):
    with open(path, "w") as f:
        json.dump({"schema": "mr-manifest/1",
                   "labels": [{"name": name, "values": ["0", "1"]} for name in labels],
                   "images": entries, "provenance": []}, f)
