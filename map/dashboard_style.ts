/**
 * The looks of the dashboard's page. One scale of sizes (12, 13, 15, 24 px), figures of equal width so that
 * nothing moves when they change, fixed columns, light and dark by the system's preference. The canvases take
 * their colours from the same variables.
 */
export const STYLE = `
:root {
  --bg: #f5f6f8; --card: #ffffff; --line: #e2e5ea; --soft: #eef0f3; --text: #1a1f26; --dim: #59636f;
  --focus: #1d5fd1; --bad: #c22a2a; --bad-soft: #fdeeee; --good: #1a7f4b; --warn: #94600a;
  --h0: #3273dc; --h1: #d07a1c; --h2: #12917f; --h3: #8757cf; --h4: #8a8f12; --h5: #c44e94; --h6: #3d9ccc; --h7: #94683c;
}
@media (prefers-color-scheme: dark) {
  :root {
    --bg: #0f1216; --card: #171b21; --line: #2a3038; --soft: #20262e; --text: #e5e9ee; --dim: #98a3b0;
    --focus: #7fb0ff; --bad: #ff7b74; --bad-soft: #331d1f; --good: #5cc98f; --warn: #e0ac4f;
    --h0: #6ea5ff; --h1: #eda24f; --h2: #46c2ae; --h3: #b18df0; --h4: #bcc24a; --h5: #ea86bf; --h6: #72c3ea; --h7: #c79a6b;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--bg); color: var(--text);
  font: 13px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
  font-variant-numeric: tabular-nums;
}
h1, h2, p, dl, dd, ul, ol { margin: 0; padding: 0; }
ul, ol { list-style: none; }
h1 { font-size: 15px; font-weight: 600; overflow-wrap: anywhere; }
h2 { font-size: 15px; font-weight: 600; line-height: 1.3; }
.brand { color: var(--dim); font-weight: 500; margin-right: 4px; }
.note, .sub, .empty { color: var(--dim); font-size: 12px; }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
:focus-visible { outline: 2px solid var(--focus); outline-offset: 2px; }
header {
  display: flex; align-items: center; justify-content: space-between; gap: 12px;
  max-width: 1480px; min-height: 56px; margin: 0 auto; padding: 12px 20px 0;
}
.status {
  flex: none; max-width: 62%; padding: 4px 12px; border: 1px solid var(--line); border-radius: 14px;
  background: var(--card); font-weight: 500; text-align: right;
}
.status::before { content: "\\25CB"; margin-right: 7px; color: var(--dim); }
.status[data-is="live"]::before { content: "\\25CF"; color: var(--good); }
.status[data-is="idle"]::before { content: "\\25CB"; color: var(--good); }
.status[data-is="finished"]::before { content: "\\2713"; color: var(--good); }
.status[data-is="silent"]::before { content: "\\2026"; color: var(--warn); }
.status[data-is="failed"]::before { content: "\\2715"; color: var(--bad); }
.status[data-is="lost"] { border-color: var(--bad); }
.status[data-is="lost"]::before { content: "\\2715"; color: var(--bad); }
main {
  display: grid; grid-template-columns: repeat(12, minmax(0, 1fr)); gap: 16px;
  max-width: 1480px; margin: 0 auto; padding: 12px 20px 32px;
}
.card { grid-column: span 12; background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 14px 16px; }
.maps, .rate { grid-column: span 6; min-height: 222px; }
.workers { grid-column: span 8; }
.failures { grid-column: span 4; }
.head { display: flex; flex-wrap: wrap; align-items: center; gap: 6px 16px; }
.head .note { margin-left: auto; }
canvas { display: block; width: 100%; border-radius: 4px; }
#chart { height: 158px; margin-top: 10px; }

.figures { padding: 0; }
.figures dl { display: grid; grid-template-columns: 2fr 1fr 1fr 1fr 1fr; }
.figures dl > div { padding: 12px 16px 14px; border-left: 1px solid var(--line); min-width: 0; }
.figures dl > div:first-child { border-left: 0; }
dt { color: var(--dim); font-size: 12px; }
.figures dd { font-size: 24px; font-weight: 600; line-height: 1.3; white-space: nowrap; }
.figures dd.sub { min-height: 18px; font-size: 12px; font-weight: 400; overflow: hidden; text-overflow: ellipsis; }
.figures .bar { margin-top: 6px; }
#failed-box[data-bad] dd:not(.sub) { color: var(--bad); }
.bar { display: flex; height: 6px; border-radius: 3px; background: var(--soft); overflow: hidden; }
.bar i { flex: none; width: 0; background: var(--good); }
.bar i.run { opacity: .4; }
.bar i.bad { background: repeating-linear-gradient(135deg, var(--bad) 0 3px, var(--card) 3px 5px); }

.scroll { overflow: auto; margin: 8px -16px -14px; padding: 0 16px 14px; border-radius: 0 0 10px 10px; }
.scroll:focus-visible { outline-offset: -2px; }
.maps .scroll { max-height: 178px; }
.maps li { padding: 7px 0 9px; border-top: 1px solid var(--line); }
.maps li:first-child { border-top: 0; padding-top: 2px; }
.maps .row { display: flex; gap: 12px; align-items: baseline; }
.maps .name { font: 600 13px ui-monospace, "SF Mono", Menlo, Consolas, monospace; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.maps .state { margin-left: auto; flex: none; }
.maps .state[data-is="done"] { color: var(--good); }
.maps .state[data-is="failed"] { color: var(--bad); }
.maps .bar { margin: 5px 0; }
.maps .facts { display: flex; flex-wrap: wrap; gap: 0 14px; color: var(--dim); font-size: 12px; }
.maps .reason { color: var(--bad); font-size: 12px; overflow-wrap: anywhere; }

.legend { display: flex; flex-wrap: wrap; gap: 4px 14px; color: var(--dim); font-size: 12px; }
.legend li { display: flex; align-items: center; gap: 6px; }
.legend canvas { width: 16px; height: 12px; border-radius: 0; }
.tools { display: flex; gap: 6px; margin-left: auto; }
button {
  font: inherit; font-weight: 500; min-width: 32px; height: 28px; padding: 0 10px; cursor: pointer;
  color: var(--text); background: var(--card); border: 1px solid var(--line); border-radius: 6px;
}
button:hover { background: var(--soft); }
button[aria-pressed="true"] { border-color: var(--focus); color: var(--focus); }
#timeline { margin-top: 12px; outline-offset: 5px; min-height: 96px; touch-action: pan-y; cursor: crosshair; }
.readout { min-height: 38px; margin-top: 10px; }
.keys { margin-top: 4px; }
kbd { font: inherit; font-size: 11px; padding: 0 5px; border: 1px solid var(--line); border-bottom-width: 2px; border-radius: 4px; background: var(--soft); color: var(--text); }

.workers .scroll, .failures .scroll { max-height: 560px; }
table { width: 100%; border-collapse: separate; border-spacing: 0; table-layout: fixed; }
th, td { padding: 5px 8px 5px 0; text-align: left; border-bottom: 1px solid var(--line); white-space: nowrap; overflow: hidden; text-overflow: ellipsis; font-weight: 400; }
thead th { position: sticky; top: 0; background: var(--card); color: var(--dim); font-size: 12px; z-index: 1; }
th.n, td.n { text-align: right; padding-left: 4px; }
th:last-child, td:last-child { padding-right: 0; }
th:nth-child(1) { width: 25%; } th:nth-child(2) { width: 104px; } th:nth-child(4) { width: 70px; }
th:nth-child(5) { width: 88px; } th:nth-child(6) { width: 72px; } th:nth-child(7) { width: 108px; }
tbody + tbody tr:first-child > * { padding-top: 14px; }
tr.host > * { font-weight: 600; }
tr.host button { height: 24px; min-width: 0; padding: 0 8px 0 4px; margin-left: -4px; max-width: 100%; border-color: transparent; font-weight: 600; overflow: hidden; text-overflow: ellipsis; }
tr.host button::before { content: "\\25BE"; display: inline-block; width: 16px; color: var(--dim); }
tr.host button[aria-expanded="false"]::before { content: "\\25B8"; }
tr.worker > :first-child { padding-left: 16px; }
tr.host .swatch { display: inline-block; width: 10px; height: 10px; border-radius: 2px; margin-right: 7px; }
.state-mark { display: inline-block; width: 16px; color: var(--dim); }
[data-is="busy"] .state-mark { color: var(--good); }
[data-is="away"] .state-mark { color: var(--bad); }
[data-is="empty"], [data-is="idle"] .doing { color: var(--dim); }
.meter { display: inline-block; width: 52px; height: 6px; margin-right: 8px; border-radius: 3px; background: var(--soft); vertical-align: 1px; overflow: hidden; text-align: left; }
.meter i { display: block; height: 100%; }
.share { display: inline-block; min-width: 36px; }

.count { color: var(--dim); font-weight: 400; font-size: 13px; margin-left: 4px; }
.failures li { padding: 8px 0; border-top: 1px solid var(--line); }
.failures li:first-child { border-top: 0; padding-top: 0; }
.failures .what { display: flex; gap: 8px; justify-content: space-between; font-weight: 600; }
.failures .what::before { content: "\\25B2"; color: var(--bad); }
.failures [data-kind="worker"] .what::before { content: "\\2715"; }
.failures .what span:first-of-type { flex: 1; min-width: 0; overflow-wrap: anywhere; }
.failures time { color: var(--dim); font-weight: 400; }
.failures .where { color: var(--dim); font-size: 12px; margin-left: 20px; overflow-wrap: anywhere; }
.failures pre { margin: 3px 0 0 20px; font: 12px/1.45 ui-monospace, "SF Mono", Menlo, Consolas, monospace; white-space: pre-wrap; overflow-wrap: anywhere; max-height: 122px; overflow: hidden; }
.empty { padding: 4px 0 2px; }
body[data-stale] main { opacity: .82; }

@media (min-width: 1061px) {
  .failures { position: relative; min-height: 320px; }
  .failures .scroll { position: absolute; inset: 42px 0 0; margin: 0; max-height: none; }
}
@media (max-width: 1060px) {
  .maps, .rate, .workers, .failures { grid-column: span 12; }
  .maps { min-height: 0; }
}
@media (max-width: 720px) {
  header { padding: 10px 12px 0; }
  main { padding: 10px 12px 24px; gap: 12px; }
  .card { padding: 12px; }
  .figures { padding: 0; }
  .figures dl { grid-template-columns: 1fr 1fr; }
  .figures dl > div { padding: 10px 12px; border-top: 1px solid var(--line); }
  .figures dl > div:nth-child(even) { border-left: 0; }
  .figures .wide { grid-column: span 2; border-top: 0; }
  .scroll { margin: 8px -12px -12px; padding: 0 12px 12px; }
  .head .note { margin-left: 0; width: 100%; }
  .opt { display: none; }
  th:nth-child(1) { width: 32%; } th:nth-child(2) { width: 20px; } th:nth-child(4) { width: 50px; } th:nth-child(7) { width: 42px; }
  td:nth-child(2) { text-overflow: clip; }
  tr.worker > :first-child { padding-left: 10px; }
  tr.host button { padding-right: 0; }
  tr.host button::before { width: 12px; }
  tr.host .swatch { margin-right: 5px; }
  .state-text, thead th:nth-child(2) { font-size: 0; }
  .meter { display: none; }
}
@media (pointer: coarse) { button { height: 40px; min-width: 44px; } .keys { display: none; } }
@media (prefers-reduced-motion: no-preference) { .bar i, .meter i { transition: width .2s linear; } }
`;
