// Fits each Vega-Lite specification to its rows: scales, colours, columns of panels, and the
// subtitle with the provenance.
import { readFileSync } from 'node:fs';
import { CEILING, CLEARING, PUBLISHED, REST, fitRows, rowsByPicture, whereOf, whyNotCounted } from './rows.mjs';

const here = new URL('.', import.meta.url);
const readJson = (name) => JSON.parse(readFileSync(new URL(name, here), 'utf8'));
const style = readJson('style.json');
const distinct = (rows, key) => [...new Set(rows.map((row) => row[key]))];

const fromZero = { zero: true, nice: 5 };
const shares = { domain: [0, 1] };

// `curves`: the picture is drawn from curves.vl.json, and these are its differences from the other such pictures.
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
      'Operations per second of all threads: the median of the repetitions, with its 95 % interval as a bar (often ' +
      'smaller than the mark). The dotted ceiling is the same work with one address space for each thread. No lock is faster ' +
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
      'Published curves of whole kernels on the real machine, beside the simulation of the same ' +
      'workload under the scheme that stands for each. Both scales are logarithmic; a decade is as high in every panel. ' +
      'Errors are in decades over the points that both curves have; 0.3 is a factor of two. The three models have no mechanism ' +
      'and were fitted to the published curve itself; the simulation is worth something if it is nearer. Constants of its machine ' +
      'may be fitted to these curves too, as their origins say; no constant belongs to one scheme.',
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
      format: '~s',
      tooltipFormat: '.3s',
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
      'What the locks count about themselves: the median of the repetitions, with its 95 % interval as a bar. The scale is ' +
      'logarithmic, so an event that most repetitions did not have has no mark, and an interval that reaches 0 has no bar.',
    missing: 'No lock published an event that happened in most repetitions.',
  },
];

/** Pictures that only native results have. */
const nativeAlone = ['linux', 'bounces'];

/** Where the numbers are from. Every picture has these lines as its subtitle. */
export function provenance(runs) {
  return runs.map(({ label, results }) => {
    const mode = results.mode === 'sim' ? `simulated on ${whereOf(results)}` : `native \u00b7 ${whereOf(results)}`;
    const parts = [mode, results.date, `build ${results.build.commit}`].filter(Boolean);
    return (runs.length > 1 ? `${label}: ` : '') + parts.join(' \u00b7 ');
  });
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
  const dashes = lines.map((line) =>
    line === CEILING ? style.ceiling_dash : line === CLEARING ? style.clearing_dash : style.dashes[next++ % style.dashes.length],
  );
  return {
    color: { domain, range: looks.map((look) => look.colour) },
    shape: { domain, range: looks.map((look) => look.shape) },
    strokeDash: { domain: lines, range: dashes },
  };
}

/** The x axis: a single place for one thread count, linear for few small counts, else logarithmic. */
function threadAxis(rows) {
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

/** The colours of a bar's parts: greys for times, colours for lines, yellow for the other lines. */
function partScale(rows) {
  const domain = distinct([...rows].sort((a, b) => a.rank - b.rank), 'part');
  let next = 0;
  const colourOf = (part) => style.times[part] ?? (part === REST ? style.rest : style.labels[next++ % style.labels.length]);
  return { domain, range: domain.map(colourOf) };
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

/** The specification of a picture with its rows and its provenance. */
function framed(picture, rows, subtitle) {
  const spec = picture.curves ? curvesSpec(picture.curves) : readJson(`${picture.name}.vl.json`);
  spec.title.subtitle = subtitle;
  spec.data = { values: rows };
  spec.config = style.config;
  const panels = distinct(rows, 'panel');
  spec.columns = Math.min(spec.columns, panels.length);
  // A single panel is as wide as two.
  if (panels.length === 1) spec.spec.width = 520;
  return spec;
}

/** The one picture in which published and simulated curves share a panel. Marks and legend tell them apart. */
function publishedAgainst(picture, { source, machine, systems }, subtitle) {
  const simulated = `simulated on ${machine}`;
  const spec = framed(picture, fitRows(systems, simulated), [...subtitle, `published: ${source}`]);
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

function fit(picture, rows, subtitle) {
  const spec = framed(picture, rows, subtitle);
  const scales = seriesScales(rows);
  // On a modelled machine the ceiling lies decades above the schemes.
  const logarithmic = picture.name === 'throughput' && rows.some((one) => one.simulated);
  eachEncoding(spec.spec, (encoding) => {
    if (logarithmic && encoding.y) {
      encoding.y.scale = { type: 'log' };
      encoding.y.axis = { format: '~s', tickCount: 5, labelOverlap: 'greedy' };
      if (encoding.y.title) encoding.y.title += ' (log)';
    }
    if (encoding.color?.field === 'part') {
      encoding.color.scale = partScale(rows);
      encoding.color.legend = { columns: legendColumns(spec, encoding.color.scale.domain) };
      return;
    }
    for (const [channel, scale] of Object.entries(scales)) {
      if (!encoding[channel]) continue;
      encoding[channel].scale = scale;
      const { domain } = scale;
      // A legend with one entry adds nothing to the title.
      encoding[channel].legend = domain.length === 1 ? null : { columns: legendColumns(spec, domain) };
    }
    if (encoding.x?.field === 'threads') Object.assign(encoding.x, threadAxis(rows));
  });
  const choice = (spec.params ?? []).find((param) => param.name === 'threads');
  if (choice) {
    choice.bind.options = distinct(rows, 'threads').sort((a, b) => a - b);
    choice.value = choice.bind.options[choice.bind.options.length - 1];
    const at = "'at ' + threads + (threads == 1 ? ' thread' : ' threads')";
    spec.title.subtitle = { signal: `[${subtitle.map((line) => JSON.stringify(line)).join(', ')}, ${at}]` };
  }
  return spec;
}

/**
 * [{name, title, about, spec}], or {name, title, missing} for a picture without rows. `computed`: the statistics that
 * faultline computed over all files together.
 */
export function makePictures(runs, computed) {
  const rows = rowsByPicture(runs);
  const subtitle = provenance(runs);
  const simulated = runs.some(({ results }) => results.mode === 'sim');
  const native = runs.some(({ results }) => results.mode !== 'sim');
  const fitting = pictures.filter(({ name, simulated: own }) => (own ? simulated : native || !nativeAlone.includes(name)));
  return fitting.flatMap((picture) => {
    const { name, title } = picture;
    if (name === 'fit') {
      if (!computed.fit) return [];
      return { name, title, about: picture.about, spec: publishedAgainst(picture, computed.fit, subtitle) };
    }
    const uncounted = name === 'bounces' ? whyNotCounted(runs) : '';
    const about = picture.about + (uncounted && ` Not counted everywhere: ${uncounted}.`);
    if (rows[name].length > 0) return { name, title, about, spec: fit(picture, rows[name], subtitle) };
    const missing = uncounted ? `Bounces were not counted: ${uncounted}.` : picture.missing;
    return { name, title, missing, subtitle };
  });
}
