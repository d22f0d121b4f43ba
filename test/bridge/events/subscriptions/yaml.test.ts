import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { parseSubscriptions } from '../../../../src/bridge/events/subscriptions/yaml.ts'
import { ConfigError } from '../../../../src/model/errors.ts'

function faults(text: string): readonly string[] {
  try {
    parseSubscriptions(text, 'file.yaml')
  } catch (error) {
    if (error instanceof ConfigError) return error.faults
    throw error
  }
  return []
}

describe('a file of subscriptions', () => {
  it('is taken with texts in place of objects, and names of events in any case', () => {
    const document = parseSubscriptions(
      'portals: [main, example.bitrix24.com]\nevents: [onCrmDealAdd, { name: onTaskAdd, user: 7 }]\noffline:\n  - { name: onCrmDealUpdate, connector: erp }\n',
      'file.yaml',
    )
    expect(document).toMatchObject({
      portals: ['main', 'example.bitrix24.com'],
      events: [{ name: 'ONCRMDEALADD' }, { name: 'ONTASKADD', user: 7 }],
      offline: [{ name: 'ONCRMDEALUPDATE', connector: 'erp' }],
      robots: [],
    })
  })

  it.each([
    ['', ['file.yaml:1: the file must be names with values.']],
    ['events: []', ['file.yaml:1: portals is missing.']],
    ["portals: '*'\nevents: yes", ['file.yaml:2: events must be a list.']],
    ["portals: '*'\nevents:\n  - ONTASKADD\n  - ONTASKADD", ['file.yaml:4: events[1] stands here twice.']],
    [
      "portals: '*'\nevents:\n  - name: ONTASKADD\n    minTimeout: 5",
      ['file.yaml:4: events[0].minTimeout is known to ONOFFLINEEVENT only.'],
    ],
    [
      "portals: '*'\nevents: [ONIMBOTV2MESSAGEADD]",
      [
        'file.yaml:2: events[0].name is bound by the portal itself when a bot is registered; list the bot under bots.',
      ],
    ],
    [
      "portals: '*'\nbots:\n  - { code: a, name: A, version: 1, fetch: true }",
      ['file.yaml:3: bots[0].fetch is known to bots of version 2 only.'],
    ],
    [
      "portals: '*'\nplacements:\n  - placement: LEFT_MENU",
      ['file.yaml:3: placements[0] needs a page of the bridge, or a url: one of the two.'],
    ],
    [
      "portals: '*'\nplacements:\n  - placement: LEFT_MENU\n    url: http://app.example/",
      [
        'file.yaml:4: placements[0].url must be an https:// address without a user name (http:// only on this machine).',
      ],
    ],
    [
      "portals: '*'\nplacements:\n  - placement: LEFT_MENU\n    page: ../etc/passwd",
      ['file.yaml:4: placements[0].page must be a name of letters, digits, - and _.'],
    ],
  ])('%j is refused with its line and place', (text, expected) => {
    expect(faults(text)).toEqual(expected)
  })

  it('is refused where it is no YAML, or would grow beyond measure', () => {
    expect(faults('portals: [')[0]).toMatch(/^file\.yaml:1: /)
    expect(faults("portals: '*'\nportals: '*'")[0]).toMatch(/^file\.yaml:2: Map keys must be unique/)
    const bomb = Array.from({ length: 12 }, (_, i) =>
      i === 0
        ? 'a0: &a0 [x, x, x, x, x, x, x, x, x]'
        : `a${i}: &a${i} [${Array(9)
            .fill(`*a${i - 1}`)
            .join(', ')}]`,
    )
    expect(faults(bomb.join('\n'))[0]).toMatch(/^file\.yaml: Excessive alias count/)
    expect(faults(`# ${'x'.repeat(1024 * 1024)}`)).toEqual(['file.yaml has more than 1048576 bytes.'])
  })

  it.each(['subscriptions.md', 'placements.md', 'handlers.md'])('of docs/%s is one', (name) => {
    const page = readFileSync(new URL(`../../../../docs/${name}`, import.meta.url), 'utf8')
    const files = [...page.matchAll(/```yaml\n(.*?)```/gs)].map((match) => match[1] ?? '')
    expect(files.length).toBeGreaterThan(0)
    for (const file of files) expect(parseSubscriptions(file, name).portals).toBe('*')
  })
})
