"""On measured multi-coil k-space (an axial brain slice, 8 coils, variable density): what artifacts do
to each coil's lines, and what is left after reconstruction by the root of the sum of squares."""
import json

import nibabel
import numpy as np
import pytest

import images
from artifact_tools import along, nrmse, to_lines, to_rows
from test_artifacts_encoding import shots_and_echoes


@pytest.fixture(scope="module")
def measured(data):
    """k-space [x, y, coil], phase encoding along y, zero where nothing was measured."""
    return np.load(data / "kspace" / "cartesian_ksp.npy").transpose(2, 1, 0)


def to_coils(kspace):
    return to_rows(to_rows(kspace, 0), 1)


def to_kspace(coils):
    return to_lines(to_lines(coils, 0), 1)


def root_sum_of_squares(coils):
    return np.sqrt((np.abs(coils) ** 2).sum(-1))


@pytest.fixture
def corrupt_coils(run, tmp_path, measured):
    def runner(step, **acquisition):
        coils = to_coils(measured).astype(np.complex64)
        images.save(tmp_path / "coils.nii", coils[:, :, None, :], (1.2, 1, 4, 1))
        entry = {"id": "brain", "subject": "brain", "file": str(tmp_path / "coils.nii"),
                 "samples": [{"labels": []}],
                 "acquisition": {"mode": "2d", "slice_axis": "k", "phase_encode_axis": "j",
                                 "dim4": "coil", **acquisition}}
        images.write(tmp_path / "m.json", (), [entry])
        out = json.loads(run(["mr-corrupt", "-a", step, "--force", "-o", tmp_path / "out",
                              tmp_path / "m.json"]).stdout)["images"][0]
        got = np.asarray(nibabel.load(out["file"]).dataobj)[:, :, 0, :]
        return coils, got, out["artifacts"][0]["drawn"]

    return runner


def test_the_data_are_as_described(measured):
    assert measured.shape == (180, 230, 8)
    image = root_sum_of_squares(to_coils(measured))
    assert image.max() == pytest.approx(1, abs=1e-5) and image.mean() == pytest.approx(0.26853, abs=1e-4)


def test_noise_is_white_in_every_coils_kspace(corrupt_coils, measured):
    coils, got, drawn = corrupt_coils("rician:4")
    drawn = drawn if isinstance(drawn, list) else [drawn] * 8
    noise = to_kspace(got - coils)
    for coil in range(8):
        n = noise[..., coil]
        for part in (n.real, n.imag):
            # 4 standard errors of a standard deviation of 41,400 samples
            assert part.std() == pytest.approx(drawn[coil]["sigma"], rel=4 / np.sqrt(2 * n.size))
        acquired = n[measured[..., coil] != 0]
        assert np.std(acquired) == pytest.approx(np.sqrt(2) * drawn[coil]["sigma"], rel=0.05)
    correlation = np.corrcoef(noise.reshape(-1, 8).T) - np.eye(8)
    assert np.abs(correlation).max() < 5 / np.sqrt(noise[..., 0].size)
    # After reconstruction: E[RSS^2] grows by the noise of all coils.
    growth = (root_sum_of_squares(got) ** 2 - root_sum_of_squares(coils) ** 2).mean()
    want = 2 * sum(d["sigma"] ** 2 for d in drawn)
    assert growth == pytest.approx(want, rel=0.05)


def test_coils_see_one_patient_move(corrupt_coils, measured):
    coils, got, drawn = corrupt_coils("motion:4,rotation_deg=0", line_order="interleaved", echo_train=8)
    drawn = drawn[0] if isinstance(drawn, list) else drawn
    shot, _ = shots_and_echoes(drawn, 230)
    moved = np.zeros((230, 2))
    for event in drawn["events"]:
        moved += (shot >= event["shot"])[:, None] * np.array(event["translation_mm"])[:2]
    moved = (moved - moved[115]) / (1.2, 1)
    kx, ky = ((np.arange(n) - n // 2) / n for n in (180, 230))
    phase = np.exp(-2j * np.pi * (along(kx, 0)[..., 0] * moved[:, 0] + along(ky, 1)[..., 0] * moved[:, 1]))
    want = to_coils(measured * phase[..., None])
    image, result = root_sum_of_squares(coils), root_sum_of_squares(got)
    assert nrmse(result, image) > 0.05
    assert nrmse(got, want) < 2e-3  # an even axis has one frequency without a partner
    assert nrmse(result, root_sum_of_squares(want)) < 2e-3
