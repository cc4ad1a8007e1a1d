# SPDX-License-Identifier: Apache-2.0
"""Every alert of packaging/dashboards/alerts.yaml in a scene that causes it, by
promtool's clock: it is silent until then, fires when it should, and fires
alone. A sound host has none."""

import json
import subprocess

import pytest
import yaml

from world import ROOT

RULES = ROOT / "packaging/dashboards/alerts.yaml"
STEP_S = 15
SOUND = {
    'up{job="sentinel"}': "1x240",
    "sentinel_link_up": "1x240",
    "sentinel_link_ready": "1x240",
    "sentinel_link_checked_seconds": "0.5 2.5 1.5x238",
    "sentinel_link_connects_total": "1x240",
    'process_start_time_seconds{job="sentinel"}': "1700000000x240",
    'process_open_fds{job="sentinel"}': "60x240",
    'process_max_fds{job="sentinel"}': "1024x240",
    'sentinel_dp_refused_total{what="peers"}': "3x240",
    'sentinel_build_info{version="1",dp_version="1"}': "1x240",
    'sentinel_attachment_programs_before{id="a"}': "0x240",
    'sentinel_attachment_programs_before{id="gone"}': "-2x240",
    'sentinel_attachment_state{id="a",state="enforced"}': "1x240",
    'sentinel_attachment_state{id="gone",state="waiting"}': "1x240",
    'sentinel_reasons_total{reason="parse",kind="failure"}': "0+1x240",
    'sentinel_reasons_total{reason="no-rule",kind="policy"}': "0+900x240",
    'sentinel_reasons_total{reason="event-lost",kind="info"}': "7x240",
    'sentinel_attachment_packets_total{id="a",direction="egress",'
    'verdict="blocked"}': "0+300x240",
    'sentinel_attachment_packets_total{id="a",direction="egress",'
    'verdict="allowed"}': "0+90000x240",
    'sentinel_changes{state="waiting"}': "0 3 0x238",
    'sentinel_table_entries{table="rules"}': "700x240",
    'sentinel_table_capacity{table="rules"}': "1000x240",
    "sentinel_attachments": "100x240",
    "sentinel_attachments_limit": "4096x240",
    "sentinel_attachments_without_series": "0x240",
    'sentinel_attachment_learnt_names{id="a"}': "800x240",
    'sentinel_attachment_quota{of="learnt-names"}': "1000x240",
    'sentinel_attachment_quota{of="learnt-addresses"}': "4000x240",
    'sentinel_dns_queries_total{result="allowed"}': "0+150x240",
    'sentinel_dns_queries_total{result="failed-upstream"}': "0+3x240",
    'sentinel_dns_latency_seconds_bucket{result="allowed",le="0.01"}':
        "0+100x240",
    'sentinel_dns_latency_seconds_bucket{result="allowed",le="0.5"}':
        "0+149x240",
    'sentinel_dns_latency_seconds_bucket{result="allowed",le="+Inf"}':
        "0+150x240",
    "sentinel_dns_listeners": "8x240",
    "sentinel_dns_listeners_wanted": "8x240",
    'sentinel_upstream_questions_total{what="asked"}': "0+50x240",
    'sentinel_upstream_questions_total{what="failed"}': "0+1x240",
    'sentinel_upstream_refused_total{why="mismatch"}': "0+0x100 1x140",
    'sentinel_control_state{state="synced"}': "1x240",
    "sentinel_control_attachments_closed": "0 1 0x238",
    "sentinel_control_dropped_events_total": "5x240",
    "sentinel_state_write_errors_total": "0x240",
    "sentinel_state_waiting": "0 2 0x238",
    "sentinel_learnt_write_errors_total": "2x240",
    "sentinel_events_missed_total": "4x240",
    "sentinel_log_suppressed_total": "0x240",
    'sentinel_http_answers_total{server="rest-tls",class="4xx"}': "0+1x240",
    'sentinel_http_answers_total{server="health",class="4xx"}': "0+50x240",
}

# alert: what differs from a sound host, the last second in which it has to be
# silent, and the one in which it has to fire.
SCENES = {
    "SentinelDown": (
        {'up{job="sentinel"}': "1x4 0x60"}, 180, 210),
    "SentinelDataplaneDown": (
        {"sentinel_link_up": "1x4 0x60"}, 120, 150),
    "SentinelNotReconciled": (
        {"sentinel_link_ready": "1x4 0x60"}, 180, 210),
    "SentinelChecksStale": (
        {"sentinel_link_checked_seconds": "1x4 1+15x60"}, 120, 180),
    "SentinelRestarts": (
        {'process_start_time_seconds{job="sentinel"}':
         "1x4 100x4 200x4 300x40"}, 210, 240),
    "SentinelLinkFlaps": (
        {"sentinel_link_connects_total": "1x4 1+1x60"}, 75, 150),
    "SentinelDataplaneRefuses": (
        {'sentinel_dp_refused_total{what="peers"}': "3x8 4x60"}, 120, 150),
    "SentinelCallersRefused": (
        {'sentinel_http_answers_total{server="rest-tls",class="4xx"}':
         "0x8 0+10x60"}, 150, 240),
    "SentinelVersionsDiffer": (
        {'sentinel_build_info{version="1",dp_version="1"}': None,
         'sentinel_build_info{version="2",dp_version="1"}': "1x240"},
        1785, 1815),
    "SentinelFilesRunOut": (
        {'process_open_fds{job="sentinel"}': "60x4 900x60"}, 360, 390),
    "SentinelProgramsGone": (
        {'sentinel_attachment_programs_before{id="a"}': "0x4 -3x60"}, 75, 105),
    "SentinelNotFirst": (
        {'sentinel_attachment_programs_before{id="a"}': "0x4 1x60"}, 120, 150),
    "SentinelRepairing": (
        {'sentinel_attachment_state{id="a",state="enforced"}': "1x4 _x60",
         'sentinel_attachment_state{id="a",state="repairing"}': "_x5 1x60"},
        180, 210),
    "SentinelCannotJudge": (
        {'sentinel_reasons_total{reason="parse",kind="failure"}':
         "0x8 0+300x60"}, 420, 600),
    "SentinelBlocksMuch": (
        {'sentinel_attachment_packets_total{id="a",direction="egress",'
         'verdict="blocked"}': "0x8 0+1500x100"}, 720, 1080),
    "SentinelChangesWait": (
        {'sentinel_changes{state="waiting"}': "0x8 2x60"}, 390, 480),
    "SentinelTableFills": (
        {'sentinel_table_entries{table="rules"}': "700x4 801x60"}, 360, 390),
    "SentinelAttachmentsRunOut": (
        {"sentinel_attachments": "100x4 4000x60"}, 360, 390),
    "SentinelFlowsNotKept": (
        {'sentinel_reasons_total{reason="flow-quota",kind="info"}':
         "0x8 0+300x60"}, 420, 600),
    "SentinelLearntQuota": (
        {'sentinel_attachment_learnt_names{id="a"}': "800x4 950x60"}, 360, 390),
    "SentinelSeriesMissing": (
        {"sentinel_attachments_without_series": "0x4 12x60"}, 660, 690),
    "SentinelDnsFails": (
        {'sentinel_dns_queries_total{result="failed-upstream"}':
         "0x8 0+150x60"}, 420, 600),
    "SentinelDnsSlow": (
        {'sentinel_dns_latency_seconds_bucket{result="allowed",le="0.5"}':
         "0+100x100",
         'sentinel_dns_latency_seconds_bucket{result="allowed",le="2.5"}':
         "0+150x100"}, 600, 660),
    "SentinelDnsListenersMissing": (
        {"sentinel_dns_listeners": "8x4 6x60"}, 120, 150),
    "SentinelUpstreamFails": (
        {'sentinel_upstream_questions_total{what="failed"}': "0x8 0+50x60"},
        420, 600),
    "SentinelUpstreamForged": (
        {'sentinel_upstream_refused_total{why="mismatch"}': "0x8 0+20x60"},
        120, 180),
    "SentinelControlPlaneAway": (
        {'sentinel_control_state{state="synced"}': "1x4 _x60",
         'sentinel_control_state{state="waiting"}': "_x5 1x60"}, 360, 390),
    "SentinelAttachmentsClosed": (
        {"sentinel_control_attachments_closed": "0x4 1x60"}, 360, 390),
    "SentinelControlEventsDropped": (
        {"sentinel_control_dropped_events_total": "5x8 9x60"}, 120, 150),
    "SentinelStateNotWritten": (
        {"sentinel_state_write_errors_total": "0x8 1x60"}, 120, 150),
    "SentinelLearntNotWritten": (
        {"sentinel_learnt_write_errors_total": "2x8 3+1x60"}, 420, 480),
    "SentinelEventsLost": (
        {'sentinel_reasons_total{reason="event-lost",kind="info"}':
         "7x8 7+30x60"}, 420, 480),
    "SentinelLogSuppressed": (
        {"sentinel_log_suppressed_total": "0x8 40x60"}, 120, 150),
}
# Two causes of one alert.
MORE = {
    "SentinelStateNotWritten": (
        {"sentinel_state_waiting": "0x4 2x60"}, 150, 210),
    "SentinelEventsLost": (
        {"sentinel_events_missed_total": "4x8 4+30x60"}, 420, 480),
    "SentinelLearntQuota": (
        {'sentinel_attachment_learnt_addresses{id="a"}': "0x4 3990x60"},
        360, 390),
    "SentinelUpstreamForged": (
        {'sentinel_upstream_refused_total{why="tls"}': "0x8 0+20x60"},
        120, 180),
    "SentinelProgramsGone": (
        {'sentinel_attachment_programs_before{id="a"}': "0x4 -2x60"}, 75, 105),
}


def rules():
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"]
            for rule in group["rules"]]


def named(series):
    """On a host; a label that all have."""
    name, _, rest = series.partition("{")
    return f'{name}{{instance="h",{rest or "}"}'


def firing(seconds, *alerts):
    return {"eval_time": f"{seconds}s",
            "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
            "exp_samples": [{"labels": json.dumps(alert).join(
                ("{alertname=", "}")), "value": 1} for alert in alerts]}


def scene(changes, *tests):
    series = {key: values for key, values in {**SOUND, **changes}.items()
              if values}
    return {"interval": f"{STEP_S}s",
            "input_series": [{"series": named(key), "values": values}
                             for key, values in series.items()],
            "promql_expr_test": list(tests)}


def judge(tmp_path, *scenes):
    path = tmp_path / "scenes.yaml"
    path.write_text(yaml.safe_dump({
        "rule_files": [str(RULES)], "evaluation_interval": f"{STEP_S}s",
        "tests": list(scenes)}, sort_keys=False))
    done = subprocess.run(["promtool", "test", "rules", str(path)], text=True,
                          capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_there_is_a_scene_for_every_alert():
    assert sorted(SCENES) == sorted(rule["alert"] for rule in rules())
    for rule in rules():
        assert rule["labels"]["severity"] in ("critical", "warning", "info")
        assert set(rule["annotations"]) == {"summary", "description"}


def test_promtool_finds_nothing():
    done = subprocess.run(["promtool", "check", "rules", "--lint=all",
                           "--lint-fatal", str(RULES)], text=True,
                          capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_sound_host_has_no_alert(tmp_path):
    judge(tmp_path, scene({}, *(firing(minute * 60)
                                for minute in range(1, 60))))


@pytest.mark.parametrize("alert", SCENES)
def test_each_alert_fires_when_it_should_and_alone(tmp_path, alert):
    judge(tmp_path, *(
        scene(changes, firing(silent), firing(fires, alert))
        for changes, silent, fires in [SCENES[alert],
                                       *filter(None, [MORE.get(alert)])]))
