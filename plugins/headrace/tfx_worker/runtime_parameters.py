"""The runtime parameters of a pipeline: which there are, and their values in one run; TFX interpreter."""

from collections.abc import Mapping
from typing import Any

from headrace.contracts.files import ContractError

RUN_ID_PARAMETER = "pipeline-run-id"
_TFX_OWN = (RUN_ID_PARAMETER, "pipeline-root")
_TYPES = {"INT": int, "DOUBLE": float, "STRING": str}


def find_runtime_parameters(message: Any) -> dict[str, Any]:
    """Find the ``RuntimeParameter`` messages within an IR message, by name; TFX's own two are left out."""
    found: dict[str, Any] = {}
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        if field.message_type.GetOptions().map_entry:
            children = [child for child in value.values() if hasattr(child, "ListFields")]
        else:
            children = list(value) if field.label == field.LABEL_REPEATED else [value]
        for child in children:
            if child.DESCRIPTOR.name != "RuntimeParameter":
                found.update(find_runtime_parameters(child))
            elif child.name not in _TFX_OWN:
                found[child.name] = child
    return dict(sorted(found.items()))


def default_of(parameter: Any) -> Any:
    """Return a runtime parameter's default; None where it has none."""
    kind = parameter.default_value.WhichOneof("value")
    return getattr(parameter.default_value, kind) if kind else None


def choose_values(pipeline: str, declared: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Choose the value of each runtime parameter: what was given (None: nothing), else its default.

    A value is turned into the declared type, so that ``"6"`` from a template becomes 6.

    Raises:
        ContractError: A parameter is unknown, has no value, or its value is not of the declared type.
    """
    if unknown := sorted(set(given) - set(declared)):
        raise ContractError(
            f"pipeline {pipeline} has no runtime parameter {', '.join(unknown)}; it has {', '.join(declared) or 'none'}"
        )
    chosen: dict[str, Any] = {}
    for name, parameter in declared.items():
        value = given.get(name)
        value = default_of(parameter) if value is None else value
        if value is None:
            raise ContractError(f"pipeline {pipeline} needs a value of its runtime parameter {name!r}")
        kind = _TYPES[parameter.Type.Name(parameter.type)]
        try:
            chosen[name] = kind(value)
        except (TypeError, ValueError):
            raise ContractError(
                f"runtime parameter {name!r} of pipeline {pipeline} is {value!r}, not {kind.__name__}"
            ) from None
    return chosen
