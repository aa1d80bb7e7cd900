"""Settings in a file: written, changed, given to a run, and kept with it."""

import json
import tomllib
from itertools import pairwise
from pathlib import Path

import pytest
from typer.testing import CliRunner

from napari_autostructn2v.cli import app
from napari_autostructn2v.config import AnalysisConfig, Config, TrainingConfig
from napari_autostructn2v.errors import ConfigError, FileError
from napari_autostructn2v.io import write_stack
from napari_autostructn2v.runs.folder import RunFolder
from napari_autostructn2v.settings_file import as_toml, read_settings, with_assignments

BASE = Config()


@pytest.mark.parametrize("preset", ["fast", "balanced", "high"])
def test_what_is_written_is_read_again(tmp_path, preset):
    config = Config.from_preset(preset)
    (tmp_path / "my.toml").write_text(as_toml(config))
    assert read_settings(tmp_path / "my.toml", BASE) == config
    assert "None" not in as_toml(config)


def test_each_setting_has_a_line_that_says_what_it_is():
    lines = as_toml(BASE).splitlines()
    for above, line in pairwise(lines):
        if "=" in line and not line.startswith("#"):
            assert above.startswith("# ") and len(above) > 10, line


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("some.toml", "recovery = 0.5\n[stage2]\nsteps = 800\n"),
        ("some.json", '{"recovery": 0.5, "stage2": {"steps": 800}}'),
    ],
)
def test_what_a_file_leaves_out_is_as_before(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    config = read_settings(tmp_path / name, Config.from_preset("fast"))
    assert (config.recovery, config.stage2.steps, config.stage2.features) == (0.5, 800, 16)
    assert config.stage1 == Config.from_preset("fast").stage1


def test_single_settings():
    config = with_assignments(
        BASE, ["stage2.steps=800", "analysis.notch=off", "recovery = 0.5", "analysis.find_kernel=false"]
    )
    assert config.stage2 == TrainingConfig(steps=800)
    assert config.analysis == AnalysisConfig(notch="off", find_kernel=False) and config.recovery == 0.5


@pytest.mark.parametrize(
    ("assignment", "said"),
    [
        ("stage2.step=800", r"stage2\.step: Extra inputs"),
        ("stage2.steps=many", r"stage2\.steps"),
        ("stage3.steps=8", "stage3"),
        ("stage2=8", "stage2"),
        ("recovery=2", "recovery"),
        ("recovery", "NAME=VALUE"),
        ("=2", "NAME=VALUE"),
    ],
)
def test_what_cannot_be_set_is_named(assignment, said):
    with pytest.raises(ConfigError, match=said):
        with_assignments(BASE, [assignment])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.toml", b"recovery = "),
        ("a.json", b"{"),
        ("a.json", b"[1]"),
        ("a.toml", b"\xff\xfe\x00"),
        ("gone.toml", None),
    ],
)
def test_a_file_that_is_none_is_refused_in_words(tmp_path, name, content):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(FileError, match=name):
        read_settings(tmp_path / name, BASE)


def test_the_published_schema_is_that_of_the_settings():
    published = Path(__file__).parents[1] / "docs" / "config.schema.json"
    assert json.loads(published.read_text()) == Config.model_json_schema()


def test_a_run_keeps_what_it_used_and_it_can_be_given_again(tmp_path, noisy):
    source = write_stack(tmp_path / "in.mrc", noisy)
    (tmp_path / "my.toml").write_text(
        "".join(
            f"[{stage}]\nsteps = 2\nbatch_size = 2\npatch_size = 32\nfeatures = 8\nvalidation_patches = 4\n"
            for stage in ("stage1", "stage2")
        )
    )

    def run(output, *options):
        arguments = ["run", source, tmp_path / output, "--quiet", *options]
        return CliRunner().invoke(app, [str(each) for each in arguments], catch_exceptions=False)

    first = run(
        "a.mrc",
        "--config",
        tmp_path / "my.toml",
        "--set",
        "stage2.steps=3",
        "--recovery",
        0.5,
        "--notch",
        "off",
    )
    assert first.exit_code == 0
    kept = tmp_path / "a_run" / "config.toml"
    used = RunFolder(tmp_path / "a_run").read_request().config
    assert (used.stage1.steps, used.stage2.steps, used.recovery, used.analysis.notch) == (2, 3, 0.5, "off")
    assert tomllib.loads(kept.read_text())["stage2"]["steps"] == 3
    assert run("b.mrc", "--config", kept).exit_code == 0
    assert RunFolder(tmp_path / "b_run").read_request().config == used


def test_the_command_that_writes_them():
    done = CliRunner().invoke(app, ["config", "--preset", "fast"])
    assert tomllib.loads(done.stdout)["stage1"]["steps"] == 250
    assert json.loads(CliRunner().invoke(app, ["config", "--schema"]).stdout)["title"] == "Config"
