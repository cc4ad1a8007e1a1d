// SPDX-License-Identifier: Apache-2.0
// Lines over time, drawn as SVG, in panes one below the other: each has a scale of
// its own, so that a little that is blocked shows beside much that is allowed.
// Time runs to the right edge; the span grows with what is known, up to what was
// chosen.

import { clock, el, rate } from "./text.js";

const NS = "http://www.w3.org/2000/svg";
const SPAN_MIN_MS = 60e3;
const KEPT_MS = 3600e3;
const LEFT = 40;
const RIGHT = 10;
const BOTTOM = 20;
const TOP = 8;
const GAP = 14; // between panes

function svg(tag, attributes, ...children) {
  const made = document.createElementNS(NS, tag);
  for (const [key, value] of Object.entries(attributes)) {
    made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

// The next round number above: 1, 2, 5, 10, ...
function ceiling(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * power)
    .find((step) => step >= value * 0.999);
}

export class Chart {
  // panes: of series, [[key, label], ...]; the key is a class too, which colours
  // it.
  constructor(place, key, title, panes) {
    this.place = place;
    this.title = title;
    this.panes = panes;
    this.series = panes.flat();
    this.points = [];
    this.spanMax = 600e3;
    this.at = null; // where the pointer is
    this.label = el("p", { class: "tip" });
    this.label.hidden = true;
    place.append(this.label);
    this.series.forEach(([name, label]) => key.append(
      el("span", { class: `swatch ${name}` }), el("span", { text: label })));
    place.addEventListener("pointermove", (event) => {
      this.at = event.clientX - place.getBoundingClientRect().left;
      this.draw();
    });
    place.addEventListener("pointerleave", () => {
      this.at = null;
      this.draw();
    });
    new ResizeObserver(() => this.draw()).observe(place);
  }

  // values: by key.
  put(time, values) {
    this.points.push({ time, values });
    while (this.points[0].time < time - KEPT_MS) this.points.shift();
    this.draw();
  }

  // Points from before the first one.
  fill(points) {
    const first = this.points[0]?.time ?? Infinity;
    this.points.unshift(...points.filter((point) => point.time < first));
    this.draw();
  }

  show(ms) {
    this.spanMax = ms;
    this.draw();
  }

  scale() {
    const width = this.place.clientWidth;
    const height = this.place.clientHeight;
    const last = this.points[this.points.length - 1].time;
    const span = Math.min(this.spanMax,
      Math.max(SPAN_MIN_MS, last - this.points[0].time));
    const shown = this.points.filter((point) => point.time >= last - span);
    const room = height - BOTTOM - TOP - GAP * (this.panes.length - 1);
    const tall = room / this.panes.length;
    return {
      width, height, span, last, shown,
      x: (time) => LEFT +
        ((time - last + span) / span) * (width - LEFT - RIGHT),
      panes: this.panes.map((series, i) => {
        const base = TOP + (i + 1) * tall + i * GAP;
        const top = ceiling(Math.max(1, ...shown.flatMap((point) =>
          series.map(([name]) => point.values[name]))));
        return { series, top, y: (value) => base - (value / top) * tall };
      }),
    };
  }

  draw() {
    if (!this.points.length || !this.place.clientWidth) return;
    const to = this.scale();
    const made = svg("svg", {
      width: to.width, height: to.height, role: "img",
      "aria-label": this.describe(),
    }, ...this.grid(to), ...this.lines(to));
    const old = this.place.querySelector("svg");
    if (old) old.replaceWith(made);
    else this.place.prepend(made);
    this.point(to, made);
  }

  describe() {
    const { values } = this.points[this.points.length - 1];
    return `${this.title}: ${this.series.map(([name, label]) =>
      `${rate(values[name])} ${label}`).join(", ")} a second at present`;
  }

  grid(to) {
    return [...to.panes.flatMap((pane) => this.levels(to, pane)),
      ...this.times(to)];
  }

  levels(to, pane) {
    return [0, 0.5, 1].flatMap((part) => {
      const y = Math.round(pane.y(pane.top * part)) + 0.5;
      const line = svg("line", { class: part ? "grid" : "grid base", x1: LEFT,
        x2: to.width - RIGHT, y1: y, y2: y });
      if (part === 0.5) return [line];
      const text = svg("text", { x: LEFT - 6, y: y + 4, "text-anchor": "end" });
      text.textContent = rate(pane.top * part);
      return [line, text];
    });
  }

  times(to) {
    const n = to.width < 360 ? 2 : 3;
    return Array.from({ length: n + 1 }, (_, i) => {
      const time = to.last - to.span + (to.span * i) / n;
      const anchor = ["start", "middle", "end"][i === 0 ? 0 : i === n ? 2 : 1];
      const text = svg("text", { x: to.x(time), y: to.height - 4,
        "text-anchor": anchor });
      text.textContent = clock(time);
      return text;
    });
  }

  lines(to) {
    const { shown } = to;
    const ends = [shown[shown.length - 1], shown[0]].map((point) =>
      to.x(point.time).toFixed(1));
    return to.panes.flatMap((pane) => pane.series.flatMap(([name]) => {
      const path = shown.map((point, i) => `${i ? "L" : "M"}${
        to.x(point.time).toFixed(1)} ${
        pane.y(point.values[name]).toFixed(1)}`).join("");
      const zero = pane.y(0).toFixed(1);
      return [
        svg("path", { class: `area ${name}`,
          d: `${path}L${ends[0]} ${zero}L${ends[1]} ${zero}Z` }),
        svg("path", { class: `line ${name}`, d: path }),
      ];
    }));
  }

  // What stood where the pointer is.
  point(to, made) {
    this.label.hidden = this.at === null;
    if (this.at === null) return;
    const near = to.shown.reduce((best, point) =>
      (Math.abs(to.x(point.time) - this.at) <
        Math.abs(to.x(best.time) - this.at) ? point : best));
    const x = to.x(near.time);
    made.append(svg("line", { class: "cursor", x1: x, x2: x, y1: TOP,
      y2: to.height - BOTTOM }));
    this.label.textContent = `${clock(near.time)}  ${this.series.map(
      ([name, label]) => `${rate(near.values[name])} ${label}`).join(" · ")}`;
    this.label.style.left = `${Math.min(x + 8,
      to.width - this.label.offsetWidth - 8)}px`;
  }
}
