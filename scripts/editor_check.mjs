// Does an editor complete, explain and check recipes? Asks yaml-language-server, which VS Code and others use, over stdio.
//
//   node scripts/editor_check.mjs [--schema FILE] [--server FOLDER]
//
// FILE is recipes/schema.json unless given. FOLDER (or the variable EDITOR_CHECK_SERVER) holds node_modules with the server;
// without it the server is installed into a temporary folder with npm. One line per check; exit status 1 if any failed.

import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';

const VERSION = '2.0.0';
const PATIENCE_MS = 30_000;
const CURSOR = '‸';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const { values: options } = parseArgs({ options: { schema: { type: 'string' }, server: { type: 'string' } } });
const schema = path.resolve(options.schema ?? path.join(root, 'recipes/schema.json'));
if (!existsSync(schema)) {
  console.error(`${schema} does not exist: write it with \`cargo xtask regenerate\`, or give --schema FILE`);
  process.exit(1);
}

/** A folder with the server, and whether it is ours to remove. */
function installed() {
  const given = options.server ?? process.env.EDITOR_CHECK_SERVER;
  if (given) return { folder: path.resolve(given), temporary: false };
  const folder = mkdtempSync(path.join(tmpdir(), 'editor_check-'));
  // Without a package file npm would install into a folder above.
  writeFileSync(path.join(folder, 'package.json'), '{"private": true}');
  const words = ['install', `yaml-language-server@${VERSION}`, '--no-save', '--no-audit', '--no-fund', '--loglevel=error'];
  execFileSync('npm', words, { cwd: folder, stdio: ['ignore', 'ignore', 'inherit'], shell: process.platform === 'win32' });
  return { folder, temporary: true };
}

/** The client's side of the language server protocol, as much of it as the checks need. */
class Editor {
  constructor(folder) {
    const program = path.join(folder, 'node_modules/yaml-language-server/bin/yaml-language-server');
    if (!existsSync(program)) throw new Error(`${folder} holds no node_modules/yaml-language-server`);
    this.child = spawn(process.execPath, [program, '--stdio'], { stdio: ['pipe', 'pipe', 'ignore'] });
    this.settings = { yaml: { validate: true, hover: true, completion: true, schemaStore: { enable: false } } };
    this.bytes = Buffer.alloc(0);
    this.answers = new Map();
    this.problems = new Map();
    this.number = 0;
    this.child.stdout.on('data', (chunk) => this.receive(chunk));
  }

  receive(chunk) {
    this.bytes = Buffer.concat([this.bytes, chunk]);
    for (;;) {
      const end = this.bytes.indexOf('\r\n\r\n');
      const length = end < 0 ? NaN : Number(/Content-Length: *(\d+)/i.exec(this.bytes.toString('latin1', 0, end))[1]);
      if (!(this.bytes.length >= end + 4 + length)) return;
      const message = JSON.parse(this.bytes.toString('utf8', end + 4, end + 4 + length));
      this.bytes = this.bytes.subarray(end + 4 + length);
      if (message.method === 'textDocument/publishDiagnostics') {
        this.problems.get(message.params.uri)?.(message.params.diagnostics);
      } else if (message.method && message.id !== undefined) {
        const items = message.params?.items ?? [];
        this.send({ id: message.id, result: items.map(({ section }) => this.settings[section] ?? null) });
      } else if (message.id !== undefined) {
        const { resolve, reject } = this.answers.get(message.id);
        message.error ? reject(new Error(message.error.message)) : resolve(message.result);
      }
    }
  }

  send(message) {
    const text = JSON.stringify({ jsonrpc: '2.0', ...message });
    this.child.stdin.write(`Content-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`);
  }

  request(method, params) {
    const id = ++this.number;
    this.send({ id, method, params });
    return patiently(method, new Promise((resolve, reject) => this.answers.set(id, { resolve, reject })));
  }

  async start() {
    const item = { snippetSupport: true, documentationFormat: ['markdown', 'plaintext'] };
    const textDocument = { completion: { completionItem: item }, hover: { contentFormat: ['markdown'] } };
    const capabilities = { workspace: { configuration: true }, textDocument };
    await this.request('initialize', { processId: process.pid, rootUri: null, capabilities });
    this.send({ method: 'initialized', params: {} });
    this.send({ method: 'workspace/didChangeConfiguration', params: { settings: this.settings } });
  }

  /** Opens a text; a promise of what is wrong with it comes with its address. */
  open(text, file = path.join(root, 'recipes', `editor_check_${++this.number}.yaml`)) {
    const uri = pathToFileURL(file).href;
    const problems = new Promise((resolve) => this.problems.set(uri, resolve));
    this.send({ method: 'textDocument/didOpen', params: { textDocument: { uri, languageId: 'yaml', version: 1, text } } });
    return { uri, problems: patiently(`problems of ${file}`, problems) };
  }

  ask(method, marked) {
    const text = withSchema(marked);
    const before = text.slice(0, text.indexOf(CURSOR)).split('\n');
    const { uri, problems } = this.open(text.replace(CURSOR, ''));
    problems.catch(() => {});
    const position = { line: before.length - 1, character: before.at(-1).length };
    return this.request(`textDocument/${method}`, { textDocument: { uri }, position });
  }

  /** What is offered at the cursor: each label with its documentation. */
  async completions(marked) {
    const list = await this.ask('completion', marked);
    const items = Array.isArray(list) ? list : (list?.items ?? []);
    return new Map(items.map(({ label, documentation: text }) => [label, (text?.value ?? text ?? '').trim()]));
  }

  async hover(marked) {
    const { contents } = (await this.ask('hover', marked)) ?? {};
    return (contents?.value ?? contents ?? '').replace(/^Source: .*$/m, '').trim();
  }

  /** What is wrong with a text, as `line: message`; lines count from 1, without the line that names the schema. */
  async wrong(text) {
    const found = await this.open(withSchema(text)).problems;
    return found.map(({ range, message }) => `${range.start.line}: ${message}`);
  }
}

async function patiently(what, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${PATIENCE_MS / 1000} s: ${what}`)), PATIENCE_MS);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

const withSchema = (text) => `# yaml-language-server: $schema=${pathToFileURL(schema).href}\n${text}`;
const show = (value) => JSON.stringify(value instanceof Map ? [...value.keys()] : value);

let failures = 0;
async function check(name, run) {
  try {
    await run();
    console.log(`ok      ${name}`);
  } catch (error) {
    failures += 1;
    console.log(`FAILED  ${name}: ${error.message}`);
  }
}

function offers(items, wanted, unwanted = []) {
  const missing = wanted.filter((label) => !items.has(label));
  const extra = unwanted.filter((label) => items.has(label));
  if (missing.length || extra.length) {
    throw new Error(`lacks ${show(missing)}, should not have ${show(extra)}, offered ${show(items)}`);
  }
}

function explained(items, labels) {
  const bare = labels.filter((label) => !items.get(label));
  if (bare.length) throw new Error(`no explanation beside ${show(bare)}`);
}

function says(text, ...wanted) {
  const missing = wanted.filter((part) => (part instanceof RegExp ? !part.test(text) : !part || !text.includes(part)));
  if (missing.length) throw new Error(`lacks ${missing.map(String).join(', ')}: ${show(text)}`);
}

function clean(problems) {
  if (problems.length) throw new Error(problems.join('; '));
}

/** Exactly one problem, on this line, that names what is wrong or what would be right. */
function one(problems, line, pattern) {
  if (problems.length !== 1 || !problems[0].startsWith(`${line}: `) || !pattern.test(problems[0])) {
    throw new Error(`expected one problem on line ${line} with ${pattern}, found ${show(problems)}`);
  }
}

async function checks(editor) {
  const otam = ['lambda', 'direction', 'shots', 'cosine'];
  const others = ['cardinalities', 'position_scale', 'gamma'];
  const slots = ['task', 'dataset', 'frames', 'augment', 'backbone', 'prompt', 'adapter', 'prototype'];
  slots.push('alignment', 'objective', 'optimizer', 'schedule');
  const keys = ['name', 'description', 'seed', 'device', 'precision', 'compute', 'expect', 'study', 'extends'];
  const directions = ['both', 'query_to_support', 'support_to_query'];
  const extended = (text) => `extends: parts/method.yaml\n${text}`;
  let components = new Map();
  let given = new Map();

  await check('an empty recipe completes slots and keys', async () => {
    const items = await editor.completions(CURSOR);
    offers(items, [...slots, ...keys]);
    explained(items, slots);
  });
  await check('a begun key completes', async () => {
    offers(await editor.completions(`name: x\nal${CURSOR}`), ['alignment'], ['name']);
  });
  await check('`type:` completes to the components, each with its summary', async () => {
    components = await editor.completions(`alignment:\n  type: ${CURSOR}`);
    offers(components, ['otam', 'trx', 'mean_cosine'], ['multimodal', 'lambda']);
    explained(components, [...components.keys()]);
  });
  await check('`type:` completes in flow style', async () => {
    offers(await editor.completions(`adapter: {type: ${CURSOR}}`), ['none', 'multimodal'], ['otam']);
  });
  await check('a slot completes the options of its component, not of another', async () => {
    given = await editor.completions(`alignment:\n  type: otam\n  ${CURSOR}`);
    offers(given, otam, [...others, 'type']);
    explained(given, otam);
  });
  await check('a begun option completes', async () => {
    offers(await editor.completions(`alignment:\n  type: otam\n  lambda: 0.1\n  d${CURSOR}`), ['direction'], [...others, 'lambda']);
  });
  await check('a begun option completes in flow style', async () => {
    offers(await editor.completions(`alignment: {type: otam, d${CURSOR}}`), ['direction'], others);
  });
  await check('an empty slot completes `type`', async () => {
    offers(await editor.completions(`alignment:\n  ${CURSOR}`), ['type']);
  });
  await check('an empty slot of a recipe that extends another completes options too', async () => {
    offers(await editor.completions(extended(`alignment:\n  ${CURSOR}`)), ['type', ...otam]);
  });
  await check('a choice completes its values, each with its meaning', async () => {
    const items = await editor.completions(`alignment:\n  type: otam\n  direction: ${CURSOR}`);
    offers(items, directions);
    explained(items, directions);
  });
  await check('a variant completes slots and dotted paths', async () => {
    const items = await editor.completions(`study:\n  variants:\n    a:\n      ${CURSOR}`);
    offers(items, ['extends', 'alignment', 'adapter.type', 'task.shot', 'alignment.lambda']);
  });
  await check('a dotted `type` completes to the components', async () => {
    offers(await editor.completions(`study:\n  variants:\n    a:\n      adapter.type: ${CURSOR}`), ['none', 'multimodal']);
  });

  await check("hover on `type`'s value is the component's summary", async () => {
    says(await editor.hover(`alignment:\n  type: ot${CURSOR}am\n`), components.get('otam'));
    says(await editor.hover(`alignment:\n  type: t${CURSOR}rx\n`), components.get('trx'));
  });
  await check('hover on an option is its description and default', async () => {
    const text = await editor.hover(`alignment:\n  type: otam\n  lam${CURSOR}bda: 0.3\n`);
    says(text, given.get('lambda'), /default\W+0\.1\b/i);
  });
  await check('hover on a choice is its description, default and values', async () => {
    const text = await editor.hover(`alignment:\n  type: otam\n  dir${CURSOR}ection: both\n`);
    says(text, given.get('direction'), /default\W+both\b/i, ...directions);
  });
  await check('hover on an option whose value is a reference', async () => {
    says(await editor.hover(`alignment:\n  type: otam\n  lam${CURSOR}bda: \${env:L}\n`), given.get('lambda'));
    says(await editor.hover(`alignment:\n  type: otam\n  dir${CURSOR}ection: \${env:D}\n`), given.get('direction'));
  });
  await check('hover on a slot and on a dotted path', async () => {
    says(await editor.hover(`align${CURSOR}ment: {type: otam}\n`), /\w{3}/);
    says(await editor.hover(`study:\n  variants:\n    a: {alignment.lam${CURSOR}bda: 1}\n`), given.get('lambda'));
  });

  const wrong = [
    ['a misspelt slot', 'alingment: {type: otam}\n', /alingment/],
    ['a misspelt option', 'alignment: {type: otam, lamda: 0.1}\n', /lamda/],
    ['a misspelt option of a slot without `type`', 'alignment: {lamda: 0.1}\n', /lamda/],
    ["another component's option", 'alignment: {type: otam, cardinalities: [2]}\n', /cardinalities/],
    ['an unknown component', 'alignment: {type: otm}\n', /otam/],
    ['an unknown choice', 'alignment: {type: otam, direction: sideways}\n', /query_to_support/],
    ['a text for a number', 'alignment: {type: otam, lambda: much}\n', /number/],
    ['a number for a list', 'alignment: {type: trx, cardinalities: 2}\n', /array|list/],
    ['a misspelt dotted path', 'study: {variants: {a: {adapter.typ: none}}}\n', /adapter\.typ/],
    ['an unknown component in a dotted path', 'study: {variants: {a: {adapter.type: nine}}}\n', /none/],
  ];
  for (const [name, text, pattern] of wrong) {
    await check(`reported: ${name}`, async () => one(await editor.wrong(extended(text)), 2, pattern));
  }
  await check('reported: a slot without `type` in a recipe that extends none', async () => {
    const problems = await editor.wrong('alignment: {lambda: 0.1}\n');
    if (!problems.some((problem) => problem.startsWith('1: ') && /type/.test(problem))) throw new Error(show(problems));
  });

  const right = [
    ['references in place of values', 'alignment: {type: otam, lambda: "${task.way}", direction: "${env:D:-both}"}\n'],
    ['a slot without `type` in a recipe that extends another', 'alignment: {lambda: 0.3}\n'],
    ['a variant with dotted and nested changes', 'study: {variants: {a: {adapter.type: none, task: {shot: 5}}, b: {}}}\n'],
    ['merge keys', 'alignment: &a {type: otam}\nstudy: {variants: {a: {alignment: {<<: *a, lambda: 1}}}}\n'],
  ];
  for (const [name, text] of right) {
    await check(`not reported: ${name}`, async () => clean(await editor.wrong(extended(text))));
  }

  const recipes = readdirSync(path.join(root, 'recipes'), { recursive: true }).filter((file) => file.endsWith('.yaml'));
  for (const file of recipes.sort()) {
    const place = path.join(root, 'recipes', file);
    const text = readFileSync(place, 'utf8');
    await check(`nothing wrong in recipes/${file.replaceAll(path.sep, '/')}`, async () => {
      // With the schema that it names itself, if it does and none other was asked for.
      const own = /^# yaml-language-server:/m.test(text) && !options.schema;
      const others = text.replace(/^# yaml-language-server:/gm, '# (not this schema)');
      const found = await editor.open(own ? text : withSchema(others), place).problems;
      clean(found.map(({ range, message }) => `${range.start.line + (own ? 1 : 0)}: ${message}`));
    });
  }
}

const { folder, temporary } = installed();
let editor;
try {
  editor = new Editor(folder);
  await editor.start();
  await checks(editor);
} catch (error) {
  failures += 1;
  console.log(`FAILED  ${error.message}`);
} finally {
  editor?.child.kill();
  if (temporary) rmSync(folder, { recursive: true, force: true });
}
console.log(failures ? `${failures} failed` : 'all passed');
process.exitCode = failures ? 1 : 0;
