"""Architectures in the model files of mr-train, against torchvision and their papers."""
from functools import partial

import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

import images  # noqa: E402
import networks  # noqa: E402

LABELS = 2


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    return images.manifest(tmp_path_factory.mktemp("data"), images=4, labels=("left", "right"),
                           shape=(24, 20, 4), splits=["train", "val"])


@pytest.fixture(scope="module")
def trained(run, manifest, tmp_path_factory):
    """trained(option, ...): the network of a model file and its description, made once."""
    made, folder = {}, tmp_path_factory.mktemp("models")

    def train(*options):
        if options not in made:
            path = folder / f"{len(made)}.pt"
            run(["mr-train", *options, "--size", "36x33", "--batch", "2", "--epochs", "1",
                 "--epoch-samples", "2", "-t", "1", "-q", manifest, "-o", path])
            made[options] = path
        return networks.read(made[options])

    return train


def shuffled(script):
    """In double precision, with random norms: each channel and layer differs from the next."""
    generator = torch.Generator().manual_seed(2)
    for name, value in script.double().state_dict().items():
        if name.endswith("running_mean") or name.endswith("bias"):
            value.normal_(0, 0.3, generator=generator)
        elif value.dim() == 1 and value.numel() > 1:
            value.uniform_(0.5, 1.5, generator=generator)
    return script


def picture(*shape):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def assert_same(ours, theirs, x):
    """In evaluation and in training, to double precision."""
    for training in (False, True):
        with torch.no_grad():
            got, want = ours.train(training)(x), theirs.train(training)(x)
        assert got.shape == (len(x), LABELS) and want.std(0).min() > 1e-3
        assert (got - want).abs().max() < 1e-9 * want.abs().max()


# torchvision's networks with 3 channels and 1000 outputs: name, parameters, stem, last layer.
PUBLISHED = {
    "resnet18": (11_689_512, "conv1", "fc"),
    "resnet50": (25_557_032, "conv1", "fc"),
    "densenet121": (7_978_856, "features.conv0", "classifier"),
}


class Scores(nn.Sequential):
    """The second logit of each label less the first, of a network with two a label."""

    def forward(self, x):
        z = super().forward(x)
        return z[:, 1::2] - z[:, ::2]


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_are_as_many_as_published_but_for_the_ends(trained, name):
    published, stem, last = PUBLISHED[name]
    script, description = trained("--arch", name)
    state = script.state_dict()
    assert state[f"{stem}.weight"].shape == (64, 1, 7, 7)
    features = state[f"{last}.weight"].size(1)
    assert features == {"resnet18": 512, "resnet50": 2048, "densenet121": 1024}[name]
    two_channels = 2 * 64 * 7 * 7
    outputs = (1000 - 2 * LABELS) * (features + 1)
    assert description["parameters"] == published - two_channels - outputs


@pytest.mark.parametrize("name", PUBLISHED)
def test_torchvision_has_the_same_names_shapes_and_scores(trained, name):
    models = pytest.importorskip("torchvision").models
    published, stem, last = PUBLISHED[name]
    script, _ = trained("--arch", name)
    theirs = getattr(models, name)()
    assert sum(p.numel() for p in theirs.parameters()) == published

    def shapes(network):
        return {key: value.shape for key, value in network.state_dict().items()
                if not key.endswith("num_batches_tracked") and not key.startswith((stem, last))}

    assert shapes(script) == shapes(theirs)
    networks.replace(theirs, stem, nn.Conv2d(1, 64, 7, 2, 3, bias=False))
    networks.replace(theirs, last, nn.Linear(getattr(theirs, last).in_features, 2 * LABELS))
    networks.load(theirs.double(), shuffled(script))
    assert_same(script, Scores(theirs), picture(3, 1, 64, 50))


def test_a_resnet_of_group_norms_is_torchvisions(trained):
    models = pytest.importorskip("torchvision").models
    script, _ = trained("--arch", "resnet18", "--norm", "group:groups=16")
    theirs = models.resnet18(norm_layer=partial(nn.GroupNorm, 16), num_classes=2 * LABELS)
    theirs.conv1 = nn.Conv2d(1, 64, 7, 2, 3, bias=False)
    networks.load(theirs.double(), shuffled(script))
    assert_same(script, Scores(theirs), picture(3, 1, 64, 50))


# He et al. 2016, Deep residual learning, table 1: blocks of each stage.
BLOCKS = {"18": [2, 2, 2, 2], "34": [3, 4, 6, 3], "50": [3, 4, 6, 3]}


@pytest.mark.parametrize("stem", ["cifar", "imagenet"])
@pytest.mark.parametrize("depth", BLOCKS)
def test_pre_activation_networks_are_those_of_the_paper(trained, depth, stem):
    script, description = trained("--arch", f"preact-resnet{depth}", "--width", "4", "--stem", stem)
    shape = description["architecture"]
    assert shape["blocks"] == BLOCKS[depth] and shape["stem"] == stem
    assert shape["block"] == ("bottleneck" if depth == "50" else "basic")
    weights = [name for name, w in script.state_dict().items()
               if w.dim() == 4 and "shortcut" not in name]
    assert len(weights) + 1 == int(depth)  # layers, the last one being linear
    theirs = networks.rebuilt(shuffled(script), description).double()
    assert_same(script, networks.load(theirs, script), picture(3, 1, 36, 33))


@pytest.mark.parametrize("arch, norm", [
    *(("resnet18", norm) for norm in ("layer_c", "ibn", "cnsn", "frn", "ws+group:groups=2")),
    *(("densenet121", norm) for norm in ("frn", "evonorm-s0:groups=2")),
])
def test_other_schemes_stand_where_batch_norm_stands(trained, arch, norm):
    """IBN-a after the first convolution of each block but those of the last stage; CNSN between
    the addition and the ReLU; FRN without its threshold where no ReLU follows."""
    script, description = trained("--arch", arch, "--width", "4", "--blocks", "1,2", "--norm", norm)
    theirs = networks.rebuilt(shuffled(script), description).double()
    assert_same(script, networks.load(theirs, script), picture(3, 1, 36, 33))
