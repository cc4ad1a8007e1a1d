# SPDX-License-Identifier: Apache-2.0
"""The web page in a real Chromium, on real traffic: what it shows, in light and
dark, on a desk and on a phone; and that nothing that a workload is called or
asks for becomes more than text. Pictures are written to build/page."""

import re
import signal
import sys

import pytest

import named  # noqa: F401  the resolver's helpers are in its folder
from lab import DnsWorld, Site, config, until
from test_metrics import agent_in
from test_rest_tls import CONFIG as TLS, PORT as TLS_PORT, Keys
from world import BUILD, HERE, Agent, run

PORT = 8080
URL = f"http://localhost:{PORT}/"
PICTURES = BUILD.resolve() / "page"
EVIL = "<svg/onload=alert(1)>"  # no dot, no space: one label as it stands
POLICY = """
dns:
  domains:
    - {allow: good.test}
cidrs:
  - {allow: 10.20.0.0/16}
"""
# Opens a connection under a name that is markup.
CALLER = """
import ctypes, socket, sys
ctypes.CDLL(None).prctl(15, b"<b id=evil>x", 0, 0, 0)
socket.socket().connect_ex((sys.argv[1], int(sys.argv[2])))
"""
SIZES = {"desktop": (1440, 900, False), "phone": (390, 844, True)}

# Texts whose contrast with what is behind them is below WCAG's 4.5.
CONTRAST = r"""
const parse = (text) => text.match(/[\d.]+/g).map(Number);
const light = (colour) => {
  const [r, g, b] = colour.slice(0, 3).map((part) => {
    const x = part / 255;
    return x <= 0.03928 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const behind = (element) => {
  for (let at = element; at; at = at.parentElement) {
    const colour = parse(getComputedStyle(at).backgroundColor);
    if (colour.length < 4 || colour[3] === 1) return colour;
  }
  return [255, 255, 255];
};
const found = [];
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const element = walker.currentNode.parentElement;
  if (!walker.currentNode.textContent.trim() || !element.offsetParent) continue;
  const [a, b] = [light(parse(getComputedStyle(element).color)),
    light(behind(element))].sort((x, y) => y - x);
  const ratio = (a + 0.05) / (b + 0.05);
  if (ratio < 4.5) {
    found.push([walker.currentNode.textContent, element.className, ratio]);
  }
}
return found;
"""


@pytest.fixture(scope="module")
def world(host):
    made = DnsWorld(config=config())
    yield made
    made.end()


@pytest.fixture(scope="module")
def browser(world):
    folder = world.folder / "browser"
    folder.mkdir()
    made = Agent([*world.in_cgroup("daemons"), *world.network.enter("router")],
                 HERE / "peers" / "browser.py")
    world.network.browser = made  # ends with the world
    made.start(folder=str(folder))
    made.forward(port=PORT, path=str(world.run_dir / "rest.sock"))
    yield made


@pytest.fixture
def page(clean, browser):
    clean.zone(good={"A": [60, "203.0.113.1"]})
    until(lambda: agent_in(clean).get_or_none(port=PORT, path="/") == 200,
          "the page is served")
    browser.look(width=1440, height=900)
    browser.open(url=URL)
    browser.take_log()
    yield Page(browser)


class Page:
    def __init__(self, browser):
        self.browser = browser

    def run(self, script, *arguments):
        return self.browser.run(script=script, arguments=arguments)

    def text(self, selector):
        return self.run("return document.querySelector(arguments[0])"
                        "?.textContent ?? ''", selector)

    def texts(self, selector):
        return self.run("return [...document.querySelectorAll(arguments[0])]"
                        ".map((one) => one.textContent)", selector)

    def click(self, selector):
        self.run("document.querySelector(arguments[0]).click()", selector)

    def wait(self, selector, pattern, limit_s=20):
        def is_there():
            return any(re.search(pattern, text)
                       for text in self.texts(selector))

        try:
            until(is_there, f"{selector}: {pattern}", limit_s, 0.1)
        except AssertionError as error:
            raise AssertionError(f"{error}; {self.texts(selector)}; "
                                 f"{self.browser.take_log()}") from None

    def complaints(self):
        return [entry["message"] for entry in self.browser.take_log()
                if entry["level"] in ("SEVERE", "WARNING")]


def use(site):
    """Something allowed, and of each kind something blocked."""
    site.query("good.test")
    site.query("other.test")
    site.is_open("203.0.113.1")
    site.is_open("203.0.113.77", 8080)


@pytest.fixture
def sites(clean):
    found = [Site(clean, kind) for kind in ("tc", "cgroup")]
    found[0].id = clean.attach("w0", "--meta", "tenant=acme", policy=POLICY)
    found[1].attach(POLICY)
    yield found


def test_it_shows_what_is_there_and_what_is_blocked(page, sites):
    page.wait("#verdict", "^Enforcing$")
    page.wait("#attachments tbody tr", "w0.*tenant=acme.*allowlist.*enforced")
    page.wait("#attachments tbody tr", "^box")
    page.wait("#live-state", "^live$")
    for site in sites:
        use(site)
    page.wait("#live tbody tr", "other.test.*dns-denied.*w0")
    page.wait("#live tbody tr", "203.0.113.77.*8080/tcp.*no-rule.*box.*python3")
    page.wait("#top li", "^other.test2$")
    page.wait("#health .item", "sentinel-dp.*connected")
    page.wait("#health .item", "Resolver.*8 of 8 sockets")
    page.wait("#health .item", "Control plane.*none is configured")
    page.wait("#latency dd", r"\d")
    until(lambda: use(sites[0]) or any(re.match(r"[<\d.]+", text) and text != "0"
                                       for text in page.texts("td.hot")),
          "a rate of what is blocked", limit_s=20)
    page.wait("#traffic svg path.line.blocked", "")
    assert page.complaints() == []


def test_it_fits_and_can_be_read(page, sites):
    page.wait("#live-state", "^live$")
    # The chart has a few points, from which there are lines.
    until(lambda: [use(site) for site in sites] and page.run(
        "return document.querySelector('#traffic path.line')"
        "?.getAttribute('d')?.split('L').length ?? 0") > 6, "a chart", limit_s=40)
    page.wait("#live tbody tr", "203.0.113.77.*w0")
    for name, (width, height, is_phone) in SIZES.items():
        for scheme in ("light", "dark"):
            page.browser.look(width=width, height=height, scheme=scheme,
                              is_phone=is_phone)
            # Drawn anew for its width.
            until(lambda: page.run(
                "const place = document.getElementById('traffic');"
                "return place.firstChild.getAttribute('width') ==="
                "String(place.clientWidth)"), "the chart fits", pause_s=0.1)
            page.browser.shot(path=str(PICTURES / f"{name}-{scheme}.png"))
            assert page.run("const e = document.documentElement;"
                            "return [e.clientWidth, e.scrollWidth]") == \
                [width, width]
            assert page.run(CONTRAST) == [], (name, scheme)
    assert page.complaints() == []


def test_names_that_are_markup_stay_text(page, clean):
    """Of a cgroup, of its metadata, of a process and of a question."""
    folder = clean.cgroup("<img src=x onerror=alert(1)>")
    ident = clean.attach(folder, "--meta", f"a={EVIL}", "--meta",
                         "b=x\u202eoff", policy=POLICY)
    client = clean.client("router", folder.name)
    client.query(name=EVIL + ".test", server="198.51.100.53")
    run(*clean.in_cgroup(folder.name), *clean.network.enter("router"),
        sys.executable, "-c", CALLER, "203.0.113.77", "8080")
    page.wait("#attachments tbody tr", re.escape("<img src=x onerror=alert(1)>"))
    page.wait("#attachments tbody .tag", "^" + re.escape("a=" + EVIL) + "$")
    page.wait("#attachments tbody .tag", "^b=x\ufffdoff$")
    page.wait("#live tbody tr", re.escape("<b id=evil>x"))
    # The daemon itself writes such names in the way of zone files.
    page.wait("#live tbody tr", r"\\060svg\\047onload")
    page.wait("#top li", r"\\060svg\\047onload")
    assert page.run("return document.querySelectorAll("
                    "'main img, main svg:not(.chart svg), main script, #evil').length"
                    ) == 0
    clean.ok("detach", ident)
    assert page.complaints() == []


def test_the_browser_would_run_nothing_else(page):
    """Were something of it to become markup."""
    for script in (
            "document.body.innerHTML = '<b>x</b>'",
            "document.createElement('script').text = 'window.ran = 1'",
            "document.body.setAttribute('onclick', 'window.ran = 1')",
            "setTimeout('window.ran = 1')"):
        assert page.run("try { " + script + " } catch (error) {"
                        "return error.constructor.name }") == "TypeError", \
            script
    assert page.run("""
        const image = new Image();
        image.src = 'http://127.0.0.1:9102/x.png';
        document.body.append(image);
        const style = document.createElement('style');
        style.textContent = 'main { display: none }';
        document.head.append(style);
        return [window.ran ?? null,
          getComputedStyle(document.querySelector('main')).display];
        """) == [None, "block"]
    assert any("Content Security Policy" in text for text in page.complaints())


def test_everything_comes_from_the_daemon(page):
    loaded = page.run("return performance.getEntriesByType('resource')"
                      ".map((one) => one.name)")
    assert len(loaded) >= 9
    assert all(name.startswith(URL) for name in loaded)


def test_sorting_finding_choosing_and_pausing(page, sites):
    page.wait("#attachments tbody tr", "w0")
    page.wait("#attachments tbody tr", "box")

    def order():
        return [text.split()[0][:2] for text in page.texts(
            "#attachments tbody .name")]

    page.click("#attachments thead th button")
    assert order() == ["bo", "w0"]
    page.click("#attachments thead th button")
    assert order() == ["w0", "bo"]
    assert page.run("return document.querySelector('[aria-sort]').ariaSort") \
        == "descending"
    for site in sites:
        use(site)
    page.wait("#live tbody tr", "w0")
    page.wait("#live tbody tr", "box")
    page.click("#attachments tbody .name")  # w0
    page.wait("#chosen", "Only w0")
    assert all("w0" in text for text in page.texts("#live tbody tr"))
    page.click("#chosen")
    page.wait("#live tbody tr", "box")
    page.run("const find = document.getElementById('find');"
             "find.value = 'ACME';"
             "find.dispatchEvent(new Event('input'))")
    assert order() == ["w0"]
    page.click("#pause")
    shown = page.texts("#live tbody tr")
    use(sites[0])
    assert page.text("#pause") == "Go on"
    assert page.texts("#live tbody tr") == shown
    page.click("#pause")
    until(lambda: page.texts("#live tbody tr") != shown, "it goes on", 20, 0.1)


def test_it_says_when_the_daemons_are_away_and_goes_on(page, sites):
    world = sites[0].world
    page.wait("#verdict", "^Enforcing$")
    page.wait("#live-state", "^live$")
    world.kill_dp()
    page.wait("#verdict", "sentinel-dp is away")
    page.wait("#notices li", "sentinel-dp is not connected")
    world.kill_cp()
    page.wait("#verdict", "No answer")
    page.wait("#live-state", "not live")
    world.start_dp()
    world.start_cp()
    page.wait("#verdict", "^Enforcing$")
    page.wait("#live-state", "^live$")
    sites[0].query("again.test")
    page.wait("#live tbody tr", "again.test")


def test_the_chart_begins_with_what_was_before(page, sites):
    """Samples of the daemon's, made every 10 s, of which two make a point."""
    browser = page.browser
    web = agent_in(sites[0].world)

    def count_samples():
        return web.get(port=PORT, path="/v1/GetHistory")["body"].count("timeMs")

    until(lambda: count_samples() >= 3, "samples", limit_s=40, pause_s=0.5)
    browser.open(url=URL)
    until(lambda: page.run(
        "return document.querySelector('#names path.line')"
        "?.getAttribute('d')?.split('L').length ?? 0") >= 2, "a line", pause_s=0.1)
    page.click("[data-minutes='60']")
    assert page.run("return [...document.querySelectorAll('[data-minutes]')]"
                    ".map((one) => one.ariaPressed)") == ["false", "true"]


def enter(page, token):
    page.run("document.getElementById('token').value = arguments[0];"
             "document.getElementById('login-form').requestSubmit()", token)


def test_over_tls_it_asks_for_a_token(clean, browser):
    keys = Keys(clean)
    rest = TLS[TLS.index("rest:"):].format(port=TLS_PORT, folder=keys.folder)
    clean.kill_cp()
    clean.config.write_text(clean.config.read_text() + rest)
    clean.start_cp()
    page = Page(browser)
    browser.open(url=f"https://localhost:{TLS_PORT}/")
    page.wait("#verdict", "^Not admitted$")
    assert page.run("return document.getElementById('login').open")
    assert page.text("#attachments tbody") == ""
    enter(page, "0" * 64)
    page.wait("#login-error", "^Not admitted: ")
    browser.shot(path=str(PICTURES / "token.png"))
    enter(page, keys.tokens["viewer"])
    page.wait("#verdict", "^Nothing attached$")
    page.wait("#live-state", "^live$")
    assert not page.run("return document.getElementById('login').open")
    assert page.run("return [document.cookie, localStorage.length]") == ["", 0]
    # In this tab it need not be told again.
    browser.open(url=f"https://localhost:{TLS_PORT}/")
    page.wait("#live-state", "^live$")
    # The daemon forgets it, and so it is asked for again.
    keys.write_callers(without=["viewer"])
    clean.cp.send_signal(signal.SIGHUP)
    page.wait("#verdict", "^Not admitted$")
