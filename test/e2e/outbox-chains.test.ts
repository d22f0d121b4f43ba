import { describe, expect, it } from 'vitest'
import { eventually } from '../conformance/broker.ts'
import { DATABASES } from '../support/databases.ts'
import { type OutboxBench, openOutboxBench } from '../support/outbox.ts'

const deal = (title: string) => ({ method: 'crm.deal.add', params: { fields: { TITLE: title } } })
const row = ({ method, params }: ReturnType<typeof deal>, then: unknown) => ({
  method,
  params: JSON.stringify(params),
  then_run: JSON.stringify(then),
})
/** Step, state and code of every reply of a chain. */
const story = async (one: OutboxBench) =>
  (await one.inbox()).map(({ chain_step, outcome, error_code }) => [chain_step, outcome, error_code])

for (const database of DATABASES)
  describe.skipIf(database.skip)(`a chain on ${database.name}${database.note}`, () => {
    it('hands values of its replies on, with their types, also over several steps', async () => {
      const one = await openOutboxBench(database)
      const id = await one.insert({
        ...row(deal('first'), [
          { method: 'crm.deal.get', params: { id: '{{result}}' }, meta: { mine: 2 } },
          {
            method: 'crm.deal.update',
            params: { id: '{{steps.0.result}}', fields: { TITLE: '{{ result.TITLE }} and \\{{more}}' } },
          },
          { method: 'crm.deal.get', params: { id: '{{steps.1.result.ID}}' } },
        ]),
        meta: '{"mine":1}',
        order_key: 'chain',
      })
      await eventually(async () =>
        expect(await story(one)).toEqual([0, 1, 2, 3].map((step) => [step, 'done', null])),
      )
      const replies = await one.inbox()
      expect(JSON.parse(replies[3]?.result)).toMatchObject({ TITLE: 'first and {{more}}' })
      expect(replies.map(({ meta }) => meta)).toEqual([
        '{"mine":1}',
        '{"mine":2}',
        '{"mine":2}',
        '{"mine":2}',
      ])
      const rows = await one.outbox()
      expect(
        rows.map(({ chain_id, order_key }) => [chain_id === null ? null : Number(chain_id), order_key]),
      ).toEqual([
        [null, 'chain'],
        [id, 'chain'],
        [id, 'chain'],
        [id, 'chain'],
      ])
      expect(JSON.parse(rows[1]?.params)).toEqual({ id: Number(replies[0]?.result) })
    })

    it('ends where a step fails, and shows what was not run', async () => {
      const one = await openOutboxBench(database)
      const rest = [deal('never')]
      await one.insert(row(deal('first'), [{ method: 'crm.deal.get', params: { id: 999999 } }, ...rest]))
      await eventually(async () =>
        expect(await story(one)).toEqual([
          [0, 'done', null],
          [1, 'failed', 'ERROR'],
        ]),
      )
      const rows = await one.outbox()
      expect(rows.map(({ state }) => state)).toEqual(['done', 'failed'])
      expect(JSON.parse(rows[1]?.then_run)).toEqual(rest)
      await one.reply(await one.insert({ method: 'crm.deal.get', params: '{"id":1}' }))
      expect(one.titles()).toEqual(['first'])
    })

    it('ends before a step whose value is missing, even if only a later one needs it', async () => {
      const one = await openOutboxBench(database)
      await one.insert(row(deal('first'), [deal('never'), deal('{{steps.0.result.item.id}}')]))
      await eventually(async () =>
        expect(await story(one)).toEqual([
          [0, 'done', null],
          [1, 'failed', 'CHAIN_REFERENCE_MISSING'],
        ]),
      )
      const [, reply] = await one.inbox()
      expect(reply?.error).toContain('{{steps.0.result.item.id}}')
      expect(one.titles()).toEqual(['first'])
    })

    it('never takes braces that a portal sent for references', async () => {
      const one = await openOutboxBench(database)
      await one.insert(
        row(deal('{{steps.0.result}} {{result}}'), [
          { method: 'crm.deal.get', params: { id: '{{result}}' } },
          deal('copy of {{result.TITLE}}'),
          deal('again {{steps.1.result.TITLE}}'),
        ]),
      )
      await eventually(() =>
        expect(one.titles().slice(1)).toEqual([
          'copy of {{steps.0.result}} {{result}}',
          'again {{steps.0.result}} {{result}}',
        ]),
      )
    })
  })
