/**
 * What is drawn on the dashboard's page beside the timeline: throughput over the last two minutes, a layer for each
 * host; and what both share: colours, and when to draw. Shares its scope with dashboard_script.ts.
 */
export const CHART = String.raw`
/** The last two minutes, or what there is of them. */
function chartSpan(now) {
  const age = now - (samples[0]?.[0] ?? now) + 2000;
  return age <= 30000 ? 30000 : age <= 60000 ? 60000 : 120000;
}

function drawChart() {
  const canvas = byId("chart"), width = canvas.clientWidth, height = canvas.clientHeight;
  const ratio = window.devicePixelRatio || 1;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const paint = canvas.getContext("2d");
  paint.setTransform(ratio, 0, 0, ratio, 0, 0);
  paint.clearRect(0, 0, width, height);
  paint.font = "12px system-ui, sans-serif";
  paint.textBaseline = "middle";
  const over = connection === "live" && state?.jobs.length === 0;
  const now = over ? lastEnd + 1000 : Math.max(clockNow(), samples[samples.length - 1]?.[0] ?? 0);
  const span = chartSpan(now), points = samples.filter(([at]) => at > now - span - 1500 && at < now + 1000);
  const totals = points.map(([, ...items]) => items.reduce((sum, n) => sum + n, 0));
  const peak = Math.max(...totals, 0), top = niceTop(peak);
  const left = Math.max(34, paint.measureText(countText(top)).width + 10), base = height - 22, head = 8;
  const x = (at) => left + (at - now + span) / span * (width - left);
  const y = (n) => base - n / top * (base - head);
  paint.textAlign = "right";
  for (const n of [0, top / 2, top]) {
    paint.fillStyle = colors.line;
    paint.fillRect(left, Math.round(y(n)), width - left, 1);
    paint.fillStyle = colors.dim;
    paint.fillText(n < 10 && n % 1 ? n.toFixed(1) : countText(n), left - 8, y(n));
  }
  for (const part of [1, 2 / 3, 1 / 3, 0]) {
    paint.textAlign = part === 1 ? "left" : part === 0 ? "right" : "center";
    const text = part > 0 ? "\u2212" + clockText(span * part, 1000) : over ? "end" : "now";
    paint.fillText(text, x(now - span * part), height - 8);
  }
  paint.save();
  paint.beginPath();
  paint.rect(left, 0, width - left, height);
  paint.clip();
  const floor = totals.map(() => 0);
  for (let host = 0; host < hosts.length && points.length > 0; host++) {
    const ceiling = points.map((point, i) => floor[i] + (point[host + 1] ?? 0));
    const trace = (values, from, to, by) => {
      for (let i = from; i !== to; i += by) paint.lineTo(x(points[i][0]), y(values[i]));
    };
    paint.beginPath();
    trace(ceiling, 0, points.length, 1);
    trace(floor, points.length - 1, -1, -1);
    paint.fillStyle = hostColor(host);
    paint.globalAlpha = .22;
    paint.fill();
    paint.globalAlpha = 1;
    paint.beginPath();
    trace(ceiling, 0, points.length, 1);
    paint.strokeStyle = hostColor(host);
    paint.lineWidth = 1.5;
    paint.lineJoin = "round";
    paint.stroke();
    ceiling.forEach((n, i) => floor[i] = n);
  }
  paint.restore();
  const mean = state?.finished[state.finished.length - 1]?.progress.rate ?? 0;
  const figure = over ? rateText(mean) + " on average, " : rateText(totals[totals.length - 1] ?? 0) + " now, ";
  put(byId("rate-text"), "items per second" + (peak > 0 ? ": " + figure + rateText(peak) + " at most" : ""));
}

/** The next round number that is not below. */
function niceTop(n) {
  if (n <= 2) return 2;
  const unit = 10 ** Math.floor(Math.log10(n));
  return [1, 2, 4, 6, 8, 10].find((each) => each * unit >= n) * unit;
}

// ---- drawing ----

const colors = {};
const shades = window.matchMedia("(prefers-color-scheme: dark)");
const still = window.matchMedia("(prefers-reduced-motion: reduce)");

function readColors() {
  const style = getComputedStyle(document.documentElement);
  for (const name of ["text", "dim", "line", "soft", "card", "bad", "h0", "h1", "h2", "h3", "h4", "h5", "h6", "h7"]) {
    colors[name] = style.getPropertyValue("--" + name).trim();
  }
}

function hostColor(host) {
  return colors["h" + host % 8];
}

/** Maps take turns in two shades, so that one can be told from the next. */
function shadeOf(job) {
  return job % 2 === 0 ? 1 : 0;
}

const fitted = new Map();

function fitText(paint, text, room) {
  const key = text + "|" + room + "|" + paint.font;
  let short = fitted.get(key);
  if (short === undefined) {
    short = text;
    while (short.length > 1 && paint.measureText(short).width > room) short = short.replace(/.?\u2026?$/u, "") + "\u2026";
    if (fitted.size > 2000) fitted.clear();
    fitted.set(key, short);
  }
  return short;
}

let drawing = false, nextDraw = 0;

/** Draws soon; frames come as often as they are cheap. */
function wantDraw() {
  if (drawing) return;
  drawing = true;
  const wait = nextDraw - performance.now();
  if (wait > 4) setTimeout(() => requestAnimationFrame(draw), wait);
  else requestAnimationFrame(draw);
}

function draw() {
  drawing = false;
  const began = performance.now();
  drawTimeline();
  drawChart();
  const cost = performance.now() - began;
  nextDraw = began + Math.max(still.matches ? 1000 : 50, cost * 8);
  if (connection === "live" && live && state?.jobs.length > 0) wantDraw();
}

`;
