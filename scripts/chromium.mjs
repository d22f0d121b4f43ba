// Finds a Chromium for the tests in a browser, or installs it, and prints its path. Alone: `node scripts/chromium.mjs`.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const PLACES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']

/** What a browser without a screen is started with. */
export const CHROMIUM_FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-background-networking',
]

/**
 * The path of a Chromium: `TEST_CHROMIUM`, else the one on this machine, installed when need be (as root on Debian and
 * its children). Without one, `missing` says in one line what to do.
 * @param {{ log?: (line: string) => void }} [options]
 * @returns {{ path: string } | { missing: string }}
 */
export function findChromium({ log = () => {} } = {}) {
  const given = process.env.TEST_CHROMIUM
  if (given) {
    if (existsSync(given)) return { path: given }
    return { missing: 'there is nothing at the path in TEST_CHROMIUM: correct it or unset it' }
  }
  const found = PLACES.find(existsSync)
  if (found !== undefined) return { path: found }
  if (process.getuid?.() === 0 && existsSync('/usr/bin/apt-get')) {
    log('installing chromium with apt-get, once')
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
    for (const words of [
      ['update', '-q'],
      ['install', '-y', '-q', '--no-install-recommends', 'chromium'],
    ]) {
      spawnSync('apt-get', words, { env, stdio: ['ignore', 'ignore', 'inherit'], timeout: 300_000 })
    }
  }
  const installed = PLACES.find(existsSync)
  if (installed !== undefined) return { path: installed }
  return { missing: 'no Chromium: install the package chromium, or set TEST_CHROMIUM to its path' }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const found = findChromium({ log: (line) => console.error(line) })
  if ('path' in found) console.log(found.path)
  else {
    console.error(found.missing)
    process.exitCode = 1
  }
}
