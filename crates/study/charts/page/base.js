"use strict";
/* What all parts of the page share: elements, the state, colours.
   Every script adds to `Report` and uses only what scripts before it have added. */
const Report = {};

/** A piece of the run's data. */
Report.data = (id) => JSON.parse(document.getElementById(id).textContent);

/** The element with an id. */
Report.id = (id) => document.getElementById(id);

/** Makes an element: `el("p", {class: "faint"}, "text", child)`. A property that begins with `on` is a listener. */
Report.el = (name, properties = {}, ...children) => Report.fill(document.createElement(name), properties, children);

/** The same for SVG. */
Report.svg = (name, properties = {}, ...children) =>
  Report.fill(document.createElementNS("http://www.w3.org/2000/svg", name), properties, children);

Report.fill = (element, properties, children) => {
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== undefined && value !== null) element.setAttribute(name, value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== undefined && child !== null));
  return element;
};

/** Replaces what is in an element. */
Report.show = (element, ...children) => element.replaceChildren(...children.flat(Infinity).filter((child) => child !== undefined && child !== null));

/** The state that the parts share. All times are nanoseconds of virtual time. */
Report.state = (() => {
  const values = {
    now: 0, // the moment that is shown
    from: 0, to: 1, // what the curves show
    lineFrom: 0, lineTo: 1, // what the timeline shows
    vm: null, // the chosen VM
    seq: 0, // the chosen event; 0 for none
    speed: 1, // virtual seconds for each second
    playing: false,
    theme: null, // "light", "dark", or as the system says
  };
  const listeners = [];
  let due = false;
  const changed = new Set();
  const tell = () => {
    due = false;
    const keys = new Set(changed);
    changed.clear();
    for (const { of, call } of listeners) if (of.some((key) => keys.has(key))) call(values, keys);
  };
  return {
    get: () => values,
    /** Changes values. Those who listen are told before the next picture is drawn, once for all changes until then. */
    set(change) {
      for (const [key, value] of Object.entries(change)) {
        if (values[key] !== value) {
          values[key] = value;
          changed.add(key);
        }
      }
      if (changed.size && !due) {
        due = true;
        requestAnimationFrame(tell);
      }
    },
    /** Calls `call` when one of the values has changed. */
    on: (of, call) => listeners.push({ of, call }),
    /** Tells them now, for printing and tests. */
    settle: () => { while (changed.size) tell(); },
  };
})();

/** Draws everything at the width that it has now, seen or not: what has never been scrolled to is printed all the same. */
Report.drawn = [];
Report.drawAll = () => { for (const draw of Report.drawn) draw(); };

/** Calls `draw` whenever one of the values has changed while the element can be seen, and when it comes into view after that. */
Report.whenSeen = (element, of, draw) => {
  let seen = false;
  let stale = true;
  const run = () => {
    stale = false;
    draw(Report.state.get());
  };
  new IntersectionObserver((entries) => {
    seen = entries[entries.length - 1].isIntersecting;
    if (seen && stale) run();
  }, { rootMargin: "120px" }).observe(element);
  Report.state.on([...of, "theme"], () => {
    if (seen || Report.printing) run();
    else stale = true;
  });
  Report.drawn.push(run);
  let width = 0;
  new ResizeObserver(() => {
    if (element.clientWidth === width) return;
    width = element.clientWidth;
    if (seen) run();
    else stale = true;
  }).observe(element);
  return run;
};

/** Colours, as the style sheet names them for the present theme. */
Report.colour = (() => {
  let known = new Map();
  Report.state.on(["theme"], () => { known = new Map(); });
  return (name) => {
    if (!known.has(name)) known.set(name, getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim());
    return known.get(name);
  };
})();

/** The colour of the VM with this place in the run. Eight hues that stay apart for most who do not see all colours (after Okabe and Ito);
    from the ninth on they come again. */
Report.vmColour = (place) => Report.colour(`vm${place % 8}`);

/** A canvas as large as its element, sharp on any screen; returns its context in CSS pixels, and its size. */
Report.canvas = (canvas, height) => {
  const width = canvas.parentElement.clientWidth;
  const ratio = window.devicePixelRatio || 1;
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const context = canvas.getContext("2d");
  context.scale(ratio, ratio);
  return { context, width, height };
};

Report.clamp = (value, low, high) => Math.min(Math.max(value, low), high);

/** The last place in an ascending list whose value is at most `value`; -1 if all are greater. */
Report.lastUpTo = (list, value, length = list.length) => {
  let low = 0;
  let high = length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (list[middle] <= value) low = middle + 1;
    else high = middle;
  }
  return low - 1;
};

/** An SVG of the page as a file of its own: with the colours and letters that the page's style sheet gives it, on the page's ground. */
Report.picture = (drawn) => {
  const copy = drawn.cloneNode(true);
  const PROPERTIES = ["fill", "stroke", "stroke-width", "stroke-dasharray", "font-size", "font-weight", "text-anchor", "visibility"];
  const originals = [drawn, ...drawn.querySelectorAll("*")];
  [copy, ...copy.querySelectorAll("*")].forEach((element, place) => {
    const style = getComputedStyle(originals[place]);
    for (const property of PROPERTIES) {
      const value = style.getPropertyValue(property);
      if (value && value !== "none" || property === "fill") element.setAttribute(property, value);
    }
    for (const name of ["class", "tabindex", "role", "style"]) element.removeAttribute(name);
  });
  const { width, height } = drawn.viewBox.baseVal;
  copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  copy.setAttribute("width", width);
  copy.setAttribute("height", height);
  copy.setAttribute("font-family", "sans-serif");
  copy.prepend(Report.svg("rect", { width, height, fill: Report.colour("ground") }));
  return new XMLSerializer().serializeToString(copy);
};

/** Gives the reader a file. */
Report.save = (name, type, content) => {
  const url = URL.createObjectURL(new Blob([content], { type }));
  Report.el("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
};
