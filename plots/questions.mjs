// The pictures and the section of questions that people argued over. The sentences come from
// faultline (results/questions.cpp), which makes them from the numbers.
import { readFileSync } from 'node:fs';
import { provenance } from './pictures.mjs';

const here = new URL('.', import.meta.url);
const readJson = (name) => JSON.parse(readFileSync(new URL(name, here), 'utf8'));
const style = readJson('style.json');

const seriesOf = ({ what, base, other, measure }) => `${what}: ${other} over ${base}${measure === 'throughput' ? '' : `, ${measure}`}`;

function ratioRows({ comparisons }) {
  return comparisons.flatMap((comparison) =>
    comparison.machines.flatMap(({ where, points }) =>
      points
        .filter(({ ratio }) => ratio)
        .map(({ cpus, ratio, doubtful }) => ({ panel: where, series: seriesOf(comparison), threads: cpus, ...ratio, doubtful })),
    ),
  );
}

// The parts of a bar, in their order.
const parts = [
  ['work', 'work', style.times.work],
  ['waiting', 'waiting for locks', style.times.sleeping],
  ['stall', 'stalls for cache lines', style.labels[1]],
  ['shootdown', 'shootdowns', style.times.shootdown],
];

/** The shares at the most CPUs of each machine. */
function shareRows({ shares }) {
  return shares.flatMap(({ what, machines }) =>
    machines.flatMap(({ where, points }) => {
      const last = points[points.length - 1];
      return parts
        .filter(([key]) => last[key] !== undefined)
        .map(([key, part], rank) => ({
          panel: `${where}, at ${last.cpus}`,
          what: last.doubtful ? `${what} ?` : what,
          part,
          rank,
          share: last[key],
          doubtful: last.doubtful,
        }));
    }),
  );
}

function framed(file, question, rows, runs) {
  const spec = readJson(file);
  spec.title = { text: question, subtitle: provenance(runs) };
  spec.config = style.config;
  spec.columns = Math.min(spec.columns, new Set(rows.map((row) => row.panel)).size);
  spec.data = { values: rows };
  return spec;
}

function ratioSpec({ question }, rows, runs) {
  const spec = framed('ratios.vl.json', question, rows, runs);
  const domain = [...new Set(rows.map((row) => row.series))];
  const colours = { domain, range: domain.map((_, i) => style.labels[i % style.labels.length]) };
  const shapes = { domain, range: domain.map((_, i) => style.line_shapes[i % style.line_shapes.length]) };
  const points = spec.spec.layer[spec.spec.layer.length - 1].encoding;
  spec.spec.encoding.color.scale = colours;
  points.fill.scale = colours;
  points.shape.scale = shapes;
  return spec;
}

function shareSpec({ question }, rows, runs) {
  const spec = framed('shares.vl.json', question, rows, runs);
  spec.spec.encoding.color.scale = { domain: parts.map(([, part]) => part), range: parts.map(([, , colour]) => colour) };
  return spec;
}

/** The names of a question's two pictures. `file`: the name of its file. */
const pictureNames = (file, { name }) => [`question-${file}-${name}`, `question-${file}-${name}-shares`];

/** [{name, title, spec}] of the questions that these results answer. */
export function questionPictures(runs, computed) {
  return (computed.answers ?? []).flatMap(({ name: file, questions }) =>
    questions.flatMap((question) => {
      const [ratioName, shareName] = pictureNames(file, question);
      const ratios = ratioRows(question);
      const shares = shareRows(question);
      const title = question.question;
      return [
        ...(ratios.length > 0 ? [{ name: ratioName, title, spec: ratioSpec(question, ratios, runs) }] : []),
        ...(shares.length > 0 ? [{ name: shareName, title, spec: shareSpec(question, shares, runs) }] : []),
      ];
    }),
  );
}

function questionHtml(file, question, drawn, escape) {
  const said = question.said.map((text) => `<li>${escape(text)}</li>`).join('');
  const pictures = pictureNames(file, question)
    .filter((name) => drawn.has(name))
    .map((name) => `<div class="wide"><div class="picture" id="picture-${name}"></div></div>`)
    .join('');
  const sentences = [...question.comparisons.map((one) => [seriesOf(one), one]), ...question.shares.map((one) => [one.what, one])].flatMap(
    ([what, { machines }]) =>
      machines.length === 0
        ? [`<li><b>${escape(what)}</b>: no case in these results.</li>`]
        : machines.map(({ where, sentence }) => `<li><b>${escape(what)}</b>. ${escape(where)}: ${escape(sentence)}</li>`),
  );
  const open = question.open.map((text) => `<li class="soft">Not measured: ${escape(text)}.</li>`);
  return `<h3>${escape(question.question)}</h3><ul class="about">${said}</ul>${pictures}<ul>${[...sentences, ...open].join('')}</ul>`;
}

/** The section of each file of questions; empty without answers. `pictures`: what questionPictures returned. */
export function questionsSection(computed, pictures, escape) {
  const drawn = new Set(pictures.map(({ name }) => name));
  return (computed.answers ?? [])
    .map(({ name: file, title, source, questions }) => {
      const about =
        'Each claim with who made it, then what was measured. A ratio above 1 is in favour of the first of two names; for a latency, ' +
        'against it. An interval that contains 1 decides nothing. White points are doubtful.';
      const list = questions.map((question) => questionHtml(file, question, drawn, escape)).join('\n');
      return `<section id="questions-${file}"><h2>${escape(title)}</h2><p class="about">${about} ${escape(source)}</p>${list}</section>`;
    })
    .join('\n');
}
