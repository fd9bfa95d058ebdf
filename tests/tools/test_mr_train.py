"""mr-train as a program: what it writes, what Python makes of it, how it stops and goes on."""
import base64
import hashlib
import io
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import time
import zipfile

import nibabel
import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from conftest import BIN, ROOT  # noqa: E402

LABELS = ["bright", "striped"]


def write_data(folder, subjects=12, slices=4, seed=0):
    """Small volumes whose slices are brighter, or striped, or both, in noise."""
    rng = np.random.default_rng(seed)
    images = []
    for s in range(subjects):
        labels = rng.integers(0, 2, (slices, 2))
        voxels = rng.normal(100, 20, (18, 14, slices))
        for k, (bright, striped) in enumerate(labels):
            voxels[4:10, 3:9, k] += 60 * bright
            voxels[::2, :, k] += 40 * striped
        nibabel.save(nibabel.Nifti1Image(voxels.astype(np.int16), np.diag([1, 1, 3, 1])),
                     folder / f"s{s}.nii.gz")
        split = "train" if s < subjects // 2 else "val" if s < 3 * subjects // 4 else "test"
        images.append(dict(id=f"i{s}", subject=f"p{s}", split=split, file=f"s{s}.nii.gz",
                           samples=[dict(slice=dict(axis="k", index=k), labels=row.tolist())
                                    for k, row in enumerate(labels)]))
    return images


def write_manifest(path, images, labels=LABELS):
    values = [dict(name=name, values=["0", "1"]) for name in labels]
    path.write_text(json.dumps(dict(schema="mr-manifest/1", labels=values, images=images,
                                    provenance=[])))
    return path


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    return folder, write_data(folder)


@pytest.fixture(scope="module")
def manifest(images):
    folder, entries = images
    return write_manifest(folder / "study.json", entries)


SMALL = {"--width": "4", "--blocks": "1,1", "--size": "16x20", "--batch": "8", "--lr": "0.003",
         "--epochs": "3", "--threads": "1", "--seed": "3"}


def train(manifest, model, *options):
    small = [word for pair in SMALL.items() if pair[0] not in options for word in pair]
    return ["mr-train", *small, *options, manifest, "-o", model]


@pytest.fixture(scope="module")
def models(run, manifest, tmp_path_factory):
    """One trained model per norm: {norm: path}."""
    folder = tmp_path_factory.mktemp("models")
    for norm in ("batch", "group", "layer_chw"):
        run(train(manifest, folder / f"{norm}.pt", "--norm", norm, "--groups", "2", "-q"))
    return {norm: folder / f"{norm}.pt" for norm in ("batch", "group", "layer_chw")}


def info(path):
    extra = {"mr.json": ""}
    torch.jit.load(str(path), _extra_files=extra)
    return json.loads(extra["mr.json"])


def log_of(model):
    return [json.loads(line) for line in open(f"{model}.log.jsonl")]


def untimed(log):
    """What must be the same in two runs: all but how long they took."""
    return [{name: value for name, value in line.items() if name != "timing"} for line in log]


# The network a second time, as a PyTorch user would write it from its description.


class Block(nn.Module):
    def __init__(self, norm, inputs, outputs, stride):
        super().__init__()
        self.norm1, self.norm2 = norm(inputs), norm(outputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, x):
        y = F.relu(self.norm1(x))
        skip = self.shortcut(y) if hasattr(self, "shortcut") else x
        return self.conv2(F.relu(self.norm2(self.conv1(y)))) + skip


class PreActResNet(nn.Module):
    def __init__(self, norm, width, blocks, labels):
        super().__init__()
        self.stem = nn.Conv2d(1, width, 3, 1, 1, bias=False)
        self.order, channels = [], width
        for stage, count in enumerate(blocks):
            for b in range(count):
                name, outputs = f"stage{stage + 1}_block{b + 1}", width << stage
                self.add_module(name, Block(norm, channels, outputs, 2 if stage and not b else 1))
                self.order.append(name)
                channels = outputs
        self.heads = nn.ModuleList(nn.Linear(100 * channels, 2) for _ in range(labels))

    def forward(self, x):
        x = self.stem(x)
        for name in self.order:
            x = getattr(self, name)(x)
        x = F.adaptive_avg_pool2d(x, 10).flatten(1)
        logits = [head(x) for head in self.heads]
        return torch.stack([z[:, 1] - z[:, 0] for z in logits], 1)


def plain_network(script, description):
    norm = {"batch": nn.BatchNorm2d, "layer_chw": lambda c: nn.GroupNorm(1, c),
            "group(2)": lambda c: nn.GroupNorm(2, c),
            "group(4)": lambda c: nn.GroupNorm(4, c)}[description["normalization"]]
    shape = description["architecture"]
    net = PreActResNet(norm, shape["width"], shape["blocks"], shape["labels"])
    state = script.state_dict()
    weight, bias = state.pop("heads.weight"), state.pop("heads.bias")
    for i in range(shape["labels"]):
        state[f"heads.{i}.weight"], state[f"heads.{i}.bias"] = (
            weight[2 * i:2 * i + 2], bias[2 * i:2 * i + 2])
    missing, unexpected = net.load_state_dict(state, strict=False)
    assert not unexpected and all("num_batches" in name for name in missing)
    return net.eval()


@pytest.mark.parametrize("norm", ["batch", "group", "layer_chw"])
def test_the_model_computes_what_an_independent_pytorch_network_computes(models, norm):
    script = torch.jit.load(str(models[norm]))
    description = info(models[norm])
    net = plain_network(script, description)
    assert sum(p.numel() for p in net.parameters()) == description["parameters"]
    x = torch.randn(5, 1, 16, 20, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        want, got = net(x), script(x)
        assert want.abs().max() > 0.01
        assert torch.allclose(want, got, rtol=0, atol=1e-5)
        if norm == "batch":  # prediction-time batch norm: an attribute that Python can set too
            for module in script.modules():
                if hasattr(module, "prior"):
                    module.prior = 0.0
            for module in net.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.train()
            adapted = script(x)
            assert torch.allclose(net(x), adapted, rtol=0, atol=1e-5)
            assert not torch.allclose(want, adapted, atol=1e-2)


def prepared(images, preprocessing):
    """Slices as the model sees them: percentiles of the volume, radiological turn, centre crop."""
    folder, entries = images
    rows, columns = preprocessing["size"]
    pictures, truth, ids = [], [], []
    for entry in entries:
        if entry["split"] != "val":
            continue
        voxels = nibabel.load(folder / entry["file"]).get_fdata()
        low, high = np.percentile(voxels, [1, 99])
        for sample in entry["samples"]:
            picture = ((voxels[:, :, sample["slice"]["index"]] - low) / (high - low)).T[::-1, ::-1]
            picture = picture[:, (picture.shape[1] - min(columns, picture.shape[1])) // 2:]
            out = np.zeros((rows, columns), np.float32)
            h, w = picture.shape
            out[(rows - h) // 2:(rows - h) // 2 + h, (columns - w) // 2:(columns - w) // 2 + w] = \
                picture
            pictures.append(out)
            truth.append(sample["labels"])
            ids.append(entry["id"])
    return torch.from_numpy(np.stack(pictures))[:, None], np.array(truth), ids


def test_auroc_and_thresholds_are_those_of_the_stored_network_on_the_validation_split(
        models, images):
    metrics = pytest.importorskip("sklearn.metrics")
    for path in models.values():
        description = info(path)
        x, truth, _ = prepared(images, description["preprocessing"])
        with torch.no_grad():
            scores = torch.jit.load(str(path))(x).numpy()
        best = description["training"]["best"]
        aurocs = [metrics.roc_auc_score(truth[:, i], scores[:, i]) for i in range(2)]
        assert np.allclose([best["val_auroc"][name] for name in LABELS], aurocs, atol=1e-9)
        assert np.isclose(best["val_auroc_mean"], np.mean(aurocs))
        for i, point in enumerate(description["operating_points"]):
            positives = np.sort(scores[truth[:, i] == 1, i])[::-1]
            want = positives[int(np.ceil(0.9 * len(positives))) - 1]
            assert point["label"] == LABELS[i] and abs(point["threshold"] - want) < 1e-5
            assert point["sensitivity"] >= 0.9


@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("norm", ["batch", "group"])
def test_the_network_learns(run, manifest, tmp_path, norm, precision):
    model = tmp_path / "m.pt"
    run(train(manifest, model, "--norm", norm, "--groups", "2", "--precision", precision,
              "--epochs", "25", "--epoch-samples", "64", "--patience", "25", "-q"))
    training = info(model)["training"]
    assert training["precision"] == precision
    assert training["best"]["val_auroc_mean"] > 0.85


def test_bf16_rounds_the_training_alone_and_each_time_alike(run, manifest, models, schema, tmp_path):
    for name in ("a.pt", "b.pt"):
        run(train(manifest, tmp_path / name, "--norm", "group", "--groups", "2", "--precision",
                  "bf16", "-q"))
    assert (tmp_path / "a.pt").read_bytes() == (tmp_path / "b.pt").read_bytes()
    schema("mr-model")(info(tmp_path / "a.pt"))
    state = torch.jit.load(str(tmp_path / "a.pt")).state_dict()
    assert all(tensor.dtype == torch.float32 for tensor in state.values())
    ours, theirs = (log_of(path)[1]["train_loss"] for path in (tmp_path / "a.pt", models["group"]))
    assert 0 < abs(ours - theirs) < 0.02 * theirs


def test_model_and_log_fit_their_schemas(models, schema):
    for norm, path in models.items():
        description = info(path)
        schema("mr-model")(description)
        assert description["labels"] == LABELS
        assert description["normalization"] == {"group": "group(2)"}.get(norm, norm)
        assert description["provenance"][-1]["tool"] == "mr-train"
        lines = log_of(path)
        for line in lines:
            schema("mr-train-log")(line)
        epochs = lines[1:-1]
        assert [e["epoch"] for e in epochs] == list(range(1, len(epochs) + 1))
        means = [e["val_auroc_mean"] for e in epochs]
        assert lines[-1]["best_epoch"] == 1 + int(np.argmax(means))  # the first of equals
        assert description["training"]["best"]["epoch"] == lines[-1]["best_epoch"]
        assert not os.path.exists(f"{path}.checkpoint")
        for timing in (e["timing"] for e in epochs):
            assert 0 <= timing["waited_s"] <= timing["seconds"]
            assert np.isclose(timing["images_per_s"] * timing["seconds"], 24)
        assert "timing" not in description["training"]["best"]


def test_patience_ends_the_run(run, manifest, tmp_path):
    # A learning rate this small changes no ranking: the first epoch stays the best.
    run(train(manifest, tmp_path / "m.pt", "--norm", "layer", "--lr", "1e-12", "--patience", "2",
              "--epochs", "9", "-q"))
    end = json.loads(open(tmp_path / "m.pt.log.jsonl").readlines()[-1])
    assert end == {"end": True, "epochs": 3, "best_epoch": 1, "stopped": "patience"}


def test_the_preset_is_the_published_protocol_and_options_win_over_it(run, manifest, tmp_path):
    model = tmp_path / "m.pt"
    run(["mr-train", "--preset", "mri-robustness", "--width", "32", "--size", "16x16", "--epochs",
         "1", "--epoch-samples", "8", "--norm", "group", "-q", manifest, "-o", model])
    description = info(model)
    assert description["architecture"]["blocks"] == [2, 2, 2, 2]
    assert description["architecture"]["width"] == 32
    assert description["normalization"] == "group(32)"
    assert description["preprocessing"]["standardisation"] == "none"
    want = dict(optimiser="adamw", batch=32, patience=5, epochs=1, augment=None)
    assert {k: description["training"][k] for k in want} == want


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(run, manifest, models, tmp_path):
    again, other = tmp_path / "again.pt", tmp_path / "other.pt"
    run(train(manifest, again, "--norm", "batch", "--groups", "2", "-q"))
    run(train(manifest, other, "--norm", "batch", "--groups", "2", "-q", "--seed", "4"))
    assert again.read_bytes() == models["batch"].read_bytes()
    assert untimed(log_of(again)) == untimed(log_of(models["batch"]))
    weights = [torch.jit.load(str(p)).state_dict()["stem.weight"] for p in (again, other)]
    assert not torch.equal(*weights)


def test_a_manifest_comes_by_standard_input_too(run, images, manifest, models, tmp_path):
    folder, _ = images
    model = tmp_path / "m.pt"
    run(train("-", model, "--norm", "layer", "-q", "--root", folder), stdin=manifest.read_bytes())
    ours, theirs = (torch.jit.load(str(p)).state_dict() for p in (model, models["layer_chw"]))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_augmentation_changes_the_training_images_and_is_recorded(run, manifest, models, tmp_path):
    recipe = tmp_path / "recipe.json"
    recipe.write_text(json.dumps(dict(schema="mr-recipe/1",
                                      steps=[dict(artifact="rician", severity=4)])))
    for name in ("a.pt", "b.pt"):
        run(train(manifest, tmp_path / name, "--norm", "layer", "--augment", recipe, "-q"))
    assert (tmp_path / "a.pt").read_bytes() == (tmp_path / "b.pt").read_bytes()
    assert info(tmp_path / "a.pt")["training"]["augment"]["steps"][0]["artifact"] == "rician"
    ours, plain = (torch.jit.load(str(p)).state_dict() for p in (tmp_path / "a.pt", models["layer_chw"]))
    assert not torch.equal(ours["stem.weight"], plain["stem.weight"])


def test_sampler_and_class_weights_are_recorded_and_change_the_run(
        run, images, manifest, models, schema, tmp_path):
    positives = np.array([s["labels"] for e in images[1] if e["split"] == "train"
                          for s in e["samples"]]).mean(0)
    assert (positives != 0.5).any()
    plain = info(models["layer_chw"])["training"]
    assert plain["sampler"].startswith("balanced") and plain["class_weights"] is None
    stems = [torch.jit.load(str(models["layer_chw"])).state_dict()["stem.weight"]]
    for name, options in (("n.pt", []), ("w.pt", ["--class-weights", "inverse"])):
        run(train(manifest, tmp_path / name, "--norm", "layer", "--sampler", "natural", *options,
                  "-q"))
        training = info(tmp_path / name)["training"]
        assert training["sampler"].startswith("natural")
        stem = torch.jit.load(str(tmp_path / name)).state_dict()["stem.weight"]
        assert not any(torch.equal(stem, other) for other in stems)
        stems.append(stem)
    schema("mr-model")(info(tmp_path / "w.pt"))
    for name, positive in zip(LABELS, positives):
        weight = training["class_weights"][name]
        assert np.isclose(weight["positive"], 1 / (2 * positive))
        assert np.isclose(weight["negative"], 1 / (2 * (1 - positive)))


def test_the_learning_rate_follows_its_schedule(run, manifest, schema, tmp_path):
    # 24 training samples in batches of 8: three steps per epoch.
    cases = {"cosine": (["--warmup-epochs", "1"],
                        [1, *((1 + np.cos(np.pi * (3 * e - 4) / 9)) / 2 for e in (2, 3, 4))]),
             "step": (["--step-epochs", "2", "--step-factor", "0.5"], [1, 1, 0.5, 0.5]),
             "plateau": (["--plateau-patience", "2", "--lr", "1e-12"], [1, 1, 1, 0.1])}
    for name, (options, want) in cases.items():
        model = tmp_path / f"{name}.pt"
        run(train(manifest, model, "--norm", "layer", "--epochs", "4", "--schedule", name,
                  *options, "-q"))
        log = log_of(model)
        for line in log:
            schema("mr-train-log")(line)
        schema("mr-model")(info(model))
        assert log[0]["training"]["schedule"]["name"] == name
        rates = [line["learning_rate"] for line in log[1:-1]]
        assert np.allclose(rates, log[0]["training"]["learning_rate"] * np.array(want), rtol=1e-9)


@pytest.fixture(scope="module")
def partly_unknown(images):
    """The manifest, but a third of the training labels is unknown, in no order."""
    folder, entries = images
    rng = np.random.default_rng(5)

    def hide(entry):
        for sample in entry["samples"]:
            if entry["split"] == "train":
                sample["labels"] = [v if rng.random() < 2 / 3 else None for v in sample["labels"]]

    return write_manifest(folder / "partly-unknown.json", changed(entries, hide))


# One epoch of plain steps: weights after it are the sum of the gradients. 20 draws make a step of
# 16 and one of 4.
STEPS = ["--norm", "group", "--groups", "2", "--optimiser", "sgd", "--lr", "0.1", "--wd", "0",
         "--epochs", "1", "--epoch-samples", "20", "--class-weights", "inverse", "-q"]


def largest_difference(one, other):
    ours, theirs = (torch.jit.load(str(path)).state_dict() for path in (one, other))
    return max((ours[name] - theirs[name]).abs().max().item() for name in theirs)


def test_accumulated_batches_step_as_one_batch_of_all_their_images(run, partly_unknown, tmp_path):
    for name, options in (("one.pt", ["--batch", "16"]),
                          ("four.pt", ["--batch", "4", "--accumulate", "4"]),
                          ("ragged.pt", ["--batch", "3", "--accumulate", "3"]),
                          ("nine.pt", ["--batch", "9"]),
                          ("clipped.pt", ["--batch", "16", "--clip-norm", "0.01"])):
        run(train(partly_unknown, tmp_path / name, *STEPS, *options))
    assert info(tmp_path / "four.pt")["training"]["accumulate"] == 4
    assert largest_difference(tmp_path / "four.pt", tmp_path / "one.pt") < 1e-5
    assert largest_difference(tmp_path / "ragged.pt", tmp_path / "nine.pt") < 1e-5
    assert largest_difference(tmp_path / "nine.pt", tmp_path / "one.pt") > 1e-3
    assert largest_difference(tmp_path / "clipped.pt", tmp_path / "one.pt") > 1e-3
    logs = [log_of(tmp_path / name)[1]["train_loss"] for name in ("four.pt", "one.pt")]
    assert abs(logs[0] - logs[1]) < 1e-5


# Stopping and going on.

LONG = ["--epochs", "6", "--epoch-samples", "200", "--patience", "6", "--norm", "batch",
        "--schedule", "cosine", "--warmup-epochs", "0.5", "--batch", "4", "--accumulate", "3"]


@pytest.fixture(scope="module")
def undisturbed(run, manifest, tmp_path_factory):
    model = tmp_path_factory.mktemp("undisturbed") / "m.pt"
    run(train(manifest, model, *LONG, "-q"))
    return model


def start(manifest, model, *options, **keywords):
    command = [str(BIN / "mr-train"), *map(str, train(manifest, model, *LONG, *options)[1:])]
    return subprocess.Popen(command, stderr=subprocess.PIPE, **keywords)


def wait_for_epoch(process, epoch):
    while True:
        line = process.stderr.readline().decode()
        assert line, "ended too early"
        if f"epoch {epoch}:" in line:
            return


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_run_exits_75_and_resumes_to_the_same_bytes(
        run, fails, manifest, undisturbed, tmp_path, number):
    model, checkpoint = tmp_path / "m.pt", tmp_path / "m.pt.checkpoint"
    process = start(manifest, model)
    wait_for_epoch(process, 2)
    time.sleep(0.05)  # into epoch 3
    process.send_signal(number)
    message = process.communicate()[1].decode()
    assert process.returncode == 75, message
    assert message.splitlines()[-1].endswith("run again with --resume")
    assert sorted(os.listdir(tmp_path)) == [checkpoint.name]
    state = json.loads(checkpoint.read_bytes().split(b"\n")[0])["state"]
    assert len(state["epochs"]) >= 2
    fails(train(manifest, model, *LONG), 73, "m.pt.checkpoint", "--resume")
    for option, other in (("--norm", "instance"), ("--width", "8"), ("--blocks", "1")):
        command = train(manifest, model, *LONG, "--resume")
        command[command.index(option) + 1] = other
        fails(command, 65, "other settings")
    for options in (["--lr", "0.5"], ["--arch", "resnet18"]):
        fails(train(manifest, model, *LONG, "--resume", *options), 65, "other settings")
    good = checkpoint.read_bytes()
    checkpoint.write_bytes(good.replace(b"mr-checkpoint/1", b"mr-checkpoint/2", 1))
    fails(train(manifest, model, *LONG, "--resume"), 65, "m.pt.checkpoint", "mr-checkpoint/2")
    checkpoint.write_bytes(good)
    run(train(manifest, model, *LONG, "--resume", "-q", "--threads", "2"))  # recorded: 1
    assert model.read_bytes() == undisturbed.read_bytes()
    assert untimed(log_of(model)) == untimed(log_of(undisturbed))
    assert sorted(os.listdir(tmp_path)) == [model.name, "m.pt.log.jsonl"]


def test_a_finished_run_has_nothing_to_resume(run, fails, manifest, tmp_path):
    model = tmp_path / "m.pt"
    run(train(manifest, model))
    before = model.stat().st_mtime_ns, model.read_bytes()
    assert b"was finished before" in run(train(manifest, model, "--resume", "--threads", "2")).stderr
    assert (model.stat().st_mtime_ns, model.read_bytes()) == before
    left = tmp_path / "m.pt.checkpoint"  # killed as its model was there
    left.write_text("of the last epoch")
    assert b"was finished before" in run(train(manifest, model, "--resume")).stderr
    assert (model.stat().st_mtime_ns, model.read_bytes()) == before and not left.exists()
    fails(train(manifest, model), 73, "m.pt", "exists")
    fails(train(manifest, model, "--resume", "--lr", "0.5"), 73, "m.pt", "other settings or data")
    other = manifest.with_name("other.json")
    other.write_text(manifest.read_text() + " ")
    fails(train(other, model, "--resume"), 73, "m.pt", "other settings or data")


def test_a_killed_run_resumes_to_the_same_bytes(run, manifest, undisturbed, tmp_path):
    model = tmp_path / "m.pt"
    for epoch in (1, 3):
        process = start(manifest, model, "--resume")
        wait_for_epoch(process, epoch)
        process.kill()
        process.communicate()
        assert not model.exists() and not (tmp_path / "m.pt.log.jsonl").exists()
    run(train(manifest, model, *LONG, "--resume", "-q"))
    assert model.read_bytes() == undisturbed.read_bytes()


@pytest.mark.parametrize("seed", [1, 2])
def test_a_run_that_is_killed_at_any_moment_resumes_to_the_same_bytes(
        run, manifest, undisturbed, tmp_path, seed):
    model, rng = tmp_path / "m.pt", np.random.default_rng(seed)
    began = time.monotonic()
    run(train(manifest, tmp_path / "timed.pt", *LONG, "-q"))
    whole_s = time.monotonic() - began
    for _ in range(6):
        process = start(manifest, model, "--resume", "-q")
        try:
            process.communicate(timeout=rng.uniform(0.2, 0.8) * whole_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
        if model.exists():  # whole, even when the end came right after it
            break
    else:
        run(train(manifest, model, *LONG, "--resume", "-q"))
    assert model.read_bytes() == undisturbed.read_bytes()
    assert untimed(log_of(model)) == untimed(log_of(undisturbed))


def test_a_disk_that_fills_up_leaves_the_last_checkpoint_to_go_on_from(
        run, manifest, undisturbed, tmp_path):
    model = tmp_path / "m.pt"
    process = start(manifest, model, preexec_fn=lambda: signal.signal(signal.SIGXFSZ, signal.SIG_IGN),
                    restore_signals=False)
    wait_for_epoch(process, 2)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (20000, 20000))
    message = process.communicate()[1].decode()
    assert process.returncode == 74, message
    assert "m.pt.checkpoint" in message.splitlines()[-1]
    assert os.listdir(tmp_path) == ["m.pt.checkpoint"]
    run(train(manifest, model, *LONG, "--resume", "-q"))
    assert model.read_bytes() == undisturbed.read_bytes()


def test_a_full_file_system_leaves_nothing(fails, manifest, tmp_path):
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32k", "tmpfs", tmp_path],
                           capture_output=True)
    if mount.returncode != 0:
        pytest.skip("may not mount a small file system")
    try:
        fails(train(manifest, tmp_path / "m.pt", "-q"), 74, "m.pt.checkpoint", "No space left")
        assert os.listdir(tmp_path) == []
    finally:
        subprocess.run(["umount", tmp_path], check=True)


# Several processes.

# What a scheduler around the tests may have set.
ALONE = {name: value for name, value in os.environ.items()
         if not name.startswith(("SLURM_", "TORCHELASTIC_", "MASTER_", "LOCAL_"))
         and name not in ("RANK", "WORLD_SIZE")}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return str(s.getsockname()[1])


def start_processes(size, manifest, model, *options, launcher="torchrun"):
    """As torchrun or srun start them, but without those. `manifest`: of all, or a list."""
    if not (BIN / "mr-train").exists():
        pytest.skip("mr-train is not built")
    port = free_port()
    manifests = manifest if isinstance(manifest, list) else [manifest] * size
    rank, world, more = (("RANK", "WORLD_SIZE", dict(MASTER_ADDR="127.0.0.1"))
                         if launcher == "torchrun" else
                         ("SLURM_PROCID", "SLURM_NTASKS", dict(SLURM_JOB_NODELIST="localhost")))
    return [subprocess.Popen([BIN / "mr-train", *train(m, model, *options, "--parallel")[1:]],
                             stderr=subprocess.PIPE, env={**ALONE, **more, "MASTER_PORT": port,
                                                          rank: str(r), world: str(size)})
            for r, m in enumerate(manifests)]


def ends(processes):
    """Status and message of each."""
    messages = [p.communicate(timeout=120)[1].decode() for p in processes]
    return [p.returncode for p in processes], messages


def train_parallel(size, manifest, model, *options, **keywords):
    statuses, messages = ends(start_processes(size, manifest, model, *options, **keywords))
    assert statuses == [0] * size, messages
    assert all(message == "" for message in messages[1:])


def test_processes_that_share_batches_step_as_one_process(run, partly_unknown, schema, tmp_path):
    one = tmp_path / "one.pt"
    run(train(partly_unknown, one, *STEPS, "--batch", "16"))
    for name, size, options in (("two.pt", 2, ["--batch", "16"]),
                                ("both.pt", 2, ["--batch", "8", "--accumulate", "2"])):
        train_parallel(size, partly_unknown, tmp_path / name, *STEPS, *options)
        assert largest_difference(tmp_path / name, one) < 1e-5
        ours, theirs = (log_of(path)[1] for path in (tmp_path / name, one))
        for loss in ("train_loss", "val_loss"):
            assert ours[loss] == pytest.approx(theirs[loss], rel=1e-6, abs=1e-5)
        assert ours["val_auroc"] == theirs["val_auroc"]
    training = info(tmp_path / "two.pt")["training"]
    assert training["processes"] == 2 and training["batch_norm"] is None
    schema("mr-model")(info(tmp_path / "two.pt"))
    # Twenty samples in batches of 9: the last of two leaves one of three processes without any.
    run(train(partly_unknown, tmp_path / "nine.pt", *STEPS, "--batch", "9"))
    train_parallel(3, partly_unknown, tmp_path / "three.pt", *STEPS, "--batch", "9")
    assert largest_difference(tmp_path / "three.pt", tmp_path / "nine.pt") < 1e-5


def test_one_step_of_two_processes_has_the_gradient_of_one(run, images, tmp_path):
    """Of 2 x 16 images and of 32: plain gradient descent at rate 1 steps by the gradient."""
    folder, entries = images
    entries = [{**e, "split": "train" if e["split"] != "val" else "val"} for e in entries]
    many = write_manifest(folder / "many.json", entries)
    step = ["--norm", "group", "--groups", "2", "--optimiser", "sgd", "--wd", "0",
            "--lr", "1", "--epochs", "1", "--epoch-samples", "32", "--batch", "32", "-q"]
    run(train(many, tmp_path / "one.pt", *step))
    train_parallel(2, many, tmp_path / "two.pt", *step)
    assert 0 < largest_difference(tmp_path / "two.pt", tmp_path / "one.pt") < 1e-5


def test_synchronised_batch_norm_steps_as_one_process(run, partly_unknown, schema, tmp_path):
    steps = ["batch" if word == "group" else word for word in STEPS]
    run(train(partly_unknown, tmp_path / "one.pt", *steps, "--batch", "9"))
    for name, size, options in (("local.pt", 3, []), ("sync.pt", 3, ["--sync-batch-norm"])):
        train_parallel(size, partly_unknown, tmp_path / name, *steps, "--batch", "9", *options)
    assert largest_difference(tmp_path / "sync.pt", tmp_path / "one.pt") < 1e-5
    assert largest_difference(tmp_path / "local.pt", tmp_path / "one.pt") > 1e-3
    assert info(tmp_path / "sync.pt")["training"]["batch_norm"] == "synchronised"
    assert info(tmp_path / "local.pt")["training"]["batch_norm"] == "local"
    header = json.loads((tmp_path / "local.pt.log.jsonl").read_text().split("\n")[0])
    assert header["training"]["batch_norm"] == "local"
    schema("mr-model")(info(tmp_path / "sync.pt"))
    ours, theirs = (log_of(tmp_path / name)[1] for name in ("sync.pt", "one.pt"))
    assert np.isclose(ours["val_loss"], theirs["val_loss"], rtol=1e-5)


@pytest.fixture(scope="module")
def undisturbed_pair(manifest, tmp_path_factory):
    model = tmp_path_factory.mktemp("pair") / "m.pt"
    train_parallel(2, manifest, model, *LONG, "-q", launcher="srun")
    return model


def test_a_signal_to_one_process_stops_all_and_they_resume_to_the_same_bytes(
        manifest, undisturbed_pair, tmp_path):
    model = tmp_path / "m.pt"
    processes = start_processes(2, manifest, model, *LONG)
    wait_for_epoch(processes[0], 2)
    processes[1].send_signal(signal.SIGTERM)
    statuses, messages = ends(processes)
    assert statuses == [75, 75]
    assert messages[0].splitlines()[-1].endswith("run again with --resume") and messages[1] == ""
    assert os.listdir(tmp_path) == ["m.pt.checkpoint"]
    train_parallel(2, manifest, model, *LONG, "--resume")
    assert model.read_bytes() == undisturbed_pair.read_bytes()
    assert untimed(log_of(model)) == untimed(log_of(undisturbed_pair))
    assert sorted(os.listdir(tmp_path)) == ["m.pt", "m.pt.log.jsonl"]


def test_a_process_that_dies_ends_the_others_and_they_resume_to_the_same_bytes(
        manifest, undisturbed_pair, tmp_path):
    model = tmp_path / "m.pt"
    processes = start_processes(2, manifest, model, *LONG)
    wait_for_epoch(processes[0], 1)
    processes[1].kill()
    statuses, messages = ends(processes)
    assert statuses[0] == 74
    assert "another process has ended" in messages[0].splitlines()[-1]
    assert os.listdir(tmp_path) == ["m.pt.checkpoint"]
    train_parallel(2, manifest, model, *LONG, "--resume", "-q")
    assert model.read_bytes() == undisturbed_pair.read_bytes()


def test_torchrun_starts_processes(manifest, undisturbed_pair, tmp_path):
    torchrun = shutil.which("torchrun")
    if torchrun is None or not (BIN / "mr-train").exists():
        pytest.skip("no torchrun, or mr-train is not built")
    # -r and -t: that of Debian 12 fails with its defaults.
    command = [torchrun, "--no_python", "--nproc_per_node", "2", "--master_port", free_port(),
               "--log_dir", tmp_path / "logs", "-r", "1", "-t", "2", BIN / "mr-train",
               *train(manifest, tmp_path / "m.pt", *LONG, "--parallel", "-q")[1:]]
    p = subprocess.run(command, capture_output=True, env=ALONE, timeout=120)
    if b"use_libuv was requested but" in p.stderr and b"torch/distributed/run.py" in p.stderr:
        pytest.skip("this torchrun lacks libuv, which it wants")
    assert p.returncode == 0, p.stderr.decode()
    assert (tmp_path / "m.pt").read_bytes() == undisturbed_pair.read_bytes()


def test_what_stops_all_processes_is_said_once(manifest, tmp_path):
    model = tmp_path / "m.pt"
    model.write_text("precious")
    for options, status, part in (
            (["-q"], 73, "m.pt: exists"),
            (["-f", "-q", "--optimiser", "sgd", "--lr", "1e30"], 65, "not finite"),
            (["-f", "-q", "--norm", "cnsn", "--batch", "2"], 64, "batch of 1")):
        statuses, messages = ends(start_processes(2, manifest, model, *options))
        assert statuses == [status, status]
        assert part in messages[0] and messages[0].count("\n") == 1 and messages[1] == ""
    assert model.read_text() == "precious"


def test_processes_of_another_run_are_found_out(images, manifest, tmp_path):
    folder, entries = images
    other = write_manifest(folder / "other.json", entries[1:])
    processes = start_processes(2, [manifest, other], tmp_path / "m.pt", "-q")
    statuses, messages = ends(processes)
    assert statuses == [65, 65] and "other options or data" in messages[0] and messages[1] == ""


@pytest.mark.parametrize("change, options, part", [
    (dict(WORLD_SIZE="3"), [], "--batch: want a multiple of the 3 processes, got 8"),
    (dict(MASTER_ADDR=""), [], "MASTER_ADDR is not set"),
    (dict(MASTER_PORT=""), [], "MASTER_PORT is not set"),
    (dict(RANK="2"), [], "RANK: want a number from 0 to 1"),
    (dict(RANK="first"), [], "got 'first'"),
    (dict(), ["-"], "standard input"),
])
def test_a_wrong_environment_of_processes_is_a_usage_error(
        fails, manifest, tmp_path, change, options, part):
    environment = dict(RANK="0", WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT="1")
    fails(train(options[0] if options else manifest, tmp_path / "m.pt", "--parallel"), 64, part,
          env={**environment, **change})
    assert os.listdir(tmp_path) == []


# Bad input.


def test_what_exists_is_kept_unless_forced(run, fails, manifest, tmp_path):
    model = tmp_path / "m.pt"
    model.write_text("precious")
    fails(train(manifest, model), 73, "m.pt", "--force")
    assert model.read_text() == "precious"
    run(train(manifest, model, "--epochs", "1", "--force", "-q"))
    assert zipfile.is_zipfile(model)
    model.unlink()
    fails(train(manifest, model), 73, "m.pt.log.jsonl", "--force")


def test_a_full_disk_leaves_no_half_file(manifest, tmp_path):
    def limit():  # a write beyond 20 kB fails, as on a full disk
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))

    if not (BIN / "mr-train").exists():
        pytest.skip("mr-train is not built")
    command = [str(BIN / "mr-train"), *map(str, train(manifest, tmp_path / "m.pt", "-q")[1:])]
    p = subprocess.run(command, capture_output=True, preexec_fn=limit, restore_signals=False)
    assert p.returncode == 74, p.stderr
    assert p.stderr.count(b"\n") == 1 and b"m.pt.checkpoint" in p.stderr
    assert os.listdir(tmp_path) == []


def test_an_output_that_cannot_be_created_is_told_before_training(fails, manifest, tmp_path):
    fails(train(manifest, tmp_path / "no" / "m.pt", "-q"), 73, "m.pt")


def changed(entries, change):
    entries = json.loads(json.dumps(entries))
    for entry in entries:
        change(entry)
    return entries


def test_manifests_that_cannot_be_trained_on(fails, images):
    folder, entries = images

    def refused(name, status, *parts, change=lambda e: None, labels=LABELS):
        path = write_manifest(folder / f"{name}.json", changed(entries, change), labels)
        fails(train(path, folder / "bad.pt", "-q"), status, *parts)
        assert not list(folder.glob("bad.pt*"))

    def no_validation(e):
        e["split"] = "train" if e["split"] == "val" else e["split"]

    def all_unknown(e):
        for s in e["samples"]:
            s["labels"][1] = None

    def two(e):
        e["samples"][0]["labels"][0] = 2

    def same_subject(e):
        e["subject"] = "p"

    def absent(e):
        e["file"] = "absent.nii.gz"

    refused("no-val", 65, "split 'val'", change=no_validation)
    refused("unknown", 65, "label 'striped'", "split 'train'", change=all_unknown)
    refused("labels", 65, labels=LABELS + ["third"])
    refused("two", 65, change=two)
    refused("subject", 65, "two splits", change=same_subject)
    path = write_manifest(folder / "absent.json", changed(entries, absent))
    fails(train(path, folder / "absent.pt", "-q"), 66, "absent.nii.gz")
    assert not list(folder.glob("absent.pt*"))


def test_a_label_of_one_class_in_validation_is_warned_of_and_has_no_threshold(run, images, schema):
    folder, entries = images

    def no_positives(e):
        for s in e["samples"]:
            if e["split"] == "val":
                s["labels"][1] = 0

    path = write_manifest(folder / "one-class.json", changed(entries, no_positives))
    p = run(train(path, folder / "one-class.pt", "--epochs", "1"))
    assert b"warning" in p.stderr and b"'striped'" in p.stderr
    description = info(folder / "one-class.pt")
    schema("mr-model")(description)
    assert description["training"]["best"]["val_auroc"]["striped"] is None
    assert description["operating_points"][1]["threshold"] is None


def test_a_loss_that_is_not_finite_names_the_samples(fails, manifest, tmp_path):
    fails(train(manifest, tmp_path / "m.pt", "--optimiser", "sgd", "--lr", "1e30", "-q"), 65,
          "not finite", "look at i", "/k")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("options, part", [
    (["--norm", "instanse"], "did you mean 'instance'"),
    (["--norm", "group", "--groups", "3"], "3 groups"),
    (["--size", "16"], "--size"),
    (["--size", "16x0"], "--size"),
    (["--arch", "resnet18", "--size", "7x64"], "at least 8 pixels"),
    (["--standardise", "zscore"], "zscore"),
    (["--operating-rule", "best"], "operating rule"),
    (["--device", "gpu"], "--device"),
    (["--device", "cuda:99"], "CUDA"),
    (["--lr", "-1"], "--lr"),
    (["--sampler", "random"], "--sampler"),
    (["--sync-batch-norm"], "--parallel"),
    (["--precision", "fp16"], "CUDA"),
    (["--precision", "fp8"], "--precision"),
    (["--schedule", "linear"], "--schedule"),
    (["--warmup-epochs", "3"], "--warmup-epochs"),
    (["--schedule", "plateau", "--plateau-patience", "5"], "--plateau-patience"),
    (["--class-weights", "balanced"], "--class-weights"),
])
def test_bad_options_are_usage_errors(fails, manifest, tmp_path, options, part):
    fails(train(manifest, tmp_path / "m.pt", *options), 64, part)
    assert os.listdir(tmp_path) == []


def test_a_model_does_not_go_to_standard_output(fails, manifest):
    fails(train(manifest, "-"), 64, "--output")


# ---- convert: another model file of a batch-norm one ----

def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def batch_norm_scores(path, x):
    with torch.no_grad():
        return torch.jit.load(str(path)).eval()(x)


def test_convert_recalibrates_on_images_and_chooses_thresholds_anew(run, models, images, manifest, schema,
                                                                    tmp_path):
    out = tmp_path / "recalibrated.pt"
    run(["mr-train", "convert", models["batch"], manifest, "--split", "val", "--batch", "5", "-o", out])
    description = info(out)
    schema("mr-model")(description)
    x, truth, _ = prepared(images, description["preprocessing"])
    assert description["conversion"] == dict(to="recalibrated", split="val", samples=len(x),
                                             source_sha256=sha256(models["batch"]),
                                             operating_points="chosen anew on split val")
    net = plain_network(torch.jit.load(str(models["batch"])), info(models["batch"])).double()
    with torch.no_grad():  # running statistics of all images as one batch, layer by layer
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                seen = []
                hook = module.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
                net(x.double())
                hook.remove()
                module.running_mean.copy_(seen[0].mean((0, 2, 3)))
                module.running_var.copy_(seen[0].var((0, 2, 3), unbiased=False))
        want = net(x.double()).float()
    got = batch_norm_scores(out, x)
    assert torch.allclose(got, want, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(got, batch_norm_scores(models["batch"], x), atol=1e-3)
    for label, point in enumerate(description["operating_points"]):
        positives = np.sort(got[:, label].numpy()[truth[:, label] == 1])[::-1]
        assert point["threshold"] == pytest.approx(
            positives[int(np.ceil(0.9 * len(positives))) - 1], abs=1e-3)


def test_convert_recalibrates_on_images_without_labels_and_keeps_the_thresholds(run, models, images,
                                                                                tmp_path):
    folder, entries = images

    def unknown(e):
        for s in e["samples"]:
            s["labels"] = [None, None]

    path = write_manifest(folder / "unlabelled.json", changed(entries, unknown))
    run(["mr-train", "convert", models["batch"], path, "--split", "all", "-o", tmp_path / "m.pt"])
    ours, source = info(tmp_path / "m.pt"), info(models["batch"])
    assert ours["operating_points"] == source["operating_points"]
    assert ours["conversion"]["operating_points"] == "of the source"
    assert ours["conversion"]["samples"] == sum(len(e["samples"]) for e in entries)


def test_convert_to_batch_statistics_frozen_and_prior(run, models, schema, tmp_path):
    x = torch.randn(6, 1, 16, 20, generator=torch.Generator().manual_seed(2))
    source = torch.jit.load(str(models["batch"]))
    for to, prior in (("batch-stats", 0), ("n-prior=3", 3), ("n-prior", 16), ("frozen", None)):
        out = tmp_path / f"{to}.pt"
        run(["mr-train", "convert", models["batch"], "--to", to, "-o", out])
        schema("mr-model")(info(out))
        got = torch.jit.load(str(out))
        if prior is None:
            got.train()  # frozen: statistics stay in training too
            assert torch.allclose(got(x), batch_norm_scores(models["batch"], x), atol=1e-5)
            continue
        for module in source.modules():
            if hasattr(module, "prior"):
                module.prior = float(prior)
        with torch.no_grad():
            assert torch.allclose(got(x), source.eval()(x), atol=1e-6)


def test_converted_models_are_evaluated_as_what_they_are(run, fails, models, manifest, tmp_path):
    frozen, at_hand = tmp_path / "frozen.pt", tmp_path / "batch-stats.pt"
    run(["mr-train", "convert", models["batch"], "--to", "frozen", "-o", frozen])
    run(["mr-train", "convert", models["batch"], "--to", "batch-stats", "-o", at_hand])
    header = json.loads(run(["mr-eval", "-m", frozen, manifest]).stdout.splitlines()[0])
    assert [m["adaptation"] for m in header["models"]] == ["frozen"]
    fails(["mr-eval", "-m", frozen, "--adapt", "batch-stats", manifest], 64, "no model has batch norm")
    fails(["mr-eval", "-m", at_hand, manifest], 65, "whatever shares its batch")


@pytest.mark.parametrize("words, status, part", [
    (["--to", "frozn"], 64, "did you mean 'frozen'"), (["--to", "frozen=3"], 64, "frozen=3"),
    (["--to", "n-prior=0"], 64, "above 0"), ([], 64, "want a manifest"),
    (["--to", "recalibrated", "MANIFEST", "--split", "nowhere"], 65, "'nowhere' is empty"),
    (["--to", "frozen", "MANIFEST"], 64, "looks at no images")])
def test_bad_conversions(fails, models, manifest, tmp_path, words, status, part):
    words = [manifest if w == "MANIFEST" else w for w in words]
    fails(["mr-train", "convert", models["batch"], *words, "-o", tmp_path / "m.pt"], status, part)
    fails(["mr-train", "convert", models["group"], "--to", "frozen", "-o", tmp_path / "m.pt"], 65,
          "no batch norm")
    assert os.listdir(tmp_path) == []


# ---- schemes ----

def test_the_list_of_schemes_is_that_of_the_man_page_and_of_the_networks(run, manifest, tmp_path):
    listed = json.loads(run(["mr-train", "norms", "--json"]).stdout)
    names = [scheme["name"] for scheme in listed]
    assert len(names) == 13 and run(["mr-train", "norms"]).stdout.decode().count("source:") == 13
    page = (ROOT / "man" / "mr-train.1").read_text().replace("\\-", "-")
    section = page.split(".SS Normalization")[1].split(".PP")[0]
    entries = {lines[0].split()[1]: " ".join(lines[1:])
               for lines in (entry.strip().split("\n") for entry in section.split(".TP\n")[1:])}
    assert list(entries) == names
    symbols = run(["mr-train", "norms"]).stdout.decode().split("\n")[0]
    assert symbols in section.replace("\n", " ")
    for scheme in listed:
        entry = entries[scheme["name"]]
        defaults = ", ".join(f"{p['name']}={p['default']:g}" for p in scheme["parameters"])
        assert scheme["summary"].split(": ", 1)[-1].lower() in entry.lower()
        assert entry.endswith(f"{scheme['formula']}. {scheme['source']}." +
                              (f" Parameters: {defaults}." if defaults else "")), entry


def test_crossnorm_is_drawn_from_the_seed(run, manifest, tmp_path):
    for name, probability in (("a", 1), ("b", 1), ("rests", 0)):
        run(train(manifest, tmp_path / name, "--norm", f"cnsn:probability={probability}", "--epochs", "1",
                  "-q"))
    a, b, rests = ((tmp_path / name).read_bytes() for name in ("a", "b", "rests"))
    assert a == b and a != rests


def test_a_lone_image_at_the_end_of_an_epoch_is_refused_where_statistics_are_over_images(fails, manifest,
                                                                                         tmp_path):
    fails(train(manifest, tmp_path / "m.pt", "--norm", "cnsn", "--epoch-samples", "17", "-q"), 64,
          "batch of 1")


# ---- inputs beyond one slice ----

def whole_images(entries):
    """One sample for each image: bright if any slice is."""
    return [dict(e, samples=[dict(labels=[int(any(s["labels"][0] for s in e["samples"])),
                                          e["samples"][0]["labels"][1]])]) for e in entries]


@pytest.fixture(scope="module")
def volumes(images):
    folder, entries = images
    return write_manifest(folder / "volumes.json", whole_images(entries))


def test_neighbouring_slices_are_channels(run, images, manifest, schema, tmp_path):
    """The scores that mr-eval gives are those of the file on channels stacked here."""
    model = tmp_path / "m.pt"
    run(train(manifest, model, "--norm", "group", "--groups", "2", "--neighbours", "3", "-q"))
    description = info(model)
    schema("mr-model")(description)
    assert description["architecture"]["channels"] == description["preprocessing"]["neighbours"] == 3
    x, _, ids = prepared(images, description["preprocessing"])
    ids = np.array(ids)
    stacked = []
    for i in range(len(x)):
        own = np.flatnonzero(ids == ids[i])
        stacked.append(torch.cat([x[np.clip(i + d, own[0], own[-1])] for d in (-1, 0, 1)]))
    with torch.no_grad():
        want = torch.jit.load(str(model)).eval()(torch.stack(stacked)).numpy()
    got, _ = evaluated_scores(run, model, manifest)
    np.testing.assert_allclose(got, want, atol=1e-4)


def evaluated_scores(run, model, manifest, *options):
    """Scores [N, L] on split val, and the header."""
    lines = run(["mr-eval", "-m", model, "--split", "val", *options, manifest]).stdout.splitlines()
    header, result = json.loads(lines[0]), json.loads(lines[1])
    scores = np.frombuffer(base64.b64decode(result["scores"]), "<f4")
    return scores.reshape(len(header["labels"]), -1).T, header


@pytest.mark.parametrize("how", [[], ["--attention"]], ids=["3-d", "attention"])
def test_whole_images_are_samples(run, images, volumes, schema, tmp_path, how):
    """Six slices of input for images of four: one of padding before and after."""
    model = tmp_path / "m.pt"
    run(train(volumes, model, "--norm", "batch", "--depth", "6", "--batch", "2", *how, "-q"))
    description = info(model)
    schema("mr-model")(description)
    assert description["architecture"]["dimensions"] == (2 if how else 3)
    assert description["preprocessing"]["depth"] == 6
    x, _, ids = prepared(images, description["preprocessing"])
    ids = np.array(ids)
    stacks = [torch.cat([x[:1] * 0, x[ids == name], x[:1] * 0]).transpose(0, 1)
              for name in dict.fromkeys(ids)]
    assert stacks[0].shape == (1, 6, 16, 20)
    with torch.no_grad():
        want = torch.jit.load(str(model)).eval()(torch.stack(stacks)).numpy()
    got, _ = evaluated_scores(run, model, volumes)
    np.testing.assert_allclose(got, want, atol=1e-4)


def test_augmentation_reaches_whole_images_and_neighbours(run, volumes, manifest, tmp_path):
    recipe = tmp_path / "r.json"
    recipe.write_text(json.dumps(dict(schema="mr-recipe/1", steps=[dict(artifact="rician", severity=5)])))
    for path, options in ((volumes, ["--depth", "4", "--attention"]), (manifest, ["--neighbours", "3"])):
        models = [tmp_path / f"{options[0]}{i}.pt" for i in range(3)]
        for model, augment in zip(models, ([], ["--augment", recipe], ["--augment", recipe])):
            run(train(path, model, "--norm", "group", "--groups", "2", *options, *augment, "-q"))
        plain, one, two = (torch.jit.load(str(model)).state_dict() for model in models)
        assert all(one[k].equal(two[k]) for k in one) and any(not one[k].equal(plain[k]) for k in one)


@pytest.mark.parametrize("options, status, part", [
    (["--neighbours", "2"], 64, "odd"), (["--attention"], 64, "--depth"),
    (["--depth", "4", "--neighbours", "3"], 64, "--neighbours"), (["--depth", "4"], 65, "whole images")])
def test_bad_inputs_of_slices(fails, manifest, tmp_path, options, status, part):
    fails(train(manifest, tmp_path / "m.pt", *options, "-q"), status, part)
    assert os.listdir(tmp_path) == []


# ---- weights to begin with ----

def write_safetensors(path, tensors):
    """The format written anew: length of the header, header, data."""
    names = {torch.float16: "F16", torch.bfloat16: "BF16", torch.float32: "F32", torch.float64: "F64",
             torch.int64: "I64"}
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for name, tensor in tensors.items():
        raw = tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes()
        header[name] = dict(dtype=names[tensor.dtype], shape=list(tensor.shape),
                            data_offsets=[len(data), len(data) + len(raw)])
        data += raw
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


UNTRAINED = ["--lr", "1e-30", "--wd", "0", "--epochs", "1"]


@pytest.mark.parametrize("dtype", ["torchscript", torch.float32, torch.float16, torch.bfloat16,
                                   torch.float64])
def test_init_takes_tensors_of_equal_name_and_shape_and_reports_the_rest(run, manifest, models, schema,
                                                                         tmp_path, dtype):
    state = torch.jit.load(str(models["batch"])).state_dict()
    path = models["batch"]
    if dtype != "torchscript":
        state = {k: v.to(dtype) for k, v in state.items()}
        state["stem.weight"] = torch.zeros(4, 3, 3, 3, dtype=dtype)
        state["num_batches_tracked"] = torch.tensor([3])
        state["other"] = torch.zeros(2, dtype=dtype)
        del state["heads.bias"]
        path = write_safetensors(tmp_path / "w.safetensors", state)
    p = run(train(manifest, tmp_path / "m.pt", *UNTRAINED, "--norm", "batch", "--init", path))
    said = p.stderr.decode()
    assert f"{len(state) - 3 * (dtype != 'torchscript')} tensors taken" in said
    got = torch.jit.load(str(tmp_path / "m.pt")).state_dict()
    fixed = {k for k in got if "running" not in k}
    if dtype != "torchscript":
        assert "of another shape 1: stem.weight: [4, 3, 3, 3] for [4, 1, 3, 3]" in said
        assert "not in it 1: heads.bias" in said and "not in the network 1: other" in said
        fixed -= {"stem.weight", "heads.bias"}
    for name in fixed:
        assert torch.allclose(got[name], state[name].float(), rtol=1e-6, atol=1e-7), name
    description = info(tmp_path / "m.pt")
    schema("mr-model")(description)
    assert description["training"]["init"]["file"] == path.name


def test_bad_files_of_weights(fails, manifest, tmp_path):
    good = {"stem.weight": torch.zeros(4, 1, 3, 3)}
    path = write_safetensors(tmp_path / "w.safetensors", good)
    whole = path.read_bytes()
    out = tmp_path / "m.pt"

    def refused(change, *parts):
        path.write_bytes(change)
        fails(train(manifest, out, *UNTRAINED, "--init", path, "-q"), 65, "w.safetensors", *parts)
        assert not out.exists()

    refused(whole[:-1], "beyond the end")
    refused(whole.replace(b"[4, 1, 3, 3]", b"[4, 1, 3, 2]"), "does not fit")
    refused(whole.replace(b"[4, 1, 3, 3]", b"[4, 1, 3,-3]"), "whole numbers")
    refused(whole.replace(b"[4, 1, 3, 3]", b"[4000000000]"), "does not fit")
    refused(whole.replace(b"stem.weight", b"stem.height"), "nothing in it")
    refused(b"GIF89a", "neither TorchScript")
    refused(b"", "neither TorchScript")
    fails(train(manifest, out, *UNTRAINED, "--init", tmp_path / "absent", "-q"), 66, "absent")


@pytest.mark.parametrize("arch", ["resnet18", "resnet50", "densenet121"])
def test_pretrained_torchvision_weights_load_by_name(run, manifest, tmp_path, arch):
    torchvision = pytest.importorskip("torchvision")
    torch.manual_seed(3)
    state = getattr(torchvision.models, arch)(weights=None).state_dict()
    path = write_safetensors(tmp_path / "weights.safetensors", state)
    p = run(["mr-train", "--arch", arch, "--neighbours", "3", "--size", "32x32", *UNTRAINED,
             "--epoch-samples", "2", "--batch", "2", "-t", "1", "--norm", "batch:momentum=0", "--init", path,
             manifest, "-o", tmp_path / "m.pt"])
    head = "classifier" if arch == "densenet121" else "fc"
    assert f"of another shape 2: {head}.weight".encode() in p.stderr and b"not in it" not in p.stderr
    got = torch.jit.load(str(tmp_path / "m.pt")).state_dict()
    for name, tensor in state.items():
        if not name.startswith(head) and not name.endswith("num_batches_tracked"):
            assert torch.allclose(got[name], tensor, rtol=1e-6, atol=1e-7), name


def test_a_log_is_a_table_to_pandas(models):
    pandas = pytest.importorskip("pandas")
    table = pandas.read_json(f"{models['batch']}.log.jsonl", lines=True)
    epochs = table[table["epoch"].notna()]
    assert list(epochs["epoch"]) == list(range(1, len(epochs) + 1)) and len(epochs) > 0
    assert epochs["train_loss"].notna().all() and epochs["val_loss"].notna().all()
