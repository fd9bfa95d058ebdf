"""mr-phantom as a user runs it: the files it makes, read with independent software."""
import itertools
import json

import nibabel
import numpy as np
import pytest
from scipy import stats

LABELS = ["abnormal", "meniscus_tear", "acl", "cartilage"]
FEW = ["--subjects", "3", "--matrix", "32"]


def make(run, folder, *options):
    """Runs mr-phantom into folder/set; returns the manifest, which stands beside it."""
    run(["mr-phantom", "-o", folder / "set", "--manifest-out", folder / "set.json", *options])
    return json.loads((folder / "set.json").read_text())


def bytes_of(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*"))
            if p.is_file()}


@pytest.fixture(scope="module")
def many(run, tmp_path_factory):
    """A set whose images are small and subjects many."""
    return make(run, tmp_path_factory.mktemp("many"), "--subjects", "300", "--matrix", "16",
                "--sequence", "both")


def samples(document):
    """One row per slice: labels, and what should tell nothing of them."""
    for image in document["images"]:
        for sample in image["samples"]:
            yield sample["labels"], image["attributes"], len(image["samples"])


def test_the_manifest_fits_its_schema_and_tells_where_it_comes_from(run, tmp_path, schema):
    document = make(run, tmp_path, *FEW, "--seed", "5", "--maps", "--sequence", "both")
    schema("mr-manifest")(document)
    assert [label["name"] for label in document["labels"]] == LABELS
    assert len(document["images"]) == 6 and len({i["id"] for i in document["images"]}) == 6
    assert len({i["subject"] for i in document["images"]}) == 3
    (step,) = document["provenance"]
    assert step["tool"] == "mr-phantom" and step["seed"] == 5 and "set" not in step["command"]
    for image in document["images"]:
        assert {"site", "scanner", "field_strength", "sequence"} <= set(image["attributes"])
        assert image["acquisition"]["field_t"] == image["attributes"]["field_strength"]
        assert image["acquisition"]["mode"] == "2d"
        assert (tmp_path / image["file"]).exists(), "paths are relative to the manifest"


def test_on_standard_output_paths_are_absolute(run, tmp_path):
    p = run(["mr-phantom", "-o", "here", *FEW], cwd=tmp_path)
    for image in json.loads(p.stdout)["images"]:
        assert image["file"].startswith("/") and nibabel.load(image["file"])


@pytest.mark.parametrize("plane,axes", [("coronal", ("L", "S", "P")), ("sagittal", ("P", "S", "R"))])
def test_nibabel_reads_geometry_and_datatype(run, tmp_path, plane, axes):
    document = make(run, tmp_path, *FEW, "--plane", plane)
    for entry in document["images"]:
        image = nibabel.load(tmp_path / entry["file"])
        assert nibabel.aff2axcodes(image.affine) == axes
        assert image.get_data_dtype() == np.int16
        assert image.shape == (32, 32, len(entry["samples"]))
        assert 8 <= image.shape[2] <= 12
        coverage = 36 if plane == "coronal" else 60
        np.testing.assert_allclose(image.header.get_zooms(), (4, 4, coverage / image.shape[2]), 1e-6)
        middle = image.affine @ [*(np.array(image.shape) - 1) / 2, 1]
        np.testing.assert_allclose(middle[:3], 0, atol=1e-4)
        assert [s["slice"] for s in entry["samples"]] == [
            {"axis": "k", "index": k} for k in range(image.shape[2])]


def test_complex_images_have_the_magnitude_and_a_phase(run, tmp_path):
    (tmp_path / "c").mkdir()
    options = [*FEW, "--sequence", "pd"]
    plain, complex_ = make(run, tmp_path, *options), make(run, tmp_path / "c", *options, "--complex")
    for a, b in zip(plain["images"], complex_["images"]):
        x = nibabel.load(tmp_path / a["file"])
        y = nibabel.load(tmp_path / "c" / b["file"])
        assert y.get_data_dtype() == np.complex64 and a["samples"] == b["samples"]
        magnitude, z = x.get_fdata(), np.asarray(y.dataobj)
        # Cauchy-Schwarz: the matched filter is at most the root sum of squares (rounded to int16)
        assert (np.abs(z) <= magnitude + 0.51).all()
        bright = magnitude > 0.5 * magnitude.max()
        assert np.median(np.abs(z[bright]) / magnitude[bright]) > 0.95
        assert np.angle(z[bright]).std() > 0.1


def test_tissue_maps_lie_on_the_images(run, tmp_path):
    document = make(run, tmp_path, "--subjects", "2", "--maps", "--sequence", "pd")
    for entry in document["images"]:
        image = nibabel.load(tmp_path / entry["file"])
        tissue = nibabel.load(tmp_path / entry["maps"]["tissue"])
        assert tissue.get_data_dtype() == np.uint8
        np.testing.assert_array_equal(tissue.affine, image.affine)
        values, where = image.get_fdata(), np.asarray(tissue.dataobj)
        air, fat, muscle, ligament = (np.median(values[where == t]) for t in (0, 2, 3, 8))
        assert fat > 1.8 * muscle and muscle > 1.2 * ligament and fat > 4 * air


def test_maps_of_fat_field_and_coils(run, tmp_path):
    document = make(run, tmp_path, "--subjects", "2", "--maps", "--sequence", "pd")
    for entry in document["images"]:
        image = nibabel.load(tmp_path / entry["file"])
        maps = {kind: nibabel.load(tmp_path / path) for kind, path in entry["maps"].items()}
        assert sorted(maps) == ["coils", "fat", "field", "tissue"]
        for kind, found in maps.items():
            assert found.shape[:3] == image.shape[:3] and np.array_equal(found.affine, image.affine)
            assert found.shape[3:] == ((8,) if kind == "coils" else ())
        tissue, fat, field = (np.asarray(maps[k].dataobj) for k in ("tissue", "fat", "field"))
        assert np.median(fat[tissue == 2]) == pytest.approx(.95) and np.all(fat[tissue == 0] <= .95)
        assert np.median(fat[tissue == 3]) == 0 and 0 <= fat.min() <= fat.max() <= .9501
        assert 1 < np.std(field[tissue > 0]) < 100  # Hz
        coils = np.asarray(maps["coils"].dataobj)
        assert np.iscomplexobj(coils)
        rss = np.sqrt((np.abs(coils) ** 2).sum(-1))
        middle = tuple(n // 2 for n in rss.shape)
        assert rss[middle] == pytest.approx(1, abs=.1) and rss.max() > rss[middle]


@pytest.mark.parametrize("artifact", ["chemical-shift", "off-resonance", "fat-sat-failure", "g-factor"])
def test_the_maps_serve_the_artifacts_that_need_them(run, tmp_path, artifact):
    make(run, tmp_path, "--subjects", "1", "--maps")
    out = json.loads(run(["mr-corrupt", "-a", artifact + ":3", "-o", tmp_path / "bad",
                          tmp_path / "set.json"]).stdout)
    assert out["images"][0]["fidelity"]["nrmse"] > 0.005


def test_air_has_the_noise_of_eight_coils(run, tmp_path):
    """Mean over standard deviation of a chi distribution with 16 degrees of freedom: no free unit."""
    document = make(run, tmp_path, "--subjects", "4", "--maps", "--sequence", "pd")
    chi = stats.chi(16)
    for entry in document["images"]:
        values = nibabel.load(tmp_path / entry["file"]).get_fdata()
        tissue = np.asarray(nibabel.load(tmp_path / entry["maps"]["tissue"]).dataobj)
        body = np.zeros(tissue.shape, bool)
        body[1:-1] = (tissue != 0)[1:-1]
        near = body | np.roll(body, 1, 0) | np.roll(body, -1, 0) | np.roll(body, 1, 1) | np.roll(body, -1, 1)
        air = values[(tissue == 0) & ~near]
        assert air.size > 500
        # standard error of the ratio: about 1 / sqrt(2 n), 3 % at 500 voxels
        assert air.mean() / air.std() == pytest.approx(chi.mean() / chi.std(), rel=0.12)


def test_the_same_seed_gives_the_same_bytes_at_any_number_of_threads(run, tmp_path):
    made = []
    for threads in (1, 2, 12):
        folder = tmp_path / str(threads)
        folder.mkdir()
        make(run, folder, "--subjects", "5", "--matrix", "24", "--maps", "--threads", threads)
        made.append(bytes_of(folder))
    assert made[0] == made[1] == made[2] and len(made[0]) > 10
    other = tmp_path / "other"
    other.mkdir()
    make(run, other, "--subjects", "5", "--matrix", "24", "--maps", "--seed", "2")
    differ = [name for name in made[0] if bytes_of(other).get(name) != made[0][name]]
    assert "set/images/sub-0001_pdfs.nii.gz" in differ


def test_prevalence_of_each_label_is_that_of_a_study(many):
    prevalence = np.mean([labels for labels, *_ in samples(many)], axis=0)
    assert (prevalence > 0.18).all() and (prevalence < 0.38).all(), prevalence


@pytest.mark.parametrize("nuisance", ["site", "scanner", "field_strength", "sequence", "laterality",
                                      "slices"])
@pytest.mark.parametrize("label", LABELS)
def test_labels_are_independent_of_how_the_image_was_made(many, label, nuisance):
    """Share of positive slices by class of the nuisance. Slices of a subject are not independent, so
    the bound is on the difference itself: a subject's share has a standard deviation of about .25."""
    classes = {}
    for labels, attributes, slices in samples(many):
        value = slices if nuisance == "slices" else attributes[nuisance]
        classes.setdefault(value, []).append(labels[LABELS.index(label)])
    assert len(classes) >= 2
    everybody = np.mean(list(itertools.chain(*classes.values())))
    for value, positive in classes.items():
        # at least 50 subjects a class: standard error .035, and less where the design balances
        assert abs(np.mean(positive) - everybody) < 0.11, (value, np.mean(positive), everybody)


def test_nothing_about_a_scanner_tells_the_labels(many):
    """AUROC of the best score that depends on the scanner alone: gain, TR and the like are no better."""
    rows = list(samples(many))
    for l, label in enumerate(LABELS):
        by_scanner = {}
        for labels, attributes, _ in rows:
            by_scanner.setdefault(attributes["scanner"], []).append(labels[l])
        score = np.array([np.mean(by_scanner[a["scanner"]]) for _, a, _ in rows])
        truth = np.array([labels[l] for labels, *_ in rows])
        u = stats.mannwhitneyu(score[truth == 1], score[truth == 0]).statistic
        auroc = u / ((truth == 1).sum() * (truth == 0).sum())
        assert auroc < 0.56, (label, auroc)  # fitted to these labels: .54 where nothing is to be seen


def test_scanners_have_gains_of_their_own(run, tmp_path):
    """The level of the noise in air is that of the scanner: gain, over the field."""
    document = make(run, tmp_path, "--subjects", "24", "--matrix", "32", "--sequence", "pd", "--maps")
    gains, fields = {}, {}
    for entry in document["images"]:
        tissue = np.asarray(nibabel.load(tmp_path / entry["maps"]["tissue"]).dataobj)
        corners = nibabel.load(tmp_path / entry["file"]).get_fdata()[[0, -1]][tissue[[0, -1]] == 0]
        scanner = entry["attributes"]["scanner"]
        fields[scanner] = entry["attributes"]["field_strength"]
        gains.setdefault(scanner, []).append(np.log(np.median(corners) * fields[scanner]))
    assert len(gains) == 6 and set(fields.values()) == {1.5, 3}
    within = np.mean([np.std(v) for v in gains.values()])
    between = np.std([np.mean(v) for v in gains.values()])
    assert between > 0.2 and between > 4 * within, (between, within)


def test_what_exists_is_kept_unless_forced(run, fails, tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "mine.txt").write_text("mine")
    fails(["mr-phantom", "-o", tmp_path / "set", *FEW], 73, "set", "--force")
    assert [p.name for p in tmp_path.rglob("*")] == ["set", "mine.txt"]
    run(["mr-phantom", "-o", tmp_path / "set", *FEW, "--force"])
    assert not (tmp_path / "set" / "mine.txt").exists() and (tmp_path / "set" / "images").is_dir()


@pytest.mark.parametrize("options", [["--subjects", "0"], ["--matrix", "8"], ["--difficulty", "2"],
                                     ["--sequence", "t2"], ["--plane", "axial"]])
def test_a_wrong_option_is_refused(fails, tmp_path, options):
    fails(["mr-phantom", "-o", tmp_path / "set", *options], 64, options[0])
    assert not (tmp_path / "set").exists()


def test_a_folder_that_cannot_be_made_leaves_nothing(fails, tmp_path):
    (tmp_path / "file").write_text("")
    fails(["mr-phantom", "-o", tmp_path / "file" / "set", *FEW], 73, "file")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_full_disk_is_an_error(fails, tmp_path):
    import subprocess

    from conftest import BIN
    if not (BIN / "mr-phantom").exists():
        pytest.skip("mr-phantom is not built")
    with open("/dev/full", "wb") as full:
        p = subprocess.run([BIN / "mr-phantom", "-o", tmp_path / "set", *FEW], stdout=full,
                           stderr=subprocess.PIPE)
    assert p.returncode == 74 and p.stderr.startswith(b"mr-phantom: "), p.stderr
