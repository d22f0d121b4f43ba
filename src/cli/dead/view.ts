import type { WholeLetter } from '../../bridge/dead/letters.ts'
import { contentFacts } from '../../bridge/dead/view.ts'
import type { DeadLetter } from '../../model/dead-letter.ts'
import { ageText, tableLines } from '../table.ts'

/** Letters for people. */
export function listLines(letters: readonly DeadLetter[], now: number): string[] {
  return tableLines(
    ['ID', 'REASON', 'PORTAL', 'METHOD', 'QUEUE', 'AGE', 'STATE'],
    letters.map((letter) => [
      letter.id,
      letter.unsure ? `${letter.reason} (unsure)` : letter.reason,
      letter.portal ?? '-',
      letter.method ?? '-',
      letter.queue ?? '-',
      ageText(now - letter.diedAt),
      letter.retries === 0 ? letter.state : `${letter.state}, ${letter.retries}×`,
    ]),
  )
}

/** One letter for people, with its message; what looks like a credential is masked. */
export function showLines({ letter, content }: WholeLetter, now: number): string[] {
  const when = (at: number): string => `${new Date(at).toISOString()} (${ageText(now - at)} ago)`
  const facts: [name: string, value: string | undefined][] = [
    ['id', letter.id],
    ['reason', letter.reason],
    ['', letter.description],
    ['what to do', letter.hint],
    ['unsure', letter.unsure ? 'the portal may have carried it out: look there first' : undefined],
    ['state', letter.state],
    ['kind', letter.kind],
    ['portal', letter.portal],
    ['method', letter.method],
    ['contract', letter.contract],
    ['from queue', letter.queue],
    ['a retry goes to', targetText(letter)],
    ['message id', letter.messageId],
    ['correlation id', letter.correlationId],
    ['attempts', `${letter.attempts} at the portal, ${letter.deliveries} deliveries`],
    ['sent', letter.sentAt === undefined ? undefined : when(letter.sentAt)],
    ['set aside', when(letter.diedAt)],
    [
      'retried',
      letter.retriedAt === undefined
        ? undefined
        : `${letter.retries} times, last ${when(letter.retriedAt)} by ${letter.retriedBy ?? '?'}`,
    ],
    ['came back from', letter.retryOf],
  ]
  const { properties, body, bodyBase64 } = contentFacts(content)
  const { headers, ...rest } = properties as { readonly headers?: unknown }
  return [
    ...tableLines(
      ['', ''],
      facts.flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
    ).slice(1),
    '',
    `properties  ${JSON.stringify(rest)}`,
    `headers     ${JSON.stringify(headers)}`,
    '',
    typeof body === 'string'
      ? printable(body)
      : `${letter.bytes} bytes that are no text: ${String(bodyBase64)}`,
  ]
}

function targetText({ target }: DeadLetter): string {
  if (target === undefined) return 'not known: name a queue with --to-queue'
  const { exchange, routingKey } = target
  return exchange === '' ? `queue ${routingKey}` : `exchange ${exchange}, key ${routingKey}`
}

/** What others wrote must not move the cursor of a terminal; line ends and tabs may stay. */
function printable(text: string): string {
  return text.replace(/[^\P{Cc}\n\t]/gu, '?')
}
