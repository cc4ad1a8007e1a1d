// SPDX-License-Identifier: Apache-2.0
// The host as a whole: the verdict, the figures, how long names take, health.

import { quantile } from "./rates.js";
import {
  count, duration, el, enumName, foreign, micros, plural, rate, share,
} from "./text.js";

const byId = (id) => document.getElementById(id);

export function traffic(status) {
  const sums = status.traffic || {};
  return {
    allowed: Number(sums.packetsAllowed || 0),
    blocked: Number(sums.packetsBlocked || 0) + Number(sums.callsRefused || 0),
  };
}

export function names(status) {
  const dns = status.dns || {};
  return {
    allowed: Number(dns.allowed || 0),
    blocked: Number(dns.blocked || 0),
    failed: Number(dns.failed || 0),
  };
}

// The queries of the last minute or so, by how long they took; all since the
// daemon's start while there were none.
export class Latency {
  constructor() {
    this.samples = [];
  }

  put(time, status) {
    const rows = (status.dns?.latencies || []).map((row) => ({
      upToUs: Number(row.upToUs), count: Number(row.count) }));
    this.samples.push({ time, rows });
    while (this.samples.length > 2 && this.samples[1].time < time - 60e3) {
      this.samples.shift();
    }
    const before = this.samples[0].rows;
    const recent = rows.map((row, i) => ({ upToUs: row.upToUs,
      count: Math.max(0, row.count - (before[i]?.count || 0)) }));
    this.isRecent = recent.some((row) => row.count);
    this.rows = this.isRecent ? recent : rows;
    return quantile(this.rows, 0.5);
  }

  draw() {
    const n = this.rows.reduce((sum, row) => sum + row.count, 0);
    const most = Math.max(1, ...this.rows.map((row) => row.count));
    byId("latency-span").textContent = !n ? "none asked yet"
      : `${plural(n, "name")}, ${this.isRecent
        ? "last minute" : "since the start"}`;
    byId("latency").replaceChildren(
      el("dl", { class: "quantiles" }, ...[[0.5, "median"], [0.95, "95 %"],
        [0.99, "99 %"]].flatMap(([q, label]) => {
        const value = quantile(this.rows, q);
        return [el("div", {}, el("dt", { text: label }),
          el("dd", { text: value === null ? "–" : micros(value) }))];
      })),
      el("div", { class: "histogram", role: "img",
        "aria-label": this.describe(n) }, ...this.rows.map((row) => {
        const bar = el("span", { title: `${row.upToUs
          ? `up to ${micros(row.upToUs)}` : "longer"}: ${row.count}` });
        bar.style.height = `${row.count ? Math.max(4,
          (100 * row.count) / most) : 0}%`;
        return el("span", { class: "slot" }, bar);
      })),
      this.axis());
  }

  // Under the bounds of the rows.
  axis() {
    const marks = [1000, 10000, 100000, 1000000];
    return el("p", { class: "axis", "aria-hidden": "true" },
      ...this.rows.flatMap((row, i) => {
        if (!marks.includes(row.upToUs)) return [];
        const mark = el("span", { text: micros(row.upToUs) });
        mark.style.left = `${(100 * (i + 1)) / this.rows.length}%`;
        return [mark];
      }));
  }

  describe(n) {
    const value = quantile(this.rows, 0.95);
    return n ? `95 of 100 names are answered within ${micros(value)}`
      : "no name was asked for";
  }
}

function figure(label, value, detail, level = "") {
  return el("div", { class: `figure ${level}`.trim() },
    el("dt", { text: label }), el("dd", { text: value }),
    el("dd", { class: "detail", text: detail }));
}

export function drawFigures(status, rates) {
  const { packets, dns, median } = rates;
  const asked = dns.allowed + dns.blocked + dns.failed;
  byId("figures").replaceChildren(
    figure("Attachments", count(status.attachments),
      status.attachmentsWaiting
        ? `${status.attachmentsWaiting} without target`
        : "every target is there"),
    figure("Allowed", `${rate(packets.allowed)}/s`, "packets"),
    figure("Blocked", `${rate(packets.blocked)}/s`,
      `${share(packets.blocked, packets.allowed + packets.blocked)} of all`,
      packets.blocked ? "hot" : ""),
    figure("Names", `${rate(asked)}/s`,
      `${share(dns.blocked, asked)} blocked, ${share(dns.failed, asked)} failed`,
      dns.failed > asked / 10 ? "warn" : ""),
    figure("Median answer", median === null ? "–" : micros(median),
      `${share(Number(status.dns?.cacheHits || 0),
        Number(status.dns?.cacheHits || 0) +
        Number(status.dns?.cacheMisses || 0))} from the cache`),
    figure("Control plane", status.controlPlane
      ? enumName(status.controlPlane.state, "CONTROL_PLANE_STATE_") : "none",
    status.controlPlane
      ? `${plural(Number(status.controlPlane.queuedEvents), "event")} wait`
      : "policies are local",
    status.controlPlane && status.controlPlane.state !==
      "CONTROL_PLANE_STATE_SYNCED" ? "warn" : ""));
}

// rows: of attachments.
export function drawVerdict(status, rows) {
  const wrong = rows.filter((row) => row.state === "repairing").length;
  const verdict = byId("verdict");
  let level = "ok";
  let text = status.attachments ? "Enforcing" : "Nothing attached";
  if (!status.dataplane?.connected) {
    [level, text] = ["bad", "sentinel-dp is away: the last policies hold"];
  } else if (wrong) {
    [level, text] = ["bad", `${plural(wrong, "attachment")} not as stated`];
  } else if (status.warnings?.length) {
    [level, text] = ["warn", "Enforcing, with warnings"];
  }
  // Said aloud only when it changes.
  if (verdict.textContent !== text) verdict.textContent = text;
  verdict.dataset.level = level;
  byId("about").textContent = `sentinel-cp ${status.version}, up ${
    duration(Number(status.uptimeSeconds))} · ${status.daemonId.slice(0, 8)}`;
}

export function drawNotices(texts) {
  const list = byId("notices");
  list.hidden = !texts.length;
  if (list.dataset.text === texts.join("\n")) return;
  list.dataset.text = texts.join("\n");
  list.replaceChildren(...texts.map((text) => el("li", {}, foreign(text))));
}

function item(level, title, ...lines) {
  return el("div", { class: "item" },
    el("h3", {}, el("span", { class: `dot ${level}` }),
      document.createTextNode(title)),
    ...lines.map((line) => (typeof line === "string"
      ? el("p", {}, foreign(line)) : line)));
}

function meter(name, entries, capacity) {
  const bar = el("meter", { min: 0, max: capacity || 1, low: 0,
    high: 0.8 * capacity, optimum: 0, value: entries, "aria-label": name });
  return el("div", { class: "table-fill" }, el("span", { text: name }), bar,
    el("span", { class: "n", text: `${count(entries)} of ${count(capacity)}` }));
}

function link(status) {
  const dp = status.dataplane || {};
  return dp.connected
    ? item("ok", "sentinel-dp", `connected, ${dp.version}`)
    : item("bad", "sentinel-dp", dp.lastError || "not connected",
      "The kernel goes on enforcing the last policies.");
}

function control(status) {
  const plane = status.controlPlane;
  if (!plane) return item("idle", "Control plane", "none is configured");
  const state = enumName(plane.state, "CONTROL_PLANE_STATE_");
  const since = Date.now() / 1000 - Number(plane.lastSync);
  return item(state === "synced" ? "ok" : "warn", "Control plane",
    `${state}, ${plane.url}`,
    Number(plane.lastSync) ? `in step ${duration(Math.max(since, 1))} ago`
      : "not in step since the start",
    `${plural(Number(plane.commands), "command")}, ${
      plane.commandsRefused} refused; ${plane.queuedEvents} events wait, ${
      plane.droppedEvents} dropped`,
    ...(plane.lastError ? [plane.lastError] : []));
}

function resolver(status) {
  const dns = status.dns;
  if (!dns) return item("idle", "Resolver", "none");
  const whole = dns.listeners >= dns.listenersWanted && dns.upstreams > 0;
  return item(whole ? "ok" : "warn", "Resolver",
    `listens on ${dns.listeners} of ${dns.listenersWanted} sockets`,
    `${plural(dns.upstreams, "upstream server")}, ${
      plural(Number(dns.upstreamAsked), "question")}, ${
      count(Number(dns.upstreamFailed))} without answer`,
    `${plural(dns.waiting, "query", "queries")} under way`);
}

function events(status) {
  const told = status.events || {};
  const gone = Number(told.kernelLost || 0) + Number(told.missed || 0);
  return item(gone ? "warn" : "ok", "Events",
    `${count(Number(told.recorded || 0))} recorded, ${
      count(Number(told.limited || 0) + Number(told.kernelLimited || 0))
    } over a rate`,
    `${count(gone)} lost or missed, ${plural(told.readers || 0, "reader")}`);
}

function features(status) {
  const rows = status.features || [];
  const level = { FULL: "ok", PARTIAL: "idle", UNSUPPORTED: "warn" };
  return item(rows.some((row) => row.state === "FEATURE_STATE_UNSUPPORTED")
    ? "warn" : "ok", "Features", ...rows.map((row) => {
    const state = row.state.replace("FEATURE_STATE_", "");
    return el("p", {}, el("span", { class: `dot ${level[state] || "bad"}` }),
      document.createTextNode(`${row.name} ${state.toLowerCase()}`),
      row.reason ? foreign(`: ${row.reason}`) : null);
  }));
}

export function drawHealth(status) {
  const tables = status.tables || [];
  const full = tables.some((row) =>
    Number(row.entries) > 0.8 * Number(row.capacity));
  byId("health").replaceChildren(
    link(status), control(status), resolver(status),
    item(full ? "warn" : "ok", "Kernel tables", ...tables.map((row) =>
      meter(row.name.replace(/^sn_/, ""), Number(row.entries),
        Number(row.capacity)))),
    events(status), features(status));
}
