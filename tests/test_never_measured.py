"""Is what was never measured left out of all that follows, said, and kept with the run?"""

import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner

from napari_autostructn2v import analyze, denoise
from napari_autostructn2v.box import Box
from napari_autostructn2v.cli import app
from napari_autostructn2v.config import AnalysisConfig, Config, TrainingConfig
from napari_autostructn2v.errors import MostlyBlankError, StackError
from napari_autostructn2v.events import Notice, finish
from napari_autostructn2v.io import read_stack, write_stack
from napari_autostructn2v.pipeline import resume, run
from napari_autostructn2v.runs.folder import RunFolder
from napari_autostructn2v.runs.request import RunRequest
from napari_autostructn2v.runs.stages import examine_noise
from napari_autostructn2v.stack import as_stack
from napari_autostructn2v.survey import survey
from napari_autostructn2v.synthetic import sample
from napari_autostructn2v.unmeasured import BlankKind

TINY = TrainingConfig(steps=6, batch_size=2, patch_size=32, features=8, validation_interval=3)
QUICK = Config(stage1=TINY, stage2=TINY, analysis=AnalysisConfig(tile_size=31))
LINE = np.ones((1, 5), bool)


@pytest.fixture(scope="module")
def noisy():
    return 100 + 5 * sample("scan_lines", shape=(8, 96, 96)).noisy


@pytest.fixture
def framed(noisy):
    stack = noisy.copy()
    stack[:, :8] = stack[:, :, -10:] = 0
    stack[3] = 0
    stack[5, 70, 70] = 5000
    return stack


def patch():
    mask = np.zeros((96, 96), dtype=bool)
    mask[30:50, 20:60] = True
    return mask


def test_nothing_is_learned_from_what_is_left_out(noisy):
    """Whatever stands there, the result elsewhere is the same."""
    mask = patch()
    results = []
    for value in (0.0, 1e4, np.nan):
        stack = noisy.copy()
        stack[:, mask] = value
        stack[:, 31, 25] = 7  # no constant place
        with pytest.warns(UserWarning, match="left out"):
            results.append(denoise(stack, config=QUICK, kernel=LINE, left_out=mask).denoised)
        np.testing.assert_array_equal(results[-1][:, mask], stack[:, mask])
    for other in results[1:]:
        np.testing.assert_array_equal(results[0][:, ~mask], other[:, ~mask])


def test_the_analysis_looks_elsewhere():
    noisy = sample("scan_lines", shape=(8, 256, 256)).noisy
    mask = np.zeros((256, 256), dtype=bool)
    mask[80:140, 20:160] = True
    spoiled = noisy.copy()
    spoiled[:, mask] = np.random.default_rng(0).normal(0, 50, (8, int(mask.sum())))
    np.testing.assert_array_equal(analyze(spoiled, left_out=mask).kernel, analyze(noisy).kernel)


def test_the_analysis_stays_where_the_training_does():
    """Outside of it the noise is another; and the places it was measured at are those of the whole stack."""
    inside = sample("scan_lines", shape=(8, 192, 192)).noisy
    stack = sample("scan_lines_y", shape=(8, 192, 288)).noisy
    stack[2:6, :, :192] = inside[2:6]
    box = Box((2, 6), (0, 192), (0, 192))
    review = finish(examine_noise(as_stack(stack), stack, RunRequest("2d", Config(), box=box)))
    found = review.analysis
    assert found.kernel.shape[0] == 1 < found.kernel.shape[1]
    for z, y, x in found.measured.tiles.corners:
        side = found.measured.tiles.side
        assert 2 <= z < 6 and y + side <= 192 and x + side <= 192 + side // 20


@pytest.mark.parametrize("mask", [np.ones((95, 96), bool), np.ones((3, 96, 96), bool)])
def test_a_mask_of_another_shape_is_refused(noisy, mask):
    with pytest.raises(StackError, match="left out has shape"):
        as_stack(noisy, left_out=mask)


@pytest.mark.filterwarnings("ignore:2.5D on only 8 slices")
def test_blank_slices_are_no_neighbours(noisy):
    """In 2.5D the nearest slice that was measured stands in for one that was not."""
    stack = noisy.copy()
    stack[3] = 0
    found = as_stack(stack, "2.5d")
    np.testing.assert_array_equal(found.plane(3), found.plane(2))
    with pytest.warns(UserWarning, match="whole slices"):
        result = denoise(stack, mode="2.5d", config=QUICK, kernel=np.ones((3, 1, 5), bool))
    assert not result.denoised[3].any() and np.isfinite(result.denoised).all()


def test_slices_get_their_level_back(noisy):
    flicker = 60 * np.random.default_rng(0).normal(size=8)[:, None, None]
    stack = (noisy + flicker).astype(np.float32)
    levelled = as_stack(stack)
    assert levelled.is_levelled and not as_stack(noisy).is_levelled
    middles = [np.median(levelled.plane(z)) for z in range(8)]
    assert np.ptp(middles) < 1e-2
    with pytest.warns(UserWarning, match="changes from slice to slice"):
        result = denoise(stack, config=QUICK, kernel=LINE)
    np.testing.assert_allclose(
        np.median(result.denoised, axis=(1, 2)), np.median(stack, axis=(1, 2)), atol=0.5 * noisy.std()
    )


def test_the_survey_counts(framed):
    found = finish(survey(as_stack(framed)))
    assert found.blank == pytest.approx(np.mean(framed == 0))
    assert found.kinds == {BlankKind.FRAME, BlankKind.WHOLE_SLICE} and found.spikes == 1
    assert str(found) == (
        "28 % of the stack is blank (a frame, whole slices) and is left out. 1 pixel is hot."
    )
    assert str(finish(survey(as_stack(framed[:3, 10:, :80])))) == ""


def test_a_run_says_what_it_leaves_out_and_keeps_it(framed, tmp_path):
    events, request = [], RunRequest("2d", QUICK, kernel=LINE, left_out=patch())
    result = finish(run(framed, request, folder=tmp_path / "run"), events.append)
    assert any(isinstance(event, Notice) and "left out by hand" in event.message for event in events)
    kept = tifffile.imread(tmp_path / "run" / "unmeasured.tif")
    np.testing.assert_array_equal(kept == 1, (framed == 0) | patch())
    np.testing.assert_array_equal(np.argwhere(kept == 2), [[5, 70, 70]])
    np.testing.assert_array_equal(RunFolder(tmp_path / "run").read_request().left_out, patch())
    again = finish(survey(as_stack(framed, left_out=patch())))
    assert RunFolder(tmp_path / "run").read_survey() == again
    assert result.denoised[5, 70, 70] < 200, "a hot pixel is replaced by what is predicted"


def test_a_run_goes_on_with_the_same_pixels_left_out(framed, tmp_path):
    source = read_stack(write_stack(tmp_path / "in.tif", framed))
    request = RunRequest("2d", QUICK, kernel=LINE, left_out=patch(), source=source)
    whole = finish(run(source.array, request, folder=tmp_path / "whole"))
    events = run(source.array, request, folder=tmp_path / "cut")
    for event in events:
        if type(event).__name__ == "Validation":
            events.close()
            break
    np.testing.assert_array_equal(finish(resume(tmp_path / "cut")).denoised, whole.denoised)


def test_where_most_is_blank_a_person_is_asked(noisy, tmp_path):
    stack = noisy.copy()
    stack[:, :70] = 0
    with pytest.raises(MostlyBlankError, match="73 % of the stack is blank"):
        finish(run(stack, RunRequest("2d", QUICK, kernel=LINE), folder=tmp_path / "run"))
    assert not (tmp_path / "run").exists()
    finish(run(stack, RunRequest("2d", QUICK, kernel=LINE, mostly_blank=True)))


def test_a_run_that_was_cut_off_before_its_record_begins_anew(framed, tmp_path):
    request = RunRequest("2d", QUICK, kernel=LINE, left_out=patch())
    folder = RunFolder(tmp_path / "run")
    with folder.hold():
        folder.open(as_stack(framed, left_out=patch()), request)
    (tmp_path / "run" / "run.json").unlink()
    assert (tmp_path / "run" / "unmeasured.tif").exists()
    with folder.hold():
        folder.open(as_stack(framed, left_out=patch()), request)
    assert folder.begun


@pytest.fixture
def invoke(monkeypatch):
    monkeypatch.setattr(Config, "from_preset", lambda preset: QUICK)
    return lambda *arguments: CliRunner().invoke(app, [str(each) for each in arguments])


def test_the_command_line(noisy, framed, tmp_path, invoke):
    source = write_stack(tmp_path / "in.mrc", framed)
    assert "28 % of the stack is blank (a frame, whole slices)" in invoke("info", source).output
    mask = write_stack(tmp_path / "mask.tif", patch().astype(np.uint8))
    done = invoke("run", source, tmp_path / "out.mrc", "--leave-out", mask, "--leave-out", "2:3,60:80,10:30")
    assert done.exit_code == 0, done.output
    assert "left out by hand" in done.output
    result = read_stack(tmp_path / "out.mrc").array
    left_out = np.broadcast_to(patch(), framed.shape).copy()
    left_out[2, 60:80, 10:30] = True
    np.testing.assert_array_equal(result[left_out], framed.astype(np.float32)[left_out])
    model = tmp_path / "out_run" / "stage2" / "model.zip"
    applied = invoke("apply", model, source, "--out", tmp_path / "more", "--leave-out", mask)
    assert applied.exit_code == 0, applied.output
    again = read_stack(tmp_path / "more" / "in.mrc").array
    np.testing.assert_array_equal(again[:, patch()], framed.astype(np.float32)[:, patch()])
    assert not np.array_equal(again[2, 60:80, 10:30], framed[2, 60:80, 10:30]), "that box was not given here"
    for wrong in (
        "0:9,60:80,10:30",
        "60:80",
        write_stack(tmp_path / "other.tif", np.ones((40, 40), np.uint8)),
    ):
        assert invoke("analyze", source, "--leave-out", wrong, "--out", tmp_path / "noise").exit_code != 0
