"""Says in plain words what a schema expects of a feature; TFX interpreter."""

from collections.abc import Iterator
from typing import Any

_TYPES = {"BYTES": "text", "INT": "whole numbers", "FLOAT": "numbers"}
_SHOWN = 12


def index_features(schema: Any) -> dict[str, Any]:
    """Return the features of TensorFlow Metadata's Schema by dotted path; sparse and weighted ones have no words: None.

    Args:
        schema: None where there was none.
    """
    if schema is None:
        return {}
    found = dict(_walk(schema.feature, ""))
    composed = [feature.name for feature in (*schema.sparse_feature, *schema.weighted_feature)]
    return {**dict.fromkeys(composed), **found}


def _walk(features: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    for feature in features:
        yield f"{prefix}{feature.name}", feature
        yield from _walk(feature.struct_domain.feature, f"{prefix}{feature.name}.")


def describe_feature(schema: Any, feature: Any) -> str | None:
    """Describe what the schema expects, for example ``numbers from 0 to 200 in at least 90 % of rows``.

    Args:
        schema: Of the feature.
        feature: From :func:`index_features`; None where the schema says nothing of it.
    """
    if feature is None:
        return None
    kind = schema.DESCRIPTOR.file.enum_types_by_name["FeatureType"].values_by_number[feature.type].name
    words = [_TYPES.get(kind, "values"), _describe_domain(schema, feature), _describe_presence(feature)]
    return " ".join(word for word in words if word)


def _describe_domain(schema: Any, feature: Any) -> str:
    domain = feature.WhichOneof("domain_info")
    if domain in ("int_domain", "float_domain"):
        bounds = getattr(feature, domain)
        low = f"{bounds.min:g}" if bounds.HasField("min") else None
        high = f"{bounds.max:g}" if bounds.HasField("max") else None
        if low and high:
            return f"from {low} to {high}"
        return f"of at least {low}" if low else f"of at most {high}" if high else ""
    if domain == "string_domain":
        return _one_of(feature.string_domain.value)
    if domain == "domain":
        return next((_one_of(known.value) for known in schema.string_domain if known.name == feature.domain), "")
    return ""


def _one_of(values: Any) -> str:
    shown = ", ".join(list(values)[:_SHOWN])
    return f"that is one of {shown}{', …' if len(values) > _SHOWN else ''}"


def _describe_presence(feature: Any) -> str:
    if not feature.HasField("presence") or not feature.presence.min_fraction:
        return ""
    share = feature.presence.min_fraction
    return "in every row" if share >= 1 else f"in at least {100 * share:g} % of rows"
