"""The user's own kernels, kept under names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_autostructn2v.errors import FileError, KernelError
from napari_autostructn2v.kernel import library as kernel_library
from napari_autostructn2v.kernel.library import KernelLibrary

LINE = np.ones((1, 5), bool)


@pytest.fixture
def library(tmp_path: Path) -> KernelLibrary:
    return KernelLibrary(tmp_path / "not" / "there yet")


def test_what_is_kept_comes_back(library: KernelLibrary) -> None:
    assert library.names() == []
    assert library.save("scan lines", LINE) == "scan lines"
    library.save("Beside, 3 slices (z)", np.ones((3, 1, 3), bool))
    assert library.names() == ["Beside, 3 slices (z)", "scan lines"]
    np.testing.assert_array_equal(library.load("scan lines"), LINE)
    library.forget("scan lines")
    library.forget("scan lines")
    assert library.names() == ["Beside, 3 slices (z)"]
    with pytest.raises(FileError, match="No kernel is kept as 'scan lines'"):
        library.load("scan lines")


def test_a_kernel_is_not_replaced_unasked(library: KernelLibrary) -> None:
    library.save("mine", LINE)
    with pytest.raises(FileError, match="already"):
        library.save("mine", np.ones((3, 3), bool))
    np.testing.assert_array_equal(library.load("mine"), LINE)


@pytest.mark.parametrize(
    "name",
    ["../outside", "/etc/outside", "..\\outside", "C:outside", "a/../../outside", "\0outside", "~/outside"],
)
def test_no_name_leads_out_of_the_folder(library: KernelLibrary, tmp_path: Path, name: str) -> None:
    kept = library.save(name, LINE)
    assert kept in library.names()
    assert [path.parent for path in tmp_path.rglob("*.json")] == [library.folder]
    np.testing.assert_array_equal(library.load(name), LINE)
    library.forget(name)
    assert not library.names()


def test_forgetting_does_not_reach_out_of_the_folder(library: KernelLibrary) -> None:
    library.save("inside", LINE)
    outside = library.folder.parent / "precious.json"
    outside.write_text("[[1]]")
    library.forget("../precious")
    assert outside.exists()


@pytest.mark.parametrize("name", ["", "  ", "..", "/", "...///", "???"])
def test_a_name_has_to_be_one(library: KernelLibrary, name: str) -> None:
    with pytest.raises(FileError, match="name"):
        library.save(name, LINE)


def test_a_name_may_be_long_and_in_any_script(library: KernelLibrary) -> None:
    for name in ("x" * 500, "Streifen längs y", "縞模様"):
        assert library.save(name, LINE) in library.names()
    np.testing.assert_array_equal(library.load("縞模様"), LINE)


def test_damaged_files_do_not_hide_the_others(library: KernelLibrary) -> None:
    library.save("good", LINE)
    (library.folder / "torn.json").write_text("[[1, 1")
    (library.folder / "even.json").write_text("[[1, 1]]")
    (library.folder / "notes.txt").write_text("no kernel")
    (library.folder / ".partial-0-good.json").write_text("[[1")
    assert library.names() == ["even", "good", "torn"]
    with pytest.raises(FileError, match="torn"):
        library.load("torn")
    with pytest.raises(KernelError, match="even"):
        library.load("even")
    np.testing.assert_array_equal(library.load("good"), LINE)


def test_what_is_no_kernel_is_not_kept(library: KernelLibrary) -> None:
    with pytest.raises(KernelError, match="centre"):
        library.save("nothing", np.zeros((3, 3)))
    assert library.names() == []


def test_the_folder_is_that_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_library, "user_data_path", lambda *args, **options: tmp_path)
    assert KernelLibrary.of_user().folder == tmp_path / "kernels"
