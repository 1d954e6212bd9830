"use strict";
/* The interval of all curves of the run, its phases and marks in them, and the moment. */

/** The interval of all curves. */
Report.interval = (() => {
  const { state, begin, end, id } = Report;
  const zoom = (from, to) => {
    from = Report.clamp(from, begin, end - 1e3);
    to = Report.clamp(to, from + 1e3, end);
    state.set({ from, to, lineFrom: from, lineTo: to });
  };
  const whole = () => zoom(begin, end);
  state.set({ from: begin, to: end, lineFrom: begin, lineTo: end });
  id("whole").addEventListener("click", whole);
  state.on(["from", "to"], ({ from, to }) => {
    id("interval").textContent = to - from >= end - begin ? "" : `${Report.timeTo(from, (to - from) / 100)} to ${Report.timeTo(to, (to - from) / 100)}`;
  });
  state.on(["now", "lineFrom", "lineTo"], Report.chart.drawSoon);
  return {
    zoom, whole, get: () => state.get(), on: (call) => state.on(["from", "to"], call),
    moment: () => state.get().now, go: (now) => Report.clock.go(now),
  };
})();

Report.bands = (() => {
  const phases = Report.run.summary && Report.run.summary.phases;
  if (!phases) return [];
  const last = phases.restored_s === null || phases.restored_s === undefined ? Report.end / 1e9 : phases.restored_s;
  const at = [phases.idle_s, phases.grows_s, phases.contention_s, phases.falls_s, last];
  return ["①", "②", "③", "④"].map((name, place) => ({ from: at[place], to: at[place + 1], name }));
})();
Report.marks = Report.events.named("mark").map((place) => ({ at: Report.events.time[place] / 1e9, name: Report.events.value(place, "text") }));

/** What the timeline shows, if that is a small part of the run; seconds. */
Report.lined = () => {
  const { lineFrom, lineTo } = Report.state.get();
  return Report.timeline && lineTo - lineFrom < 0.5 * (Report.end - Report.begin) ? [lineFrom / 1e9, lineTo / 1e9] : null;
};
