// The report is one file with everything in it, since users mail it, archive it and open it
// offline.
import { readFileSync } from 'node:fs';
import { doubtsOf, entries, intervalOf, standsFor, whereOf } from './rows.mjs';
import { provenance } from './pictures.mjs';
import { questionPictures, questionsSection } from './questions.mjs';

const here = new URL('.', import.meta.url);
const own = (name) => readFileSync(new URL(name, here), 'utf8');

export function escapeHtml(text) {
  const names = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
  return String(text).replace(/[&<>"']/g, (c) => names[c]);
}

/** The text of a minified module. "</script" inside it would end the page's element. */
function bundle(name) {
  return own(`node_modules/${name}/build/${name}.min.js`)
    .replace(/<\/script/gi, '<\\/script')
    .replace(/^\/\/# sourceMappingURL=.*$/gm, '');
}

const inlineJson = (value) => JSON.stringify(value).replace(/</g, '\\u003c');

/** Three digits at least: "1.23", "12.3", "123". */
const digits = (value) => value.toFixed(value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2);

function human(rate) {
  if (rate === undefined) return '';
  const prefixes = ['', ' k', ' M', ' G', ' T'];
  let step = 0;
  while (rate >= 999.5 && step < 4) {
    rate /= 1000;
    step += 1;
  }
  return digits(rate) + prefixes[step];
}

function time(ns) {
  if (ns === undefined) return '';
  if (ns < 1e3) return `${ns} ns`;
  return ns < 999.5e3 ? `${digits(ns / 1e3)} \u00b5s` : `${digits(ns / 1e6)} ms`;
}

const percent = (share) => (share === undefined ? '' : `${(share * 100).toFixed(0)} %`);
const row = (cells, tag = 'td') => `<tr>${cells.map((cell) => `<${tag}>${cell}</${tag}>`).join('')}</tr>`;

function table(head, rows) {
  return `<div class="wide"><table><thead>${row(head, 'th')}</thead><tbody>${rows.join('')}</tbody></table></div>`;
}

const interval = ({ low, high }, text) => (low === undefined ? '\u2013' : `${text(low)} \u2026 ${text(high)}`);

/** A question mark, whose title in the browser says why a case is doubtful; empty for an empty `why`. */
const doubtMark = (why) => (why ? ` <span class="soft" title="${escapeHtml(why)}">?</span>` : '');

const whyDoubtful = (one) => doubtsOf(one).map(({ why }) => why).join('; ');

/** "790 k (4 seeds), 1.29 M (2 seeds)" */
const modesText = (modes) => modes.map(({ median, repetitions }) => `${human(median)} (${repetitions} seeds)`).join(', ');

/** `kind`: what low and high are, where the head of the table does not say it. */
function throughputCell(one, best, kind) {
  if (!one.throughput) return `<td class="none" colspan="3">not measured: ${escapeHtml(one.reason ?? '')}</td>`;
  const { median, modes } = one.throughput;
  const relative = best > 0 && !one.private && !one.kernel ? (median / best).toFixed(2) : '\u2013';
  const rate = (modes ? modesText(modes) : human(median)) + doubtMark(whyDoubtful(one));
  return `<td>${rate}</td><td class="soft">${interval(one.throughput, human)}${kind ? ` (${kind})` : ''}</td><td>${relative}</td>`;
}

/** All numbers of one panel, fastest first within a thread count. */
function panelTable(name, list) {
  const counts = [...new Set(list.map((entry) => entry.one.threads))].sort((a, b) => b - a);
  const kinds = [...new Set(list.map(({ one }) => intervalOf(one)).filter(Boolean))];
  const rows = counts.flatMap((threads) => {
    const here = list.filter((entry) => entry.one.threads === threads);
    const median = (entry) => entry.one.throughput?.median ?? -1;
    here.sort((a, b) => median(b) - median(a));
    const rankedOnes = here.filter(({ one }) => !one.private && !one.kernel);
    const best = Math.max(0, ...rankedOnes.map(median));
    return here.map(({ one, common }) => {
      const line = common.line === 'plain' ? '' : ` <span class="soft">${escapeHtml(common.line)}</span>`;
      const after = [
        one.scaling ? `${one.scaling.median.toFixed(2)}` : '',
        // The kernel's faults are timed as the accesses that take them.
        time((one.kernel ? one.kinds.write ?? one.kinds.read ?? one.kinds.fault : one.kinds.fault)?.latency_ns?.p99),
        // The kernel does not report how long its threads wait.
        one.kernel ? '' : percent(one.waiting_share?.median),
        one.threads > 1 ? one.fairness?.jain.median.toFixed(3) ?? '' : '',
      ];
      const measured = throughputCell(one, best, kinds.length > 1 ? intervalOf(one) : '');
      const cells = after.map((cell) => `<td>${cell}</td>`).join('');
      return `<tr><td>${threads}</td><td class="name">${escapeHtml(common.scheme)}${line}</td>${measured}${cells}</tr>`;
    });
  });
  const between = kinds.length > 1 ? 'from \u2026 to' : kinds[0] ?? 'interval';
  const head = ['threads', 'scheme', 'operations/s', between, 'of the best', '\u00d7 one thread', 'fault p99', 'waiting', 'Jain'];
  const open = rows.length <= 24 ? ' open' : '';
  return `<details${open}><summary>${escapeHtml(name)}</summary>${table(head, rows)}</details>`;
}

function numbers(runs) {
  const panels = new Map();
  for (const entry of entries(runs)) {
    if (!panels.has(entry.panel)) panels.set(entry.panel, []);
    panels.get(entry.panel).push(entry);
  }
  return [...panels].map(([name, list]) => panelTable(name, list)).join('\n');
}

function definition(values) {
  const rows = Object.entries(values).filter(([key]) => key !== 'hwloc_xml');
  return `<dl>${rows.map(([key, value]) => `<dt>${escapeHtml(key.replaceAll('_', ' '))}</dt><dd>${escapeHtml(value)}</dd>`).join('')}</dl>`;
}

/** The modelled machines, and every constant of them with its origin. */
function modelsOf({ models }) {
  return models
    .map(({ constants, calibrated, ...model }) => {
      const on = calibrated ? { 'calibrated on': `${calibrated.host} (${calibrated.cpu_model})` } : {};
      const rows = constants.map(({ key, value, origin }) => row([key, value, origin].map(escapeHtml)));
      const list = table(['constant', 'value', 'origin'], rows);
      return `${definition({ ...model, ...on })}<details><summary>${constants.length} constants</summary>${list}</details>`;
    })
    .join('\n');
}

function provenanceOf({ label, results }, several) {
  const counters = results.counters.available === false ? `none: ${results.counters.reason}` : results.counters.pmu ?? 'available';
  const simulated = results.mode === 'sim';
  const run = {
    mode: simulated ? `simulated on ${whereOf(results)}` : results.mode,
    ...(simulated ? {} : { date: results.date }),
    ...(results.suite ? { suite: results.suite } : {}),
    seed: results.seed,
    command: results.command,
    'hardware counters': counters,
  };
  return `${several ? `<h3>${escapeHtml(label)}</h3>` : ''}<div class="columns"><div><h4>Run</h4>${definition(run)}</div>
<div><h4>Machine</h4>${simulated ? modelsOf(results.machine) : definition(results.machine)}</div><div><h4>Build</h4>${definition(results.build)}</div></div>`;
}

function stallText(stall) {
  const lines = ['holding', 'waiting'].flatMap((key) => (stall?.[key] ?? []).map((line) => `${key}: ${line}`));
  return lines.length > 0 ? `<br><span class="soft">${lines.map(escapeHtml).join('<br>')}</span>` : '';
}

/** [{note, names: those of its cases}] of one file. `textsOf`: the notes of a case. */
function notesOf(results, textsOf) {
  const names = new Map();
  for (const one of results.cases) {
    for (const note of textsOf(one)) names.set(note, [...(names.get(note) ?? []), one.name]);
  }
  return [...names].map(([note, cases]) => ({ note, names: cases }));
}

function noteCells({ note, names }) {
  const count = `${names.length} case${names.length === 1 ? '' : 's'}`;
  return [escapeHtml(note), `<details><summary>${count}</summary>${names.map(escapeHtml).join('<br>')}</details>`];
}

function trialCells(one) {
  return [`<span class="name">${escapeHtml(one.case)}</span>`, one.repetition, escapeHtml(one.reason) + stallText(one.stall)];
}

function incidents(runs) {
  // With several files, the first column names the file.
  const several = runs.length > 1;
  const part = (title, none, listOf, head, cells) => {
    const rows = runs.flatMap(({ label, results }) =>
      listOf(results).map((one) => row([...(several ? [escapeHtml(label)] : []), ...cells(one)])),
    );
    return `<h3>${title}</h3>${rows.length > 0 ? table([...(several ? ['file'] : []), ...head], rows) : `<p>${none}</p>`}`;
  };
  const trial = ['case', 'repetition', 'reason'];
  const noted = (results) => notesOf(results, ({ notes }) => notes ?? []);
  const doubtful = (results) => notesOf(results, (one) => doubtsOf(one).map(({ why }) => why));
  return [
    part('Failures', 'No trial failed.', (results) => results.failures, trial, trialCells),
    part('Discarded', 'No trial was discarded.', (results) => results.discarded, trial, trialCells),
    part('Doubtful', 'No case is doubtful.', doubtful, ['reason', 'cases'], noteCells),
    part('Notes', 'No case has a note.', noted, ['note', 'cases'], noteCells),
    part('Left out', 'Nothing was left out.', (results) => results.left_out, ['what', 'why'], (one) => [one.what, one.why].map(escapeHtml)),
  ].join('\n');
}

const decades = (value) => `${value < 0 ? '\u2212' : '+'}${Math.abs(value).toFixed(2)}`;

const name = (text) => `<span class="name">${escapeHtml(text)}</span>`;

/** The mean error of a curve, and the greatest with its number of CPUs. */
const errorCells = ({ mean, worst, worst_at }) => [mean.toFixed(2), `${worst.toFixed(2)} at ${worst_at}`];

function systemRow({ name: system, case: own, error, published_points, peak, fitted }) {
  const points = `${error.points} of ${published_points}`;
  const peaks = `${peak.simulated} (${peak.published})`;
  return row([name(system), name(standsFor(own)), points, ...errorCells(error), peaks, name(fitted || 'none: a prediction')]);
}

/** The error of a model without mechanism, and whether the simulation is nearer. A linear curve cannot beat the linear model. */
function trivialCell({ trivial, linear }, model) {
  const found = trivial.find((one) => one.name === model);
  if (!found) return 'too few points';
  const verdict = found.beaten ? 'beaten' : linear ? 'not beaten, the curve is linear' : 'not beaten';
  return `${found.mean.toFixed(2)}, ${found.worst.toFixed(2)} <span class="soft">${verdict}</span>`;
}

function pointsTable({ name: system, about, points }) {
  const rows = points
    .filter((point) => point.decades !== undefined)
    .map((point) => row([point.cpus, human(point.published), human(point.simulated.median) + doubtMark(point.doubtful), decades(point.decades)]));
  const head = ['CPUs', 'published', 'simulated', 'off by (decades)'];
  return `<details><summary>${escapeHtml(system)}, point by point</summary><p class="about">${escapeHtml(about)}</p>${table(head, rows)}</details>`;
}

/** The errors of each curve and of three models without mechanism, and the order of the systems. */
function fitTables({ systems, orders }) {
  const head = ['curve', 'simulated by', 'points', 'mean error', 'worst, at CPUs', 'peak at CPUs (published)', 'fitted constants'];
  const models = ['flat', 'linear', 'Amdahl'];
  const rows = systems.map((system) => row([name(system.name), ...models.map((model) => trivialCell(system, model))]));
  const orderRows = orders.map(({ cpus, simulated, published, same }) =>
    row([cpus, escapeHtml(simulated), same ? 'the same' : escapeHtml(published)]),
  );
  const order = orderRows.length > 0 ? `<h3>Order of the systems</h3>${table(['CPUs', 'simulated', 'published'], orderRows)}` : '';
  return `${table(head, systems.map(systemRow))}
<h3>Models without mechanism: mean error, worst</h3>
${table(['curve', ...models], rows)}
${systems.map(pointsTable).join('\n')}
${order}`;
}

/** All published curves by rung: those that constants were fitted to, and apart from them the predictions. */
function ladder(fits) {
  if (fits.length === 0) return '';
  const head = ['rung', 'reference', 'curve', 'points', 'mean error', 'worst, at CPUs'];
  const part = (title, wanted) => {
    const rows = fits.flatMap((fit) =>
      fit.systems
        .filter(({ fitted }) => Boolean(fitted) === wanted)
        .map((system) => row([fit.rung, name(fit.name), name(system.name), system.error.points, ...errorCells(system.error)])),
    );
    return `<h3>${title}</h3>${rows.length > 0 ? table(head, rows) : '<p class="missing">None among these results.</p>'}`;
  };
  const about =
    'How far simulated cases are from published curves, in decades: 0.3 is a factor of two. A curve is believed as far as the rung ' +
    'below it holds: a line, a lock, an address space.';
  return `<section id="ladder"><h2>The ladder</h2><p class="about">${about}</p>
${part('Predictions: no constant was fitted to these curves', false)}
${part('Development data: constants were fitted to these curves', true)}</section>`;
}

/** A change of a share, as percent with its sign. */
const changeText = (share) => `${share < 0 ? '\u2212' : '+'}${Math.abs(share * 100).toFixed(1)} %`;

/** "mmap1, mmap_sem, layout packed" */
const changedCase = ({ workload, scheme, machine, ...axes }) =>
  [workload, scheme, ...Object.entries(axes).map(([axis, value]) => `${axis} ${value}`)].join(', ');

/** The points of one change, beside the published figure. */
function changeRows({ name: change, before, after, published, points }) {
  const figure = published === undefined ? 'none: a prediction' : changeText(published);
  return points.map((point) =>
    row([
      name(change),
      name(before.machine),
      point.cpus,
      figure,
      changeText(point.change) + doubtMark(point.doubtful),
      human(point.before.median),
      human(point.after.median),
      name(changedCase(before)),
      name(changedCase(after)),
    ]),
  );
}

/** What changes of one mechanism do, simulated before and after; empty if none was simulated. */
function changesSection(fits) {
  const changes = fits.flatMap((fit) => fit.changes);
  if (changes.length === 0) return '';
  const head = ['change', 'machine', 'CPUs', 'published change', 'simulated change', 'rate before', 'rate after', 'before', 'after'];
  const about = 'Each change of one mechanism, simulated both ways. The sign counts first, then the size.';
  const texts = changes.map(({ name: change, about: what, source }) =>
    `<li>${name(change)}: ${escapeHtml(what)}${source ? ` (${escapeHtml(source)})` : ''}</li>`);
  return `<section id="changes"><h2>Changes</h2><p class="about">${about}</p>
<ul>${texts.join('')}</ul>
${table(head, changes.flatMap(changeRows))}</section>`;
}

/** The cases of one host beside those of the machine that was calibrated on it. */
function agreement({ machine, host, cases, median, worst, why_not }) {
  const title = `<h3>${escapeHtml(machine)} and ${escapeHtml(host)}</h3>`;
  if (why_not) return `${title}<p class="missing">Not compared: ${escapeHtml(why_not)}.</p>`;
  const rows = cases.map((one) =>
    row([
      name(one.case) + doubtMark(one.doubtful),
      human(one.native.median),
      interval(one.native, human),
      human(one.simulated.median),
      interval(one.simulated, human),
      human(one.ratio.median),
      interval(one.ratio, human),
    ]),
  );
  const head = ['case', 'native, op/s', 'interval', 'simulated', 'interval', 'ratio', 'interval'];
  const worstCase = `${human(worst.ratio.median)} (${escapeHtml(worst.case)})`;
  const told = `Simulated over native, ${cases.length} cases: ${human(median)} in the median, ${worstCase} farthest from 1.`;
  return `${title}<p>${told}</p>${table(head, rows)}`;
}

/** The section of native beside simulated cases; empty if no machine was calibrated on a measured host. */
function agreements(computed) {
  const list = computed.native_and_simulated ?? [];
  if (list.length === 0) return '';
  const about =
    'The same cases on a machine and on the model that faultline calibrate made of it. No constant of the model was fitted to these ' +
    'rates. An interval is the 95 % interval over repetitions or seeds, or the range of fewer than 6. It says how exact the ratio ' +
    'is, and not why it differs from 1.';
  const parts = list.map(agreement).join('\n');
  return `<section id="agreement"><h2>Native and simulated</h2><p class="about">${about}</p>${parts}</section>`;
}

function section(picture, tables) {
  const body = picture.spec
    ? `<div class="wide"><div class="picture" id="picture-${picture.name}"></div></div>`
    : `<h2>${escapeHtml(picture.title)}</h2><p class="missing">${escapeHtml(picture.missing)}</p>`;
  const about = picture.about ? `<p class="about">${escapeHtml(picture.about)}</p>` : '';
  return `<section id="${picture.name}">${body}${about}${tables[picture.name] ?? ''}</section>`;
}

/** The browser refuses to load anything. Vega compiles its expressions, so eval is allowed. */
const policy =
  "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; img-src data: blob:";

/** `computed`: the statistics that faultline computed over all files together; see makePictures. */
export function makePage(runs, pictures, computed) {
  const fits = (computed.fits ?? []).filter(({ systems }) => systems.length > 0);
  const changed = changesSection(computed.fits ?? []);
  const tables = Object.fromEntries(fits.map((one) => [`fit-${one.name}`, fitTables(one)]));
  const rungs = ladder(fits);
  const asked = questionPictures(runs, computed);
  const questions = questionsSection(computed, asked, escapeHtml);
  const specs = Object.fromEntries([...asked, ...pictures].filter((one) => one.spec).map((one) => [one.name, one.spec]));
  const agreed = agreements(computed);
  const links = [
    ...(computed.answers ?? []).map(({ name: file, title }) => [`questions-${file}`, title]),
    ...pictures.map((one) => [one.name, one.title]),
    ...(rungs ? [['ladder', 'The ladder']] : []),
    ...(changed ? [['changes', 'Changes']] : []),
    ...(agreed ? [['agreement', 'Native and simulated']] : []),
    ['numbers', 'Numbers'],
    ['run', 'Run, machine, build'],
  ];
  const where = provenance(runs).map(escapeHtml).join('<br>');
  return `<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>faultline: ${escapeHtml(runs.map(({ results }) => [results.suite, whereOf(results)].filter(Boolean).join(', ')).join('; '))}</title>
<style>${own('page.css')}</style></head><body>
<header><h1>faultline</h1><p>${where}</p>
<nav>${links.map(([id, title]) => `<a href="#${id}">${escapeHtml(title)}</a>`).join(' ')}</nav></header>
<main>
<p class="about">${own('reading.html').trim()}</p>
${questions}
${pictures.map((picture) => section(picture, tables)).join('\n')}
${rungs}
${changed}
${agreed}
<section id="numbers"><h2>Numbers</h2>${numbers(runs)}</section>
<section id="incidents"><h2>What did not go by plan</h2>${incidents(runs)}</section>
<section id="run"><h2>Run, machine, build</h2>${runs.map((run) => provenanceOf(run, runs.length > 1)).join('\n')}</section>
</main>
<script>${bundle('vega')}</script>
<script>${bundle('vega-lite')}</script>
<script>${bundle('vega-embed')}</script>
<script type="application/json" id="specs">${inlineJson(specs)}</script>
<script>${own('page.js')}</script>
</body></html>
`;
}
