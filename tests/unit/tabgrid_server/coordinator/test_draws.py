from __future__ import annotations

import stat
from pathlib import Path

from tabgrid_server.coordinator.draws import FIRST_DAY, Draws
from tabgrid_server.trust.draws import verify
from tabgrid_server.trust.policy import DAY

DRAWS = Draws(bytes(range(32)))


def test_a_day_s_secret_is_told_when_the_day_is_over_and_not_before() -> None:
    noon = FIRST_DAY + 5 * DAY + DAY / 2
    epoch, secret = DRAWS.at(noon)
    public = DRAWS.public(noon)
    assert epoch == public.epoch == 5
    assert public.secret == DRAWS.at(noon - DAY)[1] != secret
    assert DRAWS.public(noon + DAY).secret == secret
    assert public.revealed == 4
    assert verify(public.anchor, 4, public.secret)
    assert public.commitment == DRAWS.commitment(noon) == public.secret


def test_on_the_first_day_only_the_anchor_is_known() -> None:
    public = DRAWS.public(FIRST_DAY)
    assert (public.revealed, public.secret) == (None, None)
    assert public.commitment == public.anchor


def test_the_root_stays_and_is_for_its_owner_s_eyes(tmp_path: Path) -> None:
    made = Draws.of_folder(tmp_path)
    assert Draws.of_folder(tmp_path).anchor == made.anchor
    file = tmp_path / "keys" / "draws.key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
