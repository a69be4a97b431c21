// The page of `covet-prof serve`: takes the events of /events, each of them what changed since the
// one before, and keeps the last five minutes of them as plots, tiles and tables.

import { LinePlot, HeatPlot, KEPT_S, element, forgetColours, formatCount, formatPercent, formatTime } from "./plots.js";

const WORKERS_SHOWN_MAX = 8;
const RECONNECT_MS = 2000;
const SILENT_S = 4;
const CLASSIC = "read, write, sendto, recvfrom";
const FROM_LEVEL_1 = "measured from level 1 on";
const byId = (id) => document.getElementById(id);

const view = { to: 0, cursor: null };
let digests = [];    // what the events said, ascending in time, at most KEPT_S of them
let paused = false;  // events are kept, but not shown

const sum = (list, read = (one) => one) => list.reduce((total, one) => total + (read(one) ?? 0), 0);

/** Upper ends of the buckets of handler times, in nanoseconds (<covet/abi.h>). */
const HANDLER_ENDS = Array.from({ length: 24 }, (_, i) => (i < 23 ? 2 ** (i + 8) : Infinity));
/** And of the profiler's latencies (bpf/shared.h). */
const LATENCY_ENDS = Array.from({ length: 22 }, (_, i) => (i < 21 ? 1000 * 2 ** i : Infinity));

/** The counts of a histogram; its buckets come in ascending order. */
const countsOf = (histogram) => Object.values(histogram.buckets);

/** The time below which `share` of the counts lies, as if a bucket's counts lay evenly in it. */
function quantile(counts, ends, share) {
  const total = sum(counts);
  let left = total * share;
  if (total === 0) return NaN;
  for (let i = 0; i < counts.length; i++) {
    if (counts[i] > 0 && left <= counts[i]) {
      const from = i > 0 ? ends[i - 1] : 0;
      return Number.isFinite(ends[i]) ? from + ((ends[i] - from) * left) / counts[i] : from;
    }
    left -= counts[i];
  }
  return NaN;
}

/** A value of each worker under its name; of many workers the lowest, the middle and the highest. */
function perWorker(workers, read) {
  const values = workers.map(read);
  if (workers.length <= WORKERS_SHOWN_MAX) {
    return Object.fromEntries(values.map((value, i) => [`worker ${i}`, value]));
  }
  const sorted = values.filter(Number.isFinite).sort((a, b) => a - b);
  return { highest: sorted.at(-1), median: sorted[sorted.length >> 1], lowest: sorted[0] };
}

/** {port: {name: count}} as {name: count}. */
function overPorts(byPort) {
  const found = {};
  for (const counts of Object.values(byPort)) {
    for (const [name, count] of Object.entries(counts)) found[name] = (found[name] ?? 0) + count;
  }
  return found;
}

const rowsOf = (byName) => Object.entries(byName).map(([name, row]) => ({ name, ...row }));

/** What one event says. Counts stay counts; rate() makes them counts a second, ratio() counts per
 *  1000 requests, and both NaN of what is not known. */
function digest(stats) {
  const interval = stats.interval_ns / 1e9;
  const { total } = stats;
  const rate = (count) => (count ?? NaN) / interval;
  const ratio = (count) => (total.counters.requests > 0 ? (1000 * (count ?? NaN)) / total.counters.requests : NaN);
  return {
    t: stats.taken_ns / 1e9,
    level: stats.profile?.level ?? 0,
    interval, rate, ratio, total,
    workers: stats.workers,
    perThousand: stats.per_1000_requests,
    handler: countsOf(total.handler_time),
    syscalls: rowsOf(total.syscalls),
    operations: rowsOf(total.urings),
    events: overPorts(stats.net),
    drops: overPorts(stats.drops),
    listeners: Object.entries(stats.listeners).map(([port, listener]) => ({ port, ...listener })),
  };
}

/** Histograms of one event, by what they measure. */
function histograms(d) {
  const sources = { "handlers": { ends: HANDLER_ENDS, counts: d.handler } };
  const add = (name, histogram) => {
    if (histogram) sources[name] = { ends: LATENCY_ENDS, counts: countsOf(histogram) };
  };
  add("waiting for a core", d.total.sched?.runq_latency);
  d.operations.forEach((operation) => add(`${operation.name}, submitted to completed`, operation.latency));
  d.syscalls.forEach((call) => add(`${call.name}, on a core`, call.latency));
  return sources;
}

const plots = [];

function addPlot(plot, read) {
  plots.push({ plot, read });
  byId("panels").append(plot.card);
}

function addLines(title, hint, options, read) {
  addPlot(new LinePlot(view, point, { title, hint, format: formatCount, ...options }), (d) => ({ values: read(d) }));
}

addLines("Requests per second", "by worker", {}, (d) => perWorker(d.workers, (worker) => d.rate(worker.counters.requests)));
addLines("Handler latency", "interpolated within buckets", {
  format: formatTime, log: true, order: ["p50", "p90", "p99", "p99.9"], empty: "no requests",
}, (d) => ({
  "p50": quantile(d.handler, HANDLER_ENDS, 0.5),
  "p90": quantile(d.handler, HANDLER_ENDS, 0.9),
  "p99": quantile(d.handler, HANDLER_ENDS, 0.99),
  "p99.9": quantile(d.handler, HANDLER_ENDS, 0.999),
}));
addLines("CPU", "share of a core, by worker", { format: formatPercent, least: 100 },
  (d) => perWorker(d.workers, (worker) => d.rate(worker.proc?.cpu_ns) / 1e7));
addLines("System calls per 1000 requests", "of the workers", { order: ["io_uring_enter", "others", CLASSIC], empty: "no requests" }, (d) => ({
  "io_uring_enter": d.perThousand.io_uring_enter ?? NaN,
  "others": d.perThousand.other_syscalls ?? NaN,
  [CLASSIC]: d.perThousand.read_write_sendto_recvfrom ?? NaN,
}));
// One submission may complete many times (multishot), or silently: the larger number is the work.
addLines("Ring operations per second", "submitted or completed", { empty: FROM_LEVEL_1 },
  (d) => Object.fromEntries(d.operations.map(({ name, submitted, completed }) => [name, d.rate(Math.max(submitted, completed))])));
addLines("Context switches per second", "of the workers", { order: ["waited", "put off the core"] }, (d) => ({
  "waited": d.rate(d.total.proc?.voluntary_switches),
  "put off the core": d.rate(d.total.proc?.involuntary_switches),
}));
addLines("Waiting for a core", "time per second, by worker", { format: formatTime, least: 1e6 },
  (d) => perWorker(d.workers, (worker) => d.rate(worker.proc?.runq_ns)));
addLines("Network events per second", "of the server's ports", { empty: FROM_LEVEL_1 }, (d) => ({
  ...Object.fromEntries(Object.entries(d.events).map(([name, count]) => [eventName(name), d.rate(count)])),
  ...(d.level > 0 ? { "packets dropped": d.rate(sum(Object.values(d.drops))) } : {}),
}));
addLines("Accept queues", "connections that wait, by port", { least: 4, empty: "no TCP port" },
  (d) => Object.fromEntries(d.listeners.map((listener) => [`port ${listener.port}`, listener.queue])));
addLines("Answers per second", "by status class", { order: ["2xx", "3xx", "4xx", "5xx"] }, (d) => Object.fromEntries(
  ["2xx", "3xx", "4xx", "5xx"].map((name) => [name, d.rate(d.total.counters[`responses_${name}`])])));
addLines("Connections", "open, by worker", { least: 4 }, (d) => perWorker(d.workers, (worker) => worker.gauges.connections_open));
addLines("Bytes per second", "of all workers", { order: ["received", "sent"] }, (d) => ({
  received: d.rate(d.total.counters.received_bytes),
  sent: d.rate(d.total.counters.sent_bytes),
}));
addPlot(new HeatPlot(view, point, { title: "Latency over time", wide: true, empty: "nothing counted" }),
  (d) => ({ sources: histograms(d) }));

/** "TCP_RESET_SENT" as "reset sent". */
const eventName = (name) => name.replace(/^TCP_/, "").replaceAll("_", " ").toLowerCase();

const TILES = [
  ["Requests", (d) => formatCount(d.rate(d.total.counters.requests)), "/s",
    (d) => `${formatCount(d.rate(d.total.counters.responses_5xx))}/s answered 5xx`],
  ["Handler p99", (d) => formatTime(quantile(d.handler, HANDLER_ENDS, 0.99)), "",
    (d) => `p50 ${formatTime(quantile(d.handler, HANDLER_ENDS, 0.5))}`],
  ["System calls per 1000 requests", (d) => formatCount(d.perThousand.syscalls ?? d.perThousand.io_uring_enter ?? NaN), "",
    (d) => (d.level >= 2 ? `${formatCount(d.perThousand.other_syscalls ?? NaN)} not io_uring_enter` : "io_uring_enter alone")],
  ["CPU", (d) => formatPercent(d.rate(d.total.proc?.cpu_ns) / 1e7), "",
    (d) => `of ${d.workers.length} × 100 %`],
  ["CPU per request", (d) => formatTime(d.total.proc?.cpu_ns / d.total.counters.requests), "",
    () => "user and kernel"],
  ["Connections", (d) => formatCount(d.total.gauges.connections_open), "open",
    (d) => `${formatCount(d.rate(d.total.counters.connections_accepted))}/s new`],
].map(([title, read, unit, beside]) => {
  const figure = element("span", { class: "number" });
  const small = element("div", { class: "beside" });
  byId("tiles").append(element("article", { class: "tile" }, element("h2", {}, title),
    element("span", { class: "figure" }, figure, " ", element("span", { class: "unit" }, unit)), small));
  return (d) => {
    figure.textContent = read(d);
    small.textContent = small.title = beside(d);
  };
});

/** A table whose rows come from a digest; columns: [title, (row, digest) => text or [text, class]]. */
function addTable(title, hint, columns, makeRows) {
  const body = element("tbody");
  const note = element("p", { class: "hint" }, hint);
  const head = element("tr", {}, ...columns.map(([name]) => element("th", { scope: "col" }, name)));
  const card = element("article", { class: "table" }, element("h2", {}, title), note,
    element("div", { class: "scroll" }, element("table", {}, element("thead", {}, head), body)));
  byId("tables").append(card);
  return (d) => {
    const rows = makeRows(d);
    card.hidden = rows.length === 0;
    body.replaceChildren(...rows.map((row) => element("tr", {}, ...columns.map(([, read]) => {
      const [text, kind] = [read(row, d)].flat();
      return element("td", { class: kind }, text);
    }))));
  };
}

const badWhenAny = (perSecond) => [formatCount(perSecond), perSecond > 0 ? "bad" : undefined];
const TABLES = [
  addTable("System calls", "of the workers", [
    ["call", (row) => row.name],
    ["per 1000 requests", (row, d) => formatCount(d.ratio(row.count))],
    ["per second", (row, d) => formatCount(d.rate(row.count))],
    ["errors/s", (row, d) => formatCount(d.rate(row.errors))],
    ["on a core, each", (row) => (row.count > 0 ? formatTime(row.busy_ns / row.count) : "–")],
    ["waiting in it", (row, d) => formatPercent(d.rate(row.blocked_ns) / 1e7 / d.workers.length)],
  ], (d) => [...d.syscalls].sort((a, b) => b.count - a.count)),
  addTable("Ring operations", "of the workers", [
    ["operation", (row) => row.name],
    ["per 1000 requests", (row, d) => formatCount(d.ratio(Math.max(row.submitted, row.completed)))],
    ["submitted/s", (row, d) => formatCount(d.rate(row.submitted))],
    ["completed/s", (row, d) => formatCount(d.rate(row.completed))],
    ["errors/s", (row, d) => formatCount(d.rate(row.errors))],
    ["io-wq/s", (row, d) => badWhenAny(d.rate(row.punted))],
    ["had to wait/s", (row, d) => formatCount(d.rate(row.poll_arms))],
  ], (d) => [...d.operations].sort((a, b) => b.completed + b.submitted - a.completed - a.submitted)),
  addTable("Packets dropped", "of the server's ports", [
    ["reason", (row) => row.name],
    ["per second", (row, d) => badWhenAny(d.rate(row.count))],
  ], (d) => Object.entries(d.drops).filter(([, count]) => count > 0).map(([name, count]) => ({ name, count }))),
];

/** The digest under the pointer, else the newest. */
function shownDigest() {
  const near = (a, b) => (Math.abs(a.t - view.cursor) <= Math.abs(b.t - view.cursor) ? a : b);
  return view.cursor === null ? digests.at(-1) : digests.reduce(near);
}

function render() {
  if (digests.length === 0) return;
  const shown = shownDigest();
  TILES.forEach((show) => show(shown));
  TABLES.forEach((show) => show(shown));
  plots.forEach(({ plot }) => plot.draw());
}

let renderDue = false;
function renderSoon() {
  if (renderDue) return;
  renderDue = true;
  requestAnimationFrame(() => {
    renderDue = false;
    render();
  });
}

function point(t) {
  view.cursor = digests.length > 0 ? t : null;
  renderSoon();
}

function formatUptime(seconds) {
  const [days, hours, minutes] = [Math.floor(seconds / 86400), Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60];
  if (days > 0) return `${days} d ${hours} h`;
  return hours > 0 ? `${hours} h ${minutes} min` : minutes > 0 ? `${minutes} min` : `${Math.floor(seconds)} s`;
}

function showServer(stats) {
  const { server } = stats;
  const parts = [
    `process ${server.server_pid || "–"} under ${server.supervisor_pid}`,
    server.ports.length > 0 ? `port ${server.ports.join(", ")}` : "no TCP port",
    stats.workers.length === 1 ? "1 worker" : `${stats.workers.length} workers`,
    `up ${formatUptime((stats.taken_ns - server.start_ns) / 1e9)}`,
  ];
  if (server.server_starts > 1) parts.push(`started ${server.server_starts} times`);
  byId("server").textContent = parts.join(" · ");
  byId("version").textContent = stats.profile?.version ?? "";
  byId("level").textContent = `level ${stats.profile?.level ?? 0}`;
  byId("level").hidden = false;
}

function takeStats(stats) {
  showServer(stats);
  if (stats.interval_ns === 0) return;
  const digested = digest(stats);
  // Another boot, or another covet whose figures have nothing to do with those before.
  if (digests.length > 0 && digested.t <= digests.at(-1).t) {
    digests = [];
    plots.forEach(({ plot }) => plot.clear());
  }
  digests.push(digested);
  while (digests[0].t < digested.t - KEPT_S) digests.shift();
  for (const { plot, read } of plots) {
    plot.push({ t: digested.t, interval: digested.interval, ...read(digested) });
  }
  document.documentElement.dataset.events = Number(document.documentElement.dataset.events ?? 0) + 1;
  if (paused) return;
  view.to = digested.t;
  renderSoon();
}

let heardAt = performance.now();

function showLink(state, text) {
  byId("link").dataset.state = state;
  byId("link").textContent = text;
}

function connect() {
  const source = new EventSource("events");
  source.addEventListener("stats", (event) => {
    heardAt = performance.now();
    takeStats(JSON.parse(event.data));
    showLink("live", "live");
  });
  source.addEventListener("note", (event) => {
    const text = JSON.parse(event.data);
    byId("note").hidden = text === "";
    if (byId("note").textContent !== text) byId("note").textContent = text;
  });
  source.addEventListener("error", () => {
    showLink("lost", "connecting again");
    // A browser tries again by itself after a broken stream, but not after a refusal.
    if (source.readyState === EventSource.CLOSED) setTimeout(connect, RECONNECT_MS);
  });
}

setInterval(() => {
  const silent = Math.floor((performance.now() - heardAt) / 1000);
  if (silent >= Math.max(SILENT_S, 3 * (digests.at(-1)?.interval ?? 0))) showLink("lost", `no figures for ${silent} s`);
}, 1000);

byId("pause").addEventListener("click", () => {
  paused = !paused;
  byId("pause").setAttribute("aria-pressed", String(paused));
  byId("pause").textContent = paused ? "Go on" : "Pause";
  if (!paused && digests.length > 0) view.to = digests.at(-1).t;
  renderSoon();
});

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  forgetColours();
  renderSoon();
});

connect();
