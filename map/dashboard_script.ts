/**
 * The program of the dashboard's page: it takes the program's messages (server-sent events), and shows figures,
 * maps, workers, throughput and failures. It is plain JavaScript, as browsers run it. Text is set by
 * `textContent` only. Shares its scope with dashboard_timeline.ts.
 *
 * Tables change when a message comes, and only where a text differs; canvases in animation frames, and only
 * when there is something new.
 */
export const SCRIPT = String.raw`
function byId(id) {
  return document.getElementById(id);
}

/** Sets a text; one that is the same costs nothing and moves nothing. */
function put(node, text) {
  if (node.shown !== text) node.textContent = node.shown = text;
}

function make(parent, tag, className) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  parent.append(node);
  return node;
}

function say(text) {
  put(byId("say"), text);
}

/** Brings the children of a node in line with a list: one for each item, by key. */
function keyed(parent, items, keyOf, create, update) {
  const known = parent.known ??= new Map();
  const keys = new Set();
  items.forEach((item, at) => {
    const key = keyOf(item);
    keys.add(key);
    let node = known.get(key);
    if (!node) known.set(key, node = create(item));
    const there = parent.children[at + (parent.fixed ?? 0)];
    if (there !== node) parent.insertBefore(node, there ?? null);
    update(node, item);
  });
  for (const [key, node] of known) {
    if (keys.has(key)) continue;
    known.delete(key);
    node.remove();
  }
}

// ---- numbers for people ----

const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const compact = new Intl.NumberFormat("en-US", { notation: "compact", maximumSignificantDigits: 4 });

function countText(n) {
  return n >= 1e7 ? compact.format(n) : whole.format(n);
}

function rateText(n) {
  return n === 0 ? "0" : n < 9.95 ? n.toPrecision(2) : countText(n);
}

function counted(n, noun) {
  return countText(n) + " " + noun + (n === 1 ? "" : "s");
}

function shareText(share) {
  return Math.floor(share * 100) + "%";
}

function durationText(ms) {
  if (ms < 9.95) return Math.max(ms, 0).toFixed(1) + " ms";
  if (ms < 999.5) return Math.round(ms) + " ms";
  if (ms < 59950) return (ms / 1000).toFixed(1) + " s";
  return clockText(ms, 1000);
}

/** Hours, minutes and seconds, as exact as a step of time asks. */
function clockText(ms, step) {
  const digits = step >= 1000 ? 0 : step >= 100 ? 1 : step >= 10 ? 2 : 3;
  const total = Math.round(Math.max(ms, 0) / 1000 * 10 ** digits) / 10 ** digits;
  const h = Math.floor(total / 3600), m = Math.floor(total / 60) % 60;
  const s = (total % 60).toFixed(digits).padStart(digits ? 3 + digits : 2, "0");
  return h > 0 ? h + ":" + String(m).padStart(2, "0") + ":" + s : m + ":" + s;
}

function timeStep(least) {
  const steps = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 15e3, 3e4, 6e4, 12e4, 3e5, 6e5, 18e5];
  return steps.find((step) => step >= least) ?? 36e5 * Math.ceil(least / 36e5);
}

function rangeText(start, count) {
  return whole.format(start) + (count === 1 ? "" : "\u2013" + whole.format(start + count - 1));
}

function itemsText(start, count) {
  return (count === 1 ? "item " : "items ") + rangeText(start, count);
}

/** Time that passes: in steps that an eye can follow. */
function sinceText(ms) {
  return ms < 59950 ? (Math.max(ms, 0) / 1000).toFixed(1) + " s" : clockText(ms, 1000);
}

function hostName(host) {
  const name = hosts[host] ?? "";
  return name === "local" ? "this machine" : name;
}

function place(worker, host) {
  const name = typeof host === "number" ? hosts[host] : host;
  return !name || name === "local" ? worker : worker + " on " + name;
}

// ---- what the program said ----

let state = null; // the latest
let hosts = [], samples = [], failures = [];
let offset = 0; // what is to be added to this page's clock for the program's
let lastMessage = 0, lastTime = 0;
let connection = "connecting"; // then "live", "lost", "ended"
const jobs = new Map(); // names by id
const history = []; // { at, items: by slot, worked: by slot } over the last 10 s

/** The program's time, standing still when nothing runs or nothing is known. */
function clockNow() {
  if (connection !== "live") return lastTime;
  if (state && state.jobs.length === 0) return Math.max(lastEnd, 1);
  return performance.now() + offset;
}

function jobName(id) {
  return jobs.get(id) ?? "map " + id;
}

function hear(message) {
  const here = performance.now(), ahead = message.now - here;
  // A message that was late makes the program's clock look slow: trust the fastest, and drift slowly.
  offset = lastMessage === 0 ? ahead : Math.max(ahead, offset - 2);
  lastMessage = here;
  lastTime = message.now;
  hosts = message.hosts;
  addSpans(message.spans);
  if (message.samples.length > 0) samples = samples.concat(message.samples).slice(-130);
  if (message.failures.length > 0) failures = failures.concat(message.failures).slice(-100);
  if (message.state) {
    const before = state;
    state = message.state;
    for (const job of [...state.finished, ...state.jobs]) jobs.set(job.id, job.name);
    for (const id of jobs.keys()) if (jobs.size > 2000) jobs.delete(id);
    announce(before);
  }
  remember(message.now);
  sortLanes();
  show();
}

function hostIndex(host) {
  let at = hosts.indexOf(host);
  if (at < 0) at = hosts.push(host) - 1;
  return at;
}

function remember(now) {
  const items = new Map(), worked = new Map();
  for (const worker of state.workers) {
    const running = worker.state === "busy" && worker.chunk ? now - worker.chunk.since : 0;
    items.set(worker.slot, worker.items);
    worked.set(worker.slot, worker.busy + running);
    const lane = laneOf(worker.slot, hostIndex(worker.host));
    lane.host = hostIndex(worker.host);
    lane.name = worker.state === "empty" && lane.name ? lane.name : worker.worker.replace(/ \(.*$/, "");
    lane.running = worker.state === "busy" && worker.chunk ? worker.chunk : null;
  }
  history.push({ at: now, items, worked });
  while (history.length > 2 && now - history[1].at >= 10000) history.shift();
}

/** What changed since some 10 s ago, by second; 0 while there is nothing to compare. */
function pace(slot, of) {
  const first = history.find((each) => each[of].has(slot)), last = history[history.length - 1];
  const span = last.at - (first?.at ?? last.at);
  return span < 200 || state.jobs.length === 0 ? 0 : Math.max(0, (last[of].get(slot) - first[of].get(slot)) / span * 1000);
}

function announce(before) {
  if (!before) return;
  const ended = state.totals.maps - before.totals.maps, lost = state.totals.lost - before.totals.lost;
  const failed = state.totals.failures - before.totals.failures - lost;
  const news = [];
  if (lost > 0) news.push(counted(lost, "worker") + " lost.");
  if (failed > 0) news.push(counted(failed, "failure") + ".");
  if (ended > 0 && state.jobs.length === 0) news.push("All maps are finished.");
  if (news.length > 0) say(news.join(" "));
}

// ---- showing it ----

function show() {
  if (!state) return;
  put(byId("title"), state.title);
  showFigures();
  showMaps();
  showWorkers();
  showFailures();
  showLegend();
  showStatus();
  if (!hovered) showReadout(false);
  wantDraw();
}

function showStatus() {
  const { totals, jobs: running } = state ?? { totals: { maps: 0 }, jobs: [] };
  const silent = performance.now() - lastMessage;
  let is = "connecting", text = "Connecting";
  if (connection === "ended") {
    is = totals.mapsFailed > 0 ? "failed" : "finished";
    text = "Closed by the program" + (totals.mapsFailed > 0 ? "; " + counted(totals.mapsFailed, "map") + " failed" : "");
  } else if (connection === "lost") {
    is = "lost";
    text = running.length > 0
      ? "Connection lost in the middle of " + counted(running.length, "map")
      : totals.maps > 0 ? "Program ended or unreachable; its maps were finished" : "Program ended or unreachable";
  } else if (connection === "live" && silent > 5000) {
    is = "silent";
    text = "No word for " + Math.floor(silent / 1000) + " s: the program is blocked or suspended";
  } else if (connection === "live") {
    is = running.length > 0 ? "live" : totals.mapsFailed > 0 ? "failed" : totals.maps > 0 ? "finished" : "idle";
    text = running.length > 0 ? "Running" : totals.maps > 0
      ? "All finished" + (totals.mapsFailed > 0 ? ", " + counted(totals.mapsFailed, "map") + " failed" : "") : "Waiting for work";
  }
  const node = byId("status");
  if (node.dataset.is !== is && (is === "lost" || is === "silent" || node.dataset.is === "lost")) say(text);
  node.dataset.is = is;
  document.body.toggleAttribute("data-stale", is === "lost");
  put(node, text);
  const share = state && state.totals.total ? shareText(state.totals.done / state.totals.total) + " \u00b7 " : "";
  document.title = (is === "live" ? share : is === "finished" ? "\u2713 " : is === "lost" || is === "failed" ? "\u2715 " : "") + "pathos";
}

function showFigures() {
  const { totals, workers, jobs: running } = state;
  put(byId("done"), countText(totals.done));
  put(byId("of"), totals.total === null ? "length of the input unknown"
    : "of " + countText(totals.total) + (totals.total > 0 ? " \u00b7 " + shareText(totals.done / totals.total) : ""));
  byId("whole").firstElementChild.style.width = totals.total ? totals.done / totals.total * 100 + "%" : "0";
  const left = running.map(({ progress }) => progress.remaining);
  const latest = running[0] ?? state.finished[state.finished.length - 1], over = running.length === 0 && latest;
  put(byId("rate"), rateText(over ? latest.progress.rate : workers.reduce((sum, { slot }) => sum + pace(slot, "items"), 0)));
  put(byId("rate-sub"), over ? "mean of the last map" : "over the last 10 s");
  put(byId("left-title"), over ? "Time taken" : "Time left");
  put(byId("left"), over ? durationText(latest.progress.elapsed) : running.length === 0 || left.some((each) => each == null) ? "\u2013" : clockText(Math.max(...left) + 999, 1000));
  put(byId("elapsed"), over ? "by the last map" : latest ? clockText(latest.progress.elapsed, 1000) + " elapsed" : "");
  const at = (is) => workers.filter((worker) => worker.state === is).length;
  put(byId("busy"), countText(at("busy")));
  put(byId("workers-sub"), "of " + countText(workers.length) + (at("away") > 0 ? ", " + at("away") + " away" : ""));
  put(byId("failed"), countText(totals.failed));
  put(byId("lost"), totals.lost > 0 ? counted(totals.lost, "worker") + " lost" : "no worker lost");
  byId("failed-box").toggleAttribute("data-bad", totals.failed > 0);
}

const STATE_OF_MAP = { running: "running", done: "\u2713 done", failed: "\u2715 failed" };

function showMaps() {
  const all = [...state.jobs, ...state.finished.slice().reverse()];
  byId("no-maps").hidden = all.length > 0;
  byId("earlier").hidden = state.earlier === 0;
  put(byId("earlier"), "and " + counted(state.earlier, "map") + " before");
  keyed(byId("maps"), all, (job) => job.id, () => {
    const node = document.createElement("li");
    const row = make(node, "div", "row");
    node.name_ = make(row, "span", "name");
    node.state = make(row, "span", "state");
    node.bar = make(node, "div", "bar");
    node.bar.setAttribute("aria-hidden", "true");
    node.parts = ["", "bad", "run"].map((name) => make(node.bar, "i", name));
    const facts = make(node, "div", "facts");
    node.facts = [0, 1, 2, 3, 4, 5].map(() => make(facts, "span"));
    node.reason = make(node, "div", "reason");
    return node;
  }, (node, { name, state: is, progress, reason }) => {
    const { done, total, failed, running, rate, elapsed, remaining } = progress;
    put(node.name_, name);
    node.name_.title = name;
    put(node.state, STATE_OF_MAP[is] + (total ? " " + shareText(done / total) : ""));
    node.state.dataset.is = is;
    const length = total || done + running || 1;
    [done - failed, failed, is === "running" ? running : 0].forEach((n, i) => {
      node.parts[i].style.width = n / length * 100 + "%";
    });
    const texts = is === "running"
      ? [
        countText(done) + (total == null ? " done" : " of " + countText(total) + " done"),
        countText(running) + " running",
        total == null ? "" : countText(Math.max(0, total - done - running)) + " waiting",
        failed > 0 ? countText(failed) + " failed" : "",
        rateText(rate) + "/s",
        remaining == null ? clockText(elapsed, 1000) + " elapsed" : clockText(remaining + 999, 1000) + " left",
      ]
      : [counted(done, "item"), failed > 0 ? countText(failed) + " failed" : "", "in " + durationText(elapsed), rateText(rate) + "/s", "", ""];
    texts.forEach((text, i) => {
      put(node.facts[i], text);
      node.facts[i].hidden = text === "";
    });
    put(node.reason, reason ?? "");
  });
}

const STATES = { busy: ["\u25CF", "busy"], idle: ["\u25CB", "idle"], empty: ["\u00b7", "not running"], away: ["\u2715", "away"] };
const folded = new Map(); // host -> whether its workers are hidden

function showWorkers() {
  const now = clockNow(), table = byId("workers");
  table.fixed = 1; // the head
  const groups = new Map();
  for (const worker of state.workers) {
    if (!groups.has(worker.host)) groups.set(worker.host, []);
    groups.get(worker.host).push(worker);
  }
  keyed(table, [...groups], ([host]) => host, ([host]) => {
    const body = document.createElement("tbody");
    const row = make(body, "tr", "host");
    const head = make(row, "th");
    head.colSpan = 2;
    head.scope = "rowgroup";
    body.fold = make(head, "button");
    body.fold.type = "button";
    body.fold.addEventListener("click", () => {
      folded.set(host, !folded.get(host));
      showWorkers();
    });
    body.swatch = make(body.fold, "span", "swatch");
    body.label = make(body.fold, "span");
    body.cells = rowCells(row, ["", "n", "n opt", "n opt", "n"]);
    body.fixed = 1;
    return body;
  }, (body, [host, workers]) => {
    put(body.label, hostName(hostIndex(host)));
    body.fold.title = host;
    body.swatch.style.background = hostColor(hostIndex(host));
    body.fold.setAttribute("aria-expanded", String(!folded.get(host)));
    const paces = workers.map(({ slot }) => [pace(slot, "items"), Math.min(1000, pace(slot, "worked"))]);
    const sum = (at) => paces.reduce((all, each) => all + each[at], 0);
    const busy = workers.filter((worker) => worker.state === "busy").length;
    put(body.cells[0], busy + " of " + workers.length + " busy");
    put(body.cells[2], countText(workers.reduce((all, { items }) => all + items, 0)));
    put(body.cells[3], rateText(sum(0)));
    showMeter(body.cells[4], sum(1) / workers.length, host);
    keyed(body, folded.get(host) ? [] : workers, (worker) => worker.slot, () => {
      const row = document.createElement("tr");
      row.className = "worker";
      const name = make(row, "th");
      name.scope = "row";
      row.name_ = make(name, "span");
      row.pid = make(name, "span", "opt");
      row.cells_ = [name, ...rowCells(row, ["", "doing", "n", "n opt", "n opt", "n"])];
      row.mark = make(row.cells_[1], "span", "state-mark");
      row.mark.setAttribute("aria-hidden", "true");
      row.text = make(row.cells_[1], "span", "state-text");
      return row;
    }, (row, worker) => {
      const { chunk } = worker, cells = row.cells_;
      const [rate, share] = paces[workers.indexOf(worker)];
      row.dataset.is = worker.state;
      const [label, ...rest] = worker.worker.split(" (");
      put(row.name_, label);
      put(row.pid, rest.length > 0 ? " (" + rest.join(" (") : "");
      cells[0].title = worker.worker;
      put(row.mark, STATES[worker.state][0]);
      put(row.text, STATES[worker.state][1]);
      const doing = worker.state === "busy" && chunk
        ? rangeText(chunk.start, chunk.count) + (state.jobs.length > 1 ? " of " + jobName(chunk.job) : "")
        : "";
      put(cells[2], doing || "\u2013");
      cells[2].title = doing;
      put(cells[3], worker.state === "empty" || (!doing && state.jobs.length === 0) ? "" : sinceText(now - (doing ? chunk.since : worker.since)));
      put(cells[4], countText(worker.items));
      put(cells[5], rateText(rate));
      showMeter(cells[6], share, worker.host);
    });
  });
}

function rowCells(row, classes) {
  return classes.map((name) => make(row, "td", name));
}

function showMeter(cell, share, host) {
  if (!cell.meter) {
    cell.meter = make(make(cell, "span", "meter"), "i");
    cell.figure = make(cell, "span", "share");
  }
  cell.meter.style.width = share / 10 + "%";
  cell.meter.style.background = hostColor(hostIndex(host));
  put(cell.figure, Math.round(share / 10) + "%");
}

const WHAT_FAILED = { item: "Item ", worker: "Worker lost", map: "Map failed" };

function showFailures() {
  const latest = failures.slice(-50).reverse();
  const all = state.totals.failures;
  byId("no-failures").hidden = all > 0;
  put(byId("failures-count"), all > latest.length ? "latest " + latest.length + " of " + countText(all) : all > 0 ? countText(all) : "");
  keyed(byId("failures"), latest, (failure) => failure.id, (failure) => {
    const node = document.createElement("li");
    node.dataset.kind = failure.kind;
    const what = make(node, "div", "what");
    put(make(what, "span"), WHAT_FAILED[failure.kind] + (failure.kind === "item" ? whole.format(failure.item) + " threw" : ""));
    put(make(what, "time"), clockText(failure.at, 1000));
    const of = failure.job === undefined ? "" : jobName(failure.job);
    put(make(node, "div", "where"), [of, failure.worker && place(failure.worker, failure.host)].filter(Boolean).join(" \u00b7 "));
    put(make(node, "pre"), failure.reason);
    return node;
  }, () => {});
}

let shownLegend = "";

function showLegend() {
  const wanted = hosts.join("\n") + "|" + colors.text;
  if (wanted === shownLegend) return;
  shownLegend = wanted;
  const entries = [
    ...(hosts.length > 1 ? hosts.map((_, at) => [hostName(at), at, "ok"]) : [["done", 0, "ok"]]),
    ["running", 0, "running"], ["an item threw", 0, "failed"], ["worker lost", 0, "lost"], ["stopped", 0, "stopped"],
  ];
  byId("legend").replaceChildren();
  for (const [label, host, kind] of entries) {
    const node = make(byId("legend"), "li");
    const sample = make(node, "canvas");
    sample.width = 32;
    sample.height = 24;
    sample.setAttribute("aria-hidden", "true");
    const paint = sample.getContext("2d");
    paint.scale(2, 2);
    paint.fillStyle = paint.strokeStyle = hostColor(host);
    if (kind === "ok") paint.fillRect(0, 0, 16, 12);
    else if (kind !== "running") drawFailed(paint, 0, 16, 0, 12, kind);
    else {
      paint.strokeRect(.5, .5, 15, 11);
      paint.globalAlpha = .28;
      paint.fillRect(0, 0, 16, 12);
    }
    put(make(node, "span"), label);
  }
}

// ---- the connection ----

let retry = 500;

function connect() {
  const source = new EventSource("events" + location.search);
  source.addEventListener("message", (event) => {
    if (connection !== "live") startAnew();
    connection = "live";
    retry = 500;
    hear(JSON.parse(event.data));
  });
  source.addEventListener("bye", () => {
    source.close();
    connection = "ended";
    show();
    say("The program closed the dashboard.");
  });
  source.addEventListener("error", () => {
    source.close();
    if (connection === "ended") return;
    connection = "lost";
    showStatus();
    wantDraw();
    setTimeout(connect, retry = Math.min(retry * 2, 10000));
  });
}

/** A new connection begins with all that is kept. */
function startAnew() {
  lanes.clear();
  samples = [];
  failures = [];
  history.length = 0;
  spanCount = 0;
  firstSpan = Infinity;
  lastEnd = 0;
  lastMessage = 0;
  selected = hovered = null;
}

readColors();
shades.addEventListener("change", () => {
  readColors();
  show();
});
new ResizeObserver(wantDraw).observe(timeline);
setInterval(showStatus, 1000);
wantDraw();
connect();
`;
