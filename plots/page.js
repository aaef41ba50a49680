// Runs in the report. It shows an error on the page and marks it on the body, so that nobody has to open a console.
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
  // Logs errors only, as the SVGs do: Vega-Lite warns about layers that share a facet's names, which these do on purpose.
  const compiled = (spec) => vegaLite.compile(spec, { logger: vega.logger(vega.Error) }).spec;
  const draw = async (name, spec) =>
    vegaEmbed(`#picture-${name}`, compiled(spec), { ...options, downloadFileName: `faultline-${name}` });
  const drawings = Object.entries(specs).map(([name, spec]) => draw(name, spec).catch((error) => failed(name, error)));
  Promise.all(drawings).then(() => {
    document.body.dataset.drawn = String(document.querySelectorAll('.picture svg.marks').length);
  });
})();
