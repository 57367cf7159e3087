"""Whether a version may become the champion: a pure decision, as a table."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from headrace.exceptions import ConfigurationError
from headrace.ledger.views_models import ModelVersionRow, Taint
from headrace.registry.policy import Outcome, PromotionPolicy, decide_promotion, explain_signature, parse_policy

NOW = datetime(2026, 11, 24, tzinfo=UTC)
FLOAT = {"dtype": "float32", "shape": [-1]}


def sign(inputs: list[str], outputs: tuple[str, ...] = ("probability",), method: str = "predict") -> dict[str, Any]:
    return {"serving_default": {
        "inputs": dict.fromkeys(inputs, FLOAT), "outputs": dict.fromkeys(outputs, FLOAT), "method": method,
    }}  # fmt: skip


def version(number: int, auc: float | None = 0.70, **more: Any) -> ModelVersionRow:
    metrics = {"overall": {} if auc is None else {"auc": auc}, "baseline": None, "slices": []}
    return ModelVersionRow(
        **{
            "id": number, "model": "m", "number": number, "digest": "d", "state": "candidate", "state_why": None,
            "dag_id": "dag", "run_id": "run", "partition_key": f"2013-0{number}", "pushed_version": "1", "at": NOW,
            "aliases": (), "metrics": metrics, "baseline": None, "verdicts": (),
            "signature": sign(["distance", "wind"]), "features": (), "ir": None, "commit": None, "dirty": None,
            "lock": None, "code": {}, "schema_digest": None, **more,
        }
    )  # fmt: skip


def compared(auc: float, baseline: float, slices: list[tuple[float, float, int]] = ()) -> ModelVersionRow:  # type: ignore[assignment]
    found = [
        {
            "slice": {"origin": f"S{place}"},
            "metrics": {"auc": has, "example_count": count},
            "baseline": {"auc": had},
        }
        for place, (had, has, count) in enumerate(slices)
    ]
    metrics = {"overall": {"auc": auc}, "baseline": {"auc": baseline}, "slices": found}
    return version(2, metrics=metrics, baseline={"version": 1, "metrics": {"auc": baseline}})


AUTO = PromotionPolicy(mode="auto")
CHAMPION = version(1)


@pytest.mark.parametrize(
    ("candidate", "champion", "policy", "outcome", "said"),
    [
        (version(1), None, AUTO, Outcome.ALLOW, "no other version answers"),
        (version(1), None, PromotionPolicy(), Outcome.NEEDS_PERSON, "mode is approval"),
        (version(1), None, PromotionPolicy(mode="manual"), Outcome.NEEDS_PERSON, "mode is manual"),
        (version(2, 0.72), CHAMPION, AUTO, Outcome.ALLOW, "m@1 0.7000 on its own examples"),
        (version(2, 0.696), CHAMPION, AUTO, Outcome.ALLOW, "m@2 has auc 0.6960"),
        (version(2, 0.694), CHAMPION, AUTO, Outcome.REFUSE, "a difference of -0.0060, where -0.005 is the least"),
        (version(2, 0.694), CHAMPION, PromotionPolicy(), Outcome.REFUSE, "a difference of -0.0060"),
        (version(2, None), CHAMPION, AUTO, Outcome.NEEDS_PERSON, "no auc to compare"),
        (version(2, 0.8), version(1, None), AUTO, Outcome.NEEDS_PERSON, "no auc to compare"),
        # What was measured on the same examples counts, not the champion's own, easier month.
        (compared(0.65, 0.64), CHAMPION, AUTO, Outcome.ALLOW, "m@1 0.6400 on the same examples"),
        (compared(0.75, 0.80), CHAMPION, AUTO, Outcome.REFUSE, "-0.0500"),
        (compared(0.75, 0.70, [(0.7, 0.6, 500)]), CHAMPION, AUTO, Outcome.REFUSE, "auc of origin S0 fell from 0.7000"),
        (compared(0.75, 0.70, [(0.7, 0.6, 199)]), CHAMPION, AUTO, Outcome.ALLOW, "same examples"),
        (compared(0.75, 0.70, [(0.7, 0.66, 500)]), CHAMPION, AUTO, Outcome.ALLOW, "same examples"),
        (version(2, 0.8, state="blocked", state_why="wrong"), CHAMPION, AUTO, Outcome.REFUSE, "m@2 is blocked: wrong"),
        (version(2, 0.8, state="refused"), CHAMPION, AUTO, Outcome.ALLOW, "0.8"),
        (version(2, 0.8, taints=[Taint("w", "2013-01", "a", "bad", NOW)]), CHAMPION, AUTO, Outcome.REFUSE, "w 2013-01"),
        (version(2, 0.8, signature=sign(["other"])), CHAMPION, AUTO, Outcome.REFUSE, "takes the input other"),
        (version(1, 0.8), version(2, 0.7), AUTO, Outcome.NEEDS_PERSON, "it is of 2013-01, and m@2 of 2013-02 answers"),
    ],
)  # fmt: skip
def test_the_policy_decides(
    candidate: ModelVersionRow,
    champion: ModelVersionRow | None,
    policy: PromotionPolicy,
    outcome: Outcome,
    said: str,
) -> None:
    decision = decide_promotion(candidate, champion, policy)
    assert decision.outcome is outcome, decision
    assert said in decision.text


def test_a_model_must_beat_the_champion_and_not_only_what_it_was_compared_with() -> None:
    """After a rollback TFX compares with the newest model that it blessed, which is the bad one."""
    candidate = version(3, metrics=metrics_of(0.61), baseline={"version": 2, "metrics": {"auc": 0.60}})
    decision = decide_promotion(candidate, version(1, 0.80), AUTO)
    assert decision.outcome is Outcome.REFUSE
    assert "m@1 0.8000 on its own examples: a difference of -0.1900" in decision.text
    better = version(3, metrics=metrics_of(0.81), baseline={"version": 2, "metrics": {"auc": 0.60}})
    decision = decide_promotion(better, version(1, 0.80), AUTO)
    assert decision.outcome is Outcome.ALLOW
    assert "m@2 0.6000 on the same examples, m@1 0.8000 on its own examples" in decision.text


def metrics_of(auc: float) -> dict[str, Any]:
    return {"overall": {"auc": auc}, "baseline": {"auc": 0.60}, "slices": []}


def test_a_model_that_does_not_say_how_it_is_asked_needs_a_person() -> None:
    decision = decide_promotion(version(2, 0.8, signature={}), CHAMPION, AUTO)
    assert decision.outcome is Outcome.NEEDS_PERSON
    assert "m@2 does not say how it is asked" in decision.text


@pytest.mark.parametrize(
    ("kind", "old", "new", "fits"),
    [
        ("inputs", [-1], [-1], True),
        ("inputs", [-1, 21], [-1, -1], True),
        ("inputs", [-1, 1], [-1, 21], False),
        ("inputs", [-1, -1], [-1, 1], False),
        ("inputs", [-1], [-1, 1], False),
        ("inputs", None, [-1, 1], True),
        ("outputs", [-1, -1], [-1, 1], True),
        ("outputs", [-1, 1], [-1, -1], False),
    ],
)
def test_another_shape_is_another_signature(kind: str, old: Any, new: Any, fits: bool) -> None:
    def build(shape: Any) -> dict[str, Any]:
        tensors = {"inputs": {}, "outputs": {}, kind: {"t": {"dtype": "DT_FLOAT", "shape": shape}}}
        return {"serving_default": {**tensors, "method": "predict"}}

    said = explain_signature(version(1, signature=build(old)), version(2, signature=build(new)), "compatible")
    assert (said == []) is fits, said


def test_blocked_data_refuses_and_every_reason_is_told() -> None:
    candidate = version(2, 0.5, state="blocked", state_why="wrong")
    decision = decide_promotion(candidate, CHAMPION, AUTO, ["features 2013-01 is blocked"])
    assert decision.outcome is Outcome.REFUSE
    assert len(decision.reasons) == 3


@pytest.mark.parametrize(
    ("after", "compatible", "said"),
    [
        (sign(["distance", "wind"]), True, ""),
        (sign(["distance"]), True, ""),
        (sign(["distance", "wind"], ("probability", "more")), True, ""),
        (sign(["distance", "wind", "new"]), False, "takes the input new, which its clients do not send"),
        (sign(["distance", "wind"], ("score",)), False, "gives no output probability, which its clients read"),
        (sign(["distance", "wind"], method="classify"), False, "has the method classify, not predict"),
        ({}, True, ""),  # not known
        ({"other": sign(["wind"])["serving_default"]}, False, "has no signature serving_default"),
    ],
)
def test_what_clients_send_and_read_must_still_work(after: dict[str, Any], compatible: bool, said: str) -> None:
    new = version(2, signature=after)
    found = explain_signature(CHAMPION, new, "compatible")
    assert (found == []) == compatible
    assert said in "; ".join(found)
    same = after in (CHAMPION.signature, {})
    assert (explain_signature(CHAMPION, new, "same") == []) == same


def test_another_type_is_another_signature() -> None:
    after = sign(["distance", "wind"])
    after["serving_default"]["inputs"]["wind"] = {**FLOAT, "dtype": "int64"}
    assert explain_signature(CHAMPION, version(2, signature=after), "compatible") == [
        "the input wind of m@2's serving_default has another type than it had"
    ]
    assert explain_signature(CHAMPION, replace(CHAMPION), "compatible") == []


def test_what_headrace_json_says_is_the_policy() -> None:
    assert parse_policy(None) == PromotionPolicy()
    assert parse_policy({"mode": "auto", "min_gain": 0, "keep_versions": 3}) == PromotionPolicy(
        mode="auto", min_gain=0, keep_versions=3
    )


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ("auto", "write a mapping"),
        ({"mod": "auto"}, "promotion says mod; it may say mode"),
        ({"mode": "always"}, "mode is 'always': write auto or approval or manual"),
        ({"mode": True}, "mode is True"),
        ({"signature": "any"}, "same or compatible"),
        ({"min_gain": "much"}, "min_gain is 'much'"),
        ({"min_gain": True}, "min_gain is True"),
        ({"keep_versions": 0}, "1 is the least"),
        ({"keep_versions": 2.5}, "keep_versions is 2.5"),
        ({"rollback_on_quarantine": "yes"}, "rollback_on_quarantine is 'yes'"),
        ({"max_slice_drop": float("nan")}, "max_slice_drop is nan"),
        ({"metric": ""}, "metric is ''"),
    ],
)
def test_what_cannot_be_meant_is_refused_and_named(document: object, said: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        parse_policy(document)
    assert said in refused.value.message
