# SPDX-License-Identifier: Apache-2.0
"""The web page as it is served, and its files against each other and the API that
they read. (`make check-peers` looks at it in a browser.)"""

import json
import os
import re
from pathlib import Path

import pytest

from rest import Rest
from world import until

FOLDER = Path(__file__).resolve().parents[2] / "controld/web"
HTML = (FOLDER / "page.html").read_text()
SCRIPTS = {path.name: path.read_text() for path in FOLDER.glob("*.js")}
SCRIPT = "\n".join(SCRIPTS.values())
TYPES = {"html": "text/html; charset=utf-8", "css": "text/css; charset=utf-8",
         "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}
POLICY = {
    "default-src": "'none'", "script-src": "'self'", "style-src": "'self'",
    "img-src": "'self'", "connect-src": "'self'", "base-uri": "'none'",
    "form-action": "'none'", "frame-ancestors": "'none'",
    "require-trusted-types-for": "'script'", "trusted-types": "'none'"}


@pytest.fixture
def rest(clean):
    client = Rest(clean.run_dir / "rest.sock")
    until(lambda: os.path.exists(client.path), "rest.sock is there")
    return client


def files():
    return {"/": FOLDER / "page.html",
            **{f"/web/{path.name}": path for path in FOLDER.iterdir()
               if path.suffix[1:] in TYPES and path.name != "page.html"}}


def test_each_file_is_served_as_it_is_with_strict_headers(rest):
    assert len(files()) == 12
    for path, file in files().items():
        answer = rest.ask("GET", path)
        assert answer.status == 200, path
        assert answer.body == file.read_text()
        headers = answer.headers
        assert headers["content-type"] == TYPES[file.suffix[1:]]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-opener-policy"] == "same-origin"
        assert dict(part.split(" ", 1) for part in headers[
            "content-security-policy"].split("; ")) == POLICY
        assert rest.ask("HEAD", path).body == ""
        assert rest.ask("POST", path, b"").status == 405


def test_files_are_asked_for_again_and_kept_by_tag(rest):
    tags = set()
    for path in files():
        headers = rest.ask("GET", path).headers
        assert headers["cache-control"] == "no-cache"
        tags.add(headers["etag"])
        again = rest.ask("GET", path,
                         headers=[f"If-None-Match: {headers['etag']}"])
        assert (again.status, again.body) == (304, "")
        assert again.headers["etag"] == headers["etag"]
        assert rest.ask("GET", path,
                        headers=['If-None-Match: "0"']).status == 200
    assert len(tags) == len(files())
    # What the API answers is never kept.
    assert rest.get("GetStatus").headers["cache-control"] == "no-store"


def test_the_page_is_for_this_host_alone(rest):
    assert rest.ask("GET", "/", host="evil.example").status == 421
    assert rest.ask("GET", "/", headers=[
        "Origin: http://evil.example"]).status == 403
    # A link from elsewhere is how most come to a page; it carries nothing.
    assert rest.ask("GET", "/", headers=[
        "Sec-Fetch-Site: none"]).status == 200


@pytest.mark.parametrize("path,headers,status", [
    ("/", ["Sec-Fetch-Dest: document"], 200),
    ("/", ["Sec-Fetch-Dest: iframe"], 403),
    ("/", ["Sec-Fetch-Dest: document", "Origin: null"], 403),
    ("/web/page.js", ["Sec-Fetch-Dest: script"], 403),
    ("/v1/GetStatus", ["Sec-Fetch-Dest: document"], 403),
    ("/openapi.json", ["Sec-Fetch-Dest: document"], 403)])
def test_links_of_other_sites_lead_to_the_page_and_no_further(rest, path,
                                                              headers, status):
    assert rest.ask("GET", path, headers=[
        "Sec-Fetch-Site: cross-site", *headers]).status == status


def test_nothing_is_inline_and_nothing_is_elsewhere():
    for name, text in {**SCRIPTS, "page.html": HTML, "page.css": (
            FOLDER / "page.css").read_text()}.items():
        assert not re.search(r"\son\w+\s*=\s*[\"']|<style|\sstyle=|javascript:|"
                             r"@import|url\(", text), name
        assert set(re.findall(r"https?://[^\"'\s]+", text)) <= {
            "http://www.w3.org/2000/svg"}, name
    for word in ("innerHTML", "outerHTML", "insertAdjacentHTML",
                 "document.write", "eval(", "new Function", "localStorage",
                 "document.cookie", "new EventSource"):
        assert word not in SCRIPT, word
    assert all("</script>" in tag and 'src="' in tag
               for tag in re.findall(r"<script.*?</script>", HTML, re.S))


def test_scripts_fit_each_other_and_the_page():
    ids = set(re.findall(r'id="([\w-]+)"', HTML))
    asked = set(re.findall(r'(?:byId|getElementById)\("([\w-]+)"\)', SCRIPT)) | \
        set(re.findall(r'querySelector\("#([\w-]+)', SCRIPT))
    assert asked <= ids and len(asked) > 15
    for name, text in SCRIPTS.items():
        for names, source in re.findall(
                r'^import \{([^}]*)\} from "\./([\w.]+)";', text, re.M):
            exported = set(re.findall(
                r"^export (?:async )?(?:function|class|const) (\w+)",
                SCRIPTS[source], re.M))
            wanted = {one.strip() for one in names.split(",") if one.strip()}
            assert wanted <= exported, (name, source)


def test_what_scripts_read_is_what_the_api_tells(rest):
    document = rest.document()
    schemas = document["components"]["schemas"].values()
    fields = {name for schema in schemas
              for name in schema.get("properties", {})}
    values = set(re.findall(r'"([A-Z]+(?:_[A-Z0-9]+)+)"', json.dumps(document)))
    read = set(re.findall(
        r"\b(?:status|message|plane|dp|told|sums|sample)\??\.(\w+)", SCRIPT))
    read -= {"js", "time"}  # an import's name, and a sample that was read
    assert {"daemonId", "packetsBlocked", "lastSync", "kernelLost"} <= read
    assert read <= fields, read - fields
    named = set(re.findall(r'"([A-Z]+(?:_[A-Z0-9]+)*_)"', SCRIPT)) | \
        set(re.findall(r'"([A-Z]+(?:_[A-Z0-9]+)+)"', SCRIPT))
    assert len(named) >= 5
    for name in named:
        assert any(value.startswith(name) for value in values), name
    methods = set(re.findall(r'\b(?:get|getAll|follow)\("(\w+)"', SCRIPT))
    posted = set(re.findall(r'\bfollow\("(\w+)",(?:(?!\bfollow\().)*?"POST"\);',
                            SCRIPT, re.S))
    assert posted == {"WatchFindings"}
    assert methods - posted == {"GetStatus", "List", "GetHistory",
                                "WatchEvents"}
    for method in methods:
        verb = "post" if method in posted else "get"
        assert verb in document["paths"][f"/v1/{method}"]
