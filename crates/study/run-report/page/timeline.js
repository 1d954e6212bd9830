"use strict";
/* The lanes of one VM on a canvas: zoom down to 10 µs, causes as arrows, a click on anything shows it. */

(() => {
  const { state, id, colour, lanes, events, begin, end } = Report;
  const canvas = id("lanes");
  const LEFT = () => (canvas.clientWidth < 600 ? 78 : 112);
  const TOP = 24;
  const LANE = 46;
  const LEAST = 10e3; // ns: the smallest interval
  const ARROWS = 260; // events beyond which no arrows are drawn
  const hits = [];

  const show = (from, to) => {
    const length = Report.clamp(to - from, LEAST, end - begin);
    from = Report.clamp(from, begin, end - length);
    state.set({ lineFrom: from, lineTo: from + length });
  };
  const zoom = (factor, around) => {
    const { lineFrom, lineTo } = state.get();
    const middle = around ?? (lineFrom + lineTo) / 2;
    show(middle - (middle - lineFrom) * factor, middle + (lineTo - middle) * factor);
  };
  const move = (part) => {
    const { lineFrom, lineTo } = state.get();
    const by = (lineTo - lineFrom) * part;
    show(lineFrom + by, lineTo + by);
  };
  /** Brings an instant into view, without changing what is seen if it is there already. */
  const reveal = (time) => {
    const { lineFrom, lineTo } = state.get();
    if (time < lineFrom || time > lineTo) {
      const half = Math.min((lineTo - lineFrom) / 2, (end - begin) / 4);
      show(time - half, time + half);
    }
  };
  Report.timeline = { show, zoom, move, reveal };
  state.on(["now"], ({ now }) => reveal(now));

  const STEPS = (() => {
    const steps = [];
    for (let step = 1; step < 1e9; step *= 10) steps.push(step, 2 * step, 5 * step);
    return [...steps, ...[1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 43200, 86400].map((s) => s * 1e9)];
  })();

  const height = TOP + lanes.LANES.length * LANE;
  const draw = ({ vm, lineFrom, lineTo, seq, now }) => {
    const { context: c, width } = Report.canvas(canvas, height);
    const left = LEFT();
    const scale = (width - left - 8) / (lineTo - lineFrom);
    const x = (time) => left + (time - lineFrom) * scale;
    hits.length = 0;
    c.font = "11px system-ui, sans-serif";
    c.textBaseline = "middle";

    c.fillStyle = colour("box");
    c.fillRect(0, 0, width, height);
    // Lanes and the axis.
    lanes.LANES.forEach(({ name }, lane) => {
      const y = TOP + lane * LANE;
      c.fillStyle = lane % 2 ? "transparent" : colour("band1");
      c.fillRect(0, y, width, LANE);
      c.fillStyle = colour("ink");
      c.fillText(name, 6, y + LANE / 2);
    });
    const step = STEPS.find((step) => step * scale >= 96) || STEPS[STEPS.length - 1];
    c.fillStyle = colour("faint");
    c.strokeStyle = colour("line");
    c.beginPath();
    // Where little is seen, times are told from the left edge: their beginnings are all the same.
    const fine = step < 1e7;
    for (let tick = Math.ceil(lineFrom / step) * step; tick <= lineTo; tick += step) {
      const at = Math.round(x(tick)) + 0.5;
      c.moveTo(at, TOP);
      c.lineTo(at, height);
      c.fillText(fine ? `+${Report.span(tick - Math.ceil(lineFrom / step) * step)}` : Report.timeTo(tick, step), at + 3, TOP / 2);
    }
    c.stroke();
    if (fine) c.fillText(Report.timeTo(Math.ceil(lineFrom / step) * step, step), 6, TOP / 2);
    if (!vm || !events.length) {
      c.fillText(events.length ? "no VM" : "no events were recorded", left + 8, TOP + 20);
      return;
    }

    const { bars, instants, longest } = lanes.of(vm);
    c.save();
    c.beginPath();
    c.rect(left, 0, width - left, height);
    c.clip();
    const chosen = events.find(seq);
    const chain = new Set();
    if (chosen >= 0) {
      const { causes, effects } = Report.causality.chain(chosen, 400);
      for (const [, at] of [...causes, ...effects]) chain.add(at);
      chain.add(chosen);
    }

    // Bars: of those that are narrower than a pixel one for each pixel.
    let first = firstAfter(bars, lineFrom - longest);
    const lastPixel = new Int32Array(lanes.LANES.length).fill(-1);
    for (; first < bars.length && bars[first].from <= lineTo; first++) {
      const { lane, from, to, label, at } = bars[first];
      if (to < lineFrom) continue;
      const start = Math.max(x(from), left - 2);
      const stop = Math.min(x(to), width + 2);
      const inChain = chain.has(at);
      if (stop - start < 1 && Math.floor(start) === lastPixel[lane] && !inChain) continue;
      lastPixel[lane] = Math.floor(start);
      const y = TOP + lane * LANE + 7;
      const wide = Math.max(stop - start, 1);
      c.fillStyle = inChain ? colour("chosen") : colour(["pool", "vm4", "vm2", "accent", "chosen", "vm0", "vm3", "overhead"][lane]);
      c.globalAlpha = inChain ? 0.9 : 0.55;
      c.fillRect(start, y, wide, LANE - 26);
      c.globalAlpha = 1;
      hits.push([start - 2, start + wide + 2, y, y + LANE - 26, at, `${label}, ${Report.span(to - from)}`]);
      const words = `${label}, ${Report.span(to - from)}`;
      const room = stop - start - 6;
      if (room > 30) {
        c.fillStyle = colour(inChain ? "ground" : "ink");
        c.fillText(fit(c, words, room), start + 3, y + (LANE - 26) / 2);
      }
    }

    // Instants.
    const where = new Map();
    const visible = [];
    let index = firstInstant(instants, lineFrom);
    const dense = firstInstant(instants, lineTo) - index > ARROWS;
    const pixels = new Int32Array(lanes.LANES.length).fill(-9);
    for (; index < instants.length && instants[index].t <= lineTo; index++) {
      const { lane, t, at } = instants[index];
      const at1 = x(t);
      const y = TOP + lane * LANE + LANE - 11;
      where.set(at, [at1, y]);
      visible.push(at);
      const inChain = chain.has(at);
      if (Math.floor(at1 / 2) === pixels[lane] && !inChain) continue;
      pixels[lane] = Math.floor(at1 / 2);
      const severity = events.severity(at);
      c.fillStyle = at === chosen ? colour("now") : severity ? colour("short") : inChain ? colour("chosen") : colour("ink");
      const size = at === chosen ? 6 : inChain ? 4.5 : 3.2;
      hits.push([at1 - 5, at1 + 5, y - 7, y + 7, at, null]);
      if (dense && !inChain && !severity) {
        // Many: ticks, not marks that become a band.
        c.globalAlpha = 0.45;
        c.fillRect(at1, y - 4, 1, 8);
        c.globalAlpha = 1;
        continue;
      }
      c.beginPath();
      c.moveTo(at1, y - size);
      c.lineTo(at1 + size, y);
      c.lineTo(at1, y + size);
      c.lineTo(at1 - size, y);
      c.fill();
    }
    // Names, where there is room before the next.
    if (visible.length <= ARROWS) {
      const next = new Array(lanes.LANES.length).fill(width);
      for (const at of [...visible].reverse()) {
        const [at1, y] = where.get(at);
        const lane = Math.floor((y - TOP) / LANE);
        const room = next[lane] - at1 - 12;
        if (room > 34) {
          c.fillStyle = chain.has(at) ? colour("ink") : colour("faint");
          c.fillText(fit(c, events.name(at), room), at1 + 7, y);
        }
        next[lane] = at1;
      }
    }

    // Causes.
    if (id("line-arrows").checked) {
      const arrow = (from, to, strong) => {
        const dx = to[0] - from[0];
        const dy = to[1] - from[1];
        if (Math.abs(dx) + Math.abs(dy) < 6) return;
        c.strokeStyle = c.fillStyle = strong ? colour("chosen") : colour("faint");
        c.globalAlpha = strong ? 0.9 : 0.4;
        c.lineWidth = strong ? 1.5 : 1;
        c.beginPath();
        c.moveTo(...from);
        c.lineTo(...to);
        c.stroke();
        const angle = Math.atan2(dy, dx);
        c.beginPath();
        c.moveTo(...to);
        c.lineTo(to[0] - 7 * Math.cos(angle - 0.4), to[1] - 7 * Math.sin(angle - 0.4));
        c.lineTo(to[0] - 7 * Math.cos(angle + 0.4), to[1] - 7 * Math.sin(angle + 0.4));
        c.fill();
        c.globalAlpha = 1;
        c.lineWidth = 1;
      };
      const point = (at) => where.get(at) || [x(events.time[at]), TOP + lanes.place[lanes.laneOf(at)] * LANE + LANE - 11];
      const drawn = visible.length <= ARROWS ? visible : [...chain];
      for (const strong of [false, true]) {
        for (const at of drawn) {
          for (const cause of Report.causality.causes(at)) {
            if (events.vm(cause) !== vm && events.vm(cause) !== null) continue;
            if ((chain.has(at) && chain.has(cause)) === strong) arrow(point(cause), point(at), strong);
          }
        }
      }
    }
    c.strokeStyle = colour("now");
    c.beginPath();
    c.moveTo(Math.round(x(now)) + 0.5, TOP);
    c.lineTo(Math.round(x(now)) + 0.5, height);
    c.stroke();
    c.restore();
    canvas.setAttribute("aria-label", `Components of ${vm} from ${Report.time(lineFrom)} to ${Report.time(lineTo)}: ${visible.length} events`);
  };

  const firstAfter = (bars, time) => {
    let low = 0;
    let high = bars.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (bars[middle].from < time) low = middle + 1;
      else high = middle;
    }
    return low;
  };
  const firstInstant = (instants, time) => {
    let low = 0;
    let high = instants.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (instants[middle].t < time) low = middle + 1;
      else high = middle;
    }
    return low;
  };
  /** As much of a text as there is room for. */
  const fit = (c, text, room) => {
    if (c.measureText(text).width <= room) return text;
    let length = Math.floor(room / 6);
    while (length > 1 && c.measureText(`${text.slice(0, length)}…`).width > room) length--;
    return length > 1 ? `${text.slice(0, length)}…` : "";
  };

  const hit = (event) => {
    const { left, top } = canvas.getBoundingClientRect();
    const px = event.clientX - left;
    const py = event.clientY - top;
    let best = null;
    for (const found of hits) {
      if (px < found[0] || px > found[1] || py < found[2] || py > found[3]) continue;
      const distance = Math.abs((found[0] + found[1]) / 2 - px);
      if (!best || distance <= best.distance) best = { distance, found };
    }
    return best && best.found;
  };
  const timeAt = (clientX) => {
    const { lineFrom, lineTo } = state.get();
    const { left, width } = canvas.getBoundingClientRect();
    return lineFrom + ((clientX - left - LEFT()) / (width - LEFT() - 8)) * (lineTo - lineFrom);
  };

  const pointers = new Map();
  let dragged = 0;
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    canvas.focus({ preventScroll: true });
    pointers.set(event.pointerId, event.clientX);
    dragged = 0;
  });
  canvas.addEventListener("pointermove", (event) => {
    const before = pointers.get(event.pointerId);
    if (before === undefined) {
      const found = hit(event);
      canvas.style.cursor = found ? "pointer" : "grab";
      id("lanes-hover").textContent = found
        ? `${Report.time(events.time[found[4]])}  #${events.seq[found[4]]}  ${events.where(found[4])}  ${found[5] ? `${found[5]}: ` : ""}${events.text(found[4])}` : "";
      return;
    }
    const { lineFrom, lineTo } = state.get();
    const scale = (lineTo - lineFrom) / (canvas.clientWidth - LEFT() - 8);
    if (pointers.size === 2) {
      const [other] = [...pointers].filter(([pointer]) => pointer !== event.pointerId).map(([, x]) => x);
      const apart = Math.abs(before - other) / Math.max(8, Math.abs(event.clientX - other));
      zoom(apart, timeAt((event.clientX + other) / 2));
    } else {
      const by = (before - event.clientX) * scale;
      show(lineFrom + by, lineTo + by);
    }
    dragged += Math.abs(event.clientX - before);
    pointers.set(event.pointerId, event.clientX);
  });
  const up = (event) => {
    const alone = pointers.size === 1;
    pointers.delete(event.pointerId);
    if (event.type !== "pointerup" || !alone || dragged > 4) return;
    const found = hit(event);
    if (found) Report.choose(found[4]);
    else if (event.clientX - canvas.getBoundingClientRect().left > LEFT()) Report.clock.go(timeAt(event.clientX));
  };
  canvas.addEventListener("pointerup", up);
  canvas.addEventListener("pointercancel", up);
  canvas.addEventListener("wheel", (event) => {
    // A page that is scrolled past must not zoom: only the canvas that was clicked does, or with Ctrl.
    if (document.activeElement !== canvas && !event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) move(event.deltaX / 1000);
    else zoom(Math.exp(event.deltaY / 400), timeAt(event.clientX));
  }, { passive: false });
  canvas.addEventListener("keydown", (event) => {
    const does = {
      "+": () => zoom(0.5, state.get().now), "=": () => zoom(0.5, state.get().now), "-": () => zoom(2, state.get().now),
      ArrowLeft: () => move(-0.2), ArrowRight: () => move(0.2), Home: () => show(begin, begin), End: () => show(end, end),
    }[event.key];
    if (!does) return;
    event.preventDefault();
    event.stopPropagation();
    does();
  });
  id("line-in").addEventListener("click", () => zoom(0.5, state.get().now));
  id("line-out").addEventListener("click", () => zoom(2, state.get().now));
  id("line-here").addEventListener("click", () => show(state.get().now - 2e9, state.get().now + 2e9));
  id("line-operation").addEventListener("click", () => {
    const { vm, now } = state.get();
    const { bars } = lanes.of(vm);
    const next = bars.find(({ lane, from }) => lane === lanes.place.vsp && from > now) || bars.find(({ lane }) => lane === lanes.place.vsp);
    if (!next) return;
    const asked = bars.find(({ lane, from, to }) => lane === lanes.place.balancer && from <= next.from && to >= next.to) || next;
    const length = asked.to - asked.from;
    show(asked.from - length * 0.1, asked.to + length * 0.1);
    Report.choose(asked.at);
  });
  id("line-save").addEventListener("click", () => canvas.toBlob((picture) => Report.save("timeline.png", "image/png", picture)));
  id("line-arrows").addEventListener("change", () => run());
  // As large as it will be, so that nothing below moves when it is drawn.
  Report.canvas(canvas, height);
  const run = Report.whenSeen(canvas, ["vm", "lineFrom", "lineTo", "seq", "now"], () => draw(state.get()));
})();
