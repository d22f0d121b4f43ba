import { resolve } from 'node:path'
import { Command } from 'commander'
import type { Config } from '../../config/config.ts'
import { readText } from '../../config/variables.ts'
import { openSealer, type Sealer } from '../../stores/seal.ts'
import { EXIT } from '../exit-codes.ts'
import { stopIfInterrupted } from '../interrupted.ts'
import type { CliIo } from '../io.ts'
import { openToolStore } from '../parts.ts'
import { printJson, printLines } from '../report.ts'
import { addSettingFlags, configOf } from '../settings.ts'
import { tableLines } from '../table.ts'
import { withVault } from '../vault.ts'

const EXAMPLES = `
Examples:
  b24-bridge secrets status
  BRIDGE_SECRET_KEY="k2:…,k1:…" b24-bridge secrets rotate`

/** `b24-bridge secrets status|rotate`: the keys that seal the secrets of the store. */
export function secretsCommand(io: CliIo): Command {
  return new Command('secrets')
    .description('Look at the keys that seal the secrets, and change them')
    .addHelpText('after', EXAMPLES)
    .addCommand(statusCommand(io))
    .addCommand(rotateCommand(io))
}

/** How many secrets each key seals. Nothing is opened, so it works with wrong keys too. */
function statusCommand(io: CliIo): Command {
  const command = new Command('status')
    .description('Show how many secrets are sealed under each key; ends with 4 when a key is missing')
    .option('--json', 'as one line of JSON')
    .action(async (flags: { readonly json?: boolean }) => {
      const config = configOf(command, io)
      const { countSecrets } = await import('../../stores/rotate.ts')
      const store = await openToolStore(config)
      let counts: Map<string, number>
      try {
        counts = await countSecrets(store.db)
      } finally {
        await store.close()
      }
      const given = await givenKeys(config, io.cwd)
      const kids = [...new Set([...(given?.kids ?? []), ...counts.keys()])]
      const keys = kids.map((kid) => ({
        key: kid,
        secrets: counts.get(kid) ?? 0,
        use: useOf(kid, given),
      }))
      const missing = keys.some(({ use }) => use === 'missing')
      if (missing) io.exit(EXIT.unreachable)
      if (flags.json === true) printJson(io, { ok: !missing, keys })
      else
        printLines(io, [
          ...tableLines(
            ['KEY', 'SECRETS', 'USE'],
            keys.map(({ key, secrets, use }) => [key, String(secrets), USES[use]]),
          ),
          ...(keys.length === 0 ? ['Nothing is sealed yet.'] : []),
        ])
    })
  return addSettingFlags(command)
}

/** The keys of the settings or of the key file; none is made here. */
async function givenKeys(config: Config, cwd: string): Promise<Sealer | undefined> {
  const { folderBeside } = await import('../../stores/unlock.ts')
  const isFile = config.store.startsWith('sqlite:') && !config.production
  const text =
    config.secretKey ??
    (isFile ? readText(resolve(cwd, folderBeside(config.store, 'secret.key'))) : undefined)
  return text === undefined ? undefined : openSealer({ keys: text.trim().split(/\s+/).join(',') })
}

const USES = {
  active: 'seals',
  opens: 'opens only; `b24-bridge secrets rotate` makes it needless',
  missing: 'MISSING: add it to BRIDGE_SECRET_KEY',
}

function useOf(kid: string, given: Sealer | undefined): keyof typeof USES {
  if (kid === given?.active) return 'active'
  return given?.kids.includes(kid) ? 'opens' : 'missing'
}

/** Broken off and started again it goes on where it was; a running bridge is not disturbed. */
function rotateCommand(io: CliIo): Command {
  const command = new Command('rotate')
    .description(
      'Seal every secret anew under the first key of BRIDGE_SECRET_KEY; can be broken off and repeated',
    )
    .option('--json', 'as one line of JSON')
    .action(async (flags: { readonly json?: boolean }) => {
      const config = configOf(command, io)
      const { countSecrets, rotate } = await import('../../stores/rotate.ts')
      await withVault(config, async ({ db, secrets }) => {
        const resealed = await rotate(db, secrets, {
          onProgress: ({ table, resealed: sofar }) => {
            stopIfInterrupted(io, `${sofar} secrets are sealed anew; start it again to go on.`)
            if (flags.json !== true) io.stderr.write(`${table}: ${sofar} secrets sealed anew so far\n`)
          },
        })
        const left = await countSecrets(db)
        const idle = secrets.kids.filter((kid) => kid !== secrets.active && !left.has(kid))
        if (flags.json === true) printJson(io, { resealed, active: secrets.active, needless: idle })
        else
          printLines(io, [
            `${resealed} secrets sealed anew; all are under the key ${secrets.active}.`,
            ...(idle.length === 0
              ? []
              : [
                  `Needless now: ${idle.join(', ')}. Take it out of BRIDGE_SECRET_KEY once every process has the new one.`,
                ]),
          ])
      })
    })
  return addSettingFlags(command)
}
