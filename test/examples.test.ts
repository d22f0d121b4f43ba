import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { type ConsumeMessage, connect } from 'amqplib'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import {
  type AppAction,
  type AppOutcome,
  createSandbox,
  type PortalWork,
  type Sandbox,
  type SandboxStats,
  type Trigger,
} from '../src/sandbox/index.ts'
import { builtFolder, needsBuilt } from './support/built.ts'
import { amqpNote, amqpUrl } from './support/engines.ts'

const run = promisify(execFile)
const ROOT = fileURLToPath(new URL('..', import.meta.url))
// A checkout as a newcomer has it after `npm ci && npm run build`; inside node_modules it finds its dependencies.
const CHECKOUT = join(ROOT, 'node_modules', '.cache', `b24-examples-${process.pid}`)
const MAIN = join(CHECKOUT, 'dist', 'cli', 'main.js')
const TSC = join(ROOT, 'node_modules', '.bin', 'tsc')
/** The webhook that pages name; the tests put the sandbox's in its place. */
const EXAMPLE_WEBHOOK = 'https://example.bitrix24.com/rest/1/abc123def456/'
const PROGRAM_PAGES = [
  'README.md',
  'docs/library.md',
  'docs/loops.md',
  'docs/sandbox.md',
  'docs/sandbox-handlers.md',
]

needsBuilt()
beforeAll(() => {
  mkdirSync(CHECKOUT, { recursive: true })
  cpSync(join(builtFolder(), 'dist'), join(CHECKOUT, 'dist'), { recursive: true })
  cpSync(join(ROOT, 'package.json'), join(CHECKOUT, 'package.json'))
  cpSync(join(ROOT, 'examples'), join(CHECKOUT, 'examples'), { recursive: true })
}, 120_000)

afterAll(() => rmSync(CHECKOUT, { recursive: true, force: true }))

describe('examples', () => {
  it('library.mjs prints what it promises', async () => {
    expect(await example('library.mjs')).toEqual([
      '100 deals in 2 requests, the last is "Deal 100"',
      'Elena works in Head office',
      '1000 rows',
      'refused: Not found, may have run: false',
    ])
  })

  it('http.mjs speaks with a running bridge', async () => {
    const { http } = await startBridge({})
    expect(await example('http.mjs', { BRIDGE_HTTP: http })).toEqual([
      'done: Deal 7',
      'the same deal both times: true',
      '202: pending',
      'done: a deal was added',
    ])
  })

  it.skipIf(amqpUrl === undefined)(`rabbitmq.mjs gets a reply to each command${amqpNote}`, async () => {
    const queues = await ownQueues()
    const { sandbox } = await startBridge({ BRIDGE_BROKER: amqpUrl as string, ...queues })
    const [first, ...replies] = await example('rabbitmq.mjs', { BRIDGE_BROKER: amqpUrl as string, ...queues })
    expect(first).toBe('4 commands are in the queue')
    const titles = ['Carpets', 'Chairs', 'Lamps', 'Tables']
    expect(replies.sort()).toEqual(
      titles.map((title) => expect.stringMatching(new RegExp(`^${title}: deal 10\\d\\d$`))),
    )
    expect(sandbox.stats().writes).toBe(4)
  })
})

describe.skipIf(amqpUrl === undefined)(`examples/README.md${amqpNote}`, { timeout: 120_000 }, () => {
  it('echo-bot.mjs says back what was said, once even when it is told twice', async () => {
    const { work, tellAgain, times } = await play('echo-bot.mjs')
    const chats = (await work()).chats.map(({ messages }) => messages.map(({ text }) => text))
    expect(chats).toEqual([
      ['Hello', 'Hello'],
      ['Hello', 'Hello'],
    ])
    expect(await tellAgain(2)).toEqual(['"Hello" said back: done', '"Hello" said back: done'])
    expect(await times('imbot.message.add')).toBe(1)
    expect(await times('imbot.v2.chat.message.send')).toBe(1)
  })

  it('message-provider.mjs sends a message, and reports it once even when it is told twice', async () => {
    const { work, tellAgain, times, trigger } = await play('message-provider.mjs')
    expect((await work()).textMessages).toEqual([
      expect.objectContaining({ to: '+4915100000', body: 'The chairs are here', status: 'delivered' }),
    ])
    expect(await tellAgain(2)).toEqual(['sent reported: done', 'delivered reported: done'])
    expect(await times('messageservice.message.status.update')).toBe(2)

    // Of a message without an author only the handler's address says whence it comes.
    const anonymous = { to: '+4915100001', text: 'From a workflow', authorId: 0 }
    await trigger({ do: 'sms', clientId: 'local.examples', code: 'example-sms', ...anonymous })
    const statuses = async () => (await work()).textMessages.map(({ status }) => status)
    await expect.poll(statuses, { timeout: 30_000 }).toEqual(['delivered', 'delivered'])
  })

  it('robot.mjs gives the price to the workflow, which goes on; it is answered once even when it is told twice', async () => {
    const { work, tellAgain, times } = await play('robot.mjs')
    expect((await work()).workflows).toEqual([
      expect.objectContaining({ state: 'answered', returnValues: { price: 270 }, log: ['Deal 7: 270'] }),
    ])
    expect(await tellAgain(1)).toEqual(['Deal 7: 270, answered: done'])
    expect(await times('bizproc.event.send')).toBe(1)
  })

  it('new-deals.mjs writes once, does not answer its own change, nor what it is told twice', async () => {
    const { tellAgain, times } = await play('new-deals.mjs')
    const inStep = 'deal 1001, Chairs: in step'
    expect(await tellAgain(2)).toEqual([inStep, inStep])
    expect(await times('crm.deal.update')).toBe(1)
  })

  it('colour-field.mjs shows a field in the frame of the portal, and nobody else is answered', async () => {
    const { pages } = await play('colour-field.mjs')
    expect((await fetch(pages, { method: 'POST' })).status).toBe(403)
    const forged = { 'x-b24-context': 'e30.eyJleHAiOjllOX0.AAAA' }
    expect((await fetch(pages, { method: 'POST', headers: forged })).status).toBe(403)
  })

  it('deal-link.mjs shows the deal of a link with the rights of the one who clicked', async () => {
    const { pages, times, visit } = await play('deal-link.mjs')
    expect(await times('crm.deal.get')).toBe(1)
    const link = '/marketplace/view/local.examples/?params[deal]=70000'
    const { visit: seen } = await visit({ do: 'visit', clientId: 'local.examples', link, userId: 2 })
    expect(seen).toEqual({ status: 200, contentType: expect.stringMatching('text/html'), framed: true })
    expect((await fetch(pages, { method: 'POST' })).status).toBe(403)
  })

  /** Does what the page says for one of its programs, and waits until it has printed what stands there. */
  async function play(name: string) {
    const [portalPort, bridgePort, pagesPort] = [await freePort(), await freePort(), await freePort()]
    const folder = emptyFolder()
    const examples = join(folder, 'examples')
    cpSync(join(ROOT, 'examples'), examples, { recursive: true })
    // Others on this machine may use the usual ports and queues.
    const here = (text: string): string =>
      text
        .replaceAll('127.0.0.1:9000', `127.0.0.1:${portalPort}`)
        .replaceAll('127.0.0.1:8000', `127.0.0.1:${bridgePort}`)
        .replaceAll(/127\.0\.0\.1:810[01]/g, `127.0.0.1:${pagesPort}`)
        .replace(/^BRIDGE_BROKER=.*$/m, `BRIDGE_BROKER=${amqpUrl}`)
        .replaceAll('npx b24-bridge', `${process.execPath} ${MAIN}`)
    const file = join(examples, 'subscriptions.yaml')
    writeFileSync(file, here(readFileSync(file, 'utf8')))
    const queues = await ownQueues()
    const options = {
      cwd: folder,
      env: {
        ...{
          PATH: process.env.PATH,
          BRIDGE_BROKER: amqpUrl,
          BRIDGE_HTTP: `127.0.0.1:${bridgePort}`,
          ...queues,
        },
        ...{ EXAMPLE_PORT: String(portalPort), EXAMPLE_BRIDGE: `http://127.0.0.1:${bridgePort}` },
        EXAMPLE_PAGES_PORT: String(pagesPort),
      },
    }
    const begin = (command: string) => spawn('bash', ['-ec', `exec ${here(command)}`], options)
    const text = page('examples/README.md')
    const [settings, portal, bridge] = blocks(sectionOf(text, 'A portal that calls'), 'sh')
    await run('bash', ['-ec', here(settings?.text ?? '')], options)
    // A webhook of the same portal, older than the application, must not be taken for what only that may do.
    const webhook = `http://127.0.0.1:${portalPort}/rest/1/s3cr3t/`
    await run(process.execPath, [MAIN, 'portals', 'add', '--webhook', webhook, '--no-check'], options)
    await Promise.all([
      started(begin(portal?.text ?? ''), /Buttons for each/),
      started(begin(bridge?.text ?? ''), /service\.ready/),
    ])

    const section = sectionOf(text, name, '###')
    const [program, call] = blocks(section, 'sh')
    const expected = (blocks(section, 'text')[0]?.text ?? '').trim().split('\n')
    const told = await listenToEvents(queues)
    const child = begin(program?.text ?? '')
    let printed = ''
    child.stdout.on('data', (chunk: Buffer) => {
      printed += String(chunk)
    })
    const lines = (): string[] => printed.trim().split('\n')
    await started(child, /listen/)
    await run('bash', ['-ec', here(call?.text ?? '')], options)
    const patience = { timeout: 30_000 }
    await expect.poll(() => lines().length, patience).toBe(expected.length)
    // Several answers may overtake each other.
    expect(lines().sort()).toEqual(expected.sort())

    const control = `http://127.0.0.1:${portalPort}/__sandbox`
    const look = async <T>(what: string) => (await (await fetch(`${control}/${what}`)).json()) as T
    return {
      work: () => look<PortalWork>('work'),
      trigger: (what: Trigger) =>
        fetch(`${control}/triggers`, { method: 'POST', body: JSON.stringify(what) }),
      pages: `http://127.0.0.1:${pagesPort}/`,
      visit: async (action: AppAction) => {
        const answer = await fetch(`${control}/apps`, { method: 'POST', body: JSON.stringify(action) })
        return (await answer.json()) as AppOutcome
      },
      times: async (method: string) => (await look<SandboxStats>('stats')).commands[method] ?? 0,
      /** Delivers everything once more, and gives the lines that the program prints then. */
      async tellAgain(count: number): Promise<string[]> {
        const before = lines().length
        told.again()
        await expect.poll(() => lines().length, patience).toBe(before + count)
        return lines().slice(before)
      },
    }
  }

  /** Hears what the program hears. */
  async function listenToEvents({ BRIDGE_EVENTS_EXCHANGE: exchange = '', EXAMPLE_QUEUE: queue = '' }) {
    const connection = await connect(amqpUrl as string)
    onTestFinished(() => connection.close())
    const channel = await connection.createChannel()
    const heard: ConsumeMessage[] = []
    const own = await channel.assertQueue('', { exclusive: true })
    for (const key of ['bot.#', 'message.#', 'robot.#', 'event.#'])
      await channel.bindQueue(own.queue, exchange, key)
    await channel.consume(own.queue, (message) => message && heard.push(message), { noAck: true })
    return {
      again(): void {
        for (const { content, properties } of heard) channel.sendToQueue(queue, content, properties)
      },
    }
  }
})

describe('README.md', () => {
  const roads = [
    [`a RabbitMQ${amqpNote}`, amqpUrl],
    ['a queue in a file', 'embedded'],
  ] as const

  for (const [name, broker] of roads) {
    it.skipIf(broker === undefined)(`shows a session that works as written, with ${name}`, () =>
      session(broker as string),
    )
  }

  async function session(broker: string): Promise<void> {
    const folder = emptyFolder()
    const port = await freePort()
    const queues = broker === 'embedded' ? {} : await ownQueues()
    // Others on this machine may use the usual ports and queues.
    const here = (text: string): string =>
      text
        .replaceAll('127.0.0.1:9000', `127.0.0.1:${port}`)
        .replace(/^BRIDGE_BROKER=.*$/m, `BRIDGE_BROKER=${broker}`)
        .replace('b24-bridge sandbox', `b24-bridge sandbox --port ${port}`)
        .replace('b24-bridge run', 'b24-bridge run --http 127.0.0.1:0')
        .replaceAll('npx b24-bridge', `exec_ ${process.execPath} ${MAIN}`)
        .replace('npm ci && npm run build', 'true')
    const options = { cwd: folder, env: { PATH: process.env.PATH, ...queues } }
    let compared = 0
    for (const { text, expected } of blocks(
      sectionOf(page('README.md'), 'Two minutes with RabbitMQ'),
      'sh',
    )) {
      const command = here(text)
      if (/ (?:sandbox|run) -/.test(command)) {
        const child = spawn('bash', ['-ec', command.replace('exec_', 'exec')], options)
        await started(child, /Try in another terminal|service\.ready/)
        continue
      }
      const { stdout } = await run('bash', ['-ec', command.replaceAll('exec_ ', '')], options)
      if (expected === undefined) continue
      compared++
      expect(stdout.trim(), text).toBe(expected.trim())
    }
    expect(compared).toBe(2)
  }
})

describe('programs on pages', () => {
  let sandbox: Sandbox
  const folder = join(CHECKOUT, 'pages')

  beforeAll(async () => {
    sandbox = await createSandbox({ deals: 1000 })
    mkdirSync(folder, { recursive: true })
    for (const name of PROGRAM_PAGES) {
      const parts = programOf(name).map(({ text }, i) => `${text}\nconsole.log('--- end of block ${i}')\n`)
      writeFileSync(
        join(folder, fileOf(name, 'ts')),
        parts.join('\n').replaceAll(EXAMPLE_WEBHOOK, sandbox.webhookUrl),
      )
    }
    const compilerOptions = { noEmit: false, outDir: 'out', rootDir: '.', declaration: false }
    const config = { extends: join(ROOT, 'tsconfig.json'), compilerOptions, include: ['*.ts'] }
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(config))
    const compiled = spawnSync(TSC, ['-p', folder], { encoding: 'utf8' })
    expect(compiled.stdout, 'the programs must compile as they stand').toBe('')
  }, 120_000)

  afterAll(() => sandbox.close())

  it.each(PROGRAM_PAGES)('%s: compile, run, and print what stands below them', async (name) => {
    const { stdout } = await run(process.execPath, [join(folder, 'out', fileOf(name, 'js'))], { cwd: folder })
    const printed = stdout.split(/^--- end of block \d+\n/m)
    const program = programOf(name)
    expect(program.length).toBeGreaterThan(0)
    for (const [i, { expected }] of program.entries())
      if (expected !== undefined) expect(printed[i]?.trim()).toBe(expected.trim())
  })

  it('docs/sandbox.md: the official SDK speaks with the sandbox', async () => {
    for (const [i, { text, expected }] of blocks(page('docs/sandbox.md'), 'js').entries()) {
      const file = join(folder, `sandbox-${i}.mjs`)
      writeFileSync(file, text)
      expect((await run(process.execPath, [file])).stdout).toBe(expected)
    }
  })
})

describe('pages', () => {
  const docs = readdirSync(join(ROOT, 'docs'), { recursive: true }) as string[]
  const src = readdirSync(join(ROOT, 'src'), { recursive: true }) as string[]
  const pages = [
    ...readdirSync(ROOT),
    ...docs.map((name) => `docs/${name.replaceAll('\\', '/')}`),
    ...src.map((name) => `src/${name.replaceAll('\\', '/')}`),
    'examples/README.md',
  ].filter((name) => name.endsWith('.md'))

  it('have links that lead somewhere', () => {
    const broken = pages.flatMap((name) =>
      [...page(name).matchAll(/\]\(([^)\s]+)\)/g)]
        .map((match) => match[1] as string)
        .filter((link) => !/^[a-z]+:/.test(link) && !leads(name, link))
        .map((link) => `${name}: ${link}`),
    )
    expect(broken).toEqual([])
  })

  it('name files that are there', () => {
    const sources = src.map((name) => `src/${name.replaceAll('\\', '/')}`)
    // The README of a folder calls the files below it by their last words.
    const known = (from: string, file: string): boolean =>
      existsSync(join(ROOT, file)) ||
      existsSync(join(ROOT, 'src', file)) ||
      sources.some((path) => path.startsWith(`${dirname(from)}/`) && path.endsWith(`/${file}`))
    const missing = pages.flatMap((name) => {
      const pattern = name.startsWith('src/')
        ? /`([\w/.-]+\.ts)`/g
        : /`((?:src|test|docs|examples|scripts)\/[\w/.-]+\.\w+)`/g
      return [...page(name).matchAll(pattern)]
        .map((match) => match[1] as string)
        .filter((file) => !known(name, file))
        .map((file) => `${name}: ${file}`)
    })
    expect(missing).toEqual([])
  })

  it('name settings that are there', () => {
    const known = new Set(page('docs/settings.md').match(/\bBRIDGE_[A-Z_]+\b/g))
    const unknown = pages.flatMap((name) =>
      (page(name).match(/\bBRIDGE_[A-Z_]+\b/g) ?? [])
        // Any setting may be read from a file that `…_FILE` names.
        .filter((word) => !known.has(word) && !known.has(word.replace(/_FILE$/, '')) && word !== 'BRIDGE_')
        .map((word) => `${name}: ${word}`),
    )
    expect(unknown).toEqual([])
  })

  it('are all listed in docs/README.md', () => {
    const listed = page('docs/README.md')
    const own = pages.filter((name) => /^docs\/[^/]+\.md$/.test(name) && name !== 'docs/README.md')
    expect(own.filter((name) => !listed.includes(`](${name.slice('docs/'.length)})`))).toEqual([])
  })
})

/** True when a relative link names a file and, behind `#`, one of its headings. */
function leads(from: string, link: string): boolean {
  const [path = '', anchor] = link.split('#')
  const file = path === '' ? join(ROOT, from) : resolve(ROOT, dirname(from), path)
  if (!existsSync(file)) return false
  if (anchor === undefined || !file.endsWith('.md')) return true
  const headings = [...readFileSync(file, 'utf8').matchAll(/^#+ (.*)$/gm)].map((match) =>
    slug(match[1] as string),
  )
  return headings.includes(anchor)
}

/** A heading's anchor, as GitHub makes it. */
function slug(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, '')
    .replaceAll(' ', '-')
}

function page(name: string): string {
  return readFileSync(join(ROOT, name), 'utf8')
}

/** Up to the next heading of the same level. */
function sectionOf(text: string, heading: string, level = '##'): string {
  const from = text.indexOf(`\n${level} ${heading}\n`)
  const to = text.indexOf(`\n${level} `, from + 1)
  return text.slice(from, to < 0 ? undefined : to)
}

interface Block {
  readonly text: string
  /** The `text` or `json` block that stands directly below it. */
  readonly expected: string | undefined
}

function blocks(text: string, language: string): Block[] {
  const pattern = new RegExp(
    `\`\`\`${language}\\n(.*?)\`\`\`(?:\\n\\n\`\`\`(?:text|json)\\n(.*?)\`\`\`)?`,
    'gs',
  )
  return [...text.matchAll(pattern)].map(([, block, expected]) => ({ text: block as string, expected }))
}

/** The blocks of a page that together are one program. */
function programOf(name: string): Block[] {
  return blocks(page(name), 'ts')
}

function fileOf(name: string, extension: string): string {
  return `${name.replaceAll('/', '-').replace('.md', '')}.${extension}`
}

/** Runs a program of examples/ in the checkout and gives the lines that it printed. */
async function example(name: string, env: Readonly<Record<string, string>> = {}): Promise<string[]> {
  const options = { cwd: CHECKOUT, env: { PATH: process.env.PATH, ...env } }
  const { stdout } = await run(process.execPath, [join('examples', name)], options)
  return stdout.trim().split('\n')
}

/** `b24-bridge run` beside a sandbox of a thousand deals, until the test ends. */
async function startBridge(
  env: Readonly<Record<string, string>>,
): Promise<{ sandbox: Sandbox; http: string }> {
  const sandbox = await createSandbox({ deals: 1000 })
  onTestFinished(() => sandbox.close())
  const child = spawn(process.execPath, [MAIN, 'run'], {
    cwd: emptyFolder(),
    env: { BRIDGE_PORTAL: sandbox.webhookUrl, BRIDGE_HTTP: '127.0.0.1:0', ...env },
  })
  const said = await started(child, /service\.ready/)
  return { sandbox, http: /"url":"http:\/\/([^"]+)"/.exec(said)?.[1] ?? '' }
}

/** Waits until a program has said something, and ends it with the test. */
async function started(child: ChildProcess, ready: RegExp): Promise<string> {
  onTestFinished(async () => {
    if (child.exitCode !== null) return
    const exit = once(child, 'exit')
    child.kill('SIGTERM')
    await exit
  })
  let said = ''
  await new Promise<void>((resolve, reject) => {
    const hear = (chunk: Buffer): void => {
      said += String(chunk)
      if (ready.test(said)) resolve()
    }
    child.stdout?.on('data', hear)
    child.stderr?.on('data', hear)
    child.once('exit', (code) => reject(new Error(`It ended with ${code}: ${said}`)))
  })
  return said
}

/** Names for queues that nobody else uses; the queues are deleted when the test ends. */
async function ownQueues(): Promise<Record<string, string>> {
  const word = `examples.${process.pid}.${Math.random().toString(36).slice(2, 8)}`
  const names = {
    BRIDGE_COMMAND_QUEUE: `${word}.commands`,
    BRIDGE_REPLY_QUEUE: `${word}.replies`,
    BRIDGE_DEAD_QUEUE: `${word}.dead`,
    BRIDGE_EVENTS_EXCHANGE: `${word}.events`,
    EXAMPLE_QUEUE: `${word}.example`,
  }
  onTestFinished(async () => {
    const connection = await connect(amqpUrl as string)
    const channel = await connection.createChannel()
    const { BRIDGE_EVENTS_EXCHANGE: exchange, ...queues } = names
    for (const name of [...Object.values(queues), `${exchange}.unrouted`]) await channel.deleteQueue(name)
    await channel.deleteExchange(exchange)
    await connection.close()
  })
  return names
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  return port
}

let folders = 0
function emptyFolder(): string {
  const folder = join(CHECKOUT, `folder-${folders++}`)
  mkdirSync(folder, { recursive: true })
  return folder
}
