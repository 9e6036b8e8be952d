/**
 * Moving about in the timeline of the dashboard's page: by keyboard, by pointer, by the buttons above it. A chunk is
 * selected by keyboard and then read out; one under the pointer is only shown. Shares its scope with
 * dashboard_timeline.ts, which draws.
 */
export const MOVES = String.raw`
function select(thing, spoken) {
  selected = thing;
  const box = boxOf(thing);
  if (box && (box.begin < view.from || box.end > view.to)) {
    const width = view.to - view.from, middle = (box.begin + box.end) / 2;
    if (!(live && box.end > view.from)) moveTo(middle - width / 2, middle + width / 2);
  }
  showReadout(spoken);
  wantDraw();
}

function moveTo(from, to) {
  view = { from, to };
  setLive(false);
}

function setLive(on) {
  live = on;
  if (on) chosenWidth = Math.min(chosenWidth, 600000);
  byId("live").setAttribute("aria-pressed", String(on));
  wantDraw();
}

function zoom(factor, at) {
  const width = Math.min(Math.max((view.to - view.from) * factor, 2), 6 * 3600000);
  if (live && at === undefined) {
    chosenWidth = width;
    return wantDraw();
  }
  const box = boxOf(selected);
  const center = at ?? (box ? (box.begin + box.end) / 2 : (view.from + view.to) / 2);
  const share = Math.min(1, Math.max(0, (center - view.from) / (view.to - view.from)));
  moveTo(center - width * share, center + width * (1 - share));
}

function showAll() {
  const from = Math.min(firstSpan, earliestRunning()), to = clockNow();
  if (!(from < to)) return;
  moveTo(from - (to - from) * .01, to + (to - from) * .02);
}

/** The chunk of a lane at a time, or the nearest. */
function nearest(lane, time) {
  if (lane.running && time >= lane.running.since) return lane;
  const { spans } = lane, at = firstAfter(spans, time);
  const after = spans[at], before = spans[at - 1];
  if (!after && !before) return lane.running ? lane : null;
  if (!after || !before) return after ?? before;
  return time - before[END] < after[BEGIN] - time ? before : after;
}

function step(by) {
  const box = boxOf(selected);
  if (!box) return select(latest(), true);
  const { spans } = box.lane;
  const at = (Array.isArray(selected) ? spans.indexOf(selected) : spans.length) + by;
  const next = at < 0 ? spans[0] : at >= spans.length ? box.lane.running ? box.lane : spans[spans.length - 1] : spans[at];
  select(next ?? selected, true);
}

function latest() {
  for (const lane of order) {
    const found = nearest(lane, Math.min(view.to, clockNow()));
    if (found) return found;
  }
  return null;
}

function stepLane(by) {
  const box = boxOf(selected);
  if (!box) return select(latest(), true);
  // the middle of what of it can be seen; of one outside the view, its own
  const from = Math.max(box.begin, view.from), to = Math.min(box.end, view.to);
  const time = from < to ? (from + to) / 2 : (box.begin + box.end) / 2;
  for (let at = order.indexOf(box.lane) + by; at >= 0 && at < order.length; at += by) {
    const found = nearest(order[at], time);
    if (found) return select(found, true);
  }
}

function stepFailure(by) {
  const failed = order.flatMap((lane) => lane.spans.filter((span) => span[OUTCOME] !== "ok"))
    .sort((a, b) => a[BEGIN] - b[BEGIN]);
  if (failed.length === 0) return put(byId("spoken"), "No chunk has failed.");
  const time = boxOf(selected)?.begin ?? (by > 0 ? -Infinity : Infinity);
  const at = failed.indexOf(selected);
  const next = at >= 0
    ? failed[at + by]
    : by > 0 ? failed.find((span) => span[BEGIN] > time) : failed.findLast((span) => span[BEGIN] < time);
  select(next ?? failed[by > 0 ? 0 : failed.length - 1], true);
}

function scroll(share) {
  const by = (view.to - view.from) * share;
  moveTo(view.from + by, view.to + by);
}

const KEYS = {
  ArrowLeft: (shift) => shift ? scroll(-.25) : step(-1),
  ArrowRight: (shift) => shift ? scroll(.25) : step(1),
  ArrowUp: () => stepLane(-1),
  ArrowDown: () => stepLane(1),
  "+": () => zoom(.5),
  "=": () => zoom(.5),
  "-": () => zoom(2),
  Home: () => select(order.flatMap((lane) => lane.spans.slice(0, 1)).sort((a, b) => a[BEGIN] - b[BEGIN])[0], true),
  End: () => (setLive(true), select(latest(), true)),
  n: (shift) => stepFailure(shift ? -1 : 1),
  a: showAll,
  l: () => setLive(true),
  Escape: () => select(null, false),
};

timeline.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const act = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!act) return;
  event.preventDefault();
  act(event.shiftKey);
});

function thingAt(event) {
  const area = timeline.getBoundingClientRect();
  const x = event.clientX - area.left, y = event.clientY - area.top;
  const lane = order.find((each) => y >= each.y && y < each.y + size.lane);
  if (!lane || x < size.gutter) return null;
  const found = nearest(lane, toTime(x)), box = boxOf(found);
  return box && x >= toX(box.begin) - 3 && x <= toX(box.end) + 3 ? found : null;
}

let drag = null;
timeline.addEventListener("pointerdown", (event) => {
  if (event.button !== 0) return;
  drag = { x: event.clientX, from: view.from, to: view.to, moved: false };
  timeline.setPointerCapture(event.pointerId);
});
timeline.addEventListener("pointermove", (event) => {
  if (drag) {
    const by = (drag.x - event.clientX) / (size.width - size.gutter) * (drag.to - drag.from);
    drag.moved ||= Math.abs(event.clientX - drag.x) > 4;
    if (drag.moved) moveTo(drag.from + by, drag.to + by);
    return;
  }
  const found = thingAt(event);
  if (found === hovered) return;
  hovered = found;
  showReadout(false);
  wantDraw();
});
timeline.addEventListener("pointerup", (event) => {
  if (drag && !drag.moved) select(thingAt(event), false);
  drag = null;
});
timeline.addEventListener("pointercancel", () => drag = null);
timeline.addEventListener("pointerleave", () => {
  hovered = null;
  showReadout(false);
  wantDraw();
});
timeline.addEventListener("wheel", (event) => {
  const sideways = Math.abs(event.deltaX) > Math.abs(event.deltaY) ? event.deltaX : event.shiftKey ? event.deltaY : 0;
  if (event.ctrlKey || event.metaKey) zoom(Math.exp(event.deltaY / 200), toTime(event.offsetX));
  else if (sideways) scroll(sideways / size.width);
  else return;
  event.preventDefault();
}, { passive: false });
byId("zoom-in").addEventListener("click", () => zoom(.5));
byId("zoom-out").addEventListener("click", () => zoom(2));
byId("fit").addEventListener("click", showAll);
byId("live").addEventListener("click", () => {
  chosenWidth = 0;
  setLive(true);
});
`;
