"""The promotion of what a pipeline pushed, as a task group; orchestration interpreter."""

from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import Param, TaskGroup

from headrace.airflow.operators.promotion import DeployOperator, PromotionApprovalOperator, PromotionDecisionOperator
from headrace.airflow.task_groups.tfx_pipeline import load_compiled
from headrace.registry.policy import APPROVAL, MANUAL, PROMOTION, parse_policy
from headrace.settings import load_settings


def Promote(  # noqa: N802 - reads as a building block in a DAG file
    pipeline: str, *, project_dir: str | Path | None = None, group_id: str = "promote", **task_kwargs: Any
) -> TaskGroup:
    """Let the version that this run pushed answer, if the policy allows it: ``TfxPipeline(…) >> Promote(…)``.

    By ``promotion`` in the pipeline's ``headrace.json``: mode ``auto`` is ``decide >> deploy``, ``approval`` (the
    default) has a person's word in Airflow between them, ``manual`` only decides.

    Args:
        pipeline: Name of its folder under ``tfx_pipelines/``.
        project_dir: See :func:`headrace.settings.load_settings`.
        group_id: Of the group.
        task_kwargs: For ``decide`` and ``deploy``: ``retries``, ``pool``, …

    Raises:
        ConfigurationError: The pipeline was not compiled.
        StaleCompileError: A file that it was compiled from has changed since; the message names it.
    """
    compiled = load_compiled(load_settings(project_dir), pipeline)
    policy = parse_policy(compiled.metadata.get(PROMOTION))
    if compiled.metadata.get("owner"):
        task_kwargs.setdefault("owner", compiled.metadata["owner"])
    with TaskGroup(group_id, tooltip=f"Promotion of {pipeline}, mode {policy.mode}") as group:
        decide = PromotionDecisionOperator(task_id="decide", model=pipeline, project_dir=project_dir, **task_kwargs)
        if policy.mode == MANUAL:
            return group
        approve = None
        if policy.mode == APPROVAL:
            said = f"ti.xcom_pull(task_ids='{decide.task_id}')"
            approve = PromotionApprovalOperator(
                task_id="approve",
                model=pipeline,
                decide_task_id=decide.task_id,
                subject=f"{{{{ {said}['subject'] }}}}",
                body=f"{{{{ {said}['body'] }}}}",
                params={"reason": Param("", type="string", description="Why; it stays on the record with your name.")},
                response_timeout=timedelta(hours=policy.timeout_hours),
                **({"owner": task_kwargs["owner"]} if "owner" in task_kwargs else {}),
            )
        deploy = DeployOperator(
            task_id="deploy",
            model=pipeline,
            decide_task_id=decide.task_id,
            approve_task_id=None if approve is None else approve.task_id,
            project_dir=project_dir,
            **task_kwargs,
        )
        if approve is None:
            decide >> deploy
        else:
            decide >> approve >> deploy
    return group
