// The page of a report: unpacks the plots and Bokeh, draws each plot when it is scrolled to, and its table when asked for.
"use strict";
const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00"];
const DASHES = ["solid", "dashed", "dashdot", "dotted"];

async function unpack(id) {
  const text = document.getElementById(id).textContent.trim();
  const bytes = Uint8Array.from(atob(text), c => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).text();
}

let bokeh = null;
// Bokeh is unpacked once, when the first plot that needs it is seen.
function loadBokeh() {
  bokeh ??= (async () => {
    const texts = [await unpack("bokeh"), await unpack("bokeh-api")];
    // Bokeh tells the console about its level and its speed: it gets functions that say nothing; warnings and errors stay.
    const {log, info, debug, trace} = console;
    console.log = console.info = console.debug = console.trace = () => {};
    for (const text of texts) {
      const script = document.createElement("script");
      script.textContent = text;
      document.head.append(script);
    }
    Bokeh.set_log_level("error");
    Object.assign(console, {log, info, debug, trace});
  })();
  return bokeh;
}

function axisText(axis) { return axis.unit ? `${axis.label} (${axis.unit})` : axis.label; }

// null, what is no number, becomes NaN: a gap.
function numbers(values) { return values.map(v => v === null ? NaN : v); }

async function drawSeries(plot, target) {
  await loadBokeh();
  const figure = Bokeh.Plotting.figure({
    sizing_mode: "stretch_both", tools: "pan,box_zoom,wheel_zoom,reset,save", toolbar_location: "above",
    x_axis_label: axisText(plot.x), y_axis_label: axisText(plot.y),
    x_axis_type: plot.x.log ? "log" : "linear", y_axis_type: plot.y.log ? "log" : "linear", output_backend: "canvas"});
  figure.toolbar.logo = null;
  figure.toolbar.autohide = true;
  figure.toolbar.active_drag = null;
  const several = plot.series.length > 1;
  plot.series.forEach((series, i) => {
    const colour = COLOURS[i % COLOURS.length], x = numbers(series.x), y = numbers(series.y);
    const extra = several ? {legend_label: series.name} : {};
    if (series.kind === "bars") {
      const width = x.length > 1 ? x[1] - x[0] : 1;
      figure.vbar({x, top: y, width: x.map(() => width), bottom: x.map(() => 0), fill_color: colour, line_color: colour, fill_alpha: 0.65, ...extra});
    } else if (series.kind === "points") {
      figure.scatter({x, y, size: 3, fill_color: colour, line_color: null, fill_alpha: 0.6, ...extra});
    } else {
      figure.line({x, y, line_color: colour, line_width: 1.8, line_dash: DASHES[i % 4], ...extra});
    }
    if (series.error) {
      const e = numbers(series.error);
      figure.segment({x0: x, x1: x, y0: y.map((v, k) => v - e[k]), y1: y.map((v, k) => v + e[k]), line_color: colour});
    }
  });
  for (const [at] of plot.marks) figure.add_layout(new Bokeh.Span({location: at, dimension: "height", line_color: "#b9bec4", level: "underlay"}));
  setTicks(figure.xaxis, plot.x);
  setTicks(figure.yaxis, plot.y);
  if (several) {
    figure.legend.click_policy = "hide";
    figure.legend.background_fill_alpha = 0.75;
    figure.legend.label_text_font_size = "11px";
    figure.legend.padding = 4;
    figure.legend.spacing = 0;
  }
  await Bokeh.Plotting.show(figure, target);
}

function setTicks(axis, source) {
  axis.axis_label_text_font_style = "normal";
  if (!source.ticks.length) return;
  axis.ticker = new Bokeh.FixedTicker({ticks: source.ticks.map(t => t[0])});
  axis.major_label_overrides = new Map(source.ticks);
}

// Viridis, and red to blue through white for values with a sign, at nine places each.
const VIRIDIS = [[68, 1, 84], [71, 44, 122], [59, 81, 139], [44, 113, 142], [33, 144, 141], [39, 173, 129], [92, 200, 99], [170, 220, 50], [253, 231, 37]];
const SIGNED = [[33, 102, 172], [67, 147, 195], [146, 197, 222], [209, 229, 240], [247, 247, 247], [253, 219, 199], [244, 165, 130], [214, 96, 77], [178, 24, 43]];

function colourOf(table, part) {
  const at = Math.min(Math.max(part, 0), 1) * (table.length - 1), i = Math.min(Math.floor(at), table.length - 2), f = at - i;
  return `rgb(${table[i].map((v, k) => Math.round(v + f * (table[i + 1][k] - v))).join(",")})`;
}

function short(v) { return v === null || Number.isNaN(v) ? "" : String(Number(v.toPrecision(3))); }

function drawGrid(plot, target) {
  const grid = plot.grid, rows = grid.values.length, columns = grid.values[0].length;
  const canvas = document.createElement("canvas"), reading = document.createElement("span");
  canvas.className = "grid";
  reading.className = "reading";
  target.replaceChildren(canvas, reading);
  const box = target.getBoundingClientRect(), scale = window.devicePixelRatio || 1;
  canvas.width = box.width * scale;
  canvas.height = box.height * scale;
  const ink = canvas.getContext("2d");
  ink.scale(scale, scale);
  ink.font = "12px system-ui, 'DejaVu Sans', sans-serif";
  let low = Infinity, high = -Infinity;
  for (const row of grid.values) for (const v of row) if (v !== null) { low = Math.min(low, v); high = Math.max(high, v); }
  if (low > high) { low = 0; high = 1; }
  if (grid.signed) { high = Math.max(-low, high) || 1; low = -high; }
  const table = grid.signed ? SIGNED : VIRIDIS;
  const left = 62, top = 20, bottom = 42, right = 86;
  let width = box.width - left - right, height = box.height - top - bottom;
  if (grid.square) {
    const cell = Math.min(width / columns, height / rows);
    width = cell * columns;
    height = cell * rows;
  }
  const cw = width / columns, ch = height / rows, down = grid.square;
  ink.fillStyle = "#eceef0";
  ink.fillRect(left, top, width, height);
  grid.values.forEach((row, j) => row.forEach((v, i) => {
    if (v === null) return;
    ink.fillStyle = colourOf(table, high > low ? (v - low) / (high - low) : 0.5);
    ink.fillRect(left + i * cw, top + (down ? j : rows - 1 - j) * ch, cw + 0.4, ch + 0.4);
  }));
  ink.fillStyle = "#1b1f24";
  ink.strokeStyle = "#50575f";
  ink.strokeRect(left, top, width, height);
  ink.textAlign = "center";
  for (const f of [0, 0.5, 1]) ink.fillText(short(grid.x[0] + f * (grid.x[1] - grid.x[0])), left + f * width, top + height + 15);
  ink.fillText(axisText(plot.x), left + width / 2, top + height + 33);
  ink.textAlign = "right";
  for (const f of [0, 0.5, 1]) ink.fillText(short(grid.y[0] + (down ? f : 1 - f) * (grid.y[1] - grid.y[0])), left - 5, top + f * height + 4);
  ink.save();
  ink.translate(13, top + height / 2);
  ink.rotate(-Math.PI / 2);
  ink.textAlign = "center";
  ink.fillText(axisText(plot.y), 0, 0);
  ink.restore();
  // The scale of the colours.
  const bar = left + width + 12;
  for (let k = 0; k < 64; k++) {
    ink.fillStyle = colourOf(table, k / 63);
    ink.fillRect(bar, top + height * (1 - (k + 1) / 64), 12, height / 64 + 0.5);
  }
  ink.fillStyle = "#1b1f24";
  ink.textAlign = "left";
  for (const f of [0, 0.5, 1]) ink.fillText(short(high - f * (high - low)), bar + 16, top + f * height + 4);
  ink.fillText(grid.label, left, 13);
  canvas.addEventListener("mousemove", event => {
    const i = Math.floor((event.offsetX - left) / cw), j = Math.floor((event.offsetY - top) / ch), row = down ? j : rows - 1 - j;
    const inside = i >= 0 && j >= 0 && i < columns && j < rows;
    const x = grid.x[0] + (i + 0.5) / columns * (grid.x[1] - grid.x[0]), y = grid.y[0] + (row + 0.5) / rows * (grid.y[1] - grid.y[0]);
    reading.textContent = inside ? `${short(x)}, ${short(y)}: ${short(grid.values[row][i]) || "nothing"}` : "";
  });
}

function addRow(body, cells, tag) {
  const row = document.createElement("tr");
  for (const cell of cells) {
    const element = document.createElement(tag);
    element.textContent = cell === null ? "" : String(cell);
    row.append(element);
  }
  body.append(row);
}

// Text is set as text everywhere: nothing in a name acts as markup.
function fillTable(plot, target) {
  const table = document.createElement("table");
  if (plot.grid) {
    const grid = plot.grid, rows = grid.values.length, columns = grid.values[0].length;
    const middle = (range, i, n) => short(range[0] + (i + 0.5) / n * (range[1] - range[0]));
    addRow(table, [`${axisText(plot.y)} \\ ${axisText(plot.x)}`, ...Array.from({length: columns}, (_, i) => middle(grid.x, i, columns))], "th");
    grid.values.forEach((row, j) => addRow(table, [middle(grid.y, j, rows), ...row], "td"));
  } else {
    const names = new Map(plot.x.ticks);
    const same = plot.series.every(s => s.x.length === plot.series[0].x.length && s.x.every((v, k) => v === plot.series[0].x[k]));
    for (const group of same ? [plot.series] : plot.series.map(s => [s])) {
      addRow(table, [plot.x.ticks.length ? "1/d² (1/Å²)" : axisText(plot.x), ...group.flatMap(s => s.error ? [s.name, "±"] : [s.name])], "th");
      group[0].x.forEach((x, k) => addRow(table, [names.get(x) ?? x, ...group.flatMap(s => s.error ? [s.y[k], s.error[k]] : [s.y[k]])], "td"));
    }
  }
  target.replaceChildren(table);
}

async function start() {
  const plots = new Map(JSON.parse(await unpack("plots")).map(plot => [plot.name, plot]));
  const drawn = new Set();
  const draw = async figure => {
    const plot = plots.get(figure.dataset.plot), target = figure.querySelector(".plot");
    if (drawn.has(figure)) return;
    drawn.add(figure);
    if (plot.grid) drawGrid(plot, target); else await drawSeries(plot, target);
    figure.dataset.drawn = "yes";
  };
  const watcher = new IntersectionObserver(entries => {
    for (const entry of entries) if (entry.isIntersecting) draw(entry.target);
  }, {rootMargin: "200px"});
  for (const figure of document.querySelectorAll("figure[data-plot]")) {
    watcher.observe(figure);
    figure.querySelector("details").addEventListener("toggle", event => {
      fillTable(plots.get(figure.dataset.plot), event.target.querySelector(".wide"));
    }, {once: true});
  }
  // A print shows all of them.
  window.addEventListener("beforeprint", () => document.querySelectorAll("figure[data-plot]").forEach(draw));
  document.body.dataset.ready = "yes";
}
start();
