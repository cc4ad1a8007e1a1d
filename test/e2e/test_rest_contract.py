# SPDX-License-Identifier: Apache-2.0
"""Every route of the OpenAPI document, with inputs that are made of its schemas,
good ones and bad ones: no answer is one that the document does not have, none
is an error of the server's, and what is refused names the field."""

import json
import random
import re

import pytest

from rest import JSON, Rest
from world import until

ROUNDS = 12
# Of requests, by name; others are of their schema only.
TEXTS = {"id": ["{id}", "{id}", "0" * 32, "x", ""],
         "interfaceName": ["w0", "w9", "", "a" * 300],
         "cgroupPath": ["", "/sys/fs/cgroup/nope", "relative", "/../../etc"],
         "cidr": ["10.20.0.0/16", "::/0", "10.20.0.1/16", "1.2.3.4/33", "x"],
         "domain": ["a.test", "*.test", "xn--a", "a..b", "b" * 300],
         "destination": ["10.20.0.1", "a.test", "::1", "-"],
         "pageToken": ["", "", "x", "0"], "resume": ["", "", "x"],
         "ports": ["443/tcp", "1-65535/udp", "0/tcp", "icmp", "x"],
         "idPrefix": ["", "ab", "zz", "f" * 40]}
STRINGS = ["", "x", "\u00fc", "\u2028", "'; --", "../..", "%s%n", "a" * 5000,
           "\ud83d\ude00", "\r\nX: y", "\x7f"]
WRONG = {"string": [1, 1.5, True, [], {}], "boolean": ["true", 1, [], {}],
         "integer": ["x", 1.5, -2**40, True, [], {}, ""],
         "array": ["x", 1, {}, [None]], "object": ["x", 1, [], True]}


@pytest.fixture
def rest(clean):
    client = Rest(clean.run_dir / "rest.sock")
    until(client_is_there(client), "rest.sock is there")
    return client


def client_is_there(client):
    def look():
        try:
            return client.get("GetStatus").status == 200
        except OSError:
            return False
    return look


class Maker:
    def __init__(self, document, seed):
        self.schemas = document["components"]["schemas"]
        self.random = random.Random(seed)
        self.ident = "0" * 32

    def resolve(self, schema):
        ref = schema.get("$ref")
        return self.schemas[ref.rpartition("/")[2]] if ref else schema

    def text(self, name):
        choice = self.random.choice(TEXTS.get(name, STRINGS))
        return choice.replace("{id}", self.ident)

    def value(self, schema, name, depth=0):
        """One that the schema has."""
        schema = self.resolve(schema)
        pick = self.random
        kind = schema["type"]
        if "enum" in schema:
            return pick.choice(schema["enum"])
        if kind == "boolean":
            return pick.random() < 0.5
        if kind == "integer":
            return pick.choice([schema["minimum"], 0, 1, 6, 443,
                                schema["maximum"]])
        if kind == "array":
            return [self.value(schema["items"], name, depth + 1)
                    for _ in range(pick.randrange(3))]
        if kind == "object" and "properties" in schema:
            return {key: self.value(inner, key, depth + 1)
                    for key, inner in schema["properties"].items()
                    if pick.random() < (0.7 if depth < 3 else 0.3)}
        if kind == "object":
            return {self.text("key")[:40]: self.value(
                schema["additionalProperties"], name, depth + 1)}
        if "pattern" in schema:
            value = pick.choice(["0", "1", "60", str(2**63 - 1)])
            assert re.match(schema["pattern"], value)
            return value
        assert kind == "string", schema
        return self.text(name)

    def spoil(self, schema, value):
        """Not any more: one place of it has what the schema does not have.
        Returns the name of the field."""
        schema = self.resolve(schema)
        properties = schema["properties"]
        name = self.random.choice([*properties, "unknownField"])
        inner = self.resolve(properties.get(name, {"type": "string"}))
        if name == "unknownField":
            value[name] = 1
        elif "properties" in inner and self.random.random() < 0.7:
            value[name] = self.value(inner, name)
            return self.spoil(inner, value[name])
        elif "enum" in inner:
            value[name] = self.random.choice(["NOPE", [], {}, True, -1])
        else:
            wrong = WRONG[inner["type"]]
            if inner.get("pattern"):
                wrong = WRONG["integer"]
            value[name] = self.random.choice(wrong)
        return name


def snake(name):
    return re.sub("[A-Z]", lambda match: "_" + match[0].lower(), name)


def conforms(maker, schema, value):
    """Is it of the schema, and whole?"""
    schema = maker.resolve(schema)
    if "enum" in schema:
        assert value in schema["enum"]
    elif "properties" in schema:
        assert set(value) <= set(schema["properties"])
        for key, inner in value.items():
            conforms(maker, schema["properties"][key], inner)
    elif schema["type"] == "object":
        for inner in value.values():
            conforms(maker, schema["additionalProperties"], inner)
    elif schema["type"] == "array":
        for inner in value:
            conforms(maker, schema["items"], inner)
    elif schema["type"] == "integer":
        assert isinstance(value, int) and \
            schema["minimum"] <= value <= schema["maximum"]
    else:
        assert isinstance(value, {"string": str, "boolean": bool,
                                  "number": float}[schema["type"]])
        if "pattern" in schema:
            assert re.match(schema["pattern"], value)


def judge(maker, operation, answer):
    """As the document says."""
    assert answer.status < 500, (operation["operationId"], answer)
    kind = answer.headers["content-type"]
    responses = operation["responses"]
    response = responses.get(str(answer.status), responses["default"])
    assert kind in response["content"], answer
    schema = response["content"][kind].get("schema")
    if answer.status != 200 or kind == JSON:
        conforms(maker, schema, answer.json)
        return
    for line in dechunk(answer.body).split("\n"):
        if line.startswith("data: ") and "event: error" not in answer.body:
            conforms(maker, schema, json.loads(line[len("data: "):]))


def dechunk(body):
    text, at = "", 0
    while at < len(body):
        line, _, _ = body[at:].partition("\r\n")
        size = int(line, 16)
        at += len(line) + 2
        text += body[at:at + size]
        at += size + 2
    return text


def ready(rest, maker, interface):
    """An attachment that calls can be about; some calls end it."""
    if interface.world.ctl("show", maker.ident).code != 0:
        interface.world.detach_all()
        maker.ident = interface.world.attach("w0")


def operations(rest):
    document = rest.document()
    for path, item in document["paths"].items():
        for verb, operation in item.items():
            # A lease is no answer but a state; it has tests of its own.
            if path not in ("/v1/Lease", "/openapi.json"):
                yield path, verb, operation


def test_bodies_of_the_schema(rest, interface):
    maker = Maker(rest.document(), 1)
    served = set()
    for path, verb, operation in operations(rest):
        if verb != "post":
            continue
        schema = operation["requestBody"]["content"][JSON]["schema"]
        for _ in range(ROUNDS):
            ready(rest, maker, interface)
            body = maker.value(schema, "")
            # It would wait for events to come.
            body.pop("follow", None)
            answer = rest.post(path[len("/v1/"):], body)
            judge(maker, operation, answer)
            if answer.status == 200:
                served.add(path)
            elif answer.status == 400:
                assert answer.json["message"]
    assert {"/v1/List", "/v1/Get", "/v1/GetRules", "/v1/GetStatus",
            "/v1/Detach", "/v1/SetMode"} <= served


def test_bodies_not_of_the_schema(rest, interface):
    """Each is refused, by the name of the field that is wrong."""
    maker = Maker(rest.document(), 2)
    ready(rest, maker, interface)
    before = interface.world.ok("show", maker.ident)
    for path, verb, operation in operations(rest):
        if verb != "post":
            continue
        schema = operation["requestBody"]["content"][JSON]["schema"]
        for _ in range(ROUNDS):
            body = {}
            name = maker.spoil(schema, body)
            answer = rest.post(path[len("/v1/"):], body)
            judge(maker, operation, answer)
            assert answer.status == 400, (path, body, answer)
            assert name in answer.json["message"] or \
                snake(name) in answer.json["message"], (body, answer)
    after = interface.world.ok("show", maker.ident)
    assert after["mode"] == before["mode"]
    assert after["generation"] == before["generation"]


def test_bytes_that_are_no_bodies(rest, interface):
    """What was good, cut short, doubled, or with a byte changed."""
    maker = Maker(rest.document(), 3)
    for path, verb, operation in operations(rest):
        if verb != "post":
            continue
        schema = operation["requestBody"]["content"][JSON]["schema"]
        for _ in range(ROUNDS // 2):
            ready(rest, maker, interface)
            message = maker.value(schema, "")
            message.pop("follow", None)
            body = json.dumps(message).encode()
            at = maker.random.randrange(len(body))
            for spoilt in (body[:at], body + body,
                           body[:at] + bytes([maker.random.randrange(256)]) +
                           body[at + 1:]):
                if b"follow" not in spoilt:
                    judge(maker, operation,
                          rest.post(path[len("/v1/"):], spoilt))


def test_queries(rest, interface):
    maker = Maker(rest.document(), 4)
    ready(rest, maker, interface)
    for path, verb, operation in operations(rest):
        if verb != "get":
            continue
        for _ in range(ROUNDS):
            fields = {}
            for parameter in operation["parameters"]:
                if parameter["in"] == "query" and maker.random.random() < 0.6:
                    value = maker.value(parameter["schema"], parameter["name"])
                    fields[parameter["name"]] = \
                        str(value).lower() if isinstance(value, bool) else value
            fields.pop("follow", None)
            if any(len(str(value)) > 2000 for value in fields.values()):
                continue
            judge(maker, operation, rest.get(path[len("/v1/"):], **fields))
            answer = rest.get(path[len("/v1/"):], **fields, unknownField=1)
            assert answer.status == 400
            assert "unknownField" in answer.json["message"]
