// Posts events to a bridge as many portals would: at a steady rate, whatever the answers take, each portal over one
// connection that stays open. Prints how long the answers took, reckoned from when each post was due.
import { connect } from 'node:net'

const [url, rateText, secondsText, membersText, token, firstText] = process.argv.slice(2) as [
  string,
  string,
  string,
  string,
  string,
  string,
]
const { hostname, port, pathname } = new URL(url)
const rate = Number(rateText)
const total = rate * Number(secondsText)
const members = Number(membersText)
const first = Number(firstText)

/** Bytes of one post; what a portal sends for a changed deal. */
function request(index: number): string {
  const member = `member-${index % members}`
  const fields = {
    event: 'ONCRMDEALUPDATE',
    event_handler_id: '58',
    'data[FIELDS][ID]': String(first + index),
    ts: '1727018926',
    'auth[access_token]': 'be45a1660071a6c200674a9600000001302607a1b2c3d4e5f60718293a4b5c6d7e8f90',
    'auth[expires]': '1727022526',
    'auth[expires_in]': '3600',
    'auth[scope]': 'crm,placement,user_brief',
    'auth[domain]': `${member}.bitrix24.com`,
    'auth[server_endpoint]': 'https://oauth.bitrix.info/rest/',
    'auth[status]': 'L',
    'auth[client_endpoint]': `https://${member}.bitrix24.com/rest/`,
    'auth[member_id]': member,
    'auth[user_id]': '1',
    'auth[application_token]': token,
  }
  const body = new URLSearchParams(fields).toString()
  return `POST ${pathname} HTTP/1.1\r\nHost: ${hostname}\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: ${body.length}\r\n\r\n${body}`
}

const took: number[] = []
const statuses: Record<string, number> = {}
let answered = 0
let finish = (): void => {}
const finished = new Promise<void>((resolve) => {
  finish = resolve
})

/** One portal's connection. Answers come in the order of the posts. */
function open() {
  const due: number[] = []
  let rest = ''
  const socket = connect(Number(port), hostname)
  socket.setNoDelay(true)
  socket.on('data', (chunk) => {
    rest += chunk.toString('latin1')
    for (;;) {
      const head = rest.indexOf('\r\n\r\n')
      if (head < 0) return
      const length = Number(/content-length: (\d+)/i.exec(rest.slice(0, head))?.[1] ?? 0)
      if (rest.length < head + 4 + length) return
      const status = rest.slice(9, 12)
      rest = rest.slice(head + 4 + length)
      statuses[status] = (statuses[status] ?? 0) + 1
      took.push(performance.now() - (due.shift() as number))
      if (++answered === total) finish()
    }
  })
  socket.on('error', (error) => {
    console.error(error)
    process.exit(1)
  })
  return {
    send(index: number, at: number) {
      due.push(at)
      socket.write(request(index))
    },
    socket,
  }
}

const portals = Array.from({ length: members }, open)
const startedAt = performance.now() + 100
let sent = 0
function pump(): void {
  const now = performance.now()
  while (sent < total) {
    const at = startedAt + (sent * 1000) / rate
    if (at > now) break
    portals[sent % members]?.send(sent, at)
    sent++
  }
  if (sent < total) setTimeout(pump, 1)
}
pump()
const patience = setTimeout(finish, Number(secondsText) * 1000 + 20_000)
await finished
clearTimeout(patience)
took.sort((a, b) => a - b)
const at = (share: number): number => took[Math.min(took.length - 1, Math.floor(took.length * share))] ?? 0
console.log(
  JSON.stringify({ sent, answered, statuses, p50: at(0.5), p99: at(0.99), p999: at(0.999), worst: at(1) }),
)
for (const { socket } of portals) socket.destroy()
