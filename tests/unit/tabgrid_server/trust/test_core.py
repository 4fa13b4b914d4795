from __future__ import annotations

import pytest

from tabgrid_server.trust import (
    AppealCutShort,
    AppealFiled,
    AppealHeard,
    AppealJudged,
    BugConfirmed,
    CheckAbandoned,
    Checked,
    ClassCleared,
    GoldensReturned,
    Policy,
    ResultReturned,
    Ticked,
    Trust,
    UnitKey,
    memory,
)
from tabgrid_server.trust import instructions as do
from tabgrid_server.trust.policy import DAY, HOUR
from tests.support.trusted import CLASS, PAY, Grid, of, unit_of

ANN = unit_of("ann")
BOB = unit_of("bob")


def state(grid: Grid, wallet: str = "ann") -> str:
    return grid.trust.units[unit_of(wallet)].state


# --- admission ------------------------------------------------------------------------


def test_a_unit_is_tested_before_its_first_job() -> None:
    grid = Grid()
    assert of(do.TestUnit, grid.offer(ANN))[0].goldens == 5
    assert of(do.AdmitUnit, grid.tell(GoldensReturned(ANN, True)))
    assert state(grid) == "probation"


def test_failing_the_test_is_no_strike_and_may_be_tried_again() -> None:
    grid = Grid()
    grid.offer(ANN)
    refused = of(do.RefuseUnit, grid.tell(GoldensReturned(ANN, False)))[0]
    assert "not supported on this device" in refused.reason
    assert not grid.trust.strikes
    assert of(do.TestUnit, grid.offer(ANN))


def test_a_known_unit_comes_back_without_a_test() -> None:
    grid = Grid()
    grid.prove(ANN)
    assert of(do.AdmitUnit, grid.offer(ANN))
    assert state(grid) == "proven"


def test_strangers_beyond_the_cap_are_told_when_to_come_back() -> None:
    grid = Grid(Policy(newcomers_per_day=1))
    grid.admit(ANN)
    assert "Come back tomorrow" in of(do.RefuseUnit, grid.offer(unit_of("bob")))[0].reason


def test_a_wallet_cannot_make_up_devices_without_end() -> None:
    grid = Grid(Policy(units_per_wallet=2))
    for name in ("one", "two"):
        grid.admit(unit_of("ann", name))
    (told,) = grid.offer(unit_of("ann", "three"))
    assert isinstance(told, do.RefuseUnit)
    assert "2 combinations" in told.reason
    (told,) = grid.offer(unit_of("ann", "one"))
    assert isinstance(told, do.AdmitUnit)


def test_where_every_wallet_fails_the_test_the_class_is_unsupported() -> None:
    grid = Grid()
    for wallet in ("a", "b", "c"):
        grid.offer(unit_of(wallet), wallet)
        grid.tell(GoldensReturned(unit_of(wallet), False))
    refused = of(do.RefuseUnit, grid.offer(ANN))[0]
    assert "3 wallets with this kind of device" in refused.reason
    grid.now += grid.policy.class_window_s + 1
    assert of(do.TestUnit, grid.offer(ANN)), "drivers are updated: it is tried again"


def test_strangers_that_fail_do_not_close_a_class_that_works() -> None:
    grid = Grid()
    grid.admit(ANN)
    for wallet in ("a", "b", "c"):
        grid.offer(unit_of(wallet), wallet)
        grid.tell(GoldensReturned(unit_of(wallet), False))
    assert of(do.TestUnit, grid.offer(unit_of("bob")))


# --- audits ---------------------------------------------------------------------------


def test_in_probation_every_answer_is_checked_before_it_is_delivered() -> None:
    grid = Grid()
    grid.admit(ANN)
    for _ in range(50):
        assert state(grid) == "probation"
        out = grid.answer(ANN)
        taken = of(do.TakeResult, out)[0]
        assert taken.audited
        assert taken.wait
        assert of(do.ClearJob, out)
    assert state(grid) == "proven"


def test_a_proven_unit_is_checked_by_the_draw_alone_and_the_reason_has_the_numbers() -> None:
    grid = Grid()
    grid.prove(ANN)
    audited = 0
    for _ in range(400):
        withheld = grid.trust.units[ANN].withheld
        out = grid.answer(ANN)
        taken = of(do.TakeResult, out)[0]
        assert taken.p == grid.policy.audit_probability(PAY, withheld)
        assert taken.audited == bool(of(do.CheckJob, out)) == (taken.drawn < taken.p)
        assert not taken.wait
        for number in (taken.drawn, taken.p, withheld, PAY):
            assert str(number) in taken.reason
        audited += taken.audited
    assert 10 < audited < 80


def test_an_answer_of_a_unit_that_lost_its_standing_goes_to_another_node() -> None:
    grid = Grid()
    grid.admit(ANN)
    while state(grid) != "convicted":
        grid.answer(ANN, right=False)
    refused = of(do.RefuseResult, grid.answer(ANN))[0]
    assert "convicted" in refused.reason


def test_without_an_epoch_nothing_can_be_drawn() -> None:
    with pytest.raises(ValueError, match="before any epoch"):
        Trust(Policy()).handle(ResultReturned("j", ANN, PAY, b"c"), 0.0)


def test_a_check_that_nobody_can_run_is_given_up() -> None:
    grid = Grid()
    grid.admit(ANN)
    grid.tell(ResultReturned("j", ANN, PAY, b"c"))
    grid.tell(CheckAbandoned("j"))
    assert grid.trust.results["j"].check == "unchecked"
    assert not grid.tell(Checked("j", False)), "and a late verdict counts for nothing"


def test_a_stranger_is_paid_for_what_nobody_looked_at_once_he_is_proven_or_a_month_later() -> None:
    grid = Grid(Policy(probation_jobs=2, release_jobs=0, release_s=0, release_idle_s=30 * DAY))
    grid.admit(ANN)
    grid.tell(ResultReturned("j", ANN, PAY, b"c"))
    assert not of(do.ReleasePay, grid.tell(CheckAbandoned("j")))
    assert not of(do.ReleasePay, grid.answer(ANN)), "what came after it waits too"
    (release,) = of(do.ReleasePay, grid.answer(ANN))
    assert release.jobs == ("j", "job-1", "job-2")
    grid.admit(BOB)
    grid.tell(ResultReturned("k", BOB, PAY, b"c"))
    grid.tell(CheckAbandoned("k"))
    grid.now += 30 * DAY - 1
    assert not of(do.ReleasePay, grid.tell(Ticked()))
    grid.now += 1
    assert of(do.ReleasePay, grid.tell(Ticked()))[0].jobs == ("k",)


# --- release --------------------------------------------------------------------------


def test_pay_is_released_after_enough_jobs_and_enough_time() -> None:
    grid = Grid(Policy(probation_jobs=1, release_jobs=3, release_s=HOUR))
    grid.admit(ANN)
    for _ in range(5):
        assert not of(do.ReleasePay, grid.answer(ANN))
    assert grid.trust.next_alarm() == grid.now + HOUR
    grid.now += HOUR
    (release,) = of(do.ReleasePay, grid.tell(Ticked()))
    assert release.jobs == ("job-1", "job-2")
    assert release.pay == 2 * PAY
    (release,) = of(do.ReleasePay, grid.answer(ANN))
    assert release.jobs == ("job-3",)


def test_who_stops_working_is_paid_for_the_last_jobs_too() -> None:
    grid = Grid()
    grid.prove(ANN)
    grid.now += 30 * DAY
    (release,) = of(do.ReleasePay, grid.tell(Ticked()))
    assert release.pay == 50 * PAY
    assert grid.trust.units[ANN].withheld == 0


def test_a_grid_withholds_for_a_time_of_its_own() -> None:
    grid = Grid(Policy(probation_jobs=1, release_jobs=0, release_s=9 * HOUR, release_idle_s=0))
    grid.admit(ANN)
    for job, release_s in (("first", HOUR), ("second", None)):
        grid.tell(ResultReturned(job, ANN, PAY, job.encode(), release_s))
        grid.tell(Checked(job, True))
    grid.now += HOUR
    (release,) = of(do.ReleasePay, grid.tell(Ticked()))
    assert release.jobs == ("first",)
    grid.now += 8 * HOUR
    (release,) = of(do.ReleasePay, grid.tell(Ticked()))
    assert release.jobs == ("second",)


def test_what_is_being_checked_is_not_released() -> None:
    grid = Grid(Policy(probation_jobs=1, release_jobs=0, release_s=HOUR))
    grid.admit(ANN)
    grid.tell(ResultReturned("j", ANN, PAY, b"c"))
    grid.now += DAY
    assert not of(do.ReleasePay, grid.tell(Ticked()))
    assert of(do.ReleasePay, grid.tell(Checked("j", True)))


# --- mismatches -----------------------------------------------------------------------


def test_a_second_reference_decides_and_may_clear_the_node() -> None:
    grid = Grid()
    grid.admit(ANN)
    out = grid.answer(ANN, right=False, second=True)
    assert [check.purpose for check in of(do.CheckJob, out)] == ["audit", "second"]
    assert "second reference agrees with the node" in of(do.ClearJob, out)[0].reason
    assert not of(do.StrikeUnit, out)
    assert state(grid) == "probation"


def test_a_confirmed_mismatch_costs_pay_and_fine_and_rechecks_withheld_results() -> None:
    grid = Grid()
    grid.prove(ANN)
    for _ in range(150):
        grid.answer(ANN)
    out = grid.strike(ANN)
    taken = of(do.TakeResult, out)[0]
    (strike,) = of(do.StrikeUnit, out)
    assert strike.pay == PAY
    assert strike.fine == min(taken.withheld, grid.policy.fine(PAY, taken.p))
    assert grid.trust.units[ANN].withheld == taken.withheld - strike.fine
    assert state(grid) == "suspected"
    assert of(do.PauseUnit, out)
    again = [check.job for check in of(do.CheckJob, out) if check.purpose == "reaudit"]
    kept = grid.trust.units[ANN].results
    drawn = {result.job: result.drawn for result in kept}
    assert len(again) == 40
    assert max(drawn[job] for job in again) < min(
        result.drawn for result in grid.trust.units[ANN].unchecked()
    )
    assert "Evidence 3.22; above 9.21 convicts" in strike.reason


def test_a_suspected_unit_is_checked_and_unpaid_until_it_was_right_often_enough() -> None:
    grid = Grid(Policy(release_jobs=0, release_s=0, probation_jobs=1, reaudits=0))
    grid.admit(ANN)
    grid.answer(ANN, right=False)
    needed = -(-grid.policy.mismatch_step // grid.policy.agree_step)
    for _ in range(needed - 1):
        out = grid.answer(ANN)
        assert of(do.TakeResult, out)[0].wait
        assert not of(do.ReleasePay, out)
    out = grid.answer(ANN)
    assert of(do.ResumeUnit, out)
    assert of(do.ReleasePay, out)[0].pay == needed * PAY
    assert state(grid) == "proven"


def convict(grid: Grid, wallet: str = "ann") -> list[do.Instruction]:
    out: list[do.Instruction] = []
    while state(grid, wallet) != "convicted":
        out = grid.answer(unit_of(wallet), right=False)
    return out


def test_a_conviction_reruns_what_was_never_checked_and_forfeits_after_the_appeal() -> None:
    grid = Grid(Policy(probation_jobs=5, reaudits=3, margin=1))
    grid.prove(ANN)
    for _ in range(60):
        grid.answer(ANN)
    out = convict(grid)
    (conviction,) = of(do.ConvictUnit, out)
    assert "3 confirmed wrong answers make evidence 9." in conviction.reason
    assert any(check.purpose == "rerun" for check in of(do.CheckJob, out))
    assert not list(grid.trust.units[ANN].unchecked()), "all were run again"
    withheld = grid.trust.units[ANN].withheld
    grid.now += 72 * HOUR
    (forfeit,) = of(do.ForfeitPay, grid.tell(Ticked()))
    assert forfeit.pay == withheld > 0
    assert not grid.trust.results


def test_a_convicted_wallet_is_refused_and_its_other_units_are_suspected() -> None:
    grid = Grid()
    other = unit_of("ann", "wasm")
    grid.admit(ANN)
    grid.admit(other)
    convict(grid)
    assert grid.trust.units[other].state == "suspected"
    assert "takes no jobs" in of(do.RefuseUnit, grid.offer(unit_of("ann", "cpu")))[0].reason


# --- classes --------------------------------------------------------------------------


def old_class(grid: Grid, wallets: int) -> None:
    """Proven wallets, for longer than the window, that were checked lately."""
    for number in range(wallets):
        grid.prove(unit_of(f"w{number}"))
    grid.now += grid.policy.class_window_s + 1
    for number in range(wallets):
        while not of(do.ClearJob, grid.answer(unit_of(f"w{number}"))):
            pass


def test_calling_the_device_another_makes_nobody_a_stranger_again() -> None:
    """A wallet that is wrong once under each name is convicted like any other."""
    grid = Grid()
    names = [unit_of("ann", name) for name in ("webgpu/apple", "webgpu/nvidia", "cpu/x86")]
    for unit in names[:2]:
        grid.admit(unit)
        assert of(do.StrikeUnit, grid.answer(unit, right=False))
        assert grid.trust.units[unit].state == "suspected"
    grid.offer(names[2])
    assert of(do.PauseUnit, grid.tell(GoldensReturned(names[2], True))), "nothing is released"
    assert of(do.ConvictUnit, grid.answer(names[2], right=False))
    assert "takes no jobs" in of(do.RefuseUnit, grid.offer(unit_of("ann", "cpu/arm")))[0].reason


def test_another_device_of_a_wallet_in_good_standing_begins_as_any_stranger() -> None:
    grid = Grid()
    grid.prove(ANN)
    other = unit_of("ann", "cpu/x86")
    grid.admit(other)
    assert grid.trust.units[other].state == "probation"


def test_when_many_old_wallets_of_a_class_fail_the_class_is_quarantined() -> None:
    grid = Grid(Policy(probation_jobs=5))
    old_class(grid, 6)
    for number in range(2):
        assert not of(do.QuarantineClass, grid.strike(unit_of(f"w{number}")))
    (quarantine,) = of(do.QuarantineClass, grid.strike(unit_of("w2")))
    assert quarantine.kind == CLASS
    assert "3 of 6 proven wallets" in quarantine.reason
    assert state(grid, "w2") == state(grid, "w5") == "quarantined"
    refused = of(do.RefuseUnit, grid.offer(unit_of("new")))[0]
    assert "no fault of yours" in refused.reason


def test_fresh_cheats_cannot_pass_for_a_class_that_is_broken() -> None:
    grid = Grid(Policy(probation_jobs=5))
    old_class(grid, 3)
    for number in range(20):
        grid.prove(unit_of(f"sybil{number}"))
        assert not of(do.QuarantineClass, grid.strike(unit_of(f"sybil{number}")))


def test_a_confirmed_bug_reverses_strikes_convictions_and_forfeits() -> None:
    grid = Grid(Policy(probation_jobs=5, class_wallets=99, margin=1))
    grid.prove(ANN)
    grid.prove(unit_of("bob"))
    grid.strike(unit_of("bob"))
    for _ in range(30):
        grid.answer(ANN)
    convict(grid)
    grid.now += 72 * HOUR
    (forfeit,) = of(do.ForfeitPay, grid.tell(Ticked()))
    out = grid.tell(BugConfirmed(CLASS))
    fines = [strike.fine for strike in grid.trust.strikes.values()]
    assert sorted(reverse.fine for reverse in of(do.ReverseStrike, out)) == sorted(fines)
    assert all(reverse.pay == 0 for reverse in of(do.ReverseStrike, out)), "answers stay wrong"
    assert of(do.RestoreUnit, out)[0].pay == forfeit.pay
    assert state(grid) == state(grid, "bob") == "quarantined"
    grid.tell(ClassCleared(CLASS))
    assert of(do.TestUnit, grid.offer(ANN))


# --- appeals --------------------------------------------------------------------------


@pytest.mark.parametrize(("agreeing", "restored"), [(0, False), (1, False), (2, True), (3, True)])
def test_two_of_three_references_restore_pay_and_fine(agreeing: int, restored: bool) -> None:
    grid = Grid()
    grid.prove(ANN)
    (strike,) = of(do.StrikeUnit, grid.strike(ANN))
    (check,) = of(do.CheckJob, grid.tell(AppealFiled(strike.job)))
    assert (check.purpose, check.references) == ("appeal", 3)
    out = grid.tell(AppealJudged(strike.job, agreeing))
    if restored:
        (reverse,) = of(do.ReverseStrike, out)
        assert (reverse.pay, reverse.fine) == (PAY, strike.fine)
        assert state(grid) == "proven"
    else:
        assert of(do.UpholdStrike, out)
        assert state(grid) == "suspected"


@pytest.mark.parametrize("expired", [False, True])
@pytest.mark.parametrize(
    ("looks", "kind", "words"),
    [
        ([], do.LapseStrike, "No reference could run the job again"),
        ([True], do.LapseStrike, "Only 1 of 3 references"),
        ([False], do.LapseStrike, "Only 1 of 3 references"),
        ([True, False], do.LapseStrike, "Only 2 of 3 references"),
        ([True, True], do.ReverseStrike, "2 of 2 references agree"),
        ([False, False], do.UpholdStrike, "0 of 2 references agree"),
    ],
)
def test_an_appeal_that_is_cut_short_is_decided_by_two_that_say_the_same_or_not_at_all(
    looks: list[bool], kind: type[do.Instruction], words: str, expired: bool
) -> None:
    grid = Grid()
    grid.prove(ANN)
    (strike,) = of(do.StrikeUnit, grid.strike(ANN))
    grid.now += 72 * HOUR
    grid.tell(AppealFiled(strike.job))
    for agreed in looks:
        assert grid.tell(AppealHeard(strike.job, agreed)) == []
    grid.trust = memory.load(memory.dump(grid.trust))
    grid.now += 72 * HOUR
    told = grid.tell(AppealCutShort(strike.job, expired))[0]
    assert isinstance(told, kind)
    assert words in told.reason
    if isinstance(told, do.LapseStrike):
        assert told.fine == strike.fine
        assert "doubt is the owner's" in told.reason
    assert state(grid) == ("suspected" if kind is do.UpholdStrike else "proven")
    assert not grid.tell(AppealCutShort(strike.job, expired)), "it is over"
    (again,) = of(do.RefuseAppeal, grid.tell(AppealFiled(strike.job)))
    assert "appealed before" in again.reason


def test_nobody_gains_by_waiting_until_what_was_in_a_job_is_gone() -> None:
    """A conviction opens strikes to an appeal whose own time is over; their content may be gone
    by then, and an owner could have waited for just that."""
    grid = Grid()
    grid.admit(ANN)
    for _ in range(10):
        grid.answer(ANN)
    grid.answer(ANN, right=False)
    (old,) = grid.trust.strikes
    grid.now += 8 * DAY
    convict(grid)
    grid.tell(AppealFiled(old))
    (upheld,) = of(do.UpholdStrike, grid.tell(AppealCutShort(old, expired=True)))
    assert "nobody can look any more" in upheld.reason
    assert state(grid) == "convicted"
    # That references were behind is never the owner's fault.
    other = next(job for job in grid.trust.strikes if job != old)
    grid.tell(AppealFiled(other))
    assert of(do.LapseStrike, grid.tell(AppealCutShort(other, expired=False)))


def test_an_appeal_comes_once_in_time_and_for_a_strike() -> None:
    grid = Grid()
    grid.prove(ANN)
    (strike,) = of(do.StrikeUnit, grid.strike(ANN))
    assert "No answer" in of(do.RefuseAppeal, grid.tell(AppealFiled("job-1")))[0].reason
    grid.now += 72 * HOUR + 1
    late = of(do.RefuseAppeal, grid.tell(AppealFiled(strike.job)))[0]
    assert "has passed" in late.reason
    grid.now -= 2
    grid.tell(AppealFiled(strike.job))
    again = of(do.RefuseAppeal, grid.tell(AppealFiled(strike.job)))[0]
    assert "appealed before" in again.reason


def test_while_an_appeal_is_open_nothing_is_forfeited_and_success_lifts_the_conviction() -> None:
    grid = Grid()
    grid.admit(ANN)
    for _ in range(10):
        grid.answer(ANN)
    convict(grid)
    first = next(iter(grid.trust.strikes))
    grid.now += 71 * HOUR
    grid.tell(AppealFiled(first))
    grid.now += 2 * HOUR
    assert not of(do.ForfeitPay, grid.tell(Ticked()))
    out = grid.tell(AppealJudged(first, 3))
    assert of(do.RestoreUnit, out)
    assert state(grid) == "suspected"
    assert "ann" not in grid.trust.barred


def test_a_fine_that_paid_a_user_back_is_not_given_back_to_the_node() -> None:
    """Two answers were wrong and a fine took the pay of the second: a fault of the device undoes
    the strikes, but pays for neither answer."""
    grid = Grid(Policy(probation_jobs=1, release_jobs=9, class_wallets=9, reaudits=0, odds=10**9))
    unit = unit_of("ann")
    grid.admit(unit)
    grid.answer(unit)
    grid.tell(ResultReturned("job-a", unit, PAY, b"a"))
    grid.tell(ResultReturned("job-b", unit, PAY, b"b"))
    withheld = grid.trust.units[unit].withheld
    struck = [
        strike
        for job in ("job-a", "job-b")
        for _ in range(2)
        for strike in of(do.StrikeUnit, grid.tell(Checked(job, False)))
    ]
    taken = sum(s.pay + s.fine for s in struck)
    back = sum(s.fine for s in of(do.ReverseStrike, grid.tell(BugConfirmed(CLASS))))
    assert struck[1].from_fines > 0
    assert withheld - taken + back == PAY, "what the one right answer earned"


def struck_of_two(grid: Grid) -> UnitKey:
    """Two answers, one found wrong; the fine took all that the other earns. It is not checked."""
    unit = unit_of("ann")
    grid.admit(unit)
    for job in ("one", "other"):
        grid.tell(ResultReturned(job, unit, PAY, job.encode()))
    grid.tell(Checked("one", False))
    (strike,) = of(do.StrikeUnit, grid.tell(Checked("one", False)))
    assert (strike.fine, grid.trust.units[unit].withheld) == (PAY, 0)
    return unit


def test_a_fine_that_is_given_back_waits_with_the_pay_that_it_took() -> None:
    """Else the pay would be gone when the answer that earned it is found wrong."""
    grid = Grid(Policy(probation_jobs=9, reaudits=0, odds=10**9))
    unit = struck_of_two(grid)
    grid.tell(AppealFiled("one"))
    (reverse,) = of(do.ReverseStrike, grid.tell(AppealJudged("one", 3)))
    assert (reverse.pay, reverse.fine, reverse.withheld) == (PAY, PAY, PAY)
    assert grid.trust.units[unit].withheld == PAY
    grid.tell(Checked("other", False))
    (strike,) = of(do.StrikeUnit, grid.tell(Checked("other", False)))
    assert (strike.pay, strike.from_fines) == (PAY, 0), "its user is paid back by its node"


def test_a_fine_that_came_out_of_a_release_can_be_claimed_at_once() -> None:
    policy = Policy(probation_jobs=1, release_jobs=0, release_s=HOUR, reaudits=0, odds=10**9)
    grid = Grid(policy)
    unit = struck_of_two(grid)
    grid.tell(Checked("other", True))
    while grid.trust.units[unit].evidence:
        grid.answer(unit, pay=0)
    grid.now += 9 * DAY
    grid.tell(Ticked())
    assert grid.trust.units[unit].owed == 0, "the release bore the fine"
    grid.now -= 9 * DAY
    grid.tell(AppealFiled("one"))
    (reverse,) = of(do.ReverseStrike, grid.tell(AppealJudged("one", 3)))
    assert (reverse.fine, reverse.withheld) == (PAY, 0)


@pytest.mark.parametrize("last", [Checked("late", False), Checked("late", True), None])
def test_nothing_is_forfeited_while_a_check_is_on_its_way(last: Checked | None) -> None:
    """The answer may be wrong: then its user gets the price back, and the rest is forfeited."""
    grid = Grid()
    grid.admit(ANN)
    grid.tell(ResultReturned("late", ANN, 100 * PAY, b"late"))
    convict(grid)
    grid.now += 73 * HOUR
    assert not of(do.ForfeitPay, grid.tell(Ticked()))
    withheld = grid.trust.units[ANN].withheld
    out = grid.tell(last or CheckAbandoned("late"))
    void = of(do.VoidJob, out)
    assert [each.pay + each.from_fines for each in void] == (
        [100 * PAY] if last == Checked("late", False) else []
    )
    (forfeit,) = of(do.ForfeitPay, out)
    assert forfeit.pay == withheld - sum(each.pay for each in void)
