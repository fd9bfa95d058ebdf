"""Normalization schemes in the model files of mr-train, against their published formulas."""
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
    return lambda scheme: networks.read(
        trained(scheme, "--lr", "1e-30", "--wd", "0"))[0].state_dict()


def opened(path):
    """The network of a model file, and the same as PyTorch modules."""
    script, description = networks.read(path)
    return script, networks.rebuilt(script, description)


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
          "stage1_block2.join", "stage2_block1.norm1", "stage2_block2.norm2",
          ""]  # the whole network


def submodule(network, name):
    for part in filter(None, name.split(".")):
        network = getattr(network, part)
    return network


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_layers_and_their_gradients_are_those_of_the_published_formulas(trained, scheme, training):
    """Twice: TorchScript interprets the first run and optimises the next."""
    ours, theirs = opened(trained(scheme))
    shuffled(ours, theirs, torch.Generator().manual_seed(5))
    for name in LAYERS:
        script, plain = submodule(ours, name).train(training), submodule(theirs, name)
        plain.train(training)
        for module in [*script.modules(), *plain.modules()]:
            if hasattr(module, "partner"):
                module.partner = [2, 0, 3, 1]
        channels = 1 if name == "" else 8 if name == "stage2_block2.norm2" else 4
        count = 2 if "join" in name else 1
        inputs = [random_input(4, channels, 7, 6, seed=i) for i in range(count)]
        with torch.no_grad():
            generator = torch.Generator().manual_seed(7)
            cotangent = torch.randn(plain(*inputs).shape, generator=generator, dtype=torch.float64)
            plain.load_state_dict(script.state_dict(), strict=False)
        for _ in range(2):
            assert_equal(values_and_gradients(script, inputs, cotangent),
                         values_and_gradients(plain, inputs, cotangent))
            state = plain.state_dict()
            for buffer, value in script.state_dict().items():
                assert torch.allclose(value, state[buffer], rtol=1e-10, atol=1e-12), buffer


@pytest.mark.parametrize("scheme", ["frn", "evonorm-s0", "ws+group", "cnsn", "nf", "fixup"])
def test_gradients_are_those_of_finite_differences(trained, scheme):
    """Where torch.nn has no layer to compare with. (Batch renorm has other ones by definition.)"""
    ours, _ = shuffled(*opened(trained(scheme)), torch.Generator().manual_seed(6))
    layers = {"ws+group": ["conv1"], "cnsn": ["join"], "nf": ["conv1", "norm1", "join"],
              "fixup": ["norm1", "join"]}.get(scheme, ["norm1"])
    for name in layers:
        layer = submodule(ours, f"stage1_block2.{name}").train()
        if hasattr(layer, "partner"):
            layer.partner = [1, 2, 0]
        inputs = [random_input(3, 4, 3, 2, seed=i) for i in range(2 if name == "join" else 1)]

        def forward(*tensors):  # parameters are inputs too: they are perturbed in place
            return layer(*[x * 1 for x in tensors[:len(inputs)]])

        assert torch.autograd.gradcheck(forward, (*inputs, *layer.parameters()))


def test_batch_renorm_leaves_batch_norm_as_its_bounds_open(trained):
    """Steps one after the other: r = 1 and d = 0 at first, then clipped, then free."""
    def step_by_step(r_max, d_max):
        ours, theirs = opened(trained("batch-renorm"))
        script, plain = (net.stage1_block2.norm1.double().train() for net in (ours, theirs))
        for layer in (script, plain):
            layer.seen.zero_(), layer.running_mean.zero_(), layer.running_var.fill_(1)
            layer.r_max, layer.d_max = r_max, d_max
        batch_norm = networks.BatchNorm(4, momentum=None).double()
        batch_norm.load_state_dict(plain.state_dict(), strict=False)
        distances = []
        for step in range(8):
            x = random_input(4, 4, 7, 6, seed=step)
            want = values_and_gradients(plain, [x], torch.ones_like(x))
            got = values_and_gradients(script, [x], torch.ones_like(x))
            for name in ("output", "bias"):
                assert torch.allclose(got[name], want[name], rtol=1e-8, atol=1e-10), (step, name)
            assert torch.allclose(script.running_mean, plain.running_mean, rtol=1e-12)
            assert torch.allclose(script.running_var, plain.running_var, rtol=1e-12)
            assert script.seen.item() == step + 1
            distances.append((got["output"] - batch_norm(x)).abs().max().item())
        return distances

    clipped, free = step_by_step(1.5, 0.5), step_by_step(1e6, 1e6)
    assert clipped[0] < 1e-12 < 0.1 < min(clipped[1:])  # the first step is batch norm
    assert all(a < b for a, b in zip(clipped[2:], free[2:]))


def test_variance_is_restored_by_scaled_activations_and_weights(trained):
    """nf: a ReLU of a normal deviate has variance 1; beta is 1, sqrt(1 + alpha^2), ... in a stage
    and begins anew in the block that changes the channels (Brock et al. 2021, section 3)."""
    script, _ = opened(trained("nf"))
    x = torch.randn(200000, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    assert script.stage1_block1.norm1(x).var() == pytest.approx(1, abs=0.02)
    betas = [1 / block.norm1.scale for name, block in script.named_children() if "block" in name]
    grown = 1 + 0.3**2
    assert betas == pytest.approx([1, grown**0.5, (grown + 0.3**2)**0.5, grown**0.5])
    assert all(block.join.alpha == 0.3 and block.norm2.scale == 1
               for name, block in script.named_children() if "block" in name)


# Whole networks.


@pytest.fixture(scope="module")
def scores(run, manifest, trained):
    """{scheme: what mr-eval gives for the validation slices, [N, L]}, all models in one pass."""
    paths = {scheme: trained(scheme) for scheme in SCHEMES}
    options = [word for path in paths.values() for word in ("-m", path)]
    _, results = read(run(["mr-eval", *options, "--split", "val", "-t", "1", manifest]).stdout)
    by_name = {key[0]: torch.tensor(values.T) for key, (values, _) in results.items()}
    return {scheme: by_name[path.name] for scheme, path in paths.items()}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_mr_eval_torchscript_and_plain_pytorch_give_the_same_scores(
        trained, manifest, scores, scheme):
    script, plain = opened(trained(scheme))
    volumes, _ = pixels(manifest, SIZE, "val")
    x = torch.cat([torch.from_numpy(v) for v in volumes])
    with torch.no_grad():
        ours, theirs = script.eval()(x), plain.eval()(x)
        alone = torch.cat([script(image[None]) for image in x])
    assert theirs.std(0).min() > 1e-3  # images differ
    rounding = 1e-5 * max(1, theirs.abs().max().item())
    for got in (scores[scheme], ours, alone):
        assert (got - theirs).abs().max() < rounding


def test_parameters_are_counted_and_recorded(trained):
    for scheme, text in SCHEMES.items():
        script, description = networks.read(trained(scheme))
        name, _, parameters = text.partition(":")
        inside = parameters.replace("groups=", "")
        name = {"layer": "layer_chw"}.get(name, name)
        assert description["normalization"] == name + (f"({inside})" if inside else "")
        assert description["parameters"] == sum(p.numel() for p in script.parameters())


@pytest.mark.parametrize("text", ["nf:alpha=0.2", "cnsn:probability=0.5,eps=1e-5,momentum=0.1",
                                  "batch-renorm:r_max=3,d_max=5,momentum=0.01,eps=1e-5"])
def test_defaults_are_the_published_ones(run, manifest, tmp_path, text):
    """What is said and is the default does not stand in a scheme's name."""
    run(["mr-train", "--norm", text, "--width", "2", "--blocks", "1", "--size", "24x20", "--batch",
         "4", "--epochs", "1", "--epoch-samples", "4", "-t", "1", "-q", manifest,
         "-o", tmp_path / "m.pt"])
    assert networks.read(tmp_path / "m.pt")[1]["normalization"] == text.partition(":")[0]


# What a network begins with.


@pytest.mark.parametrize("scheme", ["batch", "ibn", "cnsn", "frn", "evonorm-s0", "nf", "fixup"])
def test_initial_values_are_the_published_ones(initial, scheme):
    first = {"weight": 1, "gain": 1, "scale": 1, "v": 1}  # biases and thresholds: 0
    gates = 0
    for name, value in initial(scheme).items():
        part = name.rpartition(".")[2]
        if part in ("g_mean", "g_deviation"):  # the default of a convolution with 2 inputs
            assert value.abs().max() <= 0.5**0.5 + 1e-6 and value.std() > 0.1
            gates += 1
        elif "heads" in name:
            bound = 0 if scheme == "fixup" else 800**-0.5
            assert 0.7 * bound <= value.abs().max() <= bound + 1e-20
        elif value.dim() < 4 and not part.startswith(("running", "seen")):
            assert torch.allclose(value, torch.full_like(value, first.get(part, 0)),
                                  rtol=0, atol=1e-20), name
    assert gates == (8 if scheme == "cnsn" else 0)


def test_convolutions_begin_kaiming_normal_by_fan_out(initial):
    weights = [w for name, w in initial("batch").items() if w.dim() == 4]
    deviates = torch.cat([(w * (w[:, 0].numel() / 2)**0.5).flatten() for w in weights])
    n = len(deviates)
    assert n > 2500
    assert abs(deviates.mean()) < 4 / n**0.5
    assert abs(deviates.var() - 1) < 4 * (2 / n)**0.5
    assert abs(deviates.pow(4).mean() - 3) < 4 * (96 / n)**0.5


def test_fixup_begins_with_branches_that_are_zero_and_scales_their_first_weights(
        run, manifest, initial, tmp_path):
    """The last convolution of a branch 0, the others times L^(-1/(2m-2)): Zhang et al. 2019,
    section 3. The weights of one seed are the same ones otherwise."""
    def compare(plain, fixup, blocks, m):
        kept = scaled = zero = 0
        for name, weight in plain.items():
            if weight.dim() != 4:
                continue
            want = weight
            if name.endswith(f"conv{m}.weight"):
                want, zero = torch.zeros_like(weight), zero + 1
            elif "conv" in name:
                want, scaled = weight * blocks**(-1 / (2 * m - 2)), scaled + 1
            else:
                kept += 1
            assert torch.allclose(fixup[name], want, rtol=1e-6, atol=1e-20), name
        assert (zero, scaled) == (blocks, (m - 1) * blocks) and kept > 0

    compare(initial("batch"), initial("fixup"), blocks=4, m=2)
    state = {}
    for norm in ("batch", "fixup"):
        run(["mr-train", "--arch", "preact-resnet50", "--blocks", "1,2", "--width", "4", "--norm",
             norm, "--size", "24x20", "--batch", "4", "--epochs", "1", "--epoch-samples", "4",
             "--lr", "1e-30", "--wd", "0", "-t", "1", "-q", manifest,
             "-o", tmp_path / f"{norm}.pt"])
        state[norm] = networks.read(tmp_path / f"{norm}.pt")[0].state_dict()
    compare(state["batch"], state["fixup"], blocks=3, m=3)


# Bad input.


@pytest.mark.parametrize("options, parts", [
    (["--norm", "grop"], ["'grop'", "group"]),
    (["--norm", "batchrenorm"], ["'batchrenorm'", "batch-renorm"]),
    (["--norm", "group:group=2"], ["group: unknown parameter 'group'", "groups"]),
    (["--norm", "fixup:eps=1"], ["fixup", "'eps'"]),
    (["--norm", "group:groups=2.5"], ["groups", "whole number", "1 to 65536", "'2.5'"]),
    (["--norm", "batch:eps=nan"], ["eps", "'nan'"]),
    (["--norm", "batch-renorm:r_max=0.5"], ["r_max", "from 1"]),
    (["--norm", "group:groups=3"], ["group(3)", "4 channels", "3 groups"]),
    (["--norm", "ws+group:groups=5", "--arch", "densenet121", "--width", "25"], ["5 groups"]),
    (["--norm", "ibn", "--width", "1"], ["ibn", "width of at least 2"]),
    (["--arch", "resnet18", "--norm", "nf"], ["nf", "resnet", "preact-resnet"]),
    (["--arch", "densenet121", "--norm", "cnsn"], ["cnsn", "densenet"]),
    (["--arch", "resnet81"], ["'resnet81'", "resnet18"]),
])
def test_bad_schemes_and_architectures_are_usage_errors(fails, manifest, tmp_path, options, parts):
    small = ["--width", "4", "--blocks", "1,1", "--size", "24x20", "--epochs", "1"]
    small = [word for pair in zip(small[::2], small[1::2]) if pair[0] not in options
             for word in pair]
    fails(["mr-train", *small, *options, manifest, "-o", tmp_path / "m.pt"], 64, *parts)
    assert os.listdir(tmp_path) == []
