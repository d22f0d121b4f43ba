import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it, onTestFinished } from 'vitest'
import { parse, parseAllDocuments } from 'yaml'
import { SETTINGS } from '../../src/config/fields.ts'
import { readSettings } from '../../src/config/read.ts'
import { PROBES } from '../../src/http/health.ts'
import { running } from '../http/running.ts'

const path = (name: string): string => fileURLToPath(new URL(`../../${name}`, import.meta.url))
const read = (name: string): string => readFileSync(path(name), 'utf8')

const UNIT = 'ops/systemd/b24-bridge.service'
const COMPOSE = 'ops/compose/docker-compose.yml'
const KUBERNETES = 'ops/kubernetes/bridge.yaml'
const FILES = [UNIT, COMPOSE, KUBERNETES, 'Dockerfile']
/** What the drain takes at most, with the last replies. */
const LONGEST_END = 85

describe('every file of ops', () => {
  it.each(FILES)('%s names settings that there are', (name) => {
    const known: readonly string[] = SETTINGS.map(({ env }) => env)
    const used = (read(name).match(/\bBRIDGE_[A-Z_]+/g) ?? []).map((env) => env.replace(/_FILE$/, ''))
    expect(used.length).toBeGreaterThan(0)
    expect(used.filter((env) => !known.includes(env))).toEqual([])
  })

  it.each(['docs/operating.md', 'docs/tracing.md', 'docs/runbook.md'])(
    '%s names settings that there are',
    (name) => {
      const known: readonly string[] = SETTINGS.map(({ env }) => env)
      const used = (read(name).match(/\bBRIDGE_[A-Z_]+/g) ?? []).map((env) => env.replace(/_FILE$/, ''))
      expect(used.filter((env) => !known.includes(env))).toEqual([])
    },
  )

  it('gives the bridge longer to end than it takes', () => {
    const drain = Number(SETTINGS.find(({ key }) => key === 'drainTimeout')?.default)
    expect(drain + 15).toBe(LONGEST_END)
    const times = [
      /^TimeoutStopSec=(\d+)$/m.exec(read(UNIT)),
      /stop_grace_period: (\d+)s/.exec(read(COMPOSE)),
      /terminationGracePeriodSeconds: (\d+)/.exec(read(KUBERNETES)),
    ]
    for (const time of times) expect(Number(time?.[1])).toBeGreaterThan(LONGEST_END)
  })
})

const analyze = spawnSync('systemd-analyze', ['security', '--help'], { encoding: 'utf8' })
const analyzeNote = analyze.stdout?.includes('--threshold') ? '' : ' (skipped: no new systemd-analyze here)'

describe('the unit for systemd', () => {
  it.skipIf(analyzeNote !== '')(`is correct, and shut in${analyzeNote}`, () => {
    const verified = spawnSync('systemd-analyze', ['verify', path(UNIT)], { encoding: 'utf8' })
    expect(`${verified.stdout}${verified.stderr}`).not.toContain('b24-bridge.service')
    // Of ten; 2 and less is what systemd calls OK.
    const words = ['security', '--offline=true', '--threshold=20', path(UNIT)]
    const judged = spawnSync('systemd-analyze', words, { encoding: 'utf8' })
    expect(judged.status, judged.stdout.slice(-200)).toBe(0)
  })

  it('waits for READY=1 from the tool that says it, and feeds its watchdog', () => {
    for (const line of ['Type=notify', 'NotifyAccess=all', 'TimeoutStartSec=infinity'])
      expect(read(UNIT).split('\n')).toContain(line)
    expect(read(UNIT)).toMatch(/^WatchdogSec=\d+$/m)
  })
})

describe('the image', () => {
  const dockerfile = read('Dockerfile')

  it('copies files that there are and that the builder sees, and no secret', () => {
    const ignore = read('.dockerignore').split('\n')
    expect(ignore).toContain('*')
    const copied = [...dockerfile.matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(([, names = '']) =>
      names.split(' '),
    )
    expect(copied).toContain('src')
    for (const name of copied) {
      expect(ignore, name).toContain(`!${name.replace('./', '')}`)
      expect(statSync(path(name)).size, name).toBeGreaterThan(0)
    }
  })

  it('runs as nobody in particular, and ends by the signal that drains', () => {
    const lines = dockerfile.split('\n')
    const last = lines.findLastIndex((line) => line.startsWith('FROM '))
    expect(lines.indexOf('USER 1000:1000')).toBeGreaterThan(last)
    expect(lines).toContain('STOPSIGNAL SIGTERM')
  })

  it('is well while the process lives, and not when nobody answers', async () => {
    const [, json = ''] = /HEALTHCHECK [^\n]*\\\n\s+CMD (\[.*\])/.exec(dockerfile) ?? []
    const [program = '', ...words] = JSON.parse(json) as string[]
    const server = await running()
    const check = async (port: number): Promise<unknown> => {
      const here = words.map((word) => word.replace(':8000', `:${port}`))
      const [code] = await once(spawn(program, here), 'exit')
      return code
    }
    expect(await check(server.port)).toBe(0)
    await server.server.close()
    expect(await check(server.port)).toBe(1)
  })
})

interface Compose {
  readonly services: Readonly<
    Record<
      string,
      {
        readonly environment?: Readonly<Record<string, string>>
        readonly ports?: readonly string[]
        readonly secrets?: readonly (string | { readonly source: string })[]
        readonly volumes?: readonly string[]
        readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>
        readonly healthcheck?: unknown
      }
    >
  >
  readonly secrets: Readonly<Record<string, { readonly file: string }>>
  readonly volumes: Readonly<Record<string, unknown>>
}

describe('docker-compose.yml', () => {
  const compose = parse(read(COMPOSE)) as Compose
  const { bridge } = compose.services

  function secrets(): string {
    const folder = mkdtempSync(join(tmpdir(), 'b24-secrets-'))
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
    const made = spawnSync(path('ops/compose/make-secrets.sh'), [folder], { encoding: 'utf8' })
    expect(`${made.stdout}${made.stderr}`).toBe('')
    return folder
  }

  it('has a configuration without a fault, with the secrets that the script makes', () => {
    const folder = secrets()
    const env = Object.fromEntries(
      Object.entries(bridge?.environment ?? {}).map(([name, value]) => [
        name,
        value.replace('/run/secrets', folder),
      ]),
    )
    const { faults, config } = readSettings({ env, cwd: folder })
    expect(faults).toEqual([])
    expect(config?.production).toBe(true)
    expect(config?.broker).toMatchObject({ kind: 'amqp', url: expect.stringContaining('@rabbitmq:5672/') })
    expect(config?.store).toContain('@postgres:5432/bridge')
    const password = /default_pass = (\w+)/.exec(readFileSync(join(folder, 'rabbitmq.conf'), 'utf8'))?.[1]
    expect(config?.broker).toMatchObject({ url: expect.stringContaining(`bridge:${password}@`) })
  })

  it('keeps the secrets that are there when the script runs again', () => {
    const folder = secrets()
    const all = (): string[] =>
      Object.values(compose.secrets).map(({ file }) => readFileSync(join(folder, file.slice(10)), 'utf8'))
    const before = all()
    const again = spawnSync(path('ops/compose/make-secrets.sh'), [folder])
    expect(again.status).toBe(0)
    expect(all()).toEqual(before)
  })

  it('names services, secrets and volumes that it has', () => {
    for (const [name, service] of Object.entries(compose.services)) {
      for (const secret of service.secrets ?? [])
        expect(compose.secrets, name).toHaveProperty(typeof secret === 'string' ? secret : secret.source)
      for (const [volume = ''] of (service.volumes ?? []).map((one) => one.split(':')))
        if (volume.startsWith('.'))
          expect(statSync(path(`ops/compose/${volume}`)).isFile(), volume).toBe(true)
        else expect(compose.volumes, name).toHaveProperty(volume)
      for (const [other, { condition }] of Object.entries(service.depends_on ?? {})) {
        expect(compose.services, name).toHaveProperty(other)
        if (condition === 'service_healthy') expect(compose.services[other]?.healthcheck, other).toBeDefined()
      }
    }
    // Policies stand before anything can be dropped.
    expect(bridge?.depends_on?.policies).toEqual({ condition: 'service_completed_successfully' })
    expect(bridge?.ports).toEqual(['127.0.0.1:8000:8000'])
  })
})

describe('the objects for Kubernetes', () => {
  const objects = parseAllDocuments(read(KUBERNETES)).map((document) => document.toJS())
  const pod = objects.find(({ kind }) => kind === 'Deployment').spec.template
  const [container] = pod.spec.containers

  it('ask probes that there are, at the port that there is', () => {
    expect(read('Dockerfile')).toContain(`EXPOSE ${container.ports[0].containerPort}`)
    for (const probe of [container.livenessProbe, container.readinessProbe]) {
      expect(PROBES.has(probe.httpGet.path.split('?')[0])).toBe(true)
      expect(probe.httpGet.port).toBe(container.ports[0].name)
    }
  })

  it('mount what the settings name, and nothing may be written elsewhere', () => {
    const mounts: string[] = container.volumeMounts.map(({ mountPath }: { mountPath: string }) => mountPath)
    for (const { name, value } of container.env)
      if (name.endsWith('_FILE')) expect(mounts.some((mount) => value.startsWith(mount))).toBe(true)
    expect(container.securityContext).toMatchObject({ readOnlyRootFilesystem: true })
    expect(pod.spec.securityContext).toMatchObject({ runAsNonRoot: true })
  })

  it('select the pods that they make', () => {
    for (const { kind, spec } of objects)
      expect(spec.selector.matchLabels ?? spec.selector, kind).toEqual(pod.metadata.labels)
  })
})
