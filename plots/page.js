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
    mode: 'vega-lite',
    renderer: 'svg',
    actions: { export: true, source: false, compiled: false, editor: false },
  };
  const drawings = Object.entries(specs).map(([name, spec]) =>
    vegaEmbed(`#picture-${name}`, spec, { ...options, downloadFileName: `faultline-${name}` }).catch((error) => failed(name, error)),
  );
  Promise.all(drawings).then(() => {
    document.body.dataset.drawn = String(document.querySelectorAll('.picture svg.marks').length);
  });
})();
