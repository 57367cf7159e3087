INSERT INTO attempt ("id", "dag_id", "run_id", "task_id", "map_index", "try_number", "partition_key", "recorded_at")
VALUES (1, 'flights', 'first', 'gate', -1, 1, '2013-02', '2026-11-24 09\:00\:00.000000');
INSERT INTO attempt ("id", "dag_id", "run_id", "task_id", "map_index", "try_number", "partition_key", "recorded_at")
VALUES (2, 'flights', 'run_2', 'gate', -1, 1, '2013-02', '2026-11-24 09\:02\:00.000000');
INSERT INTO attempt ("id", "dag_id", "run_id", "task_id", "map_index", "try_number", "partition_key", "recorded_at")
VALUES (3, 'flights', 'first', 'stats', -1, 1, '2013-02', '2026-11-24 09\:00\:00.000000');
INSERT INTO check_definition ("id", "digest", "dataset", "tool", "name", "column", "tool_id", "owner", "tier", "runbook", "meta")
VALUES (1, '483f67753d985b17b8ebb8bbc93fd1114a190cc5c66c467303f666fccdb26dff', 'raw_weather', 'gx', 'max', 'wind_speed', NULL, NULL, NULL, NULL, '{}');
INSERT INTO check_definition ("id", "digest", "dataset", "tool", "name", "column", "tool_id", "owner", "tier", "runbook", "meta")
VALUES (2, 'dc61ec9bd077cc3e737507a41fd8eada7c3363b5ff26ba3aea722ca301ff36bd', 'features', 'dbt', 'not_null', 'wind_speed', NULL, NULL, NULL, NULL, '{}');
INSERT INTO check_definition ("id", "digest", "dataset", "tool", "name", "column", "tool_id", "owner", "tier", "runbook", "meta")
VALUES (3, 'dadf47d51ac710e8e49c80daec19aab19d0dc4dd937e3a2ab23bc305aa539bc5', 'raw_weather', 'gx', 'rows', 'wind_speed', NULL, NULL, NULL, NULL, '{}');
INSERT INTO check_definition ("id", "digest", "dataset", "tool", "name", "column", "tool_id", "owner", "tier", "runbook", "meta")
VALUES (4, 'c14a8bc9e5b0ebaf58e4e7b913b09bc1888cb0fc0ddda436ca31a41708a245eb', 'other', 'gx', 'max', 'wind_speed', NULL, NULL, NULL, NULL, '{}');
INSERT INTO dataset ("name", "kind", "relation", "owner", "tier", "runbook", "description", "docs", "project")
VALUES ('features', 'model', NULL, NULL, NULL, NULL, NULL, NULL, 'flights');
INSERT INTO dataset ("name", "kind", "relation", "owner", "tier", "runbook", "description", "docs", "project")
VALUES ('raw_weather', 'source', NULL, 'anna', NULL, 'https\://runbooks.example/weather', NULL, NULL, 'flights');
INSERT INTO dataset_edge ("upstream", "downstream", "project")
VALUES ('raw_weather', 'features', 'flights');
INSERT INTO landing ("dataset", "partition_key", "sha256", "rows", "landed_at")
VALUES ('raw_flights', '2013-02', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 100, '2026-11-24 09\:00\:00.000000');
INSERT INTO lineage_source ("project", "fingerprint", "datasets")
VALUES ('flights', '1', '[{"name"\: "raw_weather", "kind"\: "source", "relation"\: null, "owner"\: "anna", "tier"\: null, "runbook"\: "https\://runbooks.example/weather", "description"\: null, "docs"\: null, "project"\: "flights"}, {"name"\: "features", "kind"\: "model", "relation"\: null, "owner"\: null, "tier"\: null, "runbook"\: null, "description"\: null, "docs"\: null, "project"\: "flights"}]');
INSERT INTO trained_model ("id", "pipeline", "dag_id", "run_id", "partition_key", "blessed", "pushed_to", "at")
VALUES (1, 'flight_delay', 'flights', 'first', '2013-02', TRUE, '/models/1', '2026-11-24 09\:00\:00.000000');
INSERT INTO check_result ("id", "attempt_id", "check_id", "partition_key", "severity", "status", "message", "observed", "expected", "failed_rows", "total_rows", "quarantined_rows", "excused", "sample", "recorded_at")
VALUES (1, 1, 1, '2013-02', 'critical', 'failed', '2013-02 raw_weather\: max failed', '1048.36', '{"max"\: 200}', 1, 2010, 0, NULL, '[{"origin"\: "EWR", "wind_speed"\: 1048.36}]', '2026-11-24 09\:01\:00.000000');
INSERT INTO check_result ("id", "attempt_id", "check_id", "partition_key", "severity", "status", "message", "observed", "expected", "failed_rows", "total_rows", "quarantined_rows", "excused", "sample", "recorded_at")
VALUES (2, 1, 2, '2013-02', 'critical', 'failed', '2013-02 features\: not_null failed', 'null', 'null', NULL, NULL, 0, NULL, '[]', '2026-11-24 09\:01\:00.000000');
INSERT INTO check_result ("id", "attempt_id", "check_id", "partition_key", "severity", "status", "message", "observed", "expected", "failed_rows", "total_rows", "quarantined_rows", "excused", "sample", "recorded_at")
VALUES (3, 1, 3, '2013-02', 'critical', 'passed', '2013-02 raw_weather\: rows passed', 'null', 'null', NULL, NULL, 0, NULL, '[]', '2026-11-24 09\:01\:00.000000');
INSERT INTO check_result ("id", "attempt_id", "check_id", "partition_key", "severity", "status", "message", "observed", "expected", "failed_rows", "total_rows", "quarantined_rows", "excused", "sample", "recorded_at")
VALUES (4, 2, 4, '2013-02', 'critical', 'failed', '2013-02 other\: max failed', 'null', 'null', NULL, NULL, 0, NULL, '[]', '2026-11-24 09\:02\:00.000000');
INSERT INTO feature_statistics ("dataset", "partition_key", "split", "feature", "statistics", "attempt_id")
VALUES ('flight_delay.examples', '2013-02', 'train', 'distance', '{"mean"\: 1.5}', 3);
INSERT INTO quarantine ("id", "dataset", "relation", "partition_key", "check_id", "attempt_id", "rows", "total_rows", "reason", "state", "at", "changed_at", "actor", "actor_reason", "release_whole")
VALUES (1, 'raw_weather', 'raw.weather', '2013-02', 1, 1, 1, 2010, 'wind_speed above 200', 'held', '2026-11-24 09\:00\:00.000000', '2026-11-24 09\:00\:00.000000', NULL, NULL, FALSE);
INSERT INTO trained_on ("model_id", "dataset", "partition_key")
VALUES (1, 'features', '2013-01');
INSERT INTO trained_on ("model_id", "dataset", "partition_key")
VALUES (1, 'features', '2013-02');
INSERT INTO verdict ("id", "dataset", "partition_key", "decision", "checked", "causes", "why", "actor", "attempt_id", "decided_at")
VALUES (1, 'features', '2013-02', 'block', 1, '[{"check_id"\: 2, "result_id"\: 2, "tool"\: "dbt", "check"\: "not_null", "column"\: "wind_speed", "severity"\: "critical", "status"\: "failed", "message"\: "2013-02 features\: not_null failed", "excused"\: null, "contained"\: false}]', 'checked', NULL, 1, '2026-11-24 09\:01\:00.000000');
INSERT INTO verdict ("id", "dataset", "partition_key", "decision", "checked", "causes", "why", "actor", "attempt_id", "decided_at")
VALUES (2, 'raw_weather', '2013-02', 'block', 2, '[{"check_id"\: 1, "result_id"\: 1, "tool"\: "gx", "check"\: "max", "column"\: "wind_speed", "severity"\: "critical", "status"\: "failed", "message"\: "2013-02 raw_weather\: max failed", "excused"\: null, "contained"\: false}]', 'checked', NULL, 1, '2026-11-24 09\:01\:00.000000');
INSERT INTO verdict ("id", "dataset", "partition_key", "decision", "checked", "causes", "why", "actor", "attempt_id", "decided_at")
VALUES (3, 'other', '2013-02', 'block', 1, '[{"check_id"\: 4, "result_id"\: 4, "tool"\: "gx", "check"\: "max", "column"\: "wind_speed", "severity"\: "critical", "status"\: "failed", "message"\: "2013-02 other\: max failed", "excused"\: null, "contained"\: false}]', 'checked', NULL, 2, '2026-11-24 09\:02\:00.000000');
INSERT INTO verdict ("id", "dataset", "partition_key", "decision", "checked", "causes", "why", "actor", "attempt_id", "decided_at")
VALUES (4, 'other', '2013-02', 'pass', 1, '[{"check_id"\: 4, "result_id"\: 4, "tool"\: "gx", "check"\: "max", "column"\: "wind_speed", "severity"\: "critical", "status"\: "failed", "message"\: "2013-02 other\: max failed", "excused"\: "waived by anna\: a known outage", "contained"\: false}]', 'waived', 'anna', NULL, '2026-11-24 09\:00\:00.000000');
INSERT INTO waiver ("id", "check_id", "partition_key", "actor", "reason", "at", "ended_at", "ended_why")
VALUES (1, 4, '2013-02', 'anna', 'a known outage', '2026-11-24 09\:00\:00.000000', NULL, NULL);
INSERT INTO check_state ("check_id", "partition_key", "dataset", "result_id", "severity", "status", "excused", "failed_rows", "quarantined_rows", "recorded_at")
VALUES (1, '2013-02', 'raw_weather', 1, 'critical', 'failed', NULL, 1, 0, '2026-11-24 09\:01\:00.000000');
INSERT INTO check_state ("check_id", "partition_key", "dataset", "result_id", "severity", "status", "excused", "failed_rows", "quarantined_rows", "recorded_at")
VALUES (2, '2013-02', 'features', 2, 'critical', 'failed', NULL, NULL, 0, '2026-11-24 09\:01\:00.000000');
INSERT INTO check_state ("check_id", "partition_key", "dataset", "result_id", "severity", "status", "excused", "failed_rows", "quarantined_rows", "recorded_at")
VALUES (3, '2013-02', 'raw_weather', 3, 'critical', 'passed', NULL, NULL, 0, '2026-11-24 09\:01\:00.000000');
INSERT INTO check_state ("check_id", "partition_key", "dataset", "result_id", "severity", "status", "excused", "failed_rows", "quarantined_rows", "recorded_at")
VALUES (4, '2013-02', 'other', 4, 'critical', 'failed', 'waived by anna\: a known outage', NULL, 0, '2026-11-24 09\:02\:00.000000');
INSERT INTO incident ("id", "check_id", "dataset", "tool", "dag_id", "search", "state", "severity", "severity_rank", "title", "owner", "tier", "runbook", "assignee", "caused_by", "opened_at", "first_seen", "last_seen", "occurrences", "failing_partitions", "last_result_id", "snoozed_until", "resolved_at", "resolution", "resolved_by", "resolve_reason", "reopened", "flapping", "passes_in_row", "told")
VALUES (1, 1, 'raw_weather', 'gx', 'flights', '2013-02 raw_weather\: max failed
raw_weather
max
wind_speed', 'open', 'critical', 0, '2013-02 raw_weather\: max failed', 'anna', NULL, 'https\://runbooks.example/weather', NULL, NULL, '2026-11-24 09\:01\:00.000000', '2026-11-24 09\:01\:00.000000', '2026-11-24 09\:01\:00.000000', 1, 1, 1, NULL, NULL, NULL, NULL, NULL, 0, FALSE, 0, TRUE);
INSERT INTO incident ("id", "check_id", "dataset", "tool", "dag_id", "search", "state", "severity", "severity_rank", "title", "owner", "tier", "runbook", "assignee", "caused_by", "opened_at", "first_seen", "last_seen", "occurrences", "failing_partitions", "last_result_id", "snoozed_until", "resolved_at", "resolution", "resolved_by", "resolve_reason", "reopened", "flapping", "passes_in_row", "told")
VALUES (2, 2, 'features', 'dbt', 'flights', '2013-02 features\: not_null failed
features
not_null
wind_speed', 'open', 'critical', 0, '2013-02 features\: not_null failed', NULL, NULL, NULL, NULL, 1, '2026-11-24 09\:01\:00.000000', '2026-11-24 09\:01\:00.000000', '2026-11-24 09\:01\:00.000000', 1, 1, 2, NULL, NULL, NULL, NULL, NULL, 0, FALSE, 0, FALSE);
INSERT INTO incident ("id", "check_id", "dataset", "tool", "dag_id", "search", "state", "severity", "severity_rank", "title", "owner", "tier", "runbook", "assignee", "caused_by", "opened_at", "first_seen", "last_seen", "occurrences", "failing_partitions", "last_result_id", "snoozed_until", "resolved_at", "resolution", "resolved_by", "resolve_reason", "reopened", "flapping", "passes_in_row", "told")
VALUES (3, 4, 'other', 'gx', 'flights', '2013-02 other\: max failed
other
max
wind_speed', 'resolved', 'critical', 0, '2013-02 other\: max failed', NULL, NULL, NULL, NULL, NULL, '2026-11-24 09\:02\:00.000000', '2026-11-24 09\:02\:00.000000', '2026-11-24 09\:02\:00.000000', 1, 0, 4, NULL, '2026-11-24 09\:00\:00.000000', 'waived', 'anna', 'a known outage', 0, FALSE, 0, TRUE);
INSERT INTO quarantined_row ("quarantine_id", "row_id", "row", "state")
VALUES (1, 'r1', '{"wind_speed"\: 1048.36}', 'held');
INSERT INTO incident_event ("id", "incident_id", "at", "kind", "actor", "partition_key", "detail")
VALUES (1, 1, '2026-11-24 09\:01\:00.000000', 'opened', 'headrace', '2013-02', '{"severity"\: "critical", "partitions"\: ["2013-02"], "message"\: "2013-02 raw_weather\: max failed"}');
INSERT INTO incident_event ("id", "incident_id", "at", "kind", "actor", "partition_key", "detail")
VALUES (2, 2, '2026-11-24 09\:01\:00.000000', 'opened', 'headrace', '2013-02', '{"severity"\: "critical", "partitions"\: ["2013-02"], "message"\: "2013-02 features\: not_null failed"}');
INSERT INTO incident_event ("id", "incident_id", "at", "kind", "actor", "partition_key", "detail")
VALUES (3, 2, '2026-11-24 09\:01\:00.000000', 'grouped', 'headrace', NULL, '{"before"\: null, "after"\: 1}');
INSERT INTO incident_event ("id", "incident_id", "at", "kind", "actor", "partition_key", "detail")
VALUES (4, 3, '2026-11-24 09\:02\:00.000000', 'opened', 'headrace', '2013-02', '{"severity"\: "critical", "partitions"\: ["2013-02"], "message"\: "2013-02 other\: max failed"}');
INSERT INTO incident_event ("id", "incident_id", "at", "kind", "actor", "partition_key", "detail")
VALUES (5, 3, '2026-11-24 09\:00\:00.000000', 'waived', 'anna', '2013-02', '{"reason"\: "a known outage", "before"\: "failing", "after"\: "waived"}');
INSERT INTO incident_event ("id", "incident_id", "at", "kind", "actor", "partition_key", "detail")
VALUES (6, 3, '2026-11-24 09\:00\:00.000000', 'resolved', 'anna', NULL, '{"resolution"\: "waived", "reason"\: "a known outage", "before"\: "open", "after"\: "resolved"}');
INSERT INTO incident_event ("id", "incident_id", "at", "kind", "actor", "partition_key", "detail")
VALUES (7, 1, '2026-11-24 09\:00\:00.000000', 'commented', 'bert', NULL, '{"text"\: "Gr\u00f6\u00dfe \u201c\u00e9\u201d \u6f22\u5b57"}');
INSERT INTO incident_partition ("incident_id", "partition_key", "state", "failures", "first_seen", "last_seen", "result_id", "caused_by")
VALUES (1, '2013-02', 'failing', 1, '2026-11-24 09\:01\:00.000000', '2026-11-24 09\:01\:00.000000', 1, NULL);
INSERT INTO incident_partition ("incident_id", "partition_key", "state", "failures", "first_seen", "last_seen", "result_id", "caused_by")
VALUES (2, '2013-02', 'failing', 1, '2026-11-24 09\:01\:00.000000', '2026-11-24 09\:01\:00.000000', 2, 1);
INSERT INTO incident_partition ("incident_id", "partition_key", "state", "failures", "first_seen", "last_seen", "result_id", "caused_by")
VALUES (3, '2013-02', 'waived', 1, '2026-11-24 09\:02\:00.000000', '2026-11-24 09\:02\:00.000000', 4, NULL);
INSERT INTO notification ("id", "incident_id", "event_id", "change", "route", "payload", "state", "attempts", "due_at", "lease_until", "lease_owner", "last_error", "created_at", "delivered_at")
VALUES (1, 1, 1, 'opened', NULL, '{"incident_id"\: 1, "change"\: "opened", "at"\: "2026-11-24T09\:01\:00+00\:00", "title"\: "2013-02 raw_weather\: max failed", "severity"\: "critical", "state"\: "open", "dataset"\: "raw_weather", "owner"\: "anna", "tier"\: null, "runbook"\: "https\://runbooks.example/weather", "assignee"\: null, "partition_keys"\: ["2013-02"], "failing_partitions"\: 1, "occurrences"\: 1, "reopened"\: 0, "flapping"\: false, "opened_at"\: "2026-11-24T09\:01\:00+00\:00", "resolution"\: null, "resolved_by"\: null, "reason"\: null, "actor"\: "headrace", "check"\: "max", "tool"\: "gx", "column"\: "wind_speed", "dag_id"\: "flights", "run_id"\: "first", "task_id"\: "gate", "map_index"\: -1, "try_number"\: 1}', 'pending', 0, '2026-11-24 09\:01\:00.000000', NULL, NULL, NULL, '2026-11-24 09\:01\:00.000000', NULL);
INSERT INTO notification ("id", "incident_id", "event_id", "change", "route", "payload", "state", "attempts", "due_at", "lease_until", "lease_owner", "last_error", "created_at", "delivered_at")
VALUES (2, 3, 4, 'opened', NULL, '{"incident_id"\: 3, "change"\: "opened", "at"\: "2026-11-24T09\:02\:00+00\:00", "title"\: "2013-02 other\: max failed", "severity"\: "critical", "state"\: "open", "dataset"\: "other", "owner"\: null, "tier"\: null, "runbook"\: null, "assignee"\: null, "partition_keys"\: ["2013-02"], "failing_partitions"\: 1, "occurrences"\: 1, "reopened"\: 0, "flapping"\: false, "opened_at"\: "2026-11-24T09\:02\:00+00\:00", "resolution"\: null, "resolved_by"\: null, "reason"\: null, "actor"\: "headrace", "check"\: "max", "tool"\: "gx", "column"\: "wind_speed", "dag_id"\: "flights", "run_id"\: "run_2", "task_id"\: "gate", "map_index"\: -1, "try_number"\: 1}', 'pending', 0, '2026-11-24 09\:02\:00.000000', NULL, NULL, NULL, '2026-11-24 09\:02\:00.000000', NULL);
INSERT INTO notification ("id", "incident_id", "event_id", "change", "route", "payload", "state", "attempts", "due_at", "lease_until", "lease_owner", "last_error", "created_at", "delivered_at")
VALUES (3, 3, 6, 'resolved', NULL, '{"incident_id"\: 3, "change"\: "resolved", "at"\: "2026-11-24T09\:00\:00+00\:00", "title"\: "2013-02 other\: max failed", "severity"\: "critical", "state"\: "resolved", "dataset"\: "other", "owner"\: null, "tier"\: null, "runbook"\: null, "assignee"\: null, "partition_keys"\: [], "failing_partitions"\: 0, "occurrences"\: 1, "reopened"\: 0, "flapping"\: false, "opened_at"\: "2026-11-24T09\:02\:00+00\:00", "resolution"\: "waived", "resolved_by"\: "anna", "reason"\: "a known outage", "actor"\: "anna", "check"\: "max", "tool"\: "gx", "column"\: "wind_speed", "dag_id"\: "flights", "run_id"\: "run_2", "task_id"\: "gate", "map_index"\: -1, "try_number"\: 1}', 'pending', 0, '2026-11-24 09\:00\:00.000000', NULL, NULL, NULL, '2026-11-24 09\:00\:00.000000', NULL);
