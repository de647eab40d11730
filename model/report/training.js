// What each figure of a training shows.

/** Specification and data of the plot in a figure. */
function plotOf(figure) {
  const name = figure.dataset.plot;
  return { ...structuredClone(data.plots[name]), datasets: { points: data.points[name] } };
}

redraw("figure.plot");
