// What each figure of a comparison, or of a training, shows.

/** Specification and data of the plot in a figure. */
function plotOf(figure) {
  const name = figure.dataset.plot;
  const points = data.points[name];
  const spec = structuredClone(data.plots[name]);
  return name === "changes" ? withNames(spec, points.map((point) => point.label), { points }) : { ...spec, datasets: { points } };
}

redraw("figure.plot");
