"""Results, verdicts and incidents as tries of tasks are recorded, on both databases."""

from ledger_book import Book, result

from headrace.ledger.views import TaskTry


def test_a_failure_opens_an_incident_and_blocks(book: Book) -> None:
    recorded = book.record(result(), result(check="rows", status="passed"))
    assert (recorded.results, recorded.opened) == (2, (1,))
    [verdict] = recorded.verdicts
    assert (verdict.dataset, verdict.partition_key, verdict.decision, verdict.checked) == (
        "raw_weather", "2013-02", "block", 2
    )  # fmt: skip
    assert [cause["check"] for cause in verdict.causes] == ["max"]
    row = book.incident()
    assert (row.state, row.severity, row.occurrences, row.failing_partitions) == ("open", "critical", 1, 1)
    assert (row.tool, row.dag_id, row.title) == ("gx", "flights", "2013-02 raw_weather: max failed")
    assert book.told() == [(1, "opened")]
    assert book.happened() == ["opened"]


def test_one_incident_whatever_the_runs_partitions_and_tries(book: Book) -> None:
    for key in ("2013-01", "2013-02", "2013-02", "2013-03"):
        book.record(result(key=key))
    row = book.incident()
    assert (row.occurrences, row.failing_partitions) == (4, 3)
    assert {line.partition_key: line.failures for line in book.rows("incident_partition")} == {
        "2013-01": 1, "2013-02": 2, "2013-03": 1
    }  # fmt: skip
    assert book.told() == [(1, "opened")]


def test_it_is_resolved_when_every_partition_has_passed_and_re_opens(book: Book) -> None:
    book.record(result(key="2013-01"), result(key="2013-02"))
    book.record(result(key="2013-01", status="passed"))
    assert (book.incident().state, book.states()) == ("open", {"2013-01": "passed", "2013-02": "failing"})
    book.record(result(key="2013-02", status="passed"))
    row = book.incident()
    assert (row.state, row.resolution, row.resolved_by, row.failing_partitions) == ("resolved", "passed", "headrace", 0)
    recorded = book.record(result(key="2013-02"))
    assert recorded.opened == (1,)
    row = book.incident()
    assert (row.state, row.reopened, row.resolution, row.resolved_at) == ("open", 1, None, None)
    assert book.told() == [(1, "opened"), (1, "resolved"), (1, "reopened")]


def test_info_opens_nothing_and_an_error_of_it_does(book: Book) -> None:
    recorded = book.record(result(severity="info"))
    assert (recorded.opened, recorded.verdicts[0].decision) == ((), "pass")
    recorded = book.record(result(severity="info", status="error"))
    assert (recorded.opened, recorded.verdicts[0].decision) == ((1,), "block")
    assert book.incident().severity == "warning"


def test_recording_a_try_again_counts_and_tells_nothing_twice(book: Book) -> None:
    task = TaskTry("flights", "run", "gate")
    for _ in range(3):
        book.record(result(), result(check="rows", status="passed"), task=task)
    assert len(book.rows("check_result")) == 2
    assert (book.incident().occurrences, book.happened(), book.told()) == (1, ["opened"], [(1, "opened")])
    assert len(book.rows("verdict")) == 1


def test_recording_a_try_again_with_other_results_replaces_them(book: Book) -> None:
    task = TaskTry("flights", "run", "gate")
    book.record(result(), result(check="rows", status="passed"), task=task)
    recorded = book.record(result(status="passed"), result(check="rows"), task=task)
    assert recorded.opened == (2,)
    assert [(row.state, row.occurrences) for row in book.rows("incident")] == [("resolved", 0), ("open", 1)]
    assert len(book.rows("check_result")) == 2
    book.record(result(), result(check="rows"), task=task)
    assert [(row.state, row.occurrences) for row in book.rows("incident")] == [("open", 1), ("open", 1)]


def test_what_a_try_does_not_report_again_is_gone(book: Book) -> None:
    book.record(result(key="2013-01"), result(status="passed"))
    task = TaskTry("flights", "again", "gate")
    book.record(result(), result(check="rows", status="passed"), task=task)
    assert book.incident().occurrences == 2
    recorded = book.record(result(check="rows", status="passed"), task=task)
    assert [row.decision for row in recorded.verdicts] == ["pass"]  # February's check passed in the try before
    row = book.incident()
    assert (row.state, row.occurrences, row.failing_partitions) == ("open", 1, 1)
    assert book.states() == {"2013-01": "failing", "2013-02": "passed"}
    assert {line.partition_key: line.result_id for line in book.rows("incident_partition")} == {
        "2013-01": row.last_result_id, "2013-02": None
    }  # fmt: skip
    assert len(book.rows("check_result")) == 3


def test_an_incident_whose_only_failure_is_taken_back_is_resolved(book: Book) -> None:
    task = TaskTry("flights", "run", "gate")
    book.record(result(), task=task)
    recorded = book.record(task=task)
    assert recorded.results == 0
    assert book.rows("check_result") == []
    row = book.incident()
    assert (row.state, row.occurrences, row.last_result_id) == ("resolved", 0, None)
    assert book.told() == [(1, "opened"), (1, "resolved")]
    [verdict] = recorded.verdicts
    assert (verdict.decision, verdict.checked) == ("block", 0)  # nothing was checked, and no result is a failure


def test_a_late_word_of_an_earlier_try_does_not_undo_a_later_one(book: Book) -> None:
    early, late = (TaskTry("flights", "run", "gate", try_number=number) for number in (1, 2))
    book.record(result(), task=early)
    book.record(result(status="passed"), task=late)
    recorded = book.record(result(message="the same, said again"), task=early)
    assert (recorded.opened, recorded.verdicts[0].decision) == ((), "pass")
    assert (book.incident().state, book.incident().occurrences) == ("resolved", 1)


def test_two_results_of_one_check_in_one_try_count_as_the_worse(book: Book) -> None:
    recorded = book.record(result(status="passed"), result(), result(status="passed"))
    assert recorded.results == 1
    assert recorded.verdicts[0].decision == "block"


def test_escalation_is_told_and_undoes_an_acknowledgement(book: Book) -> None:
    from headrace.ledger.actions import acknowledge

    book.record(result(severity="warning"))
    acknowledge(book.ledger, 1, "anna", now=book.now)
    book.record(result(severity="warning"))
    assert (book.incident().state, book.told()) == ("acknowledged", [(1, "opened")])
    book.record(result(severity="critical"))
    assert (book.incident().state, book.incident().severity) == ("open", "critical")
    assert book.told() == [(1, "opened"), (1, "escalated")]
    book.record(result(severity="warning"))
    assert book.incident().severity == "critical"


def test_rows_that_were_set_aside_warn(book: Book) -> None:
    recorded = book.record(result(failed_rows=1, quarantined_rows=1))
    assert recorded.verdicts[0].decision == "warn"
    assert (book.incident().severity, book.states()) == ("warning", {"2013-02": "quarantined"})
    book.record(result(failed_rows=900, quarantined_rows=0))
    assert (book.incident().severity, book.states()) == ("critical", {"2013-02": "failing"})
    assert book.told() == [(1, "opened"), (1, "escalated")]


def test_a_check_that_flaps_is_told_once_and_ends_after_three_passes(book: Book) -> None:
    for _ in range(3):
        book.record(result())
        book.record(result(status="passed"))
    book.record(result())
    row = book.incident()
    assert (row.state, row.flapping, row.reopened) == ("open", True, 3)
    told = book.told()
    assert [change for _, change in told] == ["opened", "resolved"] + ["reopened", "resolved"] * 2 + ["reopened"]
    assert book.rows("notification")[-1].payload["flapping"] is True
    for _ in range(4):
        book.record(result(status="passed"))
        book.record(result(status="passed"))
        book.record(result())
    assert book.told() == told
    for _ in range(2):
        book.record(result(status="passed"))
    assert book.incident().state == "open"
    book.record(result(status="passed"))
    row = book.incident()
    assert (row.state, row.flapping) == ("resolved", False)
    assert book.told() == [*told, (1, "resolved")]


def test_a_retired_check_blocks_no_more(book: Book) -> None:
    book.record(result(check="old"), result(check="new", status="passed"))
    recorded = book.record(result(check="new", status="passed"))
    assert recorded.verdicts[0].decision == "block"
    recorded = book.record(result(check="new", status="passed"), complete=True)
    assert (recorded.verdicts[0].decision, recorded.verdicts[0].checked) == ("pass", 1)
    assert (book.incident().state, book.incident().resolution, book.states()) == (
        "resolved", "retired", {"2013-02": "retired"}
    )  # fmt: skip


def test_another_task_s_checks_are_not_retired(book: Book) -> None:
    book.record(result(check="old"), task=TaskTry("flights", "run", "other"))
    recorded = book.record(result(check="new", status="passed"), complete=True)
    assert (recorded.verdicts[0].decision, recorded.verdicts[0].checked) == ("block", 2)


def test_what_flapped_ends_though_each_partition_runs_once(book: Book) -> None:
    for month in range(1, 4):
        book.record(result(key=f"2013-0{month}"))
        book.record(result(key=f"2013-0{month}", status="passed"))
    book.record(result(key="2013-04"))
    assert book.incident().flapping
    for month in (4, 5):
        book.record(result(key=f"2013-0{month}", status="passed"))
    assert book.incident().state == "open"
    book.record(result(key="2013-06", status="passed"))
    row = book.incident()
    assert (row.state, row.resolution, row.flapping) == ("resolved", "passed", False)


def test_a_run_id_that_is_used_again_is_another_run(book: Book) -> None:
    first, again = (TaskTry("flights", "run", "gate", instance=instance) for instance in ("one", "two"))
    book.record(result(), task=first)
    book.record(result(key="2013-03"), task=TaskTry("flights", "later", "gate", instance="three"))
    book.record(result(status="passed"), task=TaskTry("flights", "later", "gate", try_number=2, instance="four"))
    recorded = book.record(result(message="it fails in the new run"), task=again)
    assert (recorded.verdicts[0].decision, recorded.opened) == ("block", ())
    assert (book.incident().occurrences, book.states()["2013-02"]) == (3, "failing")
    assert sorted(row.run_id for row in book.rows("attempt")) == ["later", "later", "run", "run (earlier run, one)"]
    book.record(result(message="said again"), task=again)
    book.record(result(message="without its id"), task=TaskTry("flights", "run", "gate"))
    assert (book.incident().occurrences, len(book.rows("attempt"))) == (3, 4)


def test_a_test_that_its_model_s_task_made_last_is_retired_with_the_run_s(book: Book) -> None:
    def by(task_id: str, run: str) -> TaskTry:
        return TaskTry("flights", run, task_id)

    gone, kept = (result("stg", check="not_null", tool="dbt", check_id=f"test.p.{name}") for name in ("old", "kept"))
    apart = result("stg", check="freshness", tool="dbt", check_id="source.p.s", severity="warning")
    book.record(gone, kept, task=by("g.build", "1"))
    book.record(gone, task=by("g.stg.test", "1"))
    book.record(apart, task=by("g.check_freshness", "1"))
    book.record(result("raw", check="gate"), task=by("g.gate", "1"))
    new = result("other", check="unique", tool="dbt", check_id="test.p.new", status="passed")
    book.record(new, task=by("g.build", "2"), complete=True, keep={"test.p.kept"})
    assert [row.state for row in book.rows("incident")] == ["resolved", "open", "open", "open"]
    book.record(new, task=by("g.build", "3"), complete=True)
    assert [row.state for row in book.rows("incident")] == ["resolved", "resolved", "open", "open"]


def test_a_dataset_whose_last_check_was_removed_blocks_no_more(book: Book) -> None:
    book.record(result("a"), result("b", status="passed"))
    recorded = book.record(result("b", status="passed"), complete=True)
    assert [(row.dataset, row.decision, row.checked) for row in recorded.verdicts] == [
        ("a", "pass", 0),
        ("b", "pass", 1),
    ]
    assert book.incident().resolution == "retired"
