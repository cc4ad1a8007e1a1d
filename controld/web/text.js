// SPDX-License-Identifier: Apache-2.0
// Elements and texts. What workloads are called, and what they ask for, is theirs
// to choose: it becomes text and never markup, apart from the direction of what
// stands around it, and without characters that are not seen.

export function el(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(properties)) {
    if (key === "class") made.className = value;
    else if (key === "text") made.textContent = value;
    else made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

// Chosen by others.
export function foreign(text, properties = {}) {
  return el("bdi", { ...properties, text: visible(text) });
}

export function visible(text) {
  return String(text).replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, "\u{fffd}");
}

export function count(value) {
  if (value < 10000) return String(Math.round(value));
  return scaled(value, ["", "k", "M", "G", "T"], 1000);
}

export function rate(value) {
  if (value === 0) return "0";
  if (value < 0.1) return "<0.1";
  return value < 10 ? value.toFixed(1) : count(value);
}

export function bytes(value) {
  return scaled(value, ["B", "KB", "MB", "GB", "TB", "PB"], 1000, "\u{a0}");
}

function scaled(value, units, step, space = "") {
  let at = 0;
  while (value >= step && at < units.length - 1) {
    value /= step;
    at += 1;
  }
  const short = at === 0 ? Math.round(value) : Number(value.toPrecision(3));
  return `${short}${space}${units[at]}`;
}

export function duration(seconds) {
  const units = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
  const at = units.findIndex(([, size]) => seconds >= size);
  if (at < 0) return "0\u{a0}s";
  const [unit, size] = units[at];
  return `${Math.floor(seconds / size)}\u{a0}${unit}`;
}

export function micros(us) {
  if (us < 1000) return `${Math.round(us)}\u{a0}µs`;
  if (us < 1e6) return `${+(us / 1000).toPrecision(2)}\u{a0}ms`;
  return `${+(us / 1e6).toPrecision(2)}\u{a0}s`;
}

export function share(part, whole) {
  const value = whole ? (100 * part) / whole : 0;
  return `${value > 0 && value < 1 ? "<1" : Math.round(value)}\u{a0}%`;
}

export function clock(ms) {
  const at = new Date(ms);
  return [at.getHours(), at.getMinutes(), at.getSeconds()]
    .map((part) => String(part).padStart(2, "0")).join(":");
}

// ATTACHMENT_STATE_DETACHED_DP, "ATTACHMENT_STATE_" -> detached-dp
export function enumName(value, prefix) {
  return String(value || "").replace(prefix, "").toLowerCase()
    .replaceAll("_", "-");
}

// The last part of a cgroup's path.
export function short(target) {
  return target.replace(/^.*\/(?=[^/])/, "");
}

export function folder(target) {
  return target.slice(0, target.length - short(target).length);
}

export function plural(n, one, many = `${one}s`) {
  return `${count(n)} ${n === 1 ? one : many}`;
}
