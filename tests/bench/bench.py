"""Speed and memory of the tools, beside Python doing the same work on the same machine.

python3 bench.py [start|corrupt|artifacts|network|train|eval|report|statistics|io|memory]...   (all by default)

MR_BIN is the folder of the tools; MR_BENCH that of the Python side (train.py, pipeline_small.py, artifacts.py).
Medians of interleaved repetitions; ratios are what counts, since machines and moments differ.
"""
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tools"))
import images  # noqa: E402

BIN = pathlib.Path(os.environ["MR_BIN"])
PEER = pathlib.Path(os.environ.get("MR_BENCH", "/nonexistent"))
THREADS = str(len(os.sched_getaffinity(0)))


def timed(command, **keywords):
    """Wall seconds of a command that must succeed."""
    began = time.perf_counter()
    subprocess.run([str(c) for c in command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                   check=True, **keywords)
    return time.perf_counter() - began


def peak_mib(command):
    """Peak of resident memory while a command runs. The kernel's count for a child that has ended
    holds the memory of the program that started it too, so the running one is asked."""
    p = subprocess.Popen([str(c) for c in command], stdout=subprocess.DEVNULL,
                         stderr=subprocess.DEVNULL)
    peak = 0
    while p.poll() is None:
        with open(f"/proc/{p.pid}/status") as f:
            text = f.read()
        if "VmHWM" in text:
            peak = max(peak, int(text.split("VmHWM:")[1].split()[0]) / 1024)
        time.sleep(0.002)
    if p.returncode:
        raise subprocess.CalledProcessError(p.returncode, command)
    return peak


def median_seconds(command, repetitions=3, **keywords):
    return statistics.median(timed(command, **keywords) for _ in range(repetitions))


def row(what, ours, peer, ratio, wanted):
    print(f"{what:<58} {ours:>14} {peer:>14} {ratio:>8} {wanted:>8}", flush=True)


def python_lines(script, *arguments):
    p = subprocess.run([sys.executable, PEER / script, *arguments], capture_output=True, text=True,
                       cwd=PEER)
    return [json.loads(line) for line in p.stdout.splitlines() if line.startswith("{")]


def bench_train(folder):
    """Images per second of whole epochs, against steps alone in PyTorch (which reads no data)."""
    m = images.manifest(folder, images=24, labels=("a", "b", "c", "d"), shape=(64, 64, 8),
                        splits=["train", "train", "train", "val"])
    norms = (("batch", "batch", []), ("group", "group32", ["--groups", "32"]), ("layer", "group1", []))
    for width, draws in ((16, 640), (64, 96)):
        for norm, peer_norm, options in norms:
            groups = ["--groups", "16"] if norm == "group" and width == 16 else options
            ours, peer = [], []
            for _ in range(3):
                seconds = []
                for epochs in (1, 3):
                    out = folder / "model.pt"
                    seconds.append(timed(
                        [BIN / "mr-train", "-q", "--force", "--norm", norm, *groups, "--width", width,
                         "--size", "64x64", "--epochs", epochs, "--patience", "99", "--epoch-samples",
                         draws, "--lr", "1e-4", "-t", THREADS, "-o", out, m]))
                ours.append(2 * draws / (seconds[1] - seconds[0]))
                lines = python_lines("train.py", str(width), THREADS, peer_norm)
                peer.append(lines[0]["train_img_s"] if lines else float("nan"))
            a, b = statistics.median(ours), statistics.median(peer)
            row(f"mr-train {norm}, width {width}, 1x64x64, batch 32 [images/s]", f"{a:.1f}", f"{b:.1f}",
                f"{a / b:.2f}", ">= 1.0")


def bench_network(folder):
    """Steps and scores of the network alone on noise, against the same network in PyTorch."""
    wanted = {("batch", 16): (1.2, 1.4), ("layer_chw", 16): (1.2, 1.4), ("group", 16): (1.05, 1.4)}
    for width in (16, 64):
        for norm, peer_norm in (("batch", "batch"), ("group", "group32"), ("layer_chw", "group1")):
            ours, peer = [], []
            for _ in range(3):
                p = subprocess.run([BIN / "tests/bench/network_speed", str(width), THREADS, norm],
                                   check=True, capture_output=True, text=True)
                ours.append(json.loads(p.stdout))
                peer += python_lines("train.py", str(width), THREADS, peer_norm)
            for what, limit in zip(("train", "infer"), wanted.get((norm, width), (1.05, 1.15))):
                a, b = (statistics.median(line[f"{what}_img_s"] for line in lines) if lines else
                        float("nan") for lines in (ours, peer))
                row(f"network {norm}, width {width}, {what} [images/s]", f"{a:.1f}", f"{b:.1f}",
                    f"{a / b:.2f}", f">= {limit}")
            a, b = (max(line[key] for line in lines) if lines else float("nan")
                    for lines, key in ((ours, "train_peak_mib"), (peer, "rss_mib")))
            row(f"network {norm}, width {width}, peak memory [MiB]", f"{a:.0f}", f"{b:.0f}",
                f"{a / b:.2f}", "<= 1")


def bench_eval(folder):
    """One corrupted pass against one clean pass, by the difference of runs."""
    m = images.manifest(folder, images=60, labels=("a", "b"), shape=(64, 64, 24),
                        splits=["train", "val", "test"])
    model = folder / "model.pt"
    timed([BIN / "mr-train", "--norm", "group", "--groups", "8", "--width", "16", "--size", "64x48",
           "--epochs", "1", "--epoch-samples", "64", "-o", model, m])
    base = [BIN / "mr-eval", "-m", model, "--split", "all", "-t", THREADS]
    clean, grid = [], []
    for _ in range(3):
        one = timed([*base, "--grid", "rician", "--severities", "0", m])  # clean + an untouched pass
        two = timed([*base, "--grid", "rician", "--severities", "0,0,0", m])
        clean.append((two - one) / 2)
        many = timed([*base, "--grid", "study", "--severities", "2,4", m])
        grid.append((many - one + clean[-1]) / 10)
    a, b = statistics.median(grid), statistics.median(clean)
    row("mr-eval: a corrupted pass against a clean one [s]", f"{a:.2f}", f"{b:.2f}", f"{a / b:.2f}",
        "<= 1.3")


def bench_corrupt(folder):
    subprocess.run([sys.executable, PEER / "pipeline_small.py", "make", folder / "in"], check=True,
                   cwd=PEER)
    entries = [{"id": p.stem.split(".")[0], "subject": p.stem, "file": str(p), "samples": [{"labels": []}]}
               for p in sorted((folder / "in").iterdir())]
    images.write(folder / "m.json", (), entries)
    steps = [s for a in ("rician", "bias", "ghosting", "spike", "motion") for s in ("-a", f"{a}:3")]
    for threads in ("2", "1"):
        ours, peer = [], []
        for _ in range(5):
            ours.append(timed([BIN / "mr-corrupt", *steps, "--force", "-t", threads, "-o", folder / "out",
                               folder / "m.json"]))
            peer.append(timed([sys.executable, PEER / "pipeline_small.py", "plain", "chain",
                               folder / "in", folder / "plain"], cwd=PEER,
                              env=dict(os.environ, THREADS=threads, OMP_NUM_THREADS=threads)))
        a, b = statistics.median(ours), statistics.median(peer)
        row(f"mr-corrupt: 100 small volumes, 5 artifacts, {threads} threads [s]", f"{a:.3f}", f"{b:.2f}",
            f"{b / a:.1f}", ">= 6")


# Normal deviates that an artifact draws for each voxel: noise is bounded by drawing it.
NORMALS = {"rician": 2, "gaussian": 1, "ref-rician": 2, "nonstationary-noise": 2, "field-strength": 2,
           "nc-chi": 16, "correlated-noise": 16, "g-factor": 16 / 3}
# The lean Python version of an artifact, by its name in artifacts.py.
LEAN = {"rician": "rician", "bias": "bias", "ghosting": "ghosting", "spike": "spike",
        "truncation": "gibbs", "motion": "motion4"}


def bench_artifacts(folder):
    """Every artifact in memory: against 1.5 x (its FFTs by FFTW + 3 copies + its normal deviates),
    and on 2 threads against 1; some against lean PyTorch."""
    for item in ("volume", "knee"):
        lines = {t: [json.loads(line) for line in subprocess.run(
            [BIN / "tests/bench/artifact_speed", item, t], check=True, capture_output=True,
            text=True).stdout.splitlines()] for t in ("1", "2")}
        limits = {line["limit"]: line["ms"] for line in lines["1"] if "limit" in line}
        for name, ms in limits.items():
            row(f"limit, {item}: {name} [ms]", f"{ms:.1f}", "", "", "")
        lean = {line["workload"]: line["ms"] for line in python_lines("artifacts.py", "plain", item, "1")
                if "ms" in line} if PEER.exists() else {}
        on_two = {line["artifact"]: line for line in lines["2"] if "artifact" in line}
        for line in lines["1"]:
            if "ms" not in line or "artifact" not in line:
                continue
            name, ms = line["artifact"], line["ms"]
            limit = (line["cost_ffts"] * limits["fft"] + 3 * limits["copy"] +
                     NORMALS.get(name, 0) * limits["normals"])
            row(f"{name}, {item}, 1 thread [ms] (limit; peak {line['peak_mib']:.0f} MiB)", f"{ms:.1f}",
                f"{limit:.1f}", f"{ms / limit:.2f}", "<= 1.5")
            row(f"{name}, {item}, 2 threads [ms]", f"{on_two[name]['ms']:.1f}", f"{ms:.1f}",
                f"{on_two[name]['ms'] / ms:.2f}", "<= 0.6")
            if LEAN.get(name) in lean:
                row(f"{name}, {item}, against lean PyTorch [ms]", f"{ms:.1f}",
                    f"{lean[LEAN[name]]:.1f}", f"{lean[LEAN[name]] / ms:.1f}", ">= 1")


def bench_start(folder):
    image = images.save(folder / "small.nii.gz", images.phantom((35, 51, 35)))
    python = median_seconds([sys.executable, "-c", "import nibabel"], 5)
    for tool in ("mr-phantom", "mr-manifest", "mr-corrupt", "mr-report"):
        s = median_seconds([BIN / tool, "--version"], 15)
        row(f"{tool} --version [ms] (python3 -c 'import nibabel')", f"{1e3 * s:.1f}",
            f"{1e3 * python:.0f}", f"{python / s:.0f}", "<= 20 ms")
    s = median_seconds([BIN / "mr-corrupt", "-a", "rician:2", "--force", "-o", folder / "o.nii.gz", image], 15)
    row("mr-corrupt rician, 35x51x35 .nii.gz [ms]", f"{1e3 * s:.1f}", "", "", "<= 30 ms")
    data = os.environ.get("MR_DATA", "")
    dicom = pathlib.Path(data) / "dicom" / "pydicom" / "MR_small.dcm"
    if data and dicom.exists():
        s = median_seconds([BIN / "mr-corrupt", "-a", "rician:2", "--force", "-o", folder / "o.dcm", dicom], 15)
        row("mr-corrupt rician, 64x64 DICOM [ms]", f"{1e3 * s:.1f}", "", "", "<= 60 ms")


def bench_report(folder):
    """20 evaluations x 26 conditions x 10,000 samples x 4 labels, with 2,000 validation samples."""
    from test_mr_report import GRID, Cohort, evaluation, with_validation
    cohort = Cohort(subjects=500, slices=20, labels=("a", "b", "c", "d"))
    validation = Cohort(subjects=100, slices=20, labels=("a", "b", "c", "d"), seed=2)
    files = []
    for run in range(1, 21):
        files.append(folder / f"{run}.eval")
        files[-1].write_text(with_validation(
            evaluation(cohort, ["batch" if run % 2 else "group(8)"], [run], GRID, thumbnails=False),
            validation))
    seconds = statistics.median(timed([BIN / "mr-report", "--force", "-o", folder / "report", *files])
                                for _ in range(3))
    row("mr-report of 20 evaluations, 26 conditions, 10,000 samples, 4 labels [s]", f"{seconds:.2f}",
        "", "", "<= 10")
    page = (folder / "report" / "report.html").stat().st_size / 2**20
    row("its page [MiB]", f"{page:.2f}", "", "", "<= 5")


def bench_statistics(folder):
    """Intervals of one AUROC on one core, against NumPy that sorts once too."""
    import numpy as np
    p = subprocess.run([BIN / "tests/bench/statistics_speed"], check=True, capture_output=True, text=True)
    ours = json.loads(p.stdout)
    rng = np.random.default_rng(1)
    subject, truth = np.repeat(np.arange(500), 10), rng.random(5000) < 0.3
    order = np.argsort(rng.normal(size=500)[subject] + rng.normal(size=5000) + truth)
    subject, truth = subject[order], truth[order]

    def resample():
        w = np.bincount(rng.integers(0, 500, 500), minlength=500)[subject]
        negatives = np.cumsum(w * ~truth)
        positives = w * truth
        return (positives * negatives).sum() / (positives.sum() * negatives[-1])

    began = time.perf_counter()
    np.quantile([resample() for _ in range(2000)], (0.025, 0.975))
    peer = 1e3 * (time.perf_counter() - began)
    a = ours["bootstrap_ms"]
    row("AUROC of 5,000 in 500 subjects, 2000 resamples [ms] (NumPy)", f"{a:.1f}", f"{peer:.0f}",
        f"{peer / a:.1f}", "<= 60 ms")
    row("its interval by influences [ms]", f"{ours['influence_ms']:.2f}", "", "", "<= 2 ms")


def best_seconds(work, repetitions=5):
    best = float("inf")
    for _ in range(repetitions):
        began = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - began)
    return best


def read_series(paths):
    """What pydicom makes of files: rescaled float32."""
    import numpy
    import pydicom
    slices = []
    for path in paths:
        d = pydicom.dcmread(path)
        pixels = d.pixel_array
        if "RescaleSlope" in d:
            pixels = pixels * float(d.RescaleSlope) + float(d.RescaleIntercept)
        slices.append(pixels.astype("f4"))
    return numpy.array(slices)


def bench_io(folder):
    """One core: a float32 volume of 42 MB of which half is background, and DICOM series, in processes
    that have started."""
    import nibabel
    import numpy
    rng = numpy.random.default_rng(0)
    x = numpy.linspace(-1, 1, 220)
    inside = numpy.add.outer(numpy.add.outer(x**2, x**2), x**2) < 0.8
    voxels = (inside * rng.normal(500, 60, inside.shape) + rng.normal(0, 8, inside.shape)).astype("f4")
    plain, packed = folder / "v.nii", folder / "v.nii.gz"
    nibabel.save(nibabel.Nifti1Image(numpy.abs(voxels), numpy.eye(4)), plain)
    subprocess.run(f"gzip -1 -c {plain} > {packed}", shell=True, check=True)
    data = pathlib.Path(os.environ.get("MR_DATA", "/nonexistent")) / "dicom"
    series = [data / name for name in ("dcm_qa_nih/In/20180918GE/mr_0004", "dcm_qa_enh_xa10",
                                       "nitest-balls1/DICOM/T2_.dcm", "wg04_mr4/MR4_UNC.dcm",
                                       "wg04_mr4/MR4_RLE.dcm", "wg04_mr4/MR4_JPLL.dcm")]
    series = [s for s in series if s.exists()]
    p = subprocess.run(["taskset", "-c", "0", BIN / "tests/bench/io_speed", plain, packed, *series],
                       capture_output=True, text=True, check=True)
    ours = {line["file"]: line for line in map(json.loads, p.stdout.splitlines())}
    os.sched_setaffinity(0, {0})
    mb = ours[str(plain)]["mb"]
    peers = {"read_s": lambda: numpy.asarray(nibabel.load(packed).dataobj),
             "pack_s": lambda: nibabel.save(nibabel.load(plain), folder / "o.nii.gz")}
    for what, name in (("read_s", "read .nii.gz [MB/s] (nibabel)"), ("pack_s", "write .nii.gz [MB/s]")):
        mine, peer = mb / ours[str(packed)][what], mb / best_seconds(peers[what], 3)
        row(name, f"{mine:.0f}", f"{peer:.0f}", f"{mine / peer:.2f}",
            "276" if what == "read_s" else "392")
    for path in series:
        files = sorted(path.glob("*.dcm")) if path.is_dir() else [path]
        mine, peer = 1e3 * ours[str(path)]["read_s"], 1e3 * best_seconds(lambda: read_series(files))
        row(f"read {path.relative_to(data)} [ms] (pydicom)", f"{mine:.2f}", f"{peer:.2f}",
            f"{peer / mine:.2f}", "3")
    os.sched_setaffinity(0, set(range(os.cpu_count())))
    one = peak_mib([BIN / "mr-corrupt", "-t", "1", "-a", "rician:2", "--force", plain, "-o",
                    folder / "o.nii"])
    start = peak_mib([BIN / "mr-corrupt", "--list"])
    row("mr-corrupt of that volume: peak memory above that of --list [volumes of it]",
        f"{(one - start) * 1.048576 / mb:.2f}", "", "", "1")
    frame = rng.integers(0, 900, (64, 64, 32)).astype("i2")
    peaks = []
    for frames in (10, 1000):
        series = folder / f"s{frames}.nii"
        nibabel.save(nibabel.Nifti1Image(numpy.repeat(frame[..., None], frames, -1), numpy.eye(4)), series)
        peaks.append(peak_mib([BIN / "mr-corrupt", "-a", "rician:2", "--force", series, "-o", folder / "o.nii"]))
    row("mr-corrupt of a series of 1000 frames (262 MB) and of 10 [MiB]", f"{peaks[1]:.0f}", f"{peaks[0]:.0f}",
        f"{peaks[1] / peaks[0]:.2f}", "1")


def bench_memory(folder):
    """Peak memory over a manifest of 10,000 samples against one of 100."""
    image = images.save(folder / "one.nii.gz", images.phantom((24, 20, 10)))
    peaks = {}
    for count in (10, 1000):
        entries = [{"id": f"i{i}", "subject": f"s{i}", "split": ("train", "val", "test")[i % 3],
                    "file": str(image),
                    "samples": [{"slice": {"axis": "k", "index": k}, "labels": [(i + k) % 2]}
                                for k in range(10)]} for i in range(count)]
        m = folder / f"m{count}.json"
        images.write(m, ("a",), entries)
        model, evaluation = folder / "m.pt", folder / "m.eval"
        commands = {
            "mr-manifest check": [BIN / "mr-manifest", "check", m],
            "mr-corrupt": [BIN / "mr-corrupt", "-a", "bias:3", "--force", "-o", folder / f"o{count}", m],
            "mr-train": [BIN / "mr-train", "--force", "--norm", "group", "--groups", "4", "--width", "4",
                         "--size", "24x20", "--epochs", "1", "--epoch-samples", "64", "-o", model, m],
            "mr-eval": [BIN / "mr-eval", "--force", "-m", model, "--grid", "rician", "-o", evaluation,
                        "--split", "all", m],
            "mr-report": [BIN / "mr-report", evaluation],
        }
        for name, command in commands.items():
            peaks.setdefault(name, []).append(peak_mib(command))
    for name, (few, many) in peaks.items():
        row(f"{name}: peak memory at 10,000 and 100 samples [MiB]", f"{many:.0f}", f"{few:.0f}",
            f"{many / few:.2f}", "")


def main():
    row("what", "ours", "peer", "ratio", "wanted")
    for name in sys.argv[1:] or ("start", "corrupt", "artifacts", "network", "train", "eval", "report", "statistics", "io", "memory"):
        with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as folder:
            globals()["bench_" + name](pathlib.Path(folder))


if __name__ == "__main__":
    main()
