# SPDX-License-Identifier: Apache-2.0
"""An agent that speaks HTTP by hand, so that it can speak it badly. Each call
answers with what came, byte by byte."""

import socket
import time

import calls

LIMIT_S = 20.0


def connect(port):
    sock = socket.create_connection(("127.0.0.1", port), timeout=LIMIT_S)
    sock.settimeout(LIMIT_S)
    return sock


def parse(data):
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    headers = {}
    for line in lines[1:]:
        key, _, value = line.partition(":")
        headers[key.lower()] = value.strip()
    parts = lines[0].split()
    return {"status": int(parts[1]) if len(parts) > 1 else 0,
            "headers": headers, "body": body.decode("utf-8", "replace")}


class Web:
    def __init__(self):
        self.kept = []
        self.listener = None

    def ping(self):
        return True

    def get(self, port, path="/metrics", method="GET", headers=()):
        lines = [f"{method} {path} HTTP/1.1", "Host: localhost",
                 "Connection: close", *headers]
        begun = time.monotonic()
        answer = parse(self.receive(port, "\r\n".join(lines) + "\r\n\r\n"))
        answer["took_s"] = time.monotonic() - begun
        return answer

    @staticmethod
    def receive(port, text):
        with connect(port) as sock:
            got = []
            try:
                sock.sendall(text.encode("latin-1"))
                while True:
                    data = sock.recv(1 << 20)
                    if not data:
                        break
                    got.append(data)
            except (ConnectionResetError, BrokenPipeError):
                pass
            return b"".join(got)

    def raw(self, port, text):
        """All that comes until the other side closes."""
        return self.receive(port, text).decode("latin-1")

    def get_or_none(self, port, path="/metrics"):
        try:
            return self.get(port, path)["status"]
        except OSError:
            return None

    def listen(self, port):
        self.listener = socket.create_server(("127.0.0.1", port))

    def unlisten(self):
        self.listener.close()

    def hold(self, port, count, text=""):
        """Connections that send this much and then nothing, and read nothing."""
        for _ in range(count):
            sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.settimeout(LIMIT_S)
            sock.connect(("127.0.0.1", port))
            sock.sendall(text.encode("latin-1"))
            self.kept.append(sock)
        return len(self.kept)

    def drop(self):
        for sock in self.kept:
            sock.close()
        self.kept = []

    def repeat(self, port, path, count, pause_s):
        """Scrapes one after the other; statuses, and the longest time."""
        statuses, longest = {}, 0.0
        for _ in range(count):
            answer = self.get(port, path)
            key = str(answer["status"])
            statuses[key] = statuses.get(key, 0) + 1
            longest = max(longest, answer["took_s"])
            time.sleep(pause_s)
        return {"statuses": statuses, "longest_s": longest}


if __name__ == "__main__":
    calls.serve(Web())
