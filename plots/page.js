// Runs in the report. What goes wrong is shown on the page and marked on its body, not hidden in a console.
(() => {
  'use strict';
  const specs = JSON.parse(document.getElementById('specs').textContent);
  const failed = (name, error) => {
    document.body.dataset.error = name;
    const place = document.getElementById(`picture-${name}`);
    if (place) place.textContent = `This picture could not be drawn: ${error.message ?? error}`;
    console.error(name, error);
  };
  const options = {
    mode: 'vega',
    renderer: 'svg',
    actions: { export: true, source: false, compiled: false, editor: false },
  };
  // With errors alone told, as for the SVGs: Vega-Lite warns of any two layers over a facet's names, which here share them.
  const compiled = (spec) => vegaLite.compile(spec, { logger: vega.logger(vega.Error) }).spec;
  const draw = async (name, spec) =>
    vegaEmbed(`#picture-${name}`, compiled(spec), { ...options, downloadFileName: `faultline-${name}` });
  const drawings = Object.entries(specs).map(([name, spec]) => draw(name, spec).catch((error) => failed(name, error)));
  Promise.all(drawings).then(() => {
    document.body.dataset.drawn = String(document.querySelectorAll('.picture svg.marks').length);
  });
})();
