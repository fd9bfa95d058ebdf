"""The networks of lib/nn a second time, as a PyTorch user would write them from their papers.

Modules and parameters have the names of the model file, so that its state dict loads as it is.
"""
import json
import re
from functools import partial

import torch
from torch import nn
from torch.nn import functional as F

SPACE = (2, 3)


def per_channel(vector):
    return vector.view(1, -1, 1, 1)


# ---- norms, each with the ReLU that follows it ----


class Activated:
    """Puts a ReLU after a layer of torch.nn, unless told otherwise."""

    def __init__(self, *sizes, relu=True, **options):
        super().__init__(*sizes, **options)
        self.relu = relu

    def forward(self, x):
        y = super().forward(x)
        return F.relu(y) if self.relu else y


class BatchNorm(Activated, nn.BatchNorm2d):
    pass


class GroupNorm(Activated, nn.GroupNorm):
    pass


class InstanceNorm(Activated, nn.InstanceNorm2d):
    def __init__(self, channels, relu=True):
        super().__init__(channels, affine=True, relu=relu)


class PixelNorm(nn.LayerNorm):
    def forward(self, x):
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class ChannelNorm(Activated, PixelNorm):
    def __init__(self, channels, relu=True):
        super().__init__(channels, eps=1e-6, relu=relu)


class Affine(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def affine(self, x):
        return x * per_channel(self.weight) + per_channel(self.bias)


class InstanceBatchNorm(nn.Module):
    """Pan et al. 2018, figure 3 (a)."""

    def __init__(self, channels):
        super().__init__()
        self.IN = InstanceNorm(channels // 2)
        self.BN = BatchNorm(channels - channels // 2)

    def forward(self, x):
        first, rest = torch.split(x, [self.IN.num_features, self.BN.num_features], 1)
        return torch.cat([self.IN(first), self.BN(rest)], 1)


class FilterResponseNorm(Affine):
    """Singh and Krishnan 2020, eq. 1 to 3."""

    def __init__(self, channels, relu=True):
        super().__init__(channels)
        if relu:
            self.threshold = nn.Parameter(torch.zeros(channels))

    def forward(self, x):
        nu2 = x.pow(2).mean(SPACE, keepdim=True)
        y = self.affine(x / torch.sqrt(nu2 + 1e-6))
        return torch.maximum(y, per_channel(self.threshold)) if hasattr(self, "threshold") else y


class EvoNormS0(Affine):
    """Liu et al. 2020, table 1."""

    def __init__(self, groups, channels):
        super().__init__(channels)
        self.groups, self.v = groups, nn.Parameter(torch.ones(channels))

    def forward(self, x):
        group = x.unflatten(1, (self.groups, -1))
        mean = group.mean((2, 3, 4), keepdim=True)
        variance = (group - mean).pow(2).mean((2, 3, 4), keepdim=True)
        deviation = torch.sqrt(variance + 1e-5).expand_as(group).flatten(1, 2)
        return self.affine(x * torch.sigmoid(per_channel(self.v) * x) / deviation)


class BatchRenorm(Affine):
    """Ioffe 2017, algorithm 1; the running variance is unbiased, as in batch norm."""

    def __init__(self, channels, relu=True, r_max=3, d_max=5, steps=1000, momentum=0.01):
        super().__init__(channels)
        self.relu, self.r_max, self.d_max = relu, r_max, d_max
        self.steps, self.momentum = steps, momentum
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))
        self.register_buffer("seen", torch.zeros(1))

    def forward(self, x):
        mu, sigma = self.running_mean.clone(), torch.sqrt(self.running_var + 1e-5)
        if self.training:
            opened = min(self.seen.item() / self.steps, 1) if self.steps else 1
            r_max, d_max = 1 + opened * (self.r_max - 1), opened * self.d_max
            values = x.transpose(0, 1).flatten(1)
            mu_b, sigma_b = values.mean(1), torch.sqrt(values.var(1, unbiased=False) + 1e-5)
            r = (sigma_b / sigma).clamp(1 / r_max, r_max).detach()
            d = ((mu_b - mu) / sigma).clamp(-d_max, d_max).detach()
            z = (x - per_channel(mu_b)) / per_channel(sigma_b) * per_channel(r) + per_channel(d)
            with torch.no_grad():
                self.running_mean.lerp_(mu_b, self.momentum)
                self.running_var.lerp_(values.var(1, unbiased=True), self.momentum)
                self.seen += 1
        else:
            z = (x - per_channel(mu)) / per_channel(sigma)
        return F.relu(self.affine(z)) if self.relu else self.affine(z)


class ScaledReLU(nn.Module):
    """Brock et al. 2021, section 4: f(x / beta), f a ReLU whose output has a variance of 1."""

    def __init__(self, beta):
        super().__init__()
        self.beta = beta

    def forward(self, x):
        return F.relu(x / self.beta) * (2 / (1 - 1 / torch.pi))**0.5


class FixupReLU(nn.Module):
    """Zhang et al. 2019, section 3: a bias before the ReLU, one before the next convolution."""

    def __init__(self):
        super().__init__()
        self.bias1, self.bias2 = (nn.Parameter(torch.zeros(1)) for _ in range(2))

    def forward(self, x):
        return F.relu(x + self.bias1) + self.bias2


# ---- convolutions ----


class Conv(nn.Conv2d):
    def __init__(self, inputs, outputs, kernel, stride=1, bias=False):
        super().__init__(inputs, outputs, kernel, stride, kernel // 2, bias=bias)


class StandardisedConv(Conv):
    """Qiao et al. 2019, eq. 10 and 11."""

    def forward(self, x):
        axes = (1, 2, 3)
        centred = self.weight - self.weight.mean(axes, keepdim=True)
        variance = centred.pow(2).mean(axes, keepdim=True)
        return self._conv_forward(x, centred / torch.sqrt(variance + 1e-6), self.bias)


class ScaledStandardisedConv(Conv):
    """Brock et al. 2021 (ICLR), eq. 1, with a gain: a filter's squares add up to gain^2."""

    def __init__(self, *sizes):
        super().__init__(*sizes, bias=True)
        self.gain = nn.Parameter(torch.ones(self.out_channels, 1))

    def forward(self, x):
        w = self.weight.flatten(1)
        w = w - w.mean(1, keepdim=True)
        squares = w.pow(2).sum(1, keepdim=True).clamp_min(1e-4)
        w = (self.gain * w / torch.sqrt(squares)).view_as(self.weight)
        return self._conv_forward(x, w, self.bias)


# ---- the end of a block ----


class Add(nn.Module):
    def forward(self, branch, shortcut):
        return branch + shortcut


class ScaledAdd(nn.Module):
    """Brock et al. 2021 (ICLR), section 3: x + alpha f(x / beta)."""

    def __init__(self, alpha):
        super().__init__()
        self.alpha = alpha

    def forward(self, branch, shortcut):
        return shortcut + self.alpha * branch


class FixupAdd(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale, self.bias = nn.Parameter(torch.ones(1)), nn.Parameter(torch.zeros(1))

    def forward(self, branch, shortcut):
        return branch * self.scale + self.bias + shortcut


class CrossNormSelfNorm(nn.Module):
    """Tang et al. 2021, eq. 3 and 5; the gate is a 1-D convolution of mean and deviation."""

    def __init__(self, channels):
        super().__init__()
        self.g_mean, self.g_deviation = (nn.Parameter(torch.zeros(channels)) for _ in range(2))
        self.g_bn = nn.BatchNorm1d(channels)
        self.partner = []

    def forward(self, branch, shortcut):
        x = branch + shortcut
        if self.training and len(self.partner):
            mean = x.mean(SPACE, keepdim=True)
            deviation = torch.sqrt(x.var(SPACE, keepdim=True) + 1e-5)
            x = (x - mean) / deviation * deviation[self.partner] + mean[self.partner]
        statistics = torch.stack([x.mean(SPACE), (x.var(SPACE) + 1e-12).sqrt()], 2)
        weight = torch.stack([self.g_mean, self.g_deviation], 1)[:, None]
        gate = torch.sigmoid(self.g_bn(F.conv1d(statistics, weight, groups=x.size(1))))
        return x * gate[..., None]


# ---- schemes: what stands where ----


class Scheme:
    """norm(channels) with its ReLU, norm(channels, relu=False), conv, and the end of a block."""

    def __init__(self, norm, conv=Conv, join=lambda channels: Add(), mixed=False, alpha=0.0):
        self.norm, self.conv, self.join, self.mixed, self.alpha = norm, conv, join, mixed, alpha

    def first_norm(self, channels, last_stage):
        return InstanceBatchNorm(channels) if self.mixed and not last_stage else self.norm(channels)

    def scaled_norm(self, channels, variance):
        return ScaledReLU(variance**0.5) if self.alpha else self.norm(channels)


def find_scheme(text):
    """The scheme that mr.json calls text: group(2), nf(alpha=0.3)."""
    name, inside = re.fullmatch(r"([^(]+)(?:\((.+)\))?", text).groups()
    words = inside.split(",") if inside else []
    groups = next((int(word) for word in words if "=" not in word), None)
    values = {k: float(v) for k, v in (word.split("=") for word in words if "=" in word)}
    return {
        "batch": lambda: Scheme(BatchNorm),
        "group": lambda: Scheme(partial(GroupNorm, groups)),
        "layer_chw": lambda: Scheme(partial(GroupNorm, 1)),
        "layer_c": lambda: Scheme(ChannelNorm),
        "instance": lambda: Scheme(InstanceNorm),
        "ws+group": lambda: Scheme(partial(GroupNorm, groups), StandardisedConv),
        "ibn": lambda: Scheme(BatchNorm, mixed=True),
        "cnsn": lambda: Scheme(BatchNorm, join=CrossNormSelfNorm),
        "frn": lambda: Scheme(FilterResponseNorm),
        "evonorm-s0": lambda: Scheme(partial(EvoNormS0, groups)),
        "batch-renorm": lambda: Scheme(partial(BatchRenorm, **values)),
        "nf": lambda: Scheme(lambda channels: ScaledReLU(1), ScaledStandardisedConv,
                             lambda channels: ScaledAdd(values.get("alpha", 0.2)),
                             alpha=values.get("alpha", 0.2)),
        "fixup": lambda: Scheme(lambda channels: FixupReLU(), join=lambda channels: FixupAdd()),
    }[name]()


# ---- networks ----


class Heads(nn.Linear):
    """Two logits a label; the score is the second less the first."""

    def __init__(self, features, labels):
        super().__init__(features, 2 * labels)

    def forward(self, x):
        z = super().forward(x.flatten(1))
        return z[:, 1::2] - z[:, ::2]


class PreActBlock(nn.Module):
    """He et al. 2016, Identity mappings: norm and ReLU before each convolution."""

    def __init__(self, scheme, inputs, inner, outputs, stride, bottleneck, last_stage, variance):
        super().__init__()
        self.norm1 = scheme.scaled_norm(inputs, variance)
        self.norm2 = scheme.first_norm(inner, last_stage)
        if bottleneck:
            self.norm3 = scheme.norm(inner)
            self.conv1 = scheme.conv(inputs, inner, 1)
            self.conv2 = scheme.conv(inner, inner, 3, stride)
            self.conv3 = scheme.conv(inner, outputs, 1)
        else:
            self.conv1 = scheme.conv(inputs, inner, 3, stride)
            self.conv2 = scheme.conv(inner, outputs, 3)
        if stride != 1 or inputs != outputs:
            self.shortcut = scheme.conv(inputs, outputs, 1, stride)
        self.join = scheme.join(outputs)

    def forward(self, x):
        z = self.norm1(x)
        y = self.conv2(self.norm2(self.conv1(z)))
        if hasattr(self, "conv3"):
            y = self.conv3(self.norm3(y))
        return self.join(y, self.shortcut(z) if hasattr(self, "shortcut") else x)


class PreActResNet(nn.Sequential):
    def __init__(self, scheme, width, blocks, labels, stem="cifar", bottleneck=False):
        super().__init__()
        imagenet = stem == "imagenet"
        self.stem = scheme.conv(1, width, 7, 2) if imagenet else scheme.conv(1, width, 3)
        if imagenet:
            self.maxpool = nn.MaxPool2d(3, 2, 1)
        channels, variance = width, 1.0
        for stage, count in enumerate(blocks):
            inner = width * 2**stage
            outputs = 4 * inner if bottleneck else inner
            for b in range(count):
                block = PreActBlock(scheme, channels, inner, outputs, 2 if stage and not b else 1,
                                    bottleneck, stage + 1 == len(blocks), variance)
                self.add_module(f"stage{stage + 1}_block{b + 1}", block)
                variance = (1 if hasattr(block, "shortcut") else variance) + scheme.alpha**2
                channels = outputs
        self.pool = nn.AdaptiveAvgPool2d(10)
        self.heads = Heads(100 * channels, labels)


class PostActBlock(nn.Module):
    """He et al. 2016, Deep residual learning, figure 2: norm and ReLU after each convolution."""

    def __init__(self, scheme, inputs, outputs, stride, last_stage):
        super().__init__()
        self.conv1 = scheme.conv(inputs, outputs, 3, stride)
        self.conv2 = scheme.conv(outputs, outputs, 3)
        self.bn1 = scheme.first_norm(outputs, last_stage)
        self.bn2 = scheme.norm(outputs, relu=False)
        self.downsample = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(scheme.conv(inputs, outputs, 1, stride),
                                            scheme.norm(outputs, relu=False))
        self.join = scheme.join(outputs)

    def forward(self, x):
        y = self.bn2(self.conv2(self.bn1(self.conv1(x))))
        return F.relu(self.join(y, self.downsample(x)))


class ResNet(nn.Sequential):
    """Of basic blocks."""

    def __init__(self, scheme, width, blocks, labels):
        super().__init__()
        self.conv1, self.bn1 = scheme.conv(1, width, 7, 2), scheme.norm(width)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        channels = width
        for stage, count in enumerate(blocks):
            layers = []
            for b in range(count):
                layers.append(PostActBlock(scheme, channels, width * 2**stage,
                                           2 if stage and not b else 1, stage + 1 == len(blocks)))
                channels = width * 2**stage
            self.add_module(f"layer{stage + 1}", nn.Sequential(*layers))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = Heads(channels, labels)


class DenseLayer(nn.Module):
    """Huang et al. 2017, section 3: a bottleneck of four times the growth."""

    def __init__(self, scheme, channels, growth):
        super().__init__()
        self.norm1, self.conv1 = scheme.norm(channels), scheme.conv(channels, 4 * growth, 1)
        self.norm2, self.conv2 = scheme.norm(4 * growth), scheme.conv(4 * growth, growth, 3)

    def forward(self, x):
        return torch.cat([x, self.conv2(self.norm2(self.conv1(self.norm1(x))))], 1)


class DenseNet(nn.Sequential):
    def __init__(self, scheme, width, growth, blocks, labels):
        super().__init__()
        self.features = nn.Sequential()
        parts = dict(conv0=scheme.conv(1, width, 7, 2), norm0=scheme.norm(width),
                     pool0=nn.MaxPool2d(3, 2, 1))
        channels = width
        for stage, count in enumerate(blocks, 1):
            block = nn.Sequential()
            for layer in range(count):
                block.add_module(f"denselayer{layer + 1}", DenseLayer(scheme, channels, growth))
                channels += growth
            parts[f"denseblock{stage}"] = block
            if stage < len(blocks):
                transition = nn.Sequential()
                transition.add_module("norm", scheme.norm(channels))
                transition.add_module("conv", scheme.conv(channels, channels // 2, 1))
                transition.add_module("pool", nn.AvgPool2d(2))
                parts[f"transition{stage}"] = transition
                channels //= 2
        for name, part in parts.items():
            self.features.add_module(name, part)
        self.features.add_module("norm5", scheme.norm(channels))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = Heads(channels, labels)


# ---- model files ----


def read(path):
    """The TorchScript module of a model file, and its mr.json."""
    extra = {"mr.json": ""}
    script = torch.jit.load(str(path), _extra_files=extra)
    return script, json.loads(extra["mr.json"])


def load(net, script):
    """The weights of the model file, by their names."""
    missing, unexpected = net.load_state_dict(script.state_dict(), strict=False)
    assert not unexpected and all(name.endswith("num_batches_tracked") for name in missing)
    return net.train(script.training)


def replace(network, name, layer):
    """Puts a layer in the place of the one of that name."""
    parent, _, last = name.rpartition(".")
    setattr(network.get_submodule(parent), last, layer)


def rebuilt(script, description):
    """The network that mr.json describes, with the weights of the file."""
    shape, scheme = description["architecture"], find_scheme(description["normalization"])
    common = shape["width"], shape["blocks"], shape["labels"]
    if shape["name"] == "densenet":
        net = DenseNet(scheme, shape["width"], shape["growth"], *common[1:])
    elif shape["name"] == "resnet":
        net = ResNet(scheme, *common)
    else:
        net = PreActResNet(scheme, *common, shape["stem"], shape["block"] == "bottleneck")
    return load(net, script)
