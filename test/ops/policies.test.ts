import { spawnSync } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { connect } from 'amqplib'
import pino from 'pino'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { DelayQueues } from '../../src/bridge/commands/aside.ts'
import { nativeTopology, rabbitmqToBitrix24Topology } from '../../src/bridge/contracts/topology.ts'
import { openAmqpBroker } from '../../src/brokers/amqp.ts'
import type { Broker, Message } from '../../src/brokers/broker.ts'
import { type Environment, readConfig } from '../../src/config/read.ts'
import { createSandbox, type Sandbox } from '../../src/sandbox/index.ts'
import { type Service, startService } from '../../src/service.ts'
import { eventually } from '../conformance/broker.ts'
import { freePorts } from '../faults/support/ports.ts'
import { RabbitNode, rabbitPrograms } from '../faults/support/rabbitmq.ts'

const SCRIPT = fileURLToPath(new URL('../../ops/rabbitmq/policies.sh', import.meta.url))

/** What the script would have `rabbitmqctl` do: its words, one command a row. */
function commandsOf(...given: string[]): string[][] {
  const bin = mkdtempSync(join(tmpdir(), 'b24-policies-'))
  const echo = '#!/bin/sh\nfor word; do printf "%s\\0" "$word"; done\nprintf "\\n"\n'
  writeFileSync(join(bin, 'rabbitmqctl'), echo, { mode: 0o755 })
  const env = { PATH: `${bin}:${process.env.PATH}` }
  const run = spawnSync(SCRIPT, given, { encoding: 'utf8', env })
  rmSync(bin, { recursive: true })
  expect(run.stderr).toBe('')
  const lines = run.stdout.trim().split('\n')
  return lines.map((line) => line.split('\0').slice(0, -1))
}

/** The policies of the script, as the broker would read them. */
function policies() {
  return commandsOf().map((words) => {
    const [name = '', pattern = '', definition = ''] = words.slice(-3)
    return {
      name,
      pattern: new RegExp(pattern),
      definition: JSON.parse(definition) as Record<string, unknown>,
    }
  })
}

describe('the policies for RabbitMQ', () => {
  const policyOf = (queue: string): Record<string, unknown> | undefined => {
    const found = policies().filter(({ pattern }) => pattern.test(queue))
    // Two of the same rank: the broker would choose.
    expect(found.length, queue).toBeLessThanOrEqual(1)
    return found[0]?.definition
  }

  it('give every command queue, and what stands beside it, a limit and a place for what passes it', () => {
    const queues = ['b24.commands', 'b24.replies', 'b24.commands.suspect', 'b24.commands.ordered']
    const lanes = [
      'b24.lane.example.bitrix24.com',
      'bitrix24in.lane.127.0.0.1:80',
      'bitrix24-command.suspect',
    ]
    for (const queue of [...queues, ...lanes])
      expect(policyOf(queue), queue).toMatchObject({
        'delivery-limit': 20,
        'dead-letter-exchange': '',
        'dead-letter-routing-key': 'b24.dead',
        'dead-letter-strategy': 'at-least-once',
        // At least once needs it: https://www.rabbitmq.com/docs/quorum-queues#dead-lettering
        overflow: 'reject-publish',
      })
    for (const queue of ['bitrix24in', 'bitrix24-command'])
      expect(policyOf(queue)).toEqual({ 'dead-letter-exchange': '', 'dead-letter-routing-key': 'b24.dead' })
  })

  it('leave delay queues alone, and never have a dead letter dropped', () => {
    for (const queue of ['b24.retry.5s', 'b24.retry.1h', 'b24.doctor.x', 'orders', 'orders.suspect'])
      expect(policyOf(queue), queue).toBeUndefined()
    const dead = policyOf('b24.dead')
    expect(dead?.['delivery-limit']).toBeGreaterThanOrEqual(1_000_000)
    expect(dead).not.toHaveProperty('max-length-bytes')
  })

  it('are for the virtual host that is named', () => {
    for (const words of commandsOf('--vhost', 'crm')) expect(words.slice(0, 2)).toEqual(['--vhost', 'crm'])
  })
})

const programs = rabbitPrograms()

describe.skipIf(programs === undefined)(
  `under the policies${programs === undefined ? ' (skipped: no RabbitMQ)' : ''}`,
  () => {
    const folder = mkdtempSync(join(tmpdir(), 'b24-policies-'))
    const logger = pino({ level: 'silent' })
    let node: RabbitNode
    let broker: Broker
    let sandbox: Sandbox
    let env: Environment
    let service: Service | undefined
    const replies: Message[] = []

    async function start(more: Environment = {}): Promise<void> {
      service = await startService(readConfig({ env: { ...env, ...more }, cwd: folder }), { logger })
    }
    async function stop(): Promise<void> {
      await service?.stop()
      service = undefined
    }
    const send = (queue: string, body: unknown, more: Partial<Message> = {}): Promise<void> =>
      broker.publish(
        { exchange: '', routingKey: queue },
        { headers: {}, ...more, body: Buffer.from(JSON.stringify(body)) },
      )
    const inDead = (messages: number) =>
      eventually(async () => expect(await broker.queueInfo('b24.dead')).toMatchObject({ messages }), 10_000)
    const reply = async (id: string): Promise<Message> => {
      await eventually(
        () => expect(replies.some(({ correlationId }) => correlationId === id)).toBe(true),
        10_000,
      )
      expect(replies.filter(({ correlationId }) => correlationId === id)).toHaveLength(1)
      return replies.find(({ correlationId }) => correlationId === id)!
    }
    const outcomeOf = ({ body }: Message): unknown => {
      const { outcome, error } = JSON.parse(body.toString())
      return [outcome, error?.code]
    }

    beforeAll(async () => {
      // The server's user must get in.
      chmodSync(folder, 0o755)
      node = new RabbitNode({ programs: programs!, folder: join(folder, 'node'), port: await freePorts() })
      await node.start()
      for (const words of commandsOf()) node.ctl(...words)
      broker = openAmqpBroker({ url: node.url, name: 'b24-test', random: Math.random, now: Date.now })
      await broker.declare(nativeTopology())
      const ordered = { name: 'b24.commands.ordered', durable: true, type: 'quorum' as const }
      await broker.declare({ mode: 'declare', exchanges: [], queues: [ordered], bindings: [] })
      await broker.declare(rabbitmqToBitrix24Topology({ topology: 'declare', replyMode: 'queue' }))
      for (const queue of ['b24.replies', 'bitrix24out'])
        await broker.consume(queue, { prefetch: 10 }, (delivery) => {
          const { message } = delivery
          replies.push({ correlationId: message.messageId ?? '', ...message })
          delivery.ack()
        })
      sandbox = await createSandbox({ limits: 'off' })
      env = {
        BRIDGE_BROKER: node.url,
        BRIDGE_STORE: `sqlite:${join(folder, 'bridge.db')}`,
        BRIDGE_PORTAL: sandbox.webhookUrl,
        BRIDGE_HTTP: '127.0.0.1:0',
        BRIDGE_ADMIN_TOKEN: 'adm1n-t0ken-of-the-tests',
        BRIDGE_LIMITS: 'off',
        BRIDGE_DRAIN_GRACE: '0',
      }
    }, 120_000)
    afterEach(stop)
    afterAll(async () => {
      await broker?.close()
      await sandbox?.close()
      node?.end()
      rmSync(folder, { recursive: true, force: true })
    })

    it('the queues that the bridge makes can be declared again, and delay queues bring back what they hold', async () => {
      await broker.declare(nativeTopology())
      await send('b24.commands', { n: 1 })
      const delivery = (await broker.get('b24.commands'))!
      const delays = new DelayQueues({ broker, prefix: 'b24.retry', now: Date.now })
      expect(await delays.park(delivery, 5000)).toBe(true)
      await eventually(async () => {
        const back = await broker.get('b24.commands')
        expect(back?.message.body.toString()).toBe('{"n":1}')
        back?.ack()
      }, 15_000)
    })

    it('a command that expires in its queue is answered with DEADLINE_EXCEEDED and not carried out', async () => {
      const write = { method: 'crm.deal.add', params: { fields: { TITLE: 'Late' } } }
      await send('b24.commands', write, { messageId: 'late', expiration: '50' })
      await send(
        'b24.commands.ordered',
        { method: 'profile' },
        { correlationId: 'late read', expiration: '50' },
      )
      // Nobody can tell whether this one was begun before: it has no id. Our own publisher gives one to each.
      const connection = await connect(node.url)
      const channel = await connection.createConfirmChannel()
      const plain = { correlationId: 'no id', expiration: '50', persistent: true }
      channel.sendToQueue('b24.commands', Buffer.from(JSON.stringify(write)), plain)
      await channel.waitForConfirms()
      await connection.close()
      await inDead(3)
      await start()
      expect(outcomeOf(await reply('late'))).toEqual(['failed', 'DEADLINE_EXCEEDED'])
      expect(outcomeOf(await reply('late read'))).toEqual(['failed', 'DEADLINE_EXCEEDED'])
      expect(outcomeOf(await reply('no id'))).toEqual(['unknown', 'DEADLINE_EXCEEDED'])
      await inDead(0)
      expect(sandbox.stats().requests).toBe(0)
      const { log = [] } = sandbox.stats(undefined, true)
      expect(log.filter(({ method }) => method === 'crm.deal.add')).toEqual([])
    })

    it('a write that was carried out before it expired in its queue is answered as it ended', async () => {
      const write = { method: 'crm.deal.add', params: { fields: { TITLE: 'Once' } } }
      await start()
      await send('b24.commands', write, { messageId: 'once', correlationId: 'first' })
      expect(outcomeOf(await reply('first'))).toEqual(['done', undefined])
      await stop()
      // As if its acknowledgement had been lost, and its time over meanwhile.
      await send('b24.commands', write, { messageId: 'once', correlationId: 'again', expiration: '50' })
      await inDead(1)
      const before = replies.length
      await start()
      await eventually(() => expect(replies).toHaveLength(before + 1))
      expect(outcomeOf(replies.at(-1)!)).toEqual(['done', undefined])
    })

    it('a command of an older contract that expires in its classic queue is answered in its own words', async () => {
      const headers = { method: 'crm.deal.get', user: '1', token: 's3cr3t' }
      await send('bitrix24in', { id: 1 }, { messageId: 'older', headers, expiration: '50' })
      await inDead(1)
      await start({
        BRIDGE_CONTRACT: 'rabbitmq-to-bitrix24',
        BRIDGE_REST: `${sandbox.url}/rest/`,
        BRIDGE_REPLY_MODE: 'queue',
      })
      const { body } = await reply('older')
      expect(JSON.parse(body.toString())).toMatchObject({ error: 'DEADLINE_EXCEEDED' })
    })

    it('a command that comes back too often becomes a dead letter that says why and what to do', async () => {
      await send('b24.commands', { method: 'crm.deal.get' }, { messageId: 'loop', expiration: '600000' })
      for (let handedOut = 0; ; handedOut++) {
        const delivery = await broker.get('b24.commands')
        if (delivery === undefined) {
          expect(handedOut).toBe(21)
          break
        }
        delivery.requeue()
        await eventually(async () => {
          const { messages = 0 } = (await broker.queueInfo('b24.commands')) ?? {}
          const { messages: dead = 0 } = (await broker.queueInfo('b24.dead')) ?? {}
          expect(messages + dead).toBe(1)
        })
      }
      await start()
      await eventually(async () => {
        const response = await fetch(`${service!.url}/v1/dead?reason=DELIVERY_LIMIT`, {
          headers: { authorization: 'Bearer adm1n-t0ken-of-the-tests' },
        })
        expect(await response.json()).toMatchObject({
          letters: [
            {
              reason: 'DELIVERY_LIMIT',
              message_id: 'loop',
              queue: 'b24.commands',
              method: 'crm.deal.get',
              unsure: true,
              description: expect.stringContaining('more often'),
              hint: expect.stringContaining('Bitrix24'),
            },
          ],
        })
      }, 10_000)
    })
  },
)
