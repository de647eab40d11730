// What each figure of the report shows: its specification with its data, and which pairs of labels are chosen.

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
  if (name === "drift") {
    return withNames(spec, data.drift.map((point) => point.label), { points: data.drift });
  }
  const source = of === "all" ? allAnswers() : sourceOf(state.label);
  if (name === "precision_recall") return { ...spec, datasets: curve(source, "recall", "precision", false) };
  if (name === "roc") return { ...spec, datasets: curve(source, "false_positive_rate", "recall", true) };
  if (name === "thresholds") return { ...spec, datasets: thresholdCurve(source) };
  if (name === "reliability") return { ...spec, datasets: reliability(source) };
  const datasets = histogram(source);
  return { ...spec, datasets, layer: spec.layer.map((layer) => readable(layer, datasets.points)) };
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
