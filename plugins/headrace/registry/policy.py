"""Whether a version may become the champion: the policy of a pipeline's ``headrace.json``, and the decision by it;
pure; either interpreter."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from enum import Enum
from typing import TYPE_CHECKING, Any

from headrace.exceptions import ConfigurationError

if TYPE_CHECKING:
    from headrace.ledger.views_models import ModelVersionRow

PROMOTION = "promotion"
"""In ``headrace.json``, and in what is compiled from it."""
AUTO, APPROVAL, MANUAL = MODES = ("auto", "approval", "manual")
SAME, COMPATIBLE = SIGNATURES = ("same", "compatible")
COUNT = "example_count"


@dataclass(frozen=True)
class PromotionPolicy:
    """What a pipeline asks of a version before it answers.

    Attributes:
        mode: ``auto``: promoted when the policy allows it; ``approval``: a person approves in Airflow; ``manual``:
            only by a person's own command.
        metric: Name of the metric that decides; more of it is better.
        min_gain: Least difference to the model that it was compared with, in units of the metric.
        max_slice_drop: By how much the metric of a slice may be lower.
        min_slice_examples: Slices of fewer evaluated examples do not count.
        signature: ``same`` as the champion's, or ``compatible``: what its clients send and read still works.
        keep_versions: So many of the newest versions are kept, besides those that answer.
        rollback_on_quarantine: Roll back by itself when data of the champion is quarantined afterwards.
        timeout_hours: How long an approval is waited for.
    """

    mode: str = APPROVAL
    metric: str = "auc"
    min_gain: float = -0.005
    max_slice_drop: float = 0.05
    min_slice_examples: int = 200
    signature: str = COMPATIBLE
    keep_versions: int = 5
    rollback_on_quarantine: bool = True
    timeout_hours: float = 72.0


class Outcome(str, Enum):
    """What the policy says."""

    ALLOW = "allow"
    NEEDS_PERSON = "needs a person"
    REFUSE = "refuse"


@dataclass(frozen=True)
class Decision:
    """What the policy says of a version, and why, in sentences."""

    outcome: Outcome
    reasons: Sequence[str] = field(default_factory=tuple)

    @property
    def text(self) -> str:
        return "; ".join(self.reasons)


def parse_policy(document: object) -> PromotionPolicy:
    """Parse what ``headrace.json`` says under ``promotion``; nothing is the default.

    Raises:
        ConfigurationError: It says something unknown, or a value that cannot be meant; the message says which.
    """
    if document is None:
        return PromotionPolicy()
    if not isinstance(document, Mapping):
        raise ConfigurationError(f'promotion is {document!r}: write a mapping, for example {{"mode": "auto"}}')
    known = {each.name: each.default for each in fields(PromotionPolicy)}
    if unknown := sorted(str(name) for name in document if name not in known):
        raise ConfigurationError(f"promotion says {', '.join(unknown)}; it may say {', '.join(known)}")
    for name, value in document.items():
        default = known[name]
        right = (
            isinstance(value, bool) if isinstance(default, bool)
            else isinstance(value, str) and bool(value) if isinstance(default, str)
            else isinstance(value, int) and not isinstance(value, bool) if isinstance(default, int)
            else isinstance(value, (int, float)) and not isinstance(value, bool)
        )  # fmt: skip
        if not right:
            raise ConfigurationError(f"promotion's {name} is {value!r}: write one like {default!r}")
    policy = PromotionPolicy(**document)
    for name, choices in (("mode", MODES), ("signature", SIGNATURES)):
        if getattr(policy, name) not in choices:
            raise ConfigurationError(f"promotion's {name} is {getattr(policy, name)!r}: write {' or '.join(choices)}")
    for name, least in (("keep_versions", 1), ("min_slice_examples", 0), ("max_slice_drop", 0), ("timeout_hours", 0)):
        if not getattr(policy, name) >= least:
            raise ConfigurationError(f"promotion's {name} is {getattr(policy, name)!r}: {least} is the least")
    return policy


def decide_promotion(
    candidate: "ModelVersionRow",
    champion: "ModelVersionRow | None",
    policy: PromotionPolicy,
    blocking: Sequence[str] = (),
) -> Decision:
    """Decide whether a version may become the champion.

    Args:
        candidate: The version.
        champion: Which answers now; None for a first version.
        policy: The pipeline's.
        blocking: Sentences on the partitions that it was trained on, and that a verdict blocks now.

    Returns:
        ``REFUSE`` with every reason; ``NEEDS_PERSON`` where the mode asks for one, a metric is not there, or an older
        partition than the champion's would answer.
    """
    refused = _refuse_unusable(candidate) + list(blocking)
    if champion is not None and champion.number != candidate.number:
        refused += explain_signature(champion, candidate, policy.signature)
    worse, compared = _compare_metrics(candidate, champion, policy)
    refused += worse
    if refused:
        return Decision(Outcome.REFUSE, tuple(refused))
    doubts = [] if compared else [f"{candidate.name} or what answers has no {policy.metric} to compare"]
    if champion is not None and champion.signature and not candidate.signature:
        doubts.append(f"{candidate.name} does not say how it is asked, and {champion.name} does")
    if champion is not None and candidate.partition_key < champion.partition_key:
        doubts.append(f"it is of {candidate.partition_key}, and {champion.name} of {champion.partition_key} answers")
    if policy.mode == AUTO and compared and not doubts:
        return Decision(Outcome.ALLOW, (compared,))
    told = [compared] if compared else []
    return Decision(Outcome.NEEDS_PERSON, (*told, *doubts, f"the policy's mode is {policy.mode}"))


def _refuse_unusable(version: "ModelVersionRow") -> list[str]:
    said = []
    if version.state in ("blocked", "deleted"):  # what was refused before is judged anew
        said.append(f"{version.name} is {version.state}{f': {version.state_why}' if version.state_why else ''}")
    for taint in version.taints:
        said.append(f"{version.name} was trained on {taint.dataset} {taint.partition_key}, quarantined: {taint.reason}")
    return said


def _compare_metrics(
    candidate: "ModelVersionRow", champion: "ModelVersionRow | None", policy: PromotionPolicy
) -> tuple[list[str], str | None]:
    """Return what is worse than it may be, and a sentence on the comparison; None where nothing can be compared.

    The model that the Evaluator compared with was measured on the same examples, and is the fairer measure. Where it is
    not the champion, as after a rollback, or there is none, the champion's own evaluation counts too.
    """
    metric = policy.metric
    value = candidate.metrics.get("overall", {}).get(metric)
    if value is None:
        return [], None
    if champion is None or champion.number == candidate.number:
        return [], f"{candidate.name} has {metric} {value:.4f}; no other version answers"
    baseline = candidate.metrics.get("baseline") or {}
    number = (candidate.baseline or {}).get("version")
    others = []
    if baseline.get(metric) is not None:
        who = f"{candidate.model}@{number}" if number else "its baseline"
        others.append((who, baseline[metric], "on the same examples"))
    if number != champion.number or not others:
        own = champion.metrics.get("overall", {}).get(metric)
        if own is None:
            return [], None
        others.append((champion.name, own, "on its own examples"))
    said, worse = [], []
    for who, other, where in others:
        said.append(f"{who} {other:.4f} {where}")
        if value - other < policy.min_gain:
            worse.append(
                f"{candidate.name} has {metric} {value:.4f}, {said[-1]}: a difference of {value - other:+.4f}, where "
                f"{policy.min_gain:+g} is the least"
            )
    told = f"{candidate.name} has {metric} {value:.4f}, {', '.join(said)}"
    for each in candidate.metrics.get("slices", ()):
        had, has = (each.get("baseline") or {}).get(metric), each.get("metrics", {}).get(metric)
        examples = each.get("metrics", {}).get(COUNT)
        if had is None or has is None or (examples is not None and examples < policy.min_slice_examples):
            continue
        if had - has > policy.max_slice_drop:
            name = ", ".join(f"{key} {value}" for key, value in each["slice"].items())
            worse.append(
                f"{metric} of {name} fell from {had:.4f} to {has:.4f}, and {policy.max_slice_drop:g} is the most"
            )
    return worse, told


def explain_signature(old: "ModelVersionRow", new: "ModelVersionRow", rule: str) -> list[str]:
    """Say what of a new version's signatures breaks the old one's clients; nothing where they are not known.

    ``compatible``: each signature is still there with the same method, takes no input that is not sent now, of no
    other type, and gives every output that is read now.
    """
    if not old.signature or not new.signature:
        return []
    if rule == SAME:
        return [] if old.signature == new.signature else [f"{new.name} has another signature than {old.name}"]
    said = []
    for name, before in old.signature.items():
        after = new.signature.get(name)
        if after is None:
            said.append(f"{new.name} has no signature {name}, which {old.name} has")
            continue
        if before.get("method") != after.get("method"):
            said.append(f"{new.name}'s {name} has the method {after.get('method')}, not {before.get('method')}")
        said += _explain_tensors(new.name, name, "input", after.get("inputs", {}), before.get("inputs", {}))
        said += _explain_tensors(new.name, name, "output", before.get("outputs", {}), after.get("outputs", {}))
    return said


def _explain_tensors(
    who: str, signature: str, kind: str, wanted: Mapping[str, Any], there: Mapping[str, Any]
) -> list[str]:
    """Say which of the wanted tensors are not there, or of another type."""
    said = []
    for name, tensor in wanted.items():
        if name not in there:
            lacks = "takes the input" if kind == "input" else "gives no output"
            known = ", which its clients do not send" if kind == "input" else ", which its clients read"
            said.append(f"{who}'s {signature} {lacks} {name}{known}")
        elif there[name].get("dtype") != tensor.get("dtype"):
            said.append(f"the {kind} {name} of {who}'s {signature} has another type than it had")
        elif not _fits(tensor.get("shape"), there[name].get("shape")):
            said.append(f"the {kind} {name} of {who}'s {signature} has another shape than it had")
    return said


def _fits(wanted: Sequence[int] | None, there: Sequence[int] | None) -> bool:
    """Whether a shape is one of those that are wanted; -1 is any size, and an unknown rank is not held against it."""
    if wanted is None or there is None:
        return True
    return len(wanted) == len(there) and all(size in (-1, have) for size, have in zip(wanted, there, strict=True))
