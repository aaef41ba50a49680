// node render.mjs [--html FILE] [--svg DIR] [--computed] RESULTS.json...
// Draws the pictures of one or more results. With --computed it reads from standard input, as JSON, the statistics
// that faultline computed over all of them. Bad input is one line on stderr and exit code 2, as in all of faultline.
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { load } from './rows.mjs';
import { makePictures } from './pictures.mjs';
import { makePage, escapeHtml } from './page.mjs';
import { questionPictures } from './questions.mjs';

function parse(args) {
  const options = { files: [], computed: {} };
  while (args.length > 0) {
    const arg = args.shift();
    if (arg === '--html') options.html = args.shift();
    else if (arg === '--svg') options.svg = args.shift();
    else if (arg === '--computed') options.computed = JSON.parse(readFileSync(0, 'utf8'));
    else options.files.push(arg);
  }
  if (options.files.length === 0) throw new Error('no results, expected one file or more');
  return options;
}

/** Writes a file whole: whenever the name is read, it has either the former content or all of the new one. */
function writeWhole(path, text) {
  const temporary = `${path}.${process.pid}.tmp`;
  try {
    writeFileSync(temporary, text);
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw new Error(`cannot write, ${path}: ${error.code ?? error.message}, expected a writable place with room`);
  }
}

/** The SVG of a picture without rows: it says that nothing was measured, and on which machine. */
function sentenceSvg(picture) {
  const lines = [picture.title, ...picture.subtitle, picture.missing];
  const text = lines.map(
    (line, i) => `<text x="10" y="${24 + 22 * i}" font-size="${i === 0 ? 17 : 13}">${escapeHtml(line)}</text>`,
  );
  const size = `width="900" height="${lines.length * 22 + 20}"`;
  return `<svg xmlns="http://www.w3.org/2000/svg" ${size} font-family="sans-serif">${text.join('')}</svg>\n`;
}

async function drawSvgs(pictures, folder) {
  const vega = await import('vega');
  const vegaLite = await import('vega-lite');
  try {
    mkdirSync(folder, { recursive: true });
  } catch (error) {
    throw new Error(`cannot write, ${folder}: ${error.code ?? error.message}, expected a directory or a new name`);
  }
  for (const picture of pictures) {
    let svg = picture.spec ? '' : sentenceSvg(picture);
    if (picture.spec) {
      const logger = vega.logger(vega.Error);
      const compiled = vegaLite.compile(picture.spec, { logger }).spec;
      const view = new vega.View(vega.parse(compiled), { renderer: 'none', logger });
      svg = await view.toSVG();
      view.finalize();
    }
    writeWhole(join(folder, `${picture.name}.svg`), svg);
  }
}

try {
  const options = parse(process.argv.slice(2));
  const runs = load(options.files, options.computed.axes ?? [], options.computed.results);
  const pictures = makePictures(runs, options.computed);
  if (options.svg) await drawSvgs([...questionPictures(runs, options.computed), ...pictures], options.svg);
  if (options.html) writeWhole(options.html, makePage(runs, pictures, options.computed));
} catch (error) {
  process.stderr.write(`${String(error.message ?? error).split('\n')[0]}\n`);
  process.exit(2);
}
