// What each figure of the report shows: its specification with its data, and what is chosen.

const state = { label: 0, pairs: null, cut: null };

/** What the rows and the columns of a heat map are. */
const AXES = {
  confused: ["present, but missed", "predicted, but absent"],
  truth: ["present", "present, too"],
  predicted: ["predicted", "also predicted"],
};

/** Specification and data of the plot in a figure. */
function plotOf(figure) {
  const { plot: name, of } = figure.dataset;
  const spec = structuredClone(data.plots[name]);
  if (name === "pairs") {
    for (const { encoding } of spec.layer) [encoding.y.title, encoding.x.title] = AXES[state.pairs];
    return withNames(spec, data.pairs.names, pairPoints(state.pairs));
  }
  if (name === "slices") {
    const names = data.slices[of].map((entry) => entry.value);
    return withNames(spec, names, slicePoints(of));
  }
  if (name === "sizes") {
    const datasets = sizes();
    if (new Set(datasets.points.map((point) => point.kind)).size < 2) spec.layer[0].encoding.fill.legend = null;
    return { ...spec, datasets };
  }
  if (name === "probabilities") {
    const datasets = probabilities(state.label);
    return { ...spec, datasets, layer: spec.layer.map((layer) => readable(layer, datasets.points)) };
  }
  if (name === "drift") {
    return withNames(spec, data.drift.map((point) => point.label), { points: data.drift });
  }
  const source = of === "all" ? allAnswers() : chosenSource();
  if (name === "predicted") return { ...spec, datasets: predictedCurve(source) };
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

/** The chosen label with the threshold of the slider among its marks. */
function chosenSource() {
  const source = sourceOf(state.label);
  const cut = state.cut === null ? undefined : source.cuts[state.cut];
  if (cut && source.marks.every((mark) => mark.threshold !== cut[0])) {
    source.marks.push({ kind: "chosen", ...rates(cut, source.support, source.known) });
  }
  return source;
}

redraw("figure.plot:not([data-of=label], [data-of=pairs])");
