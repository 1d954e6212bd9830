"use strict";
/* Figure 2-3 of the guideline, alive: the components at the moment of the slider, memory as areas of one scale, messages in the rings. */

(() => {
  const { state, svg, el, id, colour, host, vms, events } = Report;
  const container = id("living-picture");
  /** So long a message or a piece of memory is seen on its way, in seconds of the watcher, where it was quicker. */
  const MESSAGE_SEEN = 0.4;
  const MEMORY_SEEN = 0.8;
  /** So many messages are drawn at once. */
  const MOST = 300;

  let picture = null;

  const pressureColour = (vm) => {
    if (!Number.isFinite(vm.pressure)) return colour("pool");
    if (vm.pressure >= 100) return colour("over");
    if (vm.pressure > (Number.isFinite(vm.high) ? vm.high : 90)) return colour("high");
    return vm.pressure < (Number.isFinite(vm.low) ? vm.low : 75) ? colour("low") : colour("fits");
  };

  /** How wide and how high the picture is, where its rows begin, and how high they are. */
  const measure = () => {
    const width = Math.max(300, container.clientWidth);
    const wide = width >= 960;
    const rowHeight = vms.length <= 12 ? (wide ? 48 : 42) : Math.max(7, Math.floor(560 / vms.length));
    const top = 34;
    return { width, wide, top, rowHeight, height: Math.max(wide ? 420 : 330, top + vms.length * rowHeight + 14) };
  };

  /** Draws what does not move, and keeps what does. */
  const lay = () => {
    const { width, wide, top, rowHeight, height } = measure();
    const named = rowHeight >= 30;
    const poolWidth = wide ? 170 : Math.round(Report.clamp(width * 0.17, 66, 140));
    const poolLeft = 12;
    const partLeft = poolLeft + poolWidth + 18;
    const partWidth = wide ? 170 : 0;
    const workerWidth = wide ? 92 : 14;
    const workerLeft = wide ? partLeft + partWidth + 34 : partLeft - 8;
    const parentRight = workerLeft + workerWidth + 10;
    const busWidth = wide ? 110 : 34;
    const childLeft = parentRight + busWidth;
    const vscWidth = wide ? 40 : 12;
    const barLeft = childLeft + 10 + vscWidth + 8;
    const barWidth = width - barLeft - 12;
    const most = Math.max(1, ...host.maximum);
    const poolHeight = height - top - 66;
    // Pixels² for each MB, the same for the host's memory and the VMs': as much as the host's has room for, if the bars can be high enough.
    const thickest = named ? 18 : Math.max(3, rowHeight - 3);
    const scale = Math.min((barWidth * thickest) / most, (poolHeight * poolWidth) / (host.total || most));
    const barHeight = Report.clamp((most * scale) / barWidth, named ? 9 : 2, thickest);

    const text = (x, y, words, properties = {}) => svg("text", { x, y, ...properties }, words);
    const box = (x, y, w, h, properties = {}) => svg("rect", { x, y, width: w, height: h, rx: 4, class: "part", ...properties });
    const root = svg("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "img", "aria-label": "The components of host and VMs, and the memory that each has" });
    root.append(svg("rect", { x: 1, y: 1, width: parentRight - 1, height: height - 2, rx: 8, fill: "none", stroke: colour("edge") }),
      text(12, 20, wide ? "Parent partition" : "Parent", { "font-weight": 600 }));
    root.append(text(childLeft, 20, wide ? "Child partitions" : "VMs", { "font-weight": 600 }));
    if (wide) root.append(text(parentRight + busWidth / 2, 20, "VMBus", { "text-anchor": "middle" }), text(workerLeft, 20, "workers", { class: "faint" }));

    // The host's memory, from the floor: reserve, overhead, what is left in the balancer.
    const floor = top + poolHeight;
    root.append(svg("rect", { x: poolLeft, y: top, width: poolWidth, height: poolHeight, fill: "none", stroke: colour("line") }));
    const layers = ["reserve", "overhead", "pool"].map((name) => svg("rect", { x: poolLeft, width: poolWidth, y: floor, height: 0, fill: colour(name) }));
    root.append(...layers);
    const poolWords = [0, 1, 2].map((line) => text(poolLeft, floor + 17 + 15 * line, "", { class: line ? "faint small" : "" }));
    root.append(...poolWords);

    const balancer = [];
    if (wide) {
      root.append(box(partLeft, top, partWidth, 118), text(partLeft + 8, top + 18, "Memory balancer", { "font-weight": 600 }));
      for (let line = 0; line < 5; line++) balancer.push(text(partLeft + 8, top + 38 + 17 * line, "", { class: "small" }));
      root.append(...balancer);
      root.append(box(partLeft, top + 138, partWidth, 44), text(partLeft + 8, top + 156, "VMMS", { "font-weight": 600 }));
      // Who speaks with whom in the parent partition.
      const spine = partLeft + partWidth + 16;
      const wire = (d) => svg("path", { d, fill: "none", stroke: colour("edge"), "stroke-width": 1.2 });
      const middles = vms.map(({ place }) => top + place * rowHeight + rowHeight / 2 + (named ? 6 : 0));
      root.append(wire(`M${partLeft + partWidth} ${top + 60}H${spine}`), wire(`M${partLeft + 20} ${top + 118}V${top + 138}`), wire(`M${poolLeft + poolWidth} ${top + 60}H${partLeft}`));
      if (middles.length) root.append(wire(`M${spine} ${Math.min(top + 60, middles[0])}V${middles[middles.length - 1]}`));
      for (const middle of middles) root.append(wire(`M${spine} ${middle}H${workerLeft}`));
    }
    const vmms = wide ? text(partLeft + 8, top + 173, "", { class: "faint small" }) : null;
    if (vmms) root.append(vmms);

    const rows = vms.map(({ name, place }) => {
      const y = top + place * rowHeight;
      const middle = y + rowHeight / 2 + (named ? 6 : 0);
      const bar = { x: barLeft, y: middle - barHeight / 2 };
      const frame = svg("rect", { x: childLeft, y: y + 1, width: width - childLeft - 2, height: rowHeight - 3, rx: named ? 5 : 1, fill: "none", stroke: named ? colour("edge") : "none" });
      const limit = svg("rect", { ...bar, height: barHeight, width: (host.maximum[place] * scale) / barHeight, fill: "none", stroke: named ? colour("edge") : "none", "stroke-dasharray": "2 2" });
      const fill = svg("rect", { ...bar, height: barHeight, width: 0 });
      const demand = svg("line", { y1: bar.y - 3, y2: bar.y + barHeight + 3, stroke: colour("demand"), "stroke-width": named ? 2.2 : 1.2 });
      const target = svg("line", { y1: bar.y - 1, y2: bar.y + barHeight + 1, stroke: colour("demand"), "stroke-width": 1.2, "stroke-dasharray": "2 2" });
      const label = named ? text(barLeft, bar.y - 6, "", {}) : null;
      const rings = [-3, 3].map((side) => svg("line", {
        x1: parentRight - 8, x2: childLeft + 8, y1: middle + side, y2: middle + side, stroke: colour("edge"), "stroke-width": named ? 1.4 : 0.5,
      }));
      const parts = named ? [
        box(workerLeft, middle - 12, workerWidth, 24), box(childLeft + 8, middle - 12, vscWidth, 24),
        wide ? text(workerLeft + workerWidth / 2, middle + 4, "VSP · GMO", { "text-anchor": "middle", class: "small" }) : null,
        wide ? text(childLeft + 8 + vscWidth / 2, middle + 4, "VSC", { "text-anchor": "middle", class: "small" }) : null,
      ].filter(Boolean) : [];
      const hit = svg("rect", { x: childLeft, y, width: width - childLeft, height: rowHeight, fill: "transparent", class: "hit", onclick: () => state.set({ vm: name }) }, svg("title", {}, name));
      root.append(frame, ...rings, ...parts, limit, fill, target, demand);
      if (label) root.append(label);
      root.append(hit);
      return { place, name, middle, bar, frame, fill, demand, target, label, hit };
    });
    const moving = svg("g", { "pointer-events": "none" });
    root.append(moving);
    Report.show(container, root);
    container.style.minHeight = "";
    return {
      width, wide, rows, moving, layers, poolWords, balancer, vmms, scale, floor, poolWidth, poolLeft, barHeight, barLeft, named,
      ring: [parentRight - 8, childLeft + 8], order: [partLeft + partWidth, top + 60, partLeft + partWidth + 16, workerLeft], theme: document.documentElement.dataset.theme,
    };
  };

  /** A thing that moves: elements are used again. */
  const tokens = () => {
    let used = 0;
    return {
      put(name, properties) {
        const { moving } = picture;
        let token = moving.children[used];
        if (!token || token.localName !== name) {
          const made = svg(name);
          if (token) token.replaceWith(made);
          else moving.append(made);
          token = made;
        }
        for (const [key, value] of Object.entries(properties)) token.setAttribute(key, value);
        used++;
      },
      end() {
        while (picture.moving.children.length > used) picture.moving.lastChild.remove();
      },
    };
  };

  const draw = ({ now, vm: chosen, speed }) => {
    if (!picture || picture.width !== Math.max(300, container.clientWidth) || picture.theme !== document.documentElement.dataset.theme) picture = lay();
    const { rows, layers, poolWords, scale, floor, poolWidth, poolLeft, barHeight, barLeft, ring, wide } = picture;
    const present = host.at(now);
    let y = floor;
    [present.reserve, present.overhead, present.available].forEach((mb, place) => {
      const height = (mb * scale) / poolWidth;
      y -= height;
      layers[place].setAttribute("y", y);
      layers[place].setAttribute("height", height);
    });
    const poolTop = y;
    poolWords[0].textContent = wide ? `Available: ${Report.mb(present.available)}` : Report.mb(present.available);
    poolWords[1].textContent = wide ? `in transit ${Report.mb(present.transit)}` : "available";
    poolWords[2].textContent = wide ? `reserve ${Report.mb(present.reserve)}` : "";

    const round = host.lastRound(now);
    const decision = rows.reduce((last, row) => Math.max(last, present.vms[row.place].decision ?? -1), -1);
    if (wide) {
      const words = [
        round >= 0 ? `state: ${events.value(round, "rule")}` : "no round yet",
        Number.isFinite(present.pressure) ? `average pressure ${present.pressure.toFixed(1)} %` : "",
        decision >= 0 ? `last change, ${Report.timeTo(events.time[decision], 1e8)}:` : "",
        decision >= 0 ? `${events.vm(decision)} ${events.value(decision, "rule")}` : "",
        decision >= 0 ? `→ ${Report.mbOfPages(events.value(decision, "target"))}` : "",
      ];
      words.forEach((line, place) => { picture.balancer[place].textContent = line; });
      picture.vmms.textContent = `${present.vms.filter((vm) => vm.physical > 0).length} of ${vms.length} VMs run`;
    }

    for (const row of rows) {
      const vm = present.vms[row.place];
      const x = (mb) => barLeft + (mb * scale) / barHeight;
      row.fill.setAttribute("width", Math.max(0, x(vm.physical) - barLeft));
      row.fill.setAttribute("fill", pressureColour(vm));
      for (const [mark, mb] of [[row.demand, vm.demand], [row.target, vm.target]]) {
        const shown = vm.physical > 0 && Number.isFinite(mb);
        mark.setAttribute("visibility", shown ? "visible" : "hidden");
        if (shown) {
          mark.setAttribute("x1", x(mb));
          mark.setAttribute("x2", x(mb));
        }
      }
      const words = vm.physical > 0
        ? `${vm.name}  ${Report.mb(vm.physical)}${wide ? ` of ${Report.mb(vm.maximum)}` : ""}${Number.isFinite(vm.pressure) ? `, ${wide ? "pressure " : ""}${vm.pressure.toFixed(0)} %` : ""}${wide && vm.rule ? ` · ${vm.rule}` : ""}`
        : `${vm.name}  off`;
      if (row.label) row.label.textContent = words;
      else row.hit.firstChild.textContent = words;
      row.frame.setAttribute("class", vm.name === chosen ? "chosen" : "");
      if (!picture.named) row.frame.setAttribute("stroke", vm.name === chosen ? colour("chosen") : "none");
    }

    const token = tokens();
    // Memory: from the pool to the end of the VM's bar, and back. The frames are mapped; they do not cross the bus.
    const memorySeen = MEMORY_SEEN * speed * 1e9;
    const longest = 60e9;
    for (let place = Report.lastUpTo(host.moveTimes, now); place >= 0 && now - host.moves[place].from < Math.max(longest, memorySeen); place--) {
      const { vm, mb, toVm, from, to } = host.moves[place];
      const until = Math.max(to, from + memorySeen);
      if (now > until) continue;
      const part = (now - from) / (until - from || 1);
      const size = Math.max(4, Math.sqrt(mb * scale));
      const row = rows[vm];
      const ends = [[poolLeft + poolWidth / 2, Math.min(poolTop + 6, floor - 6)], [barLeft + (present.vms[vm].physical * scale) / barHeight, row.middle]];
      const [start, end] = toVm ? ends : [ends[1], ends[0]];
      token.put("rect", {
        x: start[0] + (end[0] - start[0]) * part - size / 2, y: start[1] + (end[1] - start[1]) * part - size / 2,
        width: size, height: size, fill: colour("transit"), stroke: colour("ink"), "stroke-width": 0.7,
      });
    }
    const messageSeen = Math.max(1e4, MESSAGE_SEEN * speed * 1e9);
    // What the balancer tells the workers: grants and requests for memory.
    if (wide) {
      const [left, start, spine, worker] = picture.order;
      for (let place = Report.lastUpTo(host.orderTimes, now); place >= 0 && now - host.orders[place].at < messageSeen; place--) {
        const { vm, at } = host.orders[place];
        const { middle } = rows[vm];
        const way = [spine - left, Math.abs(middle - start), worker - spine];
        let gone = ((now - at) / messageSeen) * (way[0] + way[1] + way[2]);
        const first = Math.min(gone, way[0]);
        gone -= first;
        const second = Math.min(gone, way[1]);
        gone -= second;
        token.put("circle", { cx: left + first + gone, cy: start + Math.sign(middle - start) * second, r: 3.4, fill: colour("ink"), stroke: "none", "stroke-width": 0 });
      }
    }
    // Where there would be more than five reports a second to see, some stand for all.
    const every = Math.max(1, Math.round(speed / 5));
    let drawn = 0;
    for (let place = Report.lastUpTo(host.messageTimes, now); place >= 0 && now - host.messages[place].at < messageSeen && drawn < MOST; place--) {
      const { vm, up, status, at, number } = host.messages[place];
      if (status && number % every) continue;
      drawn++;
      const part = (now - at) / messageSeen;
      const [from, to] = up ? [ring[1], ring[0]] : ring;
      token.put("circle", {
        cx: from + (to - from) * part, cy: rows[vm].middle + (picture.named ? (up ? 3 : -3) : 0), r: status ? 2.4 : 4.5,
        fill: status ? colour("accent") : colour("chosen"), stroke: "none", "stroke-width": 0,
      });
    }
    token.end();
    const about = present.vms.find((vm) => vm.name === chosen);
    if (about) {
      const of = (counter) => host.channelAt(about.place, counter, now);
      const rings = Number.isFinite(of("Signals To Guest"))
        ? `; rings at the last sample: ${of("Upstream Ring Used")} bytes to the host, ${of("Downstream Ring Used")} to the guest; ${of("Signals From Guest")} and ${of("Signals To Guest")} signals so far; `
          + `map of ${of("2M Pages")} large and ${of("4K Pages")} small pages` : "";
      id("living-vm").textContent = about.physical > 0
        ? `${about.name}: ${Report.mb(about.physical)}${Number.isFinite(about.demand) ? `, demand ${Report.mb(about.demand)}` : ""}${Number.isFinite(about.target) ? `, to have ${Report.mb(about.target)}` : ""}${rings}` : `${about.name} is off`;
    }
    const last = events.upTo(now);
    id("living-now").textContent = last >= 0 ? `${Report.time(now)}: ${events.where(last)} ${events.text(last)}`.slice(0, 190) : Report.time(now);
  };

  const key = (name, words) => Report.el("span", {}, el("i", { style: `background:var(--${name})` }), words);
  Report.show(id("living-legend"),
    key("low", "pressure below the VM's band"), key("fits", "within"), key("high", "above"), key("over", "100 % or more: short of memory"),
    key("pool", "left in the balancer"), key("reserve", "reserve of the parent OS"),
    el("span", {}, el("i", { style: "background:var(--transit);outline:1px solid var(--ink)" }), "with an edge: memory on its way"),
    el("span", {}, "▏ demand"), el("span", {}, "┊ target"), el("span", {}, "dashed: maximum"), key("accent", "status report"), key("chosen", "other message"), key("ink", "the balancer's word to a worker"));
  id("living-save").addEventListener("click", () => Report.save("components.svg", "image/svg+xml", Report.picture(container.firstElementChild)));
  // As high as it will be, so that nothing below moves when it comes.
  container.style.minHeight = `${measure().height}px`;
  Report.whenSeen(container, ["now", "vm", "speed"], draw);
})();
