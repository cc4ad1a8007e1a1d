# SPDX-License-Identifier: Apache-2.0
"""The API as JSON over HTTP, on the Unix socket."""

import json
import os
import re
import subprocess

import pytest

from rest import JSON, Rest
from test_metrics import agent_in
from world import until

POLICY = {"rules": [{"verdict": "VERDICT_ALLOW", "cidr": "10.20.0.0/16"}]}


@pytest.fixture
def rest(clean):
    client = Rest(clean.run_dir / "rest.sock")
    client.world = clean
    until(lambda: os.path.exists(client.path), "rest.sock is there")
    return client


def refused(answer, status, code, text):
    assert answer.status == status, answer
    assert answer.json["code"] == code
    assert text in answer.json["message"], answer
    assert set(answer.json) == {"code", "message"}


def test_curl_attaches_lists_and_detaches(rest, interface):
    """As sentinelctl sees it, because the handlers are the same."""
    def curl(path, message=None):
        body = [] if message is None else ["-H", f"Content-Type: {JSON}",
                                           "-d", json.dumps(message)]
        done = subprocess.run(
            ["curl", "-sS", "--fail-with-body", "--max-time", "20",
             "--unix-socket", rest.path, *body, f"http://localhost{path}"],
            capture_output=True, check=True, text=True)
        return json.loads(done.stdout)

    world = interface.world
    made = curl("/v1/Attach", {"interfaceName": "w0", "policy": POLICY,
                               "metadata": {"tenant": "blue"}})
    assert len(made["id"]) == 32
    item, = world.ok("list")
    assert item["id"] == made["id"] and item["metadata"] == {"tenant": "blue"}
    seen, = curl("/v1/List?pageSize=10")["attachments"]
    assert seen == curl(f"/v1/Get?id={made['id']}")["attachment"]
    assert seen["type"] == "TARGET_TYPE_TC" and seen["mode"] == "MODE_ALLOWLIST"
    assert seen["packetsAllowed"] == str(item["packets_allowed"])
    assert seen["attachedAt"] == str(item["attached_at"])
    rule, = curl(f"/v1/GetRules?id={made['id']}")["rules"]
    assert rule["cidr"] == "10.20.0.0/16"
    assert rule["verdict"] == "VERDICT_ALLOW"
    curl("/v1/Detach", {"id": made["id"]})
    assert world.ok("list") == []


def test_changes_are_enforced_and_logged(rest, interface):
    interface.attach(policy="dns: {steering: false}\ncidrs: []\n")
    answer = rest.good("AllowCIDR", id=interface.id, cidr="10.9.0.0/16",
                       ports=["443/tcp"], ttlSeconds="3600")
    assert answer["ruleId"] > 0 and answer["replaced"] is False
    assert rest.good("Explain", id=interface.id, destination="10.9.1.1",
                     protocol=6, port=443)["passes"] is True
    assert rest.good("RemoveCIDR", id=interface.id,
                     cidr="10.9.0.0/16")["removed"] == 1
    log = (interface.world.folder / "sentinel-cp.log").read_text()
    line = next(line for line in log.splitlines()
                if "audit method=AllowCIDR" in line)
    assert f"pid={os.getpid()} uid={os.getuid()}" in line


def test_errors_have_the_status_and_text_of_grpc(rest, interface):
    ident = "0" * 32
    refused(rest.get("Get", id=ident), 404, "NOT_FOUND", "")
    refused(rest.get("Get", id="x"), 400, "INVALID_ARGUMENT", "id: ")
    interface.attach(policy="cidrs: []\n")
    refused(rest.post("Attach", {"interfaceName": "w0"}), 409,
            "ALREADY_EXISTS", "")
    refused(rest.post("Attach", {}), 400, "INVALID_ARGUMENT", "")


@pytest.mark.parametrize("message,text", [
    ({"policy": {"rules": [{}, {"cidr": 5}]}}, "policy.rules[1].cidr: must be"),
    ({"policy": {"mode": "ALLOWLIST"}}, "policy.mode: must be one of"),
    ({"metadata": {"a": None}}, "metadata[\"a\"]"),
    ({"interfaceNmae": "w0"}, "interfaceNmae: is not known"),
    ({"audit": "yes"}, "audit: must be true or false, not a string"),
    (b'{"role": 1, "role": 2}', "duplicate"),
    (b"[" * 1000, "nested"),
    (b"[" + b"1," * 200000 + b"1]", "keys and values"),
    (b'{"interfaceName": "\xff"}', "not JSON"),
    (b"{}{}", "not JSON"),
    (b"nonsense", "not JSON"),
    (b"[]", "must be an object"),
])
def test_bodies_that_are_refused_name_the_field(rest, message, text):
    refused(rest.post("Attach", message), 400, "INVALID_ARGUMENT", text)


@pytest.mark.parametrize("query,text", [
    ("id=%", "id: is not escaped"), ("id=%00", "id: is not escaped"),
    ("id=%zz", "id: is not escaped"), ("id=%ff", "id: is not UTF-8"),
    ("x=1", "x: is not known"), ("id=a&id=b", "id: is there twice"),
    ("pageSize=-1", "page_size: is no whole"), ("pageSize", "has no value"),
    ("pageSize=1e3", "page_size: must be a whole number"),
])
def test_queries_that_are_refused_name_the_field(rest, query, text):
    refused(rest.ask("GET", f"/v1/GetRules?{query}"), 400, "INVALID_ARGUMENT",
            text)


def test_lists_and_enums_can_stand_in_a_query(rest):
    answer = rest.get("WatchEvents", kinds=["EVENT_KIND_FLOW",
                                            "EVENT_KIND_NAME"],
                      blockedOnly="true")
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/event-stream"
    refused(rest.get("WatchEvents", kinds=["NAME"]), 400, "INVALID_ARGUMENT",
            "kinds[0]: must be one of")
    refused(rest.get("WatchEvents", blockedOnly="1"), 400, "INVALID_ARGUMENT",
            "blocked_only: must be true or false")


@pytest.mark.parametrize("headers,status", [
    ([], 415), (["Content-Type: text/plain"], 415),
    (["Content-Type: application/json; charset=latin-1"], 415),
    (["Content-Type: application/jsonx"], 415),
    (["Content-Type: application/json; charset=utf-8"], 200),
    ([f"Content-Type: {JSON}", f"Content-Type: {JSON}"], 400),
    ([f"Content-Type: {JSON}", "Origin: https://evil.example"], 403),
    ([f"Content-Type: {JSON}", "Origin: null"], 403),
    ([f"Content-Type: {JSON}", "Origin: https://localhost"], 403),
    ([f"Content-Type: {JSON}", "Origin: http://localhost"], 200),
    ([f"Content-Type: {JSON}", "Origin: http://localhost",
      "Origin: http://localhost"], 400),
    ([f"Content-Type: {JSON}", "Sec-Fetch-Site: cross-site"], 403),
    ([f"Content-Type: {JSON}", "Sec-Fetch-Site: same-origin"], 200),
])
def test_pages_of_other_sites_cannot_write(rest, headers, status):
    answer = rest.post("GetStatus", {}, headers)
    assert answer.status == status, answer
    assert not [key for key in answer.headers if key.startswith("access-")]


@pytest.mark.parametrize("named,status", [
    ("localhost", 200), ("localhost:80", 200), ("127.0.0.1", 200),
    ("[::1]:8443", 200), ("evil.example", 421), ("localhost.evil.example", 421),
    ("evil.example:80", 421), ("localhost:x", 421), ("[::1", 421), ("", 421),
    ("127.0.0.1.evil.example", 421), ("localhost@evil.example", 421),
])
def test_names_that_are_not_ours_lead_nowhere(rest, named, status):
    assert rest.ask("GET", "/v1/GetStatus", host=named).status == status


@pytest.mark.parametrize("verb,path,status", [
    ("GET", "/web/", 404), ("GET", "/v1/", 404), ("GET", "/v1/getstatus", 404),
    ("GET", "/v1/../openapi.json", 404), ("GET", "/v1//GetStatus", 404),
    ("GET", "/v1/GetStatus/", 404), ("GET", "/v1/%47etStatus", 404),
    ("GET", "//v1/GetStatus", 404), ("GET", "/v1/GetStatus%00", 404),
    ("GET", "/v1/GetStatus;x", 404), ("POST", "/v1/ApplyStream", 404),
    ("GET", "http://localhost/v1/GetStatus", 400),
    ("GET", "/v1/Detach", 405), ("DELETE", "/v1/List", 405),
    ("PUT", "/v1/Attach", 405), ("OPTIONS", "/v1/Attach", 405),
    ("TRACE", "/v1/List", 405), ("POST", "/openapi.json", 405),
    ("GET", "/" + "a" * 600, 414), ("HEAD", "/v1/GetStatus", 200),
])
def test_paths_are_routes_or_they_are_not(rest, verb, path, status):
    answer = rest.ask(verb, path)
    assert answer.status == status, answer
    if verb != "HEAD":
        assert set(answer.json) == {"code", "message"}


def test_a_query_is_not_for_post(rest):
    refused(rest.ask("POST", "/v1/Detach?id=1", b"{}",
                     [f"Content-Type: {JSON}"]), 400, "INVALID_ARGUMENT",
            "into the body")


def test_bodies_are_bounded(rest):
    head = (b"POST /v1/Attach HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Type: application/json\r\n")
    assert b" 413 " in rest.raw(head + b"Content-Length: 1048577\r\n\r\n")
    part = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    answer = rest.raw(head + b"Transfer-Encoding: chunked\r\n\r\n" +
                      part * 17 + b"0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 413 "), answer
    assert rest.get("GetStatus").status == 200


def test_a_process_that_may_not_call_grpc_may_not_here(rest):
    """Whatever the mode of the socket file."""
    os.chmod(rest.path, 0o666)
    done = subprocess.run(
        ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups",
         "curl", "-sS", "--max-time", "20", "-w",
         "\n%{http_code}", "--unix-socket", rest.path,
         "http://localhost/v1/GetStatus"],
        capture_output=True, check=True, text=True)
    body, status = done.stdout.rsplit("\n", 1)
    assert status == "403"
    assert json.loads(body)["code"] == "PERMISSION_DENIED"


def test_the_document_is_what_the_routes_are(rest, stubs):
    """Made of the descriptors here again, by protobuf's own library."""
    daemon = stubs["daemon_pb2"]
    service = daemon.DESCRIPTOR.services_by_name["DaemonService"]
    document = rest.document()
    assert document["openapi"] == "3.1.0"
    paths = dict(document["paths"])
    assert set(paths.pop("/openapi.json")) == {"get"}
    left_out = {item["method"] for item in document["x-not-offered"]}
    assert left_out == {"ApplyStream"}
    assert set(paths) | {f"/v1/{name}" for name in left_out} == {
        f"/v1/{method.name}" for method in service.methods}
    for path, operations in paths.items():
        method = service.methods_by_name[path[len("/v1/"):]]
        # What processes do is not for everybody who may see policies.
        viewer = method.name not in (
            "WatchRuntime", "WatchFindings") and method.name.startswith(
                ("Get", "List", "Explain", "Watch"))
        assert set(operations) == ({"get", "post"} if viewer else {"post"})
        for verb in ("GET", "POST", "PUT", "PATCH", "DELETE"):
            status = rest.ask(verb, path + "?nope=1").status
            assert (status == 405) == (verb.lower() not in operations), path
        for role, named in ((operation["x-role"], operation["operationId"])
                            for operation in operations.values()):
            assert named in (method.name, "get" + method.name)
            assert role == ("viewer" if viewer else
                            "admin" if method.name in (
                                "Attach", "Detach", "Lease") else "operator")


def test_the_documents_schemas_are_the_messages(rest, stubs):
    daemon = stubs["daemon_pb2"]
    schemas = rest.document()["components"]["schemas"]
    pool = daemon.DESCRIPTOR.pool
    for name, schema in schemas.items():
        if name == "Error":
            continue
        message = pool.FindMessageTypeByName(f"sentinel.v1.{name}")
        assert set(schema["properties"]) == {
            field.json_name for field in message.fields}
        for field in message.fields:
            shown = schema["properties"][field.json_name]
            if field.label == field.LABEL_REPEATED:
                assert shown["type"] in ("array", "object")
            elif field.message_type:
                assert shown == {
                    "$ref": f"#/components/schemas/{field.message_type.name}"}
            elif field.enum_type:
                assert shown["enum"] == [
                    value.name for value in field.enum_type.values]


POST = "POST /v1/GetStatus HTTP/1.1\r\nHost: localhost\r\n" \
    "Content-Type: application/json\r\n"
SMUGGLED = "GET /v1/List HTTP/1.1\r\nHost: localhost\r\n" \
    "Connection: close\r\n\r\n"


@pytest.mark.parametrize("head,status", [
    (POST + "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n", 400),
    (POST + "Content-Length: 2\r\nContent-Length: 3\r\n", 400),
    (POST + "Content-Length: +2\r\n", 400),
    (POST + "Content-Length: 2, 2\r\n", 400),
    (POST + "Transfer-Encoding: xchunked\r\n", 400),
    (POST + "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n", 400),
    (POST + "Content-Length : 2\r\n", 400),
    (POST.replace("/1.1", "/1.0") + "Transfer-Encoding: chunked\r\n", 400),
    (POST + "Host: localhost\r\n", 400),
    (POST.replace("Host", "X"), 400),
    (POST + "X: " + "y" * 40000 + "\r\n", 431),
    (POST + "".join(f"X{n}: y\r\n" for n in range(100)), 431),
    ("GET /v1/List HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n", 413),
    # Folded lines, bytes that end a text early, and ends of lines that are none.
    (POST + "Transfer-Encoding:\r\n chunked\r\n", 400),
    (POST + "Content-:" + " " * 30 + "2\r\n Length\r\n", 400),
    (POST + "Origin: http://\r\n\tother.example\r\n", 400),
    (POST + "Content-Length: 2\0000\r\n", 400),
    (POST + "\0X: y\r\nContent-Length: 2\r\n", 400),
    (POST + "\0\r\nContent-Length: 2\r\n", 400),
    (POST.replace("localhost", "localhost\0.other.example"), 400),
    (POST.replace("/v1/GetStatus", "/v1/GetStatus\0/x"), 400),
    (POST.replace("\r\n", "\n") + "X: y\n", 400),
])
def test_nothing_is_smuggled(rest, head, status):
    got = rest.raw((head + "\r\n" + SMUGGLED).encode("latin-1"))
    assert set(re.findall(rb"^HTTP/1\.[01] (\d+) ", got, re.M)) == \
        {str(status).encode()}, got
    assert b"attachments" not in got
    assert rest.get("GetStatus").status == 200


@pytest.mark.parametrize("head", [
    "GET /v1/List?pageSize=1&pageToken= HTTP/1.1\r\nHost:localhost\r\nX:\r\n",
    "GET /v1/List? HTTP/1.1\r\nHost: \t localhost\r\nCookie: a=b; c\r\n",
    "GET /v1/List HTTP/1.0\r\n",
    "GET /v1/List HTTP/1.1\r\nHost: localhost\r\nX: " + "y" * 4000 + "\r\n",
])
def test_heads_may_come_in_pieces(rest, head):
    with rest.connect() as sock:
        for at in range(0, len(head), 7):
            sock.sendall(head[at:at + 7].encode())
        sock.sendall(b"Connection: close\r\n\r\n")
        got = b""
        while part := sock.recv(1 << 16):
            got += part
    assert re.match(rb"HTTP/1\.[01] 200 ", got), got


def test_those_who_hold_on_keep_nobody_out(rest):
    """Silent ones, half heads, half bodies, and ones that read nothing."""
    kept = []
    for text in ("", "GET /v1/List HTT", POST + "Content-Length: 9\r\n\r\n{",
                 "GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 50):
        for _ in range(24):
            sock = rest.connect()
            sock.setblocking(False)
            try:
                sock.sendall(text.encode())
            except BlockingIOError:
                pass
            kept.append(sock)
    for _ in range(10):
        assert rest.get("GetStatus").status == 200
    for sock in kept:
        sock.close()


def test_a_lease_ends_with_its_stream(rest, clean):
    """At once, though nothing is sent."""
    box = clean.cgroup("leased")
    message = json.dumps({"attach": {"cgroupPath": str(box)}}).encode()
    with rest.connect() as sock:
        sock.sendall(b"POST /v1/Lease HTTP/1.1\r\nHost: localhost\r\n"
                     b"Content-Type: application/json\r\n"
                     b"Content-Length: %d\r\n\r\n" % len(message) + message)
        got = b""
        while b"attached" not in got:
            part = sock.recv(4096)
            assert part, got
            got += part
        item, = clean.ok("list")
        assert item["id"] in got.decode()
    until(lambda: clean.ok("list") == [], "the lease ends", 5)


def test_it_is_counted(rest):
    def count(page, name, **labels):
        text = ",".join(f'{key}="{value}"' for key, value in labels.items())
        return float(re.search(rf"^sentinel_http_{name}{{{text}}} (\S+)$",
                               page, re.MULTILINE)[1])

    def scrape():
        return agent.get(port=9102, path="/metrics")["body"]

    agent = agent_in(rest.world)
    before = scrape()
    for _ in range(5):
        assert rest.get("GetStatus").status == 200
        assert rest.get("Nope").status == 404
        assert rest.get("Get", id="x").status == 400
    after = scrape()
    for name, labels, n in (
            ("answers_total", {"class": "2xx"}, 5),
            ("answers_total", {"class": "4xx"}, 10),
            ("answers_total", {"class": "5xx"}, 0),
            ("requests_total", {"result": "served"}, 10),
            ("requests_total", {"result": "refused"}, 5)):
        labels = {"server": "rest", **labels}
        assert count(after, name, **labels) - count(before, name, **labels) == n


def test_it_stops_and_starts(rest, clean):
    """With a stream that is open, and without waiting for it."""
    with rest.connect() as sock:
        sock.sendall(b"GET /v1/WatchEvents?follow=true HTTP/1.1\r\n"
                     b"Host: localhost\r\n\r\n")
        assert b" 200 " in sock.recv(4096)
        assert clean.stop(clean.cp) == 0
        clean.cp = None
    assert not os.path.exists(rest.path)
    clean.start_cp()
    until(lambda: os.path.exists(rest.path), "rest.sock is there")
    assert rest.get("GetStatus").status == 200
