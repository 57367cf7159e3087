"""Promotion as tasks: what the policy says of the version that this run pushed, a person's word, and the deployment;
orchestration interpreter."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowSkipException

from headrace.airflow.base import HeadraceOperator
from headrace.airflow.errors import as_airflow_errors
from headrace.airflow.ledger import open_task_ledger
from headrace.exceptions import PromotionRefusedError
from headrace.registry.policy import APPROVAL, Outcome
from headrace.settings import Settings, load_settings

if TYPE_CHECKING:
    from headrace.ledger.database import Ledger
    from headrace.ledger.views_models import ModelVersionRow
    from headrace.registry.policy import Decision

POLICY = "policy"
"""Who promotes where the policy alone decides."""


class PromotionDecisionOperator(HeadraceOperator):
    """Decide by the pipeline's policy whether the version that this run pushed may become the champion.

    A version that the policy refuses fails the task, with every reason; one that it leaves to a person's command skips
    what follows. Where a person is to approve in Airflow, it becomes the challenger, so that it can be asked before.

    Args:
        model: Name of the pipeline.
    """

    needs_partition = False
    ui_color = "#d6eaf8"

    def __init__(self, *, model: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model = model

    def run_partition(self, settings: Settings, context: Context) -> dict[str, Any]:
        from headrace.registry.deploy import set_challenger
        from headrace.registry.deployment_files import load_policy

        policy = load_policy(settings, self.model)
        with open_task_ledger() as ledger:
            version = _load_version_of_run(ledger, self.model, context)
            decision, champion = decide_now(ledger, settings, version)
            self.log.info("%s: %s (%s)", version.name, decision.outcome.value, decision.text)
            if decision.outcome is Outcome.REFUSE:
                _refuse(ledger, version, f"the policy: {decision.text}")
                raise PromotionRefusedError(
                    f"{version.name} is not promoted: {decision.text}. If it is to answer all the same: headrace "
                    f"models promote {version.name} --reason …"
                )
            if policy.mode != APPROVAL and decision.outcome is Outcome.NEEDS_PERSON:
                raise AirflowSkipException(
                    f"{version.name} is left to a person: {decision.text}. headrace models promote {version.name} "
                    f"--reason …"
                )
            if decision.outcome is Outcome.NEEDS_PERSON and version.number != champion:
                reason = "waits for approval"
                set_challenger(ledger, load_settings(), self.model, version.number, POLICY, reason)
        return {
            "model": self.model,
            "number": version.number,
            "champion": champion,
            "reasons": list(decision.reasons),
            "subject": f"Promote {version.name}?",
            "body": describe_candidate(version, champion, decision.reasons),
        }


class PromotionApprovalOperator(ApprovalOperator):
    """Wait for a person's word on a promotion, in Airflow; a refusal is recorded with the version.

    Args:
        model: Name of the pipeline.
        decide_task_id: Whose XCom names the version.
    """

    def __init__(self, *, model: str, decide_task_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model = model
        self.decide_task_id = decide_task_id

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        if self.REJECT in (event.get("chosen_options") or ()):
            decided = context["ti"].xcom_pull(task_ids=self.decide_task_id)
            reason = (event.get("params_input") or {}).get("reason") or "no reason was given"
            with as_airflow_errors(), open_task_ledger() as ledger:
                from headrace.ledger.query_models import load_version

                version = load_version(ledger, self.model, int(decided["number"]))
                _refuse(ledger, version, f"rejected by {name_responder(event)}: {reason}")
        return super().execute_complete(context, event)


class DeployOperator(HeadraceOperator):
    """Let the version answer that was decided on, and wait until every server answers with it.

    The policy decides once more: the champion may be another by now, or data may have been quarantined since.

    Args:
        model: Name of the pipeline.
        decide_task_id: Whose XCom names the version.
        approve_task_id: Whose XCom names who approved; None where the policy alone decides.
    """

    needs_partition = False
    ui_color = "#d6eaf8"

    def __init__(self, *, model: str, decide_task_id: str, approve_task_id: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model = model
        self.decide_task_id = decide_task_id
        self.approve_task_id = approve_task_id

    def run_partition(self, settings: Settings, context: Context) -> dict[str, Any]:
        from headrace.ledger.query_models import load_version
        from headrace.registry.deploy import promote

        decided = context["ti"].xcom_pull(task_ids=self.decide_task_id)
        approval = self._load_approval(context)
        with open_task_ledger() as ledger:
            version = load_version(ledger, self.model, int(decided["number"]))
            decision, champion = decide_now(ledger, settings, version)
            if decision.outcome is Outcome.REFUSE:
                raise PromotionRefusedError(f"{version.name} is not promoted: {decision.text}")
            if decision.outcome is Outcome.NEEDS_PERSON and approval is None:
                raise AirflowSkipException(f"{version.name} is left to a person by now: {decision.text}")
            done = promote(
                ledger,
                load_settings(),
                self.model,
                version.number,
                approval["by"] if approval else POLICY,
                (approval or {}).get("reason") or decision.text,
                approval=approval,
                expected_champion=champion,
            )
        row = done.deployment
        self.log.info("%s answers, generation %d, %s", version.name, row.generation, row.state)
        for state in done.servers:
            self.log.info("%s answers with version %s", state.address, state.number)
        if not done.servers:
            self.log.info("No server runs: it is what the next one that starts answers with")
        return {"model": self.model, "number": row.number, "generation": row.generation, "state": row.state}

    def _load_approval(self, context: Context) -> dict[str, Any] | None:
        if self.approve_task_id is None:
            return None
        said = context["ti"].xcom_pull(task_ids=self.approve_task_id)
        given = (said.get("params_input") or {}).get("reason") or "approved"
        return {"by": name_responder(said), "at": str(said.get("responded_at")), "reason": str(given)}


def decide_now(ledger: "Ledger", settings: Settings, version: "ModelVersionRow") -> "tuple[Decision, int | None]":
    """Decide by the policy on a version as everything stands now; with the champion that it was held against."""
    from headrace.contracts.deployment import CHAMPION
    from headrace.ledger.query_models import load_aliases, load_version
    from headrace.ledger.verdicts import list_blocking
    from headrace.registry.deployment_files import load_policy
    from headrace.registry.policy import decide_promotion

    with ledger.connect() as connection:
        number = load_aliases(connection, version.model).get(CHAMPION)
        champion = None if number is None else load_version(connection, version.model, number)
    datasets = sorted({each["dataset"] for each in version.verdicts})
    keys = sorted({each["partition_key"] for each in version.verdicts})
    blocking = [
        f"{row.dataset} {row.partition_key}, which it was trained on, is blocked".replace("  ", " ")
        for row in (list_blocking(ledger, datasets, keys) if datasets else ())
    ]
    return decide_promotion(version, champion, load_policy(settings, version.model), blocking), number


def describe_candidate(version: "ModelVersionRow", champion: int | None, reasons: Sequence[str]) -> str:
    """Describe a version for who is to approve it, in Markdown."""
    partitions = sorted({each["partition_key"] for each in version.verdicts})
    window = f"{partitions[0]} to {partitions[-1]}" if partitions else "not known"
    baseline = version.metrics.get("baseline") or {}
    lines = [
        f"{'; '.join(reasons)}.",
        "",
        f"The champion is {f'version {champion}' if champion else 'none yet'}. Trained on {window}.",
        "",
        "| metric | it | what it was compared with |",
        "|---|---|---|",
    ]
    for name, value in version.metrics.get("overall", {}).items():
        lines.append(f"| {name} | {_show(value)} | {_show(baseline.get(name))} |")
    return "\n".join(lines)


def name_responder(said: Mapping[str, Any]) -> str:
    """Return the name under which a person's answer in Airflow is recorded."""
    user = said.get("responded_by_user") or {}
    named = user if isinstance(user, Mapping) else asdict(user) if hasattr(user, "__dataclass_fields__") else {}
    return str(named.get("name") or named.get("id") or "somebody in Airflow")


def _show(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else "–" if value is None else str(value)


def _refuse(ledger: "Ledger", version: "ModelVersionRow", why: str) -> None:
    """Keep a refusal with its version, unless it answers meanwhile or is blocked."""
    from headrace.ledger.models import set_state
    from headrace.ledger.query_models import load_version
    from headrace.ledger.views_models import CANDIDATE, REFUSED

    with ledger.begin() as connection:
        now = load_version(connection, version.model, version.number)
        if now.state in (CANDIDATE, REFUSED) and "champion" not in now.aliases:
            set_state(connection, now, REFUSED, why)


def _load_version_of_run(ledger: "Ledger", model: str, context: Context) -> "ModelVersionRow":
    from headrace.ledger.query_models import find_version_of_run

    dag_id, run_id = context["ti"].dag_id, str(context["run_id"])
    version = find_version_of_run(ledger, model, dag_id, run_id)
    if version is None:
        raise PromotionRefusedError(
            f"The run {run_id} of {dag_id} registered no version of {model}: its Pusher pushed nothing, or to another "
            f"system. Promote(…) belongs after TfxPipeline({model!r}) in the same DAG."
        )
    return version
