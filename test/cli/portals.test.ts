import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createSandbox, type Sandbox, type TokenAnswer } from '../../src/sandbox/index.ts'
import { DATABASES } from '../support/databases.ts'
import { emptyFolder, run } from './support/command-line.ts'

const APP = { clientId: 'local.orders', clientSecret: 'marked-client-secret-1' }

let sandbox: Sandbox
let cwd: string
let env: Record<string, string>

beforeAll(async () => {
  sandbox = await createSandbox({ plan: 'self-hosted', applications: [APP], oauthPort: 0 })
})
afterAll(() => sandbox.close())

beforeEach(() => {
  cwd = emptyFolder()
  env = {
    BRIDGE_STORE: `sqlite:${join(cwd, 'bridge.db')}`,
    BRIDGE_LIMITS: 'off',
    BRIDGE_OAUTH_SERVERS: sandbox.oauthUrl,
  }
})

async function cli(line: string, input = '') {
  return run(line.split(' '), { env, cwd, input })
}

async function newTokens(userId = 1): Promise<TokenAnswer> {
  const { token } = await sandbox.app({ do: 'token', clientId: APP.clientId, userId })
  return token!
}

/** The words that add a pair by hand; the pair itself goes in by stdin. */
function addWords(more = ''): string {
  const { memberId, domain, clientEndpoint } = sandbox.identity()
  const words = `portals add --domain ${domain} --endpoint ${clientEndpoint} --member-id ${memberId}`
  return `${words} --client-id ${APP.clientId} --access-token-file - --refresh-token-file -${more}`
}

async function addTokens(token: TokenAnswer, more = '') {
  return cli(addWords(more), `${token.access_token}\n${token.refresh_token}\n`)
}

describe('portals add', () => {
  it('keeps a webhook that answers, from a file, a line of stdin, a variable or the command line', async () => {
    writeFileSync(join(cwd, 'webhook.txt'), `${sandbox.webhookUrl}\n`)
    env.HOOK = sandbox.webhookUrl
    const ways = [
      '--webhook-file webhook.txt',
      '--webhook env:HOOK',
      '--webhook -',
      `--webhook ${sandbox.webhookUrl}`,
    ]
    for (const way of ways) {
      const { code, out, err } = await cli(`portals add ${way} --json`, `${sandbox.webhookUrl}\n`)
      expect({ code, err }, way).toEqual({ code: 0, err: '' })
      expect(JSON.parse(out)).toMatchObject({ userId: '1', checked: true })
    }
    const { portals } = JSON.parse((await cli('portals list --json')).out)
    expect(portals).toHaveLength(1)
    expect(portals[0]).toMatchObject({ memberId: null, webhooks: [{ userId: '1', url: 'set' }] })
  })

  it('writes nothing when the webhook is refused or nobody answers', async () => {
    const wrong = await cli(`portals add --webhook ${sandbox.url}/rest/1/wrongsecret/`)
    expect(wrong.code).toBe(3)
    const nobody = await cli('portals add --webhook http://127.0.0.1:9/rest/1/wrongsecret/')
    expect(nobody.code).toBe(4)
    expect((await cli('portals list')).out).toMatch(/^No portal is known yet/)
    const unchecked = await cli('portals add --no-check --webhook http://127.0.0.1:9/rest/1/wrongsecret/')
    expect(unchecked).toMatchObject({ code: 0, out: expect.stringContaining('not checked') })
    expect((await cli('portals list')).out).toContain('127.0.0.1:9')
  })

  it('keeps tokens under the user that the portal names', async () => {
    const added = await addTokens(await newTokens(2), ' --alias main --portal-limit 30/1')
    expect(added).toMatchObject({ code: 0, err: '' })
    expect(added.out).toContain('in the name of user 2; it answered')
    expect(added.out).toContain('note: The application local.orders is not known here')
    const shown = JSON.parse((await cli('portals show main --json')).out)
    expect(shown).toMatchObject({
      memberId: sandbox.identity().memberId,
      aliases: ['main'],
      limit: '30/1',
      state: 'active',
      tokens: [{ clientId: APP.clientId, userId: '2', accessToken: 'set', refreshToken: 'set' }],
    })
  })

  it('asks the authorization server whose token it is, and refuses what does not belong to it', async () => {
    const token = await newTokens()
    const pair = `${token.access_token}\n${token.refresh_token}\n`
    const wrong: [words: string, text: string][] = [
      [addWords(` --member-id ${'f'.repeat(32)}`), 'belongs to the portal'],
      [addWords(' --client-id local.other'), 'belongs to the application local.orders'],
      [addWords(' --user 5'), 'belongs to the user 1, not 5'],
    ]
    for (const [words, text] of wrong)
      expect(await cli(words, pair), words).toMatchObject({ code: 2, err: expect.stringContaining(text) })
    expect((await cli(addWords(), 'no-such-token\nx\n')).code).toBe(3)
    expect((await cli('portals list')).out).toMatch(/^No portal/)
    const { serverEndpoint } = sandbox.identity()
    expect((await addTokens(token, ` --server ${serverEndpoint}`)).code).toBe(0)
    const [portal] = JSON.parse((await cli('portals list --json')).out).portals
    expect(portal).toMatchObject({ serverEndpoint, tokens: [{ status: 'L' }] })
  })

  it('sends no token to an authorization server that nobody allowed', async () => {
    const { code, err } = await addTokens(await newTokens(), ' --server https://oauth.evil.example/rest/')
    expect({ code, err }).toMatchObject({ code: 3, err: expect.stringContaining('SERVER_NOT_ALLOWED') })
    expect((await cli('portals list')).out).toMatch(/^No portal/)
  })

  it('says what is missing or wrong', async () => {
    const cases: [line: string, text: string][] = [
      ['portals add', 'Give --webhook, or --domain'],
      ['portals add --webhook not-a-url', 'webhook address is not a URL'],
      ['portals add --webhook-file nowhere.txt', '--webhook-file finds nothing in the file nowhere.txt'],
      ['portals add --webhook env:NOBODY', '--webhook finds nothing in env:NOBODY'],
      [addWords(' --domain not_a_host'), 'domain of the portal'],
      [addWords(' --domain example.bitrix24.com'), 'not on example.bitrix24.com'],
      [addWords(' --portal-limit fast'), 'standard, enterprise, off'],
      [addWords(' --endpoint https://example.bitrix24.com/'), 'not the REST address'],
    ]
    for (const [line, text] of cases) {
      const { code, err } = await cli(line, 'a\nb\n')
      expect({ code, err }, line).toEqual({ code: 2, err: expect.stringContaining(text) })
    }
  })
})

describe('portals list, show and remove', () => {
  it('shows tables for people', async () => {
    await cli(`portals add --webhook ${sandbox.webhookUrl} --name Reports`)
    await addTokens(await newTokens())
    const { memberId, domain } = sandbox.identity()
    const list = (await cli('portals list')).out.split('\n')
    expect(list[0]).toMatch(/^DOMAIN +MEMBER ID +STATE +WAYS +TOKENS$/)
    expect(list[1]).toContain(`${domain}  ${memberId}  active  local.orders, webhook of user 1`)
    const shown = (await cli(`portals show ${domain}`)).out
    expect(shown).toMatch(/local\.orders +1 +active +set, end unknown +set/)
    expect(shown).toMatch(/Reports +1 +set/)
    expect(shown).toMatch(/application tokens +not set/)
  })

  it('forgets a portal only after a yes', async () => {
    await addTokens(await newTokens())
    await cli(`portals add --webhook ${sandbox.webhookUrl}`)
    const { domain } = sandbox.identity()
    const silent = await cli(`portals remove ${domain}`)
    expect(silent).toMatchObject({ code: 2, err: expect.stringContaining('nobody is there to be asked') })
    const words = ['portals', 'remove', domain]
    const no = await run(words, { env, cwd, tty: true, input: 'no\n' })
    expect(no.code).toBe(2)
    const yes = await run(words, { env, cwd, tty: true, input: 'yes\n' })
    expect(yes).toMatchObject({ code: 0, out: expect.stringContaining('1 token pair and 1 webhook') })
    expect((await cli('portals list')).out).toMatch(/^No portal/)
    expect((await cli(`portals remove ${domain} --yes`)).err).toContain('No portal is known as')
  })
})

describe('portals check', () => {
  it('calls every portal in every way', async () => {
    await addTokens(await newTokens())
    await cli(`portals add --webhook ${sandbox.webhookUrl}`)
    const { code, out } = await cli('portals check')
    expect(code).toBe(0)
    expect(out).toMatch(/ok {4}token +local\.orders of user 1 answered in \d+ ms/)
    expect(out).toMatch(/ok {4}webhook +of user 1 answered/)
    expect(out).toMatch(/ok {4}clock/)
    const json = JSON.parse((await cli('portals check --json')).out)
    expect(json).toMatchObject({ ok: true, portals: [{ memberId: sandbox.identity().memberId }] })
  })

  it('tells of an expired token without renewing it', async () => {
    await addTokens(await newTokens())
    const before = sandbox.oauthStats().refreshes
    sandbox.advance(3_700_000)
    try {
      const { code, out } = await cli('portals check')
      expect(code).toBe(0)
      expect(out).toMatch(/warn +token +local\.orders of user 1 has expired → The next call renews it/)
      expect(sandbox.oauthStats().refreshes).toEqual(before)
    } finally {
      sandbox.advance(-3_700_000)
    }
  })

  it('ends with the exit code of the worst', async () => {
    await cli(`portals add --no-check --webhook ${sandbox.url}/rest/1/wrongsecret/`)
    expect((await cli('portals check')).code).toBe(3)
    await cli('portals add --no-check --webhook http://127.0.0.1:9/rest/1/wrongsecret/')
    expect((await cli('portals check')).code).toBe(4)
    expect((await cli('portals check nobody')).code).toBe(2)
  })
})

describe('portals refresh', () => {
  const renewals = () => Object.values(sandbox.oauthStats().refreshes).reduce((sum, count) => sum + count, 0)

  it('renews the tokens now, and they work', async () => {
    await cli(`apps add ${APP.clientId} --secret-file -`, APP.clientSecret)
    await addTokens(await newTokens())
    const { domain, memberId } = sandbox.identity()
    const before = renewals()
    const { code, out } = await cli(`portals refresh ${domain}`)
    expect({ code, out }).toMatchObject({
      code: 0,
      out: expect.stringMatching(/renewed: pair 2, \S+ \w+ left/),
    })
    expect(renewals()).toBe(before + 1)
    expect((await cli(`portals check ${memberId}`)).out).toContain('answered in')
    const none = await cli(`portals refresh ${domain} --user 99`)
    expect(none).toMatchObject({ code: 2, err: expect.stringContaining('no such tokens') })
  })

  it('says that the application is not known', async () => {
    await addTokens(await newTokens())
    const { code, out } = await cli(`portals refresh ${sandbox.identity().domain}`)
    expect({ code, out }).toMatchObject({ code: 3, out: expect.stringContaining('apps add') })
  })

  it('suspends the portal when the authorization server refuses, and check tells', async () => {
    await cli(`apps add ${APP.clientId} --secret-file -`, 'marked-wrong-secret')
    await addTokens(await newTokens())
    const { domain } = sandbox.identity()
    const wrong = await cli(`portals refresh ${domain} --json`)
    expect(wrong).toMatchObject({ code: 3, out: expect.stringContaining('wrong_client') })
    expect((await cli('portals list')).out).toContain('suspended: wrong_client')
    const checked = await cli(`portals check ${domain}`)
    expect(checked).toMatchObject({ code: 3, out: expect.stringContaining('do not belong together') })
    expect((await addTokens(await newTokens())).code).toBe(0)
    expect((await cli(`portals check ${domain}`)).code).toBe(0)
  })
})

it('takes tokens of a self-hosted portal whose certificates come from an authority of its own', async () => {
  const own = await createSandbox({ plan: 'self-hosted', applications: [APP], oauthPort: 0, tls: true })
  try {
    writeFileSync(join(cwd, 'ca.pem'), own.certificate ?? '')
    const { memberId, domain } = own.identity()
    const { token } = await own.app({ do: 'token', clientId: APP.clientId })
    const pair = `${token!.access_token}\n${token!.refresh_token}\n`
    const words = `portals add --domain ${domain} --member-id ${memberId} --client-id ${APP.clientId} --access-token-file - --refresh-token-file -`
    env = { ...env, BRIDGE_OAUTH_SERVERS: own.oauthUrl }
    expect((await cli(words, pair)).code).toBe(4)
    env = { ...env, BRIDGE_TLS_CA: 'ca.pem' }
    await cli(`apps add ${APP.clientId} --secret-file -`, APP.clientSecret)
    for (const line of [words, 'portals refresh', 'portals check'])
      expect(await cli(line === words ? line : `${line} ${domain}`, pair), line).toMatchObject({ code: 0 })
  } finally {
    await own.close()
  }
})

describe.each(DATABASES)('a store on $name$note', ({ skip, create }) => {
  it.skipIf(skip)('is worked on by every command', async () => {
    const { url, drop } = await create()
    const [k1, k2] = [1, 2].map((byte) => `k${byte}:${Buffer.alloc(32, byte).toString('base64')}`)
    try {
      env = { ...env, BRIDGE_STORE: url, BRIDGE_SECRET_KEY: k1! }
      await cli(`apps add ${APP.clientId} --secret-file -`, APP.clientSecret)
      await cli(`portals add --webhook ${sandbox.webhookUrl}`)
      expect(await addTokens(await newTokens(), ' --alias main')).toMatchObject({ code: 0, err: '' })
      env = { ...env, BRIDGE_SECRET_KEY: `${k2},${k1}` }
      expect(JSON.parse((await cli('secrets rotate --json')).out)).toEqual({
        resealed: 5,
        active: 'k2',
        needless: ['k1'],
      })
      env = { ...env, BRIDGE_SECRET_KEY: k2! }
      for (const line of [
        'portals refresh main',
        'portals check',
        'portals list',
        'apps list',
        'secrets status',
      ])
        expect(await cli(line), line).toMatchObject({ code: 0, err: '' })
      expect(await cli('portals remove main --yes')).toMatchObject({ code: 0 })
      expect((await cli('portals list')).out).toMatch(/^No portal/)
    } finally {
      await drop()
    }
  })

  it.skipIf(skip)('is not shown with its password', async () => {
    const { url, drop } = await create()
    try {
      const { out, err } = await run(['doctor'], { env: { ...env, BRIDGE_STORE: url }, cwd })
      const password = new URL(url).password
      if (password !== '') expect(out + err).not.toContain(password)
      expect(out).toMatch(/(?:ok|FAIL) +store/)
    } finally {
      await drop()
    }
  })
})
