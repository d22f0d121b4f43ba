import { accessSync, constants, existsSync, statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import type { Config } from '../../config/config.ts'
import type { Reading } from '../../config/read.ts'
import { ConfigError, StoreError } from '../../model/errors.ts'
import { openToolStore } from '../parts.ts'
import { type Finding, fail, ok, warn } from './finding.ts'

/** The settings: every fault a line, every warning a line. */
export function checkSettings({ contract, faults, notes }: Reading): Finding[] {
  const failures = faults.map((fault) => fail('settings', new ConfigError([fault])))
  const warnings = notes.map((note) => warn('settings', note))
  return failures.length > 0
    ? [...failures, ...warnings]
    : [ok('settings', `good, contract ${contract}`), ...warnings]
}

/** The version of Node.js. */
export function checkNode(version: string): Finding {
  const [major = 0, minor = 0] = version.replace(/^v/, '').split('.').map(Number)
  if (major > 20 || (major === 20 && minor >= 19)) return ok('node', `Node.js ${version}`)
  return fail('node', new ConfigError([`Node.js ${version} is too old; install 20.19 or newer.`]))
}

/** The store: it can be opened, its tables are of this version, and it can be written to. */
export async function checkStore(config: Config, cwd: string): Promise<Finding> {
  try {
    if (!config.store.startsWith('sqlite:')) {
      const store = await openToolStore(config)
      await store.close()
      return ok('store', store.label)
    }
    const file = config.store.replace(/^sqlite:/, '').replace(/^\/\/(?=\/|\.)/, '')
    if (file === ':memory:')
      return warn('store', 'in memory: everything is forgotten at the end', 'Set BRIDGE_STORE to a file.')
    const path = resolve(cwd, file)
    if (!existsSync(path)) {
      writable(nearestFolder(dirname(path)))
      return ok('store', `${config.store} does not exist yet and will be created`)
    }
    writable(path)
    writable(dirname(path))
    const store = await openToolStore(config)
    await store.close()
    return ok('store', `${store.label}, ${Math.ceil(statSync(path).size / 1024)} KiB, writable`)
  } catch (error) {
    return fail('store', error)
  }
}

function nearestFolder(folder: string): string {
  return existsSync(folder) || dirname(folder) === folder ? folder : nearestFolder(dirname(folder))
}

function writable(path: string): void {
  try {
    accessSync(path, constants.W_OK)
  } catch (cause) {
    throw new StoreError('STORE_UNAVAILABLE', `${path} cannot be written to.`, {
      hint: 'Give this user the right to write there, or name another file with BRIDGE_STORE.',
      cause,
    })
  }
}
