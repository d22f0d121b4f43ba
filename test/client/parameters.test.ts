import { expect, it } from 'vitest'
import { createClient } from '../../src/client/client.ts'
import { parametersCredential } from '../../src/client/parameters.ts'
import { createSandbox } from '../../src/sandbox/index.ts'

it('puts its parameters into each request, alone and in batches', async () => {
  await using sandbox = await createSandbox({ limits: 'off' })
  const credential = parametersCredential({
    clientEndpoint: `${sandbox.url}/rest/`,
    params: { auth: sandbox.accessToken },
  })
  const b24 = createClient({ credential, limit: 'off' })
  expect(await b24.call('profile')).toMatchObject({ ID: '1' })
  const deals = await Promise.all([1, 2, 3].map((id) => b24.call<{ ID: string }>('crm.deal.get', { id })))
  expect(deals.map(({ ID }) => ID)).toEqual(['1', '2', '3'])
  await b24.close()
})

it.each(['portal.example', 'ftp://portal.example/rest/', 'https://portal.example/rest/1/s3cr3t/'])(
  'refuses %s as an endpoint and repeats nothing of it',
  (clientEndpoint) => {
    let message = ''
    try {
      parametersCredential({ clientEndpoint, params: { secret_word: 'w0rd' } })
    } catch (error) {
      message = String(error)
    }
    expect(message).toContain('REST address')
    expect(message).not.toContain('s3cr3t')
    expect(message).not.toContain('w0rd')
  },
)
