// Fits each Vega-Lite specification to its rows: scales, colours, columns of panels, and the
// subtitle with the provenance.
import { readFileSync } from 'node:fs';
import { CEILING, CLEARING, PUBLISHED, REST, TIMES, fitRows, rowsByPicture, whereOf, whyNotCounted } from './rows.mjs';

const here = new URL('.', import.meta.url);
const readJson = (name) => JSON.parse(readFileSync(new URL(name, here), 'utf8'));
const style = readJson('style.json');
const distinct = (rows, key) => [...new Set(rows.map((row) => row[key]))];

const fromZero = { zero: true, nice: 5 };
const shares = { domain: [0, 1] };

// `curves`: the picture is drawn from curves.vl.json, and these are its differences from the other such pictures.
// barText() replaces BAR in `about`.
const pictures = [
  {
    name: 'throughput',
    curves: {
      heading: 'Throughput by threads',
      y: { title: 'operations per second', scale: fromZero },
      format: '~s',
      tooltipFormat: '.3s',
      // The title of the x axis of one row of panels ends above the heads of the next row.
      rowSpacing: 104,
    },
    title: 'Throughput',
    about:
      'Operations per second of all threads: the median of the repetitions, with BAR. ' +
      'The dotted ceiling is the same work with one address space for each thread. No lock is faster ' +
      'here. Under page_fault1 a second ceiling only clears the same pages: schemes that reach it are limited by memory.',
    missing: 'No case was measured.',
  },
  {
    name: 'stall',
    title: 'Which line stops it',
    simulated: true,
    about:
      "Where the simulated CPUs' time goes: work at the bottom, then waiting, then the stall for each cache line that " +
      'moves from cache to cache, named by its content. The colour that grows with the CPUs is what stops the scheme.',
    missing: 'No case was simulated.',
  },
  {
    name: 'transfers',
    title: 'Transfers of lines',
    simulated: true,
    about:
      'How often a cache line moved for each operation, counted exactly and named by its content. Rest on a bar for the kinds of access, ' +
      'distances, and true or false sharing.',
    missing: 'No case was simulated.',
  },
  {
    name: 'fit',
    title: 'Simulated against published',
    simulated: true,
    about:
      'Published curves of the real machine, beside the simulation of the case that stands for each. Both scales are ' +
      'logarithmic; a decade is as high in every panel. Errors are in decades over the points that both curves have; 0.3 is a ' +
      'factor of two. The three models have no mechanism and were fitted to the published curve itself; the simulation is worth ' +
      'something if it is nearer. The head of a panel says which constants of the machine were fitted to its curve, or that the ' +
      'curve is a prediction. No constant belongs to one scheme.',
  },
  {
    name: 'linux',
    curves: {
      heading: 'The running kernel, over its own throughput at one thread',
      y: { title: 'times one thread', scale: fromZero },
      format: '~s',
      tooltipFormat: '.2f',
    },
    title: 'The running kernel',
    about:
      'Real faults and system calls, normalised to one thread: compare the shape of the curve with those above, not its ' +
      'height, which includes system calls, memory control groups and the LRU lists.',
    missing: 'The running kernel (scheme linux) was not measured at one thread and more.',
  },
  {
    name: 'latency',
    title: 'Latency',
    about:
      'Measured in separate trials, because reading the clock costs more than an uncontended lock. Closed loop: each thread ' +
      'waits for its operation before it starts the next, so a slow scheme also issues fewer.',
    missing: 'No latency was measured.',
  },
  {
    name: 'fairness',
    curves: {
      heading: "Fairness: Jain's index over threads of one role",
      y: { title: "Jain's index (1: equal shares)", scale: shares },
      format: '~s',
      tooltipFormat: '.3f',
      rowSpacing: 104,
    },
    title: 'Fairness',
    about: "Jain's index of the threads' operations: 1 if all threads completed the same number, 1/n if one completed all.",
    missing: 'No case of more than one thread was measured.',
  },
  {
    name: 'bounces',
    curves: {
      heading: 'Cache-line bounces per operation, each event by itself',
      y: { title: 'events per operation', scale: fromZero },
      // With SI prefixes 0.3 would read 300m.
      format: '~f',
      tooltipFormat: '.3r',
      headFontSize: 10.5,
    },
    title: 'Bounces',
    about:
      'Accesses to lines that another core had modified, by hardware event. Two events may count the same transfer: each has its own ' +
      'panel, and they must not be added.',
    missing: 'Bounces were not counted.',
  },
  {
    name: 'waiting',
    curves: {
      heading: "Share of the threads' time spent waiting",
      y: { title: 'share of the window', scale: shares },
      format: '.0%',
      tooltipFormat: '.1%',
    },
    title: 'Waiting',
    about: 'Time spent waiting for a lock, spinning or asleep, over threads times window.',
    missing: 'Waiting was not measured.',
  },
  {
    name: 'events',
    title: 'Lock events',
    about:
      'What the locks count about themselves: the median of the repetitions, with BAR. The scale is ' +
      'logarithmic, so an event that most repetitions did not have has no mark, and an interval that reaches 0 has no bar.',
    missing: 'No lock published an event that happened in most repetitions.',
  },
];

/** Pictures that only native results have. */
const nativeAlone = ['linux', 'bounces'];

/** Where the numbers are from: a line for each of the files `used`, which has the file's name if the report has several. */
export function provenance(runs, used = runs) {
  return used.map(({ label, results }) => {
    const mode = results.mode === 'sim' ? `simulated on ${whereOf(results)}` : `native \u00b7 ${whereOf(results)}`;
    const parts = [mode, results.date, `build ${results.build.commit}`].filter(Boolean);
    return (runs.length > 1 ? `${label}: ` : '') + parts.join(' \u00b7 ');
  });
}

/** The lines of a text, broken after commas where a line would have more letters than fit. */
function wrapped(text, letters) {
  const lines = [];
  for (const part of text.split(', ')) {
    const last = lines[lines.length - 1];
    if (lines.length > 0 && last.length + part.length + 3 <= letters) lines[lines.length - 1] = `${last}, ${part}`;
    else lines.push(part);
  }
  return lines.map((line, i) => (i < lines.length - 1 ? `${line},` : line));
}

/** Says what the error bars of these rows are: the rest of a sentence after "the median of the repetitions, with". */
function barText(rows) {
  const kinds = distinct(rows, 'interval').filter((kind) => kind !== '-');
  if (kinds.length === 0) return 'no bar, since one repetition has no interval';
  const ranges = kinds.filter((kind) => kind.startsWith('range'));
  const what =
    ranges.length === 0 ? 'its 95 % interval' : ranges.length === kinds.length ? 'their range' : 'its 95 % interval or their range';
  const why = ranges.length === 0 ? '' : ' (fewer than 6 have no 95 % interval)';
  return `${what}${why} as a bar, often smaller than the mark`;
}

/** What is wrong with the cases of each kind of doubt (doubts_of of results/doubt.cpp), in the order of the text. */
const doubtTexts = {
  unsettled: 'Throughput had not settled when the warm-up reached its cap',
  one_thread: 'One thread did nearly everything',
  modes: 'The seeds fall into two modes: each has a point, and the line follows the mode of more seeds',
  spread: 'The seeds are far apart, and too few to show whether they fall into modes',
};

/** "mix, simulated on x: mmap_sem at 64, 128" for each panel and line of these rows. */
function placesOf(rows) {
  const places = new Map();
  for (const { panel, scheme, line, threads } of rows) {
    const name = [scheme ?? '', line && line !== 'plain' ? line : ''].filter(Boolean).join(', ');
    const place = [panel.replaceAll('\n', ', '), name].filter(Boolean).join(': ');
    places.set(place, new Set([...(places.get(place) ?? []), threads]));
  }
  return [...places].map(([place, counts]) => `${place} at ${[...counts].sort((a, b) => a - b).join(', ')}`);
}

/** Says which of the picture's marks are doubtful, and why; empty if none is. `looks`: how they are drawn. */
function doubtText(rows, looks) {
  const parts = Object.entries(doubtTexts).flatMap(([kind, text]) => {
    const places = placesOf(rows.filter((row) => row.doubtful?.split(' ').includes(kind)));
    return places.length > 0 ? [`${text}: ${places.join('; ')}.`] : [];
  });
  return parts.length > 0 ? [`${looks[0].toUpperCase()}${looks.slice(1)} are doubtful.`, ...parts].join(' ') : '';
}

/** How a picture draws doubtful cases. `rows`: its rows, which are bars if they have parts. */
const doubtLooks = ({ curves }, rows) => (curves ? 'hollow points' : rows.some((row) => row.part) ? 'bars with a question mark' : 'pale marks');

/** Makes the marks of doubtful cases pale. */
function pale(encoding) {
  const { condition, value } = encoding.opacity;
  encoding.opacity = { condition: [{ test: { and: ['datum.doubtful', { param: condition.param }] }, value: 0.4 }, condition], value };
}

function seriesScales(rows) {
  const known = Object.keys(style.schemes);
  const present = distinct(rows, 'scheme');
  const domain = [...known.filter((name) => present.includes(name)), ...present.filter((name) => !known.includes(name))];
  let other = 0;
  const looks = domain.map((name) => style.schemes[name] ?? style.others[other++ % style.others.length]);
  // The plain scheme comes first and is solid; variants follow. With several files, each file has its own dashes.
  const parts = (line) => (line === 'plain' ? 0 : line.split(', ').length);
  const lines = distinct(rows, 'line').sort((a, b) => parts(a) - parts(b));
  let next = 0;
  // With several files or variants, the name of a line ends with the file or the variant: "private: the ceiling, n1".
  const dashes = lines.map((line) => {
    const names = line.split(', ');
    if (names.includes(CEILING)) return style.ceiling_dash;
    return names.includes(CLEARING) ? style.clearing_dash : style.dashes[next++ % style.dashes.length];
  });
  const colours = { domain, range: looks.map((look) => look.colour) };
  return {
    color: colours,
    fill: colours,
    stroke: colours,
    shape: { domain, range: looks.map((look) => look.shape) },
    strokeDash: { domain: lines, range: dashes },
  };
}

function lineShapes(lines) {
  return { domain: lines, range: lines.map((line, i) => style.line_shapes[i % style.line_shapes.length]) };
}

/** The x axis: a single place for one thread count, linear for few small counts, else logarithmic. */
function threadAxis(rows) {
  // A modelled machine has many more CPUs than the host, so each panel has the range of its own counts. Vega chooses the ticks, since it
  // would also draw ticks that are given and lie outside of a panel's range.
  if (distinct(rows, 'simulated').length > 1) {
    return {
      type: 'quantitative',
      axis: { format: 'd', labelOverlap: 'greedy', labelSeparation: 4 },
      scale: { type: 'log', base: 2, nice: false, padding: 10 },
    };
  }
  const counts = distinct(rows, 'threads').sort((a, b) => a - b);
  const last = counts[counts.length - 1];
  if (counts.length === 1) return { type: 'ordinal', axis: { labelAngle: 0 } };
  const axis = { format: 'd', labelOverlap: 'greedy', values: counts };
  if (counts.length <= 4 && last <= 8) {
    return { type: 'quantitative', axis, scale: { zero: false, nice: false, padding: 14, domain: [counts[0], last] } };
  }
  return {
    type: 'quantitative',
    axis: { ...axis, labelSeparation: 4 },
    scale: { type: 'log', base: 2, nice: false, padding: 10, domain: [counts[0], last] },
  };
}

/** The colours of a bar's parts: greys for times, yellow for the remaining lines; the rank of a line chooses its colour in all pictures. */
function partScale(rows) {
  const ranks = new Map([...rows].sort((a, b) => a.rank - b.rank).map(({ part, rank }) => [part, rank]));
  const colourOf = ([part, rank]) =>
    style.times[part] ?? (part === REST ? style.rest : style.labels[(rank - TIMES.length) % style.labels.length]);
  return { domain: [...ranks.keys()], range: [...ranks].map(colourOf) };
}

function eachEncoding(spec, apply) {
  if (spec.encoding) apply(spec.encoding);
  for (const layer of spec.layer ?? []) eachEncoding(layer, apply);
}

/** How many labels of a legend fit side by side above `spec`'s panels: the symbol and its spacing take 50 pixels, a letter 6.5. */
function legendColumns(spec, domain) {
  const width = spec.columns * spec.spec.width + (spec.columns - 1) * spec.spacing.column;
  const longest = Math.min(style.config.legend.labelLimit, 6.5 * Math.max(...domain.map((name) => String(name).length)));
  return Math.max(1, Math.floor(width / (50 + longest)));
}

/** curves.vl.json with the differences of one picture. */
function curvesSpec({ heading, y, format, tooltipFormat, rowSpacing, headFontSize }) {
  const spec = readJson('curves.vl.json');
  spec.title.text = heading;
  if (rowSpacing) spec.spacing.row = rowSpacing;
  if (headFontSize) spec.facet.header.labelFontSize = headFontSize;
  const [lines, , points] = spec.spec.layer;
  Object.assign(lines.encoding.y, y);
  lines.encoding.y.axis.format = format;
  for (const entry of points.encoding.tooltip) {
    if (entry.type === 'quantitative') entry.format = tooltipFormat;
  }
  return spec;
}

/** Wraps the panels' heads, and makes room for those of more than three lines between the rows of panels. */
function wrapHeads(spec, rows) {
  const size = spec.facet.header.labelFontSize ?? style.config.header.labelFontSize;
  // A letter of a bold head is up to 0.74 of its size wide.
  const letters = Math.floor(Math.min(spec.spec.width + spec.spacing.column, style.config.header.labelLimit) / (0.74 * size));
  const heads = new Map(distinct(rows, 'panel').map((panel) => [panel, panel.split('\n').flatMap((line) => wrapped(line, letters))]));
  const most = Math.max(...[...heads.values()].map((lines) => lines.length));
  spec.spacing.row += style.config.header.labelLineHeight * Math.max(0, most - 3);
  return rows.map((row) => ({ ...row, panel: heads.get(row.panel).join('\n') }));
}

/** The specification of a picture with its rows and its provenance. */
function framed(picture, rows, subtitle) {
  const spec = picture.curves ? curvesSpec(picture.curves) : readJson(`${picture.name}.vl.json`);
  spec.title.subtitle = subtitle;
  spec.config = style.config;
  const panels = distinct(rows, 'panel');
  spec.columns = Math.min(spec.columns, panels.length);
  // A single panel is as wide as two.
  if (panels.length === 1) spec.spec.width = 520;
  spec.data = { values: wrapHeads(spec, rows) };
  return spec;
}

/** A picture in which published and simulated curves share a panel. Marks and legend tell them apart. */
function publishedAgainst(picture, { source, machine, systems, unit }, subtitle) {
  const simulated = `simulated on ${machine}`;
  const spec = framed(picture, fitRows(systems, simulated), [
    ...subtitle,
    ...wrapped(`published: ${source}`, 150),
    ...wrapped(`unit: ${unit}`, 150),
  ]);
  const looks = style.published_and_simulated;
  const scales = {
    color: looks.map((look) => look.colour),
    shape: looks.map((look) => look.shape),
    strokeDash: looks.map((look) => look.dash),
    fill: looks.map((look) => look.fill ?? look.colour),
  };
  eachEncoding(spec.spec, (encoding) => {
    for (const [channel, range] of Object.entries(scales)) {
      if (encoding[channel]) encoding[channel].scale = { domain: [PUBLISHED, simulated], range };
    }
    if (encoding.x) encoding.x.axis = { values: distinct(spec.data.values, 'threads'), format: 'd', labelOverlap: 'greedy', labelSeparation: 4 };
  });
  return spec;
}

/**
 * Whether a linear scale would draw different schemes as one line, since the ceiling or a scheme that scales lies far above them.
 * All simulations have the logarithmic scale, so that their pictures can be compared.
 */
function spansDecades(rows) {
  const farAbove = 20;
  if (rows.some((row) => row.simulated)) return true;
  return distinct(rows, 'panel').some((panel) => {
    const medians = rows.filter((row) => row.panel === panel && row.median > 0).map((row) => row.median);
    return Math.max(...medians) > farAbove * Math.min(...medians);
  });
}

function fit(picture, rows, subtitle) {
  const spec = framed(picture, rows, subtitle);
  const bars = rows.some((one) => one.part);
  const scales = bars ? { color: partScale(rows) } : seriesScales(rows);
  // Lock events have marks and no dashes: with several lines, the mark's shape says the line, and its colour says the scheme.
  const shapeIsLine = picture.name === 'events' && distinct(rows, 'line').length > 1;
  if (shapeIsLine) scales.shape = lineShapes(scales.strokeDash.domain);
  const logarithmic = picture.name === 'throughput' && spansDecades(rows);
  eachEncoding(spec.spec, (encoding) => {
    if (logarithmic && encoding.y) {
      encoding.y.scale = { type: 'log' };
      encoding.y.axis = { format: '~s', tickCount: 5, labelOverlap: 'greedy' };
      if (encoding.y.title) encoding.y.title += ' (log)';
    }
    for (const [channel, scale] of Object.entries(scales)) {
      if (!encoding[channel]) continue;
      if (channel === 'shape' && shapeIsLine) encoding.shape.field = 'line';
      encoding[channel].scale = scale;
      const { domain } = scale;
      if (encoding[channel].legend === null) continue;
      // A legend with one entry adds nothing to the title.
      encoding[channel].legend = domain.length === 1 ? null : { columns: legendColumns(spec, domain) };
    }
    if (encoding.x?.field === 'threads' && !bars) {
      Object.assign(encoding.x, threadAxis(rows));
      // Without a domain for all panels, each has that of its rows.
      if (encoding.x.scale && !encoding.x.scale.domain) spec.resolve.scale.x = 'independent';
    }
  });
  if (!picture.curves && !bars && rows.some((row) => row.doubtful)) pale(spec.spec.encoding);
  const choice = (spec.params ?? []).find((param) => param.name === 'threads');
  if (choice) {
    choice.bind.options = distinct(rows, 'threads').sort((a, b) => a - b);
    choice.value = choice.bind.options[choice.bind.options.length - 1];
    const at = "'at ' + threads + (threads == 1 ? ' thread' : ' threads')";
    spec.title.subtitle = { signal: `[${subtitle.map((line) => JSON.stringify(line)).join(', ')}, ${at}]` };
  }
  return spec;
}

/** Says which simulated points are doubtful, and why; empty if none is. */
function fitDoubtText({ systems }) {
  const parts = systems.flatMap(({ name, points }) =>
    points.filter((point) => point.doubtful).map((point) => `${name} at ${point.cpus}: ${point.doubtful}`),
  );
  return parts.length > 0 ? `Simulated points filled white are doubtful. ${parts.join('; ')}.` : '';
}

/** The files with simulations that stand for a published system. */
const fitted = (runs, { machine, systems }) =>
  runs.filter(({ results }) =>
    results.cases.some((one) => one.machine === machine && systems.some(({ case: own }) => own.scheme === one.scheme && own.workload === one.workload)),
  );

/**
 * [{name, title, about, spec}], or {name, title, missing} for a picture without rows. `computed`: the statistics that
 * faultline computed over all files together.
 */
export function makePictures(runs, computed) {
  const all = rowsByPicture(runs);
  const simulated = runs.some(({ results }) => results.mode === 'sim');
  const native = runs.some(({ results }) => results.mode !== 'sim');
  const fitting = pictures.filter(({ name, simulated: own }) => (own ? simulated : native || !nativeAlone.includes(name)));
  return fitting.flatMap((picture) => {
    const { name, title } = picture;
    if (name === 'fit') {
      return (computed.fits ?? []).filter(({ systems }) => systems.length > 0).map((one) => {
        const about = [picture.about, fitDoubtText(one)].filter(Boolean).join(' ');
        const spec = publishedAgainst(picture, one, provenance(runs, fitted(runs, one)));
        return { name: `fit-${one.name}`, title: `${title}: ${one.name}`, about, spec };
      });
    }
    const { rows, runs: used, omitted } = all[name];
    const uncounted = name === 'bounces' ? whyNotCounted(runs) : '';
    if (rows.length === 0) {
      const missing = uncounted ? `Bounces were not counted: ${uncounted}.` : picture.missing;
      return { name, title, missing, subtitle: provenance(runs) };
    }
    const without = omitted.length > 0 ? `without bars of their own: ${omitted.join(', ')}` : '';
    const about = [
      picture.about.replace('BAR', () => barText(rows)),
      uncounted && `Not counted everywhere: ${uncounted}.`,
      doubtText(rows, doubtLooks(picture, rows)),
      without && `${without[0].toUpperCase()}${without.slice(1)}. A variant has bars if its plain scheme was not simulated.`,
    ];
    const doubt = rows.some((row) => row.doubtful) ? [`${doubtLooks(picture, rows)} are doubtful`] : [];
    const subtitle = [...provenance(runs, used), ...doubt, ...(without ? wrapped(without, 120) : [])];
    return { name, title, about: about.filter(Boolean).join(' '), spec: fit(picture, rows, subtitle) };
  });
}
