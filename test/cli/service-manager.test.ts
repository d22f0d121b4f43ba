import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createServiceManager, type ServiceManager } from '../../src/cli/service-manager.ts'
import { eventually } from '../conformance/broker.ts'
import { notifyNote, openNotifySocket } from '../support/notify-socket.ts'

const { PATH } = process.env

function manager(env: Readonly<Record<string, string | undefined>>): ServiceManager & { troubles: string[] } {
  const troubles: string[] = []
  const made = createServiceManager({ env, pid: 4711, onTrouble: (reason) => troubles.push(reason) })
  onTestFinished(() => made.close())
  return { ...made, troubles }
}

describe('the service manager', () => {
  it.skipIf(notifyNote !== '')(`feeds no watchdog that belongs to another process${notifyNote}`, async () => {
    const { path, heard } = await openNotifySocket()
    const other = manager({ PATH, NOTIFY_SOCKET: path, WATCHDOG_USEC: '20000', WATCHDOG_PID: '4712' })
    const ours = manager({ PATH, NOTIFY_SOCKET: path, WATCHDOG_USEC: '20000', WATCHDOG_PID: '4711' })
    other.ready(() => 'of the other')
    await eventually(() => expect(heard()).toContain('of the other'))
    ours.ready(() => 'ours')
    await eventually(() => expect(heard()).toMatch(/WATCHDOG=1\\nSTATUS=ours/))
    expect(heard()).not.toMatch(/WATCHDOG=1\\nSTATUS=of the other/)
  })

  it('says nothing where nobody listens', () => {
    const { troubles, ready, stopping } = manager({ WATCHDOG_USEC: '20000' })
    ready(() => {
      throw new Error('not to be asked')
    })
    stopping('')
    expect(troubles).toEqual([])
  })

  it('says once that the tool is missing, and goes on', async () => {
    const { troubles, status } = manager({ PATH: '/nowhere', NOTIFY_SOCKET: '/nowhere/notify' })
    status('one')
    status('two')
    await eventually(() => expect(troubles).toHaveLength(1))
    await sleep(50) // Nothing tells that the second has failed too.
    expect(troubles).toEqual([expect.stringContaining('ENOENT')])
  })
})
