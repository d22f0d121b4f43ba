import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { EXIT_MEANINGS } from '../../src/cli/exit-codes.ts'
import { createProgram } from '../../src/cli/program.ts'
import { run } from './support/command-line.ts'

describe('the command line as a whole', () => {
  it('shows its help without any word, with every command and exit code', async () => {
    const { code, out, err } = await run([])
    expect([code, err]).toEqual([0, ''])
    for (const [exit, meaning] of EXIT_MEANINGS) expect(out).toContain(`${exit}  ${meaning}`)
    for (const name of 'run setup doctor send call list config topology sandbox demo'.split(' '))
      expect(out).toMatch(new RegExp(`^ {2}${name}\\b`, 'm'))
  })

  it('prints its version', async () => {
    expect(await run(['--version'])).toMatchObject({ code: 0, out: expect.stringMatching(/^\d+\.\d+\.\d+/) })
  })

  it.each([
    [['cal'], /unknown command 'cal'.*Did you mean call\?/],
    [['call'], /missing required argument 'method'/],
    [['call', 'profile', '--portl', 'x'], /unknown option '--portl'.*--portal/],
    [['config'], /b24-bridge config needs a command/],
    [['topology', 'clean'], /unknown command 'clean'/],
    [['sandbox', '--port', 'many'], /whole number from 0 to 65535/],
    [['send', 'profile', '--action', 'dance'], /Allowed choices are call, list, batch/],
  ])('answers %o with exit code 2 and one sentence', async (argv, sentence) => {
    const { code, out, err } = await run(argv)
    expect([code, out]).toEqual([2, ''])
    expect(err).toMatch(sentence)
    const json = await run([...argv, '--json'])
    expect(json.code).toBe(2)
    expect(JSON.parse(json.err)).toMatchObject({ error: { code: 'USAGE' }, exitCode: 2 })
  })

  it('gives every command a help with examples, --json and, where it reads settings, --env-file', async () => {
    const program = createProgram({ stdout: {} } as never)
    const paths = program.commands.flatMap((command) =>
      command.commands.length === 0
        ? [[command.name()]]
        : command.commands.map((child) => [command.name(), child.name()]),
    )
    for (const path of paths) {
      const { code, out } = await run([...path, '--help'])
      expect(code).toBe(0)
      expect(out, path.join(' ')).toContain('--json')
      if (!['sandbox', 'demo'].includes(path[0] as string))
        expect(out, path.join(' ')).toContain('--env-file')
      expect((await run([path[0] as string, '--help'])).out, path[0]).toContain('Examples:')
    }
  })
})

it('documents every exit code and every command', () => {
  const page = readFileSync(new URL('../../docs/command-line.md', import.meta.url), 'utf8')
  for (const [code, meaning] of EXIT_MEANINGS) expect(page).toContain(`| ${code} | ${meaning} |`)
  for (const command of createProgram({ stdout: {} } as never).commands)
    expect(page).toMatch(new RegExp(`^\\| \`${command.name()}\\b`, 'm'))
})
