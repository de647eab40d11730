// Draws a plot when it comes into view, again when what it shows was changed, and all of them before printing.

const state = { label: 0, pairs: null };

/** Specification and data of the plot in a figure. */
function plotOf(figure) {
  const { plot: name, of } = figure.dataset;
  const spec = structuredClone(data.plots[name]);
  if (name === "pairs") return withNames(spec, data.pairs.names, pairPoints(state.pairs));
  if (name === "slices") {
    const names = data.slices[of].map((entry) => entry.value);
    return withNames(spec, names, slicePoints(of));
  }
  const source = of === "all" ? allAnswers() : sourceOf(state.label);
  if (name === "precision_recall") return { ...spec, datasets: curve(source, "recall", "precision", false) };
  if (name === "roc") return { ...spec, datasets: curve(source, "false_positive_rate", "recall", true) };
  if (name === "thresholds") return { ...spec, datasets: thresholdCurve(source) };
  if (name === "reliability") return { ...spec, datasets: reliability(source) };
  const datasets = histogram(source);
  return { ...spec, datasets, layer: spec.layer.map((layer) => readable(layer, datasets.points)) };
}

function withNames(spec, names, datasets) {
  const size = Math.min(30, Math.max(16, 400 / names.length));
  return { ...spec, height: names.length * size, params: [{ name: "names", value: names }], datasets };
}

/** Counts of very different size are drawn on a logarithmic axis, which here includes 0. */
function readable(layer, points) {
  const counts = points.map((point) => point.records).filter((records) => records > 0);
  const highest = Math.max(1, ...counts);
  if (highest < 100 * Math.min(highest, ...counts)) return layer;
  const values = [0];
  for (let value = 1; value <= highest; value *= 10) values.push(value);
  const y = { ...layer.encoding.y, scale: { type: "symlog" }, axis: { values, labelExpr: "format(datum.value, '~s')" } };
  return { ...layer, encoding: { ...layer.encoding, y: { ...y, title: "records (log)" } } };
}

async function draw(figure) {
  const canvas = find(".canvas", figure);
  const spec = plotOf(figure);
  figure.view?.finalize();
  figure.view = null;
  if (!spec.datasets.points.length) {
    canvas.replaceChildren(element("p", "Nothing is known to draw this of.", { className: "note" }));
    return;
  }
  figure.view = await vegaEmbed(canvas, spec, {
    mode: "vega-lite",
    renderer: "svg",
    actions: false,
    ast: true,
    defaultStyle: false,
    config: data.config,
    tooltip: { disableDefaultStyle: true },
  });
}

/** One drawing of a figure after the other, or two could end up in one place. */
function drawLater(figure) {
  if (figure.drawn) return;
  figure.drawn = true;
  figure.job = (figure.job ?? Promise.resolve()).then(() => draw(figure));
}

const inView = new IntersectionObserver(
  (entries) => entries.filter((entry) => entry.isIntersecting).forEach((entry) => drawLater(entry.target)),
  { rootMargin: "200px" },
);

/** What these figures show was changed: those in view are drawn now, the others when they come into view. */
function redraw(selector) {
  for (const figure of findAll(selector)) {
    figure.drawn = false;
    inView.unobserve(figure);
    inView.observe(figure);
  }
}

const MEANINGS = {
  confused: "Of the records with the label of the row: the share where it was missed and the column was predicted and false.",
  truth: "Of the records that have the label of the row: the share that has that of the column too.",
  predicted: "Of the records given the label of the row: the share that was given that of the column too.",
};

function choosePairs(button) {
  press(button);
  state.pairs = button.dataset.pairs;
  const highest = Math.max(0, ...pairPoints(state.pairs).points.map((point) => point.share));
  find("#pairs-meaning").textContent = `${MEANINGS[state.pairs]} The strongest colour is ${highest.toFixed(3)}.`;
  redraw("figure[data-of=pairs]");
}

for (const button of findAll("#pairs .views button")) button.addEventListener("click", () => choosePairs(button));
if (find("#pairs .views button")) choosePairs(find("#pairs .views button"));
redraw("figure.plot:not([data-of=label], [data-of=pairs])");
window.addEventListener("beforeprint", () => findAll("figure.plot").forEach(drawLater));
