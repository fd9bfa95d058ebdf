"""seeds.py DATA OUT: files for mutations to start from: small copies of real multi-frame DICOM files
(their own pixels are most of a file; a few voxels take a reader through the same code) in OUT/dicom,
and k-space in OUT/raw.
"""
import pathlib
import sys

import numpy as np
import pydicom

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tools"))
import test_raw  # noqa: E402

data, out = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]) / "dicom"
raw = out.parent / "raw"
for folder in (out, raw):
    folder.mkdir(parents=True, exist_ok=True)
coils = test_raw.coils_of(slices=2, coils=2, rows=4, columns=4)
test_raw.fastmri(raw / "fastmri.h5", coils, recon=(2, 2))
test_raw.fastmri(raw / "single.h5", coils[:, :1], recon=(2, 2), single=True)
test_raw.ismrmrd(raw / "ismrmrd.h5", test_raw.to_kspace(coils), (2, 4, 1), 2)
np.save(raw / "a.npy", coils)
np.save(raw / "f.npy", np.asfortranarray(coils[0].astype(">c16")))


def shrink(name, tiles):
    dataset = pydicom.dcmread(data / name)
    pixels = dataset.pixel_array[..., :2 * tiles, :2 * tiles].copy()
    dataset.Rows = dataset.Columns = 2 * tiles
    for element in list(dataset):  # the CSA image header stays
        if element.tag.is_private and element.tag not in (0x00290010, 0x00291010):
            del dataset[element.tag]
    dataset.PixelData = pixels.tobytes()
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    return dataset, pixels


def write(dataset, name):
    dataset.save_as(out / name, write_like_original=False)


for name, tiles in [("dicom/nitest-balls1/DICOM/T1.dcm", 1), ("dicom/nitest-balls1/DICOM/T2_.dcm", 1),
                    ("dicom/dcm_qa_enh_xa10/6_1.dcm", 1), ("dicom/dcm_qa_ts/In/1.dcm", 6),
                    ("dicom/dcm_qa_nih/In/20180918Si/mr_0003/epi_pe_ap-00001.dcm", 3)]:
    if not (data / name).exists():
        continue
    dataset, pixels = shrink(name, tiles)
    stem = name.replace("/", "_")
    write(dataset, stem)
    dataset.compress(pydicom.uid.RLELossless, pixels)
    write(dataset, "rle_" + stem)
