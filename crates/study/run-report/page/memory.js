"use strict";
/* Who has the host's memory: all of it stacked over time, each VM's beside its demand, and any counter. */

(() => {
  const { state, el, id, colour, counters, host, vms, events } = Report;
  const step = uPlot.paths.stepped({ align: 1 });
  const { seconds } = counters;
  if (!counters.n) {
    Report.show(id("stack"), el("p", { class: "note" }, "There are no counters of this run: no curves."));
    return;
  }
  /** For uPlot, in which a missing value is null. */
  const gapped = (values) => Array.from(values, (value) => (Number.isFinite(value) ? value : null));
  const filled = (values) => (values ? Float64Array.from(values, (value) => (Number.isFinite(value) ? value : 0)) : new Float64Array(counters.n));

  /* Stacked. The layers lie over one another, so the highest sum is drawn first. */
  const layers = () => [
    { name: "reserve of the parent OS", colour: () => colour("reserve"), values: filled(host.host.reserve) },
    { name: "overhead of the running VMs", colour: () => colour("overhead"), values: filled(host.host.overhead) },
    ...vms.map((vm) => ({ name: vm.name, vm, colour: () => Report.vmColour(vm.place), values: filled(host.columns[vm.place].physical) })),
    { name: "in transit", colour: () => colour("transit"), striped: true, values: filled(host.host.transit) },
    { name: "left in the balancer (Available Memory)", colour: () => colour("pool"), values: filled(host.host.available) },
  ];
  const stacked = layers();
  const sums = [];
  stacked.reduce((before, layer) => {
    const sum = Float64Array.from(layer.values, (value, row) => value + (before ? before[row] : 0));
    sums.push(sum);
    return sum;
  }, null);

  const aboutVm = (place, row) => {
    const of = host.columns[place];
    const value = (list, words) => (list && Number.isFinite(list[row]) ? words(list[row]) : null);
    return [
      value(of.physical, (mb) => `Physical Memory ${Report.mb(mb)}`), value(of.demand, (mb) => `demand ${Report.mb(mb)}`),
      value(of.pressure, (percent) => `pressure ${percent.toFixed(1)} %`), value(of.available, (mb) => `available in the guest ${Report.mb(mb)}`),
      value(of.locked, (mb) => `Driver Locked in the guest ${Report.mb(mb)}`),
    ].filter(Boolean).join("\n");
  };

  /** Memory on its way has stripes, since some VM has nearly its hue. */
  const stripes = (hue) => {
    const side = 8;
    const tile = el("canvas", { width: side, height: side });
    const context = tile.getContext("2d");
    context.fillStyle = hue;
    context.fillRect(0, 0, side, side);
    context.strokeStyle = colour("ink");
    context.lineWidth = 1.6;
    context.beginPath();
    for (const from of [-side, 0, side]) {
      context.moveTo(from - 1, side + 1);
      context.lineTo(from + side + 1, -1);
    }
    context.stroke();
    return context.createPattern(tile, "repeat");
  };

  const stackHeight = Math.max(220, Math.min(360, window.innerHeight * 0.45));
  const drawStack = () => {
    Report.chart(id("stack"), {
      data: [seconds, ...[...sums].reverse()], height: stackHeight, names: true, most: Number.isFinite(host.total) ? host.total / 1.03 : 0,
      series: [...stacked].reverse().map((layer) => ({ paths: step, width: 0.5, stroke: () => colour("ground"), fill: layer.striped ? () => stripes(layer.colour()) : layer.colour, points: { show: false } })),
      hover: (u, row, y) => {
        const layer = sums.findIndex((sum) => y <= sum[row]);
        if (y < 0 || layer < 0) return null;
        const { name, vm, values } = stacked[layer];
        return `${name} at ${Report.time(seconds[row] * 1e9)}\n${vm ? aboutVm(vm.place, row) : Report.mb(values[row])}`;
      },
    });
  };
  const NAMED = 16;
  const layersNamed = stacked.filter((layer) => layer.values.some((value) => value > 0) && (!layer.vm || vms.length <= NAMED));
  Report.show(id("stack-legend"), vms.length > NAMED ? el("span", {}, `${vms.length} VMs, VM after VM from below; the pointer names them`) : null, layersNamed.map((layer) => {
    const key = el("i", {});
    const paint = () => {
      key.style.background = layer.striped ? `repeating-linear-gradient(135deg, var(--ink) 0 1.5px, ${layer.colour()} 1.5px 5px)` : layer.colour();
    };
    paint();
    state.on(["theme"], paint);
    return layer.vm ? el("button", { type: "button", onclick: () => state.set({ vm: layer.name }) }, key, layer.name) : el("span", {}, key, layer.name);
  }));

  /* Each VM. */
  const SHOWN = 12;
  const VM_HEIGHT = 150;
  const operations = vms.map(() => []);
  for (const place of events.named("add_memory", "remove_memory")) {
    const vm = host.placeOf.get(events.vm(place));
    if (vm !== undefined) operations[vm].push({ at: events.time[place] / 1e9, add: events.name(place) === "add_memory" });
  }
  /** Those that were short for longest come first where not all are shown. */
  const shortage = (place) => {
    const { physical, demand } = host.columns[place];
    if (!physical || !demand) return 0;
    return demand.reduce((sum, value, row) => sum + Math.max(0, value - physical[row] || 0), 0);
  };
  let shown = vms.length <= SHOWN ? vms
    : [...vms].sort((a, b) => shortage(b.place) - shortage(a.place) || host.maximum[b.place] - host.maximum[a.place]).slice(0, SHOWN).sort((a, b) => a.place - b.place);

  const cells = new Map();
  const drawVm = (vm, into) => {
    const of = host.columns[vm.place];
    const physical = filled(of.physical);
    const demand = of.demand || new Float64Array(counters.n).fill(NaN);
    const either = Float64Array.from(physical, (value, row) => (value > 0 && demand[row] > value ? demand[row] : value));
    Report.chart(into, {
      data: [seconds, either, physical, gapped(demand)], height: VM_HEIGHT, most: host.maximum[vm.place],
      bands: [{ series: [1, 2], fill: () => colour("short") }],
      series: [
        { paths: step, width: 0, stroke: () => "transparent", points: { show: false } },
        { paths: step, width: 1, stroke: () => Report.vmColour(vm.place), fill: () => `${Report.vmColour(vm.place)}80`, points: { show: false } },
        { paths: step, width: 1.5, stroke: () => colour("demand"), points: { show: false } },
      ],
      hover: (u, row) => `${vm.name} at ${Report.time(seconds[row] * 1e9)}\n${aboutVm(vm.place, row)}`,
      draw: (u) => {
        const { ctx, bbox } = u;
        const ratio = uPlot.pxRatio;
        const { min, max } = u.scales.x;
        for (const { at, add } of operations[vm.place]) {
          if (at < min || at > max) continue;
          const x = u.valToPos(at, "x", true);
          const foot = bbox.top + bbox.height;
          ctx.fillStyle = add ? colour("ink") : colour("chosen");
          ctx.beginPath();
          ctx.moveTo(x, foot - (add ? 7 : 0) * ratio);
          ctx.lineTo(x + 3 * ratio, foot - (add ? 1 : 6) * ratio);
          ctx.lineTo(x - 3 * ratio, foot - (add ? 1 : 6) * ratio);
          ctx.fill();
        }
      },
    });
  };
  const showVms = () => {
    cells.clear();
    Report.show(id("each-vm"), shown.map((vm) => {
      const into = el("div", { style: `min-height: ${VM_HEIGHT}px` });
      const words = vm.summary ? `${vm.summary.memory_add_operations} added, ${vm.summary.memory_remove_operations} removed`
        + (vm.summary.time_above_100_s > 0 ? `, short for ${Report.span(vm.summary.time_above_100_s * 1e9)}` : "") : "";
      const cell = el("div", { class: "cell" }, el("h4", { onclick: () => state.set({ vm: vm.name }) }, vm.name, el("span", {}, words)), into);
      cells.set(vm.name, cell);
      // Drawn when it comes into view: a hundred of them take a while.
      let width = 0;
      Report.whenSeen(cell, [], () => {
        if (into.clientWidth === width) return;
        width = into.clientWidth;
        drawVm(vm, into);
      });
      return cell;
    }));
    mark(state.get());
  };
  const mark = ({ vm }) => { for (const [name, cell] of cells) cell.classList.toggle("chosen", name === vm); };
  state.on(["vm"], mark);
  if (shown.length < vms.length) {
    id("more-vms").hidden = false;
    id("more-vms").firstElementChild.textContent = `show all ${vms.length} VMs (now: the ${shown.length} that were short for longest, or are largest)`;
    id("more-vms").firstElementChild.addEventListener("click", () => {
      shown = vms;
      id("more-vms").hidden = true;
      showVms();
    });
  }
  showVms();

  /* Any counter. */
  const kinds = new Map();
  for (const column of counters.columns) {
    const inside = column.machine !== counters.host;
    const name = `${inside ? "in guests: " : ""}${column.object}\\${column.counter}`;
    const instance = inside ? column.machine : column.instance || "the host";
    if (!kinds.has(name)) kinds.set(name, new Map());
    kinds.get(name).set(instance, column);
  }
  const preferred = [...kinds.keys()].find((name) => name.endsWith("VM\\Current Pressure")) || [...kinds.keys()][0];
  Report.show(id("counter"), [...kinds.keys()].map((name) => el("option", { selected: name === preferred }, name)));
  const instances = () => {
    const names = [...kinds.get(id("counter").value).keys()];
    Report.show(id("instance"), names.length > 1 ? el("option", { value: "" }, `all ${names.length}`) : null, names.map((name) => el("option", { value: name }, name)));
  };
  const COUNTER_HEIGHT = 200;
  const drawCounter = () => {
    const of = kinds.get(id("counter").value);
    const wanted = id("instance").value;
    const lines = [...of].filter(([name]) => !wanted || name === wanted);
    const unit = lines[0][1].unit || "";
    Report.chart(id("any-counter"), {
      data: [seconds, ...lines.map(([, column]) => gapped(column.list))], height: COUNTER_HEIGHT, names: true, unit, axisSize: 74,
      series: lines.map(([name], place) => {
        const vm = host.placeOf.get(name);
        return { paths: step, width: 1.4, stroke: () => Report.vmColour(vm === undefined ? place : vm), dash: Math.floor((vm ?? place) / 8) % 2 ? [5, 3] : [], points: { show: false } };
      }),
      hover: (u, row, y) => {
        const near = lines.map(([name, column]) => [name, column.list[row]]).filter(([, value]) => Number.isFinite(value))
          .sort((a, b) => Math.abs(a[1] - y) - Math.abs(b[1] - y))[0];
        return near ? `${near[0]} at ${Report.time(seconds[row] * 1e9)}\n${Number(near[1].toFixed(3))} ${unit}` : null;
      },
    });
  };
  id("highest").addEventListener("click", () => {
    const wanted = id("instance").value;
    const { from, to } = state.get();
    let best = null;
    for (const [name, column] of kinds.get(id("counter").value)) {
      if (wanted && name !== wanted) continue;
      column.list.forEach((value, row) => {
        const time = counters.t[row];
        if (time >= from && time <= to && Number.isFinite(value) && (!best || value > best.value)) best = { value, time, name };
      });
    }
    if (!best) return;
    Report.clock.go(best.time);
    if (Report.vm(best.name)) state.set({ vm: best.name, seq: 0 });
    Report.timeline.show(best.time - 2e9, best.time + 2e9);
  });
  id("counter").addEventListener("change", () => { instances(); drawCounter(); });
  id("instance").addEventListener("change", drawCounter);
  instances();

  for (const [container, height, draw] of [[id("stack"), stackHeight, drawStack], [id("any-counter"), COUNTER_HEIGHT, drawCounter]]) {
    // As high as it will be, so that nothing below moves when the curves come.
    container.style.minHeight = `${height}px`;
    let width = 0;
    Report.whenSeen(container, [], () => {
      if (container.clientWidth === width) return;
      width = container.clientWidth;
      draw();
    });
  }
})();
