"""Measured k-space: fastMRI and ISMRMRD (HDF5), BART and NumPy files, written here in their layouts,
against reconstructions in NumPy."""
import json

import h5py
import nibabel as nib
import numpy as np
import pytest

KEEP = ["-a", "rician:0"]


def to_image(kspace, axes=(-2, -1)):
    shifted = np.fft.ifftn(np.fft.ifftshift(kspace, axes=axes), axes=axes, norm="ortho")
    return np.fft.fftshift(shifted, axes=axes)


def to_kspace(image, axes=(-2, -1)):
    shifted = np.fft.fftn(np.fft.ifftshift(image, axes=axes), axes=axes, norm="ortho")
    return np.fft.fftshift(shifted, axes=axes)


def rss(coils, axis):
    return np.sqrt((np.abs(coils) ** 2).sum(axis))


def middle(array, *size):
    """The centre of the last axes."""
    for axis, n in zip(range(-len(size), 0), size):
        first = array.shape[axis] // 2 - n // 2
        array = np.take(array, range(first, first + n), axis)
    return array


def coils_of(slices=3, coils=4, rows=64, columns=37, seed=0):
    """Complex images [slice, coil, row, column] of discs under smooth sensitivities."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[-1:1:rows * 1j, -1:1:columns * 1j]
    out = []
    for s in range(slices):
        disc = ((2.5 * y) ** 2 + x ** 2 < 0.6) * (1 + 0.5 * np.cos(9 * x) * np.sin(15 * y + s))
        out.append([disc * np.exp(-((x - np.cos(c)) ** 2 + (2 * y - np.sin(c)) ** 2) / 2 + 1j * c)
                    for c in range(coils)])
    out = np.array(out) * 1e-4
    return (out + 1e-7 * (rng.normal(size=out.shape) + 1j * rng.normal(size=out.shape))).astype("c8")


XML = """<?xml version="1.0" encoding="utf-8"?>
<ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD">
 <subjectInformation><patientName>Secret^Jo</patientName><patientID>S123</patientID></subjectInformation>
 <acquisitionSystemInformation><systemVendor>SIEMENS</systemVendor><systemModel>Biograph_mMR</systemModel>
  <systemFieldStrength_T>2.8936</systemFieldStrength_T></acquisitionSystemInformation>
 <encoding><trajectory>{trajectory}</trajectory>
  <encodedSpace><matrixSize><x>{x}</x><y>{y}</y><z>{z}</z></matrixSize>
   <fieldOfView_mm><x>{fx}</x><y>{fy}</y><z>{fz}</z></fieldOfView_mm></encodedSpace>
  <reconSpace><matrixSize><x>{rx}</x><y>{ry}</y><z>{rz}</z></matrixSize>
   <fieldOfView_mm><x>{gx}</x><y>{gy}</y><z>{fz}</z></fieldOfView_mm></reconSpace>
  <encodingLimits><kspace_encoding_step_1><minimum>0</minimum><maximum>{last}</maximum>
   <center>{centre}</center></kspace_encoding_step_1></encodingLimits>
  <echoTrainLength>4</echoTrainLength></encoding>
 <sequenceParameters><TR>2800</TR><TE>33</TE><flipAngle_deg>140</flipAngle_deg>
  <sequence_type>TurboSpinEcho</sequence_type></sequenceParameters>
</ismrmrdHeader>"""


def xml(x, y, z, rx, ry, rz, centre, trajectory="cartesian", fz=4.5, interpolation=1):
    return XML.format(x=x, y=y, z=z, rx=rx * interpolation, ry=ry * interpolation, rz=rz, fx=0.5 * x,
                      fy=0.75 * y, fz=fz, gx=0.5 * rx, gy=0.75 * ry, last=y - 1, centre=centre,
                      trajectory=trajectory)


def fastmri(path, coil_images, recon=(32, 32), single=False, patient="5f3c", acquisition="CORPD_FBK"):
    """As Zbontar et al. 2018 describe it."""
    kspace = to_kspace(coil_images).astype("c8")
    image = middle(rss(coil_images, 1), *recon).astype("f4")
    with h5py.File(path, "w") as f:
        f["kspace"] = kspace[:, 0] if single else kspace
        f["reconstruction_esc" if single else "reconstruction_rss"] = image
        f["ismrmrd_header"] = xml(kspace.shape[2], kspace.shape[3], 1, *recon, 1, 18)
        f.attrs["acquisition"], f.attrs["patient_id"] = acquisition, patient
        f.attrs["max"], f.attrs["norm"] = image.max(), np.linalg.norm(image)
    return kspace


def result(run, tmp_path, source, *options):
    run(["mr-corrupt", *options, "--force", source, "-o", tmp_path / "o.nii"])
    image = nib.load(tmp_path / "o.nii")
    return np.asarray(image.dataobj).T, image  # [slice, row, column]


def test_fastmri_is_reconstructed_as_its_own_reference(run, tmp_path):
    coil_images = coils_of()
    fastmri(tmp_path / "a.h5", coil_images)
    got, image = result(run, tmp_path, tmp_path / "a.h5", *KEEP)
    with h5py.File(tmp_path / "a.h5") as f:
        want = f["reconstruction_rss"][:]
    assert got.dtype == np.float32 and np.allclose(got, want, atol=3e-6 * want.max())
    assert image.header.get_zooms() == pytest.approx((0.75, 0.5, 4.5))
    assert nib.aff2axcodes(image.affine) == ("L", "S", "A")
    fastmri(tmp_path / "b.h5", coil_images[:, :1], single=True, acquisition="AXT2")
    got, image = result(run, tmp_path, tmp_path / "b.h5", *KEEP)
    assert np.allclose(got, middle(np.abs(coil_images[:, 0]), 32, 32), atol=3e-6 * got.max())
    assert nib.aff2axcodes(image.affine) == ("L", "A", "S")


def test_artifacts_act_on_the_measured_lines_of_every_coil(run, tmp_path):
    coil_images = coils_of(columns=36)
    kspace = fastmri(tmp_path / "a.h5", coil_images)
    step = "undersampling,acceleration=2,centre=0,regular=1"
    got, _ = result(run, tmp_path, tmp_path / "a.h5", "-a", step)
    wanted = []
    for offset in (0, 1):  # the lines along columns: phase encoding
        lines = np.zeros_like(kspace)
        lines[..., offset::2] = kspace[..., offset::2]
        wanted.append(middle(rss(to_image(lines), 1), 32, 32))
    assert min(np.abs(got - w).max() for w in wanted) < 1e-5 * got.max()
    # The same of the finished magnitude is another image.
    nib.save(nib.Nifti1Image(middle(rss(coil_images, 1), 32, 32).T.astype("f4"), np.eye(4)),
             tmp_path / "magnitude.nii")
    proxy, _ = result(run, tmp_path, tmp_path / "magnitude.nii", "-a", step, "--phase-encode", "i")
    assert min(np.abs(proxy - w).max() for w in wanted) > 0.05 * got.max()


def test_noise_has_the_snr_of_the_combined_image(run, tmp_path):
    coil_images = coils_of(slices=8)
    fastmri(tmp_path / "a.h5", coil_images)
    clean, _ = result(run, tmp_path, tmp_path / "a.h5", *KEEP)
    noisy, _ = result(run, tmp_path, tmp_path / "a.h5", "-a", "rician,snr=20")
    inside = clean > np.median(clean[clean > 0.2 * clean.max()])
    sigma = (noisy - clean)[inside].std()
    foreground = clean > 0.25 * clean.max()
    assert clean[foreground].mean() / sigma == pytest.approx(20, rel=0.2)


def test_the_export_acts_on_the_combined_image_and_comes_last(run, fails, tmp_path):
    fastmri(tmp_path / "a.h5", coils_of())
    got, _ = result(run, tmp_path, tmp_path / "a.h5", "-a", "rician:2", "-a", "quantisation:5")
    assert len(np.unique(got)) <= 16
    fails(["mr-corrupt", "-a", "quantisation:5", "-a", "rician:2", tmp_path / "a.h5", "-o",
           tmp_path / "x.nii"], 65, "rician acts on measured complex data, but stands behind quantisation")


def test_sense_combines_by_self_calibrated_sensitivities(run, tmp_path):
    coil_images = coils_of()
    kspace = fastmri(tmp_path / "a.h5", coil_images)
    got, _ = result(run, tmp_path, tmp_path / "a.h5", "--combine", "sense", *KEEP)
    window = np.ones(kspace.shape[-2:])
    for axis, n in enumerate(window.shape):
        off = np.arange(n) - n // 2
        w = np.where(np.abs(off) < 12, 0.5 * (1 + np.cos(np.pi * off / 12)), 0)
        window *= w[:, None] if axis == 0 else w
    low = to_image(kspace * window)
    maps = low / rss(low, 1)[:, None]
    want = np.abs((maps.conj() * to_image(kspace)).sum(1)) / (np.abs(maps) ** 2).sum(1)
    assert np.allclose(got, middle(want, 32, 32), atol=2e-5 * want.max())


def test_only_kspace_has_coils(fails, data, tmp_path):
    fails(["mr-corrupt", *KEEP, "--combine", "sense", data / "nifti/nibabel/anatomical.nii", "-o",
           tmp_path / "o.nii"], 64, "is no k-space")


def test_bart_and_numpy_files_hold_the_same_image(run, data, tmp_path):
    kspace = np.load(data / "kspace" / "cartesian_ksp.npy")
    want = rss(to_image(kspace), 0)
    sources = [data / "kspace" / "cartesian_ksp.npy"]
    for name, array in (("f", np.asfortranarray(kspace)), ("big", kspace.astype(">c8")),
                        ("wide", kspace.astype("c16")), ("slices", kspace[None])):
        np.save(tmp_path / f"{name}.npy", array)
        sources.append(tmp_path / f"{name}.npy")
    kspace.transpose(1, 2, 0)[:, :, None, :].ravel("F").tofile(tmp_path / "bart.cfl")
    (tmp_path / "bart.hdr").write_text("# Dimensions\n230 180 1 8 1 1 1 1 1 1 1 1 1 1 1 1\n# Creator\n")
    sources.append(tmp_path / "bart.cfl")
    for source in sources:
        got, _ = result(run, tmp_path, source, *KEEP)
        assert np.allclose(got[0], want, atol=1e-6), source
    assert got.max() == pytest.approx(1, abs=1e-5) and got.mean() == pytest.approx(0.26853, abs=1e-4)


def test_a_bart_volume_is_transformed_along_both_phase_encodes(run, tmp_path):
    rng = np.random.default_rng(1)
    kspace = (rng.normal(size=(3, 8, 16, 12)) + 1j * rng.normal(size=(3, 8, 16, 12))).astype("c8")
    kspace.transpose(2, 3, 1, 0).ravel("F").tofile(tmp_path / "v.cfl")  # read, phase 1, phase 2, coil
    (tmp_path / "v.hdr").write_text("# Dimensions\n16 12 8 3\n")
    got, _ = result(run, tmp_path, tmp_path / "v.cfl", *KEEP)
    assert np.allclose(got, rss(to_image(kspace, (-3, -2, -1)), 0), atol=1e-5)


# ---- ISMRMRD ----

FLOATS3 = ("<f4", (3,))
INDEX = np.dtype([(n, "<u2") for n in (
    "kspace_encode_step_1", "kspace_encode_step_2", "average", "slice", "contrast", "phase",
    "repetition", "set", "segment")] + [("user", "<u2", (8,))])
HEAD = np.dtype([
    ("version", "<u2"), ("flags", "<u8"), ("measurement_uid", "<u4"), ("scan_counter", "<u4"),
    ("acquisition_time_stamp", "<u4"), ("physiology_time_stamp", "<u4", (3,)),
    ("number_of_samples", "<u2"), ("available_channels", "<u2"), ("active_channels", "<u2"),
    ("channel_mask", "<u8", (16,)), ("discard_pre", "<u2"), ("discard_post", "<u2"),
    ("center_sample", "<u2"), ("encoding_space_ref", "<u2"), ("trajectory_dimensions", "<u2"),
    ("sample_time_us", "<f4"), ("position", *FLOATS3), ("read_dir", *FLOATS3),
    ("phase_dir", *FLOATS3), ("slice_dir", *FLOATS3), ("patient_table_position", *FLOATS3),
    ("idx", INDEX), ("user_int", "<i4", (8,)), ("user_float", "<f4", (8,))])
VLEN = h5py.vlen_dtype(np.float32)
ACQUISITION = np.dtype([("head", HEAD), ("traj", VLEN), ("data", VLEN)])


def ismrmrd(path, kspace, recon, centre, header=None, averages=1, change=lambda head: None,
            extra=(), volume=False):
    """kspace [slice or step 2, coil, sample, line]; slices in the order 0, 2, .., 1, 3, .."""
    slices, coils, samples, lines = kspace.shape
    rows = []
    order = [*range(0, slices, 2), *range(1, slices, 2)]
    for average in range(averages):
        for number, place in enumerate(range(slices) if volume else order):
            for line in range(lines):
                head = np.zeros((), HEAD)
                head["number_of_samples"], head["center_sample"] = samples, samples // 2
                head["active_channels"] = head["available_channels"] = coils
                head["read_dir"], head["phase_dir"], head["slice_dir"] = (0, 0, 1), (1, 0, 0), (0, 1, 0)
                head["position"] = (5, 0 if volume else -10 + 3 * place, 7)
                head["idx"]["kspace_encode_step_1"] = line
                head["idx"]["kspace_encode_step_2" if volume else "slice"] = place if volume else number
                head["idx"]["average"] = average
                change(head)
                signal = kspace[place, :, :, line] * (1 + (average - (averages - 1) / 2))
                rows.append((head, signal))
    for head, signal in extra:
        rows.insert(0, (head, signal))
    with h5py.File(path, "w") as f:
        group = f.create_group("dataset")
        group.create_dataset("xml", data=np.array([header or xml(samples, lines, slices if volume else 1,
                                                               *recon, centre)], dtype=object),
                             dtype=h5py.string_dtype())
        table = group.create_dataset("data", (len(rows),), ACQUISITION)
        for i, (head, signal) in enumerate(rows):
            one = np.zeros(1, ACQUISITION)
            one["head"][0] = head
            one["traj"][0] = np.zeros(0, np.float32)
            one["data"][0] = np.ascontiguousarray(signal).astype("c8").view(np.float32).ravel()
            table[i:i + 1] = one


def test_ismrmrd_lines_become_slices_where_they_lie(run, tmp_path):
    coil_images = coils_of(slices=5, columns=24)
    noise = np.zeros((), HEAD)
    noise["flags"], noise["number_of_samples"], noise["active_channels"] = 1 << 18, 10, 4
    ismrmrd(tmp_path / "a.h5", to_kspace(coil_images), (32, 24, 1), 12, averages=3,
            extra=[(noise, np.ones((4, 10)))])
    got, image = result(run, tmp_path, tmp_path / "a.h5", *KEEP)
    want = middle(rss(coil_images, 1), 32, 24)
    assert np.allclose(got, want, atol=3e-6 * want.max())
    # LPS: columns along x from 5, rows along z from 7, slices along y from -10 in steps of 3.
    centre = image.affine @ [12, 16, 0, 1]
    assert centre[:3] == pytest.approx([-5, 10, 7])
    assert np.allclose(image.affine[:3, :3], [[-0.75, 0, 0], [0, 0, -3], [0, 0.5, 0]])


def test_what_an_image_spans_is_cut_by_the_field_of_view(run, tmp_path):
    """A reconstruction that was interpolated has a larger matrix than what it shows."""
    coil_images = coils_of(slices=1, columns=24)
    ismrmrd(tmp_path / "a.h5", to_kspace(coil_images), None, None,
            header=xml(64, 24, 1, 32, 20, 1, 12, interpolation=2))
    got, image = result(run, tmp_path, tmp_path / "a.h5", *KEEP)
    assert np.allclose(got, middle(rss(coil_images, 1), 32, 20), atol=3e-6 * got.max())
    assert image.header.get_zooms()[:2] == pytest.approx((0.75, 0.5))


def test_lines_that_are_no_image_are_left_out(run, tmp_path):
    coil_images = coils_of(slices=1, columns=24)
    extra = []
    for bit in (19, 20, 23, 24, 26, 27, 28, 29, 30, 31):  # as ismrmrd.h counts them
        head = np.zeros((), HEAD)
        head["flags"], head["number_of_samples"], head["active_channels"] = 1 << (bit - 1), 64, 4
        head["idx"]["kspace_encode_step_1"] = 12
        extra.append((head, np.ones((4, 64))))
    ismrmrd(tmp_path / "a.h5", to_kspace(coil_images), (32, 24, 1), 12, extra=extra)
    got, _ = result(run, tmp_path, tmp_path / "a.h5", *KEEP)
    assert np.allclose(got, middle(rss(coil_images, 1), 32, 24), atol=3e-6 * got.max())


def test_partial_lines_and_readouts_are_put_about_the_centre(run, tmp_path):
    coil_images = coils_of(slices=1, columns=24)
    kspace = to_kspace(coil_images)

    def late_centre(head):
        head["center_sample"] = 20

    header = xml(64, 24, 1, 32, 24, 1, centre=8)
    ismrmrd(tmp_path / "a.h5", kspace[:, :, 12:, 4:], None, None, header=header, change=late_centre)
    got, _ = result(run, tmp_path, tmp_path / "a.h5", *KEEP)
    measured = np.zeros_like(kspace)
    measured[:, :, 12:, 4:] = kspace[:, :, 12:, 4:]
    want = middle(rss(to_image(measured), 1), 32, 24)
    assert np.allclose(got, want, atol=3e-6 * want.max())


def test_an_ismrmrd_volume(run, tmp_path):
    rng = np.random.default_rng(2)
    kspace = (rng.normal(size=(6, 2, 16, 10)) + 1j * rng.normal(size=(6, 2, 16, 10))).astype("c8")
    ismrmrd(tmp_path / "v.h5", kspace, (16, 10, 6), 5, volume=True)
    got, _ = result(run, tmp_path, tmp_path / "v.h5", *KEEP)
    assert np.allclose(got, rss(to_image(kspace, (-4, -2, -1)), 1), atol=1e-4)


def test_what_is_no_cartesian_image_is_refused(fails, tmp_path):
    kspace = to_kspace(coils_of(slices=1, columns=8))

    def refused(part, **options):
        ismrmrd(tmp_path / "a.h5", kspace, (32, 8, 1), 4, **options)
        fails(["mr-corrupt", *KEEP, tmp_path / "a.h5", "-o", tmp_path / "o.nii"], 65, "a.h5", part)

    refused("a radial trajectory", header=xml(64, 8, 1, 32, 8, 1, 4, trajectory="radial"))
    refused("lines that were read backwards", change=lambda h: h.__setitem__("flags", 1 << 21))
    refused("several repetitions", change=lambda h: h["idx"].__setitem__(
        "repetition", h["idx"]["kspace_encode_step_1"] // 4))
    refused("lies outside the encoded matrix", header=xml(64, 4, 1, 32, 4, 1, 2))
    refused("no XML", header="<ismrmrdHeader")
    refused("position is not finite", change=lambda h: h.__setitem__("position", np.nan))
    with h5py.File(tmp_path / "a.h5", "r+") as f:
        one = f["dataset/data"][0]
        del f["dataset/data"]
        f["dataset"].create_dataset("data", (), ACQUISITION)[()] = one
    fails(["mr-corrupt", *KEEP, tmp_path / "a.h5", "-o", tmp_path / "o.nii"], 65, "are no list")
    with h5py.File(tmp_path / "a.h5", "w") as f:
        f["weights"] = np.zeros(3)
    fails(["mr-corrupt", *KEEP, tmp_path / "a.h5", "-o", tmp_path / "o.nii"], 65, "HDF5 without k-space")


def test_damaged_files_end_in_one_line(fails, tmp_path):
    fastmri(tmp_path / "a.h5", coils_of())
    whole = (tmp_path / "a.h5").read_bytes()
    np.save(tmp_path / "a.npy", np.zeros((2, 4, 4), "c8"))
    array = (tmp_path / "a.npy").read_bytes()
    np.zeros(64, "c8").tofile(tmp_path / "a.cfl")
    cases = [("cut.h5", whole[:3000]), ("half.h5", whole[:len(whole) // 2]), ("cut.npy", array[:-8]),
             ("head.npy", array[:30]), ("real.npy", array.replace(b"<c8", b"<f8")),
             ("huge.npy", array.replace(b"(2, 4, 4), ", b"(9, 99, 99)")),
             ("deep.npy", array.replace(b"(2, 4, 4), ", b"(1,2,1,4,4)")), ("none.cfl", b"1234")]
    for name, content in cases:
        (tmp_path / name).write_bytes(content)
        status = 66 if name == "none.cfl" else 65
        fails(["mr-corrupt", *KEEP, tmp_path / name, "-o", tmp_path / "o.nii"], status,
              name.replace("none.cfl", "none.hdr"))
    for header in ("8 8 1 1", "# Dimensions\n8 8 2 1 1 2\n", "# Dimensions\n8 8 1 4\n",
                   "# Dimensions\n8 -8\n", "# Dimensions\n8 8 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1\n"):
        (tmp_path / "a.hdr").write_text(header)
        fails(["mr-corrupt", *KEEP, tmp_path / "a.cfl", "-o", tmp_path / "o.nii"], 65, "a.")


# ---- through the line ----

def test_a_folder_of_fastmri_goes_through_the_line(run, tmp_path, schema):
    folder = tmp_path / "multicoil_train"
    folder.mkdir()
    for i in range(12):
        fastmri(folder / f"file{i}.h5", coils_of(slices=2, seed=i), patient=f"p{i // 2}",
                acquisition="CORPDFS_FBK" if i % 2 else "CORPD_FBK")
    (tmp_path / "t.csv").write_text("id,tear\n" + "".join(f"file{i},{i // 2 % 2}\n" for i in range(12)))
    scanned = tmp_path / "m.json"
    scanned.write_bytes(run(["mr-manifest", "scan", "--kspace", folder, "--table", tmp_path / "t.csv",
                             "--label", "tear"]).stdout)
    document = json.loads(scanned.read_text())
    schema("mr-manifest")(document)
    first = document["images"][0]
    assert first["attributes"] == {"manufacturer": "SIEMENS", "model": "Biograph_mMR",
                                   "field_t": 2.8936, "sequence": "TurboSpinEcho",
                                   "acquisition": "CORPD_FBK"}
    assert len({i["subject"] for i in document["images"]}) == 6
    kspace = np.zeros((4, 4, 4), "c8")
    (tmp_path / "bart").mkdir()
    kspace.tofile(tmp_path / "bart/b.cfl")
    (tmp_path / "bart/b.hdr").write_text("# Dimensions\n4 4 1 4\n")
    both = json.loads(run(["mr-manifest", "scan", "--kspace", tmp_path / "bart"]).stdout)["images"]
    assert [i["id"] for i in both] == ["b"]
    assert "p0" not in json.dumps(document["images"]) and "Secret" not in scanned.read_text()
    run(["mr-manifest", "check", scanned])
    run(["mr-manifest", "slices", "--axis", "k", scanned, "--manifest-out", tmp_path / "s.json"])
    run(["mr-manifest", "split", "--ratio", "train=0.4,val=0.3,test=0.3", tmp_path / "s.json",
         "--manifest-out", tmp_path / "split.json"])
    model = tmp_path / "gn.pt"
    run(["mr-train", "--norm", "group", "--groups", "4", "--width", "4", "--blocks", "1", "--epochs", "1",
         "--size", "32x32", "--augment", "restless-patient", "-o", model, tmp_path / "split.json"],
        timeout=300)
    run(["mr-eval", "-m", model, "--grid", "motion,jpeg", "--severities", "3", "-o", tmp_path / "a.eval",
         tmp_path / "split.json"], timeout=300)
    done = run(["mr-corrupt", "-a", "motion:3", "-o", tmp_path / "out", tmp_path / "split.json"])
    (tmp_path / "moved.json").write_bytes(done.stdout)
    run(["mr-eval", "-m", model, "-o", tmp_path / "b.eval", tmp_path / "moved.json"], timeout=300)

    def scores(name, **condition):
        (row,) = [r for r in map(json.loads, (tmp_path / name).read_text().splitlines())
                  if "scores" in r and condition.items() <= r["condition"].items()]
        return row["scores"]

    notes = [json.loads((tmp_path / n).read_text().splitlines()[0])["notes"] for n in ("a.eval", "b.eval")]
    assert not [note for both in notes for note in both if "proxies" in note]  # k-space was measured
    assert scores("a.eval", artifact="motion") == scores("b.eval", kind="as_given")
    assert scores("a.eval", artifact="jpeg") != scores("a.eval", kind="clean")
