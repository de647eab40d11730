// Saves what is shown: a plot as SVG, and its numbers or the table of labels as CSV.

/** Text that a spreadsheet takes for text, as `per_label.csv` has it. */
const FORMULA = /^(?:[\s\0]*[=+\-@＝＋－＠']|[\t\r\n\0])/;

function cellOf(value) {
  if (value === null || value === undefined) return "";
  if (typeof value !== "string") return String(value);
  const text = FORMULA.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

const csvOf = (rows) => rows.map((row) => `${row.map(cellOf).join(",")}\r\n`).join("");

function save(name, type, content) {
  const link = element("a", "", { href: URL.createObjectURL(new Blob([content], { type })), download: name });
  link.click();
  URL.revokeObjectURL(link.href);
}

/** A drawing that needs no style sheet: the colours of the theme in place of its variables. */
function svgOf(figure) {
  const style = getComputedStyle(document.documentElement);
  const colour = (_, name) => style.getPropertyValue(name).trim();
  const drawn = find("svg", figure).cloneNode(true);
  drawn.setAttribute("xmlns", "http" + ":" + "//www.w3.org/2000/svg");
  drawn.style.background = style.getPropertyValue("--paper");
  return new XMLSerializer().serializeToString(drawn).replace(/var\((--[a-z]+)\)/g, colour);
}

/** The points of a figure, a line a point, with names in place of numbers of labels. */
function pointsOf(figure) {
  const { points } = plotOf(figure).datasets;
  const names = Object.keys(points[0] ?? {}).filter((name) => !["order", "strong", "row", "column"].includes(name));
  return [names, ...points.map((point) => names.map((name) => point[name]))];
}

/** The rows and columns of the table that are in view, in its order. */
function tableShown() {
  const heads = findAll("#label-table thead th").filter((head) => head.offsetParent);
  const keys = heads.map((head) => find("button", head).dataset.key);
  const rows = [...find("#label-table tbody").rows].filter((row) => !row.hidden);
  const valueOf = (row, key) => (key === "label" ? data.labels : data.columns[key])[row.dataset.row];
  return [keys, ...rows.map((row) => keys.map((key) => valueOf(row, key)))];
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("button.save");
  if (!button) return;
  if (button.dataset.save === "table") return save("labels.csv", "text/csv", csvOf(tableShown()));
  const figure = button.closest("figure");
  drawLater(figure);
  await figure.job;
  const name = [figure.dataset.plot, figure.dataset.of === "label" ? data.labels[state.label] : figure.dataset.of].join("-");
  if (button.dataset.save === "csv") return save(`${name}.csv`, "text/csv", csvOf(pointsOf(figure)));
  if (find("svg", figure)) save(`${name}.svg`, "image/svg+xml", svgOf(figure));
});
