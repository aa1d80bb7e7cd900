"""Is work kept apart from other work, and told by its name?"""

from pathlib import Path

import pytest

from napari_autostructn2v.errors import RunFolderError, refuse_if_different

HERE = Path("run")


def test_the_same_work_goes_on():
    refuse_if_different(HERE, {"seed": 1, "box": None}, {"box": None, "seed": 1})


@pytest.mark.parametrize(
    ("before", "now", "named"),
    [
        ({"seed": 1}, {"seed": 2}, "of: seed"),
        ({"input_mean": 1, "input_std": 1}, {"input_mean": 2, "input_std": 3}, "of: input\\."),
        ({}, {"region": None}, "of: background"),
        ({"box": None, "seed": 1}, {"seed": 1}, "of: part to train on"),
    ],
)
def test_other_work_is_refused_and_what_differs_is_named(before, now, named):
    with pytest.raises(RunFolderError, match=named):
        refuse_if_different(HERE, before, now)
