// Draws a plot when it comes into view, again when what it shows was changed, and all of them before printing.
// What a figure shows is said by `plotOf`, which each page has for itself.

function withNames(spec, names, datasets) {
  const size = Math.min(30, Math.max(16, 400 / names.length));
  return { ...spec, height: names.length * size, params: [{ name: "names", value: names }], datasets };
}

async function draw(figure) {
  const canvas = find(".canvas", figure);
  const spec = plotOf(figure);
  figure.view?.finalize();
  figure.view = null;
  if (!spec.datasets.points.length) {
    canvas.replaceChildren(element("p", "There is no data for this plot.", { className: "note" }));
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
  for (const part of findAll("svg, svg [role]", canvas)) {
    for (const name of ["role", "aria-roledescription", "aria-label"]) part.removeAttribute(name); // the canvas has them
  }
  figure.onDrawn?.();
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

window.addEventListener("beforeprint", () => findAll("figure.plot").forEach(drawLater));
