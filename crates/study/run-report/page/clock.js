"use strict";
/* The moment that is shown: slider, play, speeds. */

Report.clock = (() => {
  const { state, id, el, begin, end, events } = Report;
  const STEPS = 1e6; // of the slider
  const slider = id("slider");
  const moment = id("moment");
  const play = id("play");
  const speeds = [
    [1e-4, "100 µs each second"], [1e-3, "1 ms each second"], [0.01, "10 ms each second"], [0.1, "1/10"],
    [1, "as it was: one report a second"], [10, "10×"], [60, "60×"], [(end - begin) / 60e9, "the whole run in a minute"],
  ];
  Report.show(id("speed"), speeds.map(([speed, words], place) => el("option", { value: place, selected: place === speeds.length - 1 }, words)));
  state.set({ speed: speeds[speeds.length - 1][0] });
  id("speed").addEventListener("change", () => state.set({ speed: speeds[id("speed").value][0] }));

  const go = (time) => state.set({ now: Report.clamp(time, begin, end) });
  slider.addEventListener("input", () => go(begin + (slider.value / STEPS) * (end - begin)));

  moment.addEventListener("change", () => {
    const time = Report.parseTime(moment.value);
    moment.setAttribute("aria-invalid", Number.isNaN(time));
    if (Number.isNaN(time)) return;
    state.set({ playing: false });
    go(time);
    moment.blur();
    moment.value = Report.time(state.get().now);
  });

  let last = null;
  const frame = (stamp) => {
    const { playing, now, speed } = state.get();
    if (!playing) {
      last = null;
      return;
    }
    if (last !== null) {
      const next = now + (stamp - last) * 1e6 * speed;
      go(next);
      if (next >= end) state.set({ playing: false });
    }
    last = stamp;
    requestAnimationFrame(frame);
  };
  const toggle = () => {
    const { playing, now } = state.get();
    if (!playing && now >= end) go(begin);
    state.set({ playing: !playing });
  };
  play.addEventListener("click", toggle);

  /** To the next or the previous event, of the chosen VM if one is chosen: what a step of the playback is. */
  const step = (direction) => {
    const { now, seq } = state.get();
    if (!events.length) return go(now + direction * 1e9);
    const chosen = events.find(seq);
    let place = chosen >= 0 && events.time[chosen] === now ? chosen + direction : direction > 0 ? events.upTo(now) + 1 : events.upTo(now - 1);
    place = Report.clamp(place, 0, events.length - 1);
    state.set({ seq: events.seq[place], playing: false });
    go(events.time[place]);
  };
  id("back").addEventListener("click", () => step(-1));
  id("forth").addEventListener("click", () => step(1));

  state.on(["playing"], ({ playing }) => {
    play.textContent = playing ? "❚❚" : "▶";
    play.setAttribute("aria-label", playing ? "Stop" : "Play");
    if (playing) requestAnimationFrame(frame);
  });
  state.on(["now"], ({ now, speed, playing }) => {
    slider.value = Math.round(((now - begin) / (end - begin)) * STEPS);
    const text = playing ? Report.timeTo(now, speed * 1e8) : Report.time(now);
    if (document.activeElement !== moment) moment.value = text;
    slider.setAttribute("aria-valuetext", text);
  });
  return { go, step, toggle };
})();
