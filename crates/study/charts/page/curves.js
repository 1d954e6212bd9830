"use strict";
/* Curves over time, drawn by uPlot: zoom by dragging, one interval and one moment for all. */

/**
 * An interval of all curves that share it, and the moment marked in them; nanoseconds. A page that shows a run has one, `Report.interval`, with
 * the same functions.
 */
Report.newInterval = (begin, end) => {
  let from = begin;
  let to = end;
  let moment = null;
  const listeners = [];
  const tell = () => { for (const call of listeners) call({ from, to }); };
  const zoom = (low, high) => {
    from = Report.clamp(low, begin, end - 1e3);
    to = Report.clamp(high, from + 1e3, end);
    tell();
  };
  return {
    begin, end, get: () => ({ from, to }), zoom, whole: () => zoom(begin, end), on: (call) => { listeners.push(call); },
    moment: () => moment,
    go: (now) => {
      moment = Report.clamp(now, begin, end);
      tell();
    },
  };
};

/** What a page may show with all curves: bands of phases [{from, to, name}] and marks [{at, name}], seconds; an interval at the bottom, or null. */
Report.bands = [];
Report.marks = [];
Report.lined = () => null;

Report.chart = (() => {
  const { colour } = Report;

  /** Phases beneath the curves. */
  const beneath = (u) => {
    const { ctx, bbox } = u;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    Report.bands.forEach(({ from, to, name }, place) => {
      const left = u.valToPos(from, "x", true);
      const right = u.valToPos(to, "x", true);
      if (right < bbox.left || left > bbox.left + bbox.width) return;
      ctx.fillStyle = colour(place % 2 ? "band2" : "band1");
      ctx.fillRect(left, bbox.top, right - left, bbox.height);
    });
    ctx.restore();
  };

  /** Names of phases, marks, the timeline's interval and the moment above the curves. */
  const above = (u) => {
    const { ctx, bbox } = u;
    const ratio = uPlot.pxRatio;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top - 16 * ratio, bbox.width, bbox.height + 16 * ratio);
    ctx.clip();
    ctx.font = `${11 * ratio}px system-ui, sans-serif`;
    ctx.textBaseline = "bottom";
    const line = (seconds, strokeStyle, dash) => {
      const x = Math.round(u.valToPos(seconds, "x", true)) + 0.5;
      ctx.strokeStyle = strokeStyle;
      ctx.lineWidth = ratio;
      ctx.setLineDash(dash);
      ctx.beginPath();
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
      ctx.stroke();
      return x;
    };
    ctx.fillStyle = colour("faint");
    if (u.reportNames) {
      for (const { from, to, name } of Report.bands) {
        const left = Math.max(u.valToPos(from, "x", true), bbox.left);
        const right = Math.min(u.valToPos(to, "x", true), bbox.left + bbox.width);
        if (right - left > 10 * ratio) ctx.fillText(name, (left + right) / 2 - 5 * ratio, bbox.top);
      }
    }
    for (const { at, name } of Report.marks) {
      const x = line(at, colour("faint"), [3 * ratio, 3 * ratio]);
      if (u.reportNames) ctx.fillText(name, x + 3 * ratio, bbox.top);
    }
    const lined = Report.lined();
    if (lined) {
      const [left, right] = lined.map((seconds) => u.valToPos(seconds, "x", true));
      ctx.fillStyle = colour("chosen");
      ctx.fillRect(left, bbox.top + bbox.height - 3 * ratio, Math.max(right - left, 2 * ratio), 3 * ratio);
    }
    const moment = u.reportInterval.moment();
    if (moment !== null) line(moment / 1e9, colour("now"), []);
    ctx.restore();
  };

  const all = new Set();
  let due = false;
  const redraw = () => {
    due = false;
    for (const chart of all) if (chart.reportSeen || Report.printing) chart.redraw(false, false);
  };
  const drawSoon = () => {
    if (due) return;
    due = true;
    requestAnimationFrame(redraw);
  };
  /** Whose changes the charts are told of. */
  const heard = new WeakSet();
  const hear = (interval) => {
    if (heard.has(interval)) return;
    heard.add(interval);
    interval.on(({ from, to }) => {
      for (const chart of all) if (chart.reportInterval === interval) chart.setScale("x", { min: from / 1e9, max: to / 1e9 });
    });
  };
  Report.state.on(["theme"], () => { for (const chart of all) chart.redraw(false, false); });

  /**
   * Draws curves into `container`: `data` as uPlot takes it with seconds first, `series` and `bands` of uPlot, `height` in pixels.
   * `names`: phases and marks are named above it. `hover(u, index, y)`: what is said beside the pointer.
   * `most`: the axis holds at least this. `interval`: the one of which the curves show a part.
   */
  const make = (container, { data, series, bands: areas = [], height, names = false, hover, draw, unit = "MB", most = 0, axisSize = 58, interval = Report.interval }) => {
    for (const chart of all) {
      if (chart.reportContainer === container) {
        all.delete(chart);
        chart.destroy();
      }
    }
    const tip = Report.el("div", { class: "tip", hidden: true });
    hear(interval);
    const { from, to } = interval.get();
    const options = {
      width: Math.max(200, container.clientWidth), height, legend: { show: false }, padding: [names ? 18 : 6, 16, 0, 0],
      scales: { x: { time: false, min: from / 1e9, max: to / 1e9 }, y: { range: (u, low, high) => [0, Math.max(high || 0, most) * 1.03 || 1] } },
      cursor: { y: false, points: { show: false }, drag: { x: true, y: false, setScale: false, dist: 4 } },
      axes: [
        {
          stroke: () => colour("faint"), grid: { stroke: () => colour("line"), width: 1 }, ticks: { show: false }, font: "11px system-ui, sans-serif", size: 24,
          space: 90,
          incrs: [1e-5, 1e-4, 1e-3, 0.01, 0.1, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400],
          values: (u, splits, axis, space, step) => splits.map((value) => Report.timeTo(value * 1e9, Math.max(step, 1e-9) * 1e9)),
        },
        {
          stroke: () => colour("faint"), grid: { stroke: () => colour("line"), width: 1 }, ticks: { show: false }, font: "11px system-ui, sans-serif", size: axisSize,
          ...(unit === "MB" ? { incrs: Array.from({ length: 34 }, (_, power) => 2 ** power) } : {}),
          values: (u, splits) => splits.map((value) => (unit === "MB" && value >= 8192 ? `${Number((value / 1024).toFixed(2))} GB` : `${Number(value.toPrecision(6))} ${unit}`)),
        },
      ],
      series: [{}, ...series], bands: areas,
      hooks: {
        drawClear: [beneath], draw: [...(draw ? [draw] : []), above],
        setSelect: [(u) => {
          if (u.select.width < 4) return;
          const low = u.posToVal(u.select.left, "x");
          const high = u.posToVal(u.select.left + u.select.width, "x");
          u.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
          interval.zoom(low * 1e9, high * 1e9);
        }],
        setCursor: [(u) => {
          const { left, top, idx } = u.cursor;
          const words = idx === null || idx === undefined || left < 0 || !hover ? null : hover(u, idx, u.posToVal(top, "y"));
          tip.hidden = !words;
          if (!words) return;
          Report.show(tip, words);
          tip.style.left = `${Math.min(left + 12, Math.max(0, u.over.clientWidth - tip.offsetWidth))}px`;
          tip.style.top = `${Math.max(0, Math.min(top + 12, u.over.clientHeight - tip.offsetHeight))}px`;
        }],
      },
    };
    Report.show(container);
    const chart = new uPlot(options, data, container);
    chart.reportNames = names;
    chart.reportInterval = interval;
    chart.reportContainer = container;
    chart.over.append(tip);
    chart.over.addEventListener("dblclick", () => interval.whole());
    let pressed = null;
    chart.over.addEventListener("mousedown", (event) => { pressed = event.clientX; });
    chart.over.addEventListener("mouseup", (event) => {
      if (pressed !== null && Math.abs(event.clientX - pressed) < 4) {
        interval.go(chart.posToVal(event.clientX - chart.over.getBoundingClientRect().left, "x") * 1e9);
      }
      pressed = null;
    });
    new IntersectionObserver((entries) => {
      chart.reportSeen = entries[entries.length - 1].isIntersecting;
      if (chart.reportSeen && all.has(chart)) chart.redraw(false, false);
    }, { rootMargin: "80px" }).observe(container);
    all.add(chart);
    return chart;
  };
  make.all = all;
  make.drawSoon = drawSoon;
  return make;
})();
