"""Normalization schemes in the model files of mr-train, against their published formulas."""
import json
import os

import pytest

torch = pytest.importorskip("torch")

import images  # noqa: E402
import networks  # noqa: E402
from test_mr_eval import pixels, read  # noqa: E402

# Parameters beside the defaults where a tiny network needs them to show.
SCHEMES = {
    "batch": "batch", "group": "group:groups=2", "layer": "layer", "layer_c": "layer_c",
    "instance": "instance", "ws+group": "ws+group:groups=2", "ibn": "ibn", "cnsn": "cnsn",
    "frn": "frn", "evonorm-s0": "evonorm-s0:groups=2",
    "batch-renorm": "batch-renorm:r_max=1.5,d_max=0.5,steps=4,momentum=0.2",
    "nf": "nf:alpha=0.3", "fixup": "fixup",
}
SIZE = (24, 20)
BLOCKS = [2, 2]


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    return images.manifest(tmp_path_factory.mktemp("data"), images=4, labels=("left", "right"),
                           splits=["train", "val"])


@pytest.fixture(scope="module")
def trained(run, manifest, tmp_path_factory):
    """trained(scheme, option, ...): the path of a small model, made once."""
    made, folder = {}, tmp_path_factory.mktemp("models")

    def train(scheme, *options):
        if (scheme, options) not in made:
            path = folder / f"{len(made)}.pt"
            run(["mr-train", "--norm", SCHEMES[scheme], "--width", "4", "--blocks", "2,2", "--size",
                 "24x20", "--batch", "4", "--epochs", "1", "--epoch-samples", "8", "--seed", "3",
                 "-t", "1", "-q", *(options or ["--lr", "0.03"]), manifest, "-o", path])
            made[scheme, options] = path
        return made[scheme, options]

    return train


@pytest.fixture(scope="module")
def initial(trained):
    """initial(scheme): the state dict of a network that has learnt nothing."""
    return lambda scheme: torch.jit.load(
        str(trained(scheme, "--lr", "1e-30", "--wd", "0"))).state_dict()


def opened(path):
    """The network of a model file, and the same as PyTorch modules."""
    extra = {"mr.json": ""}
    script = torch.jit.load(str(path), _extra_files=extra)
    return script, networks.preact_resnet(script, json.loads(extra["mr.json"]))


def shuffled(script, plain, generator):
    """Both networks in double precision, with the same random weights and statistics."""
    script.double(), plain.double()
    for name, value in script.state_dict().items():
        if name.endswith("running_var"):
            value.uniform_(0.5, 2, generator=generator)
        elif not name.endswith("seen"):
            value.normal_(generator=generator)
        if "conv" in name and value.dim() == 4:
            value[0] *= 1e-3  # a filter whose variance is near the guards
    return script, networks.load(plain, script)


def random_input(*shape, seed=1):
    """An input whose channels differ in mean and deviation."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(shape, generator=generator, dtype=torch.float64)
    gain, offset = (torch.randn(1, *shape[1:2], 1, 1, generator=generator, dtype=torch.float64)
                    for _ in range(2))
    return (x * (0.5 + gain.abs()) + offset).requires_grad_()


def values_and_gradients(module, inputs, cotangent):
    """The output, and the derivatives of <output, cotangent> by inputs and parameters."""
    copies = [x * 1 for x in inputs]  # join may overwrite what it is given
    y = module(*copies)
    named = {f"input {i}": x for i, x in enumerate(inputs)} | dict(module.named_parameters())
    gradients = torch.autograd.grad((y * cotangent).sum(), named.values())
    return {"output": y.detach()} | dict(zip(named, gradients))


def assert_equal(got, want, relative=1e-8):
    assert got.keys() == want.keys()
    for name, value in want.items():
        scale = value.abs().max()
        assert scale > 0, f"{name}: nothing to compare"
        assert (got[name] - value).abs().max() <= relative * scale, name


LAYERS = ["stage1_block2.conv1", "stage1_block2.norm1", "stage1_block2.norm2",
          "stage1_block2.join", "stage2_block1.norm1", "stage2_block2.norm2", ""]


def submodule(network, name):
    for part in filter(None, name.split(".")):
        network = getattr(network, part)
    return network


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_layers_and_their_gradients_are_those_of_the_published_formulas(trained, scheme, training):
    """Three times: TorchScript interprets the first run and optimises later ones."""
    ours, theirs = opened(trained(scheme))
    shuffled(ours, theirs, torch.Generator().manual_seed(5))
    for name in LAYERS:
        script, plain = submodule(ours, name).train(training), submodule(theirs, name)
        plain.train(training)
        for module in [*script.modules(), *plain.modules()]:
            if hasattr(module, "partner"):
                module.partner = [2, 0, 3, 1]
        channels = 1 if name == "" else 8 if name == "stage2_block2.norm2" else 4
        inputs = [random_input(4, channels, 7, 6, seed=i) for i in range(2 if "join" in name else 1)]
        with torch.no_grad():
            cotangent = torch.randn_like(plain(*inputs))
            plain.load_state_dict(script.state_dict(), strict=False)
        for _ in range(3):
            assert_equal(values_and_gradients(script, inputs, cotangent),
                         values_and_gradients(plain, inputs, cotangent))
            state = plain.state_dict()
            for buffer, value in script.state_dict().items():
                assert torch.allclose(value, state[buffer], rtol=1e-10, atol=1e-12), buffer
