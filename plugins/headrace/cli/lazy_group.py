"""Groups of commands that are imported when one of theirs is called, so that the others start at once."""

from importlib import import_module
from typing import Any, ClassVar

import typer
from typer.core import TyperGroup


class LazyGroup(TyperGroup):
    """A group that knows of some of its groups only their module, which has an ``app``, and their help.

    Attributes:
        modules: Name of a group to its module and its help.
    """

    modules: ClassVar[dict[str, tuple[str, str]]] = {
        "incidents": ("headrace.cli.incidents", "What is wrong with the data, and what is being done about it."),
        "models": ("headrace.cli.models", "Versions of models, which of them answers, and deciding so."),
        "notifications": ("headrace.cli.notifications", "Who is told of incidents, and what could not be told."),
        "quarantine": ("headrace.cli.quarantine", "Rows that checks set aside, and putting them back; bad partitions."),
        "runtime": ("headrace.cli.runtime", "The process that has imported TFX, so that nodes start at once."),
    }

    def list_commands(self, ctx: Any) -> list[str]:
        return [*super().list_commands(ctx), *self.modules]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in self.modules:
            return super().get_command(ctx, cmd_name)
        module, help_text = self.modules[cmd_name]
        return _Unloaded(module, name=cmd_name, help=help_text)


class _Unloaded(TyperGroup):
    """Stands for a group in lists of commands, and becomes it when it is called."""

    def __init__(self, module: str, **about: Any) -> None:
        super().__init__(**about)
        self._module = module

    def make_context(self, info_name: str | None, args: list[str], *rest: Any, **more: Any) -> Any:
        command = typer.main.get_group(import_module(self._module).app)
        command.name = self.name
        return command.make_context(info_name, args, *rest, **more)
