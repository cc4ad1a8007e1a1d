// SPDX-License-Identifier: Apache-2.0
// The table of attachments: state, rates, totals; sorted and searched here.

import {
  bytes, count, el, enumName, folder, foreign, plural, rate, short,
} from "./text.js";

const ROWS_MAX = 200; // shown; all that are known are sorted and searched

const COLUMNS = [
  { key: "target", title: "Workload", value: (row) => row.target, text: true },
  { key: "mode", title: "Mode", value: (row) => row.mode, text: true },
  { key: "state", title: "State", value: (row) => row.state, text: true },
  { key: "allowedRate", title: "Allowed/s", value: (row) => row.rates.allowed },
  { key: "blockedRate", title: "Blocked/s", value: (row) => row.rates.blocked },
  { key: "blocked", title: "Blocked", value: (row) => row.blocked },
  { key: "bytesRate", title: "Bytes/s", value: (row) => row.rates.bytes,
    wide: true },
  { key: "names", title: "Names", value: (row) => row.names, wide: true },
  { key: "learnt", title: "Learnt", value: (row) => row.learnt, wide: true },
  { key: "rules", title: "Rules", value: (row) => row.rules, wide: true },
];

const STATES = {
  enforced: "ok", "detached-dp": "warn", waiting: "idle", repairing: "bad",
};

export function counters(message) {
  return {
    allowed: Number(message.packetsAllowed),
    blocked: Number(message.packetsBlocked) + Number(message.callsRefused),
    bytes: Number(message.bytesAllowed),
  };
}

function understand(message, rates) {
  const total = counters(message);
  return {
    id: message.id,
    target: message.target,
    metadata: Object.entries(message.metadata || {}),
    mode: enumName(message.mode, "MODE_") + (message.audit ? " (audit)" : ""),
    state: enumName(message.state, "ATTACHMENT_STATE_"),
    rates: rates.put(message.id, Date.now(), total),
    blocked: total.blocked,
    names: Number(message.dnsAllowed) + Number(message.dnsBlocked) +
      Number(message.dnsFailed),
    namesBlocked: Number(message.dnsBlocked),
    learnt: message.learntAddresses,
    rules: message.rules + message.domainRules,
    notes: message.notes || [],
  };
}

export class Attachments {
  // choose(id): the user chose a row, or none (null).
  constructor(rates, choose) {
    this.rates = rates;
    this.choose = choose;
    this.rows = [];
    this.chosen = null;
    this.order = { key: "blockedRate", down: true };
    this.search = "";
    this.head();
    document.getElementById("find").addEventListener("input", (event) => {
      this.search = event.target.value.trim().toLowerCase();
      this.draw();
    });
  }

  head() {
    const row = document.querySelector("#attachments thead tr");
    this.heads = COLUMNS.map((column) => {
      const button = el("button", { type: "button", text: column.title });
      const cell = el("th", { scope: "col", class: this.classes(column) },
        button);
      button.addEventListener("click", () => {
        this.order = { key: column.key, down: this.order.key === column.key
          ? !this.order.down : !column.text };
        this.draw();
      });
      row.append(cell);
      return [column.key, cell];
    });
  }

  classes(column) {
    return [column.text ? "" : "number", column.wide ? "wide" : ""]
      .filter(Boolean).join(" ");
  }

  // messages: of List; total: that there are. True: they are others than before.
  put(messages, total) {
    const ids = messages.map((message) => message.id).join();
    const isOther = ids !== this.ids;
    this.ids = ids;
    this.rows = messages.map((message) => understand(message, this.rates));
    this.total = total;
    this.rates.keep(new Set(this.rows.map((row) => row.id)));
    this.draw();
    return isOther;
  }

  nameOf(id) {
    const row = this.rows.find((one) => one.id === id);
    return row ? short(row.target) : id.slice(0, 8);
  }

  sorted() {
    const column = COLUMNS.find((one) => one.key === this.order.key);
    const sign = this.order.down ? -1 : 1;
    return this.rows.filter((row) => !this.search || [row.id, row.target,
      row.mode, row.state, ...row.metadata.flat()].some((text) =>
      text.toLowerCase().includes(this.search))).sort((a, b) => {
      const [one, other] = [column.value(a), column.value(b)];
      if (one === other) return b.blocked - a.blocked || (a.id < b.id ? -1 : 1);
      return (one < other ? -1 : 1) * sign;
    });
  }

  draw() {
    const rows = this.sorted();
    for (const [key, cell] of this.heads) {
      if (key === this.order.key) {
        cell.setAttribute("aria-sort", this.order.down ? "descending"
          : "ascending");
      } else {
        cell.removeAttribute("aria-sort");
      }
    }
    const focused = document.activeElement?.dataset?.id;
    const body = document.querySelector("#attachments tbody");
    body.replaceChildren(...rows.slice(0, ROWS_MAX).map((row) =>
      this.row(row)));
    if (!rows.length) {
      body.append(el("tr", {}, el("td", { colspan: COLUMNS.length,
        class: "empty", text: this.search ? "None has that."
          : "Nothing is attached. Begin with: sentinelctl attach --help" })));
    }
    if (focused) body.querySelector(`[data-id="${focused}"]`)?.focus();
    document.getElementById("attachments-count").textContent =
      this.tell(rows.length);
  }

  tell(n) {
    const shown = Math.min(n, ROWS_MAX);
    if (shown < n) return `${shown} of ${n} shown`;
    if (n < this.total) return `${n} of ${this.total}`;
    return plural(n, "workload");
  }

  row(row) {
    const button = el("button", { type: "button", class: "name",
      "data-id": row.id, title: "Show only what is blocked of this one",
      "aria-pressed": String(row.id === this.chosen) },
    foreign(short(row.target)));
    button.addEventListener("click", () => {
      this.chosen = row.id === this.chosen ? null : row.id;
      this.choose(this.chosen);
      this.draw();
    });
    // Roles, because narrow pages lay rows out in another way than tables.
    const chosen = row.id === this.chosen ? { class: "chosen" } : {};
    return el("tr", { role: "row", ...chosen },
      el("th", { scope: "row", role: "rowheader" }, button,
        el("span", { class: "id", text: row.id.slice(0, 8) }),
        row.target.includes("/")
          ? foreign(folder(row.target), { class: "folder wide" }) : null,
        ...row.metadata.slice(0, 3).map(([key, value]) =>
          foreign(`${key}=${value}`, { class: "tag" }))),
      el("td", { role: "cell" }, el("span", { class: `mode ${row.mode.split(" ")[0]}`,
        text: row.mode })),
      el("td", { role: "cell" }, el("span", { class: `dot ${STATES[row.state] || "bad"}` }),
        document.createTextNode(row.state)),
      this.number(rate(row.rates.allowed), "Allowed/s"),
      this.number(rate(row.rates.blocked), "Blocked/s",
        row.rates.blocked ? "hot" : ""),
      this.number(count(row.blocked), "Blocked"),
      this.number(bytes(row.rates.bytes), "", "wide"),
      this.number(row.namesBlocked
        ? `${count(row.names)} (${count(row.namesBlocked)} blocked)`
        : count(row.names), "", "wide"),
      this.number(count(row.learnt), "", "wide"),
      this.number(count(row.rules), "", "wide"));
  }

  // label: shown beside it where there is no room for columns.
  number(text, label, more = "") {
    return el("td", { role: "cell", class: `number ${more}`.trim(),
      ...(label && { "data-label": label }), text });
  }
}
