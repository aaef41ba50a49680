// Turns results into rows for the pictures. It reshapes only: it reads every median, interval and percentile and computes none.
import { readFileSync } from 'node:fs';
import { basename, dirname, resolve } from 'node:path';

export const CEILING = 'private: the ceiling';
export const CLEARING = 'clearing pages alone';
export const PUBLISHED = 'published';

/** "mmap_sem:osq=off" is scheme mmap_sem, variant osq=off. */
export function splitScheme(name) {
  const [base, ...options] = name.split(':');
  return { base, variant: options.join(':') };
}

/** A short name for each file: the file's name or, if all are called results.json, its directory's name. */
function labels(files) {
  const own = files.map((file) => basename(file).replace(/\.json$/, ''));
  const folders = files.map((file) => basename(dirname(resolve(file))));
  const unique = (names) => new Set(names).size === names.length;
  if (unique(own)) return own;
  return unique(folders) ? folders : files;
}

/**
 * [{label, results, axes}] of the files. `known`: the axes of all files and of the program. A case without a value has the default of
 * an axis that its file declares, and else the value that cases had before the axis existed. `loaded`: the files as the
 * program's reader has them, with the present names; without it they are read here.
 */
export function load(files, known, loaded) {
  const names = labels(files);
  const all = loaded ?? files.map((file) => JSON.parse(readFileSync(file, 'utf8')).faultline);
  return all.map((results, i) => {
    const declared = results.axes ?? [];
    const isDeclared = (key) => declared.some((axis) => axis.key === key);
    const absent = (axis) => (isDeclared(axis.key) ? axis.default : axis.before);
    const axes = [...declared, ...known.filter((axis) => !isDeclared(axis.key))];
    return { label: names[i], results, axes: axes.map((axis) => ({ ...axis, absent: absent(axis) })) };
  });
}

const settingOf = (one, axis) => one[axis.key] ?? axis.absent;

/** "page table per CPU"; empty for an empty text. */
function settingLabel(one, axis) {
  const value = settingOf(one, axis);
  const named = axis.values?.find((known) => known.value === value);
  return named?.label ?? (value === '' ? '' : `${axis.label} ${value}`);
}

/** Names a case's panel: the workload, and each setting in which the cases of these files differ. */
function panelNamer(runs) {
  const cases = runs.flatMap((run) => run.results.cases.map((one) => ({ one, axes: run.axes })));
  const keys = new Set(runs.flatMap((run) => run.axes.filter((axis) => axis.picture === 'panel').map((axis) => axis.key)));
  const axisOf = (axes, key) => axes.find((axis) => axis.key === key);
  const varies = (valueOf) => new Set(cases.map((entry) => JSON.stringify(valueOf(entry)))).size > 1;
  const shown = [...keys].filter((key) => varies(({ one, axes }) => settingOf(one, axisOf(axes, key))));
  const placed = varies(({ one }) => one.placement);
  const nameOf = (one, axes) =>
    [one.workload, placed && one.placement, ...shown.map((key) => settingLabel(one, axisOf(axes, key)))].filter(Boolean).join(', ');
  // Simulated and measured cases never share a panel, and the panel's name says which they are.
  const mixed = cases.some(({ one }) => one.machine);
  const measured = (one, axes) => (mixed ? `${nameOf(one, axes)}\nmeasured` : nameOf(one, axes));
  return (one, axes) => (one.machine ? `${nameOf(one, axes)}\nsimulated on ${one.machine}` : measured(one, axes));
}

/** The settings that give a case a line of its own within its panel. */
function lineSettings(one, axes) {
  const apart = axes.filter((axis) => axis.picture === 'line' && settingOf(one, axis) !== axis.default);
  return apart.map((axis) => settingLabel(one, axis));
}

/** [{kind, why}]: why the case should not be trusted. Results of older versions have no doubts. */
export const doubtsOf = (one) => one.doubtful ?? [];

/** Every case of every file, with the fields that all rows of the case share. */
export function entries(runs) {
  const panelOf = panelNamer(runs);
  return runs.flatMap((run) =>
    run.results.cases.map((one) => {
      const { base, variant } = splitScheme(one.scheme);
      // Simulated and measured cases have panels of their own already.
      const alike = runs.filter(({ results }) => results.mode === run.results.mode);
      const line = [variant, ...lineSettings(one, run.axes), alike.length > 1 ? run.label : '']
        .filter(Boolean)
        .join(', ');
      const notes = [
        one.oversubscribed ? 'more threads than CPUs' : '',
        one.throughput?.repetitions.length === 1 ? 'one repetition: no interval' : '',
        ...doubtsOf(one).map(({ why }) => `doubtful: ${why}`),
        ...(one.notes ?? []),
      ].filter(Boolean);
      return {
        one,
        run,
        panel: panelOf(one, run.axes),
        common: {
          scheme: base,
          line: line || 'plain',
          threads: one.threads,
          simulated: Boolean(one.machine),
          doubtful: doubtsOf(one)
            .map(({ kind }) => kind)
            .join(' '),
          note: notes.join('; ') || '-',
        },
      };
    }),
  );
}

/** Moves the cases of clear_pages into the panel of page_fault1, which they bound, if there is one. */
function besideFaults(all) {
  const panels = new Set(all.map((entry) => entry.panel));
  return all.map((entry) => {
    const panel = entry.panel.replace(/^clear_pages/, 'page_fault1');
    if (panel === entry.panel || !panels.has(panel)) return entry;
    const line = entry.common.line.replace(/^(plain|private: the ceiling)/, CLEARING);
    return { ...entry, panel, common: { ...entry.common, line } };
  });
}

/**
 * The fewest repetitions that have a 95 % interval (bounding_repetitions of results/summary.cpp). Of fewer, low and high are the
 * smallest and the largest value.
 */
const ENOUGH = 6;

/** What low and high of a case's estimates are; undefined for one repetition, which has neither. */
export function intervalOf({ throughput }) {
  // Estimates are over the mode with the most repetitions; of two equal ones the numbers are equal.
  const count = throughput?.modes ? Math.max(...throughput.modes.map((mode) => mode.repetitions)) : throughput?.repetitions.length ?? 0;
  if (count < 2) return undefined;
  return count < ENOUGH ? `range of ${count}` : '95 % interval';
}

/**
 * `estimate` with `modes` gives a row for each. The estimate itself is that of one mode; the rows of the others have `aside`, so that
 * no line passes through them.
 */
function spread(entry, panel, estimate) {
  if (!estimate) return [];
  const { median, low, high, modes } = estimate;
  const others = (modes ?? []).filter((mode) => mode.median !== median);
  return [
    { panel, ...entry.common, median, low, high, interval: intervalOf(entry.one) ?? '-' },
    ...others.map((mode) => ({ panel, ...entry.common, median: mode.median, interval: '-', aside: true })),
  ];
}

const isLinux = (entry) => entry.one.kernel === true;

function latencyRows(entry) {
  const rows = [];
  const add = (kinds, prefix) => {
    for (const [kind, value] of Object.entries(kinds ?? {})) {
      const { count, ...percentiles } = value.latency_ns ?? {};
      for (const [percentile, ns] of Object.entries(percentiles)) {
        // A logarithmic axis has no zero, so a latency below one tick of the clock is drawn at 1 ns.
        rows.push({ panel: `${entry.panel}\n${prefix}${kind}`, ...entry.common, percentile, ns: Math.max(1, ns), count });
      }
    }
  };
  if (entry.one.by_role) {
    for (const [role, kinds] of Object.entries(entry.one.by_role)) add(kinds, `${role}: `);
  } else {
    add(entry.one.kinds, '');
  }
  return rows;
}

const withNote = (note, more) => (note === '-' ? more : `${note}; ${more}`);

function bounceRows(entry) {
  return Object.entries(entry.one.counters.events ?? {}).flatMap(([name, event]) => {
    const scaled = `scaled: counted ${(event.running_share * 100).toFixed(1)} % of the time`;
    const note = event.running_share < 1 ? withNote(entry.common.note, scaled) : entry.common.note;
    return spread({ ...entry, common: { ...entry.common, note } }, `${entry.panel}\n${name}`, event.per_operation);
  });
}

function eventRows(entry) {
  return Object.entries(entry.one.events)
    .filter(([, event]) => event.per_operation?.median > 0)
    .flatMap(([event, { total, per_operation }]) =>
      spread(entry, entry.panel, per_operation).map((row) => ({ ...row, event, total })),
    );
}

/** The parts of a bar, from the bottom. Labels of memory stand above them. */
export const TIMES = ['work', 'spinning', 'sleeping', 'shootdown'];
export const REST = 'remaining lines';
const LABELS = 10;

const stallsOf = ({ one }) => Object.entries(one.sim.time.stall);
const transfersOf = ({ one }) => Object.entries(one.sim.transfers).map(([label, { per_operation }]) => [label, per_operation]);

/** The labels by their largest value in any of the cases, largest first. */
function byLargest(cases, valuesOf) {
  const most = new Map();
  for (const [label, value] of cases.flatMap(valuesOf)) most.set(label, Math.max(most.get(label) ?? 0, value));
  return [...most].sort((a, b) => b[1] - a[1]).map(([label]) => label);
}

/**
 * The labels that have a colour of their own, the same in stall and transfers: the first of each panel, since a panel of REST alone
 * would tell nothing, and then those with the largest share of the time in any case. REST sums up the others.
 */
function mainLabels(simulated) {
  const panels = [...new Set(simulated.map(barPanel))].map((panel) => simulated.filter((entry) => barPanel(entry) === panel));
  const firsts = panels.flatMap((cases) => [byLargest(cases, stallsOf)[0], byLargest(cases, transfersOf)[0]]).filter(Boolean);
  const count = Math.max(LABELS, new Set(firsts).size);
  return [...new Set([...firsts, ...byLargest(simulated, stallsOf)])].slice(0, count);
}

/**
 * The cases that get panels of bars, and the names of the schemes that do not, since there would be too many panels: "none", and
 * variants whose plain scheme is there.
 */
function withOwnBars(all) {
  const simulated = all.filter((entry) => entry.one.sim && !entry.one.private);
  const present = new Set(simulated.map((entry) => `${entry.one.scheme}\n${entry.panel}`));
  const dropped = (entry) => entry.one.scheme !== entry.common.scheme && present.has(`${entry.common.scheme}\n${entry.panel}`);
  const bars = simulated.filter((entry) => entry.one.scheme !== 'none' && !dropped(entry));
  if (bars.length === 0) return { bars: simulated, omitted: [] };
  const omitted = new Set(simulated.filter((entry) => !bars.includes(entry)).map((entry) => entry.one.scheme));
  return { bars, omitted: [...omitted] };
}

/** The head of the panel of bars to which a case belongs. */
function barPanel(entry) {
  const of = entry.common.line === 'plain' ? entry.one.scheme : `${entry.common.scheme}, ${entry.common.line}`;
  return `${of}\n${entry.panel}`;
}

/** The simulator labels memory that no scheme named "other", which would read like REST. */
const partOf = (label) => (label === 'other' ? 'unnamed memory' : label);

/** [{panel, threads, cpus, doubtful, part, rank, ...fields(values)}] of one case's values by label; labels outside `labels` make one part. */
function barRows(entry, values, labels, fields, times = []) {
  const rest = [];
  const parts = [...times];
  for (const [label, value] of Object.entries(values)) {
    if (labels.includes(label)) parts.push([partOf(label), [value]]);
    else rest.push(value);
  }
  if (rest.length > 0) parts.push([REST, rest]);
  const order = [...TIMES, ...labels.map(partOf), REST];
  return parts.map(([part, list]) => ({
    panel: barPanel(entry),
    threads: entry.one.threads,
    // The bar's label.
    cpus: `${entry.one.threads}${entry.common.doubtful && '?'}`,
    doubtful: entry.common.doubtful,
    part,
    rank: order.indexOf(part),
    ...fields(list),
  }));
}

const sum = (list) => list.reduce((a, b) => a + b, 0);

function stallRows(entry, labels) {
  const { stall, ...rest } = entry.one.sim.time;
  const times = TIMES.map((part) => [part, [rest[part]]]);
  return barRows(entry, stall, labels, (shares) => ({ share: sum(shares) }), times);
}

/** "rmw hop1 true sharing 0.42, ..." */
function detailOf(by) {
  return Object.entries(by)
    .flatMap(([kind, distances]) =>
      Object.entries(distances).flatMap(([distance, reasons]) =>
        Object.entries(reasons).map(([reason, count]) => [count, `${kind} ${distance} ${reason.replace('_', ' ')} ${count.toPrecision(2)}`]),
      ),
    )
    .sort((a, b) => b[0] - a[0])
    .slice(0, 6)
    .map(([, text]) => text)
    .join(', ');
}

function transferRows(entry, labels) {
  return barRows(entry, entry.one.sim.transfers, labels, (list) => ({
    per_operation: sum(list.map((one) => one.per_operation)),
    detail: list.length === 1 ? detailOf(list[0].by) : `${list.length} labels`,
  }));
}

/** Panels in the order in which they first appear, so that facets stay together. */
function ordered(rows) {
  const order = new Map();
  for (const row of rows) if (!order.has(row.panel)) order.set(row.panel, order.size);
  return rows.sort((a, b) => order.get(a.panel) - order.get(b.panel));
}

/** {picture: {rows, runs: the files that gave them, omitted: the names of schemes that the picture leaves out}}. */
export function rowsByPicture(runs) {
  const all = entries(runs);
  const ours = all.filter((entry) => !isLinux(entry));
  const each = (list, make, omitted = []) => {
    const given = list.map((entry) => ({ run: entry.run, rows: make(entry) })).filter(({ rows }) => rows.length > 0);
    const used = new Set(given.map(({ run }) => run));
    return { rows: ordered(given.flatMap(({ rows }) => rows)), runs: runs.filter((run) => used.has(run)), omitted };
  };
  const { bars, omitted } = withOwnBars(all);
  const labels = mainLabels(bars);
  return {
    throughput: each(besideFaults(ours), (entry) => spread(entry, entry.panel, entry.one.throughput)),
    linux: each(all.filter(isLinux), (entry) => spread(entry, entry.panel, entry.one.scaling)),
    latency: each(all, latencyRows),
    fairness: each(all, (entry) => (entry.one.threads > 1 ? spread(entry, entry.panel, entry.one.fairness?.jain) : [])),
    waiting: each(ours, (entry) => spread(entry, entry.panel, entry.one.waiting_share)),
    bounces: each(all, bounceRows),
    events: each(all, eventRows),
    stall: each(bars, (entry) => stallRows(entry, labels), omitted),
    transfers: each(bars, (entry) => transferRows(entry, labels), omitted),
  };
}

/** The case that stands for a published system: "local, mmap_sem:lock=rwsem_2012, shootdown cpumask". */
export function standsFor({ workload, scheme, shootdown }) {
  return [workload, scheme, shootdown && `shootdown ${shootdown}`].filter(Boolean).join(', ');
}

const fitDoubt = ({ doubtful }) => ({ doubtful: doubtful ?? '', note: doubtful ? `doubtful: ${doubtful}` : '-' });

/** Rows of published and simulated curves, one panel for each system. `simulated`: the legend's name of the simulated curve. */
export function fitRows(systems, simulated) {
  return systems.flatMap(({ name, case: own, points, error, fitted }) => {
    const off = `mean error ${error.mean.toFixed(2)} decades, ${fitted ? 'fitted' : 'prediction'}`;
    const panel = [name, standsFor(own), off].join('\n');
    const place = (cpus) => ({ panel, threads: cpus });
    return points.flatMap((point) => [
      ...(point.published ? [{ ...place(point.cpus), series: PUBLISHED, median: point.published }] : []),
      ...(point.simulated ? [{ ...place(point.cpus), series: simulated, ...point.simulated, ...fitDoubt(point), decades: point.decades }] : []),
    ]);
  });
}

/** Where the numbers are from: the host, or the modelled machines and seeds. */
export function whereOf(results) {
  if (results.mode !== 'sim') return `${results.machine.host} (${results.machine.cpu_model})`;
  const { seeds } = results;
  const range = seeds.length === 1 ? `seed ${seeds[0]}` : `seeds ${seeds[0]}\u2013${seeds[seeds.length - 1]}`;
  return `${results.machine.models.map((model) => model.name).join(', ')}, ${range}`;
}

function reasonsOf({ results }) {
  if (results.counters.reason) return [results.counters.reason];
  const reasons = results.cases.flatMap(({ counters }) => {
    if (counters.absent) return [counters.absent];
    const absent = Object.entries(counters.events ?? {}).filter(([, event]) => event.absent);
    return absent.map(([name, event]) => `${name} (${event.absent})`);
  });
  return [...new Set(reasons)];
}

/** Each file's reasons why some or all bounces were not counted. Empty if all were. */
export function whyNotCounted(runs) {
  const named = (run) => (runs.length > 1 ? `${run.label}: ` : '') + reasonsOf(run).join(', ');
  return runs.filter((run) => reasonsOf(run).length > 0).map(named).join('; ');
}
