"use strict";
/* The run, unpacked: events with their causes and effects, counters, VMs. What packs it is the crate `run-report`. */

Report.run = Report.data("data-run");

/** A packed column as a list of `n` values; see the crate's module `columns`. */
Report.unpack = (column, n, texts) => {
  const [kind, packed] = Object.entries(column)[0];
  switch (kind) {
    case "c": return new Float64Array(n).fill(packed);
    case "k": return new Array(n).fill(texts[packed]);
    case "i": return packed.map((index) => texts[index]);
    case "v": return packed;
  }
  const values = new Float64Array(packed);
  for (let rounds = kind === "e" ? 2 : 1; rounds > 0; rounds--) {
    let sum = 0;
    for (let index = 0; index < n; index++) {
      sum += values[index];
      values[index] = sum;
    }
  }
  return values;
};

/** The events, in the order of their numbers. An event is known by its place in that order. */
Report.events = (() => {
  const { groups, texts } = Report.data("data-events");
  const length = groups.reduce((sum, group) => sum + group.n, 0);
  for (const group of groups) {
    group.component = texts[group.component];
    group.vm = group.vm === undefined ? null : texts[group.vm];
    group.event = texts[group.event];
    group.severity = group.severity === undefined ? null : texts[group.severity];
    group.seqs = Report.unpack(group.seq, group.n, texts);
    group.times = Report.unpack(group.t, group.n, texts);
    group.causes = Report.unpack(group.cause, group.n, texts);
    // Fields are unpacked when somebody first asks.
    group.columns = new Map(group.fields.map(([name, column]) => [texts[name], column]));
    group.values = new Map();
  }
  const seq = new Float64Array(length);
  const groupOf = new Uint32Array(length);
  const rowOf = new Uint32Array(length);
  let filled = 0;
  groups.forEach((group, index) => {
    for (let row = 0; row < group.n; row++, filled++) {
      seq[filled] = group.seqs[row];
      groupOf[filled] = index;
      rowOf[filled] = row;
    }
  });
  // In the order of their numbers: by a table where they are dense, else sorted.
  const largest = seq.reduce((largest, number) => Math.max(largest, number), 0);
  const order = new Uint32Array(length);
  if (largest <= 8 * length + 1000) {
    const table = new Int32Array(largest + 1).fill(-1);
    const without = [];
    for (let index = 0; index < length; index++) {
      if (table[seq[index]] < 0) table[seq[index]] = index;
      else without.push(index);
    }
    let next = 0;
    for (const index of table) if (index >= 0) order[next++] = index;
    for (const index of without) order[next++] = index;
  } else {
    for (let index = 0; index < length; index++) order[index] = index;
    order.sort((a, b) => seq[a] - seq[b]);
  }
  const by = (list, type) => type.from(order, (index) => list[index]);
  const seqs = by(seq, Float64Array);
  const group = by(groupOf, Uint32Array);
  const row = by(rowOf, Uint32Array);
  const time = new Float64Array(length);
  for (let place = 0; place < length; place++) time[place] = groups[group[place]].times[row[place]];
  // With the wall clock, threads record a little out of order: for searches by time, no time is before the one before.
  const upTo = new Float64Array(length);
  for (let place = 0, most = 0; place < length; place++) upTo[place] = most = Math.max(most, time[place]);

  const events = {
    length, seq: seqs, time, groups,
    group: (place) => groups[group[place]],
    component: (place) => groups[group[place]].component,
    vm: (place) => groups[group[place]].vm,
    name: (place) => groups[group[place]].event,
    severity: (place) => groups[group[place]].severity,
    /** The number of the event that led to it; 0 for none. */
    cause: (place) => {
      const distance = groups[group[place]].causes[row[place]];
      return distance === 0 ? 0 : seqs[place] - distance;
    },
    /** The value of a field; undefined if it has no such field. */
    value: (place, name) => {
      const of = groups[group[place]];
      if (!of.values.has(name)) {
        const column = of.columns.get(name);
        of.values.set(name, column && Report.unpack(column, of.n, texts));
      }
      const values = of.values.get(name);
      return values && values[row[place]];
    },
    /** Names and values of all its fields. */
    fields: (place) => [...groups[group[place]].columns.keys()].map((name) => [name, events.value(place, name)]),
    /** `dm-vsp/VM8`. */
    where: (place) => (events.vm(place) === null ? events.component(place) : `${events.component(place)}/${events.vm(place)}`),
    /** The place of the event with a number; -1 if there is none. */
    find: (number) => {
      const place = Report.lastUpTo(seqs, number);
      return place >= 0 && seqs[place] === number ? place : -1;
    },
    /** The place of the last event up to a time; -1 if there is none. */
    upTo: (time) => Report.lastUpTo(upTo, time),
    /** Places of all events of some names, in order. */
    named: (...names) => {
      const found = [];
      const wanted = groups.map((group) => names.includes(group.event));
      for (let place = 0; place < length; place++) if (wanted[group[place]]) found.push(place);
      return found;
    },
    text: (place) => `${events.name(place)} ${events.fields(place).map(([name, value]) => `${name}=${Report.value(value)}`).join(" ")}`,
  };
  return events;
})();

/** What led to what. */
Report.causality = (() => {
  const events = Report.events;
  /** Places of the events that led to one immediately. */
  const causes = (place) => {
    const found = [];
    for (const number of [events.cause(place), events.value(place, "also_because_of")]) {
      if (number && number < events.seq[place]) {
        const cause = events.find(number);
        if (cause >= 0 && !found.includes(cause)) found.push(cause);
      }
    }
    return found;
  };
  let starts = null;
  let list = null;
  /** Effects of each event, one list after another. */
  const index = () => {
    starts = new Uint32Array(events.length + 1);
    const each = (call) => {
      for (let place = 0; place < events.length; place++) for (const cause of causes(place)) call(cause, place);
    };
    each((cause) => { starts[cause + 1]++; });
    for (let place = 0; place < events.length; place++) starts[place + 1] += starts[place];
    const next = starts.slice();
    list = new Uint32Array(starts[events.length]);
    each((cause, effect) => { list[next[cause]++] = effect; });
  };
  const effects = (place) => {
    if (!starts) index();
    return list.subarray(starts[place], starts[place + 1]);
  };
  /** All causes of an event and all that came of it, as `cargo xtask events --follow` has them: [distance, place], at most `most` effects. */
  const chain = (place, most = 2000) => {
    const before = new Map();
    for (let open = [[0, place]], at; (at = open.shift());) {
      for (const cause of causes(at[1])) {
        if (!before.has(cause)) {
          before.set(cause, at[0] + 1);
          open.push([at[0] + 1, cause]);
        }
      }
    }
    const after = [];
    const seen = new Set();
    let more = false;
    for (let open = [...effects(place)].reverse().map((effect) => [1, effect]), at; (at = open.pop());) {
      if (seen.has(at[1])) continue;
      if (after.length >= most) {
        more = true;
        break;
      }
      seen.add(at[1]);
      after.push(at);
      open.push(...[...effects(at[1])].reverse().map((next) => [at[0] + 1, next]));
    }
    return { causes: [...before].sort((a, b) => a[0] - b[0]).map(([cause, distance]) => [distance, cause]), effects: after, more };
  };
  return { causes, effects, chain };
})();

/** The counters, as lists of numbers; NaN where a value is missing. */
Report.counters = (() => {
  const packed = Report.data("data-counters");
  if (!packed) return { n: 0, t: [], seconds: [], columns: [], find: () => null, at: () => -1 };
  const { n } = packed;
  const milliseconds = Report.unpack(packed.t, n, []);
  const t = Float64Array.from(milliseconds, (time) => time * 1e6);
  const seconds = Float64Array.from(milliseconds, (time) => time / 1e3);
  const columns = packed.columns.map((column) => {
    let values = null;
    return {
      ...column,
      get list() {
        if (values) return values;
        values = Float64Array.from(Report.unpack(column.values, n, []), (value) => value * column.scale);
        for (const [from, to] of column.gaps || []) values.fill(NaN, from, to);
        return values;
      },
    };
  });
  const places = new Map(columns.map((column, place) => [`${column.machine}|${column.object}|${column.instance || ""}|${column.counter}`.toLowerCase(), place]));
  const host = (columns.find((column) => column.object === "Hyper-V Dynamic Memory Balancer") || columns[0] || {}).machine;
  return {
    n, t, seconds, columns, host,
    /** A column: of an object and instance of the host, or of another machine. */
    find: (object, instance, counter, machine = host) => {
      const place = places.get(`${machine}|${object}|${instance || ""}|${counter}`.toLowerCase());
      return place === undefined ? null : columns[place];
    },
    /** The last sample up to a time. */
    at: (time) => Report.lastUpTo(t, time),
  };
})();

/** The VMs of the run, in its order, with what its summary says of them. */
Report.vms = (() => {
  const summary = Report.run.summary || {};
  const names = (Array.isArray(summary.vms) ? summary.vms : []).map((vm) => vm.name);
  const known = new Set(names);
  const more = [
    ...Report.counters.columns.filter((column) => column.object === "Hyper-V Dynamic Memory VM").map((column) => column.instance),
    ...Report.events.groups.map((group) => group.vm),
  ];
  for (const name of more) {
    if (name && !known.has(name)) {
      known.add(name);
      names.push(name);
    }
  }
  return names.map((name, place) => ({ name, place, summary: (summary.vms || []).find((vm) => vm.name === name) || null }));
})();
Report.vm = (name) => Report.vms.find((vm) => vm.name === name) || null;

/** When the run ended, ns. */
Report.end = Math.max(1e9,
  Report.run.summary && Report.run.summary.end ? Report.run.summary.end.time_s * 1e9 : 0,
  Report.run.last || 0,
  Report.counters.n ? Report.counters.t[Report.counters.n - 1] : 0);
/** When what is shown begins, ns. */
Report.begin = (() => {
  const first = Math.min(
    Report.events.length ? Report.events.time[0] : Infinity,
    Report.counters.n ? Report.counters.t[0] : Infinity);
  return Number.isFinite(first) && first > 1e9 ? first : 0;
})();
