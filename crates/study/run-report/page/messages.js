"use strict";
/* The Dynamic Memory messages of the run: their bytes, out of its journal, and what the bytes mean.
   Layouts: the headers of Linux' hv_balloon driver, as the crate `dm-protocol` has them and the book's "The wire format" explains. */

Report.messages = (() => {
  const u16 = (name, what) => ({ name, size: 2, what });
  const u32 = (name, what) => ({ name, size: 4, what });
  const u64 = (name, what) => ({ name, size: 8, what });
  const HEADER = [u16("type"), u16("size", "bytes"), u32("trans_id")];
  const KINDS = {
    1: ["VERSION_REQUEST", [u32("version", "version"), u32("is_last_attempt", "bit 0")]],
    2: ["VERSION_RESPONSE", [u64("is_accepted", "bit 0")]],
    3: ["CAPABILITIES_REPORT", [u64("caps", "capabilities"), u64("min_page_cnt", "pages"), u64("max_page_number", "page number")]],
    4: ["CAPABILITIES_RESPONSE", [u64("is_accepted", "bit 0")]],
    5: ["STATUS_REPORT", [u64("num_avail", "pages"), u64("num_committed", "pages"), u64("page_file_size", "pages"), u64("zero_free", "pages"),
      u32("page_file_writes", "pages since boot"), u32("io_diff", "pages since boot")]],
    6: ["BALLOON_REQUEST", [u32("num_pages", "pages"), u32("reserved")]],
    7: ["BALLOON_RESPONSE", [u32("reserved"), u32("more_pages:1, range_count:31", "count")], "ranges"],
    8: ["UNBALLOON_REQUEST", [u32("more_pages", "bit 0"), u32("range_count")], "ranges"],
    9: ["UNBALLOON_RESPONSE", []],
    10: ["MEM_HOT_ADD_REQUEST", [], "range"],
    11: ["MEM_HOT_ADD_RESPONSE", [u32("page_count", "pages"), u32("result", "1: added")]],
    12: ["VERSION_05", []],
    13: ["INFO_MESSAGE", []],
  };

  let places = null;
  const groups = Report.data("data-messages");
  const unpack = () => {
    places = new Map();
    for (const group of groups) {
      const seqs = Report.unpack(group.seq, group.n, []);
      group.wordLists = null;
      for (let row = 0; row < group.n; row++) places.set(seqs[row], [group, row]);
    }
  };

  /** The bytes of the message that an event tells of; null if they are not known. */
  const bytes = (seq) => {
    if (!places) unpack();
    const found = places.get(seq);
    if (!found) return null;
    const [group, row] = found;
    group.wordLists ||= group.words.map((column) => Report.unpack(column, group.n, []));
    group.restLists ||= group.rest.map((column) => Report.unpack(column, group.n, []));
    const out = new Uint8Array(group.length);
    const view = new DataView(out.buffer);
    group.wordLists.forEach((words, place) => view.setUint32(place * 4, words[row], true));
    group.restLists.forEach((rest, place) => { out[group.wordLists.length * 4 + place] = rest[row]; });
    return out;
  };

  const range = (low, high) => {
    // A union gfn range: 48 bits of page number, 16 bits of count.
    const page = low + (high & 0xffff) * 2 ** 32;
    return `page ${page}, ${high >>> 16} pages`;
  };

  const meaning = (field, value, low) => {
    switch (field.what) {
      case "version": return `${value >>> 16}.${value & 0xffff}`;
      case "capabilities":
        return [low & 1 ? "balloon" : "no balloon", low & 2 ? "hot-add" : "no hot-add", low & 4 ? "hot-remove" : null,
          `granule of 2^${(low >>> 4) & 0xf} MB`].filter(Boolean).join(", ");
      case "pages": return `${value} pages = ${Report.mbOfPages(value)}`;
      case "bit 0": return low & 1 ? "yes" : "no";
      case "count": return `${low >>> 1} ranges${low & 1 ? ", more follow" : ""}`;
      case undefined: return String(value);
      default: return `${value} ${field.what}`;
    }
  };

  /** A message taken apart: [{at, size, name, value}], with its name. What is beyond the fields that are known stays bytes. */
  const decode = (bytes) => {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const parts = [];
    let at = 0;
    const take = (fields) => {
      for (const field of fields) {
        if (at + field.size > bytes.length) return false;
        const low = field.size === 2 ? view.getUint16(at, true) : view.getUint32(at, true);
        const value = field.size === 8 ? low + view.getUint32(at + 4, true) * 2 ** 32 : low;
        parts.push({ at, size: field.size, name: field.name, value: meaning(field, value, low) });
        at += field.size;
      }
      return true;
    };
    const kind = bytes.length >= 2 ? KINDS[view.getUint16(0, true)] : undefined;
    const whole = take(HEADER);
    if (kind && whole) {
      parts[0].value += ` (${kind[0]})`;
      take(kind[1]);
      if (kind[2] === "range") {
        for (const name of ["range of pages", "region"]) {
          if (at + 8 <= bytes.length) {
            parts.push({ at, size: 8, name, value: range(view.getUint32(at, true), view.getUint32(at + 4, true)) });
            at += 8;
          }
        }
      }
      for (let number = 1; kind[2] === "ranges" && at + 8 <= bytes.length; number++, at += 8) {
        parts.push({ at, size: 8, name: `range ${number}`, value: range(view.getUint32(at, true), view.getUint32(at + 4, true)) });
      }
    }
    if (at < bytes.length) parts.push({ at, size: bytes.length - at, name: "more", value: `${bytes.length - at} bytes` });
    return { name: kind ? kind[0] : "unknown", parts };
  };

  const hex = (bytes) => [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join(" ");

  /** A table of a message's bytes and their meaning; null if the bytes are not known. */
  const table = (seq) => {
    const raw = bytes(seq);
    if (!raw) return null;
    const { el } = Report;
    const { name, parts } = decode(raw);
    const shown = parts.slice(0, 40);
    return el("table", { class: "bytes" },
      el("caption", {}, `${name}, ${raw.length} bytes in the ring (little-endian)`),
      el("tbody", {}, shown.map((part) => el("tr", {},
        el("td", { class: "faint" }, String(part.at)),
        el("td", { class: "mono" }, hex(raw.subarray(part.at, part.at + Math.min(part.size, 16))) + (part.size > 16 ? " …" : "")),
        el("th", {}, part.name), el("td", {}, part.value))),
      parts.length > shown.length ? el("tr", {}, el("td", { colspan: 4, class: "faint" }, `… and ${parts.length - shown.length} more`)) : null));
  };

  /** The name of the message that an event tells of; null if it tells of none. */
  const of = (place) => {
    const name = Report.events.name(place);
    if (name === "dm_send") return Report.events.value(place, "message");
    return name === "balloon_status" ? "STATUS_REPORT" : null;
  };
  return { bytes, decode, table, of, known: groups.length > 0 };
})();
