"""From the nodes that dbt ends to the tasks that stand for them; pure, orchestration interpreter."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any

from headrace.contracts.check_result import CheckResult, Severity, Status
from headrace.dbt.invocation import NodeEnd
from headrace.dbt.manifest import DbtManifest
from headrace.dbt.run_results import SKIPPED_STATUS, WARNED_STATUS, judge_node

MOST_LINES = 400


@dataclass(frozen=True)
class TaskEnd:
    """How a task ends that stands for nodes of dbt.

    Attributes:
        task_id: Airflow's id.
        failed: Else it succeeded; a warning is a success.
        message: Of a failure, what is wrong.
        started: When dbt began with the first of its nodes, as ISO 8601.
        ended: When dbt ended the last of them.
        lines: Level and text of what is to be read in its log.
    """

    task_id: str
    failed: bool
    message: str
    started: str
    ended: str
    lines: tuple[tuple[str, str], ...]

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "lines": [list(line) for line in self.lines]}


class TaskEnds:
    """Gathers the ends of nodes until a task's are complete.

    Args:
        tasks: Task to the ids of the nodes that it stands for, each in the order of dbt's graph.
        upstream: Task to the tasks that it follows.
        manifest: Of the project.
        partition_key: What is being built.
    """

    def __init__(
        self,
        tasks: Mapping[str, Collection[str]],
        upstream: Mapping[str, Collection[str]],
        manifest: DbtManifest,
        partition_key: str | None,
    ) -> None:
        self.upstream = upstream
        self.manifest = manifest
        self.partition_key = partition_key
        self.ended: dict[str, TaskEnd] = {}
        self._waiting = {task_id: set(nodes) for task_id, nodes in tasks.items()}
        self._task_of = {node: task_id for task_id, nodes in tasks.items() for node in nodes}
        self._ends: dict[str, list[NodeEnd]] = {task_id: [] for task_id in tasks}

    def add(self, end: NodeEnd) -> TaskEnd | None:
        """Add a node; returns its task's end, where that is now known.

        What was skipped ends no task; nor does a failure on which dbt goes on, which a person may have waived.
        """
        task_id = self._task_of.get(end.unique_id)
        if task_id is None or task_id in self.ended:
            return None
        self._ends[task_id].append(end)
        self._waiting[task_id].discard(end.unique_id)
        if self._waiting[task_id] or self._skipped(task_id) or self._may_be_waived(task_id):
            return None
        return self._close(task_id)

    def finish(self, ran: Collection[str], waived: Mapping[str, str]) -> list[TaskEnd]:
        """End the tasks that are still open, now that dbt has ended.

        Left open are those that follow a task that failed or is left open itself: Airflow knows what to do with them.

        Args:
            ran: Ids of all nodes that dbt was to run. Of a test that is not among them, dbt's own selection said so.
            waived: Ids of tests that a person waived, with why: left out of the run, or a failure that counts not.
        """
        closed = []
        for task_id in self._waiting:
            if task_id in self.ended:
                continue
            ends, missing = self._ends[task_id], self._waiting[task_id] & set(ran)
            follows_failure = any(
                each not in self.ended or self.ended[each].failed for each in self.upstream.get(task_id, ())
            )
            if missing or (not ends and not self._only_left_out(task_id, ran)):
                continue  # dbt was to run it and did not tell of it: nobody may take that for a success
            if self._skipped(task_id):
                if follows_failure:
                    continue
                closed.append(self._close(task_id, failed_by="dbt skipped it, because something before it failed"))
            elif not (follows_failure and not ends):
                closed.append(self._close(task_id, notes=self._explain_missing(task_id, waived), waived=waived))
        return closed

    def list_unexplained(self, failures: Mapping[str, str]) -> list[str]:
        """Return which failed nodes no failed task stands for.

        Args:
            failures: Ids of nodes that failed, with what is wrong.
        """
        return [
            message
            for unique_id, message in failures.items()
            if (end := self.ended.get(self._task_of.get(unique_id, ""))) is None or not end.failed
        ]

    def list_not_green(self, task_ids: Collection[str]) -> dict[str, str]:
        """Return which of some tasks did not succeed, and why."""
        ends = {task_id: self.ended.get(task_id) for task_id in sorted(task_ids)}
        return {
            task_id: end.message if end else "dbt skipped it"
            for task_id, end in ends.items()
            if end is None or end.failed
        }

    def list_open(self) -> list[str]:
        """Return the tasks without an end that follow no failed or open task: nothing says what became of them."""
        return [
            task_id
            for task_id in self._waiting
            if task_id not in self.ended
            and all(each in self.ended and not self.ended[each].failed for each in self.upstream.get(task_id, ()))
        ]

    def _skipped(self, task_id: str) -> bool:
        return any(end.status == SKIPPED_STATUS for end in self._ends[task_id])

    def _only_left_out(self, task_id: str, ran: Collection[str]) -> bool:
        """Whether a task stands for tests only, none of which dbt was to run."""
        nodes = self._waiting[task_id]
        return all(node not in ran and node.startswith("test.") for node in nodes)

    def _explain_missing(self, task_id: str, waived: Mapping[str, str]) -> list[tuple[str, str]]:
        return [
            ("warning", f"{node} was not run: {waived.get(node) or 'the selection of this task group leaves it out'}")
            for node in sorted(self._waiting[task_id])
        ]

    def _may_be_waived(self, task_id: str) -> bool:
        """Whether only its user calls a failure critical: the ledger then knows whether it counts, at the end."""
        return any(end.status == WARNED_STATUS and self._judge(end)[1] for end in self._ends[task_id])

    def _judge(self, end: NodeEnd) -> tuple[CheckResult, bool]:
        """Return what a node came to, and whether that is a failure."""
        check = judge_node(self.manifest, self.partition_key, end.unique_id, end.status, end.message, end.failures)
        return check, not check.passed and (check.status is Status.ERROR or check.severity is Severity.CRITICAL)

    def _close(
        self,
        task_id: str,
        failed_by: str = "",
        notes: Sequence[tuple[str, str]] = (),
        waived: Mapping[str, str] = MappingProxyType({}),
    ) -> TaskEnd:
        ends = self._ends[task_id]
        lines, problems = list(notes), [failed_by] if failed_by else []
        for end in ends:
            check, failed = self._judge(end)
            failed = failed and end.unique_id not in waived
            lines += [*end.lines, ("error" if failed else "info" if check.passed else "warning", check.message)]
            problems += [check.message] if failed and end.status != SKIPPED_STATUS else []
        self.ended[task_id] = TaskEnd(
            task_id=task_id,
            failed=bool(problems),
            message="; ".join(problems),
            started=min((end.started for end in ends if end.started), default=""),
            ended=max((end.ended for end in ends if end.ended), default=""),
            lines=tuple(lines[-MOST_LINES:]),
        )
        return self.ended[task_id]
