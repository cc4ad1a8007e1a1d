// SPDX-License-Identifier: Apache-2.0
// Counters as rates: over the last seconds, so that a figure does not jump with
// every answer that comes a little late.

const SPAN_MS = 7000;

export class Rates {
  constructor() {
    this.samples = new Map(); // key -> [{time, values}]
  }

  // values: {name: counter}. Returns {name: rate}; zeros at first, and when the
  // counters were others before.
  put(key, time, values) {
    const samples = this.samples.get(key) || [];
    const before = samples[samples.length - 1];
    const names = Object.keys(values);
    if (before && names.some((name) => values[name] < before.values[name])) {
      samples.length = 0;
    }
    samples.push({ time, values });
    while (samples.length > 2 && samples[1].time < time - SPAN_MS) {
      samples.shift();
    }
    this.samples.set(key, samples);
    const [first] = samples;
    const seconds = (time - first.time) / 1000;
    return Object.fromEntries(names.map((name) => [name, seconds > 0
      ? (values[name] - first.values[name]) / seconds : 0]));
  }

  // Not from one sample.
  isKnown(key) {
    return (this.samples.get(key) || []).length > 1;
  }

  // Forgets all but these.
  keep(keys) {
    for (const key of [...this.samples.keys()]) {
      if (!keys.has(key)) this.samples.delete(key);
    }
  }
}

// Samples of counters, {time, name: counter, ...}, as rates between them. Where
// they fell they were begun anew.
export function between(samples) {
  return samples.slice(1).flatMap((sample, i) => {
    const before = samples[i];
    const seconds = (sample.time - before.time) / 1000;
    const names = Object.keys(sample).filter((name) => name !== "time");
    if (seconds <= 0 || names.some((name) => sample[name] < before[name])) {
      return [];
    }
    return [{ time: sample.time, values: Object.fromEntries(names.map((name) =>
      [name, (sample[name] - before[name]) / seconds])) }];
  });
}

// rows: [{upToUs, count}], the last one without bound. In microseconds; null:
// there were none.
export function quantile(rows, q) {
  const total = rows.reduce((sum, row) => sum + row.count, 0);
  let below = 0;
  let left = q * total;
  if (!total) return null;
  for (const row of rows) {
    if (row.count && left <= row.count) {
      return row.upToUs
        ? below + (row.upToUs - below) * (left / row.count) : below;
    }
    left -= row.count;
    below = row.upToUs || below;
  }
  return below;
}
