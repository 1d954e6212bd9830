"use strict";
/* Sequence diagrams: a handshake, an operation, or the chain of the chosen event, with the bytes of each message. */

(() => {
  const { state, el, svg, id, events, colour, lanes } = Report;
  const { causes, chain } = Report.causality;
  const LIFELINES = [
    ["guest", "guest"], ["vsc", "VSC"], ["vsp", "VSP"], ["map", "map (GMO)"], ["balancer", "balancer"], ["management", "VMMS, operator"],
  ];
  const MOST = 120;
  const ROW = 25;

  /** Messages of the control plane: what the guest sends, and what it gets. */
  const FROM_GUEST = new Set(["vmbus_negotiate_version", "vmbus_request_offers", "vmbus_establish_gpadl_header", "vmbus_establish_gpadl_body",
    "vmbus_teardown_gpadl", "vmbus_close_internal", "vmbus_release_relid"]);
  const TO_GUEST = new Set(["vmbus_onversion_response", "vmbus_onoffer", "vmbus_onoffer_rescind", "vmbus_ongpadl_created", "vmbus_ongpadl_torndown", "vmbus_onopen_result"]);
  const BOTH = new Set(["vmbus_open", "vmbus_unload"]);

  /** From where to where an event's arrow goes, and of what kind it is; null for what happens in one place. */
  const arrowOf = (at, shown) => {
    const here = lanes.laneOf(at);
    const name = events.name(at);
    if (Report.messages.of(at)) return { from: here, to: here === "vsc" ? "vsp" : "vsc", kind: "message" };
    if (here === "vsc" && (FROM_GUEST.has(name) || BOTH.has(name))) return { from: "vsc", to: "vsp", kind: "control" };
    if (here === "vsc" && TO_GUEST.has(name)) return { from: "vsp", to: "vsc", kind: "control" };
    const cause = causes(at).find((cause) => shown.has(cause));
    if (cause === undefined || lanes.laneOf(cause) === here) return null;
    // What a message led to on the other side has its arrow already.
    if (Report.messages.of(cause) || FROM_GUEST.has(events.name(cause)) || (BOTH.has(events.name(cause)) && lanes.laneOf(cause) === "vsc")) return null;
    return { from: lanes.laneOf(cause), to: here, kind: "mailbox" };
  };

  const words = (at) => {
    const value = (name) => events.value(at, name);
    const mb = (name) => Report.mbOfPages(value(name) || 0);
    switch (events.name(at)) {
      case "balloon_status": return `STATUS_REPORT: ${mb("committed")} committed`;
      case "dm_send": return value("message");
      case "status_report": return `demand ${mb("demand")}`;
      case "decision": return `decision: ${value("rule")}, ${mb("assigned")} → ${mb("target")}`;
      case "add_memory": return `adds ${mb("pages")}`;
      case "remove_memory": return `asks for ${mb("pages")}`;
      case "memory_moved": return `${mb("pages")} of it ${value("source") === "vm" ? `from ${value("donor")}` : value("source") === "ended" ? "from VMs that ended" : "was free"}`;
      case "grant": return `grant of ${mb("pages")}`;
      case "shrink": return `shrink by ${mb("pages")}`;
      case "pages_mapped": return `${mb("pages")} mapped`;
      case "pages_unmapped": return `${mb("pages")} unmapped`;
      case "hot_added": return `added ${mb("accepted")} of ${mb("offered")}`;
      case "ballooned": return `gave ${mb("given")} of ${mb("requested")}`;
      case "unballooned": return `took ${mb("pages")} back`;
      case "operation_finished": return `${value("kind")}: ${mb("done")} of ${mb("requested")}, ${value("outcome")}`;
      default: return events.name(at).replace(/^vmbus_/, "");
    }
  };

  /** What can be shown of a VM: name and place of the event whose chain it is. */
  const exchanges = (vm) => {
    const first = (name, also = () => true) => events.named(name).find((at) => events.vm(at) === vm && also(at));
    const largest = (name, field) => events.named(name).filter((at) => events.vm(at) === vm)
      .reduce((most, at) => (most === undefined || events.value(at, field) > events.value(most, field) ? at : most), undefined);
    return [
      ["handshake", "handshake: from the bus to Dynamic Memory", first("integration_services_ready") ?? first("vmbus_negotiate_version")],
      ["start", "start of the VM", first("start_requested")],
      ["hot_added", "first hot-add", first("hot_added")],
      ["largest_add", "largest hot-add", largest("hot_added", "accepted")],
      ["ballooned", "first balloon", first("ballooned")],
      ["largest_balloon", "largest balloon", largest("ballooned", "given")],
      ["unballooned", "first time it gets ballooned memory back", first("unballooned")],
      ["report", "a status report", first("balloon_status")],
    ].filter(([, , at]) => at !== undefined);
  };

  const placesOf = (at, handshake) => {
    const { causes: before, effects: after } = chain(at, 4 * MOST);
    const own = (place) => events.vm(place) === events.vm(at) || events.vm(place) === null;
    const places = [...before.map(([, place]) => place), at, ...after.map(([, place]) => place)].filter(own);
    // A handshake ends where the driver runs: what follows has causes of its own.
    const list = [...new Set(places)].sort((a, b) => events.seq[a] - events.seq[b]);
    const stop = handshake ? list.findIndex((place) => events.name(place) === "dm_running") : -1;
    return stop >= 0 ? list.slice(0, stop + 1) : list;
  };

  const draw = ({ vm, seq }) => {
    const select = id("exchange");
    const offered = vm ? exchanges(vm) : [];
    const chosen = events.find(seq);
    const options = [...(chosen >= 0 ? [["chosen", `chain of the chosen event #${seq} ${events.name(chosen)}`, chosen]] : []), ...offered];
    const wanted = options.some(([key]) => key === select.dataset.wanted) ? select.dataset.wanted : chosen >= 0 ? "chosen" : options.length ? options[0][0] : "";
    Report.show(select, options.map(([key, name]) => el("option", { value: key, selected: key === wanted }, name)));
    const found = options.find(([key]) => key === wanted);
    if (!found) {
      Report.show(id("diagram"), el("p", { class: "faint" }, events.length ? "Nothing of this VM was recorded." : "No events were recorded."));
      Report.show(id("messages"));
      return;
    }
    const all = placesOf(found[2], wanted === "handshake");
    const places = all.slice(0, MOST);
    const shown = new Set(places);
    const arrows = places.map((at) => arrowOf(at, shown));
    const used = new Set();
    places.forEach((at, row) => {
      used.add(lanes.laneOf(at));
      if (arrows[row]) used.add(arrows[row].from).add(arrows[row].to);
    });
    const lines = LIFELINES.filter(([key]) => used.has(key));
    const timeWidth = 96;
    const width = Math.max(id("diagram").clientWidth, timeWidth + lines.length * 150);
    const gap = (width - timeWidth - 60) / Math.max(1, lines.length);
    const x = Object.fromEntries(lines.map(([key], place) => [key, timeWidth + 40 + gap * place]));
    const top = 34;
    const height = top + places.length * ROW + 12;
    const root = svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": `Sequence diagram: ${found[1]}` });
    for (const [key, name] of lines) {
      root.append(svg("line", { x1: x[key], x2: x[key], y1: top - 8, y2: height, stroke: colour("edge") }),
        svg("text", { x: x[key], y: 18, "text-anchor": "middle", "font-weight": 600 }, name));
    }
    let before = events.time[places[0]];
    places.forEach((at, row) => {
      const y = top + row * ROW + 12;
      const time = events.time[at];
      const arrow = arrows[row];
      const group = svg("g", { class: "arrow", tabindex: 0, role: "button", "aria-label": words(at), onclick: () => Report.choose(at), onkeydown: (event) => { if (event.key === "Enter") Report.choose(at); } });
      group.append(svg("rect", { x: 0, y: y - ROW / 2, width, height: ROW, fill: at === chosen ? colour("band2") : "transparent" }));
      group.append(svg("text", { x: timeWidth - 12, y: y + 4, "text-anchor": "end", class: "faint small" }, row === 0 ? Report.timeTo(time, 1e6) : time === before ? "" : `+${Report.span(time - before)}`));
      before = time;
      if (arrow && x[arrow.from] !== undefined && x[arrow.to] !== undefined && arrow.from !== arrow.to) {
        const [from, to] = [x[arrow.from], x[arrow.to]];
        const side = to > from ? 1 : -1;
        const stroke = arrow.kind === "message" ? colour("accent") : arrow.kind === "control" ? colour("chosen") : colour("faint");
        group.append(svg("line", { x1: from, x2: to - side * 2, y1: y + 5, y2: y + 5, stroke, "stroke-width": arrow.kind === "mailbox" ? 1 : 1.6, "stroke-dasharray": arrow.kind === "mailbox" ? "4 3" : arrow.kind === "control" ? "7 2" : "none" }),
          svg("path", { d: `M${to} ${y + 5}l${-8 * side} -4v8z`, fill: stroke }),
          svg("text", { x: (from + to) / 2, y, "text-anchor": "middle", class: "small" }, words(at)));
      } else {
        const here = x[lanes.laneOf(at)];
        const right = here + 8 + words(at).length * 6 < width;
        group.append(svg("circle", { cx: here, cy: y, r: 3.4, fill: events.severity(at) ? colour("short") : colour("ink") }),
          svg("text", { x: here + (right ? 8 : -8), y: y + 4, "text-anchor": right ? "start" : "end", class: "small" }, words(at)));
      }
      root.append(group);
    });
    Report.show(id("diagram"), root,
      el("p", { class: "legend" }, "solid: in a ring · long dashes: control message of VMBus · short dashes: from component to component in the host · a dot: in one place",
        all.length > MOST ? ` · the first ${MOST} of ${all.length} events` : ""));
    const messages = places.filter((at) => Report.messages.of(at));
    Report.show(id("messages"), messages.length ? el("h3", {}, "The messages, byte for byte") : null, messages.map((at, index) => {
      const details = el("details", { open: index === 0 }, el("summary", {}, `${Report.time(events.time[at])} #${events.seq[at]} ${lanes.laneOf(at) === "vsc" ? "guest to host" : "host to guest"}: ${Report.messages.of(at)}`));
      const fill = () => {
        if (details.open && details.children.length === 1) {
          details.append(Report.messages.table(events.seq[at]) || el("p", { class: "faint" }, "Its bytes were not recorded (--events all records them)."));
        }
      };
      details.addEventListener("toggle", fill);
      fill();
      return details;
    }));
  };
  id("exchange").addEventListener("change", () => {
    id("exchange").dataset.wanted = id("exchange").value;
    draw(state.get());
  });
  id("diagram-save").addEventListener("click", () => {
    const drawn = id("diagram").querySelector("svg");
    if (drawn) Report.save("sequence.svg", "image/svg+xml", Report.picture(drawn));
  });
  // A newly chosen event is what one wants to see.
  state.on(["seq"], () => { delete id("exchange").dataset.wanted; });
  Report.whenSeen(id("sequence"), ["vm", "seq"], draw);
})();
