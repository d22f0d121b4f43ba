import type { ContractName } from './bridge.ts'
import type { Outgoing } from './queues.ts'

/** A call as the bench wants it made. */
export interface BenchCall {
  readonly id: string
  readonly method: string
  readonly params: Readonly<Record<string, unknown>>
}

/** Reads: one deal after another. */
export function reads(count: number, deals: number): BenchCall[] {
  return Array.from({ length: count }, (_, i) => ({
    id: `r${i}`,
    method: 'crm.deal.get',
    params: { id: (i % deals) + 1 },
  }))
}

/** Every second one a write, which the bridge notes in its ledger before and after. */
export function halfWrites(count: number, deals: number): BenchCall[] {
  return reads(count, deals).map((call, i) => {
    if (i % 2 === 0) return call
    const fields = { TITLE: `Order ${i}`, OPPORTUNITY: i % 5000 }
    return { id: `w${i}`, method: 'crm.deal.update', params: { id: (i % deals) + 1, fields } }
  })
}

/** A call as a message of a contract. Every one has a message id. */
export function messageOf(call: BenchCall, contract: ContractName, webhook: string): Outgoing {
  const { id, method, params } = call
  switch (contract) {
    case 'native':
      return { body: JSON.stringify({ method, params }), properties: { messageId: id } }
    case 'bitrix24-bridge':
      return {
        body: JSON.stringify({ action: 'default', method, params, meta: { id } }),
        properties: { messageId: id },
      }
    case 'rabbitmq-to-bitrix24': {
      const [user, token] = webhook.replace(/\/$/, '').split('/').slice(-2)
      return { body: JSON.stringify(params), properties: { messageId: id, headers: { method, user, token } } }
    }
  }
}
