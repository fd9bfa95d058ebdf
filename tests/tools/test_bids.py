"""BIDS data sets in and out, and labels by conditions on columns."""
import json
import re

import nibabel as nib
import numpy as np
import pytest

import images


@pytest.fixture
def dataset(tmp_path):
    """Three subjects, two sessions, T1w and T2w; metadata at three levels."""
    root = tmp_path / "ds"
    rng = np.random.default_rng(0)

    def write(path, text):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text if isinstance(text, str) else json.dumps(text))

    write(root / "dataset_description.json", {"Name": "Knees", "BIDSVersion": "1.8.0", "License": "CC0",
                                              "DatasetDOI": "doi:10.1/x"})
    write(root / "participants.tsv", "participant_id\tsex\tage\tgroup\n"
          "sub-01\tF\t23.5\tpatient\nsub-02\tM\t71\tcontrol\nsub-03\tF\tn/a\tpatient\n")
    write(root / "T1w.json", {"MagneticFieldStrength": 3, "RepetitionTime": 2.3, "EchoTime": 0.1,
                              "Manufacturer": "Siemens", "ManufacturersModelName": "Skyra",
                              "MRAcquisitionType": "3D", "InstitutionName": "General"})
    for subject in ("01", "02", "03"):
        write(root / f"sub-{subject}/sub-{subject}_sessions.tsv",
              "session_id\tscanner\nses-1\tA\nses-2\tB\n")
        for session in ("1", "2"):
            folder = root / f"sub-{subject}/ses-{session}"
            stem = f"sub-{subject}_ses-{session}"
            write(folder / f"{stem}_scans.tsv", "filename\tscore\tacq_time\n" + "".join(
                f"anat/{stem}_{suffix}.nii.gz\t{score}\t2020-01-01T00:00:00\n"
                for suffix, score in (("T1w", int(subject)), ("T2w", "n/a"))))
            for suffix in ("T1w", "T2w"):
                (folder / "anat").mkdir(exist_ok=True)
                array = (200 * images.phantom((12, 10, 8)) / 100 + rng.random((12, 10, 8))).astype("i2")
                nib.save(nib.Nifti1Image(array, np.diag([1, 1, 2, 1])),
                         folder / f"anat/{stem}_{suffix}.nii.gz")
        write(root / f"sub-{subject}/sub-{subject}_T1w.json", {"FlipAngle": 9})
    write(root / "sub-02/ses-2/anat/sub-02_ses-2_T1w.json",
          {"EchoTime": 0.0031, "PhaseEncodingDirection": "j-", "Manufacturer": "Philips",
           "SkullStripped": True})
    write(root / "derivatives/other/sub-01/anat/sub-01_T1w.json", {"EchoTime": 9})
    return root


def entries(run, *args):
    document = json.loads(run(["mr-manifest", "bids", *args]).stdout)
    return {e["id"]: e for e in document["images"]}, document


def test_a_data_set_becomes_a_manifest(run, dataset, schema):
    found, document = entries(run, dataset, "--label", "tear=group==patient", "--label",
                              "moved=score>=2", "--label", "unknown=score==9")
    schema("mr-manifest")(document)
    assert len(found) == 12 and all(e["subject"] == e["id"][:6] for e in found.values())
    first = found["sub-01/ses-1/anat/sub-01_ses-1_T1w"]
    assert first["attributes"] == {
        "datatype": "int16", "session": "1", "suffix": "T1w", "field_t": 3, "manufacturer": "Siemens",
        "model": "Skyra", "sex": "F", "age": 23.5, "group": "patient", "scanner": "A"}
    assert first["acquisition"] == {"tr_ms": 2300, "te_ms": 100, "flip_deg": 9, "field_t": 3,
                                    "mode": "3d"}
    nearest = found["sub-02/ses-2/anat/sub-02_ses-2_T1w"]
    assert nearest["acquisition"]["te_ms"] == 3.1 and nearest["acquisition"]["flip_deg"] == 9
    assert nearest["acquisition"]["phase_encode_axis"] == "j-"
    assert nearest["attributes"]["manufacturer"] == "Philips"
    assert "age" not in found["sub-03/ses-1/anat/sub-03_ses-1_T1w"]["attributes"]
    labels = {i: e["samples"][0]["labels"] for i, e in found.items()}
    assert labels["sub-01/ses-1/anat/sub-01_ses-1_T1w"] == [1, 0, 0]
    assert labels["sub-02/ses-1/anat/sub-02_ses-1_T1w"] == [0, 1, 0]
    assert labels["sub-02/ses-1/anat/sub-02_ses-1_T2w"] == [0, None, None]
    assert "acquisition" not in found["sub-01/ses-1/anat/sub-01_ses-1_T2w"]


def test_only_what_is_asked_for(run, fails, dataset):
    found, _ = entries(run, dataset, "--suffix", "T2w")
    assert len(found) == 6 and all(i.endswith("T2w") for i in found)
    hashed, document = entries(run, dataset, "--id-key", dataset.parent / "key")
    assert all(re.fullmatch("[0-9a-f]{16}", i) for i in hashed)
    fails(["mr-manifest", "bids", dataset, "--datatype", "func"], 65, "holds no image sub-*/func")
    fails(["mr-manifest", "bids", dataset, "--label", "a=nothing"], 64, "no column 'nothing'")
    fails(["mr-manifest", "bids", dataset, "--label", "a=age>old"], 64, "want a number behind >")
    (dataset / "participants.tsv").write_text("participant_id\tsex\nsub-01\tF\nsub-02\tM\nsub-9\tM\n")
    p = run(["mr-manifest", "bids", dataset], check=False)
    assert p.returncode == 65 and b"1 subjects have no row (sub-03)" in p.stderr
    assert b"1 participants have no such image (sub-9)" in p.stderr
    run(["mr-manifest", "bids", dataset, "--allow-unmatched"])
    (dataset / "dataset_description.json").unlink()
    fails(["mr-manifest", "bids", dataset], 65, "lacks dataset_description.json")
    fails(["mr-manifest", "bids", dataset / "nowhere"], 66, "no such folder")


def test_magnitude_and_phase_are_a_pair(run, dataset):
    folder = dataset / "sub-01/ses-1/anat"
    source = folder / "sub-01_ses-1_T2w.nii.gz"
    for part in ("mag", "phase"):
        (folder / f"sub-01_ses-1_part-{part}_MEGRE.nii.gz").write_bytes(source.read_bytes())
    found, _ = entries(run, dataset, "--suffix", "MEGRE")
    (entry,) = found.values()
    assert entry["phase"].endswith("_part-phase_MEGRE.nii.gz") and "part-mag" in entry["file"]


def test_corrupted_images_are_a_derivative_data_set(run, fails, dataset, tmp_path):
    validator = pytest.importorskip("bids_validator").BIDSValidator()
    manifest = tmp_path / "m.json"
    manifest.write_bytes(run(["mr-manifest", "bids", dataset, "--suffix", "T1w"]).stdout)
    out = tmp_path / "derived"
    done = json.loads(run(["mr-corrupt", "-a", "motion:3", "-a", "rician:1.5", "--bids", "-o", out,
                           manifest]).stdout)
    files = sorted(str(p.relative_to(out)) for p in out.rglob("*") if p.is_file())
    stem = "sub-02/ses-2/anat/sub-02_ses-2_desc-motion3rician15_T1w"
    assert stem + ".nii.gz" in files and stem + ".json" in files and len(files) == 2 * 6 + 2
    for file in files:  # the validator knows raw names: a derivative's has one entity more
        assert validator.is_bids("/" + re.sub("_desc-[A-Za-z0-9]+", "", file)), file
    metadata = json.loads((out / (stem + ".json")).read_text())
    assert metadata["Sources"] == ["bids:raw:sub-02/ses-2/anat/sub-02_ses-2_T1w.nii.gz"]
    assert metadata["Description"] == "mr-corrupt: motion:3 rician:1.5"
    assert metadata["EchoTime"] == 0.0031 and metadata["SkullStripped"] is True
    description = json.loads((out / "dataset_description.json").read_text())
    assert description["DatasetType"] == "derivative" and description["BIDSVersion"] == "1.8.0"
    assert description["GeneratedBy"][0]["Name"] == "mr-corrupt"
    assert description["SourceDatasets"] == [{"DOI": "doi:10.1/x"}] and description["License"] == "CC0"
    assert (out / "participants.tsv").read_text() == (dataset / "participants.tsv").read_text()
    for entry in done["images"]:
        before, after = nib.load(entry["source"]), nib.load(entry["file"])
        assert before.shape == after.shape and not np.array_equal(before.dataobj, after.dataobj)
    found, _ = entries(run, out)  # which is a data set that can be read
    assert len(found) == 6
    assert found[stem]["attributes"]["desc"] == "motion3rician15"
    plain = tmp_path / "plain.json"
    plain.write_bytes(run(["mr-manifest", "scan", dataset / "sub-01"]).stdout)
    fails(["mr-corrupt", "-a", "motion:3", "--bids", "-o", tmp_path / "x", plain], 65, "is no BIDS name")


def test_ids_and_labels_of_a_table_of_another_shape(run, fails, tmp_path):
    folder = tmp_path / "scans"
    for name in ("p1/a_T1", "p2/a_T1"):
        (folder / name).parent.mkdir(parents=True)
        images.save(folder / f"{name}.nii", images.phantom((8, 8, 4)))
    (tmp_path / "t.csv").write_text("patient,run,KL grade,sex\n p1 ,a,3, F\np2,a, 1,M\n")
    table = ["mr-manifest", "scan", folder, "--table", tmp_path / "t.csv"]
    document = json.loads(run([*table, "--id-format", "p{patient}/{run}_T1".replace("p{", "{"), "--label",
                               "oa=KL grade>=2", "--label", "male=sex==M", "--label", "mild=KL grade<2"]
                              ).stdout)
    assert [e["samples"][0]["labels"] for e in document["images"]] == [[1, 0, 0], [0, 1, 1]]
    fails([*table, "--id-format", "{nobody}"], 64, "nobody")
    fails([*table, "--id-format", "{patient"], 64, "want }")
    fails([*table, "--id-format", "{patient}/{run}_T1", "--label", "x=sex>=2"], 65,
          "line 2: sex: want a number for >= 2, got 'F'")
    fails([*table, "--id-format", "{patient}/{run}_T1", "--label", "KL grade"], 65, "want 0 or 1")
    manifest = tmp_path / "m.json"
    manifest.write_bytes(run(["mr-manifest", "scan", folder]).stdout)
    (tmp_path / "s.csv").write_text("who,at,grade\n" + "".join(
        f"p{p},{k},{k}\n" for p in (1, 2) for k in range(4)))
    sliced = json.loads(run(["mr-manifest", "slices", "--axis", "k", "--table", tmp_path / "s.csv",
                             "--id-format", "{who}/a_T1", "--slice-column", "at", "--label",
                             "late=grade>=2", manifest]).stdout)
    assert [s["labels"] for s in sliced["images"][0]["samples"]] == [[0], [0], [1], [1]]


def test_the_ratings_of_mr_art_are_joined_by_name(run, data, tmp_path):
    """Real tables: 436 scans of 148 people, rated 1 to 3 (golden counts of the data's README)."""
    table = data / "tables/mr-art/scores.tsv"
    names = [line.split("\t")[0] for line in table.read_text().splitlines()[1:]]
    folder = tmp_path / "scans"
    folder.mkdir()
    images.save(folder / f"{names[0]}.nii", images.phantom((6, 6, 2)))
    for name in names[1:]:
        (folder / f"{name}.nii").hardlink_to(folder / f"{names[0]}.nii")
    column = table.read_text().splitlines()[0].split("\t")
    scan = run(["mr-manifest", "scan", folder, "--table", table, "--id-column", column[0], "--label",
                f"unusable={column[1]}>=3", "--label", f"good={column[1]}==1"])
    entries = json.loads(scan.stdout)["images"]
    assert len(entries) == 436
    counts = {}
    for entry in entries:
        (kind,) = [k for k in ("standard", "headmotion1", "headmotion2") if k in entry["id"]]
        bad, good = entry["samples"][0]["labels"]
        counts.setdefault(kind, [0, 0, 0])[2 if bad else 0 if good else 1] += 1
    assert counts == {"standard": [119, 28, 1], "headmotion1": [7, 59, 75], "headmotion2": [3, 22, 122]}
