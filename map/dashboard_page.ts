/**
 * The dashboard's page as one document: markup here, its looks and its program beside it. It loads nothing, and
 * its policy lets exactly this style and this script run, so that text from the pool (a function may be called
 * `<img onerror=...>`) stays text.
 */
import { builtin } from "../runtime/mod.ts";
import { CHART } from "./dashboard_chart.ts";
import { MOVES } from "./dashboard_moves.ts";
import { SCRIPT } from "./dashboard_script.ts";
import { STYLE } from "./dashboard_style.ts";
import { TIMELINE } from "./dashboard_timeline.ts";

const CODE = `"use strict";\n(() => {\n${[TIMELINE, MOVES, CHART, SCRIPT].join("")}\n})();`;

const ICON = "data:image/svg+xml," + encodeURIComponent(
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><rect width="16" height="16" rx="3" fill="#2f6fde"/>` +
    `<path d="M3 5h7M3 8h10M3 11h5" stroke="#fff" stroke-width="2" stroke-linecap="round"/></svg>`,
);

const BODY = `
<header>
  <h1><span class="brand">pathos</span> <span id="title"></span></h1>
  <p id="status" class="status" data-is="connecting">Connecting</p>
</header>
<p id="say" class="unseen" role="status" aria-live="polite"></p>
<main>
  <section class="card figures" aria-label="Figures">
    <dl>
      <div class="wide">
        <dt>Items done</dt><dd id="done">0</dd>
        <dd class="sub"><span id="of"></span></dd>
        <div class="bar" id="whole" aria-hidden="true"><i></i></div>
      </div>
      <div><dt>Items per second</dt><dd id="rate">0</dd><dd class="sub" id="rate-sub"></dd></div>
      <div><dt id="left-title">Time left</dt><dd id="left">&ndash;</dd><dd class="sub" id="elapsed"></dd></div>
      <div><dt>Workers busy</dt><dd id="busy">0</dd><dd class="sub" id="workers-sub"></dd></div>
      <div id="failed-box"><dt>Failed items</dt><dd id="failed">0</dd><dd class="sub" id="lost"></dd></div>
    </dl>
  </section>

  <section class="card maps" aria-labelledby="maps-title">
    <h2 id="maps-title">Maps</h2>
    <div class="scroll" tabindex="0" role="region" aria-labelledby="maps-title">
      <ul id="maps"></ul>
      <p class="empty" id="no-maps">No map yet. It appears here as soon as the program starts one.</p>
      <p class="note" id="earlier" hidden></p>
    </div>
  </section>

  <section class="card rate" aria-labelledby="rate-title">
    <div class="head"><h2 id="rate-title">Throughput</h2><p id="rate-text" class="note"></p></div>
    <canvas id="chart" role="img" aria-labelledby="rate-title rate-text"></canvas>
  </section>

  <section class="card timeline" aria-labelledby="timeline-title">
    <div class="head">
      <h2 id="timeline-title">Timeline of chunks</h2>
      <ul class="legend" id="legend" aria-label="Legend"></ul>
      <div class="tools" role="group" aria-label="Timeline view">
        <button type="button" id="zoom-out" aria-label="Zoom out">&minus;</button>
        <button type="button" id="zoom-in" aria-label="Zoom in">+</button>
        <button type="button" id="fit" aria-label="Show all">All</button>
        <button type="button" id="live" aria-pressed="true">Live</button>
      </div>
    </div>
    <canvas id="timeline" tabindex="0" role="application" aria-roledescription="timeline"
      aria-label="Timeline: one lane for each worker" aria-describedby="keys"></canvas>
    <p id="readout" class="readout"></p>
    <p id="spoken" class="unseen" aria-live="polite"></p>
    <p id="keys" class="note keys"><kbd>&larr;</kbd> <kbd>&rarr;</kbd> chunk &ensp; <kbd>&uarr;</kbd> <kbd>&darr;</kbd> worker
      &ensp; <kbd>+</kbd> <kbd>&minus;</kbd> zoom &ensp; <kbd>Shift</kbd> <kbd>&larr;</kbd> <kbd>&rarr;</kbd> scroll
      &ensp; <kbd>N</kbd> next failure &ensp; <kbd>A</kbd> all &ensp; <kbd>L</kbd> live</p>
  </section>

  <section class="card workers" aria-labelledby="workers-title">
    <h2 id="workers-title">Workers</h2>
    <div class="scroll" tabindex="0" role="region" aria-labelledby="workers-title">
      <table id="workers">
        <thead><tr>
          <th scope="col">Worker</th><th scope="col">State</th><th scope="col">Items now</th>
          <th scope="col" class="n">For</th><th scope="col" class="n opt">Items</th>
          <th scope="col" class="n opt">Items/s</th><th scope="col" class="n">Busy</th>
        </tr></thead>
      </table>
    </div>
  </section>

  <section class="card failures" aria-labelledby="failures-title">
    <h2 id="failures-title">Failures <span id="failures-count" class="count"></span></h2>
    <div class="scroll" tabindex="0" role="region" aria-labelledby="failures-title">
      <ol id="failures"></ol>
      <p class="empty" id="no-failures">No item has failed and no worker was lost.</p>
    </div>
  </section>
</main>`;

let page: { html: string; policy: string } | undefined;

/** The document, and the content security policy to send with it. */
export function renderPage(): { html: string; policy: string } {
  return page ??= {
    html: `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>pathos</title>
<link rel="icon" href="${ICON}">
<style>${STYLE}</style>
</head>
<body>${BODY}
<script>${CODE}</script>
</body>
</html>
`,
    policy: [
      "default-src 'none'",
      `script-src '${hash(CODE)}'`,
      `style-src '${hash(STYLE)}'`,
      "img-src data:",
      "connect-src 'self'",
      "base-uri 'none'",
      "form-action 'none'",
      "frame-ancestors 'none'",
      "require-trusted-types-for 'script'",
    ].join("; "),
  };
}

function hash(text: string): string {
  interface Hash {
    update(text: string): Hash;
    digest(encoding: "base64"): string;
  }
  const { createHash } = builtin<{ createHash(name: string): Hash }>("node:crypto");
  return `sha256-${createHash("sha256").update(text).digest("base64")}`;
}
