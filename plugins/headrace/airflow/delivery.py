"""One notification through one notifier, as Airflow itself calls notifiers; orchestration."""

import contextlib
import inspect
from collections.abc import Mapping
from functools import partial
from importlib import import_module
from typing import Any

from airflow.sdk import BaseNotifier

from headrace.contracts.json_safe import make_text_safe
from headrace.exceptions import ConfigurationError
from headrace.notifications.content import (
    build_default_arguments,
    escape_for_slack,
    is_slack,
    sends_whole_payload,
)
from headrace.notifications.routes import Route


class _Context(dict[str, Any]):
    """What templates see; unlike in a plain one, a notifier's own fields do not hide what it is to be filled with.

    Airflow adds every template field to the context, under the field's name: ``dedup_key="{{ dedup_key }}"`` would
    be rendered as itself, and every alert be taken for one and the same.
    """

    def update(self, *fields: Any, **more: Any) -> None:
        for name, value in dict(*fields, **more).items():
            self.setdefault(name, value)

    def __copy__(self) -> "_Context":
        return _Context(self)


def deliver(route: Route, context: Mapping[str, Any]) -> None:
    """Make the route's notifier and have it notify.

    Args:
        context: From :func:`headrace.notifications.content.build_context`.

    Raises:
        ConfigurationError: The notifier cannot be made.
        Exception: Whatever the notifier raises.
    """
    notifier = build_notifier(route)
    ancestry = _ancestry(type(notifier))
    for field in notifier.template_fields:
        text = getattr(notifier, field, None)
        if "html" in field and isinstance(text, str):
            setattr(notifier, field, partial(_render_html, text))
    if sends_whole_payload(ancestry, route.arguments):
        setattr(notifier, "json", lambda context, jinja_env: _whole_payload(context))  # noqa: B010
    notifier(_Context(escape_for_slack(context) if is_slack(ancestry) else context))


def build_notifier(route: Route) -> BaseNotifier:
    """Import the route's notifier and make one.

    Raises:
        ConfigurationError: It cannot be imported, is no notifier, or does not take the route's arguments.
    """
    module, _, name = route.notifier.rpartition(".")
    try:
        notifier = getattr(import_module(module), name)
    except Exception as error:  # noqa: BLE001 - it runs a stranger's code
        raise ConfigurationError(
            f"route {route.name}: notifier: {route.notifier} cannot be imported: {_describe(error)}. "
            f"Is its provider installed beside Airflow?"
        ) from None
    if not inspect.isclass(notifier) or not issubclass(notifier, BaseNotifier):
        raise ConfigurationError(f"route {route.name}: notifier: {route.notifier} is not a class of notifiers")
    try:
        made = notifier(**build_default_arguments(_ancestry(notifier), route.arguments))
    except Exception as error:  # noqa: BLE001 - it runs a stranger's code
        raise ConfigurationError(f"route {route.name}: arguments: {_describe(error)}") from None
    return made


def preload_notifier(import_path: str) -> None:
    """Import a notifier of one of Airflow's providers ahead, so that not every delivery's process has to.

    Others are not: what hangs or dies when it is imported must do so in a delivery.
    """
    if import_path.startswith("airflow.providers."):
        # Why it cannot be imported is told by the first delivery.
        with contextlib.suppress(Exception):
            import_module(import_path.rpartition(".")[0])


def describe_error(error: BaseException) -> str:
    """Describe why a delivery failed, without the secrets of the connections that it used."""
    from airflow.sdk.log import redact  # type: ignore[attr-defined]  # Airflow's only public name for it

    return make_text_safe(redact(error.message if isinstance(error, ConfigurationError) else _describe(error)))


def _describe(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _ancestry(notifier: type) -> list[str]:
    return [ancestor.__name__ for ancestor in notifier.__mro__]


def _render_html(text: str, context: Mapping[str, Any], jinja_env: Any) -> str:
    """Render HTML with everything that comes from data escaped; Airflow's own environment escapes nothing."""
    return str(jinja_env.overlay(autoescape=True).from_string(text).render(dict(context)))


def _whole_payload(context: Mapping[str, Any]) -> dict[str, Any]:
    return {name: context[name] for name in ("change", "incident", "dedup_key", "idempotency_key")}
