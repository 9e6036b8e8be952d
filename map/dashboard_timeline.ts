/**
 * The timeline of the dashboard's page: one lane for each worker, drawn on a canvas, with keyboard and pointer.
 *
 * Fast with tens of thousands of chunks: spans of a lane are in order of time, so what is visible is found by
 * bisection, and what is narrower than a pixel is drawn together. A frame costs at most an eighth of the time
 * (the next one waits accordingly). It shares its scope with dashboard_script.ts, which feeds it.
 */
export const TIMELINE = String.raw`
const SLOT = 0, HOST = 1, BEGIN = 2, END = 3, JOB = 4, START = 5, COUNT = 6, CHUNKS = 7, FAILED = 8, OUTCOME = 9, NAME = 10;
const MAX_SPANS = 60000, AXIS = 24, HEAD = 24;

const lanes = new Map(); // slot -> { slot, host, name, spans, running, y }
let order = []; // lanes as shown
let heads = []; // { host, y }: shown when there are several hosts
let spanCount = 0, firstSpan = Infinity, lastEnd = 0;
let view = { from: 0, to: 1000 }, live = true, chosenWidth = 0;
let selected = null; // a span, or a lane when its running chunk is meant
let hovered = null;
const timeline = byId("timeline");
let size = { width: 0, height: 0, gutter: 0, lane: 0 };

function laneOf(slot, host) {
  let lane = lanes.get(slot);
  if (!lane) lanes.set(slot, lane = { slot, host, name: "", spans: [], running: null, y: 0 });
  return lane;
}

function addSpans(spans) {
  for (const span of spans) {
    const lane = laneOf(span[SLOT], span[HOST]);
    lane.host = span[HOST];
    const list = lane.spans;
    let at = list.length; // nearly always the end; merged spans may come a little late
    while (at > 0 && list[at - 1][BEGIN] > span[BEGIN]) at--;
    list.splice(at, 0, span);
    firstSpan = Math.min(firstSpan, span[BEGIN]);
    lastEnd = Math.max(lastEnd, span[END]);
  }
  spanCount += spans.length;
  if (spanCount > MAX_SPANS) forgetOldest();
}

function forgetOldest() {
  const ends = [];
  for (const lane of lanes.values()) for (const span of lane.spans) ends.push(span[END]);
  ends.sort((a, b) => a - b);
  firstSpan = ends[Math.floor(ends.length / 6)];
  spanCount = 0;
  for (const lane of lanes.values()) {
    lane.spans = lane.spans.filter((span) => span[END] > firstSpan);
    spanCount += lane.spans.length;
  }
}

/** Workers by host, in their order. */
function sortLanes() {
  order = [...lanes.values()].sort((a, b) => a.host - b.host || a.slot - b.slot);
}

function layOut() {
  const count = order.length, width = timeline.clientWidth;
  const lane = count <= 8 ? 26 : count <= 16 ? 20 : count <= 32 ? 14 : count <= 80 ? 10 : 5;
  const several = new Set(order.map((each) => each.host)).size > 1;
  let y = AXIS, host = -1;
  heads = [];
  for (const each of order) {
    if (several && each.host !== host) {
      heads.push({ host: each.host, y });
      y += HEAD;
    }
    host = each.host;
    each.y = y;
    y += lane;
  }
  const height = Math.max(96, y + 4);
  const gutter = width < 560 ? 78 : 150;
  if (height !== size.height || width !== size.width) {
    timeline.style.height = height + "px";
    const ratio = window.devicePixelRatio || 1;
    timeline.width = Math.round(width * ratio);
    timeline.height = Math.round(height * ratio);
  }
  size = { width, height, gutter, lane };
}

/** The window when it follows the program: from the beginning, until that is more than a minute. */
function follow() {
  const to = clockNow();
  const from = Math.min(firstSpan, earliestRunning(), to - (state?.jobs.length ? 2000 : 20));
  const width = chosenWidth || Math.min(60000, to - from);
  view = { from: to - width, to: to + width * .01 };
}

function earliestRunning() {
  let earliest = Infinity;
  for (const lane of lanes.values()) if (lane.running) earliest = Math.min(earliest, lane.running.since);
  return earliest;
}

function toX(time) {
  return size.gutter + (time - view.from) / (view.to - view.from) * (size.width - size.gutter);
}

function toTime(x) {
  return view.from + (x - size.gutter) / (size.width - size.gutter) * (view.to - view.from);
}

/** Index of the first span of a lane that ends after a time. */
function firstAfter(spans, time) {
  let low = 0, high = spans.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (spans[middle][END] < time) low = middle + 1;
    else high = middle;
  }
  return low;
}

function drawTimeline() {
  layOut();
  if (live) follow();
  const paint = timeline.getContext("2d"), ratio = window.devicePixelRatio || 1;
  paint.setTransform(ratio, 0, 0, ratio, 0, 0);
  paint.clearRect(0, 0, size.width, size.height);
  paint.font = "12px system-ui, sans-serif";
  paint.textBaseline = "middle";
  drawAxis(paint);
  for (const head of heads) {
    paint.fillStyle = colors.text;
    paint.font = "600 12px system-ui, sans-serif";
    paint.fillText(fitText(paint, hostName(head.host), size.width), 0, head.y + HEAD / 2 + 3);
  }
  paint.font = "12px system-ui, sans-serif";
  for (const lane of order) drawLane(paint, lane);
  drawMark(paint, hovered, 1);
  drawMark(paint, selected, 2);
  if (order.length === 0) {
    paint.fillStyle = colors.dim;
    paint.fillText("No chunk yet.", size.gutter, AXIS + 20);
  }
}

function drawAxis(paint) {
  const step = timeStep((view.to - view.from) / Math.max(1, (size.width - size.gutter) / 90));
  paint.textAlign = "center";
  for (let t = Math.ceil(view.from / step) * step; t <= view.to; t += step) {
    const x = Math.round(toX(t)) + .5;
    paint.fillStyle = colors.line;
    paint.fillRect(x, AXIS - 4, 1, size.height - AXIS);
    if (t < -step / 2 || x < size.gutter + 22 || x > size.width - 24) continue;
    paint.fillStyle = colors.dim;
    paint.fillText(clockText(t, step), x, 9);
  }
  paint.textAlign = "left";
  paint.fillStyle = colors.dim;
  paint.fillText(size.gutter > 100 ? "program time" : "time", 0, 9);
}

function drawLane(paint, lane) {
  const top = lane.y + (size.lane > 12 ? 3 : 1), height = size.lane - (size.lane > 12 ? 6 : 2);
  const left = size.gutter, right = size.width;
  paint.fillStyle = colors.soft;
  paint.fillRect(left, top, right - left, height);
  if (size.lane >= 14 || boxOf(hovered ?? selected)?.lane === lane) {
    paint.fillStyle = colors.dim;
    paint.fillText(fitText(paint, lane.name, left - 12), heads.length > 0 ? 8 : 0, lane.y + size.lane / 2 + 1);
  }
  const shades = [[], []], marked = [];
  let open = null; // a box that may take up the next, narrow one
  const { spans } = lane;
  for (let i = firstAfter(spans, view.from); i < spans.length && spans[i][BEGIN] <= view.to; i++) {
    const span = spans[i];
    const x = Math.max(left, toX(span[BEGIN])), end = Math.min(right, toX(span[END]));
    if (span[OUTCOME] !== "ok") {
      marked.push({ x, end, outcome: span[OUTCOME] });
      open = null;
      continue;
    }
    const shade = shadeOf(span[JOB]);
    if (open && end - x < 3 && x - open.end < 1 && open.shade === shade) {
      open.end = Math.max(open.end, end);
      continue;
    }
    open = { x, end, shade };
    shades[shade].push(open);
  }
  paint.fillStyle = hostColor(lane.host);
  shades.forEach((boxes, shade) => {
    if (boxes.length === 0) return;
    paint.globalAlpha = shade ? .62 : 1;
    paint.beginPath();
    for (const { x, end } of boxes) paint.rect(x, top, Math.max(.8, end - x - (end - x > 3 ? 1 : 0)), height);
    paint.fill();
  });
  paint.globalAlpha = 1;
  if (lane.running && toX(clockNow()) > left) drawRunning(paint, lane, top, height);
  for (const { x, end, outcome } of marked) drawFailed(paint, x, Math.max(end, x + 3), top, height, outcome);
}

function drawRunning(paint, lane, top, height) {
  const x = Math.max(size.gutter, toX(lane.running.since)), end = Math.min(size.width, toX(clockNow()));
  if (end - x < 1 || x > size.width) return;
  paint.globalAlpha = .28;
  paint.fillRect(x, top, end - x, height);
  paint.globalAlpha = 1;
  paint.strokeStyle = hostColor(lane.host);
  paint.lineWidth = 1;
  if (end - x > 3) paint.strokeRect(x + .5, top + .5, end - x - 1, height - 1);
}

/** Failed: taller, with a triangle where there is room. Lost or stopped: hollow, crossed. All can be told without colour. */
function drawFailed(paint, x, end, top, height, outcome) {
  paint.fillStyle = paint.strokeStyle = outcome === "stopped" ? colors.dim : colors.bad;
  paint.lineWidth = 1.5;
  if (outcome !== "failed") {
    paint.globalAlpha = .2;
    paint.fillRect(x, top, end - x, height);
    paint.globalAlpha = 1;
    paint.strokeRect(x + .75, top + .75, Math.max(1, end - x - 1.5), height - 1.5);
    const middle = (x + end) / 2, arm = Math.min(5, height / 2 - 1), y = top + height / 2;
    paint.beginPath();
    paint.moveTo(middle - arm, y - arm);
    paint.lineTo(middle + arm, y + arm);
    paint.moveTo(middle + arm, y - arm);
    paint.lineTo(middle - arm, y + arm);
    paint.stroke();
    return;
  }
  paint.fillRect(x, top - 2, end - x, height + 4);
  const half = Math.min(4, height / 2 - 1), middle = (x + end) / 2, foot = top + height / 2 + half;
  if (end - x < half * 2 + 3) return;
  paint.fillStyle = colors.card;
  paint.beginPath();
  paint.moveTo(middle - half, foot);
  paint.lineTo(middle + half, foot);
  paint.lineTo(middle, foot - half * 2);
  paint.fill();
}

function boxOf(thing) {
  const lane = thing && lanes.get(Array.isArray(thing) ? thing[SLOT] : thing.slot);
  if (!lane) return null;
  if (Array.isArray(thing)) return { lane, begin: thing[BEGIN], end: thing[END] };
  return lane.running && { lane, begin: lane.running.since, end: clockNow() };
}

function drawMark(paint, thing, width) {
  const box = boxOf(thing);
  if (!box) return;
  const x = Math.max(size.gutter - 2, toX(box.begin)), end = Math.min(size.width - 1, toX(box.end));
  if (end < size.gutter || x > size.width) return;
  const room = Math.max(4, end - x);
  paint.strokeStyle = colors.text;
  paint.lineWidth = width;
  paint.strokeRect(x - 1, box.lane.y + .5, room + 2, size.lane - 1);
}

function describe(thing) {
  const box = boxOf(thing);
  if (!box) return "";
  const { lane } = box;
  if (!Array.isArray(thing)) {
    const { job, start, count, since } = lane.running;
    return place(lane.name, lane.host) + ": " + itemsText(start, count) + " of " + jobName(job) + ", running for " +
      durationText(clockNow() - since) + ".";
  }
  const [, host, begin, end, job, start, count, chunks, failed, outcome, name] = thing;
  const what = (chunks > 1 ? counted(chunks, "chunk") + ", " : "") + itemsText(start, count) + " of " + jobName(job);
  const how = outcome === "lost" || outcome === "stopped"
    ? (outcome === "lost" ? "lost with its worker after " : "stopped with its worker after ") + durationText(end - begin)
    : durationText(end - begin) + (failed > 0 ? ", " + counted(failed, "item") + " threw" : ", all well");
  return place(name, host) + ": " + what + "; " + how + "; from " + clockText(begin, 1) + ".";
}

function showReadout(spoken) {
  const thing = hovered ?? selected;
  const text = describe(thing) ||
    (order.length === 0 ? "" : "Point at a chunk, or press an arrow key here, to read what it is.");
  put(byId("readout"), text);
  if (spoken) put(byId("spoken"), describe(selected));
}
`;
