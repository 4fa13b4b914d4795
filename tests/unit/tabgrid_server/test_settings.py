from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tabgrid_server.settings import Settings, SettingsError, load, load_demo, replace


def test_the_defaults_are_complete() -> None:
    settings = load()
    assert settings == Settings()
    assert settings.url == "http://127.0.0.1:8402"
    assert settings.database.endswith("tabgrid.db")


def test_environment_overrides_the_file_and_flags_override_both(tmp_path: Path) -> None:
    file = tmp_path / "tabgrid.toml"
    file.write_text('[server]\nport = 1\nlog_format = "json"\n')
    environment = {"TABGRID_SERVER_PORT": "2", "HOME": "/root"}
    assert load(file, environment).server.port == 2
    settings = load(file, environment, {"server": {"port": 3}})
    assert settings.server.port == 3
    assert settings.server.log_format == "json"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[server]\nport = 70000", "server.port"),
        ("[server]\nprot = 1", "prot"),
        ("[sevrer]\nport = 1", "sevrer"),
        ('[grids.text]\ntitle = "x"', "grids"),
        ("port = ", "TOML"),
    ],
)
def test_mistakes_in_the_file_are_named(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "tabgrid.toml"
    file.write_text(text)
    with pytest.raises(SettingsError, match=says) as refused:
        load(file)
    assert str(file) in str(refused.value)


def test_a_missing_file_and_a_mistyped_variable_are_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no settings file"):
        load(tmp_path / "nothing.toml")
    with pytest.raises(SettingsError, match="TABGRID_SEVER_PORT"):
        load(environment={"TABGRID_SEVER_PORT": "1"})


def test_the_demo_gives_credit_and_releases_within_seconds() -> None:
    settings = load_demo()
    assert settings.demo_credit == 1_000_000_000
    assert settings.grids["text"].release_s == 20


def test_replace_changes_one_field() -> None:
    assert replace(Settings(), server={"port": 9}).server.port == 9


def write(file: Path, text: str) -> Path:
    file.write_text(text)
    return file


def test_a_file_changes_a_demo_field_by_field(tmp_path: Path) -> None:
    file = write(
        tmp_path / "tabgrid.toml",
        """
        [trust]
        appeal_s = 60
        [chain]
        epoch_s = 86400
        [grids.text]
        release_s = 2
        [grids.own]
        title = "Own"
        description = "A grid that no demo has."
        models = ["echo"]
        price_per_unit = 1
        """,
    )
    demo, settings = load_demo(), load_demo(file, {"TABGRID_TRUST_REAUDITS": "7"})
    assert settings.trust == replace(demo, trust={"appeal_s": 60, "reaudits": 7}).trust
    assert settings.chain == replace(demo, chain={"epoch_s": 86_400}).chain
    text = msgspec.structs.replace(demo.grids["text"], release_s=2)
    assert settings.grids == {**demo.grids, "text": text, "own": settings.grids["own"]}
    assert load_demo() == demo, "the demo itself stays as it is"


def test_what_is_no_section_is_named_whatever_is_laid_over_it(tmp_path: Path) -> None:
    file = write(tmp_path / "tabgrid.toml", "trust = 3")
    for each in (load, load_demo):
        with pytest.raises(SettingsError, match="trust"):
            each(file, {"TABGRID_TRUST_REAUDITS": "7"})


def test_a_demo_offers_what_the_library_has(tmp_path: Path) -> None:
    (tmp_path / "minilm-labels").mkdir()
    (tmp_path / "minilm-labels" / "manifest.json").write_text("{}")
    library = {"server": {"library": str(tmp_path)}}
    assert list(load_demo(overrides=library).grids) == ["labels"]
    assert next(iter(load_demo().grids)) == "text"
    file = write(tmp_path / "tabgrid.toml", "[grids.images]\nrelease_s = 2")
    asked_for = list(load_demo(file, overrides=library).grids)
    assert asked_for == ["images", "labels"], "what a file changes is not left out in silence"
