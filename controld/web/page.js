// SPDX-License-Identifier: Apache-2.0
// Reads the daemon's API every few seconds and follows its events. It changes
// nothing there, and keeps nothing but a token, for as long as its tab is open.

import { follow, get, getAll, putToken, Refused } from "./api.js";
import { Attachments } from "./attachments.js";
import { Chart } from "./chart.js";
import { Events } from "./events.js";
import { Findings } from "./findings.js";
import { between, Rates } from "./rates.js";
import {
  drawFigures, drawHealth, drawNotices, drawVerdict, Latency, names, traffic,
} from "./status.js";

const POLL_MS = 2000;
const POLL_MANY_MS = 10000;
const MANY = 200; // attachments, of which a list is not asked for as often
const LISTED_MAX = 1000;
const HISTORY_S = 3600; // of events

const byId = (id) => document.getElementById(id);
const rates = new Rates();
const latency = new Latency();
const events = new Events((id) => attachments.nameOf(id));
const findings = new Findings();
const attachments = new Attachments(new Rates(), choose);
const charts = {
  traffic: new Chart(byId("traffic"), byId("traffic-key"), "Packets and calls",
    [[["allowed", "allowed"]], [["blocked", "blocked"]]]),
  names: new Chart(byId("names"), byId("names-key"), "Names",
    [[["allowed", "allowed"]],
      [["blocked", "blocked"], ["failed", "failed"]]]),
};
const state = {
  isPaused: false, isFollowing: false, isFinding: false, isAsking: false,
  hasHistory: false, listedAt: 0, timer: 0,
};

function choose(id) {
  const button = byId("chosen");
  button.hidden = !id;
  button.textContent = id ? `Only ${attachments.nameOf(id)} ×` : "";
  events.choose(id);
}

function draw(status) {
  const now = Date.now();
  const packets = rates.put("host", now, traffic(status));
  const dns = rates.put("names", now, names(status));
  const median = latency.put(now, status);
  if (rates.isKnown("host")) {
    charts.traffic.put(now, packets);
    charts.names.put(now, dns);
  }
  latency.draw();
  drawFigures(status, { packets, dns, median });
  drawVerdict(status, attachments.rows);
  drawNotices(status.warnings || []);
  drawHealth(status);
  findings.show(status.detection);
}

async function poll() {
  const status = await get("GetStatus");
  const pause = status.attachments > MANY ? POLL_MANY_MS : POLL_MS;
  if (Date.now() - state.listedAt >= pause - POLL_MS / 2) {
    const rows = await getAll("List", "attachments", LISTED_MAX);
    state.listedAt = Date.now();
    // Events came under ids that had no name yet.
    if (attachments.put(rows, status.attachments)) events.later();
  }
  draw(status);
  document.body.dataset.state = "live";
}

// What was before this page was opened.
async function readHistory() {
  const samples = (await get("GetHistory")).samples || [];
  const pick = (names) => between(samples.map((sample) => ({
    time: Number(sample.timeMs),
    ...Object.fromEntries(Object.entries(names).map(([name, key]) =>
      [name, Number(sample[key])])),
  })));
  charts.traffic.fill(pick({ allowed: "allowed", blocked: "blocked" }));
  charts.names.fill(pick({ allowed: "dnsAllowed", blocked: "dnsBlocked",
    failed: "dnsFailed" }));
}

// The figures that are shown are old.
function tellAway(error) {
  byId("verdict").textContent = `No answer: ${error.message}`;
  byId("verdict").dataset.level = "bad";
  document.body.dataset.state = "away";
}

// False: not before there is a token.
async function ask() {
  try {
    if (!state.hasHistory) await readHistory();
    state.hasHistory = true;
    await poll();
    startFollowing();
  } catch (error) {
    if (error instanceof Refused && [401, 403].includes(error.status)) {
      askForToken(error);
      return false;
    }
    tellAway(error);
  }
  return true;
}

async function turn() {
  if (state.isAsking || byId("login").open) return;
  clearTimeout(state.timer);
  state.isAsking = true;
  const goesOn = state.isPaused || document.hidden || await ask();
  state.isAsking = false;
  if (goesOn) state.timer = setTimeout(turn, POLL_MS);
}

function startFollowing() {
  if (state.isFollowing) return;
  state.isFollowing = true;
  events.draw();
  follow("WatchEvents", { follow: true, sinceSeconds: HISTORY_S },
    (event) => events.put(event), (what, text) => {
      byId("live-state").textContent = what === "open" ? "live"
        : `not live: ${text}`;
      byId("live-state").dataset.state = what;
      if (what === "refused") state.isFollowing = false;
    });
  if (state.isFinding) return;
  state.isFinding = true;
  findings.draw();
  follow("WatchFindings", { follow: true },
    (message) => findings.put(message), (what, text) => {
      findings.tell(what, text);
      if (what === "refused") state.isFinding = false;
    }, "POST");
}

function askForToken(error) {
  const dialog = byId("login");
  byId("verdict").textContent = "Not admitted";
  byId("verdict").dataset.level = "bad";
  byId("login-error").textContent = dialog.dataset.asked
    ? `Not admitted: ${error.message}` : "";
  dialog.dataset.asked = "yes";
  if (!dialog.open) dialog.showModal();
}

byId("login-form").addEventListener("submit", (event) => {
  event.preventDefault();
  putToken(byId("token").value.trim());
  byId("token").value = "";
  byId("login").close();
  turn();
});

byId("login").addEventListener("cancel", (event) => event.preventDefault());

byId("chosen").addEventListener("click", () => {
  attachments.chosen = null;
  attachments.draw();
  choose(null);
});

const choices = [...document.querySelectorAll("[data-minutes]")];
choices.forEach((button) => button.addEventListener("click", () => {
  choices.forEach((one) => one.setAttribute("aria-pressed",
    String(one === button)));
  Object.values(charts).forEach((chart) =>
    chart.show(button.dataset.minutes * 60e3));
}));

byId("pause").addEventListener("click", () => {
  state.isPaused = !state.isPaused;
  events.paused = state.isPaused;
  findings.paused = state.isPaused;
  byId("pause").textContent = state.isPaused ? "Go on" : "Pause";
  byId("pause").setAttribute("aria-pressed", String(state.isPaused));
  document.body.classList.toggle("paused", state.isPaused);
  if (state.isPaused) return;
  events.draw();
  findings.draw();
});

document.addEventListener("visibilitychange", () => {
  if (!document.hidden) turn();
});

turn();
