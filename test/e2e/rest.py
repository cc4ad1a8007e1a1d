# SPDX-License-Identifier: Apache-2.0
"""A client of rest.sock that sends what it is told, byte by byte."""

import json
import socket
import urllib.parse

from web import parse

LIMIT_S = 20.0
JSON = "application/json"


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        assert self.headers["content-type"] == JSON, self.body
        return json.loads(self.body)

    def __repr__(self):
        return f"{self.status} {self.body[:300]}"


class Rest:
    def __init__(self, path):
        self.path = str(path)

    def connect(self):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(LIMIT_S)
        sock.connect(self.path)
        return sock

    def raw(self, data):
        """All that comes until the other side closes."""
        got = b""
        with self.connect() as sock:
            try:
                sock.sendall(data)
                while part := sock.recv(1 << 16):
                    got += part
            except (ConnectionResetError, BrokenPipeError):
                pass
        return got

    def ask(self, verb, path, body=None, headers=(), host="localhost"):
        lines = [f"{verb} {path} HTTP/1.1", f"Host: {host}",
                 "Connection: close", *headers]
        data = b"" if body is None else body
        if body is not None:
            lines.append(f"Content-Length: {len(data)}")
        head = "\r\n".join(lines) + "\r\n\r\n"
        answer = parse(self.raw(head.encode("latin-1") + data))
        return Answer(answer["status"], answer["headers"], answer["body"])

    def post(self, method, message, headers=(f"Content-Type: {JSON}",)):
        body = message if isinstance(message, bytes) else \
            json.dumps(message).encode()
        return self.ask("POST", f"/v1/{method}", body, headers)

    def get(self, method, **fields):
        query = urllib.parse.urlencode(fields, doseq=True,
                                       quote_via=urllib.parse.quote)
        return self.ask("GET", f"/v1/{method}" + ("?" + query if query else ""))

    def good(self, method, **message):
        answer = self.post(method, message)
        assert answer.status == 200, answer
        return answer.json

    def document(self):
        answer = self.ask("GET", "/openapi.json")
        assert answer.status == 200
        return answer.json
