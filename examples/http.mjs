// A program without a queue: it sends commands to the bridge over HTTP.
//
//   b24-bridge sandbox                                                    in one terminal
//   BRIDGE_PORTAL=http://127.0.0.1:9000/rest/1/s3cr3t/ b24-bridge run     in another one
//   node examples/http.mjs                                                in a third
const bridge = `http://${process.env.BRIDGE_HTTP ?? '127.0.0.1:8000'}`
const token = process.env.BRIDGE_ADMIN_TOKEN

/** Sends a command and gives the bridge's answer. With the same key a write is carried out once, however often it is sent. */
async function send(command, { key, prefer } = {}) {
  const response = await fetch(`${bridge}/v1/commands`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      ...(token && { authorization: `Bearer ${token}` }),
      ...(key && { 'idempotency-key': key }),
      ...(prefer && { prefer }),
    },
    body: JSON.stringify(command),
  })
  return { status: response.status, answer: await response.json() }
}

// Ask and wait for the reply.
const { answer: deal } = await send({ method: 'crm.deal.get', params: { id: 7 } })
console.log(`${deal.outcome}: ${deal.result.TITLE}`)

// Sent twice after a doubt, carried out once.
const add = { method: 'crm.deal.add', params: { fields: { TITLE: 'Chairs' } } }
const key = `order-${Date.now()}`
const { answer: first } = await send(add, { key })
const { answer: second } = await send(add, { key })
console.log(`the same deal both times: ${first.result === second.result}`)

// Leave it on the queue, and ask for the reply later.
const { status, answer: ticket } = await send(add, { key: `${key}-later`, prefer: 'respond-async' })
console.log(`${status}: ${ticket.state}`)
for (;;) {
  const response = await fetch(bridge + ticket.status, {
    headers: token ? { authorization: `Bearer ${token}` } : {},
  })
  const reply = await response.json()
  if (response.status === 200) {
    console.log(`${reply.outcome}: a deal was added`)
    break
  }
  await new Promise((resolve) => setTimeout(resolve, 100))
}
