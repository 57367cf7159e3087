"""Deciding which version of a model answers, and making it so; orchestration interpreter.

The ledger's transaction is the decision. Before it the version is placed where servers load it from; after it the files
are written that servers follow, and the servers are waited for. A process that is killed in between leaves what
:func:`headrace.registry.reconcile.reconcile`, or the same call again, ends.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection

from headrace.contracts.deployment import CHALLENGER, CHAMPION, PREVIOUS
from headrace.exceptions import DeploymentError, HeadraceError, PromotionRefusedError
from headrace.ledger import models
from headrace.ledger.audit import require_text
from headrace.ledger.database import Ledger
from headrace.ledger.query_models import (
    list_deployments,
    list_once_champion,
    list_versions,
    load_aliases,
    load_pending,
    load_version,
)
from headrace.ledger.rolled_back import end_rolled_back, record_rolled_back
from headrace.ledger.statements import tell_time
from headrace.ledger.views_models import BLOCKED, CANDIDATE, DELETED, REFUSED, DeploymentRow, ModelVersionRow
from headrace.registry.deployment_files import load_policy, place_version, write_deployment
from headrace.registry.prune import drop_version, prune_versions
from headrace.registry.servers import ServerState, wait_until_serving
from headrace.settings import Settings

log = logging.getLogger(__name__)
WAIT_SECONDS = 30.0
ANY: Literal["any"] = "any"


@dataclass(frozen=True)
class Deployed:
    """A decision that was made, and what the servers said of it; none where none runs."""

    deployment: DeploymentRow
    servers: tuple[ServerState, ...] = ()


def promote(
    ledger: Ledger,
    settings: Settings,
    model: str,
    number: int,
    actor: str,
    reason: str,
    *,
    approval: Mapping[str, Any] | None = None,
    expected_champion: int | Literal["any"] | None = ANY,
    wait: float = WAIT_SECONDS,
    now: datetime | None = None,
) -> Deployed:
    """Let a version answer as the champion; the one that did becomes ``previous``.

    Again for the champion that it is: what is left of that deployment is done, and nothing is decided anew.

    Args:
        ledger: The ledger.
        settings: Of the main project, whose registry it is.
        model: Name.
        number: Of the version.
        actor: Who decides.
        reason: Why.
        approval: Who approved, when and why, where a person did.
        expected_champion: The champion that the decision was made against; None: none. Another by now: refused.
        wait: Seconds in which every server must answer with it.
        now: The time; by default the clock's.

    Raises:
        UnknownModelError, UnknownVersionError: There is none.
        PromotionRefusedError: It is blocked, tainted or deleted, the champion is another than expected, or a server
            cannot load it: then what answered before answers again.
        DeploymentError: Not every server answered in time; the decision stands, and the same call waits again.
        RegistryError, LedgerError: Nothing was decided.
    """
    actor, reason = require_text(actor, "the actor's name", 500), require_text(reason, "the reason")
    version = load_version(ledger, model, number)
    _require_usable(version)
    place_version(settings, model, number, version.digest)
    now = tell_time(now)
    with ledger.begin() as connection:
        version = load_version(connection, model, number)
        _require_usable(version)
        aliases = load_aliases(connection, model)
        if aliases.get(CHAMPION) != number:
            _require_champion(model, aliases.get(CHAMPION), expected_champion)
            since = _load_alias(connection, model, aliases, CHAMPION)
            models.set_state(connection, version, CANDIDATE, None)
            models.set_alias(connection, CHAMPION, version, actor, reason, now)
            if since is not None:
                models.set_alias(connection, PREVIOUS, since, actor, reason, now)
            if aliases.get(CHALLENGER) == number:
                models.drop_alias(connection, model, CHALLENGER)
            models.add_deployment(connection, "promote", version, since, actor, reason, now, approval=approval)
    return finish_deployment(ledger, settings, model, wait)


def rollback(
    ledger: Ledger,
    settings: Settings,
    model: str,
    actor: str,
    reason: str,
    *,
    to: int | None = None,
    incident_id: int | None = None,
    expected_champion: int | Literal["any"] | None = ANY,
    wait: float = WAIT_SECONDS,
    now: datetime | None = None,
) -> Deployed:
    """Let an earlier version answer, block the one that did, and open or update its incident.

    Again while the last rollback is not ended, for example after a kill: that one is ended, and no other step is
    taken back.

    Args:
        ledger: The ledger.
        settings: Of the main project, whose registry it is.
        model: Name.
        actor: Who decides.
        reason: Why.
        to: The version that is to answer; by default the last champion before that may still answer.
        incident_id: The incident that it is about; None: its own is opened.
        expected_champion: The champion that is to be taken back; another by now: refused.
        wait: Seconds in which every server must answer with it.
        now: The time; by default the clock's.

    Raises:
        UnknownModelError, UnknownVersionError: There is none.
        PromotionRefusedError: Nothing answers, or there is no earlier version that may; nothing was changed.
        DeploymentError: Not every server answered in time; the decision stands, and the same call waits again.
        RegistryError, LedgerError: Nothing was decided.
    """
    actor, reason = require_text(actor, "the actor's name", 500), require_text(reason, "the reason")
    with ledger.connect() as connection:
        is_begun = _is_begun(connection, model, to, expected_champion)
        target = None if is_begun else _choose_target(connection, model, to)
    if target is not None:
        place_version(settings, model, target.number, target.digest)
        now = tell_time(now)
        with ledger.begin() as connection:
            aliases = load_aliases(connection, model)
            _require_champion(model, aliases.get(CHAMPION), expected_champion)
            target = _choose_target(connection, model, target.number)
            champion = load_version(connection, model, aliases[CHAMPION])
            models.set_alias(connection, CHAMPION, target, actor, reason, now)
            models.set_state(connection, target, CANDIDATE, None)
            if aliases.get(CHALLENGER) == target.number:
                models.drop_alias(connection, model, CHALLENGER)
            models.set_state(connection, champion, BLOCKED, f"rolled back by {actor}: {reason}")
            _set_previous(connection, model, target.number, actor, reason, now)
            incident_id = record_rolled_back(connection, champion, target, actor, reason, now, incident_id)
            models.add_deployment(
                connection, "rollback", target, champion, actor, reason, now, incident_id=incident_id
            )  # fmt: skip
    return finish_deployment(ledger, settings, model, wait)


def set_challenger(
    ledger: Ledger,
    settings: Settings,
    model: str,
    number: int,
    actor: str,
    reason: str,
    *,
    now: datetime | None = None,
) -> Deployed:
    """Let a version answer as the challenger, beside the champion.

    Raises:
        UnknownModelError, UnknownVersionError: There is none.
        PromotionRefusedError: It is the champion, or may not answer.
        RegistryError, LedgerError: Nothing was decided.
    """
    actor, reason = require_text(actor, "the actor's name", 500), require_text(reason, "the reason")
    version = load_version(ledger, model, number)
    _require_usable(version)
    place_version(settings, model, number, version.digest)
    now = tell_time(now)
    with ledger.begin() as connection:
        version = load_version(connection, model, number)
        _require_usable(version)
        aliases = load_aliases(connection, model)
        if aliases.get(CHAMPION) == number:
            raise PromotionRefusedError(f"{version.name} is the champion: it cannot be its own challenger.")
        if aliases.get(CHALLENGER) != number:
            since = _load_alias(connection, model, aliases, CHALLENGER)
            models.set_alias(connection, CHALLENGER, version, actor, reason, now)
            _note(connection, "challenger", version, since, actor, reason, now)
    write_deployment(ledger, settings, model)
    return Deployed(list_deployments(ledger, model, limit=1)[0])


def unblock(
    ledger: Ledger,
    settings: Settings,
    model: str,
    number: int,
    actor: str,
    reason: str,
    *,
    now: datetime | None = None,
) -> Deployed:
    """Let a version that was rolled back, or refused, be promoted again; it does not answer by that.

    Raises:
        UnknownModelError, UnknownVersionError: There is none.
        PromotionRefusedError: It is neither blocked nor refused.
        RegistryError, LedgerError: Nothing was decided.
    """
    actor, reason = require_text(actor, "the actor's name", 500), require_text(reason, "the reason")
    now = tell_time(now)
    with ledger.begin() as connection:
        version = load_version(connection, model, number)
        if version.state not in (BLOCKED, REFUSED):
            raise PromotionRefusedError(f"{version.name} is {version.state}: there is nothing to unblock.")
        models.set_state(connection, version, CANDIDATE, None)
        if version.state == BLOCKED:
            end_rolled_back(connection, version, actor, reason, now)
        _note(connection, "unblock", version, None, actor, reason, now)
    write_deployment(ledger, settings, model)
    return Deployed(list_deployments(ledger, model, limit=1)[0])


def remove_version(
    ledger: Ledger, settings: Settings, model: str, number: int, actor: str, reason: str, *, now: datetime | None = None
) -> None:
    """Delete a version's files; what is recorded of it stays.

    Raises:
        UnknownModelError, UnknownVersionError: There is none.
        PromotionRefusedError: It answers under an alias.
        LedgerError: Nothing was decided.
    """
    actor, reason = require_text(actor, "the actor's name", 500), require_text(reason, "the reason")
    now = tell_time(now)
    with ledger.begin() as connection:
        version = load_version(connection, model, number)
        if version.aliases:
            raise PromotionRefusedError(f"{version.name} answers as {', '.join(version.aliases)}: promote another one.")
        if version.state != DELETED:
            models.set_state(connection, version, DELETED, f"removed by {actor}: {reason}")
            _note(connection, "remove", version, None, actor, reason, now)
    drop_version(settings, model, number)
    write_deployment(ledger, settings, model)


def finish_deployment(ledger: Ledger, settings: Settings, model: str, wait: float) -> Deployed:
    """Do what is left of a model's newest deployment: write what servers read, and wait until they answer so.

    Raises:
        PromotionRefusedError: A server cannot load what was promoted; what answered before answers again.
        DeploymentError: Not every server answered in time, or one cannot load what was rolled back to.
    """
    write_deployment(ledger, settings, model)
    with ledger.connect() as connection:
        pending = load_pending(connection, model)
        newest = pending or list_deployments(connection, model, limit=1)[0]
        champion = load_aliases(connection, model).get(CHAMPION)
    if pending is None or champion is None:
        return Deployed(newest)
    states = wait_until_serving(settings, model, champion, wait)
    name = f"{model}@{champion}"
    if broken := [state for state in states if state.error]:
        said = f"{broken[0].address} cannot load {name}: {broken[0].error}"
        if newest.action == "promote":
            _undo(ledger, settings, newest, said)
            stands = f"{model}@{newest.from_number} answers as before" if newest.from_number else "nothing answers"
            raise PromotionRefusedError(f"{said}. It was refused, and {stands}.", model=model, number=champion)
        raise DeploymentError(f"{said}. Roll back to another version: headrace rollback {model} --to …", model=model)
    if late := [state for state in states if not state.ready]:
        answers = ", ".join(f"{each.address} ({each.number or 'no answer'})" for each in late)
        raise DeploymentError(
            f"{name} is the champion, but not every server answers with it after {wait:g} s: {answers}. They follow by "
            f"themselves; 'headrace models reconcile' says when they have.",
            model=model, number=champion,
        )  # fmt: skip
    with ledger.begin() as connection:
        models.end_deployment(connection, model, newest.generation, "live", tell_time(None))
    try:
        prune_versions(ledger, settings, model, load_policy(settings, model).keep_versions)
    except HeadraceError as error:  # every server follows by now: what is left over is the next one's to remove
        log.warning("Versions that are not needed any more were not all removed: %s", error.message)
    newest = next(row for row in list_deployments(ledger, model) if row.generation == newest.generation)
    return Deployed(newest, tuple(states))


def _undo(ledger: Ledger, settings: Settings, failed: DeploymentRow, why: str) -> None:
    """Take back a promotion that a server could not follow, unless something was decided since."""
    model, actor, now = failed.model, "headrace", tell_time(None)
    with ledger.begin() as connection:
        pending = load_pending(connection, model)
        if pending is None or pending.generation != failed.generation or failed.number is None:
            return  # something was decided since
        version = load_version(connection, model, failed.number)
        before = None if failed.from_number is None else load_version(connection, model, failed.from_number)
        models.end_deployment(connection, model, failed.generation, "failed", now, why)
        models.set_state(connection, version, REFUSED, why)
        if before is None:
            models.drop_alias(connection, model, CHAMPION)
            models.drop_alias(connection, model, PREVIOUS)
        else:
            models.set_alias(connection, CHAMPION, before, actor, why, now)
            _set_previous(connection, model, before.number, actor, why, now)
        models.add_deployment(connection, "undo", before or version, version, actor, why, now, state="live")
    write_deployment(ledger, settings, model)


def _note(
    connection: Connection,
    action: str,
    version: ModelVersionRow,
    since: ModelVersionRow | None,
    actor: str,
    reason: str,
    now: datetime,
) -> None:
    """Write a decision that no server is waited for; one that is waited for stays so."""
    models.add_deployment(connection, action, version, since, actor, reason, now, state="live")


def _is_begun(connection: Connection, model: str, to: int | None, expected: int | str | None) -> bool:
    """Return whether the rollback that is asked for is the one that is not ended yet, and still the right one."""
    pending = load_pending(connection, model)
    if pending is None or pending.action != "rollback" or pending.number is None:
        return False
    if to not in (None, pending.number) or expected not in (ANY, pending.from_number):
        return False
    return load_version(connection, model, pending.number).usable


def _choose_target(connection: Connection, model: str, to: int | None) -> ModelVersionRow:
    """Return the version to roll back to.

    Raises:
        PromotionRefusedError: Nothing answers, or there is none.
    """
    champion = load_aliases(connection, model).get(CHAMPION)
    if champion is None:
        list_versions(connection, model, limit=1)
        raise PromotionRefusedError(f"No version of {model} answers: there is nothing to roll back.", model=model)
    if to is not None:
        target = load_version(connection, model, to)
        if to == champion:
            raise PromotionRefusedError(f"{target.name} is the champion already.", model=model, number=to)
        _require_usable(target)
        return target
    found = _find_earlier(connection, model, champion)
    if found is None:
        raise PromotionRefusedError(
            f"{model}@{champion} cannot be rolled back: no version has answered before it that may still answer. It "
            f"goes on answering: promote another version, or stop its server.",
            model=model, number=champion,
        )  # fmt: skip
    return found


def _find_earlier(connection: Connection, model: str, than: int) -> ModelVersionRow | None:
    """Return the last champion before a version that may still answer."""
    earlier = (load_version(connection, model, number) for number in list_once_champion(connection, model))
    return next((version for version in earlier if version.number != than and version.usable), None)


def renew_previous(ledger: Ledger, settings: Settings, model: str, actor: str, reason: str) -> None:
    """Let ``previous`` be what a rollback would go to now, after data was quarantined.

    Raises:
        DeploymentError: Servers could not be told.
        LedgerError: Nothing was changed.
    """
    with ledger.begin() as connection:
        aliases = load_aliases(connection, model)
        if CHAMPION not in aliases:
            return
        _set_previous(connection, model, aliases[CHAMPION], actor, reason, tell_time(None))
        if load_aliases(connection, model) == aliases:
            return
    write_deployment(ledger, settings, model)


def _set_previous(connection: Connection, model: str, champion: int, actor: str, reason: str, now: datetime) -> None:
    """Let ``previous`` be what a rollback of the champion would go to, so that servers hold it."""
    earlier = _find_earlier(connection, model, champion)
    if earlier is None:
        models.drop_alias(connection, model, PREVIOUS)
    else:
        models.set_alias(connection, PREVIOUS, earlier, actor, reason, now)


def _load_alias(connection: Connection, model: str, aliases: Mapping[str, int], alias: str) -> ModelVersionRow | None:
    return load_version(connection, model, aliases[alias]) if alias in aliases else None


def _require_champion(model: str, champion: int | None, expected: int | str | None) -> None:
    if expected not in (ANY, champion):
        now = f"{model}@{champion}" if champion else "none"
        raise PromotionRefusedError(
            f"The champion is {now} by now, and the decision was made against "
            f"{f'{model}@{expected}' if expected else 'none'}: look again, and decide anew. Nothing was changed.",
            model=model, champion=champion,
        )  # fmt: skip


def _require_usable(version: ModelVersionRow) -> None:
    """Refuse a version that may not answer; one that the policy or a person refused may, on another's word."""
    if version.state == BLOCKED:
        raise PromotionRefusedError(
            f"{version.name} is blocked ({version.state_why}). If it is right after all: headrace models unblock "
            f"{version.name} --reason …",
            model=version.model, number=version.number,
        )  # fmt: skip
    if version.state == DELETED:
        raise PromotionRefusedError(f"{version.name} was deleted ({version.state_why}).", number=version.number)
    for taint in version.taints:
        raise PromotionRefusedError(
            f"{version.name} was trained on {taint.dataset} {taint.partition_key}, which {taint.actor} quarantined: "
            f"{taint.reason}. Waive that check if the data is right after all.",
            model=version.model, number=version.number,
        )  # fmt: skip
