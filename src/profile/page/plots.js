// Plots of the last minutes on canvas: lines, and a heat map of a histogram. Each keeps its own
// points, draws a window of time that is the same for all, and shows in its legend the figures of
// the moment under the pointer, or else the newest.

export const KEPT_S = 300;
const WINDOW_MIN_S = 60;
const SERIES_MAX = 8;
const MARGIN = { left: 54, right: 10, top: 8, bottom: 20 };

let palette = null;

/** Colours of the page's theme, read again after forgetColours. */
function colours() {
  if (!palette) {
    const style = getComputedStyle(document.documentElement);
    const read = (name) => style.getPropertyValue(name).trim();
    palette = {
      grid: read("--grid"), axis: read("--axis"), soft: read("--soft"), text: read("--text"), card: read("--card"),
      series: Array.from({ length: SERIES_MAX }, (_, i) => read(`--series-${i}`)),
      heat: [0, 1, 2].map((i) => parseColour(read(`--heat-${i}`))),
    };
  }
  return palette;
}

export function forgetColours() {
  palette = null;
}

const parseColour = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));

/** 1234567 as "1.23 M"; three digits, so that columns stay calm. */
export function formatCount(value) {
  if (!Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  for (const [unit, name] of [[1e12, " T"], [1e9, " G"], [1e6, " M"], [1e3, " k"]]) {
    if (size >= unit * 0.9995) return threeDigits(value / unit) + name;
  }
  return size === 0 ? "0" : size < 0.01 ? value.toExponential(0) : threeDigits(value);
}

function threeDigits(value) {
  const size = Math.abs(value);
  const digits = size >= 99.95 ? 0 : size >= 9.995 ? 1 : 2;
  const text = value.toFixed(digits);
  return digits > 0 ? text.replace(/\.?0+$/, "") : text;
}

/** Nanoseconds in the unit that suits them. */
export function formatTime(ns) {
  if (!Number.isFinite(ns)) return "–";
  for (const [unit, name] of [[1e9, " s"], [1e6, " ms"], [1e3, " µs"]]) {
    if (ns >= unit * 0.9995) return threeDigits(ns / unit) + name;
  }
  return ns === 0 ? "0" : `${threeDigits(ns)} ns`;
}

export const formatPercent = (value) => (Number.isFinite(value) ? `${threeDigits(value)} %` : "–");

/** The text for `seconds` before now. */
const formatAgo = (seconds) =>
  seconds < 1 ? "now" : seconds % 60 === 0 ? `−${seconds / 60} min` : `−${seconds} s`;

/** A round number not below `value`, and the step of about four grid lines up to it. */
function roundUp(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  for (const [top, step] of [[1, 0.25], [1.2, 0.3], [1.6, 0.4], [2, 0.5], [2.5, 0.5], [3, 1], [4, 1], [5, 1], [6, 2], [8, 2], [10, 2.5]]) {
    if (value <= top * power * 1.0001) return [top * power, step * power];
  }
  return [10 * power, 2.5 * power];
}

export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

/** What both kinds share: the card, the canvas and its size, the time axis, the pointer. */
class Plot {
  /** `view` is {to, cursor}: the newest moment, and the one pointed at or null; `onPoint` is called
   *  after it changed. `options`: title, hint, empty (what to say where there is nothing), wide. */
  constructor(view, onPoint, options) {
    this.view = view;
    this.options = options;
    this.points = [];  // {t, interval, ...}, ascending
    this.hint = element("p", { class: "hint" }, options.hint ?? "");
    this.head = element("div", { class: "head" }, element("h2", {}, options.title), this.hint);
    this.legend = element("div", { class: "legend" });
    this.canvas = element("canvas", { role: "img", "aria-label": options.title });
    this.card = element("article", { class: options.wide ? "panel wide" : "panel" }, this.head, this.legend, this.canvas);
    new ResizeObserver(() => this.draw()).observe(this.canvas);
    const point = (event) => {
      const at = event.offsetX;
      const inside = at >= MARGIN.left && at <= this.canvas.clientWidth - MARGIN.right;
      this.pointerY = inside ? event.offsetY : null;
      onPoint(inside ? this.timeAt(at) : null);
    };
    this.canvas.addEventListener("pointermove", point);
    this.canvas.addEventListener("pointerdown", point);
    this.canvas.addEventListener("pointerleave", () => {
      this.pointerY = null;
      onPoint(null);
    });
  }

  push(point) {
    this.points.push(point);
    while (this.points[0].t < point.t - KEPT_S) this.points.shift();
  }

  clear() {
    this.points = [];
  }

  /** How many seconds are shown: at least a minute, then all there is. */
  get span() {
    const held = this.points.length ? this.view.to - this.points[0].t : 0;
    return Math.min(Math.max(held, WINDOW_MIN_S), KEPT_S);
  }

  get plotWidth() {
    return this.canvas.clientWidth - MARGIN.left - MARGIN.right;
  }

  get plotHeight() {
    return this.canvas.clientHeight - MARGIN.top - MARGIN.bottom;
  }

  timeAt(x) {
    return this.view.to - this.span * (1 - (x - MARGIN.left) / this.plotWidth);
  }

  xOf(t) {
    return MARGIN.left + this.plotWidth * (1 - (this.view.to - t) / this.span);
  }

  /** The point shown in the legend: the one nearest to the pointer, else the newest. */
  get shown() {
    const { cursor } = this.view;
    if (cursor === null) return this.points.at(-1);
    let best = this.points.at(-1);
    for (const point of this.points) {
      if (Math.abs(point.t - cursor) < Math.abs(best.t - cursor)) best = point;
    }
    return best;
  }

  /** Sizes the canvas to its place and clears it. Returns the context, null while it has no size. */
  begin() {
    const { canvas } = this;
    const scale = window.devicePixelRatio || 1;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    if (this.plotWidth < 20 || this.plotHeight < 20) return null;
    if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
      canvas.width = Math.round(width * scale);
      canvas.height = Math.round(height * scale);
    }
    const context = canvas.getContext("2d");
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.clearRect(0, 0, width, height);
    context.font = "11px system-ui, sans-serif";
    context.lineWidth = 1;
    return context;
  }

  drawTimeAxis(context) {
    const { soft, axis } = colours();
    const bottom = MARGIN.top + this.plotHeight;
    const most = Math.max(2, Math.floor(this.plotWidth / 70));
    const step = [5, 10, 15, 30, 60, 120, 300].find((seconds) => this.span / seconds <= most) ?? 300;
    context.strokeStyle = axis;
    context.beginPath();
    context.moveTo(MARGIN.left, bottom + 0.5);
    context.lineTo(MARGIN.left + this.plotWidth, bottom + 0.5);
    context.stroke();
    context.fillStyle = soft;
    context.textBaseline = "top";
    for (let ago = 0; ago <= this.span; ago += step) {
      const x = this.xOf(this.view.to - ago);
      context.textAlign = ago === 0 ? "right" : x < MARGIN.left + 15 ? "left" : "center";
      context.fillText(formatAgo(ago), ago === 0 ? x + MARGIN.right : x, bottom + 6);
    }
  }

  drawLevel(context, y, text) {
    const { grid, soft } = colours();
    context.strokeStyle = grid;
    context.beginPath();
    context.moveTo(MARGIN.left, Math.round(y) + 0.5);
    context.lineTo(MARGIN.left + this.plotWidth, Math.round(y) + 0.5);
    context.stroke();
    context.fillStyle = soft;
    context.textAlign = "right";
    context.textBaseline = "middle";
    context.fillText(text, MARGIN.left - 6, y);
  }

  drawCursor(context) {
    if (this.view.cursor === null || !this.shown) return;
    const x = Math.round(this.xOf(this.shown.t)) + 0.5;
    if (x < MARGIN.left) return;
    context.strokeStyle = colours().soft;
    context.setLineDash([3, 3]);
    context.beginPath();
    context.moveTo(x, MARGIN.top);
    context.lineTo(x, MARGIN.top + this.plotHeight);
    context.stroke();
    context.setLineDash([]);
  }

  /** Says in the plot's place that there is nothing, and why. */
  sayEmpty(isEmpty) {
    if (isEmpty) this.card.setAttribute("data-empty", this.options.empty ?? "nothing yet");
    else this.card.removeAttribute("data-empty");
  }
}

/** Lines. push({t, interval, values: {name: number}}); a value may be missing. More options: format;
 *  log (a logarithmic scale); least (the top is never below); order (names that come first). Names
 *  keep the colour they were given first; the ninth and all after it are added up as "other". */
export class LinePlot extends Plot {
  constructor(view, onPoint, options) {
    super(view, onPoint, options);
    this.names = [...(options.order ?? [])];
    this.hidden = new Set();
    this.buttons = new Map();
  }

  push(point) {
    for (const [name, value] of Object.entries(point.values)) {
      if (this.names.includes(name)) continue;
      if (this.names.length < SERIES_MAX - 1) {
        this.names.push(name);
        continue;
      }
      delete point.values[name];
      point.values.other = (point.values.other ?? 0) + value;
      if (!this.names.includes("other")) this.names.push("other");
    }
    super.push(point);
  }

  clear() {
    super.clear();
    this.names = [...(this.options.order ?? [])];
    this.buttons.clear();
    this.legend.replaceChildren();
  }

  colourOf(name) {
    return colours().series[this.names.indexOf(name) % SERIES_MAX];
  }

  /** Names that have a value anywhere in the window. */
  get present() {
    return this.names.filter((name) => this.points.some((point) => Number.isFinite(point.values[name])));
  }

  updateLegend() {
    const present = this.present;
    for (const name of present) {
      if (this.buttons.has(name)) continue;
      const swatch = element("span", { class: "swatch" });
      const value = element("span", { class: "value" });
      const button = element("button", { type: "button", "aria-pressed": "true" }, swatch, name, value);
      button.addEventListener("click", () => {
        const shows = this.hidden.delete(name);
        if (!shows) this.hidden.add(name);
        button.setAttribute("aria-pressed", String(shows));
        this.draw();
      });
      this.buttons.set(name, { button, swatch, value });
      this.legend.append(button);
    }
    const point = this.shown;
    for (const [name, { button, swatch, value }] of this.buttons) {
      button.hidden = !present.includes(name);
      swatch.style.background = this.colourOf(name);
      value.textContent = this.options.format(point?.values[name] ?? NaN);
    }
    const spoken = present.map((name) => `${name} ${this.options.format(point?.values[name] ?? NaN)}`);
    this.canvas.setAttribute("aria-label", `${this.options.title}: ${spoken.join(", ") || "nothing"}`);
  }

  /** From a value to its height, with the grid drawn. */
  drawScale(context, values) {
    const { format, log, least } = this.options;
    const bottom = MARGIN.top + this.plotHeight;
    if (log) {
      const above = values.filter((value) => value > 0);
      const low = Math.floor(Math.log10(Math.min(...above, 1e3)));
      const high = Math.max(Math.ceil(Math.log10(Math.max(...above, 10))), low + 1);
      const yOf = (value) => bottom - (this.plotHeight * (Math.log10(Math.max(value, 10 ** low)) - low)) / (high - low);
      for (let power = low; power <= high; power++) this.drawLevel(context, yOf(10 ** power), format(10 ** power));
      return yOf;
    }
    const [top, step] = roundUp(Math.max(...values, least ?? 1));
    const yOf = (value) => bottom - (this.plotHeight * Math.min(value, top)) / top;
    for (let level = 0; level <= top * 1.0001; level += step) this.drawLevel(context, yOf(level), format(level));
    return yOf;
  }

  drawLine(context, name, yOf, filled) {
    const bottom = MARGIN.top + this.plotHeight;
    const colour = this.colourOf(name);
    const from = this.view.to - this.span;
    let run = [];
    const finish = () => {
      if (run.length === 1) {
        context.fillStyle = colour;
        context.fillRect(run[0][0] - 1.5, run[0][1] - 1.5, 3, 3);
      } else if (run.length > 1) {
        context.beginPath();
        for (const [x, y] of run) context.lineTo(x, y);
        context.stroke();
        if (filled) {
          context.lineTo(run.at(-1)[0], bottom);
          context.lineTo(run[0][0], bottom);
          context.globalAlpha = 0.12;
          context.fill();
          context.globalAlpha = 1;
        }
      }
      run = [];
    };
    context.strokeStyle = context.fillStyle = colour;
    context.lineWidth = 1.6;
    context.lineJoin = "round";
    let before = null;
    for (const point of this.points) {
      const value = point.values[name];
      // Where figures are missing the line breaks instead of telling what nobody saw.
      if (!Number.isFinite(value) || (before && point.t - before.t > 3 * point.interval)) finish();
      if (Number.isFinite(value) && point.t >= from) run.push([this.xOf(point.t), yOf(value)]);
      before = point;
    }
    finish();
    context.lineWidth = 1;
  }

  draw() {
    const context = this.begin();
    if (!context) return;
    this.updateLegend();
    const names = this.present.filter((name) => !this.hidden.has(name));
    const values = this.points.flatMap((point) => names.map((name) => point.values[name])).filter(Number.isFinite);
    this.sayEmpty(this.present.length === 0);
    const yOf = this.drawScale(context, values);
    this.drawTimeAxis(context);
    context.save();
    context.beginPath();
    context.rect(MARGIN.left, 0, this.plotWidth + MARGIN.right, this.canvas.clientHeight);
    context.clip();
    for (const name of names) this.drawLine(context, name, yOf, names.length === 1);
    this.drawCursor(context);
    if (this.view.cursor !== null && this.shown) {
      for (const name of names.filter((one) => Number.isFinite(this.shown.values[one]))) {
        context.fillStyle = this.colourOf(name);
        context.strokeStyle = colours().card;
        context.beginPath();
        context.arc(this.xOf(this.shown.t), yOf(this.shown.values[name]), 3.5, 0, 7);
        context.fill();
        context.stroke();
      }
    }
    context.restore();
  }
}

/** A histogram over time: one column a point, one row a bucket, the deeper the colour the more
 *  counts a second. push({t, interval, sources: {name: {ends, counts}}}), `ends` in nanoseconds. */
export class HeatPlot extends Plot {
  constructor(view, onPoint, options) {
    super(view, onPoint, options);
    this.chooser = element("select", { "aria-label": "Which times" });
    this.chooser.addEventListener("change", () => this.draw());
    this.head.append(this.chooser);
  }

  updateChooser() {
    const names = new Set(this.points.flatMap((point) => Object.keys(point.sources)));
    const listed = [...this.chooser.options].map((option) => option.value);
    for (const name of names) {
      if (!listed.includes(name)) this.chooser.append(element("option", {}, name));
    }
  }

  columnOf(point) {
    return point?.sources[this.chooser.value];
  }

  /** The rows that hold anything in the window, with one empty row on both sides. */
  usedRows(points) {
    let [low, high] = [Infinity, -1];
    for (const point of points) {
      this.columnOf(point).counts.forEach((count, row) => {
        if (count > 0) [low, high] = [Math.min(low, row), Math.max(high, row)];
      });
    }
    const rows = this.columnOf(points[0]).counts.length;
    return high < 0 ? null : [Math.max(low - 1, 0), Math.min(high + 1, rows - 1)];
  }

  draw() {
    const context = this.begin();
    if (!context) return;
    this.updateChooser();
    const points = this.points.filter((point) => this.columnOf(point) && point.t > this.view.to - this.span);
    const rows = points.length ? this.usedRows(points) : null;
    this.sayEmpty(!rows);
    this.drawTimeAxis(context);
    if (!rows) {
      this.legend.textContent = "";
      return;
    }
    const [low, high] = rows;
    const rowHeight = this.plotHeight / (high - low + 1);
    const yOf = (row) => MARGIN.top + this.plotHeight - (row - low) * rowHeight;
    const most = Math.max(...points.flatMap((point) => this.columnOf(point).counts.map((count) => count / point.interval)));
    this.drawRowLabels(context, this.columnOf(points[0]).ends, low, high, yOf);
    for (const point of points) {
      const right = this.xOf(point.t);
      const left = Math.max(this.xOf(point.t - point.interval), MARGIN.left);
      this.columnOf(point).counts.forEach((count, row) => {
        if (count === 0 || row < low || row > high) return;
        context.fillStyle = heatColour(Math.log1p(count / point.interval) / Math.log1p(most));
        context.fillRect(left, yOf(row + 1), right - left + 0.5, rowHeight + 0.5);
      });
    }
    this.drawCursor(context);
    this.describe(low, rowHeight, most);
  }

  drawRowLabels(context, ends, low, high, yOf) {
    const every = Math.ceil(16 / Math.abs(yOf(1) - yOf(0)));
    for (let row = low; row <= high; row++) {
      if ((row - low) % every === 0 && Number.isFinite(ends[row])) {
        this.drawLevel(context, yOf(row + 1), formatTime(ends[row]));
      }
    }
  }

  /** The legend: what is under the pointer, else what the deepest colour means. */
  describe(low, rowHeight, most) {
    const column = this.columnOf(this.shown);
    let text = `deepest colour: ${formatCount(most)}/s; the scale is logarithmic`;
    if (column && this.view.cursor !== null && this.pointerY !== null && this.pointerY !== undefined) {
      const row = low + Math.floor((MARGIN.top + this.plotHeight - this.pointerY) / rowHeight);
      if (row >= 0 && row < column.counts.length) {
        const from = row > 0 ? formatTime(column.ends[row - 1]) : "0";
        const to = Number.isFinite(column.ends[row]) ? ` to ${formatTime(column.ends[row])}` : " and more";
        const ago = Math.round(this.view.to - this.shown.t);
        text = `${from}${to}: ${formatCount(column.counts[row] / this.shown.interval)}/s, ${ago} s ago`;
      }
    }
    this.legend.textContent = text;
    this.canvas.setAttribute("aria-label", `${this.options.title}, ${this.chooser.value}: ${text}`);
  }
}

/** `share` of 0 to 1 on the way through the three colours of the scale. */
function heatColour(share) {
  const { heat } = colours();
  const [from, to, part] = share < 0.5 ? [heat[0], heat[1], share * 2] : [heat[1], heat[2], share * 2 - 1];
  return `rgb(${from.map((value, i) => Math.round(value + (to[i] - value) * part)).join(" ")})`;
}
