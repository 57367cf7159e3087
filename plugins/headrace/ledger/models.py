"""Writing model versions, aliases and deployments; orchestration interpreter.

Each takes the caller's write transaction: what belongs together is decided together.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update

from headrace.contracts.json_safe import make_json_safe, make_name_safe, make_text_safe
from headrace.exceptions import RegistryError
from headrace.ledger.query_models import load_generation, load_version
from headrace.ledger.schema import deployment, model_alias, model_version, trained_model, trained_on
from headrace.ledger.statements import upsert_rows
from headrace.ledger.verdicts import load_current
from headrace.ledger.views_models import ModelVersionRow, VersionFacts

_ALL = 2**31
DECIDES_WHAT_ANSWERS = ("promote", "rollback", "undo")


def find_registered(connection: Connection, facts: VersionFacts, digest: str) -> ModelVersionRow | None:
    """Return the version that a run registered with this content, if it did."""
    query = (
        select(model_version.c.number)
        .join(trained_model, trained_model.c.id == model_version.c.trained_model_id)
        .where(
            model_version.c.model == make_name_safe(facts.model),
            model_version.c.digest == digest,
            trained_model.c.dag_id == make_name_safe(facts.dag_id, 250),
            trained_model.c.run_id == make_name_safe(facts.run_id, 250),
        )
    )
    number = connection.scalar(query)
    return None if number is None else load_version(connection, facts.model, int(number))


def add_version(connection: Connection, facts: VersionFacts, digest: str, now: datetime) -> ModelVersionRow:
    """Give a pushed model its number, with what is known of it and the verdicts now on what it was trained on.

    Raises:
        RegistryError: The ledger does not know the run that trained it.
    """
    model = make_name_safe(facts.model)
    trained_id = connection.scalar(
        select(trained_model.c.id).where(
            trained_model.c.pipeline == model,
            trained_model.c.dag_id == make_name_safe(facts.dag_id, 250),
            trained_model.c.run_id == make_name_safe(facts.run_id, 250),
        )
    )
    if trained_id is None:
        raise RegistryError(f"{model} cannot be registered: the ledger has no training run {facts.run_id}.")
    highest = connection.scalar(select(func.max(model_version.c.number)).where(model_version.c.model == model))
    row = {
        "model": model,
        "number": int(highest or 0) + 1,
        "trained_model_id": trained_id,
        "digest": digest,
        "state": "candidate",
        "ir": facts.ir,
        "commit": facts.commit,
        "dirty": facts.dirty,
        "lock": facts.lock,
        "code": dict(facts.code),
        "signature": make_json_safe(facts.signature, items=_ALL),
        "features": list(facts.features),
        "schema_digest": facts.schema_digest,
        "metrics": make_json_safe(facts.metrics, items=_ALL),
        "verdicts": _load_verdicts(connection, int(trained_id)),
        "baseline": None if facts.baseline is None else make_json_safe(facts.baseline, items=_ALL),
        "pushed_version": make_name_safe(facts.pushed_version, 50),
        "at": now,
    }
    connection.execute(insert(model_version), row)
    return load_version(connection, facts.model, int(row["number"]))


def _load_verdicts(connection: Connection, trained_id: int) -> list[dict[str, Any]]:
    c = trained_on.c
    query = select(c.dataset, c.partition_key, c.fingerprint).where(c.model_id == trained_id)
    rows = connection.execute(query.order_by(c.dataset, c.partition_key)).all()
    current = load_current(
        connection, sorted({row.dataset for row in rows}), sorted({row.partition_key for row in rows})
    )
    return [
        {
            "dataset": row.dataset,
            "partition_key": row.partition_key,
            "fingerprint": row.fingerprint,
            "verdict": found.decision if (found := current.get((row.dataset, row.partition_key))) else None,
        }
        for row in rows
    ]


def link_version(connection: Connection, version: ModelVersionRow, data_version_id: int) -> None:
    """Say under which data version lineage knows a version."""
    of = model_version.c.id == version.id
    connection.execute(update(model_version).where(of).values(version_id=data_version_id))


def set_state(connection: Connection, version: ModelVersionRow, state: str, why: str | None) -> None:
    """Say what may become of a version, and why."""
    values = {"state": state, "state_why": None if why is None else make_text_safe(why)}
    connection.execute(update(model_version).where(model_version.c.id == version.id).values(values))


def set_alias(
    connection: Connection, alias: str, version: ModelVersionRow, actor: str, reason: str, now: datetime
) -> None:
    """Let an alias answer with a version from now on."""
    row = {
        "model": version.model, "alias": alias, "model_version_id": version.id, "at": now,
        "actor": make_name_safe(actor), "reason": make_text_safe(reason),
    }  # fmt: skip
    upsert_rows(connection, model_alias, [row], ("model", "alias"))


def drop_alias(connection: Connection, model: str, alias: str) -> None:
    """Let nothing answer to an alias."""
    of = (model_alias.c.model == make_name_safe(model)) & (model_alias.c.alias == alias)
    connection.execute(delete(model_alias).where(of))


def add_deployment(
    connection: Connection,
    action: str,
    version: ModelVersionRow,
    since: ModelVersionRow | None,
    actor: str,
    reason: str,
    now: datetime,
    *,
    state: str = "pending",
    approval: Mapping[str, Any] | None = None,
    incident_id: int | None = None,
) -> int:
    """Write a decision, of the next generation; one of what answers supersedes what was still pending.

    Returns:
        Its generation.
    """
    if action in DECIDES_WHAT_ANSWERS:
        of_model = deployment.c.model == version.model
        pending = update(deployment).where(of_model, deployment.c.state == "pending")
        connection.execute(pending.values(state="superseded"))
    generation = load_generation(connection, version.model) + 1
    connection.execute(
        insert(deployment),
        {
            "model": version.model,
            "generation": generation,
            "action": action,
            "model_version_id": version.id,
            "from_version_id": None if since is None else since.id,
            "actor": make_name_safe(actor),
            "reason": make_text_safe(reason),
            "approval": None if approval is None else make_json_safe(approval),
            "incident_id": incident_id,
            "state": state,
            "at": now,
            "live_at": now if state == "live" else None,
        },
    )
    return generation


def end_deployment(
    connection: Connection, model: str, generation: int, state: str, now: datetime, why: str | None = None
) -> bool:
    """End a deployment that is pending; False where another decision, or another process, ended it already."""
    of = (deployment.c.model == make_name_safe(model)) & (deployment.c.generation == generation)
    values = {"state": state, "why": why, "live_at": now if state == "live" else None}
    changed = connection.execute(update(deployment).where(of, deployment.c.state == "pending").values(values))
    return bool(changed.rowcount)
