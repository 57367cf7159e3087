"""Prints what is reported of infra blessings by case; TFX interpreter."""
# ruff: noqa: T201 - what it prints is its answer

import json

from tfx.types import standard_artifacts

from headrace.tfx_worker.report_infra import report_infra_blessing


def report(blessed, reason=None):
    blessing = standard_artifacts.InfraBlessing()
    blessing.set_int_custom_property("blessed", blessed)
    if reason is not None:
        blessing.set_string_custom_property("reason", reason)
    return [result.to_json() for result in report_infra_blessing(blessing, "2013-02")]


print(
    json.dumps(
        {
            "blessed": report(1, ""),
            "refused": report(0, "The model has no signature serving_default; it has none."),
            "refused by TFX's InfraValidator": report(0),
        }
    )
)
