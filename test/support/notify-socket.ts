import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'

// Node has no datagram sockets of this kind, and a test should not believe the tool that it tests.
const LISTEN = `
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
print('listening', flush=True)
while True:
    print(repr(s.recv(4096).decode()), flush=True)
`

const works = (program: string): boolean => spawnSync(program, ['--version']).status === 0

/** Why there can be no tests with systemd's socket here; empty when there can. */
export const notifyNote = works('python3')
  ? works('systemd-notify')
    ? ''
    : ' (skipped: no systemd-notify here)'
  : ' (skipped: no python3 here)'

/** A socket as systemd gives it to a service, and everything that was said to it, one text a datagram. */
export async function openNotifySocket(): Promise<{ readonly path: string; readonly heard: () => string }> {
  const folder = mkdtempSync(join(tmpdir(), 'b24-notify-'))
  const path = join(folder, 'notify')
  const listener = spawn('python3', ['-u', '-c', LISTEN, path])
  onTestFinished(() => {
    listener.kill('SIGKILL')
    rmSync(folder, { recursive: true, force: true })
  })
  let heard = ''
  listener.stdout.on('data', (chunk) => {
    heard += chunk
  })
  await once(listener.stdout, 'data')
  return { path, heard: () => heard }
}
