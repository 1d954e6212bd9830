"use strict";
/* A page of curves that are of no single run: what the report's charts ask of a run. */

Report.sheet = Report.data("data-curves");
Report.begin = 0;
Report.end = Math.max(1, ...Report.sheet.panels.flatMap(({ times }) => times)) * 1e9;
Report.run = { summary: null };
Report.events = { named: () => [], time: [], value: () => undefined };
/** A click marks a moment in all curves; before the first there is none. */
Report.clock = { go: (now) => Report.state.set({ now }) };
Report.clock.go(-1e9);
