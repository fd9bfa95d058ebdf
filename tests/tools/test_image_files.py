"""Image files as other readers see them. Severity 0 keeps voxels, so what mr-corrupt writes must
be, for nibabel and pydicom, the image that went in."""
import gzip
import io
import json
import shutil
import struct
import subprocess
import zlib

import numpy as np
import pytest

PIL = pytest.importorskip("PIL")
import PIL.Image  # noqa: E402
nib = pytest.importorskip("nibabel")
pydicom = pytest.importorskip("pydicom")

KEEP = ["-a", "rician:0"]
KEPT_BY_HEADER = {"descrip", "magic", "vox_offset"}  # may change; everything else must not

NIFTI = """
nifti_space/RAS.nii.gz nifti_space/AIL.nii.gz nifti_space/PSR.nii.gz nifti_space/LPI.nii.gz
nifti-reader-js/avg152T1_LR_nifti.nii nifti-reader-js/avg152T1_LR_nifti2.nii.gz
nifti-reader-js/big.nii.gz nifti-reader-js/little.nii.gz nifti-reader-js/air.hdr.gz
nifti-reader-js/air2.hdr.gz nifti-reader-js/with_extension.nii.gz
nifti-rs/minimal_extended_hdr.nii nifti-rs/f32.nii.gz nifti-rs/27/int16.nii
nibabel/functional.nii nibabel/example4d.nii.gz nibabel/example_nifti2.nii.gz
nibabel/anatomical.nii nifti-reader-js/5D_small.nii
""".split()


def raw_voxels(image):
    return np.asarray(image.dataobj.get_unscaled())


@pytest.mark.parametrize("name", NIFTI)
def test_nibabel_sees_the_same_image(name, run, data, tmp_path):
    source = data / "nifti" / name
    packed = name.endswith(".gz")
    target = tmp_path / ("out.nii.gz" if packed else "out.nii")
    run(["mr-corrupt", *KEEP, source, "-o", target])
    before, after = nib.load(source), nib.load(target)
    assert raw_voxels(before).dtype == raw_voxels(after).dtype
    assert np.array_equal(raw_voxels(before), raw_voxels(after))
    for key in set(before.header.keys()) - KEPT_BY_HEADER:
        assert before.header[key].tobytes() == after.header[key].tobytes(), key
    if ".hdr" not in name:  # a pair keeps its extensions in the other file
        assert len(before.header.extensions) == len(after.header.extensions)
    with open(target, "rb") as f:
        head = f.read(10)
    assert (head[:2] == b"\x1f\x8b") == packed
    if packed:
        assert head[4:8] == bytes(4), "the time in the gzip header makes bytes differ"


@pytest.mark.parametrize("name", ["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64",
                                  "int64", "float32", "float64"])
def test_every_datatype_keeps_its_bits(name, run, tmp_path):
    dtype = np.dtype(name)
    if dtype.kind == "f":
        voxels = np.random.default_rng(1).normal(size=(5, 4, 3)).astype(dtype)
    else:  # extremes included: float32 cannot hold them all
        info = np.iinfo(dtype)
        voxels = np.random.default_rng(1).integers(info.min, info.max, (5, 4, 3), dtype,
                                                   endpoint=True)
        voxels[0, 0, 0], voxels[0, 0, 1] = info.min, info.max
    source, target = tmp_path / "in.nii", tmp_path / "out.nii"
    for order in "<>":
        image = nib.Nifti1Image(voxels.astype(dtype.newbyteorder(order)), np.diag([2, 3, 4, 1]),
                                nib.Nifti1Header(endianness=order), dtype=dtype)
        nib.save(image, source)
        run(["mr-corrupt", *KEEP, "--force", source, "-o", target])
        after = nib.load(target)
        assert after.header.endianness == order
        assert np.array_equal(raw_voxels(after), voxels)


PAIRS = [("pair.hdr", "pair.hdr", "pair.img"), ("pair.img", "pair.hdr", "pair.img"),
         ("a.b.hdr.gz", "a.b.hdr.gz", "a.b.img.gz")]


@pytest.mark.parametrize("source", ["nifti-reader-js/air.hdr.gz", "nifti-reader-js/with_extension.nii.gz",
                                    "nifti-reader-js/big.nii.gz", "nibabel/example_nifti2.nii.gz"])
@pytest.mark.parametrize("named, header, voxels", PAIRS)
def test_a_pair_is_written_where_one_is_named(source, named, header, voxels, run, fails, data,
                                              tmp_path):
    source = data / "nifti" / source
    run(["mr-corrupt", *KEEP, source, "-o", tmp_path / named])
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([header, voxels])
    before, after = nib.load(source), nib.load(tmp_path / header)
    assert type(after).__name__ == type(before).__name__.replace("Image", "Pair").replace("PairPair",
                                                                                       "Pair")
    assert np.array_equal(raw_voxels(before), raw_voxels(after))
    for key in set(before.header.keys()) - KEPT_BY_HEADER:
        assert before.header[key].tobytes() == after.header[key].tobytes(), key
    assert after.header["vox_offset"] == 0
    again = tmp_path / "again.nii"
    run(["mr-corrupt", *KEEP, tmp_path / named, "-o", again])
    assert np.array_equal(raw_voxels(nib.load(again)), raw_voxels(before))
    (tmp_path / header).unlink()  # what would be replaced is the other half
    fails(["mr-corrupt", *KEEP, source, "-o", tmp_path / named], 73, voxels + ": exists")


@pytest.mark.parametrize("source, name", [
    ("nifti/nibabel/anatomical.nii", "x.dcm"), ("nifti/nibabel/anatomical.nii", "x.png"),
    ("nifti/nibabel/anatomical.nii", "x"), ("nifti/nibabel/anatomical.nii", "x.gz"),
    ("dicom/pydicom/MR_small.dcm", "x.png"), ("dicom/pydicom/MR_small.dcm", "x.dcm.gz")])
def test_a_name_of_another_format_is_refused(source, name, fails, data, tmp_path):
    fails(["mr-corrupt", *KEEP, data / source, "-o", tmp_path / name], 64,
          f"{name}: the image is {'NIfTI and stays so' if source[0] == 'n' else 'DICOM'}: name a")
    assert not list(tmp_path.iterdir())


def test_a_bad_name_of_one_output_leaves_the_others_unwritten(fails, data, tmp_path):
    fails(["mr-corrupt", "-a", "motion:2", data / "nifti/nibabel/anatomical.nii", "-o",
           tmp_path / "x.nii", "--print-recipe", tmp_path / "r.json", "--save-kspace",
           tmp_path / "k.png"], 64, "k.png: the image is written as NIfTI")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["x.NII.GZ", "x.nii.gz", "x.Nii"])
def test_names_end_in_any_case(name, run, data, tmp_path):
    run(["mr-corrupt", *KEEP, data / "nifti/nibabel/anatomical.nii", "-o", tmp_path / name])
    assert ((tmp_path / name).read_bytes()[:2] == b"\x1f\x8b") == name.lower().endswith(".gz")


def test_a_device_needs_no_name(run, data):
    run(["mr-corrupt", *KEEP, data / "nifti/nibabel/anatomical.nii", "--force", "-o", "/dev/null"])


def test_what_changes_nothing_leaves_the_description(run, data, tmp_path):
    image = nib.load(data / "nifti/nibabel/anatomical.nii")
    image.header["descrip"] = b"TE=30;Time=123456.000"
    nib.save(image, tmp_path / "in.nii")
    run(["mr-corrupt", *KEEP, tmp_path / "in.nii", "-o", tmp_path / "out.nii"])
    assert (tmp_path / "in.nii").read_bytes() == (tmp_path / "out.nii").read_bytes()
    run(["mr-corrupt", "-a", "rician:1", tmp_path / "in.nii", "-o", tmp_path / "changed.nii"])
    assert nib.load(tmp_path / "changed.nii").header["descrip"].tobytes().rstrip(b"\0") == \
        b"mr-corrupt: rician:1"


def png_of(path, array, mode=None):
    PIL.Image.fromarray(array, mode).save(path)
    return path


def test_nan_is_no_signal_and_infinity_is_refused(run, fails, data, tmp_path):
    source = data / "nifti/nibabel/resampled_anat_moved.nii"
    before = nib.load(source).get_fdata()
    assert np.isnan(before).sum() == 153
    run(["mr-corrupt", *KEEP, source, "-o", tmp_path / "o.nii"])
    assert np.array_equal(nib.load(tmp_path / "o.nii").get_fdata(), np.nan_to_num(before))
    run(["mr-corrupt", "-a", "rician:3", source, "-o", tmp_path / "noisy.nii"])
    before[3, 2, 1] = np.inf
    nib.save(nib.Nifti1Image(before.astype("f4"), np.eye(4)), tmp_path / "in.nii")
    fails(["mr-corrupt", *KEEP, tmp_path / "in.nii", "-o", tmp_path / "x.nii"], 65,
          "1 voxel is not finite, at (3, 2, 1)")


@pytest.mark.parametrize("channels", ["RGB", "RGBA"])
def test_grey_in_colours_is_grey_and_colours_are_refused(channels, run, fails, tmp_path):
    grey = np.random.default_rng(0).integers(0, 256, (5, 4, 3), dtype="u1")
    voxels = np.empty(grey.shape, [(c, "u1") for c in channels])
    for c in channels:
        voxels[c] = grey if c != "A" else 255
    for swap in "<>":
        image = nib.Nifti1Image(voxels, np.diag([2, 3, 4, 1]))
        nib.Nifti1Image(voxels, image.affine, image.header.as_byteswapped(swap)).to_filename(
            tmp_path / "in.nii")
        run(["mr-corrupt", *KEEP, "--force", tmp_path / "in.nii", "-o", tmp_path / "o.nii"])
        after = nib.load(tmp_path / "o.nii")
        assert after.get_data_dtype() == np.uint8 and np.array_equal(after.get_fdata(), grey)
    voxels["G"][4, 3, 2] ^= 1
    nib.Nifti1Image(voxels, np.eye(4)).to_filename(tmp_path / "in.nii")
    fails(["mr-corrupt", *KEEP, "--force", tmp_path / "in.nii", "-o", tmp_path / "o.nii"], 65,
          "an RGB image with colours")


@pytest.mark.parametrize("kind", ["Analyze", "Spm99Analyze", "Spm2Analyze"])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32"])
@pytest.mark.parametrize("swap", "<>")
def test_analyze_is_read_as_nibabel_reads_it_and_written_as_nifti(kind, dtype, swap, run, tmp_path):
    voxels = (np.random.default_rng(0).random((7, 5, 4)) * 200).astype(dtype)
    cls = getattr(nib, kind + "Image")
    header = cls.header_class(endianness=swap)
    header.set_data_dtype(dtype)
    image = cls(voxels, None, header)
    image.header.set_zooms((2, 3, 4))
    for said in (False, True):
        if said and kind == "Analyze":
            continue
        if said:
            image.header["origin"][:3] = [3, 2, 1]
        image.to_filename(tmp_path / "in.hdr")
        (tmp_path / "in.mat").unlink(missing_ok=True)
        before = nib.load(tmp_path / "in.hdr")
        assert "Nifti" not in type(before).__name__
        run(["mr-corrupt", *KEEP, "--force", tmp_path / "in.img", "-o", tmp_path / "o.nii.gz"])
        after = nib.load(tmp_path / "o.nii.gz")
        assert np.array_equal(before.get_fdata(), after.get_fdata())
        assert np.allclose(before.affine, after.affine) and after.header["sform_code"] > 0
        assert after.get_data_dtype() == dtype


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_a_grey_png_is_a_slice_of_its_numbers(dtype, run, tmp_path):
    array = np.random.default_rng(1).integers(0, np.iinfo(dtype).max, (7, 5), dtype, endpoint=True)
    png_of(tmp_path / "x.png", array)
    run(["mr-corrupt", *KEEP, tmp_path / "x.png", "-o", tmp_path / "x.nii.gz"])
    after = nib.load(tmp_path / "x.nii.gz")
    assert after.get_data_dtype() == dtype and after.shape == (5, 7, 1)
    assert np.array_equal(raw_voxels(after)[..., 0].T, array)
    assert nib.aff2axcodes(after.affine) == ("L", "P", "S")


def test_equal_channels_are_grey_and_others_are_refused(run, fails, tmp_path):
    grey = np.arange(12, dtype="u1").reshape(3, 4)
    png_of(tmp_path / "rgb.png", np.stack([grey] * 3, axis=-1))
    run(["mr-corrupt", *KEEP, tmp_path / "rgb.png", "-o", tmp_path / "x.nii"])
    assert np.array_equal(raw_voxels(nib.load(tmp_path / "x.nii"))[..., 0].T, grey)
    png_of(tmp_path / "red.png", np.stack([grey, grey, grey // 2], axis=-1))
    PIL.Image.fromarray(grey).convert("P").save(tmp_path / "palette.png")
    PIL.Image.fromarray(grey).convert("LA").save(tmp_path / "alpha.png")
    whole = (tmp_path / "rgb.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[:-20])
    huge = bytearray(whole)
    huge[16:24] = struct.pack(">II", 1_000_000, 1_000_000)
    huge[29:33] = struct.pack(">I", zlib.crc32(huge[12:29]))
    (tmp_path / "huge.png").write_bytes(huge)
    for name, part in (("red", "in colours"), ("palette", "palette or transparency"),
                       ("alpha", "palette or transparency"), ("cut", "damaged PNG"),
                       ("huge", "truncated: header promises 1000000 x 1000000 pixels")):
        fails(["mr-corrupt", *KEEP, tmp_path / f"{name}.png", "-o", tmp_path / "y.nii"], 65, part)
    fails(["mr-corrupt", *KEEP, tmp_path / "rgb.png", "-o", tmp_path / "y.png"], 64,
          "y.png: the image is written as NIfTI")


def test_bits_of_a_small_png_are_numbers(run, tmp_path):
    PIL.Image.fromarray(np.eye(9, dtype=bool)).save(tmp_path / "x.png")  # one bit a pixel
    run(["mr-corrupt", *KEEP, tmp_path / "x.png", "-o", tmp_path / "x.nii"])
    assert np.array_equal(raw_voxels(nib.load(tmp_path / "x.nii"))[..., 0], np.eye(9))


def test_a_cifti_file_is_no_image(fails, tmp_path):
    image = nib.Nifti1Image(np.ones((1, 1, 1, 1, 3, 4), "<f4"), np.eye(4))
    image.header["intent_code"] = 3001
    nib.save(image, tmp_path / "x.dconn.nii")
    fails(["mr-corrupt", *KEEP, tmp_path / "x.dconn.nii", "-o", tmp_path / "y.nii"], 65,
          "x.dconn.nii: a CIFTI file (intent_code 3001)")


@pytest.mark.parametrize("name", ["uint8", "int16", "uint32", "float32", "float64"])
def test_the_type_of_numbers_can_be_chosen(name, run, data, tmp_path):
    source = data / "nifti/nibabel/anatomical.nii"  # int16
    run(["mr-corrupt", *KEEP, "--datatype", name, source, "-o", tmp_path / "x.nii"])
    before, after = nib.load(source), nib.load(tmp_path / "x.nii")
    assert after.get_data_dtype().name == name
    values, step = np.asarray(before.dataobj, float), float(after.dataobj.slope)
    assert np.abs(np.asarray(after.dataobj, float) - values).max() <= 0.5001 * step
    assert (step > 1) == (name == "uint8")
    assert np.array_equal(before.affine, after.affine)
    fidelity = run(["mr-corrupt", "-a", "motion:3", "--datatype", name, "--manifest-out",
                    tmp_path / "m.json", source, "-o", tmp_path / "moved.nii"])
    assert nib.load(tmp_path / "moved.nii").get_data_dtype().name == name and fidelity.stderr == b""


def test_a_type_that_an_image_cannot_have_is_refused(fails, run, data, tmp_path):
    args = ["mr-corrupt", *KEEP, "-o", tmp_path / "x.nii", "--datatype"]
    fails([*args, "complex64", data / "nifti/nibabel/anatomical.nii"], 65,
          "a real image cannot be stored as complex64")
    fails([*args, "float16", data / "nifti/nibabel/anatomical.nii"], 64, "float16")
    fails([*args[:3], "-o", tmp_path / "x.dcm", "--datatype", "uint8",
           data / "dicom/pydicom/MR_small.dcm"], 64, "MR_small.dcm: the numbers of a DICOM image keep")
    assert not list(tmp_path.iterdir())


def test_all_images_of_a_manifest_get_the_type(run, data, tmp_path):
    (tmp_path / "in").mkdir()
    shutil.copy(data / "nifti/nibabel/anatomical.nii", tmp_path / "in")
    scan = run(["mr-manifest", "scan", tmp_path / "in"]).stdout
    run(["mr-corrupt", "-a", "rician:2", "--datatype", "float32", "-o", tmp_path / "out"], stdin=scan)
    (path,) = (tmp_path / "out").rglob("*.nii")
    assert nib.load(path).get_data_dtype().name == "float32"


def test_a_filter_reads_standard_input_and_writes_standard_output(run, data, tmp_path):
    source = data / "nifti/nifti_space/RAS.nii.gz"
    p = run(["mr-corrupt", *KEEP], stdin=source.read_bytes())
    content = gzip.decompress(p.stdout) if p.stdout[:2] == b"\x1f\x8b" else p.stdout
    (tmp_path / "out.nii").write_bytes(content)
    assert np.array_equal(raw_voxels(nib.load(tmp_path / "out.nii")), raw_voxels(nib.load(source)))


DICOM = {  # file -> its twin that pydicom decodes without plugins
    "pydicom/MR_small.dcm": None,
    "pydicom/MR_small_RLE.dcm": "pydicom/MR_small.dcm",
    "pydicom/MR_small_bigendian.dcm": "pydicom/MR_small.dcm",
    "pydicom/MR_small_implicit.dcm": "pydicom/MR_small.dcm",
    "pydicom/MR_small_jpeg_ls_lossless.dcm": "pydicom/MR_small.dcm",
    "wg04_mr4/MR4_UNC.dcm": None,
    "wg04_mr4/MR4_RLE.dcm": "wg04_mr4/MR4_UNC.dcm",
    "wg04_mr4/MR4_JPLL.dcm": "wg04_mr4/MR4_UNC.dcm",
    "wg04_mr4/MR4_JLSL.dcm": "wg04_mr4/MR4_UNC.dcm",
    "wg04_mr4/MR4_J2KR.dcm": "wg04_mr4/MR4_UNC.dcm",
    "pydicom/MR_small_jp2klossless.dcm": "pydicom/MR_small.dcm",
    "derived-12bit/u12_clean.dcm": None,
    "derived-12bit/u12_dirty_high_bits.dcm": None,
    "derived-12bit/s12_no_sign_extension.dcm": None,
    "derived-12bit/s12_dirty_high_bits.dcm": None,
}


def stored_values(dataset):
    """Stored pixels by the standard's rule: BitsStored bits, the sign from the highest."""
    pixels = dataset.pixel_array.astype(np.int64) & ((1 << dataset.BitsStored) - 1)
    if dataset.PixelRepresentation:
        pixels -= (pixels >> (dataset.BitsStored - 1)) << dataset.BitsStored
    return pixels


def validator_errors(path):
    p = subprocess.run(["dciodvfy", "-new", str(path)], capture_output=True)
    lines = (p.stdout + p.stderr).decode(errors="replace").splitlines()
    return {line for line in lines if line.startswith("Error")}


def check_derived(before, after):
    assert after.file_meta.TransferSyntaxUID == pydicom.uid.ExplicitVRLittleEndian
    assert after.file_meta.MediaStorageSOPInstanceUID == after.SOPInstanceUID
    assert after.StudyInstanceUID == before.StudyInstanceUID
    assert after.PatientID == before.PatientID
    assert after.SOPInstanceUID != before.SOPInstanceUID
    assert after.SeriesInstanceUID != before.SeriesInstanceUID
    for uid in (after.SOPInstanceUID, after.SeriesInstanceUID):
        assert uid.is_valid and uid.startswith("2.25.")
    assert list(after.ImageType[:2]) == ["DERIVED", "SECONDARY"]
    (source,) = after.SourceImageSequence
    assert source.ReferencedSOPInstanceUID == before.SOPInstanceUID
    assert source.PurposeOfReferenceCodeSequence[0].CodeValue == "121322"
    assert after.SeriesNumber == before.SeriesNumber + 1000
    for key in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "BitsStored",
                "RescaleSlope", "RescaleIntercept", "PixelRepresentation"):
        assert before.get(key) == after.get(key), key


@pytest.mark.parametrize("name", DICOM)
def test_pydicom_sees_the_same_image(name, run, data, tmp_path):
    source, target = data / "dicom" / name, tmp_path / "out.dcm"
    run(["mr-corrupt", *KEEP, source, "-o", target])
    before, after = pydicom.dcmread(source), pydicom.dcmread(target)
    twin = pydicom.dcmread(data / "dicom" / DICOM[name]) if DICOM[name] else before
    assert np.array_equal(stored_values(after), stored_values(twin))
    check_derived(before, after)


def test_lossy_jpeg_2000_is_decoded_to_the_known_sum(run, data, tmp_path):
    run(["mr-corrupt", *KEEP, data / "dicom/wg04_mr4/MR4_J2KI.dcm", "-o", tmp_path / "out.dcm"])
    pixels = pydicom.dcmread(tmp_path / "out.dcm").pixel_array
    assert (pixels.min(), pixels.max(), pixels.sum()) == (0, 2146, 397_348_357)


ALL = ["rician:0", "gain-common:5", "jpeg:3", "jpeg2000:3", "burnt-in-text:3", "motion:3"]


@pytest.mark.parametrize("name, artifact", [
    *(("pydicom/MR_small.dcm", a) for a in ALL), *(("derived-12bit/u12_clean.dcm", a) for a in ALL),
    ("wg04_mr4/MR4_UNC.dcm", "rician:0")])  # its rescaled values are negative: no magnitude
def test_the_validator_finds_no_new_error(name, artifact, run, data, tmp_path):
    if not shutil.which("dciodvfy"):
        pytest.skip("dciodvfy (dicom3tools) is not installed")
    source, target = data / "dicom" / name, tmp_path / "out.dcm"
    run(["mr-corrupt", "-a", artifact, source, "-o", target])
    assert validator_errors(target) <= validator_errors(source)


@pytest.fixture
def small(data, tmp_path):
    """A classic MR file with changes: small(EchoTime="30") is the path of a copy."""
    def make(name="in.dcm", **changes):
        dataset = pydicom.dcmread(data / "dicom/pydicom/MR_small.dcm")
        for key, value in changes.items():
            setattr(dataset, key, value)
        dataset.save_as(tmp_path / name)
        return tmp_path / name
    return make


def derived(run, source, artifact):
    target = source.parent / "out.dcm"
    run(["mr-corrupt", "--force", "-a", artifact, source, "-o", target])
    return pydicom.dcmread(target)


def test_windows_are_scaled_as_the_image_was(run, small):
    source = small(WindowCenter=["600", "100"], WindowWidth=["1600", "50.5"])
    after = derived(run, source, "gain-common:5")
    gain = after.pixel_array.max() / pydicom.dcmread(source).pixel_array.max()
    assert gain == pytest.approx(4, rel=1e-3)
    assert list(after.WindowCenter) == pytest.approx([600 * gain, 100 * gain], rel=1e-2)
    assert list(after.WindowWidth) == pytest.approx([1600 * gain, 50.5 * gain], rel=1e-2)
    same = derived(run, source, "rician:0")
    assert same.WindowCenter == [600, 100] and same.WindowWidth == [1600, 50.5]


def test_a_derived_object_says_what_was_done(run, small):
    source = small(SeriesDescription="t1_se_tra")
    after = derived(run, source, "jpeg:3")
    assert after.DerivationDescription == "mr-corrupt: jpeg:3"
    assert after.DerivationCodeSequence[0].CodeMeaning == "Simulated MR artifacts"
    assert after.SeriesDescription == "t1_se_tra mr-corrupt: jpeg:3"
    assert (after.LossyImageCompression, after.LossyImageCompressionMethod) == ("01", "ISO_10918_1")
    pixels = np.round(after.pixel_array * 255.0 / after.pixel_array.max()).astype("u1")
    with io.BytesIO() as file:
        PIL.Image.fromarray(pixels).save(file, "JPEG", quality=15)  # severity 3
        assert float(after.LossyImageCompressionRatio) == pytest.approx(
            pixels.size / file.tell(), rel=0.1)
    assert after.get("BurnedInAnnotation") != "YES"
    after = derived(run, small("lossy.dcm", LossyImageCompression="01", SeriesDescription="x" * 60,
                               LossyImageCompressionMethod="ISO_14495_1"), "jpeg2000:2")
    assert list(after.LossyImageCompressionMethod) == ["ISO_14495_1", "ISO_15444_1"]
    assert "LossyImageCompressionRatio" not in after  # which the first has not
    assert after.SeriesDescription == "mr-corrupt: jpeg2000:2"
    assert derived(run, source, "burnt-in-text:3").BurnedInAnnotation == "YES"
    nothing = derived(run, source, "rician:0")
    assert "DerivationCodeSequence" not in nothing and nothing.get("LossyImageCompression") != "01"
    assert nothing.SeriesDescription == "t1_se_tra"


@pytest.mark.parametrize("kind", [["ORIGINAL", "PRIMARY", "P", "ND"],
                                  ["ORIGINAL", "PRIMARY", "PHASE MAP", "P", "FFE"]])
def test_a_phase_image_is_no_magnitude(kind, fails, small, tmp_path):
    fails(["mr-corrupt", *KEEP, small(ImageType=kind), "-o", tmp_path / "out.dcm"], 65,
          "a phase image")


@pytest.mark.parametrize("changes, names", [
    ({"ImageType": ["ORIGINAL", "PRIMARY", "R_FFE", "R", "FFE"]}, ("", "_real")),
    ({"EchoTime": "99"}, ("_e2", "_e1"))])  # the first have 240 ms
def test_slices_of_two_kinds_are_two_images(changes, names, run, fails, small, tmp_path):
    folder = tmp_path / "series"
    folder.mkdir()
    for k in range(4):
        small(f"series/{k}.dcm", ImagePositionPatient=["0", "0", str(3 * k)],
              SOPInstanceUID=f"1.2.3.{k}", **(changes if k > 1 else {
                  "ImageType": ["ORIGINAL", "PRIMARY", "M_FFE", "M", "FFE"]} if "Image" in str(changes)
                  else {}))
    fails(["mr-corrupt", *KEEP, folder, "-o", tmp_path / "out"], 65, "series: holds 2 images: "
          f"#1{names[0]} (2 of 64x64), #1{names[1]} (2 of 64x64); name one, as ")
    for i, name in enumerate(names):
        run(["mr-corrupt", *KEEP, f"{folder}#1{name}", "-o", tmp_path / f"out{i}"])
        assert sorted(p.name for p in (tmp_path / f"out{i}").iterdir()) == [
            f"{2 * i}.dcm", f"{2 * i + 1}.dcm"]


def test_an_intercept_that_is_left_out_is_0(run, small):
    source = small(RescaleSlope="2")
    before = pydicom.dcmread(source)
    assert "RescaleIntercept" not in before
    after = derived(run, source, "rician:0")
    assert np.array_equal(after.pixel_array, before.pixel_array)


@pytest.mark.parametrize("syntax", ["ImplicitVRLittleEndian", "ExplicitVRLittleEndian"])
def test_a_file_without_preamble_is_read_and_found(syntax, run, data, tmp_path):
    dataset = pydicom.dcmread(data / "dicom/pydicom/MR_small.dcm")
    folder = tmp_path / "old"
    folder.mkdir()
    with open(folder / "IM1", "wb") as file:
        writer = pydicom.filebase.DicomFileLike(file)
        writer.is_little_endian, writer.is_implicit_VR = True, syntax.startswith("Implicit")
        pydicom.filewriter.write_dataset(writer, dataset)
    assert (folder / "IM1").read_bytes()[:2] == b"\x08\0"
    run(["mr-corrupt", *KEEP, folder / "IM1", "-o", tmp_path / "out.dcm"])
    after = pydicom.dcmread(tmp_path / "out.dcm")
    assert np.array_equal(after.pixel_array, dataset.pixel_array)
    (entry,) = json.loads(run(["mr-manifest", "scan", tmp_path, "--pattern", "old"]).stdout)["images"]
    assert entry["attributes"]["manufacturer"] == dataset.Manufacturer


def test_attributes_are_utf_8_whatever_the_character_set(run, small, tmp_path):
    small(SpecificCharacterSet="ISO_IR 100", Manufacturer="Si\u00e8mens")
    (entry,) = json.loads(run(["mr-manifest", "scan", tmp_path]).stdout)["images"]
    assert entry["attributes"]["manufacturer"] == "Si\u00e8mens"


def test_a_lone_dicom_file_passes_through_a_pipe(run, data, tmp_path):
    source = data / "dicom/wg04_mr4/MR4_UNC.dcm"
    p = run(["mr-corrupt", *KEEP], stdin=source.read_bytes())
    (tmp_path / "out.dcm").write_bytes(p.stdout)
    after = pydicom.dcmread(tmp_path / "out.dcm")
    assert np.array_equal(after.pixel_array, pydicom.dcmread(source).pixel_array)


@pytest.fixture
def series(data, tmp_path):
    """Fifteen slices of one time point of a 2-D EPI, under names that do not follow position."""
    files = sorted((data / "dicom/dcm_qa_nih/In/20180918GE/mr_0004").glob("*.dcm"))[:15]
    folder = tmp_path / "series"
    folder.mkdir()
    for i, file in enumerate(files):
        shutil.copy(file, folder / f"{(7 * i) % 15:02d}.dcm")
    return folder


def test_a_series_is_sorted_by_position_and_written_as_a_series(run, series, tmp_path):
    target = tmp_path / "out"
    run(["mr-corrupt", *KEEP, series, "-o", target])
    names = sorted(f.name for f in series.iterdir())
    assert sorted(f.name for f in target.iterdir()) == names
    after = [pydicom.dcmread(target / n) for n in names]
    for name, dataset in zip(names, after):
        before = pydicom.dcmread(series / name)
        assert np.array_equal(dataset.pixel_array, before.pixel_array)
        check_derived(before, dataset)
    assert len({d.SeriesInstanceUID for d in after}) == 1
    assert len({d.SOPInstanceUID for d in after}) == len(names)
    again = tmp_path / "again"
    run(["mr-corrupt", *KEEP, series, "-o", again])
    for name in names:
        assert (again / name).read_bytes() == (target / name).read_bytes()


def test_a_folder_that_is_not_one_even_series_is_refused(fails, series, data, tmp_path):
    out = tmp_path / "out"

    def refused(*parts):
        fails(["mr-corrupt", *KEEP, str(series), "-o", str(out)], 65, *parts)
        assert not out.exists()

    middle = series / "03.dcm"
    position = {f: pydicom.dcmread(f).ImagePositionPatient[2] for f in series.iterdir()}
    order = sorted(position, key=position.get)
    gap = order[7]
    content = gap.read_bytes()
    gap.unlink()
    refused(f"slices are missing between {order[6].name} and {order[8].name}: ",
            " mm apart, others ")
    gap.write_bytes(content)
    shutil.copy(middle, series / "twice.dcm")
    refused("03.dcm", "twice.dcm", "one image twice")
    again = pydicom.dcmread(series / "twice.dcm")
    again.SOPInstanceUID = "1.2.3"
    again.save_as(series / "twice.dcm")
    refused(f"of the slice of {order[0].name} there are 1 images, of that of 03.dcm 2")
    (series / "twice.dcm").unlink()
    shutil.copy(data / "dicom/pydicom/MR_small.dcm", series / "other.dcm")
    refused("holds 2 images: #1 (1 of 64x64), #4 (15 of 64x64)")


BAD = [
    ("malformed/nifti-mutated/empty.nii", 65, "empty file"),
    ("malformed/not-nifti.nii", 65, "not an image file"),
    ("malformed/nifti-mutated/gz_cut.nii.gz", 65, "truncated gzip"),
    ("malformed/nifti-mutated/data_cut_half.nii", 65,
     "truncated: header promises 54 bytes, file has 27"),
    ("malformed/nifti-mutated/dim_huge.nii", 65, "header promises 70362301923326 bytes"),
    ("malformed/nifti-mutated/nifti2_dim_2p62.nii", 65, "absurd dimensions"),
    ("nifti/nifti-rs/rgb", 65, "RGB"),
    ("dicom/pydicom-data/emri_small.dcm", 65, "10 frames and functional groups of 0"),
    ("dicom/pydicom/rtdose.dcm", 65, "want a DICOM MR Image"),
    ("dicom/pydicom/dicomdir/DICOMDIR", 65, "holds 17 images: "),
    ("dicom/nitest-balls1/DICOM/fieldmap.dcm", 65,
     "holds 2 images: #1101 (10 of 80x80), #1101_ph (10 of 80x80); name one"),
    ("dicom/nitest-balls1/DICOM#1101_ph", 65, "a phase image"),
    ("dicom/nitest-balls1/DICOM#7", 65, "no such image; there are 601, 701, 801, "),
    ("malformed/nifti-mutated/ext_esize_7.nii", 65, "extension"),
    ("nowhere.nii", 66, "No such file"),
]


@pytest.mark.parametrize("name,status,part", BAD)
def test_a_bad_input_is_one_line_and_a_status(name, status, part, fails, data, tmp_path):
    path = data / name
    if path.is_dir():
        path = sorted(p for p in path.iterdir() if ".nii" in p.name)[0]
    fails(["mr-corrupt", *KEEP, str(path), "-o", str(tmp_path / "o.nii")], status, path.name, part)
    assert not list(tmp_path.iterdir())


def test_damaged_dicom_never_crashes(run, data, tmp_path):
    for folder in ("dicom-fuzzing-corpus", "pydicom", "fo-dicom"):
        for path in sorted((data / "malformed" / folder).rglob("*")):
            if not path.is_file():
                continue
            p = run(["mr-corrupt", *KEEP, path, "-o", tmp_path / "o.dcm"], check=False, timeout=20)
            assert p.returncode in (0, 64, 65), (path, p.returncode, p.stderr)
            assert p.returncode == 0 or p.stderr.count(b"\n") == 1, (path, p.stderr)
            (tmp_path / "o.dcm").unlink(missing_ok=True)
