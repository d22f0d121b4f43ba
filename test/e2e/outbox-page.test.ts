import { readFileSync } from 'node:fs'
import { sql } from 'kysely'
import { describe, expect, it } from 'vitest'
import { eventually } from '../conformance/broker.ts'
import { DATABASES } from '../support/databases.ts'
import { openOutboxBench } from '../support/outbox.ts'

const page = readFileSync(new URL('../../docs/outbox.md', import.meta.url), 'utf8')
const OWN: Readonly<Record<string, string>> = { MariaDB: 'MySQL and MariaDB' }

/** The statements of a section, up to the next heading of any level. */
function statements(heading: string): string[] {
  const from = page.indexOf(`\n${heading}\n`)
  expect(from, heading).toBeGreaterThan(0)
  const to = page.slice(from + 1).search(/\n##/)
  const section = page.slice(from, to < 0 ? undefined : from + 1 + to)
  return [...section.matchAll(/```sql\n(.*?)```/gs)].flatMap(([, block = '']) =>
    block
      .split(/;\n/)
      .map((one) => one.trim())
      .filter((one) => one !== ''),
  )
}

for (const database of DATABASES.filter(({ name }) => name !== 'SQL Server'))
  describe.skipIf(database.skip)(`docs/outbox.md on ${database.name}${database.note}`, () => {
    it('has statements that do what it says', async () => {
      const one = await openOutboxBench(database)
      const run = async (statement: string) => (await sql.raw(statement).execute(one.store.db)).rows
      const [insert = '', select = '', update = ''] = statements('## Three statements')
      await run(insert)
      await eventually(async () =>
        expect(await run(select)).toMatchObject([{ outcome: 'done', error_code: null, error: null }]),
      )
      await run(update)
      expect(await run(select)).toEqual([])
      for (const statement of statements(`### ${OWN[database.name] ?? database.name}`)) await run(statement)
      await eventually(() => expect(one.titles()).toEqual(['Order 1001', 'Order 1001']))
      const [chain = ''] = statements('## Chains')
      await run(chain)
      await eventually(async () => expect(await run(select)).toHaveLength(4))
      const replies = (await one.inbox()).slice(-3)
      expect(replies.map(({ name, outcome }) => [name, outcome])).toEqual([
        ['crm.company.add', 'done'],
        ['crm.contact.add', 'done'],
        ['crm.deal.add', 'done'],
      ])
      expect(one.titles().at(-1)).toBe(`Ann of company ${replies[0]?.result}`)
    })
  })
