import { errorPage, escapeHtml, hiddenFields, page } from '../html.ts'
import type { Portal } from '../portal.ts'
import type { HttpAnswer } from '../respond.ts'
import type { EventParts } from './events.ts'
import type { Installation } from './installations.ts'
import { placeButtons } from './place-buttons.ts'
import { pullTrigger, type Trigger } from './triggers.ts'

/** A form of the desk: fixed values, and what a person may fill in. */
interface DeskForm {
  readonly title: string
  readonly fixed: Readonly<Record<string, string>>
  readonly inputs: Readonly<Record<string, string>>
}

/** Numbers of triggers; a form has texts only. */
const NUMBERS = ['botId', 'chatId', 'userId', 'authorId', 'timeoutSeconds', 'line']

/** What an application has registered, with a button for each that makes the portal call it. */
export function deskPage(portal: Portal, installation: Installation): HttpAnswer {
  const { application } = installation
  const forms = formsOf(portal, installation).map(shown)
  const body = [...forms, placeButtons(installation)].join('\n').trim()
  return page(
    `${application.title}: desk`,
    body === '' ? '<p id="state">It has registered nothing yet.</p>' : body,
  )
}

/** Pulls the trigger that a form of the desk holds and shows what came of it. */
export async function pullFromDesk(parts: EventParts, portal: Portal, body: string): Promise<HttpAnswer> {
  const given = [...new URLSearchParams(body)].filter(([, value]) => value !== '')
  const trigger = Object.fromEntries(
    given.map(([name, value]) => [name, NUMBERS.includes(name) ? Number(value) : value]),
  )
  try {
    const outcome = await pullTrigger(parts, portal, trigger as unknown as Trigger)
    const lines = outcome.deliveries.map(({ event, status, error }) => `${event}: ${status ?? error}`)
    const text = lines.length === 0 ? 'Nobody was called.' : lines.join('\n')
    return page(
      'Done',
      `<pre id="outcome">${escapeHtml(text)}</pre>\n<p><a href="/__sandbox/work">What came of it</a></p>`,
    )
  } catch (error) {
    return errorPage(error instanceof Error ? error.message : String(error))
  }
}

function formsOf(portal: Portal, { application, registered }: Installation): DeskForm[] {
  const { clientId } = application
  const robots = registered.robots.map(({ kind, code }) => ({
    title: `${kind} ${code}`,
    fixed: { do: kind, clientId, code },
    inputs: { document: 'DEAL_7', timeoutSeconds: '60' },
  }))
  const senders = registered.senders.map(({ code }) => ({
    title: `message sender ${code}`,
    fixed: { do: 'sms', clientId, code },
    inputs: { to: '+4915100000', text: 'Hello' },
  }))
  const bots = portal.bots.ofOwner(clientId).map(({ id, code }) => ({
    title: `bot ${code}`,
    fixed: { do: 'say', botId: String(id) },
    inputs: { text: 'Hello', userId: '1' },
  }))
  const connectors = registered.connectors.flatMap(({ id, lines }) =>
    lines.map((line) => ({
      title: `connector ${id}, line ${line}`,
      fixed: { do: 'operator', connector: id, line: String(line) },
      inputs: { chat: 'client-1', text: 'Hello' },
    })),
  )
  return [...robots, ...senders, ...bots, ...connectors]
}

function shown({ title, fixed, inputs }: DeskForm): string {
  const fields = Object.entries(inputs).map(
    ([name, value]) =>
      `<label>${escapeHtml(name)} <input name="${escapeHtml(name)}" value="${escapeHtml(value)}"></label>`,
  )
  return `<form method="post" action="/apps/trigger">
<h2>${escapeHtml(title)}</h2>
${hiddenFields(fixed)}
${fields.join('\n')}
<button>Run</button>
</form>`
}
