"""What identifies a person: headers with --deidentify, records with --redact-paths."""
import json
import os
import shutil
import subprocess

import images
import nibabel as nib
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

SECRET = "Secret7391"


def item(**values):
    dataset = Dataset()
    for key, value in values.items():
        setattr(dataset, key, value)
    return dataset


@pytest.fixture
def person(data, tmp_path):
    """person(name): an MR file that says who was imaged in every way that DICOM has."""
    def make(name="in.dcm", **changes):
        d = pydicom.dcmread(data / "dicom/pydicom/MR_small.dcm")
        d.PatientName, d.PatientID = f"{SECRET}^Jo", f"{SECRET}-1"
        d.OtherPatientIDsSequence = Sequence([item(PatientID=f"{SECRET}-2")])
        d.PatientBirthDate, d.PatientAge, d.PatientComments = "19511213", "073Y", f"{SECRET} likes tea"
        d.InstitutionName = d.InstitutionAddress = d.StationName = d.ProtocolName = SECRET
        d.StudyDescription = d.SeriesDescription = d.DeviceSerialNumber = SECRET
        d.ReferringPhysicianName = d.OperatorsName = d.PerformingPhysicianName = f"{SECRET}^Dr"
        d.StudyDate = d.SeriesDate = d.AcquisitionDate = d.ContentDate = "20240229"
        d.AccessionNumber = d.StudyID = "A7391"
        d.FrameOfReferenceUID = "1.2.826.7391.5"
        d.RequestAttributesSequence = Sequence([item(RequestedProcedureDescription=SECRET,
                                                     ScheduledProcedureStepID="A7391")])
        d.ReferencedImageSequence = Sequence([item(ReferencedSOPClassUID=d.SOPClassUID,
                                                   ReferencedSOPInstanceUID="1.2.826.7391.6")])
        d.AnatomicRegionSequence = Sequence([item(
            CodeValue="T-A0100", CodingSchemeDesignator="SRT", CodeMeaning="Brain")])
        d.private_block(0x0029, "ACME", create=True).add_new(1, "LO", SECRET)
        d.add_new((0x6000, 0x0010), "US", 64)
        d.add_new((0x6000, 0x4000), "LT", SECRET)
        d.file_meta.SourceApplicationEntityTitle = SECRET
        for key, value in changes.items():
            setattr(d, key, value)
        d.save_as(tmp_path / name)
        return tmp_path / name
    return make


def deidentified(run, source, *options, key="key"):
    target = source.parent / f"out-{source.name}"
    run(["mr-corrupt", "-a", "rician:2", "--deidentify", "--id-key", source.parent / key, *options,
         "--force", source, "-o", target])
    return target


def test_nothing_says_who_was_imaged(run, person):
    source = person()
    target = deidentified(run, source)
    content = target.read_bytes()
    for secret in (SECRET, "A7391", "1.2.826.7391", "20240229", "19511213", "073Y", "ACME"):
        assert secret.encode() in source.read_bytes()
        assert secret.encode() not in content, secret
    before, after = pydicom.dcmread(source), pydicom.dcmread(target)
    assert not [e for e in after.iterall() if e.tag.is_private or e.tag.group == 0x6000]
    for uid in ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID"):
        assert after[uid].value != before[uid].value and after[uid].value.startswith("2.25.")
    assert after.PatientIdentityRemoved == "YES"
    assert "pixel data not inspected" in after.DeidentificationMethod
    assert after.DeidentificationMethodCodeSequence[0].CodeValue == "113100"
    assert after.PatientID == after.PatientName and len(after.PatientID) == 16
    assert after.AnatomicRegionSequence[0].CodeMeaning == "Brain"  # names nobody
    assert after.Manufacturer == before.Manufacturer and after.EchoTime == before.EchoTime
    assert after.ImagePositionPatient == before.ImagePositionPatient


def test_ids_and_uids_are_mapped_alike_with_one_key_and_otherwise_with_another(run, person):
    uids = ("PatientID", "StudyInstanceUID", "FrameOfReferenceUID")
    one, two = (pydicom.dcmread(deidentified(run, person(f"{i}.dcm", SOPInstanceUID=f"1.2.3.{i}")))
                for i in range(2))
    other = pydicom.dcmread(deidentified(run, person("0.dcm"), key="other"))
    for uid in uids:
        assert one[uid].value == two[uid].value != other[uid].value
    assert one.SOPInstanceUID != two.SOPInstanceUID
    source = pydicom.dcmread(person("3.dcm", SOPInstanceUID=one.SOPInstanceUID))
    assert one.SourceImageSequence[0].ReferencedSOPInstanceUID != source.SOPInstanceUID
    assert one.ReferencedImageSequence[0].ReferencedSOPInstanceUID == two.ReferencedImageSequence[
        0].ReferencedSOPInstanceUID


def test_bytes_of_unknown_type_and_what_stands_before_the_data_are_gone(run, person):
    source = person()
    d = pydicom.dcmread(source)
    d.preamble = SECRET.encode().ljust(128, b"\0")
    d.add_new((0x0003, 0x0010), "LO", SECRET)
    d.add_new((0x0018, 0x0fff), "UN", f"1.2.826.7391.9 {SECRET}".encode())
    d[0x0020, 0x0052] = pydicom.DataElement((0x0020, 0x0052), "UN", b"1.2.826.7391.5\0\0")
    d.save_as(source)
    target = deidentified(run, source)
    content = target.read_bytes()
    assert SECRET.encode() in source.read_bytes()[:128]
    assert SECRET.encode() not in content and b"1.2.826.7391" not in content
    uid = pydicom.dcmread(target).FrameOfReferenceUID
    assert uid == pydicom.dcmread(deidentified(run, person("plain.dcm"))).FrameOfReferenceUID


def test_people_without_an_id_are_not_one_person(run, person):
    ids = {pydicom.dcmread(deidentified(run, person(f"{i}.dcm", PatientID="", StudyInstanceUID=f"1.2.3.{i}")))
           .PatientID for i in range(2)}
    assert len(ids) == 2


def test_philips_values_are_those_of_before(run, person, tmp_path):
    folder = tmp_path / "p"
    folder.mkdir()
    for i, scale in enumerate((0.01, 0.02, 0.03)):
        d = pydicom.dcmread(person(SOPInstanceUID=f"1.2.3.{i}", Manufacturer="Philips",
                                   ImagePositionPatient=["0", "0", str(3 * i)], RescaleSlope="1",
                                   RescaleIntercept="0"))
        d.private_block(0x2005, "Philips MR Imaging DD 001", create=True).add_new(0x0e, "FL", scale)
        d.save_as(folder / f"{i}.dcm")
    keep = ["mr-corrupt", "-a", "rician:0", "--force"]
    run([*keep, folder, "-o", tmp_path / "a.nii"])
    run([*keep, "--deidentify", "--id-key", tmp_path / "key", folder, "-o", tmp_path / "de"])
    run([*keep, tmp_path / "de", "-o", tmp_path / "b.nii"])
    a, b = (nib.load(tmp_path / n).get_fdata() for n in ("a.nii", "b.nii"))
    assert np.allclose(a, b, rtol=1e-6) and np.ptp(a.mean((0, 1))) > 0.1 * a.mean()


def test_a_series_and_a_multi_frame_object(run, data, tmp_path):
    for name in ("dcm_qa_nih/In/20180918GE/mr_0004", "nitest-balls1/DICOM/T2_.dcm"):
        source = tmp_path / name.split("/")[-1]
        (shutil.copytree if (data / "dicom" / name).is_dir() else shutil.copy)(
            data / "dicom" / name, source)
        target = deidentified(run, source)
        files = sorted(target.iterdir()) if target.is_dir() else [target]
        if target.is_dir():
            assert {f.name for f in files} == {f"IM{i + 1}.dcm" for i in range(150)}
        after = [pydicom.dcmread(f) for f in files]
        assert len({d.SeriesInstanceUID for d in after}) == 1
        assert not [e for d in after for e in d.iterall() if e.tag.is_private]
        run(["mr-corrupt", "-a", "rician:2", "--id", "x", source, "-o", tmp_path / "plain.nii",
             "--force"])
        run(["mr-corrupt", "-a", "rician:2", "--id", "x", "--deidentify", "--id-key",
             tmp_path / "key", source, "-o", tmp_path / "de", "--force"])
        run(["mr-corrupt", "-a", "rician:0", tmp_path / "de", "-o", tmp_path / "again.nii", "--force"])
        a, b = (nib.load(tmp_path / n) for n in ("plain.nii", "again.nii"))
        assert np.array_equal(a.get_fdata(), b.get_fdata()) and np.allclose(a.affine, b.affine)
        shutil.rmtree(tmp_path / "de", ignore_errors=True)
        (tmp_path / "de").unlink(missing_ok=True)


def test_a_mosaic_is_refused_and_can_be_nifti(run, fails, data, tmp_path):
    source = data / "dicom/dcm_qa_ts/In/4.dcm"
    key = ["--deidentify", "--id-key", tmp_path / "key"]
    fails(["mr-corrupt", "-a", "rician:2", *key, source, "-o", tmp_path / "o.dcm"], 64,
          "a mosaic of slices needs its private header")
    run(["mr-corrupt", "-a", "rician:2", *key, source, "-o", tmp_path / "o.nii"])


def test_free_texts_of_nifti_are_gone(run, data, tmp_path):
    image = nib.load(data / "nifti/nibabel/anatomical.nii")
    image.header["descrip"], image.header["aux_file"] = SECRET, SECRET
    image.header["db_name"], image.header["intent_name"] = SECRET, SECRET
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", SECRET.encode()))
    for version, cls in (("1", nib.Nifti1Image), ("2", nib.Nifti2Image)):
        source = tmp_path / f"{version}.nii"
        one = cls(np.asanyarray(image.dataobj), image.affine, image.header)
        if version == "2":
            one.header.extensions.append(nib.nifti1.Nifti1Extension("comment", SECRET.encode()))
        nib.save(one, source)
        assert SECRET.encode() in source.read_bytes()
        target = deidentified(run, source)
        assert SECRET.encode() not in target.read_bytes()
        assert nib.load(target).header["descrip"].item() == b"mr-corrupt: rician:2"


def test_the_two_options_go_together(fails, person, tmp_path):
    source = person()
    for options in (["--deidentify"], ["--id-key", tmp_path / "key"]):
        fails(["mr-corrupt", "-a", "rician:2", *options, source, "-o", tmp_path / "o.dcm"], 64,
              "--deidentify and --id-key go together")


def test_a_data_set_is_not_deidentified(fails, tmp_path):
    images.write(tmp_path / "m.json", (), [])
    fails(["mr-corrupt", "-a", "rician:2", "--bids", "--deidentify", "--id-key", tmp_path / "key", "-o",
           tmp_path / "o", tmp_path / "m.json"], 64, "are copied as they are")


def test_paths_in_any_form_are_redacted_and_pipes_read_once(run, data, tmp_path):
    home = tmp_path / SECRET
    home.mkdir()
    shutil.copy(data / "nifti/nibabel/anatomical.nii", home / f"{SECRET}.nii")
    run(["mr-corrupt", "--redact-paths", "-a", "bias:2", f"--map=fat={SECRET}.nii", "--print-recipe",
         f"{SECRET}.json", "--save-kspace", f"{SECRET}-k.nii", f"-o{SECRET}-o.nii", "--manifest-out",
         "m.json", f"{SECRET}.nii"], cwd=home)
    (entry,) = json.loads((home / "m.json").read_text())["provenance"]
    assert SECRET not in json.dumps(entry), entry
    assert entry["command"].startswith("mr-corrupt -a bias:2 --map=fat=redacted-")
    fifo = tmp_path / "pipe"
    os.mkfifo(fifo)
    images.write(tmp_path / "m.json", (), [])
    feeder = subprocess.Popen(f"cat {tmp_path / 'm.json'} > {fifo}", shell=True)
    run(["mr-manifest", "--redact-paths", "summary", fifo], timeout=20)
    assert feeder.wait(timeout=20) == 0


def test_no_record_holds_a_redacted_path(run, tmp_path):
    """The whole line in a folder that is named after a patient."""
    home = tmp_path / SECRET
    home.mkdir()
    redact = "--redact-paths"
    phantoms = home / f"{SECRET}_images"
    manifest = home / f"{SECRET}.json"
    run(["mr-phantom", redact, "--subjects", "20", "--matrix", "32", "-o", phantoms, "--manifest-out",
         manifest])
    split = home / f"{SECRET}_split.json"
    run(["mr-manifest", redact, "split", "--ratio", "train=0.4,val=0.3,test=0.3", manifest,
         "--manifest-out", split])
    model = home / "gn.pt"  # a model is known by its file name
    run(["mr-train", redact, "--norm", "group", "--groups", "4", "--width", "4", "--blocks", "1",
         "--epochs", "1", "--size", "32x32", "-o", model, split], timeout=300)
    evaluation = home / f"{SECRET}.eval"
    run(["mr-eval", redact, "-m", model, "--grid", "rician", "-o", evaluation, split], timeout=300)
    run(["mr-report", redact, "-o", home / "report", evaluation])
    corrupted = json.loads(run(["mr-corrupt", redact, "-a", "rician:2", split, "-o", home / "out"]).stdout)
    record = json.dumps(corrupted["provenance"])
    assert SECRET not in record and "redacted-" in record
    record = json.dumps(json.loads(split.read_text())["provenance"])
    assert SECRET not in record and record.count("redacted-") == 2
    for path in [model, evaluation, *home.glob("*.jsonl"),
                 *(home / "report").rglob("*")]:
        if path.is_file():
            assert SECRET.encode() not in path.read_bytes(), path
    assert "redacted-" in evaluation.read_text()
    check = run(["mr-report", "--check", home / "report"]).stdout.decode()
    assert "not found" not in check.replace("0 not found", ""), check
