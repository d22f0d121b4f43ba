import type { SandboxOptions } from '../../src/sandbox/index.ts'
import { type Bench, openApplication } from './application.ts'
import { ask, type Reply } from './ask.ts'
import { callWith } from './oauth-client.ts'

/** A bench whose application has an offline handler for changed deals. */
export interface QueueBench extends Bench {
  /** Changes a deal through a webhook, which is no change of the application's own. */
  change(id: number): Promise<Reply>
  /** Ids of the rows in the queue. */
  ids(token?: string): Promise<number[]>
  /** Message ids of the rows in the queue. */
  messages(): Promise<string[]>
}

export async function openQueue(options: SandboxOptions = {}): Promise<QueueBench> {
  const bench = await openApplication(options)
  const { sandbox, call } = bench
  await call('event.bind', { event: 'onCrmDealUpdate', event_type: 'offline' })
  return {
    ...bench,
    change: (id) => ask(sandbox, 'crm.deal.update', { id, fields: { TITLE: `${id}` } }),
    ids: async (token = bench.token) => {
      const { body } = await callWith(sandbox, token, 'event.offline.list')
      return body.result.map(({ ID }: { ID: string }) => Number(ID))
    },
    messages: async () => {
      const { body } = await call('event.offline.list')
      return body.result.map(({ MESSAGE_ID }: { MESSAGE_ID: string }) => MESSAGE_ID)
    },
  }
}
