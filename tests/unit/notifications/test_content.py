"""What notifications say, and how long they wait between tries."""

from datetime import timedelta

import pytest

from headrace.notifications.backoff import MOST_ATTEMPTS, decide_backoff
from headrace.notifications.content import build_context, build_default_arguments, escape_for_slack, sends_whole_payload


def context(**payload: object) -> dict[str, object]:
    return build_context(
        payload, incident_id=7, notification_id=9, change="opened", base_url="https://airflow.example/prefix/"
    )


def test_the_keys_by_which_receivers_tell_incidents_and_tries_apart() -> None:
    built = context(title="t", partition_keys=["", "2013-02"], incident_id=7)
    assert built["dedup_key"] == "headrace-incident-7"
    assert built["idempotency_key"] == "headrace-notification-9"
    assert built["message_host"] == "airflow.example"
    assert built["incident"] == {
        "title": "t", "id": 7, "change": "opened", "partitions": ["2013-02"],
        "url": "https://airflow.example/prefix/headrace/incidents/7",
    }  # fmt: skip


@pytest.mark.parametrize(
    "character", ["\n", "\r\n", "\x00", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029", "\ud800"]
)
def test_no_text_begins_a_new_line(character: str) -> None:
    incident = context(title=f"a{character}Bcc: b", sample=[{f"k{character}": f"v{character}w"}])["incident"]
    assert isinstance(incident, dict)
    assert incident["title"] == "a Bcc: b"
    assert incident["sample"] == [{"k": "v w"}]
    assert len(str(incident["title"]).splitlines()) == 1


def test_slack_sees_no_mention_in_data() -> None:
    assert escape_for_slack({"title": "<!channel> & <http://evil|x>"}) == {
        "title": "&lt;!channel&gt; &amp; &lt;http://evil|x&gt;"
    }


def test_a_mails_headers_are_ours_unless_the_route_gives_them() -> None:
    given = {"to": "a", "custom_headers": {"message-id": "<mine>", "X-Team": "data"}}
    arguments = build_default_arguments(["MyMail", "SmtpNotifier"], given)
    assert set(arguments["custom_headers"]) == {"message-id", "X-Team", "References"}
    assert "incident.title" in arguments["subject"]
    assert build_default_arguments(["SmtpNotifier"], {"subject": "s"})["subject"] == "s"


def test_a_pagerduty_event_is_resolved_by_the_incidents_key() -> None:
    arguments = build_default_arguments(["PagerdutyNotifier"], {"severity": "error"})
    assert arguments["severity"] == "error"
    assert arguments["dedup_key"] == "{{ dedup_key }}"
    assert "resolve" in arguments["action"]


def test_an_unknown_notifier_gets_what_the_route_gives() -> None:
    assert build_default_arguments(["MyNotifier", "BaseNotifier"], {"a": 1}) == {"a": 1}
    assert not sends_whole_payload(["MyNotifier"], {})
    assert not sends_whole_payload(["HttpNotifier"], {"data": "x"})
    assert sends_whole_payload(["HttpNotifier"], {"endpoint": "x"})


def test_backoff_doubles_to_an_hour_and_ends_after_some_three_days() -> None:
    seconds = [decide_backoff(attempts, 0.999999) for attempts in (1, 2, 3, 10, 11, 89)]
    assert [round(each.total_seconds()) for each in seconds if each] == [5, 10, 20, 2560, 3600, 3600]
    assert decide_backoff(1, 0) == timedelta(seconds=4)
    assert decide_backoff(MOST_ATTEMPTS, 0) is None
    waits = [decide_backoff(attempts, 0.5) for attempts in range(1, MOST_ATTEMPTS)]
    assert timedelta(hours=71) < sum((wait for wait in waits if wait), timedelta()) < timedelta(hours=74)
