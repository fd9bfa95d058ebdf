"""Images of DICOM folders, DICOMDIRs and multi-frame files: dcm2niix and pydicom see the same."""
import json
import shutil
import subprocess

import nibabel as nib
import numpy as np
import pydicom
import pytest
from test_image_files import validator_errors

KEEP = ["-a", "rician:0"]


def canonical(path):
    image = nib.as_closest_canonical(nib.load(path))
    return np.squeeze(image.get_fdata()), image.affine


def converted(source, folder):
    """What dcm2niix makes of a file or folder: {name: (voxels, affine)}, Philips values by the
    standard (-p n)."""
    if not shutil.which("dcm2niix"):
        pytest.skip("dcm2niix is not installed")
    folder.mkdir()
    if source.is_file():
        (folder / "in").mkdir()
        shutil.copy(source, folder / "in")
        source = folder / "in"
    subprocess.run(["dcm2niix", "-d", "0", "-b", "n", "-z", "n", "-p", "n", "-f", "%s_%f", "-o",
                    folder, source], capture_output=True)
    return {p.stem: canonical(p) for p in folder.glob("*.nii")}


def same(ours, theirs):
    return ours[0].shape == theirs[0].shape and np.array_equal(ours[0], theirs[0]) and np.allclose(
        ours[1], theirs[1], atol=2e-4)  # mm


# image: shape as nibabel squeezes it
IMAGES = {
    "dcm_qa_nih/In/20180918GE/mr_0004": (64, 64, 15, 10),
    "dcm_qa_nih/In/20180918Si/mr_0003": (72, 72, 5, 2),
    "dcm_qa_nih/In/20180918Si/mr_0005": (72, 72, 5, 2),
    "dcm_qa_ts/In/1.dcm": (64, 64, 35),
    "dcm_qa_ts/In/4.dcm": (64, 64, 35),
    "dcm_qa_ts/In/9.dcm": (64, 64, 35),
    "dcm_qa_ts/In#3": (64, 64, 35),
    "dcm_qa_enh_xa10": (64, 64, 6, 4),
    "nitest-balls1/DICOM/T1.dcm": (80, 80, 10),
    "nitest-balls1/DICOM/T2_-interleaved.dcm": (80, 80, 10, 2),
    "nitest-balls1/DICOM#1101": (80, 80, 10),
    "pydicom/dicomdir/DICOMDIR#700_3": (16, 16),
}


@pytest.mark.parametrize("name", IMAGES)
def test_dcm2niix_sees_the_same_image(name, run, data, tmp_path):
    source = data / "dicom" / name
    run(["mr-corrupt", *KEEP, source, "-o", tmp_path / "ours.nii.gz"])
    ours = canonical(tmp_path / "ours.nii.gz")
    assert ours[0].shape == IMAGES[name]
    plain = data / "dicom" / name.split("#")[0]
    if plain.name == "DICOMDIR":
        plain = plain.parent / "98892003/MR700"
    theirs = converted(plain, tmp_path / "theirs")
    assert any(same(ours, one) for one in theirs.values()), theirs.keys()


def test_directions_of_diffusion_are_one_image_and_their_trace_another(run, data, tmp_path):
    source = data / "dicom/nitest-balls1/DICOM"
    for name in ("1201", "1201_trace"):
        run(["mr-corrupt", *KEEP, f"{source}#{name}", "-o", tmp_path / f"{name}.nii"])
    directions, trace = (canonical(tmp_path / f"{n}.nii") for n in ("1201", "1201_trace"))
    theirs = converted(source, tmp_path / "theirs")
    (all_of_them,) = [v for v, _ in theirs.values() if v.shape == (80, 80, 10, 8)]
    volumes = {v.tobytes() for v in np.moveaxis(all_of_them, 3, 0).copy()}
    assert {v.tobytes() for v in np.moveaxis(directions[0], 3, 0).copy()} | {
        trace[0].copy().tobytes()} == volumes


def new_errors(before, after):
    # PS3.3 C.8.13.4 and C.7.6.18.2: these attributes "may be present otherwise", in a derived object.
    stray = ("Module=<MRPulseSequence>", "Module=<BulkMotionSynchronization>")
    return {e for e in validator_errors(after) - validator_errors(before)
            if not (e.endswith(stray) and "may not be present otherwise" in e)}


@pytest.mark.parametrize("name, artifact", [
    ("dcm_qa_nih/In/20180918GE/mr_0004", "rician:3"), ("dcm_qa_nih/In/20180918Si/mr_0003", "bias:5"),
    ("dcm_qa_ts/In/4.dcm", "bias:5"), ("dcm_qa_enh_xa10", "gain-common:5"),
    ("nitest-balls1/DICOM/T2_.dcm", "bias:5"), ("nitest-balls1/DICOM#1101", "rician:3"),
    ("nitest-balls1/DICOM/DTI.dcm", "jpeg:4"), ("nitest-balls1/DICOM/T1.dcm", "jpeg2000:2")])
def test_what_is_written_is_read_alike_by_all(name, artifact, run, data, tmp_path):
    source = data / "dicom" / name
    if name.endswith("DTI.dcm"):
        source = f"{source}#1201"
    target = tmp_path / ("out" if data.joinpath("dicom", name).is_dir() else "out.dcm")
    run(["mr-corrupt", "-a", artifact, source, "-o", target])
    run(["mr-corrupt", "-a", artifact, source, "-o", tmp_path / "ours.nii"])
    ours = canonical(tmp_path / "ours.nii")
    if not name.endswith("DTI.dcm"):  # whose volumes dcm2niix puts into another order
        (theirs,) = converted(target, tmp_path / "theirs").values()
        assert same(ours, theirs)
    run(["mr-corrupt", *KEEP, target, "-o", tmp_path / "again.nii"])
    assert same(ours, canonical(tmp_path / "again.nii"))
    if not shutil.which("dciodvfy"):
        pytest.skip("dciodvfy (dicom3tools) is not installed")
    plain = data / "dicom" / name.split("#")[0]
    if plain.name == "DICOM":
        plain = plain / "fieldmap.dcm"
    before = plain if plain.is_file() else sorted(p for p in plain.iterdir() if p.suffix == ".dcm")[0]
    after = target if target.is_file() else target / before.name
    assert new_errors(before, after) == set()


def test_multi_frame_stays_multi_frame_and_says_what_was_done(run, data, tmp_path):
    source = data / "dicom/nitest-balls1/DICOM/fieldmap.dcm"
    run(["mr-corrupt", "-a", "bias:3", f"{source}#1101", "-o", tmp_path / "out.dcm"])
    before, after = pydicom.dcmread(source), pydicom.dcmread(tmp_path / "out.dcm")
    assert after.SOPClassUID == before.SOPClassUID and after.NumberOfFrames == 10
    assert len(after.PerFrameFunctionalGroupsSequence) == 10  # of 20: the others show the phase
    assert after.pixel_array.shape == (10, 80, 80)
    assert list(after.ImageType[:2]) == ["DERIVED", "PRIMARY"]
    groups = [after.SharedFunctionalGroupsSequence[0], *after.PerFrameFunctionalGroupsSequence]
    assert all(g.MRImageFrameTypeSequence[0].FrameType[0] == "DERIVED" for g in groups
               if "MRImageFrameTypeSequence" in g)
    (derivation,) = [g.DerivationImageSequence[0] for g in groups if "DerivationImageSequence" in g]
    assert derivation.DerivationDescription == "mr-corrupt: bias:3"
    assert derivation.SourceImageSequence[0].ReferencedSOPInstanceUID == before.SOPInstanceUID
    evidence = after.SourceImageEvidenceSequence[-1].ReferencedSeriesSequence[0]
    assert evidence.SeriesInstanceUID == before.SeriesInstanceUID != after.SeriesInstanceUID


def test_a_mosaic_stays_a_mosaic(run, data, tmp_path):
    source = data / "dicom/dcm_qa_ts/In/4.dcm"
    run(["mr-corrupt", *KEEP, source, "-o", tmp_path / "out.dcm"])
    before, after = (pydicom.dcmread(p) for p in (data / "dicom/dcm_qa_ts/In/1.dcm",
                                                  tmp_path / "out.dcm"))
    assert np.array_equal(before.pixel_array, after.pixel_array)
    assert after.ImageType[-1] == "MOSAIC"


def test_a_mosaic_without_its_private_header_is_refused(fails, data, tmp_path):
    dataset = pydicom.dcmread(data / "dicom/dcm_qa_ts/In/1.dcm")
    dataset.remove_private_tags()
    dataset.save_as(tmp_path / "in.dcm")
    fails(["mr-corrupt", *KEEP, tmp_path / "in.dcm", "-o", tmp_path / "o.dcm"], 65,
          "a mosaic of slices whose number and order are not known")


def images_of(run, *args):
    p = run(["mr-manifest", "scan", *args])
    return {i["id"]: i for i in json.loads(p.stdout)["images"]}, p.stderr.decode()


def test_scan_finds_the_images_of_a_mixed_folder(run, data, tmp_path, schema):
    """A whole examination in one folder, beside an object that is no MR image."""
    folder = tmp_path / "study"
    folder.mkdir()
    sets = data / "dicom"
    for i, file in enumerate(sorted((sets / "dcm_qa_nih/In/20180918GE/mr_0004").glob("*.dcm"))):
        shutil.copy(file, folder / f"IM{i}")
    for series in ("mr_0003", "mr_0005"):
        for file in (sets / "dcm_qa_nih/In/20180918Si" / series).glob("*.dcm"):
            shutil.copy(file, folder)
    for name in ("nitest-balls1/DICOM/fieldmap.dcm", "nitest-balls1/DICOM/T1.dcm",
                 "dicomParser/CT1_UNC.explicit_little_endian.dcm"):
        if (sets / name).exists():
            shutil.copy(sets / name, folder)
    shutil.copy(next((sets / "pydicom").glob("rtdose.dcm")), folder)
    for file in (sets / "pydicom/dicomdir/98892003/MR2").iterdir():
        shutil.copy(file, folder)
    images, messages = images_of(run, tmp_path, "--threads", "2")
    assert set(images) == {"study#3", "study#4", "study#5", "study#1101", "study/T1", "study/15970"}
    assert "left out: DICOM objects that are no MR images: 1 RTDose" in messages
    assert "left out: phase images: 1 image (study#1101_ph)" in messages
    assert "left out: of several planes, as localizers are (--localizers takes them): 6 " in messages
    assert images["study#4"]["file"].endswith("/study#4")
    with_localizers, _ = images_of(run, tmp_path, "--localizers")
    assert set(with_localizers) - set(images) == {
        f"study/{n}" for n in (4950, 4981, 5011, 6273, 6605, 6935)}
    some, messages = images_of(run, tmp_path, "--pattern", "study#[35]")
    assert set(some) == {"study#3", "study#5"} and "phase image" not in messages
    listed = images_of(run, sets / "pydicom/dicomdir/DICOMDIR", "--localizers")[0]
    assert len(listed) == 17 and "98892003/MR700/4467" in listed

    manifest = tmp_path / "m.json"
    manifest.write_bytes(run(["mr-manifest", "scan", tmp_path]).stdout)
    schema("mr-manifest")(json.loads(manifest.read_text()))
    run(["mr-manifest", "check", manifest])
    out = json.loads(run(["mr-corrupt", "-a", "motion:2", "-o", tmp_path / "out", manifest]).stdout)
    written = {i["id"]: i["file"] for i in out["images"]}
    assert set(written) == set(images)
    whole, alone = tmp_path / "whole.nii", tmp_path / "alone.nii"
    run(["mr-corrupt", *KEEP, written["study#4"], "-o", whole])
    alone_folder = sets / "dcm_qa_nih/In/20180918GE/mr_0004"
    run(["mr-corrupt", "-a", "motion:2", "--id", "study#4", alone_folder, "-o", alone])
    assert same(canonical(whole), canonical(alone))


def test_two_series_of_one_number_are_told_apart_by_a_hash(run, fails, data, tmp_path):
    dataset = pydicom.dcmread(data / "dicom/pydicom/MR_small.dcm")
    for i in range(4):
        dataset.SOPInstanceUID = f"1.2.3.{i}"
        dataset.SeriesInstanceUID = f"1.2.3.{i // 2}00"
        dataset.ImagePositionPatient = ["0", "0", str(3 * i)]
        dataset.save_as(tmp_path / f"{i}.dcm")
    images, _ = images_of(run, tmp_path)
    assert len(images) == 2 and all(name.startswith("1-") and len(name) == 10 for name in images)
    fails(["mr-corrupt", *KEEP, f"{tmp_path}#1", "-o", tmp_path / "o"], 65, "no such image; there are 1-")
    (tmp_path / "2.dcm").unlink()
    (tmp_path / "3.dcm").unlink()  # now the number alone would do; the longer name still does
    name = pydicom.dcmread(tmp_path / "0.dcm").SeriesInstanceUID
    assert name == "1.2.3.000"
    done = [run(["mr-corrupt", *KEEP, f"{tmp_path}#{n}", "-o", tmp_path / f"o{i}"], check=False)
            for i, n in enumerate(sorted(images))]
    assert sorted(p.returncode for p in done) == [0, 65]


def test_one_damaged_file_spoils_its_series_and_no_other(run, fails, data, tmp_path):
    series = data / "dicom/dcm_qa_nih/In/20180918Si"
    for number in ("mr_0003", "mr_0005"):
        for file in (series / number).glob("*.dcm"):
            shutil.copy(file, tmp_path)
    victim = sorted(tmp_path.glob("*ap*.dcm"))[0]
    victim.write_bytes(victim.read_bytes()[:-5000])
    fails(["mr-corrupt", *KEEP, f"{tmp_path}#3", "-o", tmp_path / "o"], 65, victim.name)
    run(["mr-corrupt", *KEEP, f"{tmp_path}#5", "-o", tmp_path / "o"])
    shutil.rmtree(tmp_path / "o")
    images, messages = images_of(run, tmp_path, "--allow-unreadable")
    assert set(images) == {"5"} and victim.name in messages
    (tmp_path / "broken.dcm").write_bytes(victim.read_bytes()[:200])  # of which series it is is lost
    fails(["mr-corrupt", *KEEP, tmp_path, "-o", tmp_path / "o"], 65, "broken.dcm")


@pytest.mark.parametrize("key, values", [
    ("TemporalPositionIdentifier", [3, 1, 2]), ("TriggerTime", ["20.5", "700", "100"]),
    ("AcquisitionTime", ["120001.5", "115959.25", "120000"]), ("InstanceNumber", ["9", "7", "8"])])
def test_repeats_are_ordered_by_what_tells_them_apart(key, values, run, data, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    dataset = pydicom.dcmread(data / "dicom/pydicom/MR_small.dcm")
    dataset.InstanceNumber = "1"
    for slice_ in range(2):
        for i, value in enumerate(values):
            setattr(dataset, key, value)
            dataset.SOPInstanceUID = f"1.2.3.{slice_}.{i}"
            dataset.ImagePositionPatient = ["0", "0", str(3 * slice_)]
            dataset.PixelData = np.full((64, 64), 100 * i + slice_, "<i2").tobytes()
            dataset.save_as(folder / f"{slice_}{i}.dcm")
    run(["mr-corrupt", *KEEP, folder, "-o", tmp_path / "o.nii"])
    voxels = nib.load(tmp_path / "o.nii").get_fdata()
    order = sorted(range(3), key=lambda i: float(values[i]))
    assert np.array_equal(voxels[0, 0], [[100 * i + s for i in order] for s in range(2)])


@pytest.fixture
def write(data, tmp_path):
    """write("a/1.dcm", z=3, PatientID="x"): a copy of a real slice at that position, with changes."""
    def make(name, z=0.0, pixels=None, **changes):
        dataset = pydicom.dcmread(data / "dicom/pydicom/MR_small.dcm")
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        dataset.SOPInstanceUID = "1.2.3." + str(abs(hash((name, z))) % 10**9)
        dataset.ImagePositionPatient = ["0", "0", str(z)]
        if pixels is not None:
            dataset.PixelData = np.asarray(pixels, "<i2").tobytes()
        for key, value in changes.items():
            setattr(dataset, key, value)
        dataset.save_as(path)
        return path
    return make


def voxels_of(run, source, tmp_path):
    run(["mr-corrupt", *KEEP, "--force", source, "-o", tmp_path / "voxels.nii"])
    return np.squeeze(nib.load(tmp_path / "voxels.nii").get_fdata())


def test_triggers_that_jitter_do_not_mix_diffusion_weightings(run, write, tmp_path):
    for z, triggers in ((0, (512.5, 498)), (3, (497, 505))):
        for i, (b, trigger) in enumerate(zip((0, 1000), triggers)):
            write(f"dwi/{z}{i}.dcm", z, np.full((64, 64), 1000 + b + z), DiffusionBValue=float(b),
                  TriggerTime=str(trigger), AcquisitionNumber="1")
    voxels = voxels_of(run, tmp_path / "dwi", tmp_path)
    assert np.array_equal(voxels[0, 0], [[1000, 2000], [1003, 2003]])


def test_a_run_across_midnight_keeps_its_order(run, write, tmp_path):
    for i, (date, time) in enumerate((("20240229", "235959"), ("20240301", "000001"))):
        write(f"run/{i}.dcm", 0, np.full((64, 64), i), AcquisitionDate=date, AcquisitionTime=time,
              ContentTime="000000", InstanceNumber="1")
    assert list(voxels_of(run, tmp_path / "run", tmp_path)[0, 0]) == [0, 1]


def test_slices_that_may_be_lost_are_missed(run, fails, write, tmp_path):
    for z in range(0, 15, 3):
        write(f"s/IM{z}", z)
    folder, out = tmp_path / "s", ["-o", tmp_path / "o"]
    whole = (folder / "IM12").read_bytes()
    run(["mr-corrupt", *KEEP, folder, *out])
    for content in (b"", None):
        (folder / "IM12").unlink()
        (folder / "IM12").symlink_to("nowhere") if content is None else (
            folder / "IM12").write_bytes(content)
        fails(["mr-corrupt", *KEEP, folder, "-o", tmp_path / "x"], 65, "IM12: ",
              "a link to nothing" if content is None else "no DICOM file: damaged")
    (folder / "IM12").unlink()
    (folder / "IM12").write_bytes(whole[:whole.index(b"\x20\x00\x0e\x00")])  # before its series
    fails(["mr-corrupt", *KEEP, f"{folder}#1", "-o", tmp_path / "x"], 65, "IM12: ")
    p = run(["mr-manifest", "scan", "--allow-unreadable", tmp_path / "s"], check=False)
    assert p.returncode == 65 and b"no image is left" in p.stderr
    (folder / "IM12").unlink()
    (folder / "README").write_text("no image, and no loss")
    run(["mr-corrupt", *KEEP, folder, "-o", tmp_path / "x"])


def test_ge_says_in_a_private_element_what_it_shows(run, fails, write, tmp_path):
    for z in (0, 3, 6):
        for kind in range(4):
            path = write(f"ge/{z}{kind}.dcm", z, np.full((64, 64), 100 * kind), Manufacturer="GE MEDICAL",
                         ImageType=["ORIGINAL", "PRIMARY", "OTHER"], InstanceNumber=str(4 * z + kind))
            dataset = pydicom.dcmread(path)
            dataset.private_block(0x0043, "GEMS_PARM_01", create=True).add_new(0x2f, "SS", kind)
            dataset.save_as(path)
    fails(["mr-corrupt", *KEEP, tmp_path / "ge", "-o", tmp_path / "o"], 65,
          "#1 (3 of 64x64), #1_ph (3 of 64x64), #1_real (3 of 64x64), #1_imaginary (3 of 64x64)")
    assert np.all(voxels_of(run, f"{tmp_path}/ge#1", tmp_path) == 0)


def test_converted_objects_keep_apart_what_their_frames_say(run, fails, data, tmp_path):
    dataset = pydicom.dcmread(data / "dicom/nitest-balls1/DICOM/T1.dcm")
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.4.4"  # legacy converted enhanced MR
    groups = [dataset.SharedFunctionalGroupsSequence[0], *dataset.PerFrameFunctionalGroupsSequence]
    for group in groups:
        for key in ("MREchoSequence", "MRImageFrameTypeSequence"):
            if key in group:
                delattr(group, key)
    for i, group in enumerate(dataset.PerFrameFunctionalGroupsSequence):
        item = pydicom.Dataset()
        item.EchoTime = str(10 if i < 5 else 90)
        group.UnassignedPerFrameConvertedAttributesSequence = [item]
        group.PlanePositionSequence[0].ImagePositionPatient = ["0", "0", str(i % 5)]
        group.PlaneOrientationSequence[0].ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
    dataset.save_as(tmp_path / "in.dcm")
    fails(["mr-corrupt", *KEEP, tmp_path / "in.dcm", "-o", tmp_path / "o.dcm"], 65,
          "#601_e1 (5 of 80x80), #601_e2 (5 of 80x80)")


def test_an_object_that_is_mixed_says_by_frame_what_it_shows(fails, data, tmp_path):
    dataset = pydicom.dcmread(data / "dicom/nitest-balls1/DICOM/fieldmap.dcm")
    dataset.ComplexImageComponent = "MIXED"
    for i, group in enumerate(dataset.PerFrameFunctionalGroupsSequence):
        kind = group.MRImageFrameTypeSequence[0]
        kind.FrameType = ["ORIGINAL", "PRIMARY", "M" if i < 10 else "P", "NONE"]
        if "ComplexImageComponent" in kind:
            del kind.ComplexImageComponent
    dataset.save_as(tmp_path / "in.dcm")
    fails(["mr-corrupt", *KEEP, tmp_path / "in.dcm", "-o", tmp_path / "o.dcm"], 65, "#1101_ph")


def test_names_that_collide_are_told_apart(run, write, tmp_path):
    for z, name in enumerate(("IM1", "IM1.ima", "IM1.dcm")):
        write(f"n/{name}", z)
    run(["mr-corrupt", *KEEP, tmp_path / "n", "-o", tmp_path / "o"])
    assert len(list((tmp_path / "o").iterdir())) == 3


def test_directions_of_four_decimals_make_an_even_volume(run, write, tmp_path):
    angle = np.deg2rad(17.3)
    row = [np.cos(angle), np.sin(angle), 0]
    column = [-np.sin(angle) * np.cos(0.2), np.cos(angle) * np.cos(0.2), np.sin(0.2)]
    normal = np.cross(row, column)
    rounded = [f"{x:.4f}" for x in (*row, *column)]
    for k in range(200):
        write(f"o/{k}.dcm", 0, ImageOrientationPatient=rounded,
              ImagePositionPatient=[f"{x:.4f}" for x in k * normal], SOPInstanceUID=f"1.2.3.{k}")
    assert voxels_of(run, tmp_path / "o", tmp_path).shape == (64, 64, 200)


def test_windows_of_an_inverted_image_are_scaled_as_it_shows(run, write, tmp_path):
    source = write("w.dcm", pixels=4095 - np.minimum(pydicom.dcmread(write("p.dcm")).pixel_array, 1000),
                   PhotometricInterpretation="MONOCHROME1", BitsStored=12, HighBit=11,
                   PixelRepresentation=0, WindowCenter="3595", WindowWidth="1000")
    run(["mr-corrupt", "-a", "gain-common:5", source, "-o", tmp_path / "o.dcm"])
    after = pydicom.dcmread(tmp_path / "o.dcm")  # it showed 0 to 1000 of 4095, and now 0 to 4000
    scale = float(after.get("RescaleSlope", 1)) * 4095 + 2 * float(after.get("RescaleIntercept", 0))
    assert scale - float(after.WindowCenter) == pytest.approx(2000, rel=0.02)
    assert float(after.WindowWidth) == pytest.approx(4000, rel=0.02)


def test_jpeg_of_8_bits_in_16_is_widened(run, write, tmp_path):
    gdcm = pytest.importorskip("gdcm")
    ramp = np.arange(64 * 64).reshape(64, 64) % 251
    source = write("in.dcm", pixels=ramp, BitsStored=8, HighBit=7, PixelRepresentation=0)
    reader, change, writer = gdcm.ImageReader(), gdcm.ImageChangeTransferSyntax(), gdcm.ImageWriter()
    reader.SetFileName(str(source))
    assert reader.Read()
    change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGLosslessProcess14_1))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    writer.SetFileName(str(tmp_path / "j.dcm"))
    assert writer.Write()
    packed = pydicom.dcmread(tmp_path / "j.dcm")
    assert packed.BitsAllocated == 16 and packed.file_meta.TransferSyntaxUID.is_compressed
    assert np.array_equal(voxels_of(run, tmp_path / "j.dcm", tmp_path).T, ramp)


def test_a_missing_repeat_is_named(fails, data, tmp_path):
    folder = tmp_path / "in"
    shutil.copytree(data / "dicom/dcm_qa_nih/In/20180918GE/mr_0004", folder)
    sorted(folder.glob("*.dcm"))[70].unlink()
    fails(["mr-corrupt", *KEEP, folder, "-o", tmp_path / "o"], 65, "of the slice of ",
          " there are 10 images, of that of ", " 9")


def test_padding_is_no_signal(run, data, tmp_path):
    dataset = pydicom.dcmread(data / "dicom/pydicom/MR_small.dcm")
    pixels = dataset.pixel_array.copy()
    pixels[:8] = -2000
    dataset.PixelData = pixels.tobytes()
    dataset.add_new("PixelPaddingValue", "SS", -2000)
    dataset.save_as(tmp_path / "in.dcm")
    run(["mr-corrupt", *KEEP, tmp_path / "in.dcm", "-o", tmp_path / "out.dcm"])
    after = pydicom.dcmread(tmp_path / "out.dcm")
    assert np.all(after.pixel_array[:8] == 0) and "PixelPaddingValue" not in after
    assert np.array_equal(after.pixel_array[8:], pixels[8:])


def test_philips_values_of_several_scales_are_what_was_measured(run, data, tmp_path):
    """Chenevert et al. 2014: DV / (RS SS), where RS SS differs between slices."""
    folder = tmp_path / "in"
    folder.mkdir()
    dataset = pydicom.dcmread(data / "dicom/pydicom/MR_small.dcm")
    dataset.Manufacturer = "Philips Medical Systems"
    for i, (slope, scale) in enumerate([(2.0, 0.5), (4.0, 0.125)]):
        dataset.SOPInstanceUID = f"1.2.3.{i}"
        dataset.ImagePositionPatient = ["0", "0", str(3 * i)]
        dataset.RescaleSlope, dataset.RescaleIntercept = str(slope), "10"
        dataset.private_block(0x2005, "Philips MR Imaging DD 001", create=True).add_new(
            0x0e, "FL", scale)
        dataset.save_as(folder / f"{i}.dcm")
    run(["mr-corrupt", *KEEP, folder, "-o", tmp_path / "o.nii"])
    values = nib.load(tmp_path / "o.nii").get_fdata()
    stored = dataset.pixel_array.T.astype(float)
    assert np.allclose(values[..., 0], stored * 2 + 10)  # RS SS = 1
    assert np.allclose(values[..., 1], (stored * 4 + 10) / 0.5)
    run(["mr-corrupt", "-a", "bias:5", folder, "-o", tmp_path / "out"])
    run(["mr-corrupt", "-a", "bias:5", folder, "-o", tmp_path / "ours.nii"])
    run(["mr-corrupt", *KEEP, tmp_path / "out", "-o", tmp_path / "again.nii"])
    ours, again = (nib.load(tmp_path / n).get_fdata() for n in ("ours.nii", "again.nii"))
    assert np.abs(ours - again).max() <= ours.max() / 30000
