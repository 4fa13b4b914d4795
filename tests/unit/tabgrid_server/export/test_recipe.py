"""Recipes are read as they were written, and weights are found or missed in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from tabgrid_server.export import ExportError, corpus, recipe
from tabgrid_server.library import CHECKOUT


def test_a_recipe_survives_being_written(tmp_path: Path) -> None:
    made = recipe.Recipe(
        id="m",
        title='A "title"',
        description="Zwei\nZeilen ☕ \\ \t",
        licence="MIT",
        source="s",
        weights="package:a/b",
        pictures=recipe.Pictures(sizes=("64x64",), steps=4, guidance=1.5, prompts=("a", "b")),
        tools={"torch": "2.13.0"},
    )
    file = tmp_path / "recipe.toml"
    file.write_text(recipe.dump(made), encoding="utf-8")
    assert recipe.load(file) == made


def test_every_recipe_of_the_library_is_one_and_names_its_folder() -> None:
    files = list(CHECKOUT.glob("*/recipe.toml"))
    assert files
    for file in files:
        assert recipe.load(file).id == file.parent.name
        assert set(recipe.TOOLS) <= recipe.load(file).tools.keys() <= set(recipe.PICTURE_TOOLS)


@pytest.mark.parametrize("text", ["id = ", "id = 7", 'id = "x"\nother = 1'])
def test_a_wrong_recipe_is_refused_by_its_name(tmp_path: Path, text: str) -> None:
    file = tmp_path / "recipe.toml"
    file.write_text(text)
    with pytest.raises(ExportError, match=r"recipe\.toml"):
        recipe.load(file)


def test_weights_are_a_folder_or_in_a_package(tmp_path: Path) -> None:
    assert recipe.find_weights(str(tmp_path)) == tmp_path
    assert recipe.find_weights("package:tabgrid_server/export").name == "export"
    with pytest.raises(ExportError, match="pip install no-such-weights"):
        recipe.find_weights("package:no_such_weights/model")


def test_a_hundred_texts_that_differ() -> None:
    texts = corpus.texts(256)
    assert len(texts) == len(set(texts)) == 100
