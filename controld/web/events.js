// SPDX-License-Identifier: Apache-2.0
// What is blocked, as it happens, and what of it comes most often.

import { clock, count, el, enumName, foreign, plural } from "./text.js";

const KEPT_MAX = 5000; // counted in "Blocked by name"
const SHOWN_MAX = 100;
const TOP_MAX = 12;
const SAY_MS = 30000;

const PROTOCOLS = { 1: "icmp", 6: "tcp", 17: "udp", 58: "icmpv6", 132: "sctp" };
const TYPES = { 1: "A", 28: "AAAA", 5: "CNAME", 12: "PTR", 15: "MX", 16: "TXT",
  33: "SRV", 64: "SVCB", 65: "HTTPS" };

function port(event) {
  const protocol = PROTOCOLS[event.protocol] || `protocol ${event.protocol}`;
  return event.remotePort ? `${event.remotePort}/${protocol}` : protocol;
}

function understand(event) {
  const kind = enumName(event.kind, "EVENT_KIND_");
  return {
    kind,
    time: Number(event.timeMs),
    id: event.id,
    audited: event.audited,
    reason: event.reason,
    name: event.name || event.remoteAddress || "not an IP packet",
    detail: kind === "name" ? TYPES[event.nameType] || `type ${event.nameType}`
      : [port(event), event.name && event.remoteAddress].filter(Boolean)
        .join(" "),
    inbound: event.direction === "DIRECTION_INGRESS",
    process: event.comm ? `${event.comm} [${event.pid}]` : "",
    lost: Number(event.lost),
  };
}

export class Events {
  // nameOf(id): of an attachment.
  constructor(nameOf) {
    this.nameOf = nameOf;
    this.kept = [];
    this.lost = 0;
    this.chosen = null;
    this.paused = false;
    this.isDrawn = true;
    this.fresh = 0;
    setInterval(() => this.say(), SAY_MS);
  }

  put(message) {
    const event = understand(message);
    if (event.kind === "lost") {
      this.lost += event.lost;
    } else {
      this.kept.push(event);
      this.fresh += 1;
      if (this.kept.length > KEPT_MAX) this.kept.shift();
    }
    this.later();
  }

  choose(id) {
    this.chosen = id;
    this.draw();
  }

  // Many events come at once; one drawing is enough for them.
  later() {
    if (!this.isDrawn || this.paused) return;
    this.isDrawn = false;
    setTimeout(() => this.draw(), 250);
  }

  shown() {
    return this.chosen
      ? this.kept.filter((event) => event.id === this.chosen) : this.kept;
  }

  draw() {
    const events = this.shown();
    this.isDrawn = true;
    const body = document.querySelector("#live tbody");
    body.replaceChildren(...events.slice(-SHOWN_MAX).reverse()
      .map((event) => this.row(event)));
    if (!events.length) {
      body.append(el("tr", {}, el("td", { colspan: 5, class: "empty",
        text: "Nothing was blocked." })));
    }
    this.drawTop(events);
  }

  row(event) {
    return el("tr", { role: "row", ...(event.audited && { class: "audited" }) },
      el("td", { role: "cell", class: "time", text: clock(event.time) }),
      el("td", { role: "cell", class: "destination" },
        event.inbound ? el("span", { class: "tag", text: "in" }) : null,
        foreign(event.name),
        el("span", { class: "detail", text: event.detail })),
      el("td", { role: "cell", class: "why" }, el("span", { class: "reason", text: event.reason }),
        event.audited ? el("span", { class: "tag", text: "audit" })
          : null),
      el("td", { role: "cell", class: "of" }, foreign(this.nameOf(event.id))),
      el("td", { role: "cell", class: "wide process" }, foreign(event.process)));
  }

  drawTop(events) {
    const counts = new Map();
    for (const event of events) {
      if (!event.audited) {
        counts.set(event.name, (counts.get(event.name) || 0) + 1);
      }
    }
    const rows = [...counts].sort((a, b) => b[1] - a[1] ||
      (a[0] < b[0] ? -1 : 1));
    const most = rows.length ? rows[0][1] : 1;
    document.getElementById("top").replaceChildren(
      ...rows.slice(0, TOP_MAX).map(([name, n]) => {
        const bar = el("span", { class: "bar" });
        bar.style.width = `${(100 * n) / most}%`;
        return el("li", {}, bar, foreign(name, { class: "what" }),
          el("span", { class: "n", text: count(n) }));
      }));
    document.getElementById("top-span").textContent = events.length
      ? `of the last ${plural(events.length, "event")}${rows.length > TOP_MAX
        ? `, ${rows.length - TOP_MAX} more names` : ""}` : "none yet";
  }

  // For those who do not see it move; seldom, because it never ends.
  say() {
    if (!this.fresh || this.paused) return;
    document.getElementById("said").textContent =
      `${plural(this.fresh, "event")} in the last half minute`;
    this.fresh = 0;
  }
}
