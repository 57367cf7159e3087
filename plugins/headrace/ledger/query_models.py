"""Reading model versions, aliases and deployments; orchestration interpreter."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, func, select

from headrace.contracts.json_safe import make_name_safe
from headrace.exceptions import UnknownModelError, UnknownVersionError
from headrace.ledger.database import Ledger
from headrace.ledger.schema import deployment, model_alias, model_taint, model_version, trained_model, trained_on
from headrace.ledger.statements import chunk, read_on
from headrace.ledger.views_models import DELETED, DeploymentRow, ModelRow, ModelVersionRow, Taint

MOST = 1_000
_FIELDS = (
    "id", "model", "number", "digest", "state", "state_why", "pushed_version", "at", "metrics", "baseline", "verdicts",
    "signature", "features", "ir", "commit", "dirty", "lock", "code", "schema_digest",
)  # fmt: skip


def list_models(ledger: Ledger | Connection) -> list[ModelRow]:
    """List every model that has a version, by name."""
    v = model_version.c
    count = select(v.model, func.count().label("versions"), func.max(v.number).label("newest")).group_by(v.model)
    dags = select(v.model, trained_model.c.dag_id).join(trained_model, trained_model.c.id == v.trained_model_id)
    newest = select(deployment.c.model, func.max(deployment.c.generation)).group_by(deployment.c.model)
    with read_on(ledger) as connection:
        counted = connection.execute(count.order_by(v.model)).all()
        of_dags = connection.execute(dags.distinct()).all()
        generations = {str(row[0]): int(row[1]) for row in connection.execute(newest)}
        aliases = {str(row.model): load_aliases(connection, row.model) for row in counted}
    return [
        ModelRow(
            model=row.model, versions=row.versions, newest=row.newest, aliases=aliases[row.model],
            generation=generations.get(row.model, 0),
            dag_ids=sorted(each.dag_id for each in of_dags if each.model == row.model),
        )
        for row in counted
    ]  # fmt: skip


def load_aliases(connection: Connection, model: str) -> dict[str, int]:
    """Return the numbers under which a model's aliases answer."""
    query = select(model_alias.c.alias, model_version.c.number)
    query = query.join(model_version, model_version.c.id == model_alias.c.model_version_id)
    found = connection.execute(query.where(model_alias.c.model == make_name_safe(model)))
    return {str(row.alias): int(row.number) for row in found}


def list_versions(ledger: Ledger | Connection, model: str, *, limit: int = MOST) -> list[ModelVersionRow]:
    """List a model's versions, newest first.

    Raises:
        UnknownModelError: The registry has no such model.
    """
    with read_on(ledger) as connection:
        found = _load(connection, limit, model_version.c.model == make_name_safe(model))
        if not found:
            known = ", ".join(row.model for row in list_models(connection)) or "none yet"
            raise UnknownModelError(f"There is no model {model!r} in the registry; there is {known}.", model=model)
    return found


def load_version(ledger: Ledger | Connection, model: str, number: int) -> ModelVersionRow:
    """Load one version.

    Raises:
        UnknownModelError: The registry has no such model.
        UnknownVersionError: The model has no such version.
    """
    of = (model_version.c.model == make_name_safe(model)) & (model_version.c.number == number)
    with read_on(ledger) as connection:
        for row in _load(connection, 1, of):
            return row
        newest = list_versions(connection, model, limit=1)[0].number
    raise UnknownVersionError(f"{model} has no version {number}; its newest is {newest}.", model=model, number=number)


def find_version_of_digest(ledger: Ledger | Connection, model: str, digest: str) -> int | None:
    """Return the number of the newest version with this content."""
    of = (model_version.c.model == make_name_safe(model)) & (model_version.c.digest == digest)
    with read_on(ledger) as connection:
        found: int | None = connection.scalar(select(func.max(model_version.c.number)).where(of))
    return found


def find_version_of_run(ledger: Ledger | Connection, model: str, dag_id: str, run_id: str) -> ModelVersionRow | None:
    """Return the newest version that a run pushed; None where it pushed none."""
    t = trained_model.c
    of = (t.dag_id == make_name_safe(dag_id, 250)) & (t.run_id == make_name_safe(run_id, 250))
    with read_on(ledger) as connection:
        return next(iter(_load(connection, 1, model_version.c.model == make_name_safe(model), of)), None)


def list_deployments(ledger: Ledger | Connection, model: str, *, limit: int = 100) -> list[DeploymentRow]:
    """List what was decided about which version answers, newest first."""
    to, since = model_version.alias("to"), model_version.alias("since")
    query = (
        select(deployment, to.c.number.label("number"), since.c.number.label("from_number"))
        .outerjoin(to, to.c.id == deployment.c.model_version_id)
        .outerjoin(since, since.c.id == deployment.c.from_version_id)
        .where(deployment.c.model == make_name_safe(model))
        .order_by(deployment.c.generation.desc())
        .limit(limit)
    )
    with read_on(ledger) as connection:
        return [_build_deployment(row) for row in connection.execute(query)]


def load_pending(connection: Connection, model: str) -> DeploymentRow | None:
    """Load the decision that not every server is known to follow yet; None where there is none."""
    d = deployment.c
    of = (d.model == make_name_safe(model)) & (d.state == "pending")
    generation = connection.scalar(select(func.max(d.generation)).where(of))
    found = list_deployments(connection, model, limit=MOST) if generation is not None else []
    return next((row for row in found if row.generation == generation), None)


def load_generation(connection: Connection, model: str) -> int:
    """Return the generation of a model's newest deployment; 0 where there was none."""
    query = select(func.max(deployment.c.generation)).where(deployment.c.model == make_name_safe(model))
    return int(connection.scalar(query) or 0)


def list_blocked(connection: Connection, model: str) -> list[int]:
    """Return the numbers that must answer no more."""
    of = (model_version.c.model == make_name_safe(model)) & (model_version.c.state == "blocked")
    return list(connection.scalars(select(model_version.c.number).where(of).order_by(model_version.c.number)))


def list_once_champion(connection: Connection, model: str) -> list[int]:
    """Return the versions that have answered as champion, the last one first."""
    query = (
        select(model_version.c.number)
        .join(deployment, deployment.c.model_version_id == model_version.c.id)
        .where(
            deployment.c.model == make_name_safe(model),
            deployment.c.action.in_(["promote", "rollback"]),
            deployment.c.state.in_(["live", "pending", "superseded"]),
        )
        .order_by(deployment.c.generation.desc())
    )
    found: Sequence[int] = connection.scalars(query).all()
    return list(dict.fromkeys(found))


def _load(connection: Connection, limit: int, *conditions: Any) -> list[ModelVersionRow]:
    trained = (trained_model.c.dag_id, trained_model.c.run_id, trained_model.c.partition_key)
    query = select(*(model_version.c[name] for name in _FIELDS), *trained)
    query = query.join(trained_model, trained_model.c.id == model_version.c.trained_model_id).where(*conditions)
    rows = connection.execute(query.order_by(model_version.c.number.desc()).limit(limit)).mappings().all()
    ids = [int(row["id"]) for row in rows]
    aliases: dict[int, list[str]] = {}
    taints: dict[int, list[Taint]] = {}
    for some in chunk(ids):
        held = model_alias.c.model_version_id.in_(some)
        for alias in connection.execute(select(model_alias).where(held).order_by(model_alias.c.alias)):
            aliases.setdefault(alias.model_version_id, []).append(alias.alias)
        t = model_taint.c
        bad = select(model_taint).where(t.model_version_id.in_(some), t.ended_at.is_(None))
        for row in connection.execute(bad.order_by(t.dataset, t.partition_key)):
            taints.setdefault(row.model_version_id, []).append(_build_taint(row))
    return [
        ModelVersionRow(**row, aliases=aliases.get(row["id"], ()), taints=taints.get(row["id"], ())) for row in rows
    ]


def _build_taint(row: Row[Any]) -> Taint:
    return Taint(row.dataset, row.partition_key, row.actor, row.reason, row.at)


def _build_deployment(row: Row[Any]) -> DeploymentRow:
    return DeploymentRow(
        id=row.id, model=row.model, generation=row.generation, action=row.action, number=row.number,
        from_number=row.from_number, actor=row.actor, reason=row.reason, approval=row.approval,
        incident_id=row.incident_id, state=row.state, why=row.why, at=row.at, live_at=row.live_at,
    )  # fmt: skip


def list_dags_of_model(ledger: Ledger | Connection, model: str) -> Sequence[str]:
    """Return the DAGs whose runs pushed a version: by these Airflow says who may see and decide."""
    query = select(trained_model.c.dag_id).join(model_version, model_version.c.trained_model_id == trained_model.c.id)
    query = query.where(model_version.c.model == make_name_safe(model)).distinct().order_by(trained_model.c.dag_id)
    with read_on(ledger) as connection:
        return list(connection.scalars(query))


def list_wanted_contents(connection: Connection, since: datetime) -> set[str]:
    """Return the fingerprints of all that was trained on by a version that is kept, or by a run that has none yet.

    Args:
        connection: To the ledger.
        since: A run that ended earlier without a version has none to come.
    """
    v, t = model_version.c, trained_model.c
    query = select(t.id).outerjoin(model_version, v.trained_model_id == t.id)
    query = query.where(((v.id.is_not(None)) & (v.state != DELETED)) | (v.id.is_(None) & (t.at >= since)))
    of = trained_on.c
    found: set[str] = set()
    runs: Sequence[int] = connection.scalars(query.distinct()).all()
    for some in chunk(runs):
        read = select(of.fingerprint).where(of.model_id.in_(some), of.fingerprint.is_not(None)).distinct()
        found.update(connection.scalars(read))
    return found
