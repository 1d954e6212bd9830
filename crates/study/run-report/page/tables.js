"use strict";
/* Tables: all events, of which only those in view are elements; sums of each VM; who paid whom. */

(() => {
  const { state, el, id, events, vms } = Report;

  /* Events. */
  const ROW = 22;
  const box = id("table");
  const names = (list) => [...new Set(list)].filter((name) => name !== null).sort();
  const choices = (select, words, list) => Report.show(select, el("option", { value: "" }, words), list.map((name) => el("option", {}, name)));
  choices(id("event-name"), "all events", names(events.groups.map((group) => group.event)));
  choices(id("event-component"), "all components", names(events.groups.map((group) => group.component)));
  choices(id("event-vm"), "all VMs", vms.map((vm) => vm.name));

  let found = null; // places, or null for all
  const count = () => (found ? found.length : events.length);
  const at = (row) => (found ? found[row] : row);

  const texts = new Array(events.length);
  /** What is searched in, small letters. */
  const text = (place) => (texts[place] ??= `#${events.seq[place]} ${events.where(place)} ${events.text(place)}`.toLowerCase());

  let run = 0;
  /** Finds the events that are asked for, in pieces, so that typing goes on meanwhile. */
  const filter = () => {
    const words = id("search").value.toLowerCase().split(/\s+/).filter(Boolean);
    const [name, component, vm] = ["event-name", "event-component", "event-vm"].map((select) => id(select).value);
    const { from, to } = state.get();
    const inside = id("in-interval").checked;
    const mine = ++run;
    if (!words.length && !name && !component && !vm && !inside) {
      found = null;
      show();
      return;
    }
    const groups = new Map(events.groups.map((group) => [group,
      (!name || group.event === name) && (!component || group.component === component) && (!vm || group.vm === vm)]));
    const matches = [];
    let place = 0;
    const piece = () => {
      if (mine !== run) return;
      const until = performance.now() + 12;
      for (; place < events.length; place++) {
        if ((place & 255) === 0 && performance.now() > until) break;
        if (!groups.get(events.group(place))) continue;
        if (inside && (events.time[place] < from || events.time[place] > to)) continue;
        if (words.length && !words.every((word) => text(place).includes(word))) continue;
        matches.push(place);
      }
      found = matches;
      show();
      if (place < events.length) setTimeout(piece, 0);
    };
    piece();
  };

  const rows = () => {
    const first = Math.max(0, Math.floor(box.scrollTop / ROW) - 5);
    const last = Math.min(count(), first + Math.ceil(box.clientHeight / ROW) + 10);
    const { seq } = state.get();
    const shown = [];
    for (let row = first; row < last; row++) {
      const place = at(row);
      shown.push(el("div", { class: `row ${events.severity(place) || ""} ${events.seq[place] === seq ? "current" : ""}`, role: "row", onclick: () => Report.choose(place) },
        el("span", {}, Report.time(events.time[place])), el("span", { class: "faint" }, `#${events.seq[place]}`),
        el("span", {}, events.where(place)), el("span", {}, events.text(place))));
    }
    id("table-rows").style.top = `${first * ROW}px`;
    Report.show(id("table-rows"), shown);
  };
  const show = () => {
    id("table-height").style.height = `${Math.max(1, count()) * ROW}px`;
    id("found").textContent = `${count()} of ${events.length} events`;
    rows();
  };
  box.addEventListener("scroll", () => rows());
  box.addEventListener("keydown", (event) => {
    const by = { ArrowDown: 1, ArrowUp: -1, PageDown: 15, PageUp: -15 }[event.key];
    if (!by) return;
    event.preventDefault();
    event.stopPropagation();
    const { seq } = state.get();
    const chosen = events.find(seq);
    let row = found ? found.indexOf(chosen) : chosen;
    row = Report.clamp(row < 0 ? 0 : row + by, 0, count() - 1);
    if (count() === 0) return;
    Report.choose(at(row));
    const top = row * ROW;
    if (top < box.scrollTop || top + ROW > box.scrollTop + box.clientHeight) box.scrollTop = top - box.clientHeight / 2;
  });
  for (const control of ["search", "event-name", "event-component", "event-vm", "in-interval"]) id(control).addEventListener("input", filter);
  state.on(["from", "to"], () => { if (id("in-interval").checked) filter(); });
  Report.whenSeen(box, ["seq"], show);
  Report.eventTable = { filter, count };

  /* Sums of each VM. */
  const spread = (of, which) => (of ? of[which] : NaN);
  const columns = [
    ["VM", (vm) => vm.name],
    ["startup MB", (vm) => vm.startup_mb], ["maximum MB", (vm) => vm.maximum_mb],
    ["peak MB", (vm) => spread(vm.physical_memory_mb, "maximum")], ["final MB", (vm) => spread(vm.physical_memory_mb, "last")],
    ["demand, peak MB", (vm) => spread(vm.demand_mb, "maximum")], ["pressure, peak %", (vm) => spread(vm.current_pressure, "maximum")],
    ["added MB", (vm) => vm.added_memory_mb], ["removed MB", (vm) => vm.removed_memory_mb],
    ["operations", (vm) => vm.memory_add_operations + vm.memory_remove_operations],
    ["short s", (vm) => vm.time_above_100_s], ["unmet GB·s", (vm) => vm.unmet_demand_mb_s / 1024],
    ["pages read", (vm) => vm.in_guest.page_reads], ["stall s", (vm) => vm.in_guest.stall_s], ["refused", (vm) => vm.in_guest.commit_failures],
    ["guest", (vm) => vm.guest],
  ];
  const value = (column, vm) => {
    try {
      return column[1](vm.summary);
    } catch {
      // A summary of another format: what it has is shown.
      return NaN;
    }
  };
  let order = { column: -1, down: false };
  const sums = () => {
    const known = vms.filter((vm) => vm.summary);
    if (!known.length) {
      Report.show(id("vm-sums"), el("p", { class: "faint" }, "The run has no summary, so there are no sums."));
      return;
    }
    const sorted = [...known];
    if (order.column >= 0) {
      sorted.sort((a, b) => {
        const [x, y] = [value(columns[order.column], a), value(columns[order.column], b)];
        const sign = typeof x === "string" ? String(x).localeCompare(String(y)) : (x || 0) - (y || 0);
        return order.down ? -sign : sign;
      });
    }
    const { vm: chosen } = state.get();
    Report.show(id("vm-sums"), el("table", { class: "numbers" },
      el("thead", {}, el("tr", {}, columns.map(([name], place) => el("th", {
        scope: "col", "aria-sort": order.column === place ? (order.down ? "descending" : "ascending") : "none",
        onclick: () => { order = { column: place, down: order.column === place ? !order.down : place !== 0 }; sums(); },
      }, name, order.column === place ? (order.down ? " ↓" : " ↑") : "")))),
      el("tbody", {}, sorted.map((vm) => el("tr", { class: vm.name === chosen ? "chosen" : "", onclick: () => state.set({ vm: vm.name }) }, columns.map((column) => {
        const of = value(column, vm);
        return el("td", {}, typeof of === "number" ? Report.number(of, Number.isInteger(of) ? 0 : 1) : of ?? "–");
      }))))));
  };
  Report.whenSeen(id("vm-sums"), ["vm"], sums);

  /* Rings, signals and maps at the moment. */
  const busColumns = [
    ["packets to host", "Packets From Guest"], ["to guest", "Packets To Guest"], ["signals to host", "Signals From Guest"], ["to guest", "Signals To Guest"],
    ["suppressed to host", "Signals Suppressed From Guest"], ["to guest", "Signals Suppressed To Guest"],
    ["ring to host, bytes", "Upstream Ring Used"], ["highest", "Upstream Ring High Water"], ["ring to guest, bytes", "Downstream Ring Used"], ["highest", "Downstream Ring High Water"],
    ["control messages to host", "Control Messages From Guest"], ["to guest", "Control Messages To Guest"],
    ["2 MiB pages", "2M Pages"], ["4 KiB pages", "4K Pages"], ["splits", "Page Splits"], ["merges", "Page Merges"],
  ];
  if (Report.host.hasChannel) {
    Report.whenSeen(id("bus-sums"), ["now", "vm"], ({ now, vm: chosen }) => {
      const at = (vm, counter) => Report.host.channelAt(vm.place, counter, now);
      Report.show(id("bus-sums"), el("table", { class: "numbers" },
        el("caption", {}, `Rings, signals and maps at ${Report.timeTo(now, 1e9)}, since each VM started`),
        el("thead", {}, el("tr", {}, el("th", {}, "VM"), busColumns.map(([words]) => el("th", {}, words)), el("th", {}, "signals for each packet"))),
        el("tbody", {}, vms.map((vm) => el("tr", { class: vm.name === chosen ? "chosen" : "", onclick: () => state.set({ vm: vm.name }) }, el("td", {}, vm.name),
          busColumns.map(([, counter]) => el("td", {}, Report.number(at(vm, counter)))),
          el("td", {}, Report.number((at(vm, "Signals From Guest") + at(vm, "Signals To Guest")) / (at(vm, "Packets From Guest") + at(vm, "Packets To Guest")), 2)))))));
    });
  }

  /** Shows some events: what is searched for, and about which VM. */
  const search = (words, vm) => {
    id("search").value = words;
    id("event-name").value = id("event-component").value = "";
    id("event-vm").value = vm;
    filter();
    id("events").scrollIntoView({ block: "start" });
  };

  /* Who paid whom: from where the memory came that each VM was given. */
  const paid = () => {
    const moved = events.named("memory_moved");
    if (!moved.length) {
      Report.show(id("paid"), el("p", { class: "faint" }, "No event of this run says from where memory came (memory_moved)."));
      return;
    }
    const inside = ([from, to]) => moved.filter((place) => events.time[place] >= from && events.time[place] <= to);
    const { from, to } = state.get();
    const pages = new Map();
    const donors = new Set();
    const receivers = new Set();
    for (const place of inside([from, to])) {
      const source = events.value(place, "source");
      const donor = source === "vm" ? events.value(place, "donor") : source === "ended" ? "VMs that ended" : "free memory";
      const key = `${donor}\n${events.vm(place)}`;
      donors.add(donor);
      receivers.add(events.vm(place));
      pages.set(key, (pages.get(key) || 0) + (events.value(place, "pages") || 0));
    }
    const rank = (name) => { const vm = Report.vm(name); return vm ? vm.place : name === "free memory" ? -2 : -1; };
    const sorted = (set) => [...set].sort((a, b) => rank(a) - rank(b));
    const [rowNames, columnNames] = [sorted(donors), sorted(receivers)];
    const most = Math.max(1, ...[...pages].filter(([key]) => !key.startsWith("free memory\n")).map(([, sum]) => sum));
    const whole = to - from >= Report.end - Report.begin;
    Report.show(id("paid"),
      el("p", { class: "faint" }, `MB that each VM was given${whole ? " over the whole run" : ` from ${Report.timeTo(from, 1e9)} to ${Report.timeTo(to, 1e9)}`} (columns), and from where they came (rows): memory that was free, or that another VM had given up before. Zoom into an interval above to see only that; a click shows the events.`),
      el("div", { class: "scroll" }, el("table", { class: "numbers" },
        el("thead", {}, el("tr", {}, el("th", {}, "from \\ to"), columnNames.map((name) => el("th", {}, name)), el("th", {}, ""))),
        el("tbody", {}, rowNames.map((donor) => el("tr", {}, el("td", {}, donor), columnNames.map((receiver) => {
          const sum = pages.get(`${donor}\n${receiver}`) || 0;
          const strength = rank(donor) === -2 ? 0 : Math.round((sum / most) * 55);
          const words = rank(donor) >= 0 ? `memory_moved donor=${donor}` : `memory_moved source=${rank(donor) === -2 ? "free" : "ended"}`;
          return el("td", { class: sum ? "hit" : "", style: `background: color-mix(in srgb, var(--transit) ${strength}%, transparent)`, onclick: () => { if (sum) search(words, receiver); } }, sum ? (sum / 256).toFixed(sum < 2560 ? 1 : 0) : "");
        }), el("td", {}, "")))))));
  };
  Report.whenSeen(id("paid"), ["from", "to"], paid);
})();
