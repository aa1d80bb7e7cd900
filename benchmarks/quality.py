"""Quality on noise of known truth: every family of structured noise, on every image, by every method.

::

    python benchmarks/quality.py OUT            # everything; go on where it stopped
    python benchmarks/quality.py OUT --quick    # the smallest form: only shows that it works
    python benchmarks/quality.py OUT --sstem STACK.tif --peers FOLDER

OUT gets one JSON file per measurement, the table (quality.md) and the picture (quality.png). ``--sstem``
adds a real image; its "clean" stack keeps its own grain, which rewards leaving noise in, so read the
generated image first. FOLDER is what ``peers/install.sh FOLDER`` made.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import time
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from other_programs import PEERS, run_peer
from scipy import stats
from skimage.metrics import structural_similarity

from napari_autostructn2v.config import Config, Mode, TrainingConfig
from napari_autostructn2v.events import finish
from napari_autostructn2v.kernel import POINT, embed_kernel
from napari_autostructn2v.learning.prediction import predict
from napari_autostructn2v.learning.training import train
from napari_autostructn2v.metrics import psnr
from napari_autostructn2v.noise.analysis import NoiseAnalysis, analyze
from napari_autostructn2v.noise.detail import recover
from napari_autostructn2v.noise.notch import NotchRule
from napari_autostructn2v.stack import as_stack
from napari_autostructn2v.synthetic import NOISE_FAMILIES, Sample, degraded, sample

OURS = ("noisy", "notch", "Stage 1", "Stage 2 automatic", "Stage 2 oracle")


@dataclass(frozen=True)
class Case:
    """One stack with its truth."""

    family: str
    image: str
    seed: int
    mode: Mode
    shape: tuple[int, int, int]
    training: TrainingConfig
    sstem: Path | None

    @property
    def name(self) -> str:
        """A file name without its ending."""
        return f"{self.family}-{self.image}-{self.mode}-{self.seed}"

    @cached_property
    def sample(self) -> Sample:
        """The stack."""
        if self.sstem is None:
            return sample(self.family, shape=self.shape, seed=self.seed)
        depth, height, width = self.shape
        clean = tifffile.imread(self.sstem)[:depth, :height, :width].astype(np.float64)
        return degraded(clean, self.family, rng=np.random.default_rng(self.seed))


class Bench:
    """Measures cases, and keeps what it has measured."""

    def __init__(self, out: Path, peers: Path | None) -> None:
        self.out, self.peers = out, peers
        out.mkdir(parents=True, exist_ok=True)

    def measure(self, case: Case, method: str) -> dict[str, Any] | None:
        """Score a method on a case; None where the peer is not installed."""
        record = self.out / f"{case.name}-{method.replace(' ', '_').replace('/', '_')}.json"
        if record.exists():
            return dict(json.loads(record.read_text()))
        made = self._peer(case, method) if method in PEERS else self._own(case, method)
        if made is None:
            return None
        denoised, facts = made
        clean = case.sample.clean
        if (predicted := facts.pop("predicted", None)) is not None:
            facts["psnr_without_recovery"] = psnr(predicted, clean)
        scores = {"case": case.name, "method": method, "psnr": psnr(denoised, clean), **facts}
        scores["pearson"] = float(stats.pearsonr(denoised.ravel(), clean.ravel()).statistic)
        gain = scores["pearson"] * clean.std() / max(denoised.std(), 1e-12)
        fitted = (denoised - denoised.mean()) * gain
        scores["ssim"] = float(structural_similarity(fitted, clean, data_range=float(np.ptp(clean))))
        beside = record.with_suffix(".part")
        beside.write_text(json.dumps(scores, indent=1))
        beside.replace(record)
        print(
            f"{case.name:32s} {method:20s} {scores['psnr']:6.2f} dB {facts.get('seconds', 0):5.0f} s",
            flush=True,
        )
        return scores

    def _own(self, case: Case, method: str) -> tuple[np.ndarray, dict[str, Any]]:
        made, stack = case.sample, as_stack(case.sample.noisy)
        if method == "noisy":
            return made.noisy, {}
        if method == "Stage 1":
            return self._stage(case, POINT, None)
        _, stage1 = self._stage(case, POINT, None)
        config = Config().analysis
        started = time.perf_counter()
        analysis = analyze(stack, stage1["predicted"], mode=case.mode, config=config)
        seconds = time.perf_counter() - started
        if method == "notch":
            rule = analysis.notch_rule
            notched = stack if rule is None else rule.apply(stack)
            return np.stack([notched.plane(z) for z in range(stack.shape[0])]), {"seconds": seconds}
        oracle = made.oracle_kernel(case.mode)
        if method == "Stage 2 automatic":
            # what a run does that nobody watches: Stage 1 is the result where Stage 2 promises nothing
            pays = analysis.verdict.expect_gain
            denoised, facts = self._stage(
                case, analysis.kernel if pays else POINT, analysis.notch_rule if pays else None
            )
            precision, recall = agreement(analysis.kernel, oracle)
            shape = "×".join(map(str, analysis.kernel.shape))
            facts |= {
                "verdict": analysis.verdict.kind,
                "precision": precision,
                "recall": recall,
                "kernel": shape,
            }
            return denoised, facts | {"analysis_seconds": seconds}
        return self._stage(case, oracle, oracle_notch(case, analysis))

    def _stage(
        self, case: Case, kernel: np.ndarray, notch: NotchRule | None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Train, denoise and bring detail back; what the same kernel and notch gave before is on the disk."""
        peaks = b"" if notch is None else notch.peaks.tobytes() + notch.choice.encode()
        what = hashlib.sha256(repr(kernel.tolist()).encode() + peaks).hexdigest()[:12]
        kept = self.out / "stacks" / f"{case.name}-{what}.npz"
        if kept.exists():
            with np.load(kept) as file:
                predicted, seconds = file["denoised"].astype(np.float32), float(file["seconds"])
        else:
            started = time.perf_counter()
            model = finish(train(case.sample.noisy, kernel, case.training, seed=case.seed, notch=notch))
            predicted = finish(predict(case.sample.noisy, model))
            seconds = time.perf_counter() - started
            kept.parent.mkdir(exist_ok=True)
            np.savez(kept, denoised=predicted.astype(np.float16), seconds=seconds)
        denoised = predicted + finish(recover(case.sample.noisy, predicted, notch))
        return denoised, {"seconds": seconds, "predicted": predicted}

    def _peer(self, case: Case, method: str) -> tuple[np.ndarray, dict[str, Any]] | None:
        made = case.sample
        oracle = made.oracle_kernel()
        height, width = oracle.shape
        axis = "none" if oracle.sum() == 1 else "x" if width >= height else "y"
        power = made.noise_power()
        variance = made.structured**2 + made.white**2
        return run_peer(
            self.peers,
            method,
            noisy=made.noisy,
            clean=made.clean,
            noise_power=power * variance / power.mean(),
            axis=axis,
            span=max(height, width),
            steps=case.training.steps,
        )


def oracle_notch(case: Case, analysis: NoiseAnalysis) -> NotchRule | None:
    """The notch that the truth asks for: at every peak of the whole noise, where it has long-range parts."""
    if not any(noise.long_range for noise, _ in case.sample.noise.parts()):
        return None
    return NotchRule(analysis.peaks, "all" if analysis.notch_rule is None else analysis.notch_rule.choice)


def agreement(kernel: np.ndarray, oracle: np.ndarray) -> tuple[float, float]:
    """Precision and recall of a kernel's pixels, the centre aside."""
    side = max(*kernel.shape[-2:], *oracle.shape[-2:])
    kernel, oracle = embed_kernel(kernel, side), embed_kernel(oracle, side)
    hits = int((kernel & oracle).sum()) - 1
    found, true = int(kernel.sum()) - 1, int(oracle.sum()) - 1
    return (hits / found if found else 1.0), (hits / true if true else 1.0)


def write_report(out: Path, rows: list[dict[str, Any]], title: str) -> None:
    """The table and the picture of all measurements, means over the seeds."""
    groups: dict[tuple[str, str, str], dict[str, list[dict[str, Any]]]] = {}
    for row in rows:
        family, image, mode, _ = row["case"].rsplit("-", 3)
        groups.setdefault((image, family, mode), {}).setdefault(row["method"], []).append(row)

    def mean(found: dict[str, list[dict[str, Any]]], method: str, key: str) -> float:
        values = [row[key] for row in found.get(method, []) if row.get(key) is not None]
        return float(np.mean(values)) if values else float("nan")

    lines = [f"# {title}", ""]
    for key, name, digits in (("psnr", "PSNR, dB", 2), ("ssim", "SSIM", 3), ("pearson", "Pearson", 4)):
        lines += [f"## {name}", "", "| image | noise | mode | seeds | " + " | ".join(OURS) + " |"]
        lines += ["|" + "---|" * (4 + len(OURS))]
        for (image, family, mode), found in sorted(groups.items()):
            values = [mean(found, method, key) for method in OURS]
            best = np.nanmax(values)
            cells = [_cell(value, digits, value == best) for value in values]
            seeds = len(found.get("Stage 1", []))
            lines.append(f"| {image} | {family} | {mode} | {seeds} | " + " | ".join(cells) + " |")
        lines.append("")
    lines += against_peers(groups)
    lines += [
        "## Kernels",
        "",
        "| image | noise | mode | verdict | kernel | precision | recall | of oracle's gain | recovery, dB |",
    ]
    lines += ["|" + "---|" * 9]
    for (image, family, mode), found in sorted(groups.items()):
        automatic = found.get("Stage 2 automatic", [])
        if not automatic:
            continue
        base, auto, oracle = (
            mean(found, m, "psnr") for m in ("Stage 1", "Stage 2 automatic", "Stage 2 oracle")
        )
        share = f"{(auto - base) / (oracle - base):.0%}" if oracle - base >= 0.2 else f"{auto - base:+.2f} dB"
        kernels = ", ".join(sorted({row["kernel"] for row in automatic}))
        kinds = ", ".join(sorted({row["verdict"] for row in automatic}))
        scores = " | ".join(f"{mean(found, 'Stage 2 automatic', k):.2f}" for k in ("precision", "recall"))
        recovery = auto - mean(found, "Stage 2 automatic", "psnr_without_recovery")
        lines.append(
            f"| {image} | {family} | {mode} | {kinds} | {kernels} | {scores} | {share} | {recovery:+.2f} |"
        )
    lines += ["", "## Seconds", "", "| method | median |", "|---|---|"]
    for method in (*OURS, *PEERS):
        seconds = [row["seconds"] for row in rows if row["method"] == method and row.get("seconds")]
        if seconds:
            lines.append(f"| {method} | {np.median(seconds):.1f} |")
    (out / "quality.md").write_text("\n".join(lines) + "\n")
    draw(out / "quality.png", groups)


def against_peers(groups: dict[Any, dict[str, list[dict[str, Any]]]]) -> list[str]:
    """Stage 2 automatic less each peer, on the very stacks that both were given."""
    lines = ["## Stage 2 automatic less the other programs, on the same stacks: PSNR in dB (SSIM)", ""]
    lines += ["| image | noise | stacks | " + " | ".join(PEERS) + " |", "|" + "---|" * (3 + len(PEERS))]
    for (image, family, mode), found in sorted(groups.items()):
        ours = {row["case"]: row for row in found.get("Stage 2 automatic", [])}
        cells, stacks = [], 0
        for peer in PEERS:
            pairs = [(ours[row["case"]], row) for row in found.get(peer, []) if row["case"] in ours]
            stacks = max(stacks, len(pairs))
            psnrs, ssims = ([a[key] - b[key] for a, b in pairs] for key in ("psnr", "ssim"))
            cells.append(f"{np.mean(psnrs):+.2f} ({np.mean(ssims):+.3f})" if pairs else "–")
        if mode == "2d" and stacks:
            lines.append(f"| {image} | {family} | {stacks} | " + " | ".join(cells) + " |")
    return [*lines, ""]


def _cell(value: float, digits: int, best: bool) -> str:
    if np.isnan(value):
        return "–"
    return f"**{value:.{digits}f}**" if best else f"{value:.{digits}f}"


def draw(path: Path, groups: dict[Any, dict[str, list[dict[str, Any]]]]) -> None:
    """One row of dots per case: PSNR of each method on the first stack, which all of them were given."""
    from matplotlib.figure import Figure

    keys = sorted(groups, reverse=True)
    figure = Figure(figsize=(9, 0.32 * len(keys) + 1.6), layout="constrained")
    axes = figure.subplots()
    for method, marker in zip((*OURS, *PEERS), "x|os^Dv*", strict=True):
        values = [
            next((row["psnr"] for row in groups[key].get(method, []) if row["case"].endswith("-0")), np.nan)
            for key in keys
        ]
        filled = "none" if method == "Stage 2 oracle" else None
        axes.scatter(values, range(len(keys)), marker=marker, label=method, s=45, facecolors=filled)
    axes.set_yticks(range(len(keys)), [f"{family}, {image}, {mode.upper()}" for image, family, mode in keys])
    axes.grid(axis="y", alpha=0.3)
    axes.set_xlabel("PSNR, dB")
    axes.legend(ncols=3, fontsize=8, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    figure.savefig(path, dpi=110)


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--quick", action="store_true", help="the smallest form")
    parser.add_argument("--sstem", type=Path, help="real sections, as a TIFF stack")
    parser.add_argument("--peers", type=Path, help="folder of the peers' environments")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--families", nargs="*", choices=list(NOISE_FAMILIES), help="all if not given")
    parser.add_argument("--methods", nargs="*", default=[*OURS, *PEERS], choices=[*OURS, *PEERS])
    options = parser.parse_args()
    training, shape, families = Config().stage1, (16, 192, 192), list(NOISE_FAMILIES)
    if options.quick:
        training = TrainingConfig(steps=2, features=8, batch_size=2, validation_patches=4)
        shape, families = (8, 64, 64), ["lines_and_hum", "reconstruction"]
    blank = Case("", "generated", 0, "2d", shape, training, None)
    cases = []
    for seed in range(1 if options.quick else options.seeds):
        for family in options.families or families:
            one = replace(blank, family=family, seed=seed)
            cases.append(one)
            if family in ("reconstruction", "repeated_lines"):
                cases.append(replace(one, mode="2.5d"))
            if options.sstem is not None:
                cases.append(replace(one, image="sstem", sstem=options.sstem))
    bench, rows = Bench(options.out, options.peers), []
    for case in cases:
        methods = [m for m in options.methods if case.mode == "2d" or m not in PEERS]
        rows += [row for method in methods if (row := bench.measure(case, method)) is not None]
    kept = [json.loads(path.read_text()) for path in sorted(options.out.glob("*.json"))]
    size = " × ".join(map(str, shape))
    write_report(
        options.out, kept or rows, f"Quality, stacks of {size}, {training.steps} steps of each stage"
    )
    print(f"Written: {options.out / 'quality.md'}, {options.out / 'quality.png'}")


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", str(os.cpu_count()))
    main()
