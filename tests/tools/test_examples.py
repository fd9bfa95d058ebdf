"""The examples of the README, the man pages and --help run as they stand.

They are only made small: fewer subjects in a phantom, one short epoch and a small input in training.
"""
import json
import os
import re
import shutil
import subprocess

import nibabel
import numpy as np
import pytest

import images
import test_raw
from conftest import BIN, ROOT

TOOLS = sorted(p.stem for p in (ROOT / "man").glob("*.1"))


def man_examples(tool):
    text = (ROOT / "man" / f"{tool}.1").read_text()
    text = text.partition(".SH EXAMPLES")[2].partition("\n.SH ")[0]
    return [b.replace("\\e", "\\").replace("\\-", "-")
            for b in re.findall(r"^\.nf\n(.*?)^\.fi$", text, re.M | re.S)]


def help_examples(tool):
    p = subprocess.run([BIN / tool, "--help"], capture_output=True, text=True)
    return [re.sub(r"\|\n +", "| ", p.stdout.partition("Examples:\n")[2])]


def readme_examples():
    return re.findall(r"^```sh\n(.*?)^```$", (ROOT / "README.md").read_text(), re.M | re.S)


@pytest.fixture(scope="module")
def laboratory(run, tmp_path_factory):
    """A folder that has all the files which the examples name."""
    folder = tmp_path_factory.mktemp("laboratory")
    for sub in ("images", "labels", "multicoil_train"):
        (folder / sub).mkdir()
    fmri = folder / "multicoil_train"
    images.save(folder / "knee.nii.gz", images.phantom())
    path = images.manifest(folder / "images", images=16, labels=("tear",),
                           splits=["train", "train", "val", "test"])
    document = json.loads(path.read_text())
    path.unlink()
    rows = ["file,patient,subject,tear,scanner"]
    for i, entry in enumerate(document["images"]):
        name = entry["file"]
        entry.update(file="images/" + name, attributes={"scanner": "AB"[i // 4 % 2]})
        mask = np.zeros((24, 20, 6), np.uint8)
        mask[6:12, 4:14, 2:5] = 1
        images.save(folder / "labels" / name, mask)
        rows.append(f"{name},p{i},{i},{i % 3 % 2},{'AB'[i % 2]}")
    for name in ("labels.csv", "subjects.csv"):
        (folder / name).write_text("\n".join(rows) + "\n")
    for i in range(8):
        test_raw.fastmri(fmri / f"file{i}.h5", test_raw.coils_of(slices=2, seed=i), patient=f"p{i // 2}",
                         acquisition="CORPDFS_FBK" if i % 2 else "CORPD_FBK")
    (folder / "knee.csv").write_text("file,slice,study_level,x,y,width,height,label\n" + "".join(
        f"file{i},1,No,1,1,2,2,{'ACL High Grade Sprain' if i % 4 < 2 else 'Meniscus Tear'}\n"
        for i in range(6)))
    (folder / "knee_file_list.csv").write_text("".join(f"file{i}\n" for i in range(8)))
    anat = folder / "ds004173/sub-1/anat"
    anat.mkdir(parents=True)
    (folder / "ds004173/dataset_description.json").write_text('{"Name": "a", "BIDSVersion": "1.8.0"}')
    (folder / "ds004173/sub-1/sub-1_scans.tsv").write_text("filename\tscore\nanat/sub-1_T1w.nii.gz\t2\n")
    images.save(anat / "sub-1_T1w.nii.gz", images.phantom())
    for name in ("test.json", "study.json", "knee.json"):
        images.write(folder / name, ("tear",), document["images"])
    for norm, model in (("batch", "bn.pt"), ("group", "gn.pt")):
        for seed in (1, 2):
            run(["mr-train", "--norm", norm, "--width", "32", "--blocks", "1", "--size", "24x20", "--epochs",
                 "1", "--seed", seed, "-o", f"{norm}-s{seed}.pt", "test.json"], cwd=folder)
            run(["mr-eval", "-m", f"{norm}-s{seed}.pt", "--grid", "rician", "test.json", "-o",
                 f"{norm}-s{seed}.eval"], cwd=folder)
        shutil.copy(folder / f"{norm}-s1.pt", folder / model)
    run(["mr-eval", "-m", "bn.pt", "-m", "gn.pt", "--grid", "rician", "test.json", "-o", "study.eval"],
        cwd=folder)
    run(["mr-eval", "protocol", "--grid", "rician", "--standard-error", "0.01", "-o", "protocol.json"],
        cwd=folder)
    run(["mr-eval", "-m", "bn.pt", "-m", "gn.pt", "--protocol", "protocol.json", "test.json", "-o",
         "planned.eval"], cwd=folder)
    (folder / "scanner.json").write_text(
        '{"schema": "mr-recipe/1", "steps": [{"artifact": "rician", "severity": {"uniform": [0, 3]}}]}')
    return folder


def small(script):
    script = re.sub(r"mr-phantom (?!.*--subjects)", "mr-phantom --subjects 6 ", script)
    script = re.sub(r"mr-train (?!best|convert|norms)(sweep )?", r"mr-train \1--epochs 1 --epoch-samples 32 ", script)
    script = re.sub(r"(mr-train (?:sweep )?--epochs 1 )(?!.*--width)", r"\1--width 32 ", script)
    script = re.sub(r"(mr-train sweep )", r"\1--tuning-seeds 101 --size 24x20 --blocks 1 -t 1 ", script)
    script = script.replace("--preset mri-robustness --norm",
                            "--preset mri-robustness --size 24x20 --batch 4 --norm")
    return script.replace("--size 320x320", "--size 24x20")


def outputs(script):
    """What the example writes, which must not be there before."""
    script = re.sub(r"(mr-train (?:sweep|best) .*?) -o [\w./-]+", r"\1", script)  # prints commands
    return set(re.findall(r"(?:-o|--output|--manifest-out|--scores|--print-recipe|--sheet|>) +([\w./-]+)", script))


@pytest.mark.parametrize("where", ["README"] + [f"{t} {w}" for t in TOOLS for w in ("man", "help")])
def test_examples_run(run, laboratory, tmp_path, where):
    tool, _, kind = where.partition(" ")
    if tool != "README":
        run([tool, "--version"])  # skips where it is not built
    scripts = (readme_examples() if tool == "README" else
               man_examples(tool) if kind == "man" else help_examples(tool))
    assert scripts and all(s.strip() for s in scripts)
    work = tmp_path / "work"
    shutil.copytree(laboratory, work)
    wanted = []
    for script in scripts:
        for command in re.split(r"(?<![\\|])\n(?!\s*\|)", script):
            if not command.strip() or command.strip().startswith("#"):
                continue
            made = outputs(command)
            for name in made:
                shutil.rmtree(work / name, ignore_errors=True)
                if (work / name).is_file():
                    (work / name).unlink()
            p = subprocess.run(["bash", "-c", "set -o pipefail\n" + small(command)], cwd=work,
                               env={**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"},
                               capture_output=True, text=True)
            assert p.returncode == 0, (command, p.stderr)
            wanted += made
    assert [name for name in wanted if not (work / name).exists()] == []
    for path in work.glob("*.nii.gz"):
        nibabel.load(path).get_fdata()
