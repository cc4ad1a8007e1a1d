# SPDX-License-Identifier: Apache-2.0
"""An agent with a headless Chromium, by the WebDriver protocol (chromedriver), and
a forwarder of a TCP port to a Unix socket, as `ssh -L` makes one."""

import base64
import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import calls  # noqa: E402

LIMIT_S = 45
PORT = 9515
BASE = f"http://127.0.0.1:{PORT}"
# Without a proxy, whatever the environment says.
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def ask(method, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        BASE + path, data=data, method=method,
        headers={"Content-Type": "application/json"})
    try:
        with OPENER.open(request, timeout=LIMIT_S) as answer:
            return json.load(answer)["value"]
    except urllib.error.HTTPError as error:
        raise RuntimeError(json.load(error)["value"]["message"]) from None


def is_ready():
    try:
        return ask("GET", "/status")["ready"]
    except OSError:
        return False


def pump(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        pass
    for sock in (source, target):
        try:
            sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


class Browser:
    def __init__(self):
        self.driver = self.session = None

    def ping(self):
        return os.getpid()

    def start(self, folder):
        """folder: of its profile, which is made and stays behind."""
        self.driver = subprocess.Popen(
            ["setpriv", "--pdeathsig=KILL", "chromedriver", f"--port={PORT}",
             "--allowed-ips=127.0.0.1", "--log-level=SEVERE"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            env={**os.environ, "HOME": folder, "TMPDIR": folder})
        deadline = time.monotonic() + LIMIT_S
        while not is_ready():
            if time.monotonic() > deadline:
                raise RuntimeError("chromedriver is not ready")
            time.sleep(0.05)
        options = {"binary": "/usr/bin/chromium", "args": [
            # Root has no sandbox; what is shown comes from the daemon under test.
            "--headless=new", "--no-sandbox", "--disable-gpu",
            "--disable-dev-shm-usage", "--no-first-run", "--disable-extensions",
            "--disable-background-networking", "--no-proxy-server",
            "--hide-scrollbars", f"--user-data-dir={folder}/profile"]}
        made = ask("POST", "/session", {"capabilities": {"alwaysMatch": {
            "browserName": "chrome", "acceptInsecureCerts": True,
            "goog:chromeOptions": options,
            "goog:loggingPrefs": {"browser": "ALL"}}}})
        self.session = f"/session/{made['sessionId']}"
        return made["capabilities"]["browserVersion"]

    def devtools(self, command, **arguments):
        return ask("POST", f"{self.session}/goog/cdp/execute",
                   {"cmd": command, "params": arguments})

    def look(self, width, height, scheme="light", is_phone=False, scale=1):
        self.devtools("Emulation.setDeviceMetricsOverride", width=width,
                      height=height, deviceScaleFactor=scale, mobile=is_phone)
        self.devtools("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": scheme}])

    def open(self, url):
        ask("POST", f"{self.session}/url", {"url": url})

    def run(self, script, arguments=()):
        return ask("POST", f"{self.session}/execute/sync",
                   {"script": script, "args": list(arguments)})

    def shot(self, path):
        """Of the whole page."""
        size = self.run("const e = document.documentElement;"
                        "return [e.clientWidth, e.scrollHeight]")
        made = self.devtools(
            "Page.captureScreenshot", captureBeyondViewport=True,
            clip={"x": 0, "y": 0, "width": size[0], "height": size[1],
                  "scale": 1})
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_bytes(base64.b64decode(made["data"]))

    def take_log(self):
        """What the console was told since the last call, violations of the
        policy included."""
        return ask("POST", f"{self.session}/se/log", {"type": "browser"})

    def forward(self, port, path):
        listener = socket.create_server(("127.0.0.1", port))

        def serve():
            while True:
                near, _ = listener.accept()
                far = socket.socket(socket.AF_UNIX)
                try:
                    far.connect(path)
                except OSError:
                    near.close()
                    continue
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=pump, args=pair,
                                     daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()


if __name__ == "__main__":
    calls.serve(Browser())
