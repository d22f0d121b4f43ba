import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

/** A source file: its path from `src/`, its text, and what it imports (paths from `src/`, or names of packages). */
interface Source {
  readonly path: string
  readonly text: string
  readonly imports: readonly string[]
}

/** A rule of ARCHITECTURE.md: its sentence, and each breach of it in one line. */
interface Rule {
  readonly sentence: string
  readonly breaches: (files: readonly Source[]) => string[]
}

/** What each part may import besides itself; it ends at what knows nothing. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  'index.ts': ['open-bridge.ts', 'client', 'model'],
  cli: [
    'service.ts',
    'log.ts',
    'sandbox',
    'config',
    'bridge',
    'client',
    'stores',
    'brokers',
    'model',
    'util',
  ],
  'service.ts': [
    'service',
    'log.ts',
    'http',
    'config',
    'bridge',
    'client',
    'stores',
    'brokers',
    'model',
    'util',
  ],
  service: ['log.ts', 'http', 'config', 'bridge', 'client', 'stores', 'brokers', 'model', 'util'],
  'open-bridge.ts': ['bridge', 'client', 'stores', 'model', 'util'],
  http: ['bridge', 'client', 'brokers', 'model', 'util'],
  bridge: ['client', 'stores', 'brokers', 'model', 'util'],
  client: ['model', 'util'],
  stores: ['model', 'util'],
  brokers: ['model', 'util'],
  config: ['model', 'util'],
  sandbox: ['model', 'util'],
  'log.ts': ['model', 'util'],
  model: ['util'],
  util: [],
}

/** Packages that only some files may know, so that each can be exchanged in one place. */
const PACKAGES: Readonly<Record<string, RegExp>> = {
  '@opentelemetry/api': /^util\/tracing\.ts$/,
  undici: /^client\/(?:transport|oauth|callback|sender-addresses|push\/poll)\.ts$/,
  amqplib: /^brokers\/amqp/,
  kysely: /^(?:stores|brokers\/embedded)/,
  libsql: /^stores\/dialects\//,
  pg: /^stores\/dialects\//,
  mysql2: /^stores\/dialects\//,
  tedious: /^stores\/dialects\//,
  fastify: /^http\//,
  'prom-client': /^http\//,
  commander: /^cli\//,
  ws: /^(?:sandbox|client)\/push\//,
  pino: /^log\.ts$/,
  yaml: /^bridge\/events\/subscriptions\/yaml\.ts$/,
}

/** Longer than 300 lines, and why. */
const LONG_FILES: Readonly<Record<string, string>> = {
  'config/fields.ts': 'the table of all settings',
  'http/metric-list.ts': 'the table of all metrics',
  'stores/schema.ts': 'the table of all tables',
  'client/lane/core.ts': 'one state machine: an item is in exactly one place, and all moves stand together',
  'client/push/core.ts': 'one state machine: the life of a connection, with all its moves',
  'bridge/commands/handle.ts': 'one delivery from what it asks to its one end',
  'brokers/amqp/publishing-channel.ts': 'one publication from its arrival to its confirmation',
}

/** Files that hand a clock on as a default or start a program; everybody else is given the time. */
const CLOCKS =
  /^(?:service\.ts|service\/foundation\.ts|open-bridge\.ts|cli\/.*|http\/server\.ts|client\/(?:credentials|lane\/lane)\.ts|sandbox\/(?:server|certificate)\.ts)$/

const RULES: readonly Rule[] = [
  {
    sentence:
      'Imports run one way: index, cli → service → http → bridge → client | stores | brokers → model → util; ' +
      'service → config → model; cli → sandbox → model; and client, stores, brokers, config and sandbox do not know each other.',
    breaches: everyImport(({ path }, to) => {
      const from = partOf(path)
      const target = partOf(to)
      return from === target || isPackage(to) || (MAY_IMPORT[from]?.includes(target) ?? false)
    }),
  },
  {
    sentence: 'Only service.ts, service/, open-bridge.ts and cli/ name a concrete store or broker.',
    breaches: everyImport(({ path }, to) => {
      const concrete = /^(?:stores|brokers)\/(?!broker\.ts|store\.ts|topology\.ts|errors\.ts)/.test(to)
      return (
        !concrete ||
        partOf(path) === partOf(to) ||
        /^(?:service\.ts|service\/|open-bridge\.ts|cli\/)/.test(path)
      )
    }),
  },
  {
    sentence: 'Outsiders open the sandbox by its index.ts.',
    breaches: everyImport(
      ({ path }, to) => partOf(to) !== 'sandbox' || partOf(path) === 'sandbox' || to === 'sandbox/index.ts',
    ),
  },
  {
    sentence:
      'A package that could be exchanged is imported in one place only (undici: client/transport.ts …).',
    breaches: everyImport(({ path }, to) => PACKAGES[to]?.test(path) ?? true),
  },
  {
    sentence:
      'fetch is called nowhere: requests leave by client/transport.ts, and for tokens by client/oauth.ts.',
    breaches: everyLine(/(?<![\w.])fetch\(/, () => false),
  },
  {
    sentence: 'process.env is read in config/read.ts only.',
    breaches: everyLine(/process\.env/, (path) => path === 'config/read.ts'),
  },
  {
    sentence:
      'Time and randomness are passed in; only service.ts, service/foundation.ts, cli/ and the listed entry files read them.',
    breaches: everyLine(/\b(?:Date\.now|performance\.now|Math\.random)\b|new Date\(\)/, (path) =>
      CLOCKS.test(path),
    ),
  },
  {
    sentence: 'There are no barrels but src/index.ts and src/sandbox/index.ts.',
    breaches: (files) => [
      ...everyLine(/^export \*/, () => false)(files),
      ...files
        .filter(({ path }) => path.endsWith('/index.ts') && path !== 'sandbox/index.ts')
        .map(({ path }) => `${path} is a barrel`),
    ],
  },
  {
    sentence: 'Syntax is erasable: no enum, no namespace, no parameter property.',
    breaches: everyLine(
      /^\s*(?:export )?(?:const )?(?:enum|namespace) \w|constructor\([^)]*\b(?:private|public) /,
      () => false,
    ),
  },
  {
    sentence: 'A file past 300 lines has a second idea inside; what is listed here has its reason beside it.',
    breaches: (files) =>
      files
        .map(({ path, text }) => ({ path, lines: text.split('\n').length - 1 }))
        .filter(({ path, lines }) => lines > 300 && LONG_FILES[path] === undefined)
        .map(({ path, lines }) => `${path} has ${lines} lines`),
  },
]

const SRC = fileURLToPath(new URL('../src', import.meta.url))

describe('the source tree', () => {
  const names = readdirSync(SRC, { recursive: true }) as string[]
  const files = names
    .filter((name) => name.endsWith('.ts'))
    .map((name) => source(name.replaceAll('\\', '/'), readFileSync(join(SRC, name), 'utf8')))

  it.each(RULES.map((rule) => [rule.sentence, rule] as const))('%s', (_, rule) => {
    expect(rule.breaches(files), rule.sentence).toEqual([])
  })

  it('Every folder of src begins with a README of at most twenty lines.', () => {
    const folders = readdirSync(SRC, { withFileTypes: true }).filter((entry) => entry.isDirectory())
    const readmes = names
      .filter((name) => name.endsWith('README.md'))
      .map((name) => name.replaceAll('\\', '/'))
    const without = folders.map(({ name }) => `${name}/README.md`).filter((name) => !readmes.includes(name))
    const long = readmes.filter((name) => lineCount(name) > 20)
    expect({ without, long }).toEqual({ without: [], long: [] })
  })

  it('Every part of src has its place in the order of imports.', () => {
    const parts = [...new Set(files.map(({ path }) => partOf(path)))]
    expect(parts.filter((part) => MAY_IMPORT[part] === undefined)).toEqual([])
  })
})

describe('the rules', () => {
  it('see what breaks them', () => {
    const wrong: [string, string][] = [
      ['client/a.ts', "import { open } from '../stores/open.ts'"],
      ['bridge/b.ts', "import { openBroker } from '../brokers/open.ts'"],
      ['cli/c.ts', "import type { Fault } from '../sandbox/faults.ts'"],
      ['http/d.ts', "import {\n  Pool,\n  type Agent,\n} from 'undici'"],
      ['client/e.ts', 'const answer = await fetch(url)'],
      ['http/f.ts', 'const port = process.env.PORT'],
      ['bridge/g.ts', 'const now = Date.now()'],
      ['client/index.ts', "export * from './client.ts'"],
      ['model/i.ts', 'export enum Colour {}'],
      ['util/j.ts', '\n'.repeat(301)],
    ]
    const seen = wrong.map(([path, text]) =>
      RULES.filter((rule) => rule.breaches([source(path, text)]).length > 0),
    )
    expect(seen.map((rules) => rules.length > 0)).toEqual(wrong.map(() => true))
    expect(new Set(seen.flat()).size).toBe(RULES.length)
  })

  it('see imports that stand over several lines or inside a function', () => {
    const text =
      "import {\n  a,\n  type B,\n} from '../model/a.ts'\nconst c = await import('./c.ts')\nimport './d.ts'\n"
    expect(source('client/x.ts', text).imports).toEqual(['model/a.ts', 'client/d.ts', 'client/c.ts'])
  })
})

const STATIC_IMPORT = /^(?:import|export)\s(?:[\w*{},\s$]*?\sfrom\s+)?'([^']+)'/gm
const DYNAMIC_IMPORT = /\bimport\('([^']+)'\)/g

function source(path: string, text: string): Source {
  const named = [...text.matchAll(STATIC_IMPORT), ...text.matchAll(DYNAMIC_IMPORT)].map(
    (match) => match[1] as string,
  )
  const imports = named.map((name) =>
    name.startsWith('.') ? normalize(join(dirname(path), name)).replaceAll('\\', '/') : name,
  )
  return { path, text, imports }
}

/** The folder of a file, or the file itself when it stands in `src/`. */
function partOf(path: string): string {
  return path.split('/', 1)[0] as string
}

function isPackage(path: string): boolean {
  return !path.endsWith('.ts')
}

function everyImport(allowed: (file: Source, to: string) => boolean): Rule['breaches'] {
  return (files) =>
    files.flatMap((file) =>
      file.imports.filter((to) => !allowed(file, to)).map((to) => `${file.path} imports ${to}`),
    )
}

/** Lines of code that hold something, comments left out. */
function everyLine(pattern: RegExp, allowed: (path: string) => boolean): Rule['breaches'] {
  return (files) =>
    files
      .filter(({ path }) => !allowed(path))
      .flatMap(({ path, text }) =>
        text
          .split('\n')
          .map((line, index) => ({ line, number: index + 1 }))
          .filter(({ line }) => !/^\s*(?:\/?\*|\/\/)/.test(line) && pattern.test(line))
          .map(({ line, number }) => `${path}:${number} ${line.trim()}`),
      )
}

function lineCount(name: string): number {
  return readFileSync(join(SRC, name), 'utf8').trimEnd().split('\n').length
}
