"use strict";
/* One event: its fields, its bytes, everything that it is connected with. And why the chosen VM has what it has. */

/** Chooses the event at a place: everything shows it. */
Report.choose = (place) => {
  const { events, state } = Report;
  const change = { seq: events.seq[place], now: events.time[place], playing: false };
  if (events.vm(place) !== null) change.vm = events.vm(place);
  state.set(change);
  Report.timeline.reveal(events.time[place]);
};

(() => {
  const { state, el, id, events } = Report;
  const SHOWN = 300;

  const field = ([name, value]) => el("tr", {}, el("th", {}, name),
    el("td", {}, Report.value(value), typeof value === "number" && Report.PAGES.has(name) ? el("span", { class: "faint" }, `  ${Report.mbOfPages(value)}`) : null));

  const apart = (at, place) => {
    const by = events.time[at] - events.time[place];
    return by === 0 ? "at once" : `${by < 0 ? "−" : "+"}${Report.span(Math.abs(by))}`;
  };

  const draw = ({ seq }) => {
    const panel = id("event");
    const place = events.find(seq);
    panel.hidden = place < 0;
    if (place < 0) return;
    const { causes, effects, more } = Report.causality.chain(place);
    const line = (at, distance) => el("li", { class: at === place ? "current" : "", onclick: () => Report.choose(at) },
      el("time", {}, at === place ? Report.timeTo(events.time[at], 1e6) : apart(at, place)),
      el("span", { style: `padding-left:${Math.min(distance, 12) * 0.55}rem` }, el("b", {}, events.where(at)), ` ${events.text(at)}`));
    const depth = causes.length ? Math.max(...causes.map(([distance]) => distance)) : 0;
    const chain = [
      ...causes.map(([distance, at]) => line(at, depth - distance)), line(place, depth),
      ...effects.slice(0, SHOWN).map(([distance, at]) => line(at, depth + distance)),
    ];
    const cause = events.find(events.cause(place));
    Report.show(panel,
      el("div", {},
        el("h3", {}, `#${seq} ${events.name(place)}`),
        el("table", {}, el("tbody", {},
          el("tr", {}, el("th", {}, "when"), el("td", {}, Report.time(events.time[place]))),
          el("tr", {}, el("th", {}, "where"), el("td", {}, events.where(place))),
          el("tr", {}, el("th", {}, "because of"), el("td", {}, cause >= 0
            ? el("button", { type: "button", onclick: () => Report.choose(cause) }, `#${events.seq[cause]} ${events.name(cause)}`) : events.cause(place) ? `#${events.cause(place)}, which is not on this page` : "nothing: a timer, or the beginning")),
          events.severity(place) ? el("tr", {}, el("th", {}, "severity"), el("td", {}, events.severity(place))) : null,
          events.fields(place).map(field))),
        Report.messages.of(place) ? Report.messages.table(seq) || el("p", { class: "faint" }, "Its bytes were not recorded (--events all records them).") : null),
      el("div", {}, el("h3", {}, `What led to it, and what came of it (${causes.length} and ${effects.length}${more ? " or more" : ""})`),
        el("ol", { class: "chain" }, chain), effects.length > SHOWN ? el("p", { class: "faint" }, `… and ${effects.length - SHOWN} more: cargo xtask events DIR --follow ${seq}`) : null));
  };
  Report.whenSeen(id("timeline"), ["seq"], draw);

  /* Why the chosen VM has what it has at the moment. */
  let due = null;
  Report.whenSeen(id("why"), ["vm", "now", "playing"], () => {
    clearTimeout(due);
    const say = () => {
      const { vm, now, playing } = state.get();
      if (playing || vm === null) return;
      id("why-title").textContent = `Why ${vm} had what it had at ${Report.timeTo(now, 1e6)}`;
      id("why").textContent = Report.explain(vm, now) ?? "No decisions were recorded: repeat the run with --events all, or --events decisions.";
    };
    if (Report.printing) say();
    else due = setTimeout(say, 120);
  });
})();
