// SPDX-License-Identifier: Apache-2.0
// What rules and detectors find, as it happens.

import { clock, el, enumName, foreign, plural } from "./text.js";

const SHOWN_MAX = 100;
const TREE_MAX = 4; // of the processes that led to it

function understand(message) {
  const process = message.event?.process;
  const tree = process ? [process, ...(message.ancestors || [])] : [];
  return {
    time: Number(message.timeNs) / 1e6,
    severity: enumName(message.severity, "SEVERITY_"),
    source: message.rule || message.detector || "",
    text: message.text,
    tree: tree.slice(0, TREE_MAX + 1).map((one) => `${one.comm} [${one.pid}]`)
      .join(" < "),
    isGap: message.isGap,
    gap: Number(message.gap || 0),
  };
}

export class Findings {
  constructor() {
    this.kept = [];
    this.paused = false;
    this.isDrawn = true;
  }

  put(message) {
    this.kept.push(understand(message));
    if (this.kept.length > SHOWN_MAX) this.kept.shift();
    this.later();
  }

  // Many come at once; one drawing is enough for them.
  later() {
    if (!this.isDrawn || this.paused) return;
    this.isDrawn = false;
    setTimeout(() => this.draw(), 250);
  }

  // Where nothing can be found there is nothing to be shown.
  show(detection) {
    document.getElementById("findings-card").hidden =
      !detection?.rules && !this.kept.length;
  }

  tell(what, text) {
    const place = document.getElementById("findings-state");
    place.textContent = what === "open" ? "live" : `not live: ${text}`;
    place.dataset.state = what;
  }

  draw() {
    this.isDrawn = true;
    const body = document.querySelector("#findings tbody");
    body.replaceChildren(...this.kept.toReversed().map((one) =>
      (one.isGap ? this.gapRow(one) : this.row(one))));
    if (!this.kept.length) {
      body.append(el("tr", {}, el("td", { colspan: 5, class: "empty",
        text: "Nothing was found." })));
    }
  }

  row(one) {
    const isBad = ["critical", "error", "warning"].includes(one.severity);
    return el("tr", { role: "row" },
      el("td", { role: "cell", class: "time", text: clock(one.time) }),
      el("td", { role: "cell", class: isBad ? "why reason" : "why",
        text: one.severity }),
      el("td", { role: "cell", class: "of" }, foreign(one.source)),
      el("td", { role: "cell", class: "found" }, foreign(one.text)),
      el("td", { role: "cell", class: "wide found" }, foreign(one.tree)));
  }

  gapRow(one) {
    return el("tr", { role: "row" },
      el("td", { role: "cell", class: "time",
        text: one.time ? clock(one.time) : "" }),
      el("td", { role: "cell", class: "why", text: "gap" }),
      el("td", { role: "cell", class: "of" }, foreign(one.source)),
      el("td", { role: "cell", class: "found", colspan: 2,
        text: one.gap ? `${plural(one.gap, "finding")} left out`
          : "some are missing" }));
  }
}
