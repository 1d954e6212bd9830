"use strict";
/* Numbers and times as people read them. */

/** A duration as the project writes it, exact: `16m2.742679572s`. */
Report.time = (ns) => {
  ns = Math.max(0, Math.round(ns));
  let rest = Math.floor(ns / 1e9);
  const sub = ns - rest * 1e9;
  let out = "";
  for (const [unit, length] of [["d", 86400], ["h", 3600], ["m", 60]]) {
    if (rest >= length) {
      out += Math.floor(rest / length) + unit;
      rest %= length;
    }
  }
  if (sub === 0) return rest === 0 && out ? out : `${out}${rest}s`;
  const digits = sub % 1e6 === 0 ? 3 : sub % 1e3 === 0 ? 6 : 9;
  return `${out}${rest}.${String(Math.round(sub / 10 ** (9 - digits))).padStart(digits, "0")}s`;
};

/** The time that somebody wrote, as `21m30s` or in seconds; NaN if it is none. */
Report.parseTime = (text) => {
  const words = text.trim().replaceAll(" ", "");
  if (/^\d+(\.\d+)?$/.test(words)) return Number(words) * 1e9;
  const units = { d: 86400e9, h: 3600e9, m: 60e9, s: 1e9, ms: 1e6, us: 1e3, "µs": 1e3, ns: 1 };
  const parts = [...words.matchAll(/(\d+(?:\.\d+)?)(d|h|ms|m|s|us|µs|ns)/g)];
  if (!parts.length || parts.map(([whole]) => whole).join("") !== words) return NaN;
  return parts.reduce((sum, [, number, unit]) => sum + Number(number) * units[unit], 0);
};

/** A time to the step that matters, for axes and the slider. */
Report.timeTo = (ns, step) => {
  const to = step >= 1e9 ? 1e9 : 10 ** Math.floor(Math.log10(Math.max(step, 1)));
  return Report.time(Math.round(ns / to) * to);
};

/** How long something took: `110 ms`, `10 µs`. */
Report.span = (ns) => {
  const of = (value, unit) => `${value >= 100 ? value.toFixed(0) : Number(value.toPrecision(3))} ${unit}`;
  if (ns < 1e3) return of(ns, "ns");
  if (ns < 1e6) return of(ns / 1e3, "µs");
  if (ns < 1e9) return of(ns / 1e6, "ms");
  return ns < 120e9 ? of(ns / 1e9, "s") : Report.time(Math.round(ns / 1e9) * 1e9);
};

/** A number with so many decimals; what lies just between two goes to the even one, as in Rust. */
Report.fixed = (value, digits) => {
  if (value === Infinity) return "inf";
  const scaled = Math.abs(value) * 10 ** digits;
  const below = Math.floor(scaled);
  if (scaled - below !== 0.5 || !Number.isFinite(scaled)) return value.toFixed(digits);
  const even = (below % 2 === 0 ? below : below + 1) / 10 ** digits;
  return (value < 0 ? -even : even).toFixed(digits);
};

/** MB for reading. */
Report.mb = (mb) => {
  if (!Number.isFinite(mb)) return "–";
  return Math.abs(mb) >= 10 || mb === 0 ? `${mb.toFixed(0)} MB` : `${mb.toFixed(1)} MB`;
};

/** A number for a table. */
Report.number = (value, digits = 0) =>
  value === null || value === undefined || !Number.isFinite(value) ? "–" : value.toFixed(digits);
