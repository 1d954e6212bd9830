"use strict";
/* What the run's fields and numbers are, as people read them. */

/** Pages of 4 KiB as MB, exact where it is whole. */
Report.mbOfPages = (pages) => {
  const mib = pages / 256;
  return Number.isInteger(mib) ? `${mib} MB` : `${Report.fixed(mib, 1)} MB`;
};

/** The value of a field for reading. */
Report.value = (value) => (typeof value === "string" && !/^[\p{L}\p{N}\-_./:]+$/u.test(value) ? JSON.stringify(value) : String(value));

/** What the numbers of fields are, by their names: pages unless they say otherwise. */
Report.PAGES = new Set([
  "pages", "target", "assigned", "proposed", "committed", "available", "demand", "page_file_size", "zero_free", "requested", "done",
  "unballooned", "hot_added", "unconfirmed", "offered", "accepted", "given", "left_alone", "vm_memory_committed", "pages_ballooned",
  "pages_added", "pages_onlined", "commit", "left", "num_pages", "min_page_count", "max_page_number",
]);

/** A decision's numbers as people read them: `demand_mib=509.586` is "demand 509.6 MB". The same as `explain` writes. */
Report.inputs = (text) => text.split(",").map((input) => {
  const at = input.indexOf("=");
  if (at < 0) return input;
  let name = input.slice(0, at);
  const number = Number(input.slice(at + 1));
  if (input.slice(at + 1).trim() === "" || Number.isNaN(number)) return input;
  let unit = "";
  for (const [ending, sign] of [["_mib", " MB"], ["_percent", " %"], ["_seconds", " s"], ["_us", " µs"]]) {
    if (name.endsWith(ending)) {
      name = name.slice(0, -ending.length);
      unit = sign;
      break;
    }
  }
  const digits = number % 1 === 0 ? 0 : Math.abs(number) < 10 ? 3 : 1;
  return `${name.replaceAll("_", " ")} ${Report.fixed(number, digits)}${unit}`;
}).join(", ");

/** Pressure in percent: demand over memory; NaN without memory. */
Report.pressure = (demand, has) => (has > 0 ? (100 * demand) / has : NaN);
