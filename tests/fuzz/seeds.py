"""seeds.py DATA OUT: small copies of real multi-frame DICOM files, for mutations to start from.

Their own pixels are most of a file; a few voxels take a reader through the same code.
"""
import pathlib
import sys

import pydicom

data, out = (pathlib.Path(p) for p in sys.argv[1:3])


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
